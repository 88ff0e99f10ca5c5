"""Appeals: opened and followed by whom a refusal concerns, answered by who may review."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field, StrictBool

from smsc_filter.policy.appeals import AppealState, NotAllowedError
from smsc_filter.policy.record import id_to_text
from smsc_filter.records import appeals as records
from smsc_filter.records.appeal_figures import appeal_figures
from smsc_filter.records.appeals import Appeal, Appellant
from smsc_filter.records.errors import NotTaken
from smsc_filter.records.explain import find_decision
from smsc_filter.records.tokens import Token
from smsc_filter.web.api.common import (
    API,
    COMMON,
    FAR_SECONDS,
    AppealReader,
    AppealReviewer,
    AppealWriter,
    Moment,
    Phone,
    World,
    moment,
    msisdn,
    wrong,
)
from smsc_filter.web.api.decisions import Id, decision_id_of
from smsc_filter.web.context import Context
from smsc_filter.web.problems import Problem, answers

router = APIRouter(prefix=f"{API}/appeals", tags=["appeals"], responses=COMMON)
# Not under /appeals: what follows there is a number.
codes_router = APIRouter(prefix=f"{API}/appeal-codes", tags=["appeals"], responses=COMMON)
figures_router = APIRouter(prefix=f"{API}/appeal-figures", tags=["appeals"], responses=COMMON)

REVIEW: Final = "appeals:review"

STATUSES: Final = {
    "no-such-appeal": 404,
    "no-such-matter": 404,
    "no-such-complaint": 404,
    "answered-before": 409,
    "limit-reached": 409,
    "number-taken": 409,
}
"""What an appeal or a complaint that is not taken is answered with; 422 otherwise."""

DAY_SECONDS: Final = 86_400.0

AppealId = Annotated[int, Path(ge=1, le=(1 << 63) - 1)]
Words = Annotated[str, Field(max_length=records.MOST_CHARACTERS, pattern=r"^[^\x00]*$")]
NeededWords = Annotated[
    str, Field(min_length=1, max_length=records.MOST_CHARACTERS, pattern=r"^[^\x00]*[^\s\x00][^\x00]*$")
]
EvidenceList = Annotated[
    list[Annotated[str, Field(pattern=r"^[0-9A-Za-z-]{13,64}$")]],
    Field(max_length=records.MOST_EVIDENCE, description="SHA-256 of files put under /evidence, or ids of decisions."),
]


class NewAppeal(BaseModel):
    """What is objected to, and why."""

    model_config = ConfigDict(extra="forbid")

    decision: Id | None = Field(default=None, description="A decision on a message of the owner; or else:")
    code: Annotated[str, Field(pattern=r"^[0-9A-Za-z]{8}$")] | None = Field(default=None, description="An appeal code.")
    reason: NeededWords
    evidence: EvidenceList = []


class Information(BaseModel):
    """What the appellant answers."""

    model_config = ConfigDict(extra="forbid")

    information: NeededWords
    evidence: EvidenceList = []


class Question(BaseModel):
    """What the reviewer asks."""

    model_config = ConfigDict(extra="forbid")

    question: NeededWords


class Reason(BaseModel):
    """Why."""

    model_config = ConfigDict(extra="forbid")

    reason: NeededWords
    evidence: EvidenceList = []


class Granting(Reason):
    """Why, and how far."""

    scope: Literal["sender", "sender-recipients", "cluster", "owner", "none"] | None = Field(
        default=None,
        description="What the whitelist entry clears; not given: the sender to the recipient of the message, where an"
        " entry helps; none: no entry.",
    )
    recipients: list[Phone] = Field(default=[], max_length=1_000, description="With sender-recipients: more of them.")
    expires_time: Moment | None = Field(default=None, description="Not given: what the profile says.")
    case: StrictBool | None = Field(
        default=None,
        description="Whether later models must call the text no advertisement; not given: where it was refused for its"
        " content and its sender is a person or a service.",
    )


class HappenedBody(BaseModel):
    """One line of the history of an appeal."""

    event: str
    at: datetime
    by: str
    note: str
    evidence: list[str]


class AppealBody(BaseModel):
    """One appeal."""

    id: int
    state: AppealState
    kind: str = Field(description="What it is about: a decision, a measure, a lock.")
    subject: str = Field(description="Which; a decision as /decisions names it.")
    appellant_kind: str
    appellant: str
    channel: str
    owner: str
    sender: str
    recipient: str
    reason: str
    opened: datetime
    due: datetime | None = Field(description="The first moment that is too late.")
    due_certain: bool = Field(description="False: the calendar does not know the year yet.")
    decided: datetime | None
    decision: str | None
    whitelist_entry: int | None


class AppealInFull(AppealBody):
    """One appeal, and what happened to it."""

    history: list[HappenedBody]


class AppealPage(BaseModel):
    """Some appeals, newest first."""

    appeals: list[AppealBody]
    next: int | None = Field(description="What to give as `before` for those that follow; null: these were the last.")


class NewCode(BaseModel):
    """For what a code is to be issued."""

    model_config = ConfigDict(extra="forbid")

    decision: Id
    party: Phone | None = Field(default=None, description="The one number that may use it; not given: whoever has it.")


class Code(BaseModel):
    """What to name in an appeal."""

    code: str


class Figures(BaseModel):
    """How appeals go."""

    opened: int
    granted: int
    refused: int
    overturn_rate: float | None
    median_hours: float | None = Field(description="From opening to answer.")
    p90_hours: float | None
    waiting: int
    overdue: int


@router.post("", status_code=201, summary="Open an appeal", responses=answers(404, 409))
def open_one(body: NewAppeal, context: World, token: AppealWriter) -> AppealInFull:
    """The same owner's appeal about the same thing again is the same appeal."""
    if (body.decision is None) == (body.code is None):
        raise wrong("body.decision", "either a decision or a code is expected")
    about = {"code": body.code} if body.code is not None else {"subject": str(_decision(body.decision))}
    with taken():
        appeal = records.open_appeal(
            context.engine,
            context.terms,
            appellant=Appellant(records.OWNER, token.owner),
            channel="api",
            reason=body.reason,
            now=context.clock(),
            evidence=body.evidence,
            **about,
        )
    return _in_full(context, appeal)


