"""The hot state as tests look at it, and a reply as a worker puts it there."""

from __future__ import annotations

from typing import Any

import orjson
from redis import Redis

from smsc_filter.policy.facts import ConsentState
from smsc_filter.state import keys

REPLY = """
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[3])
redis.call('XADD', KEYS[3], '*', 'c', ARGV[4])
"""
"""What a worker's script does for one reply, all or nothing."""


def reply(store: Redis, partitions: int, recipient: str, owner_id: int, kind: str, at_ms: int) -> None:
    """A subscriber replies; durable when this returns."""
    partition = keys.partition_of(recipient, partitions)
    field = keys.consent_field(owner_id, recipient)
    names = [keys.consent_key(partition, field), keys.fresh_key(partition), keys.decisions_key(partition)]
    record = orjson.dumps([[recipient, owner_id, kind, at_ms, at_ms, None, "reply", "TD", ""]])
    arguments: list[Any] = [field, int(ConsentState[kind.upper()]), at_ms, record]
    store.eval(REPLY, len(names), *names, *arguments)


def dump(store: Redis, partitions: int) -> dict[bytes, bytes]:
    """Every consent there is, by its field."""
    found: dict[bytes, bytes] = {}
    for partition in range(partitions):
        for name in store.scan_iter(f"{keys.tag(partition)}c[0-9]*", count=10_000):
            found |= store.hgetall(name)  # type: ignore[arg-type]
    return found
