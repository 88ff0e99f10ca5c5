"""Each check, and the order in which they speak."""

from __future__ import annotations

import pytest

from smsc_filter.policy.appeal import check_appeal
from smsc_filter.policy.checks import CHECKS, SETTLING, not_asked
from smsc_filter.policy.consent import check_consent
from smsc_filter.policy.content import check_content
from smsc_filter.policy.facts import Facts, Sender, Window
from smsc_filter.policy.identity import check_identity
from smsc_filter.policy.judge import judge
from smsc_filter.policy.prohibited import check_prohibited, compile_prohibited
from smsc_filter.policy.quota import Quotas, check_quota, spent, windows_for
from smsc_filter.policy.rules import Rules
from smsc_filter.policy.verdict import ADMITTED, PASS, Cause, Finding

from .known import (
    CLEARED,
    COMMERCIAL,
    GRANTED,
    HOUR,
    NONE,
    NOW,
    PERSON,
    REFUSED,
    SERVICE,
    SUSPENDED,
    WITHDRAWN,
    facts,
    message,
    rules,
)

RULES = rules()
SAYS_NOTHING = ("", None)


def said(finding: Finding) -> tuple[str, Cause | None]:
    """Which check spoke, and what for; a check that passes says nothing."""
    assert (finding is PASS) == (not finding.check)
    return finding.check, finding.cause


@pytest.mark.parametrize(("known", "expected"), [
    pytest.param(facts(COMMERCIAL), SAYS_NOTHING, id="registered"),
    pytest.param(facts(None), ("identity", Cause.UNKNOWN_SENDER), id="not-registered"),
    pytest.param(facts(SUSPENDED), ("identity", Cause.SENDER_SUSPENDED), id="suspended"),
    pytest.param(facts(None, cleared=CLEARED), ("identity", Cause.UNKNOWN_SENDER), id="no-appeal-lends-an-address"),
])  # fmt: skip
def test_identity(known: Facts, expected: tuple[str, Cause | None]) -> None:
    finding = check_identity(message(), known, RULES, NOW)
    assert said(finding) == expected
    assert finding is PASS or finding.article == RULES.identity.article


@pytest.mark.parametrize(("text", "entries", "refused"), [
    pytest.param("play at the casino", ["casino"], True, id="a-word"),
    pytest.param("Play at the CASINO", ["casino"], True, id="in-any-case"),
    pytest.param("go to http://bad.example/x", ["bad.example"], True, id="a-link"),
    pytest.param("go to http://badxexample/x", ["bad.example"], False, id="a-dot-is-a-dot"),
    pytest.param("ring 4001234567 now", ["4001234567"], True, id="a-number"),
    pytest.param("澳门博彩", ["博彩"], True, id="chinese"),
    pytest.param("hello", ["casino", "博彩"], False, id="nothing-on-the-list"),
    pytest.param("casino", [], False, id="no-list"),
    pytest.param("hello", [""], False, id="an-empty-line-forbids-nothing"),
    pytest.param("", ["casino"], False, id="no-text"),
    pytest.param("a+b", ["a+b"], True, id="signs-of-expressions-are-signs"),
])  # fmt: skip
def test_prohibited(text: str, entries: list[str], refused: bool) -> None:
    finding = check_prohibited(message(text), facts(cleared=CLEARED), rules(*entries), NOW)
    assert said(finding) == (("prohibited", Cause.PROHIBITED) if refused else SAYS_NOTHING)
    assert text not in finding.sentence or not text
    assert not refused or finding.article


def test_a_list_of_nothing_is_none() -> None:
    assert compile_prohibited(["", ""]) is None


def test_an_appeal_refuses_nothing_and_says_which_it_is() -> None:
    assert check_appeal(message(), facts(), RULES, NOW) is PASS
    finding = check_appeal(message(), facts(cleared=CLEARED), RULES, NOW)
    assert said(finding) == ("appeal", None)
    assert finding.sentence == "cleared by appeal 7, scope sender"
    assert finding.article == RULES.appeal.article


