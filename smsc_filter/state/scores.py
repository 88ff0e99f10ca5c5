"""Counts of scores: how they are spread, day by day, and where a shadow model would judge otherwise.

Whoever moves decisions into the records counts them and adds here once a second; metrics and the command line read.
Counts are for watching: one that is lost or added twice with a fault harms nothing, so they need no transaction.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, Final, NamedTuple

from redis import Redis

from smsc_filter.classifier.drift import BINS
from smsc_filter.state import keys

KEPT_DAYS: Final = 35

EDGES: Final = (-0.5, -0.2, -0.1, -0.05, -0.01, 0.01, 0.05, 0.1, 0.2, 0.5)
"""Bins of the difference of two scores, the shadow's less the one on record."""

_SEPARATOR: Final = "\x1f"


def difference_names() -> list[str]:
    """What lies in each bin of the difference, as a range."""
    between = [f"{low:+g}..{high:+g}" for low, high in pairwise(EDGES)]
    return [f"< {EDGES[0]:+g}", *between, f"> {EDGES[-1]:+g}"]


class Spread(NamedTuple):
    """Whose scores a histogram counts."""

    model: str
    purpose: str


class Compared(NamedTuple):
    """One thing counted of texts that two models scored."""

    model: str
    """The one that judged."""

    purpose: str
    what: str
    """``texts``; ``block``: only the shadow would block; ``pass``: only the shadow would let pass; ``skipped``: too
    many came at once; ``d0``, ``d1``, ..: the difference of the scores, by bin."""


def day_of(now: float, before: int = 0) -> str:
    """The day of an epoch second, in UTC, or one some days before it."""
    return f"{datetime.fromtimestamp(now, UTC) - timedelta(days=before):%Y-%m-%d}"


def add_scores(client: Redis, day: str, counts: Mapping[Spread, Iterable[int]]) -> None:
    """Add histograms (``classifier.drift``) to those of a day."""
    fields = Counter(
        {
            _SEPARATOR.join((*spread, str(place))): count
            for spread, bins in counts.items()
            for place, count in enumerate(bins)
        }
    )
    _add(client, keys.scores_key(day), fields)


def read_scores(client: Redis, days: Iterable[str]) -> dict[Spread, list[int]]:
    """The histograms of some days, added up."""
    found: defaultdict[Spread, list[int]] = defaultdict(lambda: [0] * BINS)
    for day in days:
        for field, count in _read(client, keys.scores_key(day)).items():
            model, purpose, place = field.split(_SEPARATOR)
            if int(place) < BINS:
                found[Spread(model, purpose)][int(place)] += count
    return dict(found)


def add_compared(client: Redis, shadow: str, counts: Mapping[Compared, int]) -> None:
    """Add to what is known of the shadow model of that id."""
    _add(client, keys.shadow_key(shadow), {_SEPARATOR.join(about): count for about, count in counts.items()})


def read_compared(client: Redis, shadow: str) -> dict[Compared, int]:
    """Everything counted of the shadow model of that id, since it became one."""
    found = _read(client, keys.shadow_key(shadow))
    return {Compared(*field.split(_SEPARATOR)): count for field, count in found.items()}


def _add(client: Redis, key: str, fields: Mapping[str, int]) -> None:
    pipeline = client.pipeline(transaction=False)
    for field, count in fields.items():
        if count:
            pipeline.hincrby(key, field, count)
    pipeline.expire(key, KEPT_DAYS * 86_400)
    pipeline.execute()


def _read(client: Redis, key: str) -> dict[str, int]:
    found: Any = client.hgetall(key)
    return {field.decode(): int(count) for field, count in found.items()}
