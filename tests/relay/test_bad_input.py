"""What is wrong on the wire gets the fitting answer, and ends nothing but the link that sent it."""

from __future__ import annotations

import contextlib
import itertools
import select
import socket
import time
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smsc_filter.smpp.codec import encode, encode_bind, encode_submit
from smsc_filter.smpp.constants import CommandId, CommandStatus
from smsc_filter.smpp.layouts import LAYOUTS
from smsc_filter.smpp.tlv import encode_tlv
from tests.conftest import Connect, StartRelay
from tests.relay.harness import (
    ADVERTISEMENT,
    CODE,
    NO_CONSENT,
    SECONDS,
    SHOP,
    SHOP_SENDER,
    Esme,
    Relay,
    Smsc,
    message,
    renumbered,
    rss_octets,
    wait_until,
)

ROK = CommandStatus.ESME_ROK
S = CommandStatus

RECIPIENT = b"8613800006001"

MOST_OCTETS = 4096

GROWTH = 40 << 20
"""Octets a worker may grow by while somebody sends or asks far more than this without reading."""


@pytest.fixture(scope="module")
def relay(smsc: Smsc, start_relay: StartRelay) -> Relay:
    return start_relay(
        smsc.port, listen={"max_pdu_octets": MOST_OCTETS}, timers={"session_init": 2.0, "response": 60.0}
    )


@pytest.fixture
def bystander(relay: Relay, connect: Connect) -> Iterator[Esme]:
    """A provider whose bind has to stand whatever others do, on the worker that was there before."""
    workers = relay.workers
    esme = connect(relay, SHOP)
    yield esme
    assert esme.submit(SHOP_SENDER, RECIPIENT, CODE) == ROK
    assert relay.workers == workers


def submit_body(
    *, service_type: bytes = b"\0", source: bytes = SHOP_SENDER + b"\0", recipient: bytes = RECIPIENT + b"\0",
    schedule: bytes = b"\0", validity: bytes = b"\0", length: int = 2, text: bytes = b"hi", tlvs: bytes = b"",
) -> bytes:  # fmt: skip
    return (
        service_type + b"\0\1" + source + b"\1\1" + recipient + bytes(3) + schedule + validity
        + bytes((0, 0, 0, 0, length)) + text + tlvs
    )  # fmt: skip


# Framing.


@pytest.mark.parametrize("bound", [True, False], ids=["bound", "unbound"])
@pytest.mark.parametrize("length", [0, 15, MOST_OCTETS + 1, 0x47455420, 0xFFFFFFFF])
def test_a_command_length_that_no_pdu_has_ends_that_link_at_once(
    relay: Relay, bystander: Esme, connect: Connect, length: int, bound: bool
) -> None:
    esme = connect(relay, SHOP) if bound else connect(relay)
    began = time.monotonic()
    esme.send(length.to_bytes(4, "big") + encode(CommandId.ENQUIRE_LINK, 1)[4:])
    assert esme.hears_the_end()
    assert time.monotonic() - began < 1.9 or bound, "it is closed for what it said, not by session_init"
    (said,) = [pdu for pdu in esme.unasked if pdu.command_id != CommandId.UNBIND]
    assert (said.command_id, said.command_status) == (CommandId.GENERIC_NACK, S.ESME_RINVCMDLEN)


def test_what_came_before_a_broken_frame_is_answered_first(smsc: Smsc, relay: Relay, connect: Connect) -> None:
    esme = connect(relay, SHOP)
    held: list[object] = []
    smsc.answers[CommandId.SUBMIT_SM] = lambda pdu: held.append(pdu)
    try:
        good = b"".join(message(SHOP_SENDER, RECIPIENT, CODE, number) for number in (11, 12, 13))
        esme.send(good + encode(CommandId.ENQUIRE_LINK, 14) + b"\0\0\0\x01" + bytes(40))
        wait_until(lambda: len(held) == 3, "the SMSC hears what was whole")
        link = smsc.link("shop")
        for pdu in held:
            link.send(pdu.reply(body=b"late\0"))  # type: ignore[attr-defined]
    finally:
        smsc.answers.clear()
    assert esme.hears_the_end()
    answers = [pdu for pdu in esme.unasked if pdu.command_id != CommandId.GENERIC_NACK]
    assert {pdu.sequence_number for pdu in answers} == {11, 12, 13, 14}
    assert all(pdu.command_status == ROK for pdu in answers)
    assert len(esme.unasked) == len(answers) + 1


