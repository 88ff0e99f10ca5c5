"""How much of its quota a sender has spent, for people to look at."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import Any

from redis import Redis

from smsc_filter.state import keys


def spent(client: Redis, partitions: int, senders: Iterable[tuple[str, Sequence[int]]], now: float) -> list[list[int]]:
    """What each sender has spent within each of its windows.

    Args:
        client: of the hot state.
        partitions: over how many it is spread.
        senders: (canonical address, seconds of each window).
        now: epoch seconds.

    Raises:
        redis.RedisError: the store does not answer.
    """
    asked = list(senders)
    pipeline = client.pipeline(transaction=False)
    for address, _ in asked:
        pipeline.get(keys.quota_key(keys.partition_of(address, partitions), address))
    logs: list[Any] = pipeline.execute()
    return [
        [_within(log or b"", now * 1000, seconds * 1000.0) for seconds in windows]
        for log, (_, windows) in zip(logs, asked, strict=True)
    ]


def _within(log: bytes, now_ms: float, window_ms: float) -> int:
    """Spent within a window, from a log as ``scripts/spend.lua`` keeps it."""
    entries = list(struct.iter_unpack(">dd", log[: len(log) // 16 * 16]))
    if not entries:
        return 0
    before = 0.0
    for at, total in entries:
        if at > now_ms - window_ms:
            break
        before = total
    last: float = entries[-1][1]
    return round(last - before)
