"""A child process of the supervisor, and the channel between the two."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import orjson

READY: Final = b"ready"

CLOSED: Final = b"closed"


class Child:
    """A worker, the recorder or the web, as the supervisor sees it."""

    def __init__(
        self, role: str, start: dict[str, Any], config: Path | None, listening: Sequence[socket.socket] = ()
    ) -> None:
        """Describe a child; ``start`` is the first message it gets, with the sockets it accepts on itself."""
        self.role = role
        self.connections = 0
        self.started_at = 0.0
        self.ready = False
        self.control: socket.socket | None = None
        self.process: subprocess.Popen[bytes] | None = None
        self._start = start
        self._config = config
        self._listening = listening

    def run(self) -> None:
        """Start the process."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.process = subprocess.Popen(  # noqa: S603
            [
                sys.executable,
                *("-m", "smsc_filter.service", self.role, str(theirs.fileno())),
                *([str(self._config)] if self._config else []),
            ],
            pass_fds=(theirs.fileno(),),
            stdin=subprocess.DEVNULL,
        )
        theirs.close()
        socket.send_fds(ours, [orjson.dumps(self._start)], [each.fileno() for each in self._listening])
        ours.setblocking(False)
        self.control = ours
        self.connections = 0
        self.ready = False
        self.started_at = time.monotonic()

    def close(self) -> None:
        """Forget the control channel of a process that has ended."""
        if self.control is not None:
            self.control.close()
            self.control = None
