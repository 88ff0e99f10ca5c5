"""What became of the asker's own messages, and why."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field
from sqlalchemy import select

from smsc_filter.policy.record import id_from_text, id_to_text
from smsc_filter.records.database import reading
from smsc_filter.records.explain import Decision, Outcome, decision_from_row, find_decision, find_outcome, status_name
from smsc_filter.records.tables import decisions
from smsc_filter.web.api.common import (
    API,
    COMMON,
    DecisionReader,
    Moment,
    Phone,
    World,
    milliseconds,
    moment,
    msisdn,
    wrong,
)
from smsc_filter.web.api.texts import ExplanationBody, explanation_of
from smsc_filter.web.context import Context
from smsc_filter.web.problems import Problem, answers

router = APIRouter(prefix=f"{API}/decisions", tags=["decisions"], responses=COMMON)

HOUR_MS: Final = 3_600_000
MOST_SPAN_MS: Final = 31 * 24 * HOUR_MS
ID_SHIFT: Final = 20
"""An id begins with the milliseconds at which it was given."""

Id = Annotated[str, Field(pattern=r"^[0-7OoIiLl](-?[0-9A-TV-Za-tv-z]){12}$", examples=["01H4C9M2Q7R3T"])]
"""As ``policy.record.id_from_text`` reads it."""


class FindingBody(BaseModel):
    """What one check said."""

    check: str
    cause: str | None
    sentence: str
    article: str


class DecisionBody(BaseModel):
    """One decision."""

    id: str
    at: datetime
    system_id: str
    source: str
    recipient: str
    purpose: str
    cause: str = Field(description="Empty: admitted.")
    command_status: int
    status: str
    enforced: bool = Field(description="False: only observed, so the message was sent on.")
    score: float | None = Field(description="Probability that the text is commercial.")
    kind: str
    part: str
    text: str
    findings: list[FindingBody]
    profile: str
    model: str


class OutcomeBody(BaseModel):
    """What the SMSC answered."""

    at: datetime
    command_status: int
    status: str
    message_id: str


class DecisionInFull(DecisionBody):
    """One decision, and what the SMSC answered."""

    outcome: OutcomeBody | None
    explanation: ExplanationBody | None = Field(
        description="What moved the score, where it was asked for; null where the model that judged is kept no more,"
        " or the text is one part of several, which are judged together."
    )


class Page(BaseModel):
    """Some decisions, newest first."""

    decisions: list[DecisionBody]
    next: str | None = Field(description="What to give as `before` for those that follow; null: these were the last.")


@router.get("", summary="Decisions on the owner's messages, newest first")
def show_some(
    context: World,
    token: DecisionReader,
    recipient: Annotated[Phone | None, Query()] = None,
    cause: Annotated[str | None, Query(pattern=r"^[a-z-]{1,40}$", description="One of the causes.")] = None,
    since: Annotated[Moment | None, Query(alias="from", description="An hour before `to` where not given.")] = None,
    until: Annotated[Moment | None, Query(alias="to", description="Now, where not given.")] = None,
    before: Annotated[Id | None, Query(description="`next` of the page before.")] = None,
    most: Annotated[int, Query(alias="limit", ge=1, le=500)] = 100,
) -> Page:
    """A decision younger than a second may be on its way."""
    to_ms = milliseconds(until) if until is not None else round(context.clock() * 1000) + 1
    from_ms = milliseconds(since) if since is not None else max(0, to_ms - HOUR_MS)
    if not 0 <= from_ms <= to_ms < 1 << 42 or to_ms - from_ms > MOST_SPAN_MS:
        raise wrong("query.from", "lies before to, by at most 31 days, and neither before 1970 nor after 2100")
    row = decisions.c
    wanted = select(decisions).where(
        row.id >= from_ms << ID_SHIFT, row.id < to_ms << ID_SHIFT, row.owner == token.owner
    )
    if before is not None:
        wanted = wanted.where(row.id < decision_id_of(before, "query.before"))
    if recipient is not None:
        wanted = wanted.where(row.recipient == msisdn(context, recipient, "query.recipient"))
    if cause is not None:
        wanted = wanted.where(row.cause == cause)
    with reading(context.engine) as connection:
        found = connection.execute(wanted.order_by(row.id.desc()).limit(most + 1)).mappings().all()
    page = [decision_from_row(values) for values in found[:most]]
    return Page(
        decisions=[DecisionBody(**_shown(decision)) for decision in page],
        next=id_to_text(page[-1].id) if len(found) > most else None,
    )


@router.get("/{decision_id}", summary="One decision in full", responses=answers(404))
def show_one(
    decision_id: Id,
    context: World,
    token: DecisionReader,
    explain: Annotated[bool, Query(description="Whether to tell what moved the score.")] = False,
) -> DecisionInFull:
    """The id as a record, a log or a page shows it."""
    number = decision_id_of(decision_id, "path.decision_id")
    decision = find_decision(context.engine, number)
    if decision is None or decision.owner != token.owner:
        raise Problem(404, "no-such-decision", "no decision of that id is on record, or it is another owner's")
    return DecisionInFull(
        **_shown(decision),
        outcome=_outcome(find_outcome(context.engine, number)),
        explanation=_explanation(context, decision) if explain else None,
    )


def decision_id_of(text: str, where: str) -> int:
    """The number behind an id as people write it.

    Raises:
        Problem: it is none.
    """
    try:
        return id_from_text(text)
    except ValueError as error:
        raise wrong(where, str(error), "wrong-id") from error


def _shown(decision: Decision) -> dict[str, Any]:
    return {
        "id": id_to_text(decision.id),
        "at": moment(decision.at_ms),
        "system_id": decision.system_id,
        "source": decision.source,
        "recipient": decision.recipient,
        "purpose": decision.purpose,
        "cause": decision.cause,
        "command_status": decision.command_status,
        "status": status_name(decision.command_status),
        "enforced": decision.enforced,
        "score": decision.score / 10_000 if decision.score >= 0 else None,
        "kind": decision.kind,
        "part": decision.part,
        "text": decision.text,
        "findings": [FindingBody(**finding._asdict()) for finding in decision.findings],
        "profile": decision.profile,
        "model": decision.model,
    }


def _explanation(context: Context, decision: Decision) -> ExplanationBody | None:
    if decision.score < 0 or decision.part or (scorer := context.models.of(decision.model)) is None:
        return None
    return explanation_of(scorer, decision.text)


def _outcome(outcome: Outcome | None) -> OutcomeBody | None:
    if outcome is None:
        return None
    return OutcomeBody(
        at=moment(outcome.at_ms),
        command_status=outcome.command_status,
        status=status_name(outcome.command_status),
        message_id=outcome.message_id,
    )
