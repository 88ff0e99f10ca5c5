"""Opens the database of the records of law and brings its tables up to date.

SQLite is the embedded default; PostgreSQL serves more than one machine. The two differ here and in the
fastest way to insert, nowhere else.

A transaction that means to write asks for the write lock at its beginning (``writing``). Left to itself
SQLite takes it at the first change, and a transaction that has read before then fails at once when another
has written in between: no time-out helps.
"""

import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from sqlalchemy import URL, Connection, Engine, Table, create_engine, event, inspect, make_url, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import (
    ArgumentError,
    DatabaseError,
    DataError,
    DBAPIError,
    InterfaceError,
    NoSuchModuleError,
    OperationalError,
    SQLAlchemyError,
)

from smsc_filter.records.errors import RecordsError, SqlDamaged, SqlUnavailable
from smsc_filter.records.journal import listen
from smsc_filter.records.modes import close_to_others, make_private_folder
from smsc_filter.records.sealed import use_text_keys
from smsc_filter.records.text_keys import TextKeys

FILE_NAME: Final = "records.sqlite3"
DIALECTS: Final = ("sqlite", "postgresql")

BUSY_SECONDS: Final = 30.0
"""Longest wait for another writer, since SQLite has room for one; 5,000 rows hold it for some 20 ms."""

REVISION: Final = "0013"
"""Of the tables as this version needs them: the newest of ``migrations``."""


def open_database(url: str, data_dir: Path, text_keys: TextKeys | None = None, *, revision: str = REVISION) -> Engine:
    """The database at ``url``, its tables as this version needs them.

    Any number of processes may open it at once: the first one makes the tables, the others wait for it.

    Args:
        url: an SQLAlchemy URL of SQLite or PostgreSQL; empty for the SQLite file in ``data_dir``.
        data_dir: is made when missing; used only with an empty ``url``.
        text_keys: what texts are sealed and opened with.
        revision: of the tables that are wanted.

    Raises:
        RecordsError: the URL, the file or its content is of no use; the sentence says which and why.
        SqlUnavailable: the database does not answer.
    """
    target = _target(url, data_dir)
    shown = target.render_as_string(hide_password=True)
    try:
        engine = create_engine(target, hide_parameters=True)
    except (NoSuchModuleError, ModuleNotFoundError) as error:
        raise RecordsError(f"records.database_url {shown}: {error}") from error
    if text_keys is not None:
        use_text_keys(engine, text_keys)
    if engine.dialect.name == "sqlite":
        # The write-ahead log gets the mode of the file.
        for behind in ("", "-wal", "-shm"):
            close_to_others(Path(f"{target.database}{behind}"), 0o600)
        _listen_sqlite(engine)
    try:
        if not _is_at(engine, revision):
            # Half a second of Alembic: most starts find the tables as they are and go without.
            from smsc_filter.records.upgrade import upgrade

            upgrade(engine, revision)
            if revision == REVISION:
                from smsc_filter.records.seals import adopt

                listen(engine)
                adopt(engine, time.time())
        elif revision == REVISION:
            listen(engine)
    except RecordsError as error:
        engine.dispose()
        raise RecordsError(f"records.database_url {shown}: {error}") from error
    except SqlDamaged:
        engine.dispose()
        raise
    except SqlUnavailable as error:
        engine.dispose()
        raise SqlUnavailable(f"records.database_url {shown}: {error}") from error
    except (SQLAlchemyError, OSError) as error:
        engine.dispose()
        if is_damage(getattr(error, "orig", None)):
            raise damaged(str(target.database), reason_of(error)) from error
        raise RecordsError(f"records.database_url {shown}: {reason_of(error)}") from error
    return engine


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A transaction that writes: committed at the end, rolled back whole when anything is raised.

    Raises:
        SqlUnavailable: the database does not answer, or another writer kept it for ``BUSY_SECONDS``.
    """
    with _translated(), engine.connect() as connection:
        connection = connection.execution_options(sqlite_begin="IMMEDIATE")
        with connection.begin():
            yield connection


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A transaction that reads; each statement sees one state, whatever others write meanwhile.

    Raises:
        SqlUnavailable: the database does not answer.
    """
    with _translated(), engine.connect() as connection:
        yield connection


