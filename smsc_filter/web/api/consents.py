"""Consents of the asker's own recipients: put on record, withdrawn, looked up."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from smsc_filter.records.consents import MOST_TOPIC_OCTETS, ConsentEvent
from smsc_filter.web.api.common import (
    API,
    COMMON,
    FAR_SECONDS,
    ConsentReader,
    ConsentWriter,
    Line,
    Moment,
    Phone,
    Sha256,
    World,
    body_of,
    milliseconds,
    moment,
    msisdn,
    refuse_unknown_owner,
    wrong,
)
from smsc_filter.web.consents import TopicState
from smsc_filter.web.context import Context
from smsc_filter.web.uploads import receive_small

router = APIRouter(prefix=f"{API}/consents", tags=["consents"], responses=COMMON)
# Not under /consents: what follows there is a number.
lookup_router = APIRouter(prefix=f"{API}/consent-lookup", tags=["consents"], responses=COMMON)
evidence_router = APIRouter(prefix=f"{API}/evidence", tags=["consents"], responses=COMMON)

FUTURE_SECONDS: Final = 300.0
"""How far an event may lie ahead of our clock; it then counts as of now."""

MOST_AT_ONCE: Final = 1_000


class Proof(BaseModel):
    """What shows that an event happened."""

    model_config = ConfigDict(extra="forbid")

    event_time: Moment | None = Field(default=None, description="When it happened; now, where it is not given.")
    topic: Annotated[str, Field(min_length=1, max_length=MOST_TOPIC_OCTETS, pattern=r"^[^\x00]+$")] | None = Field(
        default=None, description="What it is about; not given: everything the owner sends."
    )
    source: Line = Field(default="api", description="Where it was said: a form, a reply, a shop.")
    reference: Line = Field(default="", description="What to ask the source for.")
    text_version: Line = Field(default="", description="Which wording was agreed to.")
    evidence_sha256: Sha256 | None = Field(default=None, description="A file put under /evidence before.")


class NewEvent(Proof):
    """What a recipient told the owner of the token."""

    recipient: Phone
    state: Literal["granted", "refused", "withdrawn"]
    expires_time: Moment | None = Field(
        default=None, description="Until when a grant holds; not given: until it is withdrawn."
    )


class Event(BaseModel):
    """What is on record of one event."""

    id: int = Field(description="Its place in the chain of records; what to ask for as a receipt.")
    state: str = Field(
        description="claimed: a grant that does not count, since the recipient had refused; an operator may review it."
    )
    topic: str | None
    event_time: datetime
    received_time: datetime
    expires_time: datetime | None
    source: str
    reference: str
    text_version: str
    evidence_sha256: str | None


class State(BaseModel):
    """What a recipient's events amount to, of one topic."""

    topic: str | None = Field(description="null: everything the owner sends.")
    state: Literal["none", "requested", "granted", "refused", "deemed-refused", "withdrawn", "expired"]
    since: datetime | None
    until: datetime | None = Field(description="When time alone will change it.")


class Consent(BaseModel):
    """What holds for one recipient."""

    recipient: str
    states: list[State]


class ConsentHistory(Consent):
    """What holds for one recipient, and how it came to be so."""

    history: list[Event]


class Recorded(ConsentHistory):
    """An event as it was put on record, and what holds from now on."""

    event_id: int


class Asked(BaseModel):
    """Recipients to look up."""

    model_config = ConfigDict(extra="forbid")

    recipients: list[Phone] = Field(min_length=1, max_length=MOST_AT_ONCE)


class Evidence(BaseModel):
    """A file that is kept."""

    sha256: str


@router.post("", status_code=201, summary="Put a consent, a refusal or a withdrawal on record")
def record(body: NewEvent, context: World, token: ConsentWriter) -> Recorded:
    """It is durable and binds the next message when the answer comes; the same again changes nothing."""
    recipient = msisdn(context, body.recipient, "body.recipient")
    return _record(context, token.owner, recipient, body.state, body, body.expires_time)


@lookup_router.post("", summary="What holds for many recipients")
def look_up(body: Asked, context: World, token: ConsentReader) -> list[Consent]:
    """In the order asked; a number asked for twice is answered twice."""
    recipients = [msisdn(context, number, f"body.recipients.{index}") for index, number in enumerate(body.recipients)]
    states = context.consents.states(token.owner, sorted(set(recipients)))
    return [Consent(recipient=recipient, states=_states(states[recipient])) for recipient in recipients]


