"""Keeps complaints about messages: from whoever took them in to the outcome, and to the complainant who hears of it.

A complaint is linked to the decisions it is about, which are held from purging until the complainant knows. What an
outcome brings about, a label, a measure, a refusal on behalf of the complainant, is in its transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, Protocol

from sqlalchemy import Connection, Engine, RowMapping, insert, select, update

from smsc_filter.policy.appeals import OUTCOMES, ComplaintEvent, ComplaintState, Terms, complaint_after
from smsc_filter.records.consents import ConsentEvent, append_events, owner_ids
from smsc_filter.records.database import insert_new, reading, writing
from smsc_filter.records.errors import NotTaken
from smsc_filter.records.holds import add_hold, release_reason
from smsc_filter.records.measures import MeasureRecord
from smsc_filter.records.tables import (
    complaint_decisions,
    complaint_events,
    complaints,
    decisions,
    model_cases,
)

MOST_CHARACTERS: Final = 2_000
"""Of a note."""

MOST_NUMBER_CHARACTERS: Final = 64

BEFORE_SECONDS: Final = 7 * 86_400.0
"""How long before a complaint its message may have been sent, where the complaint does not say when it came."""

AROUND_SECONDS: Final = 86_400.0
"""How far the time a complaint gives for its message may be from when it was judged: people write down a day."""

MOST_LINKED: Final = 100
"""Decisions one complaint is linked to; the newest count."""

DECISION_ID_BITS: Final = 20
"""Bits of a decision's id below the milliseconds in which it was made (``relay.exchange``)."""

CLOSED: Final = (ComplaintState.TOLD, ComplaintState.WITHDRAWN)


class ComplaintRefused(NotTaken):
    """A complaint that is not put on record, or not decided so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewComplaint:
    """What somebody complains of; times are epoch seconds.

    Raises:
        ValueError: a field is missing or too long.
    """

    number: str
    """Whoever took it in's name for it; the same again is the same complaint."""
    complainant: str
    """MSISDN."""
    sender: str
    """The number complained of, canonical."""
    content: str = field(default="", repr=False)
    category: str = ""
    source: str = "12321"
    """Who took it in."""
    message_at: float | None = None
    """When the message came, as the complainant says."""
    received_at: float
    """When the complaint was taken in."""

    def __post_init__(self) -> None:
        if not 0 < len(self.number.strip()) <= MOST_NUMBER_CHARACTERS:
            raise ValueError(f"number has 1 to {MOST_NUMBER_CHARACTERS} characters")
        if not self.complainant or not self.sender:
            raise ValueError("a complaint is of one number about another")
        if max(len(self.content), len(self.category), len(self.source)) > MOST_CHARACTERS:
            raise ValueError(f"at most {MOST_CHARACTERS} characters are kept of a field")


@dataclass(frozen=True, slots=True, kw_only=True)
class Complaint:
    """One complaint as it is on record; times are epoch seconds."""

    id: int
    number: str
    state: ComplaintState
    complainant: str
    sender: str
    owner: str
    """Whose the sender is; empty where nobody knows."""
    content: str = field(repr=False)
    category: str
    source: str
    message_at: float | None
    received_at: float
    since: float
    """From when the clock of its state runs."""
    due_at: float | None
    """The first moment that is too late; None where no clock runs."""
    due_certain: bool
    outcome: str | None
    """One of ``policy.appeals.OUTCOMES``."""
    outcome_note: str | None
    measure_id: int | None


class ComplaintHappened(NamedTuple):
    """One line of the history of a complaint."""

    event: str
    at: float
    by: str
    note: str


class Effects(NamedTuple):
    """What follows from an outcome."""

    label: bool = False
    """The texts of the linked messages become samples labelled "commercial"."""
    refuse_for: bool = False
    """The complainant is put on record as having refused the owner."""
    measure: Callable[[Connection], MeasureRecord] | None = None
    """Imposes a measure, such as ``functools.partial(impose_measure, step=...)``."""


class Step(Protocol):
    """What ``forward``, ``tell`` and ``withdraw`` are alike."""

    def __call__(
        self, engine: Engine, terms: Terms, complaint_id: int, *, by: str, now: float, note: str = ""
    ) -> Complaint:
        """Let it happen to a complaint."""


