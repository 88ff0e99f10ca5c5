"""Keeps appeals, from the first word to the answer and what follows from it.

``policy.appeals`` has the states; every change here is one transaction with its line in ``appeal_events``. Granting is
one transaction too: the answer, the whitelist entry, what it lifts, and the case that later models must pass. What
workers look up is published from the records by whoever keeps them in step (``service.clerk``), so a grant binds even
where the process that made it dies at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Engine, RowMapping, func, insert, select, text, update

from smsc_filter.policy.appeals import (
    CONTENT_CAUSES,
    NEVER_LIFTED,
    WAITING,
    AppealEvent,
    AppealState,
    Terms,
    after,
)
from smsc_filter.policy.likeness import sketch
from smsc_filter.policy.rules import PURPOSES
from smsc_filter.records.database import insert_new, reading, writing
from smsc_filter.records.errors import NotTaken
from smsc_filter.records.holds import add_hold, release_reason
from smsc_filter.records.matters import DECISION, KINDS, MEASURE, By, Matter, find_matter, lift_matter
from smsc_filter.records.measures import new_code, note_appealed
from smsc_filter.records.tables import appeal_codes, appeal_events, appeals, measures, model_cases
from smsc_filter.records.whitelist import add_entry, revoke_entry

OWNER, PERSON, OPERATOR = "owner", "person", "operator"

CHANNELS: Final = ("api", "portal", "sms", "console", "cli")

MOST_CHARACTERS: Final = 2_000
"""Of a reason or a note."""

MOST_EVIDENCE: Final = 20

DAY_MS: Final = 86_400_000

_APPELLANT_LOCK: Final = 0x61707065
"""With the appellant, the key of an advisory lock of PostgreSQL."""


class AppealRefused(NotTaken):
    """An appeal that is not opened, or not answered so."""


class Appellant(NamedTuple):
    """Who objects."""

    kind: str
    """"owner", "person" or "operator"."""
    name: str
    """The owner's name, the person's number in E.164, or who of the operator's people it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Appeal:
    """One appeal as it is on record; times are epoch seconds."""

    id: int
    state: AppealState
    kind: str
    """What it is about: "decision", "measure", or what ``matters.register_kind`` added."""
    subject: str
    """Its id: of a decision, in decimal."""
    appellant: Appellant
    channel: str
    owner: str
    sender: str
    recipient: str
    reason: str = field(repr=False)
    opened_at: float
    since: float
    """From when the clock of its state runs."""
    due_at: float | None
    """The first moment that is too late; None once it is closed."""
    due_certain: bool
    """Whether the calendar knows every day until then."""
    decided_at: float | None
    decided_by: str | None
    decision: str | None
    """The reviewer's reason."""
    whitelist_id: int | None


class Happened(NamedTuple):
    """One line of the history of an appeal."""

    event: str
    """"open", or one of ``AppealEvent``."""
    at: float
    by: str
    note: str
    evidence: list[str]


# --- codes


def issue_code(engine: Engine, *, kind: str, subject: str, now: float, party: str = "") -> str:
    """The code by which something is appealed against; the same again where there is one.

    Args:
        engine: what ``open_database`` gave.
        kind: "decision", "measure", or a registered kind such as a lock.
        subject: the id of the matter; of a decision, in decimal.
        now: epoch seconds.
        party: the one number, or owner, that may use it; empty for whoever has it.

    Raises:
        ValueError: the kind is unknown.
        SqlUnavailable: the database does not answer.
    """
    with writing(engine) as connection:
        return code_for(connection, kind=kind, subject=subject, now=now, party=party)


def code_for(connection: Connection, *, kind: str, subject: str, now: float, party: str = "") -> str:
    """The same as ``issue_code``, in the transaction of ``connection``."""
    if kind not in KINDS:
        raise ValueError(f"kind is {kind!r}, one of {', '.join(KINDS)} is expected")
    if kind == MEASURE and subject.isdigit():
        own = select(measures.c.appeal_code).where(measures.c.id == int(subject))
        if (found := connection.execute(own).scalar_one_or_none()) is not None:
            return str(found)
    row = appeal_codes.c
    connection.execute(
        insert_new(connection, appeal_codes),
        {"code": new_code(), "kind": kind, "subject": subject, "party": party, "issued_at_ms": _ms(now)},
    )
    wanted = select(row.code).where(row.kind == kind, row.subject == subject, row.party == party)
    code: str = connection.execute(wanted).scalar_one()
    return code


