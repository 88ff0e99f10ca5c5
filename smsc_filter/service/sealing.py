"""The recorder's part that seals the records once a minute, and notes where the chain ended outside the database."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog
from sqlalchemy import Engine

from smsc_filter.records.errors import RecordsError
from smsc_filter.records.seals import seal_due, seal_end
from smsc_filter.records.signature import SigningKey
from smsc_filter.records.verify import SEAL_ANCHORS, note_anchor

log = structlog.get_logger(__name__)

SEAL_SECONDS: Final = 60.0
ANCHOR_SECONDS: Final = 600.0
"""How often the end of the chain is noted, where it moved: some 16 MB a year."""


class Sealing:
    """Seals what is due."""

    def __init__(self, engine: Engine, folder: Path, clock: Callable[[], float] = time.time) -> None:
        """Seal the records in ``engine``; anchors go to ``folder``, signed with its key."""
        self._engine = engine
        self._folder = folder
        self._clock = clock
        self._anchor_at = 0.0
        self._noted = 0

    async def run(self) -> None:
        """Seal until cancelled; trouble is logged and tried again."""
        while True:
            try:
                await asyncio.to_thread(self.seal)
            except RecordsError as error:
                log.warning("sealing-waits", error=str(error))
            await asyncio.sleep(SEAL_SECONDS)

    def seal(self) -> int:
        """Seal what is due, and note the end of the chain; how many rows were sealed.

        Raises:
            SqlUnavailable: the database does not answer.
            RecordsError: the anchor cannot be written.
        """
        now = self._clock()
        rows = seal_due(self._engine, now, time.sleep)
        position, chain = seal_end(self._engine)
        if now >= self._anchor_at and position > self._noted:
            key = SigningKey.open(self._folder)
            note_anchor(self._folder, key, position, bytes.fromhex(chain), now, SEAL_ANCHORS)
            self._anchor_at, self._noted = now + ANCHOR_SECONDS, position
        return rows
