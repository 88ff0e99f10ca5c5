"""Evidence that grows while one watches, with a false-alarm rate that watching for long does not spoil.

Each window of time (or burst, or edge) either shows the sign or does not. ``chance`` bounds the probability that an
honest sender shows it, whatever it did before. A window with the sign multiplies the evidence by hit / chance, one
without it by (1 - hit) / (1 - chance): on average, for the honest, by 1 at most. So the running sum
M_n = (M_{n-1} + 1) * factor_n has the expectation n at most, and by Doob's inequality

    P(an honest sender is flagged within n windows) <= n / FLAG_AT.

Flagged once in ``FLAG_AT`` windows or less often, then, in the worst case ``chance`` allows; a sender that starts to
play after years of honesty is found as soon as a new one, because the 1 that is added lets every window be the first.

Source: Shin, Ramdas, Rinaldo, "E-detectors: a nonparametric framework for sequential change detection", 2023.
"""

from __future__ import annotations

from typing import Final

FLAG_AT: Final = 1000.0
"""One false alarm in a thousand windows of a sender that sits exactly where it is easiest to be mistaken."""

HIT: Final = 0.95
"""How often one who plays is expected to show the sign."""


def grow(evidence: float, shown: bool, chance: float) -> float:
    """The evidence after one more window; begins at 0."""
    factor = HIT / chance if shown else (1 - HIT) / (1 - chance)
    return (evidence + 1.0) * factor
