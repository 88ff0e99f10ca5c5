"""Measures against a party: warn, throttle, give no new resources, suspend.

``records.measures`` keeps them with the notice, the reason and the article each rests on; workers hold those in force
and ask them here. A measure may be about one sender address, one account, or all that an owner has. Several may be
in force at once; each does its own part, and of two throttles the tighter counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from math import inf
from typing import Any, Final

from smsc_filter.policy.facts import Facts, Sender, Window
from smsc_filter.policy.rules import Rules
from smsc_filter.policy.verdict import PASS, Cause, Finding, refuse
from smsc_filter.sms.message import Message

THROTTLE_SECONDS: Final = 3600
"""The window a throttle caps."""


class Step(StrEnum):
    """The ladder, mildest first."""

    WARN = "warn"
    """The party is told; nothing else changes."""
    THROTTLE = "throttle"
    """Each of its sender addresses may send so many messages in any hour; more is answered ESME_RTHROTTLED."""
    NO_NEW_RESOURCES = "no-new-resources"
    """It keeps the binds it had and gets no more."""
    SUSPEND = "suspend"
    """Nothing it sends is relayed. Only after a notice (CN-22)."""


SCOPES: Final = ("sender", "account", "owner")


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One measure, as far as judging needs it.

    Raises:
        ValueError: the fields do not fit together.
    """

    id: int
    step: Step
    scope: str
    """One of ``SCOPES``."""
    subject: str
    """Canonical sender address, system_id, or owner."""
    begins_at: float
    """Epoch seconds."""
    ends_at: float | None = None
    """Epoch seconds; None: until it is lifted."""
    article: str
    appeal_code: str
    """What the party names when it objects."""
    per_hour: int | None = None
    """With a throttle: messages of one sender address in any hour."""
    binds: Mapping[str, int] = field(default_factory=dict, hash=False)
    """With no new resources: binds each account had when it was imposed."""

    def __post_init__(self) -> None:
        if self.scope not in SCOPES:
            raise ValueError(f"scope is {self.scope!r}, one of {', '.join(SCOPES)} is expected")
        if not self.subject:
            raise ValueError("subject is empty; a measure is about a sender address, an account or an owner")
        if (self.step is Step.THROTTLE) != (self.per_hour is not None):
            raise ValueError("per_hour goes with a throttle, and a throttle needs it")
        if self.per_hour is not None and self.per_hour < 1:
            raise ValueError(f"per_hour is {self.per_hour}; at least 1, what stops everything is a suspension")
        if self.step is Step.NO_NEW_RESOURCES and self.scope == "sender":
            raise ValueError("a sender address holds no binds: name its account or its owner")
        if self.ends_at is not None and self.ends_at <= self.begins_at:
            raise ValueError(f"ends_at {self.ends_at} is not after begins_at {self.begins_at}")

    def holds_at(self, now: float) -> bool:
        """Whether it is in force at ``now``."""
        return self.begins_at <= now and (self.ends_at is None or now < self.ends_at)

    def to_dict(self) -> dict[str, object]:
        """Plain values that any JSON writer takes."""
        return {
            "id": self.id,
            "step": self.step.value,
            "scope": self.scope,
            "subject": self.subject,
            "begins_at": self.begins_at,
            "ends_at": self.ends_at,
            "article": self.article,
            "appeal_code": self.appeal_code,
            "per_hour": self.per_hour,
            "binds": dict(self.binds),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Measure:
        """What ``to_dict`` gave.

        Raises:
            KeyError: a value is missing.
            ValueError: the values do not fit together.
        """
        return cls(**{**values, "step": Step(values["step"])})


class Measures:
    """The measures a worker knows, found by whom they are about."""

    def __init__(self, measures: Iterable[Measure] = ()) -> None:
        """Hold ``measures``; when each begins and ends is looked at when they are asked."""
        self._about: dict[tuple[str, str], list[Measure]] = {}
        for measure in measures:
            self._about.setdefault((measure.scope, measure.subject), []).append(measure)
        self.empty = not self._about
        self._senders: dict[tuple[str, tuple[int, ...]], Sender] = {}

    def about(self, now: float, *, sender: str = "", system_id: str = "", owner: str = "") -> list[Measure]:
        """What is in force at ``now`` for a sender address, its account and its owner."""
        get = self._about.get
        found = [*get(("sender", sender), ()), *get(("account", system_id), ()), *get(("owner", owner), ())]
        return [measure for measure in found if measure.holds_at(now)]

    def sender_under(self, sender: Sender, system_id: str, now: float) -> Sender:
        """``sender`` as it stands under what is in force: with the tighter caps, and with its suspension."""
        found = self.about(now, sender=sender.address, system_id=system_id, owner=sender.owner)
        if not found:
            return sender
        # One object for all its messages: making it costs more than judging them.
        key = (sender.address, tuple(measure.id for measure in found))
        known = self._senders.get(key)
        if known is None:
            known = self._senders[key] = _under(sender, found)
        return known

    def most_binds(self, system_id: str, owner: str, now: float) -> float:
        """How many binds an account may hold at ``now``; infinite where no measure speaks of it."""
        return min(
            (
                measure.binds.get(system_id, 0)
                for measure in self.about(now, system_id=system_id, owner=owner)
                if measure.step is Step.NO_NEW_RESOURCES
            ),
            default=inf,
        )


def _under(sender: Sender, measures: Iterable[Measure]) -> Sender:
    windows = {window.seconds: window for window in sender.windows}
    suspension: Measure | None = None
    for measure in measures:
        if measure.step is Step.SUSPEND:
            suspension = suspension or measure
        elif measure.step is Step.THROTTLE:
            assert measure.per_hour is not None
            hourly = windows.get(THROTTLE_SECONDS)
            if hourly is None or measure.per_hour < hourly.cap:
                article = f"{measure.article}; measure {measure.id}, appeal {measure.appeal_code}"
                windows[THROTTLE_SECONDS] = Window(THROTTLE_SECONDS, measure.per_hour, article)
    ordered = tuple(windows[seconds] for seconds in sorted(windows))
    return replace(sender, windows=ordered, suspension=suspension)


def check_measures(_message: Message, facts: Facts, _rules: Rules, _now: float) -> Finding:
    """Who is suspended sends nothing; the finding names the measure and how to object."""
    suspension = facts.sender.suspension if facts.sender is not None else None
    if suspension is None:
        return PASS
    return refuse(
        "measures",
        Cause.SENDER_SUSPENDED,
        f"{suspension.scope} {suspension.subject} is suspended by measure {suspension.id}; "
        f"appeal with code {suspension.appeal_code}",
        suspension.article,
    )
