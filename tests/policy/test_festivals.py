"""The festival calendar: which day is a feast, by the sun or by the moon, in any decade."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from smsc_filter.policy.festivals import Feast, Festival, festival_at
from smsc_filter.policy.rules import profile_names, read_profile
from smsc_filter.policy.zones import Zones

CHINESE = ("cn-2015-order31", "cn-2020-draft", "cn-2026-order74")


def feasts(profile: str = "cn-2020-draft") -> tuple[Feast, ...]:
    festivals = read_profile(profile).festivals
    assert festivals is not None
    return festivals.feasts


@pytest.mark.parametrize(("day", "name", "year"), [
    pytest.param("2027-02-04", None, None, id="the-day-before-the-eve"),
    pytest.param("2027-02-05", "spring-festival", 2027, id="spring-festival-eve"),
    pytest.param("2027-02-06", "spring-festival", 2027, id="spring-festival"),
    pytest.param("2027-02-20", "spring-festival", 2027, id="lantern"),
    pytest.param("2027-02-21", None, None, id="the-day-after-lantern"),
    pytest.param("2026-02-17", "spring-festival", 2026, id="spring-festival-2026"),
    pytest.param("2033-01-31", "spring-festival", 2033, id="before-the-leap-month-of-2033"),
    pytest.param("2034-02-19", "spring-festival", 2034, id="after-the-leap-month-of-2033"),
    pytest.param("2063-01-29", "spring-festival", 2063, id="decades-ahead"),
    pytest.param("2026-06-19", "dragon-boat", 2026, id="dragon-boat"),
    pytest.param("2026-08-19", "qixi", 2026, id="qixi"),
    pytest.param("2026-09-25", "mid-autumn", 2026, id="mid-autumn"),
    pytest.param("1978-09-17", "mid-autumn", 1978, id="where-tables-are-a-day-off"),
    pytest.param("2025-08-29", "qixi", 2025, id="after-a-leap-sixth-month"),
    pytest.param("2026-10-18", "double-ninth", 2026, id="double-ninth"),
    pytest.param("2020-10-01", "mid-autumn", 2020, id="two-at-once-the-first-named"),
    pytest.param("2026-10-07", "national-day", 2026, id="national-day"),
    pytest.param("2026-10-08", None, None, id="after-national-day"),
    pytest.param("2026-12-31", "new-year", 2027, id="new-years-eve-is-of-the-new-year"),
    pytest.param("2027-01-02", "new-year", 2027, id="after-new-year"),
    pytest.param("2026-12-24", "christmas", 2026, id="christmas-eve"),
    pytest.param("2026-11-25", None, None, id="an-ordinary-day"),
])  # fmt: skip
def test_festival_at(day: str, name: str | None, year: int | None) -> None:
    festival = festival_at(date.fromisoformat(day), feasts())
    assert festival == (None if name is None else Festival(name, year or 0))


@pytest.mark.parametrize("profile", CHINESE)
def test_chinese_profiles_switch_to_500_an_hour_and_2000_a_day(profile: str) -> None:
    rules = read_profile(profile)
    assert rules.festivals is not None
    assert (rules.quota["person"].hour, rules.quota["person"].day) == (200, 1000)
    assert (rules.festivals.hour, rules.festivals.day) == (500, 2000)
    assert {feast.name for feast in rules.festivals.feasts} == {
        "spring-festival", "dragon-boat", "qixi", "mid-autumn", "double-ninth", "new-year", "national-day", "christmas",
    }  # fmt: skip


def test_every_profile_says_how_long_a_lock_lasts() -> None:
    assert {read_profile(name).locks.hours for name in profile_names()} == {72}


@pytest.mark.parametrize(("values", "says"), [
    ({}, "set one of solar and lunar"),
    ({"solar": "01-01", "lunar": "01-01"}, "set one of solar and lunar"),
    ({"solar": "13-01"}, "'13-01' is no day"),
    ({"lunar": "first"}, "'first' is no day"),
    ({"lunar": "12-30"}, "not every lunar month has a day 30"),
    ({"solar": "02-29"}, "not every year has a 29 February"),
])  # fmt: skip
def test_a_feast_that_is_no_day_is_refused(values: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Feast(name="mine", article="ours", seen=True, **values)


def test_a_day_is_that_of_the_sender() -> None:
    zones = Zones({"": ["Asia/Shanghai"], "1": ["America/New_York", "America/Los_Angeles"]})
    midnight = datetime(2027, 2, 5, 16, 0, tzinfo=UTC).timestamp()
    assert zones.days_at("8613900000001", midnight) == [date(2027, 2, 6)]
    assert zones.days_at("8613900000001", midnight - 1) == [date(2027, 2, 5)]
    assert zones.days_at("12125550100", midnight - 12 * 3600) == [date(2027, 2, 4), date(2027, 2, 4)]
    assert zones.days_at("12125550100", midnight - 10.5 * 3600) == [date(2027, 2, 5), date(2027, 2, 4)]
