"""Measures that follow by themselves from what the watcher saw.

A person who is stopped by a cap is locked: throttled to the speed of a conversation for as long as the profile says,
after which the lock lifts by itself. Who writes to a number that was never given to anybody is warned. Either is on
record with its article and a code to appeal with; whoever keeps the workers in step with the records does the rest. One
that an operator has lifted comes back only for what was done since.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum
from typing import Final, NamedTuple

import structlog
from sqlalchemy import Engine

from smsc_filter.policy.measures import Step
from smsc_filter.policy.people import LockRules
from smsc_filter.records.errors import RecordsError
from smsc_filter.records.measures import impose, is_answered

log = structlog.get_logger()

BY: Final = "smsc-filter"
"""Who answers for a measure nobody imposed by hand."""


class Offence(Enum):
    """What a sender did, as the reason on record."""

    STOPPED = "sent more than its caps allow"
    TRAPPED = "wrote to a number that was never given to anybody"


class Offender(NamedTuple):
    """Who did it, and when last."""

    offence: Offence
    address: str
    """Canonical sender address."""
    at: float
    """Epoch seconds."""


class Locks:
    """Imposes what follows."""

    def __init__(self, engine: Engine, rules: LockRules, trap_article: str, clock: Callable[[], float]) -> None:
        """Keep measures in ``engine``; a trap's warning rests on ``trap_article``."""
        self._engine = engine
        self._rules = rules
        self._trap_article = trap_article
        self._clock = clock
        self._waiting: dict[tuple[Offence, str], Offender] = {}

    def take(self, offenders: Iterable[Offender]) -> int:
        """Impose what each deserves and has not had; how many measures that were.

        What the records do not take now waits for the next call.
        """
        for offender in offenders:
            self._waiting[offender.offence, offender.address] = offender
        imposed = 0
        try:
            while self._waiting:
                key, offender = next(iter(self._waiting.items()))
                imposed += self._impose(offender)
                del self._waiting[key]
        except RecordsError as error:
            log.warning("locks-wait", waiting=len(self._waiting), error=str(error))
        return imposed

    def _impose(self, offender: Offender) -> bool:
        now = self._clock()
        step = Step.THROTTLE if offender.offence is Offence.STOPPED else Step.WARN
        address = offender.address
        if is_answered(self._engine, step=step, scope="sender", subject=address, at=offender.at, now=now):
            return False
        record = impose(
            self._engine,
            step=step,
            scope="sender",
            subject=address,
            reason=offender.offence.value,
            article=self._rules.article if step is Step.THROTTLE else self._trap_article,
            by=BY,
            now=now,
            ends_at=now + self._rules.hours * 3600,
            per_hour=self._rules.per_hour if step is Step.THROTTLE else None,
        )
        log.info("lock", measure=record.measure.id, step=step.value, hours=self._rules.hours)
        return True