def forget_deleted(engine: Engine) -> None:
    """See that what was deleted is in no file any more: SQLite's log is emptied, PostgreSQL vacuums.

    Raises:
        SqlUnavailable: the database does not answer, or a reader kept it for ``BUSY_SECONDS``.
    """
    with _translated(), engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            dbapi: Any = connection.connection.dbapi_connection
            busy, _, _ = dbapi.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            if busy:
                raise SqlUnavailable("records.sqlite3 is read by somebody: its log still holds what was deleted")
        else:
            connection.execution_options(isolation_level="AUTOCOMMIT").exec_driver_sql("VACUUM")


def insert(connection: Connection, table: Table) -> sqlite.Insert | postgresql.Insert:
    """An INSERT in the dialect of the database: both know ``on_conflict_do_nothing`` and ``on_conflict_do_update``."""
    return sqlite.insert(table) if connection.dialect.name == "sqlite" else postgresql.insert(table)


def insert_new(connection: Connection, table: Table) -> sqlite.Insert | postgresql.Insert:
    """An INSERT that leaves a row alone whose key is there already."""
    return insert(connection, table).on_conflict_do_nothing()


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (OperationalError, InterfaceError) as error:
        raise SqlUnavailable(reason_of(error)) from error
    except DatabaseError as error:
        if is_damage(error.orig):
            raise damaged(FILE_NAME, reason_of(error)) from error
        raise


def is_damage(error: BaseException | None) -> bool:
    """Whether SQLite says that its file is damaged, rather than busy or away."""
    code = getattr(error, "sqlite_errorcode", 0) or 0
    return code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def damaged(name: str, reason: str) -> SqlDamaged:
    """What to say of a damaged file."""
    return SqlDamaged(f"{name} is damaged ({reason}): stop serve, then run smsc-filter doctor --mend")


def sqlite_file(url: str, data_dir: Path) -> Path | None:
    """The file of the records; None where they are in PostgreSQL.

    Raises:
        RecordsError: the URL is of no use.
    """
    if not url:
        return data_dir / FILE_NAME
    target = _target(url, data_dir)
    return Path(str(target.database)) if target.get_backend_name() == "sqlite" else None


def reason_of(error: Exception) -> str:
    """The database's own words, without the statement and without values, which may be texts and numbers.

    PostgreSQL repeats a value in DETAIL, and between quotation marks where it is none of its column's type.
    """
    if not isinstance(error, DBAPIError):
        return str(error)
    primary = getattr(getattr(error.orig, "diag", None), "message_primary", None)
    words = primary or str(error.orig)
    return re.sub(r'"[^"]*"', '"..."', words) if isinstance(error, DataError) else words


def _target(url: str, data_dir: Path) -> URL:
    if not url:
        try:
            make_private_folder(data_dir)
        except OSError as error:
            raise RecordsError(f"data_dir {data_dir}: {error.strerror}") from error
        return URL.create("sqlite", database=str(data_dir / FILE_NAME))
    try:
        target = make_url(url)
    except ArgumentError as error:
        raise RecordsError("records.database_url is no URL such as postgresql+psycopg://user@host/name") from error
    if target.get_backend_name() not in DIALECTS:
        raise RecordsError(
            f"records.database_url is of {target.get_backend_name()}, {' or '.join(DIALECTS)} is expected"
        )
    if target.get_backend_name() == "sqlite" and target.database in (None, "", ":memory:"):
        raise RecordsError("records.database_url names no file; records in memory would be gone with the process")
    return target


def _listen_sqlite(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def _set_up(connection: Any, _record: object) -> None:
        # sqlite3 would begin transactions by itself, late and never for DDL; ``_begin`` does it instead.
        connection.isolation_level = None
        connection.execute(f"PRAGMA busy_timeout = {round(BUSY_SECONDS * 1000)}")
        _write_ahead(connection)
        # What is committed here leaves the stream, so it must survive a power cut: FULL. NORMAL would save
        # one fsync a transaction, about 1 ms for thousands of rows.
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        # What is deleted is overwritten: a text that was purged or erased is not left in free pages.
        connection.execute("PRAGMA secure_delete = ON")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN " + connection.get_execution_options().get("sqlite_begin", "DEFERRED"))


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Switch the file to a write-ahead log, as it stays from then on.

    Two processes that make the file at the same moment each read it and each want it alone: SQLite refuses
    one of them at once, whatever the time limit, so that one asks again.
    """
    until = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
        time.sleep(0.01)


def _is_at(engine: Engine, revision: str) -> bool:
    """Whether the tables are those of a revision."""
    with reading(engine) as connection:
        if not inspect(connection).has_table("alembic_version"):
            return False
        return connection.scalars(text("SELECT version_num FROM alembic_version")).all() == [revision]
