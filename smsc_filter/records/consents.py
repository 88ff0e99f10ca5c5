"""What recipients told owners: events are stored for ever, the state of a consent follows from them.

``policy.consent`` says what events amount to; here they are kept. An event is appended under the end of the chain
(``records.chain``) and announced to the hot state by a row of the outbox (``records.outbox``), in one transaction.
"""

from __future__ import annotations

import hmac
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Engine, func, insert, select, update

from smsc_filter.policy import consent as machine
from smsc_filter.records import chain
from smsc_filter.records.bulk import insert_rows
from smsc_filter.records.database import insert_new, reading, writing
from smsc_filter.records.tables import chain_heads, consent_claims, consent_events, outbox, owners

STATES: Final = machine.KINDS
"""What an event may say."""

MOST_TOPIC_OCTETS: Final = 48
"""Of a topic's name: the hot state keeps it in every field, and one beyond 64 octets would unpack its whole bucket."""

# SQLite before 2020 takes no more than 999 variables in a statement.
ASKED_AT_ONCE: Final = 900

MARK_OCTETS: Final = 16

BATCH_ROWS: Final = 10_000

COLUMNS: Final = (
    "id", "recipient", "owner_id", "topic", "event", "event_at_ms", "received_at_ms", "expires_at_ms", "source",
    "reference", "text_version", "evidence", "evidence_name", "salt", "proof_salt", "chain",
)  # fmt: skip
"""In the order in which events are stored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentEvent:
    """What one recipient told one owner, with its proof."""

    recipient: str
    """MSISDN, normalised."""

    owner: str
    state: str
    """What it says: one of ``STATES``."""

    event_at_ms: int
    """When it happened, epoch milliseconds."""

    received_at_ms: int
    """When we learned of it."""

    expires_at_ms: int | None = None
    """Of a grant: until when it holds. Of a request: until when an answer is waited for."""

    topic: str | None = None
    """What it is about; None: everything the owner sends."""

    source: str = ""
    """Where it came from: a form, a reply, a file."""

    reference: str = ""
    """What to ask the source for as proof."""

    text_version: str = ""
    """Which wording the recipient agreed to."""

    evidence: str | None = None
    """SHA-256 of the file that shows it, in hexadecimal."""

    evidence_name: str | None = None
    """Under which that file is kept; see ``records.evidence``."""

    by_owner: bool = False
    """Whether the owner says so, in a file or over the API; see ``policy.consent``."""

    dated: bool = True
    """Of a grant the owner says: whether its time is known; if not, it is that of ``received_at_ms``."""

    @property
    def recorded(self) -> str:
        """What the records call it, see ``policy.consent.RECORDED``."""
        return _NAMES[self.state, self.by_owner, self.dated or self.state != "granted"]


_NAMES: Final = {said: name for name, said in machine.RECORDED.items()} | {
    ("requested", True, True): "requested",
}


class Stored(NamedTuple):
    """What became of some events."""

    ids: list[int]
    """The id of each, in the order given, whether it is new or was on record before."""
    new: int
    """How many were not on record, to the letter."""
    held: int = 0
    """How many of the new ones are claims that a refusal holds back, see ``records.claims``."""


class Head(NamedTuple):
    """The end of the chain."""

    position: int
    """The id of its last event, 0 before the first."""
    chain: bytes
    revision: int
    projected: int


def store_events(engine: Engine, events: Sequence[ConsentEvent]) -> Stored:
    """Store ``events`` in one transaction, all or none; one that is on record to the letter is not repeated.

    Raises:
        ValueError: an event breaks what its class says.
        SqlUnavailable: the database does not answer.
    """
    if not events:
        return Stored([], 0)
    ids = owner_ids(engine, {event.owner for event in events})
    with writing(engine) as connection:
        return append_events(connection, [_not_ahead(event) for event in events], ids)


def append_events(connection: Connection, events: Sequence[ConsentEvent], ids: dict[str, int]) -> Stored:
    """Append ``events`` in the transaction of ``connection``; ``ids`` are those of their owners.

    Raises:
        ValueError: an event breaks what its class says.
    """
    for event in events:
        _check(event)
    head = lock_head(connection)
    before = list(_on_record(connection, events, ids))
    known: dict[tuple[object, ...], int] = {_letter(event): id_ for id_, event in before}
    new: list[ConsentEvent] = []
    event_ids: list[int] = []
    for event in events:
        letter = _letter(event)
        id_ = known.get(letter)
        if id_ is None:
            new.append(event)
            known[letter] = id_ = head.position + len(new)
        event_ids.append(id_)
    if not new:
        return Stored(event_ids, 0)
    _append(connection, new, ids, head)
    added = list(enumerate(new, head.position + 1))
    held = _note_claims(connection, before, added, ids)
    return Stored(event_ids, len(new), sum(id_ > head.position for id_ in held))


def _note_claims(
    connection: Connection,
    before: list[tuple[int, ConsentEvent]],
    added: list[tuple[int, ConsentEvent]],
    ids: dict[str, int],
) -> set[int]:
    """Note what refusals hold back of what owners claim, for review; the ids of all such events."""
    forgotten: dict[tuple[str, int], machine.ConsentEvent] = {}
    refused = {(event.recipient, event.owner) for _, event in (*before, *added) if event.state != "granted"}
    if _any_forgotten(connection):
        claimed = {(event.recipient, ids[event.owner]) for _, event in added if _is_claim(event)}
        forgotten = _forgotten_refusals(connection, sorted(claimed))
        names = {id_: name for name, id_ in ids.items()}
        refused.update((recipient, names[owner_id]) for recipient, owner_id in forgotten)
    if not refused:
        return set()
    by_pair: dict[tuple[str, str], list[tuple[int, ConsentEvent]]] = defaultdict(list)
    for each in (*before, *added):
        if (pair := (each[1].recipient, each[1].owner)) in refused:
            by_pair[pair].append(each)
    held: dict[int, int] = {}
    for (recipient, owner), events in by_pair.items():
        if any(_is_claim(event) for _, event in events):
            more = forgotten.get((recipient, ids[owner]))
            # Where a request is open the list says more than is held back; whoever reviews is shown what is.
            now = max(event.received_at_ms for _, event in events) / 1000 + 1
            found = held_claims(events, reply_seconds=0, now=now, forgotten=more)
            held |= dict.fromkeys(found, ids[owner])
    if held:
        received = {id_: event.received_at_ms for id_, event in (*before, *added)}
        rows = [{"event_id": id_, "owner_id": owner_id, "at_ms": received[id_]} for id_, owner_id in held.items()]
        connection.execute(insert_new(connection, consent_claims), rows)
    return set(held)


def held_claims(
    events: Sequence[tuple[int, ConsentEvent]],
    *,
    reply_seconds: float,
    now: float,
    forgotten: machine.ConsentEvent | None = None,
) -> set[int]:
    """The ids of those events of one recipient and owner that are claims held back by a refusal."""
    told = {id_: _told(event) for id_, event in events}
    spoken = [*told.values(), *([forgotten] if forgotten is not None else [])]
    held: set[int] = set()
    for topic in {event.topic for _, event in events if _is_claim(event)}:
        found = machine.claims(machine.speaking_for(spoken, topic), reply_seconds=reply_seconds, now=now)
        same = {id(each) for each in found}
        held.update(id_ for id_, each in told.items() if each.topic == topic and id(each) in same)
    return held


def _told(event: ConsentEvent) -> machine.ConsentEvent:
    return machine.recorded_event(
        event.recorded, event.event_at_ms, event.received_at_ms, event.expires_at_ms, event.topic
    )


def _is_claim(event: ConsentEvent) -> bool:
    return event.by_owner and event.state == "granted"


def lock_head(connection: Connection) -> Head:
    """The end of the chain, held until the transaction ends: appenders come one after another.

    On SQLite ``writing`` has the whole database already.
    """
    return _head(connection, lock=connection.dialect.name != "sqlite")


def read_head(connection: Connection) -> Head:
    """The end of the chain."""
    return _head(connection, lock=False)


def owner_ids(engine: Engine, names: Iterable[str]) -> dict[str, int]:
    """The id of each owner in ``names``; who has none gets one, once, whoever else asks at the same time.

    Raises:
        SqlUnavailable: the database does not answer.
    """
    wanted = set(names)
    with reading(engine) as connection:
        known = _owner_ids(connection, wanted)
    # Asked first and then added: a conflict would use up one of the small ids on PostgreSQL.
    missing = wanted - known.keys()
    if not missing:
        return known
    with writing(engine) as connection:
        return known | owner_ids_within(connection, missing)


def owner_ids_within(connection: Connection, names: set[str]) -> dict[str, int]:
    """The same in the transaction of ``connection``."""
    known = _owner_ids(connection, names)
    missing = names - known.keys()
    if missing:
        connection.execute(insert_new(connection, owners), [{"name": name} for name in sorted(missing)])
        known |= _owner_ids(connection, missing)
    return known


def owner_names(connection: Connection) -> dict[int, str]:
    """The name of every owner there is."""
    return {row.id: row.name for row in connection.execute(select(owners.c.id, owners.c.name))}


def history(engine: Engine, recipient: str, owner: str | None = None) -> list[tuple[int, ConsentEvent]]:
    """The id and the content of every event of a recipient, in the order of the chain.

    Raises:
        SqlUnavailable: the database does not answer.
    """
    with reading(engine) as connection:
        names = owner_names(connection)
        row = consent_events.c
        wanted = select(consent_events).where(row.recipient == recipient).order_by(row.id)
        found = [(values["id"], event_of(values, names)) for values in connection.execute(wanted).mappings()]
    return [(id_, event) for id_, event in found if owner is None or event.owner == owner]


def event_of(values: Any, names: dict[int, str]) -> ConsentEvent:
    """An event from its row; proof that retention has taken is empty."""
    kind, by_owner, dated = machine.RECORDED[values["event"]]
    return ConsentEvent(
        recipient=values["recipient"],
        owner=names[values["owner_id"]],
        state=kind,
        event_at_ms=values["event_at_ms"],
        received_at_ms=values["received_at_ms"],
        expires_at_ms=values["expires_at_ms"],
        topic=values["topic"],
        source=values["source"] or "",
        reference=values["reference"] or "",
        text_version=values["text_version"] or "",
        evidence=values["evidence"],
        evidence_name=values["evidence_name"],
        by_owner=by_owner,
        dated=dated,
    )


def marks_of(connection: Connection, pairs: Sequence[tuple[str, str]]) -> list[bytes]:
    """What stands for recipients and names of owners once their refusals are forgotten (``records.retention``)."""
    wanted = select(chain_heads.c.mark_key).where(chain_heads.c.name == chain.NAME)
    key: bytes = connection.execute(wanted).scalar_one()
    return [
        hmac.digest(key, f"{recipient}\0{owner}".encode("utf-8", "surrogatepass"), "sha256")[:MARK_OCTETS]
        for recipient, owner in pairs
    ]


def _any_forgotten(connection: Connection) -> bool:
    row = consent_events.c
    return connection.execute(select(row.id).where(row.mark.is_not(None)).limit(1)).first() is not None


def _forgotten_refusals(
    connection: Connection, pairs: Sequence[tuple[str, int]]
) -> dict[tuple[str, int], machine.ConsentEvent]:
    """The refusals that retention has taken, of those among ``pairs`` that had one."""
    row = consent_events.c
    if not _any_forgotten(connection):
        return {}
    names = owner_names(connection)
    marks = dict(zip(marks_of(connection, [(each[0], names[each[1]]) for each in pairs]), pairs, strict=True))
    ordered = sorted(marks)
    refusals: dict[tuple[str, int], machine.ConsentEvent] = {}
    for first in range(0, len(ordered), ASKED_AT_ONCE):
        some = ordered[first : first + ASKED_AT_ONCE]
        wanted = select(row.mark, func.max(row.event_at_ms)).where(row.mark.in_(some)).group_by(row.mark)
        for mark, at_ms in connection.execute(wanted):
            refusals[marks[mark]] = machine.ConsentEvent("withdrawn", at_ms, at_ms)
    return refusals


def forgotten_refusal(connection: Connection, recipient: str, owner: str) -> machine.ConsentEvent | None:
    """The refusal of ``owner`` by ``recipient`` that retention has taken, if there was one."""
    owner_id = _owner_ids(connection, {owner}).get(owner)
    return (
        None
        if owner_id is None
        else _forgotten_refusals(connection, [(recipient, owner_id)]).get((recipient, owner_id))
    )


class Consent(NamedTuple):
    """What the events of a recipient, an owner and a topic amount to."""

    recipient: str
    owner_id: int
    topic: str | None
    status: machine.ConsentStatus
    known_ms: int
    """When the newest event happened that the subscriber said, or a review accepted, and that is no mere request; 0 for
    none. What an owner says is no newer than any reply that is still on its way to the records."""
    newest_ms: int
    """When the newest event of any kind happened; 0 for none."""


def consents_of(
    events: Iterable[tuple[str, int, str | None, str, int, int | None]],
    reply_seconds: float,
    now: float,
    forgotten: Mapping[tuple[str, int], machine.ConsentEvent] = MappingProxyType({}),
) -> Iterator[Consent]:
    """What events amount to: for each recipient and owner one consent to everything, and one for every topic.

    Args:
        events: (recipient, owner id, topic, what the records call it, event time, end), those of a recipient and
            owner together.
        reply_seconds: time for the answer to a request.
        now: epoch seconds.
        forgotten: refusals that retention has taken; what happened before them counts no more.
    """
    for (recipient, owner_id), group in groupby(events, lambda event: event[:2]):
        told = [machine.recorded_event(name, at_ms, at_ms, end_ms, topic) for _, _, topic, name, at_ms, end_ms in group]
        if (recipient, owner_id) in forgotten:
            told.append(forgotten[recipient, owner_id])
        topics: list[str | None] = [None]
        if any(event.topic is not None for event in told):
            topics += sorted({event.topic for event in told if event.topic is not None})
        for topic in topics:
            speaking = machine.speaking_for(told, topic) if len(topics) > 1 else told
            status = machine.fold(speaking, reply_seconds=reply_seconds, now=now)
            known_ms = max(
                (event.event_at_ms for event in speaking if event.kind != "requested" and not event.by_owner), default=0
            )
            newest_ms = max(event.event_at_ms for event in speaking) if speaking else 0
            yield Consent(recipient, owner_id, topic, status, known_ms, newest_ms)


STATE_COLUMNS: Final = (
    consent_events.c.recipient, consent_events.c.owner_id, consent_events.c.topic, consent_events.c.event,
    consent_events.c.event_at_ms, consent_events.c.expires_at_ms,
)  # fmt: skip
"""What ``consents_of`` wants to know of an event; one index holds it all."""


def consents_of_pairs(
    connection: Connection, pairs: Iterable[tuple[str, int]], reply_seconds: float, now: float
) -> list[Consent]:
    """The consents of some recipients and owner ids; of one without events, the general one, with state NONE."""
    by_owner: dict[int, list[str]] = defaultdict(list)
    for recipient, owner_id in sorted(set(pairs)):
        by_owner[owner_id].append(recipient)
    row = consent_events.c
    consents: list[Consent] = []
    for owner_id, recipients in by_owner.items():
        for first in range(0, len(recipients), ASKED_AT_ONCE):
            some = recipients[first : first + ASKED_AT_ONCE]
            wanted = select(*STATE_COLUMNS).where(row.owner_id == owner_id, row.recipient.in_(some))
            events = sorted(connection.execute(wanted), key=lambda event: event[0])
            present = sorted({(event[0], event[1]) for event in events})
            forgotten = _forgotten_refusals(connection, present) if present else {}
            consents += consents_of(map(tuple, events), reply_seconds, now, forgotten)
            for recipient in set(some).difference(event[0] for event in events):
                consents.append(Consent(recipient, owner_id, None, machine.NOTHING, 0, 0))
    return consents


def pairs_on_record(engine: Engine) -> Iterator[tuple[str, int]]:
    """Every recipient and owner id there are events of, in constant memory.

    Raises:
        SqlUnavailable: the database does not answer.
    """
    row = consent_events.c
    wanted = select(row.recipient, row.owner_id).where(row.recipient.is_not(None)).distinct()
    with reading(engine) as connection:
        for pair in connection.execution_options(yield_per=BATCH_ROWS).execute(wanted):
            yield pair.recipient, pair.owner_id


def _check(event: ConsentEvent) -> None:
    if event.state not in STATES:
        raise ValueError(f"state is {event.state!r}, one of {', '.join(STATES)} is expected")
    if event.topic is not None and not 0 < len(event.topic.encode()) <= MOST_TOPIC_OCTETS:
        raise ValueError(f"topic is empty or has more than {MOST_TOPIC_OCTETS} octets in UTF-8")


def _not_ahead(event: ConsentEvent) -> ConsentEvent:
    """Nothing is known before it happens; a grant ahead of our clock could not be withdrawn until then."""
    return replace(event, event_at_ms=event.received_at_ms) if event.event_at_ms > event.received_at_ms else event


def _letter(event: ConsentEvent) -> tuple[object, ...]:
    """What makes two events one: all but when we learned of them."""
    return (
        event.recipient, event.owner, event.state, event.event_at_ms, event.expires_at_ms, event.topic, event.source,
        event.reference, event.text_version, event.evidence, event.evidence_name, event.by_owner, event.dated,
    )  # fmt: skip


def _append(connection: Connection, events: Sequence[ConsentEvent], ids: dict[str, int], head: Head) -> None:
    first = head.position + 1
    sealed = [
        (
            (first + index, event.recipient, event.owner, event.topic, event.recorded, event.event_at_ms,
             event.received_at_ms, event.expires_at_ms),
            (event.source, event.reference, event.text_version, event.evidence, event.evidence_name),
        )
        for index, event in enumerate(events)
    ]  # fmt: skip
    seals = chain.seal(sealed, head.chain)
    insert_rows(
        connection,
        consent_events,
        COLUMNS,
        [
            (*core[:2], ids[core[2]], *core[3:], *proof, *seal)
            for (core, proof), seal in zip(sealed, seals, strict=True)
        ],
    )
    last = first + len(events) - 1
    move_head(connection, position=last, chain=seals[-1].chain, revision=head.revision + 1)
    connection.execute(insert(outbox).values(id=head.revision + 1, first_id=first, last_id=last))


def move_head(connection: Connection, **values: object) -> None:
    """Write the end of the chain anew; the caller has it locked."""
    connection.execute(update(chain_heads).where(chain_heads.c.name == chain.NAME).values(**values))


def _head(connection: Connection, *, lock: bool) -> Head:
    row = chain_heads.c
    wanted = select(row.position, row.chain, row.revision, row.projected).where(row.name == chain.NAME)
    return Head(*connection.execute(wanted.with_for_update() if lock else wanted).one())


def _on_record(
    connection: Connection, events: Sequence[ConsentEvent], ids: dict[str, int]
) -> Iterator[tuple[int, ConsentEvent]]:
    """All events of the recipients and owners in ``events``, with their ids."""
    names = {id_: name for name, id_ in ids.items()}
    by_owner: dict[int, set[str]] = defaultdict(set)
    for event in events:
        by_owner[ids[event.owner]].add(event.recipient)
    row = consent_events.c
    for owner_id, asked in by_owner.items():
        recipients = sorted(asked)
        for first in range(0, len(recipients), ASKED_AT_ONCE):
            found = connection.execute(
                select(consent_events).where(
                    row.owner_id == owner_id, row.recipient.in_(recipients[first : first + ASKED_AT_ONCE])
                )
            )
            for values in found.mappings():
                yield values["id"], event_of(values, names)


def _owner_ids(connection: Connection, names: set[str]) -> dict[str, int]:
    ids: dict[str, int] = {}
    ordered = sorted(names)
    for first in range(0, len(ordered), ASKED_AT_ONCE):
        some = ordered[first : first + ASKED_AT_ONCE]
        found = connection.execute(select(owners.c.name, owners.c.id).where(owners.c.name.in_(some)))
        ids.update((row.name, row.id) for row in found)
    return ids
