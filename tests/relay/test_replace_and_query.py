"""Everything that is not a submit: texts in data_sm and replace_sm are judged, the rest is relayed both ways."""

from __future__ import annotations

import pytest

from smsc_filter.smpp.codec import encode
from smsc_filter.smpp.constants import CommandId, CommandStatus, DataCoding
from smsc_filter.smpp.pdu import Pdu
from smsc_filter.smpp.tlv import encode_tlv
from tests.conftest import Connect, StartRelay
from tests.relay.harness import (
    ADVERTISEMENT,
    BANK,
    BANK_SENDER,
    CODE,
    NO_CONSENT,
    SHOP,
    SHOP_SENDER,
    UNKNOWN_SENDER,
    WRONG_PURPOSE,
    Esme,
    Relay,
    Smsc,
    message,
)

ROK = CommandStatus.ESME_ROK

AGREED, STRANGER = b"8613800005001", b"8613800005002"

ENGLISH = (
    "Huge summer sale at ShopOne! Up to 70% off all shoes this weekend only. Buy now at the store or online."
    " Reply STOP to opt out."
)
NOTICE = "【云上商城】您的包裹已放到门口驿站，取件码 4711。"


@pytest.fixture(scope="module")
def relay(smsc: Smsc, start_relay: StartRelay) -> Relay:
    relay = start_relay(smsc.port)
    relay.consents(f"{AGREED.decode()},shop-ltd,granted")
    return relay


def data_sm(source: bytes, recipient: bytes, text: str) -> bytes:
    body = (
        b"\0\0\1" + source + b"\0\1\1" + recipient + b"\0" + bytes((0, 0, DataCoding.UCS2))
        + encode_tlv(0x1400, b"") + encode_tlv(0x0424, text.encode("utf-16-be"))
    )  # fmt: skip
    return encode(CommandId.DATA_SM, 0, body)


def replace_sm(message_id: bytes, source: bytes, octets: bytes, *, payload: bool = False) -> bytes:
    short, tlvs = (b"", encode_tlv(0x0424, octets)) if payload else (octets, b"")
    body = message_id + b"\0\0\1" + source + b"\0\0\0\0\0" + bytes((len(short),)) + short + tlvs
    return encode(CommandId.REPLACE_SM, 0, body)


def accepted(esme: Esme, source: bytes, recipient: bytes, text: str) -> bytes:
    """Send a text; the message_id it was given."""
    answer = esme.ask(message(source, recipient, text))
    assert answer.command_status == ROK
    return answer.body.rstrip(b"\0")


def test_data_sm_is_judged_like_a_submit_sm(smsc: Smsc, relay: Relay, connect: Connect) -> None:
    shop, bank = connect(relay, SHOP), connect(relay, BANK)
    smsc.forget()
    assert shop.ask(data_sm(SHOP_SENDER, STRANGER, ADVERTISEMENT)).command_status == NO_CONSENT
    assert shop.ask(data_sm(BANK_SENDER, STRANGER, CODE)).command_status == UNKNOWN_SENDER
    assert bank.ask(data_sm(BANK_SENDER, AGREED, ADVERTISEMENT)).command_status == WRONG_PURPOSE
    assert not smsc.requests()
    sent = data_sm(SHOP_SENDER, AGREED, ADVERTISEMENT)
    assert shop.ask(sent).command_status == ROK
    assert [pdu.octets[16:] for pdu in smsc.requests()] == [sent[16:]]
    assert relay.decisions(AGREED.decode(), 2)[1]["text"] == ADVERTISEMENT


