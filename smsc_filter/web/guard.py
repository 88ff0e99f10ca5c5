"""What every request passes on its way in and every answer on its way out.

One ASGI layer: a bound on the requests under way, altogether and by address, on the body, on the time between its
octets and until the answer begins, the security headers, and the access log. The log names the route and never the
path, which may hold a number.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from smsc_filter.telemetry import failure
from smsc_filter.web.access import network_of
from smsc_filter.web.problems import Problem, unavailable
from smsc_filter.web.settings import WebSettings

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

STRICT_TRANSPORT: Final = (b"strict-transport-security", b"max-age=31536000")
"""Where the request came over TLS, here or at a proxy that says so."""

_RAW_HEADERS: Final = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]


class Guard:
    """A layer around the routes, inside the one that catches what nobody foresaw."""

    def __init__(self, app: ASGIApp, limit: Callable[[str, str], int], settings: WebSettings) -> None:
        """Guard ``app``; ``limit`` tells how many octets a body may have, by method and path."""
        self._app = app
        self._limit = limit
        self._seconds = settings.request_seconds
        self._settings = settings
        self._under_way: Counter[str] = Counter()
        self._octets = 0
        self._refused = 0
        self._logged_at = -LOG_SECONDS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, unless too many are under way."""
        if scope["type"] != "http" or scope["path"] in HEALTH:
            await (self._app if scope["type"] != "http" else self._handle)(scope, receive, send)
            return
        client = network_of((scope.get("client") or ("",))[0])
        busy = self._under_way.total() >= self._settings.requests
        if busy or self._under_way[client] >= self._settings.requests_an_address:
            self._note_refused()
            problem = Problem(503, "too-many-requests", "too many requests are under way", headers=_LATER)
            await problem.response()(scope, receive, _dressed(scope, send))
            return
        self._under_way[client] += 1
        try:
            await self._handle(scope, receive, send)
        finally:
            self._under_way[client] -= 1
            if not self._under_way[client]:
                del self._under_way[client]

    def _note_refused(self) -> None:
        """Count a request that found too many under way; logged now and then."""
        self._refused += 1
        now = time.monotonic()
        if now - self._logged_at >= LOG_SECONDS:
            log.warning("web-requests-refused", refused=self._refused, under_way=self._under_way.total())
            self._refused, self._logged_at = 0, now

    def _take(self, octets: int) -> None:
        """Count octets of bodies under way: forms keep theirs in memory or a file until they are answered."""
        self._octets += octets
        if self._octets > self._settings.uploads_total_mb << 20:
            raise HTTPException(507, "bodies under way leave no room for this one", _CLOSE)

    async def _handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.monotonic()
        status = 0
        most = self._limit(scope["method"], scope["path"])
        body = RequestBody(receive, most, self._seconds, self._take)
        dress = _dressed(scope, send)

        async def dressed_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                patience.reschedule(None)
            await dress(message)

        problem: Problem | None = None
        # An upload lasts as long as octets come; only the wait between them is bounded.
        async with asyncio.timeout(None if most > UPLOAD_OCTETS else self._seconds) as patience:
            try:
                if _declared_octets(scope) > most:
                    problem = Problem(413, "too-large", str(_too_large(most).detail), headers=_CLOSE)
                else:
                    await self._app(scope, body.receive, dressed_send)
            except asyncio.CancelledError:
                if not patience.expired() or status:
                    raise
                problem = unavailable(f"no answer within {self._seconds:g} s")
            except ClientDisconnect:
                status = status or 499
            except Exception as error:
                log.error("web-failed", method=scope["method"], route=route_of(scope), **failure(error))
                problem = Problem(500, "internal", "the service failed; its log says why")
            finally:
                self._octets -= body.octets
            if problem is not None and status == 0:
                await problem.response()(scope, receive, dressed_send)
        log.info(
            "web-request",
            method=scope["method"],
            route=route_of(scope),
            status=status,
            octets=body.octets,
            token=scope.get("state", {}).get("token_id", ""),
            took_ms=round((time.monotonic() - began) * 1000, 1),
        )


class RequestBody:
    """The body of one request on its way in, within its bounds."""

    def __init__(self, receive: Receive, most: int, seconds: float, take: Callable[[int], None]) -> None:
        """Receive at most ``most`` octets, with pauses of at most ``seconds``; ``take`` is told of each piece."""
        self.octets = 0
        self._receive = receive
        self._most = most
        self._seconds = seconds
        self._take = take
        self._began = time.monotonic()
        self._complete = False

    async def receive(self) -> Message:
        """The next piece.

        Raises:
            HTTPException: it does not come in time, or is too much.
        """
        if self._complete:
            # Only the end of the connection is left to hear of, and that may take its time.
            return await self._receive()
        try:
            async with asyncio.timeout(self._seconds):
                message = await self._receive()
        except TimeoutError:
            raise HTTPException(408, f"nothing came for {self._seconds:g} s", _CLOSE) from None
        if message["type"] != "http.request":
            return message
        octets = len(message.get("body", b""))
        self.octets += octets
        self._complete = not message.get("more_body", False)
        self._take(octets)
        if self.octets > self._most:
            raise _too_large(self._most)
        due = (time.monotonic() - self._began - self._seconds) * LEAST_OCTETS_A_SECOND
        if self.octets < due and not self._complete:
            raise HTTPException(408, f"less than {LEAST_OCTETS_A_SECOND:,} octets a second came", _CLOSE)
        return message


def _dressed(scope: Scope, send: Send) -> Send:
    """``send``, with the headers that every answer carries."""

    async def dressed_send(message: Message) -> None:
        if message["type"] == "http.response.start":
            own = message.setdefault("headers", [])
            named = {name.lower() for name, _ in own}
            ours = (*_RAW_HEADERS, NO_STORE, *((STRICT_TRANSPORT,) if scope["scheme"] == "https" else ()))
            own += [header for header in ours if header[0] not in named]
        await send(message)

    return dressed_send


UPLOAD_OCTETS: Final = 16 << 20
"""A route that takes more than this is an upload."""

LEAST_OCTETS_A_SECOND: Final = 1_024
"""An upload that comes more slowly on average, its first ``request_seconds`` aside, is cut off."""

LOG_SECONDS: Final = 10.0
"""Requests refused for their number are logged together, at most that often."""

HEALTH: Final = frozenset({"/healthz", "/readyz"})
"""Answered however many requests are under way."""

_CLOSE: Final = {"Connection": "close"}
_LATER: Final = {**_CLOSE, "Retry-After": "5"}


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
