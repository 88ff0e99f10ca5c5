"""Brings the tables of a database up to date, by Alembic."""

from importlib.resources import as_file, files
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Engine, text

from smsc_filter.records.database import writing
from smsc_filter.records.errors import RecordsError

# Any number does, as long as no other application on the same database takes it.
_MIGRATION_LOCK: Final = 0x736D7363


def upgrade(engine: Engine, revision: str = "head") -> None:
    """Run what migrations are missing up to ``revision``, in one transaction that holds off who would do the same.

    Raises:
        RecordsError: the database was made by another version.
        SqlUnavailable: it does not answer.
    """
    with as_file(files("smsc_filter.records") / "migrations") as scripts, writing(engine) as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
        config = Config()
        config.set_main_option("script_location", str(scripts).replace("%", "%%"))
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, revision)
        except CommandError as error:
            raise RecordsError(f"made by another version of smsc-filter: {error}") from error
