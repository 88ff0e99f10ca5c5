"""Retention on a virtual clock: nothing leaves early, nothing stays late, and the chain stays whole (CN-14, CN-15)."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, insert, select

from smsc_filter.records import outbox
from smsc_filter.records.consents import ConsentEvent, consents_of_pairs, history, pairs_on_record, store_events
from smsc_filter.records.database import reading, writing
from smsc_filter.records.decisions import insert_decisions, insert_outcomes
from smsc_filter.records.evidence import keep
from smsc_filter.records.holds import holds_on_record, place_hold, release_hold
from smsc_filter.records.retention import Purged, Retention, cutoff_ms, last_day, purge
from smsc_filter.records.tables import consent_events, decisions, outcomes, stream_rejects
from smsc_filter.records.verify import verify_events

from .helpers import count

SHANGHAI = ZoneInfo("Asia/Shanghai")
REPLY_SECONDS = 7 * 86_400.0
FIVE = Retention(5, 5, 5, SHANGHAI)
SIX = Retention(6, 6, 6, SHANGHAI)
ALICE, BOB = "8613800000001", "8613800000002"


def at(text: str) -> float:
    """A moment in Shanghai."""
    return datetime.fromisoformat(text).replace(tzinfo=SHANGHAI).timestamp()


def said(state: str, when: str, recipient: str = ALICE, **more: object) -> ConsentEvent:
    at_ms = round(at(when) * 1000)
    values: dict[str, object] = {"owner": "shop-ltd", "source": "form", "reference": "page 1", **more}
    return ConsentEvent(
        recipient=recipient, state=state, event_at_ms=at_ms, received_at_ms=at_ms,
        **values,  # type: ignore[arg-type]
    )  # fmt: skip


def run(engine: Engine, when: str, retention: Retention = FIVE, **more: object) -> Purged:
    return purge(engine, retention, now=at(when), reply_seconds=REPLY_SECONDS, **more)  # type: ignore[arg-type]


def decide(engine: Engine, id_: int, when: str, recipient: str = ALICE) -> None:
    at_ms = round(at(when) * 1000)
    row = (id_, at_ms, "shop", "shop-ltd", "106900001", recipient, "commercial", "", 0, True, 9000, "advertisement", "",
           8, "text", None, "default", "cn-2020-draft", 1)  # fmt: skip
    with writing(engine) as connection:
        insert_decisions(connection, [row])
        insert_outcomes(connection, [(id_, at_ms + 50, 0, "m")])


def state_now(engine: Engine, when: str, recipient: str = ALICE) -> str:
    with reading(engine) as connection:
        (general, *_) = consents_of_pairs(connection, [(recipient, 1)], REPLY_SECONDS, at(when))
    return general.status.state.name


# --- periods


@pytest.mark.parametrize(("day", "months", "last"), [
    (date(2026, 1, 15), 5, date(2026, 6, 15)), (date(2026, 1, 31), 5, date(2026, 6, 30)),
    (date(2025, 9, 30), 5, date(2026, 2, 28)), (date(2023, 9, 30), 5, date(2024, 2, 29)),
    (date(2025, 12, 31), 6, date(2026, 6, 30)), (date(2026, 8, 31), 6, date(2027, 2, 28)),
])  # fmt: skip
def test_the_last_day_of_a_period(day: date, months: int, last: date) -> None:
    assert last_day(day, months) == last


@given(
    now=st.integers(1_600_000_000, 2_000_000_000),
    months=st.integers(1, 24),
    seconds=st.integers(-40 * 86_400, 40 * 86_400),
    zone=st.sampled_from(["Asia/Shanghai", "America/New_York", "UTC"]),
)
def test_a_moment_is_before_the_cutoff_exactly_when_its_last_day_is_over(
    now: int, months: int, seconds: int, zone: str
) -> None:
    where = ZoneInfo(zone)
    moment = now - months * 30 * 86_400 + seconds
    over = last_day(datetime.fromtimestamp(moment, where).date(), months) < datetime.fromtimestamp(now, where).date()
    assert (moment * 1000 < cutoff_ms(now, months, where)) is over


# --- decisions


@pytest.mark.parametrize(("retention", "last_moment"), [
    pytest.param(FIVE, "2026-06-15T23:59:59.999", id="five months"),
    pytest.param(SIX, "2026-07-15T23:59:59.999", id="six months: cn-2026-order74"),
])  # fmt: skip
def test_a_decision_goes_with_its_outcome_on_the_day_after_its_last(
    engine: Engine, retention: Retention, last_moment: str
) -> None:
    decide(engine, 1, "2026-01-15T00:00")
    decide(engine, 2, "2026-01-15T23:59:59.999")
    decide(engine, 3, "2026-01-16T00:00")
    assert run(engine, last_moment, retention).decisions == 0
    next_day = (datetime.fromisoformat(last_moment) + timedelta(milliseconds=1)).isoformat()
    assert run(engine, next_day, retention, dry_run=True) == Purged(decisions=2, outcomes=2)
    assert count(engine, decisions) == 3
    assert run(engine, next_day, retention) == Purged(decisions=2, outcomes=2)
    with engine.connect() as connection:
        assert connection.execute(select(decisions.c.id)).scalars().all() == [3]
        assert connection.execute(select(outcomes.c.decision_id)).scalars().all() == [3]


def test_an_answer_whose_decision_is_gone_and_an_entry_set_aside_go_too(engine: Engine) -> None:
    old_ms = round(at("2026-01-15") * 1000)
    with writing(engine) as connection:
        insert_outcomes(connection, [(1, old_ms, 0, "m")])
        connection.execute(
            insert(stream_rejects).values(stream="s", entry_id="1-0", raw=b"x", error="torn", at_ms=old_ms)
        )
    assert run(engine, "2026-06-15T12:00") == Purged()
    gone = run(engine, "2026-06-16")
    assert (gone.outcomes, gone.rejects) == (1, 1)
    assert (count(engine, outcomes), count(engine, stream_rejects)) == (0, 0)


# --- consents


def test_a_consent_stays_with_its_proof_as_long_as_it_holds(engine: Engine) -> None:
    store_events(engine, [said("granted", "2020-01-01")])
    assert run(engine, "2026-06-16") == Purged()
    assert history(engine, ALICE)[0][1].reference == "page 1"


@pytest.mark.parametrize(("events", "last_day"), [
    pytest.param([said("granted", "2020-01-01"), said("withdrawn", "2026-01-15T10:00")], "2026-06-15", id="withdrawn"),
    pytest.param([said("refused", "2026-01-15T10:00")], "2026-06-15", id="refused"),
    pytest.param([said("granted", "2020-01-01", expires_at_ms=round(at("2026-01-15") * 1000))], "2026-06-15",
                 id="run out"),
    pytest.param([said("requested", "2026-01-08T10:00")], "2026-06-15", id="silent: seven days later it is refused"),
    pytest.param([said("withdrawn", "2025-01-01"), said("withdrawn", "2026-01-15")], "2026-06-15", id="said twice"),
    pytest.param([said("withdrawn", "2025-01-01"), said("granted", "2025-01-02", topic="loans"),
                  said("refused", "2026-01-15", topic="loans")], "2026-06-15", id="the last topic refused"),
    pytest.param([ConsentEvent(recipient=ALICE, owner="shop-ltd", state="withdrawn", event_at_ms=1_600_000_000_000,
                               received_at_ms=round(at("2026-01-15") * 1000))], "2026-06-15", id="learned late"),
])  # fmt: skip
def test_what_was_said_goes_five_months_after_the_relation_ended(
    engine: Engine, events: list[ConsentEvent], last_day: str
) -> None:
    store_events(engine, events)
    early = run(engine, f"{last_day}T23:59:59")
    assert early.events == 0
    assert len(history(engine, ALICE)) == len(events)
    next_day = (date.fromisoformat(last_day) + timedelta(days=1)).isoformat()
    assert run(engine, next_day).events == len(events)
    assert history(engine, ALICE) == []
    found = verify_events(engine)
    assert (found.events, found.forgotten, found.problems) == (len(events), len(events), [])


def test_nothing_of_whom_and_what_is_left_in_a_tombstone(engine: Engine) -> None:
    store_events(engine, [said("granted", "2025-01-01"), said("withdrawn", "2026-01-15")])
    run(engine, "2026-06-16")
    with engine.connect() as connection:
        first, last = connection.execute(select(consent_events).order_by(consent_events.c.id)).mappings().all()
    kept = {"id", "digest", "chain"}
    assert {name for name, value in first.items() if value is not None} == kept
    assert {name for name, value in last.items() if value is not None} == kept | {"mark", "event_at_ms"}


def test_the_proof_of_what_was_replaced_goes_and_the_event_stays(engine: Engine) -> None:
    store_events(engine, [said("granted", "2024-01-01"), said("granted", "2026-01-15", reference="page 2")])
    assert run(engine, "2026-06-15T23:59") == Purged()
    gone = run(engine, "2026-06-16")
    assert (gone.proofs, gone.events) == (1, 0)
    assert [event.reference for _, event in history(engine, ALICE)] == ["", "page 2"]
    assert run(engine, "2026-06-17").proofs == 0
    assert verify_events(engine).problems == []
    assert state_now(engine, "2026-06-17") == "GRANTED"
    store_events(engine, [said("withdrawn", "2026-07-01")])
    assert run(engine, "2026-12-02").events == 3
    assert verify_events(engine).problems == []


def test_periods_of_their_own_for_proof_and_state(engine: Engine) -> None:
    store_events(engine, [said("withdrawn", "2026-01-15")])
    assert run(engine, "2026-05-16", Retention(5, 3, 9, SHANGHAI)).proofs == 1
    assert run(engine, "2026-10-15", Retention(5, 3, 9, SHANGHAI)) == Purged()
    assert run(engine, "2026-10-16", Retention(5, 3, 9, SHANGHAI)).events == 1
    store_events(engine, [said("withdrawn", "2026-01-15", BOB)])
    assert run(engine, "2026-10-15", Retention(5, 9, 3, SHANGHAI)).events == 0, "a proof of nobody is none"
    assert run(engine, "2026-10-16", Retention(5, 9, 3, SHANGHAI)).events == 1


def test_an_older_grant_revives_nothing_even_after_the_withdrawal_is_forgotten(engine: Engine) -> None:
    """CN-03: last year's file, imported again."""
    store_events(engine, [said("granted", "2025-01-01"), said("withdrawn", "2026-01-15")])
    run(engine, "2026-06-16")
    store_events(engine, [said("granted", "2025-01-01"), said("granted", "2025-01-01", BOB)])
    assert state_now(engine, "2026-07-01") == "WITHDRAWN"
    assert state_now(engine, "2026-07-01", BOB) == "GRANTED"
    store_events(engine, [said("granted", "2026-07-02")])
    assert state_now(engine, "2026-07-03") == "GRANTED"


