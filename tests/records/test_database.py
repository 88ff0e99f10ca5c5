"""Opening the database: from nothing, by many at once, and when it is of no use."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from importlib.resources import as_file, files
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, insert, text
from sqlalchemy.exc import DBAPIError

from smsc_filter.policy.record import COLUMNS
from smsc_filter.records.database import FILE_NAME, REVISION, open_database, reading, reason_of, writing
from smsc_filter.records.errors import RecordsError, SqlUnavailable
from smsc_filter.records.tables import decisions, metadata, owners


def test_the_migrations_make_the_tables(engine: Engine) -> None:
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_rows_fit_the_table_of_decisions() -> None:
    assert tuple(decisions.columns.keys()) == COLUMNS


@pytest.mark.parametrize(("pragma", "value"), [
    pytest.param("journal_mode", "wal", id="readers and the writer do not wait for each other"),
    pytest.param("synchronous", 2, id="a commit survives a power cut"),
    pytest.param("foreign_keys", 1, id="references hold"),
    pytest.param("busy_timeout", 30_000, id="a second writer waits"),
])  # fmt: skip
def test_sqlite_is_set_up(sqlite_engine: Engine, pragma: str, value: object) -> None:
    with sqlite_engine.connect() as connection:
        assert connection.execute(text(f"PRAGMA {pragma}")).scalar() == value


def test_opened_again_it_holds_what_it_held(tmp_path: Path) -> None:
    first = open_database("", tmp_path / "new" / "folder")
    with writing(first) as connection:
        connection.execute(insert(owners).values(name="shop-ltd"))
    first.dispose()
    again = open_database(f"sqlite:///{tmp_path / 'new' / 'folder' / FILE_NAME}", tmp_path)
    with reading(again) as connection:
        assert connection.execute(owners.select()).all() == [(1, "shop-ltd")]
    again.dispose()


def test_processes_that_start_at_once_share_one_set_of_tables(tmp_path: Path) -> None:
    program = (
        "import sys, pathlib; from smsc_filter.records.database import open_database;"
        "sys.stdin.read(1); open_database('', pathlib.Path(sys.argv[1])).dispose()"
    )
    starting = [
        subprocess.Popen([sys.executable, "-W", "error", "-c", program, str(tmp_path)], stdin=subprocess.PIPE)
        for _ in range(4)
    ]
    for process in starting:
        assert process.stdin is not None
        process.stdin.close()
    assert [process.wait(60) for process in starting] == [0, 0, 0, 0]


def test_openings_at_the_same_moment_wait_for_the_switch_to_write_ahead(tmp_path: Path) -> None:
    """SQLite refuses one of two that switch at once without a look at its time limit: one round in fifteen."""
    open_database("", tmp_path).dispose()
    together = threading.Barrier(4)

    def opened() -> None:
        together.wait(60)
        open_database("", tmp_path).dispose()

    for _ in range(60):
        with closing(sqlite3.connect(tmp_path / FILE_NAME)) as file:
            file.execute("PRAGMA journal_mode = DELETE")
        with ThreadPoolExecutor(4) as threads:
            for opening in [threads.submit(opened) for _ in range(4)]:
                opening.result()


def test_what_raises_in_a_transaction_leaves_nothing(engine: Engine) -> None:
    with pytest.raises(ZeroDivisionError), writing(engine) as connection:
        connection.execute(insert(owners).values(name="shop-ltd"))
        raise ZeroDivisionError
    with reading(engine) as connection:
        assert connection.execute(owners.select()).all() == []


def test_a_writer_that_has_read_waits_for_the_one_before(sqlite_engine: Engine) -> None:
    """Begun as a reader, the second would fail with a lock error at its first change. PostgreSQL lets both write."""
    engine = sqlite_engine
    both_there = threading.Barrier(2)

    def add(name: str) -> None:
        both_there.wait()
        with writing(engine) as connection:
            number = len(connection.execute(owners.select()).all())
            connection.execute(insert(owners).values(name=f"{name}-{number}"))

    threads = [threading.Thread(target=add, args=(name,)) for name in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with reading(engine) as connection:
        assert {name[-1] for _, name in connection.execute(owners.select())} == {"0", "1"}


@pytest.mark.parametrize(("url", "complaint"), [
    pytest.param("records.db", "is no URL", id="a path"),
    pytest.param("mysql://host/records", "is of mysql, sqlite or postgresql is expected", id="another database"),
    pytest.param("sqlite+nothing:///records", "sqlite.nothing", id="unknown driver"),
    pytest.param("sqlite://", "names no file", id="in memory"),
    pytest.param("sqlite:////nowhere/at/all/records", "unable to open", id="no such folder"),
])  # fmt: skip
def test_a_url_of_no_use_is_named(tmp_path: Path, url: str, complaint: str) -> None:
    with pytest.raises(RecordsError, match=complaint):
        open_database(url, tmp_path)


def test_a_password_is_not_shown(tmp_path: Path) -> None:
    with pytest.raises(RecordsError) as caught:
        open_database("postgresql+nothing://user:hunter2@host/records", tmp_path)
    assert "hunter2" not in str(caught.value)


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"something else entirely" * 100)
    with pytest.raises(RecordsError, match="file is not a database"):
        open_database("", tmp_path)


def test_a_data_dir_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "var").write_bytes(b"")
    with pytest.raises(RecordsError, match="data_dir"):
        open_database("", tmp_path / "var")


def test_a_database_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    open_database("", tmp_path).dispose()
    with sqlite3.connect(tmp_path / FILE_NAME) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    with pytest.raises(RecordsError, match="made by another version"):
        open_database("", tmp_path)


def test_a_start_knows_the_newest_migration_without_alembic(tmp_path: Path) -> None:
    with as_file(files("smsc_filter.records") / "migrations") as scripts:
        assert ScriptDirectory(str(scripts)).get_current_head() == REVISION
    open_database("", tmp_path).dispose()
    again = "import sys, pathlib; from smsc_filter.records.database import open_database;"
    again += "open_database('', pathlib.Path(sys.argv[1])); sys.exit('alembic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", again, str(tmp_path)], check=False).returncode == 0


@pytest.mark.parametrize(
    "statement",
    [
        pytest.param("INSERT INTO once (id, body) VALUES (:mark, '')", id="a key that is there"),
        pytest.param("INSERT INTO once (id, body) VALUES (NULL, :mark)", id="a null"),
        pytest.param("INSERT INTO nowhere (body) VALUES (:mark)", id="no such table"),
        pytest.param("SELECT CAST(:mark AS INTEGER) / 0, nothing FROM once", id="no such column"),
        pytest.param("SELECT id FROM once WHERE id LIKE :mark ESCAPE 'ab'", id="a value nobody takes"),
        pytest.param("INSERT INTO counts (number) VALUES (CAST(:mark AS INTEGER))", id="no number"),
    ],
)
def test_the_words_of_a_database_hold_no_value(engine: Engine, statement: str) -> None:
    mark = "SECRETMARK42"
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE once (id TEXT PRIMARY KEY NOT NULL, body TEXT)"))
        connection.execute(text("CREATE TABLE counts (number INTEGER CHECK (number > 0))"))
        connection.execute(text("INSERT INTO once (id) VALUES (:mark)"), {"mark": mark})
    with pytest.raises((DBAPIError, SqlUnavailable)) as raised, writing(engine) as connection:
        connection.execute(text(statement), {"mark": mark})
    words = reason_of(raised.value)
    assert words
    assert mark not in words
