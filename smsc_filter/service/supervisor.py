"""The supervisor: owns the listening address, and looks after the children.

``serve`` is one supervisor with its children: the store, the workers that relay, the recorder that moves decisions
from the stream into SQL, and the web unless it is served elsewhere. The supervisor accepts connections and hands them
out itself (see ``handout``): with SO_REUSEPORT the kernel spreads them by a hash, which gave one of two workers three
of four. A child that falls over is started again and does not take the others along; one that does not answer any more
is ended and replaced. When the supervisor dies, its children end too: the kernel tells them, and so does the end of
their control channel.

Its loop never waits for a child, the store or a disk, so that whoever is well is served while another is not.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import orjson
import structlog
import uvloop

from smsc_filter.classifier.manifest import ModelError
from smsc_filter.classifier.scorer import Scorer
from smsc_filter.policy.rules import ProfileError
from smsc_filter.records.consents import owner_ids
from smsc_filter.records.database import damaged, sqlite_file
from smsc_filter.records.decisions import highest_id
from smsc_filter.records.errors import RecordsError
from smsc_filter.records.modes import make_private_folder
from smsc_filter.records.salvage import find_damage
from smsc_filter.relay.listener import TlsError, server_tls
from smsc_filter.service.addresses import FolderLock, bind_addresses, listen_on, raise_file_limit
from smsc_filter.service.build import embedded_store, load_rules, make_registry, model_folder
from smsc_filter.service.build_records import open_records
from smsc_filter.service.child import (
    ALARM,
    ALIVE,
    CLOSED,
    FULL,
    MOST_OCTETS,
    READY,
    RELOAD,
    STARTED,
    TAKEN,
    Child,
    Start,
)
from smsc_filter.service.handout import Handout
from smsc_filter.service.numbers import lease_node
from smsc_filter.settings import Settings, SettingsError, read_settings, readable_by_others, take_over
from smsc_filter.state.clock import time_anchor
from smsc_filter.state.embedded import StoreError
from smsc_filter.state.room import Room, room_in
from smsc_filter.telemetry import configure_logging
from smsc_filter.watch.alarm import Alarm, Kind

log = structlog.get_logger()

WATCH_SECONDS: Final = 0.1
"""How often the children are looked at."""

ROOM_SECONDS: Final = 1.0
"""How often the disk is looked at."""

STACK_SECONDS: Final = 1.0
"""Longest wait until a child that is stuck has said what it is at."""

DAMAGE_SECONDS: Final = 2.0
"""Longest look for damage in the records at the start: some 500 MB; ``doctor`` reads all of them."""

STORE_PAUSE_SECONDS: Final = 1.0
"""Rest before a store that ended, or did not start, is started again; doubled each time up to the longest."""

LONGEST_STORE_PAUSE_SECONDS: Final = 15.0

UNUSABLE: Final = (SettingsError, ProfileError, ModelError, TlsError, RecordsError, ValueError, KeyError, OSError)
"""What says that a configuration cannot be used."""

MOST_ALARMS: Final = 100
"""Alarms that wait for the recorder."""


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
        self._handout: Handout | None = None
        self._alarms: deque[Alarm] = deque(maxlen=MOST_ALARMS)
        self._room = Room(0, 0, "")
        self._ending: set[Child] = set()
        """Children that are being ended because they are stuck."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._reloading: asyncio.Task[None] | None = None
        self._looked_at = time.monotonic()
        self._stop = asyncio.Event()

    async def run(self) -> int:
        """Serve until SIGTERM or SIGINT; the exit status."""
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self._stop.set)
        self._loop.add_signal_handler(signal.SIGHUP, self._on_hangup)
        settings = self._settings
        make_private_folder(settings.data_dir)
        lock = FolderLock(settings.data_dir)
        try:
            # What can be wrong is found before anything is started.
            _look_for_damage(settings)
            owners = _check(settings)
            wait = settings.supervisor.address_wait
            self._listening = await bind_addresses("listen", settings.listen.host, settings.listen.port, wait)
            if settings.web.enabled:
                self._web_listening = await bind_addresses("web", settings.web.host, settings.web.port, wait)
                await listen_on("web", self._web_listening, wait)
            log.info("files-allowed", files=raise_file_limit())
            await self._serve(owners)
        finally:
            await self._end()
            lock.release()
        return 0

    async def _serve(self, owners: dict[str, int]) -> None:
        settings = self._settings
        url = settings.state.redis_url
        if self._store is not None:
            await self._or_stop(self._store.start_beside())
            url = self._store.url
            self._begin(self._keep_store())
        await self._or_stop(self._have_number(url))
        if self._stop.is_set():
            return
        settings = self._settings
        highest_ms = await asyncio.to_thread(_highest_ms, settings)
        start = Start(settings=settings, url=url, owners=owners, anchor=time_anchor(), highest_ms=highest_ms)
        self._workers = [Child("worker", replace(start, number=number)) for number in range(settings.listen.workers)]
        self._children = [Child("recorder", start), *self._workers]
        if self._web_listening:
            self._children.append(Child("web", start, self._web_listening))
        self._begin(self._watch_room())
        if self._stop.is_set():
            return
        for child in self._children:
            self._start(child)
        await self._or_stop(self._wait_until_ready())
        while not self._stop.is_set():
            self._look()
            for task in [task for task in self._tasks if task.done()]:
                self._tasks.discard(task)
                task.result()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), WATCH_SECONDS)

    async def _have_number(self, url: str) -> None:
        """Lease the number of this machine, as soon as the store answers."""
        while (numbered := await asyncio.to_thread(lease_node, self._settings, url)) is None:
            await asyncio.sleep(STORE_PAUSE_SECONDS)
        self._settings = numbered

    def _begin(self, coroutine: Coroutine[Any, Any, None]) -> None:
        self._tasks.add(self._loop.create_task(coroutine))

    async def _or_stop(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Await ``coroutine`` unless the service is stopped before."""
        task = self._loop.create_task(coroutine)
        stop = self._loop.create_task(self._stop.wait())
        await asyncio.wait({task, stop}, return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        if task.done():
            task.result()
        else:
            task.cancel()

    # Children.

    def _start(self, child: Child) -> None:
        child.run()
        assert child.control is not None
        self._loop.add_reader(child.control.fileno(), self._hear, child)

    def _hear(self, child: Child) -> None:
        """A child says how it is, or what became of a connection."""
        assert child.control is not None
        with contextlib.suppress(BlockingIOError):
            try:
                message = child.control.recv(64)
            except ConnectionError:
                message = b""
            match message:
                case b"":
                    child.ready = False
                    self._loop.remove_reader(child.control.fileno())
                case _ if message == ALIVE:
                    child.pulse.answered()
                case _ if message == CLOSED:
                    child.connections -= 1
                case _ if message == STARTED:
                    child.can_dump = True
                case _ if message == READY:
                    child.ready = True
                    log.info("child-ready", role=child.role, pid=child.pid)
                case _ if self._handout is not None and message == TAKEN:
                    self._handout.taken(child)
                case _ if self._handout is not None and message == FULL:
                    self._handout.full(child)

    async def _wait_until_ready(self) -> None:
        """Open the address once a worker can serve, and say so once everybody can."""
        settings = self._settings
        while not all(child.ready for child in self._children):
            for child in self._children:
                assert child.process is not None
                if child.process.poll() is not None:
                    raise SettingsError(f"the {child.role} ended with status {child.process.returncode} at its start")
            if self._handout is None and any(worker.ready for worker in self._workers):
                await self._open()
            await asyncio.sleep(0.02)
        if self._handout is None:
            await self._open()
        host, port = self._listening[0].getsockname()[:2]
        log.info("serving", host=host, port=port, workers=len(self._workers), mode=settings.policy.mode)
        self._announce(f"listening on {host}:{port}")
        if self._web_listening:
            host, port = self._web_listening[0].getsockname()[:2]
            log.info("serving-web", host=host, port=port)
            self._announce(f"web on http://{host}:{port}")

    async def _open(self) -> None:
        await listen_on("listen", self._listening, self._settings.supervisor.address_wait)
        self._handout = Handout(self._listening, self._workers)
        self._handout.turn()

    def _look(self) -> None:
        """Start again what has fallen over, end what is stuck, hand over connections and alarms that wait."""
        now = time.monotonic()
        elapsed, self._looked_at = now - self._looked_at, now
        for child in self._children:
            if child.process is None:
                continue
            if child.process.poll() is not None:
                self._replace(child)
            elif child not in self._ending and (trouble := child.look(elapsed)):
                self._ending.add(child)
                self._begin(self._end_stuck(child, trouble))
        if self._handout is not None:
            self._handout.turn()
        self._tell_alarms()

    def _replace(self, child: Child) -> None:
        """Start a child that has ended again, not too often."""
        assert child.process is not None
        if child.control is not None:
            if child.replaced:
                log.info("child-replaced", role=child.role, status=child.process.returncode)
            else:
                log.error("child-ended", role=child.role, status=child.process.returncode)
            self._loop.remove_reader(child.control.fileno())
            child.forget()
            if self._handout is not None:
                self._handout.ended(child)
        if time.monotonic() >= child.restart_at:
            try:
                self._start(child)
            except OSError as error:
                # No memory or no process left for it now.
                log.error("child-not-started", role=child.role, error=error.strerror)
                child.restart_at = time.monotonic() + STORE_PAUSE_SECONDS

    async def _end_stuck(self, child: Child, trouble: str) -> None:
        """End a child that is stuck, and say what it was at."""
        assert child.process is not None
        process = child.process
        at = await child.places(STACK_SECONDS)
        process.kill()
        while process.poll() is None:
            await asyncio.sleep(0.02)
        self._ending.discard(child)
        log.error("child-stuck", role=child.role, number=child.start.number, pid=process.pid, trouble=trouble, at=at)
        where = f"; it was at {at[0]}" if at else ""
        self.alarm(
            Alarm(
                kind=Kind.PROCESS_STUCK,
                subject=f"process {child.name}",
                severity="critical",
                sentence=f"the {child.name} {trouble} and was ended and replaced{where}",
                evidence={"pid": process.pid, "at": at},
            )
        )

    # The store and its disk.

    async def _keep_store(self) -> None:
        """Start the store again whenever it ends, as soon as there is room for it."""
        assert self._store is not None
        pause = STORE_PAUSE_SECONDS
        while True:
            started = time.monotonic()
            while self._store.alive:
                await asyncio.sleep(WATCH_SECONDS)
            log.error("store-ended", pid=self._store.pid, room=self._room.trouble or "enough")
            if time.monotonic() - started > LONGEST_STORE_PAUSE_SECONDS:
                pause = 0.0
            while not self._store.alive:
                await asyncio.sleep(pause)
                pause = min(max(STORE_PAUSE_SECONDS, 2 * pause), LONGEST_STORE_PAUSE_SECONDS)
                await self._look_for_room()
                while self._room.trouble:
                    await asyncio.sleep(ROOM_SECONDS)
                try:
                    await self._store.start_beside()
                except StoreError as error:
                    log.error("store-not-started", detail=str(error), again_seconds=pause)
                    self.alarm(
                        Alarm(
                            kind=Kind.STORE_TROUBLE,
                            subject="store process",
                            severity="critical",
                            sentence=f"{error}; it is tried again, and messages are refused meanwhile",
                        )
                    )
            log.info("store-restarted", pid=self._store.pid)

    async def _watch_room(self) -> None:
        """Look at the disk of the data folder, now and then."""
        while self._settings.state.min_free_mb:
            await self._look_for_room()
            await asyncio.sleep(ROOM_SECONDS)

    async def _look_for_room(self) -> None:
        settings = self._settings
        if not settings.state.min_free_mb:
            return
        try:
            room = await asyncio.to_thread(room_in, settings.data_dir, settings.state.min_free_mb)
        except OSError as error:
            room = Room(0, 0, f"the disk of data_dir: {error.strerror}")
        before, self._room = self._room, room
        if room.trouble and not before.trouble:
            log.error("no-room", detail=room.trouble, free_mb=round(room.free_mb, 1), least_mb=round(room.least_mb, 1))
            self.alarm(
                Alarm(
                    kind=Kind.DISK_LOW,
                    subject="disk of data_dir",
                    severity="critical",
                    sentence=f"{room.trouble}; binds are refused with a retryable status until there is room",
                    evidence={"free_mb": round(room.free_mb, 1), "least_mb": round(room.least_mb, 1)},
                )
            )
        elif before.trouble and not room.trouble:
            log.info("room-again", free_mb=round(room.free_mb, 1), least_mb=round(room.least_mb, 1))

    # Alarms.

    def alarm(self, alarm: Alarm) -> None:
        """Have the recorder raise an alarm, as soon as there is one that can."""
        self._alarms.append(alarm)
        self._tell_alarms()

    def _tell_alarms(self) -> None:
        recorder = self._children[0] if self._children else None
        while self._alarms and recorder is not None and recorder.ready and not recorder.pulse.silent:
            octets = ALARM + orjson.dumps(_as_json(self._alarms[0]))
            if len(octets) < MOST_OCTETS and not recorder.say(octets):
                return
            self._alarms.popleft()

    # The configuration, read anew.

    def _on_hangup(self) -> None:
        if self._reloading is not None and not self._reloading.done():
            # Another one follows at once, with what is in the file by then.
            self._reloading.add_done_callback(lambda _: self._on_hangup())
            return
        if self._stop.is_set() or not self._children:
            log.warning("reload-refused", detail="the service is not serving; nothing was changed")
            return
        self._reloading = self._loop.create_task(self._reload())

    async def _reload(self) -> None:
        """Take over what the configuration says now; one that cannot be used changes nothing."""
        try:
            settings, changed, later = await asyncio.to_thread(self._read_anew)
            owners = await asyncio.to_thread(_check, settings)
        except UNUSABLE as error:
            log.error("reload-refused", detail=str(error))
            return
        if later:
            log.warning("restart-needed", keys=later, detail="their change is not in force before a restart")
        self._settings = settings
        for child in self._children:
            child.start = replace(child.start, settings=settings, owners=owners)
            if child.control is None or child.process is None:
                continue
            if child.role == "worker":
                # Also where no key changed: lists and certificates are files of their own.
                child.tell_settings(RELOAD)
            elif changed or settings.policy.prohibited_file:
                # They hold no binds: anew is simplest.
                child.replaced = True
                child.process.terminate()
        log.info("reloaded", changed=changed, restart_needed=later)

    def _read_anew(self) -> tuple[Settings, list[str], list[str]]:
        fresh = read_settings(self._config)
        return take_over(self._settings, replace(fresh, node=self._settings.node) if fresh.node < 0 else fresh)

    # The end.

    async def _end(self) -> None:
        """Stop accepting, let the workers answer what is in flight, then the recorder, then the store."""
        self._stop.set()
        for task in (*self._tasks, *([self._reloading] if self._reloading is not None else [])):
            task.cancel()
        if self._handout is not None:
            self._handout.close()
        for listening in (*self._listening, *self._web_listening):
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
            child.forget()


def _check(settings: Settings) -> dict[str, int]:
    """Load whatever a child would fall over if it were wrong; the ids of owners.

    Raises:
        SettingsError, ModelError, TlsError, RecordsError: it cannot be served; the message says why.
    """
    scorer = Scorer.load(model_folder(settings))
    load_rules(settings, scorer)
    make_registry(settings)
    server_tls(settings.listen)
    engine = open_records(settings)
    try:
        return owner_ids(engine, settings.owners)
    finally:
        engine.dispose()


def _look_for_damage(settings: Settings) -> None:
    """Read through the file of records, as far as that takes no longer than ``DAMAGE_SECONDS``.

    Raises:
        SqlDamaged: it is damaged.
    """
    path = sqlite_file(settings.records.database_url, settings.data_dir)
    if path is not None and path.exists():
        try:
            found = find_damage(path, DAMAGE_SECONDS)
        except sqlite3.Error as error:
            log.warning("records-not-read-through", detail=str(error))
            return
        if found:
            raise damaged(str(path), found[0])


def _highest_ms(settings: Settings) -> int:
    engine = open_records(settings)
    try:
        return highest_id(engine) >> 20
    finally:
        engine.dispose()


def _as_json(alarm: Alarm) -> dict[str, object]:
    return {
        "kind": alarm.kind.value,
        "subject": alarm.subject,
        "severity": alarm.severity,
        "sentence": alarm.sentence,
        "evidence": dict(alarm.evidence),
    }


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
