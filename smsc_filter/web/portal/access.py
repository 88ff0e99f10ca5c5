"""Who visits the portal, and whether a form is of a page that this browser was given.

Three words in cookies, each of its own page: one for the form that asks for a number, one for the code, one for the
session. A form carries what is derived from the word of its page; another site can neither read nor guess it.
"""

from __future__ import annotations

import hmac
import secrets
from typing import Annotated, Final

from fastapi import Depends, Request
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData
from starlette.responses import Response

from smsc_filter.records.portal import WORD_OCTETS, Visit, find_visit, form_word
from smsc_filter.web.access import network_of
from smsc_filter.web.context import Context, context_of
from smsc_filter.web.problems import Problem

VISITOR: Final = "my-visitor"
"""Cookie of whoever opened the first page."""
CHALLENGE: Final = "my-challenge"
"""Cookie of whoever asked for a code."""
SESSION: Final = "my-session"
"""Cookie of whoever is signed in."""

FIELD: Final = "form"
"""The hidden field of every form."""

LONGEST_WORD: Final = 200
MOST_FIELDS: Final = 64

World = Annotated[Context, Depends(context_of)]


class SignedOut(Exception):
    """There is no session, or no more: begin at the first page."""


async def visit_of(request: Request) -> Visit | None:
    """Who is signed in, or None."""
    context = context_of(request)
    word = word_in(request, SESSION)
    if not word:
        return None
    found = await run_in_threadpool(find_visit, context.engine, context.portal.limits, word, context.clock())
    request.state.visit = found
    return found


async def visitor(request: Request) -> Visit:
    """Who is signed in.

    Raises:
        SignedOut: nobody is.
    """
    found = await visit_of(request)
    if found is None:
        raise SignedOut
    return found


Visitor = Annotated[Visit, Depends(visitor)]


async def read_form(request: Request) -> FormData:
    """The fields of a form, without files."""
    return await request.form(max_files=0, max_fields=MOST_FIELDS)


async def own_form(request: Request, visit: Visitor) -> FormData:
    """The fields of a form of this session.

    Raises:
        SignedOut: nobody is signed in.
        Problem: the form is of another page.
    """
    form = await read_form(request)
    _check(form, visit.csrf)
    return form


Form = Annotated[FormData, Depends(own_form)]


def check_form(form: FormData, word: str) -> None:
    """See that a form was given to the browser that keeps ``word``.

    Raises:
        Problem: it was not, or the browser keeps none: what follows from no word is known to everybody.
    """
    _check(form, form_word(word) if word else None)


def _check(form: FormData, expected: str | None) -> None:
    given = form.get(FIELD)
    if expected is None or not isinstance(given, str) or not hmac.compare_digest(given.encode(), expected.encode()):
        raise Problem(403, "foreign-form", "")


def text_in(form: FormData, name: str, most: int = 2_000) -> str:
    """One field as text, cut to a length; without control characters but for line ends."""
    value = form.get(name)
    if not isinstance(value, str):
        return ""
    return "".join(c for c in value.strip()[:most].replace("\r\n", "\n") if c == "\n" or c.isprintable())


def word_in(request: Request, cookie: str) -> str:
    """The word of a cookie, "" where there is none."""
    word = request.cookies.get(cookie, "")
    return word if len(word) <= LONGEST_WORD else ""


def new_word() -> str:
    """A word nobody can guess."""
    return secrets.token_urlsafe(WORD_OCTETS)


def keep_word(request: Request, response: Response, cookie: str, word: str) -> None:
    """Give the browser a word; it goes with the browser's session, and to this site alone."""
    response.set_cookie(cookie, word, httponly=True, samesite="strict", secure=request.url.scheme == "https", path="/")


def drop_word(response: Response, *cookies: str) -> None:
    """Take words away again."""
    for cookie in cookies:
        response.delete_cookie(cookie, path="/", httponly=True, samesite="strict")


def network(request: Request) -> str:
    """The network a request comes from, as limits count it."""
    return network_of(request.client.host if request.client else "")
