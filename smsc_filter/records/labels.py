"""What people say a text is, against what the classifier said."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Engine, func, insert, select

from smsc_filter.policy.record import id_to_text
from smsc_filter.records.audit import Actor, note_change
from smsc_filter.records.database import reading, writing
from smsc_filter.records.tables import decisions, labels

LABELS: Final = ("verification", "service", "commercial", "fraud", "personal", "greeting")
"""The kinds of the classifier: a label is a case it can learn from."""

COMMERCIAL: Final = frozenset({"commercial", "fraud"})
"""Those of them of which a score speaks."""

MOST_SCORES: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """One person's word on one decision."""

    id: int
    decision_id: int
    label: str
    note: str
    by: str
    at_ms: int


def add_label(engine: Engine, decision_id: int, label: str, note: str, actor: Actor, now: float) -> None:
    """Say what the text of a decision is.

    Raises:
        ValueError: an unknown label.
    """
    if label not in LABELS:
        raise ValueError(f"label is {label!r}, one of {', '.join(LABELS)} is expected")
    before = labels_of(engine, decision_id)
    with writing(engine) as connection:
        connection.execute(
            insert(labels).values(
                decision_id=decision_id, label=label, note=note, by=actor.name, at_ms=round(now * 1000)
            )
        )
        note_change(
            connection, actor, "label", id_to_text(decision_id),
            before={"label": before[-1].label} if before else None, after={"label": label, "note": note}, now=now,
        )  # fmt: skip


def labels_of(engine: Engine, decision_id: int) -> list[Label]:
    """What was said of a decision, oldest first."""
    wanted = select(labels).where(labels.c.decision_id == decision_id).order_by(labels.c.id)
    with reading(engine) as connection:
        return [Label(**row) for row in connection.execute(wanted).mappings()]


def scores_of_labels(engine: Engine) -> list[tuple[str, str, int]]:
    """(purpose of the sender, label, score in ten-thousandths) of the decisions labelled last, by the last label."""
    newest = (
        select(func.max(labels.c.id).label("id"))
        .group_by(labels.c.decision_id)
        .order_by(func.max(labels.c.id).desc())
        .limit(MOST_SCORES)
        .subquery()
    )
    wanted = (
        select(decisions.c.purpose, labels.c.label, decisions.c.score)
        .select_from(newest)
        .join(labels, labels.c.id == newest.c.id)
        .join(decisions, decisions.c.id == labels.c.decision_id)
        .where(decisions.c.score >= 0)
    )
    with reading(engine) as connection:
        return [(purpose, label, score) for purpose, label, score in connection.execute(wanted)]
