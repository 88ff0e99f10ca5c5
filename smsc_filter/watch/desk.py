"""Sees that alarms are heard: on record, in a file, and posted, each new one once.

An alarm is written to the file first, since that works while the database does not. What is to be posted is on record
as due and is tried until the receiver has taken it, over restarts too; so an alarm is posted at least once.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

import orjson
import structlog
from sqlalchemy import Engine

from smsc_filter.records.alarms import AlarmRecord, add_alarm, alarms_since, count_alarms, due_alarms, note_delivery
from smsc_filter.records.errors import RecordsError
from smsc_filter.watch.alarm import Alarm, AlarmBook, Kind, Raised
from smsc_filter.watch.settings import WatchSettings
from smsc_filter.watch.webhook import Webhook, pause_after

log = structlog.get_logger()

IDLE_SECONDS: Final = 1.0
"""Longest wait until what is due is looked for again."""

MOST_WAITING: Final = 10_000
"""New alarms kept while the database does not answer; the oldest are in the file alone."""


class AlarmDesk:
    """Where alarms arrive."""

    def __init__(
        self, engine: Engine, settings: WatchSettings, data_dir: Path, clock: Callable[[], float] = time.time
    ) -> None:
        """Keep alarms in ``engine``; times are ``clock()`` in seconds since the epoch."""
        self._engine = engine
        self._settings = settings
        self._clock = clock
        self._path = data_dir / settings.file if settings.file else None
        self._book = AlarmBook(settings.quiet_seconds)
        self._webhook = (
            Webhook(settings.webhook_url, settings.webhook_secret, settings.webhook_timeout)
            if settings.webhook_url
            else None
        )
        self._waiting: list[Raised] = []
        self._counted: dict[int, Raised] = {}
        self._wake = asyncio.Event()
        self.raised: Counter[str] = Counter()
        """New alarms by kind, since the start."""

    def restore(self) -> None:
        """Remember what an earlier process told, so that it is not told again."""
        for record in alarms_since(self._engine, self._clock() - self._settings.quiet_seconds):
            alarm = Alarm(
                kind=Kind(record.kind),
                subject=record.subject,
                severity=record.severity,
                sentence=record.sentence,
                evidence=record.evidence,
            )
            self._book.restore(Raised(alarm, record.first_at, record.last_at, record.count, record.id))

    def take(self, alarms: Iterable[Alarm]) -> list[Raised]:
        """Count alarms, and put the new ones, which are returned, into the file and on record."""
        now = self._clock()
        new = []
        for alarm in alarms:
            raised, is_new = self._book.take(alarm, now)
            if is_new:
                self.raised[alarm.kind] += 1
                log.warning("alarm", kind=alarm.kind.value, severity=alarm.severity)
                new.append(raised)
            elif raised.id is not None:
                self._counted[raised.id] = raised
        self._write_file(new)
        self._waiting = (self._waiting + new)[-MOST_WAITING:]
        self._record()
        return new

    def _write_file(self, new: Iterable[Raised]) -> None:
        if self._path is None:
            return
        lines = b"".join(_line(raised) for raised in new)
        if not lines:
            return
        try:
            with self._path.open("ab") as file:
                file.write(lines)
        except OSError as error:
            log.error("alarm-file-failed", file=self._path.name, error=error.strerror)

    def _record(self) -> None:
        """Put on record what is not yet; what the database does not take now waits."""
        try:
            while self._waiting:
                raised = self._waiting[0]
                alarm = raised.alarm
                record = add_alarm(
                    self._engine,
                    key=alarm.key,
                    kind=alarm.kind,
                    severity=alarm.severity,
                    subject=alarm.subject,
                    sentence=alarm.sentence,
                    evidence=alarm.evidence,
                    at=raised.first_at,
                    webhook=self._webhook is not None,
                )
                raised.id = record.id
                del self._waiting[0]
            if self._counted:
                count_alarms(self._engine, {id_: (each.count, each.last_at) for id_, each in self._counted.items()})
                self._counted.clear()
        except RecordsError as error:
            log.error("alarms-wait", waiting=len(self._waiting), error=str(error))

    def wake(self) -> None:
        """Look at once for what is due; call it from the loop that runs ``deliver``."""
        self._wake.set()

    async def deliver(self) -> None:
        """Post what is due, until cancelled."""
        if self._webhook is None:
            return
        while True:
            try:
                await asyncio.to_thread(self.deliver_due)
            except RecordsError as error:
                log.error("alarms-undelivered", error=str(error))
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), IDLE_SECONDS)
            self._wake.clear()

    def deliver_due(self) -> int:
        """Post what is due now; how many the receiver took."""
        assert self._webhook is not None
        taken = 0
        for record in due_alarms(self._engine, self._clock()):
            trouble = self._webhook.post(record, self._clock())
            taken += not trouble
            self._note(record, trouble)
            if trouble:
                break  # the others would wait for the same receiver, one time limit each
        return taken

    def _note(self, record: AlarmRecord, trouble: str) -> None:
        tries, now = record.tries + 1, self._clock()
        if not trouble:
            note_delivery(self._engine, record.id, "sent", tries, now)
        elif tries >= self._settings.webhook_tries:
            log.error("alarm-given-up", alarm=record.id, tries=tries, trouble=trouble)
            note_delivery(self._engine, record.id, "given-up", tries, now)
        else:
            log.warning("alarm-not-taken", alarm=record.id, tries=tries, trouble=trouble)
            note_delivery(self._engine, record.id, "due", tries, now + pause_after(tries))

    def close(self) -> None:
        """Hang up."""
        if self._webhook is not None:
            self._webhook.close()


def _line(raised: Raised) -> bytes:
    alarm = raised.alarm
    return orjson.dumps(
        {
            "at": raised.first_at,
            "kind": alarm.kind.value,
            "severity": alarm.severity,
            "subject": alarm.subject,
            "sentence": alarm.sentence,
            "evidence": dict(alarm.evidence),
        },
        option=orjson.OPT_APPEND_NEWLINE,
    )
