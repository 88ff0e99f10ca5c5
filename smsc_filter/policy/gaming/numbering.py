"""Numbers that were counted up instead of collected (CN-28): runs in the sorted recipients.

Sorted, the recipients of an honest list leave gaps. ``DENSITY`` bounds how much of any block of numbers such a list
covers; then a number is followed by its neighbour with that probability at most, and among n numbers the expected
count of runs of r neighbours is at most n * DENSITY^(r - 1). Counting in steps of 2 to ``LONGEST_STEP`` is looked for
as well, which multiplies the bound by the number of steps.

False-alarm rate: at most 1e-4 a list that covers no more than a tenth of a block. Found: any run of 9 among 900
numbers. A firm whose staff was given neighbouring numbers is found too: an alarm is looked at, it blocks nobody.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

ALPHA: Final = 1e-4
DENSITY: Final = 0.1
LONGEST_STEP: Final = 10


class Run(NamedTuple):
    """Numbers at equal distances."""

    first: int
    step: int
    length: int
    chance: float
    """At most so likely in an honest list."""


def longest_run(numbers: NDArray[np.int64]) -> Run | None:
    """The most striking run among ``numbers``, in any order; None where there are fewer than three."""
    ordered = np.unique(numbers)
    if ordered.size < 3:
        return None
    gaps = np.diff(ordered)
    # A run is a stretch of equal gaps; where the gap changes the next one begins.
    starts = np.flatnonzero(np.r_[True, gaps[1:] != gaps[:-1]])
    lengths = np.diff(np.r_[starts, gaps.size])
    lengths[gaps[starts] > LONGEST_STEP] = 0
    best = int(lengths.argmax())
    gaps_in_run = int(lengths[best])
    if gaps_in_run == 0:
        return None
    chance = min(1.0, LONGEST_STEP * ordered.size * DENSITY**gaps_in_run)
    return Run(int(ordered[starts[best]]), int(gaps[starts[best]]), gaps_in_run + 1, chance)
