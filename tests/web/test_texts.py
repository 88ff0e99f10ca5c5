"""What the classifier says of texts over the API."""

from __future__ import annotations

import math
from typing import Any

import pytest

from smsc_filter.classifier.manifest import read_manifest
from smsc_filter.policy.record import id_to_text, rows_from_entry
from smsc_filter.records.database import writing
from smsc_filter.records.tables import decisions
from smsc_filter.web.models import Models
from tests.classifier.models import DEFAULT, variant
from tests.records.helpers import batch
from tests.web.conftest import API, World, problem

ADVERTISEMENT = "【云上商城】周末全场五折，满200减50，快来抢购！拒收请回复TD"


def adds_up(explanation: dict[str, Any], score: float) -> bool:
    total = explanation["start"] + explanation["rest"] + sum(part["log_odds"] for part in explanation["parts"])
    return math.isclose(1 / (1 + math.exp(-total)), score, abs_tol=1e-4)


def test_texts_are_judged_as_a_sender_of_that_kind_would_be(world: World) -> None:
    question = {"texts": [ADVERTISEMENT, "今晚回家吃饭吗"], "purpose": "person"}
    body = world.client.post(f"{API}/classify", json=question, headers=world.token()).json()
    assert [answer["commercial"] for answer in body["answers"]] == [True, False]
    assert [answer["explanation"] for answer in body["answers"]] == [None, None]
    manifest = read_manifest(DEFAULT)
    assert (body["model"], body["threshold"]) == (manifest.model_id, manifest.thresholds["person"])


def test_an_explanation_adds_up_to_the_score(world: World) -> None:
    question = {"texts": [ADVERTISEMENT, ""], "explain": True}
    for answer in world.client.post(f"{API}/classify", json=question, headers=world.token()).json()["answers"]:
        assert adds_up(answer["explanation"], answer["score"])


@pytest.mark.parametrize(
    "octets",
    [
        pytest.param(b'{"texts": []}', id="none"),
        pytest.param(b'{"texts": [1]}', id="no-text"),
        pytest.param(b'{"texts": ["\\ud800"]}', id="half-a-surrogate-pair"),
        pytest.param(b'{"texts": ["x"], "purpose": "spam"}', id="purpose"),
    ],
)
def test_what_is_no_question_is_refused(world: World, octets: bytes) -> None:
    headers = world.token() | {"Content-Type": "application/json"}
    assert world.client.post(f"{API}/classify", content=octets, headers=headers).status_code == 422


def test_a_model_of_before_still_explains_what_it_judged(world: World) -> None:
    (values,) = rows_from_entry(batch(987_654_321_987_654)[b"b"], None)
    row = dict(zip(decisions.c.keys(), values, strict=False))
    row |= {"text": ADVERTISEMENT, "part": "", "score": 9_990, "model": read_manifest(DEFAULT).model_id}
    with writing(world.engine) as connection:
        connection.execute(decisions.insert().values(row))
    where = f"{API}/decisions/{id_to_text(row['id'])}"
    headers = world.token(row["owner"])
    assert world.client.get(where, headers=headers).json()["explanation"] is None
    said = world.client.get(where, params={"explain": True}, headers=headers).json()["explanation"]
    assert said["model"] == row["model"]
    assert len(said["parts"]) == 12


def test_a_changed_model_is_taken_over_and_a_bad_one_is_not(tmp_path: Any) -> None:
    folder = variant(tmp_path / "m", version=1)
    models = Models(folder, {"person": 0.5})
    assert models.current().manifest.version == 1
    variant(folder, bias=1.0, version=2)
    assert models.current().manifest.version == 2
    (folder / "manifest.json").write_text("{}", encoding="utf-8")
    assert models.current().manifest.version == 2
    served = read_manifest(DEFAULT).thresholds["commercial"]
    assert models.thresholds(models.current(), {"service": 0.7}) == {
        "person": 0.5, "service": 0.7, "commercial": served,
    }  # fmt: skip
    assert models.of("default-9@00000000") is None


def test_without_any_model_that_is_the_answer(world: World, tmp_path: Any) -> None:
    object.__setattr__(world.context, "models", Models(tmp_path / "nowhere", {}))
    answer = world.client.post(f"{API}/classify", json={"texts": ["x"]}, headers=world.token())
    problem(answer, 503, "no-model")
