"""What a recipient told whom, with the proof of each word and its place in the chain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final

import orjson
from fastapi import APIRouter, Form, Request, Response

from smsc_filter.records.audit import note_done
from smsc_filter.records.consents import ConsentEvent, history
from smsc_filter.records.errors import RecordsError, SqlUnavailable
from smsc_filter.records.verify import check_receipt, make_receipt
from smsc_filter.web.api.common import World
from smsc_filter.web.consents import TopicState
from smsc_filter.web.console.access import Guest
from smsc_filter.web.console.words import CONSENT_EVENTS
from smsc_filter.web.context import Context
from smsc_filter.web.pages.errors import N_
from smsc_filter.web.pages.render import render

router = APIRouter(prefix="/consents")

WRONG_NUMBER: Final = N_("The number is not a phone number.")
STATES: Final = {
    "none": ("", N_("none on record")),
    "requested": ("warn", N_("asked for, not answered")),
    "granted": ("good", N_("granted")),
    "refused": ("bad", N_("refused")),
    "withdrawn": ("bad", N_("withdrawn")),
    "expired": ("", N_("expired")),
    "deemed-refused": ("bad", N_("not answered in time: refused")),
}


@dataclass(frozen=True, slots=True)
class Link:
    """One event, and whether the chain still bears it out."""

    id: int
    event: ConsentEvent
    said: str
    """What it says; "claimed" where a refusal holds it back."""
    chain: str
    """In hexadecimal; "" where retention has taken what it was made of."""
    problem: str
    """Why the chain does not bear it out; "" where it does."""


@router.get("")
def form(request: Request) -> Response:
    """The question. A number never stands in an address, where histories and logs would keep it."""
    values = {"number": "", "problem": "", "links": None, "states": {}, "state_words": STATES, "words": CONSENT_EVENTS}
    return render(request, "console/consents.html", values)


@router.post("")
def look_up(request: Request, context: World, visit: Guest, number: Annotated[str, Form(max_length=40)]) -> Response:
    """Every word of a recipient; that it was looked up is on record."""
    values = {"number": number, "problem": "", "links": None, "state_words": STATES, "words": CONSENT_EVENTS}
    try:
        recipient = context.numbering.msisdn(number)
    except ValueError:
        return render(request, "console/consents.html", values | {"problem": WRONG_NUMBER, "states": {}}, 422)
    events = history(context.engine, recipient)
    claimed = context.consents.claimed(recipient, events)
    links = [_link(context, id_, event, "claimed" if id_ in claimed else event.state) for id_, event in events]
    states: dict[str, list[TopicState]] = {}
    for owner in sorted({link.event.owner for link in links}):
        states[owner] = context.consents.states(owner, [recipient])[recipient]
    note_done(context.engine, visit.actor, "consent-lookup", recipient, now=context.clock())
    return render(request, "console/consents.html", values | {"number": recipient, "links": links, "states": states})


@router.get("/receipts/{event_id}")
def receipt(event_id: int, context: World) -> Response:
    """A signed receipt of one event, which `smsc-filter consent verify --receipt` checks."""
    made = make_receipt(context.engine, event_id, context.setup.signing_key(), context.clock())
    headers = {"Content-Disposition": f'attachment; filename="receipt-{event_id}.json"'}
    return Response(orjson.dumps(made, option=orjson.OPT_INDENT_2), media_type="application/json", headers=headers)


def _link(context: Context, id_: int, event: ConsentEvent, said: str) -> Link:
    try:
        made = make_receipt(context.engine, id_, context.setup.signing_key(), context.clock())
    except SqlUnavailable:
        raise
    except RecordsError as error:
        return Link(id_, event, said, "", str(error))
    try:
        check_receipt(orjson.dumps(made), context.engine)
    except SqlUnavailable:
        raise
    except RecordsError as error:
        return Link(id_, event, said, str(made["chain"]), str(error))
    return Link(id_, event, said, str(made["chain"]), "")
