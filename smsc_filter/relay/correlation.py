"""Pairs sequence_number across the two sides of a bind."""

from __future__ import annotations

from typing import Any

from smsc_filter.smpp.pdu import Pdu

Waiting = tuple[Pdu, float, Any]
"""A request that was relayed and has no response yet: the request as it came, under the sequence_number of the side
that asks; when it was relayed, in seconds of the loop's clock; what its owner wants back with the response. A plain
tuple, because one is made for every message and a named one takes ten times as long to make."""


class Pairing:
    """Requests relayed one way, by the sequence_number they were given there, oldest first."""

    __slots__ = ("_waiting", "add", "take")

    def __init__(self) -> None:
        self._waiting: dict[int, Waiting] = {}
        # Twice a message each; bound once instead of wrapped.
        self.add = self._waiting.__setitem__
        self.take = self._waiting.pop

    def __len__(self) -> int:
        return len(self._waiting)

    def expired(self, now: float, response_seconds: float) -> list[Waiting]:
        """Take out every request that has waited ``response_seconds`` or longer."""
        late = []
        # Requests are relayed in the order of time, so the first young one ends the search.
        for number, waiting in list(self._waiting.items()):
            if now - waiting[1] < response_seconds:
                break
            late.append(waiting)
            del self._waiting[number]
        return late

    def drain(self) -> list[Waiting]:
        """Take out all: the other side is gone."""
        waiting = list(self._waiting.values())
        self._waiting.clear()
        return waiting
