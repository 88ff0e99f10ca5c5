"""Who may do what in the console: one table, asked at every request.

A route that is not in the table is closed to everybody.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final

from fastapi import Depends, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from smsc_filter.records.audit import Actor
from smsc_filter.records.users import Lifetime, Role, Session, User, find_session
from smsc_filter.web.context import Context
from smsc_filter.web.problems import Problem

ROOT: Final = "/console"
COOKIE: Final = "smsc_console"
CSRF: Final = "csrf"

EVERYBODY: Final = frozenset(Role)
STAFF: Final = EVERYBODY - {Role.PROVIDER}
HANDLERS: Final = STAFF - {Role.VIEWER}
OPERATORS: Final = frozenset({Role.OPERATOR, Role.ADMIN})
REVIEWERS: Final = frozenset({Role.REVIEWER, Role.ADMIN})
ADMINS: Final = frozenset({Role.ADMIN})
PROVIDERS: Final = frozenset({Role.PROVIDER})

OPEN: Final = frozenset({("GET", "/login"), ("POST", "/login")})
"""For those who are not signed in."""

ROUTES: Final[Mapping[tuple[str, str], frozenset[Role]]] = {
    ("POST", "/logout"): EVERYBODY,
    ("GET", "/account"): EVERYBODY,
    ("POST", "/account/password"): EVERYBODY,
    ("GET", "/"): STAFF,
    ("GET", "/live"): STAFF,
    ("GET", "/decisions"): STAFF,
    ("GET", "/decisions/{decision_id}"): STAFF,
    ("POST", "/decisions/{decision_id}/label"): HANDLERS,
    ("POST", "/decisions/{decision_id}/whitelist"): REVIEWERS,
    ("POST", "/decisions/{decision_id}/appeal"): HANDLERS,
    ("POST", "/decisions/{decision_id}/complaint"): HANDLERS,
    ("GET", "/appeals"): STAFF,
    ("GET", "/appeals/{appeal_id}"): STAFF,
    ("POST", "/appeals/{appeal_id}/ask"): REVIEWERS,
    ("POST", "/appeals/{appeal_id}/supply"): HANDLERS,
    ("POST", "/appeals/{appeal_id}/grant"): REVIEWERS,
    ("POST", "/appeals/{appeal_id}/refuse"): REVIEWERS,
    ("POST", "/appeals/{appeal_id}/revoke"): REVIEWERS,
    ("GET", "/complaints"): STAFF,
    ("GET", "/complaints/{complaint_id}"): STAFF,
    ("POST", "/complaints/{complaint_id}/forward"): HANDLERS,
    ("POST", "/complaints/{complaint_id}/decide"): REVIEWERS,
    ("POST", "/complaints/{complaint_id}/tell"): HANDLERS,
    ("POST", "/complaints/{complaint_id}/withdraw"): HANDLERS,
    ("GET", "/senders"): STAFF,
    ("GET", "/owners/{owner}"): STAFF,
    ("POST", "/owners/{owner}/notices"): OPERATORS,
    ("POST", "/owners/{owner}/measures"): OPERATORS,
    ("POST", "/owners/{owner}/measures/{measure_id}/lift"): OPERATORS,
    ("GET", "/consents"): STAFF,
    ("POST", "/consents"): STAFF,
    ("GET", "/consents/receipts/{event_id}"): STAFF,
    ("GET", "/rules"): STAFF,
    ("GET", "/rules/{version}"): STAFF,
    ("POST", "/rules"): OPERATORS,
    ("POST", "/rules/{version}/restore"): OPERATORS,
    ("GET", "/models"): STAFF,
    ("POST", "/models/promote"): ADMINS,
    ("POST", "/models/rollback"): ADMINS,
    ("GET", "/lists"): STAFF,
    ("POST", "/lists/prohibited"): OPERATORS,
    ("POST", "/lists/whitelist/{entry_id}/revoke"): REVIEWERS,
    ("GET", "/audit"): ADMINS,
    ("GET", "/users"): ADMINS,
    ("POST", "/users"): ADMINS,
    ("POST", "/users/{name}/disable"): ADMINS,
    ("POST", "/users/{name}/enable"): ADMINS,
    ("GET", "/provider"): PROVIDERS,
    ("GET", "/provider/decisions"): PROVIDERS,
    ("GET", "/provider/decisions/{decision_id}"): PROVIDERS,
    ("GET", "/provider/appeals"): PROVIDERS,
    ("GET", "/provider/appeals/{appeal_id}"): PROVIDERS,
    ("POST", "/provider/decisions/{decision_id}/appeal"): PROVIDERS,
    ("POST", "/provider/appeals/{appeal_id}/supply"): PROVIDERS,
    ("POST", "/provider/appeals/{appeal_id}/withdraw"): PROVIDERS,
    ("GET", "/provider/consents"): PROVIDERS,
    ("POST", "/provider/consents"): PROVIDERS,
    ("GET", "/provider/consents/{job_id}/errors"): PROVIDERS,
}
"""Method and route -> who may take it."""

_HERE: Final = re.compile(r"/console/[A-Za-z0-9_/.*+%-]*(\?[A-Za-z0-9_=&.:%+*-]*)?")


@dataclass(frozen=True, slots=True)
class Visit:
    """One request of somebody who is signed in."""

    session: Session
    address: str

    @property
    def user(self) -> User:
        """Who it is."""
        return self.session.user

    @property
    def csrf(self) -> str:
        """What a form has to bring along."""
        return self.session.csrf

    @property
    def actor(self) -> Actor:
        """As the audit names it."""
        return Actor(self.user.name, self.address)

    @property
    def owner(self) -> str:
        """Of a provider: whose data this is about."""
        assert self.user.owner is not None
        return self.user.owner

    def may(self, method: str, route: str) -> bool:
        """Whether this user may take a route; templates show no button that does nothing."""
        return self.user.role in ROUTES.get((method, route), frozenset())


class SignInNeeded(Exception):
    """Nobody is signed in: ask for a name and a password, then come back."""


async def admit(request: Request) -> AsyncIterator[None]:
    """Let a request through to its route, or not; files that came with it are closed behind the answer.

    Raises:
        SignInNeeded: nobody is signed in.
        Problem: the user may not do this, or the form does not come from one of our pages.
    """
    try:
        await _let_in(request)
        yield
    finally:
        await request.close()


async def _let_in(request: Request) -> None:
    route = (request.method, request.scope["route"].path)
    refuse_other_sites(request)
    if route in OPEN:
        return
    context: Context = request.app.state.context
    secret = request.cookies.get(COOKIE)
    session = await run_in_threadpool(find_session, context.engine, secret or "", lifetime_of(context), context.clock())
    if session is None:
        raise SignInNeeded
    visit = request.state.visit = Visit(session, address_of(request))
    request.state.token_id = f"user:{visit.user.name}"
    if not visit.may(*route):
        raise Problem(403, "not-allowed", "")
    if request.method not in ("GET", "HEAD"):
        # After the session: only somebody who is signed in makes us read a body.
        form = await request.form()
        check_csrf(session.csrf, form.get(CSRF))


def visit_of(request: Request) -> Visit:
    """The visit that ``admit`` let in."""
    visit: Visit = request.state.visit
    return visit


Guest = Annotated[Visit, Depends(visit_of)]


def refuse_other_sites(request: Request) -> None:
    """Refuse what another site's page made the browser send.

    Raises:
        Problem: it did.
    """
    if request.method in ("GET", "HEAD"):
        return
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    if site is not None:
        theirs = site not in ("same-origin", "none")
    else:
        theirs = origin is not None and origin.partition("://")[2] != request.headers.get("host")
    if theirs:
        raise Problem(403, "other-site", "")


def check_csrf(expected: str, given: Any) -> None:
    """Compare what a form brought along.

    Raises:
        Problem: it is another.
    """
    if not isinstance(given, str) or not hmac.compare_digest(expected.encode(), given.encode("utf-8", "replace")):
        raise Problem(403, "stale-form", "")


def set_cookie(request: Request, response: Response, name: str, value: str, max_age: int | None = None) -> None:
    """Set a cookie that scripts cannot read and other sites cannot have sent."""
    response.set_cookie(
        name, value, max_age=max_age, path=ROOT, httponly=True, samesite="strict", secure=request.url.scheme == "https"
    )


def way_back(text: str) -> str:
    """Where to go after signing in: an address of the console, else its first page."""
    leaves = "//" in text or ".." in text or "%2e" in text.lower()
    return text if _HERE.fullmatch(text) and not leaves else f"{ROOT}/"


def address_of(request: Request) -> str:
    """The network address of whoever asks."""
    return request.client.host if request.client else ""


def lifetime_of(context: Context) -> Lifetime:
    """How long sessions last here."""
    settings = context.settings
    return Lifetime(
        idle_ms=round(settings.session_idle_minutes * 60_000), absolute_ms=round(settings.session_hours * 3_600_000)
    )
