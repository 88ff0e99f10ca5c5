"""Remembers the parts of long replies, so that what a subscriber wrote is read whole.

A part is acknowledged as it comes; what is remembered only adds to what each part says by itself.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from smsc_filter.sms.message import Delivery

MOST_REMEMBERED: Final = 1_000
"""Long replies of one worker under way at once; of more the oldest are forgotten."""

KEPT_SECONDS: Final = 600.0
"""How long the other parts of a reply are waited for."""


class LongReplies:
    """The parts one worker has seen."""

    def __init__(self) -> None:
        self._parts: OrderedDict[tuple[str, bytes, int, int], tuple[float, dict[int, bytes]]] = OrderedDict()

    def octets(self, delivery: Delivery, now: float) -> tuple[bytes, bool]:
        """What is known of a reply with this part of it, in order, and whether that is all of it.

        Args:
            delivery: a part, or a whole reply, which is taken as it is.
            now: seconds of a clock that goes forward.
        """
        part = delivery.part
        if part is None:
            return delivery.octets, True
        key = (delivery.written_as, delivery.destination, part.reference, part.total)
        began, parts = self._parts.pop(key, (now, {}))
        if now - began > KEPT_SECONDS:
            began, parts = now, {}
        parts[part.number] = delivery.octets
        whole = len(parts) == part.total
        if not whole:
            self._parts[key] = began, parts
            if len(self._parts) > MOST_REMEMBERED:
                self._parts.popitem(last=False)
        return b"".join(parts[number] for number in sorted(parts)), whole
