"""Accepts connections and hands each to the worker with the fewest, in turn among equals.

The supervisor keeps a connection until its worker has said that it took it. One that a worker could not take, or died
with before it had read from it, goes to the next. What nobody can take now stays in the backlog of the kernel.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import time
from collections import deque
from collections.abc import Sequence
from typing import Final

import structlog

from smsc_filter.service.child import CONNECTION, Child

log = structlog.get_logger()

PAUSE_SECONDS: Final = 0.25
"""Rest after a connection could not be accepted or handed over."""

LOG_SECONDS: Final = 30.0
SILENT_SECONDS: Final = 1.0
"""A worker that has owed an answer so long gets a connection only where no other can."""

MOST_HANDED: Final = 256
"""Connections a worker has not yet taken, at most."""

_EXHAUSTED: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Handout:
    """Hands the connections of listening sockets to workers."""

    def __init__(self, listening: Sequence[socket.socket], workers: Sequence[Child]) -> None:
        """Accept on ``listening``, for ``workers``, in the running loop."""
        self._listening = listening
        self._workers = workers
        self._loop = asyncio.get_running_loop()
        self._unplaced: deque[socket.socket] = deque()
        self._accepting = False
        self._rest_until = 0.0
        self._logged_at = -LOG_SECONDS
        self._turn = 0
        self.closed = False

    def turn(self) -> None:
        """Accept while there is a worker to take connections, and hand over those that wait."""
        if self.closed or time.monotonic() < self._rest_until:
            return
        while self._unplaced and self._place(self._unplaced[0]):
            self._unplaced.popleft()
        able = not self._unplaced and any(worker.ready for worker in self._workers)
        if able != self._accepting:
            self._accept_again() if able else self._pause(0.0)

    def taken(self, worker: Child) -> None:
        """A worker serves the oldest of its connections."""
        if worker.handed:
            worker.handed.popleft().close()

    def full(self, worker: Child) -> None:
        """A worker could not take the oldest of its connections."""
        if worker.handed:
            self._unplaced.append(worker.handed.popleft())
            worker.connections -= 1
        worker.full_until = time.monotonic() + PAUSE_SECONDS
        self._say("worker-full", role=worker.name)

    def ended(self, worker: Child) -> None:
        """A worker has ended: what it had not taken is for others."""
        self._unplaced.extend(worker.handed)
        worker.handed.clear()
        worker.full_until = 0.0

    def close(self) -> None:
        """Accept no more."""
        self.closed = True
        self._pause(0.0)
        for worker in self._workers:
            self.ended(worker)
        for each in (*self._listening, *self._unplaced):
            each.close()
        self._unplaced.clear()

    def _accept_again(self) -> None:
        self._accepting = True
        for listening in self._listening:
            self._loop.add_reader(listening.fileno(), self._accept, listening)

    def _pause(self, seconds: float) -> None:
        self._rest_until = time.monotonic() + seconds
        if self._accepting:
            self._accepting = False
            for listening in self._listening:
                self._loop.remove_reader(listening.fileno())

    def _accept(self, listening: socket.socket) -> None:
        if not any(worker.ready for worker in self._workers):
            # Who connects while no worker is left waits in the backlog for the next one.
            self._pause(0.0)
            return
        try:
            connection, _ = listening.accept()
        except OSError as error:
            if error.errno in _EXHAUSTED:
                # It stays in the backlog; to be told of it at every turn would only take the processor as well.
                self._pause(PAUSE_SECONDS)
                self._say("accept-paused", error=error.strerror)
            return
        if not self._place(connection):
            self._unplaced.append(connection)
            self._pause(PAUSE_SECONDS)

    def _place(self, connection: socket.socket) -> bool:
        """Hand ``connection`` to a worker; whether one could be found."""
        now = time.monotonic()
        self._turn += 1
        able = [
            worker
            for worker in self._workers
            if worker.ready
            and worker.control is not None
            and now >= worker.full_until
            and len(worker.handed) < MOST_HANDED
        ]
        able.sort(key=_load)
        fewest = [worker for worker in able if _load(worker) == _load(able[0])]
        turn = self._turn % len(fewest) if fewest else 0
        for worker in fewest[turn:] + fewest[:turn] + able[len(fewest) :]:
            assert worker.control is not None
            try:
                socket.send_fds(worker.control, [CONNECTION], [connection.fileno()])
            except OSError:
                continue  # it is busy or gone; the next one
            worker.connections += 1
            worker.handed.append(connection)
            return True
        return False

    def _say(self, event: str, **fields: object) -> None:
        now = time.monotonic()
        if now - self._logged_at >= LOG_SECONDS:
            self._logged_at = now
            log.warning(event, **fields)


def _load(worker: Child) -> tuple[bool, int]:
    """By which workers are compared: the least gets the next connection."""
    return worker.pulse.silent > SILENT_SECONDS, worker.connections
