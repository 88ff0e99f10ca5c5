"""Holds: what no purge may touch while an appeal or a complaint is open."""

from __future__ import annotations

from collections import defaultdict
from typing import Final

from sqlalchemy import Connection, Engine, insert, select, update

from smsc_filter.records.database import reading, writing
from smsc_filter.records.tables import holds

KINDS: Final = ("decision", "consent", "recipient", "owner")
"""What a hold is about; its subject is a decision's id, a consent event's id, a number, an owner's name. A decision
is held with the consents of its recipient and owner, a consent event with all of its recipient and owner."""


def place_hold(engine: Engine, kind: str, subject: str, reason: str, *, now: float, until: float | None = None) -> int:
    """Keep something from being purged from ``now`` on, ``until`` then (epoch seconds) or until released.

    Returns:
        The hold's id.

    Raises:
        ValueError: the kind is unknown, or there is no subject or reason.
        SqlUnavailable: the database does not answer.
    """
    with writing(engine) as connection:
        return add_hold(connection, kind, subject, reason, now=now, until=until)


def add_hold(
    connection: Connection, kind: str, subject: str, reason: str, *, now: float, until: float | None = None
) -> int:
    """The same as ``place_hold``, in the transaction of ``connection``."""
    if kind not in KINDS or not subject or not reason.strip():
        raise ValueError(f"a hold is of a kind ({', '.join(KINDS)}) with a subject and a reason")
    hold_id: int = connection.execute(
        insert(holds)
        .values(
            kind=kind,
            subject=subject,
            reason=reason,
            placed_at_ms=round(now * 1000),
            until_ms=None if until is None else round(until * 1000),
        )
        .returning(holds.c.id)
    ).scalar_one()
    return hold_id


def release_reason(connection: Connection, reason: str, *, now: float) -> int:
    """Let go of all that is held for a reason, in the transaction of ``connection``; how many holds that were."""
    row = holds.c
    done = connection.execute(
        update(holds).where(row.reason == reason, row.released_at_ms.is_(None)).values(released_at_ms=round(now * 1000))
    )
    return done.rowcount


def release_hold(engine: Engine, hold_id: int, *, now: float) -> bool:
    """Let go of what a hold keeps; False when there is none, or it was released before."""
    row = holds.c
    with writing(engine) as connection:
        done = connection.execute(
            update(holds)
            .where(row.id == hold_id, row.released_at_ms.is_(None))
            .values(released_at_ms=round(now * 1000))
        )
        return done.rowcount == 1


def held_subjects(connection: Connection, now_ms: int) -> dict[str, set[str]]:
    """The subjects of the holds that stand at ``now_ms``, by kind."""
    row = holds.c
    found = connection.execute(
        select(row.kind, row.subject).where(
            row.released_at_ms.is_(None) | (row.released_at_ms > now_ms),
            row.until_ms.is_(None) | (row.until_ms > now_ms),
        )
    )
    subjects: dict[str, set[str]] = defaultdict(set)
    for kind, subject in found:
        subjects[kind].add(subject)
    return subjects


def holds_on_record(engine: Engine, now: float) -> list[tuple[int, str, str, str]]:
    """(id, kind, subject, reason) of the holds that stand.

    Raises:
        SqlUnavailable: the database does not answer.
    """
    row, now_ms = holds.c, round(now * 1000)
    with reading(engine) as connection:
        found = connection.execute(
            select(row.id, row.kind, row.subject, row.reason)
            .where(
                row.released_at_ms.is_(None) | (row.released_at_ms > now_ms),
                row.until_ms.is_(None) | (row.until_ms > now_ms),
            )
            .order_by(row.id)
        )
        return [tuple(each) for each in found]
