"""Keeps what granted appeals allow; ``policy.whitelist`` says what an entry clears."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, Engine, RowMapping, insert, select, update

from smsc_filter.policy.whitelist import WhitelistEntry
from smsc_filter.records.database import reading, writing
from smsc_filter.records.tables import whitelist


def grant(
    engine: Engine,
    *,
    scope: str,
    owner: str,
    sender: str | None = None,
    recipients: Iterable[str] = (),
    reason: str,
    now: float,
    expires_at: float,
    created_by: str | None = None,
    sketch: bytes = b"",
) -> WhitelistEntry:
    """Add an entry, valid from ``now`` until ``expires_at`` (epoch seconds).

    Raises:
        ValueError: the fields do not fit the scope, no reason is given, or it expires before it begins.
        SqlUnavailable: the database does not answer.
    """
    with writing(engine) as connection:
        return add_entry(
            connection,
            scope=scope,
            owner=owner,
            sender=sender,
            recipients=recipients,
            reason=reason,
            now=now,
            expires_at=expires_at,
            created_by=created_by,
            sketch=sketch,
        )


def add_entry(
    connection: Connection,
    *,
    scope: str,
    owner: str,
    sender: str | None,
    recipients: Iterable[str],
    reason: str,
    now: float,
    expires_at: float,
    created_by: str | None,
    sketch: bytes = b"",
) -> WhitelistEntry:
    """The same as ``grant``, in the transaction of ``connection``."""
    asked = WhitelistEntry(
        id=0,
        scope=scope,
        owner=owner,
        sender=sender,
        recipients=frozenset(recipients),
        expires_at=expires_at,
        reason=reason,
        sketch=sketch,
    )
    if not reason.strip():
        raise ValueError("reason is empty; an entry is kept as evidence and says why it was granted")
    if expires_at <= now:
        raise ValueError(f"expires_at {expires_at} is not after now, {now}")
    row = connection.execute(
        insert(whitelist)
        .values(
            scope=scope,
            owner=owner,
            sender=sender,
            recipients=sorted(asked.recipients) or None,
            reason=reason,
            created_at_ms=round(now * 1000),
            expires_at_ms=round(expires_at * 1000),
            created_by=created_by,
            sketch=sketch or None,
        )
        .returning(*whitelist.c)
    )
    return _entry(row.mappings().one())


def revoke(engine: Engine, entry_id: int, now: float) -> bool:
    """End an entry at ``now`` (epoch seconds); False when there is none, or it was revoked before."""
    with writing(engine) as connection:
        return revoke_entry(connection, entry_id, now)


def revoke_entry(connection: Connection, entry_id: int, now: float) -> bool:
    """The same as ``revoke``, in the transaction of ``connection``."""
    done = connection.execute(
        update(whitelist)
        .where(whitelist.c.id == entry_id, whitelist.c.revoked_at_ms.is_(None))
        .values(revoked_at_ms=round(now * 1000))
    )
    return done.rowcount == 1


def entries(engine: Engine, now: float) -> list[WhitelistEntry]:
    """What holds at ``now`` (epoch seconds), in the order in which it was granted."""
    now_ms = round(now * 1000)
    row = whitelist.c
    with reading(engine) as connection:
        held = connection.execute(
            select(whitelist)
            .where(
                row.created_at_ms <= now_ms,
                row.expires_at_ms > now_ms,
                row.revoked_at_ms.is_(None) | (row.revoked_at_ms > now_ms),
            )
            .order_by(row.id)
        )
        return [_entry(values) for values in held.mappings()]


def _entry(row: RowMapping) -> WhitelistEntry:
    values: dict[str, Any] = dict(row)
    return WhitelistEntry.from_dict(
        values
        | {
            "recipients": values["recipients"] or (),
            "expires_at": values["expires_at_ms"] / 1000,
            "sketch": (values["sketch"] or b"").hex(),
        }
    )
