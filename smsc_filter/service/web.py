"""The web: the process that serves API and pages.

The supervisor owns the listening sockets and hands them over, so that an address that cannot be had is told at the
start, and connections wait while a fallen process is started again.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import time
from typing import Any, Final

import structlog
import uvicorn

from smsc_filter.service.build import store_client, store_writer
from smsc_filter.service.build_records import open_records
from smsc_filter.service.build_web import web_context
from smsc_filter.service.child import READY, Control, Start
from smsc_filter.web.app import make_app
from smsc_filter.web.connections import ConnectionLimits, bounded_protocol

NICENESS: Final = 5
"""Messages come first."""

DRAIN_SECONDS: Final = 5.0
"""How long requests may go on when the service stops."""

log = structlog.get_logger()


class _Server(uvicorn.Server):
    """Without uvicorn's own handling of signals: the supervisor decides."""

    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        yield


async def run_web(start: Start, control: Control, listening: list[socket.socket]) -> None:
    """The life of the web process, which accepts on ``listening``; the end of ``control`` is that of the supervisor."""
    loop = asyncio.get_running_loop()
    os.nice(NICENESS)
    settings = start.settings
    engine = open_records(settings)
    store, writer = store_client(settings, start.url), store_writer(settings, start.url)
    context = web_context(settings, engine, store, writer, time.time)
    server = _Server(
        uvicorn.Config(
            make_app(context),
            http=bounded_protocol(
                ConnectionLimits(
                    connections=settings.web.connections,
                    connections_an_address=settings.web.connections_an_address,
                    header_seconds=settings.web.header_seconds,
                    write_seconds=settings.web.request_seconds,
                    proxies=settings.web.proxies,
                )
            ),
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            forwarded_allow_ips=list(settings.web.proxies),
            timeout_keep_alive=5,
            timeout_graceful_shutdown=round(DRAIN_SECONDS),
        )
    )

    def stop() -> None:
        server.should_exit = True

    control.attend()
    loop.add_signal_handler(signal.SIGTERM, stop)
    loop.add_signal_handler(signal.SIGINT, lambda: None)
    serving = loop.create_task(server.serve(sockets=listening))
    try:
        while not server.started and not serving.done():
            await asyncio.sleep(0.01)
        if not serving.done():
            control.say(READY)
        await serving
    finally:
        await context.declines.close()
        await store.aclose()
        writer.close()
        engine.dispose()
