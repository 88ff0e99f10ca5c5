"""Why a text has its score: what each n-gram added to the log-odds, as people read it.

The model is linear before the logistic function, so this is the whole sum and not an estimate of it: where the score
starts, the largest contributions, and what all the others add up to together give the log-odds of the score.
"""

import math
from typing import Final, NamedTuple

from smsc_filter.classifier.scorer import Contribution, Scorer

MOST: Final = 12
"""Contributions told one by one."""

_EVERYTHING: Final = 1 << 30


class Explanation(NamedTuple):
    """``start`` + ``parts`` + ``rest`` = ``log_odds``, and the logistic function of that is the score."""

    model: str
    log_odds: float
    start: float
    """Log-odds of a text of which nothing is known."""

    parts: list[Contribution]
    """The largest first, by size; a negative one speaks against *commercial*."""

    rest: float
    """What all n-grams that are not among ``parts`` add up to."""

    @property
    def score(self) -> float:
        """Probability that the text is commercial."""
        return 1 / (1 + math.exp(-max(-80.0, min(80.0, self.log_odds))))


def explain(scorer: Scorer, text: str, most: int = MOST) -> Explanation:
    """Take the score of ``text`` apart; ``most`` contributions are told one by one."""
    everything = scorer.explain(text, _EVERYTHING)
    parts, others = everything[:most], everything[most:]
    rest = math.fsum(part.log_odds for part in others)
    log_odds = math.fsum((scorer.bias, rest, *(part.log_odds for part in parts)))
    return Explanation(scorer.model_id, log_odds, scorer.bias, parts, rest)


def describe(explanation: Explanation) -> list[str]:
    """An explanation for people, a line each; ``^`` and ``$`` are the edges of the text, ``0`` is any digit."""
    lines = [f"{explanation.start:+8.3f}  where every text starts"]
    lines += [f"{part.log_odds:+8.3f}  {_quoted(part.feature)}" for part in explanation.parts]
    lines.append(f"{explanation.rest:+8.3f}  everything else in it")
    lines.append(
        f"{explanation.log_odds:+8.3f}  in all: commercial with probability {explanation.score:.4f}"
        f", by model {explanation.model}"
    )
    return lines


def _quoted(feature: str) -> str:
    """Blanks at the ends of an n-gram count, so they must be seen."""
    return f"“{feature}”"
