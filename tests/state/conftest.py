"""A private Valkey for the tests of this folder, and ledgers on it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import cache
from typing import Any

import pytest
from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from smsc_filter.policy.consent import ConsentStatus
from smsc_filter.policy.facts import ConsentState, Sender
from smsc_filter.policy.quota import Charge, sender_use
from smsc_filter.state.embedded import EmbeddedStore
from smsc_filter.state.ledger import Ledger
from smsc_filter.state.projection import Projected, Projection
from smsc_filter.state.settings import StateSettings
from tests.relay.harness import short_folder

OpenLedger = Callable[..., AbstractAsyncContextManager[Ledger]]


def write_consents(client: Redis, consents: Iterable[tuple[str, int, ConsentState]], partitions: int) -> None:
    """Project consents as the records would: (recipient, owner id, state)."""
    Projection(client, partitions).write(
        0,
        (
            Projected(recipient, owner_id, None, ConsentStatus(state, 0, None), 0, 0)
            for recipient, owner_id, state in consents
        ),
    )


@cache
def charge_of(sender: Sender) -> Charge:
    """What a message of a sender is charged to for its own windows; one object, as a worker has it."""
    return Charge((sender_use(sender),))


@pytest.fixture(scope="session")
def store() -> Iterator[EmbeddedStore]:
    """One server for all tests that only talk to it."""
    with short_folder() as folder:
        store = EmbeddedStore(folder, fsync="everysec")
        store.start()
        yield store
        store.stop()


@pytest.fixture
def client(store: EmbeddedStore) -> Iterator[Redis]:
    """A plain client of it, nothing in it yet."""
    with Redis.from_url(store.url) as client:
        client.flushall()
        yield client


@asynccontextmanager
async def ledger_at(url: str, worker: str = "0-1", **settings: Any) -> AsyncIterator[Ledger]:
    """A worker's ledger; short of patience unless told otherwise."""
    remember = settings.pop("remember_parts", 3600.0)
    chosen = StateSettings(**({"patience": 5.0} | settings))
    client = AsyncRedis.from_url(url, socket_timeout=chosen.timeout, retry=Retry(NoBackoff(), 0))
    ledger = Ledger(client, chosen, worker, remember_parts=remember)
    try:
        yield ledger
    finally:
        await ledger.close()


@pytest.fixture
def open_ledger(store: EmbeddedStore, client: Redis) -> OpenLedger:
    """``async with open_ledger(partitions=4) as ledger``."""
    return lambda *arguments, **settings: ledger_at(store.url, *arguments, **settings)