def add_complaint(
    engine: Engine,
    terms: Terms,
    new: NewComplaint,
    *,
    by: str,
    now: float,
    owner_of: Callable[[str], str | None] = lambda _sender: None,
    forwarded: bool = False,
) -> tuple[Complaint, bool]:
    """Put a complaint on record and link it; the complaint, and whether it is new.

    Args:
        engine: what ``open_database`` gave.
        terms: the clocks.
        new: the complaint.
        by: who takes it in.
        now: epoch seconds.
        owner_of: whose a canonical address is, as the registry says.
        forwarded: it comes from who forwards complaints, such as 12321: the time for an outcome runs already.

    Raises:
        ComplaintRefused: "number-taken": another complaint has that number.
        SqlUnavailable: the database does not answer.
    """
    with writing(engine) as connection:
        return take_complaint(connection, terms, new, by=by, now=now, owner_of=owner_of, forwarded=forwarded)


def take_complaint(
    connection: Connection,
    terms: Terms,
    new: NewComplaint,
    *,
    by: str,
    now: float,
    owner_of: Callable[[str], str | None],
    forwarded: bool,
) -> tuple[Complaint, bool]:
    """The same as ``add_complaint``, in the transaction of ``connection``."""
    state = ComplaintState.FORWARDED if forwarded else ComplaintState.RECEIVED
    due = terms.complaint_due(state, new.received_at)
    values = {
        "number": new.number.strip(),
        "state": state.value,
        "complainant": new.complainant,
        "sender": new.sender,
        "owner": owner_of(new.sender) or "",
        "content": new.content,
        "category": new.category,
        "source": new.source,
        "message_at_ms": None if new.message_at is None else _ms(new.message_at),
        "received_at_ms": _ms(new.received_at),
        "recorded_at_ms": _ms(now),
        "since_ms": _ms(new.received_at),
        "due_at_ms": None if due is None else _ms(due.at),
        "due_certain": due is None or due.certain,
        "told": "",
    }
    new_row = insert_new(connection, complaints).values(**values).returning(complaints.c.id)
    inserted = connection.execute(new_row).first() is not None
    row = connection.execute(select(complaints).where(complaints.c.number == values["number"])).mappings().one()
    complaint = _complaint(row)
    if not inserted:
        said = ("complainant", "sender", "content", "category", "source", "message_at_ms", "received_at_ms")
        if any(row[name] != values[name] for name in said):
            raise ComplaintRefused("number-taken", f"complaint {values['number']} is on record and says something else")
        return complaint, False
    _note(connection, complaint.id, "forwarded" if forwarded else "received", by, now, "")
    linked = _concerned(connection, new)
    if linked:
        connection.execute(
            insert(complaint_decisions),
            [{"complaint_id": complaint.id, "decision_id": each.id} for each in linked],
        )
        for each in linked:
            add_hold(connection, "decision", str(each.id), _held_for(complaint.id), now=now)
        if not complaint.owner:
            complaint = _update(connection, complaint.id, owner=linked[0].owner)
    return complaint, True


def _concerned(connection: Connection, new: NewComplaint) -> list[Any]:
    """The decisions a complaint is about, newest first: by recipient, sender and time."""
    at = new.received_at if new.message_at is None else new.message_at
    begin = at - (BEFORE_SECONDS if new.message_at is None else AROUND_SECONDS)
    end = at if new.message_at is None else at + AROUND_SECONDS
    row = decisions.c
    found = connection.execute(
        select(row.id, row.owner)
        .where(
            row.id >= max(0, _ms(begin)) << DECISION_ID_BITS,
            row.id <= _ms(end) + 1 << DECISION_ID_BITS,
            row.recipient == new.complainant,
            row.source == new.sender,
        )
        .order_by(row.id.desc())
        .limit(MOST_LINKED)
    )
    return list(found)


def forward(engine: Engine, terms: Terms, complaint_id: int, *, by: str, now: float, note: str = "") -> Complaint:
    """Put on record that the party complained of has it.

    Raises:
        ComplaintRefused: "no-such-complaint".
        NotAllowedError: it is not waiting for that.
        SqlUnavailable: the database does not answer.
    """
    with writing(engine) as connection:
        return _move(connection, terms, complaint_id, ComplaintEvent.FORWARD, by, now, note)


