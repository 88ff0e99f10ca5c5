"""The recorder: the process between the hot state and SQL.

It moves decisions and replies from the stream into SQL, and projects what SQL says of consents back into the hot state.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
from collections.abc import Sequence
from typing import Final

import redis
import redis.asyncio
import structlog
from sqlalchemy import Engine, func, select

from smsc_filter.policy.appeals import terms_of
from smsc_filter.policy.record import DecisionRow, OutcomeRow
from smsc_filter.policy.rules import read_profile
from smsc_filter.records.database import reading
from smsc_filter.records.errors import RecordsError
from smsc_filter.records.mover import Mover
from smsc_filter.records.sealed import opened_texts, text_keys_of
from smsc_filter.records.tables import stream_rejects
from smsc_filter.service.build import spool_folder
from smsc_filter.service.build_records import make_projector, open_records
from smsc_filter.service.child import ALARM, READY, Control, Start
from smsc_filter.service.clerk import make_clerk
from smsc_filter.service.numbers import holder_of
from smsc_filter.service.rewriting import rewrite_daily
from smsc_filter.service.scores import ScoreWatch
from smsc_filter.service.sealing import Sealing
from smsc_filter.service.watching import Watching
from smsc_filter.service.worker_alarms import WorkerAlarms
from smsc_filter.state.stream import DecisionStream
from smsc_filter.watch.alarm import Alarm, Kind

SET_ASIDE_SECONDS: Final = 3600.0
"""For how long what was set aside is an alarm."""

log = structlog.get_logger()

DRAIN_SECONDS: Final = 5.0
"""How long the recorder goes on when the service stops."""

PROJECTION_SECONDS: Final = 10.0
"""Longest wait of the projector for one answer."""

RECORDER_NICENESS: Final = 5
"""Answers come first: what waits in the stream is durable, and bounded."""


def look_for_set_aside(engine: Engine, now: float) -> list[Alarm]:
    """An alarm where something was set aside in the last hour instead of being put on record."""
    since_ms = int((now - SET_ASIDE_SECONDS) * 1000)
    with reading(engine) as connection:
        wanted = select(stream_rejects.c.stream, func.count(), func.max(stream_rejects.c.error))
        found = connection.execute(
            wanted.where(stream_rejects.c.at_ms >= since_ms).group_by(stream_rejects.c.stream)
        ).all()
    return [
        Alarm(
            kind=Kind.RECORDS_TROUBLE,
            subject=f"set aside from {stream}",
            severity="critical",
            sentence=f"{number} entries were set aside instead of being put on record; one of them because: {error}",
            evidence={"entries": number},
        )
        for stream, number, error in found
    ]


async def run_recorder(start: Start, control: Control) -> None:
    """The recorder's life: what every stream holds into SQL, and consents from there into the hot state."""
    loop = asyncio.get_running_loop()
    settings = start.settings
    client = redis.asyncio.Redis.from_url(start.url, socket_connect_timeout=settings.state.timeout)
    writer = redis.Redis.from_url(
        start.url, socket_connect_timeout=settings.state.timeout, socket_timeout=PROJECTION_SECONDS
    )
    engine = open_records(settings)
    keys = text_keys_of(engine)
    projector, projecting = make_projector(settings, engine, writer), asyncio.Event()
    terms = terms_of(read_profile(settings.policy.profile))
    clerk = make_clerk(settings, engine, writer, terms)
    workers = WorkerAlarms(writer, holder_of(settings))
    sealing = Sealing(engine, settings.data_dir)

    def also(now: float) -> list[Alarm]:
        return [*clerk.look(now), *look_for_set_aside(engine, now), *workers.look(now)]

    watching, scores = Watching(settings, engine, writer, also), ScoreWatch(settings, writer)
    clerk.on_complaint = watching.watcher.observe_complaint

    def on_committed(decisions: Sequence[DecisionRow], outcomes: Sequence[OutcomeRow]) -> None:
        if keys is not None:
            decisions = opened_texts(decisions, keys)
        watching.on_committed(decisions, outcomes)
        scores.on_committed(decisions, outcomes)

    movers = [
        Mover(
            engine,
            DecisionStream(client, partition),
            spool_dir=spool_folder(settings) if partition == 0 else None,
            on_committed=on_committed,
            terms=terms,
            on_damage=watching.on_damage,
        )
        for partition in range(settings.state.partitions)
    ]

    def stop() -> None:
        for mover in movers:
            mover.stop()

    os.nice(RECORDER_NICENESS)

    def hear(message: bytes, _descriptors: Sequence[int]) -> None:
        if message.startswith(ALARM):
            watching.report(message.removeprefix(ALARM))

    control.attend(hear)
    loop.add_signal_handler(signal.SIGTERM, stop)
    loop.add_signal_handler(signal.SIGINT, lambda: None)
    # What was built so far stays, and the collector need not look at it again. Cycles of the database's client are many
    # and large, so it comes as often as ever.
    gc.collect()
    gc.freeze()
    control.say(READY)
    projection = loop.create_task(projector.run(projecting))
    beside = [loop.create_task(each.run()) for each in (watching, clerk, scores, sealing)]
    beside.append(loop.create_task(rewrite_daily(writer, settings.state.rewrite_hours)))
    try:
        await asyncio.gather(*(mover.run() for mover in movers))
        # Who stops the service finds its decisions in SQL; what takes longer waits in the stream.
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                for mover in movers:
                    await mover.drain()
        except (TimeoutError, redis.RedisError, OSError, RecordsError) as error:
            log.warning("decisions-wait", error=type(error).__name__)
    finally:
        # After the movers: what they brought is projected once more, or waits in the outbox.
        projecting.set()
        await projection
        for task in beside:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await client.aclose()
        writer.close()
        engine.dispose()
