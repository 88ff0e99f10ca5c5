"""Whether the subscriber agreed to hear from the sender's owner.

A consent is what its events say, read in the order in which they happened: ``TRANSITIONS`` is the whole machine,
``fold`` runs it. When an event arrived does not matter, so an old grant imported late revives nothing; of several at
the same moment a refusal is read last and stays. Two states come by time alone: a request nobody answered, and a
grant that has run out.

Who said something counts. What subscribers refused in person, by reply, in the portal or by a complaint, is lifted by
themselves alone, or by evidence that an operator has reviewed. What an owner says that they agreed to is held back
until then: it is a claim (``claims``). A claim without a time is never later than a refusal, whoever reported that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from smsc_filter.policy.facts import ConsentState, Facts
from smsc_filter.policy.rules import Rules
from smsc_filter.policy.verdict import PASS, Cause, Finding, refuse, remark
from smsc_filter.sms.message import Message

KINDS: Final = ("requested", "granted", "refused", "withdrawn")
"""Kinds of events, in the order in which those of one moment are read: the last one stays."""

_RANK: Final = {kind: rank for rank, kind in enumerate(KINDS)}

RECORDED: Final[Mapping[str, tuple[str, bool, bool]]] = {
    "requested": ("requested", False, True),
    "granted": ("granted", False, True),
    "claimed": ("granted", True, True),
    "listed": ("granted", True, False),
    "refused": ("refused", False, True),
    "refused-reported": ("refused", True, True),
    "withdrawn": ("withdrawn", False, True),
    "withdrawn-reported": ("withdrawn", True, True),
}
"""What the records call an event -> its kind, whether an owner says so, and whether its time is known."""

TRANSITIONS: Final[Mapping[ConsentState, Mapping[str, ConsentState]]] = {
    ConsentState.NONE: {
        "requested": ConsentState.REQUESTED,
        "granted": ConsentState.GRANTED,
        "refused": ConsentState.REFUSED,
        "withdrawn": ConsentState.WITHDRAWN,
    },
    ConsentState.REQUESTED: {
        "requested": ConsentState.REQUESTED,  # asking again does not lengthen the time for an answer
        "granted": ConsentState.GRANTED,
        "refused": ConsentState.REFUSED,
        "withdrawn": ConsentState.WITHDRAWN,
    },
    ConsentState.GRANTED: {
        "requested": ConsentState.GRANTED,  # who agreed need not answer
        "granted": ConsentState.GRANTED,
        "refused": ConsentState.REFUSED,
        "withdrawn": ConsentState.WITHDRAWN,
    },
    # Whoever refused, withdrew or kept silent is not asked into another state: only a grant leads out.
    ConsentState.REFUSED: {
        "requested": ConsentState.REFUSED,
        "granted": ConsentState.GRANTED,
        "refused": ConsentState.REFUSED,
        "withdrawn": ConsentState.WITHDRAWN,
    },
    ConsentState.WITHDRAWN: {
        "requested": ConsentState.WITHDRAWN,
        "granted": ConsentState.GRANTED,
        "refused": ConsentState.WITHDRAWN,
        "withdrawn": ConsentState.WITHDRAWN,
    },
    ConsentState.DEEMED_REFUSED: {
        "requested": ConsentState.DEEMED_REFUSED,
        "granted": ConsentState.GRANTED,
        "refused": ConsentState.REFUSED,
        "withdrawn": ConsentState.WITHDRAWN,
    },
    ConsentState.EXPIRED: {
        "requested": ConsentState.REQUESTED,
        "granted": ConsentState.GRANTED,
        "refused": ConsentState.REFUSED,
        "withdrawn": ConsentState.WITHDRAWN,
    },
}

WHEN_TIME_IS_UP: Final[Mapping[ConsentState, ConsentState]] = {
    ConsentState.REQUESTED: ConsentState.DEEMED_REFUSED,
    ConsentState.GRANTED: ConsentState.EXPIRED,
}
"""What a state with an end turns into at its end."""

REFUSALS: Final = frozenset({ConsentState.REFUSED, ConsentState.WITHDRAWN, ConsentState.DEEMED_REFUSED})
"""States from which the same or a similar text may not be sent again."""


@dataclass(frozen=True, slots=True)
class ConsentEvent:
    """What happened between one recipient and one owner."""

    kind: str
    """One of ``KINDS``."""
    event_at_ms: int
    """When it happened, epoch milliseconds."""
    received_at_ms: int
    """When we learned of it; nothing depends on it."""
    expires_at_ms: int | None = None
    """Of a grant: until when it holds, None for ever. Of a request: until when an answer is waited for, None for the
    time the rules give."""
    topic: str | None = None
    """What it is about; None: everything the owner sends."""
    by_owner: bool = False
    """Whether the owner says so, in a file or over the API; else the subscriber did, or a review accepted it."""
    dated: bool = True
    """Whether it is known when it happened; if not, ``event_at_ms`` is when we learned of it."""


def recorded_event(
    name: str, event_at_ms: int, received_at_ms: int, expires_at_ms: int | None, topic: str | None
) -> ConsentEvent:
    """An event as the records have it, ``name`` among ``RECORDED``."""
    kind, by_owner, dated = RECORDED[name]
    return ConsentEvent(kind, event_at_ms, received_at_ms, expires_at_ms, topic, by_owner, dated)


@dataclass(frozen=True, slots=True)
class ConsentStatus:
    """What the events amount to at one moment."""

    state: ConsentState
    since_ms: int
    """When it came to be so; 0 with ``NONE``."""
    until_ms: int | None = None
    """When time alone will change it; None: it will not."""
    own: bool = False
    """Of a refusal: whether the subscriber said it in person, so that no word of the owner lifts it."""

    def at(self, now_ms: int) -> ConsentStatus:
        """What it has become by ``now_ms`` if nothing else happens."""
        if self.until_ms is None or now_ms < self.until_ms:
            return self
        return ConsentStatus(WHEN_TIME_IS_UP[self.state], self.until_ms)


NOTHING: Final = ConsentStatus(ConsentState.NONE, 0)


def fold(events: Iterable[ConsentEvent], *, reply_seconds: float, now: float) -> ConsentStatus:
    """What ``events`` amount to at ``now``; the order in which they are given does not matter.

    Args:
        events: of one recipient and one owner, as ``speaking_for`` chooses them where topics are kept apart.
        reply_seconds: time for the answer to a request that names none.
        now: epoch seconds; what happens later does not count yet.
    """
    now_ms = int(now * 1000)
    status = NOTHING
    reply_ms = int(reply_seconds * 1000)
    for event in sorted(events, key=lambda event: _order(event, reply_ms)):
        if event.event_at_ms > now_ms:
            break
        status = _after(status.at(event.event_at_ms), event, reply_ms)
    return status.at(now_ms)


def claims(events: Iterable[ConsentEvent], *, reply_seconds: float, now: float) -> list[ConsentEvent]:
    """The grants an owner claims that the refusal standing at ``now`` holds back, in the order of their times."""
    now_ms = int(now * 1000)
    reply_ms = int(reply_seconds * 1000)
    status = NOTHING
    held: list[ConsentEvent] = []
    for event in sorted(events, key=lambda event: _order(event, reply_ms)):
        if event.event_at_ms > now_ms:
            break
        before = status.at(event.event_at_ms)
        status = _after(before, event, reply_ms)
        if status.state not in REFUSALS:
            held = []
        elif _is_held(before, event):
            held.append(event)
    return held


def speaking_for(events: Iterable[ConsentEvent], topic: str | None) -> list[ConsentEvent]:
    """The events that bear on a topic: those of that topic, and those about everything the owner sends."""
    return [event for event in events if event.topic is None or event.topic == topic]


def _until(event: ConsentEvent, reply_ms: int) -> int | None:
    """When the state that a grant or a request brings will end by itself."""
    if event.kind == "requested" and event.expires_at_ms is None:
        return event.event_at_ms + reply_ms
    return event.expires_at_ms


def _order(event: ConsentEvent, reply_ms: int) -> tuple[int, int, int, float]:
    # Of two requests at one moment the first one read counts, of two grants the last one: the shorter time wins both.
    # An owner's word is read before the subscriber's.
    until_ms = _until(event, reply_ms)
    end = float("inf") if until_ms is None else until_ms
    weight = 0 if not event.dated else 1 if event.by_owner else 2
    return event.event_at_ms, _RANK[event.kind], weight, end if event.kind == "requested" else -end


def _after(status: ConsentStatus, event: ConsentEvent, reply_ms: int) -> ConsentStatus:
    if _is_held(status, event):
        return status
    state = TRANSITIONS[status.state][event.kind]
    own = status.own if event.kind == "requested" else state in REFUSALS and (status.own or not event.by_owner)
    if state is status.state and state is not ConsentState.GRANTED and own == status.own:
        return status
    if state is ConsentState.GRANTED and event.kind != "granted":
        return status
    until_ms = _until(event, reply_ms) if state in WHEN_TIME_IS_UP else None
    return ConsentStatus(state, event.event_at_ms, until_ms, own)


def _is_held(status: ConsentStatus, event: ConsentEvent) -> bool:
    """Whether an event is an owner's claim that the refusal at hand holds back."""
    claim = event.kind == "granted" and event.by_owner
    return claim and status.state in REFUSALS and (status.own or not event.dated)


