"""Puts decisions and outcomes into their tables, each once however often it comes."""

from collections.abc import Sequence

from sqlalchemy import Connection

from smsc_filter.policy.record import DecisionRow, OutcomeRow
from smsc_filter.records.bulk import insert_rows
from smsc_filter.records.tables import decisions, outcomes


def insert_decisions(connection: Connection, rows: Sequence[DecisionRow]) -> None:
    """Add ``rows``, in the order of ``policy.record.COLUMNS``; one whose id is there already is left out."""
    insert_rows(connection, decisions, decisions.columns.keys(), rows, new=True)


def insert_outcomes(connection: Connection, rows: Sequence[OutcomeRow]) -> None:
    """Add what the SMSC answered; the first answer to a decision stays."""
    insert_rows(connection, outcomes, outcomes.columns.keys(), rows, new=True)
