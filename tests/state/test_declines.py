"""The decline register in the hot state, on a real Valkey."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

import pytest
import redis
import redis.asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smsc_filter.policy.wishes import Wish, read_wish
from smsc_filter.state.declines import (
    DENSE_FROM,
    PAGE_NUMBERS,
    Declines,
    in_register,
    pack_page,
    write_pages,
    write_wishes,
    written_pages,
)
from tests.records.valkey import running_valkey

BASE = 8_613_800_000_000
WISHES = {1: "sms:all", 2: "voice:finance,realty", 513: "sms:all@21:00-09:00 voice:all"}


@pytest.fixture(scope="module")
def socket() -> Iterator[Path]:
    with running_valkey() as socket:
        yield socket


@pytest.fixture
def client(socket: Path) -> Iterator[redis.Redis]:
    with redis.Redis(unix_socket_path=str(socket)) as client:
        client.flushall()
        yield client


def write(client: redis.Redis, entries: dict[int, int], partitions: int = 1) -> None:
    write_wishes(client, WISHES, partitions)
    by_page = groupby(sorted(entries.items()), lambda entry: entry[0] // PAGE_NUMBERS)
    write_pages(client, {page: list(group) for page, group in by_page}, partitions)


def ask(socket: Path, recipients: Sequence[str], partitions: int = 1) -> list[Wish | None]:
    async def main() -> list[Wish | None]:
        client = redis.asyncio.Redis(unix_socket_path=str(socket))
        declines = Declines(client, partitions, 10.0)
        try:
            return await declines.wishes(recipients)
        finally:
            await declines.close()
            await client.aclose()

    return asyncio.run(main())


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    entries=st.dictionaries(st.integers(BASE, BASE + 200_000), st.sampled_from(sorted(WISHES)), max_size=60),
    asked=st.lists(st.integers(BASE, BASE + 200_000), max_size=20),
    partitions=st.sampled_from([1, 3]),
)
def test_every_number_has_its_own_wish_and_no_other_has_one(
    client: redis.Redis, socket: Path, entries: dict[int, int], asked: list[int], partitions: int
) -> None:
    client.flushall()
    write(client, entries, partitions)
    numbers = [*entries, *asked, *(number + 1 for number in entries), *(number - 1 for number in entries)]
    expected = [read_wish(WISHES[entries[number]]) if number in entries else None for number in numbers]
    assert ask(socket, [str(number) for number in numbers], partitions) == expected


@pytest.mark.parametrize("size", [
    pytest.param(1, id="one"),
    pytest.param(511, id="fetched at once"),
    pytest.param(513, id="searched once before it is fetched"),
    pytest.param(DENSE_FROM - 1, id="longest array"),
    pytest.param(DENSE_FROM, id="shortest table"),
    pytest.param(PAGE_NUMBERS, id="full"),
])  # fmt: skip
def test_a_page_of_any_size(client: redis.Redis, socket: Path, size: int) -> None:
    page = BASE // PAGE_NUMBERS * PAGE_NUMBERS
    chosen = sorted(random.Random(size).sample(range(page, page + PAGE_NUMBERS), size))
    write(client, dict.fromkeys(chosen, 513))
    there = set(chosen)
    asked = [page, page + PAGE_NUMBERS - 1, *chosen[:300], *chosen[-300:], *range(page + 1000, page + 2000)]
    answers = ask(socket, [str(number) for number in asked])
    assert [answer is not None for answer in answers] == [number in there for number in asked]


def test_a_page_without_entries_is_gone(client: redis.Redis, socket: Path) -> None:
    write(client, {BASE: 1})
    write_pages(client, {BASE // PAGE_NUMBERS: []}, 1)
    assert ask(socket, [str(BASE)]) == [None]
    assert client.keys("*d:*") == []


@pytest.mark.parametrize("partitions", [1, 3])
def test_which_pages_there_are(client: redis.Redis, partitions: int) -> None:
    write(client, {BASE: 1, BASE + PAGE_NUMBERS: 1}, partitions)
    assert written_pages(client, partitions) == {BASE // PAGE_NUMBERS, BASE // PAGE_NUMBERS + 1}


@pytest.mark.parametrize("recipient", ["", "0138", "shop", "1" * 16, "٣٤٥٦٧٨٩٠"])
def test_what_is_no_number_is_never_in_it(client: redis.Redis, socket: Path, recipient: str) -> None:
    write(client, {BASE: 1})
    assert not in_register(recipient)
    assert ask(socket, [recipient, str(BASE)]) == [None, read_wish("sms:all")]


@pytest.mark.parametrize(("count", "spread", "most"), [
    pytest.param(200_000, 170_000_000, 6.0, id="one in 850 of the numbers, as 2,000,000 of China's"),
    pytest.param(200_000, 4_000_000, 4.5, id="one in 20"),
    pytest.param(1_000_000, 1_250_000, 2.7, id="four in five"),
])  # fmt: skip
def test_octets_a_number(client: redis.Redis, count: int, spread: int, most: float) -> None:
    before = int(client.info("memory")["used_memory"])
    chosen = sorted(random.Random(1).sample(range(BASE, BASE + spread), count))
    write(client, dict.fromkeys(chosen, 1))
    octets = (int(client.info("memory")["used_memory"]) - before) / count
    assert octets <= most, f"{octets:.2f} octets a number"


def test_a_page_is_packed_as_the_script_reads_it() -> None:
    assert pack_page([(PAGE_NUMBERS * 7 + 258, 513), (PAGE_NUMBERS * 7 + 772, 1)]) == bytes((1, 2, 2, 1, 3, 4, 0, 1))
