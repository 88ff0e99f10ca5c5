"""A plain TCP byte splice: what any process between two others costs before it does anything. The bench's yardstick."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from typing import cast

import uvloop


class Side(asyncio.Protocol):
    """One of two streams that are each other's echo."""

    def __init__(self) -> None:
        self.other: Side | None = None
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self.transport = cast(asyncio.Transport, transport)  # uvloop's are no subclass

    def data_received(self, data: bytes) -> None:
        """Pass it on."""
        if self.other is not None and self.other.transport is not None:
            self.other.transport.write(data)

    def pause_writing(self) -> None:
        """Our peer does not read, so the other's must wait."""
        if self.other is not None and self.other.transport is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        """Our peer reads again."""
        if self.other is not None and self.other.transport is not None and not self.other.transport.is_closing():
            self.other.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """One side gone, both gone."""
        self.transport = None
        if self.other is not None and self.other.transport is not None:
            self.other.transport.close()


class Front(Side):
    """The side of whoever connects to the splice."""

    def __init__(self, to_host: str, to_port: int) -> None:
        super().__init__()
        self._to = to_host, to_port
        self._early: list[bytes] = []
        """What came before there was somewhere to put it; uvloop cannot be told to read later."""
        self._connecting: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the other half."""
        super().connection_made(transport)
        self._connecting = asyncio.get_running_loop().create_task(self._connect())

    def data_received(self, data: bytes) -> None:
        """Pass it on, or keep it for as long as there is no other half."""
        if self.other is None:
            self._early.append(data)
        else:
            super().data_received(data)

    async def _connect(self) -> None:
        back = Side()
        try:
            await asyncio.get_running_loop().create_connection(lambda: back, *self._to)
        except OSError:
            if self.transport is not None:
                self.transport.close()
            return
        assert back.transport is not None
        if self.transport is None:
            back.transport.close()
            return
        self.other, back.other = back, self
        back.transport.write(b"".join(self._early))


async def serve(host: str, port: int, to_host: str, to_port: int) -> None:
    """Splice every connection to one of its own until SIGTERM or SIGINT."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    server = await loop.create_server(lambda: Front(to_host, to_port), host, port, backlog=1024)
    sys.stdout.write(f"listening on {host}:{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await stop.wait()
    server.close()


def main() -> int:
    """``python -m smsc_filter.lab.splice``."""
    parser = argparse.ArgumentParser(prog="splice", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True, help="0: any free one")
    parser.add_argument("--to-host", default="127.0.0.1")
    parser.add_argument("--to-port", type=int, required=True)
    args = parser.parse_args()
    try:
        uvloop.run(serve(args.host, args.port, args.to_host, args.to_port))
    except OSError as error:
        sys.stderr.write(f"splice: {args.host}:{args.port}: {error.strerror or error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
