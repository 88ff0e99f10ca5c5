"""Alarms are told once, survive trouble, and arrive signed."""

from __future__ import annotations

import hashlib
import hmac
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from smsc_filter.records.alarms import alarms_since, read_checkpoint, write_checkpoint
from smsc_filter.watch.alarm import Alarm, AlarmBook, Kind
from smsc_filter.watch.desk import AlarmDesk
from smsc_filter.watch.settings import WatchSettings
from smsc_filter.watch.webhook import pause_after, sign
from tests.records.helpers import new_database
from tests.watch.receiver import Receiver

NOW = 1_767_225_600.0
SECRET = "correct horse"
ALARM = Alarm(
    kind=Kind.HONEYPOT, subject="sender 8613900000001", severity="warning", sentence="seen", evidence={"messages": 1}
)


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = new_database(tmp_path)
    yield engine
    engine.dispose()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def desk(engine: Engine, folder: Path, clock: Clock, **settings: Any) -> AlarmDesk:
    return AlarmDesk(engine, WatchSettings(**{"webhook_secret": SECRET, **settings}), folder, clock)


def test_the_same_alarm_is_told_once_a_quiet_period() -> None:
    book = AlarmBook(60)
    first, is_new = book.take(ALARM, NOW)
    assert is_new
    again, is_new = book.take(ALARM, NOW + 59.9)
    assert (again is first, is_new, first.count, first.last_at) == (True, False, 2, NOW + 59.9)
    later, is_new = book.take(ALARM, NOW + 60)
    assert (is_new, later.count) == (True, 1)


def test_an_alarm_is_on_record_and_in_the_file_once_with_its_count(
    engine: Engine, tmp_path: Path, clock: Clock
) -> None:
    one = desk(engine, tmp_path, clock)
    assert len(one.take([ALARM])) == 1
    clock.now += 5
    assert one.take([ALARM, ALARM]) == []
    (record,) = alarms_since(engine, 0.0)
    assert (record.kind, record.count, record.first_at, record.last_at) == ("honeypot", 3, NOW, NOW + 5)
    (line,) = (tmp_path / "alarms.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(line) == {
        "at": NOW, "kind": "honeypot", "severity": "warning", "subject": "sender 8613900000001", "sentence": "seen",
        "evidence": {"messages": 1},
    }  # fmt: skip
    assert one.raised == {"honeypot": 1}


def test_a_restart_does_not_tell_it_again(engine: Engine, tmp_path: Path, clock: Clock) -> None:
    desk(engine, tmp_path, clock).take([ALARM])
    clock.now += 30
    second = desk(engine, tmp_path, clock)
    second.restore()
    assert second.take([ALARM]) == []
    (record,) = alarms_since(engine, 0.0)
    assert record.count == 2


def test_an_alarm_the_database_does_not_take_waits(engine: Engine, tmp_path: Path, clock: Clock) -> None:
    one = desk(engine, tmp_path, clock)
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE alarms RENAME TO gone"))
    one.take([ALARM])
    assert (tmp_path / "alarms.jsonl").read_bytes().count(b"\n") == 1
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE gone RENAME TO alarms"))
    one.take([])
    assert len(alarms_since(engine, 0.0)) == 1


def test_what_is_posted_is_signed(engine: Engine, tmp_path: Path, clock: Clock) -> None:
    with Receiver() as receiver:
        one = desk(engine, tmp_path, clock, webhook_url=receiver.url)
        one.take([ALARM])
        assert one.deliver_due() == 1
        assert one.deliver_due() == 0
        one.close()
    ((headers, body),) = receiver.posts
    expected = hmac.new(SECRET.encode(), f"{int(NOW)}.".encode() + body, hashlib.sha256).hexdigest()
    assert headers["X-Smsc-Filter-Signature"] == f"t={int(NOW)},v1={expected}" == sign(body, SECRET, NOW)
    assert headers["X-Smsc-Filter-Alarm"] == str(json.loads(body)["id"])


def test_a_receiver_in_trouble_is_tried_again_later_and_by_the_next_process(
    engine: Engine, tmp_path: Path, clock: Clock
) -> None:
    with Receiver(500, 302) as receiver:
        one = desk(engine, tmp_path, clock, webhook_url=receiver.url)
        one.take([ALARM])
        assert one.deliver_due() == 0
        assert one.deliver_due() == 0  # not due yet: nothing is posted
        assert len(receiver.posts) == 1
        clock.now += pause_after(1)
        one.deliver_due()
        assert len(receiver.posts) == 2
        one.close()
        clock.now += pause_after(2)
        another = desk(engine, tmp_path, clock, webhook_url=receiver.url)
        assert another.deliver_due() == 1
        another.close()
    assert len(receiver.posts) == 3
    assert [record.webhook for record in alarms_since(engine, 0.0)] == ["sent"]


def test_a_receiver_that_never_answers_is_given_up_in_the_end(engine: Engine, tmp_path: Path, clock: Clock) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        one = desk(engine, tmp_path, clock, webhook_url=url, webhook_timeout=0.05, webhook_tries=3)
        one.take([ALARM])
        for tries in range(1, 4):
            assert one.deliver_due() == 0
            clock.now += pause_after(tries)
        one.close()
    assert [(record.webhook, record.tries) for record in alarms_since(engine, 0.0)] == [("given-up", 3)]


def test_pauses_double_and_end_at_five_minutes() -> None:
    assert [pause_after(tries) for tries in (1, 2, 3, 9, 10, 40)] == [1, 2, 4, 256, 300, 300]


def test_a_url_without_a_secret_is_refused() -> None:
    with pytest.raises(ValueError, match="webhook_secret is empty"):
        WatchSettings(webhook_url="http://127.0.0.1/")


def test_the_newest_checkpoint_is_kept_and_only_of_this_version(engine: Engine) -> None:
    assert read_checkpoint(engine, 1) is None
    write_checkpoint(engine, b"old", 1, 7, NOW)
    write_checkpoint(engine, b"new", 1, 8, NOW + 30)
    assert read_checkpoint(engine, 1) == b"new"
    assert read_checkpoint(engine, 2) is None