_SAID: Final = {
    ConsentState.NONE: "no consent of the recipient for {} is on record",
    ConsentState.REQUESTED: "the recipient was asked for consent to messages of {} and has not answered yet",
    ConsentState.EXPIRED: "the consent of the recipient to messages of {} has run out",
    ConsentState.REFUSED: "the recipient has refused messages of {}",
    ConsentState.WITHDRAWN: "the recipient has withdrawn the consent to messages of {}",
    ConsentState.DEEMED_REFUSED: "the recipient was asked for consent to messages of {} and did not answer in time",
}


def check_consent(message: Message, facts: Facts, rules: Rules, _now: float) -> Finding:
    """Commercial text goes only to subscribers who agreed to hear from its sender; silence is refusal."""
    state = facts.consent
    if not facts.commercial or state is ConsentState.GRANTED:
        return PASS
    said = _SAID[state].format(facts.owner)
    if state in REFUSALS:
        # An appeal says that a text was no advertisement; it does not speak for the subscriber.
        return refuse("consent", Cause.CONSENT_REFUSED, said, rules.consent.article)
    if facts.request:
        return _check_request(message, facts, rules)
    if facts.cleared is not None:
        return remark("consent", f"not asked for, by appeal {facts.cleared.id}")
    return refuse("consent", Cause.NO_CONSENT, said, rules.consent.article)


def _check_request(message: Message, facts: Facts, rules: Rules) -> Finding:
    """Consent may be asked for once, by a text that says what would be sent, how often and for how long.

    In one message: of a request in several parts a single part would say too little.
    """
    article = rules.request.article
    if facts.consent is ConsentState.REQUESTED:
        return asked_already(facts.owner, rules)
    if missing := rules.wording.missing_statements(message.text):
        sentence = f"the request for consent does not state {' and '.join(missing)}"
        return refuse("consent", Cause.REQUEST_INCOMPLETE, sentence, article)
    return remark("consent", "asks for consent", article)


def asked_already(owner: str, rules: Rules) -> Finding:
    """What it means that another request to the same recipient is open."""
    sentence = f"{owner} has asked this recipient for consent already"
    return refuse("consent", Cause.ASKED_ALREADY, sentence, rules.request.article)
