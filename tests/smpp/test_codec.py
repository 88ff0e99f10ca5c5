"""PDUs off a stream and onto it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsc_filter.smpp.codec import DEFAULT_MAX_PDU_OCTETS, encode, encode_bind, encode_submit, take_pdus
from smsc_filter.smpp.constants import CommandId, CommandStatus
from smsc_filter.smpp.errors import FramingError, PduError
from smsc_filter.smpp.pdu import Pdu
from smsc_filter.smpp.tlv import encode_tlv, read_tlvs

words = st.integers(0, 0xFFFFFFFF)
pdus = st.builds(encode, words, words, st.binary(max_size=60), words)


@given(st.lists(pdus, max_size=10), st.lists(st.integers(0, 2000), max_size=12))
def test_pdus_come_back_however_the_stream_is_cut(sent: list[bytes], places: list[int]) -> None:
    octets = b"".join(sent)
    ends = sorted({place % (len(octets) + 1) for place in places} | {len(octets)})
    received = bytearray()
    taken: list[bytes] = []
    for start, end in zip([0, *ends], ends, strict=False):
        received += octets[start:end]
        taken += [pdu.octets for pdu in take_pdus(received)]
    assert taken == sent
    assert not received


@given(st.lists(pdus, min_size=1, max_size=5), st.integers(1, 100))
def test_octets_of_an_unfinished_pdu_stay(sent: list[bytes], missing: int) -> None:
    missing = min(missing, len(sent[-1]))
    received = bytearray(b"".join(sent)[:-missing])
    assert [pdu.octets for pdu in take_pdus(received)] == sent[:-1]
    assert bytes(received) == sent[-1][:-missing]


@given(pdus)
def test_a_header_reads_as_it_was_written(octets: bytes) -> None:
    (pdu,) = take_pdus(bytearray(octets))
    again = Pdu.from_octets(octets)
    assert (pdu.command_id, pdu.command_status, pdu.sequence_number) == (
        int.from_bytes(octets[4:8], "big"),
        int.from_bytes(octets[8:12], "big"),
        int.from_bytes(octets[12:16], "big"),
    )
    assert (again.octets, again.command_id, again.body) == (pdu.octets, pdu.command_id, octets[16:])


def test_whoever_stops_taking_leaves_the_rest() -> None:
    sent = [encode(CommandId.ENQUIRE_LINK, number) for number in range(3)]
    received = bytearray(b"".join(sent))
    for pdu in take_pdus(received):
        assert pdu.sequence_number == 0
        break
    assert bytes(received) == b"".join(sent[1:])


@pytest.mark.parametrize("length", [0, 15, DEFAULT_MAX_PDU_OCTETS + 1, 0xFFFFFFFF])
@pytest.mark.parametrize("before", [0, 1, 3])
def test_a_command_length_that_no_pdu_has(length: int, before: int) -> None:
    sent = [encode(CommandId.ENQUIRE_LINK, number) for number in range(before)]
    received = bytearray(b"".join(sent) + length.to_bytes(4, "big") + bytes(12))
    stream = take_pdus(received)
    assert [next(stream).octets for _ in range(before)] == sent
    with pytest.raises(FramingError, match=f"command_length {length} is not between 16 and 73728"):
        next(stream)


@pytest.mark.parametrize("size", [16, DEFAULT_MAX_PDU_OCTETS])
def test_the_shortest_and_the_longest(size: int) -> None:
    octets = encode(CommandId.SUBMIT_SM, 1, bytes(size - 16))
    assert [pdu.octets for pdu in take_pdus(bytearray(octets))] == [octets]


def test_a_message_payload_of_65535_octets_fits_the_default_limit() -> None:
    octets = encode_submit(1, b"1" * 20, b"2" * 20, b"", tlvs=encode_tlv(0x0424, bytes(65_535)))
    assert [pdu.octets for pdu in take_pdus(bytearray(octets))] == [octets]


def test_a_pdu_says_what_it_is() -> None:
    known, unknown = Pdu.from_octets(encode(CommandId.SUBMIT_SM, 7)), Pdu.from_octets(encode(0x1234, 8, b"secret"))
    assert (known.name, unknown.name) == ("submit_sm", "0x00001234")
    assert repr(unknown) == "<Pdu 0x00001234 sequence_number=8 command_status=0 octets=22>"


def test_a_reply_has_the_number_of_its_request() -> None:
    request = Pdu.from_octets(encode(CommandId.SUBMIT_SM, 0xFFFFFFFF, b"body"))
    assert request.reply(0x0410, b"m-1\0") == encode(CommandId.SUBMIT_SM_RESP, 0xFFFFFFFF, b"m-1\0", 0x0410)


def test_a_bind_to_the_octet() -> None:
    octets = encode_bind(CommandId.BIND_TRANSCEIVER, 5, b"shop", b"pw", system_type=b"WEB", address_range=b"10690")
    assert octets == bytes.fromhex("00000025000000090000000000000005") + b"shop\0pw\0WEB\0\x34\0\x0010690\0"


def test_a_submit_sm_to_the_octet() -> None:
    octets = encode_submit(
        6, b"106900001", b"8613800000001", b"hi",
        service_type=b"CMT", source_ton=2, source_npi=3, destination_ton=4, destination_npi=5, esm_class=0x40,
        registered_delivery=1, data_coding=8, tlvs=b"\x14\0\0\0",
    )  # fmt: skip
    assert octets[4:16] == bytes.fromhex("000000040000000000000006")
    assert octets[16:] == (b"CMT\0\2\x03106900001\0\4\x058613800000001\0\x40\0\0\0\0\1\0\x08\0\2hi\x14\0\0\0")
    assert int.from_bytes(octets[:4], "big") == len(octets)


# Optional parameters.

some_tlvs = st.lists(st.tuples(st.integers(0, 0xFFFF), st.binary(max_size=30)), max_size=6)


@given(some_tlvs, st.binary(max_size=20))
def test_optional_parameters_come_back_in_their_order(tlvs: list[tuple[int, bytes]], before: bytes) -> None:
    octets = before + b"".join(encode_tlv(tag, value) for tag, value in tlvs)
    assert read_tlvs(octets, len(before)) == tlvs


def test_a_value_of_65535_octets() -> None:
    assert read_tlvs(encode_tlv(0x0424, b"x" * 65_535), 0) == [(0x0424, b"x" * 65_535)]


@pytest.mark.parametrize("before", [b"", b"\x14\0\0\1x"])
def test_a_nul_behind_everything_holds_nothing(before: bytes) -> None:
    assert read_tlvs(before + b"\0", 0) == ([(0x1400, b"x")] if before else [])


@pytest.mark.parametrize(("octets", "detail"), [
    pytest.param(b"\x14", "1 octets after the last optional parameter", id="one-octet"),
    pytest.param(b"\x14\0\0", "3 octets after the last optional parameter", id="no-length"),
    pytest.param(b"\x14\0\0\1", "0x1400 says 1 octets and has 0", id="no-value"),
    pytest.param(b"\x14\0\0\5four", "0x1400 says 5 octets and has 4", id="overruns-by-one"),
    pytest.param(b"\x14\0\xff\xfffour", "0x1400 says 65535 octets and has 4", id="overruns-by-far"),
    pytest.param(b"\x14\0\0\4four\x14\1\0\1", "0x1401 says 1 octets and has 0", id="the-second-overruns"),
])  # fmt: skip
def test_optional_parameters_that_overrun(octets: bytes, detail: str) -> None:
    with pytest.raises(PduError, match=detail) as caught:
        read_tlvs(octets, 0, 77)
    assert caught.value.status is CommandStatus.ESME_RINVOPTPARSTREAM
    assert caught.value.sequence_number == 77
