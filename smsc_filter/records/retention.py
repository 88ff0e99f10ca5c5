"""Takes from the records what need not be kept any more: nothing earlier, nothing later.

A period of months runs from the day after an event to the end of the day of the same number, or of the last day of a
shorter month, in the profile's zone; on the day after that the record goes.

What runs from when:

- A decision with its outcome: from when it was made.
- An appeal or a complaint with all that happened to it: from when it was closed, that of a grant from when its entry
  cleared nothing any more. The text of a case for models stays, and whose it was goes.
- The proof of a consent event: from when another event took its place, or the relation ended.
- What an event says: from when the relation of the recipient and the owner ended, that is, from the last refusal,
  withdrawal, expiry or silence after which nothing is granted and nothing asked.

A row of the chain stays as a tombstone: the digest of what has gone, so that ``consent verify`` still counts it in.
That of the last thing a recipient told an owner keeps its time and a mark, a keyed digest of whose it was, and nothing
else: without it a file with a grant of last year, imported next year, would revive what the subscriber ended.
"""

from __future__ import annotations

import calendar
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta, tzinfo
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

from sqlalchemy import ColumnElement, Connection, Engine, bindparam, case, delete, func, insert, or_, select, update

from smsc_filter.policy import consent as machine
from smsc_filter.policy.appeals import WAITING
from smsc_filter.policy.facts import ConsentState
from smsc_filter.records import chain
from smsc_filter.records.complaints import CLOSED
from smsc_filter.records.consents import ASKED_AT_ONCE, lock_head, marks_of, move_head, owner_names
from smsc_filter.records.database import reading, writing
from smsc_filter.records.holds import held_subjects
from smsc_filter.records.tables import (
    appeal_codes,
    appeal_events,
    appeals,
    complaint_decisions,
    complaint_events,
    complaints,
    consent_events,
    decisions,
    model_cases,
    outbox,
    outcomes,
    stream_rejects,
    whitelist,
)

CHUNK: Final = 2_000
"""Rows or pairs a transaction: the write lock is held some 50 ms."""

DECISION_ID_BITS: Final = 20
"""Bits of a decision's id below the milliseconds in which it was made (``relay.exchange``)."""

T = TypeVar("T")

_LIVE: Final = (ConsentState.GRANTED, ConsentState.REQUESTED)


@dataclass(frozen=True, slots=True)
class Retention:
    """How long what is kept, by the profile."""

    records_months: int
    proof_months: int
    subscription_months: int
    """From the end of the relation."""
    zone: tzinfo
    """In which days begin."""


@dataclass(slots=True)
class Purged:
    """How many went."""

    decisions: int = 0
    outcomes: int = 0
    rejects: int = 0
    proofs: int = 0
    """Consent events that lost their proof and nothing else."""
    events: int = 0
    """Consent events of which a tombstone is left."""
    files: int = 0
    appeals: int = 0
    complaints: int = 0
    held: int = 0
    """Decisions, and recipients with their owner, that were due and are on hold."""
    evidence_names: set[str] = field(default_factory=set)
    """Files that events named which have lost their proof."""


def cutoff_ms(now: float, months: int, zone: tzinfo) -> int:
    """What happened before this moment has been kept for ``months`` at ``now``."""
    today = datetime.fromtimestamp(now, zone).date()
    year, month = divmod(today.year * 12 + today.month - 1 - months, 12)
    day = date(year, month + 1, calendar.monthrange(year, month + 1)[1])
    while last_day(day, months) >= today:
        day -= timedelta(days=1)
    return round(datetime.combine(day + timedelta(days=1), time(), zone).timestamp() * 1000)


def last_day(day: date, months: int) -> date:
    """The last day of a period of ``months`` that an event of ``day`` begins.

    Source: Civil Code of the PRC, articles 200 to 203 (recalled).
    """
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def last_moment_ms(at_ms: int, months: int, zone: tzinfo) -> int:
    """Until when something of ``at_ms`` has to be kept."""
    end = last_day(datetime.fromtimestamp(at_ms / 1000, zone).date(), months) + timedelta(days=1)
    return round(datetime.combine(end, time(), zone).timestamp() * 1000) - 1