def test_the_longest_pdu_that_is_allowed_passes(smsc: Smsc, relay: Relay, connect: Connect) -> None:
    esme = connect(relay, SHOP)
    room = MOST_OCTETS - 16 - len(submit_body(length=0, text=b"")) - 4
    longest = encode(
        CommandId.SUBMIT_SM, 1, submit_body(length=0, text=b"", tlvs=encode_tlv(0x0424, (CODE.encode() * 99)[:room]))
    )
    assert len(longest) == MOST_OCTETS
    assert esme.ask(longest).command_status == ROK


def test_a_broken_frame_of_the_smsc_ends_only_its_own_link_which_comes_back(
    smsc: Smsc, relay: Relay, bystander: Esme, connect: Connect
) -> None:
    esme = connect(relay, SHOP)
    link = smsc.link("shop")
    link.send(b"\0\0\0\x02" + bytes(40))
    wait_until(lambda: not link.open, "the relay hangs up on the SMSC")
    wait_until(lambda: esme.submit(SHOP_SENDER, RECIPIENT, CODE) == ROK, "it has bound again")


# One PDU is wrong and the next is fine.

WRONG = [
    pytest.param(b"", S.ESME_RINVSERTYP, id="nothing"),
    pytest.param(submit_body(service_type=b"ABCDEF\0"), S.ESME_RINVSERTYP, id="service-type-too-long"),
    pytest.param(submit_body(source=b"1" * 21 + b"\0"), S.ESME_RINVSRCADR, id="source-too-long"),
    pytest.param(submit_body(recipient=b"1" * 21 + b"\0"), S.ESME_RINVDSTADR, id="destination-too-long"),
    pytest.param(submit_body(schedule=b"1" * 17 + b"\0"), S.ESME_RINVSCHED, id="schedule-too-long"),
    pytest.param(submit_body(validity=b"1" * 17 + b"\0"), S.ESME_RINVEXPIRY, id="validity-too-long"),
    pytest.param(submit_body()[:3] + SHOP_SENDER, S.ESME_RINVSRCADR, id="source-without-nul"),
    pytest.param(submit_body()[:20], S.ESME_RINVDSTADR, id="cut-in-the-destination"),
    pytest.param(submit_body(length=0, text=b"")[:-1], S.ESME_RINVCMDLEN, id="cut-before-sm-length"),
    pytest.param(submit_body(length=3), S.ESME_RINVMSGLEN, id="sm-length-beyond-the-end"),
    pytest.param(submit_body(length=255, text=b"x" * 255), S.ESME_RINVMSGLEN, id="sm-length-255"),
    pytest.param(submit_body(tlvs=b"\x14"), S.ESME_RINVOPTPARSTREAM, id="tlv-header-cut"),
    pytest.param(submit_body(tlvs=b"\x14\0\0\5abcd"), S.ESME_RINVOPTPARSTREAM, id="tlv-overruns"),
    pytest.param(submit_body(tlvs=b"\x14\0\xff\xff"), S.ESME_RINVOPTPARSTREAM, id="tlv-overruns-far"),
]


@pytest.mark.parametrize(("body", "status"), WRONG)
def test_a_wrong_field_gets_the_fitting_status_and_the_link_stays(
    smsc: Smsc, relay: Relay, connect: Connect, body: bytes, status: int
) -> None:
    esme = connect(relay, SHOP)
    smsc.forget()
    assert esme.ask(encode(CommandId.SUBMIT_SM, 0, body)).command_status == status
    assert not smsc.requests()
    assert esme.submit(SHOP_SENDER, RECIPIENT, CODE) == ROK


@pytest.mark.parametrize("command_id", [0x0A, 0x42, 0x10001, 0x7FFFFFFF, 0x111])
def test_an_unknown_command_gets_a_generic_nack(relay: Relay, connect: Connect, command_id: int) -> None:
    esme = connect(relay, SHOP)
    esme.send(encode(command_id, 4711, b"whatever"))
    nack = esme.pdu()
    assert (nack.command_id, nack.sequence_number) == (CommandId.GENERIC_NACK, 4711)
    assert nack.command_status == S.ESME_RINVCMDID
    assert esme.submit(SHOP_SENDER, RECIPIENT, CODE) == ROK


