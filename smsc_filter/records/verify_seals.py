"""Finds what was changed, deleted, put in or reordered in the records past smsc-filter, and says where."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import Connection, Engine, Table, func, select

from smsc_filter.records.database import reading
from smsc_filter.records.journal import (
    BULK,
    NOTED,
    SALT_OCTETS,
    canonical,
    digest_of,
    entries_of,
    key_columns,
    key_text,
)
from smsc_filter.records.seals import BEGINNING, chain_after, change_digest, root_of
from smsc_filter.records.tables import changes, row_salts, seal_heads, seals

ROWS: Final = 2_000
MOST_PROBLEMS: Final = 100


@dataclass(slots=True)
class SealsFound:
    """What was found."""

    rows: Counter[str] = field(default_factory=Counter)
    """Rows compared, by table."""
    waiting: Counter[str] = field(default_factory=Counter)
    """Rows too young to be sealed, by table."""
    removed: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Rows that smsc-filter removed, by table and day (UTC)."""
    as_found: Counter[str] = field(default_factory=Counter)
    """Rows sealed as they were found, from before there were seals."""
    position: int = 0
    chain: str = BEGINNING
    problems: list[str] = field(default_factory=list)
    total_problems: int = 0

    def report(self, problem: str) -> None:
        """Add a problem; too many are only counted."""
        self.total_problems += 1
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(problem)


Last = dict[str, dict[str, str | None]]
"""Table -> key -> digest that was noted last; None once removed."""


def verify_seals(
    engine: Engine, anchors: Iterable[tuple[int, bytes]] = (), advance: Callable[[int], object] = lambda rows: None
) -> SealsFound:
    """Compare every record with its seal or the last note of it, and the chain of seals with every anchor.

    Args:
        engine: the records of law.
        anchors: (position, chain) of seals as they were noted elsewhere.
        advance: hears of rows compared, by their number.

    Raises:
        SqlUnavailable: the database does not answer.
    """
    found = SealsFound()
    # One state of the database: what is written meanwhile must not look like an edit.
    with reading(engine) as begun:
        if engine.dialect.name == "postgresql":
            begun.rollback()
            connection = begun.execution_options(isolation_level="REPEATABLE READ")
        else:
            connection = begun
        heads = {row.name: row for row in connection.execute(select(seal_heads))}
        missing = sorted({"seals", "changes", "found", *BULK} - heads.keys())
        if missing:
            found.report(f"seal_heads: the rows of {', '.join(missing)} are missing")
            return found
        _walk_chain(connection, heads, anchors, found)
        last = _last_notes(connection, heads["changes"].bound, found)
        for name, table in NOTED.items():
            _compare_noted(connection, table, last.pop(name, {}), found)
            advance(found.rows[name])
        for name, table in BULK.items():
            _compare_sealed(connection, table, heads[name].bound, last.pop(name, {}), found, advance)
    for name in last:
        found.report(f"changes: there is no table {name}")
    return found


def _walk_chain(
    connection: Connection, heads: Mapping[str, Any], anchors: Iterable[tuple[int, bytes]], found: SealsFound
) -> None:
    noted: dict[int, set[str]] = {}
    for position, end in anchors:
        noted.setdefault(position, set()).add(end.hex())
    bounds: dict[str, int] = {"changes": 0, **dict.fromkeys(BULK, -1)}
    columns = [column for column in seals.columns if column.name not in ("digests", "salts")]
    for seal in _stream(connection, select(*columns).order_by(seals.c.id)):
        row = seal._mapping
        if seal.id != found.position + 1:
            found.report(f"seals: {found.position + 1} to {seal.id - 1} are missing")
        elif seal.first_id != bounds.get(seal.kind, 0) + 1 or chain_after(found.chain, row) != seal.chain:
            found.report(f"seals: {seal.id} was changed, or is not in its place")
        if noted.pop(seal.id, {seal.chain}) != {seal.chain}:
            found.report(f"seals: {seal.id} was noted elsewhere and is another one now")
        bounds[seal.kind] = seal.last_id
        found.position, found.chain = seal.id, seal.chain
    end = heads["seals"]
    if (found.position, found.chain) != (end.bound, end.chain or BEGINNING):
        found.report(f"seals: the chain ends with {found.position}, and ended with {end.bound}")
    for position in sorted(noted):
        if position > 0:
            found.report(f"seals: {position} is missing: it was noted elsewhere when the chain ended there")
    for kind, bound in bounds.items():
        if heads[kind].bound != bound:
            found.report(f"seals: {kind} were sealed up to {heads[kind].bound}, the last seal ends with {bound}")


def _last_notes(connection: Connection, bound: int, found: SealsFound) -> Last:
    """Check the segments of changes; what they say of each row last."""
    last: Last = {}
    segments = connection.execute(
        select(seals.c.id, seals.c.first_id, seals.c.last_id, seals.c.rows, seals.c.root)
        .where(seals.c.kind == "changes")
        .order_by(seals.c.id)
    ).all()  # fmt: skip
    end = max([bound, *(each.last_id for each in segments)])
    for segment in segments:
        inside = changes.c.id.between(segment.first_id, segment.last_id)
        rows = connection.execute(select(changes).where(inside).order_by(changes.c.id)).all()
        if len(rows) != segment.rows or root_of([(row.id, change_digest(row)) for row in rows]) != segment.root:
            found.report(
                f"changes: {segment.first_id} to {segment.last_id} are not what seal {segment.id} holds:"
                f" {segment.rows} rows were sealed, {len(rows)} are there"
            )
        for row in rows:
            _take_note(row, last, found)
    for row in connection.execute(select(changes).where(changes.c.id > end).order_by(changes.c.id)).all():
        found.waiting["changes"] += 1
        _take_note(row, last, found)
    found.rows["changes"] = connection.execute(select(func.count()).select_from(changes)).scalar_one()
    return last