def purge(
    engine: Engine,
    retention: Retention,
    *,
    now: float,
    reply_seconds: float,
    evidence_folder: Path | None = None,
    dry_run: bool = False,
    advance: Callable[[int], object] = lambda rows: None,
) -> Purged:
    """Take away what is due at ``now`` (epoch seconds); with ``dry_run`` only count it.

    The hot state learns of consents through the outbox. Killed half-way, the rest goes the next time.

    Raises:
        SqlUnavailable: the database does not answer; what went before is gone.
        OSError: a file cannot be removed.
    """
    purged = Purged()
    _purge_decisions(engine, retention, now, purged, dry_run, advance)
    _purge_appeals(engine, retention, now, purged, dry_run)
    _purge_complaints(engine, retention, now, purged, dry_run)
    _purge_consents(engine, retention, now, reply_seconds, purged, dry_run, advance)
    if evidence_folder is not None:
        _purge_files(engine, evidence_folder, purged, dry_run)
    return purged


def purge_number(
    engine: Engine,
    retention: Retention,
    number: str,
    *,
    now: float,
    reply_seconds: float,
    dry_run: bool = False,
) -> Purged:
    """What ``purge`` does, of the decisions and consents of one subscriber alone.

    Raises:
        SqlUnavailable: the database does not answer.
    """
    purged = Purged()
    cutoff = cutoff_ms(now, retention.records_months, retention.zone)
    row = decisions.c
    with writing(engine) as connection:
        held = held_subjects(connection, round(now * 1000))
        due = connection.execute(
            select(row.id, row.recipient, row.owner).where(of_number(number), row.at_ms < cutoff)
        ).all()
        going = [each.id for each in due if not _is_held_decision(held, each)]
        purged.held, purged.decisions = len(due) - len(going), len(going)
        purged.outcomes = _delete_decisions(connection, going, dry_run)
        event = consent_events.c
        pairs = [
            (each.recipient, each.owner_id)
            for each in connection.execute(
                select(event.recipient, event.owner_id).where(event.recipient == number).distinct()
            )
        ]
    proof_cutoff = cutoff_ms(now, retention.proof_months, retention.zone)
    end_cutoff = min(proof_cutoff, cutoff_ms(now, retention.subscription_months, retention.zone))
    _purge_pairs(engine, pairs, (proof_cutoff, end_cutoff), now, reply_seconds, purged, dry_run)
    return purged


# --- decisions


def of_number(number: str) -> ColumnElement[bool]:
    """Decisions about messages to or from a subscriber."""
    return or_(decisions.c.recipient == number, decisions.c.source == number)


def _is_held_decision(held: dict[str, set[str]], row: Any) -> bool:
    return str(row.id) in held["decision"] or row.recipient in held["recipient"] or row.owner in held["owner"]


def _delete_decisions(connection: Connection, going: Sequence[int], dry_run: bool) -> int:
    """Delete decisions with their outcomes; how many outcomes that were."""
    counted = 0
    for some in _some(going):
        mine = outcomes.c.decision_id.in_(some)
        if dry_run:
            counted += connection.execute(select(func.count()).select_from(outcomes).where(mine)).scalar_one()
        else:
            counted += connection.execute(delete(outcomes).where(mine)).rowcount
            connection.execute(delete(decisions).where(decisions.c.id.in_(some)))
    return counted


def _purge_decisions(
    engine: Engine, retention: Retention, now: float, purged: Purged, dry_run: bool, advance: Callable[[int], object]
) -> None:
    cutoff = cutoff_ms(now, retention.records_months, retention.zone)
    row = decisions.c
    after = -1
    while True:
        with writing(engine) as connection:
            held = held_subjects(connection, round(now * 1000))
            # Ids grow with time: the bound spares reading all that is younger.
            due = connection.execute(
                select(row.id, row.recipient, row.owner)
                .where(row.id > after, row.id < (cutoff + 1) << DECISION_ID_BITS, row.at_ms < cutoff)
                .order_by(row.id)
                .limit(CHUNK)
            ).all()
            if not due:
                break
            after = due[-1].id
            going = [each.id for each in due if not _is_held_decision(held, each)]
            purged.held += len(due) - len(going)
            purged.decisions += len(going)
            purged.outcomes += _delete_decisions(connection, going, dry_run)
        advance(len(due))
    with writing(engine) as connection:
        old = stream_rejects.c.at_ms < cutoff
        purged.rejects = connection.execute(select(func.count()).select_from(stream_rejects).where(old)).scalar_one()
        answer = outcomes.c
        orphan = (
            (answer.at_ms < cutoff)
            & (answer.decision_id < (cutoff + 1) << DECISION_ID_BITS)
            & ~select(row.id).where(row.id == answer.decision_id).exists()
        )
        lost = connection.execute(select(func.count()).select_from(outcomes).where(orphan)).scalar_one()
        if not dry_run:
            connection.execute(delete(stream_rejects).where(old))
            connection.execute(delete(outcomes).where(orphan))
            purged.outcomes += lost


