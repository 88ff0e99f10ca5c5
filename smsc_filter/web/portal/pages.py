"""The pages of a subscriber who is signed in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response
from sqlalchemy import Engine

from smsc_filter.policy.appeals import AppealState
from smsc_filter.policy.record import id_from_text, id_to_text
from smsc_filter.policy.wishes import ALL
from smsc_filter.records import search
from smsc_filter.records.appeals import PERSON, Appeal, Appellant, list_appeals
from smsc_filter.records.consents import ConsentEvent, history
from smsc_filter.records.declines import PERSONAL, set_wish, wishes_of
from smsc_filter.records.explain import Decision, find_decision
from smsc_filter.records.matters import DECISION
from smsc_filter.web.context import Context
from smsc_filter.web.pages.render import render
from smsc_filter.web.portal import words
from smsc_filter.web.portal.access import FIELD, Form, Visitor, World, text_in
from smsc_filter.web.portal.wishes import form_of, wish_of
from smsc_filter.web.problems import Problem

ROOT: Final = "/my"

PAGE_ROWS: Final = 20

router = APIRouter(include_in_schema=False)


def show(
    request: Request, template: str, visit: Any, values: Mapping[str, Any] | None = None, status: int = 200
) -> Response:
    """A page with what every page of the portal has."""
    known = {
        "field": FIELD,
        "form_word": visit.csrf if visit is not None else "",
        "me": visit.recipient if visit is not None else "",
        "root": ROOT,
        "here": template,
        "words": words,
        "done": words.DONE.get(request.query_params.get("done", "")),
        "id_text": id_to_text,
    }
    return render(request, f"portal/{template}.html", known | dict(values or {}), status)


def go(path: str, **query: str) -> Response:
    """On to another page, by GET."""
    return RedirectResponse(f"{ROOT}{path}" + (f"?{urlencode(query)}" if query else ""), 303)


@router.get("/consents")
def consents(request: Request, context: World, visit: Visitor) -> Response:
    """Who may write to me, and how that came about."""
    return show(request, "consents", visit, {"owners": _owners(context, visit.recipient)})


def _owners(context: Context, recipient: str) -> list[dict[str, Any]]:
    """Every owner there was anything with, those who may write first."""
    events: dict[str, list[tuple[int, ConsentEvent]]] = {}
    for id_, event in history(context.engine, recipient):
        events.setdefault(event.owner, []).append((id_, event))
    owners = []
    for owner, told in events.items():
        states = context.consents.states(owner, [recipient])[recipient]
        # Of everything there is always a state; without events of its own it only says that nothing was said.
        general = any(event.topic is None for _, event in told)
        states = [state for state in states if state.topic is not None or general or len(states) == 1]
        claimed = context.consents.claimed(recipient, told)
        owners.append({
            "name": owner,
            "states": states,
            "may": any(state.state == "granted" for state in states),
            "events": sorted(
                (("claimed" if id_ in claimed else event.state, event) for id_, event in told),
                key=lambda each: each[1].event_at_ms, reverse=True,
            ),
            "claims": [event for id_, event in told if id_ in claimed],
        })  # fmt: skip
    return sorted(owners, key=lambda each: (not each["may"], each["name"]))


@router.post("/consents/withdraw")
def withdraw(context: World, visit: Visitor, form: Form) -> Response:
    """Durable, and binding the next message, before the answer goes out."""
    _say(context, visit.recipient, form, "withdrawn")
    return go("/consents", done="withdrawn")


@router.post("/consents/allow")
def allow(context: World, visit: Visitor, form: Form) -> Response:
    """Lift what I refused: this owner may send advertising again."""
    _say(context, visit.recipient, form, "granted")
    return go("/consents", done="allowed")


def _say(context: Context, recipient: str, form: Any, state: str) -> None:
    """Put on record what a subscriber says to an owner there was anything with."""
    owner, topic = text_in(form, "owner", 200), text_in(form, "topic", 64)
    known = {(each["name"], told.topic or "") for each in _owners(context, recipient) for told in each["states"]}
    if (owner, topic) not in known:
        raise Problem(404, "not-found", "")
    now_ms = round(context.clock() * 1000)
    context.consents.record([
        ConsentEvent(
            recipient=recipient,
            owner=owner,
            state=state,
            event_at_ms=now_ms,
            received_at_ms=now_ms,
            topic=topic or None,
            source="portal",
            reference="number proved by a one-time code",
        )
    ])  # fmt: skip


@router.get("/messages")
def messages(
    request: Request,
    context: World,
    visit: Visitor,
    way: Annotated[str, Query(pattern="^(to|from)$")] = "to",
    before: Annotated[str, Query(max_length=20)] = "",
) -> Response:
    """What was stopped on its way to me, or from me; newest first."""
    recipient, source = (visit.recipient, None) if way == "to" else (None, visit.recipient)
    wanted = search.Wanted(cause=search.REFUSED, recipient=recipient, source=source)
    found = search.find(context.engine, wanted, _id(before) if before else None, PAGE_ROWS)
    values = {
        "way": way,
        "decisions": [each for each in found.decisions if each.enforced],
        "next": id_to_text(found.next_before) if found.next_before is not None else "",
    }
    return show(request, "messages", visit, values)


@router.get("/messages/{decision}")
def message(request: Request, context: World, visit: Visitor, decision: str) -> Response:
    """One message that was stopped, and why."""
    return show_message(request, context, visit, own_decision(context, visit.recipient, decision))


def show_message(request: Request, context: Context, visit: Any, decision: Decision, wrong: str = "") -> Response:
    """A message that was stopped, with what can be done about it."""
    mine = appeals_about(context.engine, visit.recipient, decision.id)
    values = {
        "decision": decision,
        "from_me": decision.source == visit.recipient,
        "reasons": reasons(decision),
        "appeal": mine[0] if mine else None,
        "may_appeal": not mine or mine[0].state in (AppealState.WITHDRAWN, AppealState.EXPIRED),
        "wrong": wrong,
    }
    return show(request, "message", visit, values, 422 if wrong else 200)


def appeals_about(engine: Engine, recipient: str, decision_id: int) -> list[Appeal]:
    """What a person objected to of one decision, newest first."""
    found = list_appeals(engine, appellant=Appellant(PERSON, recipient))
    return [each for each in found if (each.kind, each.subject) == (DECISION, str(decision_id))]


def own_decision(context: Context, recipient: str, text: str) -> Decision:
    """A refused message to or from ``recipient``.

    Raises:
        Problem: there is none of that id, or it is somebody else's, which is told alike.
    """
    found = find_decision(context.engine, _id(text))
    if found is None or recipient not in (found.recipient, found.source) or not found.cause or not found.enforced:
        raise Problem(404, "not-found", "")
    return found


def reasons(decision: Decision) -> list[tuple[str, str]]:
    """(cause, article) of every check that spoke against a message, each once."""
    return list(dict.fromkeys((each.cause, each.article) for each in decision.findings if each.cause))


def number_of(text: str) -> int:
    """The id of something that is counted, out of an address."""
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise Problem(404, "not-found", "")
    return int(text)


def _id(text: str) -> int:
    try:
        return id_from_text(text)
    except ValueError:
        raise Problem(404, "not-found", "") from None


@router.get("/wishes")
def wishes(request: Request, context: World, visit: Visitor) -> Response:
    """What I decline, and when."""
    return _show_wishes(request, context, visit)


def _show_wishes(request: Request, context: Context, visit: Any, wrong: str = "") -> Response:
    lists = wishes_of(context.engine, visit.recipient)
    values = {
        "wish": form_of(lists.get(PERSONAL)),
        "lists": sorted(name for name in lists if name != PERSONAL),
        "categories": context.portal.categories,
        "all": ALL,
        "by_sms": context.portal.messages_ask_wishes,
        "wrong": wrong,
    }
    return show(request, "wishes", visit, values, 422 if wrong else 200)


@router.post("/wishes")
def save_wishes(request: Request, context: World, visit: Visitor, form: Form) -> Response:
    """In place of what was wished before; binds when the answer goes out."""
    boxes = {channel: [str(value) for value in form.getlist(channel)] for channel in ("sms", "voice")}
    try:
        wish = wish_of(
            **boxes, begin=text_in(form, "begin", 5), end=text_in(form, "end", 5), known=context.portal.categories
        )
    except ValueError:
        return _show_wishes(request, context, visit, wrong="times")
    set_wish(context.engine, visit.recipient, wish)
    context.project_declines()
    return go("/wishes", done="wishes")
