"""Erases what is on record of one subscriber and need not be kept, and says what stays, until when and why."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import ColumnElement, Connection, Engine, Table, delete, func, or_, select, update

from smsc_filter.records.audit import Actor, note_change
from smsc_filter.records.database import writing
from smsc_filter.records.retention import Retention, last_moment_ms, of_number, purge_number
from smsc_filter.records.tables import (
    appeals,
    complaints,
    consent_events,
    decisions,
    declines,
    model_cases,
    portal_challenges,
    portal_sessions,
)

PERSON: Final = "person"


@dataclass(frozen=True, slots=True)
class Kept:
    """Something that stays."""

    what: str
    count: int
    why: str
    until_ms: int | None = None
    """Last moment it has to be kept, where it does not hang on something still open."""


@dataclass(slots=True)
class Erased:
    """What an erasure came to."""

    gone: dict[str, int] = field(default_factory=dict)
    """What -> how many."""
    kept: list[Kept] = field(default_factory=list)


def erase(
    engine: Engine,
    retention: Retention,
    number: str,
    actor: Actor,
    *,
    article: str,
    keep_texts_of_people: bool,
    now: float,
    reply_seconds: float,
    dry_run: bool = False,
) -> Erased:
    """Erase what may go of ``number`` (E.164 digits); with ``dry_run`` only say what would.

    Texts between people go, their times and numbers stay as long as the law asks; what a provider sent stays whole for
    as long. ``article`` is what the profile cites for that.

    Raises:
        SqlUnavailable: the database does not answer; it may be repeated.
    """
    due = purge_number(engine, retention, number, now=now, reply_seconds=reply_seconds, dry_run=dry_run)
    erased = Erased(gone={"decisions past their retention": due.decisions, "consent events past it": due.events})
    with writing(engine) as connection:
        if not keep_texts_of_people:
            erased.gone["texts between people"] = _clear_texts(connection, number, dry_run)
        erased.gone["texts of cases for models"] = _drop_cases(connection, number, now, dry_run)
        for table in (portal_sessions, portal_challenges):
            erased.gone[table.name.replace("_", " ")] = _delete_of(connection, table, number, dry_run)
        erased.kept = list(_kept(connection, retention, number, article))
        if due.held:
            erased.kept.append(Kept("records past their retention", due.held, "an appeal or complaint is open on them"))
        if not dry_run:
            # Who was erased must not be read from the trail of it.
            note_change(
                connection, actor, "subscriber.erase", f"number ending in {number[-2:]}", after=erased.gone, now=now
            )
    return erased


def _clear_texts(connection: Connection, number: str, dry_run: bool) -> int:
    wanted = of_number(number) & (decisions.c.purpose == PERSON)
    with_text = [
        row.id for row in connection.execute(select(decisions.c.id, decisions.c.text).where(wanted)) if row.text
    ]
    if not dry_run:
        for first in range(0, len(with_text), 500):
            some = with_text[first : first + 500]
            # Evidence in words stands in the findings.
            connection.execute(update(decisions).where(decisions.c.id.in_(some)).values(text="", findings=None))
    return len(with_text)


def _drop_cases(connection: Connection, number: str, now: float, dry_run: bool) -> int:
    row = model_cases.c
    theirs = or_(
        row.appeal_id.in_(select(appeals.c.id).where(_about_appeal(number))),
        row.complaint_id.in_(select(complaints.c.id).where(_about_complaint(number))),
    )
    ids = [each.id for each in connection.execute(select(row.id, row.text).where(theirs)) if each.text]
    if ids and not dry_run:
        connection.execute(update(model_cases).where(row.id.in_(ids)).values(text="", dropped_at_ms=round(now * 1000)))
    return len(ids)


def _delete_of(connection: Connection, table: Table, number: str, dry_run: bool) -> int:
    theirs = table.c.recipient == number
    count: int = connection.execute(select(func.count()).select_from(table).where(theirs)).scalar_one()
    if count and not dry_run:
        connection.execute(delete(table).where(theirs))
    return count


def _about_appeal(number: str) -> ColumnElement[bool]:
    return or_(appeals.c.appellant == number, appeals.c.sender == number, appeals.c.recipient == number)


def _about_complaint(number: str) -> ColumnElement[bool]:
    return or_(complaints.c.complainant == number, complaints.c.sender == number)


def _kept(connection: Connection, retention: Retention, number: str, article: str) -> Iterable[Kept]:
    row = decisions.c
    count, newest = connection.execute(select(func.count(), func.max(row.at_ms)).where(of_number(number))).one()
    if count:
        until = last_moment_ms(newest, retention.records_months, retention.zone)
        yield Kept("records of messages: times, numbers, causes", count, f"the law asks for them: {article}", until)
    closed = f"the law asks for them: {article}; they go with `purge` once they are closed and old enough"
    for what, table, theirs, why in (
        ("consent events, proofs", consent_events, consent_events.c.recipient == number,
         "who may write and who may not follows from them: a withdrawal binds"),
        ("appeals", appeals, _about_appeal(number), closed),
        ("complaints", complaints, _about_complaint(number), closed),
        ("wishes to be left alone", declines, declines.c.number == (int(number) if number.isdigit() else -1),
         "they protect the subscriber, who takes them back in the portal"),
    ):  # fmt: skip
        count = connection.execute(select(func.count()).select_from(table).where(theirs)).scalar_one()
        if count:
            yield Kept(what, count, why)
