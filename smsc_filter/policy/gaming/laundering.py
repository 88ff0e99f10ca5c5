"""Class laundering: advertisements over senders that are registered for notices and codes.

The classifier mistakes some honest notices, so one that looks commercial proves nothing. ``mistakes`` is the share it
mistakes, by the model's own card; then of n different texts a binomial number looks commercial. Texts count, not
messages: one notice that the classifier mistakes may go out a thousand times.

False-alarm rate: at most 1e-4 each time it is asked, once an hour and sender.
"""

from __future__ import annotations

from typing import Final

from smsc_filter.policy.gaming.tails import binomial_tail

ALPHA: Final = 1e-4
MISTAKES: Final = 0.02
"""Twice the share that the shipped model mistakes of service texts."""


def laundering_chance(commercial: int, texts: int, mistakes: float = MISTAKES) -> float:
    """How likely it is that so many of ``texts`` different texts look commercial by mistake."""
    return binomial_tail(commercial, texts, mistakes)
