"""Signing in and out, and one's own password."""

from __future__ import annotations

import asyncio
import math
import secrets
from collections import OrderedDict
from typing import Annotated, Final
from urllib.parse import quote

import structlog
from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse
from starlette.concurrency import run_in_threadpool

from smsc_filter.records.audit import Actor, note_done
from smsc_filter.records.users import (
    MOST_PASSWORD,
    Role,
    User,
    check_password,
    close_session,
    find_session,
    open_session,
    set_password,
)
from smsc_filter.web.access import network_of
from smsc_filter.web.api.common import World
from smsc_filter.web.console.access import (
    COOKIE,
    ROOT,
    Guest,
    address_of,
    check_csrf,
    lifetime_of,
    set_cookie,
    way_back,
)
from smsc_filter.web.context import Context
from smsc_filter.web.pages.errors import N_
from smsc_filter.web.pages.render import render
from smsc_filter.web.problems import Problem

router = APIRouter()

log = structlog.get_logger()

LOGIN_COOKIE: Final = "smsc_sign_in"
LOGIN_SECONDS: Final = 3_600

AT_ONCE: Final = asyncio.Semaphore(2)
"""Passwords checked at the same time: each takes 64 MiB and some 50 ms of a core."""
KNOWN_AT_ONCE: Final = asyncio.Semaphore(1)
"""Beside those, from browsers that signed in before: a flood of strangers does not stand before them."""

MOST_WAITING: Final = 40
"""Sign-ins of strangers that wait for their turn, some second of work; more are told to come back."""

CONSOLE_DEVICE: Final = "console:"
"""Begins the subject of a browser that has signed in to the console."""

WRONG: Final = N_("Name or password is wrong.")
TOO_OFTEN: Final = N_("Too many attempts; wait a few minutes.")


class BackOff:
    """Counts failed sign-ins to a name by whoever fails: it waits longer each time, and nobody else does.

    Asked on the loop only.
    """

    MOST_ENTRIES: Final = 100_000
    FIRST_SECONDS: Final = 60.0
    LONGEST_SECONDS: Final = 3_600.0

    def __init__(self, most: int) -> None:
        """Let somebody fail ``most`` times at a name before the first wait."""
        self._most = most
        self._failed: OrderedDict[tuple[str, str], tuple[int, float]] = OrderedDict()

    def wait_seconds(self, name: str, who: str, now: float) -> float:
        """How long ``who``, a network or a known browser, may not try ``name``; 0: not at all."""
        failed, last = self._failed.get((name, who), (0, 0.0))
        if failed < self._most:
            return 0.0
        pause = self.FIRST_SECONDS * 2.0 ** min(failed - self._most, 16)
        return max(0.0, last + min(self.LONGEST_SECONDS, pause) - now)

    def note(self, name: str, who: str, now: float) -> None:
        """One more failure; what is older than the longest wait counts no more."""
        failed, last = self._failed.get((name, who), (0, now))
        self._failed[name, who] = (failed + 1 if now - last < 2 * self.LONGEST_SECONDS else 1, now)
        self._failed.move_to_end((name, who))
        while len(self._failed) > self.MOST_ENTRIES:
            self._failed.popitem(last=False)

    def forget(self, name: str, who: str) -> None:
        """The right person came."""
        self._failed.pop((name, who), None)


@router.get("/login")
async def show(request: Request, context: World, next: str = "") -> Response:  # noqa: A002 - as the address says it
    """The form."""
    secret = request.cookies.get(COOKIE)
    if secret:
        session = await run_in_threadpool(find_session, context.engine, secret, lifetime_of(context), context.clock())
        if session is not None:
            return RedirectResponse(home_of(session.user), 303)
    return _form(request, next)


@router.post("/login")
async def sign_in(
    request: Request,
    context: World,
    name: Annotated[str, Form(max_length=64)] = "",
    password: Annotated[str, Form(max_length=MOST_PASSWORD)] = "",
    csrf: Annotated[str, Form(max_length=64)] = "",
    next: Annotated[str, Form(max_length=500)] = "",  # noqa: A002
) -> Response:
    """Check name and password; what is wrong is told alike, and takes the same time, for every name."""
    # Nobody signs somebody else in: the form and the cookie have to come from the same page.
    check_csrf(request.cookies.get(LOGIN_COOKIE) or secrets.token_urlsafe(), csrf)
    name, address, now = name.strip().lower(), address_of(request), context.clock()
    device = context.devices.known(request, CONSOLE_DEVICE + name, now)
    user, wait = await _check(request, context, name, password, device)
    if wait > 0:
        response = _form(request, next, TOO_OFTEN, 429)
        response.headers["Retry-After"] = str(math.ceil(wait))
        return response
    if user is None:
        log.info("sign-in-refused")
        return _form(request, next, WRONG, 401)
    secret = await run_in_threadpool(_open, context, user, request.cookies.get(COOKIE), address)
    back = way_back(next) if next and user.role is not Role.PROVIDER else home_of(user)
    response = RedirectResponse(back, 303)
    set_cookie(request, response, COOKIE, secret)
    context.devices.remember(request, response, CONSOLE_DEVICE + user.name, ROOT, now)
    response.delete_cookie(LOGIN_COOKIE, path=ROOT)
    log.info("signed-in", user=user.name)
    return response


