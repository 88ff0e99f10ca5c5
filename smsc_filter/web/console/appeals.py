"""Appeals: the queue by what is due first, one in full, and the answers to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Final

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from smsc_filter.policy.appeals import WAITING, AppealState, terms_of
from smsc_filter.policy.record import id_to_text
from smsc_filter.records import measures, whitelist
from smsc_filter.records.appeals import (
    MOST_CHARACTERS,
    OPERATOR,
    OWNER,
    Appeal,
    Appellant,
    appeal_history,
    ask,
    find_appeal,
    grant,
    list_appeals,
    open_appeal,
    refuse,
    revoke,
    supply,
    withdraw,
)
from smsc_filter.records.audit import note_done
from smsc_filter.records.errors import RecordsError
from smsc_filter.records.explain import find_decision
from smsc_filter.records.matters import DECISION
from smsc_filter.state.measures import write_measures
from smsc_filter.state.projection import write_whitelist
from smsc_filter.web.api.common import World
from smsc_filter.web.console.access import ROOT, Guest, Visit
from smsc_filter.web.console.decisions import MOST_DAYS, decision_of, explained
from smsc_filter.web.console.words import APPEAL_EVENTS, APPEAL_STATES, APPELLANTS, DONE, SCOPES
from smsc_filter.web.context import Context
from smsc_filter.web.pages.render import render
from smsc_filter.web.problems import Problem

router = APIRouter()

PAGE_ROWS: Final = 50

Words = Annotated[str, Form(max_length=MOST_CHARACTERS)]


@router.get("/appeals")
def show_queue(request: Request, context: World, closed: bool = False, before: int | None = None) -> Response:
    """Those that wait for an answer, what is due first at the top; or the closed ones, newest first."""
    states = [state for state in AppealState if (state in WAITING) != closed]
    found = list_appeals(context.engine, states=states, before=before, most=PAGE_ROWS + 1, by_due=not closed)
    page = found[:PAGE_ROWS]
    following = f"{ROOT}/appeals?closed=1&before={page[-1].id}" if closed and len(found) > PAGE_ROWS else None
    values = {"appeals": page, "closed": closed, "following": following, "more": len(found) > PAGE_ROWS}
    return render(request, "console/appeals.html", values | _words(context))


@router.get("/appeals/{appeal_id}")
def show(request: Request, appeal_id: int, context: World) -> Response:
    """One appeal: what was refused, what was said since, and what may happen to it now."""
    return render(request, "console/appeal.html", told(context, appeal_of(context, appeal_id)) | {"done": DONE})


@router.post("/decisions/{decision_id}/appeal")
def open_for(decision_id: str, context: World, visit: Guest, reason: Words) -> Response:
    """Open an appeal as one of the operator's people, for somebody who called."""
    decision = decision_of(context, decision_id)
    appellant = Appellant(OPERATOR, visit.user.name)
    appeal = opened(context, visit, decision.id, appellant, reason)
    return RedirectResponse(f"{ROOT}/appeals/{appeal.id}?done=appeal", 303)


@router.post("/appeals/{appeal_id}/ask")
def ask_for_more(appeal_id: int, context: World, visit: Guest, reason: Words) -> Response:
    """Ask the appellant for more."""
    terms, now = terms_of(context.setup.profile), context.clock()
    return _moved(
        context,
        visit,
        appeal_id,
        "ask",
        lambda: ask(context.engine, terms, appeal_id, by=visit.user.name, question=reason, now=now),
    )


@router.post("/appeals/{appeal_id}/supply")
def supply_more(appeal_id: int, context: World, visit: Guest, reason: Words) -> Response:
    """Put on record what the appellant answered."""
    terms, now = terms_of(context.setup.profile), context.clock()
    return _moved(
        context,
        visit,
        appeal_id,
        "supply",
        lambda: supply(context.engine, terms, appeal_id, by=visit.user.name, information=reason, now=now),
    )


@router.post("/appeals/{appeal_id}/grant")
def grant_it(
    appeal_id: int,
    context: World,
    visit: Guest,
    reason: Words,
    scope: Annotated[str, Form(pattern=r"^(|none|sender|sender-recipients|cluster|owner)$")] = "",
    days: Annotated[float, Form(gt=0, le=MOST_DAYS)] = 0.0,
) -> Response:
    """Answer that the refusal was wrong; the entry binds at once."""
    terms, now = terms_of(context.setup.profile), context.clock()
    return _moved(
        context,
        visit,
        appeal_id,
        "grant",
        lambda: grant(
            context.engine,
            terms,
            appeal_id,
            by=visit.user.name,
            reason=reason,
            now=now,
            scope=None if scope == "none" else scope,
            expires_at=now + days * 86_400 if days else None,
        ),
    )


@router.post("/appeals/{appeal_id}/refuse")
def refuse_it(appeal_id: int, context: World, visit: Guest, reason: Words) -> Response:
    """Answer that the refusal was right."""
    return _moved(
        context,
        visit,
        appeal_id,
        "refuse",
        lambda: refuse(context.engine, appeal_id, by=visit.user.name, reason=reason, now=context.clock()),
    )


@router.post("/appeals/{appeal_id}/revoke")
def revoke_it(appeal_id: int, context: World, visit: Guest, reason: Words) -> Response:
    """Take a grant back."""
    return _moved(
        context,
        visit,
        appeal_id,
        "revoke",
        lambda: revoke(context.engine, appeal_id, by=visit.user.name, reason=reason, now=context.clock()),
    )