@pytest.mark.parametrize(("known", "expected"), [
    pytest.param(facts(SERVICE), SAYS_NOTHING, id="service-text-on-a-service-port"),
    pytest.param(facts(SERVICE, commercial=True), ("content", Cause.WRONG_PURPOSE), id="commercial-on-a-service-port"),
    pytest.param(
        facts(SERVICE, commercial=True, consent=GRANTED), ("content", Cause.WRONG_PURPOSE), id="consent-does-not-help"
    ),
    pytest.param(
        facts(SERVICE, commercial=True, cleared=CLEARED), ("content", Cause.WRONG_PURPOSE), id="nor-does-an-appeal"
    ),
    pytest.param(facts(COMMERCIAL), SAYS_NOTHING, id="service-text-on-a-commercial-port"),
    pytest.param(facts(COMMERCIAL, commercial=True), ("content", None), id="commercial-on-its-port-is-remarked"),
    pytest.param(facts(PERSON, commercial=True), ("content", None), id="commercial-of-a-person-is-remarked"),
    pytest.param(facts(PERSON, commercial=True, cleared=CLEARED), ("content", None), id="an-appeal-sets-it-aside"),
    pytest.param(facts(None, commercial=True), SAYS_NOTHING, id="of-nobody"),
])  # fmt: skip
def test_content(known: Facts, expected: tuple[str, Cause | None]) -> None:
    assert said(check_content(message(), known, RULES, NOW)) == expected


def test_content_says_the_score_and_what_set_it_aside() -> None:
    plain = check_content(message(), facts(commercial=True), RULES, NOW)
    aside = check_content(message(), facts(commercial=True, cleared=CLEARED), RULES, NOW)
    assert plain.sentence == "commercial text, score 0.930"
    assert aside.sentence == "score 0.930 set aside by appeal 7"


@pytest.mark.parametrize(("known", "expected"), [
    pytest.param(facts(commercial=True, consent=GRANTED), SAYS_NOTHING, id="granted"),
    pytest.param(facts(commercial=True, consent=NONE), ("consent", Cause.NO_CONSENT), id="silence-is-refusal"),
    pytest.param(facts(commercial=True, consent=REFUSED), ("consent", Cause.CONSENT_REFUSED), id="refused"),
    pytest.param(facts(commercial=True, consent=WITHDRAWN), ("consent", Cause.CONSENT_REFUSED), id="withdrawn"),
    pytest.param(facts(consent=NONE), SAYS_NOTHING, id="not-asked-of-other-texts"),
    pytest.param(facts(consent=REFUSED), SAYS_NOTHING, id="a-code-reaches-who-refused-advertisements"),
    pytest.param(facts(commercial=True, cleared=CLEARED), ("consent", None), id="an-appeal-stands-for-silence"),
    pytest.param(
        facts(commercial=True, consent=REFUSED, cleared=CLEARED), ("consent", Cause.CONSENT_REFUSED),
        id="no-appeal-lifts-a-refusal",
    ),
    pytest.param(
        facts(commercial=True, consent=WITHDRAWN, cleared=CLEARED), ("consent", Cause.CONSENT_REFUSED),
        id="no-appeal-lifts-a-withdrawal",
    ),
])  # fmt: skip
def test_consent(known: Facts, expected: tuple[str, Cause | None]) -> None:
    finding = check_consent(message(), known, RULES, NOW)
    assert said(finding) == expected
    assert finding.cause is None or finding.article == RULES.consent.article


UNLIMITED = Sender("106900003", "shop-ltd", "commercial", ())


@pytest.mark.parametrize(("known", "sender", "expected"), [
    pytest.param(facts(COMMERCIAL), COMMERCIAL, SAYS_NOTHING, id="capped"),
    pytest.param(facts(UNLIMITED), None, SAYS_NOTHING, id="not-capped"),
    pytest.param(facts(None), None, SAYS_NOTHING, id="of-nobody"),
    pytest.param(facts(COMMERCIAL, cleared=CLEARED), None, ("quota", None), id="an-appeal-lifts-it"),
    pytest.param(facts(UNLIMITED, cleared=CLEARED), None, SAYS_NOTHING, id="nothing-to-lift"),
    pytest.param(facts(None, cleared=CLEARED), None, SAYS_NOTHING, id="nobody-to-lift-it-for"),
])  # fmt: skip
def test_quota(known: Facts, sender: Sender | None, expected: tuple[str, Cause | None]) -> None:
    charge = Quotas().charge(known, "shop", "8613800000001")
    assert [use.gauge.windows for use in charge.shared] == [sender.windows] if charge and sender else charge is sender
    assert said(check_quota(message(), known, RULES, NOW)) == expected


def test_a_spent_quota_says_its_window() -> None:
    finding = spent("sender", COMMERCIAL.address, HOUR)
    assert said(finding) == ("quota", Cause.QUOTA_SPENT)
    assert finding.sentence == "106900001 has sent 200 within 3600 s, which is its cap"
    assert finding.article == "practice"


