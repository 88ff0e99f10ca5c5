"""Takes a subscriber out of the hot state: books of contacts, feasts, parts of long messages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import redis

from smsc_filter.state import keys

KEYS_AT_ONCE: Final = 2_000


def erase_number(
    client: redis.Redis, number: str, partitions: int, advance: Callable[[int], object] = lambda keys_seen: None
) -> int:
    """Delete what is kept under a number; how many keys that were. Quotas and locks stay until they end by themselves.

    Raises:
        redis.RedisError: the store does not answer; the call may be repeated.
    """
    gone = 0
    for partition in range(partitions):
        # The number is digits, so that it means nothing else in a pattern.
        for pattern in (
            keys.book_key(partition, number),
            keys.feast_pattern(partition, number),
            *keys.parts_patterns(partition, number),
        ):
            for some in _matching(client, pattern, advance):
                gone += int(client.unlink(*some))
    return gone


def _matching(client: redis.Redis, pattern: str, advance: Callable[[int], object]) -> Iterator[list[bytes]]:
    cursor = 0
    while True:
        found: Any = client.scan(cursor, match=pattern, count=KEYS_AT_ONCE)
        cursor, some = found
        advance(KEYS_AT_ONCE)
        if some:
            yield some
        if not cursor:
            return
