"""From a PDU to what the subscriber reads, and back to the octets that travel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsc_filter.smpp.codec import encode, encode_submit
from smsc_filter.smpp.constants import CommandId, CommandStatus, EsmClass, Ton
from smsc_filter.smpp.errors import PduError
from smsc_filter.smpp.pdu import Pdu
from smsc_filter.smpp.tlv import encode_tlv
from smsc_filter.sms.address import Numbering
from smsc_filter.sms.message import (
    Delivery,
    Destination,
    Message,
    Multi,
    Replacement,
    read_data,
    read_delivery,
    read_submit,
)
from smsc_filter.sms.udh import Part

S = CommandStatus
NUMBERING = Numbering()
UDHI = int(EsmClass.UDHI)
SENDER, RECIPIENT = b"106900001", b"8613800000001"
SAR = 0x20000
REF_NUM, TOTAL, SEQNUM, PAYLOAD = 0x020C, 0x020E, 0x020F, 0x0424


def submit(short_message: bytes = b"", *, tlvs: bytes = b"", coding: int = 0, esm_class: int = 0) -> Pdu:
    octets = encode_submit(7, SENDER, RECIPIENT, short_message, data_coding=coding, esm_class=esm_class, tlvs=tlvs)
    return Pdu.from_octets(octets)


def data_sm(tlvs: bytes, *, coding: int = 0, esm_class: int = 0) -> Pdu:
    parties = b"\0\0\1" + SENDER + b"\0\1\1" + RECIPIENT + b"\0"
    return Pdu.from_octets(encode(CommandId.DATA_SM, 7, parties + bytes((esm_class, 0, coding)) + tlvs))


def read(pdu: Pdu) -> Message:
    return (read_submit if pdu.command_id == CommandId.SUBMIT_SM else read_data)(pdu, NUMBERING)


def sar(reference: bytes, total: bytes, number: bytes) -> bytes:
    return encode_tlv(REF_NUM, reference) + encode_tlv(TOTAL, total) + encode_tlv(SEQNUM, number)


def payload(octets: bytes) -> bytes:
    return encode_tlv(PAYLOAD, octets)


LONG = "好".encode("utf-16-be") * 32_767 + b"\0"


@pytest.mark.parametrize(("pdu", "text", "part"), [
    pytest.param(submit(b"hello"), "hello", None, id="plain"),
    pytest.param(submit(), "", None, id="empty"),
    pytest.param(submit(b"x" * 254), "x" * 254, None, id="254-octets"),
    pytest.param(submit(b"\x4f\x60", coding=8), "你", None, id="ucs2"),
    pytest.param(submit(b"buy now", coding=4), "", None, id="binary"),
    pytest.param(submit(b"hello", tlvs=encode_tlv(0x1400, b"") + encode_tlv(0x3FFF, b"x")), "hello", None, id="tlvs"),
    pytest.param(submit(tlvs=payload(b"hello")), "hello", None, id="payload"),
    pytest.param(submit(tlvs=payload(b"")), "", None, id="empty-payload"),
    pytest.param(submit(tlvs=payload(b"x" * 65_535)), "x" * 65_535, None, id="payload-65535"),
    pytest.param(submit(tlvs=payload(LONG), coding=8), "好" * 32_767 + "\ufffd", None, id="payload-65535-ucs2"),
    pytest.param(submit(b"buy ", tlvs=payload(b"now")), "buy \nnow\nbuy now", None, id="both-each-and-in-a-row"),
    pytest.param(submit(tlvs=payload(b"buy") + payload(b"hi")), "buy\nhi\nbuyhi", None, id="two-payloads"),
    pytest.param(submit(tlvs=payload(b"hi") + payload(b"hi")), "hi", None, id="one-payload-twice"),
    pytest.param(submit(b"\x4f\x60\x59", tlvs=payload(b"\x59\x7d"), coding=8), "你\n好\n你奙\ufffd", None,
                 id="an-odd-octet-moves-no-pairs"),
    pytest.param(submit(b"\5\0\3\7\2\1hi", esm_class=UDHI), "hi", Part(7, 2, 1), id="udh-8-bit"),
    pytest.param(submit(b"\6\x08\4\0\7\2\2hi", esm_class=UDHI), "hi", Part(0x10007, 2, 2), id="udh-16-bit"),
    pytest.param(submit(b"\5\0\3\7\2\1hi"), "é@¥ì$£hi", None, id="udh-without-udhi-is-text"),
    pytest.param(submit(b"\xffhi", esm_class=UDHI), "ÿhi", None, id="udh-longer-than-the-text"),
    pytest.param(submit(tlvs=payload(b"\5\0\3\7\2\1hi"), esm_class=UDHI), "hi", Part(7, 2, 1), id="udh-in-payload"),
    pytest.param(submit(b"hi", tlvs=sar(b"\1\2", b"\3", b"\1")), "hi", Part(SAR + 0x102, 3, 1), id="sar"),
    pytest.param(submit(b"hi", tlvs=sar(b"\7", b"\3", b"\1")), "hi", Part(SAR + 7, 3, 1), id="sar-short-reference"),
    pytest.param(submit(b"hi", tlvs=sar(b"", b"", b"")), "hi", None, id="sar-of-zero-length"),
    pytest.param(submit(b"hi", tlvs=encode_tlv(REF_NUM, b"\1\2")), "hi", None, id="sar-reference-alone"),
    pytest.param(submit(b"hi", tlvs=sar(b"\1\2", b"\1", b"\1")), "hi", None, id="sar-1-of-1"),
    pytest.param(submit(b"hi", tlvs=sar(b"\1\2", b"\2", b"\3")), "hi", None, id="sar-3-of-2"),
    pytest.param(
        submit(b"\5\0\3\7\2\1hi", tlvs=sar(b"\1\2", b"\3", b"\1"), esm_class=UDHI), "hi", Part(7, 2, 1),
        id="udh-before-sar",
    ),
    pytest.param(data_sm(payload(b"hello")), "hello", None, id="data_sm"),
    pytest.param(data_sm(b""), "", None, id="data_sm-without-text"),
    pytest.param(data_sm(payload(b"\x4f\x60"), coding=8), "你", None, id="data_sm-ucs2"),
    pytest.param(data_sm(payload(b"\5\0\3\7\2\1hi"), esm_class=UDHI), "hi", Part(7, 2, 1), id="data_sm-udh"),
    pytest.param(data_sm(payload(b"hi") + sar(b"\0\7", b"\2", b"\2")), "hi", Part(SAR + 7, 2, 2), id="data_sm-sar"),
])  # fmt: skip
def test_what_the_subscriber_reads(pdu: Pdu, text: str, part: Part | None) -> None:
    message = read(pdu)
    assert (message.text, message.part) == (text, part)
    assert (message.source, message.source_ton, message.recipient) == (SENDER, 0, "8613800000001")
    assert message.pdu is pdu


HEAD = b"\0\0\x01106900001\0\1\x018613800000001\0\0\0\0\0\0\1\0\0\0"


def body(octets: bytes) -> Pdu:
    return Pdu.from_octets(encode(CommandId.SUBMIT_SM, 7, octets))


@pytest.mark.parametrize(("pdu", "status"), [
    pytest.param(body(b"\0\0\x01106900001"), S.ESME_RINVSRCADR, id="cut-in-the-source"),
    pytest.param(body(HEAD + b"\5four"), S.ESME_RINVMSGLEN, id="sm_length-overruns"),
    pytest.param(body(HEAD + b"\xff" + b"x" * 255), S.ESME_RINVMSGLEN, id="sm_length-255"),
    pytest.param(body(HEAD + b"\4fourx"), S.ESME_RINVOPTPARSTREAM, id="an-octet-behind"),
    pytest.param(submit(b"hi", tlvs=b"\x14\0\0\5four"), S.ESME_RINVOPTPARSTREAM, id="a-tlv-overruns"),
    pytest.param(submit(b"hi", tlvs=sar(b"\0\0\7", b"\2", b"\1")), S.ESME_RINVPARLEN, id="sar-reference-of-3-octets"),
    pytest.param(submit(b"hi", tlvs=sar(b"\7", b"\0\2", b"\1")), S.ESME_RINVPARLEN, id="sar-total-of-2-octets"),
    pytest.param(submit(b"hi", tlvs=sar(b"\7", b"\2", b"\0\1")), S.ESME_RINVPARLEN, id="sar-number-of-2-octets"),
    pytest.param(submit(b"hi", tlvs=sar(b"9" * 9999, b"\2", b"\1")), S.ESME_RINVPARLEN, id="sar-reference-without-end"),
    pytest.param(data_sm(b"\x04\x24\0\5four"), S.ESME_RINVOPTPARSTREAM, id="data_sm-payload-overruns"),
    pytest.param(
        Pdu.from_octets(encode(CommandId.DATA_SM, 7, b"\0\0\1" + b"1" * 65)), S.ESME_RINVSRCADR, id="data_sm-source"
    ),
])  # fmt: skip
def test_what_cannot_be_read_has_its_status(pdu: Pdu, status: CommandStatus) -> None:
    with pytest.raises(PduError) as caught:
        read(pdu)
    assert (caught.value.status, caught.value.sequence_number) == (status, 7)


# submit_multi


def sme(number: bytes, ton: int = 1) -> bytes:
    return bytes((1, ton, 1)) + number + b"\0"


def dl(name: bytes) -> bytes:
    return b"\2" + name + b"\0"


MULTI_HEAD = b"CMT\0\0\x01106900001\0"
A, B, C = sme(b"8613800000001"), sme(b"13800000002", 0), dl(b"friends")


def multi_tail(short_message: bytes, tlvs: bytes = b"", esm_class: int = 0) -> bytes:
    return bytes((esm_class, 0, 0)) + b"\0\0" + bytes((1, 0, 0, 0, len(short_message))) + short_message + tlvs


TAIL = multi_tail(b"hello", encode_tlv(0x1400, b"") + encode_tlv(0x3FFF, b"x"))


def multi_pdu(destinations: list[bytes], tail: bytes = TAIL, count: int | None = None) -> Pdu:
    number = bytes((len(destinations) if count is None else count,))
    return Pdu.from_octets(encode(CommandId.SUBMIT_MULTI, 9, MULTI_HEAD + number + b"".join(destinations) + tail))


def test_each_destination_is_a_message() -> None:
    multi = Multi(multi_pdu([A, B, C]), NUMBERING)
    assert [message.recipient for message in multi.messages] == ["8613800000001", "8613800000002", "friends"]
    assert {message.text for message in multi.messages} == {"hello"}
    assert {message.source for message in multi.messages} == {SENDER}
    assert [each.flag for each in multi.destinations] == [Destination.SME, Destination.SME, Destination.LIST]
    assert [each.octets for each in multi.destinations] == [A, B, C]


def test_the_parts_of_a_submit_multi_are_parts() -> None:
    multi = Multi(multi_pdu([A, B], multi_tail(b"\5\0\3\7\2\1hi", esm_class=UDHI)), NUMBERING)
    assert [(message.text, message.part) for message in multi.messages] == [("hi", Part(7, 2, 1))] * 2


@pytest.mark.parametrize(("kept", "destinations"), [
    pytest.param([0, 2], [A, C], id="the-second-is-refused"),
    pytest.param([1], [B], id="one-is-left"),
    pytest.param([2], [C], id="a-list-is-left"),
])  # fmt: skip
def test_only_some_destinations_to_the_octet(kept: list[int], destinations: list[bytes]) -> None:
    assert Multi(multi_pdu([A, B, C]), NUMBERING).only(kept).octets == multi_pdu(destinations).octets


def test_all_destinations_are_the_pdu_itself() -> None:
    pdu = multi_pdu([A, B, C])
    assert Multi(pdu, NUMBERING).only([0, 1, 2]) is pdu


@given(
    st.lists(
        st.one_of(
            st.tuples(st.text("0123456789", max_size=20), st.integers(0, 6)).map(lambda to: sme(to[0].encode(), to[1])),
            st.text("abc", max_size=20).map(lambda name: dl(name.encode())),
        ),
        min_size=1,
        max_size=254,
    ),
    st.data(),
)
def test_any_destinations_are_kept_as_they_came(destinations: list[bytes], data: st.DataObject) -> None:
    multi = Multi(multi_pdu(destinations), NUMBERING)
    assert [each.octets for each in multi.destinations] == destinations
    kept = sorted(data.draw(st.sets(st.sampled_from(range(len(destinations))), min_size=1)))
    assert multi.only(kept).octets == multi_pdu([destinations[at] for at in kept]).octets


def test_what_is_refused_is_reported_as_unsuccess_sme() -> None:
    one, two, friends = Multi(multi_pdu([A, B, C]), NUMBERING).destinations
    assert one.unsuccess(0x0410) == b"\1\x018613800000001\0\0\0\4\x10"
    assert two.unsuccess(S.ESME_RINVDSTADR) == b"\0\x0113800000002\0\0\0\0\x0b"
    assert friends.unsuccess(0x0410) == bytes((Ton.ALPHANUMERIC, 0)) + b"friends\0\0\0\4\x10"


@pytest.mark.parametrize(("pdu", "status"), [
    pytest.param(multi_pdu([], b""), S.ESME_RINVNUMDESTS, id="no-destinations"),
    pytest.param(multi_pdu([A, B], b"", count=3), S.ESME_RINVNUMDESTS, id="fewer-than-it-says"),
    pytest.param(multi_pdu([A, B], count=1), S.ESME_RINVOPTPARSTREAM, id="more-than-it-says"),
    pytest.param(multi_pdu([b"\3\1\x01138\0"]), S.ESME_RINVDESTFLAG, id="an-unknown-flag"),
    pytest.param(multi_pdu([b"\1"], b""), S.ESME_RINVDSTADR, id="cut-behind-the-flag"),
    pytest.param(multi_pdu([b"\1\1\x0113800000001"], b""), S.ESME_RINVDSTADR, id="an-address-without-nul"),
    pytest.param(multi_pdu([sme(b"9" * 21)]), S.ESME_RINVDSTADR, id="an-address-too-long"),
    pytest.param(multi_pdu([dl(b"n" * 21)]), S.ESME_RINVDLNAME, id="a-list-name-too-long"),
    pytest.param(multi_pdu([b"\2friends"], b""), S.ESME_RINVDLNAME, id="a-list-name-without-nul"),
    pytest.param(multi_pdu([A], b"\0\0\0"), S.ESME_RINVSCHED, id="cut-behind-the-destinations"),
    pytest.param(multi_pdu([A], multi_tail(b"hi")[:-1]), S.ESME_RINVMSGLEN, id="cut-in-the-text"),
    pytest.param(multi_pdu([A], multi_tail(b"hi", b"\x14\0\0\1")), S.ESME_RINVOPTPARSTREAM, id="a-tlv-overruns"),
    pytest.param(
        Pdu.from_octets(encode(CommandId.SUBMIT_MULTI, 9, b"WWWWWW\0")), S.ESME_RINVSERTYP, id="a-broken-head"
    ),
])  # fmt: skip
def test_a_submit_multi_that_cannot_be_read(pdu: Pdu, status: CommandStatus) -> None:
    with pytest.raises(PduError) as caught:
        Multi(pdu, NUMBERING)
    assert (caught.value.status, caught.value.sequence_number) == (status, 9)


# replace_sm


def test_of_two_texts_with_headers_each_is_read_behind_its_own() -> None:
    message = read(submit(b"\5\0\3\7\2\1hi", tlvs=payload(b"\5\0\3\7\2\1buy"), esm_class=UDHI))
    assert message.part == Part(7, 2, 1)
    assert {"hi", "buy"} <= set(message.text.split("\n"))


def replace_sm(behind: bytes, short_message: bytes = b"new") -> Pdu:
    octets = b"m-1\0\0\x01106900001\0\0\0\1\0" + bytes((len(short_message),)) + short_message + behind
    return Pdu.from_octets(encode(CommandId.REPLACE_SM, 5, octets))


def test_a_replacement_reads_in_the_coding_of_what_it_replaces() -> None:
    replacement = Replacement(replace_sm(b"", "你好".encode("utf-16-be")))
    assert replacement.message_id == b"m-1"
    message = replacement.as_message("8613800000001", 8)
    assert (message.text, message.recipient, message.source, message.part) == ("你好", "8613800000001", SENDER, None)


def test_a_replacement_may_carry_a_payload_too() -> None:
    assert Replacement(replace_sm(payload(b" text"))).as_message("", 0).text == "new\n text\nnew text"


def test_each_text_of_a_replacement_is_read_in_each_coding() -> None:
    replacement = Replacement(replace_sm(payload("你好".encode("utf-16-be")), b"odd"))
    assert "你好" in replacement.as_message("", 8).text.split("\n")
    assert any("你好" in text.split("\n") for text in replacement.readings())


@pytest.mark.parametrize(("pdu", "status"), [
    pytest.param(Pdu.from_octets(encode(CommandId.REPLACE_SM, 5, b"m" * 65)), S.ESME_RINVMSGID, id="message_id"),
    pytest.param(replace_sm(b"x"), S.ESME_RINVOPTPARSTREAM, id="an-octet-behind"),
    pytest.param(Pdu.from_octets(replace_sm(b"").octets[:-1]), S.ESME_RINVMSGLEN, id="cut-in-the-text"),
])  # fmt: skip
def test_a_replacement_that_cannot_be_read(pdu: Pdu, status: CommandStatus) -> None:
    with pytest.raises(PduError) as caught:
        Replacement(pdu)
    assert (caught.value.status, caught.value.sequence_number) == (status, 5)


readers: list[tuple[CommandId, Callable[[Pdu], object]]] = [
    (CommandId.SUBMIT_SM, read),
    (CommandId.DATA_SM, read),
    (CommandId.SUBMIT_MULTI, lambda pdu: Multi(pdu, NUMBERING)),
    (CommandId.REPLACE_SM, Replacement),
]


@given(st.sampled_from(readers), st.binary(max_size=120), st.booleans(), st.integers(0, 300))
def test_any_body_is_read_or_refused_with_a_status(
    reader: tuple[CommandId, Callable[[Pdu], object]], octets: bytes, whole: bool, cut: int
) -> None:
    """Wild octets, and good ones cut short with wild ones behind them."""
    command, reads = reader
    good = {
        CommandId.SUBMIT_SM: submit(b"\5\0\3\7\2\1hi", esm_class=UDHI, tlvs=sar(b"\0\1", b"\2", b"\1")),
        CommandId.DATA_SM: data_sm(payload(b"hi")),
        CommandId.SUBMIT_MULTI: multi_pdu([A, B, C]),
        CommandId.REPLACE_SM: replace_sm(payload(b"")),
    }[command].body
    try:
        reads(Pdu.from_octets(encode(command, 1, good[:cut] + octets if whole else octets)))
    except PduError as error:
        assert error.status is not S.ESME_ROK


def delivered(octets: bytes = b"TD", *, tail: bytes = b"", **fields: Any) -> Delivery | None:
    written = encode_submit(7, RECIPIENT, SENDER, octets, command_id=CommandId.DELIVER_SM, **fields)
    return read_delivery(Pdu.from_octets(encode(CommandId.DELIVER_SM, 7, written[16:] + tail)), NUMBERING)


@pytest.mark.parametrize(("octets", "fields", "tail", "part"), [
    pytest.param(b"TD", {}, b"", None, id="a-text"),
    pytest.param(b"\x05\x00\x03\x01\x02\x01TD", {"esm_class": UDHI}, b"", (1, 2, 1), id="a-part-of-a-text"),
    pytest.param(b"\x05\x00\x03\x01\x02\x01TD", {}, b"", (1, 2, 1), id="a-header-that-nobody-announces"),
    pytest.param(b"\x06\x08\x04\x00\x01\x01\x01TD", {}, b"", None, id="a-header-of-a-whole-text"),
    pytest.param(b"TD", {}, b"\0", None, id="a-nul-behind"),
    pytest.param(b"TD", {}, b"\0\0\0", None, id="nuls-behind"),
    pytest.param(b"TD", {}, b"\x14\x03\0\x14ab", None, id="a-parameter-cut-short"),
    pytest.param(b"TD", {}, encode_tlv(0x1E, b"mo-17\0"), None, id="receipted-message-id"),
    pytest.param(b"TD", {}, encode_tlv(0x20C, b"\0\0\0\1") + encode_tlv(0x20E, b"\1") + encode_tlv(0x20F, b"\1"), None,
                 id="a-reference-of-four-octets"),
    pytest.param(b"", {}, encode_tlv(0x424, b"TD") + b"\7", None, id="payload-and-an-octet-behind"),
])  # fmt: skip
def test_what_a_subscriber_writes_is_read_through_faults(
    octets: bytes, fields: dict[str, Any], tail: bytes, part: tuple[int, int, int] | None
) -> None:
    delivery = delivered(octets, tail=tail, **fields)
    assert delivery is not None
    assert (delivery.subscriber, delivery.text, delivery.part) == (RECIPIENT.decode(), "TD", part)


@pytest.mark.parametrize(("octets", "fields", "tail"), [
    pytest.param(b"TD", {"esm_class": 0x04}, b"", id="by-its-type"),
    pytest.param(b"TD", {}, encode_tlv(0x427, b"\2"), id="by-its-state"),
    pytest.param(b"id:77 sub:001 dlvrd:001 submit date:2601010000 done date:2601010001 stat:DELIVRD err:000 text:STOP",
                 {}, b"", id="by-its-text"),
])  # fmt: skip
def test_a_receipt_is_nothing_a_subscriber_writes(octets: bytes, fields: dict[str, Any], tail: bytes) -> None:
    assert delivered(octets, tail=tail, **fields) is None


@pytest.mark.parametrize(("octets", "tail", "alone"), [
    pytest.param(b"TD", b"", (), id="one-text"),
    pytest.param(b"", encode_tlv(0x424, b"TD") + encode_tlv(0x424, b"hi"), (b"TD", b"hi"), id="two-payloads"),
    pytest.param(b"hi", encode_tlv(0x424, b"TD"), (b"hi", b"TD"), id="short-message-and-payload"),
])  # fmt: skip
def test_of_a_reply_with_two_texts_each_is_kept(octets: bytes, tail: bytes, alone: tuple[bytes, ...]) -> None:
    delivery = delivered(octets, tail=tail)
    assert delivery is not None
    assert delivery.alone == alone
    assert delivery.octets == (b"".join(alone) or octets)


def test_everybody_is_named_whom_the_source_address_may_mean() -> None:
    written = encode_submit(7, b"13105551234", SENDER, b"TD", source_ton=1, command_id=CommandId.DELIVER_SM)
    delivery = read_delivery(Pdu.from_octets(written), NUMBERING)
    assert delivery is not None
    assert delivery.source == b"13105551234"
    assert set(delivery.subscribers) == {"13105551234", "8613105551234"}
