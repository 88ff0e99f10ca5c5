"""What the hot state has yet to learn of consents.

An event and its row here are committed together; the row goes once the hot state has what follows from it. Killed
anywhere in between, whoever comes next finds the row and does it again, which changes nothing.

Two projectors may work at once and overtake each other, so what one has read says which revision of the records it
saw: the hot state takes nothing that is older than what it has.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from sqlalchemy import Engine, delete, insert, select

from smsc_filter.records.consents import (
    Consent,
    consents_of_pairs,
    lock_head,
    move_head,
    read_head,
)
from smsc_filter.records.database import reading, writing
from smsc_filter.records.tables import consent_events, outbox


class Pending(NamedTuple):
    """One row of the outbox and what it comes to now."""

    id: int
    revision: int
    """Of the records as they were read."""
    consents: list[Consent]


def next_pending(engine: Engine, *, reply_seconds: float, now: float) -> Pending | None:
    """The oldest row, or None.

    Raises:
        SqlUnavailable: the database does not answer.
    """
    with reading(engine) as connection:
        # Read first: what is committed while we read may then be seen, but is not counted on.
        revision = read_head(connection).revision
        row = connection.execute(select(outbox).order_by(outbox.c.id).limit(1)).first()
        if row is None:
            return None
        if row.pairs is not None:
            pairs = [(recipient, owner_id) for recipient, owner_id in row.pairs]
        else:
            event = consent_events.c
            wanted = select(event.recipient, event.owner_id).where(
                event.id.between(row.first_id, row.last_id), event.recipient.is_not(None)
            )
            pairs = [(recipient, owner_id) for recipient, owner_id in connection.execute(wanted)]
        return Pending(row.id, revision, consents_of_pairs(connection, pairs, reply_seconds, now))


def read_consents_now(
    engine: Engine, pairs: Iterable[tuple[str, int]], *, reply_seconds: float, now: float
) -> tuple[int, list[Consent]]:
    """The revision of the records, and what the consents of some recipients and owner ids are in it.

    Raises:
        SqlUnavailable: the database does not answer.
    """
    with reading(engine) as connection:
        revision = read_head(connection).revision
        return revision, consents_of_pairs(connection, pairs, reply_seconds, now)


def done(engine: Engine, pending: Pending) -> None:
    """The hot state has it.

    Raises:
        SqlUnavailable: the database does not answer.
    """
    with writing(engine) as connection:
        head = lock_head(connection)
        connection.execute(delete(outbox).where(outbox.c.id == pending.id))
        if pending.revision > head.projected:
            move_head(connection, projected=pending.revision)


def announce(engine: Engine, pairs: Iterable[tuple[str, int]]) -> None:
    """Have the consents of some recipients and owner ids projected again."""
    with writing(engine) as connection:
        head = lock_head(connection)
        connection.execute(insert(outbox).values(id=head.revision + 1, pairs=sorted(set(pairs))))
        move_head(connection, revision=head.revision + 1)


def revisions(engine: Engine) -> tuple[int, int]:
    """The revision of the records, and the one the hot state is known to have had.

    Raises:
        SqlUnavailable: the database does not answer.
    """
    with reading(engine) as connection:
        head = read_head(connection)
        return head.revision, head.projected


def raise_revision(engine: Engine, beyond: int) -> int:
    """Make the revision greater than ``beyond``, so that the hot state takes what is written from now on.

    Raises:
        SqlUnavailable: the database does not answer.
    """
    with writing(engine) as connection:
        revision = max(lock_head(connection).revision, beyond) + 1
        move_head(connection, revision=revision)
        return revision
