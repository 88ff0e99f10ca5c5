"""Wishes: who has the caps of a feast, who has not and why, and what is never lifted."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsc_filter.policy.facts import ConsentState, Facts, Sender, Standing, Window
from smsc_filter.policy.festivals import Festival
from smsc_filter.policy.greeting import festival_of, festive, weigh
from smsc_filter.policy.judge import judge
from smsc_filter.policy.measures import Measure, Measures, Step
from smsc_filter.policy.people import FestivalRules
from smsc_filter.policy.quota import windows_for
from smsc_filter.policy.rules import Caps, read_profile
from smsc_filter.policy.verdict import Cause
from tests.policy.known import NOW, message, rules

RULES = rules("casino")
ARTICLE = RULES.quota["person"].article
ME = Sender("8613900000001", "mobile", "person", windows_for((0, 200, 1000, 0), ARTICLE))
FEAST = Festival("spring-festival", 2027)
WISH = "新年快乐！祝你和家人身体健康，万事如意"
FRIEND = Standing(
    tenure_days=400, written=250, answered=120, recipients=300, contacts=150, last_year=0, first_contacts=20
)


def caps(sender: Sender) -> list[int]:
    return [window.cap for window in sender.windows]


@pytest.mark.parametrize(("text", "score", "standing", "exempt", "why"), [
    pytest.param(WISH, 0.01, FRIEND, True, "150 of 300 recipients of two days are contacts", id="wishes-to-contacts"),
    pytest.param("See you tonight?", 0.01, FRIEND, True, "are contacts", id="anything-else-to-contacts"),
    pytest.param(WISH, 0.01, FRIEND._replace(contacts=90), True, "90 of 300", id="just-enough-contacts"),
    pytest.param(WISH, 0.01, FRIEND._replace(contacts=89, first_contacts=200), False,
                 "89 of 300 recipients of two days are contacts, 30 % are needed; 200 are first contacts",
                 id="one-too-few"),
    pytest.param(WISH, 0.01, FRIEND._replace(contacts=0, answered=0, first_contacts=300), False, "300 are first",
                 id="wishes-to-strangers"),
    pytest.param(WISH, 0.01, FRIEND._replace(contacts=10, last_year=200), True, "210 of 300", id="as-last-year"),
    pytest.param(WISH, 0.01, FRIEND._replace(contacts=10, last_year=290, answered=24), False, "10 of 300",
                 id="the-same-list-every-year-and-no-answer"),
    pytest.param(WISH, 0.01, FRIEND._replace(tenure_days=13), False, "13 days, 14 are needed", id="new-number"),
    pytest.param("新春快乐！茶叶特价", 0.5, FRIEND, False, "looks like an offer, score 0.500", id="an-offer"),
    pytest.param(WISH + " www.shop.example", 0.01, FRIEND, False, "a link or another's number", id="a-link"),
    pytest.param(WISH + " 订购电话13711112222", 0.01, FRIEND, False, "a link or another's number", id="a-number"),
    pytest.param(WISH + " 这是我的新号13900000001", 0.01, FRIEND, True, "are contacts", id="the-senders-own-number"),
])  # fmt: skip
def test_weigh(text: str, score: float, standing: Standing, exempt: bool, why: str) -> None:
    greeting = weigh(text, score, False, ME, standing, FEAST, RULES)
    assert greeting.exempt is exempt
    assert why in greeting.finding.sentence
    assert greeting.finding.cause is None
    assert greeting.finding.article
    assert text not in greeting.finding.sentence


def test_a_commercial_text_has_no_caps_of_a_feast() -> None:
    greeting = weigh(WISH, 0.99, True, ME, FRIEND, FEAST, RULES)
    assert (greeting.exempt, "the text is commercial" in greeting.finding.sentence) == (False, True)


@pytest.mark.parametrize(("day", "feast"), [
    ("2027-02-05T15:59:59", "spring-festival"),  # 23:59:59 of the eve where the sender is
    ("2027-02-04T15:59:59", None),
    ("2027-02-04T16:00:00", "spring-festival"),
    ("2027-02-20T15:59:59", "spring-festival"),
    ("2027-02-20T16:00:00", None),
])  # fmt: skip
def test_the_calendar_switches_at_midnight_of_the_sender(day: str, feast: str | None) -> None:
    found = festival_of(ME, RULES, datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp())
    assert (found.name if found else None) == feast


def test_a_profile_without_festivals_has_none() -> None:
    assert festival_of(ME, rules(profile="us-tcpa"), NOW) is None


def test_the_caps_are_those_of_the_feast_and_cite_it() -> None:
    raised = festive(ME, RULES)
    assert caps(raised) == [500, 2000]
    assert [window.soft for window in raised.windows] == [200, 1000]
    assert {window.article for window in raised.windows} == {RULES.festivals.article if RULES.festivals else ""}
    assert caps(ME) == [200, 1000]


def test_what_an_operator_or_a_measure_set_stays() -> None:
    own = Sender("8613900000002", "mobile", "person", windows_for((0, 200, 1000, 0), "set by the operator"))
    assert festive(own, RULES) is own
    lock = Measure(id=1, step=Step.THROTTLE, scope="sender", subject=ME.address, begins_at=NOW, ends_at=NOW + 60,
                   article="practice", appeal_code="AAAA2222", per_hour=60)  # fmt: skip
    locked = Measures([lock]).sender_under(ME, "people", NOW)
    assert caps(locked) == [60, 1000]
    assert festive(locked, RULES) is locked


@given(st.integers(0, 10_000), st.integers(0, 100_000), st.integers(1, 10_000), st.integers(1, 100_000), st.booleans())
def test_no_exemption_goes_above_the_hard_cap(hour: int, day: int, most: int, most_day: int, own: bool) -> None:
    ours = RULES
    assert ours.festivals is not None
    feast = FestivalRules(hour=most, day=most_day, article="feast", seen=True, feasts=ours.festivals.feasts)
    quota = {**ours.quota, "person": Caps(hour=hour, day=day, article="people", seen=True)}
    with_caps = replace(ours, quota=quota, festivals=feast)
    sender = Sender("1", "o", "person", windows_for((7, hour, day, 9000), "set by the operator" if own else "people"))
    raised = festive(sender, with_caps)
    hard = {60: 7, 3600: max(hour, most), 86_400: max(day, most_day), 604_800: 9000}
    assert [window.seconds for window in raised.windows] == [window.seconds for window in sender.windows]
    for before, after in zip(sender.windows, raised.windows, strict=True):
        assert before.cap <= after.cap <= hard[after.seconds]
        # What has no exemption ends where it did.
        assert (after.soft or after.cap) == before.cap
        assert not own or after == before


def test_a_wish_is_prohibited_and_needs_consent_as_ever() -> None:
    finding = weigh(WISH, 0.01, False, ME, FRIEND, FEAST, RULES).finding
    prohibited = judge(message("casino"), Facts("mobile", ME, 0.01, False, greeting=finding), RULES, NOW)
    assert prohibited.cause is Cause.PROHIBITED
    offer = Facts("mobile", ME, 0.99, True, ConsentState.NONE, greeting=finding)
    assert judge(message("offer"), offer, RULES, NOW).cause is Cause.NO_CONSENT


def test_the_finding_is_on_record_of_an_admitted_message() -> None:
    finding = weigh(WISH, 0.01, False, ME, FRIEND, FEAST, RULES).finding
    verdict = judge(message(WISH), Facts("mobile", ME, 0.01, False, greeting=finding), RULES, NOW)
    assert (verdict.cause, verdict.findings) == (None, (finding,))


def test_festivals_and_greetings_go_together() -> None:
    profile = read_profile("cn-2020-draft")
    assert (profile.festivals is None) == (profile.greetings is None)
    assert Window(3600, 200, ARTICLE) in ME.windows
