"""An alarm, and the book that tells a new one from one that is merely raised again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

MOST_OPEN: Final = 50_000
"""Alarms remembered for their quiet period; the oldest are forgotten first."""


class Kind(StrEnum):
    """What an alarm is about."""

    NEW_CAMPAIGN = "new-campaign"
    REFUSALS_RISE = "refusals-rise"
    COMPLAINTS_RISE = "complaints-rise"
    HUGGING = "threshold-hugging"
    EDGE_BURSTS = "edge-bursts"
    ROTATION = "sender-rotation"
    VARIATION = "content-variation"
    LAUNDERING = "class-laundering"
    NUMBERING = "number-run"
    SHARED_HANDLE = "shared-handle"
    HONEYPOT = "honeypot"
    STORE_TROUBLE = "store-trouble"
    SMSC_TROUBLE = "smsc-trouble"
    RECORDS_TROUBLE = "records-trouble"
    PROCESS_STUCK = "process-stuck"
    DISK_LOW = "disk-low"
    WRONG_BINDS = "wrong-binds"
    SMSC_REFUSES = "smsc-refuses"
    APPEAL_DUE = "appeal-due"
    APPEAL_OVERDUE = "appeal-overdue"
    COMPLAINT_DUE = "complaint-due"
    COMPLAINT_OVERDUE = "complaint-overdue"
    CLAIMS = "consents-claimed"


SEVERITIES: Final = ("notice", "warning", "critical")


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """Something somebody should look at."""

    kind: Kind
    subject: str
    """Whom or what it is about: "owner shop-ltd", "sender 106900001", "campaign 3f...", "store"."""
    severity: str
    """One of ``SEVERITIES``."""
    sentence: str
    """For people: what was seen, without texts and without recipients' numbers."""
    evidence: Mapping[str, Any] = field(default_factory=dict)
    """Figures, and ids of decisions that ``explain`` tells more of."""

    @property
    def key(self) -> str:
        """What makes two alarms the same."""
        return f"{self.kind} {self.subject}"


@dataclass(slots=True)
class Raised:
    """An alarm that is told, and how often it came since."""

    alarm: Alarm
    first_at: float
    last_at: float
    count: int = 1
    id: int | None = None
    """Its row in the records, once it has one."""


class AlarmBook:
    """Which alarms were told lately."""

    def __init__(self, quiet_seconds: float) -> None:
        """Tell the same alarm again after ``quiet_seconds`` at the soonest."""
        self._quiet = quiet_seconds
        self._open: dict[str, Raised] = {}

    def take(self, alarm: Alarm, now: float) -> tuple[Raised, bool]:
        """Count ``alarm``; what it belongs to, and whether that is new and has to be told."""
        known = self._open.get(alarm.key)
        if known is not None and now < known.first_at + self._quiet:
            known.count += 1
            known.last_at = now
            return known, False
        self._open.pop(alarm.key, None)
        if len(self._open) >= MOST_OPEN:
            del self._open[next(iter(self._open))]
        raised = self._open[alarm.key] = Raised(alarm, now, now)
        return raised, True

    def restore(self, raised: Raised) -> None:
        """Remember an alarm told by an earlier process."""
        self._open[raised.alarm.key] = raised
