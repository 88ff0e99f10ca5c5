"""Checks of what a commercial text carries, where and when it may go: duties, likeness, declines, hours, templates."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from smsc_filter.policy.consent import REFUSALS
from smsc_filter.policy.decline import check_decline
from smsc_filter.policy.duties import check_duties
from smsc_filter.policy.facts import ConsentState, Facts, Sender
from smsc_filter.policy.judge import judge
from smsc_filter.policy.quiet import check_quiet
from smsc_filter.policy.rules import Rules, make_rules, profile_names, read_profile, with_quiet_hours
from smsc_filter.policy.similar import check_similar
from smsc_filter.policy.template import Parameters, chain_hash, check_template
from smsc_filter.policy.verdict import Cause
from smsc_filter.policy.zones import Zones, minute_of
from smsc_filter.smpp.codec import encode_submit
from smsc_filter.smpp.pdu import Pdu
from smsc_filter.sms.address import Numbering
from smsc_filter.sms.message import Message, read_submit

SHOP = Sender("106900001", "shop-ltd", "commercial", ())
PORT = Sender("106920001", "shop-ltd", "service", ())
NAME, CONTACT, REFUSAL = "【云上商城】", "，详询 400-123-4567", "，拒收请回复R"
WHOLE = f"{NAME}周末全场五折{CONTACT}{REFUSAL}"


def without(piece: str) -> str:
    return WHOLE.replace(piece, "")


def rules(profile: str = "cn-2020-draft", **changes: str) -> Rules:
    return make_rules(with_quiet_hours(read_profile(profile), changes.get("quiet", "")), {"commercial": 0.5})


def message(text: str = WHOLE, recipient: str = "8613800000001", **fields: Any) -> Message:
    return Message(Pdu(b"", 4, 0, 1), b"106900001", 0, recipient, 8, b"", None, text, **fields)


def facts(
    state: ConsentState = ConsentState.GRANTED, *, commercial: bool = True, sender: Sender = SHOP, **known: Any
) -> Facts:
    return Facts("shop-ltd", sender, 0.97 if commercial else 0.01, commercial, state, **known)


@pytest.mark.parametrize(
    ("profile", "text", "cause", "remarked"),
    [
        pytest.param("cn-2020-draft", WHOLE, None, False, id="whole"),
        pytest.param("cn-2020-draft", without(NAME), Cause.NO_SENDER_NAME, False, id="no-name"),
        pytest.param("cn-2020-draft", without(REFUSAL), Cause.NO_WAY_TO_REFUSE, False, id="no-refusal"),
        pytest.param("cn-2020-draft", without(CONTACT), None, True, id="2020-contact-is-tagged"),
        pytest.param("cn-2015-order31", without(CONTACT), None, False, id="2015-asks-for-none"),
        pytest.param("cn-2026-order74", without(NAME), Cause.NO_SENDER_NAME, False, id="2026-no-name"),
        pytest.param("us-tcpa", "Acme Shop: 20% off today. Reply STOP to opt out", None, False, id="us-whole"),
        pytest.param("us-tcpa", "20% off today! Reply STOP to opt out", Cause.NO_SENDER_NAME, False, id="us-no-brand"),
        pytest.param("us-tcpa", "Acme Shop: 20% off today", Cause.NO_WAY_TO_REFUSE, False, id="us-no-opt-out"),
        pytest.param("in-tcccpr", "20% off today", None, True, id="in-the-header-names-the-sender"),
    ],
)  # fmt: skip
def test_commercial_text_carries_what_the_profile_asks(
    profile: str, text: str, cause: Cause | None, remarked: bool
) -> None:
    found = check_duties(message(text), facts(), rules(profile), 0.0)
    assert found.cause is cause
    assert bool(found.sentence) == (cause is not None or remarked)
    assert bool(found.article) == bool(found.sentence)


@pytest.mark.parametrize(
    "way",
    [
        "退订回T",
        "回T退订",
        "拒收请回复R",
        "回复TD退订",
        "退订请回复N",
        "拒绝请回复“退订”",
        "取消请回复 QX",
        "退訂請回覆T",
        "Reply STOP to unsubscribe",
        "退订回0000",
    ],
)
def test_ways_to_refuse_are_recognised(way: str) -> None:
    assert check_duties(message(f"【云上商城】全场五折 400-123-4567 {way}"), facts(), rules(), 0.0).cause is None


def test_duties_are_not_asked_of_what_is_still_coming_nor_of_other_text() -> None:
    assert check_duties(message("全场五折"), facts(whole=False), rules(), 0.0).cause is None
    assert check_duties(message("您的验证码 1234"), facts(commercial=False), rules(), 0.0).cause is None


def test_a_request_need_not_tell_how_to_refuse() -> None:
    text = "【云上商城】优惠信息，每月4条，为期1年，回复Y同意接收"
    assert check_duties(message(text), facts(request=True), rules(), 0.0).cause is None


@pytest.mark.parametrize("state", ConsentState)
@pytest.mark.parametrize("commercial", [True, False])
def test_similar_text_is_refused_after_a_refusal_only(state: ConsentState, commercial: bool) -> None:
    found = check_similar(message(), facts(state, commercial=commercial, similar=True), rules(), 0.0)
    assert found.cause is (Cause.SIMILAR_AFTER_REFUSAL if state in REFUSALS else None)
    assert check_similar(message(), facts(state, commercial=commercial), rules(), 0.0).cause is None


def test_who_opted_out_still_gets_service_text() -> None:
    """CN-08."""
    known = facts(ConsentState.WITHDRAWN, commercial=False, sender=PORT, declined="sms:all")
    assert judge(message("您的验证码 1234"), known, rules(quiet="00:00-23:59"), 0.0).cause is None


@pytest.mark.parametrize(
    ("profile", "state", "cause"),
    [
        ("cn-2020-draft", ConsentState.GRANTED, None),
        ("cn-2020-draft", ConsentState.NONE, Cause.DECLINED),
        ("in-tcccpr", ConsentState.GRANTED, None),
        ("in-tcccpr", ConsentState.EXPIRED, Cause.DECLINED),
    ],
)
def test_consent_beats_a_general_decline(profile: str, state: ConsentState, cause: Cause | None) -> None:
    found = check_decline(message(), facts(state, declined="sms:realty"), rules(profile), 0.0)
    assert found.cause is cause
    assert "sms:realty" in found.sentence
    assert check_decline(message(), facts(state), rules(profile), 0.0).cause is None


def at(zone: str, *moment: int) -> float:
    return datetime(*moment, tzinfo=ZoneInfo(zone)).timestamp()  # type: ignore[arg-type,misc]


@pytest.mark.parametrize(
    ("profile", "recipient", "now", "quiet"),
    [
        pytest.param("in-tcccpr", "919800000000", at("Asia/Kolkata", 2026, 3, 1, 20, 59), False, id="in-evening"),
        pytest.param("in-tcccpr", "919800000000", at("Asia/Kolkata", 2026, 3, 1, 21, 0), True, id="in-night"),
        pytest.param("in-tcccpr", "919800000000", at("Asia/Kolkata", 2026, 3, 1, 8, 59), True, id="in-too-early"),
        pytest.param("in-tcccpr", "919800000000", at("Asia/Kolkata", 2026, 3, 1, 9, 0), False, id="in-morning"),
        pytest.param("us-tcpa", "12125550100", at("America/New_York", 2026, 7, 1, 8, 0), False, id="us-new-york"),
        pytest.param("us-tcpa", "13105550100", at("America/New_York", 2026, 7, 1, 8, 0), True, id="us-not-yet-in-la"),
        pytest.param("us-tcpa", "16025550100", at("America/Denver", 2026, 7, 1, 8, 30), True, id="us-phoenix-no-dst"),
        pytest.param("us-tcpa", "16025550100", at("America/Denver", 2026, 1, 1, 8, 30), False, id="us-phoenix-winter"),
        pytest.param("us-tcpa", "19995550100", at("America/New_York", 2026, 7, 1, 12, 0), True, id="us-unknown-all"),
        pytest.param("us-tcpa", "19995550100", at("America/New_York", 2026, 7, 1, 15, 0), False, id="us-good-for-all"),
        pytest.param("cn-2020-draft", "8613800000000", at("Asia/Shanghai", 2026, 3, 1, 3, 0), False, id="cn-sets-none"),
    ],
)
def test_quiet_hours_are_the_recipients(profile: str, recipient: str, now: float, quiet: bool) -> None:
    found = check_quiet(message(recipient=recipient), facts(), rules(profile), now)
    assert found.cause is (Cause.QUIET_HOURS if quiet else None)
    assert check_quiet(message(recipient=recipient), facts(commercial=False), rules(profile), now).cause is None


def test_an_operator_sets_or_lifts_quiet_hours() -> None:
    night = at("Asia/Shanghai", 2026, 3, 1, 23, 0)
    assert check_quiet(message(), facts(), rules(quiet="22:00-08:00"), night).cause is Cause.QUIET_HOURS
    assert check_quiet(message(), facts(), rules("in-tcccpr", quiet="none"), night).cause is None


@pytest.mark.parametrize(("scheduled", "refused"), [
    pytest.param(b"", False, id="now-at-noon"),
    pytest.param(b"260301230000032+", True, id="at-night-there"),
    pytest.param(b"260301150000000+", True, id="at-night-there-by-utc"),
    pytest.param(b"000000110000000R", True, id="in-eleven-hours"),
    pytest.param(b"000001000000000R", False, id="tomorrow-at-noon"),
    pytest.param(b"260228230000032+", False, id="already-over"),
    pytest.param(b"tonight", False, id="no-time"),
])  # fmt: skip
def test_quiet_hours_are_those_of_the_delivery_that_is_asked_for(scheduled: bytes, refused: bool) -> None:
    octets = encode_submit(1, b"106900001", b"8613800000001", b"sale")
    # Behind the two addresses: esm_class, protocol_id, priority_flag, then schedule_delivery_time, empty until now.
    at_field = octets.index(b"8613800000001\0") + len(b"8613800000001\0") + 3
    octets = octets[:at_field] + scheduled + octets[at_field:]
    submit = read_submit(Pdu.from_octets(len(octets).to_bytes(4, "big") + octets[4:]), Numbering())
    found = check_quiet(submit, facts(), rules(quiet="22:00-08:00"), at("Asia/Shanghai", 2026, 3, 1, 12, 0))
    assert found.cause is (Cause.QUIET_HOURS if refused else None)


@pytest.mark.parametrize(
    "table", [{"1": ["America/New_York"]}, {"": ["Mars/Olympus"]}, {"": []}, {"": ["UTC"], "+1": ["UTC"]}]
)
def test_zones_that_make_no_sense_are_refused(table: dict[str, list[str]]) -> None:
    with pytest.raises(ValueError, match="zones: "):
        Zones(table)


@pytest.mark.parametrize(("clock", "minute"), [("00:00", 0), ("08:30", 510), ("23:59", 1439), ("24:00", 0)])
def test_times_of_day(clock: str, minute: int) -> None:
    assert minute_of(clock) == minute


@pytest.mark.parametrize("clock", ["", "8:00", "08:60", "25:00", "0800", "ab:cd"])
def test_what_is_no_time_of_day(clock: str) -> None:
    with pytest.raises(ValueError, match="HH:MM"):
        minute_of(clock)


ENTITY, TEMPLATE = b"1101172974420810001", b"1107160000000012345"
MIDDLE, DELIVERY = "1101172974420820002", "1101172974420830004"
# RULES.md, section 2.1.
SHORT_CHAIN = "c0c951afca257c5b87c3da535c09112080483f35b7e6faf35e2428b3b526b694"
LONG_CHAIN = "ba38bbe4ab3780a70aad6071c006e720eed8efc1ff70b00691d3b6844e6497e2"


def test_the_hash_of_a_chain_is_that_of_the_published_vectors() -> None:
    assert chain_hash((ENTITY.decode(), DELIVERY)) == SHORT_CHAIN
    assert chain_hash((ENTITY.decode(), MIDDLE, DELIVERY)) == LONG_CHAIN


@pytest.mark.parametrize(
    ("telemarketers", "tlvs", "cause"),
    [
        pytest.param((), {0x1400: ENTITY, 0x1401: TEMPLATE}, None, id="no-chain-known"),
        pytest.param((DELIVERY,), {0x1400: ENTITY, 0x1401: TEMPLATE, 0x1402: SHORT_CHAIN.encode()}, None, id="right"),
        pytest.param(
            (MIDDLE, DELIVERY), {0x1400: ENTITY + b"\0", 0x1401: TEMPLATE + b"\0", 0x1402: LONG_CHAIN.upper().encode()},
            None, id="right-as-c-strings",
        ),
        pytest.param(
            (DELIVERY,), {0x1400: ENTITY, 0x1401: TEMPLATE, 0x1402: LONG_CHAIN.encode()}, Cause.WRONG_CHAIN, id="wrong"
        ),
        pytest.param((DELIVERY,), {0x1400: ENTITY, 0x1401: TEMPLATE}, Cause.WRONG_CHAIN, id="no-hash"),
        pytest.param((), {0x1400: ENTITY}, Cause.NO_TEMPLATE, id="no-template"),
        pytest.param((), {0x1400: ENTITY, 0x1401: b"x"}, Cause.NO_TEMPLATE, id="no-number"),
        pytest.param((), {0x1401: TEMPLATE}, Cause.WRONG_ENTITY, id="no-entity"),
        pytest.param((), {0x1400: b"42", 0x1401: TEMPLATE}, Cause.WRONG_ENTITY, id="somebody-elses-entity"),
    ],
)  # fmt: skip
def test_india_asks_for_template_entity_and_chain(
    telemarketers: tuple[str, ...], tlvs: dict[int, bytes], cause: Cause | None
) -> None:
    parameters = Parameters(entities=(ENTITY.decode(),), telemarketers=telemarketers)
    asked, known = message(tlvs=tlvs), facts(commercial=False, parameters=parameters)
    assert check_template(asked, known, rules("in-tcccpr"), 0.0).cause is cause
    assert check_template(asked, known, rules(), 0.0).cause is None, "nobody else asks"


def test_tags_are_what_the_account_says() -> None:
    parameters = Parameters(entity_tag=0x1501, template_tag=0x1502)
    known = facts(parameters=parameters)
    assert (
        check_template(message(tlvs={0x1501: ENTITY, 0x1502: TEMPLATE}), known, rules("in-tcccpr"), 0.0).cause is None
    )
    found = check_template(message(tlvs={0x1400: ENTITY, 0x1401: TEMPLATE}), known, rules("in-tcccpr"), 0.0)
    assert found.cause is Cause.WRONG_ENTITY


@pytest.mark.parametrize("name", profile_names())
def test_what_is_refused_says_by_which_article(name: str) -> None:
    night = at("UTC", 2026, 7, 1, 3, 30)
    known = facts(ConsentState.WITHDRAWN, similar=True, declined="sms:all", parameters=Parameters())
    verdict = judge(message("全场五折", recipient="12125550100"), known, rules(name, quiet="00:00-23:59"), night)
    refused = [finding for finding in verdict.findings if finding.cause is not None]
    assert {"consent", "similar", "decline", "quiet"} <= {finding.check for finding in refused}
    assert all(finding.article for finding in refused)
    # Who may not be written to at all hears that first, not how the text should have been written.
    expected = Cause.WRONG_ENTITY if name == "in-tcccpr" else Cause.CONSENT_REFUSED
    assert verdict.cause is expected
