"""Claims: what owners say of people who had refused, in the register, in the hot state, and before a reviewer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis
from sqlalchemy import Engine

from smsc_filter.policy.facts import ConsentState
from smsc_filter.records.audit import Actor, changes
from smsc_filter.records.claims import (
    ClaimRefused,
    accept_claim,
    claims_since,
    open_claims,
    reject_claim,
)
from smsc_filter.records.consent_files import Row
from smsc_filter.records.consents import ConsentEvent, owner_ids, store_events
from smsc_filter.records.imports import Import
from smsc_filter.records.verify import verify_events
from smsc_filter.service.projector import Projector
from smsc_filter.state import keys

from .helpers import new_database
from .hot_state import reply
from .test_projection import move
from .valkey import running_valkey

NOW = 1_767_225_600.0
DAY = 86_400.0
REPLY_SECONDS = 3_600.0
PARTITIONS = 3
ALICE, BOB = "8613800000001", "8613800000002"
MEI = Actor("mei")


def said(state: str, days_ago: float, recipient: str = ALICE, **fields: object) -> ConsentEvent:
    at_ms = round((NOW - days_ago * DAY) * 1000)
    known = {"received_at_ms": at_ms, "source": "form", "reference": "f1"} | fields
    return ConsentEvent(recipient=recipient, owner="shop-ltd", state=state, event_at_ms=at_ms, **known)  # type: ignore[arg-type]


def claimed(days_ago: float, recipient: str = ALICE, **fields: object) -> ConsentEvent:
    return said("granted", days_ago, recipient, by_owner=True, **fields)


def accept(engine: Engine, event_id: int, **fields: object) -> int:
    known = {"actor": MEI, "reason": "signed form seen", "reply_seconds": REPLY_SECONDS, "now": NOW} | fields
    return accept_claim(engine, event_id, **known)  # type: ignore[arg-type]


def waiting(engine: Engine) -> list[int]:
    return [each.event_id for each in open_claims(engine, reply_seconds=REPLY_SECONDS, now=NOW)]


def test_what_a_list_claims_of_who_refused_is_stored_counted_and_waits(engine: Engine) -> None:
    store_events(engine, [claimed(9), claimed(9, BOB), said("withdrawn", 8)])
    rows = [Row(2, claimed(1)), Row(3, claimed(1, BOB)), Row(4, claimed(0, dated=False))]
    taking = Import(engine, "again")
    list(taking.take(rows))
    assert (taking.summary.stored, taking.summary.held) == (3, 2)
    assert str(taking.summary).startswith("3 rows: 3 stored, 2 of them claimed")
    (first, second) = open_claims(engine, reply_seconds=REPLY_SECONDS, now=NOW)
    assert (first.event_id, second.event_id) == (4, 6)
    assert first.refused_at_ms == said("withdrawn", 8).event_at_ms
    assert open_claims(engine, reply_seconds=REPLY_SECONDS, now=NOW, owner="bank-ltd") == []
    assert claims_since(engine, round((NOW - 2 * DAY) * 1000)) == {"shop-ltd": 2}
    assert verify_events(engine).problems == []


def test_accepted_a_claim_grants_from_when_the_recipient_agreed(engine: Engine) -> None:
    store_events(engine, [said("withdrawn", 8), claimed(5)])
    granted = accept(engine, 2)
    assert waiting(engine) == []
    (entry,) = changes(engine)
    assert (entry.actor, entry.action, entry.subject) == ("mei", "consent-claim-accept", "event 2")
    assert entry.after["event"] == granted
    with pytest.raises(ClaimRefused, match="was accepted before"):
        accept(engine, 2)
    # What the recipient says after that, though it is learned of later, holds all the same.
    store_events(engine, [said("withdrawn", 4), claimed(3)])
    assert waiting(engine) == [5]


def test_a_claim_that_shows_nothing_is_not_accepted(engine: Engine) -> None:
    store_events(engine, [said("withdrawn", 8), claimed(5, reference=""), claimed(4, dated=False), claimed(9)])
    with pytest.raises(ClaimRefused, match="neither evidence nor reference"):
        accept(engine, 2)
    with pytest.raises(ClaimRefused, match="does not say when"):
        accept(engine, 3)
    with pytest.raises(ClaimRefused, match="the recipient refused after that"):
        accept(engine, 3, agreed_at=NOW - 9 * DAY)
    with pytest.raises(ClaimRefused, match="lies in the future"):
        accept(engine, 3, agreed_at=NOW + DAY)
    with pytest.raises(ClaimRefused, match="no claim that waits"):
        accept(engine, 4)
    with pytest.raises(ClaimRefused, match="a reason is needed"):
        accept(engine, 3, reason=" ")
    assert accept(engine, 3, agreed_at=NOW - 7 * DAY) == 5


def test_rejected_a_claim_is_gone_and_the_refusal_stands(engine: Engine) -> None:
    store_events(engine, [said("withdrawn", 8), claimed(5)])
    reject_claim(engine, 2, actor=MEI, reason="forged", reply_seconds=REPLY_SECONDS, now=NOW)
    assert waiting(engine) == []
    assert [entry.action for entry in changes(engine)] == ["consent-claim-reject"]
    with pytest.raises(ClaimRefused, match="was rejected before"):
        accept(engine, 2)


def test_who_agrees_in_person_settles_the_claim(engine: Engine) -> None:
    store_events(engine, [said("withdrawn", 8), claimed(5)])
    store_events(engine, [said("granted", 3)])
    assert waiting(engine) == []
    with pytest.raises(ClaimRefused, match="is settled"):
        accept(engine, 2)


@pytest.fixture(scope="module")
def valkey() -> Iterator[Redis]:
    with running_valkey() as socket, Redis(unix_socket_path=str(socket)) as client:
        yield client


DEEDS = st.tuples(
    st.sampled_from(["import", "list", "report", "api", "portal-no", "portal-yes", "reply-no"]), st.integers(0, 5)
)


@given(st.lists(DEEDS, min_size=1, max_size=8))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_owners_send_the_subscribers_own_last_word_is_in_the_hot_state(
    tmp_path_factory: pytest.TempPathFactory, valkey: Redis, deeds: list[tuple[str, int]]
) -> None:
    """In any order and with any times, and before a reply has reached the records as well as after."""
    valkey.flushall()
    engine = new_database(Path(tmp_path_factory.mktemp("register")))
    try:
        projector = Projector(engine, valkey, PARTITIONS, REPLY_SECONDS, clock=lambda: NOW)
        owner_id = owner_ids(engine, ["shop-ltd"])["shop-ltd"]
        own: list[tuple[int, bool]] = []
        for number, (deed, days_ago) in enumerate(deeds):
            reference = f"deed {number}"
            if deed == "reply-no":
                # A worker's script gives replies times that go on, whatever its clock says.
                at_ms = max([said("withdrawn", days_ago).event_at_ms, *(at + 1 for at, _ in own)])
                reply(valkey, PARTITIONS, ALICE, owner_id, "withdrawn", at_ms)
                own.append((at_ms, False))
            elif deed in ("portal-no", "portal-yes"):
                move(engine, valkey)
                event = said("withdrawn" if deed == "portal-no" else "granted", days_ago, reference=reference)
                store_events(engine, [event])
                own.append((event.event_at_ms, deed == "portal-yes"))
            elif deed == "report":
                store_events(engine, [said("withdrawn", days_ago, by_owner=True, reference=reference)])
            else:
                event = claimed(days_ago, dated=deed != "list", reference=reference)
                list(Import(engine, reference).take([Row(2, event)]))
            projector.apply()
            _holds(valkey, own, deeds[: number + 1])
        move(engine, valkey)
        projector.apply()
        _holds(valkey, own, deeds)
        projector.rebuild()
        _holds(valkey, own, deeds)
    finally:
        engine.dispose()


def _holds(valkey: Redis, own: list[tuple[int, bool]], deeds: list[tuple[str, int]]) -> None:
    """Where the subscriber's own last word is no, nothing permits."""
    if own and not max(own, key=lambda each: (each[0], not each[1]))[1]:
        field = keys.consent_field(1, ALICE)
        value = valkey.hget(keys.consent_key(keys.partition_of(ALICE, PARTITIONS), field), field)  # type: ignore[arg-type]
        state = keys.unpack_consent(value, round(NOW * 1000))  # type: ignore[arg-type]
        assert state is ConsentState.WITHDRAWN, deeds
