"""What a subscriber asks of the operator: objections to what was stopped, and complaints about what was sent."""

from __future__ import annotations

import secrets
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import Response

from smsc_filter.policy.appeals import WAITING, AppealState, ComplaintState, NotAllowedError, Terms, terms_of
from smsc_filter.records import appeals, complaints
from smsc_filter.records.appeals import Appeal, AppealRefused, Appellant
from smsc_filter.records.complaints import Complaint, NewComplaint
from smsc_filter.records.matters import DECISION
from smsc_filter.web.context import Context
from smsc_filter.web.portal.access import Form, Visitor, World, text_in
from smsc_filter.web.portal.pages import go, number_of, own_decision, show, show_message
from smsc_filter.web.portal.words import APPEAL_EVENTS, COMPLAINT_EVENTS
from smsc_filter.web.problems import Problem

CHANNEL: Final = "portal"

MOST_COMPLAINTS_A_DAY: Final = 10
DAY_SECONDS: Final = 86_400.0

LONGEST_SENDER: Final = 20

OPEN_COMPLAINTS: Final = frozenset({ComplaintState.RECEIVED, ComplaintState.FORWARDED})
"""Those that can be taken back."""

router = APIRouter(include_in_schema=False)


def _terms(context: Context) -> Terms:
    return terms_of(context.setup.profile)


def _me(visit: Any) -> Appellant:
    return Appellant(appeals.PERSON, visit.recipient)


@router.get("/requests")
def requests(request: Request, context: World, visit: Visitor) -> Response:
    """Everything I asked for, newest first."""
    return _show_requests(request, context, visit)


def _show_requests(request: Request, context: Context, visit: Any, wrong: str = "", status: int = 200) -> Response:
    values = {
        "appeals": appeals.list_appeals(context.engine, appellant=_me(visit)),
        "complaints": complaints.list_complaints(context.engine, complainant=visit.recipient),
        "wrong": wrong,
        "longest_sender": LONGEST_SENDER,
    }
    return show(request, "requests", visit, values, status)


@router.post("/messages/{decision}/appeal")
def appeal(request: Request, context: World, visit: Visitor, form: Form, decision: str) -> Response:
    """Object to what was stopped."""
    found = own_decision(context, visit.recipient, decision)
    reason = text_in(form, "reason", appeals.MOST_CHARACTERS)
    if not reason:
        return show_message(request, context, visit, found, wrong="reason")
    try:
        opened = appeals.open_appeal(
            context.engine,
            _terms(context),
            appellant=_me(visit),
            channel=CHANNEL,
            reason=reason,
            now=context.clock(),
            kind=DECISION,
            subject=str(found.id),
        )
    except AppealRefused as error:
        return show_message(request, context, visit, found, wrong=error.kind)
    return go(f"/appeals/{opened.id}", done="appealed")


@router.get("/appeals/{appeal_id}")
def one_appeal(request: Request, context: World, visit: Visitor, appeal_id: str) -> Response:
    """How an objection goes on."""
    found = _own_appeal(context, visit, appeal_id)
    return _show_appeal(request, context, visit, found)


def _show_appeal(request: Request, context: Context, visit: Any, found: Appeal, wrong: str = "") -> Response:
    values = {
        "appeal": found,
        "history": [each for each in appeals.appeal_history(context.engine, found.id) if each.event in APPEAL_EVENTS],
        "waiting": found.state in WAITING,
        "asked": found.state is AppealState.NEEDS_INFORMATION,
        "wrong": wrong,
    }
    return show(request, "appeal", visit, values, 422 if wrong else 200)


@router.post("/appeals/{appeal_id}/supply")
def supply(request: Request, context: World, visit: Visitor, form: Form, appeal_id: str) -> Response:
    """Answer what the reviewer asked."""
    found = _own_appeal(context, visit, appeal_id)
    information = text_in(form, "information", appeals.MOST_CHARACTERS)
    if not information:
        return _show_appeal(request, context, visit, found, wrong="reason")
    try:
        now = context.clock()
        appeals.supply(
            context.engine, _terms(context), found.id, by=visit.recipient, information=information, now=now
        )  # fmt: skip
    except NotAllowedError:
        return _show_appeal(request, context, visit, _own_appeal(context, visit, appeal_id), wrong="closed")
    return go(f"/appeals/{found.id}", done="supplied")


