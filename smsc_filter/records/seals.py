"""Seals decisions, outcomes and changes by segment: a chain that shows any later edit, deletion or reorder.

    root  = SHA-256 of the lines "id digest" of a segment's rows, each with its line feed
    chain = SHA-256("chain-before kind first last rows at_ms found root")

Everything is text, digests in hexadecimal, so that others can check it with ``sha256sum``. The clerk seals once a
minute what is old enough that it hardly changes by itself: the road and the stream to SQL write nothing for it. What
the SMSC answered comes later than the decision, and so has segments of its own. What comes later still is noted in
``changes``, which are a kind of the same chain.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from hashlib import sha256
from typing import Any, Final

from sqlalchemy import Connection, Engine, Row, insert, select, update

from smsc_filter.records.database import reading, writing
from smsc_filter.records.journal import BULK, NOTED, SALT_OCTETS, canonical, digest_of, key_columns, key_text, note
from smsc_filter.records.retention import DECISION_ID_BITS
from smsc_filter.records.tables import changes, seal_heads, seals

BEGINNING: Final = "0" * 64

SETTLE_SECONDS: Final = {"decisions": 300, "outcomes": 600, "changes": 0}
"""How old rows are when they are sealed, by the time in the decision's id."""

SEGMENT_ROWS: Final = 2_000
"""Rows a segment at most: sealing it holds the write lock some 20 ms."""


def adopt(engine: Engine, now: float) -> None:
    """Note the rows from before there were seals as they are found; once for all.

    Raises:
        SqlUnavailable: the database does not answer.
    """
    at_ms = round(now * 1000)
    head = seal_heads.c
    with writing(engine) as connection:
        wanted = select(head.bound).where(head.name == "found").with_for_update()
        if connection.execute(wanted).scalar_one():
            return
        noted = {(each.table, key) for each in connection.execute(select(changes)) for key, _ in each.rows}
        for name, table in NOTED.items():
            keys = [tuple(row) for row in connection.execute(select(*key_columns(table)))]
            new = [key for key in keys if (name, key_text(key)) not in noted]
            note(connection, table, "found", new, at_ms)
        connection.execute(update(seal_heads).where(head.name == "found").values(bound=at_ms))


def seal_due(engine: Engine, now: float, pause: Callable[[float], object] = lambda seconds: None) -> int:
    """Seal whatever is old enough; how many rows that were.

    ``pause`` is called after each segment with the seconds it took, so that other writers get their turn.

    Raises:
        SqlUnavailable: the database does not answer; the rest is sealed the next time.
    """
    adopt(engine, now)
    total = 0
    for kind in (*BULK, "changes"):
        began = time.monotonic()
        while rows := _seal_segment(engine, kind, now):
            total += rows
            pause(time.monotonic() - began)
            began = time.monotonic()
    return total


def seal_end(engine: Engine) -> tuple[int, str]:
    """Where the chain of seals ends: position and chain.

    Raises:
        SqlUnavailable: the database does not answer.
    """
    with reading(engine) as connection:
        return end_of_seals(connection)


def end_of_seals(connection: Connection) -> tuple[int, str]:
    """Where the chain of seals ends: position and chain."""
    head = seal_heads.c
    end = connection.execute(select(head.bound, head.chain).where(head.name == "seals")).one()
    return end.bound, end.chain or BEGINNING


def chain_after(previous: str, seal: Any) -> str:
    """The chain up to a seal and including it."""
    return sha256(chain_words(previous, seal).encode()).hexdigest()


def chain_words(previous: str, seal: Any) -> str:
    """What the chain is the digest of."""
    words = (previous, seal["kind"], seal["first_id"], seal["last_id"], seal["rows"], seal["at_ms"],
             "found" if seal["found"] else "new", seal["root"])  # fmt: skip
    return " ".join(map(str, words))


def root_of(entries: list[tuple[int, bytes]]) -> str:
    """The root of a segment."""
    return sha256(b"".join(b"%d %s\n" % (id_, digest.hex().encode()) for id_, digest in entries)).hexdigest()


def change_digest(row: Row[Any]) -> bytes:
    """Of a row of ``changes``, which has nothing to hide."""
    return sha256(canonical("changes", tuple(row))).digest()


def _seal_segment(engine: Engine, kind: str, now: float) -> int:
    head = seal_heads.c
    with writing(engine) as connection:
        # Always in this order, and nothing else is waited for while they are held.
        end = connection.execute(
            select(head.bound, head.chain).where(head.name == "seals").with_for_update()
        ).one()  # fmt: skip
        bound = connection.execute(select(head.bound).where(head.name == kind).with_for_update()).scalar_one()
        found_ms = connection.execute(select(head.bound).where(head.name == "found")).scalar_one()
        rows = _due(connection, kind, bound, now)
        if not rows:
            return 0
        salts = os.urandom(SALT_OCTETS * len(rows)) if kind in BULK else b""
        entries = []
        for place, row in enumerate(rows):
            salt = salts[place * SALT_OCTETS : (place + 1) * SALT_OCTETS].hex()
            digest = digest_of(salt, canonical(kind, tuple(row))) if kind in BULK else change_digest(row)
            entries.append((row[0], digest))
        seal: dict[str, Any] = {
            "id": end.bound + 1,
            "kind": kind,
            "first_id": bound + 1,
            "last_id": rows[-1][0],
            "rows": len(rows),
            "at_ms": round(now * 1000),
            "found": kind in BULK and bound + 1 < found_ms << DECISION_ID_BITS,
            "root": root_of(entries),
        }
        seal["chain"] = chain_after(end.chain or BEGINNING, seal)
        packed = b"".join(id_.to_bytes(8, "big") + digest for id_, digest in entries)
        kept = {"digests": packed, "salts": salts} if kind in BULK else {}
        connection.execute(insert(seals).values(**seal, **kept))
        connection.execute(update(seal_heads).where(head.name == kind).values(bound=seal["last_id"]))
        connection.execute(update(seal_heads).where(head.name == "seals").values(bound=seal["id"], chain=seal["chain"]))
        return len(rows)


def _due(connection: Connection, kind: str, bound: int, now: float) -> list[Row[Any]]:
    table = BULK.get(kind, changes)
    column = key_columns(table)[0]
    wanted = select(table).where(column > bound).order_by(column).limit(SEGMENT_ROWS)
    if kind in BULK:
        wanted = wanted.where(column < (round((now - SETTLE_SECONDS[kind]) * 1000)) << DECISION_ID_BITS)
    return list(connection.execute(wanted).all())
