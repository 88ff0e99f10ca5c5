"""Rotation and sharing: one campaign over many senders, one link or call-back number over many.

A campaign that is cut into pieces below the cap needs many senders. How many senders one text (or one link) has, beyond
the first, is compared with what is usual: a Poisson number of the mean that the other texts of the same owner (or the
other links) have shown. ``usual`` begins at 1 where nothing is known yet. The tail probability is multiplied by the
number of texts that were looked at, so that the rate holds for all of them together (Bonferroni).

False-alarm rate: at most 1e-4 over all that is looked at, as long as senders that share no campaign choose their texts
each for itself. People who copy each other's wishes do not, so only texts that advertise are looked at. An owner
about whom nothing is known is told at 8 senders of its first text, one that has sent 20 texts from one sender each
at 5.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from smsc_filter.policy.gaming.tails import poisson_tail

ALPHA: Final = 1e-4

LEAST_SENDERS: Final = 3


def usual(further: int, others: int) -> float:
    """The mean number of further senders, of ``others`` texts with ``further`` of them altogether."""
    return (further + 1) / (others + 1)


@lru_cache(maxsize=65_536)  # asked every second of all that goes on, and most of it has not changed
def spread_chance(senders: int, mean: float, looked_at: int) -> float:
    """How likely so many senders of one text are by chance alone.

    Args:
        senders: distinct senders of the text.
        mean: what is ``usual``.
        looked_at: how many texts there are to choose the most striking one from.

    Returns:
        At most 1; an alarm is due below ``ALPHA``.
    """
    if senders < LEAST_SENDERS:
        return 1.0
    # The first sender is given: a text nobody sends is not seen. The further ones are what is counted.
    return min(1.0, max(1, looked_at) * poisson_tail(senders - 1, mean))