# --- opening


def open_appeal(
    engine: Engine,
    terms: Terms,
    *,
    appellant: Appellant,
    channel: str,
    reason: str,
    now: float,
    code: str = "",
    kind: str = DECISION,
    subject: str = "",
    evidence: Sequence[str] = (),
) -> Appeal:
    """Open an appeal, or find the one that is open: the same appellant has one a matter.

    Args:
        engine: what ``open_database`` gave.
        terms: deadlines and limits.
        appellant: who objects; the caller has made sure of it.
        channel: one of ``CHANNELS``.
        reason: in the appellant's words, up to ``MOST_CHARACTERS``; a reply by SMS may give none.
        now: epoch seconds.
        code: an appeal code; it says what the appeal is about.
        kind: without a code, what kind of thing the appeal is about ...
        subject: ... and its id.
        evidence: SHA-256 of files that are kept, or ids of decisions.

    Raises:
        AppealRefused: "no-such-matter", "not-a-party", "answered-before" or "limit-reached".
        ValueError: a field is too long or of no known kind.
        SqlUnavailable: the database does not answer.
    """
    with writing(engine) as connection:
        return add_appeal(
            connection,
            terms,
            appellant=appellant,
            channel=channel,
            reason=reason,
            now=now,
            code=code,
            kind=kind,
            subject=subject,
            evidence=evidence,
        )


def add_appeal(
    connection: Connection,
    terms: Terms,
    *,
    appellant: Appellant,
    channel: str,
    reason: str,
    now: float,
    code: str = "",
    kind: str = DECISION,
    subject: str = "",
    evidence: Sequence[str] = (),
) -> Appeal:
    """The same as ``open_appeal``, in the transaction of ``connection``."""
    if channel not in CHANNELS:
        raise ValueError(f"channel is {channel!r}, one of {', '.join(CHANNELS)} is expected")
    _check_words(reason, evidence)
    matter = _matter_of(connection, code, appellant) if code else find_matter(connection, kind, subject)
    if matter is None:
        raise AppealRefused("no-such-matter", "nothing of that id or code is on record; look at the code again")
    if not code and appellant.kind != OPERATOR and appellant.name not in matter.parties:
        # Said alike whether it exists: ids can be guessed.
        raise AppealRefused("no-such-matter", "nothing of that id or code is on record; look at the code again")
    _one_at_a_time(connection, appellant)
    row = appeals.c
    mine = (row.appellant_kind == appellant.kind, row.appellant == appellant.name)
    before = connection.execute(
        select(appeals).where(row.kind == matter.kind, row.subject == matter.id, *mine).order_by(row.id)
    ).mappings()
    for each in map(_appeal, before):
        if each.state in WAITING:
            return each
        if each.state in (AppealState.GRANTED, AppealState.REFUSED) and appellant.kind != OPERATOR:
            raise AppealRefused("answered-before", f"appeal {each.id} about this was answered: {each.state}")
    if appellant.kind != OPERATOR:
        _check_limits(connection, terms, mine, now)
    due = terms.answer_due(now)
    opened = connection.execute(
        insert(appeals)
        .values(
            state=AppealState.OPEN.value,
            kind=matter.kind,
            subject=matter.id,
            appellant_kind=appellant.kind,
            appellant=appellant.name,
            channel=channel,
            owner=matter.owner,
            sender=matter.sender,
            recipient=matter.recipient,
            reason=reason,
            opened_at_ms=_ms(now),
            since_ms=_ms(now),
            due_at_ms=_ms(due.at),
            due_certain=due.certain,
            told="",
        )
        .returning(*appeals.c)
    )
    appeal = _appeal(opened.mappings().one())
    _note(connection, appeal.id, "open", By(appellant.name, reason, now), evidence)
    if matter.kind == DECISION:
        add_hold(connection, DECISION, matter.id, _held_for(appeal.id), now=now)
    elif matter.kind == MEASURE:
        note_appealed(connection, int(matter.id), str(appeal.id), by=appellant.name, now=now)
    return appeal


