"""The durable stream of decision records, as the mover reads it."""

from __future__ import annotations

from typing import Any

from redis.asyncio import Redis

from smsc_filter.state import keys

Entry = tuple[str, dict[bytes, bytes]]


class DecisionStream:
    """The stream of one partition."""

    def __init__(self, client: Redis, partition: int) -> None:
        """Read over ``client``."""
        self._client = client
        self.name = keys.decisions_key(partition)

    async def read(self, after: str, most_entries: int, block_ms: int) -> list[Entry]:
        """Entries behind ``after``, oldest first; waits up to ``block_ms`` for one to come."""
        answer: Any = await self._client.xread({self.name: after}, count=most_entries, block=block_ms or None)
        if not answer:
            return []
        # RESP3 answers a map of streams, RESP2 a list of pairs.
        entries = answer[self.name.encode()][0] if isinstance(answer, dict) else answer[0][1]
        return [(entry_id.decode(), fields) for entry_id, fields in entries]

    async def trim(self, up_to: str) -> None:
        """Drop every entry up to and including ``up_to``."""
        milliseconds, _, number = up_to.partition("-")
        await self._client.xtrim(self.name, minid=f"{milliseconds}-{int(number) + 1}", approximate=False)
