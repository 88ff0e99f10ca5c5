"""The supervisor: owns the listening address, and looks after the children.

``serve`` is one supervisor with its children: the store, the workers that relay, the recorder that moves decisions
from the stream into SQL, and the web unless it is served elsewhere. The supervisor accepts connections and hands each
to the worker with the fewest, in turn among equals: with SO_REUSEPORT the kernel spreads them by a hash, which gave one
of two workers three of four. A child that falls over is started again and does not take the others along. When the
supervisor dies, its children see the end of their control channel and end too.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import structlog
import uvloop

from smsc_filter.classifier.scorer import Scorer
from smsc_filter.records.consents import owner_ids
from smsc_filter.relay.listener import server_tls
from smsc_filter.service.build import embedded_store, load_rules, model_folder
from smsc_filter.service.build_records import open_records
from smsc_filter.service.child import CLOSED, READY, Child
from smsc_filter.settings import Settings, SettingsError, read_settings, readable_by_others
from smsc_filter.state.clock import time_anchor
from smsc_filter.telemetry import configure_logging

log = structlog.get_logger()

WATCH_SECONDS: Final = 0.1
"""How often the children are looked at."""

RESTART_SECONDS: Final = 1.0
"""Least time between two starts of one child."""


class Supervisor:
    """Owns the listening address and the children."""

    def __init__(self, settings: Settings, config: Path | None, announce: Callable[[str], None]) -> None:
        """Serve by ``settings``; ``announce`` hears when and where it listens."""
        self._settings = settings
        self._config = config
        self._announce = announce
        self._loop = asyncio.get_running_loop()
        self._store = embedded_store(settings)
        self._listening: list[socket.socket] = []
        self._web_listening: list[socket.socket] = []
        self._workers: list[Child] = []
        self._children: list[Child] = []
        self._turn = 0
        self._serving = False
        """Whether connections are accepted when there is a worker for them."""
        self._stop = asyncio.Event()
        self._ready = asyncio.Event()

    async def run(self) -> int:
        """Serve until SIGTERM or SIGINT; the exit status."""
        settings = self._settings
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self._stop.set)
        # What can be wrong is found before anything is started.
        scorer = Scorer.load(model_folder(settings))
        load_rules(settings, scorer)
        server_tls(settings.listen)
        engine = open_records(settings)
        try:
            owners = owner_ids(engine, settings.owners)
        finally:
            engine.dispose()
        self._listening = _listen("listen", settings.listen.host, settings.listen.port)
        if settings.web.enabled:
            self._web_listening = _listen("web", settings.web.host, settings.web.port)
        url = settings.state.redis_url
        if self._store is not None:
            self._store.start()
            url = self._store.url
        common = {"url": url, "owners": owners, "anchor": time_anchor()}
        recorder = Child("recorder", {**common, "number": 0}, self._config)
        self._workers = [
            Child("worker", {**common, "number": number}, self._config) for number in range(settings.listen.workers)
        ]
        self._children = [recorder, *self._workers]
        if self._web_listening:
            self._children.append(Child("web", {**common, "number": 0}, self._config, self._web_listening))
        try:
            for child in self._children:
                self._start(child)
            await self._wait_until_ready()
            if not self._stop.is_set():
                self._serving = True
                self._accept_again()
                host, port = self._listening[0].getsockname()[:2]
                log.info("serving", host=host, port=port, workers=len(self._workers), mode=settings.policy.mode)
                self._announce(f"listening on {host}:{port}")
                if self._web_listening:
                    host, port = self._web_listening[0].getsockname()[:2]
                    log.info("serving-web", host=host, port=port)
                    self._announce(f"web on http://{host}:{port}")
            while not self._stop.is_set():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stop.wait(), WATCH_SECONDS)
                self._revive()
        finally:
            await self._end()
        return 0

    def _start(self, child: Child) -> None:
        child.run()
        assert child.control is not None
        self._loop.add_reader(child.control.fileno(), self._hear, child)

    def _hear(self, child: Child) -> None:
        """A child says that it is ready, or that a connection is closed."""
        assert child.control is not None
        with contextlib.suppress(BlockingIOError):
            try:
                message = child.control.recv(64)
            except ConnectionError:
                message = b""
            if message == READY:
                child.ready = True
                assert child.process is not None
                log.info("child-ready", role=child.role, pid=child.process.pid)
                if self._serving:
                    self._accept_again()
                if all(each.ready for each in self._children):
                    self._ready.set()
            elif message == CLOSED:
                child.connections -= 1
            elif not message:
                child.ready = False
                self._loop.remove_reader(child.control.fileno())

    async def _wait_until_ready(self) -> None:
        stop = asyncio.create_task(self._stop.wait())
        ready = asyncio.create_task(self._ready.wait())
        while not (stop.done() or ready.done()):
            await asyncio.wait({stop, ready}, return_when=asyncio.FIRST_COMPLETED, timeout=0.1)
            for child in self._children:
                assert child.process is not None
                if child.process.poll() is not None:
                    raise SettingsError(f"the {child.role} ended with status {child.process.returncode} at its start")
        for task in (stop, ready):
            task.cancel()

    def _accept_again(self) -> None:
        for listening in self._listening:
            self._loop.add_reader(listening.fileno(), self._accept, listening)

    def _accept(self, listening: socket.socket) -> None:
        """Hand a connection to the worker with the fewest, in turn among equals."""
        if not any(worker.ready for worker in self._workers):
            # Who connects while no worker is left waits in the backlog for the next one.
            for each in self._listening:
                self._loop.remove_reader(each.fileno())
            return
        try:
            connection, _ = listening.accept()
        except OSError:
            return
        with connection:
            self._turn += 1
            ready = [worker for worker in self._workers if worker.ready and worker.control is not None]
            ready.sort(key=lambda worker: worker.connections)
            fewest = [worker for worker in ready if worker.connections == ready[0].connections]
            turn = self._turn % len(fewest) if fewest else 0
            for worker in fewest[turn:] + fewest[:turn] + ready[len(fewest) :]:
                assert worker.control is not None
                try:
                    socket.send_fds(worker.control, [b"connection"], [connection.fileno()])
                except OSError:
                    continue  # it is busy or gone; the next one
                worker.connections += 1
                return

    def _revive(self) -> None:
        """Start again what has fallen over."""
        if self._store is not None and not self._store.alive:
            log.error("store-ended", pid=self._store.pid)
            self._store.start()
            log.info("store-restarted", pid=self._store.pid)
        for child in self._children:
            if child.process is None or child.process.poll() is None:
                continue
            if child.control is not None:
                log.error("child-ended", role=child.role, status=child.process.returncode)
                self._loop.remove_reader(child.control.fileno())
                child.close()
                child.ready = False
            if time.monotonic() - child.started_at >= RESTART_SECONDS:
                self._start(child)

    async def _end(self) -> None:
        """Stop accepting, let the workers answer what is in flight, then the recorder, then the store."""
        self._serving = False
        for listening in self._listening:
            self._loop.remove_reader(listening.fileno())
            listening.close()
        for listening in self._web_listening:
            listening.close()
        patience = self._settings.listen.drain_seconds + 10
        for children in (self._workers, [child for child in self._children if child not in self._workers]):
            await self._stop_children(children, patience)
        if self._store is not None:
            await asyncio.to_thread(self._store.stop)
        log.info("stopped")

    async def _stop_children(self, children: Sequence[Child], patience: float) -> None:
        processes = [child.process for child in children if child.process is not None]
        for process in processes:
            if process.poll() is None:
                process.terminate()
        deadline = time.monotonic() + patience
        while any(process.poll() is None for process in processes) and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        for process in processes:
            if process.poll() is None:
                process.kill()
                process.wait()
        for child in children:
            if child.control is not None:
                self._loop.remove_reader(child.control.fileno())
            child.close()


def _listen(section: str, host: str, port: int) -> list[socket.socket]:
    """Listening sockets on every address of ``host``, as ``section`` of the settings has it.

    Raises:
        SettingsError: the address cannot be had.
    """
    listening = []
    try:
        addresses = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, kind, protocol, _, address in addresses:
            one = socket.socket(family, kind, protocol)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            one.bind(address)
            one.listen(1024)
            one.setblocking(False)
            listening.append(one)
    except OSError as error:
        for one in listening:
            one.close()
        raise SettingsError(f"{section}.host = {host!r}, {section}.port = {port}: {error.strerror or error}") from error
    return listening


def serve(config: Path | None, announce: Callable[[str], None] = print, *, level: str | None = None) -> int:
    """Run the whole service in the foreground; of what happens, ``level`` and above is logged.

    Raises:
        SettingsError, ModelError, StoreError, RecordsError: it cannot be started; the message says why.
    """
    settings = read_settings(config)
    configure_logging(level, settings.logs.format)
    for warning in readable_by_others(config, settings):
        log.warning("readable-by-others", detail=warning)

    async def main() -> int:
        return await Supervisor(settings, config, announce).run()

    return uvloop.run(main())
