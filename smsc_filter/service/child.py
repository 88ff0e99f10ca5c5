"""A child process of the supervisor, and the channel between the two.

The channel is a socket pair of whole messages. Over it a child gets how it is to serve and, a worker, its connections;
it says when it is ready and answers when it is asked whether its loop still turns. Either side sees the end of the
other as the end of the channel.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pickle
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from smsc_filter.settings import Settings

# What a child says.
STARTED: Final = b"started"
"""It can be asked what it is at."""
READY: Final = b"ready"
ALIVE: Final = b"alive"
CLOSED: Final = b"closed"
"""A connection has ended."""
TAKEN: Final = b"taken"
"""A connection is served; answered in the order in which they were handed over."""
FULL: Final = b"full"
"""A connection could not be taken: there is no descriptor left for it."""

# What it is told.
START: Final = b"start"
RELOAD: Final = b"reload"
CONNECTION: Final = b"connection"
ASK: Final = b"ask"
ALARM: Final = b"alarm "
"""To the recorder, with the alarm as JSON."""

MOST_OCTETS: Final = 1 << 16
"""Of a message; what may be longer is handed over as a file."""

MOST_DESCRIPTORS: Final = 16

STACK_SIGNAL: Final = signal.SIGUSR2
"""Has a child write where each of its threads is, whatever it is at."""

ASK_SECONDS: Final = 1.0
"""How often a child is asked."""

MOST_ELAPSED: Final = 0.5
"""What a turn of the supervisor counts for at most: a machine that stood still, or crawled, is no child's fault."""

SLOW: Final = 4.0
"""So many times as long is waited for a child that gets no processor."""

