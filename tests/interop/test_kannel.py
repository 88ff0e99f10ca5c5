"""Kannel, the gateway many providers run, with its defaults: bearerbox and smsbox as Debian packs them."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from smsc_filter.smpp.constants import CommandId, Ton
from tests.conftest import StartRelay
from tests.interop.conftest import AGREED, STRANGER
from tests.relay.harness import (
    ADVERTISEMENT,
    NO_CONSENT,
    SHOP,
    SHOP_SENDER,
    Relay,
    Smsc,
    end_with_parent,
    message,
    wait_until,
)

OTHER_AGREED = "8613800009003"

CONFIG = """
group = core
admin-port = {admin}
admin-password = bar
admin-interface = 127.0.0.1
smsbox-port = {box}
smsbox-interface = 127.0.0.1
log-file = "{folder}/bearerbox.log"
log-level = 0
box-allow-ip = "127.0.0.1"
dlr-storage = internal

group = smsc
smsc = smpp
smsc-id = relay
host = 127.0.0.1
port = {relay}
smsc-username = {name}
smsc-password = {password}
system-type = ""
transceiver-mode = yes

group = smsbox
bearerbox-host = 127.0.0.1
bearerbox-port = {box}
sendsms-port = {send}
sendsms-interface = 127.0.0.1
log-file = "{folder}/smsbox.log"
log-level = 0

group = sendsms-user
username = u
password = p
concatenation = true
max-messages = 10
user-allow-ip = "127.0.0.1"

group = sms-service
keyword = default
get-url = "http://127.0.0.1:{web}/reply?from=%p&to=%P&text=%a"
max-messages = 0
"""


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 0.3).close()
    except OSError:
        return False
    return True


class Kannel:
    """A running Kannel, and the web server that it reports to."""

    def __init__(self, folder: Path, relay_port: int) -> None:
        self.heard: list[dict[str, str]] = []
        heard = self.heard

        class Reports(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path, _, query = self.path.partition("?")
                heard.append({"path": path, **dict(urllib.parse.parse_qsl(query))})
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.web = ThreadingHTTPServer(("127.0.0.1", 0), Reports)
        self._thread = threading.Thread(target=self.web.serve_forever, daemon=True)
        self._thread.start()
        self.ports = {name: free_port() for name in ("admin", "box", "send")}
        config = folder / "kannel.conf"
        config.write_text(
            CONFIG.format(
                **self.ports, folder=folder, relay=relay_port, name=SHOP[0], password=SHOP[1],
                web=self.web.server_address[1],
            ),
            encoding="utf-8",
        )  # fmt: skip
        self._processes: list[subprocess.Popen[bytes]] = []
        try:
            for program, port in (("bearerbox", "box"), ("smsbox", "send")):
                self._start(program, config)
                wait_until(lambda port=port: listens(self.ports[port]), f"{program} listens")
            wait_until(lambda: "online" in self._status(), "Kannel is bound to the relay")
        except BaseException:
            self.end()
            raise

    def _start(self, program: str, config: Path) -> None:
        found = shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin")
        assert found is not None
        parent = os.getpid()
        self._processes.append(
            subprocess.Popen(
                [found, str(config)], cwd=config.parent, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                preexec_fn=lambda: end_with_parent(parent),
            )
        )  # fmt: skip

    def _status(self) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.ports['admin']}/status.txt?password=bar") as answer:
            text: str = answer.read().decode()
            return text

    def send(self, tag: str, source: str, destination: str, text: str) -> None:
        """Hand Kannel a text; what becomes of it is reported under ``tag``."""
        query = {
            "username": "u", "password": "p", "from": source, "to": destination, "text": text, "charset": "UTF-8",
            "coding": "2", "dlr-mask": "31",
            "dlr-url": f"http://127.0.0.1:{self.web.server_address[1]}/report?tag={tag}&type=%d&reply=%A",
        }  # fmt: skip
        url = f"http://127.0.0.1:{self.ports['send']}/cgi-bin/sendsms?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(url) as answer:
            assert answer.status == 202

    def reports(self, tag: str, kind: int) -> list[dict[str, str]]:
        """Wait for a report on a text: 1 delivered, 8 taken by the SMSC, 16 refused by it."""
        return wait_until(
            lambda: [each for each in self.heard if each.get("tag") == tag and each["type"] == str(kind)],
            f"a report of type {kind} on {tag}; heard: {self.heard}",
        )

    def end(self) -> None:
        """Stop everything."""
        for process in reversed(self._processes):
            process.terminate()
        for process in self._processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.web.shutdown()
        self.web.server_close()
        self._thread.join()


@pytest.fixture(scope="module")
def kannel_relay(smsc: Smsc, start_relay: StartRelay) -> Relay:
    relay = start_relay(smsc.port)
    relay.consents(f"{AGREED},shop-ltd,granted", f"{OTHER_AGREED},shop-ltd,granted")
    return relay


@pytest.fixture(scope="module")
def kannel(kannel_relay: Relay, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kannel]:
    if shutil.which("bearerbox", path=f"{os.environ.get('PATH', '')}:/usr/sbin") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("there is no Kannel, and CI has to have it")
        pytest.skip("there is no Kannel on this machine")
    one = Kannel(tmp_path_factory.mktemp("kannel"), kannel_relay.port)
    yield one
    one.end()


@pytest.mark.parametrize("destination", [f"+{AGREED}", AGREED, AGREED[2:]], ids=["plus", "full", "national"])
def test_what_kannel_calls_national_is_who_it_is(smsc: Smsc, kannel: Kannel, destination: str) -> None:
    before, tag = len(smsc.requests()), f"agreed{len(destination)}"
    kannel.send(tag, SHOP_SENDER.decode(), destination, ADVERTISEMENT)
    (heard,) = smsc.hears(1, before)
    assert heard.fields()["source_addr_ton"] == Ton.NATIONAL, "Kannel's default"
    kannel.reports(tag, 8)


def test_what_is_refused_kannel_reports_as_refused(smsc: Smsc, kannel: Kannel) -> None:
    before = len(smsc.requests())
    kannel.send("stranger", SHOP_SENDER.decode(), STRANGER, ADVERTISEMENT)
    (report,) = kannel.reports("stranger", 16)
    assert f"{NO_CONSENT:08x}" in report["reply"].lower()
    assert len(smsc.requests()) == before


def test_kannel_gets_replies_and_a_withdrawal_binds(smsc: Smsc, kannel: Kannel) -> None:
    link = smsc.link(SHOP[0])
    reply = message(OTHER_AGREED.encode(), SHOP_SENDER, "TD", command_id=CommandId.DELIVER_SM, source_ton=Ton.NATIONAL)
    smsc.hears_response(link.request(reply), link)
    wait_until(lambda: [each for each in kannel.heard if each["path"] == "/reply"], "Kannel hands on the reply")
    began = time.monotonic()
    kannel.send("withdrawn", SHOP_SENDER.decode(), OTHER_AGREED, ADVERTISEMENT)
    kannel.reports("withdrawn", 16)
    assert time.monotonic() - began < 15