def _matter_of(connection: Connection, code: str, appellant: Appellant) -> Matter | None:
    """What a code stands for, if the appellant may use it."""
    spelled = code.strip().upper()
    row = appeal_codes.c
    found = connection.execute(select(row.kind, row.subject, row.party).where(row.code == spelled)).first()
    if found is not None:
        if found.party not in ("", appellant.name) and appellant.kind != OPERATOR:
            return None
        return find_matter(connection, found.kind, found.subject)
    measure = select(measures.c.id).where(measures.c.appeal_code == spelled)
    measure_id = connection.execute(measure).scalar_one_or_none()
    return None if measure_id is None else find_matter(connection, MEASURE, str(measure_id))


def _check_limits(connection: Connection, terms: Terms, mine: Iterable[Any], now: float) -> None:
    row = appeals.c
    counted = select(func.count()).select_from(appeals).where(*mine)
    waiting = connection.execute(counted.where(row.state.in_(WAITING))).scalar_one()
    if waiting >= terms.most_open:
        raise AppealRefused(
            "limit-reached", f"{waiting} appeals of yours wait for an answer, {terms.most_open} may at once"
        )
    lately = connection.execute(counted.where(row.opened_at_ms > _ms(now) - DAY_MS)).scalar_one()
    if lately >= terms.most_a_day:
        raise AppealRefused(
            "limit-reached", f"you opened {lately} appeals in 24 hours, {terms.most_a_day} may be: come back later"
        )


def _one_at_a_time(connection: Connection, appellant: Appellant) -> None:
    """Let two appeals of one appellant come one after the other; SQLite has one writer anyway."""
    if connection.dialect.name == "postgresql":
        connection.execute(
            text("SELECT pg_advisory_xact_lock(:key, hashtext(:name))"),
            {"key": _APPELLANT_LOCK, "name": f"{appellant.kind} {appellant.name}"},
        )


# --- what happens then


def ask(engine: Engine, terms: Terms, appeal_id: int, *, by: str, question: str, now: float) -> Appeal:
    """Ask the appellant for more; the appeal expires unless there is an answer in time.

    Raises:
        AppealRefused: "no-such-appeal".
        NotAllowedError: it is closed.
        ValueError: there is no question.
        SqlUnavailable: the database does not answer.
    """
    if not question.strip():
        raise ValueError("question is empty; the appellant has to know what is missing")
    due = terms.information_due(now)
    with writing(engine) as connection:
        return _move(
            connection,
            appeal_id,
            AppealEvent.ASK,
            By(by, question, now),
            due_at_ms=_ms(due.at),
            due_certain=due.certain,
        )


def supply(
    engine: Engine, terms: Terms, appeal_id: int, *, by: str, information: str, now: float, evidence: Sequence[str] = ()
) -> Appeal:
    """Answer what was asked; the time for an answer begins anew.

    Raises:
        AppealRefused: "no-such-appeal".
        NotAllowedError: nothing was asked.
        ValueError: nothing is answered.
        SqlUnavailable: the database does not answer.
    """
    _check_words(information, evidence)
    if not information.strip():
        raise ValueError("information is empty")
    due = terms.answer_due(now)
    with writing(engine) as connection:
        return _move(
            connection, appeal_id, AppealEvent.SUPPLY, By(by, information, now), evidence, due_at_ms=_ms(due.at),
            due_certain=due.certain,
        )  # fmt: skip


def refuse(engine: Engine, appeal_id: int, *, by: str, reason: str, now: float, evidence: Sequence[str] = ()) -> Appeal:
    """Answer that the refusal was right.

    Raises:
        AppealRefused: "no-such-appeal".
        NotAllowedError: it is closed.
        ValueError: no reason is given.
        SqlUnavailable: the database does not answer.
    """
    _check_words(reason, evidence, needed=True)
    with writing(engine) as connection:
        return _move(
            connection, appeal_id, AppealEvent.REFUSE, By(by, reason, now), evidence, **_answer(by, reason, now)
        )


