"""The first page: signing in by a code, and out again.

Whatever number is given, the answer is the same page. Whether a code was sent, and whether anything is known of the
number, is nowhere to be seen.
"""

from __future__ import annotations

from typing import Final

import structlog
from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from starlette.concurrency import run_in_threadpool

from smsc_filter.records import search
from smsc_filter.records.portal import CODE_DIGITS, TooOften, ask_code, end_visit, enter_code, form_word
from smsc_filter.state.notices import Notice
from smsc_filter.web.context import Context, context_of
from smsc_filter.web.pages.errors import N_
from smsc_filter.web.pages.languages import language_of, translations
from smsc_filter.web.portal.access import (
    CHALLENGE,
    SESSION,
    VISITOR,
    Form,
    Visitor,
    World,
    check_form,
    drop_word,
    keep_word,
    network,
    new_word,
    read_form,
    text_in,
    visit_of,
    word_in,
)
from smsc_filter.web.portal.pages import go, show

log = structlog.get_logger()

LONGEST_NUMBER: Final = 24

PORTAL_DEVICE: Final = "portal:"
"""Begins the subject of a browser that has proved a number."""

CODE_TEXT: Final = N_("Your code is %(code)s, good for %(minutes)s minutes. Give it to nobody.")
"""Goes out in one message in every language."""

LATELY: Final = 3
"""Messages that the first page shows."""

router = APIRouter(include_in_schema=False)


async def first_page(request: Request) -> Response:
    """``GET /``: what there is to see, or the form that asks for the number."""
    context = context_of(request)
    visit = await visit_of(request)
    if visit is None:
        return _ask(request, context)
    wanted = search.Wanted(cause=search.REFUSED, recipient=visit.recipient)
    found = await run_in_threadpool(search.find, context.engine, wanted, None, LATELY)
    lately = [each for each in found.decisions if each.enforced]
    return show(request, "home", visit, {"decisions": lately})


def _ask(request: Request, context: Context, wrong: str = "", status: int = 200, wait: int = 0) -> Response:
    word = word_in(request, VISITOR) or new_word()
    values = {"form_word": form_word(word), "wrong": wrong, "can": context.portal.send is not None, "wait": wait}
    values["help"] = context.portal.help
    response = show(request, "number", None, values, status)
    keep_word(request, response, VISITOR, word)
    return response


@router.post("/code")
async def send_code(request: Request, context: World) -> Response:
    """Send a code to a number, and go on to where it is entered."""
    form = await read_form(request)
    check_form(form, word_in(request, VISITOR))
    if context.portal.send is None:
        return _ask(request, context, status=503)
    given = text_in(form, "number", LONGEST_NUMBER)
    try:
        recipient = context.numbering.msisdn(given)
    except ValueError:
        return _ask(request, context, "number", 422)
    now, limits = context.clock(), context.portal.limits
    device = context.devices.known(request, PORTAL_DEVICE + recipient, now)
    try:
        asked = await run_in_threadpool(ask_code, context.engine, limits, recipient, network(request), now, device)
    except TooOften as error:
        log.info("portal-too-often", wait_seconds=error.wait_seconds)
        response = _ask(request, context, "often", 429, error.wait_seconds)
        response.headers["Retry-After"] = str(error.wait_seconds)
        return response
    if asked.code is not None:
        text = translations(language_of(request)).gettext(CODE_TEXT) % {
            "code": asked.code,
            "minutes": round(limits.code_seconds / 60),
        }
        await context.portal.send(Notice(recipient, text, now + limits.code_seconds))
    response = go("/code")
    keep_word(request, response, CHALLENGE, asked.word)
    return response


@router.get("/code")
def code_page(request: Request, context: World) -> Response:
    """Where the code is entered."""
    return _enter(request, context)


def _enter(request: Request, context: Context, wrong: str = "", status: int = 200) -> Response:
    word = word_in(request, CHALLENGE)
    if not word:
        return RedirectResponse("/", 303)
    values = {
        "form_word": form_word(word),
        "wrong": wrong,
        "digits": CODE_DIGITS,
        "limits": context.portal.limits,
        "help": context.portal.help,
    }
    return show(request, "code", None, values, status)


@router.post("/sign-in")
async def sign_in(request: Request, context: World) -> Response:
    """Open a session for who has the code."""
    word = word_in(request, CHALLENGE)
    form = await read_form(request)
    check_form(form, word)
    code = "".join(text_in(form, "code", 20).split())
    now = context.clock()
    opened = await run_in_threadpool(enter_code, context.engine, context.portal.limits, word, code, now)
    if opened is None:
        log.info("portal-code-wrong")
        return _enter(request, context, "code", 422)
    response = RedirectResponse("/", 303)
    # A word of its own: whatever was in the browser before opens nothing.
    keep_word(request, response, SESSION, opened.word)
    context.devices.remember(request, response, PORTAL_DEVICE + opened.recipient, "/", now)
    drop_word(response, CHALLENGE, VISITOR)
    return response


@router.post("/sign-out")
def sign_out(context: World, visit: Visitor, _form: Form) -> Response:
    """End the session here and on record."""
    end_visit(context.engine, visit.digest)
    response = RedirectResponse("/?done=signed-out", 303)
    drop_word(response, SESSION)
    return response
