"""Working days: when a period of so many of them is over.

The day of the event does not count; the period ends with the last moment of its last working day, in the profile's
zone (Civil Code of the PRC, articles 201 and 203, recalled). Holidays and the weekends worked in their place are those
the State Council announces each autumn for the next year, as ``chinesecalendar`` brings them.

For a year that library does not know, weekdays are working days and nothing else is. That tells a deadline too early
where a holiday comes between, and by at most the weekend days worked instead too late; such a deadline is marked
``certain = False``, and is to be asked for again when the library has been upgraded.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, time, timedelta, tzinfo
from typing import Final, NamedTuple

import chinese_calendar

SATURDAY: Final = 5
ONE_DAY: Final = timedelta(days=1)


class Day(NamedTuple):
    """What a calendar says of a day."""

    works: bool
    certain: bool
    """False where the calendar does not know the year."""


class Due(NamedTuple):
    """When a period is over."""

    at: float
    """Epoch seconds: the first moment that is too late."""
    certain: bool
    """False where a day on the way is of a year the calendar does not know."""


def _weekdays(day: date) -> Day:
    return Day(day.weekday() < SATURDAY, certain=True)


def _chinese(day: date) -> Day:
    try:
        return Day(chinese_calendar.is_workday(day), certain=True)
    except NotImplementedError:
        return Day(day.weekday() < SATURDAY, certain=False)


CALENDARS: Final[dict[str, Callable[[date], Day]]] = {"weekdays": _weekdays, "cn": _chinese}
"""What profiles may name."""


def due_after(at: float, days: int, calendar: str, zone: tzinfo) -> Due:
    """When ``days`` working days after ``at`` (epoch seconds) are over.

    Args:
        at: the event.
        days: how many; with 0 the period ends with the day of the event.
        calendar: one of ``CALENDARS``.
        zone: in which days begin.
    """
    told = CALENDARS[calendar]
    day, certain = datetime.fromtimestamp(at, zone).date(), True
    while days > 0:
        day += ONE_DAY
        what = told(day)
        certain = certain and what.certain
        days -= what.works
    return Due(_begin(day + ONE_DAY, zone), certain)


def days_before(due_at: float, days: int, calendar: str, zone: tzinfo) -> float:
    """The beginning of the day that is ``days`` working days before the last one of a period; epoch seconds."""
    told = CALENDARS[calendar]
    # The period ends with a day; a moment before is still in it.
    day = datetime.fromtimestamp(due_at - 1, zone).date()
    while days > 0:
        day -= ONE_DAY
        days -= told(day).works
    return _begin(day, zone)


def _begin(day: date, zone: tzinfo) -> float:
    return datetime.combine(day, time(), zone).timestamp()
