"""What if: recorded traffic judged again under another configuration, and what would have come of it.

Texts, senders, recipients, accounts and times are those on record; so is what was known at each of those times: the
consents, by when they became known here, granted appeals, measures, and what the SMSC did not take. Everything else
follows anew: scores (the same, by the same model), quotas, likeness to refused texts, the fate of long messages. What
came before the first moment, as far back as the longest window reaches, is judged as well, so that no window begins
empty, and is compared with nothing.

The same records, configuration and model give the same verdicts, to the octet of the log.
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import IO, Any, Final

import orjson
import sqlalchemy

from smsc_filter.lab.engine import Engine, Provider, message_of
from smsc_filter.policy.appeal import Whitelist
from smsc_filter.policy.facts import Facts
from smsc_filter.policy.greeting import PERSON, festival_of
from smsc_filter.policy.measures import Measures
from smsc_filter.policy.record import DecisionRow, id_to_text
from smsc_filter.policy.template import NO_PARAMETERS
from smsc_filter.policy.verdict import TROUBLES, Cause, remark
from smsc_filter.records import measures as measure_records
from smsc_filter.records import traffic
from smsc_filter.records import whitelist as whitelist_records
from smsc_filter.records.consents import consents_of
from smsc_filter.relay.people import People
from smsc_filter.settings import Settings
from smsc_filter.sms.message import Message
from smsc_filter.sms.udh import Part, part_of
from smsc_filter.state.projection import Projected, Projection

# Positions in a decision row, see ``policy.record.COLUMNS``.
ID: Final = 0
AT_MS: Final = 1
SYSTEM_ID: Final = 2
OWNER: Final = 3
SOURCE: Final = 4
RECIPIENT: Final = 5
CAUSE: Final = 7
PART: Final = 12
TEXT: Final = 14
FINDINGS: Final = 15

EXAMPLES: Final = 3
"""Decisions a line of the comparison names."""

_TROUBLES: Final = frozenset(cause.value for cause in TROUBLES)
_SIMILAR: Final = Cause.SIMILAR_AFTER_REFUSAL.value

TROUBLE: Final = (
    "were refused because the store or the SMSC was away, which no configuration changes: left as they were"
)
PARAMETERS: Final = "have no optional parameters on record: the check of templates and entities was left out"
OLDER_TEXT: Final = "were refused for likeness to a text from before the replay, which is not known: left as they were"
ACCOUNT: Final = "came over an account that this configuration does not have: judged for the owner on record"
CONTACTS: Final = "were sent by people while a feast is on here and was not there: judged as if to strangers"
FORGOTTEN: Final = "consent events are past their retention: what they said is not known"


@dataclass(slots=True)
class Line:
    """Messages of one sender that fare differently, from one cause to another."""

    messages: int = 0
    recipients: set[str] = field(default_factory=set)
    examples: list[str] = field(default_factory=list)


Key = tuple[str, str, str, str]
"""(cause on record, cause now, owner, source); "" where it is sent on."""


@dataclass(slots=True)
class Comparison:
    """What a replay has found."""

    profile: str
    model: str
    compared: int = 0
    before: int = 0
    """Messages judged only so that the windows are full."""
    recorded: Counter[str] = field(default_factory=Counter)
    """Messages by cause on record, "" for those sent on."""
    replayed: Counter[str] = field(default_factory=Counter)
    lines: dict[Key, Line] = field(default_factory=lambda: defaultdict(Line))
    not_replayed: Counter[str] = field(default_factory=Counter)
    """What could not be replayed, in words -> how many."""

    def note(self, row: DecisionRow, cause: str) -> None:
        """Compare one message with what it would now come to."""
        recorded = row[CAUSE]
        self.compared += 1
        self.recorded[recorded] += 1
        self.replayed[cause] += 1
        if recorded != cause:
            line = self.lines[recorded, cause, row[OWNER], row[SOURCE]]
            line.messages += 1
            line.recipients.add(row[RECIPIENT])
            if len(line.examples) < EXAMPLES:
                line.examples.append(id_to_text(row[ID]))

    def messages(self, change: str) -> int:
        """How many messages change in that way, see ``change_of``."""
        return sum(line.messages for key, line in self.lines.items() if change_of(key) == change)

    def ordered(self) -> list[tuple[Key, Line]]:
        """What changes, most messages first."""
        return sorted(
            self.lines.items(), key=lambda each: (CHANGES.index(change_of(each[0])), -each[1].messages, each[0])
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values that any JSON writer takes."""
        return {
            "profile": self.profile,
            "model": self.model,
            "compared": self.compared,
            "judged_before": self.before,
            "appear": self.messages("appears"),
            "vanish": self.messages("vanishes"),
            "other_cause": self.messages("other cause"),
            "recorded": {cause or "admitted": count for cause, count in sorted(self.recorded.items())},
            "replayed": {cause or "admitted": count for cause, count in sorted(self.replayed.items())},
            "differences": [
                {
                    "change": change_of(key),
                    "recorded": key[0] or "admitted",
                    "replayed": key[1] or "admitted",
                    "owner": key[2],
                    "sender": key[3],
                    "messages": line.messages,
                    "recipients": len(line.recipients),
                    "examples": line.examples,
                }
                for key, line in self.ordered()
            ],
            "not_replayed": [{"messages": count, "why": why} for why, count in sorted(self.not_replayed.items())],
        }