@pytest.mark.parametrize(
    "command_id", sorted(set(LAYOUTS) - {1, 2, 9, CommandId.ALERT_NOTIFICATION} | {CommandId.UNBIND, 0x15})
)
def test_before_the_bind_everything_but_a_bind_is_out_of_place(
    smsc: Smsc, relay: Relay, connect: Connect, command_id: int
) -> None:
    smsc.forget()
    esme = connect(relay)
    answer = esme.ask(encode(command_id, 0, submit_body()))
    assert answer.command_id == command_id | 0x80000000
    assert answer.command_status == S.ESME_RINVBNDSTS
    assert not smsc.requests()
    assert esme.bind(SHOP).command_status == ROK


def test_what_only_an_smsc_says_is_out_of_place(relay: Relay, connect: Connect) -> None:
    esme = connect(relay, SHOP)
    deliver = encode_submit(0, RECIPIENT, SHOP_SENDER, b"hi", command_id=CommandId.DELIVER_SM)
    assert esme.ask(deliver).command_status == S.ESME_RINVBNDSTS


def test_answers_to_nothing_are_ignored(relay: Relay, connect: Connect) -> None:
    esme = connect(relay, SHOP)
    for command_id in (CommandId.DELIVER_SM_RESP, CommandId.GENERIC_NACK, CommandId.ENQUIRE_LINK_RESP, 0x80004242):
        esme.send(encode(command_id, 99, b"\0"))
    assert esme.submit(SHOP_SENDER, RECIPIENT, CODE) == ROK
    assert not esme.unasked


def test_an_unbind_said_twice_waits_for_what_is_in_flight_and_not_for_itself(
    smsc: Smsc, relay: Relay, connect: Connect
) -> None:
    esme = connect(relay, SHOP)
    held: list[object] = []
    smsc.answers[CommandId.SUBMIT_SM] = lambda pdu: held.append(pdu)
    try:
        unbinds = encode(CommandId.UNBIND, 22) + encode(CommandId.UNBIND, 23)
        esme.send(message(SHOP_SENDER, RECIPIENT, CODE, 21) + unbinds)
        wait_until(lambda: held, "the SMSC hears the message")
        assert esme.answer(23).command_status == S.ESME_RINVBNDSTS
        smsc.link("shop").send(held[0].reply(body=b"m\0"))  # type: ignore[attr-defined]
    finally:
        smsc.answers.clear()
    assert [esme.answer(number).command_status for number in (21, 22)] == [ROK, ROK]
    assert esme.hears_the_end()


@pytest.mark.parametrize(
    ("body", "status"),
    [
        pytest.param(b"", S.ESME_RINVSYSID, id="nothing"),
        pytest.param(b"s" * 16 + b"\0", S.ESME_RINVSYSID, id="system-id-too-long"),
        pytest.param(b"shop\0" + b"p" * 9 + b"\0", S.ESME_RINVPASWD, id="password-too-long"),
        pytest.param(b"shop\0shop-pw\0\0", S.ESME_RINVCMDLEN, id="cut"),
        pytest.param(b"shop\0shop-pw\0\0\x34\0\0" + b"9" * 41 + b"\0", S.ESME_RBINDFAIL, id="range-too-long"),
        pytest.param(b"shop\0shop-pw\0\0\x99\0\0\0", S.ESME_RBINDFAIL, id="version-unheard-of"),
    ],
)
def test_a_wrong_bind_is_answered_and_may_be_tried_over_another_connection(
    relay: Relay, connect: Connect, body: bytes, status: int
) -> None:
    esme = connect(relay)
    assert esme.ask(encode(CommandId.BIND_TRANSCEIVER, 0, body)).command_status == status
    assert esme.hears_the_end()
    assert connect(relay).bind(SHOP).command_status == ROK


# Who sends nothing, or too slowly, or does not read.


def test_who_does_not_bind_in_time_is_cut(relay: Relay, bystander: Esme, connect: Connect) -> None:
    silent, slow = connect(relay), connect(relay)
    began = time.monotonic()
    with contextlib.suppress(OSError):
        for octet in encode_bind(CommandId.BIND_TRANSCEIVER, 1, b"shop", b"shop-pw"):
            slow.send(bytes((octet,)))
            if not wait_readable(slow, 0.2):
                continue
            break
    assert slow.hears_the_end()
    assert silent.hears_the_end()
    assert 1.5 < time.monotonic() - began < SECONDS


