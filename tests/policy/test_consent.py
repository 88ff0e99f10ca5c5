"""The consent machine: every sequence of events up to six is walked, and what holds of all of them is proved.

CN-01, CN-02, CN-03, CN-05: nothing but an explicit grant permits; a withdrawal holds until a later explicit grant.
"""

from __future__ import annotations

from itertools import product
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsc_filter.policy.consent import (
    KINDS,
    REFUSALS,
    TRANSITIONS,
    WHEN_TIME_IS_UP,
    ConsentEvent,
    ConsentStatus,
    check_consent,
    claims,
    fold,
    speaking_for,
)
from smsc_filter.policy.facts import ConsentState, Facts, Sender
from smsc_filter.policy.rules import make_rules, read_profile
from smsc_filter.policy.verdict import Cause
from smsc_filter.smpp.pdu import Pdu
from smsc_filter.sms.message import Message

STEP_MS = 1_000
REPLY_SECONDS = 1.5
"""Longer than one step and shorter than two: after a request one event may come in time, the next is too late."""
LONGEST = 6

RULES = make_rules(read_profile("cn-2020-draft"), {"commercial": 0.5})
SENDER = Sender("106900001", "shop-ltd", "commercial", ())
REQUEST = "【云上商城】诚邀您接收优惠信息，每月4条，为期12个月，回复Y同意接收"


def event(kind: str, at: int, **fields: Any) -> ConsentEvent:
    return ConsentEvent(kind, at * STEP_MS, at * STEP_MS, **fields)


def status(*events: ConsentEvent, now: float = 1_000.0) -> ConsentStatus:
    return fold(events, reply_seconds=REPLY_SECONDS, now=now)


def facts(state: ConsentState, **known: Any) -> Facts:
    return Facts("shop-ltd", SENDER, 0.97, True, state, **known)


def message(text: str) -> Message:
    return Message(Pdu(b"", 4, 0, 1), b"106900001", 0, "8613800000001", 8, text.encode("utf-16-be"), None, text)


def test_the_table_is_whole_and_only_a_grant_leads_to_granted() -> None:
    assert set(TRANSITIONS) == set(ConsentState)
    for state, row in TRANSITIONS.items():
        assert tuple(row) == KINDS, state
        assert row["granted"] is ConsentState.GRANTED
        assert row["refused"] in REFUSALS
        assert row["withdrawn"] is ConsentState.WITHDRAWN
        for kind, after in row.items():
            if after is ConsentState.GRANTED and kind != "granted":
                assert (state, kind) == (ConsentState.GRANTED, "requested")
        if state in REFUSALS:
            assert row["requested"] is state, "who refused is not asked into another state"
    assert ConsentState.GRANTED not in WHEN_TIME_IS_UP.values(), "time grants nothing"


def test_every_sequence_of_six_keeps_the_law() -> None:
    # "-" is a step in which nothing happens.
    sequences = [kinds for length in range(LONGEST + 1) for kinds in product((*KINDS, "-"), repeat=length)]
    seen = set()
    for kinds in sequences:
        events = [event(kind, at + 1) for at, kind in enumerate(kinds) if kind != "-"]
        now = len(kinds) + 1.0
        found = status(*events, now=now)
        seen.add(found.state)
        last_grant = max((at for at, kind in enumerate(kinds) if kind == "granted"), default=-1)
        last_refusal = max((at for at, kind in enumerate(kinds) if kind in ("refused", "withdrawn")), default=-1)
        # Nothing but an explicit grant permits, and a refusal or withdrawal holds until a later one.
        assert (found.state is ConsentState.GRANTED) == (last_grant > last_refusal), kinds
        if last_refusal > last_grant:
            assert found.state in REFUSALS, kinds
            if kinds[last_refusal] == "withdrawn":
                assert found.state is ConsentState.WITHDRAWN, kinds
        # A request that nobody answered is a refusal once its time is over, and further requests change nothing.
        if last_grant == last_refusal == -1 and "requested" in kinds:
            waited = len(kinds) - kinds.index("requested")
            expected = ConsentState.DEEMED_REFUSED if waited > REPLY_SECONDS else ConsentState.REQUESTED
            assert found.state is expected, kinds
        # A grant that happened before all that, and is learned of now, revives nothing.
        if last_refusal > last_grant:
            assert status(*events, event("granted", 0), now=now).state is found.state, kinds
    assert seen == set(ConsentState) - {ConsentState.EXPIRED}


EVENTS = st.lists(
    st.builds(
        ConsentEvent,
        st.sampled_from(KINDS),
        st.integers(0, 5).map(lambda at: at * STEP_MS),
        st.integers(0, 10**6),
        st.none() | st.integers(0, 8).map(lambda at: at * STEP_MS),
        by_owner=st.booleans(),
        dated=st.booleans(),
    ),
    max_size=6,
)


