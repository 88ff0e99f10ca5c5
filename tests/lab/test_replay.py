"""What-if: recorded traffic under another configuration."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from sqlalchemy import Engine as Records

from smsc_filter.cli import main
from smsc_filter.lab.engine import Engine, Provider, message_of
from smsc_filter.lab.replay import CONTACTS, OLDER_TEXT, TROUBLE, Comparison, replay
from smsc_filter.policy.measures import Step
from smsc_filter.policy.record import DecisionRow
from smsc_filter.policy.verdict import Cause
from smsc_filter.records import measures, whitelist
from smsc_filter.records.consents import ConsentEvent, store_events
from smsc_filter.records.database import writing
from smsc_filter.records.decisions import insert_outcomes
from smsc_filter.settings import Settings
from tests.lab.recorded import ADVERTISEMENT, NOON, PERSON, SHOP, WISH, judge, record, settings_of, subscriber
from tests.records.helpers import new_database

OTHER_PERSON = "8613900000002"
PEOPLE = {"address": "86139*", "owner": "mobile", "purpose": "person"}
SENDERS = ({"address": "10690*", "owner": "shop-ltd", "purpose": "commercial"}, PEOPLE)


def told(number: int, state: str, after: float, received: float | None = None) -> ConsentEvent:
    known = after if received is None else received
    return ConsentEvent(
        recipient=subscriber(number), owner="shop-ltd", state=state,
        event_at_ms=int((NOON + after) * 1000), received_at_ms=int((NOON + known) * 1000),
    )  # fmt: skip


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Records]:
    engine = new_database(tmp_path)
    yield engine
    engine.dispose()


@pytest.fixture(scope="module")
def a_day() -> list[DecisionRow]:
    """Two people's wishes, one of them above the cap of an hour, and three advertisements nobody agreed to."""
    sent = [
        *((0.25 * n, PERSON, subscriber(n), WISH) for n in range(210)),
        *((60 + n, OTHER_PERSON, subscriber(n), WISH) for n in range(50)),
        *((200 + n, SHOP, subscriber(n), ADVERTISEMENT) for n in range(3)),
    ]
    with Engine(settings_of()) as engine:
        return judge(engine, sorted(sent))


def what_if(records: Records, settings: Settings, log: io.BytesIO | None = None, after: float = 0.0) -> Comparison:
    return replay(settings, records, NOON + after, NOON + 86_400, log=log)


def differences(found: Comparison) -> list[tuple[str, str, str, int]]:
    return [(key[0], key[1], key[3], line.messages) for key, line in found.ordered()]


def test_the_same_configuration_changes_nothing(records: Records, a_day: Sequence[DecisionRow]) -> None:
    record(records, a_day)
    found = what_if(records, settings_of())
    assert (found.compared, found.lines, found.not_replayed) == (263, {}, {})
    assert found.replayed == {"": 250, "quota-spent": 10, "no-consent": 3}


def test_a_lower_cap_blocks_more_and_a_higher_one_nobody(records: Records, a_day: Sequence[DecisionRow]) -> None:
    record(records, a_day)
    lower = what_if(records, settings_of(senders=[SENDERS[0], PEOPLE | {"hour_cap": 40}]))
    assert differences(lower) == [("", "quota-spent", PERSON, 160), ("", "quota-spent", OTHER_PERSON, 10)]
    higher = what_if(records, settings_of(senders=[SENDERS[0], PEOPLE | {"hour_cap": 500}]))
    assert differences(higher) == [("quota-spent", "", PERSON, 10)]
    assert higher.messages("vanishes") == 10


def test_another_threshold_and_a_sender_that_is_gone(records: Records, a_day: Sequence[DecisionRow]) -> None:
    record(records, a_day)
    lax = what_if(records, settings_of(policy={"thresholds": {"commercial": 1.0}}))
    assert differences(lax) == [("no-consent", "", SHOP, 3)]
    gone = what_if(records, settings_of(senders=[PEOPLE]))
    assert differences(gone) == [("no-consent", "unknown-sender", SHOP, 3)]


