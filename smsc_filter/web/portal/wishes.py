"""A wish as a form shows it: kinds of advertising as boxes, quiet hours as two times."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final, NamedTuple

from smsc_filter.policy.wishes import ALL, Clause, make_wish, read_wish

CLOCK: Final = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")


class WishForm(NamedTuple):
    """What is ticked and filled in."""

    sms: frozenset[str]
    """Categories declined at any time, ``ALL`` among them where everything is."""
    voice: frozenset[str]
    quiet: tuple[str, str] | None
    """From and until when no advertising by SMS comes, as HH:MM."""
    others: bool
    """Whether the wish holds more than a form can show; saving drops that."""


NOTHING: Final = WishForm(frozenset(), frozenset(), None, others=False)


def form_of(spelling: str | None) -> WishForm:
    """What a form shows of a wish."""
    if spelling is None:
        return NOTHING
    boxes: dict[str, set[str]] = {"sms": set(), "voice": set()}
    quiet: tuple[str, str] | None = None
    others = False
    for clause in read_wish(spelling).clauses:
        if clause.begin == clause.end:
            boxes[clause.channel].add(clause.category)
        elif (clause.channel, clause.category) == ("sms", ALL) and quiet is None:
            quiet = _clock(clause.begin), _clock(clause.end)
        else:
            others = True
    return WishForm(frozenset(boxes["sms"]), frozenset(boxes["voice"]), quiet, others)


def wish_of(sms: Collection[str], voice: Collection[str], begin: str, end: str, known: Collection[str]) -> str | None:
    """The spelling of what was filled in; None for nothing.

    Raises:
        ValueError: a time is none, or there is only one of the two.
    """
    allowed = {ALL, *known}
    clauses = [Clause("sms", category) for category in sms if category in allowed]
    clauses += [Clause("voice", category) for category in voice if category in allowed]
    if bool(begin) != bool(end):
        raise ValueError("both times or none are expected")
    if begin:
        clauses.append(Clause("sms", ALL, _minute(begin), _minute(end)))
    return str(make_wish(clauses)) if clauses else None


def _minute(text: str) -> int:
    found = CLOCK.fullmatch(text)
    if found is None:
        raise ValueError("a time such as 22:00 is expected")
    return int(found[1]) * 60 + int(found[2])


def _clock(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"