@given(EVENTS, st.integers(), st.integers(0, 12))
def test_the_order_of_arrival_never_matters(events: list[ConsentEvent], seed: int, now: int) -> None:
    shuffled = list(events)
    Random(seed).shuffle(shuffled)
    assert status(*shuffled, now=now) == status(*events, now=now)


@given(EVENTS, st.integers(0, 12))
def test_time_alone_grants_nothing_and_is_foreseen(events: list[ConsentEvent], later: int) -> None:
    before, after = status(*events, now=5), status(*events, now=5 + later)
    assert after == before.at((5 + later) * STEP_MS)
    assert after.state in (before.state, WHEN_TIME_IS_UP.get(before.state))


@given(EVENTS, st.integers(0, 12))
def test_the_subscribers_own_last_word_holds_until_the_subscriber_lifts_it(
    events: list[ConsentEvent], now: int
) -> None:
    heard = [each for each in events if each.event_at_ms <= now * STEP_MS]
    own = [each for each in heard if not each.by_owner and each.kind != "requested"]
    refused = [each.event_at_ms for each in own if each.kind != "granted"]
    granted = [each.event_at_ms for each in own if each.kind == "granted"]
    found = status(*events, now=now)
    if refused and max(refused) >= max(granted, default=-1):
        assert found.state in (ConsentState.REFUSED, ConsentState.WITHDRAWN)
        assert found.own
        later = [each for each in heard if each.by_owner and each.event_at_ms > max(refused) and each.kind == "granted"]
        assert all(each in claims(events, reply_seconds=REPLY_SECONDS, now=now) for each in later)
    else:
        assert not found.own


@given(EVENTS, st.integers(0, 12))
def test_a_grant_without_a_time_is_later_than_no_refusal(events: list[ConsentEvent], now: int) -> None:
    without = [each for each in events if each.dated or not each.by_owner or each.kind != "granted"]
    before, after = status(*without, now=now), status(*events, now=now)
    if before.state in REFUSALS and after.state not in REFUSALS:
        # Only where it was there before the refusal of silence: who agreed need not answer.
        assert before.state is ConsentState.DEEMED_REFUSED


@pytest.mark.parametrize(
    ("events", "state", "held"),
    [
        pytest.param([event("withdrawn", 1), event("granted", 2, by_owner=True)], "WITHDRAWN", 1, id="own-and-claimed"),
        pytest.param([event("withdrawn", 1), event("granted", 2)], "GRANTED", 0, id="own-and-lifted-in-person"),
        pytest.param(
            [event("withdrawn", 1, by_owner=True), event("granted", 2, by_owner=True)], "GRANTED", 0,
            id="reported-and-granted-later",
        ),
        pytest.param(
            [event("withdrawn", 1, by_owner=True), event("granted", 2, by_owner=True, dated=False)], "WITHDRAWN", 1,
            id="reported-and-listed",
        ),
        pytest.param(
            [event("withdrawn", 1), event("withdrawn", 2, by_owner=True), event("granted", 3, by_owner=True)],
            "WITHDRAWN", 1, id="reported-again-stays-own",
        ),
        pytest.param(
            [event("withdrawn", 1, by_owner=True), event("refused", 2), event("granted", 3, by_owner=True)],
            "WITHDRAWN", 1, id="reported-then-own",
        ),
        pytest.param(
            [event("withdrawn", 1), event("granted", 2, by_owner=True), event("granted", 3)], "GRANTED", 0,
            id="claims-are-settled-by-a-word-of-the-subscriber",
        ),
        pytest.param(
            [event("withdrawn", 1), event("granted", 2), event("withdrawn", 3, by_owner=True),
             event("granted", 4, by_owner=True)],
            "GRANTED", 0, id="once-lifted-the-owner-may-report-and-grant",
        ),
        pytest.param([event("granted", 1, by_owner=True, dated=False)], "GRANTED", 0, id="listed"),
        pytest.param(
            [event("requested", 1), event("granted", 9, by_owner=True, dated=False)], "DEEMED_REFUSED", 1,
            id="listed-after-silence",
        ),
        pytest.param(
            [event("withdrawn", 2), event("granted", 2, by_owner=True), event("granted", 1, by_owner=True)],
            "WITHDRAWN", 0, id="older-grants-are-no-claims",
        ),
    ],
)  # fmt: skip
def test_who_says_it_counts(events: list[ConsentEvent], state: str, held: int) -> None:
    assert status(*events).state is ConsentState[state]
    assert len(claims(events, reply_seconds=REPLY_SECONDS, now=1_000.0)) == held


