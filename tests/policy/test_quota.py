"""What a message is charged to, and what it means that nothing is left."""

from __future__ import annotations

from dataclasses import replace

import pytest

from smsc_filter.policy.facts import Facts, Sender, Window
from smsc_filter.policy.quota import SECONDS, Charge, Quotas, as_part, soft_cap, spent, windows_for
from smsc_filter.policy.rules import CampaignCaps, SoftCaps, profile_names, read_profile
from smsc_filter.policy.verdict import Cause

from .known import CLEARED, COMMERCIAL, HOUR, PERSON, SERVICE, facts

DAY = Window(86_400, 50, "practice")
SOFT = SoftCaps(least_percent=70, most_percent=95, article="practice", seen=True)
CAMPAIGN = CampaignCaps(hours=24, owner=200, all=500, suspicion_percent=50, article="practice", seen=True)
TO = "8613800000001"


def names(charge: Charge | None) -> list[str]:
    return [f"{use.gauge.kind} {use.name}" for use in (*charge.shared, *charge.own)] if charge is not None else []


def test_a_message_is_charged_to_all_that_has_caps() -> None:
    quotas = Quotas({"service": ((DAY,), True, True)}, {"shop": (DAY,)}, {"shop-ltd": (DAY,)})
    assert names(quotas.charge(facts(PERSON), "shop", TO)) == [
        "sender 8613900000001", "account shop", "owner shop-ltd",
    ]  # fmt: skip
    assert names(quotas.charge(facts(SERVICE), "shop", TO)) == ["account shop", "owner shop-ltd", f"recipient {TO}"]
    assert names(quotas.charge(facts(SERVICE), "other", "")) == ["owner shop-ltd"]


def test_what_has_no_cap_costs_nothing() -> None:
    quotas = Quotas(accounts={"shop": ()}, owners={})
    assert quotas.charge(facts(SERVICE), "shop", TO) is None
    assert quotas.charge(facts(None), "shop", TO) is None
    assert quotas.charge(facts(COMMERCIAL, cleared=CLEARED), "shop", TO) is None


def test_messages_of_a_sender_share_one_charge() -> None:
    quotas = Quotas({"person": ((DAY,), False, True)})
    one, other = (quotas.charge(facts(PERSON), "shop", to) for to in (TO, "8613800000002"))
    assert one is not None
    assert other is not None
    assert one.shared is other.shared
    assert one.own[0].gauge is other.own[0].gauge


def test_what_a_measure_tightens_is_charged_as_it_is_now() -> None:
    quotas = Quotas()
    tight = replace(PERSON, windows=(Window(3600, 7, "measure 1"),))
    caps = [quotas.charge(facts(each), "shop", TO).shared[0].gauge.windows for each in (PERSON, tight, PERSON)]  # type: ignore[union-attr]
    assert caps == [(HOUR,), tight.windows, (HOUR,)]


@pytest.mark.parametrize(("by_owner", "same"), [(True, False), (False, True)])
def test_a_recipient_is_counted_over_all_or_for_each_owner(by_owner: bool, same: bool) -> None:
    quotas = Quotas({"service": ((DAY,), by_owner, True)})
    charges = [quotas.charge(facts(replace(SERVICE, owner=owner)), "shop", TO) for owner in ("shop-ltd", "bank-ltd")]
    prefixes = {charge.own[0].gauge.prefix for charge in charges if charge is not None}
    assert (len(prefixes) == 1) is same


def test_a_part_is_charged_where_parts_are_counted() -> None:
    quotas = Quotas({"person": ((DAY,), False, True)})
    charge = quotas.charge(facts(PERSON), "shop", TO)
    assert charge is not None
    assert charge.counts_messages
    part = as_part(charge)
    assert names(part) == ["sender 8613900000001"]
    assert part is not None
    assert not part.counts_messages
    assert as_part(Charge((), charge.own)) is None


def test_a_cap_of_0_is_none() -> None:
    assert windows_for((0, 200, 0, 1000), "a") == (Window(3600, 200, "a"), Window(604_800, 1000, "a"))
    assert SECONDS == (60, 3600, 86_400, 7 * 86_400)


# Soft caps.


