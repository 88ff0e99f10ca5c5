"""Connections to the store: few, and every wait for one is bounded."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from redis.exceptions import RedisError

from smsc_filter.service.build import STORE_CONNECTIONS, store_client, store_writer
from smsc_filter.settings import Settings

URL = "redis://127.0.0.1:1/0"


def test_no_connection_beyond_the_bound_is_made() -> None:
    settings = replace(Settings(), state=replace(Settings().state, timeout=0.01))

    async def take_all() -> None:
        pool = store_client(settings, URL).connection_pool
        assert pool.max_connections == STORE_CONNECTIONS
        # All are in use: who wants one more hears no after the time limit.
        for _ in range(STORE_CONNECTIONS):
            pool.get_available_connection()  # not connected: nothing listens there
        with pytest.raises(RedisError, match="No connection available"):
            await pool.get_connection()

    asyncio.run(take_all())
    assert store_writer(settings, URL).connection_pool.max_connections == STORE_CONNECTIONS
