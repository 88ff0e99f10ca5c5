"""Several processes over one address: binds in turn, one that falls over, and an end that loses nothing."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest

from smsc_filter.smpp.constants import CommandId, CommandStatus
from smsc_filter.smpp.pdu import Pdu
from tests.conftest import Connect, StartRelay
from tests.relay.harness import (
    ADVERTISEMENT,
    CODE,
    NO_CONSENT,
    SHOP,
    SHOP_SENDER,
    Esme,
    Relay,
    Smsc,
    alive,
    message,
    wait_until,
)

ROK = CommandStatus.ESME_ROK

WORKERS = 3


@pytest.fixture(scope="module")
def lasting(smsc: Smsc, start_relay: StartRelay) -> Relay:
    """The relay of all tests that leave it running."""
    return start_relay(smsc.port, listen={"workers": WORKERS})


@pytest.fixture
def relay(smsc: Smsc, lasting: Relay) -> Relay:
    """The same, once everybody of the test before has left, so that binds are handed out from even."""
    wait_until(lambda: not any(link.open for link in smsc.links), "all have left")
    return lasting


@pytest.fixture
def ending(smsc: Smsc, start_relay: StartRelay) -> Relay:
    """A relay of its own for each test that ends it."""
    smsc.answers.clear()
    return start_relay(smsc.port, listen={"workers": WORKERS})


def workers_of(relay: Relay, esmes: list[Esme], recipient: bytes) -> list[int]:
    """Which worker serves each bind, as its decisions say."""
    for esme in esmes:
        assert esme.submit(SHOP_SENDER, recipient, CODE) == ROK
    return [decision["worker"] for decision in relay.decisions(recipient.decode(), len(esmes))]


def test_the_web_is_served_from_where_it_is_wanted(relay: Relay) -> None:
    assert [len(relay.children(role)) for role in ("worker", "recorder", "web")] == [WORKERS, 1, 0]
    assert "web on" not in relay.said()


def test_binds_are_handed_out_in_turn(relay: Relay, connect: Connect) -> None:
    esmes = [connect(relay, SHOP) for _ in range(3 * WORKERS)]
    served = Counter(workers_of(relay, esmes, b"8613800008001"))
    assert sorted(served.values()) == [3] * WORKERS


def test_room_that_is_left_is_filled_first(relay: Relay, connect: Connect) -> None:
    esmes = [connect(relay, SHOP) for _ in range(2 * WORKERS)]
    served = workers_of(relay, esmes, b"8613800008002")
    left = served[0]
    for esme, worker in zip(esmes, served, strict=True):
        if worker == left:
            esme.close()

    def both_come_to_it() -> bool:
        new = [connect(relay, SHOP) for _ in range(2)]
        where = workers_of(relay, new, b"8613800008003")[-2:]
        if where != [left, left]:
            for each in new:
                each.close()
        return where == [left, left]

    # The worker says that a connection ended a moment after it did.
    wait_until(both_come_to_it, "new binds come where room is")


def test_a_worker_that_dies_takes_only_its_own_links_along_and_is_replaced(
    smsc: Smsc, relay: Relay, connect: Connect
) -> None:
    esmes = [connect(relay, SHOP) for _ in range(2 * WORKERS)]
    served = workers_of(relay, esmes, b"8613800008004")
    workers = relay.workers
    os.kill(workers[0], signal.SIGKILL)
    gone = [esme for esme in esmes if esme_ended(esme)]
    assert len(gone) == 2
    assert len({worker for esme, worker in zip(esmes, served, strict=True) if esme in gone}) == 1
    for esme in set(esmes) - set(gone):
        assert esme.submit(SHOP_SENDER, b"8613800008004", CODE) == ROK
    wait_until(lambda: len(relay.workers) == WORKERS and workers[0] not in relay.workers, "it is replaced")

    def serves_again() -> bool:
        # The number of the dead one is not free yet, so that no id it may have given is given again.
        return not set(served).issuperset(workers_of(relay, [connect(relay, SHOP)], b"8613800008005"))

    wait_until(serves_again, "the new one takes binds under a number of its own")


def esme_ended(esme: Esme, seconds: float = 1.0) -> bool:
    esme.stream.settimeout(seconds)
    try:
        return esme.stream.recv(1, socket.MSG_PEEK) == b""
    except TimeoutError:
        return False
    except ConnectionError:
        return True


def test_the_recorder_is_replaced_as_well_and_no_decision_is_lost(relay: Relay, connect: Connect) -> None:
    esme = connect(relay, SHOP)
    (recorder,) = relay.children("recorder")
    os.kill(recorder, signal.SIGKILL)
    assert {esme.submit(SHOP_SENDER, b"8613800008006", CODE) for _ in range(10)} == {ROK}
    assert len(relay.decisions("8613800008006", 10)) == 10
    assert relay.children("recorder") != [recorder]


@pytest.mark.parametrize("by", ["SIGTERM", "Ctrl-C"])
def test_the_end_answers_what_is_in_flight_and_unbinds_both_sides(
    smsc: Smsc, ending: Relay, connect: Connect, by: str
) -> None:
    esmes = [connect(ending, SHOP) for _ in range(WORKERS)]
    links = [link for link in smsc.links if link.open][-WORKERS:]
    family = ending.family
    held: list[Pdu] = []
    told = threading.Event()
    smsc.forget()

    def late(pdu: Pdu) -> bytes:
        held.append(pdu)
        told.wait(30)
        return pdu.reply(body=b"at-last\0")

    smsc.answers[CommandId.SUBMIT_SM] = late
    for esme in esmes:
        esme.send(b"".join(message(SHOP_SENDER, b"8613800008007", CODE, number) for number in (101, 102)))
        esme.send(message(SHOP_SENDER, b"8613800008007", ADVERTISEMENT, 103))
    wait_until(lambda: len(held) == WORKERS, "the SMSC has the first of each")
    for esme in esmes:
        assert esme.answer(103).command_status == NO_CONSENT
    if by == "SIGTERM":
        os.kill(ending.pid, signal.SIGTERM)
    else:
        os.killpg(ending.pid, signal.SIGINT)  # as a terminal does: to the supervisor and to all its children
    wait_until(lambda: refused(ending.port), "nobody new is let in")
    told.set()
    for esme in esmes:
        for number in (101, 102):
            answer = esme.answer(number)
            assert (answer.command_status, answer.body) == (ROK, b"at-last\0")
        asked = esme.next_request()
        assert asked.command_id == CommandId.UNBIND
        esme.send(asked.reply())
        assert esme.hears_the_end()
    assert ending.ends() == 0
    wait_until(lambda: all(link.unbound and not link.open for link in links), "the SMSC is unbound on every link")
    assert not [pid for pid in family if alive(pid)]
    recorded = ending.records(
        "select cause, count(*) from decisions where recipient = '8613800008007' group by cause order by cause"
    )
    assert recorded == [("", 2 * WORKERS), ("no-consent", WORKERS)], "everything is in SQL when it has ended"
    outcomes = ending.records("select count(*) from outcomes where message_id = 'at-last'")
    assert outcomes == [(2 * WORKERS,)]


def refused(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return True
    return False


def test_a_provider_that_never_answers_the_unbind_does_not_hold_up_the_end(ending: Relay, connect: Connect) -> None:
    esme = connect(ending, SHOP)
    assert ending.stop(15) == 0
    assert esme.hears_the_end()
    assert [pdu.command_id for pdu in esme.unasked] == [CommandId.UNBIND]


def test_the_model_is_found_from_any_folder(lasting: Relay, tmp_path: Path) -> None:
    checked = subprocess.run(
        [sys.executable, "-m", "smsc_filter", "check-config", str(lasting.config)],
        capture_output=True, check=False, cwd=tmp_path, text=True, timeout=60,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stderr
