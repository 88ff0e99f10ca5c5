"""Threshold hugging: window after window ends just under a cap that is known.

Whoever does not know the cap asks for what it needs. That is a Poisson number of some rate; the rate may be any and
may change from window to window. Of all rates the one that ends in the band [cap - depth, cap] most often is the
geometric mean of the numbers in the band, and that greatest probability is the ``chance`` by which a window in the
band counts (see ``evidence``). So nothing is assumed of the sender's own rate, and a rate below the cap only makes
alarms rarer: at 60 % of a cap of 200 a window lies in the band with a probability of 1e-10. Traffic that varies more
than Poisson is in the band less often still. Counted is what was *asked*: who runs against the cap, as an honest
sender with too much to say does, was refused something and is not in the band.

Three bands share the weight, so that 198 of 200 is found in 3 windows, 195 in 5, 190 in 9. Windows with less than half
the cap say nothing: who plays may rest, and for the rates that matter, leaving them out changes the chance by
less than 1e-10.

False-alarm rate: at most n / 1000 within n such windows, for the worst rate there is; unmeasurably small at 60 %
of the cap. Not covered: a machine that honestly has 198 things to say each hour. It is asked, not blocked.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import exp, lgamma, log, pi, sqrt
from typing import Final

from smsc_filter.policy.gaming.evidence import FLAG_AT, grow

BANDS: Final = ((1, 0.75), (2, 0.15), (4, 0.10))
"""Width of each band in units of the narrowest, and its share of the evidence."""

NARROW: Final = 0.09
"""Chance aimed at by the narrowest band: three windows in it make 0.75 * 10.5^3 > 1000."""


@dataclass(frozen=True, slots=True)
class Hugging:
    """What the windows of one sender under one cap say so far."""

    evidence: tuple[float, ...] = (0.0,) * len(BANDS)
    windows: int = 0
    """How many said anything."""

    near: int = 0
    """How many of the last ones in a row ended in the widest band."""

    @property
    def total(self) -> float:
        """The evidence over all bands."""
        return sum(weight * one for (_, weight), one in zip(BANDS, self.evidence, strict=True))

    @property
    def flagged(self) -> bool:
        """Whether it is enough for an alarm."""
        return self.total >= FLAG_AT

    def after(self, asked: int, cap: int) -> Hugging:
        """What they say after one more window, in which ``asked`` messages were asked for."""
        if 2 * asked < cap:
            return self
        bands = bands_of(cap)
        evidence = tuple(
            grow(one, low <= asked <= cap, chance)
            for one, (low, chance) in zip(self.evidence, bands, strict=True)
        )  # fmt: skip
        return Hugging(evidence, self.windows + 1, self.near + 1 if bands[-1][0] <= asked <= cap else 0)


@cache
def bands_of(cap: int) -> tuple[tuple[int, float], ...]:
    """The bands under ``cap``: where each begins, and the greatest chance to end in it."""
    unit = max(1, int(NARROW * sqrt(2 * pi * cap)))
    lows = [max(0, cap + 1 - unit * times) for times, _ in BANDS]
    return tuple((low, greatest_chance(low, cap)) for low in lows)


def greatest_chance(low: int, high: int) -> float:
    """The greatest probability, over all rates, that a Poisson number lies within ``low`` and ``high``."""
    if low <= 0:
        return 1.0 - 1e-9  # a rate of 0 always does; the window says nothing
    # d/dr of the sum of e^-r r^k / k! over the band is e^-r (r^(low-1)/(low-1)! - r^high/high!): 0 at this rate.
    rate = exp((lgamma(high + 1) - lgamma(low)) / (high - low + 1))
    return min(sum(exp(k * log(rate) - rate - lgamma(k + 1)) for k in range(low, high + 1)), 1.0 - 1e-9)
