"""Slow and absent neighbours: windows, back-pressure, timers, an SMSC that goes and comes, a store that is away."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from smsc_filter.smpp.codec import encode, encode_submit
from smsc_filter.smpp.constants import CommandId, CommandStatus
from smsc_filter.smpp.pdu import Pdu
from smsc_filter.smpp.tlv import encode_tlv
from tests.conftest import Connect, StartRelay
from tests.relay.harness import (
    BANK,
    BANK_SENDER,
    CODE,
    SHOP,
    SHOP_SENDER,
    Relay,
    Smsc,
    message,
    renumbered,
    rss_octets,
    wait_until,
    words_of,
)

ROK, QUEUE_FULL, SYSTEM_ERROR = CommandStatus.ESME_ROK, CommandStatus.ESME_RMSGQFUL, CommandStatus.ESME_RSYSERR

recipients = itertools.count(8613800070001)

WINDOW = 5


def someone() -> bytes:
    return b"%d" % next(recipients)


@pytest.fixture(autouse=True)
def talkative(smsc: Smsc) -> Iterator[None]:
    """Whatever a test made of the SMSC, the next one finds it as it was."""
    yield
    smsc.answers.clear()


# Windows.


@pytest.fixture(scope="module")
def narrow(smsc: Smsc, start_relay: StartRelay) -> Relay:
    return start_relay(smsc.port, listen={"window": WINDOW}, upstream={"window": 2 * WINDOW})


def test_no_more_requests_wait_at_the_smsc_than_the_window_has(smsc: Smsc, narrow: Relay, connect: Connect) -> None:
    esme = connect(narrow, SHOP)
    held: list[Pdu] = []
    smsc.answers[CommandId.SUBMIT_SM] = lambda pdu: held.append(pdu)
    esme.send(b"".join(message(SHOP_SENDER, someone(), CODE, number) for number in range(1, 21)))
    link = smsc.link("shop")
    for answered in range(20):
        expected = min(20, WINDOW + answered)
        wait_until(lambda expected=expected: len(held) >= expected, f"the SMSC hears request {expected}")
        assert len(held) == expected
        link.send(held[answered].reply(body=b"m\0"))
    assert [esme.pdu().sequence_number for _ in range(20)] == list(range(1, 21))


def test_no_more_requests_wait_at_the_provider_than_the_window_has(smsc: Smsc, narrow: Relay, connect: Connect) -> None:
    esme = connect(narrow, SHOP)
    link = smsc.link("shop")
    numbers = [link.request(message(someone(), SHOP_SENDER, "hi", command_id=CommandId.DELIVER_SM)) for _ in range(25)]
    heard = [esme.next_request() for _ in range(2 * WINDOW)]
    for answered in range(25):
        # A request is let through for each answer, and not one before.
        assert esme.ask(encode(CommandId.ENQUIRE_LINK, 0)).command_status == ROK
        assert len(heard) + len(esme.unasked) == min(25, 2 * WINDOW + answered)
        esme.send(heard[answered].reply(body=b"\0"))
        smsc.hears_response(numbers[answered], link)
        if len(heard) < 25:
            heard.append(esme.next_request())


# Back-pressure.


def test_an_smsc_that_stops_reading_stops_the_provider_and_nothing_is_lost(
    smsc: Smsc, start_relay: StartRelay, connect: Connect
) -> None:
    relay = start_relay(smsc.port, timers={"response": 0.0}, listen={"window": 100_000}, upstream={"window": 100_000})
    esme, bystander = connect(relay, SHOP), connect(relay, BANK)
    goes_on = threading.Event()

    def slow(pdu: Pdu) -> bytes:
        if SHOP_SENDER in pdu.octets[16:40]:
            goes_on.wait(60)
        return pdu.reply(body=b"m\0")

    smsc.answers[CommandId.SUBMIT_SM] = slow
    smsc.forget()
    (worker,) = relay.workers
    before = rss_octets(worker)
    # Binary, so that judging takes no time and nothing but the SMSC is slow.
    long = encode_submit(0, SHOP_SENDER, b"8613800070000", b"", data_coding=4, tlvs=encode_tlv(0x0424, bytes(50_000)))
    count, room = 0, 1
    esme.stream.settimeout(1.5)
    try:
        while room and count < 4000:
            octets = renumbered(long, count + 1)
            room = send_some(esme.stream, octets)
            count += 1
        assert count < 4000, "the provider was not read without end"
        assert rss_octets(worker) - before < 200 << 20
        assert bystander.submit(BANK_SENDER, someone(), CODE) == ROK, "the other bind goes on"
    finally:
        goes_on.set()
    # The last one was cut by the stop; its rest is sent now, while the answers are taken.
    rest = octets[send_some.sent :]
    sender = threading.Thread(target=finish, args=(esme.stream, rest))
    sender.start()
    heard = [esme.pdu(60).sequence_number for _ in range(count)]
    sender.join()
    assert heard == list(range(1, count + 1))


def finish(stream: socket.socket, octets: bytes) -> None:
    stream.settimeout(60)
    stream.sendall(octets)


class SendSome:
    """Send until there is no room for the stream's patience; ``sent`` is how much of the last piece went."""

    sent = 0

    def __call__(self, stream: socket.socket, octets: bytes) -> bool:
        self.sent = 0
        while self.sent < len(octets):
            try:
                self.sent += stream.send(octets[self.sent :])
            except TimeoutError:
                return False
        return True


