"""Consent over the wire: asked for, granted, withdrawn by a reply, and what follows for the next submit."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from smsc_filter.smpp.constants import CommandId, CommandStatus
from smsc_filter.sms.coding import decode_text
from tests.conftest import Connect, StartRelay
from tests.relay.harness import (
    ADVERTISEMENT,
    BANK,
    BANK_SENDER,
    CODE,
    CONSENT_REFUSED,
    NO_CONSENT,
    SHOP,
    SHOP_SENDER,
    WRONG_PURPOSE,
    Esme,
    Relay,
    Smsc,
    message,
    wait_until,
    words_of,
)

ASKED_ALREADY, REQUEST_INCOMPLETE, SIMILAR = 0x0412, 0x0413, 0x0414
NO_SENDER_NAME, NO_WAY_TO_REFUSE, QUIET_HOURS = 0x0420, 0x0422, 0x0415
PROHIBITED = 0x0403
ROK = CommandStatus.ESME_ROK

REQUEST = "【云上商城】诚邀您接收会员优惠信息，每月不超过4条，为期12个月。回复Y同意接收，不回复视为拒绝"
OTHER_SHOP_SENDER = b"106900077"
MORE_SHOP = ("shop2", "shop2-pw")

ACCOUNTS = (
    {"system_id": "shop", "password": "shop-pw", "owner": "shop-ltd", "max_binds": 1000},
    {"system_id": "shop2", "password": "shop2-pw", "owner": "shop-ltd", "max_binds": 1000},
    {"system_id": "bank", "password": "bank-pw", "owner": "bank-ltd", "max_binds": 1000},
)


@pytest.fixture(scope="module")
def relay(smsc: Smsc, start_relay: StartRelay) -> Relay:
    """A relay with two workers."""
    return start_relay(smsc.port, accounts=ACCOUNTS, listen={"workers": 2})


def reply(smsc: Smsc, esme: Esme, account: str, recipient: bytes, sender: bytes, text: str) -> int:
    """Let a subscriber write to a sender address over an account's bind; the command_status the SMSC hears."""
    link = smsc.link(account)
    number = link.request(message(recipient, sender, text, command_id=CommandId.DELIVER_SM, source_ton=1))
    heard = esme.next_request()
    assert heard.command_id == CommandId.DELIVER_SM
    assert decode_text(*_payload(heard)) == text
    esme.send(heard.reply(body=b"\0"))
    return smsc.hears_response(number, link).command_status


def _payload(pdu: object) -> tuple[bytes, int]:
    fields = pdu.fields()  # type: ignore[attr-defined]
    return pdu.octets[-fields["sm_length"] :], fields["data_coding"]  # type: ignore[attr-defined]


def test_an_advertisement_needs_a_grant_and_stops_at_a_withdrawal(smsc: Smsc, relay: Relay, connect: Connect) -> None:
    recipient = b"8613811110001"
    # Binds of the owner's two accounts, enough of them that both workers hold some.
    shops = [connect(relay, account) for account in (SHOP, MORE_SHOP) for _ in range(4)]
    shop = shops[3]
    assert shop.submit(SHOP_SENDER, recipient, ADVERTISEMENT) == NO_CONSENT
    relay.consents(f"{recipient.decode()},shop-ltd,granted")
    wait_until(lambda: shop.submit(SHOP_SENDER, recipient, ADVERTISEMENT) == ROK, "the grant binds")

    assert reply(smsc, shop, "shop", recipient, SHOP_SENDER, " ｔｄ。") == ROK
    withdrawn_at = time.monotonic()
    for each in shops:
        for sender in (SHOP_SENDER, OTHER_SHOP_SENDER):
            assert each.submit(sender, recipient, ADVERTISEMENT) == CONSENT_REFUSED
    assert time.monotonic() - withdrawn_at < 1.0
    workers = {decision["worker"] for decision in relay.decisions(recipient.decode(), 18)}
    assert len(workers) == 2, "both workers judged"

    # What is no advertisement still arrives, from this owner and from others (CN-08).
    assert connect(relay, BANK).submit(BANK_SENDER, recipient, CODE) == ROK
    assert shop.submit(SHOP_SENDER, recipient, CODE) == ROK


