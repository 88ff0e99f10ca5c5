"""How the scores of live traffic lie beside those the model was promoted on.

Scores crowd at both ends, so the bins are narrow there: about equal steps in log-odds. They are counted in
ten-thousandths, as decision records keep them. The population stability index sums up how far two such
histograms lie apart; it is symmetric, and 0 for equal shares.

Source: Siddiqi, Credit Risk Scorecards (2006), chapter 8: below 0.1 nothing has changed, from 0.25 on something has.
"""

from bisect import bisect_right
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

PARTS: Final = 10_000
"""Parts of a score in decision records."""

EDGES: Final = (3, 10, 30, 100, 300, 1_000, 2_000, 3_500, 5_000, 6_500, 8_000, 9_000, 9_700, 9_900, 9_970, 9_990, 9_997)
"""Where one bin ends and the next begins, in parts of ``PARTS``."""

BINS: Final = len(EDGES) + 1

STABLE: Final = 0.1
DRIFTED: Final = 0.25

LEAST: Final = 500
"""Texts below which an index says more of chance than of drift: bins / texts is what chance alone gives."""


def to_parts(scores: NDArray[np.float32]) -> NDArray[np.int64]:
    """Scores as decision records keep them."""
    return (scores.astype(np.float64) * PARTS).astype(np.int64)


def histogram(parts: ArrayLike) -> NDArray[np.int64]:
    """How many scores, in ten-thousandths, lie in each bin; shape (``BINS``,)."""
    return np.bincount(np.searchsorted(EDGES, np.asarray(parts, np.int64), side="right"), minlength=BINS)


def bin_of(parts: int) -> int:
    """The bin of one score in ten-thousandths."""
    return bisect_right(EDGES, parts)


def stability(reference: Sequence[int], live: Sequence[int]) -> float:
    """The population stability index of two histograms.

    Half a text is added to each bin, so that one text in an empty bin is no infinite change.
    """
    before, now = (_shares(counts) for counts in (reference, live))
    return float(((now - before) * np.log(now / before)).sum())


def says(index: float, texts: int) -> str:
    """An index in one word."""
    if texts < LEAST:
        return "too few"
    return "stable" if index < STABLE else "moved" if index < DRIFTED else "drifted"


def _shares(counts: Sequence[int]) -> NDArray[np.float64]:
    padded = np.asarray(counts, np.float64) + 0.5
    shares: NDArray[np.float64] = padded / padded.sum()
    return shares
