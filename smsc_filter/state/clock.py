"""The time that quotas are counted by: it passes as time does, whatever is done to the clock of the machine.

A clock that is set forward would free every window, one that is set back would keep them shut. What quotas need of a
time is only how long ago something was, so it is counted from the start of the service by a clock that nobody sets;
``CLOCK_MONOTONIC`` is one for all processes of a machine. Only small differences, as machines that follow the same
time have them, are followed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

FOLLOWED_SECONDS: Final = 1.0
"""Difference up to which the clock of the machine is right; a larger one is a step."""


def time_anchor() -> float:
    """Epoch seconds at which the monotonic clock began, as far as the clock of the machine can be trusted now."""
    return time.time() - time.monotonic()


class SteadyClock:
    """Epoch seconds that never step."""

    def __init__(self, anchor: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Count from ``anchor``, see ``time_anchor``: the same for all processes of a service."""
        self._anchor = anchor
        self._monotonic = monotonic

    def at(self, now: float) -> float:
        """``now``, or what it would be had the clock of the machine not been set."""
        steady = self._anchor + self._monotonic()
        return now if abs(now - steady) <= FOLLOWED_SECONDS else steady
