"""What the recorder counts of scores, over a real Valkey."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from smsc_filter.classifier.drift import PARTS, bin_of, histogram
from smsc_filter.classifier.manifest import ModelError, read_manifest
from smsc_filter.classifier.scorer import Scorer
from smsc_filter.policy.record import COLUMNS, DecisionRow
from smsc_filter.service.scores import ScoreWatch
from smsc_filter.settings import ModelSettings, Settings
from smsc_filter.state.scores import EDGES, Compared, Spread, day_of, difference_names, read_compared, read_scores
from tests.classifier.models import DEFAULT, variant
from tests.records.valkey import running_valkey

NOW = 1_767_225_600.0
WISH, ADVERTISEMENT = "新年快乐！祝你和家人身体健康", "【云上商城】周末全场五折，快来抢购！拒收请回复TD"


@pytest.fixture(scope="module")
def valkey() -> Iterator[Path]:
    with running_valkey() as socket:
        yield socket


@pytest.fixture
def client(valkey: Path) -> Iterator[Redis]:
    with Redis(unix_socket_path=str(valkey)) as client:
        client.flushall()
        yield client


@pytest.fixture
def served(tmp_path: Path) -> Path:
    shutil.copytree(DEFAULT, tmp_path / "served")
    return tmp_path / "served"


def watch(client: Redis, served: Path, shadow: Path | str = "") -> ScoreWatch:
    settings = Settings(model=ModelSettings(path=str(served), shadow=str(shadow)))
    return ScoreWatch(settings, client, clock=lambda: NOW)


def decision(text: str, *, purpose: str = "person", **changes: Any) -> DecisionRow:
    """A row as the served model would have judged it."""
    values = dict.fromkeys(COLUMNS, 0) | {"text": text, "purpose": purpose, "part": ""}
    values |= {"model": read_manifest(DEFAULT).model_id}
    values["score"] = int(Scorer.load(DEFAULT).score([text]).score[0] * PARTS)
    return tuple((values | changes).values())  # type: ignore[return-value]


def test_scores_are_counted_by_model_purpose_and_day(client: Redis, served: Path) -> None:
    scores = watch(client, served)
    rows = [decision(WISH)] * 3 + [decision(ADVERTISEMENT, purpose="commercial")]
    unscored = [decision(WISH, score=-1), decision(WISH, purpose="")]
    scores.on_committed([*rows, *unscored], [])
    scores.add()
    scores.on_committed(rows[:1], [])
    scores.add()
    model = read_manifest(DEFAULT).model_id
    found = read_scores(client, [day_of(NOW)])
    assert {spread: sum(bins) for spread, bins in found.items()} == {
        Spread(model, "person"): 4,
        Spread(model, "commercial"): 1,
    }
    score = rows[0][COLUMNS.index("score")]
    assert found[Spread(model, "person")][bin_of(score)] == 4
    assert found[Spread(model, "person")] == histogram([score] * 4).tolist()
    assert read_scores(client, [day_of(NOW, 1)]) == {}


def test_what_the_store_does_not_take_is_added_later(client: Redis, served: Path, valkey: Path) -> None:
    scores = watch(client, served)
    scores.on_committed([decision(WISH)], [])
    client.config_set("maxmemory", 1)
    scores.add()
    client.config_set("maxmemory", 0)
    assert read_scores(client, [day_of(NOW)]) == {}
    scores.add()
    assert sum(map(sum, read_scores(client, [day_of(NOW)]).values())) == 1


def test_a_shadow_is_compared_and_judges_nothing(client: Redis, served: Path, tmp_path: Path) -> None:
    shadow = variant(tmp_path / "shadow", bias=40.0, version=2)
    scores = watch(client, served, shadow)
    parts = [decision(WISH, part="1:1/2")]
    scores.on_committed([decision(WISH)] * 3 + [decision(ADVERTISEMENT, purpose="commercial"), *parts], [])
    scores.add()
    judged = read_manifest(DEFAULT).model_id
    found = read_compared(client, read_manifest(shadow).model_id)
    assert found[Compared(judged, "person", "texts")] == 3
    assert found[Compared(judged, "person", "block")] == 3
    assert found[Compared(judged, "person", f"d{len(EDGES)}")] == 3
    assert found[Compared(judged, "commercial", "texts")] == 1
    assert Compared(judged, "commercial", "block") not in found


def test_what_a_shadow_would_let_pass_is_counted_too(client: Redis, served: Path, tmp_path: Path) -> None:
    shadow = variant(tmp_path / "shadow", bias=-40.0, version=2)
    scores = watch(client, served, shadow)
    scores.on_committed([decision(ADVERTISEMENT, purpose="commercial")], [])
    scores.add()
    found = read_compared(client, read_manifest(shadow).model_id)
    judged = read_manifest(DEFAULT).model_id
    assert found[Compared(judged, "commercial", "pass")] == found[Compared(judged, "commercial", "d0")] == 1


def test_the_same_model_as_shadow_differs_nowhere(client: Redis, served: Path) -> None:
    scores = watch(client, served, served)
    scores.on_committed([decision(WISH), decision(ADVERTISEMENT)], [])
    scores.add()
    found = read_compared(client, read_manifest(served).model_id)
    middle = difference_names().index("-0.01..+0.01")
    assert {about.what: count for about, count in found.items()} == {"texts": 2, f"d{middle}": 2}


def test_a_bad_shadow_stops_nothing_and_a_good_one_is_taken_later(client: Redis, served: Path, tmp_path: Path) -> None:
    shadow = tmp_path / "shadow"
    shadow.mkdir()
    scores = watch(client, served, shadow)
    scores.on_committed([decision(WISH)], [])
    scores.add()
    with pytest.raises(ModelError):
        read_manifest(shadow)
    variant(shadow, version=3)
    scores.on_committed([decision(WISH)], [])
    scores.add()
    assert len(read_compared(client, read_manifest(shadow).model_id)) == 2
    assert sum(map(sum, read_scores(client, [day_of(NOW)]).values())) == 2