CHANGES: Final = ("appears", "vanishes", "other cause")


def change_of(key: Key) -> str:
    """What a difference is to the sender: a block that appears, one that vanishes, or one of another cause."""
    recorded, now = key[:2]
    return "other cause" if recorded and now else "appears" if now else "vanishes"


class _Then:
    """What was known at the moment that is replayed; ``at`` turns it forward."""

    def __init__(self, engine: Engine, records: sqlalchemy.Engine, owner_ids: Mapping[str, int]) -> None:
        self._engine = engine
        self._records = records
        self._owner_ids = owner_ids
        self._projection = Projection(engine.store, 1)
        self._reply_seconds = float(engine.profile.request.reply_seconds)
        self._told: dict[tuple[str, int], list[traffic.ConsentKnown]] = {}
        self._met: set[str] = set()
        self._due: list[tuple[int, str, int]] = []
        self._appeals = [0.0, *traffic.whitelist_changes(records)]
        # Each holds from its beginning to its end; one that was lifted ended then.
        engine.exchange.measures = Measures(
            replace(each.measure, ends_at=_earlier(each.measure.ends_at, each.lifted_at))
            for each in measure_records.standing(records, 0.0, ended=True)
            if each.lifted_at is None or each.lifted_at > each.measure.begins_at
        )

    def meet(self, recipients: Sequence[str], now: float) -> None:
        """Read what those recipients told who have not been met before ``now``."""
        new = sorted(set(recipients) - self._met - {""})
        self._met.update(new)
        now_ms = int(now * 1000)
        pairs = set()
        for event in traffic.consents_known(self._records, new):
            pair = event.recipient, event.owner_id
            self._told.setdefault(pair, []).append(event)
            if event.received_at_ms > now_ms:
                heapq.heappush(self._due, (event.received_at_ms, *pair))
            else:
                pairs.add(pair)
        self._write(pairs, now)

    def at(self, now: float) -> None:
        """It is ``now``."""
        now_ms = int(now * 1000)
        if self._due and self._due[0][0] <= now_ms:
            pairs = set()
            while self._due and self._due[0][0] <= now_ms:
                pairs.add(heapq.heappop(self._due)[1:])
            self._write(pairs, now)
        if self._appeals and self._appeals[0] <= now:
            self._appeals = [moment for moment in self._appeals if moment > now]
            self._engine.exchange.whitelist = Whitelist(whitelist_records.entries(self._records, now))

    def _write(self, pairs: set[tuple[str, int]], now: float) -> None:
        """Let the private store say what was known of ``pairs`` at ``now``."""
        now_ms = int(now * 1000)
        events = (
            (event.recipient, event.owner_id, event.topic, event.kind, event.event_at_ms, event.expires_at_ms)
            for pair in sorted(pairs)
            for event in self._told[pair]
            if event.received_at_ms <= now_ms
        )
        self._projection.write(1, [Projected(*consent) for consent in consents_of(events, self._reply_seconds, now)])


