"""How much of its quota a sender has spent, for people to look at."""

from __future__ import annotations

from collections.abc import Iterable
from struct import iter_unpack, unpack, unpack_from
from typing import Any

from redis import Redis

from smsc_filter.policy.facts import Sender
from smsc_filter.policy.quota import EXACT_CAP, SLOTS, sender_use
from smsc_filter.state import keys

TIME, HEAD, COUNT = 6, 24, 4
"""Octets, as ``scripts/meters.lua`` keeps them."""


def spent(client: Redis, partitions: int, senders: Iterable[Sender], now: float) -> list[list[int]]:
    """What each sender has spent within each of its windows.

    Args:
        client: of the hot state.
        partitions: over how many it is spread.
        senders: with the windows asked for.
        now: epoch seconds.

    Raises:
        redis.RedisError: the store does not answer.
    """
    senders = list(senders)
    asked = [(sender, window) for sender in senders for window in sender.windows]
    pipeline = client.pipeline(transaction=False)
    for sender, window in asked:
        use = sender_use(sender)
        partition = keys.partition_of(use.name, partitions)
        prefix = use.gauge.prefix
        exact = window.cap <= EXACT_CAP
        pipeline.get(
            keys.log_key(partition, prefix, use.name)
            if exact
            else keys.slots_key(partition, prefix, use.name, window.seconds)
        )
    kept: list[Any] = pipeline.execute()
    found: dict[str, list[int]] = {}
    for (sender, window), octets in zip(asked, kept, strict=True):
        count = _in_log if window.cap <= EXACT_CAP else _in_slots
        found.setdefault(sender.address, []).append(count(octets or b"", now * 1000, window.seconds * 1000))
    return [found.get(sender.address, []) for sender in senders]


def _in_log(log: bytes, now_ms: float, window_ms: int) -> int:
    times = (int.from_bytes(octets, "big") for (octets,) in iter_unpack(f"{TIME}s", log))
    return sum(at > now_ms - window_ms for at in times)


def _in_slots(kept: bytes, now_ms: float, window_ms: int) -> int:
    if not kept:
        return 0
    last, before, current = unpack(">ddd", kept[:HEAD])
    slot = int(now_ms // -(-window_ms // SLOTS))
    if slot > last + SLOTS:
        return 0
    gone = (
        unpack_from(">I", kept, HEAD + int(number % (SLOTS + 1)) * COUNT)[0]
        for number in range(int(last) - SLOTS, slot - SLOTS)
    )
    return int(before + current - sum(gone))