def withdraw(engine: Engine, appeal_id: int, *, by: str, now: float, note: str = "") -> Appeal:
    """Take an appeal back, as its appellant.

    Raises:
        AppealRefused: "no-such-appeal".
        NotAllowedError: it is closed.
        SqlUnavailable: the database does not answer.
    """
    with writing(engine) as connection:
        return _move(connection, appeal_id, AppealEvent.WITHDRAW, By(by, note, now))


def grant(
    engine: Engine,
    terms: Terms,
    appeal_id: int,
    *,
    by: str,
    reason: str,
    now: float,
    scope: str | None = "",
    recipients: Iterable[str] = (),
    expires_at: float | None = None,
    label: bool | None = None,
    evidence: Sequence[str] = (),
) -> Appeal:
    """Answer that the refusal was wrong, and see to it that it does not happen again; all of it or nothing.

    Args:
        engine: what ``open_database`` gave.
        terms: how long an entry holds where ``expires_at`` does not say.
        appeal_id: which.
        by: the reviewer.
        reason: why; kept as evidence.
        now: epoch seconds.
        scope: of the whitelist entry: "sender", "sender-recipients", "cluster" or "owner"; None for no entry; "" for
            "sender-recipients" where the appeal is about a message that an entry can help.
        recipients: with "sender-recipients", MSISDNs besides the recipient of the message.
        expires_at: epoch seconds from which the entry clears nothing.
        label: whether the text becomes a case that later models must call "other"; None: where it was refused for its
            content and its sender is a person or a service. Of who advertises a reviewer has to say so.
        evidence: SHA-256 of files that are kept, or ids of decisions.

    Raises:
        AppealRefused: "no-such-appeal", or "never-lifted": an entry would not help what was refused for this cause.
        NotAllowedError: it is closed.
        ValueError: no reason is given, or the fields do not fit the scope.
        SqlUnavailable: the database does not answer.
    """
    _check_words(reason, evidence, needed=True)
    with writing(engine) as connection:
        appeal = _move(
            connection, appeal_id, AppealEvent.GRANT, By(by, reason, now), evidence, **_answer(by, reason, now)
        )
        matter = find_matter(connection, appeal.kind, appeal.subject)
        if matter is None:
            raise AppealRefused("no-such-matter", f"{appeal.kind} {appeal.subject} is not on record any more")
        effects = [f"{name} lifted" for name in lift_matter(connection, matter, By(by, f"appeal {appeal.id}", now))]
        if scope == "":
            helps = matter.kind == DECISION and matter.cause and matter.cause not in NEVER_LIFTED
            scope = "sender-recipients" if helps and matter.recipient else "sender" if helps else None
        if scope is not None:
            expires_at = now + terms.entry_days * 86_400 if expires_at is None else expires_at
            entry_id = _clear(connection, appeal, matter, scope, recipients, By(by, reason, now), expires_at)
            appeal = _update(connection, appeal.id, whitelist_id=entry_id)
            effects.append(f"whitelist entry {entry_id}, scope {scope}")
        if label is None:
            label = matter.cause in CONTENT_CAUSES and matter.purpose in ("person", "service")
        if label:
            _add_case(connection, appeal, matter, now)
            effects.append("a case for models")
        if effects:
            _note(connection, appeal.id, "effects", By(by, "; ".join(effects), now))
        return appeal


