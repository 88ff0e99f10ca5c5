"""The processes of bench and demo: started, asked what they cost, and stopped again, each by its own id."""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from smsc_filter.lab.traffic import Account

PR_SET_PDEATHSIG: Final = 1
START_SECONDS: Final = 60.0
STOP_SECONDS: Final = 30.0
TICKS_PER_SECOND: Final = os.sysconf("SC_CLK_TCK")
PAGE_OCTETS: Final = os.sysconf("SC_PAGE_SIZE")


class RigError(Exception):
    """A process did not start or ended early; the message says which and what it said last."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process has cost so far."""

    cpu_seconds: float
    rss_octets: int


def end_with_parent(parent: int) -> None:
    """In a new child: ask the kernel for SIGTERM when the parent dies, so that nothing is left running."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it died before we asked
            os._exit(1)


class Part:
    """One process of the rig. ``with Part(...) as part``; it listens on ``part.port``."""

    def __init__(self, name: str, arguments: Sequence[str], folder: Path) -> None:
        """Describe ``python -m`` with ``arguments``; what it says on stderr goes to a file in ``folder``."""
        self.name = name
        self.port = 0
        self.log = folder / f"{name}.log"
        self._arguments = arguments
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Of the running process."""
        assert self._process is not None
        return self._process.pid

    def __enter__(self) -> Self:
        """Start it and wait until it listens.

        Raises:
            RigError: it does not.
        """
        parent = os.getpid()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own module
                [sys.executable, "-m", *self._arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                # Ctrl-C is for whoever runs the rig, which then ends the parts in order.
                start_new_session=True,
                preexec_fn=lambda: end_with_parent(parent),
            )
        try:
            line = self._first_line()
        except BaseException:
            self.stop()
            raise
        self.port = int(line.rpartition(":")[2])
        return self

    def _first_line(self) -> str:
        assert self._process is not None
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], START_SECONDS)
        line = self._process.stdout.readline().decode() if ready else ""
        if not line.startswith("listening on "):
            how = "ended" if ready else f"did not listen within {START_SECONDS:g} s"
            raise RigError(f"{self.name} {how}: {self.last_words()}")
        return line

    def next_line(self) -> str:
        """The next line it says on stdout, which it must be about to say."""
        assert self._process is not None
        assert self._process.stdout is not None
        return self._process.stdout.readline().decode().strip()

    def last_words(self) -> str:
        """The last line it wrote on stderr."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"

    def tell(self, line: str) -> None:
        """Write a line to its stdin."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(line.encode() + b"\n")
        self._process.stdin.flush()

    def usage(self) -> dict[str, Usage]:
        """What it and its descendants have cost, by name.

        A descendant goes by the name of its program, or of what it does for ours.
        """
        found: dict[str, Usage] = {}
        for pid in (self.pid, *descendants(self.pid)):
            with contextlib.suppress(OSError):
                usage = usage_of(pid)
                name = self.name if pid == self.pid else _role(pid)
                before = found.get(name, Usage(0.0, 0))
                found[name] = Usage(before.cpu_seconds + usage.cpu_seconds, before.rss_octets + usage.rss_octets)
        return found

    def stop(self) -> int:
        """End it with SIGTERM, or by force if that takes too long; its exit status."""
        process = self._process
        assert process is not None
        if process.poll() is None:
            process.terminate()
        try:
            status = process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            status = process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        return status

    def __exit__(self, *_: object) -> None:
        self.stop()


