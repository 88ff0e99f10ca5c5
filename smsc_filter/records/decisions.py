"""Puts decisions and outcomes into their tables, each once however often it comes."""

from collections.abc import Iterator, Sequence
from typing import Final

import structlog
from sqlalchemy import Connection, Engine, Text, func, select, type_coerce, update

from smsc_filter.policy.record import COLUMNS, DecisionRow, OutcomeRow, id_to_text
from smsc_filter.policy.verdict import Cause
from smsc_filter.records.bulk import insert_rows
from smsc_filter.records.database import reading
from smsc_filter.records.journal import late_keys, note
from smsc_filter.records.tables import decisions, outcomes

log = structlog.get_logger(__name__)

_CAUSE: Final = COLUMNS.index("cause")

_MESSAGE: Final = tuple(
    COLUMNS.index(name) for name in ("system_id", "owner", "source", "recipient", "part", "data_coding")
)
"""Columns that say, with the id, which message a row is about. Not its text: sealed twice it is not the same."""

_IDS_A_QUESTION: Final = 500


def insert_decisions(connection: Connection, rows: Sequence[DecisionRow]) -> list[DecisionRow]:
    """Add ``rows``, in the order of ``policy.record.COLUMNS``; one that is there already is left out.

    A batch that the store took too late to be answered was refused as store-unavailable under the ids it has in the
    stream. That refusal is what the provider was told, and so the one record of the message, whichever comes first.

    Returns:
        Rows that were not added because their ids are those of other messages.
    """
    late = late_keys(connection, decisions, (row[0] for row in rows))
    added = insert_rows(connection, decisions, decisions.columns.keys(), rows, new=True)
    note(connection, decisions, "added", late)
    if added == len(rows):
        return []
    aside = []
    for row, kept in _differing(connection, rows):
        same_message = all(row[at] == kept[at] for at in _MESSAGE)
        if same_message and kept[_CAUSE] == Cause.STORE_UNAVAILABLE.value:
            log.info("decision-void", decision=id_to_text(row[0]))
        elif same_message and row[_CAUSE] == Cause.STORE_UNAVAILABLE.value:
            log.info("decision-void", decision=id_to_text(row[0]))
            values = {name: value for name, value in zip(COLUMNS, row, strict=True) if name != "text"}
            connection.execute(update(decisions).where(decisions.c.id == row[0]).values(values))
        else:
            aside.append(row)
    return aside


def _differing(connection: Connection, rows: Sequence[DecisionRow]) -> Iterator[tuple[DecisionRow, DecisionRow]]:
    """Rows that are not as what is kept under their ids, with that."""
    # Texts as they are kept: what travels sealed is stored as it comes.
    columns = [type_coerce(decisions.c[name], Text) if name == "text" else decisions.c[name] for name in COLUMNS]
    for first in range(0, len(rows), _IDS_A_QUESTION):
        some = rows[first : first + _IDS_A_QUESTION]
        wanted = select(*columns).where(decisions.c.id.in_([row[0] for row in some]))
        kept = {row[0]: tuple(row) for row in connection.execute(wanted)}
        for row in some:
            if kept[row[0]] != row:
                yield row, kept[row[0]]


def highest_id(engine: Engine) -> int:
    """The highest id there is; 0 where there is none."""
    with reading(engine) as connection:
        highest: int | None = connection.execute(select(func.max(decisions.c.id))).scalar_one()
        return highest or 0


def insert_outcomes(connection: Connection, rows: Sequence[OutcomeRow]) -> None:
    """Add what the SMSC answered; the first answer to a decision stays."""
    late = late_keys(connection, outcomes, (row[0] for row in rows))
    insert_rows(connection, outcomes, outcomes.columns.keys(), rows, new=True)
    note(connection, outcomes, "added", late)