def wait_readable(esme: Esme, seconds: float) -> bool:
    esme.stream.settimeout(seconds)
    try:
        return esme.stream.recv(1, socket.MSG_PEEK) is not None
    except TimeoutError:
        return False


def test_who_asks_and_never_reads_costs_no_memory(relay: Relay, bystander: Esme, connect: Connect) -> None:
    esme = connect(relay, SHOP)
    (worker,) = relay.workers
    before = rss_octets(worker)
    flood = encode(CommandId.ENQUIRE_LINK, 7) * 4000
    sent = pour(esme.stream, itertools.repeat(flood))
    assert rss_octets(worker) - before < GROWTH
    assert sent < 100 << 20, "it was stopped, not served without end"


def test_who_never_reads_what_the_network_sends_stops_the_smsc(
    smsc: Smsc, start_relay: StartRelay, connect: Connect
) -> None:
    relay = start_relay(smsc.port)
    connect(relay, SHOP)
    link = smsc.link("shop")
    (worker,) = relay.workers
    before = rss_octets(worker)
    long = encode_submit(
        0, RECIPIENT, SHOP_SENDER, b"", command_id=CommandId.DELIVER_SM, tlvs=encode_tlv(0x0424, b"x" * 60_000)
    )
    sent = pour(link.stream, (renumbered(long, number) for number in range(1, 100_000)))
    assert sent < 80 << 20, "the SMSC was not read without end"
    assert rss_octets(worker) - before < GROWTH
    link.close()


def pour(stream: socket.socket, pieces: Iterator[bytes], patience: float = 1.5) -> int:
    """Send until the peer takes nothing for ``patience`` seconds, 200 MB at most; the octets it took."""
    sent = 0
    for piece in pieces:
        left = memoryview(piece)
        while left:
            # Not by the time limit of the socket: the thread that reads from it sets its own.
            if not select.select([], [stream], [], patience)[1]:
                return sent
            count = stream.send(left, socket.MSG_DONTWAIT)
            sent += count
            left = left[count:]
        if sent > 200 << 20:
            break
    return sent


# Octets as they come.

pdus = st.builds(
    encode,
    st.one_of(
        st.sampled_from([command for command in CommandId if command != CommandId.UNBIND]), st.integers(0, 0xFFFFFFFF)
    ),
    st.integers(0, 0xFFFFFFFF),
    st.one_of(
        st.binary(max_size=120),
        st.builds(
            submit_body,
            source=st.one_of(st.just(SHOP_SENDER + b"\0"), st.binary(max_size=25)),
            recipient=st.one_of(st.just(RECIPIENT + b"\0"), st.binary(max_size=25)),
            length=st.integers(0, 255),
            text=st.binary(max_size=254),
            tlvs=st.binary(max_size=40),
        ),
    ),
)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    bound=st.booleans(), pieces=st.lists(st.one_of(pdus, pdus, pdus, st.binary(max_size=60)), min_size=1, max_size=8)
)
def test_random_octets_harm_nobody(relay: Relay, bystander: Esme, bound: bool, pieces: list[bytes]) -> None:
    with Esme.bound(relay.port, SHOP) if bound else Esme(relay.port) as esme:
        with contextlib.suppress(OSError):
            esme.send(b"".join(pieces))
        assert bystander.submit(SHOP_SENDER, RECIPIENT, CODE) == ROK


def test_nothing_went_wrong_inside(relay: Relay) -> None:
    # Behind all the others: whatever they sent, no batch failed and no exception reached the event loop.
    assert not [line for line in relay.log().splitlines() if "batch-failed" in line or "Traceback" in line]


def test_the_log_names_no_text_no_password_and_no_number(relay: Relay, connect: Connect) -> None:
    esme = connect(relay, SHOP)
    assert esme.submit(SHOP_SENDER, b"8613812345678", ADVERTISEMENT) == NO_CONSENT
    assert esme.ask(encode(CommandId.SUBMIT_SM, 0, submit_body(recipient=b"8613812345678" * 2 + b"\0")))
    assert connect(relay).bind(("shop", "not-it")).command_status == S.ESME_RINVPASWD
    log = relay.log()
    assert "bind-refused" in log
    for secret in ("shop-pw", "not-it", "13812345678", RECIPIENT.decode(), ADVERTISEMENT[:8], CODE[:20]):
        assert secret not in log
