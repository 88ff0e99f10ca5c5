"""The first page: how much is going on, what is refused and why, what is wrong."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Request, Response
from sqlalchemy import select

from smsc_filter.policy.verdict import TROUBLES
from smsc_filter.records.alarms import AlarmRecord, alarms_since, newest_alarm
from smsc_filter.records.database import reading
from smsc_filter.records.tables import decisions, outcomes
from smsc_filter.records.tally import MINUTE_MS, minutes_since
from smsc_filter.web.api.common import World
from smsc_filter.web.console.words import CAUSES, SEVERITIES
from smsc_filter.web.context import Context
from smsc_filter.web.pages.charts import Columns, stack
from smsc_filter.web.pages.render import render

router = APIRouter()

MINUTES: Final = 60
DAY_MS: Final = 86_400_000
MOST_ALARMS: Final = 8
ANSWERS: Final = 500
"""Newest messages whose answers by the SMSC are timed."""

_TROUBLES: Final = frozenset(cause.value for cause in TROUBLES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """What the page shows."""

    rate: float
    """Messages a second, within the last minute."""
    hour: int
    refused_share: float
    """Of the last hour."""
    answer_ms: tuple[int, int] | None
    """Median and 95th percentile from the judgement to the answer of the SMSC; None where none has answered."""
    causes: list[tuple[str, int, int]]
    """(cause, last hour, last day), the most frequent of the hour first."""
    chart: Columns
    alarms: list[AlarmRecord]


@router.get("/")
def page(request: Request, context: World) -> Response:
    """The page."""
    return render(request, "console/overview.html", _values(context))


@router.get("/live")
def live(request: Request, context: World) -> Response:
    """The part of it that a script asks for again."""
    return render(request, "console/live.html", _values(context))


def _values(context: Context) -> dict[str, Any]:
    return {"seen": look(context), "causes": CAUSES, "severities": SEVERITIES, "mode": context.setup.mode}


def look(context: Context) -> Overview:
    """Count and time what is on record."""
    now_ms = round(context.clock() * 1000)
    minute = now_ms // MINUTE_MS
    hour: Counter[str] = Counter()
    day: Counter[str] = Counter()
    by_minute: dict[int, Counter[str]] = {}
    for at, cause, count in minutes_since(context.engine, now_ms - DAY_MS):
        day[cause] += count
        if at > minute - MINUTES:
            hour[cause] += count
            by_minute.setdefault(at, Counter())[_style(cause)] += count
    into = now_ms % MINUTE_MS / MINUTE_MS
    current, before = (sum(by_minute.get(at, Counter()).values()) for at in (minute, minute - 1))
    total = sum(hour.values())
    return Overview(
        rate=(current + before * (1 - into)) / 60,
        hour=total,
        refused_share=1 - hour[""] / total if total else 0.0,
        answer_ms=_answers(context),
        causes=[(cause, hour[cause], day[cause]) for cause in sorted(day, key=lambda each: (-hour[each], -day[each]))],
        chart=_chart(by_minute, minute, ZoneInfo(context.zone)),
        alarms=_alarms(context),
    )


def _style(cause: str) -> str:
    return "good" if not cause else "pale" if cause in _TROUBLES else "bad"


def _chart(by_minute: dict[int, Counter[str]], minute: int, zone: ZoneInfo) -> Columns:
    values = []
    for at in range(minute - MINUTES + 1, minute + 1):
        local = datetime.fromtimestamp(at * 60, UTC).astimezone(zone)
        counts = by_minute.get(at, Counter())
        title = f"{local:%H:%M} · ✓ {counts['good']:,} · ✗ {counts['bad'] + counts['pale']:,}"
        # A label at the right edge would be cut.
        label = f"{local:%H:%M}" if at % 10 == 0 and at < minute - 2 else ""
        values.append((label, title, [(style, float(counts[style])) for style in ("good", "bad", "pale")]))
    return stack(values)


def _answers(context: Context) -> tuple[int, int] | None:
    newest = select(decisions.c.id, decisions.c.at_ms).order_by(decisions.c.id.desc()).limit(ANSWERS).subquery()
    waited = select(outcomes.c.at_ms - newest.c.at_ms).join(outcomes, outcomes.c.decision_id == newest.c.id)
    with reading(context.engine) as connection:
        times = sorted(connection.execute(waited).scalars())
    if not times:
        return None
    return times[len(times) // 2], times[len(times) * 95 // 100]


def _alarms(context: Context) -> list[AlarmRecord]:
    """Those of the last day, newest first."""
    newest = newest_alarm(context.engine)
    found = alarms_since(context.engine, context.clock() - DAY_MS / 1000, after_id=max(0, newest - 1_000))
    return sorted(found, key=lambda alarm: -alarm.last_at)[:MOST_ALARMS]
