"""Sliding windows against an oracle that counts by hand every message that was ever admitted.

Schedules are generated in milliseconds, short windows make their edges frequent, and clocks step back.
"""

from __future__ import annotations

import asyncio
from itertools import count
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis

from smsc_filter.policy.facts import Sender, Window
from smsc_filter.state import keys
from smsc_filter.state.embedded import EmbeddedStore
from smsc_filter.state.ledger import GiveBack, Ledger
from tests.records.helpers import header, row

from .conftest import ledger_at

START_MS = 1_767_225_600_000
ENTRY_OCTETS = 16
ADDRESSES = count(10_690_000_000)
"""No schedule meets what another one spent."""


class Oracle:
    """Everything that was admitted, one by one."""

    def __init__(self, windows: tuple[Window, ...]) -> None:
        self.windows = windows
        self.admitted: list[int] = []
        """Moments in ms; a clock that steps back is held at the last of them."""
        self.last = 0

    def spend(self, now: int, wanted: int) -> int:
        """How many go through: each only if every window has room for it."""
        moment = max(now, self.last)
        for done in range(wanted):
            for window in self.windows:
                within = [each for each in self.admitted if moment - window.seconds * 1000 < each <= moment]
                if len(within) >= window.cap:
                    return done
            self.admitted.append(moment)
            self.last = moment
        return wanted

    def give_back(self, moment: int, number: int) -> None:
        for _ in range(number):
            self.admitted.remove(moment)


async def spend(ledger: Ledger, by: Sender, now_ms: int, wanted: int) -> int:
    """How many of ``wanted`` messages are admitted; they are the first."""
    # Half a millisecond more, so that no rounding of seconds falls below the millisecond meant.
    refused = await ledger.spend((now_ms + 0.5) / 1000, header(), [row(1)] * wanted, [by] * wanted)
    assert sorted(refused) == list(range(wanted - len(refused), wanted))
    return wanted - len(refused)


def windows_of(caps: list[tuple[int, int]]) -> tuple[Window, ...]:
    return tuple(Window(seconds, cap, f"{seconds} s") for seconds, cap in sorted(dict(caps).items()))


some_windows = st.lists(st.tuples(st.integers(1, 5), st.integers(1, 9)), min_size=1, max_size=3).map(windows_of)
# Steps of whole and half seconds fall on the edges of windows, a millisecond beside them.
steps = st.one_of(st.sampled_from([0, 1, 499, 500, 999, 1000, 1001, 2000, 3000, 5000]), st.integers(0, 6000))
schedules = st.lists(st.tuples(steps, st.integers(1, 12), st.booleans()), max_size=25)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(windows=some_windows, schedule=schedules)
def test_windows_are_exact(
    store: EmbeddedStore, windows: tuple[Window, ...], schedule: list[tuple[int, int, bool]]
) -> None:
    """Some of what was admitted last is given back, as when the SMSC rejects it."""
    by, oracle = Sender(str(next(ADDRESSES)), "shop-ltd", "commercial", windows), Oracle(windows)

    async def scenario() -> None:
        now = START_MS
        async with ledger_at(store.url) as ledger:
            for step, wanted, give_back in schedule:
                now += step
                admitted = await spend(ledger, by, now, wanted)
                assert admitted == oracle.spend(now, wanted)
                if give_back and admitted:
                    await ledger.settle([], {GiveBack(by.address, now): (admitted + 1) // 2})
                    oracle.give_back(now, (admitted + 1) // 2)

    asyncio.run(scenario())


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(windows=some_windows, schedule=st.lists(st.tuples(st.integers(-4000, 4000), st.integers(1, 12)), max_size=25))
def test_a_clock_that_steps_back_frees_nothing(
    store: EmbeddedStore, windows: tuple[Window, ...], schedule: list[tuple[int, int]]
) -> None:
    by, oracle = Sender(str(next(ADDRESSES)), "shop-ltd", "commercial", windows), Oracle(windows)

    async def scenario() -> None:
        now = START_MS
        async with ledger_at(store.url) as ledger:
            for step, wanted in schedule:
                now += step
                assert await spend(ledger, by, now, wanted) == oracle.spend(now, wanted)

    asyncio.run(scenario())


@pytest.mark.parametrize("seed", range(3))
def test_a_long_log_is_trimmed_and_stays_exact(store: EmbeddedStore, client: Redis, seed: int) -> None:
    random = Random(seed)
    windows = windows_of([(5, 40), (30, 150)])
    by, oracle = Sender(str(next(ADDRESSES)), "shop-ltd", "commercial", windows), Oracle(windows)
    key = keys.quota_key(0, by.address)
    longest = 0

    async def scenario() -> None:
        nonlocal longest
        now = START_MS
        async with ledger_at(store.url) as ledger:
            for _ in range(900):
                now += random.choice([0, 1, 50, 137, 250, 500, 1000])
                wanted = random.randint(1, 4)
                assert await spend(ledger, by, now, wanted) == oracle.spend(now, wanted)
                oracle.admitted = [each for each in oracle.admitted if each > oracle.last - 31_000]
                longest = max(longest, client.strlen(key))

    asyncio.run(scenario())
    assert 256 * ENTRY_OCTETS < longest <= 258 * ENTRY_OCTETS
    assert int(client.pttl(key)) <= 60_000


def test_a_log_within_the_window_is_not_trimmed(store: EmbeddedStore, client: Redis) -> None:
    """What still counts is kept, however long the log: a day at a batch a second has 86,400 entries."""
    by = Sender(str(next(ADDRESSES)), "shop-ltd", "commercial", (Window(3600, 400, "hour"),))

    async def scenario() -> None:
        async with ledger_at(store.url) as ledger:
            for second in range(410):
                assert await spend(ledger, by, START_MS + second * 1000, 1) == (second < 400)
            assert await spend(ledger, by, START_MS + 3_599_999, 1) == 0
            assert await spend(ledger, by, START_MS + 3_600_000, 2) == 1

    asyncio.run(scenario())
    assert client.strlen(keys.quota_key(0, by.address)) == 401 * ENTRY_OCTETS


def test_a_clock_that_steps_back_is_held_where_it_was(store: EmbeddedStore) -> None:
    by = Sender(str(next(ADDRESSES)), "shop-ltd", "commercial", (Window(1, 5, "second"),))

    async def scenario() -> None:
        async with ledger_at(store.url) as ledger:
            assert await spend(ledger, by, START_MS, 3) == 3
            assert await spend(ledger, by, START_MS + 2000, 2) == 2
            assert await spend(ledger, by, START_MS + 500, 4) == 3  # the second before 2000 has two
            assert await spend(ledger, by, START_MS + 2999, 1) == 0
            assert await spend(ledger, by, START_MS + 3000, 6) == 5

    asyncio.run(scenario())