send_some = SendSome()


# The response timer.


@pytest.fixture(scope="module")
def impatient(smsc: Smsc, start_relay: StartRelay) -> Relay:
    return start_relay(smsc.port, timers={"response": 1.0})


def test_an_answer_that_never_comes_is_given_in_the_smscs_place(smsc: Smsc, impatient: Relay, connect: Connect) -> None:
    esme, held = connect(impatient, SHOP), []
    smsc.answers[CommandId.SUBMIT_SM] = lambda pdu: held.append(pdu)
    smsc.answers[CommandId.QUERY_SM] = lambda pdu: None
    recipient = someone()
    began = time.monotonic()
    assert esme.submit(SHOP_SENDER, recipient, CODE) == QUEUE_FULL
    assert time.monotonic() - began >= 1.0
    assert esme.ask(encode(CommandId.QUERY_SM, 0, b"m-1\0\0\1106900001\0")).command_status == QUEUE_FULL
    smsc.link("shop").send(held[0].reply(body=b"too-late\0"))
    smsc.answers.clear()
    assert esme.submit(SHOP_SENDER, recipient, CODE) == ROK, "the late answer is nobody's, and the link stands"
    assert not esme.unasked
    first = impatient.decisions(recipient.decode(), 2)[0]["id"]
    query = "select command_status from outcomes where decision_id = ?"
    assert wait_until(lambda: impatient.records(query, first), "its outcome is on record") == [(QUEUE_FULL,)]


def test_a_provider_that_never_answers_is_answered_for(smsc: Smsc, impatient: Relay, connect: Connect) -> None:
    esme = connect(impatient, SHOP)
    link = smsc.link("shop")
    number = link.request(message(someone(), SHOP_SENDER, "hi", command_id=CommandId.DELIVER_SM))
    heard = esme.next_request()
    assert smsc.hears_response(number, link).command_status == CommandStatus.ESME_RX_T_APPN
    esme.send(heard.reply(body=b"\0"))
    assert esme.submit(SHOP_SENDER, someone(), CODE) == ROK


def test_a_provider_that_asks_nothing_is_unbound(smsc: Smsc, start_relay: StartRelay, connect: Connect) -> None:
    esme = connect(start_relay(smsc.port, timers={"inactivity": 1.0}), SHOP)
    link = smsc.link("shop")
    asked = esme.pdu()
    assert asked.command_id == CommandId.UNBIND
    esme.send(asked.reply())
    assert esme.hears_the_end()
    wait_until(lambda: link.unbound and not link.open, "the SMSC is unbound too")


def test_an_smsc_with_nothing_to_deliver_is_left_bound(smsc: Smsc, start_relay: StartRelay, connect: Connect) -> None:
    esme = connect(start_relay(smsc.port, timers={"inactivity": 1.0}), SHOP)
    link = smsc.link("shop")
    began = time.monotonic()
    while time.monotonic() - began < 2.5:
        assert esme.submit(SHOP_SENDER, someone(), CODE) == ROK
        time.sleep(0.1)
    assert smsc.link("shop") is link
    assert link.open


# The SMSC goes and comes.