class _PeopleThen(People):
    """Who was a contact of whom is not on record; which caps a message had while a feast was on, is."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine.ledger, engine.rules, engine.registry, engine.loop, lambda: engine.now)
        self.exempt: dict[int, bool] = {}
        """id of a message of a person -> whether it had the caps of the feast, of those of which that is on record."""
        self.unknown: set[int] = set()
        """ids of messages while a feast is on of which it is not."""

    async def weigh(self, messages: Sequence[Message], facts: Sequence[Facts], now: float) -> None:
        """Give each message the caps it had."""
        for message, known in zip(messages, facts, strict=True):
            sender = known.sender
            if sender is None or sender.purpose != PERSON or not message.recipient:
                continue
            festival = festival_of(sender, self._rules, now)
            if festival is not None:
                exempt = self.exempt.get(id(message))
                if exempt is None:
                    self.unknown.add(id(message))
                said = f"{'' if exempt else 'no '}caps of the feast {festival.name}, as recorded"
                known.greeting = remark("greeting", said)
                known.held = not exempt
                known.sender = self.with_festive_caps(sender)


def _was_exempt(row: DecisionRow) -> bool | None:
    """Whether a message had the caps of a feast; None where the record does not say."""
    for check, _, sentence, _ in orjson.loads(row[FINDINGS] or "[]"):
        if check == "greeting":
            return not sentence.startswith("no ")
    return None


def _earlier(one: float | None, other: float | None) -> float | None:
    return min((each for each in (one, other) if each is not None), default=None)


def longest_window(engine: Engine, settings: Settings) -> int:
    """Seconds of the longest window of any sender or campaign."""
    senders = settings.registered(engine.profile)
    return max((engine.quotas.campaign_seconds, *(window.seconds for each in senders for window in each.windows)))


def replay(
    settings: Settings,
    records: sqlalchemy.Engine,
    begin: float,
    end: float,
    *,
    log: IO[bytes] | None = None,
    total: Callable[[int], None] = lambda messages: None,
    advance: Callable[[int], None] = lambda messages: None,
) -> Comparison:
    """Judge what was recorded from ``begin`` up to ``end`` (epoch seconds) by ``settings``, and compare.

    Args:
        settings: the other configuration.
        records: the records to replay.
        begin: the first moment that is compared.
        end: the first moment that is not.
        log: takes a JSON line a verdict.
        total: told how many messages there are to judge.
        advance: told how many more were judged.

    Raises:
        SqlUnavailable: the records do not answer.
        SettingsError, ProfileError, ModelError, StoreError: the configuration cannot be used.
    """
    engine = Engine(settings)
    templates = engine.rules.template is not None
    engine.rules = replace(engine.rules, template=None)
    with engine:
        begin_ms, end_ms = round(begin * 1000), round(end * 1000)
        first_ms = begin_ms - 1000 * longest_window(engine, settings)
        total(traffic.count_decisions(records, first_ms, end_ms))
        accounts = {account.system_id for account in settings.accounts}
        comparison = Comparison(engine.rules.profile, engine.scorer.model_id)
        if log is not None:
            head = {"profile": comparison.profile, "model": comparison.model, "from_ms": begin_ms, "to_ms": end_ms}
            log.write(orjson.dumps(head, option=orjson.OPT_APPEND_NEWLINE))
        for row, judged, strangers in _judged(engine, settings, records, first_ms, end_ms, advance):
            if row[AT_MS] < begin_ms:
                comparison.before += 1
                continue
            cause = row[CAUSE] if judged is None else judged[CAUSE]
            for why, applies in (
                (TROUBLE, judged is None),
                (PARAMETERS, judged is not None and templates),
                (ACCOUNT, row[SYSTEM_ID] not in accounts),
                (CONTACTS, strangers),
            ):
                if applies:
                    comparison.not_replayed[why] += 1
            if judged is not None and row[CAUSE] == _SIMILAR and not cause:
                comparison.not_replayed[OLDER_TEXT] += 1
                cause = _SIMILAR
            comparison.note(row, cause)
            if log is not None:
                log.write(_log_line(row, cause, judged))
        if forgotten := traffic.forgotten_consents(records):
            comparison.not_replayed[FORGOTTEN] = forgotten
        return comparison


def _log_line(row: DecisionRow, cause: str, judged: DecisionRow | None) -> bytes:
    """A verdict without texts and numbers: what each check came to."""
    findings = orjson.loads((judged and judged[FINDINGS]) or "[]")
    line = {
        "id": id_to_text(row[ID]),
        "at_ms": row[AT_MS],
        "recorded": row[CAUSE],
        "replayed": cause,
        "checks": [[check, its_cause] for check, its_cause, *_ in findings],
    }
    return orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)


def _judged(
    engine: Engine,
    settings: Settings,
    records: sqlalchemy.Engine,
    first_ms: int,
    end_ms: int,
    advance: Callable[[int], None],
) -> Iterator[tuple[DecisionRow, DecisionRow | None, bool]]:
    """Each decision on record with the one that would now be made, None where it cannot be made again.

    The third says whether it is not on record who was a contact of whom, and that mattered.
    """
    owner_ids = traffic.owners_known(records)
    accounts = {account.system_id: account for account in settings.accounts}
    then = _Then(engine, records, owner_ids)
    people = None
    if engine.exchange.people is not None:
        people = engine.exchange.people = _PeopleThen(engine)
    providers: dict[tuple[str, str], Provider] = {}
    now = 0.0
    for passed in traffic.decisions_between(records, first_ms, end_ms):
        then.meet([each.decision[RECIPIENT] for each in passed], max(now, passed[0].decision[AT_MS] / 1000))
        for at_ms, group in groupby(passed, key=lambda each: each.decision[AT_MS]):
            together = list(group)
            now = max(now, at_ms / 1000)  # a clock that steps back does not turn back what was spent
            then.at(now)
            messages: list[tuple[Provider, Message]] = []
            rejected: dict[int, tuple[float, int]] = {}
            for each in together:
                row = each.decision
                if row[CAUSE] in _TROUBLES:
                    continue
                key = row[SYSTEM_ID], row[OWNER]
                if key not in providers:
                    account = accounts.get(row[SYSTEM_ID])
                    owner = account.owner if account is not None else row[OWNER]
                    parameters = account.parameters if account is not None else NO_PARAMETERS
                    owner_id = owner_ids.setdefault(owner, max(owner_ids.values(), default=0) + 1)
                    providers[key] = Provider(engine, row[SYSTEM_ID], owner, owner_id, parameters)
                if each.status and each.answered_ms is not None:
                    rejected[len(messages)] = max(now, each.answered_ms / 1000), each.status
                message = message_of(row[SOURCE], row[RECIPIENT], row[TEXT], _part(row[PART]))
                messages.append((providers[key], message))
                if people is not None and (exempt := _was_exempt(row)) is not None:
                    people.exempt[id(message)] = exempt
            decisions = iter(engine.judge(now, messages, rejected) if messages else [])
            asked = iter(messages)
            for each in together:
                if each.decision[CAUSE] in _TROUBLES:
                    yield each.decision, None, False
                else:
                    unknown = people is not None and id(next(asked)[1]) in people.unknown
                    yield each.decision, next(decisions), unknown
            if people is not None:
                people.exempt.clear()
                people.unknown.clear()
        advance(len(passed))


def _part(recorded: str) -> Part | None:
    """A part from "reference:number/total"."""
    if not recorded:
        return None
    reference, _, numbers = recorded.partition(":")
    number, _, total = numbers.partition("/")
    return part_of(int(reference), int(total), int(number))
