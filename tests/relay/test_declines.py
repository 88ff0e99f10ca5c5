"""Advertising by message heeds what subscribers decline, where the operator has it so."""

from __future__ import annotations

from smsc_filter.policy.verdict import Cause
from tests.conftest import Connect, StartRelay
from tests.relay.harness import ADVERTISEMENT, CODE, NO_CONSENT, SHOP, SHOP_SENDER, Smsc, wait_until

DECLINES, OTHER = "8613800000001", "8613800000002"


def test_a_wish_is_on_record_beside_a_consent_that_counts_more(
    smsc: Smsc, start_relay: StartRelay, connect: Connect
) -> None:
    relay = start_relay(smsc.port, declines={"sms": True})
    relay.consents(f"{DECLINES},shop-ltd,granted", f"{OTHER},shop-ltd,granted")
    done = relay.command("decline", "wish", DECLINES, "sms:all")
    assert done.returncode == 0, done.stderr
    esme = connect(relay, SHOP)
    for number in (DECLINES, OTHER):
        assert esme.submit(SHOP_SENDER, number.encode(), ADVERTISEMENT) == 0
        assert esme.submit(SHOP_SENDER, number.encode(), CODE) == 0

    def findings(number: str) -> str | None:
        rows = relay.records("select group_concat(findings, ' '), count(*) from decisions where recipient = ?", number)
        return (rows[0][0] or "") if rows[0][1] == 2 else None

    assert "declined (sms:all), but agreed to shop-ltd" in wait_until(lambda: findings(DECLINES), "both are on record")
    said = wait_until(lambda: findings(OTHER), "both are on record")
    assert "declined" not in said


def test_a_wish_refuses_who_never_agreed_with_both_reasons(
    smsc: Smsc, start_relay: StartRelay, connect: Connect
) -> None:
    relay = start_relay(smsc.port, declines={"sms": True})
    assert relay.command("decline", "wish", DECLINES, "sms:all@00:00-12:00 sms:all@12:00-00:00").returncode == 0
    assert connect(relay, SHOP).submit(SHOP_SENDER, DECLINES.encode(), ADVERTISEMENT) == NO_CONSENT
    (decision,) = relay.decisions(DECLINES)
    (said,) = relay.records("select findings from decisions where id = ?", decision["id"])
    assert Cause.DECLINED.value in said[0]
