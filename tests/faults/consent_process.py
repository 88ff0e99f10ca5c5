"""Processes that change consents, for a test to kill: each says a line for what it has been told is durable.

python -m tests.faults.consent_process writer|replier|recorder DATA_DIR URL FIRST
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import redis
import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from sqlalchemy import Engine

from smsc_filter.records.consents import ConsentEvent, store_events
from smsc_filter.records.database import open_database
from smsc_filter.records.mover import Mover
from smsc_filter.service.projector import Projector
from smsc_filter.state.consents import Consents, Reply
from smsc_filter.state.ledger import Ledger, StoreUnavailable
from smsc_filter.state.settings import StateSettings
from smsc_filter.state.stream import DecisionStream

PARTITIONS = 2
REPLY_SECONDS = 3_600.0
BASE_MS = 1_767_225_600_000
DAY_MS = 86_400_000
OWNERS = ("shop-ltd", "bank-ltd")

EVENTS, REPLIES = 7_000, 3_000
CROWD = [f"86138{number:08d}" for number in range(300)]
VICTIMS = [f"86139{number:08d}" for number in range(100)]
"""They withdraw by a reply, and older grants of theirs are imported again and again."""


def say(line: object) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def written() -> Iterator[list[ConsentEvent]]:
    """What the writer commits, a transaction each: the same every time."""
    chance = random.Random(20260101)
    number = 0
    while number < EVENTS:
        size = min(EVENTS - number, chance.choice((1, 1, 1, 1, 2, 3, 30)))
        events = []
        for _ in range(size):
            number += 1
            victim = chance.random() < 0.1
            recipient = chance.choice(VICTIMS if victim else CROWD)
            at_ms = BASE_MS - chance.randrange(1, DAY_MS)
            state = "granted" if victim else chance.choice(("granted", "granted", "withdrawn", "refused", "requested"))
            ends = at_ms + DAY_MS * 3650 if state == "granted" and chance.random() < 0.2 else None
            events.append(
                ConsentEvent(
                    recipient=recipient,
                    owner=OWNERS[0] if victim else chance.choice(OWNERS),
                    state=state,
                    event_at_ms=at_ms,
                    received_at_ms=BASE_MS,
                    expires_at_ms=ends,
                    topic="loans" if chance.random() < 0.1 else None,
                    reference=f"written-{number}",
                )
            )
        yield events


def replied() -> list[Reply]:
    """What subscribers reply, in order: the same every time."""
    chance = random.Random(20260102)
    replies = []
    for number in range(REPLIES):
        victim = number % 30 == 0
        recipient = VICTIMS[number // 30] if victim else chance.choice(CROWD)
        # A victim's reply is later than every grant of his; those of the others are anywhere among their events.
        at_ms = BASE_MS + number if victim else BASE_MS - chance.randrange(1, DAY_MS)
        replies.append(Reply(recipient, 1, (), "withdrawn", at_ms, f"reply-{number}"))
    return replies


def write(engine: Engine, client: redis.Redis, first: int) -> None:
    projector = Projector(engine, client, PARTITIONS, REPLY_SECONDS)
    for number, events in enumerate(written()):
        if number < first:
            continue
        store_events(engine, events)
        say(number)
        if number % 5 == 0:  # as a verb does at its end
            try:
                projector.apply()
            except redis.RedisError:
                time.sleep(0.05)


async def reply(url: str, first: int) -> None:
    client = redis.asyncio.Redis.from_url(url, socket_timeout=2, retry=Retry(NoBackoff(), 0))
    ledger = Ledger(client, StateSettings(partitions=PARTITIONS, patience=1.0), "replier")
    consents = Consents(ledger, PARTITIONS)
    replies = replied()
    at = first
    while at < len(replies):
        try:
            await consents.reply(replies[at : at + 3])
        except StoreUnavailable:
            continue
        for number in range(at, min(at + 3, len(replies))):
            say(number)
        at += 3
    await ledger.close()


async def record(engine: Engine, url: str, client: redis.Redis) -> None:
    source = redis.asyncio.Redis.from_url(url, retry=Retry(NoBackoff(), 0))
    movers = [Mover(engine, DecisionStream(source, partition)) for partition in range(PARTITIONS)]
    say("started")
    projector = Projector(engine, client, PARTITIONS, REPLY_SECONDS)
    await asyncio.gather(*(mover.run() for mover in movers), projector.run(asyncio.Event()))


def main(role: str, data_dir: Path, url: str, first: int) -> None:
    engine = open_database("", data_dir)
    client = redis.Redis.from_url(url, socket_timeout=2)
    if role == "writer":
        write(engine, client, first)
    elif role == "replier":
        asyncio.run(reply(url, first))
    else:
        asyncio.run(record(engine, url, client))
    client.close()
    engine.dispose()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