def revoke(engine: Engine, appeal_id: int, *, by: str, reason: str, now: float) -> Appeal:
    """Take a grant back: its entry clears nothing from ``now`` on, and its case is dropped. What was lifted stays so.

    Raises:
        AppealRefused: "no-such-appeal".
        NotAllowedError: it is not granted.
        ValueError: no reason is given.
        SqlUnavailable: the database does not answer.
    """
    _check_words(reason, (), needed=True)
    with writing(engine) as connection:
        appeal = _move(connection, appeal_id, AppealEvent.REVOKE, By(by, reason, now), **_answer(by, reason, now))
        if appeal.whitelist_id is not None:
            revoke_entry(connection, appeal.whitelist_id, now)
        row = model_cases.c
        connection.execute(
            update(model_cases)
            .where(row.appeal_id == appeal.id, row.dropped_at_ms.is_(None))
            .values(dropped_at_ms=_ms(now))
        )
        return appeal


def expire_silent(engine: Engine, now: float) -> list[Appeal]:
    """Close the appeals whose appellants did not answer in time; those that were closed."""
    row = appeals.c
    with writing(engine) as connection:
        silent = connection.execute(
            select(row.id).where(row.state == AppealState.NEEDS_INFORMATION.value, row.due_at_ms <= _ms(now))
        ).scalars()
        said = By("clock", "no answer in time", now)
        return [_move(connection, appeal_id, AppealEvent.EXPIRE, said) for appeal_id in silent.all()]


def _clear(
    connection: Connection, appeal: Appeal, matter: Matter, scope: str, recipients: Iterable[str], by: By, until: float
) -> int:
    if matter.kind != DECISION:
        raise ValueError(f"an entry clears messages; an appeal about a {matter.kind} has none to go by")
    if matter.cause in NEVER_LIFTED:
        raise AppealRefused(
            "never-lifted",
            f"refused for {matter.cause}: no appeal lifts that; grant without an entry, or change what it rests on",
        )
    others = set(recipients)
    if others and scope != "sender-recipients":
        raise ValueError(f"recipients go with the scope sender-recipients, not with {scope}")
    entry = add_entry(
        connection,
        scope=scope,
        owner=matter.owner,
        sender=None if scope == "owner" else matter.sender,
        recipients=others | ({matter.recipient} - {""}) if scope == "sender-recipients" else (),
        reason=f"appeal {appeal.id}: {by.note}",
        now=by.now,
        expires_at=until,
        created_by=by.name,
        sketch=sketch([matter.text])[0] if scope == "cluster" else b"",
    )
    return entry.id


def _add_case(connection: Connection, appeal: Appeal, matter: Matter, now: float) -> None:
    if not matter.text.strip() or matter.purpose not in PURPOSES:
        raise ValueError("a message without text, or of a sender nobody registered, is no case for models")
    connection.execute(
        insert(model_cases).values(
            appeal_id=appeal.id, text=matter.text, kind=matter.purpose, label="other", at_ms=_ms(now)
        )
    )


# --- what is on record


def find_appeal(engine: Engine, appeal_id: int) -> Appeal | None:
    """The appeal of an id, or None."""
    with reading(engine) as connection:
        row = connection.execute(select(appeals).where(appeals.c.id == appeal_id)).mappings().first()
    return None if row is None else _appeal(row)


def appeal_of_entry(engine: Engine, entry_id: int) -> Appeal | None:
    """The appeal a whitelist entry comes from, or None."""
    with reading(engine) as connection:
        row = connection.execute(select(appeals).where(appeals.c.whitelist_id == entry_id)).mappings().first()
    return None if row is None else _appeal(row)


def list_appeals(
    engine: Engine,
    *,
    states: Iterable[AppealState] = (),
    appellant: Appellant | None = None,
    owner: str | None = None,
    before: int | None = None,
    most: int = 100,
    by_due: bool = False,
) -> list[Appeal]:
    """Appeals, newest first, or by what is due first.

    Args:
        engine: what ``open_database`` gave.
        states: only those; all where there is none.
        appellant: only of this one.
        owner: only about what this owner sent.
        before: only with a smaller id, for the next page.
        most: at most so many.
        by_due: what is due first comes first, as the queue of a reviewer has it.
    """
    row = appeals.c
    wanted = select(appeals).limit(most)
    wanted = wanted.order_by(row.due_at_ms, row.id) if by_due else wanted.order_by(row.id.desc())
    if chosen := [state.value for state in states]:
        wanted = wanted.where(row.state.in_(chosen))
    if appellant is not None:
        wanted = wanted.where(row.appellant_kind == appellant.kind, row.appellant == appellant.name)
    if owner is not None:
        wanted = wanted.where(row.owner == owner)
    if before is not None:
        wanted = wanted.where(row.id < before)
    with reading(engine) as connection:
        return [_appeal(values) for values in connection.execute(wanted).mappings()]


