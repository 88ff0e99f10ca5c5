"""Keeps count of verdicts by time and cause, so that a page need not read a day of decisions.

What a spool file brings a second time is counted a second time: these are figures to look at, and the decisions
themselves are the record.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from operator import itemgetter
from typing import Any, Final

from sqlalchemy import Connection, Engine, Table, func, select

from smsc_filter.policy.record import COLUMNS, DecisionRow
from smsc_filter.records.database import insert, reading
from smsc_filter.records.tables import verdict_hours, verdict_minutes

MINUTE_MS: Final = 60_000
HOUR_MS: Final = 3_600_000

_COUNTED: Final = itemgetter(*map(COLUMNS.index, ("at_ms", "owner", "cause")))


def count_verdicts(connection: Connection, rows: Sequence[DecisionRow]) -> None:
    """Add ``rows`` of ``decisions`` to the counts."""
    # The rows of a batch share their time, so this first step leaves little to do for the others.
    counted: Counter[tuple[Any, ...]] = Counter(map(_COUNTED, rows))
    minutes: Counter[tuple[Any, ...]] = Counter()
    hours: Counter[tuple[Any, ...]] = Counter()
    for (at_ms, owner, cause), count in counted.items():
        minutes[at_ms // MINUTE_MS, cause] += count
        hours[at_ms // HOUR_MS, owner, cause] += count
    _add(connection, verdict_minutes, minutes)
    _add(connection, verdict_hours, hours)


def minutes_since(engine: Engine, since_ms: int) -> list[tuple[int, str, int]]:
    """(minute of the epoch, cause, count) from the minute of ``since_ms`` on, in the order of time."""
    row = verdict_minutes.c
    wanted = select(row.minute, row.cause, row.count).where(row.minute >= since_ms // MINUTE_MS).order_by(row.minute)
    with reading(engine) as connection:
        return [tuple(found) for found in connection.execute(wanted)]


def owners_since(engine: Engine, since_ms: int, owner: str | None = None) -> list[tuple[str, str, int]]:
    """(owner, cause, count) from the hour of ``since_ms`` on; of one owner where it is given."""
    row = verdict_hours.c
    wanted = (
        select(row.owner, row.cause, func.sum(row.count))
        .where(row.hour >= since_ms // HOUR_MS)
        .group_by(row.owner, row.cause)
        .order_by(row.owner, row.cause)
    )
    if owner is not None:
        wanted = wanted.where(row.owner == owner)
    with reading(engine) as connection:
        return [(name, cause, int(count)) for name, cause, count in connection.execute(wanted)]


def _add(connection: Connection, table: Table, counts: Counter[tuple[Any, ...]]) -> None:
    if not counts:
        return
    names = [column.name for column in table.columns]
    statement: Any = insert(connection, table)
    statement = statement.on_conflict_do_update(
        index_elements=names[:-1], set_={"count": table.c["count"] + statement.excluded["count"]}
    )
    # In one order everywhere: movers of two partitions would otherwise wait for each other's rows for ever.
    connection.execute(statement, [dict(zip(names, (*key, counts[key]), strict=True)) for key in sorted(counts)])