@router.get("/provider/appeals")
def show_own(request: Request, context: World, visit: Guest) -> Response:
    """A provider's appeals, newest first."""
    found = list_appeals(context.engine, appellant=Appellant(OWNER, visit.owner), most=PAGE_ROWS)
    return render(request, "console/provider_appeals.html", {"appeals": found} | _words(context))


@router.get("/provider/appeals/{appeal_id}")
def show_own_one(request: Request, appeal_id: int, context: World, visit: Guest) -> Response:
    """One of a provider's appeals."""
    values = told(context, _own(context, visit, appeal_id)) | {"done": DONE}
    return render(request, "console/provider_appeal.html", values)


@router.post("/provider/decisions/{decision_id}/appeal")
def open_own(decision_id: str, context: World, visit: Guest, reason: Words) -> Response:
    """Object to a refusal."""
    decision = decision_of(context, decision_id)
    if decision.owner != visit.owner:
        raise Problem(404, "no-such-decision", "")
    appeal = opened(context, visit, decision.id, Appellant(OWNER, visit.owner), reason)
    return RedirectResponse(f"{ROOT}/provider/appeals/{appeal.id}?done=appeal", 303)


@router.post("/provider/appeals/{appeal_id}/supply")
def supply_own(appeal_id: int, context: World, visit: Guest, reason: Words) -> Response:
    """Answer what the reviewer asked."""
    _own(context, visit, appeal_id)
    terms, now = terms_of(context.setup.profile), context.clock()
    return _moved(
        context,
        visit,
        appeal_id,
        "supply",
        lambda: supply(context.engine, terms, appeal_id, by=visit.owner, information=reason, now=now),
        "/provider",
    )


@router.post("/provider/appeals/{appeal_id}/withdraw")
def withdraw_own(appeal_id: int, context: World, visit: Guest) -> Response:
    """Take an appeal back."""
    _own(context, visit, appeal_id)
    return _moved(
        context,
        visit,
        appeal_id,
        "withdraw",
        lambda: withdraw(context.engine, appeal_id, by=visit.owner, now=context.clock()),
        "/provider",
    )


def opened(context: Context, visit: Visit, decision_id: int, appellant: Appellant, reason: str) -> Appeal:
    """Open an appeal against a decision; that which is open already is found again.

    Raises:
        Problem: it is not taken.
    """
    if not reason.strip():
        raise Problem(422, "wrong-appeal", "reason is empty")
    now = context.clock()
    try:
        appeal = open_appeal(
            context.engine,
            terms_of(context.setup.profile),
            appellant=appellant,
            channel="console",
            reason=reason.strip(),
            now=now,
            kind=DECISION,
            subject=str(decision_id),
        )
    except (ValueError, RecordsError) as error:
        raise _problem(error) from error
    after = {"state": appeal.state.value, "decision": id_to_text(decision_id), "appellant": list(appellant)}
    note_done(context.engine, visit.actor, "appeal-open", f"appeal {appeal.id}", after=after, now=now)
    return appeal


def appeal_of(context: Context, appeal_id: int) -> Appeal:
    """The appeal of an id.

    Raises:
        Problem: there is none.
    """
    appeal = find_appeal(context.engine, appeal_id) if 0 < appeal_id < 1 << 62 else None
    if appeal is None:
        raise Problem(404, "no-such-appeal", "")
    return appeal


def told(context: Context, appeal: Appeal) -> dict[str, Any]:
    """Everything a page says of an appeal."""
    decision = find_decision(context.engine, int(appeal.subject)) if appeal.kind == DECISION else None
    about = explained(context, decision) if decision is not None else {"decision": None, "id": ""}
    return {
        **about,
        "appeal": appeal,
        "history": appeal_history(context.engine, appeal.id),
        **_words(context),
        "scopes": SCOPES,
        "entry_days": terms_of(context.setup.profile).entry_days,
    }


def _words(context: Context) -> dict[str, Any]:
    return {
        "now": context.clock(),
        "appeal_states": APPEAL_STATES,
        "appeal_events": APPEAL_EVENTS,
        "appellants": APPELLANTS,
        "id_to_text": id_to_text,
    }


def _own(context: Context, visit: Visit, appeal_id: int) -> Appeal:
    appeal = appeal_of(context, appeal_id)
    if appeal.appellant != Appellant(OWNER, visit.owner):
        raise Problem(404, "no-such-appeal", "")
    return appeal


def _moved(
    context: Context, visit: Visit, appeal_id: int, event: str, move: Callable[[], Appeal], under: str = ""
) -> Response:
    """Let something happen to an appeal, and put that on record."""
    before = appeal_of(context, appeal_id)
    try:
        after = move()
    except (ValueError, RecordsError) as error:
        raise _problem(error) from error
    now = context.clock()
    note_done(
        context.engine, visit.actor, f"appeal-{event}", f"appeal {appeal_id}",
        before={"state": before.state.value},
        after={"state": after.state.value, "whitelist": after.whitelist_id, "reason": after.decision}, now=now,
    )  # fmt: skip
    if event in ("grant", "revoke"):
        write_whitelist(context.writer, whitelist.entries(context.engine, now))
        write_measures(context.writer, [each.measure for each in measures.standing(context.engine, now)])
    return RedirectResponse(f"{ROOT}{under}/appeals/{appeal_id}?done=answer", 303)


def _problem(error: Exception) -> Problem:
    return Problem(422, getattr(error, "kind", "wrong-appeal"), str(error))
