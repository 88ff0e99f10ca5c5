"""A great import, killed half-way and begun again; with TEST_IMPORT_ROWS=2000000 at the size it is meant for."""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from sqlalchemy import Engine, func, select

from smsc_filter.policy.consent import ConsentStatus
from smsc_filter.policy.facts import ConsentState
from smsc_filter.records.database import open_database
from smsc_filter.records.tables import consent_events, imports
from smsc_filter.state import keys
from smsc_filter.state.embedded import EmbeddedStore
from smsc_filter.state.projection import Projected, Projection

ROWS = int(os.environ.get("TEST_IMPORT_ROWS", "60000"))
FULL_ROWS = 2_000_000
MOST_OCTETS = 20.0
"""An entry, at the full size."""

SECONDS = 60 + ROWS / 1_000


@pytest.fixture
def folder() -> Iterator[Path]:
    # Not the test's own: a socket's path may hold some hundred characters at most.
    with tempfile.TemporaryDirectory(prefix="import-") as name:
        yield Path(name)


@pytest.fixture
def store(folder: Path) -> Iterator[redis.Redis]:
    server = EmbeddedStore(folder / "state")
    server.start()
    client = redis.Redis.from_url(server.url)
    yield client
    client.close()
    server.stop()


def start_import(folder: Path) -> subprocess.Popen[str]:
    (folder / "c.toml").write_text(f'data_dir = "{folder}"\n')
    command = [sys.executable, "-m", "smsc_filter", "consent", "import", str(folder / "consents.csv")]
    return subprocess.Popen(
        [*command, "--config", str(folder / "c.toml")], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def write_file(path: Path, rows: int) -> None:
    numbers = random.Random(20260101).sample(range(13_000_000_000, 14_000_000_000), rows)
    with path.open("w", encoding="utf-8") as file:
        file.write("recipient,owner,state,event_time,source,reference\n")
        file.writelines(
            f"{number},shop-ltd,{'granted' if index % 20 else 'withdrawn'},{1_760_000_000 + index},form,page-{index}\n"
            for index, number in enumerate(numbers)
        )


def lines_taken(engine: Engine) -> int:
    with engine.connect() as connection:
        return connection.execute(select(func.coalesce(func.max(imports.c.lines), 0))).scalar_one()


def entries(client: redis.Redis) -> int:
    total = 0
    for first in range(0, keys.CONSENT_BUCKETS, 1_024):
        pipeline = client.pipeline(transaction=False)
        for number in range(first, first + 1_024):
            pipeline.hlen(keys.bucket_key(0, number))
        total += sum(pipeline.execute())
    return total


def memory(client: redis.Redis) -> int:
    """Octets of all keys and of the table that finds them.

    Not ``used_memory``: buffers that are full or empty when it is asked would count an octet an entry here.
    """
    with client.pipeline(transaction=False) as pipeline:
        for key in client.scan_iter(count=1000):
            pipeline.memory_usage(key, samples=0)
        keys_octets = sum(pipeline.execute())
    table: dict[str, int] = client.memory_stats().get("db.0", {})  # type: ignore[union-attr]
    return keys_octets + sum(table.values())


def test_killed_half_way_an_import_goes_on_without_loss_or_doubles(folder: Path, store: redis.Redis) -> None:
    write_file(folder / "consents.csv", ROWS)
    engine = open_database("", folder)
    before = memory(store)
    began = time.monotonic()
    importing = start_import(folder)
    try:
        deadline = time.monotonic() + SECONDS
        while lines_taken(engine) < ROWS / 2:
            assert importing.poll() is None, importing.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        importing.kill()
        importing.communicate()
    first_half = time.monotonic() - began
    taken = lines_taken(engine)
    assert ROWS / 2 <= taken <= ROWS  # it was killed while there was work left
    began = time.monotonic()
    said, shown = start_import(folder).communicate(timeout=SECONDS)
    second_half = time.monotonic() - began
    assert f"going on behind line {taken:,}" in shown
    assert f"{ROWS:,} rows: {ROWS:,} stored, 0 known before, 0 wrong" in said
    assert re.search(r"imported before, nothing to do", start_import(folder).communicate(timeout=SECONDS)[0])
    row = consent_events.c
    with engine.connect() as connection:
        counted = connection.execute(
            select(func.count(), func.count(row.recipient.distinct()), func.count(row.reference.distinct()))
        ).one()
    assert counted == (ROWS, ROWS, ROWS)
    assert entries(store) == ROWS
    octets = (memory(store) - before) / ROWS
    sys.stdout.write(
        f"\n{ROWS:,} rows: {taken / first_half:,.0f} a second until killed, {(ROWS - taken) / second_half:,.0f} after;"
        f" {octets:.1f} octets an entry\n"
    )
    if ROWS >= FULL_ROWS:
        assert octets <= MOST_OCTETS
    engine.dispose()


@pytest.mark.parametrize(("ending", "most"), [
    pytest.param(0.0, MOST_OCTETS, id="none ends by time"),
    pytest.param(0.25, MOST_OCTETS, id="one in four does"),
    pytest.param(1.0, 22.0, id="all do"),
])  # fmt: skip
def test_octets_an_entry_as_full_as_at_two_million(
    store: redis.Redis, monkeypatch: pytest.MonkeyPatch, ending: float, most: float
) -> None:
    """As many entries a bucket as two million spread over all buckets would give."""
    number = 60_000
    monkeypatch.setattr(keys, "CONSENT_BUCKETS", keys.CONSENT_BUCKETS * number // FULL_ROWS)
    chance = random.Random(20260101)
    recipients = [f"86{each}" for each in chance.sample(range(13_000_000_000, 14_000_000_000), number)]
    projection = Projection(store, 1)

    def granted() -> Iterator[Projected]:
        for recipient in recipients:
            until_ms = 1_800_000_000_000 if chance.random() < ending else None
            yield Projected(recipient, 1, None, ConsentStatus(ConsentState.GRANTED, 0, until_ms), 1, 1)

    before = memory(store)
    projection.write(1, granted())
    octets = (memory(store) - before) / number
    sys.stdout.write(f"\n{octets:.1f} octets an entry where {ending:.0%} end by time\n")
    assert octets <= most