def test_while_the_smsc_is_away_providers_stay_bound_and_are_told_to_wait(
    start_relay: StartRelay, connect: Connect
) -> None:
    with Smsc() as smsc:
        relay = start_relay(smsc.port)
        esme = connect(relay, SHOP)
        smsc.answers[CommandId.SUBMIT_SM] = lambda pdu: None
        recipient = someone()
        esme.send(message(SHOP_SENDER, recipient, CODE, 4242))
        smsc.hears(1)
        smsc.stop()
        assert esme.answer(4242).command_status == QUEUE_FULL, "what was in flight is not left without an answer"
        assert esme.submit(SHOP_SENDER, recipient, CODE) == QUEUE_FULL
        assert esme.ask(encode(CommandId.ENQUIRE_LINK, 0)).command_status == ROK
        late = connect(relay, BANK)
        assert late.submit(BANK_SENDER, recipient, CODE) == QUEUE_FULL, "one may even bind meanwhile"
        smsc.answers.clear()
        smsc.start()
        for each, sender in ((esme, SHOP_SENDER), (late, BANK_SENDER)):
            wait_until(lambda each=each, sender=sender: each.submit(sender, recipient, CODE) == ROK, "it is back")
        assert not esme.unasked
        assert not late.unasked
        causes = [each["cause"] for each in relay.decisions(recipient.decode(), 5)]
        assert causes[:3] == ["", "upstream-unavailable", "upstream-unavailable"]


def test_the_smsc_is_tried_again_with_growing_pauses(start_relay: StartRelay, connect: Connect) -> None:
    first, most = 0.1, 0.8
    with Smsc() as smsc:
        relay = start_relay(smsc.port, upstream={"reconnect_first": first, "reconnect_most": most})
        esme = connect(relay, SHOP)
        smsc.stop()
        tries: list[float] = []
        with socket.create_server(("127.0.0.1", smsc.port)) as deaf:
            deaf.settimeout(15)
            for _ in range(7):
                stream, _ = deaf.accept()
                tries.append(time.monotonic())
                stream.close()
        smsc.start()
        wait_until(lambda: esme.submit(SHOP_SENDER, someone(), CODE) == ROK, "it is back")
    pauses = [after - before for before, after in itertools.pairwise(tries)]
    # Each is drawn from the upper half of its bound; a busy machine only makes them longer.
    expected = [min(first * 2**at, most) / 2 for at in range(1, 7)]
    assert all(pause >= least * 0.95 for pause, least in zip(pauses, expected, strict=True)), pauses


# The store is away.


def store_of(relay: Relay) -> int:
    # It writes where it listens into its own command line.
    return next(pid for pid in relay.family if "-server" in " ".join(words_of(pid)[:1]))


@contextlib.contextmanager
def stopped(pid: int) -> Iterator[Callable[[], None]]:
    """A process that does not run until the end of the block, or until it is let go."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield lambda: os.kill(pid, signal.SIGCONT)
    finally:
        os.kill(pid, signal.SIGCONT)


def test_a_store_that_hangs_refuses_for_now_and_the_record_is_made_up_for(
    smsc: Smsc, start_relay: StartRelay, connect: Connect
) -> None:
    relay = start_relay(smsc.port, state={"timeout": 0.3, "patience": 0.5})
    esme = connect(relay, SHOP)
    recipient = someone()
    assert esme.submit(SHOP_SENDER, recipient, CODE) == ROK
    smsc.forget()
    with stopped(store_of(relay)):
        assert esme.submit(SHOP_SENDER, recipient, CODE) == SYSTEM_ERROR
        assert esme.ask(encode(CommandId.ENQUIRE_LINK, 0)).command_status == ROK
        assert any((relay.folder / "spool").iterdir()), "its record waits on disk"
        assert not smsc.requests(), "nobody is let through unjudged"
        assert connect(relay).bind(SHOP).command_status == SYSTEM_ERROR
    wait_until(lambda: esme.submit(SHOP_SENDER, recipient, CODE) == ROK, "the store is back")
    refused = wait_until(
        lambda: relay.records(
            "select command_status, enforced from decisions where recipient = ? and cause = 'store-unavailable'",
            recipient.decode(),
        ),
        "the record has come to SQL",
    )
    assert set(refused) == {(SYSTEM_ERROR, 1)}


def test_a_store_that_is_killed_is_started_again_and_no_message_notices(
    smsc: Smsc, start_relay: StartRelay, connect: Connect
) -> None:
    relay = start_relay(smsc.port)
    esme = connect(relay, SHOP)
    recipient = someone()
    assert esme.submit(SHOP_SENDER, recipient, CODE) == ROK
    killed = store_of(relay)
    os.kill(killed, signal.SIGKILL)
    assert [esme.submit(SHOP_SENDER, recipient, CODE) for _ in range(20)] == [ROK] * 20
    assert store_of(relay) != killed
    assert len(relay.decisions(recipient.decode(), 21)) == 21