def descendants(pid: int) -> list[int]:
    """Children of a process, and theirs."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += (int(child), *descendants(int(child)))
    return found


def usage_of(pid: int) -> Usage:
    """What one process has cost, children it has already buried included.

    Raises:
        OSError: there is no such process.
    """
    # The name of the program stands in parentheses and may hold spaces; fields are counted from behind it.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    ticks = sum(map(int, fields[11:15]))  # utime, stime, cutime, cstime
    return Usage(ticks / TICKS_PER_SECOND, int(fields[21]) * PAGE_OCTETS)


def _role(pid: int) -> str:
    words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    if "smsc_filter.service" in words:
        return words[words.index("smsc_filter.service") + 1]
    # Not the command line: a store writes its socket there.
    return Path(f"/proc/{pid}/comm").read_text().strip().removesuffix("-server")


def simulator(folder: Path, *options: str) -> Part:
    """The simulated SMSC, on a free port."""
    return Part("simulator", ("smsc_filter.lab.simulator", "--port", "0", "--until-eof", *options), folder)


def splice(folder: Path, to_port: int) -> Part:
    """The byte splice, on a free port."""
    return Part("splice", ("smsc_filter.lab.splice", "--port", "0", "--to-port", str(to_port)), folder)


class Relay(Part):
    """``smsc-filter serve``, with its embedded store and SQLite in a folder of its own."""

    def __init__(
        self,
        folder: Path,
        upstream_port: int,
        accounts: Sequence[Account],
        *,
        mode: str = "enforce",
        status_style: str = "vendor",
        caps: tuple[int, int] | None = None,
    ) -> None:
        """Write its configuration; ``caps`` are those of every sender an hour and a day, else the profile's."""
        folder.mkdir(parents=True, exist_ok=True)
        self.config = folder / "smsc-filter.toml"
        self.config.write_text(
            configuration(folder, upstream_port, accounts, mode, status_style, caps), encoding="utf-8"
        )
        super().__init__("relay", ("smsc_filter", "serve", "--config", str(self.config)), folder)
        self._folder = folder
        self.web = ""
        """Where API, console and portal are, as http://HOST:PORT."""

    def __enter__(self) -> Self:
        """Start it and wait until it listens."""
        super().__enter__()
        self.web = self.next_line().removeprefix("web on ")
        return self

    def import_consents(self, lines: Iterable[str]) -> str:
        """Import a CSV by the command line, as an operator does; returns what that said.

        Raises:
            RigError: it failed.
        """
        path = self._folder / "consents.csv"
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        done = subprocess.run(  # noqa: S603 - our own module
            [sys.executable, "-m", "smsc_filter", "consent", "import", str(path), "--config", str(self.config)],
            capture_output=True,
            check=False,
            text=True,
            timeout=START_SECONDS,
        )
        if done.returncode:
            raise RigError(f"consent import failed: {(done.stderr or done.stdout).strip()}")
        return (done.stdout or done.stderr).strip()

    def records(self) -> sqlite3.Connection:
        """Its records, for reading."""
        return sqlite3.connect(f"file:{self._folder / 'records.sqlite3'}?mode=ro", uri=True)

    def decisions(self) -> int:
        """How many decisions are in SQL."""
        with contextlib.closing(self.records()) as records:
            try:
                found = records.execute("select count(*) from decisions").fetchone()
            except sqlite3.OperationalError:
                return 0
            return int(found[0])

    def await_decisions(self, count: int, seconds: float = 60.0) -> float:
        """Wait until ``count`` decisions are in SQL; how long that took.

        Raises:
            RigError: they do not come.
        """
        began = time.monotonic()
        while (found := self.decisions()) < count:
            if time.monotonic() - began > seconds:
                raise RigError(f"{found:,} of {count:,} decisions in SQL after {seconds:g} s")
            time.sleep(0.05)
        return time.monotonic() - began


RIG_RECIPIENT_CAP: Final = 4096
"""Of what one recipient of a rig is sent in a minute: as many as are counted exactly."""


def configuration(
    folder: Path,
    upstream_port: int,
    accounts: Sequence[Account],
    mode: str,
    status_style: str,
    caps: tuple[int, int] | None,
) -> str:
    """A configuration file for ``accounts``."""
    lines = [
        f'data_dir = "{folder}"',
        *("[listen]", "port = 0"),
        *("[upstream]", f"port = {upstream_port}"),
        *("[web]", "port = 0"),
        *("[policy]", f'mode = "{mode}"', f'status_style = "{status_style}"'),
    ]
    if caps is not None:
        # All there is to count is counted, and nothing of it spent: recipients of a rig hear more than people do.
        lines.append("recipient_caps = true")
        for purpose in ("commercial", "service"):
            lines += (
                f"[policy.recipients.{purpose}]",
                *(f"minute_cap = {RIG_RECIPIENT_CAP}", "hour_cap = 0", "day_cap = 0"),
            )
    for account in accounts:
        lines += (
            "[[accounts]]",
            f'system_id = "{account.system_id}"',
            f'password = "{account.password}"',
            f'owner = "{account.owner}"',
            "max_binds = 1000",
            *((f"hour_cap = {caps[0]}", f"day_cap = {caps[1]}") if caps is not None else ()),
        )
    if caps is not None:
        for owner in dict.fromkeys(account.owner for account in accounts):
            lines += ("[[owners]]", f'owner = "{owner}"', f"day_cap = {caps[1]}")
    for account in accounts:
        for address in account.senders:
            lines += (
                "[[senders]]",
                f'address = "{address}"',
                f'owner = "{account.owner}"',
                f'purpose = "{account.purpose}"',
            )
            if caps is not None:
                lines += (f"hour_cap = {caps[0]}", f"day_cap = {caps[1]}")
    return "\n".join(lines) + "\n"