def _take_note(row: Any, last: Last, found: SealsFound) -> None:
    of_table = last.setdefault(row.table, {})
    try:
        of_table.update((key, digest) for key, digest in row.rows)
    except (TypeError, ValueError):
        found.report(f"changes: {row.id} was changed")
        return
    if row.kind == "removed":
        found.removed[row.table, _day(row.at_ms)] += len(row.rows)
    elif row.kind == "found":
        found.as_found[row.table] += len(row.rows)


def _day(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d")


def _compare_noted(connection: Connection, table: Table, noted: dict[str, str | None], found: SealsFound) -> None:
    columns = list(table.columns)
    places = [columns.index(column) for column in key_columns(table)]
    salts = _salts(connection, table.name)
    for row in _stream(connection, select(table).order_by(*key_columns(table))):
        key = key_text(row[place] for place in places)
        found.rows[table.name] += 1
        if key not in noted:
            found.report(f"{table.name}: {key} was put there past smsc-filter")
            continue
        digest = noted.pop(key)
        if digest is None:
            found.report(f"{table.name}: {key} was removed once, and is there again")
        elif digest_of(salts.get(key, ""), canonical(table.name, tuple(row))).hex() != digest:
            found.report(f"{table.name}: {key} was changed")
    for key, digest in noted.items():
        if digest is not None:
            found.report(f"{table.name}: {key} is missing")


def _compare_sealed(
    connection: Connection,
    table: Table,
    bound: int,
    noted: dict[str, str | None],
    found: SealsFound,
    advance: Callable[[int], object],
) -> None:
    column = key_columns(table)[0]
    changed = {int(key): digest for key, digest in noted.items()}
    salts = {int(key): salt for key, salt in _salts(connection, table.name).items()}
    row = seals.c
    end = -1
    for segment in connection.execute(select(row.id).where(row.kind == table.name).order_by(row.id)).scalars().all():
        seal = connection.execute(select(seals).where(row.id == segment)).one()
        inside = column.between(seal.first_id, seal.last_id)
        rows = connection.execute(select(table).where(inside).order_by(column)).all()
        notes = {id_: changed.pop(id_) for id_ in [each for each in changed if seal.first_id <= each <= seal.last_id]}
        _compare_segment(table.name, seal, {each[0]: each for each in rows}, (notes, salts), found)
        found.rows[table.name] += len(rows)
        if seal.found:
            found.as_found[table.name] += seal.rows
        end = seal.last_id
        advance(len(rows))
    beyond = select(func.count()).select_from(table).where(column > max(bound, end))
    found.waiting[table.name] = connection.execute(beyond).scalar_one()
    for id_ in changed:
        found.report(f"{table.name}: {id_} was noted as changed and lies in no segment")


def _compare_segment(
    table: str,
    seal: Any,
    rows: dict[int, Any],
    noted: tuple[dict[int, str | None], dict[int, str]],
    found: SealsFound,
) -> None:
    notes, late_salts = noted
    if seal.digests is None:
        # Every row of it was removed or changed since, and each is noted.
        if len(notes) < seal.rows:
            found.report(f"seals: the digests of {seal.id} are missing, {len(notes)} of {seal.rows} rows are noted")
        sealed = {}
    else:
        entries = list(entries_of(seal.digests))
        if len(entries) != seal.rows or root_of(entries) != seal.root:
            found.report(f"seals: the digests of {seal.id} were changed")
        salts = seal.salts or b""
        sealed = {
            id_: (digest.hex(), salts[place * SALT_OCTETS : (place + 1) * SALT_OCTETS].hex())
            for place, (id_, digest) in enumerate(entries)
        }
    expected = {**sealed, **{id_: (digest, late_salts.get(id_, "")) for id_, digest in notes.items()}}
    for id_ in sorted(expected.keys() | rows.keys()):
        digest, salt = expected.get(id_, (None, ""))
        row = rows.get(id_)
        if id_ not in expected:
            found.report(f"{table}: {id_} was put there past smsc-filter, into segment {seal.id}")
        elif row is None:
            if digest is not None:
                found.report(f"{table}: {id_} is missing from segment {seal.id}")
        elif digest is None:
            found.report(f"{table}: {id_} was removed once, and is there again")
        elif digest_of(salt, canonical(table, tuple(row))).hex() != digest:
            found.report(f"{table}: {id_} was changed (segment {seal.id})")


def _salts(connection: Connection, table: str) -> dict[str, str]:
    row = row_salts.c
    return {each.key: each.salt for each in connection.execute(select(row.key, row.salt).where(row.table == table))}


def _stream(connection: Connection, wanted: Any) -> Iterator[Any]:
    return iter(connection.execution_options(yield_per=ROWS).execute(wanted))