# --- appeals and complaints


def _purge_appeals(engine: Engine, retention: Retention, now: float, purged: Purged, dry_run: bool) -> None:
    cutoff = cutoff_ms(now, retention.records_months, retention.zone)
    row, entry = appeals.c, whitelist.c
    ended = case((entry.revoked_at_ms < entry.expires_at_ms, entry.revoked_at_ms), else_=entry.expires_at_ms)
    with writing(engine) as connection:
        held = held_subjects(connection, round(now * 1000))
        closed = connection.execute(
            select(row.id, row.owner, row.sender, row.recipient, row.appellant)
            .outerjoin(whitelist, entry.id == row.whitelist_id)
            .where(row.state.not_in(WAITING), row.since_ms < cutoff, or_(entry.id.is_(None), ended < cutoff))
        ).all()
        going = [each.id for each in closed if not _is_held(held, each.owner, each[2:])]
        purged.appeals = len(going)
        purged.held += len(closed) - len(going)
        if dry_run:
            return
        for some in _some(going):
            connection.execute(update(model_cases).where(model_cases.c.appeal_id.in_(some)).values(appeal_id=None))
            connection.execute(delete(appeal_events).where(appeal_events.c.appeal_id.in_(some)))
            connection.execute(delete(appeals).where(row.id.in_(some)))
        waits = select(row.id).where(row.kind == appeal_codes.c.kind, row.subject == appeal_codes.c.subject).exists()
        connection.execute(delete(appeal_codes).where(appeal_codes.c.issued_at_ms < cutoff, ~waits))


def _purge_complaints(engine: Engine, retention: Retention, now: float, purged: Purged, dry_run: bool) -> None:
    cutoff = cutoff_ms(now, retention.records_months, retention.zone)
    row = complaints.c
    with writing(engine) as connection:
        held = held_subjects(connection, round(now * 1000))
        closed = connection.execute(
            select(row.id, row.owner, row.complainant, row.sender).where(row.state.in_(CLOSED), row.since_ms < cutoff)
        ).all()
        going = [each.id for each in closed if not _is_held(held, each.owner, each[2:])]
        purged.complaints = len(going)
        purged.held += len(closed) - len(going)
        if dry_run:
            return
        for some in _some(going):
            connection.execute(
                update(model_cases).where(model_cases.c.complaint_id.in_(some)).values(complaint_id=None)
            )
            for table in (complaint_events, complaint_decisions):
                connection.execute(delete(table).where(table.c.complaint_id.in_(some)))
            connection.execute(delete(complaints).where(row.id.in_(some)))


def _is_held(held: dict[str, set[str]], owner: str, numbers: Iterable[str]) -> bool:
    return owner in held["owner"] or not held["recipient"].isdisjoint(numbers)


# --- consents


class _Event(NamedTuple):
    """One event as retention looks at it."""

    row: Any
    told: machine.ConsentEvent

    @property
    def since_ms(self) -> int:
        """From when it can be said to be on record."""
        return max(self.told.event_at_ms, self.told.received_at_ms)


def _purge_consents(
    engine: Engine,
    retention: Retention,
    now: float,
    reply_seconds: float,
    purged: Purged,
    dry_run: bool,
    advance: Callable[[int], object],
) -> None:
    proof_cutoff = cutoff_ms(now, retention.proof_months, retention.zone)
    # What says an event stays as long as its proof: without it the proof would be nobody's.
    end_cutoff = min(proof_cutoff, cutoff_ms(now, retention.subscription_months, retention.zone))
    for pairs in _candidates(engine, max(proof_cutoff, end_cutoff)):
        _purge_pairs(engine, pairs, (proof_cutoff, end_cutoff), now, reply_seconds, purged, dry_run)
        advance(len(pairs))


