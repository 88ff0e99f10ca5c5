"""What goes wrong, as a page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import redis
import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from smsc_filter.records.errors import RecordsError, SqlUnavailable
from smsc_filter.web.pages.render import render
from smsc_filter.web.problems import RETRY_SECONDS, Problem

log = structlog.get_logger()


def N_(message: str) -> str:  # noqa: N802 - as gettext calls it
    """Mark ``message`` for translators; a template translates it."""
    return message


SENTENCES: Final[Mapping[int, str]] = {
    400: N_("The request cannot be read."),
    403: N_("You may not do this."),
    404: N_("There is no such page."),
    405: N_("This page does not take that."),
    409: N_("This does not go together with what is on record."),
    413: N_("That is too large."),
    422: N_("Something in the form is not right."),
    429: N_("That was too often; wait a little."),
    500: N_("The service failed; its log says why."),
    507: N_("There is no room for this file just now; send it later."),
    503: N_("A store does not answer just now; try again in a moment."),
}
"""Status -> what it means to whoever reads the page."""


def error_page(
    request: Request, status: int, detail: str = "", headers: Mapping[str, str] | None = None, kind: str = ""
) -> Response:
    """A page that says what went wrong and what to do."""
    values = {"status": status, "sentence": SENTENCES.get(status, SENTENCES[500]), "detail": detail, "kind": kind}
    response = render(request, "error.html", values, status)
    response.headers.update(headers or {})
    return response


def add_page_handlers(app: FastAPI) -> None:
    """Answer every error of ``app`` as a page."""

    @app.exception_handler(Problem)
    async def _problem(request: Request, error: Problem) -> Response:
        return error_page(request, error.status, error.detail, error.headers, error.kind)

    @app.exception_handler(RequestValidationError)
    async def _invalid(request: Request, error: RequestValidationError) -> Response:
        # The values are left out: they may be numbers of people, or passwords.
        wrong = [f"{'.'.join(map(str, each['loc'][1:]))}: {each['msg']}" for each in error.errors()[:10]]
        return error_page(request, 422, "; ".join(wrong))

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> Response:
        return error_page(request, error.status_code, headers=error.headers)

    @app.exception_handler(SqlUnavailable)
    @app.exception_handler(redis.RedisError)
    @app.exception_handler(TimeoutError)
    async def _away(request: Request, error: Exception) -> Response:
        log.warning("web-store-unavailable", error=type(error).__name__)
        return error_page(request, 503, headers={"Retry-After": str(RETRY_SECONDS)})

    @app.exception_handler(Exception)
    async def _unforeseen(request: Request, _error: Exception) -> Response:
        # The error goes on to the layer above, which logs where it happened.
        return error_page(request, 500)

    @app.exception_handler(RecordsError)
    async def _unusable(request: Request, error: RecordsError) -> Response:
        return error_page(request, 422, str(error))
