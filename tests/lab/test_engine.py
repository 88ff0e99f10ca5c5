"""The engine without the wire."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import pytest

from smsc_filter.classifier.scorer import Scorer, Scores
from smsc_filter.lab.engine import Engine, Provider, message_of
from smsc_filter.policy.record import COLUMNS
from smsc_filter.sms.udh import Part
from tests.lab.recorded import ADVERTISEMENT, NOON, PERSON, SHOP, WISH, judge, settings_of, subscriber

CAUSE, AT_MS, ID, SCORE = (COLUMNS.index(name) for name in ("cause", "at_ms", "id", "score"))


@pytest.fixture
def engine() -> Iterator[Engine]:
    with Engine(settings_of()) as engine:
        yield engine


def test_the_hour_of_a_person_slides_on_the_clock_of_the_caller(engine: Engine) -> None:
    people = Provider(engine, "people", "mobile", 2)

    def wishes(first: int, count: int) -> list[tuple[Provider, object]]:
        return [(people, message_of(PERSON, subscriber(number), WISH)) for number in range(first, first + count)]

    first = engine.judge(NOON, wishes(0, 300))
    assert Counter(row[CAUSE] for row in first) == {"": 200, "quota-spent": 100}
    assert {row[AT_MS] for row in first} == {NOON * 1000}
    assert [row[CAUSE] for row in engine.judge(NOON + 3599.999, wishes(300, 1))] == ["quota-spent"]
    assert [row[CAUSE] for row in engine.judge(NOON + 3600, wishes(300, 1))] == [""]


def test_what_the_smsc_rejects_is_given_back_when_it_does(engine: Engine) -> None:
    people = Provider(engine, "people", "mobile", 2)
    messages = [(people, message_of(PERSON, subscriber(number), WISH)) for number in range(200)]
    engine.judge(NOON, messages, {7: (NOON + 10, 8)})
    assert [row[CAUSE] for row in engine.judge(NOON + 9, messages[:1])] == ["quota-spent"]
    assert [row[CAUSE] for row in engine.judge(NOON + 10, messages[:2])] == ["", "quota-spent"]


def test_checks_of_content_and_consent_are_those_of_the_relay(engine: Engine) -> None:
    rows = judge(engine, [(0, SHOP, subscriber(1), ADVERTISEMENT), (1, "999", subscriber(1), WISH)])
    assert [row[CAUSE] for row in rows] == ["no-consent", "unknown-sender"]
    assert rows[0][ID] < rows[1][ID]


def test_parts_of_a_long_message_share_a_refusal(engine: Engine) -> None:
    half = len(ADVERTISEMENT) // 2
    rows = judge(
        engine,
        [(0, SHOP, subscriber(1), ADVERTISEMENT[half:]), (1, SHOP, subscriber(1), ADVERTISEMENT[:half])],
        [Part(5, 3, 2), Part(5, 3, 1)],
    )
    assert rows[1][CAUSE] == "no-consent"


def test_a_text_is_scored_once_until_another_model_comes(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    score = Scorer.score

    def noted(scorer: Scorer, texts: Sequence[str]) -> Scores:
        asked.extend(texts)
        return score(scorer, texts)

    monkeypatch.setattr(Scorer, "score", noted)
    campaign = [(0, SHOP, subscriber(number), ADVERTISEMENT) for number in range(3)]
    first = [row[SCORE] for row in judge(engine, [*campaign, (0, SHOP, subscriber(1), WISH)])]
    assert sorted(asked) == sorted([ADVERTISEMENT, WISH])
    assert [row[SCORE] for row in judge(engine, campaign)] == first[:3]
    assert len(asked) == 2
    engine.exchange.judge_by(Scorer(engine.scorer.manifest, engine.scorer._weights), engine.rules)
    assert [row[SCORE] for row in judge(engine, campaign)] == first[:3]
    assert len(asked) == 3


def test_what_is_remembered_of_scores_is_bounded(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smsc_filter.relay.exchange.MAX_SCORED_CHARACTERS", 1000)
    for number in range(100):
        judge(engine, [(0, SHOP, subscriber(number), f"{number}: {ADVERTISEMENT}")])
        assert sum(map(len, engine.exchange._remembered_scores)) <= 1000 + len(ADVERTISEMENT) + 4
