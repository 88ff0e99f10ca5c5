"""Once a day the append-only file of the store is written anew: what has expired and was deleted leaves the disk."""

from __future__ import annotations

import asyncio
import time
from typing import Final

import redis
import structlog

from smsc_filter.state.rewriting import RewriteError, rewrite_append_only_file, rewritten_at

log = structlog.get_logger()

LOOK_SECONDS: Final = 300.0


async def rewrite_daily(client: redis.Redis, hours: float) -> None:
    """Write the file anew every ``hours``, until cancelled; never with 0. Of several that look, the first does it."""
    while hours:
        await asyncio.sleep(LOOK_SECONDS)
        try:
            if time.time() - await asyncio.to_thread(rewritten_at, client) >= hours * 3600:
                if not await asyncio.to_thread(rewrite_append_only_file, client):
                    return
                log.info("append-only-file-rewritten")
        except (RewriteError, redis.RedisError) as error:
            log.warning("append-only-file-not-rewritten", error=type(error).__name__)
