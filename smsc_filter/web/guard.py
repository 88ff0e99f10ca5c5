"""What every request passes on its way in and every answer on its way out.

One ASGI layer: a bound on the body, on the time between its octets and until the answer begins, the security headers,
and the access log. The log names the route and never the path, which may hold a number.
"""

from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import Callable, Mapping
from typing import Final

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from smsc_filter.web.problems import Problem, unavailable

log = structlog.get_logger()

HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self';"
        " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",  # browsers that do not know frame-ancestors
    "Referrer-Policy": "same-origin",  # "no-referrer" would make the Origin of our own forms "null"
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}

NO_STORE: Final = (b"cache-control", b"no-store")
"""Answers are about people; only what says otherwise may be kept by a browser or a proxy."""

_RAW_HEADERS: Final = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]


class Guard:
    """A layer around the routes, inside the one that catches what nobody foresaw."""

    def __init__(self, app: ASGIApp, limit: Callable[[str, str], int], request_seconds: float) -> None:
        """Guard ``app``; ``limit`` tells how many octets a body may have, by method and path."""
        self._app = app
        self._limit = limit
        self._seconds = request_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.monotonic()
        status = received = 0
        complete = False
        most = self._limit(scope["method"], scope["path"])

        async def bounded_receive() -> Message:
            nonlocal received, complete
            if complete:
                # Only the end of the connection is left to hear of, and that may take its time.
                return await receive()
            try:
                async with asyncio.timeout(self._seconds):
                    message = await receive()
            except TimeoutError:
                raise HTTPException(408, f"nothing came for {self._seconds:g} s", _CLOSE) from None
            if message["type"] == "http.request":
                received += len(message.get("body", b""))
                complete = not message.get("more_body", False)
                if received > most:
                    raise _too_large(most)
            return message

        async def dressed_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                patience.reschedule(None)
                own = message.setdefault("headers", [])
                named = {name.lower() for name, _ in own}
                own += [header for header in (*_RAW_HEADERS, NO_STORE) if header[0] not in named]
            await send(message)

        problem: Problem | None = None
        # An upload lasts as long as octets come; only the wait between them is bounded.
        async with asyncio.timeout(None if most > UPLOAD_OCTETS else self._seconds) as patience:
            try:
                if _declared_octets(scope) > most:
                    problem = Problem(413, "too-large", str(_too_large(most).detail), headers=_CLOSE)
                else:
                    await self._app(scope, bounded_receive, dressed_send)
            except asyncio.CancelledError:
                if not patience.expired() or status:
                    raise
                problem = unavailable(f"no answer within {self._seconds:g} s")
            except ClientDisconnect:
                status = status or 499
            except Exception as error:
                log.error("web-failed", method=scope["method"], route=route_of(scope), **failure(error))
                problem = Problem(500, "internal", "the service failed; its log says why")
            if problem is not None and status == 0:
                await problem.response()(scope, receive, dressed_send)
        log.info(
            "web-request",
            method=scope["method"],
            route=route_of(scope),
            status=status,
            octets=received,
            token=scope.get("state", {}).get("token_id", ""),
            took_ms=round((time.monotonic() - began) * 1000, 1),
        )


UPLOAD_OCTETS: Final = 16 << 20
"""A route that takes more than this is an upload."""

_CLOSE: Final = {"Connection": "close"}


def failure(error: BaseException) -> dict[str, object]:
    """What a log may say of an error nobody foresaw: its class and where; its words may hold a number or a text."""
    frames = traceback.extract_tb(error.__traceback__)[-8:]
    return {"error": type(error).__name__, "at": [f"{frame.filename}:{frame.lineno}" for frame in frames]}


def route_of(scope: Scope) -> str:
    """The route as it is declared, its parameters by name; "-" where none matched."""
    return str(getattr(scope.get("route"), "path", "-"))


def _too_large(most: int) -> HTTPException:
    return HTTPException(413, f"a body here has at most {most:,} octets", _CLOSE)


def _declared_octets(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value) if value.isdigit() else 0
    return 0
