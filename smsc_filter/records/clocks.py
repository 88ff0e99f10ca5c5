"""What is due: appeals and complaints near their deadline or past it, and deadlines the calendar now knows better."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Engine, Table, select, update

from smsc_filter.policy.appeals import AppealState, ComplaintState, Terms
from smsc_filter.records.database import reading, writing
from smsc_filter.records.tables import appeals, complaints

APPEAL, COMPLAINT = "appeal", "complaint"

REMINDED, OVERDUE = "reminded", "overdue"

_TABLES: Final[dict[str, Table]] = {APPEAL: appeals, COMPLAINT: complaints}

MOST: Final = 1_000
"""Told at once; the others are told the next time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Late:
    """Something whose deadline is near, or past."""

    what: str
    """"appeal" or "complaint"."""
    id: int
    state: str
    owner: str
    due_at: float
    told: str
    """"reminded" or "overdue"."""


def late(engine: Engine, terms: Terms, now: float) -> list[Late]:
    """What is near its deadline or past it, and was not told as that yet.

    Raises:
        SqlUnavailable: the database does not answer.
    """
    now_ms = round(now * 1000)
    found = []
    with reading(engine) as connection:
        for what, table in _TABLES.items():
            row = table.c
            running = select(row.id, row.state, row.owner, row.due_at_ms, row.told).where(
                row.due_at_ms.is_not(None), row.told != OVERDUE
            )
            for each in connection.execute(running.order_by(row.due_at_ms).limit(MOST)):
                due_at = each.due_at_ms / 1000
                if each.due_at_ms <= now_ms:
                    told = OVERDUE
                elif each.told == "" and terms.remind_at(due_at) <= now:
                    told = REMINDED
                else:
                    continue
                found.append(Late(what=what, id=each.id, state=each.state, owner=each.owner, due_at=due_at, told=told))
    return found


def note_told(engine: Engine, told: Iterable[Late]) -> None:
    """Put on record what alarms have said, unless it has moved on meanwhile.

    Raises:
        SqlUnavailable: the database does not answer.
    """
    with writing(engine) as connection:
        for each in told:
            row = _TABLES[each.what].c
            connection.execute(
                update(_TABLES[each.what])
                .where(row.id == each.id, row.due_at_ms == round(each.due_at * 1000))
                .values(told=each.told)
            )


def refine_deadlines(engine: Engine, terms: Terms) -> int:
    """Count deadlines anew that lie in a year the calendar did not know, where it does now; how many were.

    Raises:
        SqlUnavailable: the database does not answer.
    """
    refined = 0
    with writing(engine) as connection:
        for what, table in _TABLES.items():
            row = table.c
            unsure = select(row.id, row.state, row.since_ms).where(
                row.due_at_ms.is_not(None), row.due_certain.is_(False)
            )
            for id_, state, since_ms in connection.execute(unsure).all():
                since = since_ms / 1000
                if what == COMPLAINT:
                    due = terms.complaint_due(ComplaintState(state), since)
                elif state == AppealState.OPEN:
                    due = terms.answer_due(since)
                else:
                    due = terms.information_due(since)
                if due is not None and due.certain:
                    values = {"due_at_ms": round(due.at * 1000), "due_certain": True, "told": ""}
                    connection.execute(update(table).where(row.id == id_).values(**values))
                    refined += 1
    return refined