@router.get("", summary="The owner's appeals, newest first; of everybody for who may review")
def show_some(
    context: World,
    token: AppealReader,
    state: Annotated[AppealState | None, Query()] = None,
    before: Annotated[int | None, Query(ge=1, le=(1 << 63) - 1)] = None,
    most: Annotated[int, Query(alias="limit", ge=1, le=500)] = 100,
) -> AppealPage:
    """Those that wait are in the states open and needs-information."""
    found = records.list_appeals(
        context.engine,
        states=[state] if state is not None else [],
        appellant=None if REVIEW in token.scopes else Appellant(records.OWNER, token.owner),
        before=before,
        most=most + 1,
    )
    page = found[:most]
    return AppealPage(
        appeals=[AppealBody(**_shown(each)) for each in page], next=page[-1].id if len(found) > most else None
    )


@router.get("/{appeal_id}", summary="One appeal, and what happened to it", responses=answers(404))
def show_one(appeal_id: AppealId, context: World, token: AppealReader) -> AppealInFull:
    """Of another owner it is not there."""
    return _in_full(context, _mine(context, token, appeal_id))


@router.post("/{appeal_id}/information", summary="Answer a question of the reviewer", responses=answers(404, 409))
def supply(appeal_id: AppealId, body: Information, context: World, token: AppealWriter) -> AppealInFull:
    """The time for an answer begins anew."""
    _mine(context, token, appeal_id)
    with taken():
        appeal = records.supply(
            context.engine, context.terms, appeal_id, by=token.owner, information=body.information,
            now=context.clock(), evidence=body.evidence,
        )  # fmt: skip
    return _in_full(context, appeal)


@router.post("/{appeal_id}/withdraw", summary="Take an appeal back", responses=answers(404, 409))
def withdraw(appeal_id: AppealId, context: World, token: AppealWriter) -> AppealInFull:
    """It may be opened again."""
    _mine(context, token, appeal_id)
    with taken():
        return _in_full(context, records.withdraw(context.engine, appeal_id, by=token.owner, now=context.clock()))


@router.post("/{appeal_id}/question", summary="Ask the appellant for more", responses=answers(404, 409))
def ask(appeal_id: AppealId, body: Question, context: World, token: AppealReviewer) -> AppealInFull:
    """Without an answer in time the appeal expires."""
    with taken():
        appeal = records.ask(
            context.engine, context.terms, appeal_id, by=name_of(token), question=body.question, now=context.clock()
        )
    return _in_full(context, appeal)


@router.post("/{appeal_id}/grant", summary="Grant an appeal", responses=answers(404, 409))
def grant(appeal_id: AppealId, body: Granting, context: World, token: AppealReviewer) -> AppealInFull:
    """Entry, what is lifted and the case for models come with it or not at all; it binds within seconds."""
    now = context.clock()
    expires_at = body.expires_time.timestamp() if body.expires_time is not None else None
    if expires_at is not None and not now < expires_at < FAR_SECONDS:
        raise wrong("body.expires_time", "lies in the past or after 2100")
    recipients = [msisdn(context, number, f"body.recipients.{index}") for index, number in enumerate(body.recipients)]
    with taken():
        appeal = records.grant(
            context.engine,
            context.terms,
            appeal_id,
            by=name_of(token),
            reason=body.reason,
            now=now,
            scope={None: "", "none": None}.get(body.scope, body.scope),
            recipients=recipients,
            expires_at=expires_at,
            label=body.case,
            evidence=body.evidence,
        )
    context.publish_grants()
    return _in_full(context, appeal)