def _purge_pairs(
    engine: Engine,
    pairs: Sequence[tuple[str, int]],
    cutoffs: tuple[int, int],
    now: float,
    reply_seconds: float,
    purged: Purged,
    dry_run: bool,
) -> None:
    """Take away what is due of some recipients and owners, by the ``cutoffs`` of proofs and of ended relations."""
    with writing(engine) as connection:
        head = lock_head(connection)
        names = owner_names(connection)
        keep = _held_pairs(connection, round(now * 1000), names)
        gone: list[dict[str, Any]] = []
        bare: list[dict[str, Any]] = []
        changed: list[tuple[str, int]] = []
        for pair, events in _events_of(connection, pairs).items():
            forget, strip = _due(events, *cutoffs, reply_seconds, now)
            if not forget and not strip:
                continue
            if keep(pair):
                purged.held += 1
                continue
            purged.evidence_names.update(each.row.evidence_name for each in forget or strip if each.row.evidence)
            if forget:
                gone += _tombstones(connection, pair, names, forget)
                changed.append(pair)
            else:
                bare += [_stripped(each) for each in strip]
        purged.events += len(gone)
        purged.proofs += len(bare)
        if not dry_run and (gone or bare):
            _write(connection, gone, bare)
            if changed:
                connection.execute(insert(outbox).values(id=head.revision + 1, pairs=changed))
                move_head(connection, revision=head.revision + 1)


def _candidates(engine: Engine, cutoff: int) -> Iterator[list[tuple[str, int]]]:
    """Recipients and owners of whose events one may be due; a lone grant without an end never is."""
    row = consent_events.c
    after: tuple[str, int] | None = None
    while True:
        wanted = (
            select(row.recipient, row.owner_id)
            .where(row.recipient.is_not(None), row.event_at_ms < cutoff)
            .group_by(row.recipient, row.owner_id)
            .having(
                or_(
                    func.count() > 1,
                    func.min(row.event).not_in(("granted", "claimed", "listed")),
                    func.max(row.expires_at_ms).is_not(None),
                )
            )
            .order_by(row.recipient, row.owner_id)
            .limit(CHUNK)
        )
        if after is not None:
            wanted = wanted.where(
                or_(row.recipient > after[0], (row.recipient == after[0]) & (row.owner_id > after[1]))
            )
        with reading(engine) as connection:
            pairs = [(each.recipient, each.owner_id) for each in connection.execute(wanted)]
        if not pairs:
            return
        after = pairs[-1]
        yield pairs


def _held_pairs(connection: Connection, now_ms: int, names: dict[int, str]) -> Callable[[tuple[str, int]], bool]:
    held = held_subjects(connection, now_ms)
    pairs: set[tuple[str, str]] = set()
    for some in _some(sorted(int(subject) for subject in held["decision"] if subject.isdigit())):
        found = connection.execute(select(decisions.c.recipient, decisions.c.owner).where(decisions.c.id.in_(some)))
        pairs.update((each.recipient, each.owner) for each in found)
    event_ids = sorted(int(subject) for subject in held["consent"] if subject.isdigit())
    for ids in _some(event_ids):
        found = connection.execute(
            select(consent_events.c.recipient, consent_events.c.owner_id).where(consent_events.c.id.in_(ids))
        )
        pairs.update((each.recipient, names[each.owner_id]) for each in found if each.recipient is not None)

    def keep(pair: tuple[str, int]) -> bool:
        recipient, owner = pair[0], names[pair[1]]
        return recipient in held["recipient"] or owner in held["owner"] or (recipient, owner) in pairs

    return keep


def _events_of(connection: Connection, pairs: Sequence[tuple[str, int]]) -> dict[tuple[str, int], list[_Event]]:
    wanted = set(pairs)
    found: dict[tuple[str, int], list[_Event]] = defaultdict(list)
    for some in _some(sorted({recipient for recipient, _ in pairs})):
        for row in connection.execute(select(consent_events).where(consent_events.c.recipient.in_(some))):
            if (row.recipient, row.owner_id) in wanted:
                told = machine.recorded_event(
                    row.event, row.event_at_ms, row.received_at_ms, row.expires_at_ms, row.topic
                )
                found[row.recipient, row.owner_id].append(_Event(row, told))
    return found


