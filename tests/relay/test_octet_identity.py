"""What goes through arrives as it was sent, to the octet behind the 16-octet header, both ways and answers too."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smsc_filter.smpp.codec import encode
from smsc_filter.smpp.constants import CommandId, CommandStatus
from smsc_filter.smpp.pdu import Pdu
from smsc_filter.smpp.tlv import encode_tlv
from tests.conftest import Connect, StartRelay
from tests.relay.harness import (
    CODE,
    SHOP,
    SHOP_SENDER,
    Esme,
    Relay,
    Smsc,
    message,
    renumbered,
    wait_until,
)

MESSAGE_PAYLOAD = 0x0424

# Octets: no NUL inside a string, everything else as wild as it comes.


def strings(most: int) -> st.SearchStrategy[bytes]:
    return st.binary(max_size=most).map(lambda octets: octets.replace(b"\0", b"x") + b"\0")


octet = st.integers(0, 255).map(lambda value: bytes((value,)))
tlvs = st.lists(st.tuples(st.integers(0, 0xFFFF), st.one_of(st.just(b""), st.binary(max_size=40))), max_size=5).map(
    lambda found: b"".join(encode_tlv(tag, value) for tag, value in found)
)
short_messages = st.binary(max_size=254).map(lambda octets: bytes((len(octets),)) + octets)
concatenated = st.tuples(st.integers(0, 255), st.integers(1, 3), st.integers(1, 3), st.binary(max_size=100)).map(
    lambda part: bytes((6 + len(part[3]), 5, 0, 3, part[0], part[1], part[2])) + part[3]
)

submits = st.tuples(
    strings(5), octet, octet, strings(20), octet, octet, strings(20),  # service type and both parties
    octet, octet, octet, strings(16), strings(16), octet, octet, octet, octet,
    st.one_of(short_messages, concatenated), tlvs,
).map(lambda fields: encode(CommandId.SUBMIT_SM, 0, b"".join(fields)))  # fmt: skip
data = st.tuples(
    strings(5), octet, octet, strings(64), octet, octet, strings(64), octet, octet, octet, tlvs
).map(lambda fields: encode(CommandId.DATA_SM, 0, b"".join(fields)))  # fmt: skip
downwards = st.tuples(
    st.sampled_from([CommandId.DELIVER_SM, CommandId.DATA_SM, CommandId.ALERT_NOTIFICATION]), st.binary(max_size=300)
).map(lambda pdu: encode(pdu[0], 0, pdu[1]))
answers = st.tuples(st.one_of(st.just(0), st.integers(0, 0xFFFFFFFF)), st.binary(max_size=80))


@pytest.fixture(scope="module")
def watching(smsc: Smsc, start_relay: StartRelay) -> Relay:
    """A relay that refuses nothing: what is generated here is no text that a judge would pass."""
    return start_relay(smsc.port, policy={"mode": "observe"})


@pytest.fixture(scope="module")
def esme(watching: Relay) -> Iterator[Esme]:
    with Esme.bound(watching.port, SHOP) as esme:
        yield esme


def cut(octets: bytes, places: list[int]) -> Iterator[bytes]:
    """The same octets as TCP may deliver them."""
    ends = sorted({place % (len(octets) + 1) for place in places} | {len(octets)})
    for start, end in zip([0, *ends], ends, strict=False):
        if octets[start:end]:
            yield octets[start:end]


def goes_up(smsc: Smsc, esme: Esme, pdus: list[bytes], places: list[int], reply: tuple[int, bytes]) -> None:
    """Send PDUs in pieces; each arrives as it was and each answer comes back as it was given."""
    status, body = reply
    smsc.forget()
    answer = lambda pdu: encode(pdu.command_id | 0x80000000, pdu.sequence_number, body, status)  # noqa: E731
    smsc.answers = dict.fromkeys(
        (CommandId.SUBMIT_SM, CommandId.DATA_SM, CommandId.QUERY_SM, CommandId.CANCEL_SM, CommandId.REPLACE_SM), answer
    )
    try:
        first = esme.numbers + 1
        esme.numbers += len(pdus)
        for piece in cut(b"".join(renumbered(pdu, first + at) for at, pdu in enumerate(pdus)), places):
            esme.send(piece)
        for at, (sent, heard) in enumerate(zip(pdus, smsc.hears(len(pdus)), strict=True)):
            assert heard.octets[:12] == sent[:12]
            assert heard.octets[16:] == sent[16:]
            given = esme.answer(first + at)
            assert given.command_id == heard.command_id | 0x80000000
            assert (given.command_status, given.body) == (status, body)
        assert not esme.unasked
    finally:
        smsc.answers = {}


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    pdus=st.lists(st.one_of(submits, submits, data), min_size=1, max_size=6),
    places=st.lists(st.integers(0, 2000), max_size=3),
    reply=answers,
)
def test_generated_requests_and_their_answers_pass_untouched(
    smsc: Smsc, esme: Esme, pdus: list[bytes], places: list[int], reply: tuple[int, bytes]
) -> None:
    goes_up(smsc, esme, pdus, places, reply)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    pdus=st.lists(downwards, min_size=1, max_size=6), places=st.lists(st.integers(0, 2000), max_size=3), reply=answers
)
def test_what_the_network_sends_and_its_answers_pass_untouched(
    smsc: Smsc, esme: Esme, pdus: list[bytes], places: list[int], reply: tuple[int, bytes]
) -> None:
    comes_down(smsc, esme, pdus, places, reply)


def comes_down(smsc: Smsc, esme: Esme, pdus: list[bytes], places: list[int], reply: tuple[int, bytes]) -> None:
    status, body = reply
    smsc.forget()
    link = smsc.link("shop")
    first = link.numbers + 1
    link.numbers += len(pdus)
    for piece in cut(b"".join(renumbered(pdu, first + at) for at, pdu in enumerate(pdus)), places):
        link.send(piece)
    for at, sent in enumerate(pdus):
        heard = esme.next_request()
        assert heard.octets[:12] == sent[:12]
        assert heard.octets[16:] == sent[16:]
        if heard.command_id != CommandId.ALERT_NOTIFICATION:
            esme.send(encode(heard.command_id | 0x80000000, heard.sequence_number, body, status))
            response = smsc.hears_response(first + at, link)
            assert response.command_id == heard.command_id | 0x80000000
            assert (response.command_status, response.body) == (status, body)


def submit(
    *, coding: int = 0, esm_class: int = 0, octets: bytes = b"hello", behind: bytes = b"", source: bytes = SHOP_SENDER
) -> bytes:
    """A submit_sm written out, so that nothing of ours has a say in its octets."""
    body = (
        b"\0\0\1" + source + b"\0\1\1" + b"8613800000001" + b"\0"
        + bytes((esm_class, 0, 0)) + b"\0\0" + bytes((1, 0, coding, 0, len(octets))) + octets + behind
    )  # fmt: skip
    return encode(CommandId.SUBMIT_SM, 0, body)


HANDWRITTEN = [
    pytest.param(submit(), id="plain"),
    pytest.param(submit(octets=b""), id="empty-short-message"),
    pytest.param(submit(octets=bytes(range(254))), id="254-octets"),
    pytest.param(submit(behind=encode_tlv(0x1400, b"vendor") + encode_tlv(0x3FFF, b"\0\xff")), id="unknown-tlvs"),
    pytest.param(submit(behind=encode_tlv(0x0204, b"") + encode_tlv(0x1401, b"")), id="zero-length-tlvs"),
    pytest.param(submit(behind=encode_tlv(0x1400, b"a") * 3), id="a-tlv-three-times"),
    pytest.param(submit(coding=0xF5, octets=b"\x06\x05\x04\x0b\x84\x23\xf0"), id="binary-class-1"),
    pytest.param(submit(coding=0x04, octets=b"\0\1\2\xff"), id="binary"),
    pytest.param(submit(coding=0x10, octets=b"Your code is 4711"), id="flash-gsm"),
    pytest.param(submit(coding=0x18, octets="验证码 4711".encode("utf-16-be")), id="flash-ucs2"),
    pytest.param(submit(coding=0xBF), id="reserved-data-coding"),
    pytest.param(submit(coding=8, octets=b"\xd8\x3d"), id="half-a-surrogate-pair"),
    pytest.param(submit(coding=8, octets=b"\x4f\x60\x59"), id="odd-ucs2"),
    pytest.param(submit(esm_class=0x40, octets=b"\5\0\3\7\2\1first"), id="udh-8-bit"),
    pytest.param(submit(esm_class=0x40, octets=b"\6\x08\4\1\7\2\2second"), id="udh-16-bit"),
    pytest.param(submit(esm_class=0x40, octets=b"\xffnot a header"), id="udh-longer-than-the-text"),
    pytest.param(submit(octets=b"", behind=encode_tlv(MESSAGE_PAYLOAD, b"p" * 65_535)), id="payload-65535"),
    pytest.param(
        submit(octets=b"", behind=encode_tlv(0x020C, b"\0\1") + encode_tlv(0x020E, b"\2") + encode_tlv(0x020F, b"\1")),
        id="sar",
    ),
    pytest.param(encode(CommandId.QUERY_SM, 0, b"m-1\0\0\1106900001\0"), id="query_sm"),
    pytest.param(encode(CommandId.CANCEL_SM, 0, b"\0m-1\0\0\1106900001\0\1\x018613800000001\0"), id="cancel_sm"),
    pytest.param(
        encode(CommandId.REPLACE_SM, 0, b"m-1\0\0\1106900001\0\0\0\0\0\2hi" + encode_tlv(0x1400, b"")),
        id="replace_sm",
    ),
]  # fmt: skip


@pytest.mark.parametrize("pdu", HANDWRITTEN)
def test_handwritten_requests_pass_untouched(smsc: Smsc, esme: Esme, pdu: bytes) -> None:
    goes_up(smsc, esme, [pdu], [], (0, b"0000a1\0"))
    goes_up(smsc, esme, [pdu, pdu], [5, 17], (CommandStatus.ESME_RSUBMITFAIL, b""))


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(submit()[16:], id="plain"),
        pytest.param(submit(behind=encode_tlv(0x1400, b"") + encode_tlv(0x001E, b"m-1\0"))[16:], id="tlvs"),
        pytest.param(submit(octets=b"", behind=encode_tlv(MESSAGE_PAYLOAD, b"\xff" * 65_535))[16:], id="payload-65535"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_handwritten_deliveries_pass_untouched(smsc: Smsc, esme: Esme, body: bytes) -> None:
    comes_down(smsc, esme, [encode(CommandId.DELIVER_SM, 0, body)] * 2, [], (0, b"\0"))


def test_the_same_holds_where_messages_are_judged(smsc: Smsc, start_relay: StartRelay, connect: Connect) -> None:
    relay = start_relay(smsc.port)
    esme = connect(relay, SHOP)
    strange = encode_tlv(0x1400, b"") + encode_tlv(0x3123, b"\0\1\2")
    pdus = [message(SHOP_SENDER, b"8613800000002", CODE, tlvs=strange, service_type=b"CMT", source_ton=0)] * 3
    goes_up(smsc, esme, pdus, [3, 70], (0, b"id-7\0"))


def test_sequence_numbers_are_each_sides_own(smsc: Smsc, watching: Relay, connect: Connect) -> None:
    esme = connect(watching, SHOP)
    numbers = [0x7FFFFFFF, 1, 0, 0xFFFFFFFF, 77, 77]
    for number in numbers:
        esme.send(renumbered(submit(), number))
    assert [esme.pdu().sequence_number for _ in numbers] == numbers


def test_answers_in_another_order_find_their_requests(smsc: Smsc, watching: Relay, connect: Connect) -> None:
    esme = connect(watching, SHOP)
    held: list[Pdu] = []
    smsc.answers[CommandId.SUBMIT_SM] = lambda pdu: held.append(pdu)
    try:
        for number in range(1, 21):
            esme.send(renumbered(submit(octets=b"%d" % number), number))
        wait_until(lambda: len(held) == 20, "the SMSC hears all")
        link = smsc.link("shop")
        for pdu in reversed(held):
            link.send(pdu.reply(body=pdu.octets[-2:].strip(b"\2\1") + b"\0"))
        heard = [esme.pdu() for _ in held]
    finally:
        smsc.answers = {}
    assert [pdu.sequence_number for pdu in heard] == list(range(20, 0, -1))
    assert all(int(pdu.body[:-1]) == pdu.sequence_number for pdu in heard)
