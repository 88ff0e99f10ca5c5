"""Writes the append-only file of the store anew, so that what was deleted or has expired is on no disk any more."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import redis

from smsc_filter.state.keys import REWRITTEN

LOOK_SECONDS: Final = 0.05
MOST_SECONDS: Final = 600.0
"""Longest wait for a rewrite; it goes on in the store all the same."""


class RewriteError(Exception):
    """The append-only file was not written anew; the message says why."""


def rewrite_append_only_file(
    client: redis.Redis,
    *,
    seconds: float = MOST_SECONDS,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> bool:
    """Write the file anew and wait until that is done; False where the store keeps none.

    Raises:
        RewriteError: it failed, or took longer than ``seconds``.
        redis.RedisError: the store does not answer.
    """
    if not int(client.info("persistence")["aof_enabled"]):
        return False
    deadline = clock() + seconds
    try:
        client.bgrewriteaof()
    except redis.ResponseError as error:
        if "already" not in str(error):  # one that runs began before, and may not have what was deleted since
            raise RewriteError(f"the store does not write its append-only file anew: {error}") from error
        _wait(client, deadline, clock, sleep)
        client.bgrewriteaof()
    _wait(client, deadline, clock, sleep)
    client.set(REWRITTEN, repr(time.time()))
    return True


def rewritten_at(client: redis.Redis) -> float:
    """When the file was last written anew, epoch seconds; 0 for never."""
    found = client.get(REWRITTEN)
    return float(found) if isinstance(found, bytes) else 0.0


def _wait(client: redis.Redis, deadline: float, clock: Callable[[], float], sleep: Callable[[float], None]) -> None:
    while True:
        said = client.info("persistence")
        if not int(said["aof_rewrite_in_progress"]) and not int(said.get("aof_rewrite_scheduled", 0)):
            break
        if clock() > deadline:
            raise RewriteError("the append-only file is still being written anew")
        sleep(LOOK_SECONDS)
    if said.get("aof_last_bgrewrite_status", "ok") != "ok":
        raise RewriteError("the store could not write its append-only file anew; is there room on the disk?")
