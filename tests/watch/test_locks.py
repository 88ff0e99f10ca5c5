"""What follows by itself from an offence: a lock that ends, a warning, each once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from smsc_filter.policy.measures import Step
from smsc_filter.policy.people import LockRules
from smsc_filter.records.errors import SqlUnavailable
from smsc_filter.records.measures import lift, standing
from smsc_filter.watch.locks import Locks, Offence, Offender
from tests.records.helpers import new_database

NOW = 1_767_225_600.0
PERSON = "8613900000001"
RULES = LockRules(hours=72, per_hour=60, article="practice", seen=True)


class World:
    """A database, and a time that a test sets."""

    def __init__(self, engine: Engine) -> None:
        self.engine, self.now = engine, NOW
        self.locks = Locks(engine, RULES, "Art. 31", lambda: self.now)

    def offends(self, offence: Offence, ago: float = 1.0) -> int:
        return self.locks.take([Offender(offence, PERSON, self.now - ago)])

    @property
    def steps(self) -> list[tuple[Step, int | None]]:
        """What stands."""
        return [(each.measure.step, each.measure.per_hour) for each in standing(self.engine, self.now)]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    engine = new_database(tmp_path)
    yield World(engine)
    engine.dispose()


def test_a_person_who_is_stopped_is_locked_for_72_hours_and_then_free(world: World) -> None:
    assert world.offends(Offence.STOPPED) == 1
    (record,) = standing(world.engine, world.now)
    measure = record.measure
    assert (measure.step, measure.subject, measure.per_hour, measure.article) == (
        Step.THROTTLE, PERSON, 60, "practice",
    )  # fmt: skip
    assert len(measure.appeal_code) == 8
    assert measure.holds_at(NOW + 72 * 3600 - 1)
    assert not measure.holds_at(NOW + 72 * 3600)
    world.now += 72 * 3600
    assert standing(world.engine, world.now) == []


def test_an_offence_has_one_measure_over_restarts_and_a_new_one_when_it_is_done_again(world: World) -> None:
    assert world.offends(Offence.STOPPED) == 1
    again = World(world.engine)
    assert again.offends(Offence.STOPPED) == 0
    (record,) = standing(world.engine, world.now)
    world.now += 10
    lift(world.engine, record.measure.id, by="li", note="appeal granted", now=world.now)
    assert world.offends(Offence.STOPPED, ago=11) == 0, "what it was lifted for does not bring it back"
    world.now += 10
    assert world.offends(Offence.STOPPED) == 1


def test_who_writes_to_a_honeypot_is_warned(world: World) -> None:
    assert world.offends(Offence.TRAPPED) == 1
    assert world.offends(Offence.STOPPED) == 1
    assert world.steps == [(Step.WARN, None), (Step.THROTTLE, 60)]


def test_what_the_records_do_not_take_now_is_imposed_later(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object, **__: object) -> bool:
        raise SqlUnavailable("away")

    with monkeypatch.context() as patched:
        patched.setattr("smsc_filter.watch.locks.is_answered", away)
        assert world.offends(Offence.STOPPED) == 0
    assert world.locks.take([]) == 1
    assert world.steps == [(Step.THROTTLE, 60)]
