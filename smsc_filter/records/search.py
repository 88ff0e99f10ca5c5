"""Finds decisions, a page at a time, however many there are.

Ids begin with the time, so a page goes on behind the last id of the page before, never by counting. One condition leads
along its index; what the others leave out is read and passed over, which could be millions of rows for one hit. So
a page looks at ``MOST_LOOKED_AT`` rows at most and says how far it came: whoever asks can go on from there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Engine, Select, select

from smsc_filter.records.database import reading
from smsc_filter.records.explain import Decision, decision_from_row
from smsc_filter.records.tables import decisions

ID_SHIFT: Final = 20
"""An id begins with the milliseconds at which it was given."""

PAGE_ROWS: Final = 50
MOST_LOOKED_AT: Final = 20_000

ADMITTED: Final = "admitted"
REFUSED: Final = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which decisions are looked for; what is not given does not matter."""

    recipient: str | None = None
    source: str | None = None
    owner: str | None = None
    cause: str | None = None
    """Name of a cause, "admitted", or "refused" for any cause."""
    from_ms: int = 0
    to_ms: int = 1 << 42
    """Before that."""
    least_score: int | None = None
    """In ten-thousandths."""
    most_score: int | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """A page, newest first."""

    decisions: list[Decision]
    next_before: int | None
    """Id to go on before; None: there is nothing more."""
    looked_back_to_ms: int | None
    """Where looking stopped before the page was full; None: it is full, or there is nothing more."""


def find(engine: Engine, wanted: Wanted, before: int | None = None, most: int = PAGE_ROWS) -> Found:
    """The newest decisions that are ``wanted``, older than the id ``before`` where it is given."""
    low, high = wanted.from_ms << ID_SHIFT, min(wanted.to_ms << ID_SHIFT, before or 1 << 62)
    conditions = _conditions(wanted)
    leading, others = conditions[:1], conditions[1:]
    if conditions and not _leads(wanted):
        leading, others = [], conditions
    cut: int | None = None
    with reading(engine) as connection:
        if others:
            cut = connection.execute(_page(decisions.c.id, leading, low, high).offset(MOST_LOOKED_AT).limit(1)).scalar()
        query = _page(decisions, [*leading, *others], low if cut is None else cut + 1, high).limit(most + 1)
        rows = connection.execute(query).mappings().all()
    found = [decision_from_row(row) for row in rows[:most]]
    if len(rows) > most:
        return Found(found, found[-1].id, None)
    if cut is not None:
        return Found(found, cut + 1, cut >> ID_SHIFT)
    return Found(found, None, None)


def plan_statements(wanted: Wanted) -> list[Select[Any]]:
    """The statements that ``find`` asks, to look at how a database carries them out."""
    low, high = wanted.from_ms << ID_SHIFT, wanted.to_ms << ID_SHIFT
    conditions = _conditions(wanted)
    leading = conditions[:1] if _leads(wanted) else []
    return [
        _page(decisions.c.id, leading, low, high).offset(MOST_LOOKED_AT).limit(1),
        _page(decisions, conditions, low, high).limit(PAGE_ROWS + 1),
    ]


def _page(columns: Any, conditions: list[ColumnElement[bool]], low: int, high: int) -> Select[Any]:
    row = decisions.c
    return select(columns).where(*conditions, row.id >= low, row.id < high).order_by(row.id.desc())


def _leads(wanted: Wanted) -> bool:
    """Whether the first condition has an index of its own."""
    refused = wanted.cause not in (None, ADMITTED)
    return bool(wanted.recipient or wanted.source or (refused and (wanted.owner or wanted.cause != REFUSED)))


def _conditions(wanted: Wanted) -> list[ColumnElement[bool]]:
    """What a decision has to be like, the narrowest condition first."""
    row = decisions.c
    conditions: list[ColumnElement[bool]] = []
    if wanted.recipient:
        conditions.append(row.recipient == wanted.recipient)
    if wanted.source:
        conditions.append(row.source == wanted.source)
    # The index of refusals serves only who says that it is about refusals.
    refused = row.cause != ""
    if wanted.owner:
        owned = row.owner == wanted.owner
        conditions.append(owned if wanted.cause in (None, ADMITTED) else owned & refused)
    if wanted.cause == ADMITTED:
        conditions.append(row.cause == "")
    elif wanted.cause == REFUSED:
        conditions.append(refused)
    elif wanted.cause:
        conditions.append((row.cause == wanted.cause) & refused)
    if wanted.least_score is not None:
        conditions.append(row.score >= wanted.least_score)
    if wanted.most_score is not None:
        conditions.append(row.score <= wanted.most_score)
    return conditions
