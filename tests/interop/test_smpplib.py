"""smpplib as a provider."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import smpplib.client
import smpplib.consts
import smpplib.gsm

from smsc_filter.sms.address import Numbering
from smsc_filter.sms.assembly import text_so_far
from smsc_filter.sms.message import read_submit
from tests.interop.conftest import AGREED, STRANGER, receipt_for
from tests.relay.harness import ADVERTISEMENT, CODE, NO_CONSENT, SHOP, SHOP_SENDER, Relay, Smsc, wait_until

CHINESE = "【云上商城】您的订单已发货，预计明天送达，请保持手机畅通，取件时出示身份证件。" * 4


class Provider:
    """What an application on smpplib is made of."""

    def __init__(self, port: int) -> None:
        self.answers: list[Any] = []
        self.received: list[Any] = []
        self.client = smpplib.client.Client("127.0.0.1", port, timeout=15, allow_unknown_opt_params=True)
        self.client.set_message_sent_handler(lambda pdu: self.answers.append(pdu))
        self.client.set_message_received_handler(lambda pdu: self.received.append(pdu))
        self.client.set_error_pdu_handler(lambda pdu: None)
        self.client.connect()
        self.client.bind_transceiver(system_id=SHOP[0], password=SHOP[1])

    def submit(self, recipient: str, octets: bytes, **fields: Any) -> Any:
        """Send one part; its answer."""
        before = len(self.answers)
        self.client.send_message(
            source_addr_ton=smpplib.consts.SMPP_TON_UNK, source_addr_npi=smpplib.consts.SMPP_NPI_ISDN,
            source_addr=SHOP_SENDER.decode(), dest_addr_ton=smpplib.consts.SMPP_TON_INTL,
            dest_addr_npi=smpplib.consts.SMPP_NPI_ISDN, destination_addr=recipient, short_message=octets, **fields,
        )  # fmt: skip
        while len(self.answers) == before:
            self.client.read_once()
        return self.answers[-1]


@pytest.fixture
def provider(relay: Relay) -> Iterator[Provider]:
    provider = Provider(relay.port)
    yield provider
    provider.client.unbind()
    provider.client.disconnect()


def test_a_code_passes_and_an_advertisement_shows_its_cause(smsc: Smsc, provider: Provider) -> None:
    smsc.forget()
    assert provider.submit(STRANGER, CODE.encode()).status == 0
    octets, coding = ADVERTISEMENT.encode("utf-16-be"), smpplib.consts.SMPP_ENCODING_ISO10646
    assert provider.submit(STRANGER, octets, data_coding=coding).status == NO_CONSENT
    assert provider.submit(AGREED, octets, data_coding=coding).status == 0
    assert [pdu.fields()["destination_addr"].decode() for pdu in smsc.requests()] == [STRANGER, AGREED]  # type: ignore[union-attr]


def test_a_long_chinese_message_arrives_in_its_parts(smsc: Smsc, provider: Provider) -> None:
    smsc.forget()
    parts, coding, esm_class = smpplib.gsm.make_parts(CHINESE)
    assert len(parts) > 2
    for part in parts:
        assert provider.submit(AGREED, part, data_coding=coding, esm_class=esm_class).status == 0
    heard = [read_submit(pdu, Numbering()) for pdu in smsc.requests()]
    assert [pdu.octets.endswith(part) for pdu, part in zip(smsc.requests(), parts, strict=True)] == [True] * len(parts)
    assert text_so_far({each.part.number: (each.data_coding, each.payload) for each in heard if each.part}) == CHINESE


def test_receipts_come_back(smsc: Smsc, provider: Provider) -> None:
    answer = provider.submit(AGREED, CODE.encode(), registered_delivery=True)
    link = smsc.link("shop")
    message_id = answer.message_id.decode()
    number = receipt_for(link, message_id)
    while not provider.received:
        provider.client.read_once()
    assert f"id:{message_id}" in provider.received[0].short_message.decode()
    assert smsc.hears_response(number, link).command_status == 0


def test_optional_parameters_pass_through(smsc: Smsc, provider: Provider) -> None:
    smsc.forget()
    assert provider.submit(STRANGER, CODE.encode(), user_message_reference=4711, ms_validity=1).status == 0
    octets = smsc.requests()[0].octets
    assert b"\x02\x04\x00\x02\x12\x67" in octets
    assert b"\x12\x04\x00\x01\x01" in octets


def test_the_smsc_is_unbound_when_the_provider_leaves(smsc: Smsc, relay: Relay) -> None:
    provider = Provider(relay.port)
    link = smsc.link("shop")
    provider.client.unbind()
    provider.client.disconnect()
    wait_until(lambda: link.unbound and not link.open, "the SMSC is unbound")
