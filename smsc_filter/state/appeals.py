"""Appeals that subscribers send by reply: into the durable stream, field ``a`` of an entry.

From there they go into the records (``records.appeal_replies``), which know what a code stands for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import orjson

from smsc_filter.state import keys
from smsc_filter.state.ledger import Ledger, Script


class SentAppeal(NamedTuple):
    """An appeal as it came over the wire."""

    subscriber: str
    """MSISDN."""
    code: str
    """An appeal code, or a decision's id."""
    reason: str
    at_ms: int


class Appeals:
    """Keeps appeals until the records have them."""

    def __init__(self, ledger: Ledger, partitions: int) -> None:
        """Write as ``ledger`` does."""
        self._ledger = ledger
        self._partitions = partitions
        self._script = Script("appeal")

    async def put(self, appeals: Sequence[SentAppeal]) -> None:
        """Keep appeals; durable once this returns.

        Raises:
            StoreUnavailable: the store did not answer. The call may be repeated: an appeal that comes twice is one.
        """
        shards: dict[int, list[SentAppeal]] = {}
        for appeal in appeals:
            shards.setdefault(keys.partition_of(appeal.subscriber, self._partitions), []).append(appeal)
        for partition, mine in shards.items():
            await self._ledger.call(
                self._script, [keys.decisions_key(partition)], [orjson.dumps([tuple(each) for each in mine])]
            )
