"""Tellings on both databases: each measure once, and none of what has ended; an offence has its measure once."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine

from smsc_filter.policy.measures import Step
from smsc_filter.records.measures import impose, is_answered, lift
from smsc_filter.records.tellings import note_told, told_at, untold

NOW = 1_767_225_600.0
STEPS = ("warn", "throttle", "suspend")
ABOUT: dict[str, Any] = {"scope": "sender", "subject": "8613900000001"}
LOCK: dict[str, Any] = {
    **ABOUT, "step": Step.THROTTLE, "per_hour": 60, "reason": "caps", "article": "practice", "by": "smsc-filter",
}  # fmt: skip


def due(engine: Engine, now: float) -> list[int]:
    return [record.measure.id for record in untold(engine, STEPS, now)]


def test_a_measure_is_told_once(engine: Engine) -> None:
    measure = impose(engine, **LOCK, now=NOW, ends_at=NOW + 60).measure
    assert (due(engine, NOW), told_at(engine, measure.id)) == ([measure.id], None)
    note_told(engine, measure.id, NOW + 1)
    note_told(engine, measure.id, NOW + 2)
    assert (due(engine, NOW + 2), told_at(engine, measure.id)) == ([], NOW + 1)


def test_where_nobody_can_be_told_by_message_it_is_over_as_well(engine: Engine) -> None:
    measure = impose(engine, **LOCK, now=NOW).measure
    note_told(engine, measure.id, NOW, by_message=False)
    assert (due(engine, NOW), told_at(engine, measure.id)) == ([], None)


def test_nobody_is_told_of_what_has_ended_is_lifted_or_is_about_somebody_else(engine: Engine) -> None:
    ended = impose(engine, **LOCK, now=NOW, ends_at=NOW + 60).measure
    lifted = impose(engine, **LOCK, now=NOW).measure
    impose(engine, **LOCK | {"scope": "owner", "subject": "mobile"}, now=NOW)
    later = impose(engine, **LOCK, now=NOW, begins_at=NOW + 100).measure
    lift(engine, lifted.id, by="li", note="appeal", now=NOW + 1)
    assert due(engine, NOW + 2) == [ended.id]
    assert due(engine, NOW + 60) == []
    assert due(engine, NOW + 100) == [later.id]


def test_an_offence_has_its_measure_once(engine: Engine) -> None:
    def answered(at: float, now: float, **other: Any) -> bool:
        return is_answered(engine, **{**ABOUT, "step": Step.THROTTLE, **other}, at=at, now=now)

    assert not answered(NOW, NOW)
    first = impose(engine, **LOCK, now=NOW + 1, ends_at=NOW + 61).measure
    assert answered(NOW, NOW + 2)
    assert answered(NOW + 50, NOW + 50)  # in force
    assert not answered(NOW, NOW, step=Step.WARN)
    assert not answered(NOW, NOW, subject="8613900000002")
    assert not answered(NOW + 61, NOW + 61)  # done once it had ended
    lift(engine, first.id, by="li", note="appeal granted", now=NOW + 10)
    assert answered(NOW, NOW + 11)  # what it was for does not count again
    assert not answered(NOW + 11, NOW + 12)
