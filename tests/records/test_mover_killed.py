"""A mover killed again and again, on a real stream."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from redis import Redis
from sqlalchemy import select

from smsc_filter.policy.record import pack_batch
from smsc_filter.records.database import open_database
from smsc_filter.records.tables import decisions, stream_rejects

from .helpers import count, header, row
from .valkey import running_valkey

ROOT = Path(__file__).parents[2]
ROWS_AN_ENTRY = 256
ENTRIES = 500
KILLS = 5


def test_a_mover_killed_at_any_point_loses_nothing_and_doubles_nothing(tmp_path: Path) -> None:
    whims = random.Random(20260101)
    total = ENTRIES * ROWS_AN_ENTRY
    with running_valkey() as socket, Redis(unix_socket_path=str(socket), protocol=2) as client:
        for first in range(0, total, ROWS_AN_ENTRY):
            rows = [row(id_) for id_ in range(first, first + ROWS_AN_ENTRY)]
            client.xadd("decisions", {"b": pack_batch(header(), rows), "r": b""})
        client.xadd("decisions", {"x": b"nobody knows"})
        command = [sys.executable, "-m", "tests.records.moving_process", str(tmp_path), str(socket)]
        killed, status = 0, -signal.SIGKILL
        while status == -signal.SIGKILL:
            with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as mover:
                assert mover.stdout is not None
                assert mover.stdout.readline() == "started\n"
                if killed < KILLS:
                    for _ in range(whims.randrange(3)):
                        mover.stdout.readline()
                    # Anywhere in the next pass: reading, storing, committing, trimming.
                    with suppress(subprocess.TimeoutExpired):
                        mover.wait(whims.uniform(0, 0.03))
                    mover.kill()
                    killed += 1
                mover.stdout.read()
                status = mover.wait()
        assert status == 0
        assert killed > 1
        assert client.xlen("decisions") == 0
    engine = open_database("", tmp_path)
    with engine.connect() as connection:
        moved = connection.execute(select(decisions.c.id).order_by(decisions.c.id)).scalars().all()
    assert moved == list(range(total))
    assert count(engine, stream_rejects) == 1
    engine.dispose()
