"""Keeps alarms and how far their delivery is, and the watcher's checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Engine, RowMapping, delete, func, insert, select, update

from smsc_filter.records.database import reading, writing
from smsc_filter.records.tables import alarms, decisions, watch_checkpoints

CHECKPOINT: Final = "watcher"


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmRecord:
    """One alarm as it is on record."""

    id: int
    key: str
    kind: str
    severity: str
    subject: str
    sentence: str
    evidence: Mapping[str, Any]
    first_at: float
    last_at: float
    count: int
    webhook: str
    """"", "due", "sent" or "given-up"."""
    tries: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as files and webhooks carry them."""
        return {
            "id": self.id,
            "kind": self.kind,
            "severity": self.severity,
            "subject": self.subject,
            "sentence": self.sentence,
            "evidence": dict(self.evidence),
            "first_at": self.first_at,
            "last_at": self.last_at,
            "count": self.count,
        }


def add_alarm(
    engine: Engine,
    *,
    key: str,
    kind: str,
    severity: str,
    subject: str,
    sentence: str,
    evidence: Mapping[str, Any],
    at: float,
    webhook: bool,
) -> AlarmRecord:
    """Put a new alarm on record, raised at ``at`` (epoch seconds); ``webhook``: it is to be posted.

    Raises:
        SqlUnavailable: the database does not answer.
    """
    at_ms = round(at * 1000)
    with writing(engine) as connection:
        row = connection.execute(
            insert(alarms)
            .values(
                key=key,
                kind=kind,
                severity=severity,
                subject=subject,
                sentence=sentence,
                evidence=dict(evidence),
                first_at_ms=at_ms,
                last_at_ms=at_ms,
                count=1,
                webhook="due" if webhook else "",
                tries=0,
                try_at_ms=at_ms,
            )
            .returning(*alarms.c)
        )
        return _alarm(row.mappings().one())


def count_alarms(engine: Engine, counts: Mapping[int, tuple[int, float]]) -> None:
    """Put on record how often alarms came and when last, by id."""
    with writing(engine) as connection:
        for alarm_id, (count, last_at) in counts.items():
            connection.execute(
                update(alarms).where(alarms.c.id == alarm_id).values(count=count, last_at_ms=round(last_at * 1000))
            )


def note_delivery(engine: Engine, alarm_id: int, webhook: str, tries: int, try_at: float) -> None:
    """Put on record that an alarm was "sent", "given-up", or is "due" again at ``try_at`` (epoch seconds)."""
    with writing(engine) as connection:
        connection.execute(
            update(alarms)
            .where(alarms.c.id == alarm_id)
            .values(webhook=webhook, tries=tries, try_at_ms=round(try_at * 1000))
        )


def due_alarms(engine: Engine, now: float, most: int = 100) -> list[AlarmRecord]:
    """Alarms to be posted at ``now``, oldest first."""
    row = alarms.c
    query = (
        select(alarms)
        .where(row.webhook == "due", row.try_at_ms <= round(now * 1000))
        .order_by(row.try_at_ms, row.id)
        .limit(most)
    )
    with reading(engine) as connection:
        return [_alarm(values) for values in connection.execute(query).mappings()]


def newest_alarm(engine: Engine) -> int:
    """The id of the newest alarm; 0 where there is none."""
    with reading(engine) as connection:
        newest: int | None = connection.execute(select(func.max(alarms.c.id))).scalar_one()
        return newest or 0


def alarms_since(engine: Engine, since: float, *, after_id: int = 0, most: int = 10_000) -> list[AlarmRecord]:
    """Alarms last raised at ``since`` or later and with an id behind ``after_id``, oldest first."""
    row = alarms.c
    query = (
        select(alarms)
        .where(row.id > after_id, row.last_at_ms >= round(since * 1000))
        .order_by(row.id)
        .limit(most)
    )  # fmt: skip
    with reading(engine) as connection:
        return [_alarm(values) for values in connection.execute(query).mappings()]


def write_checkpoint(engine: Engine, body: bytes, version: int, last_decision_id: int, now: float) -> None:
    """Keep what the watcher knows, instead of what it knew before."""
    with writing(engine) as connection:
        connection.execute(delete(watch_checkpoints).where(watch_checkpoints.c.name == CHECKPOINT))
        connection.execute(
            insert(watch_checkpoints).values(
                name=CHECKPOINT,
                at_ms=round(now * 1000),
                last_decision_id=last_decision_id,
                version=version,
                body=body,
            )
        )


def read_checkpoint(engine: Engine, version: int) -> bytes | None:
    """What was kept last; None where there is nothing of this ``version``."""
    row = watch_checkpoints.c
    with reading(engine) as connection:
        body: bytes | None = connection.execute(
            select(row.body).where(row.name == CHECKPOINT, row.version == version)
        ).scalar_one_or_none()
        return body


def decisions_after(engine: Engine, decision_id: int, most: int) -> list[tuple[Any, ...]]:
    """Decisions whose id is greater, in the order of ids, as the mover handed them over."""
    query = select(decisions).where(decisions.c.id > decision_id).order_by(decisions.c.id).limit(most)
    with reading(engine) as connection:
        return [tuple(row) for row in connection.execute(query)]


def _alarm(row: RowMapping) -> AlarmRecord:
    return AlarmRecord(
        id=row["id"],
        key=row["key"],
        kind=row["kind"],
        severity=row["severity"],
        subject=row["subject"],
        sentence=row["sentence"],
        evidence=row["evidence"],
        first_at=row["first_at_ms"] / 1000,
        last_at=row["last_at_ms"] / 1000,
        count=row["count"],
        webhook=row["webhook"],
        tries=row["tries"],
    )
