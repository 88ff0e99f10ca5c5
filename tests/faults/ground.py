"""A relay with two workers and its SMSC, whose processes are killed and come back."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from dataclasses import dataclass, field
from pathlib import Path

from redis import Redis

from smsc_filter.lab import rig
from smsc_filter.state.embedded import EmbeddedStore
from smsc_filter.state.keys import decisions_key
from tests.relay.harness import wait_until

SECONDS = 60.0


@dataclass(slots=True)
class Ground:
    """A relay with two workers, its SMSC, and what was killed when."""

    folder: Path
    smsc: rig.Part
    relay: rig.Relay
    kills: list[tuple[float, float]] = field(default_factory=list)
    """(just before, gone for certain) of each kill, in seconds of ``time.monotonic``."""

    @property
    def journal(self) -> Path:
        """What the SMSC has accepted."""
        return self.folder / "smsc.journal"

    def child(self, role: str) -> int:
        """The process of a role."""
        found = [pid for pid in rig.descendants(self.relay.pid) if rig._role(pid) == role]
        assert found, f"there is no {role}"
        return found[0]

    def kill(self, *pids: int) -> None:
        """Kill the first of ``pids`` and wait until all of them are gone."""
        began = time.monotonic()
        os.kill(pids[0], signal.SIGKILL)
        while left := [pid for pid in pids if is_running(pid)]:
            assert time.monotonic() - began < SECONDS, f"still running: {[rig._role(pid) for pid in left]}"
            time.sleep(0.002)
        self.kills.append((began, time.monotonic()))

    def kill_child(self, role: str) -> None:
        """Kill a child of the supervisor and wait until there is another in its place."""
        restarted = "store-restarted" if role == "valkey" else "child-ready"
        before = self.logged(restarted)
        self.kill(self.child(role))
        wait_until(lambda: self.logged(restarted) > before, f"another {role} is started", SECONDS)

    def kill_supervisor(self) -> None:
        """Kill the supervisor, see that its children end with it, and start it again."""
        pid = self.relay.pid
        self.kill(pid, *rig.descendants(pid))
        self.relay.stop()
        self.relay.__enter__()

    def kill_smsc(self) -> None:
        """Kill the SMSC and start it again on its port."""
        self.kill(self.smsc.pid)
        self.smsc.stop()
        self.smsc = simulator(self.folder, self.smsc.port).__enter__()

    def kill_role(self, role: str) -> None:
        """Kill a process by what it does and wait until there is another in its place."""
        if role == "supervisor":
            self.kill_supervisor()
        elif role == "smsc":
            self.kill_smsc()
        else:
            self.kill_child(role)

    def logged(self, event: str) -> int:
        """How often the relay has said something."""
        return self.relay.log.read_text().count(event)

    def await_records(self) -> None:
        """Wait until the recorder has moved everything."""
        with Redis.from_url(EmbeddedStore(self.folder / "relay" / "state").url) as store:
            wait_until(lambda: not store.xlen(decisions_key(0)), "all decisions are moved", SECONDS)


def is_running(pid: int) -> bool:
    """Whether a process lives; one that only waits to be buried does not."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False


def simulator(folder: Path, port: int) -> rig.Part:
    """The SMSC, on a port that it has again when it comes back."""
    options = ("--port", str(port), "--until-eof", "--journal", str(folder / "smsc.journal"))
    return rig.Part("simulator", ("smsc_filter.lab.simulator", *options), folder)


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