@router.post("/{appeal_id}/refuse", summary="Refuse an appeal", responses=answers(404, 409))
def refuse(appeal_id: AppealId, body: Reason, context: World, token: AppealReviewer) -> AppealInFull:
    """The appellant is told the reason."""
    with taken():
        appeal = records.refuse(
            context.engine,
            appeal_id,
            by=name_of(token),
            reason=body.reason,
            now=context.clock(),
            evidence=body.evidence,
        )
    return _in_full(context, appeal)


@router.post("/{appeal_id}/revoke", summary="Take a grant back", responses=answers(404, 409))
def revoke(appeal_id: AppealId, body: Reason, context: World, token: AppealReviewer) -> AppealInFull:
    """Its entry clears nothing any more, and its case is dropped."""
    with taken():
        appeal = records.revoke(context.engine, appeal_id, by=name_of(token), reason=body.reason, now=context.clock())
    context.publish_grants()
    return _in_full(context, appeal)


@codes_router.post("", status_code=201, summary="Issue an appeal code for a decision", responses=answers(404))
def issue_code(body: NewCode, context: World, token: AppealWriter) -> Code:
    """To be handed to the person it concerns, who appeals by replying with it; the same again is the same code."""
    number = _decision(body.decision)
    decision = find_decision(context.engine, number)
    if decision is None or (decision.owner != token.owner and REVIEW not in token.scopes):
        raise Problem(404, "no-such-decision", "no decision of that id is on record, or it is another owner's")
    party = msisdn(context, body.party, "body.party") if body.party is not None else ""
    code = records.issue_code(context.engine, kind="decision", subject=str(number), now=context.clock(), party=party)
    return Code(code=code)


@figures_router.get("", summary="How appeals go")
def show_figures(
    context: World,
    token: AppealReviewer,
    days: Annotated[int, Query(ge=1, le=3_660, description="How far back.")] = 30,
) -> Figures:
    """Of those opened, and of those answered, in the last days."""
    now = context.clock()
    found = appeal_figures(context.engine, since=now - days * DAY_SECONDS, until=now + 0.001)
    return Figures(
        opened=found.opened,
        granted=found.granted,
        refused=found.refused,
        overturn_rate=found.overturn_rate,
        median_hours=_hours(found.median_seconds),
        p90_hours=_hours(found.p90_seconds),
        waiting=found.waiting,
        overdue=found.overdue,
    )


@contextmanager
def taken() -> Iterator[None]:
    """Answer what the records do not take."""
    try:
        yield
    except NotTaken as error:
        raise Problem(STATUSES.get(error.kind, 422), error.kind, str(error)) from error
    except NotAllowedError as error:
        raise Problem(409, "wrong-state", str(error)) from error
    except ValueError as error:
        raise wrong("body", str(error)) from error


def name_of(token: Token) -> str:
    """Who acts, as the history of an appeal names them."""
    return f"{token.label or token.owner} (token {token.id})"


def _mine(context: Context, token: Token, appeal_id: int) -> Appeal:
    """An appeal of the token's owner; a reviewer may speak for who has no token."""
    appeal = records.find_appeal(context.engine, appeal_id)
    if appeal is None or (REVIEW not in token.scopes and appeal.appellant != (records.OWNER, token.owner)):
        raise Problem(404, "no-such-appeal", f"there is no appeal {appeal_id}, or it is another owner's")
    return appeal


def _decision(text: str | None) -> int:
    assert text is not None
    return decision_id_of(text, "body.decision")


def _hours(seconds: float | None) -> float | None:
    return None if seconds is None else seconds / 3_600


def _at(seconds: float | None) -> datetime | None:
    return None if seconds is None else moment(round(seconds * 1000))


def _shown(appeal: Appeal) -> dict[str, Any]:
    return {
        "id": appeal.id,
        "state": appeal.state,
        "kind": appeal.kind,
        "subject": id_to_text(int(appeal.subject)) if appeal.kind == "decision" else appeal.subject,
        "appellant_kind": appeal.appellant.kind,
        "appellant": appeal.appellant.name,
        "channel": appeal.channel,
        "owner": appeal.owner,
        "sender": appeal.sender,
        "recipient": appeal.recipient,
        "reason": appeal.reason,
        "opened": _at(appeal.opened_at),
        "due": _at(appeal.due_at),
        "due_certain": appeal.due_certain,
        "decided": _at(appeal.decided_at),
        "decision": appeal.decision,
        "whitelist_entry": appeal.whitelist_id,
    }


def _in_full(context: Context, appeal: Appeal) -> AppealInFull:
    return AppealInFull(
        **_shown(appeal),
        history=[
            HappenedBody(
                event=each.event, at=moment(round(each.at * 1000)), by=each.by, note=each.note, evidence=each.evidence
            )
            for each in records.appeal_history(context.engine, appeal.id)
        ],
    )
