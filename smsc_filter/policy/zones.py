"""Which time it is where a recipient is, told from the number.

A profile maps prefixes to time zones; the longest prefix counts. A prefix that covers several zones names them all, and
a rule about hours then has to hold in each of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

DAY_MINUTES = 1440
_EPOCH = date(1970, 1, 1)


class Zones:
    """Prefixes of numbers and their zones."""

    def __init__(self, table: Mapping[str, Sequence[str]]) -> None:
        """Read ``table``: prefix -> names of zones; the prefix "" is for every number that has no other.

        Raises:
            ValueError: a zone is unknown, or "" is missing.
        """
        if "" not in table:
            raise ValueError('zones: the prefix "" is missing; it says where a number of no other prefix is')
        self._zones: dict[str, tuple[ZoneInfo, ...]] = {}
        for prefix, names in table.items():
            if not names or (prefix and not prefix.isdigit()):
                raise ValueError(f"zones: {prefix!r} is no prefix of digits, or names no zone")
            try:
                self._zones[prefix] = tuple(ZoneInfo(name) for name in names)
            except (KeyError, OSError, ValueError) as error:
                raise ValueError(f"zones: {prefix!r}: {', '.join(names)} names a zone that is unknown") from error
        self._lengths = sorted({len(prefix) for prefix in self._zones}, reverse=True)

    def zone_of(self, number: str) -> ZoneInfo:
        """The zone of ``number``; of several, the first its profile names."""
        return self._zones_of(number)[0]

    def minutes_at(self, recipient: str, now: float) -> list[int]:
        """The minute of the day, 0 to 1439, in each zone ``recipient`` may be in."""
        return [minute % DAY_MINUTES for minute in self._local_minutes(recipient, now)]

    def days_at(self, number: str, now: float) -> list[date]:
        """The day it is in each zone ``number`` may be in."""
        return [_EPOCH + timedelta(minute // DAY_MINUTES) for minute in self._local_minutes(number, now)]

    def _local_minutes(self, number: str, now: float) -> list[int]:
        """Minutes since the epoch by the clock of each zone."""
        # No zone of today is apart from UTC by less than a quarter of an hour, so an offset holds that long.
        quarter = int(now // 900)
        minute = int(now // 60)
        return [minute + _offset_minutes(zone, quarter) for zone in self._zones_of(number)]

    def _zones_of(self, number: str) -> tuple[ZoneInfo, ...]:
        for length in self._lengths:
            zones = self._zones.get(number[:length])
            if zones is not None:
                return zones
        raise AssertionError("the prefix of length 0 fits every number")


@lru_cache(maxsize=4096)
def _offset_minutes(zone: ZoneInfo, quarter: int) -> int:
    offset = datetime.fromtimestamp(quarter * 900, UTC).astimezone(zone).utcoffset()
    assert offset is not None
    return int(offset.total_seconds() // 60)


def within(minute: int, begin: int, end: int) -> bool:
    """Whether a minute of the day lies in the hours from ``begin`` to before ``end``, which may span midnight."""
    return begin <= minute < end if begin <= end else minute >= begin or minute < end


def minute_of(clock: str) -> int:
    """The minute of the day that ``HH:MM`` names; 24:00 is 0.

    Raises:
        ValueError: it names none.
    """
    hours, colon, minutes = clock.partition(":")
    if not (colon and len(hours) == len(minutes) == 2 and (hours + minutes).isdecimal()):
        raise ValueError(f"{clock!r} is no time of day; HH:MM is expected")
    minute = int(hours) * 60 + int(minutes)
    if int(minutes) > 59 or minute > DAY_MINUTES:
        raise ValueError(f"{clock!r} is no time of day; HH:MM is expected")
    return minute % DAY_MINUTES
