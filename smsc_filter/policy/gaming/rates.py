"""Rising rates: more refusals, or more complaints, than a sender's own past lets expect.

The past says which share was refused; its upper end (one more refusal than there were) is taken, so that a short past
is not trusted too far. Then the refusals among what came lately are binomial at most. Complaints are out of no number,
and Poisson.

False-alarm rate: at most 1e-4 each time it is asked, if messages are refused independently. They are not quite: one bad
text goes to many. So a rise is told only where the share has at least doubled as well.
"""

from __future__ import annotations

from typing import Final

from smsc_filter.policy.gaming.tails import binomial_tail, poisson_tail

ALPHA: Final = 1e-4
LEAST: Final = 20
"""Refusals below which no rise is told."""


def rise_chance(refused: int, messages: int, past_refused: float, past_messages: float) -> float:
    """How likely so many are refused of ``messages`` if nothing has changed; 1 where there is no rise to tell."""
    share = (past_refused + 1) / (past_messages + 2)
    if refused < LEAST or refused < 2 * share * messages:
        return 1.0
    return binomial_tail(refused, messages, share)


def complaints_chance(complaints: int, usual: float) -> float:
    """How likely so many complaints are where ``usual`` are expected."""
    return poisson_tail(complaints, max(usual, 0.5))
