"""Notes in ``changes`` which rows of the records each statement touched, in the transaction that touches them.

    digest of a row = SHA-256(salt, a space, canonical form), all as text
    canonical form  = JSON array: name of the table, then its columns in order, without empty ones at the end

Whatever goes through SQLAlchemy's ``insert``, ``update`` and ``delete`` is noted by itself, so no writer can forget it.
What is edited past smsc-filter is not, and ``records.verify_seals`` finds a row that is not as it was noted last.
Decisions and outcomes come in bulk and are sealed by segment later (``records.seals``): only what happens to sealed
rows is noted here. Salts go with their row, so that a digest left behind tells nobody what stood there.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any, Final

import orjson
from sqlalchemy import Connection, Delete, Engine, Insert, Table, Update, delete, event, func, insert, select, update

from smsc_filter.records.tables import (
    appeal_events,
    appeals,
    audit,
    changes,
    complaint_decisions,
    complaint_events,
    complaints,
    decisions,
    measure_events,
    measures,
    notices,
    outcomes,
    row_salts,
    rule_versions,
    seal_heads,
    seals,
    whitelist,
)

NOTED: Final[Mapping[str, Table]] = {
    table.name: table
    for table in (
        measures, measure_events, notices, appeals, appeal_events, complaints, complaint_events, complaint_decisions,
        audit, whitelist, rule_versions,
    )
}  # fmt: skip
"""Tables of which every row is noted."""

BULK: Final[Mapping[str, Table]] = {table.name: table for table in (decisions, outcomes)}
"""Tables that are sealed by segment."""

SAME_CONTENT: Final = "same_content"
"""Execution option of a statement that changes how rows are stored, but not what they say."""

SALT_OCTETS: Final = 16
DIGEST_OCTETS: Final = 32
ENTRY_OCTETS: Final = 8 + DIGEST_OCTETS
"""Of a row in ``seals.digests``: its id and its digest."""

SOME: Final = 500
_TOUCHED: Final = "smsc_filter_touched"

Key = tuple[Any, ...]


def canonical(table: str, row: Sequence[Any]) -> bytes:
    """The form of a row that its digest is of."""
    values = [table, *row]
    while values[-1] is None:
        values.pop()
    return orjson.dumps(values, default=_octets, option=orjson.OPT_SORT_KEYS)


def _octets(value: object) -> str:
    if isinstance(value, bytes | memoryview):
        return bytes(value).hex()
    raise TypeError(type(value).__name__)


def digest_of(salt: str, form: bytes) -> bytes:
    """The digest of a row; ``salt`` in hexadecimal."""
    return sha256(salt.encode() + b" " + form).digest()


def key_text(key: Iterable[Any]) -> str:
    """A key as ``changes`` has it."""
    return ",".join(map(str, key))


def key_columns(table: Table) -> list[Any]:
    """The columns of the key of ``table``."""
    return list(table.primary_key.columns)


def share_bound(connection: Connection, name: str) -> int:
    """Up to which id ``name`` is sealed; nobody seals more of it before this transaction ends."""
    row = seal_heads.c
    wanted = select(row.bound).where(row.name == name).with_for_update(read=True)
    return int(connection.execute(wanted).scalar_one())


def listen(engine: Engine) -> None:
    """Note what is done with ``engine`` from now on."""
    event.listen(engine, "before_execute", _before)
    event.listen(engine, "after_execute", _after)


def late_keys(connection: Connection, table: Table, ids: Iterable[int]) -> list[Key]:
    """Those of ``ids`` that lie where ``table`` is sealed already and are not there yet."""
    bound = share_bound(connection, table.name)
    late = [each for each in ids if each <= bound]
    column = key_columns(table)[0]
    there: set[int] = set()
    for first in range(0, len(late), SOME):
        there.update(connection.execute(select(column).where(column.in_(late[first : first + SOME]))).scalars())
    return [(each,) for each in dict.fromkeys(late) if each not in there]


def note(connection: Connection, table: Table, kind: str, keys: Sequence[Key], at_ms: int | None = None) -> None:
    """Note that rows were found, added, changed or removed."""
    if not keys:
        return
    share_bound(connection, "changes")
    entries: list[list[str | None]] = []
    salts: list[dict[str, str]] = []
    if kind == "removed":
        entries = [[key_text(key), None] for key in keys]
    else:
        for key, row in _rows(connection, table, keys):
            salt = os.urandom(SALT_OCTETS).hex()
            entries.append([key_text(key), digest_of(salt, canonical(table.name, row)).hex()])
            salts.append({"table": table.name, "key": key_text(key), "salt": salt})
    if kind != "added":
        _forget_salts(connection, table, keys)
    for first in range(0, len(entries), SOME):
        values = {
            "at_ms": round(time.time() * 1000) if at_ms is None else at_ms,
            "table": table.name,
            "kind": kind,
            "rows": entries[first : first + SOME],
        }
        connection.execute(insert(changes).values(values))
    if salts:
        if kind == "added":
            # Of two that were committed at once each may see the other's row.
            _forget_salts(connection, table, keys)
        connection.execute(insert(row_salts), salts)


def _rows(connection: Connection, table: Table, keys: Sequence[Key]) -> Iterator[tuple[Key, tuple[Any, ...]]]:
    columns = key_columns(table)
    places = [list(table.columns).index(column) for column in columns]
    for first in range(0, len(keys), SOME):
        for row in connection.execute(select(table).where(_are(columns, keys[first : first + SOME]))):
            yield tuple(row[place] for place in places), tuple(row)


def _are(columns: Sequence[Any], keys: Sequence[Key]) -> Any:
    if len(columns) == 1:
        return columns[0].in_([key[0] for key in keys])
    # A key of two: the first narrows it down by the index, the rest is compared.
    condition = None
    for key in keys:
        one = (columns[0] == key[0]) & (columns[1] == key[1])
        condition = one if condition is None else condition | one
    return condition


def _forget_salts(connection: Connection, table: Table, keys: Sequence[Key]) -> None:
    row = row_salts.c
    for first in range(0, len(keys), SOME):
        some = [key_text(key) for key in keys[first : first + SOME]]
        connection.execute(delete(row_salts).where(row.table == table.name, row.key.in_(some)))
    if table.name in BULK:
        _clear_salts(connection, table.name, sorted(key[0] for key in keys))


def _clear_salts(connection: Connection, kind: str, ids: Sequence[int]) -> None:
    """Take the salts of rows from their segments, and with the last salt of a segment its digests."""
    row = seals.c
    at = 0
    while at < len(ids):
        wanted = select(row.id, row.first_id, row.last_id, row.digests, row.salts)
        segment = connection.execute(
            wanted.where(row.kind == kind, row.last_id >= ids[at]).order_by(row.last_id).limit(1)
        ).first()
        if segment is None:
            return
        gone = set()
        while at < len(ids) and ids[at] <= segment.last_id:
            gone.add(ids[at])
            at += 1
        if segment.digests is None:
            continue
        salts = bytearray(segment.salts)
        for place, (id_, _) in enumerate(entries_of(segment.digests)):
            if id_ in gone:
                salts[place * SALT_OCTETS : (place + 1) * SALT_OCTETS] = bytes(SALT_OCTETS)
        values = {"salts": bytes(salts)} if any(salts) else {"salts": None, "digests": None}
        connection.execute(update(seals).where(row.id == segment.id).values(values))


def entries_of(digests: bytes) -> Iterator[tuple[int, bytes]]:
    """Id and digest of each row of a segment."""
    for at in range(0, len(digests), ENTRY_OCTETS):
        yield int.from_bytes(digests[at : at + 8], "big"), digests[at + 8 : at + ENTRY_OCTETS]


def _statement_table(statement: Any) -> Table | None:
    if not isinstance(statement, Insert | Update | Delete):
        return None
    table = statement.table
    if not isinstance(table, Table):
        return None
    return table if table.name in NOTED or (table.name in BULK and not isinstance(statement, Insert)) else None


def _before(
    connection: Connection, statement: Any, many: Sequence[Mapping[str, Any]], one: Mapping[str, Any], options: Any
) -> None:
    """Find out which rows a statement is going to touch."""
    table = _statement_table(statement)
    if table is None or options.get(SAME_CONTENT):
        return
    columns = key_columns(table)
    if isinstance(statement, Insert):
        if len(columns) == 1:
            highest = connection.execute(select(func.max(columns[0]))).scalar() or 0
            connection.info[_TOUCHED] = highest
        else:
            given = many or [{**statement.compile().params, **one}]
            connection.info[_TOUCHED] = [tuple(each[column.name] for column in columns) for each in given]
        return
    wanted = select(*columns)
    if statement.whereclause is not None:
        wanted = wanted.where(statement.whereclause)
    if table.name in BULK:
        wanted = wanted.where(columns[0] <= share_bound(connection, table.name))
    found: dict[Key, None] = {}
    for values in many or [one]:
        found.update((tuple(row), None) for row in connection.execute(wanted, dict(values)))
    connection.info[_TOUCHED] = list(found)


def _after(
    connection: Connection,
    statement: Any,
    _many: Sequence[Mapping[str, Any]],
    _one: Mapping[str, Any],
    options: Any,
    _result: object,
) -> None:
    table = _statement_table(statement)
    if table is None or options.get(SAME_CONTENT):
        return
    touched = connection.info.pop(_TOUCHED)
    if isinstance(statement, Delete):
        note(connection, table, "removed", touched)
    elif isinstance(statement, Update):
        note(connection, table, "changed", touched)
    elif isinstance(touched, int):
        column = key_columns(table)[0]
        new = connection.execute(select(column).where(column > touched).order_by(column)).all()
        note(connection, table, "added", [tuple(row) for row in new])
    else:
        note(connection, table, "added", touched)
