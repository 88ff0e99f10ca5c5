"""Clients and servers that nobody here wrote, and what they need to run."""

from __future__ import annotations

import json
import os
import queue
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Final

import pytest

from smsc_filter.smpp.constants import CommandId
from tests.conftest import StartRelay
from tests.relay.harness import SECONDS, SHOP_SENDER, Relay, Smsc, SmscLink, end_with_parent, message

SMPP_PACKAGE: Final = "smpp@0.5.1"

INSTALL_SECONDS: Final = 120

AGREED, STRANGER = "8613800009001", "8613800009002"


class NodeScript:
    """A script of this folder as a process: JSON lines in, JSON lines out."""

    def __init__(self, script: str, *arguments: str) -> None:
        node = shutil.which("node")
        assert node is not None
        parent = os.getpid()
        self.process = subprocess.Popen(
            [node, str(Path(__file__).with_name(script)), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: end_with_parent(parent),
        )
        self._said: queue.Queue[dict[str, Any]] = queue.Queue()
        self._kept: list[dict[str, Any]] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._said.put(json.loads(line))

    def tell(self, **event: Any) -> None:
        """Give it a line."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(event) + "\n")
        self.process.stdin.flush()

    def hears(self, name: str) -> Any:
        """What it says next of that name; whatever else it says is kept."""
        for event in self._kept:
            if name in event:
                self._kept.remove(event)
                return event[name]
        while True:
            try:
                event = self._said.get(timeout=SECONDS)
            except queue.Empty:
                raise AssertionError(f"within {SECONDS:g} s: {name}; it said {self._kept}") from None
            assert "error" not in event, event["error"]
            if name in event:
                return event[name]
            self._kept.append(event)

    def end(self) -> int:
        """Close its stdin, which ends it; its exit status."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with suppress(OSError):
            self.process.stdin.close()
        try:
            return self.process.wait(SECONDS)
        finally:
            self.process.kill()
            self.process.wait()
            self._reader.join(SECONDS)
            self.process.stdout.close()


StartNode = Callable[..., NodeScript]


def absent(why: str) -> None:
    """Skip for want of node, or fail where CI has to have it."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{why}, and CI has to have it")
    pytest.skip(f"node-smpp is not tested: {why}")


@pytest.fixture(scope="session")
def node_smpp(pytestconfig: pytest.Config) -> Path:
    """A folder with the npm package ``smpp``, kept between runs."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        absent("there is no node or no npm on PATH")
    assert npm is not None
    assert pytestconfig.cache is not None
    folder = Path(pytestconfig.cache.mkdir(f"npm-{SMPP_PACKAGE.replace('@', '-')}"))
    if not (folder / "installed").exists():
        try:
            done = subprocess.run(
                [
                    npm, "install", "--prefix", str(folder), "--no-audit", "--no-fund",
                    "--no-package-lock", "--no-save", "--ignore-scripts", SMPP_PACKAGE,
                ],
                capture_output=True, text=True, check=False, timeout=INSTALL_SECONDS,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            absent(f"npm has not installed {SMPP_PACKAGE} within {INSTALL_SECONDS} s")
        if done.returncode != 0:
            absent(f"npm cannot install {SMPP_PACKAGE}: {done.stderr.strip()[-300:]}")
        (folder / "installed").touch()
    return folder


@pytest.fixture
def start_node(node_smpp: Path) -> Iterator[StartNode]:
    """Start scripts of this folder on node-smpp."""
    with ExitStack() as stack:

        def start(script: str, *arguments: str) -> NodeScript:
            started = NodeScript(script, str(node_smpp), *arguments)
            stack.callback(started.end)
            return started

        yield start


@pytest.fixture(scope="module")
def relay(smsc: Smsc, start_relay: StartRelay) -> Relay:
    """A relay that knows who agreed."""
    relay = start_relay(smsc.port)
    relay.consents(f"{AGREED},shop-ltd,granted")
    return relay


def receipt_for(link: SmscLink, message_id: str) -> int:
    """Have the SMSC report a delivery; the number of its request."""
    text = f"id:{message_id} sub:001 dlvrd:001 submit date:2611251200 done date:2611251200 stat:DELIVRD err:000 text:hi"
    report = message(AGREED.encode(), SHOP_SENDER, text, command_id=CommandId.DELIVER_SM, esm_class=4)
    return link.request(report)
