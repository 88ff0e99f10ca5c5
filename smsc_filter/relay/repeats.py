"""Repeats of refusals that a client retries at once: held for a moment and put on record as a count.

While the SMSC or the store is away every message is refused, and many clients send the refused one again at once, as
often as answers arrive. The first refusals of an account in a window have a record and an answer each. Those beyond are
held until the window ends; then one record a sender says how many they were, and they are answered once it is durable.
Held requests fill the client's window, which slows it down; its responses and enquire_link are acted upon meanwhile.
"""

from __future__ import annotations

from typing import Final, Generic, TypeVar

from smsc_filter.policy.verdict import Cause

WINDOW_SECONDS: Final = 1.0
"""How long refusals are counted, and repeats held."""

MOST_ROWS: Final = 50
"""Refusals of one account and cause in a window that have a record each."""

Held = TypeVar("Held")


class Repeats(Generic[Held]):
    """Refusals of the window that is under way, by account and cause."""

    def __init__(self) -> None:
        """Begin with none."""
        self._counts: dict[tuple[str, Cause], int] = {}
        self._began = 0.0
        self._held: dict[Cause, list[Held]] = {}

    def __bool__(self) -> bool:
        """Whether any are held."""
        return bool(self._held)

    def count(self, system_id: str, cause: Cause, messages: int, now: float) -> bool:
        """Count refusals at ``now`` seconds; returns whether they are beyond those with a record each."""
        if not 0 <= now - self._began < WINDOW_SECONDS:
            self._counts.clear()
            self._began = now
        key = system_id, cause
        before = self._counts.get(key, 0)
        self._counts[key] = before + messages
        return before >= MOST_ROWS

    def hold(self, cause: Cause, arrival: Held) -> None:
        """Keep one until ``take``."""
        self._held.setdefault(cause, []).append(arrival)

    def take(self) -> dict[Cause, list[Held]]:
        """Those held, in the order in which they came; none are afterwards."""
        held, self._held = self._held, {}
        return held