def test_the_same_text_in_another_dress_is_refused_after_a_refusal(
    smsc: Smsc, start_relay: StartRelay, connect: Connect
) -> None:
    # No text reaches a threshold of 1: the classifier calls nothing commercial, so likeness alone decides.
    relay = start_relay(smsc.port, environment={"SMSC_FILTER_POLICY__THRESHOLDS__COMMERCIAL": "1.0"})
    recipient = b"8613811110002"
    shop = connect(relay, SHOP)
    disguised = (
        "【云上商城】诚邀您接收会员优惠信息，每月不超过9条，为期24个月。同意请回电",
        "[云上商城] 诚 邀 您 接 收 🎉会员优惠 信息🎉 每月不\u200b超过4条，为期12个月！同意请点 example.com/k7",
        "【云上商城】诚邀您接收会员折扣消息，每月不超过4条，为期12个月。有意请来店",
    )
    for text in disguised:
        assert shop.submit(SHOP_SENDER, recipient, text) == ROK
    assert shop.submit(SHOP_SENDER, recipient, REQUEST) == ROK
    assert reply(smsc, shop, "shop", recipient, SHOP_SENDER, "拒绝") == ROK
    for text in disguised:
        assert shop.submit(SHOP_SENDER, recipient, text) == SIMILAR
    for unlike in (CODE, "【云上商城】您的订单 8812 已发货，预计明天送达，请保持电话畅通。"):
        assert shop.submit(SHOP_SENDER, recipient, unlike) == ROK
    assert shop.submit(SHOP_SENDER, b"8613811110099", disguised[0]) == ROK, "somebody else has refused nothing"


def test_consent_is_asked_for_once_and_granted_by_a_reply(smsc: Smsc, relay: Relay, connect: Connect) -> None:
    recipient = b"8613811110003"
    shop = connect(relay, SHOP)
    assert shop.submit(SHOP_SENDER, recipient, "【云上商城】会员优惠信息，回复Y同意接收") == REQUEST_INCOMPLETE
    assert shop.submit(SHOP_SENDER, recipient, REQUEST) == ROK
    assert shop.submit(SHOP_SENDER, recipient, REQUEST) == ASKED_ALREADY
    assert shop.submit(SHOP_SENDER, recipient, ADVERTISEMENT) == NO_CONSENT
    assert reply(smsc, shop, "shop", recipient, SHOP_SENDER, "y") == ROK
    assert shop.submit(SHOP_SENDER, recipient, ADVERTISEMENT) == ROK


def test_a_yes_that_nobody_asked_for_grants_nothing(smsc: Smsc, relay: Relay, connect: Connect) -> None:
    recipient = b"8613811110004"
    shop = connect(relay, SHOP)
    assert reply(smsc, shop, "shop", recipient, SHOP_SENDER, "同意") == ROK
    assert shop.submit(SHOP_SENDER, recipient, ADVERTISEMENT) == NO_CONSENT


def test_a_no_closes_a_request_for_good(smsc: Smsc, relay: Relay, connect: Connect) -> None:
    recipient = b"8613811110005"
    shop = connect(relay, SHOP)
    assert shop.submit(SHOP_SENDER, recipient, REQUEST) == ROK
    assert reply(smsc, shop, "shop", recipient, SHOP_SENDER, "不同意") == ROK
    assert reply(smsc, shop, "shop", recipient, SHOP_SENDER, "Y") == ROK
    assert shop.submit(SHOP_SENDER, recipient, ADVERTISEMENT) == CONSENT_REFUSED
    assert shop.submit(SHOP_SENDER, recipient, REQUEST) in (CONSENT_REFUSED, SIMILAR)


def test_a_request_the_smsc_did_not_take_may_be_sent_again(smsc: Smsc, relay: Relay, connect: Connect) -> None:
    recipient = b"8613811110006"
    shop = connect(relay, SHOP)
    smsc.answers[CommandId.SUBMIT_SM] = lambda pdu: pdu.reply(CommandStatus.ESME_RMSGQFUL)
    try:
        assert shop.submit(SHOP_SENDER, recipient, REQUEST) == CommandStatus.ESME_RMSGQFUL
    finally:
        del smsc.answers[CommandId.SUBMIT_SM]
    wait_until(lambda: shop.submit(SHOP_SENDER, recipient, REQUEST) == ROK, "the request is taken back")


