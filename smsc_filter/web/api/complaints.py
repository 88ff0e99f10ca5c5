"""Complaints: taken in and answered by the operator, seen by the owner they are about."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from io import BytesIO
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field, StrictBool
from starlette.concurrency import run_in_threadpool

from smsc_filter.policy.appeals import ComplaintState
from smsc_filter.policy.measures import Step
from smsc_filter.policy.record import id_to_text
from smsc_filter.records import complaints as records
from smsc_filter.records.complaint_files import Taken, import_complaints, read_complaints
from smsc_filter.records.complaints import Complaint, Effects, NewComplaint
from smsc_filter.records.measures import impose_measure
from smsc_filter.records.tokens import Token
from smsc_filter.web.api.appeals import NeededWords, Words, name_of, taken
from smsc_filter.web.api.common import (
    API,
    COMMON,
    FAR_SECONDS,
    ComplaintReader,
    ComplaintWriter,
    Moment,
    Phone,
    World,
    body_of,
    moment,
    msisdn,
    wrong,
)
from smsc_filter.web.context import Context
from smsc_filter.web.problems import Problem, answers

router = APIRouter(prefix=f"{API}/complaints", tags=["complaints"], responses=COMMON)
# Not under /complaints: what follows there is a number.
import_router = APIRouter(prefix=f"{API}/complaint-imports", tags=["complaints"], responses=COMMON)

OPERATOR: Final = "complaints:write"

ComplaintId = Annotated[int, Path(ge=1, le=(1 << 63) - 1)]
Short = Annotated[str, Field(max_length=64, pattern=r"^[^\x00]*$")]


class NewComplaintBody(BaseModel):
    """What somebody complains of."""

    model_config = ConfigDict(extra="forbid")

    number: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[^\s\x00]+$")] = Field(
        description="The name of whoever took it in for it; the same again is the same complaint."
    )
    complainant: Phone
    sender: Annotated[str, Field(min_length=1, max_length=20, pattern=r"^[0-9A-Za-z+]+$")]
    content: Words = ""
    category: Short = ""
    source: Short = "12321"
    message_time: Moment | None = None
    received_time: Moment | None = Field(default=None, description="Now, where it is not given.")
    forwarded: StrictBool = Field(
        default=False, description="It comes from who forwards complaints: the outcome is due."
    )


class Note(BaseModel):
    """What was done, in words."""

    model_config = ConfigDict(extra="forbid")

    note: Words = ""


class NewMeasure(BaseModel):
    """A measure that follows; what goes further needs a notice and is imposed by itself."""

    model_config = ConfigDict(extra="forbid")

    step: Literal["warn", "throttle"]
    scope: Literal["sender", "owner"] = "sender"
    per_hour: Annotated[int, Field(ge=1, le=1_000_000)] | None = Field(default=None, description="With throttle.")
    hours: Annotated[float, Field(gt=0, le=87_600)] | None = Field(
        default=None, description="Until lifted, if not given."
    )


class OutcomeBody(BaseModel):
    """What the inquiry found, and what follows."""

    model_config = ConfigDict(extra="forbid")

    outcome: Literal["upheld", "unfounded", "not-ours"]
    note: NeededWords
    label: StrictBool = Field(
        default=False, description="The texts become samples of advertisements for the next training."
    )
    refuse_for_complainant: StrictBool = Field(default=False, description="Puts the complainant's refusal on record.")
    measure: NewMeasure | None = None


class ComplaintHappenedBody(BaseModel):
    """One line of the history of a complaint."""

    event: str
    at: datetime
    by: str
    note: str


class ComplaintBody(BaseModel):
    """One complaint."""

    id: int
    number: str
    state: ComplaintState
    complainant: str
    sender: str
    owner: str = Field(description="Empty where nobody knows whose the sender is.")
    content: str
    category: str
    source: str
    message_time: datetime | None
    received_time: datetime
    due: datetime | None = Field(description="The first moment that is too late for what comes next.")
    due_certain: bool
    overdue: bool
    outcome: str | None
    outcome_note: str | None
    measure: int | None


class ComplaintInFull(ComplaintBody):
    """One complaint, the decisions it is about, and what happened to it."""

    decisions: list[str]
    history: list[ComplaintHappenedBody]


class ComplaintPage(BaseModel):
    """Some complaints, newest first."""

    complaints: list[ComplaintBody]
    next: int | None = Field(description="What to give as `before` for those that follow; null: these were the last.")


class WrongLine(BaseModel):
    """A line of a file that was not taken in."""

    line: int
    detail: str


class TakenBody(BaseModel):
    """What a file brought."""

    stored: int
    repeated: int
    linked: int
    errors: list[WrongLine]


@router.post("", status_code=201, summary="Take a complaint in", responses=answers(409))
def add(body: NewComplaintBody, context: World, token: ComplaintWriter) -> ComplaintInFull:
    """It is linked to the decisions on what the sender wrote to the complainant, which are held from now on."""
    now = context.clock()
    received_at = _seconds(body.received_time, now, "body.received_time")
    with taken():
        complaint, _ = records.add_complaint(
            context.engine,
            context.terms,
            NewComplaint(
                number=body.number,
                complainant=msisdn(context, body.complainant, "body.complainant"),
                sender=context.numbering.canonical(body.sender),
                content=body.content,
                category=body.category,
                source=body.source,
                message_at=None if body.message_time is None else _seconds(body.message_time, now, "body.message_time"),
                received_at=received_at,
            ),
            by=name_of(token),
            now=now,
            owner_of=context.owner_of,
            forwarded=body.forwarded,
        )
    return _in_full(context, complaint)


@import_router.post("", summary="Take a file in, in the style of 12321", openapi_extra=body_of("text/csv"))
async def take_file(
    request: Request, context: World, token: ComplaintWriter, source: Annotated[Short, Query()] = "12321"
) -> TakenBody:
    """CSV with a header in Chinese or English; a wrong line costs itself alone, and the same again adds nothing."""
    octets = await request.body()
    found = await run_in_threadpool(_take_file, context, token, octets, source)
    return TakenBody(
        stored=found.stored,
        repeated=found.repeated,
        linked=found.linked,
        errors=[WrongLine(line=each.line, detail=each.sentence) for each in found.errors[:1_000]],
    )


@router.get("", summary="Complaints about the owner, newest first; all of them for the operator")
def show_some(
    context: World,
    token: ComplaintReader,
    state: Annotated[ComplaintState | None, Query()] = None,
    overdue: Annotated[bool, Query(description="Only those whose time is over.")] = False,
    before: Annotated[int | None, Query(ge=1, le=(1 << 63) - 1)] = None,
    most: Annotated[int, Query(alias="limit", ge=1, le=500)] = 100,
) -> ComplaintPage:
    """By state where one is given."""
    now = context.clock()
    found = records.list_complaints(
        context.engine,
        states=[state] if state is not None else [],
        owner=None if OPERATOR in token.scopes else token.owner,
        overdue_at=now if overdue else None,
        before=before,
        most=most + 1,
    )
    page = found[:most]
    return ComplaintPage(
        complaints=[ComplaintBody(**_shown(each, now)) for each in page],
        next=page[-1].id if len(found) > most else None,
    )


@router.get("/{complaint_id}", summary="One complaint in full", responses=answers(404))
def show_one(complaint_id: ComplaintId, context: World, token: ComplaintReader) -> ComplaintInFull:
    """About another owner it is not there."""
    complaint = records.find_complaint(context.engine, complaint_id)
    if complaint is None or (OPERATOR not in token.scopes and complaint.owner != token.owner):
        raise Problem(404, "no-such-complaint", f"there is no complaint {complaint_id}, or it is about another owner")
    return _in_full(context, complaint)


@router.post("/{complaint_id}/forward", summary="The party complained of has it", responses=answers(404, 409))
def forward(complaint_id: ComplaintId, body: Note, context: World, token: ComplaintWriter) -> ComplaintInFull:
    """The time for an outcome begins."""
    with taken():
        complaint = records.forward(
            context.engine, context.terms, complaint_id, by=name_of(token), now=context.clock(), note=body.note
        )
    return _in_full(context, complaint)


@router.post("/{complaint_id}/outcome", summary="What the inquiry found", responses=answers(404, 409))
def decide(complaint_id: ComplaintId, body: OutcomeBody, context: World, token: ComplaintWriter) -> ComplaintInFull:
    """What follows comes with it or not at all."""
    before = records.find_complaint(context.engine, complaint_id)
    if before is None:
        raise Problem(404, "no-such-complaint", f"there is no complaint {complaint_id}")
    now, by = context.clock(), name_of(token)
    with taken():
        complaint = records.decide(
            context.engine,
            context.terms,
            complaint_id,
            outcome=body.outcome,
            by=by,
            note=body.note,
            now=now,
            effects=Effects(
                label=body.label,
                refuse_for=body.refuse_for_complainant,
                measure=_measure(context, before, body.measure, by, now) if body.measure is not None else None,
            ),
        )
    if body.refuse_for_complainant:
        context.consents.bind()
    if body.measure is not None:
        context.publish_grants()
    return _in_full(context, complaint)


@router.post("/{complaint_id}/tell", summary="The complainant knows", responses=answers(404, 409))
def tell(complaint_id: ComplaintId, body: Note, context: World, token: ComplaintWriter) -> ComplaintInFull:
    """Nothing is held for it any more."""
    with taken():
        complaint = records.tell(
            context.engine, context.terms, complaint_id, by=name_of(token), now=context.clock(), note=body.note
        )
    return _in_full(context, complaint)


@router.post("/{complaint_id}/withdraw", summary="The complainant takes it back", responses=answers(404, 409))
def withdraw(complaint_id: ComplaintId, body: Note, context: World, token: ComplaintWriter) -> ComplaintInFull:
    """Before there is an outcome."""
    with taken():
        complaint = records.withdraw(
            context.engine, context.terms, complaint_id, by=name_of(token), now=context.clock(), note=body.note
        )
    return _in_full(context, complaint)


def _measure(context: Context, complaint: Complaint, asked: NewMeasure, by: str, now: float) -> Any:
    subject = complaint.sender if asked.scope == "sender" else complaint.owner
    if not subject:
        raise wrong("body.measure.scope", "nobody knows whose the sender is")
    if (asked.step == "throttle") != (asked.per_hour is not None):
        raise wrong("body.measure.per_hour", "goes with a throttle, and a throttle needs it")
    return partial(
        impose_measure,
        step=Step(asked.step),
        scope=asked.scope,
        subject=subject,
        reason=f"complaint {complaint.number}",
        article=context.setup.profile.measures.article,
        by=by,
        now=now,
        ends_at=None if asked.hours is None else now + asked.hours * 3_600,
        per_hour=asked.per_hour,
    )


def _take_file(context: Context, token: Token, octets: bytes, source: str) -> Taken:
    rows = read_complaints(
        BytesIO(octets),
        normalise_number=context.numbering.msisdn,
        canonical=context.numbering.canonical,
        zone=context.terms.zone,
        source=source,
        country_code=context.numbering.country_code,
        now=context.clock(),
    )
    return import_complaints(
        context.engine, context.terms, rows, by=name_of(token), now=context.clock(), owner_of=context.owner_of
    )


def _seconds(at: datetime | None, now: float, where: str) -> float:
    if at is None:
        return now
    seconds = at.timestamp()
    if not 0 <= seconds < FAR_SECONDS:
        raise wrong(where, "lies before 1970 or after 2100")
    return seconds


def _at(seconds: float | None) -> datetime | None:
    return None if seconds is None else moment(round(seconds * 1000))


def _shown(complaint: Complaint, now: float) -> dict[str, Any]:
    return {
        "id": complaint.id,
        "number": complaint.number,
        "state": complaint.state,
        "complainant": complaint.complainant,
        "sender": complaint.sender,
        "owner": complaint.owner,
        "content": complaint.content,
        "category": complaint.category,
        "source": complaint.source,
        "message_time": _at(complaint.message_at),
        "received_time": _at(complaint.received_at),
        "due": _at(complaint.due_at),
        "due_certain": complaint.due_certain,
        "overdue": complaint.due_at is not None and complaint.due_at <= now,
        "outcome": complaint.outcome,
        "outcome_note": complaint.outcome_note,
        "measure": complaint.measure_id,
    }


def _in_full(context: Context, complaint: Complaint) -> ComplaintInFull:
    return ComplaintInFull(
        **_shown(complaint, context.clock()),
        decisions=[id_to_text(each) for each in records.linked_decisions(context.engine, complaint.id)],
        history=[
            ComplaintHappenedBody(event=each.event, at=moment(round(each.at * 1000)), by=each.by, note=each.note)
            for each in records.complaint_history(context.engine, complaint.id)
        ],
    )
