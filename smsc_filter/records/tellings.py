"""Which measures a person was told of by message: each once, whatever is killed when.

The message is posted under the name of its measure, which the hot state takes once, and put on record behind that. What
is killed between the two finds the measure untold, posts it again, which does nothing, and puts it on record then.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Engine, or_, select

from smsc_filter.records.database import insert_new, reading, writing
from smsc_filter.records.measures import MeasureRecord, record_of
from smsc_filter.records.tables import measures, tellings

MOST: Final = 100
"""Measures looked at in one go."""


def untold(engine: Engine, steps: Sequence[str], now: float) -> list[MeasureRecord]:
    """Measures in force against a sender address that nobody was told of, oldest first.

    Raises:
        SqlUnavailable: the database does not answer.
    """
    now_ms = round(now * 1000)
    row = measures.c
    query = (
        select(measures)
        .outerjoin(tellings, tellings.c.measure_id == row.id)
        .where(
            tellings.c.measure_id.is_(None),
            row.scope == "sender",
            row.step.in_(steps),
            row.lifted_at_ms.is_(None),
            row.begins_at_ms <= now_ms,
            or_(row.ends_at_ms.is_(None), row.ends_at_ms > now_ms),
        )
        .order_by(row.id)
        .limit(MOST)
    )
    with reading(engine) as connection:
        return [record_of(values) for values in connection.execute(query).mappings()]


def note_told(engine: Engine, measure_id: int, now: float, *, by_message: bool = True) -> None:
    """Put on record that a telling is done; ``by_message`` is False where there is nobody to tell by message.

    Raises:
        SqlUnavailable: the database does not answer.
    """
    values = {"measure_id": measure_id, "by_message": by_message, "at_ms": round(now * 1000)}
    with writing(engine) as connection:
        connection.execute(insert_new(connection, tellings).values(**values))


def told_at(engine: Engine, measure_id: int) -> float | None:
    """When a message about a measure was handed over for sending, in epoch seconds; None where none was.

    Raises:
        SqlUnavailable: the database does not answer.
    """
    row = tellings.c
    query = select(row.at_ms).where(row.measure_id == measure_id, row.by_message)
    with reading(engine) as connection:
        at_ms = connection.execute(query).scalar_one_or_none()
    return None if at_ms is None else at_ms / 1000
