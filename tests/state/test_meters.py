"""Meters against an oracle that counts by hand every message that was ever admitted.

Schedules are generated in milliseconds, short windows make their edges frequent, and clocks step back.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis

from smsc_filter.policy.facts import Contacts, Sender, Window
from smsc_filter.policy.quota import EXACT_CAP, SLOTS, Charge, Gauge, Use
from smsc_filter.policy.verdict import Cause, Finding
from smsc_filter.state import keys
from smsc_filter.state.clock import SteadyClock, time_anchor
from smsc_filter.state.embedded import EmbeddedStore
from smsc_filter.state.ledger import GiveBack, Ledger, StoreUnavailable
from smsc_filter.state.meters import plans_of, used
from tests.records.helpers import header, row
from tests.relay.harness import short_folder

from .conftest import charge_of, ledger_at

START_MS = 1_767_225_600_000
TIME_OCTETS = 6
ADDRESSES = count(10_690_000_000)
"""No schedule meets what another one spent."""

A_SCHEDULE = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@dataclass
class Counted:
    """Everything one meter admitted, one by one."""

    windows: Sequence[Window]
    admitted: list[int] = field(default_factory=list)
    """Moments in ms; a clock that steps back is held at the last of them."""

    def moment(self, now: int) -> int:
        return max(now, max(self.admitted, default=0))

    def within(self, now: int, length_ms: int) -> int:
        """How many lie in the window that ends now."""
        return sum(now - length_ms < each <= now for each in self.admitted)

    def has_room(self, now: int) -> bool:
        moment = self.moment(now)
        return all(self.within(moment, window.seconds * 1000) < window.cap for window in self.windows)

    def add(self, now: int) -> None:
        self.admitted.append(self.moment(now))


def admit(meters: Sequence[Counted], now: int, wanted: int) -> int:
    """How many of one batch go through: each fits every meter, or spends nothing."""
    done = 0
    while done < wanted and all(meter.has_room(now) for meter in meters):
        for meter in meters:
            meter.add(now)
        done += 1
    return done


def rows_of(number: int, source: str = "106900001") -> list[list[Any]]:
    rows = [row(at + 1) for at in range(number)]
    for each in rows:
        each[3] = source
    return rows


async def spend_all(
    ledger: Ledger, charges: Sequence[Charge | None], now_ms: int, **more: Any
) -> Mapping[int, Finding]:
    # Half a millisecond more, so that no rounding of seconds falls below the millisecond meant.
    return await ledger.spend((now_ms + 0.5) / 1000, header(), rows_of(len(charges)), charges, **more)


async def spend(ledger: Ledger, by: Sender, now_ms: int, wanted: int) -> int:
    """How many of ``wanted`` messages are admitted; they are the first."""
    refused = await spend_all(ledger, [charge_of(by)] * wanted, now_ms)
    assert sorted(refused) == list(range(wanted - len(refused), wanted))
    return wanted - len(refused)


def windows_of(caps: list[tuple[int, int]]) -> tuple[Window, ...]:
    return tuple(Window(seconds, cap, f"{seconds} s") for seconds, cap in sorted(dict(caps).items()))


def sender_with(*caps: tuple[int, int]) -> Sender:
    return Sender(str(next(ADDRESSES)), "shop-ltd", "commercial", windows_of(list(caps)))


some_windows = st.lists(st.tuples(st.integers(1, 5), st.integers(1, 9)), min_size=1, max_size=3).map(windows_of)
# Steps of whole and half seconds fall on the edges of windows, a millisecond beside them.
steps = st.one_of(st.sampled_from([0, 1, 499, 500, 999, 1000, 1001, 2000, 3000, 5000]), st.integers(0, 6000))
schedules = st.lists(st.tuples(steps, st.integers(1, 12), st.booleans()), max_size=25)


# Exact windows.


@settings(A_SCHEDULE, max_examples=120)
@given(windows=some_windows, schedule=schedules)
def test_windows_are_exact(
    store: EmbeddedStore, windows: tuple[Window, ...], schedule: list[tuple[int, int, bool]]
) -> None:
    """Some of what was admitted last is given back, as when the SMSC rejects it."""
    by, oracle = Sender(str(next(ADDRESSES)), "shop-ltd", "commercial", windows), Counted(windows)

    async def scenario() -> None:
        now = START_MS
        async with ledger_at(store.url) as ledger:
            for step, wanted, give_back in schedule:
                now += step
                admitted = await spend(ledger, by, now, wanted)
                assert admitted == admit([oracle], now, wanted)
                if give_back and admitted:
                    await ledger.settle([], {GiveBack(charge_of(by), now): (admitted + 1) // 2})
                    for _ in range((admitted + 1) // 2):
                        oracle.admitted.remove(now)

    asyncio.run(scenario())


@pytest.mark.parametrize("offset_ms", [0, 1, 1_799_999, 3_599_999])
def test_the_200th_in_an_hour_passes_and_the_201st_does_not(store: EmbeddedStore, offset_ms: int) -> None:
    """Spread over the edge of a clock hour, and asked a millisecond before and at the moment when the first is out."""
    by = sender_with((3600, 200))
    begin = START_MS + offset_ms

    async def scenario() -> None:
        async with ledger_at(store.url) as ledger:
            for at in range(200):
                assert await spend(ledger, by, begin + at * 17_000, 1) == 1
            for at in (199 * 17_000 + 1, 3_599_999):
                assert await spend(ledger, by, begin + at, 1) == 0
            assert await spend(ledger, by, begin + 3_600_000, 2) == 1
            assert await spend(ledger, by, begin + 3_616_999, 1) == 0
            assert await spend(ledger, by, begin + 3_617_000, 1) == 1

    asyncio.run(scenario())


@pytest.mark.parametrize("seed", range(3))
def test_a_long_log_is_trimmed_and_stays_exact(store: EmbeddedStore, client: Redis, seed: int) -> None:
    random = Random(seed)
    by = sender_with((5, 40), (30, 150))
    oracle = Counted(by.windows)
    key = keys.log_key(0, "s", by.address)
    longest = 0

    async def scenario() -> None:
        nonlocal longest
        now = START_MS
        async with ledger_at(store.url) as ledger:
            for _ in range(900):
                now += random.choice([0, 1, 50, 137, 250, 500, 1000])
                wanted = random.randint(1, 4)
                assert await spend(ledger, by, now, wanted) == admit([oracle], now, wanted)
                oracle.admitted = [each for each in oracle.admitted if each > now - 31_000]
                longest = max(longest, client.strlen(key))

    asyncio.run(scenario())
    assert 140 * TIME_OCTETS < longest <= 200 * TIME_OCTETS
    assert int(client.pttl(key)) <= 60_000


def test_the_largest_exact_cap_is_exact_over_the_edge_of_its_window(store: EmbeddedStore, client: Redis) -> None:
    by = sender_with((86_400, EXACT_CAP))

    async def scenario() -> None:
        async with ledger_at(store.url) as ledger:
            for batch in range(16):
                assert await spend(ledger, by, START_MS + batch * 1000, 256) == 256
            assert await spend(ledger, by, START_MS + 86_399_999, 1) == 0
            assert await spend(ledger, by, START_MS + 86_400_000, 300) == 256
            assert await spend(ledger, by, START_MS + 86_400_999, 1) == 0

    asyncio.run(scenario())
    assert client.strlen(keys.log_key(0, "s", by.address)) <= EXACT_CAP * TIME_OCTETS * 5 // 4


# Large caps, in slots.


large = st.tuples(st.integers(1, 40), st.integers(EXACT_CAP + 1, EXACT_CAP + 300))


@settings(A_SCHEDULE, max_examples=60)
@given(
    window=large,
    begin=st.integers(0, 10_000),
    schedule=st.lists(st.tuples(st.integers(0, 12_000), st.integers(1, 3_000), st.booleans()), max_size=20),
)
def test_slots_never_admit_more_and_refuse_for_a_slot_at_most(
    store: EmbeddedStore, window: tuple[int, int], begin: int, schedule: list[tuple[int, int, bool]]
) -> None:
    """What is admitted fits the exact window; what is refused would not have fitted one that is a slot longer."""
    seconds, cap = window
    by, length = sender_with(window), seconds * 1000
    slot = -(-length // SLOTS)
    oracle = Counted([])

    async def scenario() -> None:
        now = START_MS + begin
        async with ledger_at(store.url) as ledger:
            for step, wanted, give_back in schedule:
                now += step
                admitted = await spend(ledger, by, now, wanted)
                oracle.admitted += [now] * admitted
                assert oracle.within(now, length) <= cap
                assert admitted == wanted or oracle.within(now, length + slot) >= cap
                if give_back and admitted:
                    await ledger.settle([], {GiveBack(charge_of(by), now): (admitted + 1) // 2})
                    del oracle.admitted[-((admitted + 1) // 2) :]

    asyncio.run(scenario())


def test_a_cap_of_millions_costs_a_kilobyte(store: EmbeddedStore, client: Redis) -> None:
    by = sender_with((3600, 3_000_000), (86_400, 20_000_000))
    random = Random(7)
    oracle = Counted([])

    async def scenario() -> None:
        async with ledger_at(store.url) as ledger:
            now = START_MS
            for _ in range(600):
                now += random.choice([10, 5_000, 15_000, 40_000])
                assert await spend(ledger, by, now, 200) == 200

    asyncio.run(scenario())
    assert not oracle.admitted
    for seconds in (3600, 86_400):
        assert client.strlen(keys.slots_key(0, "s", by.address, seconds)) == 24 + 4 * (SLOTS + 1)


def test_giving_back_reaches_finished_slots(store: EmbeddedStore) -> None:
    by = sender_with((240, 5000))

    async def scenario() -> None:
        async with ledger_at(store.url) as ledger:
            assert await spend(ledger, by, START_MS, 3000) == 3000
            assert await spend(ledger, by, START_MS + 5_000, 3000) == 2000
            await ledger.settle([], {GiveBack(charge_of(by), START_MS): 1000})
            assert await spend(ledger, by, START_MS + 6_000, 3000) == 1000
            # More than there was cannot be given back.
            await ledger.settle([], {GiveBack(charge_of(by), START_MS + 6_000): 9000})
            assert await spend(ledger, by, START_MS + 7_000, 3000) == 1000

    asyncio.run(scenario())


# Clocks.


@settings(A_SCHEDULE, max_examples=80)
@given(windows=some_windows, schedule=st.lists(st.tuples(st.integers(-900, 4000), st.integers(1, 12)), max_size=25))
def test_a_clock_that_steps_back_frees_nothing(
    store: EmbeddedStore, windows: tuple[Window, ...], schedule: list[tuple[int, int]]
) -> None:
    by, oracle = Sender(str(next(ADDRESSES)), "shop-ltd", "commercial", windows), Counted(windows)

    async def scenario() -> None:
        now = START_MS
        async with ledger_at(store.url) as ledger:
            for step, wanted in schedule:
                now += step
                if oracle.moment(now) - now > windows[-1].seconds * 1000:
                    now = oracle.moment(now)
                assert await spend(ledger, by, now, wanted) == admit([oracle], now, wanted)

    asyncio.run(scenario())


@pytest.mark.parametrize("cap", [5, EXACT_CAP + 5], ids=["log", "slots"])
@pytest.mark.parametrize("ahead_ms", [1500, 10**8])
def test_whoever_wrote_by_a_clock_that_ran_ahead_waits_two_windows_at_most(
    store: EmbeddedStore, cap: int, ahead_ms: int
) -> None:
    by = sender_with((2, cap))

    async def scenario() -> None:
        async with ledger_at(store.url) as ledger:
            assert await spend(ledger, by, START_MS + ahead_ms, 5000) == cap
            # Right again: refused, since those were sent just now, whatever the clock said.
            assert await spend(ledger, by, START_MS + 1, 1) == 0
            assert await spend(ledger, by, START_MS + 1999, 1) == 0
            assert await spend(ledger, by, START_MS + 4100, 5000) == cap

    asyncio.run(scenario())


def test_a_clock_that_steps_back_is_held_where_it_was(store: EmbeddedStore) -> None:
    by = sender_with((2, 5))

    async def scenario() -> None:
        async with ledger_at(store.url) as ledger:
            assert await spend(ledger, by, START_MS, 3) == 3
            assert await spend(ledger, by, START_MS + 2000, 2) == 2
            assert await spend(ledger, by, START_MS + 500, 4) == 3  # the two seconds before 2000 have two
            assert await spend(ledger, by, START_MS + 3999, 1) == 0
            assert await spend(ledger, by, START_MS + 4000, 6) == 5

    asyncio.run(scenario())


# Several meters at once.


def gauge(kind: str, name: str, *caps: tuple[int, int], per_message: bool = False) -> Use:
    return Use(Gauge(kind, f"{kind[0]}{next(ADDRESSES)}/", name, windows_of(list(caps)), per_message=per_message), name)


PARTITIONS = [1, 5]


@pytest.mark.parametrize("partitions", PARTITIONS)
def test_a_message_fits_every_meter_or_spends_nothing(store: EmbeddedStore, partitions: int) -> None:
    sender = gauge("sender", "106900001", (3600, 10))
    owner = gauge("owner", "shop-ltd", (3600, 6))
    recipients = [gauge("recipient", f"86138000000{number:02}", (3600, 2)) for number in range(9)]

    async def scenario() -> None:
        async with ledger_at(store.url, partitions=partitions) as ledger:
            one = [Charge((sender, owner), (recipients[0],))] * 5
            refused = await spend_all(ledger, one, START_MS)
            assert {at: finding.cause.value for at, finding in refused.items() if finding.cause} == dict.fromkeys(
                (2, 3, 4), "recipient-quota-spent"
            )
            # Three were refused and spent nothing: four are left of the owner's six.
            others = [Charge((sender, owner), (each,)) for each in recipients[1:8]]
            refused = await spend_all(ledger, others, START_MS + 1)
            assert sorted(refused) == [4, 5, 6]
            assert {finding.sentence.partition(" have")[0] for finding in refused.values()} == {
                "the senders of shop-ltd"
            }
            # And of those three the recipients and the sender have everything left.
            alone = [Charge((sender,), (each,)) for each in (*recipients[5:8], *recipients[5:8])]
            refused = await spend_all(ledger, alone, START_MS + 2)
            assert sorted(refused) == [4, 5]
            assert {finding.sentence.partition(" ")[0] for finding in refused.values()} == {"106900001"}

    asyncio.run(scenario())


@settings(A_SCHEDULE, max_examples=60)
@given(
    caps=st.lists(
        st.lists(st.tuples(st.integers(1, 4), st.integers(1, 6)), min_size=1, max_size=2), min_size=1, max_size=4
    ),
    schedule=st.lists(
        st.tuples(steps, st.lists(st.sets(st.integers(0, 3), max_size=4), min_size=1, max_size=8)), max_size=12
    ),
)
def test_any_messages_on_any_meters_are_admitted_as_by_hand(
    store: EmbeddedStore, caps: list[list[tuple[int, int]]], schedule: list[tuple[int, list[set[int]]]]
) -> None:
    uses = [gauge("owner", f"owner-{number}", *each) for number, each in enumerate(caps)]
    counted = [Counted(use.gauge.windows) for use in uses]

    async def scenario() -> None:
        now = START_MS
        async with ledger_at(store.url) as ledger:
            for step, wanted in schedule:
                now += step
                chosen = [sorted(at for at in each if at < len(uses)) for each in wanted]
                charges = [Charge((), tuple(uses[at] for at in each)) for each in chosen]
                refused = await spend_all(ledger, charges, now)
                by_hand = (
                    {number for number, each in enumerate(chosen) if admit([counted[at] for at in each], now, 1) == 0}
                    if all(chosen)
                    else None
                )
                if by_hand is None:
                    by_hand = {
                        n for n, each in enumerate(chosen) if each and not admit([counted[at] for at in each], now, 1)
                    }
                assert set(refused) == by_hand

    asyncio.run(scenario())


@pytest.mark.parametrize("partitions", PARTITIONS)
def test_workers_together_never_admit_more_than_any_cap(store: EmbeddedStore, partitions: int) -> None:
    owner = gauge("owner", "shop-ltd", (3600, 50))
    senders = [gauge("sender", f"10690000{number}", (3600, 20)) for number in range(6)]

    async def scenario() -> None:
        ledgers = [ledger_at(store.url, f"0-{at}", partitions=partitions, timeout=60.0) for at in range(3)]
        async with ledgers[0] as one, ledgers[1] as two, ledgers[2] as three:
            calls = [
                spend_all(ledger, [Charge((senders[(at + turn) % 6], owner)) for at in range(4)], START_MS + turn)
                for turn in range(8)
                for ledger in (one, two, three)
            ]
            refused = await asyncio.gather(*calls)
            admitted = 96 - sum(map(len, refused))
            assert admitted == 50 if partitions == 1 else 40 <= admitted <= 50
            # Nothing is lost for good: what was given back can be had.
            rest = await spend_all(one, [Charge((senders[at % 6], owner)) for at in range(12)], START_MS + 9)
            assert 12 - len(rest) == 50 - admitted

    asyncio.run(scenario())


@pytest.mark.parametrize("partitions", PARTITIONS)
def test_what_the_smsc_rejects_is_given_back_on_every_meter(store: EmbeddedStore, partitions: int) -> None:
    charge = Charge(
        (gauge("sender", "106900001", (3600, 3)), gauge("account", "shop", (60, 3), (3600, 10_000))),
        (gauge("recipient", "8613800000001", (86_400, 3)),),
    )

    async def scenario() -> None:
        async with ledger_at(store.url, partitions=partitions) as ledger:
            assert len(await spend_all(ledger, [charge] * 4, START_MS)) == 1
            await ledger.settle([], {GiveBack(charge, START_MS): 2})
            assert len(await spend_all(ledger, [charge] * 3, START_MS + 10)) == 1

    asyncio.run(scenario())


@pytest.mark.parametrize("partitions", PARTITIONS)
def test_parts_that_are_not_counted_share_the_fate_of_the_one_that_is(store: EmbeddedStore, partitions: int) -> None:
    use = gauge("sender", "106900001", (3600, 1), per_message=True)
    charges = [Charge((use,)), None, Charge((use,)), None, None]

    async def scenario() -> None:
        async with ledger_at(store.url, partitions=partitions) as ledger:
            refused = await spend_all(ledger, charges, START_MS, together={0: [1], 2: [3, 4]})
            assert sorted(refused) == [2, 3, 4]

    asyncio.run(scenario())


def test_soft_caps_hold_for_suspicious_texts_alone(store: EmbeddedStore) -> None:
    windows = (Window(3600, 10, "practice", soft=7),)
    use = Use(Gauge("sender", f"s{next(ADDRESSES)}/", "8613900000001", windows), "8613900000001")

    async def scenario() -> None:
        async with ledger_at(store.url) as ledger:
            assert not await spend_all(ledger, [Charge((use,))] * 6, START_MS)
            refused = await spend_all(ledger, [Charge((use,))] * 4, START_MS + 1, suspicious=[1, 3])
            assert sorted(refused) == [1, 3]
            assert {finding.sentence for finding in refused.values()} == {
                "8613900000001 has sent 7 within 3600 s, which is its cap for suspicious texts, below the 10 of all"
            }
            assert sorted(await spend_all(ledger, [Charge((use,))] * 3, START_MS + 2)) == [2]

    asyncio.run(scenario())


# Faults.


def test_a_store_that_is_killed_keeps_every_count(client: Redis) -> None:
    by = sender_with((3600, 5), (86_400, EXACT_CAP + 10))

    async def scenario() -> None:
        with short_folder() as folder:
            store = EmbeddedStore(folder)
            store.start()
            try:
                async with ledger_at(store.url, patience=20.0) as ledger:
                    assert await spend(ledger, by, START_MS, 3) == 3
                    assert store._process is not None
                    store._process.kill()
                    store._process.wait()
                    waiting = asyncio.create_task(spend(ledger, by, START_MS + 1, 4))
                    store.start()
                    assert await waiting == 2
            finally:
                store.stop()

    asyncio.run(scenario())


def test_what_was_taken_for_a_batch_that_fails_is_given_back(store: EmbeddedStore, client: Redis) -> None:
    """One partition cannot be written to: the batch goes nowhere, and the others forget it."""
    partitions = 5
    home = keys.partition_of("106900001", partitions)
    owner = gauge("owner", next(name for name in map(str, range(99)) if keys.partition_of(name, 5) != home), (3600, 4))
    sender = gauge("sender", "106900001", (3600, 9))
    client.set(keys.decisions_key(home), "not a stream")

    async def scenario() -> None:
        async with ledger_at(store.url, partitions=partitions) as ledger:
            for _ in range(3):
                with pytest.raises(StoreUnavailable):
                    await spend_all(ledger, [Charge((sender, owner))] * 3, START_MS)
            client.delete(keys.decisions_key(home))
            assert sorted(await spend_all(ledger, [Charge((sender, owner))] * 5, START_MS + 1)) == [4]

    asyncio.run(scenario())


# Whom a sender writes to.


async def write_to(ledger: Ledger, recipients: Sequence[str], now_ms: int, by: str = "8613900000001") -> Contacts:
    """One batch of a sender without caps."""
    rows = rows_of(len(recipients), by)
    for values, recipient in zip(rows, recipients, strict=True):
        values[4] = recipient
    contacts: dict[str, Contacts] = {}
    await ledger.spend(
        now_ms / 1000, header(), rows, [None] * len(rows), writers={by: range(len(rows))}, contacts=contacts
    )
    return contacts[by]


@pytest.mark.parametrize("partitions", PARTITIONS)
def test_recipients_and_first_contacts_are_counted_by_period(
    store: EmbeddedStore, client: Redis, partitions: int
) -> None:
    week = 7 * 86_400_000
    begin = START_MS // week * week

    async def scenario() -> None:
        async with ledger_at(store.url, partitions=partitions) as ledger:
            assert await write_to(ledger, ["8613800000001", "8613800000002", "8613800000001"], begin) == Contacts(
                2, 2, 3
            )
            assert await write_to(ledger, ["8613800000002"], begin + 1000) == Contacts(2, 2, 4)
            # Of the next period: one who was written to before, and one who was not.
            assert await write_to(ledger, ["8613800000002", "friends"], begin + week) == Contacts(2, 1, 2)
            assert await write_to(ledger, ["8613800000002"], begin + 3 * week) == Contacts(1, 1, 1)
            assert Contacts(4, 1, 9).first_share == 0.25
            assert Contacts(0, 0, 0).first_share == 0.0

    asyncio.run(scenario())


def test_recipients_are_exact_to_2000_and_a_sketch_above(store: EmbeddedStore, client: Redis) -> None:
    async def scenario() -> None:
        async with ledger_at(store.url) as ledger:
            for batch in range(8):
                found = await write_to(ledger, [f"86138{batch * 250 + at:08}" for at in range(250)], START_MS)
                assert found == Contacts((batch + 1) * 250, (batch + 1) * 250, (batch + 1) * 250)
            for batch in range(8, 40):
                found = await write_to(ledger, [f"86138{batch * 250 + at:08}" for at in range(250)] * 2, START_MS)
            assert abs(found.distinct - 10_000) <= 200
            assert abs(found.firsts - 10_000) <= 200
            again = await write_to(ledger, [f"86138{at:08}" for at in range(1000)], START_MS)
            assert (again.distinct, again.firsts) == (found.distinct, found.firsts)

    asyncio.run(scenario())


def test_what_is_refused_is_no_contact(store: EmbeddedStore, client: Redis) -> None:
    by = sender_with((3600, 2))

    async def scenario() -> None:
        async with ledger_at(store.url) as ledger:
            rows = rows_of(3, by.address)
            for at, values in enumerate(rows):
                values[4] = f"861380000000{at}"
            contacts: dict[str, Contacts] = {}
            writers = {by.address: range(3)}
            charges = [charge_of(by)] * 3
            await ledger.spend(START_MS / 1000, header(), rows, charges, writers=writers, contacts=contacts)
            assert contacts == {by.address: Contacts(2, 2, 2)}

    asyncio.run(scenario())


# The clock, and what is used now.


def test_quota_time_passes_as_time_does() -> None:
    elapsed = [100.0]
    clock = SteadyClock(1_767_225_500.0, lambda: elapsed[0])
    assert clock.at(1_767_225_600.25) == 1_767_225_600.25
    assert clock.at(1_767_312_000.0) == 1_767_225_600.0, "set forward by a day"
    elapsed[0] += 10
    assert clock.at(1_767_139_210.0) == 1_767_225_610.0, "set back by a day"
    assert abs(SteadyClock(time_anchor()).at(0.0) - time.time()) < 1


def test_no_step_of_the_clock_of_a_machine_frees_or_locks_anything(store: EmbeddedStore) -> None:
    """As a worker counts: the time of the machine is set forward and back while it runs."""
    by, elapsed = sender_with((3600, 3)), [0.0]
    clock = SteadyClock(START_MS / 1000, lambda: elapsed[0])

    async def scenario() -> None:
        async with ledger_at(store.url) as ledger:
            for passed, step, admitted in (
                (0, 0, 2),
                (10, 90_000, 1),
                (20, -90_000, 0),
                (3601, 500_000, 2),
                (3611, 0, 1),
            ):
                elapsed[0] = passed
                at_ms = round(clock.at(START_MS / 1000 + passed + step) * 1000)
                assert await spend(ledger, by, at_ms, 2) == admitted

    asyncio.run(scenario())


@pytest.mark.parametrize("cap", [50, EXACT_CAP + 50], ids=["log", "slots"])
def test_what_is_used_is_read_as_it_is_counted(store: EmbeddedStore, client: Redis, cap: int) -> None:
    by = sender_with((3600, cap))
    (plan,) = plans_of(charge_of(by).shared[0].gauge, {cause: cause.status for cause in Cause})
    key = plan.key(0, by.address)

    async def scenario() -> None:
        async with ledger_at(store.url) as ledger:
            assert used(plan, b"", START_MS) == [0]
            for at, now in enumerate((START_MS, START_MS + 20_000, START_MS + 1_800_000)):
                assert await spend(ledger, by, now, 10) == 10
                assert used(plan, client.get(key) or b"", now) == [10 * (at + 1)]
            assert used(plan, client.get(key) or b"", START_MS + 3_640_000) == [10]
            assert used(plan, client.get(key) or b"", START_MS + 9_000_000) == [0]

    asyncio.run(scenario())
