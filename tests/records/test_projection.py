"""Bringing consents into the hot state: a real Valkey, and every interleaving that could revive a withdrawal."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from redis import Redis
from sqlalchemy import Engine, insert

from smsc_filter.policy.facts import ConsentState
from smsc_filter.records import outbox
from smsc_filter.records.consents import ConsentEvent, owner_ids, store_events
from smsc_filter.records.database import writing
from smsc_filter.records.mover import Mover
from smsc_filter.records.tables import outbox as outbox_table
from smsc_filter.service.projector import Projector
from smsc_filter.state import keys
from smsc_filter.state.projection import OutdatedError, Projected

from .helpers import ListStream
from .hot_state import dump, reply
from .valkey import running_valkey

NOW = 1_767_225_600.0
NOW_MS = round(NOW * 1000)
REPLY_SECONDS = 3_600.0
PARTITIONS = 3
ALICE, BOB = "8613800000001", "8613800000002"

NONE, GRANTED, REFUSED, WITHDRAWN = (
    ConsentState.NONE, ConsentState.GRANTED, ConsentState.REFUSED, ConsentState.WITHDRAWN,
)  # fmt: skip


@pytest.fixture(scope="module")
def valkey() -> Iterator[Redis]:
    with running_valkey() as socket, Redis(unix_socket_path=str(socket)) as client:
        yield client


@pytest.fixture
def store(valkey: Redis) -> Redis:
    valkey.flushall()
    return valkey


@pytest.fixture
def projector(engine: Engine, store: Redis) -> Projector:
    return Projector(engine, store, PARTITIONS, REPLY_SECONDS, clock=lambda: NOW)


def said(
    state: str, seconds_ago: float, recipient: str = ALICE, *, topic: str | None = None, ends: float | None = None
) -> ConsentEvent:
    at_ms = round((NOW - seconds_ago) * 1000)
    return ConsentEvent(
        recipient=recipient, owner="shop-ltd", state=state, event_at_ms=at_ms, received_at_ms=NOW_MS, topic=topic,
        expires_at_ms=None if ends is None else round((NOW + ends) * 1000),
    )  # fmt: skip


def state_of(store: Redis, recipient: str = ALICE, topic: str | None = None, now: float = NOW) -> ConsentState:
    partition = keys.partition_of(recipient, PARTITIONS)
    field = keys.consent_field(1, recipient, topic)
    value = store.hget(keys.consent_key(partition, field), field)  # type: ignore[arg-type]
    return keys.unpack_consent(value, round(now * 1000))  # type: ignore[arg-type]


def fresh(store: Redis) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    for partition in range(PARTITIONS):
        found |= store.hgetall(keys.fresh_key(partition))  # type: ignore[arg-type]
    return found


def move(engine: Engine, store: Redis) -> None:
    """Everything in the streams into SQL."""
    for partition in range(PARTITIONS):
        name = keys.decisions_key(partition)
        entries = store.xrange(name)
        stream = ListStream([fields for _, fields in entries])  # type: ignore[union-attr, misc]
        stream.name = name  # type: ignore[misc]
        asyncio.run(Mover(engine, stream).drain())
        store.delete(name)


def test_what_is_committed_is_projected_and_leaves_the_outbox(
    engine: Engine, store: Redis, projector: Projector
) -> None:
    store_events(engine, [said("granted", 9), said("refused", 8, BOB), said("granted", 7, BOB, topic="loans")])
    assert projector.apply() == 3
    assert (state_of(store), state_of(store, BOB), state_of(store, BOB, "loans")) == (GRANTED, REFUSED, GRANTED)
    assert projector.apply() == 0
    store_events(engine, [said("withdrawn", 6), said("withdrawn", 6, BOB)])
    projector.apply()
    assert (state_of(store), state_of(store, BOB), state_of(store, BOB, "loans")) == (WITHDRAWN,) * 3


def test_states_that_time_ends_carry_their_end(engine: Engine, store: Redis, projector: Projector) -> None:
    store_events(engine, [said("granted", 9, ends=60), said("requested", 9, BOB)])
    projector.apply()
    assert (state_of(store), state_of(store, now=NOW + 61)) == (GRANTED, ConsentState.EXPIRED)
    assert state_of(store, BOB) is ConsentState.REQUESTED
    assert state_of(store, BOB, now=NOW + REPLY_SECONDS) is ConsentState.DEEMED_REFUSED


def test_an_older_grant_never_revives_a_withdrawal_that_is_only_in_the_stream(
    engine: Engine, store: Redis, projector: Projector
) -> None:
    """CN-03: SQL does not know of the reply yet, and the grant reaches it first."""
    owner_ids(engine, ["shop-ltd"])
    reply(store, PARTITIONS, ALICE, 1, "withdrawn", NOW_MS - 5_000)
    store_events(engine, [said("granted", 10), said("granted", 10, topic="loans")])
    projector.apply()
    assert state_of(store) is WITHDRAWN
    assert state_of(store, topic="loans") is NONE  # no consent, until the records have the reply
    assert len(fresh(store)) == 1
    move(engine, store)
    projector.apply()
    assert (state_of(store), state_of(store, topic="loans"), fresh(store)) == (WITHDRAWN, WITHDRAWN, {})


@pytest.mark.parametrize(("seconds_ago", "state"), [
    pytest.param(10, WITHDRAWN, id="before the reply"),
    pytest.param(5, WITHDRAWN, id="at the same moment: the refusal"),
    pytest.param(4, GRANTED, id="after it"),
])  # fmt: skip
@pytest.mark.parametrize("moved_first", [False, True])
def test_a_grant_beside_a_reply(
    engine: Engine, store: Redis, projector: Projector, seconds_ago: float, state: ConsentState, moved_first: bool
) -> None:
    owner_ids(engine, ["shop-ltd"])
    reply(store, PARTITIONS, ALICE, 1, "withdrawn", NOW_MS - 5_000)
    if moved_first:
        move(engine, store)
    store_events(engine, [said("granted", seconds_ago)])
    projector.apply()
    assert state_of(store) is state
    move(engine, store)
    projector.apply()
    assert (state_of(store), fresh(store)) == (state, {})


def test_a_request_sent_after_the_reply_does_not_hide_it(engine: Engine, store: Redis, projector: Projector) -> None:
    owner_ids(engine, ["shop-ltd"])
    store_events(engine, [said("granted", 20)])
    projector.apply()
    reply(store, PARTITIONS, ALICE, 1, "withdrawn", NOW_MS - 5_000)
    store_events(engine, [said("requested", 1)])
    projector.apply()
    assert state_of(store) is WITHDRAWN


def test_a_grant_by_reply_leaves_nothing_behind(engine: Engine, store: Redis, projector: Projector) -> None:
    owner_ids(engine, ["shop-ltd"])
    reply(store, PARTITIONS, ALICE, 1, "granted", NOW_MS - 5_000)
    move(engine, store)
    projector.apply()
    assert (state_of(store), fresh(store)) == (GRANTED, {})


def test_a_request_that_was_sent_stays_open_until_the_records_have_it(
    engine: Engine, store: Redis, projector: Projector
) -> None:
    """CN-04, CN-05."""
    owner_ids(engine, ["shop-ltd"])
    store_events(engine, [said("granted", 20, ends=-10)])
    projector.apply()
    assert state_of(store) is ConsentState.EXPIRED
    reply(store, PARTITIONS, ALICE, 1, "requested", NOW_MS - 5_000)
    store_events(engine, [said("requested", 15)])
    projector.apply()
    assert state_of(store) is ConsentState.REQUESTED
    move(engine, store)
    projector.apply()
    assert (state_of(store), fresh(store)) == (ConsentState.REQUESTED, {})


def test_a_reply_repeated_after_a_fault_is_one_event(engine: Engine, store: Redis, projector: Projector) -> None:
    owner_ids(engine, ["shop-ltd"])
    for _ in range(2):
        reply(store, PARTITIONS, ALICE, 1, "withdrawn", NOW_MS - 5_000)
    move(engine, store)
    with engine.connect() as connection:
        assert len(connection.exec_driver_sql("SELECT id FROM consent_events").all()) == 1


def test_what_was_read_before_somebody_else_wrote_is_not_written(
    engine: Engine, store: Redis, projector: Projector
) -> None:
    """Two projectors: the first reads the grant, the second writes the withdrawal, then the first would write."""
    store_events(engine, [said("granted", 10)])
    read = outbox.next_pending(engine, reply_seconds=REPLY_SECONDS, now=NOW)
    assert read is not None
    store_events(engine, [said("withdrawn", 5)])
    projector.apply()
    with pytest.raises(OutdatedError):
        projector._projection.write(read.revision, [Projected(*each) for each in read.consents])
    assert state_of(store) is WITHDRAWN


def test_a_store_that_lost_everything_is_healed(engine: Engine, store: Redis, projector: Projector) -> None:
    store_events(engine, [said("granted", 10), said("withdrawn", 5, BOB)])
    projector.apply()
    assert not projector.heal()
    store.flushall()
    assert projector.heal()
    assert (state_of(store), state_of(store, BOB)) == (GRANTED, WITHDRAWN)


def test_rebuilt_it_says_what_the_records_say_and_no_more(engine: Engine, store: Redis, projector: Projector) -> None:
    store_events(engine, [said("granted", 10), said("withdrawn", 5, BOB), said("granted", 3, BOB, topic="loans")])
    projector.apply()
    right = dump(store, PARTITIONS)
    stranger = keys.consent_field(7, "8613900000009")
    torn, wrong = b"\x00\x00", keys.consent_field(1, ALICE)
    for field, value in ((stranger, b"1"), (torn, b"1"), (wrong, b"3")):
        name = field[3:] and keys.split_field(field)[1]
        partition = keys.partition_of(str(name), PARTITIONS) if name else 0
        store.hset(keys.consent_key(partition, field), field, value)  # type: ignore[call-arg, arg-type]
    assert projector.rebuild() == (3, 1)
    assert dump(store, PARTITIONS) == right


def test_a_reply_that_only_the_stream_has_survives_a_rebuild(
    engine: Engine, store: Redis, projector: Projector
) -> None:
    owner_ids(engine, ["shop-ltd"])
    store_events(engine, [said("granted", 10)])
    projector.apply()
    reply(store, PARTITIONS, ALICE, 1, "withdrawn", NOW_MS - 5_000)
    reply(store, PARTITIONS, BOB, 1, "withdrawn", NOW_MS - 5_000)  # nothing of whom is in the records
    assert projector.rebuild()[1] == 0
    assert (state_of(store), state_of(store, BOB)) == (WITHDRAWN, WITHDRAWN)


def test_records_from_an_older_backup_are_taken_by_a_rebuild(
    engine: Engine, store: Redis, projector: Projector
) -> None:
    store_events(engine, [said("granted", 10)])
    for partition in range(PARTITIONS):
        store.set(keys.projected_key(partition), 1_000)
    with pytest.raises(Exception, match="run smsc-filter rebuild-state"):
        projector.apply()
    projector.rebuild()
    assert state_of(store) is GRANTED


def test_an_announced_pair_without_events_is_taken_away(engine: Engine, store: Redis, projector: Projector) -> None:
    owner_ids(engine, ["shop-ltd"])
    field = keys.consent_field(1, ALICE)
    store.hset(keys.consent_key(keys.partition_of(ALICE, PARTITIONS), field), field, b"1")  # type: ignore[call-arg, arg-type]
    outbox.announce(engine, [(ALICE, 1)])
    projector.apply()
    assert dump(store, PARTITIONS) == {}


def test_who_is_late_to_strike_a_row_out_strikes_no_other(engine: Engine, store: Redis, projector: Projector) -> None:
    """SQLite gives the id of a row that has gone to the next one."""
    store_events(engine, [said("granted", 10)])
    late = outbox.next_pending(engine, reply_seconds=REPLY_SECONDS, now=NOW)
    assert late is not None
    projector.apply()
    store_events(engine, [said("withdrawn", 5)])
    outbox.done(engine, late)
    projector.apply()
    assert state_of(store) is WITHDRAWN


def test_an_outbox_row_done_twice_changes_nothing(engine: Engine, store: Redis, projector: Projector) -> None:
    store_events(engine, [said("granted", 10), said("withdrawn", 5)])
    projector.apply()
    with writing(engine) as connection:
        connection.execute(insert(outbox_table).values(id=9, first_id=1, last_id=2))
    projector.apply()
    assert state_of(store) is WITHDRAWN


@pytest.mark.parametrize("recipient", [ALICE, "123456789012345", "1", "0123", "alpha", "", "1234567890123456"])
@pytest.mark.parametrize("topic", [None, "loans", "贷款"])
@pytest.mark.parametrize("owner_id", [1, 0xFFFFFF])
def test_a_field_comes_apart_again(recipient: str, topic: str | None, owner_id: int) -> None:
    assert keys.split_field(keys.consent_field(owner_id, recipient, topic)) == (owner_id, recipient, topic)


@pytest.mark.parametrize("field", [b"", b"\0\0\1", b"\0\0\1" + bytes(7), b"\0\0\1" + b"\1" * 8])
def test_what_is_no_field_is_told(field: bytes) -> None:
    with pytest.raises(ValueError, match="is no field"):
        keys.split_field(field)
