"""Repeats of refusals that a client retries at once: held for a moment and put on record as a count.

While the SMSC or the store is away every message is refused, and many clients send the refused one again at once, as
often as answers arrive. A message that was not refused before has a record of its own, and so have the first refusals
of an account in a window. Repeats beyond are held until the window ends; then one record a sender says how many they
were, and they are answered once it is durable.
Held requests fill the client's window, which slows it down; its responses and enquire_link are acted upon meanwhile.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, Generic, TypeVar

from smsc_filter.policy.verdict import Cause

WINDOW_SECONDS: Final = 1.0
"""How long refusals are counted, and repeats held."""

MOST_ROWS: Final = 50
"""Refusals of one account and cause in a window that have a record each, repeats or not."""

MOST_REMEMBERED: Final = 16_384
"""Refused messages that are remembered, by a hash of what they say; the oldest are forgotten."""

Held = TypeVar("Held")


class Repeats(Generic[Held]):
    """Refusals of the window that is under way, by account and cause."""

    def __init__(self) -> None:
        """Begin with none."""
        self._counts: dict[tuple[str, Cause], int] = {}
        self._began = 0.0
        self._refused: OrderedDict[int, None] = OrderedDict()
        self._held: dict[Cause, list[Held]] = {}

    def __bool__(self) -> bool:
        """Whether any are held."""
        return bool(self._held)

    def count(self, system_id: str, cause: Cause, body: bytes, now: float, messages: int = 1) -> bool:
        """Count refusals at ``now`` seconds; returns whether they are repeats beyond those with a record each.

        Args:
            system_id: the account.
            cause: what they are refused for.
            body: of the request, behind its header: the same again is a repeat.
            now: seconds of any clock.
            messages: destinations of the request.
        """
        if not 0 <= now - self._began < WINDOW_SECONDS:
            self._counts.clear()
            self._began = now
        key = system_id, cause
        before = self._counts.get(key, 0)
        self._counts[key] = before + messages
        said = hash((system_id, body))
        repeated = said in self._refused
        self._refused[said] = None
        self._refused.move_to_end(said)
        if len(self._refused) > MOST_REMEMBERED:
            self._refused.popitem(last=False)
        return repeated and before >= MOST_ROWS

    def hold(self, cause: Cause, arrival: Held) -> None:
        """Keep one until ``take``."""
        self._held.setdefault(cause, []).append(arrival)

    def take(self) -> dict[Cause, list[Held]]:
        """Those held, in the order in which they came; none are afterwards."""
        held, self._held = self._held, {}
        return held