def _due(
    events: list[_Event], proof_cutoff: int, end_cutoff: int, reply_seconds: float, now: float
) -> tuple[list[_Event], list[_Event]]:
    """The events of one recipient and owner that are to be forgotten, all or none; else those that lose their proof."""
    told = [each.told for each in events]
    topics = {event.topic for event in told} | {None}
    statuses = [
        machine.fold(machine.speaking_for(told, topic), reply_seconds=reply_seconds, now=now) for topic in topics
    ]
    strip: list[_Event] = []
    if any(status.state in _LIVE for status in statuses):
        ended_ms = None
    else:
        ended_ms = max(*(status.since_ms for status in statuses), *(each.since_ms for each in events))
        if ended_ms < end_cutoff:
            return events, []
    for each in events:
        if each.row.proof_digest is not None:
            continue
        replaced = [
            other.since_ms
            for other in events
            if other.told.kind != "requested"
            and other.told.event_at_ms > each.told.event_at_ms
            and other.told.topic in (None, each.told.topic)
        ]
        over = [*replaced, *([ended_ms] if ended_ms is not None else [])]
        if over and max(min(over), each.since_ms) < proof_cutoff:
            strip.append(each)
    return [], strip


def _tombstones(
    connection: Connection, pair: tuple[str, int], names: dict[int, str], events: list[_Event]
) -> list[dict[str, Any]]:
    decided = [each for each in events if each.told.kind != "requested"]
    last = max(decided, key=lambda each: each.told.event_at_ms, default=None)
    (mark,) = marks_of(connection, [(pair[0], names[pair[1]])])
    gone = []
    for each in events:
        row = each.row
        of_proof = row.proof_digest or chain.proof_digest(_proof(row), row.proof_salt)
        core = (row.id, row.recipient, names[row.owner_id], row.topic, row.event, row.event_at_ms, row.received_at_ms,
                row.expires_at_ms)  # fmt: skip
        gone.append(
            {
                "which": row.id,
                "new_digest": chain.event_digest(core, of_proof, row.salt),
                "new_mark": mark if each is last else None,
                "new_event_at_ms": row.event_at_ms if each is last else None,
            }
        )
    return gone


def _stripped(event: _Event) -> dict[str, Any]:
    row = event.row
    return {"which": row.id, "new_proof_digest": chain.proof_digest(_proof(row), row.proof_salt)}


def _proof(row: Any) -> chain.Proof:
    return row.source, row.reference, row.text_version, row.evidence, row.evidence_name


_WITHOUT_PROOF: Final = dict.fromkeys(
    ("source", "reference", "text_version", "evidence", "evidence_name", "proof_salt"), None
)


def _write(connection: Connection, gone: list[dict[str, Any]], bare: list[dict[str, Any]]) -> None:
    which = consent_events.c.id == bindparam("which")
    if gone:
        connection.execute(
            update(consent_events)
            .where(which)
            .values(
                recipient=None, owner_id=None, topic=None, event=None, received_at_ms=None, expires_at_ms=None,
                salt=None, proof_digest=None, digest=bindparam("new_digest"), mark=bindparam("new_mark"),
                event_at_ms=bindparam("new_event_at_ms"), **_WITHOUT_PROOF,
            ),
            gone,
        )  # fmt: skip
    if bare:
        connection.execute(
            update(consent_events).where(which).values(proof_digest=bindparam("new_proof_digest"), **_WITHOUT_PROOF),
            bare,
        )


# --- files of evidence


def _purge_files(engine: Engine, folder: Path, purged: Purged, dry_run: bool) -> None:
    names = {name for name in purged.evidence_names if name}
    if not names:
        return
    row = consent_events.c
    with reading(engine) as connection:
        used = set(
            connection.execute(select(row.evidence_name).where(row.evidence_name.is_not(None)).distinct()).scalars()
        )
        # An appeal names a file by its SHA-256, which its name begins with.
        shown = select(appeal_events.c.evidence).where(appeal_events.c.evidence.is_not(None))
        appealed = {each for evidence in connection.execute(shown).scalars() for each in evidence}
    for name in names:
        if dry_run:
            continue
        if name not in used and name.partition(".")[0] not in appealed and (folder / name).exists():
            (folder / name).unlink()
            purged.files += 1


def _some(values: Iterable[T]) -> Iterator[list[T]]:
    ordered = list(values)
    for first in range(0, len(ordered), ASKED_AT_ONCE):
        yield ordered[first : first + ASKED_AT_ONCE]
