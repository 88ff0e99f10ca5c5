"""Recorded traffic in the order in which it came, and what was known while it passed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import Engine, Select, func, select

from smsc_filter.policy.record import DecisionRow
from smsc_filter.records.consents import ASKED_AT_ONCE
from smsc_filter.records.database import reading
from smsc_filter.records.tables import consent_events, decisions, outcomes, owners, whitelist

BATCH_ROWS: Final = 5_000

ID_SHIFT: Final = 20
"""A decision's id begins with the millisecond it was made in, see ``relay.exchange``."""

SLACK_MS: Final = 600_000
"""How far an id may be from its time: clocks step, and a second with more decisions than ids borrows of the next."""


class Passed(NamedTuple):
    """One decision on record, and what the SMSC then answered."""

    decision: DecisionRow
    answered_ms: int | None
    """None where it was not asked or did not answer."""
    status: int | None


class ConsentKnown(NamedTuple):
    """One consent event, and since when it was known here."""

    received_at_ms: int
    recipient: str
    owner_id: int
    topic: str | None
    kind: str
    event_at_ms: int
    expires_at_ms: int | None


def count_decisions(engine: Engine, begin_ms: int, end_ms: int) -> int:
    """How many decisions were made from ``begin_ms`` up to ``end_ms``.

    Raises:
        SqlUnavailable: the database does not answer.
    """
    with reading(engine) as connection:
        found: int = connection.execute(_within(select(func.count()), begin_ms, end_ms)).scalar_one()
        return found


def decisions_between(engine: Engine, begin_ms: int, end_ms: int) -> Iterator[list[Passed]]:
    """The decisions made from ``begin_ms`` up to ``end_ms``, in the order of their ids, some thousand at a time.

    Raises:
        SqlUnavailable: the database does not answer.
    """
    columns = len(decisions.c)
    wanted = _within(
        select(decisions, outcomes.c.at_ms, outcomes.c.command_status)
        .select_from(decisions.outerjoin(outcomes, outcomes.c.decision_id == decisions.c.id))
        .order_by(decisions.c.id),
        begin_ms,
        end_ms,
    )
    with reading(engine) as connection:
        result = connection.execution_options(yield_per=BATCH_ROWS).execute(wanted)
        for rows in result.partitions():
            # The columns are in the order of the record.
            yield [Passed(tuple(row[:columns]), row[columns], row[columns + 1]) for row in rows]


def _within(wanted: Select[Any], begin_ms: int, end_ms: int) -> Select[Any]:
    row = decisions.c
    return wanted.where(
        # The key is the only index there is.
        row.id >= max(0, begin_ms - SLACK_MS) << ID_SHIFT,
        row.id < (end_ms + SLACK_MS) << ID_SHIFT,
        row.at_ms >= begin_ms,
        row.at_ms < end_ms,
    )


def consents_known(engine: Engine, recipients: Sequence[str]) -> list[ConsentKnown]:
    """What ``recipients`` have told anybody, in the order in which it became known.

    Raises:
        SqlUnavailable: the database does not answer.
    """
    row = consent_events.c
    columns = (row.received_at_ms, row.recipient, row.owner_id, row.topic, row.event, row.event_at_ms,
               row.expires_at_ms)  # fmt: skip
    known: list[tuple[int, ConsentKnown]] = []
    with reading(engine) as connection:
        for first in range(0, len(recipients), ASKED_AT_ONCE):
            some = recipients[first : first + ASKED_AT_ONCE]
            wanted = select(row.id, *columns).where(row.recipient.in_(some))
            known += [(id_, ConsentKnown(*values)) for id_, *values in connection.execute(wanted)]
    return [event for _, event in sorted(known, key=lambda each: (each[1].received_at_ms, each[0]))]


def forgotten_consents(engine: Engine) -> int:
    """How many consent events are on record whose content retention has taken.

    Raises:
        SqlUnavailable: the database does not answer.
    """
    row = consent_events.c
    with reading(engine) as connection:
        found: int = connection.execute(select(func.count()).where(row.recipient.is_(None))).scalar_one()
        return found


def owners_known(engine: Engine) -> dict[str, int]:
    """The id of every owner on record.

    Raises:
        SqlUnavailable: the database does not answer.
    """
    with reading(engine) as connection:
        return {name: id_ for id_, name in connection.execute(select(owners.c.id, owners.c.name))}


def whitelist_changes(engine: Engine) -> list[float]:
    """When appeals began or ceased to speak for messages, epoch seconds, earliest first.

    Raises:
        SqlUnavailable: the database does not answer.
    """
    row = whitelist.c
    with reading(engine) as connection:
        found = connection.execute(select(row.created_at_ms, row.revoked_at_ms)).all()
    return sorted({moment / 1000 for times in found for moment in times if moment is not None})