def decide(
    engine: Engine,
    terms: Terms,
    complaint_id: int,
    *,
    outcome: str,
    by: str,
    note: str,
    now: float,
    effects: Effects = Effects(),  # noqa: B008 - a tuple that nobody changes
) -> Complaint:
    """Put on record what the inquiry found, with what follows from it; all of it or nothing.

    Raises:
        ComplaintRefused: "no-such-complaint", or "no-owner": nobody knows whom the complainant is to refuse.
        NotAllowedError: it was not forwarded, or has an outcome.
        ValueError: the outcome is unknown, the note is empty, or effects follow from one that upholds nothing.
        SqlUnavailable: the database does not answer.
    """
    if outcome not in OUTCOMES:
        raise ValueError(f"outcome is {outcome!r}, one of {', '.join(OUTCOMES)} is expected")
    if not note.strip():
        raise ValueError("note is empty; the complainant and the regulator are told what was found")
    if outcome != "upheld" and effects != Effects():
        raise ValueError(f"nothing follows from a complaint that is {outcome}")
    before = find_complaint(engine, complaint_id)
    if effects.refuse_for and before is not None and not before.owner:
        raise ComplaintRefused("no-owner", f"complaint {complaint_id}: whose {before.sender} is, nobody knows")
    ids = owner_ids(engine, [before.owner]) if effects.refuse_for and before is not None else {}
    with writing(engine) as connection:
        complaint = _move(
            connection, terms, complaint_id, ComplaintEvent.DECIDE, by, now, note, outcome=outcome, outcome_note=note
        )
        done = []
        if effects.label:
            done.append(f"{_label(connection, complaint, now)} texts labelled")
        if effects.refuse_for:
            append_events(
                connection,
                [
                    ConsentEvent(
                        recipient=complaint.complainant,
                        owner=complaint.owner,
                        state="refused",
                        event_at_ms=_ms(now),
                        received_at_ms=_ms(now),
                        source="complaint",
                        reference=complaint.number,
                    )
                ],
                ids,
            )
            done.append(f"refusal of {complaint.owner} on record")
        if effects.measure is not None:
            measure = effects.measure(connection).measure
            complaint = _update(connection, complaint.id, measure_id=measure.id)
            done.append(f"measure {measure.id}: {measure.step} of {measure.scope} {measure.subject}")
        if done:
            _note(connection, complaint.id, "effects", by, now, "; ".join(done))
        return complaint


def tell(engine: Engine, terms: Terms, complaint_id: int, *, by: str, now: float, note: str = "") -> Complaint:
    """Put on record that the complainant knows the outcome; nothing is held for the complaint any more.

    Raises:
        ComplaintRefused: "no-such-complaint".
        NotAllowedError: it has no outcome, or the complainant knows already.
        SqlUnavailable: the database does not answer.
    """
    with writing(engine) as connection:
        return _move(connection, terms, complaint_id, ComplaintEvent.TELL, by, now, note)


def withdraw(engine: Engine, terms: Terms, complaint_id: int, *, by: str, now: float, note: str = "") -> Complaint:
    """Put on record that the complainant takes it back.

    Raises:
        ComplaintRefused: "no-such-complaint".
        NotAllowedError: it has an outcome.
        SqlUnavailable: the database does not answer.
    """
    with writing(engine) as connection:
        return _move(connection, terms, complaint_id, ComplaintEvent.WITHDRAW, by, now, note)


def find_complaint(engine: Engine, complaint_id: int) -> Complaint | None:
    """The complaint of an id, or None."""
    with reading(engine) as connection:
        row = connection.execute(select(complaints).where(complaints.c.id == complaint_id)).mappings().first()
    return None if row is None else _complaint(row)


def list_complaints(
    engine: Engine,
    *,
    states: Iterable[ComplaintState] = (),
    owner: str | None = None,
    complainant: str | None = None,
    overdue_at: float | None = None,
    before: int | None = None,
    most: int = 100,
    by_due: bool = False,
) -> list[Complaint]:
    """Complaints, newest first, or by what is due first.

    Args:
        engine: what ``open_database`` gave.
        states: only those; all where there is none.
        owner: only about what this owner sent.
        complainant: only of this number.
        overdue_at: only those whose clock has run out at this time.
        before: only with a smaller id, for the next page.
        most: at most so many.
        by_due: what is due first comes first.
    """
    row = complaints.c
    wanted = select(complaints).limit(most)
    wanted = wanted.order_by(row.due_at_ms, row.id) if by_due else wanted.order_by(row.id.desc())
    if chosen := [state.value for state in states]:
        wanted = wanted.where(row.state.in_(chosen))
    if owner is not None:
        wanted = wanted.where(row.owner == owner)
    if complainant is not None:
        wanted = wanted.where(row.complainant == complainant)
    if overdue_at is not None:
        wanted = wanted.where(row.due_at_ms <= _ms(overdue_at))
    if before is not None:
        wanted = wanted.where(row.id < before)
    with reading(engine) as connection:
        return [_complaint(values) for values in connection.execute(wanted).mappings()]


