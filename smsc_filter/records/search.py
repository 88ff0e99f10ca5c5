"""Finds decisions, a page at a time, however many there are.

Ids begin with the time, so a page goes on behind the last id of the page before, never by counting. One condition leads
along its index; what the others leave out is read and passed over, which could be millions of rows for one hit. So
a page looks at ``MOST_LOOKED_AT`` rows at most and says how far it came: whoever asks can go on from there.

Which index leads is no planner's choice. Asked for a cause and for the order of ids, PostgreSQL reads the newest rows
of all wherever the cause used to be frequent, and passes over millions once it is so no more; there bounds and order
are of the pair (column, id), which no other index has. SQLite guesses less, and of a pair it takes the first half alone
into its index.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Column, ColumnElement, Engine, Select, func, select, tuple_

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
    leading, others = _conditions(wanted)
    page = _page_of(engine)
    cut: int | None = None
    with reading(engine) as connection:
        if others:
            looked_at = page(decisions.c.id, leading, [], low, high).offset(MOST_LOOKED_AT).limit(1)
            cut = connection.execute(looked_at).scalar()
        query = page(decisions, leading, others, low if cut is None else cut + 1, high).limit(most + 1)
        rows = connection.execute(query).mappings().all()
    found = [decision_from_row(row) for row in rows[:most]]
    if len(rows) > most:
        return Found(found, found[-1].id, None)
    if cut is not None:
        return Found(found, cut + 1, cut >> ID_SHIFT)
    return Found(found, None, None)


def plan_statements(engine: Engine, wanted: Wanted) -> list[Select[Any]]:
    """The statements that ``find`` asks, to look at how a database carries them out."""
    low, high = wanted.from_ms << ID_SHIFT, wanted.to_ms << ID_SHIFT
    leading, others = _conditions(wanted)
    page = _page_of(engine)
    return [
        page(decisions.c.id, leading, [], low, high).offset(MOST_LOOKED_AT).limit(1),
        page(decisions, leading, others, low, high).limit(PAGE_ROWS + 1),
    ]


Leading = tuple[Column[str], str] | None


Page = Callable[[Any, Leading, list[ColumnElement[bool]], int, int], Select[Any]]


def _page_of(engine: Engine) -> Page:
    """What asks ``engine`` for columns of rows by the leading and other conditions, from a low to below a high id."""
    by_pair = engine.dialect.name == "postgresql"

    def page(columns: Any, leading: Leading, others: list[ColumnElement[bool]], low: int, high: int) -> Select[Any]:
        row = decisions.c
        query = select(columns).where(*others)
        if leading is not None and leading[0].name in ("owner", "cause"):
            # Their indexes serve only who says that it is about refusals.
            query = query.where(row.cause != "")
        # Of recipients there are so many that their index looks best in any case, and is estimated better as it is.
        if leading is not None and by_pair and leading[0].name != "recipient":
            column, value = leading
            place = tuple_(column, row.id)
            return query.where(place >= (value, low), place < (value, high)).order_by(column.desc(), row.id.desc())
        if leading is not None:
            query = query.where(leading[0] == leading[1])
        return query.where(row.id >= low, row.id < high).order_by(row.id.desc())

    return page


def _conditions(wanted: Wanted) -> tuple[Leading, list[ColumnElement[bool]]]:
    """The column whose index leads and its value, if there is one, and the other conditions."""
    row = decisions.c
    refused = wanted.cause not in (None, ADMITTED)
    # The narrowest comes first. The indexes of owner and cause hold refusals alone.
    indexed = [
        (row.recipient, wanted.recipient, True),
        (row.source, wanted.source, True),
        (row.owner, wanted.owner, refused),
        (row.cause, wanted.cause if refused and wanted.cause != REFUSED else None, refused),
    ]
    leading: Leading = None
    others: list[ColumnElement[bool]] = []
    for column, value, has_index in indexed:
        if not value:
            continue
        if has_index and leading is None:
            leading = column, value
        else:
            others.append(_unindexed(column) == value)
    said_refused = leading is not None and leading[0].name in ("owner", "cause")
    if wanted.cause == ADMITTED:
        others.append(_unindexed(row.cause) == "")
    elif wanted.cause == REFUSED and not said_refused:
        others.append(_unindexed(row.cause) != "")
    if wanted.least_score is not None:
        others.append(row.score >= wanted.least_score)
    if wanted.most_score is not None:
        others.append(row.score <= wanted.most_score)
    return leading, others


def _unindexed(column: Column[str]) -> ColumnElement[str]:
    """``column`` as no index knows it: a planner that guesses would go along the wrong one, past millions of rows."""
    return func.coalesce(column, "")