@router.post("/logout")
def sign_out(context: World, visit: Guest) -> Response:
    """End the session."""
    close_session(context.engine, visit.session.digest)
    note_done(context.engine, visit.actor, "sign-out", visit.user.name, now=context.clock())
    response = RedirectResponse(f"{ROOT}/login", 303)
    response.delete_cookie(COOKIE, path=ROOT)
    return response


@router.get("/account")
def account(request: Request) -> Response:
    """Whoever is signed in."""
    return render(request, "console/account.html", {"problem": ""})


@router.post("/account/password")
def change_password(
    request: Request,
    context: World,
    visit: Guest,
    old: Annotated[str, Form(max_length=MOST_PASSWORD)],
    new: Annotated[str, Form(max_length=MOST_PASSWORD)],
) -> Response:
    """Another password; every session of the user ends."""
    if check_password(context.engine, visit.user.name, old) is None:
        return render(request, "console/account.html", {"problem": WRONG}, 422)
    try:
        set_password(context.engine, visit.user.name, new, visit.actor, context.clock())
    except ValueError as error:
        return render(request, "console/account.html", {"problem": str(error)}, 422)
    return RedirectResponse(f"{ROOT}/login", 303)


def home_of(user: User) -> str:
    """The first page of a user."""
    return f"{ROOT}/provider" if user.role is Role.PROVIDER else f"{ROOT}/"


def ask_to_sign_in(request: Request) -> Response:
    """Send whoever is not signed in to the form, and back afterwards."""
    if request.headers.get("x-fragment"):
        # A part of a page that updates itself: the page stays, and says so.
        raise Problem(401, "signed-out", "")
    back = f"{ROOT}{request.scope['path'].removeprefix(ROOT)}"
    query = f"?{request.url.query}" if request.url.query else ""
    wanted = f"?next={quote(back + query, safe='')}" if request.method == "GET" else ""
    return RedirectResponse(f"{ROOT}/login{wanted}", 303)


async def _check(
    request: Request, context: Context, name: str, password: str, device: str
) -> tuple[User | None, float]:
    """Check a password in turn: the user it is of, and how long to wait where it is not even looked at."""
    address, now = address_of(request), context.clock()
    back_off: BackOff = request.app.state.back_off
    who = f"device:{device}" if device else network_of(address)
    wait = back_off.wait_seconds(name, who, now)
    if not device:
        wait = max(wait, context.sign_in_failures.wait_seconds(address, now))
        if len(request.app.state.strangers) >= MOST_WAITING:
            wait = max(wait, 2.0)
    if wait > 0:
        return None, wait
    turn = object()
    if not device:
        request.app.state.strangers.add(turn)
    try:
        async with KNOWN_AT_ONCE if device else AT_ONCE:
            user = await run_in_threadpool(check_password, context.engine, name, password)
    finally:
        request.app.state.strangers.discard(turn)
    if user is None:
        back_off.note(name, who, now)
        if not device:
            context.sign_in_failures.note(address, now)
    else:
        back_off.forget(name, who)
    return user, 0.0


def _open(context: Context, user: User, earlier: str | None, address: str) -> str:
    """A session under a new secret; one the browser had before ends, whoever planted it there."""
    now, lifetime = context.clock(), lifetime_of(context)
    if earlier:
        before = find_session(context.engine, earlier, lifetime, now)
        if before is not None:
            close_session(context.engine, before.digest)
    secret, _ = open_session(context.engine, user, lifetime, now)
    note_done(context.engine, Actor(user.name, address), "sign-in", user.name, now=now)
    return secret


def _form(request: Request, back: str, problem: str = "", status: int = 200) -> Response:
    token = request.cookies.get(LOGIN_COOKIE) or secrets.token_urlsafe(32)
    response = render(request, "console/login.html", {"token": token, "next": back, "problem": problem}, status)
    set_cookie(request, response, LOGIN_COOKIE, token, LOGIN_SECONDS)
    return response
