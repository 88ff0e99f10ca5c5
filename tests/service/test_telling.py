"""Notices to people: once each whatever is killed, with the code, in the language of the profile."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from sqlalchemy import Engine

from smsc_filter.policy.language import language_names, read_language
from smsc_filter.policy.measures import Step
from smsc_filter.policy.zones import Zones
from smsc_filter.records.errors import SqlUnavailable
from smsc_filter.records.measures import MeasureRecord, impose
from smsc_filter.records.tellings import told_at
from smsc_filter.service.telling import Telling
from smsc_filter.settings import PolicySettings, SenderSettings, Settings
from smsc_filter.sms.coding import encode_text
from smsc_filter.state.notices import STREAM
from tests.records.helpers import new_database
from tests.records.valkey import running_valkey

NOW = 1_767_225_600.0
PERSON = "8613900000001"


class World:
    """Records, a store, and a time that a test sets."""

    def __init__(self, engine: Engine, client: Redis) -> None:
        self.engine, self.client, self.now = engine, client, NOW
        self.settings = Settings(
            senders=(SenderSettings(address="861390000*", owner="mobile", purpose="person"),),
        )

    def telling(self, **changes: Any) -> Telling:
        return Telling(replace(self.settings, **changes), self.engine, self.client, lambda: self.now)

    def lock(self, subject: str = PERSON) -> MeasureRecord:
        return impose(self.engine, step=Step.THROTTLE, scope="sender", subject=subject, reason="caps", article="a",
                      by="smsc-filter", now=self.now, ends_at=self.now + 72 * 3600, per_hour=60)  # fmt: skip

    @property
    def posted(self) -> list[tuple[str, str]]:
        """(recipient, text) of every notice."""
        entries: Any = self.client.xrange(STREAM)
        return [(fields[b"to"].decode(), fields[b"text"].decode()) for _, fields in entries]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    engine = new_database(tmp_path)
    with running_valkey() as socket, Redis(unix_socket_path=str(socket)) as client:
        yield World(engine, client)
    engine.dispose()


def test_a_person_is_told_once_with_the_code_and_the_end(world: World) -> None:
    record = world.lock()
    telling = world.telling()
    assert [telling.tell_due(), telling.tell_due(), world.telling().tell_due()] == [1, 0, 0]
    code = record.measure.appeal_code
    # 72 hours after 2026-01-01 00:00 UTC, by the clock in Shanghai.
    text = f"您的号码发短信过多，1月4日08:00前每小时限60条，到时自动恢复。如属误判可申诉，申诉码{code}。"
    assert world.posted == [(PERSON, text)]
    assert told_at(world.engine, record.measure.id) == NOW


def test_killed_between_message_and_record_it_is_told_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    record = world.lock()

    def killed(*_: object, **__: object) -> None:
        raise SqlUnavailable("killed")

    with monkeypatch.context() as patched:
        patched.setattr("smsc_filter.service.telling.note_told", killed)
        with pytest.raises(SqlUnavailable):
            world.telling().tell_due()
    assert told_at(world.engine, record.measure.id) is None
    assert world.telling().tell_due() == 0
    assert len(world.posted) == 1
    assert told_at(world.engine, record.measure.id) == NOW


def test_it_is_told_in_the_language_of_the_profile(world: World) -> None:
    world.lock()
    assert world.telling(policy=PolicySettings(profile="us-tcpa")).tell_due() == 1
    assert "at most 60 an hour go out" in world.posted[0][1]


def test_only_people_are_told(world: World) -> None:
    record = world.lock(subject="106900001")
    assert world.telling().tell_due() == 0
    assert world.posted == []
    assert told_at(world.engine, record.measure.id) is None


@pytest.mark.parametrize("language", language_names())
@pytest.mark.parametrize("step", ["warn", "throttle", "suspend"])
@pytest.mark.parametrize("ends", [True, False])
def test_every_notice_fits_one_message_and_names_the_code(language: str, step: str, ends: bool) -> None:
    end = datetime(2026, 12, 28, 23, 59, tzinfo=Zones({"": ["Asia/Shanghai"]}).zone_of("")) if ends else None
    text = read_language(language).notice.written(step, "ABCDEFGH", end, 1000)
    octets, coding = encode_text(text)
    assert len(octets) <= 140 if coding == 8 else len(text) <= 160
    assert "ABCDEFGH" in text
    assert "{" not in text