@pytest.mark.parametrize("payload", [False, True], ids=["short-message", "payload"])
def test_replace_sm_is_no_way_round(smsc: Smsc, relay: Relay, connect: Connect, payload: bool) -> None:
    esme = connect(relay, SHOP)
    first = accepted(esme, SHOP_SENDER, STRANGER, NOTICE)
    second = accepted(esme, SHOP_SENDER, AGREED, NOTICE)
    smsc.forget()
    new = ADVERTISEMENT.encode("utf-16-be")
    assert esme.ask(replace_sm(first, SHOP_SENDER, new, payload=payload)).command_status == NO_CONSENT
    assert not smsc.requests()
    sent = replace_sm(second, SHOP_SENDER, new, payload=payload)
    assert esme.ask(sent).command_status == ROK
    harmless = replace_sm(first, SHOP_SENDER, NOTICE.encode("utf-16-be"), payload=payload)
    assert esme.ask(harmless).command_status == ROK
    assert [pdu.octets[16:] for pdu in smsc.requests()] == [sent[16:], harmless[16:]]


@pytest.mark.parametrize("coding", ["utf-16-be", "gb18030", "utf-8"])
def test_replacing_over_another_bind_hides_neither_recipient_nor_coding(
    smsc: Smsc, relay: Relay, connect: Connect, coding: str
) -> None:
    # A replace_sm says neither whom its text is for nor how it is coded.
    message_id = accepted(connect(relay, SHOP), SHOP_SENDER, AGREED, NOTICE)
    other = connect(relay, SHOP)
    smsc.forget()
    advertised = ADVERTISEMENT if coding != "utf-8" else ENGLISH
    assert other.ask(replace_sm(message_id, SHOP_SENDER, advertised.encode(coding))).command_status == NO_CONSENT
    assert not smsc.requests()
    for harmless in (NOTICE.encode("utf-16-be"), CODE.encode()):
        assert other.ask(replace_sm(message_id, SHOP_SENDER, harmless)).command_status == ROK


def test_replacing_on_a_service_port_or_for_another_sender_is_refused(relay: Relay, connect: Connect) -> None:
    bank = connect(relay, BANK)
    message_id = accepted(bank, BANK_SENDER, AGREED, NOTICE)
    new = ADVERTISEMENT.encode("utf-16-be")
    assert bank.ask(replace_sm(message_id, BANK_SENDER, new)).command_status == WRONG_PURPOSE
    assert bank.ask(replace_sm(message_id, SHOP_SENDER, CODE.encode())).command_status == UNKNOWN_SENDER


def test_query_and_cancel_are_relayed_with_their_answers(smsc: Smsc, relay: Relay, connect: Connect) -> None:
    esme = connect(relay, SHOP)
    state = b"m-1\0" + b"261125120000000+\0" + b"\2\0"
    smsc.answers[CommandId.QUERY_SM] = lambda pdu: pdu.reply(body=state)
    smsc.answers[CommandId.CANCEL_SM] = lambda pdu: pdu.reply(CommandStatus.ESME_RCANCELFAIL)
    smsc.forget()
    query = encode(CommandId.QUERY_SM, 0, b"m-1\0\0\1106900001\0")
    cancel = encode(CommandId.CANCEL_SM, 0, b"\0m-1\0\0\1106900001\0\1\x018613800005001\0")
    try:
        assert esme.ask(query).body == state
        assert esme.ask(cancel).command_status == CommandStatus.ESME_RCANCELFAIL
    finally:
        smsc.answers.clear()
    assert [pdu.octets[16:] for pdu in smsc.requests()] == [query[16:], cancel[16:]]


