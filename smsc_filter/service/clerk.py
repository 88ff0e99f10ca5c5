"""The clerk within the recorder: sees that what is on record binds, that deadlines are told, that cases are written.

Whoever grants, revokes or lifts something publishes it at once where it can. The clerk compares what workers look up
with the records every second and writes it anew where they differ, so a change binds also when its process died between
the two, when a page only knows the records, and after a backup was brought back.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import orjson
import redis
import structlog
from sqlalchemy import Engine

from smsc_filter.policy.appeals import Terms
from smsc_filter.records import measures, whitelist
from smsc_filter.records.appeals import expire_silent
from smsc_filter.records.cases import write_cases
from smsc_filter.records.claims import claims_since
from smsc_filter.records.clocks import OVERDUE, Late, late, note_told, refine_deadlines
from smsc_filter.records.complaints import complaints_after
from smsc_filter.records.errors import RecordsError
from smsc_filter.records.rulebook import newest_rules
from smsc_filter.settings import Settings
from smsc_filter.state import keys
from smsc_filter.state.measures import TABLE as MEASURES
from smsc_filter.state.measures import write_measures
from smsc_filter.state.projection import WHITELIST, write_whitelist
from smsc_filter.state.rules import TABLE as RULES
from smsc_filter.state.rules import pack_rules, write_rules
from smsc_filter.watch.alarm import Alarm, Kind

log = structlog.get_logger()

PUBLISH_SECONDS: Final = 1.0
"""How often what workers look up is compared with the records."""

CLOCK_SECONDS: Final = 15.0
"""How often deadlines are looked at; they are days."""

DAY_SECONDS: Final = 86_400.0

_ALARMS: Final = {
    ("appeal", "reminded"): (Kind.APPEAL_DUE, "notice", "is due"),
    ("appeal", "overdue"): (Kind.APPEAL_OVERDUE, "warning", "was due"),
    ("complaint", "reminded"): (Kind.COMPLAINT_DUE, "notice", "is due"),
    ("complaint", "overdue"): (Kind.COMPLAINT_OVERDUE, "critical", "was due"),
}


class Clerk:
    """Looks after appeals and complaints."""

    def __init__(
        self,
        engine: Engine,
        client: redis.Redis,
        terms: Terms,
        cases: Path,
        labels: Path,
        clock: Callable[[], float],
        claims_a_day: int = 20,
    ) -> None:
        """Keep ``client`` in step with ``engine``, and the files in the folders ``cases`` and ``labels`` too."""
        self._engine = engine
        self._client = client
        self._terms = terms
        self._cases = cases
        self._labels = labels
        self._clock = clock
        self._look_at = 0.0
        self._claims_a_day = claims_a_day
        self._claimed: dict[str, int] = {}
        self._telling: list[Late] = []
        self._last_complaint: int | None = None
        self.on_complaint: Callable[[str, float], object] = lambda _owner, _at: None
        """Hears of each new complaint: about whom, and when it was taken in."""

    async def run(self) -> None:
        """Publish until cancelled; trouble on either side is logged and tried again."""
        while True:
            try:
                await asyncio.to_thread(self.publish)
            except (RecordsError, redis.RedisError) as error:
                log.warning("clerk-waits", error=str(error))
            await asyncio.sleep(PUBLISH_SECONDS)

    def publish(self) -> list[str]:
        """Write anew what workers look up and the records say otherwise; which tables those were.

        Raises:
            SqlUnavailable, redis.RedisError: one side does not answer.
        """
        now = self._clock()
        entries = whitelist.entries(self._engine, now)
        standing = [record.measure for record in measures.standing(self._engine, now)]
        changed = []
        if self._differs(WHITELIST, [entry.to_dict() for entry in entries]):
            write_whitelist(self._client, entries)
            changed.append(WHITELIST)
        if self._differs(MEASURES, [measure.to_dict() for measure in standing]):
            write_measures(self._client, standing)
            changed.append(MEASURES)
        tuning = newest_rules(self._engine)
        if tuning.version and self._client.hget(keys.SMALL_TABLES, RULES) != pack_rules(tuning):
            write_rules(self._client, tuning)
            changed.append(RULES)
        return changed

    def _differs(self, table: str, values: list[dict[str, object]]) -> bool:
        published: Any = self._client.hget(keys.SMALL_TABLES, table)
        return bool((published or b"[]") != orjson.dumps(values))

    def look(self, now: float) -> list[Alarm]:
        """Close what nobody answered, write the cases, and say what is due; at most every ``CLOCK_SECONDS``.

        What is said is put on record as told at the next look: somebody who dies in between has it said again.

        Raises:
            SqlUnavailable: the database does not answer.
        """
        if now < self._look_at:
            return []
        self._look_at = now + CLOCK_SECONDS
        if self._telling:
            note_told(self._engine, self._telling)
            self._telling = []
        self._tell_complaints()
        refine_deadlines(self._engine, self._terms)
        if expired := expire_silent(self._engine, now):
            log.info("appeals-expired", appeals=len(expired))
        try:
            write_cases(self._engine, self._cases, self._labels)
        except OSError as error:
            log.error("cases-not-written", file=error.filename, error=error.strerror)
        self._telling = late(self._engine, self._terms, now)
        return [*(_alarm(each) for each in self._telling), *self._claims(now)]

    def _claims(self, now: float) -> list[Alarm]:
        """Owners that often claim consents of people who had refused, each time they have claimed more."""
        before, self._claimed = self._claimed, claims_since(self._engine, round((now - DAY_SECONDS) * 1000))
        return [
            Alarm(
                kind=Kind.CLAIMS,
                subject=f"owner {owner}",
                severity="warning",
                sentence=f"{owner} claimed {count} consents within 24 hours of people who had refused; "
                "`consent claims` shows them",
                evidence={"claims": count},
            )
            for owner, count in self._claimed.items()
            if count >= self._claims_a_day and count > before.get(owner, 0)
        ]

    def _tell_complaints(self) -> None:
        """Tell of what came since the last look; what was there before the first one was told by another process."""
        new = complaints_after(self._engine, self._last_complaint)
        if self._last_complaint is not None:
            for _, owner, at in new:
                if owner:
                    self.on_complaint(owner, at)
        self._last_complaint = new[-1][0] if new else self._last_complaint or 0


def make_clerk(
    settings: Settings, engine: Engine, client: redis.Redis, terms: Terms, clock: Callable[[], float] = time.time
) -> Clerk:
    """The clerk of an installation."""
    return Clerk(engine, client, terms, Path(settings.model.cases), Path(settings.model.labels), clock,
                 settings.watch.claims_a_day)  # fmt: skip


def _alarm(each: Late) -> Alarm:
    kind, severity, verb = _ALARMS[each.what, each.told]
    # The period ends with a day: its last moment is the one people know it by.
    last = datetime.fromtimestamp(each.due_at - 1, UTC)
    whose = f" about {each.owner}" if each.owner else ""
    return Alarm(
        kind=kind,
        subject=f"{each.what} {each.id}",
        severity=severity,
        sentence=f"{each.what} {each.id}{whose}, {each.state}, {verb} on {last:%Y-%m-%d %H:%M} UTC"
        + (" and nobody has answered" if each.told == OVERDUE else ""),
        evidence={"id": each.id, "state": each.state, "due_at": each.due_at},
    )
