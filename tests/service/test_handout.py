"""Which worker gets a connection, and that none is lost when it cannot take it."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any, cast

import pytest

from smsc_filter.service import handout
from smsc_filter.service.child import CONNECTION, Child, Start
from smsc_filter.service.handout import Handout
from smsc_filter.settings import Settings

START = Start(settings=Settings(), url="", owners={}, anchor=0.0)


class Rig:
    """A listening socket, workers that are only channels, and clients."""

    def __init__(self, stack: ExitStack, workers: int = 2) -> None:
        self.stack = stack
        self.listening = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        self.listening.setblocking(False)
        self.workers = [Child("worker", START) for _ in range(workers)]
        self.ends = [self.connect_worker(worker) for worker in self.workers]
        self.handout = Handout([self.listening], self.workers)
        stack.callback(self.handout.close)

    def connect_worker(self, worker: Child) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        theirs.setblocking(False)
        self.stack.enter_context(ours)
        worker.control, worker.ready = ours, True
        return self.stack.enter_context(theirs)

    def connect(self) -> socket.socket:
        return self.stack.enter_context(socket.create_connection(self.listening.getsockname(), timeout=5))

    def taken(self, number: int) -> list[socket.socket]:
        """The connections that worker ``number`` finds in its channel."""
        found = []
        while True:
            try:
                message, descriptors, _, _ = socket.recv_fds(self.ends[number], 64, 4)
            except BlockingIOError:
                return found
            assert message == CONNECTION
            found += [self.stack.enter_context(socket.socket(fileno=descriptor)) for descriptor in descriptors]


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


async def settle() -> None:
    await asyncio.sleep(0.02)


def test_what_a_worker_had_not_taken_when_it_died_goes_to_another(stack: ExitStack) -> None:
    async def run() -> None:
        rig = Rig(stack)
        rig.handout.turn()
        clients = [rig.connect() for _ in range(4)]
        await settle()
        assert [len(worker.handed) for worker in rig.workers] == [2, 2]
        rig.handout.taken(rig.workers[0])
        clients[0].sendall(b"hello")
        rig.ends[0].close()
        rig.workers[0].ready = False
        rig.handout.ended(rig.workers[0])
        rig.handout.turn()
        assert len(rig.taken(1)) == 3
        assert rig.workers[1].connections == 3

    asyncio.run(run())


def test_without_a_worker_connections_wait_in_the_backlog(stack: ExitStack) -> None:
    async def run() -> None:
        rig = Rig(stack, workers=1)
        rig.workers[0].ready = False
        rig.handout.turn()
        client = rig.connect()
        client.sendall(b"hello")
        await settle()
        assert not rig.workers[0].handed
        rig.workers[0].ready = True
        rig.handout.turn()
        await settle()
        (served,) = rig.taken(0)
        assert served.recv(5) == b"hello"

    asyncio.run(run())


def test_a_worker_that_is_full_gives_its_connection_back(stack: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handout, "PAUSE_SECONDS", 60.0)

    async def run() -> None:
        rig = Rig(stack)
        rig.workers[1].connections = 5
        rig.handout.turn()
        rig.connect()
        await settle()
        assert len(rig.taken(0)) == 1
        rig.handout.full(rig.workers[0])
        rig.handout.turn()
        assert len(rig.taken(1)) == 1
        assert [worker.connections for worker in rig.workers] == [0, 6]

    asyncio.run(run())


def test_a_silent_worker_gets_a_connection_only_where_no_other_can(stack: ExitStack) -> None:
    async def run() -> None:
        rig = Rig(stack)
        rig.workers[0].pulse.silent = 3.0
        rig.handout.turn()
        for _ in range(3):
            rig.connect()
        await settle()
        assert [len(rig.taken(number)) for number in (0, 1)] == [0, 3]

    asyncio.run(run())


@pytest.mark.parametrize("error", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM])
def test_without_descriptors_it_rests_and_the_connection_stays_in_the_backlog(stack: ExitStack, error: int) -> None:
    async def run() -> None:
        rig = Rig(stack, workers=1)
        tries = []

        def accept() -> Any:
            tries.append(1)
            raise OSError(error, os.strerror(error))

        ours = SimpleNamespace(fileno=rig.listening.fileno, accept=accept, close=lambda: None)
        rig.handout._listening = [cast(socket.socket, ours)]
        rig.handout.turn()
        rig.connect()
        await asyncio.sleep(0.1)
        assert len(tries) == 1
        rig.handout._listening = [rig.listening]
        rig.handout._rest_until = 0.0
        rig.handout.turn()
        await settle()
        assert len(rig.taken(0)) == 1

    asyncio.run(run())
