"""Appeals and complaints as tables: which state follows which event, and who may bring it about.

``policy.appeal`` says what a granted appeal lets pass; here is how it comes to be granted. ``records.appeals`` and
``records.complaints`` keep both.

The clock of an appeal runs against whoever has to act. While it is open that is the reviewer: it becomes overdue and
raises an alarm, and nobody loses by it. While it needs information that is the appellant: then it expires.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import tzinfo
from enum import StrEnum
from typing import Final, TypeVar
from zoneinfo import ZoneInfo

from smsc_filter.policy.rules import Profile
from smsc_filter.policy.verdict import Cause
from smsc_filter.policy.workdays import Due, days_before, due_after

CODE_LETTERS: Final = "23456789ABCDEFGHJKMNPQRSTVWXYZ"
"""No letter that is taken for another, on paper or by ear."""

CODE_LENGTH: Final = 8
"""30^8 codes: nobody finds another party's by trying."""


S = TypeVar("S", bound=StrEnum)
E = TypeVar("E", bound=StrEnum)


class AppealState(StrEnum):
    """Where an appeal stands."""

    OPEN = "open"
    NEEDS_INFORMATION = "needs-information"
    """The reviewer has asked; it is the appellant's turn."""
    GRANTED = "granted"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"
    """The appellant did not answer the reviewer in time."""


class AppealEvent(StrEnum):
    """What may happen to one."""

    ASK = "ask"
    SUPPLY = "supply"
    GRANT = "grant"
    REFUSE = "refuse"
    WITHDRAW = "withdraw"
    EXPIRE = "expire"
    REVOKE = "revoke"
    """A grant turns out to be wrong, or was abused."""


APPEAL_TRANSITIONS: Final[dict[AppealState, dict[AppealEvent, AppealState]]] = {
    AppealState.OPEN: {
        AppealEvent.ASK: AppealState.NEEDS_INFORMATION,
        AppealEvent.GRANT: AppealState.GRANTED,
        AppealEvent.REFUSE: AppealState.REFUSED,
        AppealEvent.WITHDRAW: AppealState.WITHDRAWN,
    },
    AppealState.NEEDS_INFORMATION: {
        AppealEvent.SUPPLY: AppealState.OPEN,
        AppealEvent.GRANT: AppealState.GRANTED,
        AppealEvent.REFUSE: AppealState.REFUSED,
        AppealEvent.WITHDRAW: AppealState.WITHDRAWN,
        AppealEvent.EXPIRE: AppealState.EXPIRED,
    },
    AppealState.GRANTED: {AppealEvent.REVOKE: AppealState.REFUSED},
    AppealState.REFUSED: {},
    AppealState.WITHDRAWN: {},
    AppealState.EXPIRED: {},
}

WAITING: Final = (AppealState.OPEN, AppealState.NEEDS_INFORMATION)
"""States in which an appeal has no answer yet: its evidence is held, and it counts against the appellant's limit."""

REVIEWER, APPELLANT, CLOCK = "reviewer", "appellant", "clock"

ACTORS: Final[dict[AppealEvent, str]] = {
    AppealEvent.ASK: REVIEWER,
    AppealEvent.SUPPLY: APPELLANT,
    AppealEvent.GRANT: REVIEWER,
    AppealEvent.REFUSE: REVIEWER,
    AppealEvent.WITHDRAW: APPELLANT,
    AppealEvent.EXPIRE: CLOCK,
    AppealEvent.REVOKE: REVIEWER,
}
"""Who brings an event about; pages and the API ask here whose right it is."""


class ComplaintState(StrEnum):
    """Where a complaint stands."""

    RECEIVED = "received"
    FORWARDED = "forwarded"
    """The party complained of has it, and looks into it."""
    DECIDED = "decided"
    """There is an outcome; the complainant does not know yet."""
    TOLD = "told"
    WITHDRAWN = "withdrawn"


class ComplaintEvent(StrEnum):
    """What may happen to one."""

    FORWARD = "forward"
    DECIDE = "decide"
    TELL = "tell"
    WITHDRAW = "withdraw"


COMPLAINT_TRANSITIONS: Final[dict[ComplaintState, dict[ComplaintEvent, ComplaintState]]] = {
    ComplaintState.RECEIVED: {
        ComplaintEvent.FORWARD: ComplaintState.FORWARDED,
        ComplaintEvent.WITHDRAW: ComplaintState.WITHDRAWN,
    },
    ComplaintState.FORWARDED: {
        ComplaintEvent.DECIDE: ComplaintState.DECIDED,
        ComplaintEvent.WITHDRAW: ComplaintState.WITHDRAWN,
    },
    ComplaintState.DECIDED: {ComplaintEvent.TELL: ComplaintState.TOLD},
    ComplaintState.TOLD: {},
    ComplaintState.WITHDRAWN: {},
}

