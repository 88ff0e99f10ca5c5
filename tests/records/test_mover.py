"""Moving a stream into SQL: each record exactly once."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, select, update

from smsc_filter.policy.record import pack_batch, pack_outcomes
from smsc_filter.records import mover as mover_module
from smsc_filter.records.database import open_database, writing
from smsc_filter.records.errors import SqlUnavailable
from smsc_filter.records.mover import Entry, Mover
from smsc_filter.records.spool import SpoolWriter, unpack_fields
from smsc_filter.records.tables import decisions, outcomes, stream_positions, stream_rejects
from smsc_filter.service.recorder import look_for_set_aside

from .helpers import ListStream, batch, count, header, row


def ids(engine: Engine) -> list[int]:
    with engine.connect() as connection:
        return list(connection.execute(select(decisions.c.id).order_by(decisions.c.id)).scalars())


def position(engine: Engine) -> str:
    with engine.connect() as connection:
        return str(connection.execute(select(stream_positions.c.last_id)).scalar_one())


class Killed(Exception):
    """What a test raises where a process would have been killed."""


def test_decisions_and_outcomes_are_moved_and_trimmed(engine: Engine) -> None:
    stream = ListStream([batch(1, 2), {b"o": pack_outcomes([(1, 5, 0, "m-1")])}, batch(3)])
    assert asyncio.run(Mover(engine, stream).drain()) == 4
    assert (ids(engine), stream.entries, position(engine)) == ([1, 2, 3], [], "3-0")
    with engine.connect() as connection:
        assert connection.execute(select(outcomes)).all() == [(1, 5, 0, "m-1")]


def test_a_repeated_decision_is_no_conflict(engine: Engine) -> None:
    stream = ListStream([batch(1), batch(1, 2)])
    asyncio.run(Mover(engine, stream).drain())
    assert (ids(engine), count(engine, stream_rejects)) == ([1, 2], 0)


def test_another_message_with_an_id_that_is_there_is_set_aside_once_and_alarmed(engine: Engine) -> None:
    other = {b"b": pack_batch(header(), [row(1, text="another one"), row(2)])}
    stream = ListStream([batch(1), other, other])
    asyncio.run(Mover(engine, stream).drain())
    with engine.connect() as connection:
        assert connection.execute(select(decisions.c.id, decisions.c.text)).all() == [(1, "新年快乐"), (2, "新年快乐")]
        aside = connection.execute(select(stream_rejects)).one()
    assert b"another one" in unpack_fields(aside.raw)[b"d"]
    assert "decision id" in aside.error
    (alarm,) = look_for_set_aside(engine, aside.at_ms / 1000 + 60)
    assert (alarm.severity, alarm.evidence) == ("critical", {"entries": 1})
    assert look_for_set_aside(engine, aside.at_ms / 1000 + 7200) == []


@pytest.mark.parametrize("refusal_first", [False, True])
def test_of_a_batch_that_was_refused_and_taken_too_late_the_refusal_is_the_record(
    engine: Engine, refusal_first: bool
) -> None:
    refused = {b"b": pack_batch(header(), [row(1, cause="store-unavailable", command_status=8)])}
    entries = [refused, batch(1)] if refusal_first else [batch(1), refused]
    asyncio.run(Mover(engine, ListStream(entries)).drain())
    with engine.connect() as connection:
        assert connection.execute(select(decisions.c.id, decisions.c.cause)).all() == [(1, "store-unavailable")]
    assert count(engine, stream_rejects) == 0


@settings(max_examples=20, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 9), max_size=12),
    most_rows=st.integers(1, 20),
    rows_a_statement=st.integers(1, 7),
)
def test_every_record_arrives_once_however_it_is_cut(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], most_rows: int, rows_a_statement: int
) -> None:
    engine = open_database("", tmp_path_factory.mktemp("cut"))
    first = [sum(sizes[:index]) for index in range(len(sizes))]
    stream = ListStream([batch(*range(at, at + size)) for at, size in zip(first, sizes, strict=True)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("smsc_filter.records.mover.MOST_ROWS", most_rows)
        patch.setattr("smsc_filter.records.bulk.ROWS_A_STATEMENT", rows_a_statement)

        async def move() -> None:
            mover = Mover(engine, stream)
            while stream.entries:
                await mover.move_once()

        asyncio.run(move())
    assert ids(engine) == list(range(sum(sizes)))
    engine.dispose()


def test_of_two_movers_on_one_stream_one_commits_and_the_other_goes_on_behind_it(engine: Engine) -> None:
    async def conversation() -> None:
        stream = ListStream([batch(1), batch(2)])
        first, second = Mover(engine, stream), Mover(engine, stream)
        assert await second.move_once() == 2  # both know the position now
        stream.add(batch(3))
        assert await first.move_once() == 1
        stream.add(batch(4))
        before = list(stream.entries)

        async def read_too_early(*_: object) -> list[Entry]:
            return [("3-0", batch(3)), *before]

        stream.read, read = read_too_early, stream.read  # type: ignore[method-assign, assignment]
        assert await second.move_once() == 0  # read before the first committed: nothing of it counts
        assert ids(engine) == [1, 2, 3]
        stream.read = read  # type: ignore[method-assign]
        assert await second.move_once() == 1
        assert (ids(engine), position(engine)) == ([1, 2, 3, 4], "4-0")

    asyncio.run(conversation())


def test_movers_that_commit_at_the_same_moment_share_the_work(engine: Engine) -> None:
    stream = ListStream([batch(*range(100 * entry, 100 * entry + 100)) for entry in range(50)])

    async def race() -> None:
        movers = [Mover(engine, stream) for _ in range(3)]
        while stream.entries:
            await asyncio.gather(*(mover.move_once() for mover in movers))

    asyncio.run(race())
    assert ids(engine) == list(range(5_000))


def test_killed_before_the_commit_nothing_is_lost(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = ListStream([batch(1, 2)])

    def killed(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(mover_module, "insert_outcomes", killed)
        with pytest.raises(Killed):
            asyncio.run(Mover(engine, stream).move_once())
    assert (ids(engine), position(engine)) == ([], "0-0")
    asyncio.run(Mover(engine, stream).drain())
    assert ids(engine) == [1, 2]


def test_killed_between_commit_and_trim_nothing_is_doubled(engine: Engine) -> None:
    stream = ListStream([{b"x": b"nobody knows"}, batch(1)])
    trim = stream.trim

    async def killed(up_to: str) -> None:
        raise Killed

    stream.trim = killed  # type: ignore[method-assign]
    with pytest.raises(Killed):
        asyncio.run(Mover(engine, stream).move_once())
    assert len(stream.entries) == 2
    stream.trim = trim  # type: ignore[method-assign]
    assert asyncio.run(Mover(engine, stream).drain()) == 0
    assert (ids(engine), count(engine, stream_rejects), stream.entries) == ([1], 1, [])


def test_an_entry_nobody_can_read_is_set_aside(engine: Engine) -> None:
    wrong = {b"b": b"[torn", b"r": b""}
    asyncio.run(Mover(engine, ListStream([batch(1), wrong, batch(2)])).drain())
    assert ids(engine) == [1, 2]
    with engine.connect() as connection:
        (kept,) = connection.execute(select(stream_rejects)).all()
    assert (kept.stream, kept.entry_id, unpack_fields(kept.raw)) == ("decisions", "2-0", wrong)
    assert "not JSON" in kept.error


def test_a_value_the_database_refuses_takes_only_its_entry_aside(engine: Engine) -> None:
    too_great = {b"o": pack_outcomes([(1, 1 << 63, 0, "")])}
    asyncio.run(Mover(engine, ListStream([batch(1), too_great, batch(2), batch(3)])).drain())
    assert (ids(engine), count(engine, outcomes), position(engine)) == ([1, 2, 3], 0, "4-0")
    with engine.connect() as connection:
        assert connection.execute(select(stream_rejects.c.entry_id)).scalars().all() == ["2-0"]


def test_a_reader_is_asked_for_as_much_as_fills_a_transaction(engine: Engine) -> None:
    stream = ListStream([batch(id_) for id_ in range(1_000)])
    asked = []
    read = stream.read

    async def listen(after: str, most_entries: int, block_ms: int) -> list[Entry]:
        asked.append(most_entries)
        return await read(after, most_entries, block_ms)

    stream.read = listen  # type: ignore[method-assign]
    asyncio.run(Mover(engine, stream).drain())
    assert asked == [32, 64, 128, 256, 512, 1_024, 1_024][: len(asked)]
    stream.add(*(batch(*range(entry * 256, entry * 256 + 256)) for entry in range(4, 44)))
    mover = Mover(engine, stream)
    asyncio.run(mover.drain())
    assert mover._most_entries == 5_000 // 256


def test_run_waits_out_trouble_on_either_side_and_stops_when_told(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mover_module, "SHORTEST_WAIT_SECONDS", 0.001)
    stream = ListStream([batch(1)])
    read, commit, trouble = stream.read, Mover._commit, ["store", "sql"]

    async def read_or_fail(after: str, most_entries: int, block_ms: int) -> list[Entry]:
        if "store" in trouble:
            trouble.remove("store")
            raise ConnectionError("store is away")
        entries = await read(after, most_entries, block_ms)
        if not entries:
            mover.stop()
        return entries

    def commit_or_fail(self: Mover, entries: list[Entry]) -> int:
        if "sql" in trouble:
            trouble.remove("sql")
            raise SqlUnavailable("database is locked")
        return commit(self, entries)

    stream.read = read_or_fail  # type: ignore[method-assign]
    monkeypatch.setattr(Mover, "_commit", commit_or_fail)
    with SpoolWriter(tmp_path / "spool") as writer:
        writer.append(batch(2))
    mover = Mover(engine, stream, spool_dir=tmp_path / "spool", gather_seconds=0)
    asyncio.run(asyncio.wait_for(mover.run(), 30))
    assert (ids(engine), trouble, list((tmp_path / "spool").iterdir())) == ([1, 2], [], [])


def test_a_spool_that_cannot_be_read_does_not_hold_up_the_stream(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "spool" / "directory.spool").mkdir(parents=True)
    stream = ListStream([batch(1)])
    trim = stream.trim

    async def trim_and_stop(up_to: str) -> None:
        await trim(up_to)
        mover.stop()

    stream.trim = trim_and_stop  # type: ignore[method-assign]
    mover = Mover(engine, stream, spool_dir=tmp_path / "spool", gather_seconds=0)
    asyncio.run(asyncio.wait_for(mover.run(), 30))
    assert ids(engine) == [1]


def test_a_locked_database_is_told_as_unavailable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smsc_filter.records.database.BUSY_SECONDS", 0.0)
    engine = open_database("", tmp_path)
    with writing(engine) as connection:
        connection.execute(update(decisions).values(cause=""))
        with pytest.raises(SqlUnavailable, match="locked"):
            asyncio.run(Mover(engine, ListStream([batch(1)])).move_once())
    engine.dispose()
