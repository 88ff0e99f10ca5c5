"""The decline register (谢绝来电): asked by whoever is about to send or to call, changed by the operator."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from smsc_filter.policy.wishes import CLAUSE, MOST_CLAUSES, read_wish
from smsc_filter.records.declines import list_versions, set_wish, wishes_of
from smsc_filter.state.declines import Decline
from smsc_filter.web.api.common import API, COMMON, DeclineReader, DeclineWriter, Phone, World, moment, msisdn, wrong

router = APIRouter(prefix=f"{API}/declines", tags=["declines"], responses=COMMON)

Channel = Literal["sms", "voice"]
Category = Annotated[str, Field(pattern=r"^[a-z0-9-]{1,32}$", examples=["finance"])]
Minute = Annotated[
    str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$", description="Time of day where the recipient is.")
]


class Target(BaseModel):
    """Who is to get a message or a call."""

    model_config = ConfigDict(extra="forbid")

    recipient: Phone
    category: Category | None = Field(default=None, description="What it is about; not given: not known.")


class Question(BaseModel):
    """Who may be written to or called."""

    model_config = ConfigDict(extra="forbid")

    channel: Channel
    at: Minute
    targets: list[Target] = Field(min_length=1, max_length=1_000)


class Answer(BaseModel):
    """Whether one recipient may be."""

    recipient: str
    declined: bool
    category: str | None = Field(description="What of the wish speaks against it; all: everything.")
    wish: str | None = Field(description="All that the recipient declines.")


class WishBody(BaseModel):
    """What a person declines."""

    model_config = ConfigDict(extra="forbid")

    wish: Annotated[
        str,
        Field(
            max_length=2_000,
            examples=["sms:finance,realty voice:all@21:00-09:00"],
            json_schema_extra={"pattern": f"^{CLAUSE}( {CLAUSE}){{0,{MOST_CLAUSES - 1}}}$"},
        ),
    ]


class Registered(BaseModel):
    """What the register knows of a number."""

    recipient: str
    lists: dict[str, str] = Field(description="List -> what it declines for this number; all of it holds.")


class ListBody(BaseModel):
    """One list of the register."""

    name: str
    version: int
    numbers: int
    sha256: str | None
    synced: datetime | None


@router.post("/lookup", summary="Who may be written to or called")
async def look_up(body: Question, context: World, token: DeclineReader) -> list[Answer]:
    """In the order asked."""
    recipients = [
        msisdn(context, target.recipient, f"body.targets.{index}.recipient")
        for index, target in enumerate(body.targets)
    ]
    categories = [target.category for target in body.targets]
    found = await context.declines.look_up(recipients, categories, body.channel, _minute(body.at))
    return [_answer(recipient, decline) for recipient, decline in zip(recipients, found, strict=True)]


@router.get("/lists", summary="The lists of the register and their versions")
def show_lists(context: World, token: DeclineReader) -> list[ListBody]:
    """The list personal holds what people wished themselves; it has no versions."""
    return [
        ListBody(
            name=each["name"],
            version=each["version"],
            numbers=each["numbers"],
            sha256=each["sha256"],
            synced=moment(each["synced_at_ms"]) if each["synced_at_ms"] is not None else None,
        )
        for each in list_versions(context.engine)
    ]


@router.get("/numbers/{recipient}/check", summary="Whether one number may be written to or called")
async def check(
    recipient: Phone,
    context: World,
    token: DeclineReader,
    channel: Channel,
    at: Annotated[Minute, Query()],
    category: Annotated[Category | None, Query()] = None,
) -> Answer:
    """What a voice platform asks before each call."""
    number = msisdn(context, recipient, "path.recipient")
    found = await context.declines.look_up([number], [category], channel, _minute(at))
    return _answer(number, found[0])


@router.get("/numbers/{recipient}", summary="What the register knows of a number")
def show(recipient: Phone, context: World, token: DeclineWriter) -> Registered:
    """By list."""
    number = msisdn(context, recipient, "path.recipient")
    return Registered(recipient=number, lists=wishes_of(context.engine, number))


@router.put("/numbers/{recipient}", summary="Set what a person wishes")
def put_wish(recipient: Phone, body: WishBody, context: World, token: DeclineWriter) -> Registered:
    """In place of what the person wished before; binds the next message when the answer comes."""
    number = msisdn(context, recipient, "path.recipient")
    try:
        if body.wish != " ".join(body.wish.split()).lower():
            raise ValueError("clauses in small letters, one blank between them, are expected")
        read_wish(body.wish)
    except ValueError as error:
        raise wrong("body.wish", str(error), "wrong-wish") from error
    set_wish(context.engine, number, body.wish)
    context.project_declines()
    return Registered(recipient=number, lists=wishes_of(context.engine, number))


@router.delete("/numbers/{recipient}", status_code=204, response_class=Response, summary="Forget what a person wished")
def drop_wish(recipient: Phone, context: World, token: DeclineWriter) -> Response:
    """What lists say of the number stays."""
    set_wish(context.engine, msisdn(context, recipient, "path.recipient"), None)
    context.project_declines()
    return Response(status_code=204)


def _minute(clock: str) -> int:
    return int(clock[:2]) * 60 + int(clock[3:])


def _answer(recipient: str, decline: Decline | None) -> Answer:
    return Answer(
        recipient=recipient,
        declined=decline is not None,
        category=decline.clause.category if decline is not None else None,
        wish=str(decline.wish) if decline is not None else None,
    )