COMPLAINT_CLOCKS: Final = {
    ComplaintState.RECEIVED: "forward_days",
    ComplaintState.FORWARDED: "outcome_days",
    ComplaintState.DECIDED: "tell_days",
}
"""The figure of the profile that says how long a complaint may stay in a state."""

OUTCOMES: Final = ("upheld", "unfounded", "not-ours")
"""What an inquiry found: the message should not have been sent; it might be; it was none of ours."""

CONTENT_CAUSES: Final = frozenset(
    cause.value
    for cause in (
        Cause.WRONG_PURPOSE,
        Cause.NO_CONSENT,
        Cause.CONSENT_REFUSED,
        Cause.ASKED_ALREADY,
        Cause.REQUEST_INCOMPLETE,
        Cause.QUIET_HOURS,
        Cause.DECLINED,
        Cause.NO_SENDER_NAME,
        Cause.NO_CONTACT,
        Cause.NO_WAY_TO_REFUSE,
    )
)
"""Refusals that a text meets because it was taken for an advertisement."""

NEVER_LIFTED: Final = frozenset(
    cause.value
    for cause in (
        Cause.UNKNOWN_SENDER,
        Cause.PROHIBITED,
        Cause.WRONG_PURPOSE,
        Cause.CONSENT_REFUSED,
        Cause.SIMILAR_AFTER_REFUSAL,
        Cause.DECLINED,
    )
)
"""Refusals that no whitelist entry helps: the lists of the operator, the purpose of a port, what a subscriber said."""


class NotAllowedError(ValueError):
    """The event does not happen in this state; nothing was changed."""


def after(state: AppealState, event: AppealEvent) -> AppealState:
    """The state that follows.

    Raises:
        NotAllowedError: nothing follows; the sentence says what could.
    """
    return _following(APPEAL_TRANSITIONS, state, event, "an appeal")


def complaint_after(state: ComplaintState, event: ComplaintEvent) -> ComplaintState:
    """The state that follows.

    Raises:
        NotAllowedError: nothing follows; the sentence says what could.
    """
    return _following(COMPLAINT_TRANSITIONS, state, event, "a complaint")


def _following(table: dict[S, dict[E, S]], state: S, event: E, what: str) -> S:
    allowed = table[state]
    if event not in allowed:
        could = f"only {', '.join(allowed)}" if allowed else "nothing more"
        raise NotAllowedError(f"{what} that is {state} knows no {event}; {could} can happen to it")
    return allowed[event]


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """By when what has to happen, and how much one appellant may ask for: a profile's figures on its calendar."""

    answer_days: int
    information_days: int
    remind_days: int
    entry_days: int
    most_open: int
    most_a_day: int
    forward_days: int | None
    outcome_days: int
    tell_days: int | None
    calendar: str
    zone: tzinfo

    def answer_due(self, now: float) -> Due:
        """By when an appeal that is open from ``now`` on is to be answered."""
        return due_after(now, self.answer_days, self.calendar, self.zone)

    def information_due(self, now: float) -> Due:
        """By when the appellant is to answer a question asked ``now``."""
        return due_after(now, self.information_days, self.calendar, self.zone)

    def complaint_due(self, state: ComplaintState, since: float) -> Due | None:
        """By when a complaint leaves a state it is in ``since`` then; None where no clock runs."""
        clock = COMPLAINT_CLOCKS.get(state)
        days: int | None = getattr(self, clock) if clock is not None else None
        return None if days is None else due_after(since, days, self.calendar, self.zone)

    def remind_at(self, due_at: float) -> float:
        """From when on it is told that something will be due at ``due_at``."""
        return days_before(due_at, self.remind_days, self.calendar, self.zone)


def terms_of(profile: Profile) -> Terms:
    """The terms of a profile; its days begin in the zone of numbers of no other prefix."""
    appeal, complaints = profile.appeal, profile.complaints
    return Terms(
        answer_days=appeal.answer_days.value,
        information_days=appeal.information_days.value,
        remind_days=appeal.remind_days.value,
        entry_days=appeal.entry_days.value,
        most_open=appeal.most_open.value,
        most_a_day=appeal.most_a_day.value,
        forward_days=complaints.forward_days.value if complaints.forward_days else None,
        outcome_days=complaints.outcome_days.value,
        tell_days=complaints.tell_days.value if complaints.tell_days else None,
        calendar=profile.calendar,
        zone=ZoneInfo(profile.zones[""][0]),
    )
