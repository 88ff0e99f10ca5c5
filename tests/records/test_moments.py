"""Times as spreadsheets, programs and people write them: what they are, or refused."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsc_filter.records.moments import MomentError, Moments

SHANGHAI = ZoneInfo("Asia/Shanghai")
FIRST, LAST = datetime(1990, 1, 2), datetime(2100, 1, 1)  # noqa: DTZ001 - their zone is given where they are used


def read(text: str, country_code: str = "86") -> str:
    """As of Shanghai, without its offset."""
    seconds, _ = Moments(SHANGHAI, country_code).read(text)
    return datetime.fromtimestamp(seconds, SHANGHAI).replace(tzinfo=None).isoformat(" ")


@pytest.mark.parametrize(("text", "moment"), [
    pytest.param("2026-05-01T09:30:00Z", "2026-05-01 17:30:00", id="iso-utc"),
    pytest.param("2026-05-01 09:30:00.250+08:00", "2026-05-01 09:30:00.250000", id="iso-offset"),
    pytest.param("2026-05-01T09:30", "2026-05-01 09:30:00", id="iso-minutes"),
    pytest.param("20260501", "2026-05-01 00:00:00", id="iso-basic-day"),
    pytest.param("20260501.0", "2026-05-01 00:00:00", id="a-day-through-pandas"),
    pytest.param("20260501T093000+0800", "2026-05-01 09:30:00", id="iso-basic"),
    pytest.param("20260501093000", "2026-05-01 09:30:00", id="fourteen-digits"),
    pytest.param("202605010930", "2026-05-01 09:30:00", id="twelve-digits"),
    pytest.param("46143.41", "2026-05-01 09:50:24", id="a-day-of-a-spreadsheet"),
    pytest.param("46143,5", "2026-05-01 12:00:00", id="with-a-decimal-comma"),
    pytest.param("46143", "2026-05-01 00:00:00", id="a-whole-day-of-a-spreadsheet"),
    pytest.param("1777600000", "2026-05-01 09:46:40", id="seconds"),
    pytest.param("1777600000.0", "2026-05-01 09:46:40", id="seconds-through-pandas"),
    pytest.param("1777600000000", "2026-05-01 09:46:40", id="milliseconds"),
    pytest.param("1777600000000000", "2026-05-01 09:46:40", id="microseconds"),
    pytest.param("1777600000000000000", "2026-05-01 09:46:40", id="nanoseconds"),
    pytest.param("2026/5/1", "2026-05-01 00:00:00", id="slashes"),
    pytest.param("2026/5/1 9:05", "2026-05-01 09:05:00", id="slashes-and-a-clock"),
    pytest.param("2026.5.1 21:05:06", "2026-05-01 21:05:06", id="dots"),
    pytest.param("2026年5月1日", "2026-05-01 00:00:00", id="chinese"),
    pytest.param("2026年5月1日 上午9:30", "2026-05-01 09:30:00", id="chinese-morning"),
    pytest.param("2026年05月01日下午3时05分", "2026-05-01 15:05:00", id="chinese-afternoon"),
    pytest.param("2026/5/1 下午 12:10:00", "2026-05-01 12:10:00", id="past-noon"),
    pytest.param("2026/5/1 凌晨12:10", "2026-05-01 00:10:00", id="past-midnight"),
    pytest.param("２０２６年５月１日　９：３０", "2026-05-01 09:30:00", id="full-width"),
    pytest.param("1.5.2026 10:00", "2026-05-01 10:00:00", id="german"),
    pytest.param("13/5/2026", "2026-05-13 00:00:00", id="can-only-be-the-day-first"),
    pytest.param("5/13/2026 3:04 PM", "2026-05-13 15:04:00", id="can-only-be-the-month-first"),
    pytest.param("1 May 2026", "2026-05-01 00:00:00", id="a-name-of-a-month"),
    pytest.param("May 1st, 2026 10:00 am", "2026-05-01 10:00:00", id="american-letter"),
    pytest.param("Fri, 01 May 2026 10:00:00 +0800", "2026-05-01 10:00:00", id="rfc-2822"),
    pytest.param("Fri May 01 2026 10:00:00 GMT+0800 (China Standard Time)", "2026-05-01 10:00:00", id="javascript"),
    pytest.param("'2026-05-01 10:00:00", "2026-05-01 10:00:00", id="apostrophe"),
])  # fmt: skip
def test_what_a_time_is(text: str, moment: str) -> None:
    assert read(text) == moment


@pytest.mark.parametrize(("text", "reason"), [
    pytest.param("2026", "is a year", id="a-year"),
    pytest.param("202605", "is a number that is no time", id="a-month"),
    pytest.param("0", "is a number that is no time", id="zero"),
    pytest.param("123456789", "is a number that is no time", id="seconds-of-1973"),
    pytest.param("12345", "is a number that is no time", id="a-day-of-1933"),
    pytest.param("20261301", "is a number that is no time", id="month-13"),
    pytest.param("1.7776E+09", "has an exponent", id="exponent"),
    pytest.param("1970-01-01", "would be of the year 19", id="1970"),
    pytest.param("1970-01-01T00:00:00Z", "would be of the year 1970", id="1970-in-full"),
    pytest.param("5/1/2026", "may be day 5 of month 1 or the other way round", id="either"),
    pytest.param("01/05/26", "a year of two digits", id="two-digits"),
    pytest.param("2026-02-30", "is no time: day", id="30-february"),
    pytest.param("2026-05-01 25:00", "is no time: hour", id="hour-25"),
    pytest.param("2026-05-01 13:00 am", "has hour 13 with am", id="13-am"),
    pytest.param("2026-05-01 09:30 CST", "names a zone that is not known", id="a-name-of-two-zones"),
    pytest.param("2026-05-01 09:30 +25:00", "beyond 15 hours", id="an-offset-of-a-day"),
    pytest.param("yesterday", "is no time", id="a-word"),
    pytest.param("nan", "is no time", id="nan"),
    pytest.param("-5", "is no time", id="negative"),
    pytest.param("9" * 200, "is no time", id="long"),
])  # fmt: skip
def test_what_is_no_time_or_may_be_two_is_refused(text: str, reason: str) -> None:
    with pytest.raises(MomentError, match=reason):
        read(text)


@pytest.mark.parametrize(("country_code", "moment"), [("1", "2026-05-01 00:00:00"), ("91", "2026-01-05 00:00:00")])
def test_the_country_says_which_part_is_the_month(country_code: str, moment: str) -> None:
    assert read("5/1/2026", country_code) == moment


def test_it_counts_what_it_took_for_granted() -> None:
    moments = Moments(SHANGHAI, "91")
    for text in ("5/1/2026", "2026-05-01 10:00", "2026-05-01T10:00:00Z", "1777600000"):
        moments.read(text)
    assert (moments.zoneless, moments.ordered) == (2, 1)


@given(st.datetimes(FIRST, LAST), st.sampled_from([
    "%Y-%m-%dT%H:%M:%S", "%Y/%m/%d %H:%M:%S", "%Y%m%d%H%M%S", "%Y年%m月%d日 %H:%M:%S", "%d.%m.%Y %H:%M:%S",
    "%d %B %Y %H:%M:%S",
]))  # fmt: skip
def test_every_way_to_write_a_moment_is_read_as_it(moment: datetime, form: str) -> None:
    moment = moment.replace(microsecond=0, tzinfo=UTC)
    assert Moments(UTC).read(moment.strftime(form)).seconds == moment.timestamp()


@given(st.text("0123456789-/.: 年月日上午APM+TZ", max_size=24))
def test_nothing_is_silently_of_1970(text: str) -> None:
    try:
        seconds, _ = Moments(UTC, "86").read(text)
    except MomentError:
        return
    assert datetime.fromtimestamp(seconds, UTC).year >= 1989
