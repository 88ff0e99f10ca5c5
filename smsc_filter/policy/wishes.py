"""What a subscriber does not want to get at all: by channel, by category, at what time of day.

A wish has one spelling, used in files, in SQL and in the hot state alike, so that it can be read wherever it is
found. ``sms:all voice:finance,realty@21:00-09:00`` declines every SMS, and calls of two categories at night.
Clauses stand in order and none says what another says already; two wishes are equal when their spellings are.

The decline platform for calls (谢绝来电) and a person's own wishes are the same kind of thing and add up: what either
declines is declined.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

CHANNELS: Final = ("sms", "voice")

ALL: Final = "all"
"""Stands for every category, also for one nobody knows."""

MOST_CLAUSES: Final = 64

_MINUTE = "(?:[01][0-9]|2[0-3]):[0-5][0-9]"
CLAUSE: Final = f"(sms|voice|\\*):([a-z0-9-]{{1,32}}(?:,[a-z0-9-]{{1,32}}){{0,63}})(?:@({_MINUTE})-({_MINUTE}))?"
"""The spelling of one clause, or of two alike: channel, categories, beginning, end."""

_CLAUSE = re.compile(CLAUSE)


@dataclass(frozen=True, slots=True, order=True)
class Clause:
    """One thing that is declined."""

    channel: str
    category: str
    """``ALL``, or the name of one."""

    begin: int = 0
    """Minute of the day in the recipient's zone at which it begins to hold."""

    end: int = 0
    """Minute at which it ends; before ``begin`` it is on the next day; equal: the whole day."""

    def holds_at(self, minute: int) -> bool:
        """Whether it holds at a minute of the day, 0 to 1439."""
        if self.begin == self.end:
            return True
        if self.begin < self.end:
            return self.begin <= minute < self.end
        return minute >= self.begin or minute < self.end


@dataclass(frozen=True, slots=True)
class Wish:
    """All that one subscriber declines."""

    clauses: tuple[Clause, ...]

    def declines(self, channel: str, category: str | None, minute: int) -> Clause | None:
        """The clause that speaks against a message or a call, or None.

        Args:
            channel: one of ``CHANNELS``.
            category: what it is about; None where that is not known, which only ``ALL`` covers.
            minute: of the day in the recipient's zone, 0 to 1439.
        """
        for clause in self.clauses:
            if clause.channel == channel and clause.category in (ALL, category) and clause.holds_at(minute):
                return clause
        return None

    def __str__(self) -> str:
        """The spelling that ``read_wish`` reads."""
        spelled: dict[tuple[str, int, int], list[str]] = {}
        for clause in self.clauses:
            spelled.setdefault((clause.channel, clause.begin, clause.end), []).append(clause.category)
        return " ".join(
            f"{channel}:{','.join(categories)}" + (f"@{_clock(begin)}-{_clock(end)}" if begin != end else "")
            for (channel, begin, end), categories in spelled.items()
        )


def make_wish(clauses: Iterable[Clause]) -> Wish:
    """A wish of ``clauses``, without those that another covers; one that begins when it ends lasts all day."""
    whole = {Clause(c.channel, c.category) if c.begin == c.end else c for c in clauses}
    kept = {
        clause
        for clause in whole
        if not any(
            other != clause
            and other.channel == clause.channel
            and other.category in (ALL, clause.category)
            and (other.begin, other.end) in ((0, 0), (clause.begin, clause.end))
            for other in whole
        )
    }
    return Wish(tuple(sorted(kept, key=lambda c: (c.channel, c.begin, c.end, c.category != ALL, c.category))))


@lru_cache(maxsize=65_536)
def read_wish(text: str) -> Wish:
    """The wish that ``text`` spells; of clauses in any order, ``*`` for both channels.

    Raises:
        ValueError: it spells none; the sentence says what is expected.
    """
    clauses: list[Clause] = []
    words = text.lower().split()
    if not 1 <= len(words) <= MOST_CLAUSES:
        raise ValueError(f"wish {_shown(text)}: 1 to {MOST_CLAUSES} clauses such as sms:all are expected")
    for word in words:
        found = _CLAUSE.fullmatch(word)
        if found is None:
            raise ValueError(
                f"wish {_shown(word)}: CHANNEL:CATEGORY[,CATEGORY][@HH:MM-HH:MM] is expected,"
                f" CHANNEL one of {', '.join(CHANNELS)} and * for both, CATEGORY a name or {ALL}"
            )
        channels, categories, *band = found.groups()
        begin, end = (_minute(clock) if clock else 0 for clock in band)
        for channel in CHANNELS if channels == "*" else (channels,):
            clauses += (Clause(channel, category, begin, end) for category in categories.split(","))
    return make_wish(clauses)


def unite(wishes: Iterable[Wish]) -> Wish:
    """What any of ``wishes`` declines."""
    return make_wish(clause for wish in wishes for clause in wish.clauses)


def _minute(clock: str) -> int:
    return int(clock[:2]) * 60 + int(clock[3:])


def _clock(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"


def _shown(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:37] + "...")
