"""Appeals that subscribers sent by reply, on their way through the durable stream: field ``a`` of an entry.

A worker puts it there before the reply is acknowledged (``state.appeals``). What cannot be opened, for a code nobody
issued or a limit that is reached, is logged and gone: the subscriber was told nothing that would need an answer.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import orjson
import structlog
from sqlalchemy import Connection

from smsc_filter.policy.appeals import CODE_LENGTH, Terms
from smsc_filter.policy.record import EntryError, id_from_text
from smsc_filter.records.appeals import MOST_CHARACTERS, PERSON, AppealRefused, Appellant, add_appeal
from smsc_filter.records.matters import DECISION

log = structlog.get_logger(__name__)

FIELD: Final = b"a"

_TYPES: Final = (str, str, str, int)


class SentAppeal(NamedTuple):
    """One appeal of field ``a``, in the order in which it stands there."""

    subscriber: str
    code: str
    reason: str
    at_ms: int


def appeals_from_entry(a: bytes) -> list[SentAppeal]:
    """The appeals an entry stands for.

    Raises:
        EntryError: ``a`` is no list of them.
    """
    try:
        found = orjson.loads(a)
    except orjson.JSONDecodeError as error:
        raise EntryError(f"field a: not JSON: {error}") from error
    if type(found) is not list:
        raise EntryError("field a: a list is expected")
    return [_appeal(index, values) for index, values in enumerate(found)]


def store_appeals(connection: Connection, sent: list[SentAppeal], terms: Terms) -> None:
    """Open what was sent, in the transaction of ``connection``."""
    for each in sent:
        try:
            add_appeal(
                connection,
                terms,
                appellant=Appellant(PERSON, each.subscriber),
                channel="sms",
                # PostgreSQL keeps no NUL in text.
                reason=each.reason[:MOST_CHARACTERS].replace("\0", ""),
                now=each.at_ms / 1000,
                **_named(each.code),
            )
        except AppealRefused as error:
            # Raised before anything is written, so the others of this transaction are as they should be.
            log.info("appeal-not-opened", channel="sms", reason=error.kind)


def _named(code: str) -> dict[str, str]:
    if len(code) == CODE_LENGTH:
        return {"code": code}
    try:
        return {"kind": DECISION, "subject": str(id_from_text(code))}
    except ValueError:
        return {"code": code}


def _appeal(index: int, values: Any) -> SentAppeal:
    if type(values) is not list or tuple(map(type, values)) != _TYPES:
        raise EntryError(f"appeal {index}: {len(_TYPES)} values are expected")
    return SentAppeal(*values)