@router.post("/appeals/{appeal_id}/withdraw")
def take_back(request: Request, context: World, visit: Visitor, _form: Form, appeal_id: str) -> Response:
    """Take an objection back."""
    found = _own_appeal(context, visit, appeal_id)
    try:
        appeals.withdraw(context.engine, found.id, by=visit.recipient, now=context.clock())
    except NotAllowedError:
        return _show_appeal(request, context, visit, _own_appeal(context, visit, appeal_id), wrong="closed")
    return go(f"/appeals/{found.id}", done="taken-back")


def _own_appeal(context: Context, visit: Any, text: str) -> Appeal:
    """An objection of who visits.

    Raises:
        Problem: there is none of that id, or it is somebody else's, which is told alike.
    """
    found = appeals.find_appeal(context.engine, number_of(text))
    if found is None or found.appellant != _me(visit):
        raise Problem(404, "not-found", "")
    return found


@router.post("/complaints")
def complain(request: Request, context: World, visit: Visitor, form: Form) -> Response:
    """Complain about a message that came, or one that was stopped."""
    now = context.clock()
    decision = text_in(form, "decision", 20)
    message_at: float | None = None
    if decision:
        found = own_decision(context, visit.recipient, decision)
        sender, content, message_at = found.source, found.text, found.at_ms / 1000
    else:
        sender, content = "".join(text_in(form, "sender", LONGEST_SENDER).split()), text_in(form, "content")
    if not sender:
        return _show_requests(request, context, visit, "sender", 422)
    lately = complaints.list_complaints(context.engine, complainant=visit.recipient, most=MOST_COMPLAINTS_A_DAY)
    if len(lately) == MOST_COMPLAINTS_A_DAY and lately[-1].received_at > now - DAY_SECONDS:
        return _show_requests(request, context, visit, "many", 429)
    new = NewComplaint(
        number=f"portal-{secrets.token_hex(8)}",
        complainant=visit.recipient,
        sender=context.numbering.canonical(sender),
        content=content[: complaints.MOST_CHARACTERS],
        source=CHANNEL,
        message_at=message_at,
        received_at=now,
    )
    made, _ = complaints.add_complaint(context.engine, _terms(context), new, by=visit.recipient, now=now)
    return go(f"/complaints/{made.id}", done="complained")


@router.get("/complaints/{complaint_id}")
def one_complaint(request: Request, context: World, visit: Visitor, complaint_id: str) -> Response:
    """How a complaint goes on."""
    found = _own_complaint(context, visit, complaint_id)
    history = complaints.complaint_history(context.engine, found.id)
    values = {
        "complaint": found,
        "history": [each for each in history if each.event in COMPLAINT_EVENTS],
        "waiting": found.state in OPEN_COMPLAINTS,
    }
    return show(request, "complaint", visit, values)


@router.post("/complaints/{complaint_id}/withdraw")
def drop_complaint(context: World, visit: Visitor, _form: Form, complaint_id: str) -> Response:
    """Take a complaint back."""
    found = _own_complaint(context, visit, complaint_id)
    try:
        complaints.withdraw(context.engine, _terms(context), found.id, by=visit.recipient, now=context.clock())
    except NotAllowedError:
        return go(f"/complaints/{found.id}")
    return go(f"/complaints/{found.id}", done="dropped")


def _own_complaint(context: Context, visit: Any, text: str) -> Complaint:
    """A complaint of who visits.

    Raises:
        Problem: there is none of that id, or it is somebody else's, which is told alike.
    """
    found = complaints.find_complaint(context.engine, number_of(text))
    if found is None or found.complainant != visit.recipient:
        raise Problem(404, "not-found", "")
    return found
