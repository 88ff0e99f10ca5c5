"""What workers keep in process or read from a stream, as others write it."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from smsc_filter.policy.facts import ConsentState
from smsc_filter.policy.whitelist import WhitelistEntry
from smsc_filter.state import keys
from smsc_filter.state.embedded import EmbeddedStore
from smsc_filter.state.projection import write_whitelist
from smsc_filter.state.stream import DecisionStream

from .conftest import OpenLedger, write_consents

ENTRY = WhitelistEntry(id=7, scope="owner", owner="shop-ltd", expires_at=2e9, reason="wishes")


def test_the_last_word_on_a_consent_counts(client: Redis) -> None:
    who = ("8613800000001", 1)
    write_consents(client, [(*who, ConsentState.GRANTED), (*who, ConsentState.WITHDRAWN)], 1)
    field = keys.consent_field(1, who[0])
    assert client.hget(keys.consent_key(0, field), field) == b"3"


def test_a_worker_takes_small_tables_once_a_change(client: Redis, open_ledger: OpenLedger) -> None:
    async def scenario() -> None:
        async with open_ledger() as ledger:
            assert await ledger.small_tables(None) == (None, None)
            write_whitelist(client, [ENTRY])
            version, tables = await ledger.small_tables(None)
            assert tables is not None
            assert [WhitelistEntry.from_dict(values) for values in orjson.loads(tables[b"whitelist"])] == [ENTRY]
            assert await ledger.small_tables(version) == (version, None)
            write_whitelist(client, [])
            later, tables = await ledger.small_tables(version)
            assert later != version
            assert tables is not None
            assert orjson.loads(tables[b"whitelist"]) == []

    asyncio.run(scenario())


@pytest.mark.parametrize("protocol", [2, 3])
def test_a_stream_is_read_behind_a_place_and_trimmed_up_to_it(
    store: EmbeddedStore, client: Redis, protocol: int
) -> None:
    name = keys.decisions_key(2)
    ids = [client.xadd(name, {"b": number}, id=f"5-{number + 1}").decode() for number in range(5)]

    async def scenario() -> None:
        reader: Any = AsyncRedis.from_url(store.url, protocol=protocol)
        try:
            stream = DecisionStream(reader, 2)
            assert stream.name == name
            assert await stream.read("0", 2, 0) == [(ids[0], {b"b": b"0"}), (ids[1], {b"b": b"1"})]
            assert [entry_id for entry_id, _ in await stream.read(ids[1], 100, 0)] == ids[2:]
            assert await stream.read(ids[4], 100, 5) == []
            await stream.trim(ids[2])
            assert [entry_id for entry_id, _ in await stream.read("0", 100, 0)] == ids[3:]
        finally:
            await reader.aclose()

    asyncio.run(scenario())


def test_the_backlog_is_what_all_partitions_hold(client: Redis, open_ledger: OpenLedger) -> None:
    async def scenario() -> None:
        async with open_ledger(partitions=3) as ledger:
            assert await ledger.backlog_octets() == 0
            for partition in range(3):
                client.xadd(keys.decisions_key(partition), {"b": "x" * 10_000})
            assert await ledger.backlog_octets() > 30_000

    asyncio.run(scenario())
