"""Edge bursts: twice the cap around the moment at which a fixed window would begin anew.

Counted are bursts: more than a cap asked for within two neighbouring slots of five minutes, at least a quarter of it
on either side of the border between them. Whoever does not play with the clock may burst at any time, so the border
in the middle of a burst is the full hour for one of twelve borders. A burst there is the sign, with the chance
1/12; any other speaks against (see ``evidence``). Jobs started by the clock begin at the hour: they have nothing on
the left side of it and make no burst of this kind.

False-alarm rate: at most n / 1000 within n bursts. Found at the third edge in a row.
"""

from __future__ import annotations

from typing import Final

from smsc_filter.policy.gaming.evidence import grow

SLOT_SECONDS: Final = 300
SLOTS_AN_HOUR: Final = 3600 // SLOT_SECONDS
CHANCE: Final = 1 / SLOTS_AN_HOUR
SIDE: Final = 0.25
"""Least share of the cap that each side of the border holds."""


def bursts_at(before: int, after: int, cap: int) -> bool:
    """Whether two neighbouring slots, with so many messages asked for in each, are a burst across their border."""
    return before + after > cap and min(before, after) >= SIDE * cap


def after_burst(evidence: float, slot: int) -> float:
    """The evidence after a burst across the border at which ``slot`` (since the epoch) begins."""
    return grow(evidence, slot % SLOTS_AN_HOUR == 0, CHANCE)