def test_what_came_before_fills_the_windows(records: Records, a_day: Sequence[DecisionRow]) -> None:
    record(records, a_day)
    found = what_if(records, settings_of(), after=51)
    assert found.before == 204
    assert found.lines == {}
    assert found.replayed["quota-spent"] == 6


def test_the_log_is_the_same_to_the_octet(records: Records, a_day: Sequence[DecisionRow]) -> None:
    record(records, a_day)
    logs = [io.BytesIO(), io.BytesIO()]
    for log in logs:
        what_if(records, settings_of(senders=[SENDERS[0], PEOPLE | {"hour_cap": 40}]), log)
    one, other = (hashlib.sha256(log.getvalue()).hexdigest() for log in logs)
    assert one == other
    lines = [json.loads(line) for line in logs[0].getvalue().splitlines()]
    assert len(lines) == 264
    assert WISH not in logs[0].getvalue().decode()
    assert lines[0]["profile"] == "cn-2020-draft"


def test_consents_count_from_when_they_were_known(records: Records) -> None:
    advertised = [(at, SHOP, subscriber(1), ADVERTISEMENT) for at in (0.0, 100.0, 200.0)]
    with Engine(settings_of()) as engine:
        record(records, judge(engine, advertised))
    store_events(records, [told(1, "granted", -50, received=50), told(1, "withdrawn", 150)])
    found = what_if(records, settings_of())
    assert found.replayed == {"no-consent": 1, "": 1, "consent-refused": 1}


def test_appeals_and_measures_hold_when_they_held(records: Records) -> None:
    advertised = [(at, SHOP, subscriber(1), ADVERTISEMENT) for at in (0.0, 100.0, 200.0)]
    wishes = [(at, PERSON, subscriber(1), WISH) for at in (10.0, 110.0, 120.0, 210.0)]
    with Engine(settings_of()) as engine:
        record(records, judge(engine, sorted(advertised + wishes)))
    granted = whitelist.grant(
        records, scope="sender", owner="shop-ltd", sender=SHOP, reason="upheld", now=NOON + 50, expires_at=NOON + 900
    )
    whitelist.revoke(records, granted.id, NOON + 150)
    throttle = measures.impose(
        records, step=Step.THROTTLE, scope="sender", subject=PERSON, reason="a test", article="none", by="us",
        now=NOON + 100, per_hour=1,
    )  # fmt: skip
    measures.lift(records, throttle.measure.id, by="us", note="over", now=NOON + 200)
    found = what_if(records, settings_of())
    assert differences(found) == [("", "quota-spent", PERSON, 2), ("no-consent", "", SHOP, 1)]


def test_what_the_smsc_did_not_take_is_given_back(records: Records, a_day: Sequence[DecisionRow]) -> None:
    record(records, a_day)
    with writing(records) as connection:
        insert_outcomes(connection, [(row[0], row[1] + 500, 8, "") for row in a_day[:4]])
    assert differences(what_if(records, settings_of())) == [("quota-spent", "", PERSON, 4)]


def test_what_cannot_be_replayed_is_said_and_left_as_it_was(records: Records, a_day: Sequence[DecisionRow]) -> None:
    def refused(row: DecisionRow, cause: Cause) -> DecisionRow:
        values = list(row)
        values[7:9] = cause.value, cause.status
        return tuple(values)  # type: ignore[return-value]

    record(records, [
        refused(a_day[0], Cause.STORE_UNAVAILABLE), refused(a_day[1], Cause.SIMILAR_AFTER_REFUSAL), *a_day[2:20],
    ])  # fmt: skip
    found = what_if(records, settings_of())
    assert found.not_replayed == {TROUBLE: 1, OLDER_TEXT: 1}
    assert found.lines == {}