def test_a_reply_counts_for_the_owner_of_the_address_it_was_sent_to(smsc: Smsc, relay: Relay, connect: Connect) -> None:
    recipient = b"8613811110007"
    shop, bank = connect(relay, SHOP), connect(relay, BANK)
    relay.consents(f"{recipient.decode()},shop-ltd,granted")
    wait_until(lambda: shop.submit(SHOP_SENDER, recipient, ADVERTISEMENT) == ROK, "the grant binds")
    assert reply(smsc, bank, "bank", recipient, BANK_SENDER, "TD") == ROK
    assert shop.submit(SHOP_SENDER, recipient, ADVERTISEMENT) == ROK
    assert reply(smsc, bank, "bank", recipient, SHOP_SENDER, "TD") == ROK
    assert shop.submit(SHOP_SENDER, recipient, ADVERTISEMENT) == CONSENT_REFUSED


def test_talk_and_receipts_withdraw_nothing(smsc: Smsc, relay: Relay, connect: Connect) -> None:
    recipient = b"8613811110008"
    shop = connect(relay, SHOP)
    relay.consents(f"{recipient.decode()},shop-ltd,granted")
    wait_until(lambda: shop.submit(SHOP_SENDER, recipient, ADVERTISEMENT) == ROK, "the grant binds")
    assert reply(smsc, shop, "shop", recipient, SHOP_SENDER, "退订之前先问一下，礼品在哪里领？") == ROK
    link = smsc.link("shop")
    receipt = message(recipient, SHOP_SENDER, "TD", command_id=CommandId.DELIVER_SM, esm_class=0x04)
    number = link.request(receipt)
    shop.send(shop.next_request().reply(body=b"\0"))
    assert smsc.hears_response(number, link).command_status == ROK
    assert shop.submit(SHOP_SENDER, recipient, ADVERTISEMENT) == ROK


@pytest.mark.parametrize(
    ("text", "status"),
    [
        pytest.param("周末全场五折，满200减50，快来抢购！拒收请回复TD", NO_SENDER_NAME, id="no-name"),
        pytest.param("【云上商城】周末全场五折，满200减50，快来抢购！", NO_WAY_TO_REFUSE, id="no-way-to-refuse"),
    ],
)
def test_commercial_text_carries_its_duties(relay: Relay, connect: Connect, text: str, status: int) -> None:
    recipient = b"8613811110009"
    shop = connect(relay, SHOP)
    relay.consents(f"{recipient.decode()},shop-ltd,granted")
    wait_until(lambda: shop.submit(SHOP_SENDER, recipient, ADVERTISEMENT) == ROK, "the grant binds")
    assert shop.submit(SHOP_SENDER, recipient, text) == status


def test_commercial_text_on_a_service_port_is_refused_even_with_consent(relay: Relay, connect: Connect) -> None:
    recipient = b"8613811110014"
    relay.consents(f"{recipient.decode()},bank-ltd,granted")
    bank = connect(relay, BANK)
    assert bank.submit(BANK_SENDER, recipient, ADVERTISEMENT) == WRONG_PURPOSE
    assert bank.submit(BANK_SENDER, recipient, CODE) == ROK


def test_what_is_prohibited_is_refused_whoever_agreed(
    smsc: Smsc, start_relay: StartRelay, connect: Connect, tmp_path: Path
) -> None:
    listed = tmp_path / "prohibited.txt"
    listed.write_text("抢购\n", encoding="utf-8")
    relay = start_relay(smsc.port, policy={"prohibited_file": str(listed)})
    recipient = b"8613811110016"
    relay.consents(f"{recipient.decode()},shop-ltd,granted")
    shop = connect(relay, SHOP)
    assert shop.submit(SHOP_SENDER, recipient, ADVERTISEMENT) == PROHIBITED
    allowed = ADVERTISEMENT.replace("抢购", "选购")
    wait_until(lambda: shop.submit(SHOP_SENDER, recipient, allowed) == ROK, "the grant binds")


