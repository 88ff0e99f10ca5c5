"""The clerk: what is on record binds whoever forgot to publish it, and what is due is told once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import redis
from sqlalchemy import Engine

from smsc_filter.policy.appeals import terms_of
from smsc_filter.policy.measures import Step
from smsc_filter.policy.rules import read_profile
from smsc_filter.records import appeals, measures, whitelist
from smsc_filter.records.complaints import NewComplaint, add_complaint
from smsc_filter.records.consents import ConsentEvent, store_events
from smsc_filter.service.clerk import CLOCK_SECONDS, Clerk
from smsc_filter.state import keys
from smsc_filter.state.projection import write_whitelist
from smsc_filter.watch.alarm import Kind
from tests.records.helpers import new_database
from tests.records.test_appeals import DAY, NOW, opened, refused
from tests.records.valkey import running_valkey

TERMS = terms_of(read_profile("cn-2020-draft"))


@pytest.fixture(scope="module")
def valkey() -> Iterator[Path]:
    with running_valkey() as socket:
        yield socket


@pytest.fixture
def client(valkey: Path) -> Iterator[redis.Redis]:
    client = redis.Redis(unix_socket_path=str(valkey))
    client.flushall()
    yield client
    client.close()


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = new_database(tmp_path)
    yield engine
    engine.dispose()


class World:
    """A clerk whose clock a test sets."""

    def __init__(self, engine: Engine, client: redis.Redis, folder: Path) -> None:
        self.now = NOW
        self.client = client
        self.clerk = Clerk(engine, client, TERMS, folder / "cases", folder / "labels", lambda: self.now)

    @property
    def version(self) -> bytes | None:
        return self.client.hget(keys.SMALL_TABLES, "version")  # type: ignore[return-value]


@pytest.fixture
def world(engine: Engine, client: redis.Redis, tmp_path: Path) -> World:
    return World(engine, client, tmp_path)


def test_what_the_records_say_is_published_once(engine: Engine, world: World) -> None:
    assert world.clerk.publish() == []
    assert world.version is None, "nothing is written where there is nothing to say"
    entry = whitelist.grant(engine, scope="owner", owner="shop-ltd", reason="x", now=NOW, expires_at=NOW + 60)
    assert world.clerk.publish() == ["whitelist"]
    version = world.version
    assert world.clerk.publish() == []
    assert world.version == version, "workers need not read it again"
    measures.impose(
        engine, step=Step.WARN, scope="owner", subject="shop-ltd", reason="x", article="31", by="x", now=NOW
    )
    assert world.clerk.publish() == ["measures"]
    whitelist.revoke(engine, entry.id, NOW)
    assert world.clerk.publish() == ["whitelist"]


def test_an_older_list_written_over_a_newer_one_is_put_right(engine: Engine, world: World) -> None:
    old = whitelist.entries(engine, NOW)
    whitelist.grant(engine, scope="owner", owner="shop-ltd", reason="x", now=NOW, expires_at=NOW + 60)
    world.clerk.publish()
    write_whitelist(world.client, old)  # by somebody who read before the grant and wrote behind it
    assert world.clerk.publish() == ["whitelist"]
    world.now = NOW + 60
    assert world.clerk.publish() == ["whitelist"], "what has expired leaves the list"


def test_what_is_due_is_told_once_and_again_to_who_comes_back_too_soon(
    engine: Engine, client: redis.Redis, world: World, tmp_path: Path
) -> None:
    refused(engine, 7)
    appeal = opened(engine, "7")
    assert appeal.due_at is not None
    assert world.clerk.look(NOW) == []
    assert world.clerk.look(appeal.due_at) != [], "a reminder is skipped where the time is over already"
    assert world.clerk.look(appeal.due_at + 1) == [], "not every second"
    # Killed before the next look, another clerk tells it once more: rather twice than never.
    (alarm,) = World(engine, client, tmp_path).clerk.look(appeal.due_at)
    assert (alarm.kind, alarm.subject, alarm.severity) == (Kind.APPEAL_OVERDUE, f"appeal {appeal.id}", "warning")
    assert "about mobile, open, was due on 2026-01-22 15:59 UTC and nobody has answered" in alarm.sentence
    assert "13900000001" not in alarm.sentence
    assert world.clerk.look(appeal.due_at + CLOCK_SECONDS) == []


def test_silence_ends_a_question_and_a_grant_becomes_a_case(engine: Engine, world: World, tmp_path: Path) -> None:
    refused(engine, 7)
    refused(engine, 8)
    asked, granted = opened(engine, "7"), opened(engine, "8")
    asked = appeals.ask(engine, TERMS, asked.id, by="rui", question="to whom?", now=NOW)
    appeals.grant(engine, TERMS, granted.id, by="rui", reason="wishes", now=NOW)
    assert asked.due_at is not None
    world.clerk.look(asked.due_at + DAY)
    found = appeals.find_appeal(engine, asked.id)
    assert found is not None
    assert found.state == "expired"
    assert len((tmp_path / "cases" / "appeals.jsonl").read_text("utf-8").splitlines()) == 1


def test_new_complaints_are_told_to_the_early_warning_once(engine: Engine, world: World) -> None:
    heard: list[tuple[str, float]] = []
    world.clerk.on_complaint = lambda owner, at: heard.append((owner, at))

    def complain(number: str, owner: str) -> None:
        new = NewComplaint(number=number, complainant="8613800000002", sender="106900001", received_at=NOW)
        add_complaint(engine, TERMS, new, by="ling", now=NOW, owner_of=lambda _sender: owner)

    complain("1", "shop-ltd")  # before this process
    for now in (NOW, NOW + CLOCK_SECONDS, NOW + 2 * CLOCK_SECONDS):
        world.clerk.look(now)
        complain(f"at {now}", "shop-ltd")
        complain(f"of nobody at {now}", "")
    world.clerk.look(NOW + 3 * CLOCK_SECONDS)
    assert heard == [("shop-ltd", NOW)] * 3


def test_who_often_claims_consents_of_people_who_refused_is_told(engine: Engine, world: World) -> None:
    def claim(number: int) -> list[ConsentEvent]:
        recipient, at_ms = f"86138000{number:05d}", round(world.now * 1000)
        said = ConsentEvent(recipient=recipient, owner="shop-ltd", state="withdrawn", event_at_ms=1, received_at_ms=1)
        return [said, replace(said, state="granted", event_at_ms=at_ms, received_at_ms=at_ms, by_owner=True)]

    def told() -> list[str]:
        world.now += CLOCK_SECONDS
        return [alarm.subject for alarm in world.clerk.look(world.now) if alarm.kind is Kind.CLAIMS]

    store_events(engine, [event for number in range(19) for event in claim(number)])
    assert told() == []
    store_events(engine, claim(19))
    assert (told(), told()) == (["owner shop-ltd"], [])
    world.now += 2 * DAY
    assert told() == []
