"""Finds damage in an SQLite file of records, and copies what can be read of it into a fresh one."""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from smsc_filter.records.database import is_damage
from smsc_filter.records.errors import RecordsError

BATCH_ROWS: Final = 500
MOST_SAID: Final = 5
STEP: Final = 1.3
"""Factor by which the search for the next readable page widens."""
MOST_LENGTH: Final = 1 << 42
"""Octets; a head that says more is damaged itself."""
LAST_ROWID: Final = (1 << 63) - 1
STEPS_A_TURN: Final = 100_000
"""Steps of the database between two looks at the clock."""

_UNTOUCHED: Final = ("alembic_version",)


@dataclass(slots=True)
class Salvage:
    """What became of each table."""

    rows: dict[str, int] = field(default_factory=dict)
    lost: dict[str, int] = field(default_factory=dict)
    """Rows that are known to be lost, by table."""
    holes: dict[str, int] = field(default_factory=dict)
    """Places that cannot be read, by table."""

    def tell(self) -> Iterator[str]:
        """A sentence on each table that lost something."""
        for table in sorted({*self.lost, *self.holes}):
            known = self.lost.get(table, 0)
            number = f"{known}" if known else "an unknown number of"
            yield f"{table}: {self.rows.get(table, 0)} rows copied, {number} rows lost"


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that changes nothing, its write-ahead log read too."""
    connection = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, isolation_level=None, timeout=5.0)
    connection.text_factory = lambda octets: octets.decode(errors="replace")
    with closing(connection):
        yield connection


def find_damage(path: Path, seconds: float = 0.0, *, whole: bool = False) -> list[str]:
    """What ``PRAGMA quick_check``, or with ``whole`` integrity_check, finds within ``seconds`` (0: however long).

    Raises:
        sqlite3.Error: the file cannot be opened, for another reason than damage.
    """
    deadline = time.monotonic() + seconds
    try:
        with opened(path) as connection:
            if seconds:
                connection.set_progress_handler(lambda: time.monotonic() > deadline, STEPS_A_TURN)
            check = "integrity_check" if whole else "quick_check"
            said = [str(row[0]) for row in connection.execute(f"PRAGMA {check}({MOST_SAID})")]
            return [] if said == ["ok"] else [" ".join(line.split()) for line in said[:MOST_SAID]]
    except sqlite3.DatabaseError as error:
        if is_damage(error):
            return [str(error)]
        if error.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT:
            return []
        raise


def loose_keys(path: Path) -> dict[str, int]:
    """How many rows refer to one that is not there, by table."""
    found: dict[str, int] = {}
    with opened(path) as connection:
        for table, *_ in connection.execute("PRAGMA foreign_key_check"):
            found[table] = found.get(table, 0) + 1
    return found


def revision_of(path: Path) -> str:
    """Of its tables; "" where that cannot be read."""
    try:
        with opened(path) as connection:
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
            return str(row[0]) if row else ""
    except sqlite3.DatabaseError:
        return ""


def salvage(damaged: Path, fresh: Path) -> Salvage:
    """Copy every row of ``damaged`` that can be read into ``fresh``, which has the tables and no rows.

    Raises:
        RecordsError: not even its list of tables can be read.
    """
    found = Salvage()
    with (
        _at_full_length(damaged, fresh) as path,
        opened(path) as source,
        closing(sqlite3.connect(fresh, isolation_level=None)) as target,
    ):
        tables = [
            row[0]
            for row in target.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'")
        ]
        target.execute("PRAGMA foreign_keys = OFF")
        target.execute("PRAGMA synchronous = OFF")
        for table in tables:
            if table not in _UNTOUCHED:
                _copy(source, target, table, found)
        target.execute("PRAGMA synchronous = FULL")
        target.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    if not any(found.rows.values()):
        raise RecordsError(f"no row of {damaged.name} can be read: restore it from a backup")
    return found


@contextmanager
def _at_full_length(path: Path, fresh: Path) -> Iterator[Path]:
    """The file, or where its end is missing a copy with empty pages there: SQLite reads nothing of a shorter one."""
    with path.open("rb") as file:
        head = file.read(100)
    pages, octets = int.from_bytes(head[28:32]), int.from_bytes(head[16:18])
    wanted = min(pages * (octets if octets > 1 else 65536), MOST_LENGTH)
    if len(head) < 100 or path.stat().st_size >= wanted:
        yield path
        return
    copy = fresh.with_name(fresh.name + ".source")
    shutil.copyfile(path, copy)
    os.truncate(copy, wanted)
    if (log := path.with_name(path.name + "-wal")).exists():
        shutil.copyfile(log, f"{copy}-wal")
    try:
        yield copy
    finally:
        for behind in ("", "-wal", "-shm"):
            Path(f"{copy}{behind}").unlink(missing_ok=True)


class _Table:
    """A table of the damaged file, read as far as it can be."""

    def __init__(self, source: sqlite3.Connection, name: str, columns: Sequence[str]) -> None:
        self._source = source
        self._name = name
        self._columns = ", ".join(f'"{column}"' for column in columns)
        self.lost = 0
        self.holes = 0

    def by_rowid(self) -> Iterator[tuple[Any, ...]]:
        """Every row that can be read, where pages cannot the next that can."""
        at = self._least_by_index()
        while True:
            last = at - 1
            try:
                for rowid, *values in self._source.execute(
                    f'SELECT rowid, {self._columns} FROM "{self._name}" NOT INDEXED'  # noqa: S608
                    " WHERE rowid >= ? ORDER BY rowid", (at,)
                ):  # fmt: skip
                    last = rowid
                    yield tuple(values)
                return
            except sqlite3.DatabaseError as error:
                if not is_damage(error):
                    raise
            if last >= LAST_ROWID:
                return
            following = self._readable_behind(last + 1)
            if following is None:
                return
            at, values = following
            yield values
            if at >= LAST_ROWID:
                return
            at += 1

    def _readable_behind(self, at: int) -> tuple[int, tuple[Any, ...]] | None:
        """The first row from ``at`` on that can be read, past what cannot, with its rowid."""
        while True:
            found = self._seek(at)
            if found is None:
                return None
            values = self._row(found)
            if values is not None:
                return found, values
            self.lost += 1
            if found >= LAST_ROWID:
                return None
            at = found + 1

    def _seek(self, at: int) -> int | None:
        """The first rowid at or behind ``at`` that is found, past pages that cannot be read."""
        try:
            return self._first(at)
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
        self.holes += 1
        bad, step = at, 1.0
        if not at and (last := self._last()) is not None:
            # Nothing says yet how far apart the rows are.
            step = float(max(last - at, 1))
        while True:
            good = min(at + int(step), LAST_ROWID)
            try:
                found = self._first(good)
                break
            except sqlite3.DatabaseError as error:
                if not is_damage(error):
                    raise
            if good == LAST_ROWID:
                return None
            bad, step = good, max(step * STEP, step + 1)
        while good - bad > 1:
            middle = (good + bad) // 2
            try:
                found = self._first(middle)
                good = middle
            except sqlite3.DatabaseError as error:
                if not is_damage(error):
                    raise
                bad = middle
        return found

    def _first(self, at: int) -> int | None:
        row = self._source.execute(
            f'SELECT rowid FROM "{self._name}" NOT INDEXED WHERE rowid >= ? ORDER BY rowid LIMIT 1',  # noqa: S608
            (at,),
        ).fetchone()
        return row[0] if row else None

    def _last(self) -> int | None:
        try:
            row = self._source.execute(f'SELECT max(rowid) FROM "{self._name}" NOT INDEXED').fetchone()  # noqa: S608
        except sqlite3.DatabaseError:
            return None
        return row[0] if row else None

    def _least_by_index(self) -> int:
        """The least rowid as far as an index that can be read knows it, else 0: none is negative."""
        for _, name, _, _, partial in self._source.execute(f'PRAGMA index_list("{self._name}")').fetchall():
            with suppress(sqlite3.DatabaseError):
                least = None if partial else self._source.execute(
                    f'SELECT min(rowid) FROM "{self._name}" INDEXED BY "{name}"'  # noqa: S608
                ).fetchone()[0]  # fmt: skip
                if least is not None:
                    return int(least)
        return 0

    def _row(self, rowid: int) -> tuple[Any, ...] | None:
        try:
            found: tuple[Any, ...] | None = self._source.execute(
                f'SELECT {self._columns} FROM "{self._name}" NOT INDEXED WHERE rowid = ?',  # noqa: S608
                (rowid,),
            ).fetchone()
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
            return None
        return found

    def by_key(self, key: Sequence[str]) -> Iterator[tuple[Any, ...]]:
        """Rows of a table without rowid: from either end up to what cannot be read."""
        for direction in ("ASC", "DESC"):
            order = ", ".join(f'"{column}" {direction}' for column in key)
            try:
                yield from self._source.execute(
                    f'SELECT {self._columns} FROM "{self._name}" ORDER BY {order}'  # noqa: S608
                )
                return
            except sqlite3.DatabaseError as error:
                if not is_damage(error):
                    raise
                self.holes = 1


def _copy(source: sqlite3.Connection, target: sqlite3.Connection, table: str, found: Salvage) -> None:
    columns = [(row[1], row[5]) for row in target.execute(f'PRAGMA table_info("{table}")')]
    try:
        there = {row[1] for row in source.execute(f'PRAGMA table_info("{table}")')}
    except sqlite3.DatabaseError as error:
        raise RecordsError("its list of tables cannot be read: restore it from a backup") from error
    names = [name for name, _ in columns if name in there]
    if not names:
        return
    key = [name for name, place in sorted(columns, key=lambda column: column[1]) if place]
    one = _Table(source, table, names)
    rows = one.by_rowid() if _has_rowid(target, table) else one.by_key(key)
    before = target.execute(f'SELECT count(*) FROM "{table}"').fetchone()[0]  # noqa: S608
    written = "INSERT OR REPLACE" if before else "INSERT OR IGNORE"
    statement = f'{written} INTO "{table}" ({", ".join(map(_quoted, names))}) VALUES ({", ".join("?" * len(names))})'
    target.execute("BEGIN IMMEDIATE")
    for batch in _batched(rows):
        target.executemany(statement, batch)
    target.execute("COMMIT")
    copied: int = target.execute(f'SELECT count(*) FROM "{table}"').fetchone()[0]  # noqa: S608
    found.rows[table] = copied
    indexed = _count_by_indexes(source, table)
    lost = max(one.lost, indexed - copied) if one.lost or one.holes else 0
    if lost:
        found.lost[table] = lost
    if one.holes:
        found.holes[table] = one.holes


def _count_by_indexes(source: sqlite3.Connection, table: str) -> int:
    """How many rows the indexes know that can be read: they are kept apart from the rows."""
    most = 0
    for _, name, _, _, partial in source.execute(f'PRAGMA index_list("{table}")').fetchall():
        if partial:
            continue
        try:
            counted = source.execute(f'SELECT count(*) FROM "{table}" INDEXED BY "{name}"').fetchone()[0]  # noqa: S608
            most = max(most, counted)
        except sqlite3.DatabaseError:
            continue
    return most


def _has_rowid(connection: sqlite3.Connection, table: str) -> bool:
    try:
        connection.execute(f'SELECT rowid FROM "{table}" LIMIT 1')  # noqa: S608
    except sqlite3.OperationalError:
        return False
    return True


def _batched(rows: Iterator[tuple[Any, ...]]) -> Iterator[list[tuple[Any, ...]]]:
    batch = []
    for row in rows:
        batch.append(row)
        if len(batch) == BATCH_ROWS:
            yield batch
            batch = []
    if batch:
        yield batch


def _quoted(name: str) -> str:
    return f'"{name}"'