def test_an_older_grant_imported_later_revives_nothing(smsc: Smsc, relay: Relay, connect: Connect) -> None:
    recipient = b"8613811110010"
    shop = connect(relay, SHOP)
    assert reply(smsc, shop, "shop", recipient, SHOP_SENDER, "TD") == ROK
    assert shop.submit(SHOP_SENDER, recipient, ADVERTISEMENT) == CONSENT_REFUSED
    path = relay.folder / "older.csv"
    path.write_text(f"recipient,owner,state,event_time\n{recipient.decode()},shop-ltd,granted,2020-01-01T00:00:00Z\n")
    done = relay.command("consent", "import", str(path))
    assert done.returncode == 0, done.stdout + done.stderr

    def on_record() -> list[tuple[str, ...]] | None:
        rows = relay.records("select event from consent_events where recipient = ?", recipient.decode())
        return rows if {"claimed", "withdrawn"} <= {row[0] for row in rows} else None

    wait_until(on_record, "grant and withdrawal are both on record")
    assert shop.submit(SHOP_SENDER, recipient, ADVERTISEMENT) == CONSENT_REFUSED
    # Nor does the list of the next day, which has no times.
    path.write_text(f"recipient,owner,state\n{recipient.decode()},shop-ltd,granted\n")
    done = relay.command("consent", "import", str(path))
    assert "1 stored, 1 of them claimed" in done.stdout, done.stdout + done.stderr
    assert relay.command("rebuild-state").returncode == 0
    assert shop.submit(SHOP_SENDER, recipient, ADVERTISEMENT) == CONSENT_REFUSED


def test_a_withdrawal_is_confirmed_once_where_that_is_wanted(
    smsc: Smsc, start_relay: StartRelay, connect: Connect
) -> None:
    relay = start_relay(smsc.port, policy={"confirmation": "您已退订，不再收到本号码的推广短信。"})
    recipient = b"8613811110011"
    shop = connect(relay, SHOP)
    smsc.forget()
    assert reply(smsc, shop, "shop", recipient, SHOP_SENDER, "TD") == ROK
    (sent,) = smsc.hears(1)
    assert decode_text(*_payload(sent)) == "您已退订，不再收到本号码的推广短信。"
    assert sent.fields()["source_addr"] == SHOP_SENDER
    assert sent.fields()["destination_addr"] == recipient
    assert reply(smsc, shop, "shop", recipient, SHOP_SENDER, "TD") == ROK
    assert shop.submit(SHOP_SENDER, recipient, CODE) == ROK
    assert len(smsc.requests()) == 2, "the confirmation and the code, no second confirmation"


def test_quiet_hours_refuse_advertisements_and_nothing_else(
    smsc: Smsc, start_relay: StartRelay, connect: Connect
) -> None:
    # All day but for a minute that is twelve hours away.
    minute = (time.gmtime().tm_hour * 60 + time.gmtime().tm_min + 8 * 60 + 720) % 1440
    begin, end = (f"{at // 60:02d}:{at % 60:02d}" for at in ((minute + 1) % 1440, minute))
    relay = start_relay(smsc.port, policy={"quiet_hours": f"{begin}-{end}"})
    recipient = b"8613811110012"
    relay.consents(f"{recipient.decode()},shop-ltd,granted")
    shop = connect(relay, SHOP)
    wait_until(lambda: shop.submit(SHOP_SENDER, recipient, ADVERTISEMENT) == QUIET_HOURS, "the grant binds")
    assert shop.submit(SHOP_SENDER, recipient, CODE) == ROK


def test_a_reply_is_not_acknowledged_while_the_store_is_away(
    smsc: Smsc, start_relay: StartRelay, connect: Connect
) -> None:
    relay = start_relay(smsc.port, state={"timeout": 0.2, "patience": 0.3})
    recipient = b"8613811110013"
    shop = connect(relay, SHOP)
    link = smsc.link("shop")
    (store,) = (pid for pid in relay.family if any("valkey-server" in word for word in words_of(pid)))
    os.kill(store, signal.SIGSTOP)
    try:
        number = link.request(message(recipient, SHOP_SENDER, "TD", command_id=CommandId.DELIVER_SM, source_ton=1))
        assert smsc.hears_response(number, link).command_status == CommandStatus.ESME_RX_T_APPN
    finally:
        os.kill(store, signal.SIGCONT)
    assert not shop.unasked
    # The SMSC delivers again, and now it counts.
    assert reply(smsc, shop, "shop", recipient, SHOP_SENDER, "TD") == ROK
    wait_until(lambda: shop.submit(SHOP_SENDER, recipient, ADVERTISEMENT) == CONSENT_REFUSED, "the reply binds")
