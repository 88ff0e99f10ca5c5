"""Users, and who changed what."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from smsc_filter.records.audit import changes
from smsc_filter.records.users import MOST_PASSWORD, Role, add_user, disable_user, list_users
from smsc_filter.web.api.common import World
from smsc_filter.web.console.access import ROOT, Guest
from smsc_filter.web.console.words import DONE, ROLES
from smsc_filter.web.pages.render import render
from smsc_filter.web.problems import Problem

router = APIRouter()

PAGE_ROWS = 100


@router.get("/audit")
def show_audit(request: Request, context: World, before: int | None = None) -> Response:
    """Every change, newest first."""
    found = changes(context.engine, before_id=before, most=PAGE_ROWS + 1)
    page = found[:PAGE_ROWS]
    following = f"{ROOT}/audit?{urlencode({'before': page[-1].id})}" if len(found) > PAGE_ROWS else None
    return render(request, "console/audit.html", {"entries": page, "following": following})


@router.get("/users")
def show_users(request: Request, context: World) -> Response:
    """Everybody who may sign in."""
    values = {"users": list_users(context.engine), "roles": ROLES, "owners": context.setup.owners, "done": DONE}
    return render(request, "console/users.html", values)


@router.post("/users")
def add(
    context: World,
    visit: Guest,
    name: Annotated[str, Form(max_length=32)],
    role: Annotated[Role, Form()],
    password: Annotated[str, Form(max_length=MOST_PASSWORD)],
    owner: Annotated[str, Form(max_length=100)] = "",
) -> Response:
    """Let somebody in; an owner counts for a provider only."""
    try:
        add_user(
            context.engine, name=name, role=role, owner=owner if role is Role.PROVIDER else None, password=password,
            actor=visit.actor, now=context.clock(),
        )  # fmt: skip
    except ValueError as error:
        raise Problem(422, "wrong-user", str(error)) from error
    return RedirectResponse(f"{ROOT}/users?done=user", 303)


@router.post("/users/{name}/disable")
def disable(name: str, context: World, visit: Guest) -> Response:
    """Let a user in no more."""
    if name == visit.user.name:
        raise Problem(409, "oneself", "somebody else has to disable you")
    return _switch(name, context, visit, disabled=True)


@router.post("/users/{name}/enable")
def enable(name: str, context: World, visit: Guest) -> Response:
    """Let a user in again."""
    return _switch(name, context, visit, disabled=False)


def _switch(name: str, context: World, visit: Guest, *, disabled: bool) -> Response:
    if not disable_user(context.engine, name, visit.actor, context.clock(), disabled=disabled):
        raise Problem(409, "no-change", "")
    return RedirectResponse(f"{ROOT}/users?done=user", 303)