def test_the_hot_state_hears_of_what_was_forgotten(engine: Engine) -> None:
    store_events(engine, [said("withdrawn", "2026-01-15")])
    first = outbox.next_pending(engine, reply_seconds=REPLY_SECONDS, now=at("2026-01-16"))
    assert first is not None
    outbox.done(engine, first)
    run(engine, "2026-06-16", dry_run=True)
    assert outbox.next_pending(engine, reply_seconds=REPLY_SECONDS, now=at("2026-06-16")) is None
    run(engine, "2026-06-16")
    pending = outbox.next_pending(engine, reply_seconds=REPLY_SECONDS, now=at("2026-06-16"))
    assert pending is not None
    assert [(each.recipient, each.owner_id, each.status.state.name) for each in pending.consents] == [
        (ALICE, 1, "NONE")
    ]


# --- holds


@pytest.mark.parametrize(("kind", "subject"), [
    ("decision", "1"), ("recipient", ALICE), ("owner", "shop-ltd"), ("consent", "2"),
])  # fmt: skip
def test_evidence_is_not_purged_under_an_open_appeal(engine: Engine, kind: str, subject: str) -> None:
    """CN-23: a decision is held with the consents that bear on it."""
    decide(engine, 1, "2026-01-15")
    store_events(engine, [said("granted", "2025-01-01"), said("withdrawn", "2026-01-15")])
    hold = place_hold(engine, kind, subject, "appeal 7", now=at("2026-02-01"))
    assert holds_on_record(engine, at("2026-06-16")) == [(hold, kind, subject, "appeal 7")]
    held = run(engine, "2026-06-16")
    assert (held.events, held.held) == (0, 1 if kind == "consent" else 2)
    assert count(engine, decisions) == (0 if kind == "consent" else 1)
    assert release_hold(engine, hold, now=at("2026-06-17"))
    assert not release_hold(engine, hold, now=at("2026-06-17"))
    assert run(engine, "2026-06-18").events == 2
    assert (count(engine, decisions), holds_on_record(engine, at("2026-06-18"))) == (0, [])


