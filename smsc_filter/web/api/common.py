"""What the subjects of the API share: times, numbers, who asks."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from fastapi import Depends
from pydantic import AwareDatetime, BeforeValidator, Field

from smsc_filter.records.tokens import Token
from smsc_filter.sms.number import MOST_CHARACTERS, NumberError
from smsc_filter.web.access import needs
from smsc_filter.web.context import Context, context_of
from smsc_filter.web.problems import Problem, answers

API: Final = "/api/v1"

World = Annotated[Context, Depends(context_of)]

ConsentReader = Annotated[Token, Depends(needs("consents:read"))]
ConsentWriter = Annotated[Token, Depends(needs("consents:write"))]
DecisionReader = Annotated[Token, Depends(needs("decisions:read"))]
Classifier = Annotated[Token, Depends(needs("texts:classify"))]
DeclineReader = Annotated[Token, Depends(needs("declines:read"))]
DeclineWriter = Annotated[Token, Depends(needs("declines:write"))]
AppealReader = Annotated[Token, Depends(needs("appeals:read"))]
AppealWriter = Annotated[Token, Depends(needs("appeals:write"))]
AppealReviewer = Annotated[Token, Depends(needs("appeals:review"))]
ComplaintReader = Annotated[Token, Depends(needs("complaints:read"))]
ComplaintWriter = Annotated[Token, Depends(needs("complaints:write"))]

COMMON: Final[dict[int | str, dict[str, Any]]] = answers(400, 401, 403, 408, 413, 422, 429, 500, 503)
"""What every route behind a token may answer."""

FAR_SECONDS: Final = 4_102_444_800.0
"""The year 2100."""

Phone = Annotated[
    str,
    Field(
        max_length=MOST_CHARACTERS,
        description="A subscriber's number, national or E.164, as people and spreadsheets write it: blanks, dashes,"
        " dots and parentheses between digits are allowed. One that its country cannot have is refused.",
        examples=["8613800000001"],
    ),
]
Line = Annotated[str, Field(max_length=1_000, pattern=r"^[^\x00]*$")]
"""Text that both databases can keep."""

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 in lower-case hexadecimal.")]


def _iso_8601(value: object) -> object:
    """Only text is a moment: a bare number may be seconds or milliseconds."""
    if not isinstance(value, str) or not re.match(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ]", value):
        raise ValueError("ISO 8601 with an offset is expected, such as 2026-05-01T09:30:00+08:00")
    return value


Moment = Annotated[
    AwareDatetime,
    BeforeValidator(_iso_8601),
    Field(description="ISO 8601 with an offset.", examples=["2026-05-01T09:30:00+08:00"]),
]


def msisdn(context: Context, number: str, where: str) -> str:
    """A number in E.164 digits.

    Raises:
        Problem: it is none.
    """
    try:
        return context.numbering.msisdn(number)
    except NumberError as error:
        # Without the number itself: answers end up in the asker's logs.
        raise wrong(where, f"a phone number is expected; {error.reason}", "wrong-number") from None


def refuse_unknown_owner(context: Context, owner: str) -> None:
    """See that a consent is of somebody who sends; where the configuration names nobody, everybody may.

    Raises:
        Problem: the owner of the token has no account and no sender any more, or never had.
    """
    owners = context.setup.owners
    if owners and owner not in owners:
        detail = f"the token is of {owner}, who has no account and no sender; there are {', '.join(owners)}"
        raise Problem(422, "unknown-owner", detail)


def wrong(where: str, detail: str, kind: str = "invalid-request") -> Problem:
    """One thing that is wrong with a request."""
    return Problem(422, kind, f"{where}: {detail}", [(where, detail)])


def moment(at_ms: int) -> datetime:
    """A time of the records as it is told."""
    return datetime.fromtimestamp(at_ms / 1000, UTC)


def milliseconds(at: datetime) -> int:
    """A time as the records have it."""
    return round(at.timestamp() * 1000)


def body_of(*types: str) -> dict[str, Any]:
    """For the OpenAPI document: the body is a file of one of these types."""
    schema = {"schema": {"type": "string", "format": "binary"}}
    return {"requestBody": {"required": True, "content": dict.fromkeys(types, schema)}}


def file_of(kind: str) -> dict[int | str, dict[str, Any]]:
    """For the OpenAPI document: the answer is a file."""
    return {200: {"content": {kind: {"schema": {"type": "string"}}}}}