def test_replies_receipts_and_alerts_come_down_to_the_bind_they_are_for(
    smsc: Smsc, relay: Relay, connect: Connect
) -> None:
    shop, bank = connect(relay, SHOP), connect(relay, BANK)
    link = smsc.link("shop")
    receipt = message(AGREED, SHOP_SENDER, "id:m-1 stat:DELIVRD", command_id=CommandId.DELIVER_SM, esm_class=4,
                      tlvs=encode_tlv(0x001E, b"m-1\0") + encode_tlv(0x0427, b"\2"))  # fmt: skip
    reply = message(AGREED, SHOP_SENDER, "Thanks, see you", command_id=CommandId.DELIVER_SM)
    alert = encode(CommandId.ALERT_NOTIFICATION, 0, b"\1\x018613800005001\0\0\1106900001\0" + encode_tlv(0x0422, b"\0"))
    numbers = [link.request(each) for each in (receipt, reply, alert)]
    for sent in (receipt, reply, alert):
        heard = shop.next_request()
        assert heard.octets[:12] == sent[:12]
        assert heard.octets[16:] == sent[16:]
        if heard.command_id == CommandId.DELIVER_SM:
            shop.send(heard.reply(body=b"\0"))
    for number in numbers[:2]:
        assert smsc.hears_response(number, link).command_status == ROK
    # An alert has no response, and the other account has heard nothing of all this.
    assert bank.ask(encode(CommandId.ENQUIRE_LINK, 0)).command_status == ROK
    assert not bank.unasked
    answered = [pdu.sequence_number for its, pdu in smsc.heard if its is link and pdu.command_id & 0x80000000]
    assert numbers[2] not in answered


def test_an_outbind_is_heard_in_silence_and_harms_nothing(smsc: Smsc, relay: Relay, connect: Connect) -> None:
    outbind = encode(CommandId.OUTBIND, 7, b"test-smsc\0secret\0")

    def invited(pdu: Pdu) -> bytes:
        return outbind + pdu.reply(body=b"test-smsc\0")

    smsc.answers[CommandId.BIND_TRANSCEIVER] = invited
    try:
        esme = connect(relay, SHOP)
    finally:
        smsc.answers.clear()
    esme.send(outbind)
    assert esme.submit(SHOP_SENDER, AGREED, CODE) == ROK
    assert not esme.unasked
    link = smsc.link("shop")
    link.send(outbind)
    number = link.request(encode(CommandId.ENQUIRE_LINK, 0))
    assert smsc.hears_response(number, link).command_status == ROK


@pytest.mark.parametrize(
    ("pdu", "status"),
    [
        pytest.param(encode(CommandId.QUERY_SM, 0, b"m-1"), CommandStatus.ESME_RINVMSGID, id="query-without-nul"),
        pytest.param(encode(CommandId.QUERY_SM, 0, b"m" * 65 + b"\0"), CommandStatus.ESME_RINVMSGID, id="query-long"),
        pytest.param(encode(CommandId.CANCEL_SM, 0, b"\0m-1\0"), CommandStatus.ESME_RINVCMDLEN, id="cancel-cut"),
        pytest.param(encode(CommandId.REPLACE_SM, 0, b"m-1\0\0\1106900001\0\0\0\0\0\x09hi"),
                     CommandStatus.ESME_RINVMSGLEN, id="replace-shorter-than-it-says"),
        pytest.param(encode(CommandId.DATA_SM, 0, b"\0\0\1106900001\0\1\x018613800005001\0\0\0"),
                     CommandStatus.ESME_RINVCMDLEN, id="data-cut"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_answered_and_not_relayed(
    smsc: Smsc, relay: Relay, connect: Connect, pdu: bytes, status: int
) -> None:
    esme = connect(relay, SHOP)
    smsc.forget()
    assert esme.ask(pdu).command_status == status
    assert not smsc.requests()


def test_a_replacement_is_on_record_with_whom_it_was_for(relay: Relay, connect: Connect) -> None:
    esme, recipient = connect(relay, SHOP), b"8613800005009"
    message_id = accepted(esme, SHOP_SENDER, recipient, NOTICE)
    assert esme.ask(replace_sm(message_id, SHOP_SENDER, ADVERTISEMENT.encode("utf-16-be"))).command_status == NO_CONSENT
    decisions = relay.decisions(recipient.decode(), 2)
    assert [(each["cause"], each["text"]) for each in decisions] == [("", NOTICE), ("no-consent", ADVERTISEMENT)]
