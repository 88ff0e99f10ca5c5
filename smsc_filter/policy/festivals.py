"""The festival calendar: on which days people write to everybody they know.

A profile names its feasts by a day of the solar year or of the Chinese lunar one, and how many days around it count.
When a lunar day falls is computed by ``lunar-python`` from the moon and the sun, as the national standard does (GB/T
33661-2017), so no table runs out; a table of leap months that was tried first is a day off in 1978 and 2057.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import lru_cache
from typing import Annotated, Final, NamedTuple

from lunar_python import Lunar
from pydantic import ConfigDict, Field

_STRICT = ConfigDict(extra="forbid")

MOST_LUNAR_DAY: Final = 29
"""Every lunar month has so many days; not every one has a thirtieth."""

MOST_DAYS_AROUND: Final = 30


class Festival(NamedTuple):
    """A feast that is on."""

    name: str
    year: int
    """Of its own calendar: the Spring Festival of one year and that of the next are apart by one."""

    def year_before(self) -> Festival:
        """The same a year earlier."""
        return self._replace(year=self.year - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Feast:
    """``[[festivals.feasts]]``: one feast and the days around it.

    Raises:
        ValueError: it names no day, or two.
    """

    __pydantic_config__ = _STRICT

    name: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,32}$")]
    solar: str = ""
    """MM-DD of the Gregorian calendar."""
    lunar: str = ""
    """MM-DD of the Chinese one, in a month that is not a leap month; instead of ``solar``."""
    before: Annotated[int, Field(ge=0, le=MOST_DAYS_AROUND)] = 0
    """Days before it that count as well; the eve of a first day is one of them."""
    after: Annotated[int, Field(ge=0, le=MOST_DAYS_AROUND)] = 0
    article: str
    seen: bool
    month: int = field(init=False)
    day: int = field(init=False)

    def __post_init__(self) -> None:
        if bool(self.solar) == bool(self.lunar):
            raise ValueError(f"{self.name}: set one of solar and lunar")
        month, _, day = (self.solar or self.lunar).partition("-")
        try:
            # A leap year: what is a day in it may be missing in another year, see ``falls_on``.
            date(2000, int(month), int(day))
        except ValueError as error:
            raise ValueError(f"{self.name}: {self.solar or self.lunar!r} is no day; MM-DD is expected") from error
        if self.lunar and int(day) > MOST_LUNAR_DAY:
            raise ValueError(f"{self.name}: not every lunar month has a day {int(day)}; name the one after it")
        if self.solar == "02-29":
            raise ValueError(f"{self.name}: not every year has a 29 February")
        object.__setattr__(self, "month", int(month))
        object.__setattr__(self, "day", int(day))

    def falls_on(self, year: int) -> date:
        """The day it falls on; a lunar one of ``year`` may fall into the next solar year."""
        if self.solar:
            return date(year, self.month, self.day)
        there = Lunar.fromYmd(year, self.month, self.day).getSolar()
        return date(there.getYear(), there.getMonth(), there.getDay())


def festival_at(day: date, feasts: Sequence[Feast]) -> Festival | None:
    """The feast that is on at ``day``, the first of ``feasts`` where several are; None on other days."""
    return _festival_at(day, tuple(feasts))


@lru_cache(maxsize=64)
def _festival_at(day: date, feasts: tuple[Feast, ...]) -> Festival | None:
    for feast in feasts:
        for year in (day.year - 1, day.year, day.year + 1):
            begin, end = _days_of(feast, year)
            if begin <= day <= end:
                return Festival(feast.name, year)
    return None


@lru_cache(maxsize=256)
def _days_of(feast: Feast, year: int) -> tuple[date, date]:
    """First and last day of a feast; computing one lunar day takes a millisecond."""
    there = feast.falls_on(year)
    return there - timedelta(days=feast.before), there + timedelta(days=feast.after)