def complaints_after(engine: Engine, complaint_id: int | None) -> list[tuple[int, str, float]]:
    """(id, owner, when it was taken in) of complaints that came behind an id; with None of the newest alone."""
    row = complaints.c
    wanted = select(row.id, row.owner, row.received_at_ms)
    wanted = (
        wanted.order_by(row.id.desc()).limit(1)
        if complaint_id is None
        else wanted.where(row.id > complaint_id).order_by(row.id)
    )
    with reading(engine) as connection:
        return [(id_, owner, at_ms / 1000) for id_, owner, at_ms in connection.execute(wanted)]


def complaint_history(engine: Engine, complaint_id: int) -> list[ComplaintHappened]:
    """What happened to a complaint, oldest first."""
    row = complaint_events.c
    wanted = select(row.event, row.at_ms, row.by, row.note).where(row.complaint_id == complaint_id).order_by(row.id)
    with reading(engine) as connection:
        return [
            ComplaintHappened(event, at_ms / 1000, by, note) for event, at_ms, by, note in connection.execute(wanted)
        ]


def linked_decisions(engine: Engine, complaint_id: int) -> list[int]:
    """The ids of the decisions a complaint is about, oldest first."""
    row = complaint_decisions.c
    with reading(engine) as connection:
        wanted = select(row.decision_id).where(row.complaint_id == complaint_id).order_by(row.decision_id)
        return list(connection.execute(wanted).scalars())


def _label(connection: Connection, complaint: Complaint, now: float) -> int:
    """Label the texts of what was sent; where nothing is linked, the one that the complaint quotes."""
    row, link = decisions.c, complaint_decisions.c
    joined = decisions.join(complaint_decisions, row.id == link.decision_id)
    sent = select(row.text, row.purpose).select_from(joined).where(link.complaint_id == complaint.id).distinct()
    texts = [(text, purpose) for text, purpose in connection.execute(sent) if text.strip()]
    if not texts and complaint.content.strip():
        texts = [(complaint.content, "commercial")]
    for text, purpose in texts:
        connection.execute(
            insert(model_cases).values(
                complaint_id=complaint.id, text=text, kind=purpose, label="commercial", at_ms=_ms(now)
            )
        )
    return len(texts)


def _move(
    connection: Connection,
    terms: Terms,
    complaint_id: int,
    event: ComplaintEvent,
    by: str,
    now: float,
    note: str,
    **values: Any,
) -> Complaint:
    if len(note) > MOST_CHARACTERS:
        raise ValueError(f"{len(note)} characters; {MOST_CHARACTERS} are kept")
    row = connection.execute(select(complaints).where(complaints.c.id == complaint_id).with_for_update())
    found = row.mappings().first()
    if found is None:
        raise ComplaintRefused("no-such-complaint", f"there is no complaint {complaint_id}")
    state = complaint_after(ComplaintState(found["state"]), event)
    due = terms.complaint_due(state, now)
    if state in CLOSED:
        release_reason(connection, _held_for(complaint_id), now=now)
    _note(connection, complaint_id, event.value, by, now, note)
    return _update(
        connection,
        complaint_id,
        state=state.value,
        since_ms=_ms(now),
        due_at_ms=None if due is None else _ms(due.at),
        due_certain=due is None or due.certain,
        told="",
        **values,
    )


def _update(connection: Connection, complaint_id: int, **values: Any) -> Complaint:
    changed = update(complaints).where(complaints.c.id == complaint_id).values(**values).returning(*complaints.c)
    return _complaint(connection.execute(changed).mappings().one())


def _note(connection: Connection, complaint_id: int, event: str, by: str, now: float, note: str) -> None:
    values = {"complaint_id": complaint_id, "event": event, "at_ms": _ms(now), "by": by, "note": note}
    connection.execute(insert(complaint_events), values)


def _held_for(complaint_id: int) -> str:
    return f"complaint {complaint_id}"


def _ms(seconds: float) -> int:
    return round(seconds * 1000)


def _seconds(milliseconds: int | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000


def _complaint(row: RowMapping) -> Complaint:
    return Complaint(
        id=row["id"],
        number=row["number"],
        state=ComplaintState(row["state"]),
        complainant=row["complainant"],
        sender=row["sender"],
        owner=row["owner"],
        content=row["content"],
        category=row["category"],
        source=row["source"],
        message_at=_seconds(row["message_at_ms"]),
        received_at=row["received_at_ms"] / 1000,
        since=row["since_ms"] / 1000,
        due_at=_seconds(row["due_at_ms"]),
        due_certain=row["due_certain"],
        outcome=row["outcome"],
        outcome_note=row["outcome_note"],
        measure_id=row["measure_id"],
    )
