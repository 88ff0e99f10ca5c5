"""10,000 consent events while writers, recorder and store are killed at random moments."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path

import redis
import redis.asyncio
from sqlalchemy import Engine, select

from smsc_filter.policy import consent as machine
from smsc_filter.policy.facts import ConsentState
from smsc_filter.records.consents import owner_ids
from smsc_filter.records.database import open_database
from smsc_filter.records.mover import Mover
from smsc_filter.records.tables import consent_events
from smsc_filter.records.tables import outbox as outbox_table
from smsc_filter.records.verify import verify_events
from smsc_filter.service.projector import Projector
from smsc_filter.state import keys
from smsc_filter.state.embedded import EmbeddedStore
from smsc_filter.state.stream import DecisionStream
from tests.records.helpers import count
from tests.records.hot_state import dump

from .consent_process import EVENTS, OWNERS, PARTITIONS, REPLIES, REPLY_SECONDS, replied, written

ROOT = Path(__file__).parents[2]
LIMIT_SECONDS = 240
KILL_EVERY = 170
"""Somebody is killed after so many more things done, on average: by progress and not by the clock, or a busy machine
would never get anywhere."""


class Killable:
    """One process, begun again behind what it has said to be done."""

    def __init__(self, role: str, data_dir: Path, url: str) -> None:
        self._command = [sys.executable, "-m", "tests.faults.consent_process", role, str(data_dir), url]
        self.done = 0
        self.killed = 0
        self.finished = False
        self._start()

    def _start(self) -> None:
        self.at_work = False
        command = [*self._command, str(self.done)]
        self._process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        self._listener = threading.Thread(target=self._listen)
        self._listener.start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.at_work = True
            if line.endswith("\n") and line.strip().isdigit():  # else it was killed within the line
                self.done = int(line) + 1

    def kill(self) -> None:
        self._process.kill()
        self._reap()

    def kill_and_restart(self) -> None:
        # One that is still importing has no step to be killed between, and on a busy machine would never come to one.
        if not self.look() and self.at_work:
            self.kill()
            self.killed += 1
            self._start()

    def look(self) -> bool:
        """Whether it has done everything."""
        if not self.finished and self._process.poll() is not None:
            status = self._process.returncode
            self._reap()
            assert status == 0, f"{self._command[3]} ended with status {status}"
            self.finished = True
        return self.finished

    def _reap(self) -> None:
        self._process.wait()
        self._listener.join()
        assert self._process.stdout is not None
        self._process.stdout.close()


@contextmanager
def killable(role: str, data_dir: Path, url: str) -> Iterator[Killable]:
    process = Killable(role, data_dir, url)
    try:
        yield process
    finally:
        if not process.finished:
            process.kill()


def consents_by_the_events(engine: Engine) -> dict[bytes, bytes]:
    """What the hot state has to hold, reckoned from SQL event by event, by nothing the projector uses but ``fold``."""
    row = consent_events.c
    expected = {}
    with engine.connect() as connection:
        events = connection.execute(select(consent_events).order_by(row.recipient, row.owner_id)).all()
    for (recipient, owner_id), group in groupby(events, lambda event: (event.recipient, event.owner_id)):
        told = [
            machine.recorded_event(each.event, each.event_at_ms, each.received_at_ms, each.expires_at_ms, each.topic)
            for each in group
        ]
        for topic in {None, *(each.topic for each in told)}:
            speaking = [each for each in told if each.topic in (None, topic)]
            status = machine.fold(speaking, reply_seconds=REPLY_SECONDS, now=time.time())
            if status.state is not ConsentState.NONE:
                expected[keys.consent_field(owner_id, recipient, topic)] = keys.pack_consent(status)
    return expected


def loaded(client: redis.Redis) -> None:
    """Wait until a store that was killed has read its file again."""
    deadline = time.monotonic() + 30
    while True:
        try:
            client.ping()
        except (redis.exceptions.BusyLoadingError, redis.exceptions.ConnectionError):
            assert time.monotonic() < deadline, "the store does not come back"
            time.sleep(0.01)
        else:
            return


def victims_are_safe(client: redis.Redis, acknowledged: int) -> None:
    """Whoever withdrew last is withdrawn, whatever is projected at this moment."""
    for reply in replied()[:acknowledged:30]:
        field = keys.consent_field(1, reply.recipient)
        value = client.hget(keys.consent_key(keys.partition_of(reply.recipient, PARTITIONS), field), field)  # type: ignore[arg-type]
        assert value == b"3", f"{reply.recipient} withdrew, and the hot state holds {value!r}"


def test_killed_at_any_moment_no_acknowledged_withdrawal_is_lost_and_the_projection_is_what_sql_says(
    tmp_path: Path,
) -> None:
    """CN-03: kill -9 of writer, recorder, replying worker and Valkey, between any two of their steps."""
    chance = random.Random()
    engine = open_database("", tmp_path)
    assert owner_ids(engine, OWNERS[:1]) == {OWNERS[0]: 1}
    deadline = time.monotonic() + LIMIT_SECONDS
    store_kills = 0
    with tempfile.TemporaryDirectory(prefix="killed-") as folder:
        store = EmbeddedStore(Path(folder) / "state")
        store.start()
        client = redis.Redis.from_url(store.url)
        try:
            with (
                killable("recorder", tmp_path, store.url) as recorder,
                killable("writer", tmp_path, store.url) as writer,
                killable("replier", tmp_path, store.url) as replier,
            ):
                due = 0
                while not (writer.look() and replier.look()):
                    assert time.monotonic() < deadline, "not done in time"
                    time.sleep(chance.uniform(0.001, 0.05))
                    if writer.done + replier.done < due:
                        continue
                    due = writer.done + replier.done + chance.randrange(2 * KILL_EVERY)
                    victim = chance.choice((recorder, recorder, writer, replier, None))
                    if victim is not None:
                        victim.kill_and_restart()
                    else:
                        assert store.pid is not None
                        os.kill(store.pid, signal.SIGKILL)
                        while store.alive:
                            time.sleep(0.001)
                        store.start()
                        loaded(client)
                        store_kills += 1
                    victims_are_safe(client, replier.done)
            finish(engine, store.url, client)
            assert recorder.killed + writer.killed + replier.killed + store_kills >= 5
            held = dump(client, PARTITIONS)
            assert held == consents_by_the_events(engine)
            assert [client.hlen(keys.fresh_key(each)) for each in range(PARTITIONS)] == [0] * PARTITIONS
            victims_are_safe(client, REPLIES)
        finally:
            client.close()
            store.stop()
    row = consent_events.c
    with engine.connect() as connection:
        references = connection.execute(select(row.reference)).scalars().all()
    assert len(references) >= EVENTS + REPLIES
    told = {event.reference for events in written() for event in events} | {each.reference for each in replied()}
    assert set(references) == told
    # What the writer commits is there once. A reply whose acknowledgement was lost may be there again, a
    # millisecond later: the worker sends it once more and the store keeps times apart.
    assert len([each for each in references if each.startswith("written")]) == EVENTS
    assert count(engine, outbox_table) == 0
    assert verify_events(engine).problems == []
    engine.dispose()


def finish(engine: Engine, url: str, client: redis.Redis) -> None:
    """What a recorder would do next."""

    async def move() -> None:
        async with redis.asyncio.Redis.from_url(url) as source:
            for partition in range(PARTITIONS):
                await Mover(engine, DecisionStream(source, partition)).drain()

    asyncio.run(move())
    projector = Projector(engine, client, PARTITIONS, REPLY_SECONDS)
    assert not projector.heal()  # nothing was lost
    projector.apply()