def test_a_soft_cap_is_below_the_public_one_and_the_same_every_time() -> None:
    found = [soft_cap(HOUR, f"86139{number:08}", SOFT, b"key") for number in range(2000)]
    assert min(found) >= 140
    assert max(found) <= 190
    assert found == [soft_cap(HOUR, f"86139{number:08}", SOFT, b"key") for number in range(2000)]
    # Spread over the whole range: what one number finds out says nothing of another.
    assert len(set(found)) == 51
    assert max(map(found.count, set(found))) < 100


def test_a_soft_cap_depends_on_the_key_and_the_window() -> None:
    def caps(key: bytes, window: Window) -> list[int]:
        return [soft_cap(window, f"86139{number:08}", SOFT, key) for number in range(100)]

    assert caps(b"key", HOUR) != caps(b"other", HOUR)
    assert caps(b"key", HOUR) != caps(b"key", replace(HOUR, seconds=60))
    assert set(caps(b"key", replace(HOUR, cap=1))) == {1}


def test_no_score_changes_a_public_cap() -> None:
    """rspamd scaled its limits by the score of a message; here a score decides only which texts soft caps hold for."""
    quotas = Quotas(campaigns={"person": CAMPAIGN}, soft={"person": SOFT}, jitter_key=b"key")
    windows = set()
    for score in (-1.0, 0.0, 0.2, 0.5, 0.9, 1.0):
        charge = quotas.charge(Facts("shop-ltd", PERSON, score, False), "shop", TO)
        assert charge is not None
        windows.add(charge.shared[0].gauge.windows)
    ((window,),) = windows
    assert (window.seconds, window.cap) == (HOUR.seconds, HOUR.cap)
    assert 140 <= window.soft <= 190


# Campaigns.


@pytest.mark.parametrize(("sender", "score", "suspicious"), [
    pytest.param(PERSON, 0.5, True, id="a-person-who-may-advertise"),
    pytest.param(PERSON, 0.49, False, id="a-greeting"),
    pytest.param(PERSON, -1.0, False, id="not-scored"),
    pytest.param(SERVICE, 0.8, False, id="a-template-of-a-service"),
    pytest.param(COMMERCIAL, 1.0, False, id="a-campaign-with-consent"),
    pytest.param(None, 1.0, False, id="of-nobody"),
])  # fmt: skip
def test_suspicious_texts_of_people_are_campaigns(sender: Sender | None, score: float, suspicious: bool) -> None:
    quotas = Quotas(campaigns={"person": CAMPAIGN})
    assert quotas.suspicious(Facts("shop-ltd", sender, score, False)) is suspicious


def test_a_campaign_is_charged_to_its_owner_and_to_all() -> None:
    quotas = Quotas(campaigns={"person": CAMPAIGN})
    charge = quotas.with_campaign(Charge(()), PERSON, "a1b2")
    assert [(use.gauge.windows[0].cap, use.name) for use in charge.own] == [(200, "a1b2"), (500, "a1b2")]
    again = quotas.with_campaign(Charge(()), replace(PERSON, owner="other-ltd"), "a1b2")
    assert again.own[0].gauge is not charge.own[0].gauge
    assert again.own[1].gauge is charge.own[1].gauge
    finding = spent("campaign", charge.own[0].gauge.name, charge.own[0].gauge.windows[0])
    assert finding.cause is Cause.CAMPAIGN_QUOTA_SPENT
    assert finding.sentence == (
        "suspicious texts like this one were sent 200 times by senders of shop-ltd within 86400 s, which is the cap"
    )


@pytest.mark.parametrize("name", profile_names())
def test_every_profile_stops_campaigns_of_people_and_leaves_services_alone(name: str) -> None:
    profile = read_profile(name)
    assert set(profile.campaign) == {"person"}
    assert 24 <= profile.campaign["person"].hours <= 72
    assert profile.campaign["person"].owner <= profile.campaign["person"].all <= 1000
    assert profile.quota["person"].soft is not None


@pytest.mark.parametrize("name", ["cn-2015-order31", "cn-2020-draft", "cn-2026-order74"])
def test_recipients_have_the_caps_of_the_platforms(name: str) -> None:
    recipients = read_profile(name).recipients
    assert recipients["commercial"].figures == (0, 4, 0, 0)
    assert recipients["service"].figures == (10, 0, 50, 0)
    assert recipients["service"].over == "owner"
