"""Moves decisions, outcomes and replies from the durable stream into SQL, each exactly once.

The rows and how far the stream has been moved are committed in one transaction; only then are the entries
trimmed. Killed before the commit, the next mover reads the same entries again; killed after it, it goes on
behind them and trims. The position changes by compare-and-swap, so of two movers on one stream one commits
and the other starts over from where that one ended. A consumer group was the other way: it remembers in the
store what only SQL knows.
"""

import asyncio
import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

import orjson
import structlog
from sqlalchemy import Connection, Engine, select, update
from sqlalchemy.exc import DataError, IntegrityError

from smsc_filter.policy.appeals import Terms
from smsc_filter.policy.record import (
    DecisionRow,
    EntryError,
    OutcomeRow,
    id_to_text,
    outcomes_from_entry,
    rows_from_entry,
)
from smsc_filter.records.appeal_replies import FIELD as APPEALS
from smsc_filter.records.appeal_replies import SentAppeal, appeals_from_entry, store_appeals
from smsc_filter.records.database import insert_new, reason_of, writing
from smsc_filter.records.decisions import insert_decisions, insert_outcomes
from smsc_filter.records.errors import SqlDamaged
from smsc_filter.records.replies import FIELD as REPLIES
from smsc_filter.records.replies import Reply, replies_from_entry, store_replies
from smsc_filter.records.spool import SpoolDamagedError, closed_spools, pack_fields, read_spool
from smsc_filter.records.tables import stream_positions, stream_rejects
from smsc_filter.records.tally import count_verdicts

log = structlog.get_logger(__name__)

Fields = dict[bytes, bytes]
Committed = Callable[[Sequence[DecisionRow], Sequence[OutcomeRow]], None]
"""Told of rows once they are committed, in the thread that did it; must not raise."""

Entry = tuple[str, Fields]
"""The id the stream gave it, and its fields: ``b`` and ``r``, or ``o`` (``policy.record``), or ``c``
(``records.replies``), or ``a`` (``records.appeal_replies``)."""

BEGINNING: Final = "0-0"
"""The position before every entry."""

MOST_ROWS: Final = 5_000
"""Rows a transaction aims at: the fixed cost is spread by then, and the write lock held some 20 ms."""

MOST_ENTRIES: Final = 1_024
REST: Final = 4
"""A pass that was not half full is followed by a pause of so many times as long, so that at half the load the recorder
does not take half a core for the fixed cost of small transactions."""

LONGEST_REST_SECONDS: Final = 0.25
BLOCK_MS: Final = 500
"""Longest wait of one read for the next entry, and so of ``stop``."""

SPOOL_SECONDS: Final = 1.0
"""How often spool files are looked for."""

SHORTEST_WAIT_SECONDS: Final = 0.1
LONGEST_WAIT_SECONDS: Final = 5.0


class Stream(Protocol):
    """A durable stream, as the store keeps it. What its methods raise makes the mover wait and try again."""

    @property
    def name(self) -> str:
        """Its name in ``stream_positions``; never changes."""

    async def read(self, after: str, most_entries: int, block_ms: int) -> list[Entry]:
        """At most ``most_entries`` entries behind ``after``, oldest first.

        Waits up to ``block_ms`` for the first; with 0 not at all.
        """

    async def trim(self, up_to: str) -> None:
        """Forget the entries up to ``up_to`` and that one too."""


class PositionMovedError(Exception):
    """Another mover has committed on this stream: nothing was changed, read again from its position."""


