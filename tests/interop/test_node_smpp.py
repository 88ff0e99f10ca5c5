"""node-smpp on either side of the relay, and on both."""

from __future__ import annotations

import pytest

from tests.conftest import StartRelay
from tests.interop.conftest import AGREED, STRANGER, NodeScript, StartNode, receipt_for
from tests.relay.harness import (
    ADVERTISEMENT,
    CODE,
    NO_CONSENT,
    SHOP,
    SHOP_SENDER,
    Esme,
    Relay,
    Smsc,
    message,
    wait_until,
)

UCS2 = 8
CHINESE = "【云上商城】您的订单已发货，预计明天送达，请保持手机畅通，取件时出示身份证件。"


def submit(client: NodeScript, destination: str, **fields: object) -> dict[str, object]:
    """Have the client send a submit_sm; its answer."""
    client.tell(submit={"source": SHOP_SENDER.decode(), "destination": destination, **fields})
    answer: dict[str, object] = client.hears("answer")
    return answer


@pytest.fixture
def client(start_node: StartNode, relay: Relay) -> NodeScript:
    """node-smpp as a provider of a relay in front of our SMSC."""
    client = start_node("client.cjs", "127.0.0.1", str(relay.port), *SHOP)
    assert client.hears("bound") == 0
    return client


def test_as_a_client_it_is_served_and_sees_its_refusals(smsc: Smsc, client: NodeScript) -> None:
    smsc.forget()
    assert submit(client, STRANGER, text=CODE)["status"] == 0
    assert submit(client, STRANGER, text=ADVERTISEMENT, data_coding=UCS2)["status"] == NO_CONSENT
    answer = submit(client, AGREED, text=ADVERTISEMENT, data_coding=UCS2)
    assert answer["status"] == 0
    assert str(answer["id"]).startswith("m-")
    assert smsc.requests()[1].octets.endswith(ADVERTISEMENT.encode("utf-16-be"))


def test_as_a_client_it_sends_long_messages_and_vendor_parameters(smsc: Smsc, client: NodeScript) -> None:
    smsc.forget()
    text = (CHINESE * 3).encode("utf-16-be")
    pieces = [text[at : at + 134] for at in range(0, len(text), 134)]
    for number, piece in enumerate(pieces, 1):
        udh = bytes((5, 0, 3, 77, len(pieces), number))
        answer = submit(client, AGREED, octets=piece.hex(), udh=udh.hex(), data_coding=UCS2, esm_class=0x40)
        assert answer["status"] == 0
    # Whatever the model makes of one notice twenty times over, it may go.
    long = CHINESE * 20 + "拒收请回复TD"
    assert submit(client, AGREED, text=long, payload=True, data_coding=UCS2, note="00ff")["status"] == 0
    *parts, whole = smsc.requests()
    assert b"".join(pdu.octets[-len(piece) :] for pdu, piece in zip(parts, pieces, strict=True)) == text
    assert long.encode("utf-16-be") in whole.octets
    assert b"\x14\x00\x00\x02\x00\xff" in whole.octets


def test_as_a_client_it_hears_receipts_and_unbinds(smsc: Smsc, client: NodeScript) -> None:
    message_id = str(submit(client, AGREED, text=CODE, registered_delivery=1)["id"])
    link = smsc.link("shop")
    number = receipt_for(link, message_id)
    heard = client.hears("deliver")
    assert heard["source"] == AGREED
    assert f"id:{message_id} " in heard["text"]
    assert smsc.hears_response(number, link).command_status == 0
    assert client.end() == 0
    assert client.hears("unbound") == 0
    wait_until(lambda: link.unbound and not link.open, "the SMSC is unbound too")


def test_a_wrong_password_is_told(start_node: StartNode, relay: Relay) -> None:
    assert start_node("client.cjs", "127.0.0.1", str(relay.port), "shop", "wrong").hears("bound") == 0x0E


def test_as_the_smsc_it_gets_what_may_go_and_its_receipts_come_back(
    start_node: StartNode, start_relay: StartRelay
) -> None:
    smsc = start_node("smsc.cjs")
    relay = start_relay(smsc.hears("listening"))
    relay.consents(f"{AGREED},shop-ltd,granted")
    with Esme.bound(relay.port, SHOP) as esme:
        bind = smsc.hears("bind")
        assert bind == {"command": "bind_transceiver", "system_id": "shop", "password": SHOP[1]}
        assert esme.submit(SHOP_SENDER, STRANGER.encode(), ADVERTISEMENT) == NO_CONSENT
        note = b"\x14\x00\x00\x03abc"
        answer = esme.ask(message(SHOP_SENDER, AGREED.encode(), ADVERTISEMENT, registered_delivery=1, tlvs=note))
        assert (answer.command_status, answer.body) == (0, b"node-1\0")
        heard = smsc.hears("submit")
        assert (heard["text"], heard["data_coding"], heard["note"]) == (ADVERTISEMENT, UCS2, b"abc".hex())
        receipt = esme.next_request()
        assert b"id:node-1 " in receipt.body
        esme.send(receipt.reply(body=b"\0"))
        assert smsc.hears("delivered") == 0
        smsc.tell(deliver={"source_addr": AGREED, "destination_addr": SHOP_SENDER.decode(), "short_message": "TD"})
        reply = esme.next_request()
        assert reply.body.endswith(b"\2TD")
        esme.send(reply.reply(body=b"\0"))
        assert smsc.hears("delivered") == 0
    smsc.hears("unbind")


def test_on_both_sides_long_chinese_messages_pass_through(start_node: StartNode, start_relay: StartRelay) -> None:
    smsc = start_node("smsc.cjs")
    relay = start_relay(smsc.hears("listening"))
    client = start_node("client.cjs", "127.0.0.1", str(relay.port), *SHOP)
    assert client.hears("bound") == 0
    for number, part in enumerate((CHINESE[:30], CHINESE[30:]), 1):
        udh = bytes((6, 8, 4, 1, 2, 2, number))
        answer = submit(
            client, AGREED, text=part, udh=udh.hex(), data_coding=UCS2, esm_class=0x40, registered_delivery=1
        )
        assert answer == {"status": 0, "id": f"node-{number}"}
        heard = smsc.hears("submit")
        assert (heard["text"], heard["udh"]) == (part, [udh[1:].hex()])
        assert client.hears("deliver")["id"] == f"node-{number}"
        assert smsc.hears("delivered") == 0
    answer = submit(client, STRANGER, text=ADVERTISEMENT, data_coding=UCS2)
    assert answer["status"] == NO_CONSENT
