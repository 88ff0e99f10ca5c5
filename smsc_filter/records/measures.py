"""Keeps notices and measures; ``policy.measures`` says what each step does.

No suspension without a notice: it is looked for here, with the lead time the profile asks, and the table refuses a
suspension that names none, whoever writes it.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, RowMapping, and_, insert, or_, select, update

from smsc_filter.policy.appeals import CODE_LENGTH, CODE_LETTERS
from smsc_filter.policy.measures import SCOPES, Measure, Step
from smsc_filter.records.database import reading, writing
from smsc_filter.records.errors import RecordsError
from smsc_filter.records.tables import measure_events, measures, notices


class NoticeMissing(RecordsError):
    """A suspension without a notice before it, or too soon after it: serve one, or wait; nothing was imposed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What a party was told."""

    id: int
    scope: str
    subject: str
    channel: str
    reason: str
    at: float
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasureRecord:
    """A measure with what is on record about it."""

    measure: Measure
    reason: str
    notice_id: int | None
    appeal_id: str | None
    lifted_at: float | None


def serve_notice(engine: Engine, *, scope: str, subject: str, channel: str, reason: str, by: str, now: float) -> Notice:
    """Put on record that a party was told at ``now`` what it did and that it may be suspended.

    Raises:
        ValueError: the scope is unknown, or a field is empty.
        SqlUnavailable: the database does not answer.
    """
    if scope not in SCOPES:
        raise ValueError(f"scope is {scope!r}, one of {', '.join(SCOPES)} is expected")
    for name, value in (("subject", subject), ("channel", channel), ("reason", reason), ("by", by)):
        if not value.strip():
            raise ValueError(f"{name} is empty; a notice is evidence and says who was told what, how and by whom")
    with writing(engine) as connection:
        row = connection.execute(
            insert(notices)
            .values(scope=scope, subject=subject, channel=channel, reason=reason, at_ms=round(now * 1000), by=by)
            .returning(*notices.c)
        )
        return _notice(row.mappings().one())


def impose(
    engine: Engine,
    *,
    step: Step,
    scope: str,
    subject: str,
    reason: str,
    article: str,
    by: str,
    now: float,
    begins_at: float | None = None,
    ends_at: float | None = None,
    notice_id: int | None = None,
    notice_seconds: float = 0.0,
    per_hour: int | None = None,
    binds: Mapping[str, int] | None = None,
) -> MeasureRecord:
    """Impose a measure.

    Args:
        engine: what ``open_database`` gave.
        step: how far it goes.
        scope: "sender", "account" or "owner".
        subject: whom it is about.
        reason: what the party did.
        article: what it rests on.
        by: who imposes it.
        now: epoch seconds.
        begins_at: epoch seconds; not given: at once, a suspension as soon as its notice allows.
        ends_at: epoch seconds; None: until it is lifted.
        notice_id: of the notice before a suspension; not given, the newest one to the same party is taken.
        notice_seconds: least time from the notice to the beginning of a suspension.
        per_hour: with a throttle, see ``Measure``.
        binds: with no new resources, see ``Measure``.

    Raises:
        NoticeMissing: a suspension whose party was not told, or not long enough before.
        ValueError: the fields do not fit together; the sentence says which.
        SqlUnavailable: the database does not answer.
    """
    with writing(engine) as connection:
        return impose_measure(
            connection,
            step=step,
            scope=scope,
            subject=subject,
            reason=reason,
            article=article,
            by=by,
            now=now,
            begins_at=begins_at,
            ends_at=ends_at,
            notice_id=notice_id,
            notice_seconds=notice_seconds,
            per_hour=per_hour,
            binds=binds,
        )


def impose_measure(
    connection: Connection,
    *,
    step: Step,
    scope: str,
    subject: str,
    reason: str,
    article: str,
    by: str,
    now: float,
    begins_at: float | None = None,
    ends_at: float | None = None,
    notice_id: int | None = None,
    notice_seconds: float = 0.0,
    per_hour: int | None = None,
    binds: Mapping[str, int] | None = None,
) -> MeasureRecord:
    """The same as ``impose``, in the transaction of ``connection``."""
    for name, value in (("reason", reason), ("article", article), ("by", by)):
        if not value.strip():
            raise ValueError(f"{name} is empty; a measure says what it rests on and who answers for it")
    notice: Notice | None = None
    if step is Step.SUSPEND:
        notice = _notice_before(connection, scope, subject, notice_id)
        earliest = notice.at + notice_seconds
        begins_at = max(now, earliest) if begins_at is None else begins_at
        if begins_at < earliest:
            raise NoticeMissing(
                f"notice {notice.id} was served {(begins_at - notice.at) / 3600:.1f} h before the suspension would "
                f"begin, {notice_seconds / 3600:g} h are needed: begin later"
            )
    elif notice_id is not None:
        raise ValueError("a notice goes with a suspension; the other steps need none")
    begins_at = now if begins_at is None else begins_at
    if begins_at < now:
        raise ValueError(f"begins_at {begins_at} is before now, {now}: a measure does not reach back")
    measure = Measure(
        id=0,
        step=step,
        scope=scope,
        subject=subject,
        begins_at=begins_at,
        ends_at=ends_at,
        article=article,
        appeal_code=new_code(),
        per_hour=per_hour,
        binds=binds or {},
    )
    row = connection.execute(
        insert(measures)
        .values(
            step=step.value,
            scope=scope,
            subject=subject,
            reason=reason,
            article=article,
            notice_id=notice.id if notice else None,
            appeal_code=measure.appeal_code,
            per_hour=per_hour,
            binds=dict(binds) if binds else None,
            begins_at_ms=round(begins_at * 1000),
            ends_at_ms=None if ends_at is None else round(ends_at * 1000),
        )
        .returning(*measures.c)
    )
    done = record_of(row.mappings().one())
    _note(connection, done.measure.id, "imposed", now, by, reason)
    return done


def is_answered(engine: Engine, *, step: Step, scope: str, subject: str, at: float, now: float) -> bool:
    """Whether what a party did at ``at`` has had its measure: one in force, or one that began since then.

    Raises:
        SqlUnavailable: the database does not answer.
    """
    row = measures.c
    in_force = and_(row.lifted_at_ms.is_(None), or_(row.ends_at_ms.is_(None), row.ends_at_ms > _ms(now)))
    query = select(row.id).where(
        row.step == step.value,
        row.scope == scope,
        row.subject == subject,
        or_(in_force, row.begins_at_ms >= _ms(at)),
    )
    with reading(engine) as connection:
        return connection.execute(query.limit(1)).first() is not None


def lift(engine: Engine, measure_id: int, *, by: str, note: str, now: float) -> bool:
    """End a measure at ``now``; False when there is none of that id, or it was lifted before."""
    with writing(engine) as connection:
        return lift_measure(connection, measure_id, by=by, note=note, now=now)


def lift_measure(connection: Connection, measure_id: int, *, by: str, note: str, now: float) -> bool:
    """The same as ``lift``, in the transaction of ``connection``."""
    row = measures.c
    done = connection.execute(
        update(measures).where(row.id == measure_id, row.lifted_at_ms.is_(None)).values(lifted_at_ms=_ms(now))
    )
    if done.rowcount != 1:
        return False
    _note(connection, measure_id, "lifted", now, by, note)
    return True


def note_appealed(connection: Connection, measure_id: int, appeal_id: str, *, by: str, now: float) -> MeasureRecord:
    """Put on record that there is an appeal against a measure, in the transaction of ``connection``."""
    row = connection.execute(
        update(measures).where(measures.c.id == measure_id).values(appeal_id=appeal_id).returning(*measures.c)
    )
    found = row.mappings().one()
    _note(connection, measure_id, "appealed", now, by, f"appeal {appeal_id}")
    return record_of(found)


def standing(engine: Engine, now: float, *, ended: bool = False) -> list[MeasureRecord]:
    """The measures in force at ``now`` or to come, in the order in which they were imposed; all with ``ended``."""
    row = measures.c
    query = select(measures).order_by(row.id)
    if not ended:
        now_ms = _ms(now)
        query = query.where(row.lifted_at_ms.is_(None), or_(row.ends_at_ms.is_(None), row.ends_at_ms > now_ms))
    with reading(engine) as connection:
        return [record_of(values) for values in connection.execute(query).mappings()]


def history(engine: Engine, measure_id: int) -> list[dict[str, Any]]:
    """What happened to a measure, oldest first."""
    row = measure_events.c
    query = select(measure_events).where(row.measure_id == measure_id).order_by(row.id)
    with reading(engine) as connection:
        return [dict(values) for values in connection.execute(query).mappings()]


def served_notices(engine: Engine) -> list[Notice]:
    """Every notice, oldest first."""
    with reading(engine) as connection:
        return [_notice(values) for values in connection.execute(select(notices).order_by(notices.c.id)).mappings()]


def new_code() -> str:
    """An appeal code nobody has."""
    return "".join(secrets.choice(CODE_LETTERS) for _ in range(CODE_LENGTH))


def _notice_before(connection: Connection, scope: str, subject: str, notice_id: int | None) -> Notice:
    row = notices.c
    query = select(notices).where(row.scope == scope, row.subject == subject).order_by(row.id.desc()).limit(1)
    if notice_id is not None:
        query = query.where(row.id == notice_id)
    found = connection.execute(query).mappings().one_or_none()
    if found is None:
        which = f"notice {notice_id} was" if notice_id is not None else "no notice was"
        raise NoticeMissing(
            f"{which} {'not ' if notice_id is not None else ''}served to {scope} {subject}: "
            "tell the party first and put it on record (measure notice)"
        )
    return _notice(found)


def _note(connection: Connection, measure_id: int, event: str, now: float, by: str, note: str) -> None:
    values = {"measure_id": measure_id, "event": event, "at_ms": _ms(now), "by": by, "note": note}
    connection.execute(insert(measure_events), values)


def _ms(seconds: float) -> int:
    return round(seconds * 1000)


def _notice(row: RowMapping) -> Notice:
    values = dict(row)
    return Notice(at=values.pop("at_ms") / 1000, **values)


def record_of(row: RowMapping) -> MeasureRecord:
    """A row of ``measures``."""
    lifted = row["lifted_at_ms"]
    measure = Measure(
        id=row["id"],
        step=Step(row["step"]),
        scope=row["scope"],
        subject=row["subject"],
        begins_at=row["begins_at_ms"] / 1000,
        ends_at=None if row["ends_at_ms"] is None else row["ends_at_ms"] / 1000,
        article=row["article"],
        appeal_code=row["appeal_code"],
        per_hour=row["per_hour"],
        binds=row["binds"] or {},
    )
    return MeasureRecord(
        measure=measure,
        reason=row["reason"],
        notice_id=row["notice_id"],
        appeal_id=row["appeal_id"],
        lifted_at=None if lifted is None else lifted / 1000,
    )
