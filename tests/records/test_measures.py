"""Notices and measures on record; no suspension without a notice."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Engine, insert
from sqlalchemy.exc import IntegrityError

from smsc_filter.policy.measures import Step
from smsc_filter.records import measures, tables
from smsc_filter.records.database import writing
from smsc_filter.records.measures import NoticeMissing, history, impose, lift, note_appealed, serve_notice, standing

NOW = 1_767_225_600.0
HOUR = 3600.0
ABOUT: dict[str, Any] = {"scope": "owner", "subject": "shop-ltd"}
IMPOSE: dict[str, Any] = {**ABOUT, "reason": "numbers counted up", "article": "Art. 31", "by": "wang"}
NOTICE: dict[str, Any] = {**ABOUT, "channel": "letter", "reason": "numbers counted up", "by": "wang"}


def test_a_suspension_without_a_notice_is_impossible(engine: Engine) -> None:
    with pytest.raises(NoticeMissing, match="no notice was served to owner shop-ltd"):
        impose(engine, **IMPOSE, step=Step.SUSPEND, now=NOW)
    serve_notice(engine, **NOTICE | {"subject": "bank-ltd"}, now=NOW)
    with pytest.raises(NoticeMissing, match="no notice"):
        impose(engine, **IMPOSE, step=Step.SUSPEND, now=NOW)
    with pytest.raises(NoticeMissing, match="notice 1 was not served to owner shop-ltd"):
        impose(engine, **IMPOSE, step=Step.SUSPEND, now=NOW, notice_id=1)
    assert standing(engine, NOW, ended=True) == []


def test_the_table_itself_refuses_a_suspension_without_a_notice(engine: Engine) -> None:
    values = {"step": "suspend", "scope": "owner", "subject": "shop-ltd", "reason": "r", "article": "a",
              "appeal_code": "ABCDEFGH", "begins_at_ms": 0}  # fmt: skip
    with pytest.raises(IntegrityError, match="ck_measures_notice"), engine.begin() as connection:
        connection.execute(insert(tables.measures).values(**values))


def test_a_suspension_begins_when_its_notice_allows(engine: Engine) -> None:
    notice = serve_notice(engine, **NOTICE, now=NOW)
    with pytest.raises(NoticeMissing, match=r"1\.0 h before the suspension would begin, 24 h are needed"):
        impose(engine, **IMPOSE, step=Step.SUSPEND, now=NOW + HOUR, begins_at=NOW + HOUR, notice_seconds=24 * HOUR)
    done = impose(engine, **IMPOSE, step=Step.SUSPEND, now=NOW + HOUR, notice_seconds=24 * HOUR)
    assert (done.notice_id, done.measure.begins_at) == (notice.id, NOW + 24 * HOUR)
    assert [record.measure.holds_at(NOW + 24 * HOUR - 0.001) for record in standing(engine, NOW + HOUR)] == [False]
    late = impose(engine, **IMPOSE, step=Step.SUSPEND, now=NOW + 48 * HOUR, notice_seconds=24 * HOUR)
    assert late.measure.begins_at == NOW + 48 * HOUR


def test_a_measure_is_listed_until_it_ends_or_is_lifted(engine: Engine) -> None:
    short = impose(engine, **IMPOSE, step=Step.THROTTLE, per_hour=5, now=NOW, ends_at=NOW + 60)
    open_ended = impose(engine, **IMPOSE, step=Step.WARN, now=NOW)
    assert standing(engine, NOW) == [short, open_ended]
    assert standing(engine, NOW + 60) == [open_ended]
    assert lift(engine, open_ended.measure.id, by="li", note="appeal granted", now=NOW + 61)
    assert not lift(engine, open_ended.measure.id, by="li", note="again", now=NOW + 62)
    assert not lift(engine, 99, by="li", note="none", now=NOW)
    assert standing(engine, NOW + 62) == []
    assert [record.measure.id for record in standing(engine, NOW + 62, ended=True)] == [1, 2]


def test_everything_that_happens_to_a_measure_is_on_record(engine: Engine) -> None:
    done = impose(engine, **IMPOSE, step=Step.WARN, now=NOW)
    with writing(engine) as connection:
        appealed = note_appealed(connection, done.measure.id, "A-12", by="web", now=NOW + 1)
    assert appealed.appeal_id == "A-12"
    lift(engine, done.measure.id, by="li", note="appeal A-12 granted", now=NOW + 2)
    events = [(event["event"], event["by"], event["at_ms"]) for event in history(engine, done.measure.id)]
    at_ms = round(NOW * 1000)
    assert events == [("imposed", "wang", at_ms), ("appealed", "web", at_ms + 1000), ("lifted", "li", at_ms + 2000)]


@pytest.mark.parametrize(("changes", "complaint"), [
    pytest.param({"reason": " "}, "reason is empty", id="no reason"),
    pytest.param({"article": ""}, "article is empty", id="no article"),
    pytest.param({"scope": "everyone"}, "scope is 'everyone'", id="unknown scope"),
    pytest.param({"step": Step.THROTTLE}, "a throttle needs it", id="throttle without a cap"),
    pytest.param({"per_hour": 5}, "goes with a throttle", id="cap without a throttle"),
    pytest.param({"step": Step.THROTTLE, "per_hour": 0}, "at least 1", id="throttle to nothing"),
    pytest.param({"step": Step.NO_NEW_RESOURCES, "scope": "sender"}, "holds no binds", id="resources of a sender"),
    pytest.param({"ends_at": NOW}, "is not after begins_at", id="ends at once"),
    pytest.param({"begins_at": NOW - 1}, "does not reach back", id="in the past"),
    pytest.param({"notice_id": 1}, "a notice goes with a suspension", id="notice beside a warning"),
])  # fmt: skip
def test_a_measure_that_makes_no_sense(engine: Engine, changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        impose(engine, **{**IMPOSE, "step": Step.WARN, "now": NOW, **changes})
    assert standing(engine, NOW, ended=True) == []


def test_a_notice_says_everything(engine: Engine) -> None:
    with pytest.raises(ValueError, match="channel is empty"):
        serve_notice(engine, **NOTICE | {"channel": ""}, now=NOW)
    serve_notice(engine, **NOTICE, now=NOW)
    assert [(notice.subject, notice.channel, notice.at) for notice in measures.served_notices(engine)] == [
        ("shop-ltd", "letter", NOW)
    ]
