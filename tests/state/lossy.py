"""A store that is reached over a bad line: the answer to a call is lost after the call was carried out."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path


class LossyLine:
    """Passes octets both ways; with ``lose`` set, the next answers are swallowed and their connections cut."""

    def __init__(self, server: str) -> None:
        self._server = server
        self.lose = 0
        self.lost = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_unix_connection(self._server)
        there = asyncio.create_task(self._pass(reader, to_server))
        try:
            while octets := await from_server.read(1 << 16):
                if self.lose:
                    self.lose -= 1
                    self.lost += 1
                    break
                writer.write(octets)
        finally:
            there.cancel()
            for each in (writer, to_server):
                each.close()
                with contextlib.suppress(OSError):
                    await each.wait_closed()

    @staticmethod
    async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while octets := await reader.read(1 << 16):
                writer.write(octets)


@asynccontextmanager
async def lossy_line(server: str, folder: Path) -> AsyncIterator[tuple[LossyLine, str]]:
    """The line, and the url under which it is reached."""
    line = LossyLine(server.removeprefix("unix://"))
    path = folder / "lossy"
    listener = await asyncio.start_unix_server(line.serve, path)
    try:
        yield line, f"unix://{path}"
    finally:
        listener.close()