def test_a_burst_at_a_feast_has_the_caps_that_are_on_record(records: Records, a_day: Sequence[DecisionRow]) -> None:
    eve = 1_771_243_200.0 - NOON  # 2026-02-16 20:00 in Shanghai
    friends = [subscriber(number) for number in range(250)]
    with Engine(settings_of()) as engine:
        engine.acquaint(NOON + eve - 20 * 86_400, written={PERSON: friends}, heard={PERSON: friends})
        people = Provider(engine, "people", "mobile", 2)
        for after, who in ((0, PERSON), (1, OTHER_PERSON)):
            record(
                records,
                engine.judge(NOON + eve + after, [(people, message_of(who, friend, WISH)) for friend in friends]),
            )
    found = what_if(records, settings_of(), after=eve)
    assert (found.lines, found.not_replayed) == ({}, {})
    assert found.replayed == {"": 450, "quota-spent": 50}


def test_a_feast_that_is_on_here_alone_is_said(records: Records, a_day: Sequence[DecisionRow]) -> None:
    record(records, [shifted(row, -15 * 86_400) for row in a_day[:20]])
    assert what_if(records, settings_of(), after=-15 * 86_400).not_replayed[CONTACTS] > 0


def shifted(row: DecisionRow, seconds: int) -> DecisionRow:
    values = list(row)
    values[0] += seconds * 1000 << 20
    values[1] += seconds * 1000
    return tuple(values)  # type: ignore[return-value]


Verb = Callable[..., tuple[int, str, str]]


@pytest.fixture
def verb(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Verb:
    config = tmp_path / "b.toml"
    config.write_text(
        f'data_dir = "{tmp_path}"\n'
        '[[accounts]]\nsystem_id = "people"\npassword = "secret"\nowner = "mobile"\n'
        '[[senders]]\naddress = "86139*"\nowner = "mobile"\npurpose = "person"\nhour_cap = 40\n'
    )

    def run(*arguments: str) -> tuple[int, str, str]:
        capfd.readouterr()
        status = main(["replay", "--config", str(config), *arguments])
        said = capfd.readouterr()
        return status, said.out, said.err

    return run


def test_the_verb_shows_a_table_or_json_and_writes_the_log(
    verb: Verb, records: Records, a_day: Sequence[DecisionRow], tmp_path: Path
) -> None:
    record(records, a_day)
    status, said, _ = verb("--from", "2026-03-04", "--to", "2026-03-04", "--log", str(tmp_path / "log"))
    assert status == 0
    assert "170 blocks appear, of 2 senders" in said
    assert "quota-spent" in said
    assert "not replayed: 3 came over an account that this configuration does not have" in said
    assert len((tmp_path / "log").read_bytes().splitlines()) == 264
    status, said, _ = verb("--from", "2026-03-04", "--to", "2026-03-04", "--json", "--records", str(tmp_path))
    found = json.loads(said)
    assert (found["appear"], found["vanish"], found["other_cause"]) == (170, 0, 3)
    assert found["differences"][0]["sender"] == PERSON


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(("--from", "2026-03-05", "--to", "2026-03-04"), "is not before --to", id="backwards"),
        pytest.param(("--from", "yesterday", "--to", "2026-03-04"), "is no date or time", id="no-date"),
        pytest.param(("--from", "2025-01-01", "--to", "2025-01-02"), "nothing was decided", id="nothing"),
        pytest.param(
            ("--from", "2026-03-04", "--to", "2026-03-05", "--records", "/nowhere"), "there is no /nowhere", id="place"
        ),
        pytest.param(
            ("--from", "2026-03-04", "--to", "2026-03-05", "--log", "/nowhere/log"), "No such file", id="log"
        ),
        pytest.param(
            ("--from", "2026-03-04", "--to", "2026-03-05", "--records", "mysql://h/n"), "is expected", id="dialect"
        ),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line(verb: Verb, arguments: tuple[str, ...], said: str) -> None:
    status, _, error = verb(*arguments)
    assert status == 1
    assert said in error
    assert len(error.strip().splitlines()) == 1
