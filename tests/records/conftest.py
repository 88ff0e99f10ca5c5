"""A database of its own for each test, on each kind of database there is."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, text

from smsc_filter.records.database import open_database

from .helpers import copy_database, new_database
from .postgres import NoPostgresError, running_postgres

NewUrl = Callable[[], str]


@pytest.fixture(scope="session")
def new_postgres() -> Iterator[NewUrl]:
    """URLs of new databases on a private PostgreSQL; skips where there is none, which CI does not allow."""
    try:
        running = running_postgres()
        url = running.__enter__()
    except NoPostgresError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"NOT TESTED on PostgreSQL: {error}")
    numbers = count()
    try:
        # The migrations run once; each test gets a copy of what they made.
        admin = create_engine(url.format(name="postgres"), isolation_level="AUTOCOMMIT")
        with admin.connect() as connection:
            connection.execute(text("CREATE DATABASE migrated"))
        open_database(url.format(name="migrated"), Path()).dispose()

        def new() -> str:
            name = f"test{next(numbers)}"
            with admin.connect() as connection:
                connection.execute(text(f"CREATE DATABASE {name} TEMPLATE migrated"))
            return url.format(name=name)

        yield new
        admin.dispose()
    finally:
        running.__exit__(None, None, None)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Of an empty database with the tables in it, or empty for that of ``tmp_path``."""
    if request.param == "sqlite":
        copy_database(tmp_path)
        return ""
    new: NewUrl = request.getfixturevalue("new_postgres")
    return new()


@pytest.fixture
def engine(tmp_path: Path, database_url: str) -> Iterator[Engine]:
    engine = open_database(database_url, tmp_path)
    yield engine
    engine.dispose()


@pytest.fixture
def sqlite_engine(tmp_path: Path) -> Iterator[Engine]:
    engine = new_database(tmp_path)
    yield engine
    engine.dispose()