def appeal_history(engine: Engine, appeal_id: int) -> list[Happened]:
    """What happened to an appeal, oldest first."""
    row = appeal_events.c
    wanted = select(row.event, row.at_ms, row.by, row.note, row.evidence).where(row.appeal_id == appeal_id)
    with reading(engine) as connection:
        found = connection.execute(wanted.order_by(row.id)).all()
    return [Happened(each.event, each.at_ms / 1000, each.by, each.note, each.evidence or []) for each in found]


# --- rows


def _move(
    connection: Connection, appeal_id: int, event: AppealEvent, by: By, evidence: Sequence[str] = (), **values: Any
) -> Appeal:
    """Let ``event`` happen to an appeal; once it is answered, nothing is held for it any more."""
    if len(by.note) > MOST_CHARACTERS:
        raise ValueError(f"{len(by.note)} characters; {MOST_CHARACTERS} are kept")
    row = connection.execute(select(appeals).where(appeals.c.id == appeal_id).with_for_update()).mappings().first()
    if row is None:
        raise AppealRefused("no-such-appeal", f"there is no appeal {appeal_id}")
    state = after(AppealState(row["state"]), event)
    if state not in WAITING:
        values |= {"due_at_ms": None, "due_certain": True}
        release_reason(connection, _held_for(appeal_id), now=by.now)
    appeal = _update(connection, appeal_id, state=state.value, since_ms=_ms(by.now), told="", **values)
    _note(connection, appeal_id, event.value, by, evidence)
    return appeal


def _update(connection: Connection, appeal_id: int, **values: Any) -> Appeal:
    changed = update(appeals).where(appeals.c.id == appeal_id).values(**values).returning(*appeals.c)
    return _appeal(connection.execute(changed).mappings().one())


def _note(connection: Connection, appeal_id: int, event: str, by: By, evidence: Sequence[str] = ()) -> None:
    connection.execute(
        insert(appeal_events).values(
            appeal_id=appeal_id,
            event=event,
            at_ms=_ms(by.now),
            by=by.name,
            note=by.note,
            evidence=list(evidence) or None,
        )
    )


def _answer(by: str, reason: str, now: float) -> dict[str, Any]:
    return {"decided_at_ms": _ms(now), "decided_by": by, "decision": reason}


def _check_words(words: str, evidence: Sequence[str], *, needed: bool = False) -> None:
    if needed and not words.strip():
        raise ValueError("reason is empty; an answer says why")
    if len(words) > MOST_CHARACTERS or len(evidence) > MOST_EVIDENCE:
        raise ValueError(f"{MOST_CHARACTERS} characters and {MOST_EVIDENCE} pieces of evidence are kept")


def _held_for(appeal_id: int) -> str:
    return f"appeal {appeal_id}"


def _ms(seconds: float) -> int:
    return round(seconds * 1000)


def _seconds(milliseconds: int | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000


def _appeal(row: RowMapping) -> Appeal:
    return Appeal(
        id=row["id"],
        state=AppealState(row["state"]),
        kind=row["kind"],
        subject=row["subject"],
        appellant=Appellant(row["appellant_kind"], row["appellant"]),
        channel=row["channel"],
        owner=row["owner"],
        sender=row["sender"],
        recipient=row["recipient"],
        reason=row["reason"],
        opened_at=row["opened_at_ms"] / 1000,
        since=row["since_ms"] / 1000,
        due_at=_seconds(row["due_at_ms"]),
        due_certain=row["due_certain"],
        decided_at=_seconds(row["decided_at_ms"]),
        decided_by=row["decided_by"],
        decision=row["decision"],
        whitelist_id=row["whitelist_id"],
    )