def test_a_hold_ends_by_time(engine: Engine) -> None:
    decide(engine, 1, "2026-01-15")
    place_hold(engine, "decision", "1", "complaint", now=at("2026-02-01"), until=at("2026-07-01"))
    assert run(engine, "2026-06-30T23:59").decisions == 0
    assert run(engine, "2026-07-01").decisions == 1


@pytest.mark.parametrize("values", [("colour", "1", "r"), ("decision", "", "r"), ("decision", "1", " ")])
def test_a_hold_without_sense_is_refused(engine: Engine, values: tuple[str, str, str]) -> None:
    with pytest.raises(ValueError, match="a hold is of a kind"):
        place_hold(engine, *values, now=0)


# --- evidence


def test_a_file_of_evidence_goes_with_the_last_event_it_shows(engine: Engine, tmp_path: Path) -> None:
    kept = keep(tmp_path / "evidence", [b"signed"], ".pdf")
    proof = {"evidence": kept.sha256, "evidence_name": kept.name}
    store_events(engine, [said("withdrawn", "2026-01-15", **proof), said("withdrawn", "2026-02-15", BOB, **proof)])
    folder = tmp_path / "evidence"
    assert run(engine, "2026-06-16", evidence_folder=folder).files == 0
    assert run(engine, "2026-07-16", evidence_folder=folder, dry_run=True).events == 1
    assert (folder / kept.name).exists()
    assert run(engine, "2026-07-16", evidence_folder=folder).files == 1
    assert list(folder.iterdir()) == []


def test_many_go_in_as_many_transactions_as_it_takes(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smsc_filter.records.retention.CHUNK", 7)
    numbers = [f"86138000000{number:02d}" for number in range(50)]
    store_events(engine, [said("withdrawn" if index % 2 else "granted", "2026-01-15", number)
                          for index, number in enumerate(numbers)])  # fmt: skip
    for id_ in range(50):
        decide(engine, id_, "2026-01-15" if id_ % 5 else "2026-06-01")
    gone = run(engine, "2026-06-16")
    assert (gone.events, gone.decisions) == (25, 40)
    assert {recipient for recipient, _ in pairs_on_record(engine)} == set(numbers[::2])
    assert verify_events(engine).problems == []


def test_utc_days_are_other_days(engine: Engine) -> None:
    decide(engine, 1, "2026-01-15T07:00")  # the fourteenth, in UTC
    utc = Retention(5, 5, 5, ZoneInfo("UTC"))
    assert run(engine, "2026-06-15T07:59", utc).decisions == 0
    assert run(engine, "2026-06-15T08:00", utc).decisions == 1