@pytest.mark.parametrize("refusal", ["refused", "withdrawn"])
@pytest.mark.parametrize("others", [["granted"], ["granted", "requested"], ["requested", "granted", "granted"]])
def test_of_one_moment_the_refusal_stays(refusal: str, others: list[str]) -> None:
    assert status(*(event(kind, 3) for kind in [refusal, *others])).state in REFUSALS


@pytest.mark.parametrize(
    ("events", "now", "state"),
    [
        pytest.param([event("granted", 1, expires_at_ms=5_000)], 4.999, ConsentState.GRANTED, id="within-its-time"),
        pytest.param([event("granted", 1, expires_at_ms=5_000)], 5.0, ConsentState.EXPIRED, id="over-at-its-end"),
        pytest.param(
            [event("granted", 1, expires_at_ms=5_000), event("granted", 3)], 9, ConsentState.GRANTED, id="renewed"
        ),
        pytest.param(
            [event("granted", 1), event("granted", 1, expires_at_ms=5_000)], 9, ConsentState.EXPIRED, id="shorter-wins"
        ),
        pytest.param([event("requested", 1)], 2.499, ConsentState.REQUESTED, id="time-to-answer"),
        pytest.param([event("requested", 1)], 2.5, ConsentState.DEEMED_REFUSED, id="silence"),
        pytest.param(
            [event("requested", 1, expires_at_ms=9_000)], 8, ConsentState.REQUESTED, id="a-request-with-its-own-time"
        ),
        pytest.param([event("requested", 1), event("granted", 4)], 5, ConsentState.GRANTED, id="late-but-explicit"),
        pytest.param(
            [event("granted", 1, expires_at_ms=2_000), event("requested", 3)],
            4,
            ConsentState.REQUESTED,
            id="asked-again-after-the-end",
        ),
        pytest.param([event("granted", 7)], 5, ConsentState.NONE, id="not-yet"),
    ],
)
def test_states_that_come_by_time(events: list[ConsentEvent], now: float, state: ConsentState) -> None:
    assert status(*events, now=now).state is state


def test_an_event_without_topic_speaks_for_every_topic() -> None:
    events = [event("granted", 1, topic="books"), event("granted", 1, topic="wine"), event("withdrawn", 2)]
    assert speaking_for(events, "books") == [events[0], events[2]]
    assert speaking_for(events, None) == [events[2]]
    assert status(*speaking_for(events[:2], "books")).state is ConsentState.GRANTED
    assert status(*speaking_for(events[:2], None)).state is ConsentState.NONE


@pytest.mark.parametrize("state", sorted(set(ConsentState) - {ConsentState.GRANTED}))
def test_whatever_is_no_grant_refuses(state: ConsentState) -> None:
    found = check_consent(message("大促"), facts(state), RULES, 0.0)
    assert found.cause is (Cause.CONSENT_REFUSED if state in REFUSALS else Cause.NO_CONSENT)
    assert found.article == RULES.consent.article
    assert "shop-ltd" in found.sentence


def test_a_grant_permits() -> None:
    assert check_consent(message("大促"), facts(ConsentState.GRANTED), RULES, 0.0).cause is None


@pytest.mark.parametrize(
    ("state", "text", "cause"),
    [
        pytest.param(ConsentState.NONE, REQUEST, None, id="first"),
        pytest.param(ConsentState.EXPIRED, REQUEST, None, id="after-the-end"),
        pytest.param(ConsentState.REQUESTED, REQUEST, Cause.ASKED_ALREADY, id="again"),
        pytest.param(ConsentState.DEEMED_REFUSED, REQUEST, Cause.CONSENT_REFUSED, id="after-silence"),
        pytest.param(ConsentState.REFUSED, REQUEST, Cause.CONSENT_REFUSED, id="after-refusal"),
        pytest.param(ConsentState.WITHDRAWN, REQUEST, Cause.CONSENT_REFUSED, id="after-withdrawal"),
        pytest.param(ConsentState.NONE, REQUEST.replace("优惠", ""), Cause.REQUEST_INCOMPLETE, id="without-type"),
        pytest.param(
            ConsentState.NONE, REQUEST.replace("每月4条，", ""), Cause.REQUEST_INCOMPLETE, id="without-frequency"
        ),
        pytest.param(
            ConsentState.NONE, REQUEST.replace("为期12个月，", ""), Cause.REQUEST_INCOMPLETE, id="without-period"
        ),
    ],
)
def test_a_request_goes_once_and_says_what_it_is_about(state: ConsentState, text: str, cause: Cause | None) -> None:
    found = check_consent(message(text), facts(state, request=True), RULES, 0.0)
    assert found.cause is cause
    if cause is Cause.REQUEST_INCOMPLETE:
        assert found.article == RULES.request.article
