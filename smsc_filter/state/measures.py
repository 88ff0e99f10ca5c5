"""Publishes the measures in force, and counts the binds that a measure freezes."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any, Final

import orjson
from redis import Redis

from smsc_filter.policy.measures import Measure
from smsc_filter.state import keys

TABLE: Final = "measures"
"""Its field among the small tables."""


def write_measures(client: Redis, measures: Iterable[Measure]) -> None:
    """Publish the measures, whole; every worker has them within a second."""
    pipeline = client.pipeline(transaction=True)
    pipeline.hset(keys.SMALL_TABLES, TABLE, orjson.dumps([measure.to_dict() for measure in measures]))
    pipeline.hincrby(keys.SMALL_TABLES, "version", 1)
    pipeline.execute()


def read_measures(table: bytes) -> list[Measure]:
    """What ``write_measures`` published."""
    return [Measure.from_dict(values) for values in orjson.loads(table)]


def held_binds(client: Redis, system_ids: Iterable[str], now: float | None = None) -> dict[str, int]:
    """How many binds each account holds now, over all workers."""
    now_ms = int((time.time() if now is None else now) * 1000)
    held: dict[str, int] = {}
    for system_id in system_ids:
        count: Any = client.zcount(keys.binds_key(system_id), f"({now_ms}", "+inf")
        held[system_id] = int(count)
    return held
