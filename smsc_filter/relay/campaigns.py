"""Which campaign suspicious texts belong to, as one worker knows it.

The store says it, so that ten senders over as many workers are one campaign. What it said of a text is remembered for
``REMEMBER_SECONDS``: a campaign is one text to many, and the store is asked about each text once in that time.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Final

from smsc_filter.policy.likeness import NO_SKETCH, PLACES, sketch
from smsc_filter.state.ledger import Ledger

REMEMBER_SECONDS: Final = 60.0
MOST_REMEMBERED: Final = 4096


class Campaigns:
    """Finds the campaigns of texts."""

    def __init__(self, ledger: Ledger, keep_seconds: int) -> None:
        """Ask ``ledger``; a campaign is remembered ``keep_seconds`` after its last text."""
        self._ledger = ledger
        self._keep_seconds = max(keep_seconds, int(REMEMBER_SECONDS) * 2)
        self._known: dict[str, str] = {}
        self._forget_at = 0.0

    async def find(self, texts: Sequence[str], now: float) -> list[str]:
        """The name of the campaign of each text.

        Raises:
            StoreUnavailable: the store did not answer.
        """
        if not self._forget_at - REMEMBER_SECONDS <= now < self._forget_at or len(self._known) >= MOST_REMEMBERED:
            self._known.clear()
            self._forget_at = now + REMEMBER_SECONDS
        new = list(dict.fromkeys(text for text in texts if text not in self._known))
        if new:
            sketches = [
                # A text without letters, a bare link say, is like itself.
                its if its != NO_SKETCH else blake2b(text.encode("utf-8", "replace"), digest_size=PLACES).digest()
                for text, its in zip(new, sketch(new), strict=True)
            ]
            leaders = await self._ledger.campaigns(sketches, self._keep_seconds)
            for text, leader in zip(new, leaders, strict=True):
                self._known[text] = blake2b(leader, digest_size=6).hexdigest()
        return [self._known[text] for text in texts]
