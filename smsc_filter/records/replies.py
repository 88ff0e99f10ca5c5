"""What subscribers told us by a reply, on its way through the durable stream: field ``c`` of an entry.

A worker puts it there, and into the hot state, before the reply is acknowledged (``state/scripts``).
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import orjson
from sqlalchemy import Connection, Engine, select

from smsc_filter.policy.record import EntryError
from smsc_filter.records.consents import MOST_TOPIC_OCTETS, STATES, ConsentEvent, append_events, event_of, owner_names
from smsc_filter.records.database import reading
from smsc_filter.records.tables import consent_events

FIELD: Final = b"c"

DOUBTFUL: Final = "reply-doubtful"
"""Source of a withdrawal that was read from unclear words; see ``state.consents``."""

MOST_SHOWN: Final = 100
"""Doubtful withdrawals that are shown at once."""

_TYPES: Final[tuple[Any, ...]] = (str, int, str, int, int, (str, type(None)), str, str, str)


class Reply(NamedTuple):
    """One event of field ``c``, in the order in which it stands there."""

    recipient: str
    owner_id: int
    kind: str
    event_at_ms: int
    received_at_ms: int
    topic: str | None
    source: str
    reference: str
    text_version: str


def replies_from_entry(c: bytes) -> list[Reply]:
    """The events an entry stands for.

    Raises:
        EntryError: ``c`` is no list of them.
    """
    try:
        found = orjson.loads(c)
    except orjson.JSONDecodeError as error:
        raise EntryError(f"field c: not JSON: {error}") from error
    if type(found) is not list:
        raise EntryError("field c: a list is expected")
    return [_reply(index, values) for index, values in enumerate(found)]


def store_replies(connection: Connection, replies: list[Reply]) -> None:
    """Append what was replied, in the transaction of ``connection``.

    Raises:
        ValueError: an owner is not known.
    """
    if not replies:
        return
    names = owner_names(connection)
    for reply in replies:
        if reply.owner_id not in names:
            raise ValueError(f"there is no owner {reply.owner_id}")
    events = [
        ConsentEvent(
            recipient=reply.recipient,
            owner=names[reply.owner_id],
            state=reply.kind,
            event_at_ms=reply.event_at_ms,
            received_at_ms=reply.received_at_ms,
            topic=reply.topic,
            source=reply.source,
            reference=reply.reference,
            text_version=reply.text_version,
        )
        for reply in replies
    ]
    append_events(connection, events, {name: id_ for id_, name in names.items()})


def doubtful_replies(
    engine: Engine, owner: str | None = None, most: int = MOST_SHOWN
) -> list[tuple[int, ConsentEvent]]:
    """Withdrawals that were read from unclear words, with their ids, newest first.

    Raises:
        SqlUnavailable: the database does not answer.
    """
    row = consent_events.c
    with reading(engine) as connection:
        names = owner_names(connection)
        wanted = select(consent_events).where(row.source == DOUBTFUL, row.recipient.is_not(None))
        if owner is not None:
            wanted = wanted.where(row.owner_id.in_(id_ for id_, name in names.items() if name == owner))
        found = connection.execute(wanted.order_by(row.id.desc()).limit(most)).mappings()
        return [(values["id"], event_of(values, names)) for values in found]


def _reply(index: int, values: Any) -> Reply:
    if type(values) is not list or len(values) != len(_TYPES):
        raise EntryError(f"reply {index}: a list of {len(_TYPES)} is expected")
    for name, value, kind in zip(Reply._fields, values, _TYPES, strict=True):
        if not isinstance(value, kind) or isinstance(value, bool):
            raise EntryError(f"reply {index}: {name} is {value!r}")
    reply = Reply(*values)
    if reply.kind not in STATES:
        raise EntryError(f"reply {index}: kind is {reply.kind!r}, one of {', '.join(STATES)} is expected")
    if reply.topic is not None and not 0 < len(reply.topic.encode()) <= MOST_TOPIC_OCTETS:
        raise EntryError(f"reply {index}: topic is empty or has more than {MOST_TOPIC_OCTETS} octets")
    return reply
