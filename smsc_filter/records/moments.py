"""Times as files have them: read for what they are, or refused with a reason; never guessed.

ISO 8601, 2026/5/1, 2026年5月1日 下午3:05, 1.5.2026, 1 May 2026, 20260501, 20260501093000, days of a spreadsheet, epoch
seconds, milliseconds and finer. What names no zone is in that of the profile. Of 5/1/2026 the country says which is the
month; where it does not, that is refused.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Final, NamedTuple

MONTH_FIRST: Final = frozenset({"1", "63"})
"""Country codes where 5/1/2026 is the first of May."""

YEAR_FIRST: Final = frozenset({"86", "852", "853", "886", "81", "82", "850", "976", "36", "370", "46"})
"""Country codes where dates begin with the year, so that 5/1/2026 may be either."""

FIRST_YEAR: Final = 1990
"""Nobody agreed to a text message before: an earlier time is something else that was taken for one."""

LAST_YEAR: Final = 2100

MOST_CHARACTERS: Final = 80

_EPOCHS: Final = {10: 1, 13: 1_000, 16: 1_000_000, 19: 1_000_000_000}
"""Digits of an epoch time since 2001 -> how many to the second."""

_COMPACT: Final = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
_DAY_ZERO: Final = datetime(1899, 12, 30)  # noqa: DTZ001 - a spreadsheet's day is of no zone
_SHEET_DAYS: Final = (32_874, 73_415)
"""1990-01-01 to 2100-12-31."""

_NUMBER: Final = re.compile(r"([0-9]+)(?:[.,]([0-9]+))?")
_EXPONENT: Final = re.compile(r"[0-9](?:\.[0-9]+)?e\+?[0-9]+")
_MONTHS: Final = {
    name: number
    for number, names in enumerate(
        (("jan", "january"), ("feb", "february"), ("mar", "march"), ("apr", "april"), ("may",), ("jun", "june"),
         ("jul", "july"), ("aug", "august"), ("sep", "sept", "september"), ("oct", "october"), ("nov", "november"),
         ("dec", "december")), 1)
    for name in names
}  # fmt: skip
_WEEKDAY: Final = re.compile(
    r"(?:mon|tue|wed|thu|fri|sat|sun)[a-z]{0,6}[,.]?\s{1,4}|(?:星期|周|週)[一二三四五六日天]\s{0,4}"
)
_YMD: Final = re.compile(r"([0-9]{4})\s{0,4}[-/.]\s{0,4}([0-9]{1,2})\s{0,4}[-/.]\s{0,4}([0-9]{1,2})(?![0-9])")
_DMY: Final = re.compile(r"([0-9]{1,2})\s{0,4}([-/.])\s{0,4}([0-9]{1,2})\s{0,4}[-/.]\s{0,4}([0-9]{4})(?![0-9])")
_NAMED_DAY: Final = re.compile(r"([0-9]{1,2})(?:st|nd|rd|th)?[\s-]{1,4}([a-z]{3,9})[.,]?[\s-]{1,4}([0-9]{4})(?![0-9])")
_NAMED_MONTH: Final = re.compile(r"([a-z]{3,9})[.]?\s{1,4}([0-9]{1,2})(?:st|nd|rd|th)?,?\s{1,4}([0-9]{4})(?![0-9])")
_HALVES: Final = {
    **dict.fromkeys(("am", "a.m.", "上午", "早上", "凌晨", "清晨"), 0),
    **dict.fromkeys(("pm", "p.m.", "下午", "晚上", "傍晚", "中午"), 12),
}
_HALF: Final = "|".join(re.escape(half) for half in _HALVES)
_CLOCK: Final = re.compile(
    rf"({_HALF})?\s{{0,4}}([0-9]{{1,2}}):([0-9]{{1,2}})(?::([0-9]{{1,2}})(?:[.,]([0-9]{{1,9}}))?)?:?\s{{0,4}}({_HALF})?"
)
_OFFSET: Final = re.compile(r"(?:utc|gmt)?\s{0,4}([+-])([0-9]{1,2}):?([0-9]{2})?(?:\s{0,4}\([^)]{0,64}\))?|z|utc|gmt")
_CHINESE: Final = str.maketrans({"年": "-", "月": "-", "日": " ", "号": " ", "號": " ", "时": ":", "時": ":", "点": ":",
                                 "點": ":", "分": ":", "秒": " "})  # fmt: skip


class MomentError(ValueError):
    """A text is no time, or may be several."""


class Moment(NamedTuple):
    """A time that was read."""

    seconds: float
    """Epoch seconds; of a day, those of its beginning."""
    whole_day: bool = False
    """Whether only the day is known."""


@dataclass(slots=True)
class Moments:
    """Reads the times of one file."""

    zone: tzinfo
    """Of times that name none."""
    country_code: str = ""
    """Says what 5/1/2026 is."""
    zoneless: int = 0
    """Times so far that were read in ``zone``."""
    ordered: int = 0
    """Dates so far of which the country said which part is the month."""

    def read(self, text: str) -> Moment:
        """The time a text says.

        Raises:
            MomentError: it says none, or more than one.
        """
        # What most files have: ISO 8601, told by its shape.
        if len(text) >= 19 and text[4] == "-" and text[13] == ":":
            try:
                moment = datetime.fromisoformat(text)
            except ValueError:
                pass
            else:
                return Moment(self._seconds(moment))
        plain = unicodedata.normalize("NFKC", text[: MOST_CHARACTERS + 1]).strip().strip("'\"\u2018\u2019").strip()
        if len(plain) > MOST_CHARACTERS:
            raise MomentError("is no time")
        plain = plain.lower()
        if number := _NUMBER.fullmatch(plain):
            return self._number(number[1], number[2] or "")
        if _EXPONENT.fullmatch(plain):
            raise MomentError("has an exponent and may have lost digits; have the spreadsheet save the column as text")
        return self._written(plain)

    @property
    def month_first(self) -> bool | None:
        """Whether 5/1/2026 is in May; None: it may be either."""
        if self.country_code in MONTH_FIRST:
            return True
        return None if self.country_code in YEAR_FIRST or not self.country_code else False

    def _number(self, whole: str, fraction: str) -> Moment:
        digits = len(whole)
        if digits == 5 and _SHEET_DAYS[0] <= int(whole) <= _SHEET_DAYS[1]:
            days = float(f"{whole}.{fraction or '0'}")
            # To the millisecond: a day's fraction has no more digits than that.
            moment = _DAY_ZERO + timedelta(milliseconds=round(days * 86_400_000))
            return Moment(self._seconds(moment), whole_day=not fraction.strip("0"))
        if digits in _EPOCHS and not whole.startswith("0"):
            return Moment(_known(int(whole) / _EPOCHS[digits] + float(f"0.{fraction or '0'}") / _EPOCHS[digits]))
        if digits in _COMPACT and not fraction.strip("0"):
            try:
                moment = datetime.strptime(whole, _COMPACT[digits])  # noqa: DTZ007 - its zone is given next
            except ValueError:
                pass
            else:
                return Moment(self._seconds(moment), whole_day=digits == 8)
        if digits == 4:
            raise MomentError("is a year; the day is missing")
        raise MomentError("is a number that is no time: no day, no day of a spreadsheet, no epoch seconds")

    def _written(self, plain: str) -> Moment:
        text = _WEEKDAY.sub("", plain)
        if "年" in text:
            text = text.translate(_CHINESE).strip()
        year, month, day, rest = self._date(text)
        hour = minute = second = micro = 0
        rest = rest.strip().removeprefix("t").strip(" ,")
        clock = _CLOCK.match(rest)
        if clock is not None:
            hour, minute, second = int(clock[2]), int(clock[3]), int(clock[4] or 0)
            micro = int(f"{clock[5] or '0':0<6}"[:6])
            hour = _of_half(hour, clock[1] or clock[6])
            rest = rest[clock.end() :].strip()
        zone = None
        if rest:
            offset = _OFFSET.fullmatch(rest)
            if offset is None or clock is None:
                raise MomentError("is no time, or names a zone that is not known; write an offset such as +08:00")
            zone = _offset(offset)
        try:
            moment = datetime(year, month, day, hour, minute, second, micro, tzinfo=zone)
        except ValueError as error:
            raise MomentError(f"is no time: {error}") from error
        return Moment(self._seconds(moment), whole_day=clock is None)

    def _date(self, text: str) -> tuple[int, int, int, str]:
        """Year, month and day that a text begins with, and what follows."""
        if found := _YMD.match(text):
            return int(found[1]), int(found[2]), int(found[3]), text[found.end() :]
        if re.match(r"[0-9]{8}t", text):
            return int(text[:4]), int(text[4:6]), int(text[6:8]), _spaced(text[9:])
        if found := _DMY.match(text):
            day, month = self._day_and_month(int(found[1]), int(found[3]), found[2])
            return int(found[4]), month, day, text[found.end() :]
        if (found := _NAMED_DAY.match(text)) and found[2] in _MONTHS:
            return int(found[3]), _MONTHS[found[2]], int(found[1]), text[found.end() :]
        if (found := _NAMED_MONTH.match(text)) and found[1] in _MONTHS:
            return int(found[3]), _MONTHS[found[1]], int(found[2]), text[found.end() :]
        if re.match(r"[0-9]{1,2}[-/.][0-9]{1,2}[-/.][0-9]{2}(?![0-9])", text):
            raise MomentError("has a year of two digits; write all four")
        raise MomentError("is no time; 2026-05-01 09:30:00 is one")

    def _day_and_month(self, first: int, second: int, mark: str) -> tuple[int, int]:
        if first > 12 or first == second or mark == ".":
            return first, second
        if second > 12:
            return second, first
        month_first = self.month_first
        if month_first is None:
            raise MomentError(f"may be day {first} of month {second} or the other way round; write the year first")
        self.ordered += 1
        return (second, first) if month_first else (first, second)

    def _seconds(self, moment: datetime) -> float:
        if moment.tzinfo is None:
            self.zoneless += 1
            moment = moment.replace(tzinfo=self.zone)
        try:
            return _known(moment.timestamp())
        except OverflowError as error:
            raise MomentError("is no time") from error


_FIRST: Final = datetime(FIRST_YEAR, 1, 1, tzinfo=UTC).timestamp() - 86_400
_LAST: Final = datetime(LAST_YEAR + 1, 1, 1, tzinfo=UTC).timestamp()


def _known(seconds: float) -> float:
    if not _FIRST <= seconds < _LAST:
        raise MomentError(f"would be of the year {datetime.fromtimestamp(seconds, UTC).year}")
    return seconds


def _of_half(hour: int, half: str | None) -> int:
    if half is None:
        return hour
    if not 0 < hour <= 12:
        if _HALVES[half] == 12 and 12 <= hour < 24:
            return hour  # "下午15:30" is said, and means what it says
        raise MomentError(f"has hour {hour} with {half}")
    if half == "中午":
        return hour if hour >= 11 else hour + 12
    return hour % 12 + _HALVES[half]


def _offset(found: re.Match[str]) -> tzinfo:
    if found[1] is None:
        return UTC
    minutes = int(found[2]) * 60 + int(found[3] or 0)
    if minutes > 15 * 60:
        raise MomentError("has an offset beyond 15 hours")
    return timezone(timedelta(minutes=minutes if found[1] == "+" else -minutes))


def _spaced(clock: str) -> str:
    """093000+0800 as 09:30:00+0800."""
    found = re.match(r"([0-9]{2})([0-9]{2})([0-9]{2})?", clock)
    if found is None:
        return clock
    return ":".join(part for part in found.groups() if part) + clock[found.end() :]
