"""Content variation: one text in ever new words, so that no two copies are equal.

Templates vary too: a name, an amount, a code. But they vary in one place, and the sketches of two fillings agree in
most of their places; paraphrases agree in fewer. Counted are distinct sketches of one cluster and in how many places
each agrees with the first of them. Hoeffding's bound needs nothing but that texts are drawn independently: if fillings
of a template agree in ``TEMPLATE`` of the places on average, the mean over n of them is lower by t with a probability
of exp(-2 n t^2) at most.

False-alarm rate: at most 1e-4 a cluster whose template keeps 60 % of the sketch. Paraphrases that agree in 45 % of the
places are found at 205 distinct texts, in 40 % at 116.
"""

from __future__ import annotations

from math import exp
from typing import Final

ALPHA: Final = 1e-4
TEMPLATE: Final = 0.60
"""Share of places in which two fillings of one template agree at least, on average: two names in one of thirty
ideographs leave 70 %."""


def variation_chance(distinct: int, mean_agreement: float) -> float:
    """How likely ``distinct`` texts with that mean share of agreeing places are, if they fill one template."""
    below = TEMPLATE - mean_agreement
    return exp(-2 * distinct * below * below) if below > 0 else 1.0
