"""What a web client may cost before its request is whole, over real sockets."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
import uvicorn

from smsc_filter.web.connections import ConnectionLimits, bounded_protocol
from smsc_filter.web.guard import Guard
from smsc_filter.web.settings import WebSettings

REQUEST = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
SLOW_BODY = b"POST /form HTTP/1.1\r\nHost: x\r\nContent-Length: 900\r\n\r\nx"


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Reads the body and answers as long a one as the path says."""
    while (await receive()).get("more_body"):
        pass
    octets = int(scope["path"][1:]) if scope["path"][1:].isdigit() else 2
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % octets)]})
    await send({"type": "http.response.body", "body": b"a" * octets})


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Any:
        yield


@contextmanager
def serving(**changed: Any) -> Iterator[int]:
    """A server with small limits; its port."""
    limits: dict[str, Any] = {
        "connections": 64,
        "connections_an_address": 64,
        "header_seconds": 0.3,
        "write_seconds": 0.3,
        "proxies": (),
        **{key: value for key, value in changed.items() if key in ConnectionLimits.__slots__},
    }
    settings = WebSettings(
        request_seconds=changed.get("request_seconds", 5.0), requests_an_address=changed.get("requests_an_address", 64)
    )
    server = _Server(
        uvicorn.Config(
            Guard(application, limit=lambda method, path: 1 << 20, settings=settings),
            http=bounded_protocol(ConnectionLimits(**limits)),
            ws="none",
            lifespan="off",
            log_config=None,
            timeout_keep_alive=1,
            timeout_graceful_shutdown=1,
        )
    )
    listening = socket.create_server(("127.0.0.1", 0), backlog=512)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listening])))
    thread.start()
    try:
        yield listening.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(20)
        listening.close()


def dial(port: int, octets: bytes = b"") -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), 10)
    connection.sendall(octets)
    return connection


def heard(connection: socket.socket, most: int = 1 << 20) -> bytes:
    """All that comes until the other end closes."""
    came = b""
    try:
        while len(came) < most and (piece := connection.recv(65536)):
            came += piece
    except ConnectionError:
        pass
    return came


def status(port: int, octets: bytes = REQUEST) -> bytes:
    with dial(port, octets) as connection:
        return connection.recv(65536)[9:12]


@pytest.mark.parametrize(
    "octets",
    [
        pytest.param(b"", id="says-nothing"),
        pytest.param(b"\r\n\r\n", id="empty-lines"),
        pytest.param(b"GET /heal", id="half-a-request-line"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: x\r\nX: ", id="half-a-header"),
        pytest.param(REQUEST + b"GET / HTTP/1.1\r\n", id="half-a-second-request"),
        pytest.param(REQUEST + b"\r\n", id="an-empty-line-behind-a-request"),
    ],
)
def test_a_client_that_sends_no_whole_request_is_closed(octets: bytes) -> None:
    with serving() as port, dial(port, octets) as connection:
        connection.settimeout(5)
        assert heard(connection).count(b"HTTP/1.1") == octets.count(REQUEST)


def test_octets_that_drip_in_do_not_prolong_the_wait() -> None:
    with serving() as port, dial(port, b"GET / HTTP/1.1\r\nX: ") as connection:
        connection.settimeout(0.05)
        for _ in range(100):
            try:
                connection.sendall(b"a")
                if not connection.recv(1):
                    return
            except TimeoutError:
                continue
            except ConnectionError:
                return
        pytest.fail("open after 5 s")


@pytest.mark.parametrize(
    "octets",
    [
        pytest.param(b"GET / HTTP/1.1\r\nX: " + b"a" * 200_000, id="one-header-without-end"),
        pytest.param(b"GET / HTTP/1.1\r\nX: " + b"a" * 20_000 + b"\r\n\r\n", id="one-long-header"),
        pytest.param(b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n\r\n", id="a-long-request-line"),
        pytest.param(
            b"GET / HTTP/1.1\r\n" + b"".join(b"X%d: a\r\n" % n for n in range(101)) + b"\r\n", id="many-headers"
        ),
        pytest.param(
            b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX: " + b"a" * 200_000,
            id="a-trailer-without-end",
        ),
    ],
)
def test_headers_are_bounded(octets: bytes) -> None:
    with serving(header_seconds=5.0) as port:
        with dial(port) as connection:
            try:
                connection.sendall(octets)
            except ConnectionError:
                return  # refused while it was still sending
            assert heard(connection)[9:12] in (b"431", b"")
        assert status(port) == b"200"


def test_idle_connections_and_slow_bodies_shut_out_nobody() -> None:
    with serving(connections=20, header_seconds=30.0, request_seconds=30.0) as port:
        for octets in (b"", b"GET / HTTP/1.1\r\n", SLOW_BODY):
            with ExitStack() as stack:
                for _ in range(60):
                    stack.enter_context(dial(port, octets))
                assert status(port) == b"200"
                assert status(port, REQUEST.replace(b"/healthz", b"/")) == b"200"


def test_an_address_has_a_bound_of_its_own_unless_it_is_a_proxy() -> None:
    def open_of(proxies: tuple[str, ...]) -> int:
        with (
            serving(connections_an_address=4, header_seconds=30.0, proxies=proxies) as port,
            ExitStack() as stack,
        ):
            connections = [stack.enter_context(dial(port)) for _ in range(10)]
            assert status(port) == b"200"
            still = 0
            for connection in connections:
                connection.settimeout(0.1)
                try:
                    connection.recv(1)
                except TimeoutError:
                    still += 1
                except ConnectionError:
                    pass
            return still

    assert open_of(()) == 3
    assert open_of(("127.0.0.0/8",)) == 10


def test_requests_under_way_are_bounded_by_address_and_health_is_apart() -> None:
    with serving(requests_an_address=3, header_seconds=30.0) as port, ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(dial(port, SLOW_BODY))
        ordinary = REQUEST.replace(b"/healthz", b"/")
        while status(port, ordinary) != b"503":
            pass  # until the third has begun
        assert status(port) == b"200"


def test_a_body_that_stops_is_told_and_closed() -> None:
    with serving(request_seconds=0.3) as port, dial(port, SLOW_BODY) as connection:
        connection.settimeout(5)
        assert heard(connection)[9:12] in (b"408", b"500", b"503")


def test_a_client_that_does_not_read_is_closed() -> None:
    with serving() as port, dial(port, b"GET /64000000 HTTP/1.1\r\nHost: x\r\n\r\n") as connection:
        connection.settimeout(5)
        threading.Event().wait(1.5)  # the client's own pause: that it does not read is the point
        assert len(heard(connection, 1 << 30)) < 64_000_000


def test_pipelined_requests_are_answered_and_bounded() -> None:
    with serving() as port:
        with dial(port, REQUEST * 10) as connection:
            connection.settimeout(5)
            assert heard(connection).count(b"200 OK") == 10
        with dial(port, REQUEST * 2_000) as connection:
            connection.settimeout(5)
            assert heard(connection).count(b"200 OK") < 100
