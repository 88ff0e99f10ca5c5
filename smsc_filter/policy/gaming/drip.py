"""Slow drip: a few strangers an hour, for weeks, none of them twice and none who answers.

Of the people an honest person writes to for the first time, some answer or hear from them again within the period.
``bond`` is a low guess of that share; then the number of those who do is binomial, and so few among so many first
contacts have this probability at most. Asked of person-to-person senders alone: a courier's codes go to strangers by
nature.

False-alarm rate: at most 1e-4 a sender and period, for people at least one of whose ten first contacts comes back.
"""

from __future__ import annotations

from math import exp, log1p
from typing import Final

from smsc_filter.policy.gaming.tails import binomial_tail

ALPHA: Final = 1e-4
BOND: Final = 0.10


def drip_chance(first_contacts: int, came_back: int, bond: float = BOND) -> float:
    """How likely at most ``came_back`` of ``first_contacts`` answer or are written to again."""
    if came_back == 0:
        return exp(first_contacts * log1p(-bond))
    return binomial_tail(first_contacts - came_back, first_contacts, 1 - bond)
