"""The early warning within the recorder: the watcher beside the movers, and the desk its alarms go to."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

import orjson
import structlog
from redis import Redis
from sqlalchemy import Engine

from smsc_filter.policy.identity import Registry
from smsc_filter.policy.record import DecisionRow, OutcomeRow
from smsc_filter.policy.rules import read_profile
from smsc_filter.records.alarms import decisions_after, read_checkpoint, write_checkpoint
from smsc_filter.records.errors import RecordsError, SqlDamaged
from smsc_filter.service.telling import Telling
from smsc_filter.settings import Settings
from smsc_filter.watch.alarm import Alarm, Kind
from smsc_filter.watch.desk import AlarmDesk
from smsc_filter.watch.locks import Locks
from smsc_filter.watch.watcher import VERSION, Watcher, WindowsOf

log = structlog.get_logger()

LOOK_SECONDS: Final = 1.0
CHECKPOINT_SECONDS: Final = 30.0

CATCH_UP_ROWS: Final = 5_000
MOST_CATCH_UP: Final = 1_000_000
"""Decisions made since the checkpoint that are looked at again: what half a minute at full load leaves, and more."""

DAMAGED: Final = "records file"

MOST_REPORTED: Final = 1_000
"""Alarms of other processes that wait to be raised."""


def windows_from(settings: Settings) -> WindowsOf:
    """The caps a sender may know, from the configuration."""
    registry = Registry(settings.registered(read_profile(settings.policy.profile)), settings.numbers)

    def windows_of(owner: str, source: str) -> list[tuple[int, int]]:
        sender = registry.find(owner, source.encode("latin-1", "replace"), 0)
        return [(window.seconds, window.cap) for window in sender.windows] if sender is not None else []

    return windows_of


def damage_alarm(sentence: str) -> Alarm:
    """That a file of records is damaged, as ``sentence`` has it; in the log too, since the desk may write nowhere."""
    log.error("records-damaged", detail=sentence)
    return Alarm(kind=Kind.RECORDS_TROUBLE, subject=DAMAGED, severity="critical", sentence=sentence)


class Watching:
    """Watches what the movers commit."""

    def __init__(
        self,
        settings: Settings,
        engine: Engine,
        writer: Redis,
        also: Callable[[float], list[Alarm]] = lambda _now: [],
    ) -> None:
        """Watch by ``settings``, keep what comes of it in ``engine``, and have people told by ``writer``.

        What ``also`` finds is told as well.
        """
        profile = read_profile(settings.policy.profile)
        self._also = also
        self._engine = engine
        self.watcher = Watcher(settings.watch, windows_from(settings))
        self.desk = AlarmDesk(engine, settings.watch, settings.data_dir)
        self._locks = Locks(engine, profile.locks, profile.measures.article, time.time)
        self._telling = Telling(settings, engine, writer, time.time)
        self._saved = -1
        self._reported: deque[Alarm] = deque(maxlen=MOST_REPORTED)

    def report(self, octets: bytes) -> None:
        """Have an alarm raised that another process found, given as JSON."""
        values = orjson.loads(octets)
        self._reported.append(Alarm(**values | {"kind": Kind(values["kind"])}))

    def on_damage(self, sentence: str) -> None:
        """Have it raised that the records are damaged."""
        if not any(alarm.subject == DAMAGED for alarm in self._reported):
            self._reported.append(damage_alarm(sentence))

    def on_committed(self, decisions: Sequence[DecisionRow], outcomes: Sequence[OutcomeRow]) -> None:
        """See rows that were just committed; called in the movers' threads."""
        try:
            self.watcher.observe(decisions)
            self.watcher.observe_outcomes(outcomes)
        except Exception:
            # Whatever it is: records of law do not wait for statistics about them.
            log.exception("watcher-failed")

    async def run(self) -> None:
        """Look every second, until cancelled."""
        await asyncio.to_thread(self._resume)
        beside = [asyncio.create_task(self.desk.deliver()), asyncio.create_task(self._telling.run())]
        try:
            checkpoint_at = time.monotonic() + CHECKPOINT_SECONDS
            while True:
                await asyncio.sleep(LOOK_SECONDS)
                if await asyncio.to_thread(self._look):
                    self.desk.wake()
                if time.monotonic() >= checkpoint_at:
                    checkpoint_at = time.monotonic() + CHECKPOINT_SECONDS
                    await asyncio.to_thread(self._save)
        finally:
            for task in beside:
                task.cancel()
            self._look()
            self._save()
            self.desk.close()

    def _look(self) -> int:
        """Take what is to be told to the desk; how much of it is new."""
        try:
            now = time.time()
            reported = [self._reported.popleft() for _ in range(len(self._reported))]
            new = len(self.desk.take(reported)) if reported else 0
            self._locks.take(self.watcher.take_offenders())
            return new + len(self.desk.take([*self.watcher.look(now), *self._also(now)]))
        except SqlDamaged as error:
            return len(self.desk.take([damage_alarm(str(error))]))
        except Exception:
            log.exception("watcher-failed")
            return 0

    def _resume(self) -> None:
        """Take over what an earlier process knew, and look at what was decided since."""
        try:
            self.desk.restore()
            body = read_checkpoint(self._engine, VERSION)
            if body is None:
                return
            self.watcher.restore(body)
            after = self.watcher.last_decision_id
            for _ in range(MOST_CATCH_UP // CATCH_UP_ROWS):
                rows = decisions_after(self._engine, after, CATCH_UP_ROWS)
                if not rows:
                    break
                self.watcher.observe([_decision(row) for row in rows])
                after = rows[-1][0]
        except (RecordsError, ValueError) as error:
            log.warning("watcher-starts-anew", error=str(error))

    def _save(self) -> None:
        if self.watcher.observed == self._saved:
            return
        try:
            body = self.watcher.to_bytes()
            write_checkpoint(self._engine, body, VERSION, self.watcher.last_decision_id, time.time())
            self._saved = self.watcher.observed
        except RecordsError as error:
            log.warning("watcher-not-saved", error=str(error))


def _decision(row: tuple[object, ...]) -> DecisionRow:
    return row  # type: ignore[return-value]  # the columns are in the order of the record
