"""Numbers leased in the store, and decision ids that are given once whatever clocks do."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest
from redis import Redis

from smsc_filter.state import keys
from smsc_filter.state.leases import (
    FOLLOWED_MS,
    LEASE,
    SPARE_MS,
    DecisionIds,
    IdsUsedUpError,
    Lease,
    NumberHeldError,
    WorkerLease,
    lease_call,
    lease_of,
)

from .conftest import OpenLedger

NOW = 1_800_000_000.0
HOUR = 3600.0


def worker_of(decision_id: int) -> int:
    return decision_id >> 12 & 255


def lease(client: Redis, kind: str, holder: str, wanted: list[int]) -> Lease:
    names, arguments = lease_call(kind, holder, wanted)
    return lease_of(client.eval(LEASE.text, len(names), *names, *arguments))  # type: ignore[arg-type]


def test_a_counter_that_is_full_goes_on_in_the_next_millisecond_of_its_own_worker() -> None:
    ids = DecisionIds(7)
    given = [ids.first(256, NOW) for _ in range(100)]
    assert {worker_of(first) for first in given} == {worker_of(first + 255) for first in given} == {7}
    assert all(later - earlier >= 256 for earlier, later in pairwise(given))


def test_a_clock_set_back_by_hours_leads_no_id_back_nor_into_another_worker() -> None:
    ids = DecisionIds(7)
    given = [ids.first(256, NOW)] + [ids.first(256, NOW - HOUR) for _ in range(100)]
    assert given == sorted(set(given))
    assert {worker_of(first + 255) for first in given} == {7}


def test_while_the_store_is_away_ids_last_and_then_end_instead_of_leaving_what_is_reserved() -> None:
    first_ms = int(NOW * 1000)
    ids = DecisionIds(7, first_ms, first_ms + FOLLOWED_MS + SPARE_MS)
    given = [ids.first(256, NOW + HOUR) for _ in range(SPARE_MS * 16)]
    assert len(set(given)) == len(given)
    assert max(given) >> 20 <= first_ms + FOLLOWED_MS + SPARE_MS
    with pytest.raises(IdsUsedUpError):
        for _ in range(17):
            ids.first(256, NOW + HOUR)
    ids.go_on(Lease(7, int((NOW + HOUR) * 1000), int((NOW + HOUR) * 1000) + 4000))
    assert ids.first(1, NOW + HOUR) > max(given)


@pytest.mark.parametrize("clock", [pytest.param(9.0, id="later"), pytest.param(-20.0, id="clock-set-back")])
def test_who_comes_after_takes_another_number_and_begins_above_all_ids(
    client: Redis, open_ledger: OpenLedger, clock: float
) -> None:
    async def test() -> None:
        async with open_ledger() as ledger:
            killed = WorkerLease(ledger.call, "killed", 0, 0, "here")
            ids = await killed.renew(NOW)
            last = [ids.first(256, NOW + 9) for _ in range(1000)][-1] + 255
            other = await WorkerLease(ledger.call, "next", 0, 0, "here").renew(NOW + clock)
            assert other.worker != ids.worker
            assert other.first(1, NOW + clock) > last

    asyncio.run(test())


def test_workers_that_begin_together_give_ids_of_the_same_time(client: Redis, open_ledger: OpenLedger) -> None:
    async def test() -> None:
        async with open_ledger() as ledger:
            for number in range(16):
                ids = await WorkerLease(ledger.call, f"worker-{number}", 0, number, "here").renew(NOW)
                assert ids.worker == number
                assert ids.first(1, NOW + 0.1) >> 20 == int((NOW + 0.1) * 1000)

    asyncio.run(test())


def test_who_lost_a_number_takes_another_and_repeats_no_id(client: Redis, open_ledger: OpenLedger) -> None:
    async def test() -> None:
        async with open_ledger() as ledger:
            stalled = WorkerLease(ledger.call, "stalled", 0, 0, "here")
            ids = await stalled.renew(NOW)
            before = ids.first(256, NOW)
            client.hset(keys.leases_key(), "w0", "1 stalled")  # it ran out
            usurper = await WorkerLease(ledger.call, "usurper", 0, 0, "here").renew(NOW)
            assert usurper.worker == 0
            during = [usurper.first(256, NOW + 2), ids.first(256, NOW + 2)]
            await stalled.renew(NOW)
            assert ids.worker != 0
            after = ids.first(256, NOW)
            assert len({before, *during, after}) == 4
            assert after > max(before, during[1])

    asyncio.run(test())


def test_a_number_that_ran_out_and_came_back_skips_what_others_gave_under_it(
    client: Redis, open_ledger: OpenLedger
) -> None:
    async def test() -> None:
        async with open_ledger() as ledger:
            first, second = (WorkerLease(ledger.call, name, 0, 0, "here") for name in ("first", "second"))
            ids = await first.renew(NOW)
            client.hset(keys.leases_key(), "w0", "1 first")
            others = await second.renew(NOW)
            given = [others.first(256, NOW + HOUR) for _ in range(100)]
            client.hset(keys.leases_key(), "w0", "1 second")
            await first.renew(NOW)
            assert ids.worker == 0
            assert ids.first(1, NOW) > max(given) + 255

    asyncio.run(test())


def test_the_number_of_a_machine_is_refused_to_a_second_holder_and_kept_for_the_first(client: Redis) -> None:
    assert lease(client, "n", "one", [3]).number == 3
    assert lease(client, "n", "one", [3]).number == 3
    with pytest.raises(NumberHeldError, match="one"):
        lease(client, "n", "two", [3])
    assert lease(client, "n", "two", [3, 4]).number == 4


def test_a_lease_made_before_the_clock_of_the_store_was_set_back_does_not_last_for_hours(client: Redis) -> None:
    seconds, _ = client.time()  # type: ignore[misc]
    client.hset(keys.leases_key(), "n3", f"{(seconds + 7200) * 1000} gone")
    with pytest.raises(NumberHeldError):
        lease(client, "n", "two", [3])
    ends, _, _ = client.hget(keys.leases_key(), "n3").partition(b" ")  # type: ignore[union-attr]
    assert int(ends) <= (seconds + 20) * 1000
