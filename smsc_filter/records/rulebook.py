"""Keeps every version of what operators set over the configuration; ``policy.tuning`` says what a version holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, insert, select, text

from smsc_filter.policy.tuning import Tuning, read_tuning
from smsc_filter.records.audit import Actor, note_change
from smsc_filter.records.database import reading, writing
from smsc_filter.records.errors import RecordsError
from smsc_filter.records.tables import rule_versions

# One writer at a time on PostgreSQL, as on SQLite; any number does that nobody else takes.
_LOCK = 0x736D7275


class RulesMoved(RecordsError):
    """Somebody saved another version meanwhile: look at it, and decide anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleVersion:
    """One version, and who made it why."""

    tuning: Tuning
    at_ms: int
    by: str
    reason: str
    based_on: int


def newest_rules(engine: Engine) -> Tuning:
    """What holds; an empty tuning of version 0 where nothing was ever set."""
    with reading(engine) as connection:
        return _newest(connection)


def rule_history(engine: Engine, most: int = 50) -> list[RuleVersion]:
    """The versions, newest first."""
    wanted = select(rule_versions).order_by(rule_versions.c.id.desc()).limit(most)
    with reading(engine) as connection:
        return [_version(row) for row in connection.execute(wanted).mappings()]


def find_rules(engine: Engine, version: int) -> RuleVersion | None:
    """One version, or None."""
    with reading(engine) as connection:
        row = connection.execute(select(rule_versions).where(rule_versions.c.id == version)).mappings().first()
    return None if row is None else _version(row)


def save_rules(
    engine: Engine, body: Mapping[str, Any], *, based_on: int, reason: str, actor: Actor, now: float
) -> Tuning:
    """Add a version.

    Raises:
        ValueError: a value is out of range, or no reason is given.
        RulesMoved: ``based_on`` is not the newest version any more.
        SqlUnavailable: the database does not answer.
    """
    wanted = read_tuning(0, body)
    if not reason.strip():
        raise ValueError("reason is empty; a version says why it was made")
    with writing(engine) as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        before = _newest(connection)
        if before.version != based_on:
            raise RulesMoved(f"version {before.version} was saved meanwhile; this was based on {based_on}")
        made: int = connection.execute(
            insert(rule_versions)
            .values(
                at_ms=round(now * 1000), by=actor.name, reason=reason.strip(), based_on=based_on, body=wanted.body()
            )
            .returning(rule_versions.c.id)
        ).scalar_one()
        after = {**wanted.body(), "reason": reason.strip()}
        note_change(connection, actor, "rules-save", f"rules {made}", before=before.body(), after=after, now=now)
    return read_tuning(made, wanted.body())


def _newest(connection: Connection) -> Tuning:
    wanted = select(rule_versions).order_by(rule_versions.c.id.desc()).limit(1)
    row = connection.execute(wanted).mappings().first()
    return Tuning() if row is None else read_tuning(row["id"], row["body"])


def _version(row: Mapping[Any, Any]) -> RuleVersion:
    return RuleVersion(
        tuning=read_tuning(row["id"], row["body"]),
        at_ms=row["at_ms"],
        by=row["by"],
        reason=row["reason"],
        based_on=row["based_on"],
    )
