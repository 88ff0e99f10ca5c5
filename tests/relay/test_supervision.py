"""Processes that hang, a configuration that changes, a supervisor that is killed: the service goes on."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Connect, StartRelay
from tests.relay.harness import (
    ACCOUNTS,
    CODE,
    SENDERS,
    SHOP,
    SHOP_SENDER,
    UNKNOWN_SENDER,
    Relay,
    Smsc,
    alive,
    short_folder,
    wait_until,
)

HANG = """
import asyncio, os, pathlib, threading, time

def stand_still():
    time.sleep(600)

def watch(loop, flag):
    while not flag.exists():
        time.sleep(0.05)
    flag.unlink()
    loop.call_soon_threadsafe(stand_still)

def begin(role):
    loop = asyncio.get_running_loop()
    flag = pathlib.Path(os.environ["HANG_FOLDER"]) / role
    threading.Thread(target=watch, args=(loop, flag), daemon=True).start()

import smsc_filter.service.child as child
attend = child.Control.attend
def attend_and_watch(self, *heard):
    attend(self, *heard)
    import sys
    begin(sys.argv[1])
child.Control.attend = attend_and_watch
"""
"""Has a child of the relay block its own loop when a file with its role appears."""


def events(relay: Relay, name: str) -> list[dict[str, Any]]:
    """What it has logged of one kind."""
    found = [json.loads(line) for line in relay.log().splitlines() if line.startswith("{")]
    return [each for each in found if each["event"] == name]


@pytest.fixture(scope="module")
def hang() -> Iterator[Path]:
    with short_folder() as folder:
        (folder / "sitecustomize.py").write_text(
            "import sys\nif sys.argv[:1] == ['-m'] or 'smsc_filter.service' in sys.orig_argv:\n    import hang\n",
            encoding="ascii",
        )
        (folder / "hang.py").write_text(HANG, encoding="ascii")
        yield folder


@pytest.fixture(scope="module")
def guarded(smsc: Smsc, start_relay: StartRelay, hang: Path) -> Relay:
    return start_relay(
        smsc.port,
        listen={"workers": 2},
        supervisor={"watchdog": 2.0},
        web={"enabled": True, "port": 0},
        environment={"HANG_FOLDER": str(hang), "PYTHONPATH": str(hang)},
    )


@pytest.mark.parametrize("role", ["worker", "recorder", "web"])
def test_a_child_that_hangs_is_replaced_and_an_alarm_says_what_it_was_at(
    guarded: Relay, hang: Path, connect: Connect, role: str
) -> None:
    before = guarded.children(role)
    (hang / role).touch()
    wait_until(lambda: not set(before) <= set(guarded.children(role)), f"the {role} is ended", 30)
    wait_until(lambda: len(guarded.children(role)) == len(before), f"the {role} is replaced", 30)
    stuck = wait_until(
        lambda: [each for each in events(guarded, "child-stuck") if each["role"] == role], "it is logged"
    )
    assert "stand_still" in stuck[0]["at"][0]
    assert stuck[0]["pid"] in before

    def raised() -> list[Any]:
        rows = guarded.records("select subject, sentence from alarms where kind = 'process-stuck'")
        return [row for row in rows if role in row[0]]

    ((_, sentence),) = wait_until(raised, "an alarm is on record", 30)
    assert "did not answer" in sentence
    assert "stand_still" in sentence
    assert connect(guarded, SHOP).submit(SHOP_SENDER, b"8613800008101", CODE) == 0


def test_a_child_that_was_stopped_is_replaced_too(guarded: Relay, connect: Connect) -> None:
    (recorder,) = guarded.children("recorder")
    os.kill(recorder, signal.SIGSTOP)
    wait_until(lambda: guarded.children("recorder") not in ([recorder], []), "it is replaced", 30)
    connect(guarded, SHOP).submit(SHOP_SENDER, b"8613800008102", CODE)
    assert guarded.decisions("8613800008102")


def write(relay: Relay, old: str, new: str) -> None:
    text = relay.config.read_text(encoding="utf-8")
    assert old in text
    relay.config.write_text(text.replace(old, new, 1), encoding="utf-8")


def hang_up(relay: Relay, event: str) -> dict[str, Any]:
    """SIGHUP; the event that comes of it."""
    count = len(events(relay, event))
    os.kill(relay.pid, signal.SIGHUP)
    found: list[dict[str, Any]] = wait_until(lambda: events(relay, event)[count:], event, 30)
    return found[0]


def test_hangup_reloads_without_dropping_a_bind(smsc: Smsc, start_relay: StartRelay, connect: Connect) -> None:
    relay = start_relay(smsc.port, accounts=ACCOUNTS[:1], senders=SENDERS[:1])
    esme = connect(relay, SHOP)
    workers = relay.workers
    sent = (b"10777", b"8613800008103", CODE)
    assert esme.submit(*sent) == UNKNOWN_SENDER

    # What cannot be used changes nothing, and the error names the key.
    good = relay.config.read_text(encoding="utf-8")
    for wrong, named in (
        (good.replace('purpose = "commercial"', 'purpose = "comercial"'), "senders.0.purpose"),
        (good + '[policy]\nprofile = "nowhere.toml"\n', "nowhere.toml"),
        (good + '[policy]\nprohibited_file = "nowhere.txt"\n', "nowhere.txt"),
        (good + "]", "is not TOML"),
    ):
        relay.config.write_text(wrong, encoding="utf-8")
        assert named in hang_up(relay, "reload-refused")["detail"]
    assert esme.submit(SHOP_SENDER, b"8613800008103", CODE) == 0
    relay.config.write_text(good, encoding="utf-8")

    addition = [
        '[[senders]]\naddress = "10777"\nowner = "shop-ltd"\npurpose = "service"',
        '[[accounts]]\nsystem_id = "new"\npassword = "new-pw"\nowner = "new-ltd"',
        '[[senders]]\naddress = "10778"\nowner = "new-ltd"\npurpose = "service"',
    ]
    relay.config.write_text(relay.config.read_text() + "\n".join(addition) + "\n", encoding="utf-8")
    write(relay, "[web]", "[timers]\nenquire_link = 77\n[web]")
    assert hang_up(relay, "restart-needed")["keys"] == ["timers"]
    wait_until(lambda: events(relay, "worker-reloaded"), "the worker has it")
    assert esme.submit(*sent) == 0
    assert connect(relay, ("new", "new-pw")).submit(b"10778", b"8613800008103", CODE) == 0

    relay.config.write_text(relay.config.read_text() + '[policy]\nmode = "observe"\n', encoding="utf-8")
    assert hang_up(relay, "worker-reloaded")["still_bound"] == []
    assert esme.submit(b"10999", b"8613800008103", CODE) == 0
    assert relay.workers == workers
    wait_until(lambda: len(relay.children("recorder")) == 1, "the recorder is there")
    assert len(relay.decisions("8613800008103", 5)) == 5


def test_a_killed_supervisor_takes_everybody_along_and_the_next_starts_at_once(
    smsc: Smsc, start_relay: StartRelay, connect: Connect
) -> None:
    relay = start_relay(smsc.port, web={"enabled": True, "port": 0})
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    write(relay, "port = 0", f"port = {port}")
    relay.stop()
    relay.start()
    for _ in range(2):
        family = relay.family
        # One that cannot see the end of its channel ends as well.
        os.kill(relay.workers[0], signal.SIGSTOP)
        relay.kill()
        relay.start()
        left = [pid for pid in family if alive(pid)]
        assert not left, "who starts next waits for nobody that still holds an address"
    assert connect(relay, SHOP).submit(SHOP_SENDER, b"8613800008104", CODE) == 0
    assert events(relay, "uncaught") == []


def test_a_second_service_over_one_folder_is_refused(guarded: Relay) -> None:
    began = time.monotonic()
    done = guarded.command("serve")
    assert done.returncode != 0
    assert f"is in use by another smsc-filter serve (process {guarded.pid}); stop it first" in done.stderr
    assert "Traceback" not in done.stderr
    assert time.monotonic() - began < 30
