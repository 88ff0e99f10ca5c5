"""What a web client may cost before its request is whole: connections, header octets, seconds.

uvicorn bounds the pause between two requests and nothing else of a connection. The protocol here adds what it lacks:
a time limit from the first octet awaited to the end of the headers, bounds on header octets, header fields and
pipelined requests, a time limit for clients that do not read, and a bound on connections, altogether and by address.
Where a bound of connections is reached the newcomer is let in, and of whoever holds the most the connection that has
kept us waiting longest is closed: a flood of idle connections shuts out nobody but itself.
"""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, cast

import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from smsc_filter.web.access import network_of

log = structlog.get_logger()

MOST_HEADER_OCTETS: Final = 16_384
"""Request line and headers of one request."""

MOST_HEADERS: Final = 100

MOST_PIPELINED: Final = 16
"""Requests that one connection sends before it has heard the answer to the first."""

LOG_SECONDS: Final = 10.0
"""Connections closed for a limit are counted, and logged at most that often."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionLimits:
    """Bounds on what one web process waits for."""

    connections: int
    """At once, altogether."""
    connections_an_address: int
    """At once from one IPv4 address or IPv6 /48; of a named proxy as many as altogether."""
    header_seconds: float
    """From the first octet awaited to the end of the headers."""
    write_seconds: float
    """Longest wait for a client to read what it asked for."""
    proxies: Sequence[str]


class Connections:
    """The open connections of a web process, and which of them gives way when there are too many."""

    def __init__(self, limits: ConnectionLimits) -> None:
        """Keep to ``limits``."""
        self.limits = limits
        self._open: dict[BoundedProtocol, str] = {}
        self._held: Counter[str] = Counter()
        self._proxies = [ipaddress.ip_network(each) for each in limits.proxies]
        self._closed: Counter[str] = Counter()
        self._logged_at = -LOG_SECONDS

    def add(self, connection: BoundedProtocol, address: str) -> None:
        """Take ``connection`` in, and close another one where that makes too many."""
        network = network_of(address)
        self._open[connection] = network
        self._held[network] += 1
        if len(self._open) > self.limits.connections:
            self._close_one(self._held.most_common(1)[0][0])
        elif self._held[network] > self.limits.connections_an_address and not self._is_proxy(address):
            self._close_one(network)

    def remove(self, connection: BoundedProtocol) -> None:
        """Forget a connection that is closed."""
        network = self._open.pop(connection, None)
        if network is not None:
            self._held[network] -= 1
            if not self._held[network]:
                del self._held[network]

    def note_closed(self, why: str) -> None:
        """Count a connection that was closed for a limit."""
        self._closed[why] += 1
        now = time.monotonic()
        if now - self._logged_at >= LOG_SECONDS:
            self._logged_at = now
            log.warning("web-connections-closed", open=len(self._open), **self._closed)
            self._closed.clear()

    def _close_one(self, network: str) -> None:
        """Close the one of ``network`` that has kept us waiting longest; the newest where all are being answered."""
        of_it = [connection for connection, held in self._open.items() if held == network]
        waiting = [connection for connection in of_it if connection.awaited_since is not None]
        victim = min(waiting, key=lambda each: each.awaited_since or 0.0) if waiting else of_it[-1]
        self.remove(victim)
        victim.give_up("too_many")

    def _is_proxy(self, address: str) -> bool:
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(parsed in proxy for proxy in self._proxies)


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 with bounds on what comes before and behind a request."""

    bounds: ClassVar[Connections]

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """As uvicorn makes it."""
        super().__init__(*arguments, **options)
        self.awaited_since: float | None = None
        """Since when the client owes octets of a request; None: we owe an answer."""
        self._between = True
        """Whether no request has its headers whole and its body outstanding."""
        self._unread = 0
        """Octets since the parser last got somewhere: headers, trailers, extensions of chunks."""
        self._header_octets = 0
        self._refusal = 400
        self._header_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count the connection and wait for its first request, not for ever."""
        super().connection_made(cast("asyncio.Transport", transport))
        self.awaited_since = self.loop.time()
        self._await_headers()
        self.bounds.add(self, self.client[0] if self.client else "")

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection and its timers."""
        self.bounds.remove(self)
        for timer in (self._header_timer, self._write_timer):
            if timer is not None:
                timer.cancel()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on, within bounds."""
        if self.transport.is_closing():
            return
        if self._between:
            # Empty lines before a request begin no message for the parser, and are waited for no longer.
            self._await_headers()
        self._unread += len(data)
        super().data_received(data)
        if self._unread > MOST_HEADER_OCTETS and not self.transport.is_closing():
            self._refusal = 431
            self.send_400_response("")

    def on_message_begin(self) -> None:
        """Begin to count the octets of a request's headers."""
        super().on_message_begin()
        self._header_octets = 0
        self._await_headers()

    def on_url(self, url: bytes) -> None:
        """Take a piece of the request line."""
        self._count_header(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header."""
        self._count_header(len(name) + len(value) + 4)
        if len(self.headers) >= MOST_HEADERS:
            self._refuse_headers()
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Begin to answer."""
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None
        if len(self.pipeline) >= MOST_PIPELINED:
            raise _Refused
        self._between = False
        self._unread = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        self._unread = 0
        self.awaited_since = self.loop.time()
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole: the answer is ours to give."""
        super().on_message_complete()
        self._between = True
        self._unread = 0
        self.awaited_since = None

    def on_response_complete(self) -> None:
        """Wait for the next request, or for what is left of this one, not for ever."""
        super().on_response_complete()
        if self.transport.is_closing():
            self._await_reader()
            return
        if not self.pipeline:
            self.awaited_since = self.loop.time()
        if not self._between:
            self._await_headers()

    def pause_writing(self) -> None:
        """The client does not read: wait, not for ever."""
        super().pause_writing()
        self._await_reader()

    def resume_writing(self) -> None:
        """The client reads again."""
        super().resume_writing()
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    def timeout_keep_alive_handler(self) -> None:
        """No further request came: close, and do not wait for who has not read the last answer."""
        if not self.transport.is_closing():
            self.transport.close()
            self._await_reader()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no request, or is too large a one."""
        if self._refusal == 431:
            self.bounds.note_closed("headers_too_large")
            self.transport.write(_TOO_LARGE)
            self.transport.close()
        else:
            super().send_400_response(msg)
        self._await_reader()

    def give_up(self, why: str) -> None:
        """Close the connection at once."""
        self.bounds.note_closed(why)
        self.transport.abort()

    def _count_header(self, octets: int) -> None:
        self._header_octets += octets
        if self._header_octets > MOST_HEADER_OCTETS:
            self._refuse_headers()

    def _refuse_headers(self) -> None:
        self._refusal = 431
        raise _Refused

    def _await_headers(self) -> None:
        if self._header_timer is None:
            self._header_timer = self.loop.call_later(self.bounds.limits.header_seconds, self._headers_late)

    def _headers_late(self) -> None:
        self._header_timer = None
        if self.transport.is_closing():
            return
        if self.cycle is not None and not self.cycle.response_complete:
            # An answer is under way; what comes behind it waits with it.
            self._await_headers()
            return
        self.give_up("headers_late")

    def _await_reader(self) -> None:
        if self._write_timer is None:
            self._write_timer = self.loop.call_later(self.bounds.limits.write_seconds, self._reader_late)

    def _reader_late(self) -> None:
        self._write_timer = None
        self.give_up("answer_not_read")


class _Refused(Exception):
    """Stops the parser: the request is refused with what ``send_400_response`` says."""


_TOO_LARGE: Final = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


def bounded_protocol(limits: ConnectionLimits) -> type[BoundedProtocol]:
    """The protocol of one web process, as uvicorn takes it: a class."""

    class Protocol(BoundedProtocol):
        """With the connections of this process."""

        bounds = Connections(limits)

    return Protocol