@pytest.mark.parametrize(("hour", "day", "windows"), [
    (0, 0, ()),
    (200, 0, (Window(3600, 200, "a"),)),
    (0, 1000, (Window(86_400, 1000, "a"),)),
    (200, 1000, (Window(3600, 200, "a"), Window(86_400, 1000, "a"))),
])  # fmt: skip
def test_a_cap_of_0_is_none(hour: int, day: int, windows: tuple[Window, ...]) -> None:
    assert windows_for((0, hour, day, 0), "a") == windows


# The order.


def test_the_order_can_be_read_aloud() -> None:
    names = [check.name for check in CHECKS]
    said = ["prohibited", "appeal", "content", "consent", "quota"]
    assert [name for name in names if name in said] == said
    assert names[-1] == "quota"


@pytest.mark.parametrize("refusing", [check.name for check in CHECKS])
def test_a_check_that_refuses_leaves_the_others_asked(refusing: str) -> None:
    silent = set(not_asked({"content": refusing == "content", refusing: True}))
    assert silent == (set() if refusing == "quota" else {"quota"})


@pytest.mark.parametrize("settling", [*(check.name for check in SETTLING), "store", "upstream"])
def test_nothing_behind_what_settles_was_asked(settling: str) -> None:
    first = [check.name for check in SETTLING]
    before = first[: first.index(settling) + 1] if settling in first else []
    asked = {check.name for check in (*SETTLING, *CHECKS)} - set(not_asked({settling: True}))
    assert asked == set(before)


def test_other_text_is_not_asked_what_commercial_text_is() -> None:
    assert set(not_asked({})) == {check.name for check in CHECKS if check.commercial_only}


LISTED = rules("casino")


@pytest.mark.parametrize(("text", "known", "cause", "spoke"), [
    pytest.param("hello", facts(), None, [], id="nothing-to-say"),
    pytest.param("casino", facts(None, commercial=True), Cause.UNKNOWN_SENDER, ["identity"], id="identity-settles"),
    pytest.param("casino", facts(SUSPENDED), Cause.SENDER_SUSPENDED, ["identity"], id="suspended-settles"),
    pytest.param(
        "casino", facts(refused_part=Cause.NO_CONSENT), Cause.NO_CONSENT, ["parts"], id="a-refused-part-settles"
    ),
    pytest.param(
        "hello", facts(None, refused_part=Cause.NO_CONSENT), Cause.UNKNOWN_SENDER, ["identity"],
        id="identity-before-parts",
    ),
    pytest.param(
        "casino", facts(SERVICE, commercial=True), Cause.PROHIBITED, ["prohibited", "content", "consent"],
        id="prohibited-before-content-before-consent",
    ),
    pytest.param(
        "casino", facts(commercial=True, consent=GRANTED, cleared=CLEARED), Cause.PROHIBITED,
        ["prohibited", "appeal", "content", "quota"], id="nothing-overrides-the-list",
    ),
    pytest.param(
        "hello", facts(SERVICE, commercial=True, consent=REFUSED), Cause.WRONG_PURPOSE, ["content", "consent"],
        id="content-before-consent",
    ),
    pytest.param("hello", facts(commercial=True), Cause.NO_CONSENT, ["content", "consent"], id="consent"),
    pytest.param("hello", facts(commercial=True, consent=GRANTED), None, ["content"], id="remarks-admit"),
    pytest.param(
        "hello", facts(commercial=True, cleared=CLEARED), None, ["appeal", "content", "consent", "quota"],
        id="an-appeal-speaks-four-times",
    ),
])  # fmt: skip
def test_the_first_refusal_in_order_is_the_verdict(
    text: str, known: Facts, cause: Cause | None, spoke: list[str]
) -> None:
    # With all that commercial text has to carry, so that nothing is said of its duties.
    verdict = judge(message(f"[Shop] {text}, 400-123-4567, reply STOP to end"), known, LISTED, NOW)
    assert (verdict.cause, [finding.check for finding in verdict.findings]) == (cause, spoke)
    assert (verdict is ADMITTED) == (not spoke)


@pytest.mark.parametrize("rules", [rules(profile=name) for name in ("cn-2015-order31", "cn-2026-order74")])
def test_a_finding_cites_the_profile_in_force(rules: Rules) -> None:
    verdict = judge(message("[Shop] hello, 400-123-4567, reply STOP to end"), facts(commercial=True), rules, NOW)
    assert verdict.findings[-1].article == rules.consent.article