MOST_FRAMES: Final = 6
_FRAME: Final = re.compile(r'^ +File "([^"]*)", line (\d+) in (.*)$')


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What a child serves by."""

    settings: Settings
    url: str
    """Of the store."""
    owners: dict[str, int]
    """Ids of owners by name."""
    anchor: float
    """Of the clock that quotas are counted by."""
    highest_ms: int = 0
    """The latest millisecond of the decision ids in the records."""
    number: int = 0
    """Of a worker."""


class Usage(NamedTuple):
    """What the system says of a process."""

    state: str
    """As in /proc/PID/stat: R runs, S sleeps, D waits for a device, T is stopped; "" where it cannot be known."""
    seconds: float
    """Of processor, so far."""


def usage_of(pid: int) -> Usage:
    """Ask the system about a process."""
    try:
        words = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        return Usage(words[0], (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK"))
    except (OSError, IndexError):
        return Usage("", 0.0)


class Pulse:
    """How long a child has owed an answer, by the turns of who asks."""

    def __init__(self, patience: float) -> None:
        """Call a child stuck after ``patience`` seconds; 0: never."""
        self.silent = 0.0
        """Seconds since it was asked and did not answer."""
        self._patience = patience
        self._asked: Usage | None = None
        self._rest = 0.0

    def turn(self, elapsed: float) -> bool:
        """Count ``elapsed`` seconds; whether it is to be asked now."""
        elapsed = min(elapsed, MOST_ELAPSED)
        if self._asked is not None:
            self.silent += elapsed
            return False
        self._rest += elapsed
        return self._rest >= ASK_SECONDS

    def asked(self, usage: Usage) -> None:
        """It was asked, having used so much."""
        self._asked, self._rest, self.silent = usage, 0.0, 0.0

    def answered(self) -> None:
        """It answered."""
        self._asked, self.silent = None, 0.0

    def stuck(self, usage: Usage) -> bool:
        """Whether it has been silent for too long, with what it has used by now."""
        if not self._patience or self._asked is None or self.silent < self._patience:
            return False
        # One that wants to run and is not let is slow, and being started anew would not make it faster.
        starved = usage.state == "R" and usage.seconds - self._asked.seconds < self._patience / 2
        return not starved or self.silent >= SLOW * self._patience


def read_frames(dump: str) -> list[str]:
    """The innermost places of each thread in a dump of faulthandler, as "file:line function", its last thread first."""
    threads: list[list[str]] = []
    for line in dump.splitlines():
        if line.startswith(("Thread 0x", "Current thread 0x")):
            threads.append([])
        elif threads and (frame := _FRAME.match(line)) and len(threads[-1]) < MOST_FRAMES:
            path, number, function = frame.groups()
            threads[-1].append(f"{'/'.join(Path(path).parts[-3:])}:{number} {function}")
    # The main thread comes last; those that wait for work of a pool say nothing.
    return [place for frames in reversed(threads) if frames and "thread.py" not in frames[0] for place in frames]


class Child:
    """A worker, the recorder or the web, as the supervisor sees it."""

    def __init__(self, role: str, start: Start, listening: Sequence[socket.socket] = ()) -> None:
        """Describe a child that serves by ``start``, and accepts on ``listening`` itself."""
        self.role = role
        self.start = start
        self.connections = 0
        self.handed: deque[socket.socket] = deque()
        """Connections that it has not yet said to have taken."""
        self.full_until = 0.0
        self.started_at = 0.0
        self.restart_at = 0.0
        self.running_seconds = 0.0
        """Since its start, by the supervisor's turns."""
        self.ready = False
        self.can_dump = False
        self.replaced = False
        """Whether it was asked to end, to be started anew."""
        self.control: socket.socket | None = None
        self.process: subprocess.Popen[bytes] | None = None
        self.pulse = Pulse(0.0)
        self._stacks: int | None = None
        self._listening = listening
        self._pause = 0.0

    @property
    def name(self) -> str:
        """As alarms and logs call it."""
        return f"worker {self.start.number}" if self.role == "worker" else self.role

    @property
    def pid(self) -> int | None:
        """Of its process."""
        return self.process.pid if self.process is not None else None

    def run(self) -> None:
        """Start the process, and hand it what it serves by."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        stacks, written = os.pipe()
        os.set_blocking(stacks, False)
        os.set_blocking(written, False)
        try:
            self.process = subprocess.Popen(  # noqa: S603
                [
                    sys.executable,
                    *("-m", "smsc_filter.service", self.role),
                    *map(str, (theirs.fileno(), written, os.getpid())),
                ],
                pass_fds=(theirs.fileno(), written),
                stdin=subprocess.DEVNULL,
            )
        except BaseException:
            ours.close()
            os.close(stacks)
            raise
        finally:
            theirs.close()
            os.close(written)
        ours.setblocking(False)
        self.control, self._stacks = ours, stacks
        self.connections = 0
        self.ready = self.can_dump = self.replaced = False
        self.started_at = time.monotonic()
        self.running_seconds = 0.0
        self.pulse = Pulse(self.start.settings.supervisor.watchdog)
        self.tell_settings(START)

    def tell_settings(self, what: bytes) -> None:
        """Hand over what it serves by from now on."""
        assert self.control is not None
        with _file_of(pickle.dumps(self.start)) as file, contextlib.suppress(OSError):
            # One that has ended already is seen to have.
            socket.send_fds(self.control, [what], [file.fileno(), *(each.fileno() for each in self._listening)])

    def say(self, message: bytes) -> bool:
        """Send a message; whether it could be."""
        if self.control is None:
            return False
        with contextlib.suppress(OSError):
            return self.control.send(message) == len(message)
        return False

    def look(self, elapsed: float) -> str:
        """Ask it whether it lives, now and then; what is wrong with it, or ""."""
        self.running_seconds += min(elapsed, MOST_ELAPSED)
        assert self.process is not None
        if not self.ready:
            limit = self.start.settings.supervisor.start
            return f"was not ready {limit:g} s after its start" if limit and self.running_seconds > limit else ""
        if self.pulse.turn(elapsed) and self.say(ASK):
            self.pulse.asked(usage_of(self.process.pid))
        if self.pulse.silent and self.pulse.stuck(usage_of(self.process.pid)):
            return f"did not answer for {self.pulse.silent:.0f} s"
        return ""

    async def places(self, seconds: float) -> list[str]:
        """Where its threads are, as far as it says so within ``seconds``."""
        if not self.can_dump or self.process is None or self._stacks is None:
            return []
        self.process.send_signal(STACK_SIGNAL)
        said = b""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not said.endswith(b"\n\n"):
            await asyncio.sleep(0.05)
            with contextlib.suppress(OSError):
                if more := os.read(self._stacks, 1 << 16):
                    said += more
                    continue
            if said:
                break
        return read_frames(said.decode(errors="replace"))

    def forget(self) -> None:
        """Close the channel to a process that has ended, and say when the next may be started."""
        if self.control is not None:
            self.control.close()
            self.control = None
        if self._stacks is not None:
            os.close(self._stacks)
            self._stacks = None
        self.ready = False
        lived = time.monotonic() - self.started_at
        self._pause = 0.0 if self.replaced else min(max(1.0, 2 * self._pause), 8.0) if lived < 10 else 1.0
        self.restart_at = self.started_at + self._pause if lived > self._pause else time.monotonic() + self._pause


def _file_of(octets: bytes) -> Any:
    """A file without a name that holds ``octets``; in memory where the system has that, since disks may be full."""
    if hasattr(os, "memfd_create"):
        file: Any = os.fdopen(os.memfd_create("smsc-filter"), "w+b")
    else:
        file = tempfile.TemporaryFile()  # noqa: SIM115
    file.write(octets)
    file.flush()
    return file


def read_start(descriptor: int) -> Start:
    """What was handed over as a file."""
    with os.fdopen(descriptor, "rb") as file:
        file.seek(0)
        start = pickle.loads(file.read())  # noqa: S301 - the supervisor wrote it, over a channel of its own
    assert isinstance(start, Start)
    return start


class Control:
    """The child's end of the channel."""

    def __init__(self, control: socket.socket) -> None:
        """Talk over ``control``."""
        self._control = control

    def begin(self) -> tuple[Start, list[socket.socket]]:
        """Wait for what to serve by, and the sockets to accept on."""
        message, descriptors, _, _ = socket.recv_fds(self._control, MOST_OCTETS, MOST_DESCRIPTORS)
        if message != START:
            os._exit(1)
        return read_start(descriptors[0]), [socket.socket(fileno=descriptor) for descriptor in descriptors[1:]]

    def say(self, message: bytes) -> None:
        """Tell the supervisor; one that is gone is noticed by the end of the channel."""
        with contextlib.suppress(OSError):
            self._control.send(message)

    def attend(self, heard: Callable[[bytes, list[int]], object] = lambda _message, _descriptors: None) -> None:
        """Answer from now on, in the running loop; what else comes is ``heard``."""
        self._control.setblocking(False)
        asyncio.get_running_loop().add_reader(self._control.fileno(), self._hear, heard)

    def _hear(self, heard: Callable[[bytes, list[int]], object]) -> None:
        try:
            message, descriptors, _, _ = socket.recv_fds(self._control, MOST_OCTETS, MOST_DESCRIPTORS)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            message, descriptors = b"", []
        if not message:
            # The supervisor is gone without a word, and the store with it: nothing can be done any more.
            os._exit(1)
        if message == ASK:
            self.say(ALIVE)
        else:
            heard(message, descriptors)