class Mover:
    """Moves one stream; several may run, also on different machines, and share its work by taking turns."""

    def __init__(
        self,
        engine: Engine,
        stream: Stream,
        *,
        spool_dir: Path | None = None,
        gather_seconds: float = 0.05,
        on_committed: Committed | None = None,
        terms: Terms | None = None,
        on_damage: Callable[[str], object] = lambda sentence: None,
    ) -> None:
        """Move ``stream`` into ``engine``.

        Args:
            engine: what ``open_database`` gave.
            stream: where the entries come from.
            spool_dir: take in the spool files that appear here too; None for none.
            gather_seconds: least pause after a pass that was not half full, see ``REST``. A trickle then costs a
                transaction for many entries instead of one each, and a record reaches SQL that much later.
            on_committed: who else wants to see the rows.
            terms: by which appeals are opened that came by reply; None where none can come.
            on_damage: hears that the database is damaged, each time that is met.
        """
        self._engine = engine
        self._stream = stream
        self._spool_dir = spool_dir
        self._gather_seconds = gather_seconds
        self._on_committed = on_committed
        self._terms = terms
        self._on_damage = on_damage
        self._position: str | None = None
        self._most_entries = 32
        self._took = 0.0
        """Seconds the last pass needed to commit."""
        self._spool_due_at = 0.0
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Move until ``stop``; trouble on either side is logged, waited out and tried again."""
        wait = SHORTEST_WAIT_SECONDS
        while not self._stopping.is_set():
            try:
                await self._take_spools()
                rows = await self.move_once(BLOCK_MS)
            except Exception as error:
                # Whatever it is: a mover that ended would let the stream grow until the store is full.
                log.warning("mover-waits", stream=self._stream.name, error=str(error), wait_seconds=wait)
                if isinstance(error, SqlDamaged):
                    self._on_damage(str(error))
                await self._pause(wait)
                wait = min(2 * wait, LONGEST_WAIT_SECONDS)
            else:
                wait = SHORTEST_WAIT_SECONDS
                # What is asked for is a guess at a full transaction: half of one is taken for a stream that has more.
                if rows < MOST_ROWS // 2:
                    await self._pause(max(self._gather_seconds, min(REST * self._took, LONGEST_REST_SECONDS)))

    def stop(self) -> None:
        """Let ``run`` return after the pass in hand; what the stream still holds stays there."""
        self._stopping.set()

    async def drain(self) -> int:
        """Move until the stream is empty, and return how many rows that were."""
        total = 0
        while rows := await self.move_once():
            total += rows
        return total

    async def move_once(self, block_ms: int = 0) -> int:
        """One pass: read, commit, trim.

        Returns:
            How many rows and entries set aside the pass committed; 0 also when another mover was quicker.

        Raises:
            SqlUnavailable: the database does not answer; nothing is lost.
            Exception: whatever the stream raises; nothing is lost.
        """
        if self._position is None:
            position = await asyncio.to_thread(_read_position, self._engine, self._stream.name)
            if position != BEGINNING:
                # An earlier mover may have been killed between commit and trim.
                await self._stream.trim(position)
            self._position = position
        entries = await self._stream.read(self._position, self._most_entries, block_ms)
        if not entries:
            return 0
        began = time.monotonic()
        try:
            rows = await asyncio.to_thread(self._commit, entries)
        except PositionMovedError:
            self._position = None
            return 0
        self._took = time.monotonic() - began
        # Entries hold 1 to 256 rows each: ask next time for as many as would have made a full transaction,
        # but at most twice as many as now, because the next ones may be fuller.
        fitting = MOST_ROWS * len(entries) // max(rows, 1)
        self._most_entries = max(1, min(fitting, 2 * self._most_entries, MOST_ENTRIES))
        await self._stream.trim(self._position)
        return rows

    def _commit(self, entries: Sequence[Entry]) -> int:
        """Commit ``entries``, in as many transactions as ``MOST_ROWS`` makes of them; runs in a thread."""
        assert self._position is not None
        rows = 0
        for load in _loads(entries):
            for part in _storable(self._engine, self._stream.name, load, self._position, self._terms):
                self._position = part.last_id
                rows += len(part)
                if self._on_committed is not None:
                    self._on_committed(part.decisions, part.outcomes)
        return rows

    async def _take_spools(self) -> None:
        now = time.monotonic()
        if self._spool_dir is None or now < self._spool_due_at:
            return
        self._spool_due_at = now + SPOOL_SECONDS
        try:
            await asyncio.to_thread(take_spools, self._engine, self._spool_dir, self._on_committed)
        except OSError as error:
            # A file that cannot be read or removed waits for the operator; the stream need not wait with it.
            log.error("spool-waits", directory=str(self._spool_dir), error=str(error))

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)


def take_spools(engine: Engine, directory: Path, on_committed: Committed | None = None) -> int:
    """Take in the spool files no living writer holds, and remove them.

    Taking a file in twice adds nothing, so being killed before the removal does no harm. A damaged file is
    taken as far as it can be read and then renamed to ``*.damaged``.

    Returns:
        How many rows, new or not, and entries set aside the files held.

    Raises:
        SqlUnavailable: the database does not answer; the files stay.
        OSError: a file cannot be read or removed.
    """
    total = 0
    for path in closed_spools(directory):
        damages: list[SpoolDamagedError] = []
        rows = 0
        for load in _loads(_spooled(path, damages)):
            for part in _storable(engine, path.name, load, None, None):
                rows += len(part)
                if on_committed is not None:
                    on_committed(part.decisions, part.outcomes)
        if damages:
            log.error("spool-damaged", file=path.name, rows=rows, error=str(damages[0]))
            path.rename(path.with_name(path.name + ".damaged"))
        else:
            path.unlink()
            log.info("spool-taken", file=path.name, rows=rows)
        total += rows
    return total


def _spooled(path: Path, damages: list[SpoolDamagedError]) -> Iterator[Entry]:
    """The entries of a file, named by their number; damage ends them and goes into ``damages``.

    Raised from here it would cost the entries before it that wait for their transaction to fill.
    """
    try:
        for number, fields in enumerate(read_spool(path)):
            yield str(number), fields
    except SpoolDamagedError as error:
        damages.append(error)


@dataclass(slots=True)
class _Load:
    """Entries as one transaction takes them."""

    entries: list[Entry] = field(default_factory=list)
    decisions: list[DecisionRow] = field(default_factory=list)
    outcomes: list[OutcomeRow] = field(default_factory=list)
    replies: list[Reply] = field(default_factory=list)
    appeals: list[SentAppeal] = field(default_factory=list)
    rejects: list[tuple[Entry, str]] = field(default_factory=list)

    @property
    def last_id(self) -> str:
        return self.entries[-1][0]

    def __len__(self) -> int:
        return len(self.decisions) + len(self.outcomes) + len(self.replies) + len(self.appeals) + len(self.rejects)

    def add(self, entry: Entry) -> None:
        """Take an entry in, as rows or, when it is none that we know, as one to set aside."""
        self.entries.append(entry)
        fields = entry[1]
        if fields.keys().isdisjoint((b"b", b"o", REPLIES, APPEALS)):
            self.rejects.append((entry, f"none of the fields b, o, c and a, but {sorted(fields)}"))
            return
        try:
            # All fields are read before any is taken: an entry is stored whole or set aside whole.
            decided = rows_from_entry(fields[b"b"], fields.get(b"r")) if b"b" in fields else []
            answered = outcomes_from_entry(fields[b"o"]) if b"o" in fields else []
            replied = replies_from_entry(fields[REPLIES]) if REPLIES in fields else []
            appealed = appeals_from_entry(fields[APPEALS]) if APPEALS in fields else []
            self.decisions += decided
            self.outcomes += answered
            self.replies += replied
            self.appeals += appealed
        except EntryError as error:
            self.rejects.append((entry, str(error)))


def _loads(entries: Iterable[Entry]) -> Iterator[_Load]:
    load = _Load()
    for entry in entries:
        load.add(entry)
        if len(load) >= MOST_ROWS:
            yield load
            load = _Load()
    if load.entries:
        yield load


def _storable(engine: Engine, stream: str, load: _Load, after: str | None, terms: Terms | None) -> Iterator[_Load]:
    """Commit ``load`` and yield what was committed: the whole, or each entry when a value is refused.

    Args:
        engine: where to.
        stream: name of the stream or file, for its position and for entries set aside.
        load: what to commit.
        after: position the stream must be at; None where a position is not kept.
        terms: by which appeals are opened; None where none come.

    Raises:
        PositionMovedError: the stream is not there any more.
        SqlUnavailable: the database does not answer.
    """
    try:
        _store(engine, stream, load, after, terms)
    except (DataError, IntegrityError, OverflowError, ValueError) as error:
        reason = reason_of(error)
        if len(load.entries) == 1:
            refused = _Load(entries=load.entries, rejects=[(load.entries[0], reason)])
            _store(engine, stream, refused, after, terms)
            yield refused
            return
        for entry in load.entries:
            alone = _Load()
            alone.add(entry)
            yield from _storable(engine, stream, alone, after, terms)
            after = None if after is None else alone.last_id
    else:
        yield load


def _store(engine: Engine, stream: str, load: _Load, after: str | None, terms: Terms | None) -> None:
    with writing(engine) as connection:
        if after is not None:
            _advance(connection, stream, after, load.last_id)
        conflicts = insert_decisions(connection, load.decisions)
        count_verdicts(connection, load.decisions)
        insert_outcomes(connection, load.outcomes)
        store_replies(connection, load.replies)
        if load.appeals:
            if terms is None:
                raise ValueError("appeals are opened by terms, and there are none")
            store_appeals(connection, load.appeals, terms)
        if load.rejects or conflicts:
            _set_aside(connection, stream, [*load.rejects, *map(_conflict, conflicts)])


def _advance(connection: Connection, stream: str, after: str, to: str) -> None:
    # First thing in the transaction: whoever comes second waits here for the first and then finds it moved.
    row = stream_positions.c
    moved = connection.execute(
        update(stream_positions).where(row.stream == stream, row.last_id == after).values(last_id=to)
    )
    if moved.rowcount != 1:
        raise PositionMovedError(f"{stream} is not at {after} any more")


def _read_position(engine: Engine, stream: str) -> str:
    with writing(engine) as connection:
        connection.execute(insert_new(connection, stream_positions), {"stream": stream, "last_id": BEGINNING})
        row = stream_positions.c
        last_id: str = connection.execute(select(row.last_id).where(row.stream == stream)).scalar_one()
        return last_id


def _conflict(row: DecisionRow) -> tuple[Entry, str]:
    """A decision whose id another message has, as an entry to set aside; its name keeps it from being there twice."""
    octets = orjson.dumps(row)
    name = f"{id_to_text(row[0])}-{hashlib.sha256(octets).hexdigest()[:16]}"
    return (name, {b"d": octets}), f"another message has the decision id {id_to_text(row[0])}"


def _set_aside(connection: Connection, stream: str, rejects: Iterable[tuple[Entry, str]]) -> None:
    at_ms = round(time.time() * 1000)
    values = []
    for (entry_id, fields), error in rejects:
        log.error("stream-entry-set-aside", stream=stream, entry_id=entry_id, error=error)
        values.append(
            {
                "stream": stream,
                "entry_id": entry_id,
                "raw": pack_fields(fields),
                "error": error,
                "at_ms": at_ms,
            }
        )
    connection.execute(insert_new(connection, stream_rejects), values)
