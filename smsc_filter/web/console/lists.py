"""Lists: what nobody may send, and what granted appeals let pass."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import ValidationError

from smsc_filter.policy.tuning import MOST_PROHIBITED
from smsc_filter.records import whitelist
from smsc_filter.records.audit import note_done
from smsc_filter.records.rulebook import newest_rules, save_rules
from smsc_filter.state.projection import write_whitelist
from smsc_filter.web.api.common import World
from smsc_filter.web.console.access import ROOT, Guest
from smsc_filter.web.console.rules import publish
from smsc_filter.web.console.words import DONE, SCOPES
from smsc_filter.web.pages.render import render
from smsc_filter.web.problems import Problem

router = APIRouter(prefix="/lists")

MOST_TEXT = 800_000


@router.get("")
def show(request: Request, context: World) -> Response:
    """Both lists."""
    values = {
        "tuning": newest_rules(context.engine),
        "configured": context.setup.prohibited,
        "entries": whitelist.entries(context.engine, context.clock()),
        "scopes": SCOPES,
        "done": DONE,
    }
    return render(request, "console/lists.html", values)


@router.post("/prohibited")
def save_prohibited(
    context: World,
    visit: Guest,
    based_on: Annotated[int, Form()],
    reason: Annotated[str, Form(max_length=500)],
    entries: Annotated[str, Form(max_length=MOST_TEXT)] = "",
) -> Response:
    """Replace what was added to the configured list; a version of the rules like any other."""
    wanted = list(dict.fromkeys(line.strip() for line in entries.splitlines() if line.strip()))
    if len(wanted) > MOST_PROHIBITED:
        raise Problem(422, "too-many-entries", f"{len(wanted):,} > {MOST_PROHIBITED:,}")
    body = {**newest_rules(context.engine).body(), "prohibited": wanted}
    try:
        save_rules(
            context.engine, body, based_on=based_on, reason=reason, actor=visit.actor, now=context.clock()
        )  # fmt: skip
    except ValidationError as error:
        raise Problem(422, "wrong-entry", "an entry has 2 to 200 characters") from error
    except ValueError as error:
        raise Problem(422, "wrong-entry", str(error)) from error
    publish(context)
    return RedirectResponse(f"{ROOT}/lists?done=rules", 303)


@router.post("/whitelist/{entry_id}/revoke")
def revoke(entry_id: int, context: World, visit: Guest) -> Response:
    """End an entry."""
    now = context.clock()
    before = next((entry for entry in whitelist.entries(context.engine, now) if entry.id == entry_id), None)
    if before is None or not whitelist.revoke(context.engine, entry_id, now):
        raise Problem(409, "revoked-before", "")
    note_done(
        context.engine, visit.actor, "whitelist-revoke", f"whitelist {entry_id}",
        before=before.to_dict(), after={"revoked": True}, now=now,
    )  # fmt: skip
    write_whitelist(context.writer, whitelist.entries(context.engine, now))
    return RedirectResponse(f"{ROOT}/lists?done=revoked", 303)
