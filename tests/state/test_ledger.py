"""One question and one settlement for a batch, on a real Valkey."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import orjson
import pytest
from redis import Redis
from redis.exceptions import ResponseError

from smsc_filter.policy.facts import ConsentState, Sender, Window
from smsc_filter.policy.quota import Charge, sender_use
from smsc_filter.policy.record import outcomes_from_entry, rows_from_entry
from smsc_filter.policy.verdict import Cause, Finding
from smsc_filter.sms.udh import Part
from smsc_filter.state import keys
from smsc_filter.state.embedded import EmbeddedStore
from smsc_filter.state.ledger import BIND_SECONDS, GiveBack, KnownParts, Ledger, PartSeen, StoreUnavailable
from smsc_filter.state.meters import MOST_PLANS
from tests.records.helpers import header, row
from tests.relay.harness import short_folder

from .conftest import OpenLedger, charge_of, ledger_at, write_consents
from .lossy import lossy_line

NOW = 1_767_225_600.0
GRANTED, REFUSED, WITHDRAWN, NONE = (
    ConsentState.GRANTED, ConsentState.REFUSED, ConsentState.WITHDRAWN, ConsentState.NONE,
)  # fmt: skip
HOUR = Window(3600, 3, "practice")


def sender(address: str = "106900001", *windows: Window) -> Sender:
    return Sender(address, "shop-ltd", "commercial", windows or (HOUR,))


def rows_of(number: int, source: str = "106900001") -> list[list[Any]]:
    rows = [row(at + 1) for at in range(number)]
    for each in rows:
        each[3] = source
    return rows


async def spend(ledger: Ledger, count: int, by: Sender | None = None, now: float = NOW) -> list[int]:
    """Spend ``count`` messages of one sender; the rows that are refused."""
    by = by or sender()
    return sorted(await ledger.spend(now, header(), rows_of(count, by.address), [charge_of(by)] * count))


def entries(client: Redis, partition: int = 0) -> list[dict[bytes, bytes]]:
    return [fields for _, fields in client.xrange(keys.decisions_key(partition))]


# Looking up.


@pytest.mark.parametrize("partitions", [1, 8])
def test_consents_are_found_in_the_order_asked(client: Redis, open_ledger: OpenLedger, partitions: int) -> None:
    known = {(f"86138{number:08}", owner): ConsentState(1 + (number + owner) % 3)
             for number in range(40) for owner in (1, 2)}  # fmt: skip
    write_consents(client, ((*who, state) for who, state in known.items()), partitions)
    asked = [(owner, f"86138{number:08}") for number in range(50, -1, -1) for owner in (2, 3, 1)]

    async def scenario() -> list[ConsentState]:
        async with open_ledger(partitions=partitions) as ledger:
            states, parts = await ledger.look_up(asked)
            assert not parts
            return states

    expected = [known.get((recipient, owner), NONE) for owner, recipient in asked]
    assert asyncio.run(scenario()) == expected
    assert set(expected) == {NONE, GRANTED, REFUSED, WITHDRAWN}


def test_what_cannot_be_read_is_no_consent(client: Redis, open_ledger: OpenLedger) -> None:
    field = keys.consent_field(1, "8613800000001")
    client.hset(keys.consent_key(0, field), field, b"yes")

    async def scenario() -> None:
        async with open_ledger() as ledger:
            assert await ledger.look_up([(1, "8613800000001")]) == ([NONE], [])
            assert await ledger.look_up([]) == ([], [])

    asyncio.run(scenario())


def part(number: int, octets: bytes, *, reference: int = 7, recipient: str = "8613800000001") -> PartSeen:
    return PartSeen("106900001", recipient, Part(reference, 3, number), 8, octets)


@pytest.mark.parametrize("partitions", [1, 4])
def test_parts_know_each_other_over_batches_and_workers(open_ledger: OpenLedger, partitions: int) -> None:
    async def scenario() -> None:
        async with (
            open_ledger("0-1", partitions=partitions) as one,
            open_ledger("0-2", partitions=partitions) as two,
        ):
            _, known = await one.look_up([], [part(2, b"two")])
            assert known == [KnownParts({2: (8, b"two")}, None)]
            _, known = await two.look_up([], [part(3, b"three"), part(1, b"", reference=8), part(1, b"one\0")])
            whole = KnownParts({1: (8, b"one\0"), 2: (8, b"two"), 3: (8, b"three")}, None, counts=False)
            assert known == [whole, KnownParts({1: (8, b"")}, None), whole]
            _, known = await one.look_up([], [part(1, b"hi", recipient="8613800000002")])
            assert known == [KnownParts({1: (8, b"hi")}, None)]

    asyncio.run(scenario())


def test_a_question_and_a_part_in_one_batch(client: Redis, open_ledger: OpenLedger) -> None:
    write_consents(client, [("8613800000001", 1, GRANTED)], 1)

    async def scenario() -> None:
        async with open_ledger() as ledger:
            states, known = await ledger.look_up([(1, "8613800000001"), (2, "8613800000001")], [part(1, b"x" * 65_535)])
            assert states == [GRANTED, NONE]
            assert known == [KnownParts({1: (8, b"x" * 65_535)}, None)]

    asyncio.run(scenario())


def test_a_refused_part_refuses_the_others(open_ledger: OpenLedger) -> None:
    async def scenario() -> None:
        async with open_ledger() as ledger:
            await ledger.look_up([], [part(1, b"one")])
            await ledger.refuse_parts([(part(1, b"one"), Cause.NO_CONSENT)])
            _, known = await ledger.look_up([], [part(2, b"two")])
            assert known == [KnownParts({1: (8, b"one"), 2: (8, b"two")}, Cause.NO_CONSENT, counts=False)]

    asyncio.run(scenario())


def test_a_refused_message_that_comes_again_is_judged_anew(open_ledger: OpenLedger) -> None:
    """Its sender may be short of a quota no more, its recipient may have agreed since."""

    async def scenario() -> None:
        async with open_ledger() as ledger:
            await ledger.look_up([], [part(1, b"one"), part(2, b"two")])
            await ledger.refuse_parts([(part(2, b"two"), Cause.QUOTA_SPENT)])
            _, known = await ledger.look_up([], [part(2, b"two")])
            assert known == [KnownParts({1: (8, b"one"), 2: (8, b"two")}, None)]

            # In other words too, and with all that came of it: some of that may have reached the recipient.
            await ledger.refuse_parts([(part(2, b"two"), Cause.QUOTA_SPENT)])
            _, known = await ledger.look_up([], [part(2, b"too")])
            assert known == [KnownParts({1: (8, b"one"), 2: (8, b"too")}, None)]

    asyncio.run(scenario())


def test_another_message_under_the_reference_of_a_refused_one_has_nothing_to_do_with_it(
    open_ledger: OpenLedger,
) -> None:
    """There are 256 references, and some senders use but one."""

    async def scenario() -> None:
        async with open_ledger() as ledger:
            await ledger.look_up([], [part(1, b"one"), part(2, b"two"), part(3, b"three")])
            await ledger.refuse_parts([(part(1, b"one"), Cause.NO_CONSENT)])
            _, known = await ledger.look_up([], [part(1, b"your code")])
            assert known == [KnownParts({1: (8, b"your code")}, None)]
            _, known = await ledger.look_up([], [part(2, b"is 1234")])
            assert known == [KnownParts({1: (8, b"your code"), 2: (8, b"is 1234")}, None, counts=False)]

    asyncio.run(scenario())


def test_parts_are_forgotten_in_time(client: Redis, open_ledger: OpenLedger) -> None:
    async def scenario() -> None:
        async with open_ledger(remember_parts=60.0) as ledger:
            await ledger.look_up([], [part(1, b"one")])

    asyncio.run(scenario())
    assert 55_000 < int(client.pttl(keys.parts_key(0, "106900001", "8613800000001", 7, 3))) <= 60_000


def test_a_message_begins_with_its_first_part_or_one_sent_again(open_ledger: OpenLedger) -> None:
    """Else whoever sends a long message again and again under one reference would have the others for nothing."""

    async def scenario() -> list[bool]:
        async with open_ledger() as ledger:
            _, together = await ledger.look_up([], [part(2, b"two"), part(1, b"one")])
            _, third = await ledger.look_up([], [part(3, b"three")])
            _, again = await ledger.look_up([], [part(2, b"two")])
            return [known.counts for known in (*together, *third, *again)]

    assert asyncio.run(scenario()) == [True, False, False, True]


# Spending.


def test_senders_with_equal_caps_cost_one_plan_and_each_refusal_names_its_own(
    client: Redis, open_ledger: OpenLedger
) -> None:
    addresses = ['Ann "the /shop\\"', "106900002", "M\u00fcller"]

    async def scenario() -> dict[int, Finding]:
        async with open_ledger() as ledger:
            charges = [charge_of(sender(address)) for address in addresses for _ in range(4)]
            refused = await ledger.spend(NOW, header(), rows_of(12), charges)
            assert len({id(ledger._plans.of(charge.shared[0].gauge, ledger.statuses)[0]) for charge in charges}) == 1
            return refused

    refused = asyncio.run(scenario())
    assert sorted(refused) == [3, 7, 11]
    said = [f"{address} has sent 3 within 3600 s, which is its cap" for address in addresses]
    assert [refused[row].sentence for row in (3, 7, 11)] == said
    (entry,) = entries(client)
    made = rows_from_entry(entry[b"b"], entry[b"r"])
    assert [orjson.loads(made[row][15] or "")[0][2] for row in (3, 7, 11)] == said


def test_what_is_admitted_and_refused_is_on_record(client: Redis, open_ledger: OpenLedger) -> None:
    async def scenario() -> None:
        async with open_ledger() as ledger:
            of_it = charge_of(sender())
            refusals = await ledger.spend(NOW, header(), rows_of(5), [of_it, None, of_it, of_it, of_it])
            assert set(refusals) == {4}
            assert refusals[4].cause is Cause.QUOTA_SPENT
            assert refusals[4].sentence == "106900001 has sent 3 within 3600 s, which is its cap"

    asyncio.run(scenario())
    (entry,) = entries(client)
    made = rows_from_entry(entry[b"b"], entry[b"r"])
    assert [values[7] for values in made] == ["", "", "", "", "quota-spent"]
    assert made[4][8] == Cause.QUOTA_SPENT.status
    assert orjson.loads(made[4][15] or "") == [
        ["quota", "quota-spent", "106900001 has sent 3 within 3600 s, which is its cap", "practice"]
    ]


def test_a_batch_that_charges_nobody_is_on_record(client: Redis, open_ledger: OpenLedger) -> None:
    async def scenario() -> None:
        async with open_ledger() as ledger:
            assert await ledger.spend(NOW, header(), rows_of(2), [None, None]) == {}

    asyncio.run(scenario())
    (entry,) = entries(client)
    assert [values[0] for values in rows_from_entry(entry[b"b"], entry.get(b"r"))] == [1, 2]


def test_a_message_fits_all_windows_or_spends_nothing(open_ledger: OpenLedger) -> None:
    by = sender("106900001", Window(10, 3, "ten"), Window(100, 5, "hundred"))

    async def scenario() -> None:
        async with open_ledger() as ledger:
            assert await spend(ledger, 4, by) == [3]
            assert await spend(ledger, 2, by, NOW + 10) == []
            assert await spend(ledger, 2, by, NOW + 20) == [0, 1]
            assert await spend(ledger, 1, by, NOW + 99.999) == [0]
            assert await spend(ledger, 4, by, NOW + 100) == [3]

    asyncio.run(scenario())


def test_the_window_that_stops_is_the_one_that_is_named(open_ledger: OpenLedger) -> None:
    by = sender("106900001", Window(10, 3, "ten"), Window(100, 4, "hundred"))

    async def scenario() -> None:
        async with open_ledger() as ledger:
            first = await ledger.spend(NOW, header(), rows_of(4), [charge_of(by)] * 4)
            assert [finding.article for finding in first.values()] == ["ten"]
            second = await ledger.spend(NOW + 50, header(), rows_of(3), [charge_of(by)] * 3)
            assert {row: finding.article for row, finding in second.items()} == {1: "hundred", 2: "hundred"}

    asyncio.run(scenario())


def test_senders_are_counted_each_for_itself(open_ledger: OpenLedger) -> None:
    one, two = charge_of(sender("106900001")), charge_of(sender("106900002"))

    async def scenario() -> None:
        async with open_ledger() as ledger:
            refusals = await ledger.spend(NOW, header(), rows_of(8), [one, two, one, one, one, two, two, two])
            assert set(refusals) == {4, 7}
            assert refusals[7].sentence.startswith("106900002")

    asyncio.run(scenario())


def test_workers_share_one_quota(open_ledger: OpenLedger) -> None:
    async def scenario() -> None:
        async with open_ledger("0-1") as one, open_ledger("0-2") as two:
            assert await spend(one, 2) == []
            assert await spend(two, 2) == [1]

    asyncio.run(scenario())


def test_concurrent_workers_never_admit_more_than_the_cap(open_ledger: OpenLedger) -> None:
    by = sender("106900001", Window(3600, 50, "fifty"))

    async def scenario() -> int:
        async with open_ledger("0-1") as one, open_ledger("0-2") as two, open_ledger("0-3") as three:
            refused = await asyncio.gather(*(spend(ledger, 3, by) for _ in range(10) for ledger in (one, two, three)))
            return 90 - sum(map(len, refused))

    assert asyncio.run(scenario()) == 50


@pytest.mark.parametrize("partitions", [2, 7])
def test_over_partitions_every_row_is_where_its_sender_is(
    client: Redis, open_ledger: OpenLedger, partitions: int
) -> None:
    addresses = [f"10690{number:04}" for number in range(12)]
    charges = [charge_of(sender(address)) for address in addresses]

    async def scenario() -> None:
        async with open_ledger(partitions=partitions) as ledger:
            rows = [[*row(at + 1)] for at in range(48)]
            for at, each in enumerate(rows):
                each[3] = addresses[at % 12]
            refusals = await ledger.spend(NOW, header(), rows, [charges[at % 12] for at in range(48)])
            assert set(refusals) == set(range(36, 48))

    asyncio.run(scenario())
    seen = []
    for partition in range(partitions):
        for entry in entries(client, partition):
            for values in rows_from_entry(entry[b"b"], entry.get(b"r")):
                assert keys.partition_of(values[4], partitions) == partition
                seen.append((values[0], values[7]))
    assert sorted(seen) == [(at + 1, "quota-spent" if at >= 36 else "") for at in range(48)]


# Settling.


@pytest.mark.parametrize("partitions", [1, 5])
def test_what_the_smsc_rejects_is_given_back(client: Redis, open_ledger: OpenLedger, partitions: int) -> None:
    async def scenario() -> None:
        async with open_ledger(partitions=partitions) as ledger:
            assert await spend(ledger, 3) == []
            assert await spend(ledger, 1, now=NOW + 1) == [0]
            await ledger.settle(
                [(1, 5, 0x45, ""), (2, 6, 0, "m-2")], {GiveBack(charge_of(sender("106900001")), int(NOW * 1000)): 2}
            )
            assert await spend(ledger, 3, now=NOW + 2) == [2]

    asyncio.run(scenario())
    settled = [entry[b"o"] for entry in entries(client) if b"o" in entry]
    assert outcomes_from_entry(settled[0]) == [(1, 5, 0x45, ""), (2, 6, 0, "m-2")]


def test_giving_back_reaches_behind_later_spending(open_ledger: OpenLedger) -> None:
    by = sender("106900001", Window(10, 4, "ten"))

    async def scenario() -> None:
        async with open_ledger() as ledger:
            assert await spend(ledger, 2, by) == []
            assert await spend(ledger, 2, by, NOW + 5) == []
            await ledger.settle([], {GiveBack(charge_of(by), int(NOW * 1000)): 2})
            assert await spend(ledger, 3, by, NOW + 6) == [2]
            assert await spend(ledger, 1, by, NOW + 10) == [0]
            assert await spend(ledger, 3, by, NOW + 15) == [2]

    asyncio.run(scenario())


def test_giving_back_to_a_sender_that_is_forgotten_is_no_fault(client: Redis, open_ledger: OpenLedger) -> None:
    async def scenario() -> None:
        async with open_ledger() as ledger:
            await ledger.settle([(1, 5, 0, "m")], {GiveBack(charge_of(sender("106900099")), 5): 1})

    asyncio.run(scenario())
    assert not client.exists(keys.log_key(0, "s", "106900099"))


# A call that is repeated because its answer was lost.


def test_a_repeated_call_counts_once(store: EmbeddedStore, client: Redis) -> None:
    async def scenario() -> None:
        with short_folder() as folder:
            async with lossy_line(store.url, folder) as (line, url), ledger_at(url) as ledger:
                # The server knows every script by now, so what is lost below is the answer of one that ran.
                await spend(ledger, 1)
                await ledger.settle([], {})
                await ledger.take_bind("bank", "0-1:0", 1, NOW)

                line.lose = 1
                assert await spend(ledger, 1) == []
                line.lose = 1
                await ledger.settle([(1, 5, 0x45, "")], {GiveBack(charge_of(sender("106900001")), int(NOW * 1000)): 1})
                line.lose = 1
                assert await spend(ledger, 3) == [2]
                line.lose = 1
                assert await ledger.take_bind("shop", "0-1:1", 1, NOW)
                assert not await ledger.take_bind("shop", "0-1:2", 1, NOW)
                assert line.lost == 4

    asyncio.run(scenario())
    kinds = [sorted(entry) for entry in entries(client)]
    assert kinds == [[b"b"], [b"o"], [b"b"], [b"o"], [b"b", b"r"]]


def test_a_batch_of_an_earlier_process_is_another_one(client: Redis, open_ledger: OpenLedger) -> None:
    """The numbers of a worker of the same name must not look like a repetition."""

    async def scenario() -> None:
        for _ in range(3):
            async with open_ledger("0-1") as ledger:
                await spend(ledger, 1)
                await asyncio.sleep(0.002)

    asyncio.run(scenario())
    assert len(entries(client)) == 3


# Binds.


def test_an_account_has_only_so_many_binds(open_ledger: OpenLedger) -> None:
    async def scenario() -> None:
        async with open_ledger("0-1") as one, open_ledger("0-2") as two:
            assert await one.take_bind("shop", "0-1:1", 2, NOW)
            assert await two.take_bind("shop", "0-2:1", 2, NOW)
            assert not await one.take_bind("shop", "0-1:2", 2, NOW)
            assert await one.take_bind("bank", "0-1:2", 1, NOW)
            await two.drop_bind("shop", "0-2:1")
            assert await one.take_bind("shop", "0-1:3", 2, NOW)

    asyncio.run(scenario())


def test_a_bind_that_nobody_keeps_alive_is_free_again(open_ledger: OpenLedger) -> None:
    async def scenario() -> None:
        async with open_ledger() as ledger:
            assert await ledger.take_bind("shop", "kept", 2, NOW)
            assert await ledger.take_bind("shop", "lost", 2, NOW)
            await ledger.keep_binds([("shop", "kept")], NOW + BIND_SECONDS - 1)
            await ledger.keep_binds([], NOW + BIND_SECONDS)
            assert not await ledger.take_bind("shop", "third", 2, NOW + BIND_SECONDS - 0.001)
            assert await ledger.take_bind("shop", "third", 2, NOW + BIND_SECONDS)
            assert not await ledger.take_bind("shop", "fourth", 2, NOW + BIND_SECONDS)

    asyncio.run(scenario())


# Troubles.


def test_a_store_that_stays_away_is_told_after_patience(client: Redis) -> None:
    async def scenario() -> None:
        with short_folder() as folder:
            store = EmbeddedStore(folder, fsync="everysec")
            store.start()
            try:
                async with ledger_at(store.url, patience=0.1, timeout=0.5) as ledger:
                    await spend(ledger, 1)
                    assert await ledger.backlog_octets() > 0
                    version, _ = await ledger.small_tables(None)
                    assert store._process is not None
                    store._process.kill()
                    store._process.wait()
                    with pytest.raises(StoreUnavailable, match="the store is away"):
                        await spend(ledger, 1)
                    with pytest.raises(StoreUnavailable):
                        await ledger.look_up([(1, "8613800000001")])
                    with pytest.raises(StoreUnavailable):
                        await ledger.refuse_parts([(part(1, b""), Cause.NO_CONSENT)])
                    with pytest.raises(StoreUnavailable):
                        await ledger.take_bind("shop", "1", 1, NOW)
                    # What can wait says nothing.
                    await ledger.keep_binds([("shop", "1")], NOW)
                    await ledger.drop_bind("shop", "1")
                    assert await ledger.backlog_octets() == 0
                    assert await ledger.small_tables(version) == (version, None)
            finally:
                store.stop()

    asyncio.run(scenario())


def test_a_store_that_comes_back_in_time_was_never_away(client: Redis) -> None:
    async def scenario() -> None:
        with short_folder() as folder:
            store = EmbeddedStore(folder)
            store.start()
            try:
                async with ledger_at(store.url, patience=20.0) as ledger:
                    assert await spend(ledger, 2) == []
                    assert store._process is not None
                    store._process.kill()
                    store._process.wait()
                    waiting = asyncio.create_task(spend(ledger, 2, now=NOW + 1))
                    await asyncio.sleep(0.05)
                    assert not waiting.done()
                    store.start()
                    assert await waiting == [1]  # what was spent before the kill still counts
            finally:
                store.stop()

    asyncio.run(scenario())


def test_a_store_that_hangs_is_bounded_by_the_timeout(client: Redis, open_ledger: OpenLedger) -> None:
    """A script of somebody else keeps it busy: first silence, then BUSY, then the answer."""
    client.config_set("busy-reply-threshold", 50)
    failed: list[Exception] = []

    def keep_busy() -> None:
        try:
            client.eval("while true do end", 0)
        except ResponseError as error:
            failed.append(error)

    async def scenario() -> None:
        async with open_ledger(patience=0.2, timeout=0.1) as short, open_ledger(patience=20.0) as long:
            await spend(long, 1)
            busy = threading.Thread(target=keep_busy)
            busy.start()
            await asyncio.sleep(0.01)
            with pytest.raises(StoreUnavailable):
                await spend(short, 1)
            waiting = asyncio.create_task(spend(long, 3))
            await asyncio.sleep(0.1)
            assert not waiting.done()
            with Redis(unix_socket_path=path) as other:
                other.script_kill()
            busy.join()
            assert await waiting == [2]

    path = client.connection_pool.connection_kwargs["path"]
    asyncio.run(scenario())
    assert failed


def test_what_the_store_comes_to_too_late_is_neither_spent_nor_recorded(client: Redis, open_ledger: OpenLedger) -> None:
    """What is sent while it stands still waits in its buffers, and is executed when it goes on."""

    async def scenario() -> None:
        async with open_ledger(patience=0.2, timeout=0.1) as ledger:
            await spend(ledger, 1)
            client.execute_command("CLIENT", "PAUSE", 1000, "ALL")
            with pytest.raises(StoreUnavailable):
                await spend(ledger, 1)
            await asyncio.sleep(1.0)
        assert len(entries(client)) == 1
        async with open_ledger() as ledger:
            assert await spend(ledger, 2) == [], "of three an hour one is spent"

    asyncio.run(scenario())


def test_what_was_spent_for_a_batch_that_nobody_could_be_told_of_is_given_back(
    store: EmbeddedStore, client: Redis
) -> None:
    async def scenario() -> None:
        with short_folder() as folder:
            waits = {"patience": 0.1, "timeout": 0.1}
            async with lossy_line(store.url, folder) as (line, url), ledger_at(url, **waits) as ledger:
                await spend(ledger, 1)
                line.lose = 1000  # it is spent, and every answer lost
                with pytest.raises(StoreUnavailable):
                    await spend(ledger, 1)
                line.lose = 0
                assert len(entries(client)) == 2
                assert await spend(ledger, 3) == [2], "of three an hour one is spent"

    asyncio.run(scenario())


def test_a_store_that_refuses_is_not_asked_again(client: Redis, open_ledger: OpenLedger) -> None:
    client.set(keys.decisions_key(0), "not a stream")

    async def scenario() -> None:
        async with open_ledger(patience=60.0) as ledger:
            with pytest.raises(StoreUnavailable, match="the store refused"):
                await spend(ledger, 1)

    asyncio.run(scenario())


def test_a_server_that_lost_the_scripts_gets_them_again(client: Redis, open_ledger: OpenLedger) -> None:
    async def scenario() -> None:
        async with open_ledger() as ledger:
            await spend(ledger, 1)
            client.script_flush()
            assert await spend(ledger, 3) == [2]

    asyncio.run(scenario())


def test_many_senders_do_not_fill_the_memory_of_a_worker(open_ledger: OpenLedger) -> None:
    async def scenario() -> None:
        async with open_ledger() as ledger:
            charges = [Charge((sender_use(sender(f"10690{number:06}")),)) for number in range(66_000)]
            for charge in charges:
                ledger._plans.of(charge.shared[0].gauge, ledger.statuses)
            assert len(ledger._plans) <= MOST_PLANS
            rows = rows_of(4)
            assert set(await ledger.spend(NOW, header(), rows, charges[:1] * 4)) == {3}

    asyncio.run(scenario())
