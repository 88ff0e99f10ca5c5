"""Quotas on the wire: accounts, owners, recipients, long messages, and campaigns."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import pytest

from smsc_filter.policy.record import id_to_text
from smsc_filter.policy.verdict import Cause
from tests.conftest import Connect, StartRelay
from tests.state.test_campaigns import paraphrases

from .harness import ACCOUNTS, BANK, CODE, PEOPLE, SENDERS, SHOP, SHOP_SENDER, Relay, Smsc
from .test_long_messages import udh_8

ROK = 0
THROTTLED = Cause.QUOTA_SPENT.status
RECIPIENT, CAMPAIGN = Cause.RECIPIENT_QUOTA_SPENT.status, Cause.CAMPAIGN_QUOTA_SPENT.status

CAPPED = [
    {"address": "106930", "owner": "shop-ltd", "purpose": "commercial", "minute_cap": 2},
    {"address": "8613911*", "owner": "mobile", "purpose": "person"},
]


@pytest.fixture(scope="module")
def relay(smsc: Smsc, start_relay: StartRelay) -> Relay:
    """People's texts are never commercial here, so that only the campaign quota can stop them."""
    accounts = [{**each, **({"hour_cap": 4} if each["system_id"] == "shop" else {})} for each in ACCOUNTS]
    return start_relay(
        smsc.port,
        accounts=accounts,
        senders=[*SENDERS, *CAPPED],
        policy={"recipient_caps": True},
        **{
            "[owners]": {"owner": "bank-ltd", "week_cap": 12},
            "policy.thresholds": {"person": 1.0},
            "policy.recipients.service": {"minute_cap": 3},
        },
    )


def test_senders_share_the_cap_of_their_account(relay: Relay, connect: Connect) -> None:
    esme = connect(relay, SHOP)
    answers = [esme.submit(b"106930", b"861381000%04d" % at, CODE) for at in range(3)]
    assert answers == [ROK, ROK, THROTTLED]
    answers = [esme.submit(b"10690000%d" % at, b"861381001%04d" % at, CODE) for at in range(4)]
    assert answers == [ROK, ROK, THROTTLED, THROTTLED]
    decision = relay.decisions("8613810010002")[0]
    told = relay.command("explain", id_to_text(decision["id"])).stdout
    assert "account shop has sent 4 within 3600 s, which is its cap" in told


def test_a_recipient_has_caps_of_its_own_and_an_owner_one_for_all(relay: Relay, connect: Connect) -> None:
    esme = connect(relay, BANK)
    assert [esme.submit(b"106920001", b"8613810020001", CODE) for _ in range(5)] == [ROK] * 3 + [RECIPIENT] * 2
    assert relay.decisions("8613810020001", 5)[4]["cause"] == "recipient-quota-spent"
    # What was refused counts for nobody: nine of twelve are left.
    answers = [esme.submit(b"106920002", b"861381003%04d" % at, CODE) for at in range(10)]
    assert answers == [ROK] * 9 + [THROTTLED]


def test_ten_people_with_one_offer_stop_at_the_cap_of_the_campaign(relay: Relay, connect: Connect) -> None:
    esme = connect(relay, PEOPLE)
    answers = [
        esme.submit(b"861391100%04d" % (at % 10), b"861381004%04d" % at, text)
        for at, text in enumerate(paraphrases(220))
    ]
    assert answers == [ROK] * 200 + [CAMPAIGN] * 20
    assert esme.submit(b"8613911000003", b"8613810050001", "妈，我到车站了，半小时后到家") == ROK
    shown = relay.command("quota", "show", "8613911000003").stdout
    # Twenty of the campaign, and the one after it.
    assert [line.split("│")[3:5] for line in shown.splitlines() if "sender 8613911000003" in line] == [
        [" 21 ".rjust(6), " 200 ".rjust(7)], [" 21 ".rjust(6), " 1,000 ".rjust(7)],
    ]  # fmt: skip
    assert "recipients of this period: 21, first contacts 100%, messages 21" in shown


def test_messages_are_counted_once_however_many_parts(
    smsc: Smsc, start_relay: StartRelay, connect: Connect, tmp_path: Path
) -> None:
    """A profile that counts messages, and a sender that may send two."""
    profile = (files("smsc_filter.policy") / "profiles" / "cn-2020-draft.toml").read_text(encoding="utf-8")
    path = tmp_path / "messages.toml"
    path.write_text(profile.replace("[quota.commercial]", '[quota.commercial]\ncounted = "messages"'), encoding="utf-8")
    capped = {"address": SHOP_SENDER.decode(), "owner": "shop-ltd", "purpose": "commercial", "hour_cap": 2}
    relay = start_relay(smsc.port, senders=[capped], policy={"profile": str(path)})
    esme = connect(relay, SHOP)

    def part(reference: int, number: int) -> int:
        octets = f"Your table for three, part {number} of {reference}".encode()
        return esme.ask(udh_8(b"8613810060001", reference, 3, number, octets, 0)).command_status

    assert [part(reference, number) for reference in (1, 2, 3) for number in (2, 1, 3)] == [ROK] * 6 + [THROTTLED] * 3
