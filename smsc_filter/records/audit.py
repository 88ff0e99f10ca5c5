"""Who changed what, from what to what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, insert, select

from smsc_filter.records.database import reading, writing
from smsc_filter.records.tables import audit


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does something, and from where."""

    name: str
    address: str = ""
    """Network address; empty for the command line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One change."""

    id: int
    at_ms: int
    actor: str
    action: str
    subject: str
    before: Any
    after: Any
    address: str


def note_change(
    connection: Connection,
    actor: Actor,
    action: str,
    subject: str,
    *,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    now: float,
) -> None:
    """Put a change on record in the transaction that makes it; secrets have no place in ``before`` and ``after``."""
    connection.execute(
        insert(audit).values(
            at_ms=round(now * 1000),
            actor=actor.name,
            action=action,
            subject=subject,
            before=None if before is None else dict(before),
            after=None if after is None else dict(after),
            address=actor.address,
        )
    )


def note_done(
    engine: Engine,
    actor: Actor,
    action: str,
    subject: str,
    *,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    now: float,
) -> None:
    """Put on record what somebody else's transaction changed."""
    with writing(engine) as connection:
        note_change(connection, actor, action, subject, before=before, after=after, now=now)


def changes(engine: Engine, *, before_id: int | None = None, most: int = 100) -> list[AuditEntry]:
    """What was changed, newest first; behind ``before_id`` where it is given."""
    wanted = select(audit).order_by(audit.c.id.desc()).limit(most)
    if before_id is not None:
        wanted = wanted.where(audit.c.id < before_id)
    with reading(engine) as connection:
        return [AuditEntry(**row) for row in connection.execute(wanted).mappings()]
