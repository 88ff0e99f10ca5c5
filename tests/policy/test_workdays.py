"""Working days on the Chinese calendar: holidays, the weekends worked in their place, and years nobody knows yet."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import chinese_calendar
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsc_filter.policy.workdays import CALENDARS, days_before, due_after

SHANGHAI = ZoneInfo("Asia/Shanghai")
UNKNOWN_YEAR = max(chinese_calendar.constants.holidays).year + 1


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=SHANGHAI).timestamp()


@pytest.mark.parametrize(("event", "days", "first_moment_too_late"), [
    pytest.param("2026-03-02T10:00", 3, "2026-03-06", id="the-day-of-the-event-does-not-count"),
    pytest.param("2026-03-02T00:00", 3, "2026-03-06", id="its-first-moment"),
    pytest.param("2026-03-02T23:59", 3, "2026-03-06", id="its-last-moment"),
    pytest.param("2026-03-06T10:00", 1, "2026-03-10", id="over-a-weekend"),
    pytest.param("2026-09-30T10:00", 1, "2026-10-09", id="the-national-day-ends-on-a-thursday"),
    pytest.param("2026-10-09T10:00", 1, "2026-10-11", id="a-saturday-that-is-worked"),
    pytest.param("2026-09-30T10:00", 3, "2026-10-11", id="both"),
    pytest.param("2026-02-13T18:00", 1, "2026-02-15", id="the-saturday-before-the-spring-festival-is-worked"),
    pytest.param("2026-02-13T18:00", 2, "2026-02-25", id="and-the-festival-is-not"),
    pytest.param("2020-01-30T10:00", 1, "2020-02-04", id="the-festival-of-2020-was-lengthened-in-its-midst"),
    pytest.param("2026-03-02T10:00", 0, "2026-03-03", id="no-days"),
])  # fmt: skip
def test_the_last_day_on_the_chinese_calendar(event: str, days: int, first_moment_too_late: str) -> None:
    due = due_after(at(event), days, "cn", SHANGHAI)
    assert datetime.fromtimestamp(due.at, SHANGHAI) == datetime.fromisoformat(first_moment_too_late).replace(
        tzinfo=SHANGHAI
    )
    assert due.certain


def test_a_day_begins_in_the_zone_of_the_profile() -> None:
    moment = datetime(2026, 3, 2, 17, tzinfo=UTC).timestamp()  # the third of March in Shanghai
    assert due_after(moment, 1, "cn", SHANGHAI).at == at("2026-03-05")
    assert due_after(moment, 1, "cn", UTC).at == datetime(2026, 3, 4, tzinfo=UTC).timestamp()


def test_where_a_year_is_not_known_weekdays_count_and_the_deadline_says_so() -> None:
    event = at(f"{UNKNOWN_YEAR - 1}-12-28T10:00")
    assert due_after(event, 1, "cn", SHANGHAI).certain
    due = due_after(event, 15, "cn", SHANGHAI)
    assert not due.certain
    assert due.at == at(f"{UNKNOWN_YEAR}-01-19"), "New Year's Day is counted as a working day: early, not late"
    assert due_after(at("2003-06-02T10:00"), 3, "cn", SHANGHAI).certain is False


def test_plain_weekdays_are_always_certain() -> None:
    due = due_after(at("2026-09-30T10:00"), 3, "weekdays", SHANGHAI)
    assert (due.at, due.certain) == (at("2026-10-06"), True)


@given(
    day=st.dates(date(2004, 1, 1), date(2030, 12, 31)),
    days=st.integers(0, 40),
    calendar=st.sampled_from(sorted(CALENDARS)),
)
def test_between_event_and_deadline_lie_so_many_working_days(day: date, days: int, calendar: str) -> None:
    event = datetime(day.year, day.month, day.day, 12, tzinfo=SHANGHAI)
    due = due_after(event.timestamp(), days, calendar, SHANGHAI)
    last = datetime.fromtimestamp(due.at - 1, SHANGHAI).date()
    told = CALENDARS[calendar]
    counted = [told(day + timedelta(days=n)).works for n in range(1, (last - day).days + 1)]
    assert sum(counted) == days
    assert not counted or counted[-1], "a period ends with a working day"
    reminder = datetime.fromtimestamp(days_before(due.at, 1, calendar, SHANGHAI), SHANGHAI).date()
    assert reminder < last
    assert told(reminder).works
