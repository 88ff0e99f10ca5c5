"""What workers publish of themselves, of more than one machine over one store."""

from __future__ import annotations

from pathlib import Path

from redis import Redis

from smsc_filter.service.numbers import holder_of
from smsc_filter.service.worker_alarms import WorkerAlarms
from smsc_filter.settings import Settings
from smsc_filter.state.figures import FORGET_SECONDS, KEY, STALE_SECONDS, Meter, field, read_meters
from smsc_filter.watch.alarm import Kind

NOW = 1_800_000_000.0


def tell(client: Redis, machine: str, number: int, messages: int, *, at: float = NOW) -> None:
    meter = Meter()
    meter.messages = messages
    alarm = {
        "kind": Kind.WRONG_BINDS.value,
        "subject": machine,
        "severity": "warning",
        "sentence": "told by a worker",
        "evidence": {},
    }
    client.hset(KEY, field(machine, number), meter.tell(at, alarms=[alarm]))


def test_machines_that_have_the_same_number_keep_their_own_figures_and_alarms(client: Redis, tmp_path: Path) -> None:
    # One was cut from the store for longer than its lease of number 0, and another took it.
    first, second = (holder_of(Settings(data_dir=tmp_path / name, node=0)) for name in ("first", "second"))
    tell(client, first, 0, 10)
    tell(client, first, 1, 11)
    tell(client, second, 0, 20)
    fields = client.hgetall(KEY)
    assert {number: told["messages"] for number, told in read_meters(fields, first, NOW).items()} == {"0": 10, "1": 11}
    assert {number: told["messages"] for number, told in read_meters(fields, second, NOW).items()} == {"0": 20}
    assert [alarm.subject for alarm in WorkerAlarms(client, second).look(NOW)] == [second]


def test_what_workers_of_long_ago_told_is_deleted(client: Redis) -> None:
    tell(client, "gone", 0, 1, at=NOW - FORGET_SECONDS - 1)
    tell(client, "away", 0, 1, at=NOW - STALE_SECONDS - 1)
    tell(client, "here", 0, 1)
    assert [alarm.subject for alarm in WorkerAlarms(client, "here").look(NOW)] == ["here"]
    assert set(client.hkeys(KEY)) == {b"away/0", b"here/0"}
