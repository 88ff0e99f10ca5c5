"""What goes wrong, said alike everywhere: ``application/problem+json`` (RFC 9457)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import orjson
import redis
import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.routing import compile_path

from smsc_filter.records.errors import RecordsError, SqlUnavailable

MEDIA_TYPE: Final = "application/problem+json"
RETRY_SECONDS: Final = 2

KINDS: Final = {
    400: "malformed-body",
    404: "not-found",
    405: "method-not-allowed",
    408: "too-slow",
    413: "too-large",
    507: "no-room",
}
"""Status of what the framework refuses -> stable name of the problem."""

log = structlog.get_logger()


class FieldProblem(BaseModel):
    """One thing that is wrong with a request."""

    where: str = Field(examples=["body.recipient"])
    detail: str


class ProblemBody(BaseModel):
    """What went wrong (RFC 9457)."""

    type: str = Field(default="about:blank", description="Stable name of the problem.", examples=["wrong-number"])
    title: str
    status: int
    detail: str = Field(default="", description="What to do about it.")
    errors: list[FieldProblem] = Field(
        default_factory=list, description="Each thing that is wrong, where several may be."
    )


class Problem(Exception):
    """A request that is not carried out: answer it with ``status``; nothing was changed."""

    def __init__(
        self,
        status: int,
        kind: str,
        detail: str,
        errors: Sequence[tuple[str, str]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.kind = kind
        self.detail = detail
        self.errors = list(errors)
        self.headers = dict(headers or {})

    def response(self) -> Response:
        """As it goes out."""
        body: dict[str, Any] = {
            "type": self.kind,
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "errors": [{"where": where, "detail": detail} for where, detail in self.errors],
        }
        return Response(orjson.dumps(body), self.status, self.headers, MEDIA_TYPE)


def answers(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What a route may answer besides its success, for the OpenAPI document."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemBody"}}}
    return {
        status: {"description": HTTPStatus(status).phrase, "content": content, "model": ProblemBody}
        for status in statuses
    }


def add_handlers(app: FastAPI) -> None:
    """Answer every error of ``app`` as a problem."""

    @app.exception_handler(Problem)
    async def _problem(_request: Request, error: Problem) -> Response:
        return error.response()

    @app.exception_handler(RequestValidationError)
    async def _invalid(_request: Request, error: RequestValidationError) -> Response:
        errors = [(".".join(map(str, each["loc"])), _sentence(each)) for each in error.errors()[:20]]
        where, detail = errors[0]
        return Problem(422, "invalid-request", f"{where}: {detail}", errors).response()

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> Response:
        headers = dict(error.headers or {})
        if error.status_code == 405:
            # Of several routes with one path the first one answers, and knows its own method only.
            headers["Allow"] = ", ".join(sorted(_methods_at(app, request.url.path)))
        kind = KINDS.get(error.status_code, "about:blank")
        return Problem(error.status_code, kind, str(error.detail), headers=headers).response()

    @app.exception_handler(SqlUnavailable)
    async def _no_sql(_request: Request, _error: SqlUnavailable) -> Response:
        log.warning("web-records-unavailable")
        return unavailable("the records do not answer").response()

    @app.exception_handler(redis.RedisError)
    @app.exception_handler(TimeoutError)
    async def _no_store(_request: Request, error: Exception) -> Response:
        log.warning("web-store-unavailable", error=type(error).__name__)
        return unavailable("the hot state does not answer").response()

    @app.exception_handler(RecordsError)
    async def _unusable(_request: Request, error: RecordsError) -> Response:
        return Problem(422, "unusable", str(error)).response()


def _methods_at(app: FastAPI, path: str) -> set[str]:
    """Every method that is documented for a path."""
    paths = app.openapi()["paths"]
    matching = [path] if path in paths else [each for each in paths if compile_path(each)[0].match(path)]
    return {method.upper() for each in matching for method in paths[each]}


def unavailable(detail: str) -> Problem:
    """Something behind us is away for now."""
    retry = {"Retry-After": str(RETRY_SECONDS)}
    return Problem(503, "unavailable", f"{detail}; send the same request again", headers=retry)


def _sentence(error: Mapping[str, Any]) -> str:
    """One error of pydantic; without the input, which may be a number or a token."""
    message = str(error["msg"]).removeprefix("Value error, ")
    return message[:1].lower() + message[1:]
