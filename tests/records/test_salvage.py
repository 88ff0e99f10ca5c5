"""SQLite files that are really damaged: flipped octets, zeroed and random pages, a cut end."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from smsc_filter.records.database import open_database, reading
from smsc_filter.records.errors import RecordsError, SqlDamaged
from smsc_filter.records.salvage import find_damage, salvage
from smsc_filter.records.tables import audit

ROWS = 20_000


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("whole")
    open_database("", folder).dispose()
    path = folder / "records.sqlite3"
    with closing(sqlite3.connect(path)) as connection:
        connection.executemany(
            "INSERT INTO outbox (id, first_id, last_id) VALUES (?, ?, ?)",
            ((10**18 + n * 7919, n, n) for n in range(ROWS)),
        )
        connection.executemany(
            "INSERT INTO imports (key, fingerprint, started_at_ms, lines, rows, stored, repeated, wrong)"
            " VALUES (?, '', 0, 0, 0, 0, 0, 0)",
            ((f"import-{n:05}",) for n in range(2000)),
        )
        connection.commit()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path.read_bytes()


def pages_of(path: Path, table: str) -> list[int]:
    """Leaf pages of a table, in the order of its rows."""
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT pageno FROM dbstat WHERE name = ? AND pagetype = 'leaf'", (table,)).fetchall()
    return [row[0] for row in rows]


def damage(path: Path, pages: list[int], content: Callable[[], bytes]) -> None:
    with path.open("r+b") as file:
        for page in pages:
            file.seek((page - 1) * 4096)
            file.write(content())


def saved_from(path: Path, folder: Path) -> tuple[dict[str, int], list[str]]:
    fresh = folder / "fresh.sqlite3"
    open_database(f"sqlite:///{fresh}", folder).dispose()
    saved = salvage(path, fresh)
    assert find_damage(fresh, whole=True) == []
    return saved.rows, list(saved.tell())


@pytest.mark.parametrize("fill", [lambda: bytes(4096), lambda: random.Random(7).randbytes(4096)])
@pytest.mark.parametrize("which", [[0], [10], [-1], [5, 6, 7, 20, 22], [0, 1, 2, 30]])
def test_rows_of_readable_pages_are_saved(
    whole: bytes, tmp_path: Path, which: list[int], fill: Callable[[], bytes]
) -> None:
    path = tmp_path / "records.sqlite3"
    path.write_bytes(whole)
    leaves = pages_of(path, "outbox")
    damage(path, [leaves[number] for number in which], fill)
    assert find_damage(path)
    rows, told = saved_from(path, tmp_path)
    a_page = ROWS / len(leaves)
    # A readable page between two that are not may be passed over.
    assert rows["outbox"] >= ROWS - (len(which) + (len(which) > 1)) * (a_page + 30)
    assert rows["imports"] == 2000
    assert any("outbox" in line for line in told)


def test_tables_by_key_are_read_from_both_ends(whole: bytes, tmp_path: Path) -> None:
    path = tmp_path / "records.sqlite3"
    path.write_bytes(whole)
    leaves = pages_of(path, "imports")
    damage(path, [leaves[len(leaves) // 2]], lambda: bytes(4096))
    rows, _ = saved_from(path, tmp_path)
    assert 2000 - 3 * 2000 / len(leaves) <= rows["imports"] < 2000
    assert rows["outbox"] == ROWS


def test_cut_file_gives_what_it_holds(whole: bytes, tmp_path: Path) -> None:
    path = tmp_path / "records.sqlite3"
    path.write_bytes(whole[: len(whole) * 2 // 3])
    assert find_damage(path)
    rows, _ = saved_from(path, tmp_path)
    assert rows["outbox"] > 0


def test_file_without_a_head_is_said_to_be_lost(whole: bytes, tmp_path: Path) -> None:
    path = tmp_path / "records.sqlite3"
    path.write_bytes(bytes(4096) + whole[4096:])
    assert find_damage(path)
    fresh = tmp_path / "fresh.sqlite3"
    open_database(f"sqlite:///{fresh}", tmp_path).dispose()
    with pytest.raises(RecordsError, match="backup"):
        salvage(path, fresh)


def test_damage_met_while_running_names_the_doctor(whole: bytes, tmp_path: Path) -> None:
    path = tmp_path / "records.sqlite3"
    path.write_bytes(whole)
    engine = open_database("", tmp_path)
    damage(path, pages_of(path, "audit"), lambda: bytes(4096))
    with pytest.raises(SqlDamaged, match="doctor"), reading(engine) as connection:
        connection.execute(audit.select()).all()
    engine.dispose()


def test_no_time_is_no_verdict(whole: bytes, tmp_path: Path) -> None:
    path = tmp_path / "records.sqlite3"
    path.write_bytes(whole)
    damage(path, pages_of(path, "outbox")[-1:], lambda: bytes(4096))
    assert find_damage(path, 1e-9) == []
    assert find_damage(path, 60.0)