@router.get("/{recipient}", summary="What holds for one recipient, and how it came to be so")
def show(recipient: Phone, context: World, token: ConsentReader) -> ConsentHistory:
    """A recipient nobody knows has state none and no history."""
    return _shown(context, token.owner, msisdn(context, recipient, "path.recipient"))


@router.post("/{recipient}/withdraw", summary="Put a withdrawal on record")
def withdraw(recipient: Phone, context: World, token: ConsentWriter, body: Proof | None = None) -> Recorded:
    """It is durable and binds the next message when the answer comes."""
    number = msisdn(context, recipient, "path.recipient")
    return _record(context, token.owner, number, "withdrawn", body or Proof(), None)


@evidence_router.put(
    "/{sha256}",
    status_code=201,
    summary="Keep a file that shows a consent",
    openapi_extra=body_of("application/octet-stream"),
)
async def keep_evidence(
    sha256: Sha256,
    request: Request,
    context: World,
    token: ConsentWriter,
    ending: Annotated[str, Query(pattern=r"^(\.[a-z0-9]{1,7})?$", examples=[".pdf"])] = "",
) -> Evidence:
    """The body is the file, and has to be the one the address names."""
    with TemporaryDirectory(prefix="evidence-") as folder:
        path = Path(folder) / f"file{ending}"
        if await receive_small(request, path) != sha256:
            raise wrong("path.sha256", "the body is not the file of that SHA-256", "wrong-checksum")
        kept = await run_in_threadpool(context.consents.keep_evidence, path)
    return Evidence(sha256=kept.sha256)


def _record(
    context: Context, owner: str, recipient: str, state: str, proof: Proof, expires: datetime | None
) -> Recorded:
    refuse_unknown_owner(context, owner)
    now = context.clock()
    at = proof.event_time.timestamp() if proof.event_time is not None else now
    if not 0 <= at <= now + FUTURE_SECONDS:
        raise wrong("body.event_time", "lies in the future or before 1970")
    at = min(at, now)
    if expires is not None and (state != "granted" or not at < expires.timestamp() < FAR_SECONDS):
        raise wrong("body.expires_time", "only a grant ends by time, after its event_time and before 2100")
    if proof.topic is not None and len(proof.topic.encode()) > MOST_TOPIC_OCTETS:
        raise wrong("body.topic", f"has more than {MOST_TOPIC_OCTETS} octets in UTF-8")
    name = None
    if proof.evidence_sha256 is not None:
        name = context.consents.evidence_name(proof.evidence_sha256)
        if name is None:
            raise wrong("body.evidence_sha256", "no such file is kept; PUT it under /api/v1/evidence first")
    event = ConsentEvent(
        recipient=recipient,
        owner=owner,
        state=state,
        event_at_ms=round(at * 1000),
        received_at_ms=round(now * 1000),
        expires_at_ms=milliseconds(expires) if expires is not None else None,
        topic=proof.topic,
        source=proof.source,
        reference=proof.reference,
        text_version=proof.text_version,
        evidence=proof.evidence_sha256,
        evidence_name=name,
        by_owner=True,
        dated=proof.event_time is not None,
    )
    event_id = context.consents.record([event])[0]
    return Recorded(event_id=event_id, **_shown(context, owner, recipient).model_dump())


def _shown(context: Context, owner: str, recipient: str) -> ConsentHistory:
    states = context.consents.states(owner, [recipient])[recipient]
    events = context.consents.history(owner, recipient)
    claimed = context.consents.claimed(recipient, events)
    return ConsentHistory(
        recipient=recipient,
        states=_states(states),
        history=[
            Event(
                id=id_,
                state="claimed" if id_ in claimed else event.state,
                topic=event.topic,
                event_time=moment(event.event_at_ms),
                received_time=moment(event.received_at_ms),
                expires_time=moment(event.expires_at_ms) if event.expires_at_ms is not None else None,
                source=event.source,
                reference=event.reference,
                text_version=event.text_version,
                evidence_sha256=event.evidence,
            )
            for id_, event in events
        ],
    )


def _states(states: list[TopicState]) -> list[State]:
    return [
        State(
            topic=each.topic,
            state=each.state,  # type: ignore[arg-type]
            since=moment(each.since_ms) if each.since_ms else None,
            until=moment(each.until_ms) if each.until_ms is not None else None,
        )
        for each in states
    ]
