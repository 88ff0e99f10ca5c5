"""Tail probabilities of the two laws the detectors rest on, in logarithms, so that none underflows.

SciPy has them and is what training needs alone; the service would carry it for two sums.
"""

from __future__ import annotations

from collections.abc import Callable
from math import exp, expm1, inf, lgamma, log, log1p


def binomial_tail(at_least: int, trials: int, chance: float) -> float:
    """P(X >= ``at_least``) for X ~ Binomial(``trials``, ``chance``)."""
    if at_least <= 0:
        return 1.0
    if at_least > trials or chance <= 0:
        return 0.0
    if chance >= 1:
        return 1.0
    odds = log(chance) - log1p(-chance)
    term = (
        lgamma(trials + 1) - lgamma(at_least + 1) - lgamma(trials - at_least + 1)
        + at_least * log(chance) + (trials - at_least) * log1p(-chance)
    )  # fmt: skip
    return _summed(term, at_least, lambda k: log((trials - k) / (k + 1)) + odds if k < trials else -inf)


def poisson_tail(at_least: int, mean: float) -> float:
    """P(X >= ``at_least``) for X ~ Poisson(``mean``)."""
    if at_least <= 0:
        return 1.0
    if mean <= 0:
        return 0.0
    term = at_least * log(mean) - mean - lgamma(at_least + 1)
    return _summed(term, at_least, lambda k: log(mean) - log(k + 1))


def _summed(log_term: float, first: int, log_ratio: Callable[[int], float]) -> float:
    """The sum of the terms from ``first`` on: they rise to one peak at most and then fall faster and faster."""
    total, k = 0.0, first
    while True:
        total += exp(log_term)
        step = log_ratio(k)
        # Past the peak each further term is smaller by at least the ratio just seen: a geometric rest.
        if step == -inf or (step < 0 and exp(log_term + step) / -expm1(step) <= 1e-12 * total):
            return min(total, 1.0)
        log_term += step
        k += 1
