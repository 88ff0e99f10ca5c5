"""Complaints: the queue with its clocks, one in full, and what happens to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Final

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from smsc_filter.policy.appeals import OUTCOMES, ComplaintState, terms_of
from smsc_filter.policy.identity import Registry
from smsc_filter.policy.record import id_to_text
from smsc_filter.records.audit import note_done
from smsc_filter.records.complaints import (
    CLOSED,
    MOST_CHARACTERS,
    Complaint,
    Effects,
    NewComplaint,
    add_complaint,
    complaint_history,
    decide,
    find_complaint,
    forward,
    linked_decisions,
    list_complaints,
    tell,
    withdraw,
)
from smsc_filter.records.errors import RecordsError
from smsc_filter.records.rulebook import newest_rules
from smsc_filter.web.api.common import World
from smsc_filter.web.console.access import ROOT, Guest, Visit
from smsc_filter.web.console.decisions import decision_of
from smsc_filter.web.console.words import COMPLAINT_EVENTS, COMPLAINT_OUTCOMES, COMPLAINT_STATES, DONE
from smsc_filter.web.context import Context
from smsc_filter.web.pages.render import render
from smsc_filter.web.problems import Problem

router = APIRouter()

PAGE_ROWS: Final = 50

Words = Annotated[str, Form(max_length=MOST_CHARACTERS)]


@router.get("/complaints")
def show_queue(request: Request, context: World, closed: bool = False, before: int | None = None) -> Response:
    """Those whose clock runs, what is due first at the top; or the closed ones, newest first."""
    states = [state for state in ComplaintState if (state in CLOSED) == closed]
    found = list_complaints(context.engine, states=states, before=before, most=PAGE_ROWS + 1, by_due=not closed)
    page = found[:PAGE_ROWS]
    following = f"{ROOT}/complaints?closed=1&before={page[-1].id}" if closed and len(found) > PAGE_ROWS else None
    values = {"complaints": page, "closed": closed, "following": following, "more": len(found) > PAGE_ROWS}
    return render(request, "console/complaints.html", values | _words(context))


@router.get("/complaints/{complaint_id}")
def show(request: Request, complaint_id: int, context: World) -> Response:
    """One complaint, the decisions it is about, and what may happen to it now."""
    complaint = _complaint_of(context, complaint_id)
    values = {
        "complaint": complaint,
        "history": complaint_history(context.engine, complaint.id),
        "linked": [id_to_text(each) for each in linked_decisions(context.engine, complaint.id)],
        "outcomes": OUTCOMES,
        "done": DONE,
    }
    return render(request, "console/complaint.html", values | _words(context))


@router.post("/decisions/{decision_id}/complaint")
def take_in(decision_id: str, context: World, visit: Guest, category: Words = "") -> Response:
    """Take in the complaint of a recipient about a message; the same again is the same complaint."""
    decision, now = decision_of(context, decision_id), context.clock()
    registry = Registry(context.setup.senders(newest_rules(context.engine)), context.numbering)
    number = f"console-{id_to_text(decision.id)}"
    known = list_complaints(context.engine, complainant=decision.recipient)
    complaint = next((each for each in known if each.number == number), None)
    try:
        if complaint is None:
            complaint, _ = add_complaint(
                context.engine,
                terms_of(context.setup.profile),
                NewComplaint(
                    number=number,
                    complainant=decision.recipient,
                    sender=decision.source,
                    content=decision.text[:MOST_CHARACTERS],
                    category=category.strip(),
                    source="console",
                    message_at=decision.at_ms / 1000,
                    received_at=now,
                ),
                by=visit.user.name,
                now=now,
                owner_of=lambda sender: registry.owner_of(sender.encode("latin-1", "replace"), 0),
            )
            after = {"state": complaint.state.value, "decision": id_to_text(decision.id)}
            note_done(
                context.engine, visit.actor, "complaint-add", f"complaint {complaint.id}", after=after, now=now
            )  # fmt: skip
    except (ValueError, RecordsError) as error:
        raise _problem(error) from error
    return RedirectResponse(f"{ROOT}/complaints/{complaint.id}?done=complaint", 303)


@router.post("/complaints/{complaint_id}/forward")
def forward_it(complaint_id: int, context: World, visit: Guest, note: Words = "") -> Response:
    """The party complained of has it."""
    terms, now = terms_of(context.setup.profile), context.clock()
    move = lambda: forward(context.engine, terms, complaint_id, by=visit.user.name, now=now, note=note)  # noqa: E731
    return _moved(context, visit, complaint_id, "forward", move)


@router.post("/complaints/{complaint_id}/decide")
def decide_it(
    complaint_id: int,
    context: World,
    visit: Guest,
    outcome: Annotated[str, Form(max_length=20)],
    note: Words,
    label: Annotated[bool, Form()] = False,
    refuse_for: Annotated[bool, Form()] = False,
) -> Response:
    """What the inquiry found, and what follows from it."""
    terms, now = terms_of(context.setup.profile), context.clock()
    effects = Effects(label=label, refuse_for=refuse_for)

    def move() -> Complaint:
        return decide(
            context.engine, terms, complaint_id, outcome=outcome, by=visit.user.name, note=note, now=now,
            effects=effects,
        )  # fmt: skip

    response = _moved(context, visit, complaint_id, "decide", move)
    if refuse_for:
        context.consents.bind()
    return response


@router.post("/complaints/{complaint_id}/tell")
def tell_it(complaint_id: int, context: World, visit: Guest, note: Words = "") -> Response:
    """The complainant knows."""
    terms, now = terms_of(context.setup.profile), context.clock()
    move = lambda: tell(context.engine, terms, complaint_id, by=visit.user.name, now=now, note=note)  # noqa: E731
    return _moved(context, visit, complaint_id, "tell", move)


@router.post("/complaints/{complaint_id}/withdraw")
def withdraw_it(complaint_id: int, context: World, visit: Guest, note: Words = "") -> Response:
    """The complainant takes it back."""
    terms, now = terms_of(context.setup.profile), context.clock()
    move = lambda: withdraw(context.engine, terms, complaint_id, by=visit.user.name, now=now, note=note)  # noqa: E731
    return _moved(context, visit, complaint_id, "withdraw", move)


def _complaint_of(context: Context, complaint_id: int) -> Complaint:
    complaint = find_complaint(context.engine, complaint_id) if 0 < complaint_id < 1 << 62 else None
    if complaint is None:
        raise Problem(404, "no-such-complaint", "")
    return complaint


def _words(context: Context) -> dict[str, Any]:
    return {
        "now": context.clock(),
        "complaint_states": COMPLAINT_STATES,
        "complaint_events": COMPLAINT_EVENTS,
        "complaint_outcomes": COMPLAINT_OUTCOMES,
    }


def _moved(context: Context, visit: Visit, complaint_id: int, event: str, move: Callable[[], Complaint]) -> Response:
    before = _complaint_of(context, complaint_id)
    try:
        after = move()
    except (ValueError, RecordsError) as error:
        raise _problem(error) from error
    note_done(
        context.engine, visit.actor, f"complaint-{event}", f"complaint {complaint_id}",
        before={"state": before.state.value, "outcome": before.outcome},
        after={"state": after.state.value, "outcome": after.outcome}, now=context.clock(),
    )  # fmt: skip
    return RedirectResponse(f"{ROOT}/complaints/{complaint_id}?done=answer", 303)


def _problem(error: Exception) -> Problem:
    return Problem(422, getattr(error, "kind", "wrong-complaint"), str(error))
