"""A mover as a process of its own, for a test to kill; says a line for every pass.

python moving_process.py DATA_DIR SOCKET
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from redis.asyncio import Redis

from smsc_filter.records.database import open_database
from smsc_filter.records.mover import Mover
from tests.records.valkey import ValkeyStream


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def main(data_dir: Path, socket: str) -> None:
    engine = open_database("", data_dir)
    async with Redis(unix_socket_path=socket, protocol=2) as client:
        mover = Mover(engine, ValkeyStream(client))
        say("started")
        while rows := await mover.move_once():
            say(str(rows))
    engine.dispose()


asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
