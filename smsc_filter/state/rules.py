"""Publishes what operators set over the configuration."""

from __future__ import annotations

from typing import Any, Final

import orjson
from redis import Redis

from smsc_filter.policy.tuning import Tuning, read_tuning
from smsc_filter.state import keys

TABLE: Final = "rules"
"""Its field among the small tables."""


def pack_rules(tuning: Tuning) -> bytes:
    """A version as it is published."""
    return orjson.dumps({"version": tuning.version, "body": tuning.body()})


def write_rules(client: Redis, tuning: Tuning) -> None:
    """Publish a version; every worker judges by it within a second."""
    pipeline = client.pipeline(transaction=True)
    pipeline.hset(keys.SMALL_TABLES, TABLE, pack_rules(tuning))
    pipeline.hincrby(keys.SMALL_TABLES, "version", 1)
    pipeline.execute()


def rules_now(client: Redis) -> Tuning:
    """What was published last; nothing, where nothing ever was."""
    table: Any = client.hget(keys.SMALL_TABLES, TABLE)
    return Tuning() if table is None else read_rules(table)


def read_rules(table: bytes) -> Tuning:
    """What ``write_rules`` published."""
    values = orjson.loads(table)
    return read_tuning(values["version"], values["body"])
