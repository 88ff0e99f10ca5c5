"""The newest decisions in figures: how their scores lie, and from which addresses they came.

Pages ask for these over and over while somebody moves a slider, so what was read is kept for some seconds and shared by
all who ask; no page reads more than the newest ``RECENT`` decisions, however many there are.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine, func, select

from smsc_filter.records.database import reading
from smsc_filter.records.tables import decisions

RECENT: Final = 20_000
KEPT_SECONDS: Final = 5.0

T = TypeVar("T")


class Kept(Generic[T]):
    """A value that is read anew when it is older than some seconds; of many who ask at once, one reads."""

    def __init__(self, read: Callable[[], T], seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Keep what ``read`` returns."""
        self._read = read
        self._seconds = seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._value: tuple[float, T] | None = None

    def get(self) -> T:
        """The value; what reading raises goes to whoever asks, and nothing is kept."""
        with self._lock:
            now = self._clock()
            if self._value is None or now - self._value[0] >= self._seconds:
                self._value = None
                self._value = now, self._read()
            return self._value[1]


@dataclass(frozen=True, slots=True)
class PurposeScores:
    """The scores of senders of one purpose, the newest decision first."""

    ids: NDArray[np.int64]
    """Shape (n,)."""
    scores: NDArray[np.int64]
    """Shape (n,), in ten-thousandths."""

    def reaching(self, least: int) -> int:
        """How many scores are at least that."""
        return int((self.scores >= least).sum())

    def between(self, low: int, high: int, most: int) -> list[int]:
        """Ids of the newest decisions whose score is at least ``low`` and below ``high``."""
        found: list[int] = self.ids[(self.scores >= low) & (self.scores < high)][:most].tolist()
        return found

    def histogram(self, width: int, bins: int) -> list[int]:
        """How many scores lie in each bin of that width."""
        counts: list[int] = np.bincount(self.scores // width, minlength=bins)[:bins].tolist()
        return counts


class Recent:
    """The newest decisions of one database."""

    def __init__(
        self, engine: Engine, seconds: float = KEPT_SECONDS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Look at ``engine``, and keep what was seen for some seconds."""
        self._engine = engine
        self._scores = Kept(self._read_scores, seconds, clock)
        self._senders = Kept(self._read_senders, seconds, clock)

    def scores(self, purpose: str) -> PurposeScores:
        """The scores of one purpose of sender; decisions on what has no score are left out.

        Raises:
            SqlUnavailable: the database does not answer.
        """
        purposes, ids, scores = self._scores.get()
        here = (purposes == purpose) & (scores >= 0)
        return PurposeScores(ids[here], scores[here])

    def senders(self, owner: str, most: int) -> dict[str, int]:
        """Source address of an owner -> how many of the newest decisions are on it, the busiest first.

        Raises:
            SqlUnavailable: the database does not answer.
        """
        return dict(self._senders.get().get(owner, [])[:most])

    def _read_scores(self) -> tuple[NDArray[np.str_], NDArray[np.int64], NDArray[np.int64]]:
        rows = self._newest(decisions.c.purpose, decisions.c.id, decisions.c.score)
        purposes, ids, scores = zip(*rows, strict=True) if rows else ((), (), ())
        return np.array(purposes, np.str_), np.array(ids, np.int64), np.array(scores, np.int64)

    def _newest(self, *columns: Any) -> Sequence[Sequence[Any]]:
        wanted = select(*columns).order_by(decisions.c.id.desc()).limit(RECENT)
        with reading(self._engine) as connection:
            return [tuple(row) for row in connection.execute(wanted)]

    def _read_senders(self) -> dict[str, list[tuple[str, int]]]:
        newest = select(decisions.c.owner, decisions.c.source).order_by(decisions.c.id.desc()).limit(RECENT).subquery()
        counted = (
            select(newest.c.owner, newest.c.source, func.count())
            .group_by(newest.c.owner, newest.c.source)
            .order_by(func.count().desc(), newest.c.source)
        )
        found: dict[str, list[tuple[str, int]]] = {}
        with reading(self._engine) as connection:
            for owner, source, count in connection.execute(counted):
                found.setdefault(owner, []).append((source, int(count)))
        return found
