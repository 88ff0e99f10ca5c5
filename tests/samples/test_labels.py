"""Labels and cases as people write them into files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from smsc_filter.classifier.scorer import Scorer
from smsc_filter.samples import SampleError
from smsc_filter.samples.labels import LABELLED, Case, Label, Provenance, append, read_cases, read_labels
from tests.classifier.models import DEFAULT

CASES = Path(__file__).parents[2] / "models" / "cases"

APPEAL = Provenance(origin="appeal", reference="17", by="operator", at="2026-11-25")


def test_what_is_added_comes_back(tmp_path: Path) -> None:
    label = Label(text="一起吃饭吗\u2028", label="other", provenance=APPEAL)
    path = tmp_path / "new" / "labels.jsonl"
    append(path, label)
    append(path, Label(text="满减", label="commercial", provenance=APPEAL, weight=3.5))
    first, second = read_labels([path])
    assert first == label
    assert first.sample.weight == 16.0
    assert first.sample.source == LABELLED
    assert second.sample.weight == 3.5


def test_the_last_label_of_a_text_counts(tmp_path: Path) -> None:
    later = Provenance(origin="operator", reference="2", by="operator", at="2026-11-26")
    append(tmp_path / "a", Label(text="x", label="other", provenance=later))
    append(tmp_path / "b", Label(text="x", label="commercial", provenance=APPEAL))
    assert [label.label for label in read_labels([tmp_path / "a", tmp_path / "b"])] == ["other"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        pytest.param({"label": "spam"}, "label: ", id="label"),
        pytest.param({"provenance": None}, "provenance: ", id="no-provenance"),
        pytest.param({"weight": 0}, "weight: ", id="weight"),
        pytest.param({"text": ""}, "text: ", id="empty"),
        pytest.param({"colour": "red"}, "colour: ", id="unknown-key"),
    ],
)
def test_a_wrong_label_is_named_without_its_text(tmp_path: Path, change: dict[str, Any], says: str) -> None:
    append(tmp_path / "a.jsonl", Label(text="秘密", label="other", provenance=APPEAL))
    said = json.loads((tmp_path / "a.jsonl").read_text(encoding="utf-8"))
    (tmp_path / "a.jsonl").write_text("\n" + json.dumps(said | change), encoding="utf-8")
    with pytest.raises(SampleError, match=rf"a\.jsonl:2: {says}") as caught:
        read_labels([tmp_path / "a.jsonl"])
    assert "秘密" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SampleError, match="cannot be read"):
        read_labels([tmp_path / "none.jsonl"])


def test_two_cases_of_one_id_are_refused(tmp_path: Path) -> None:
    case = Case(id="a", text="x", purpose="person", expected="other", provenance=APPEAL)
    append(tmp_path / "1.jsonl", case)
    assert read_cases(tmp_path) == [case]
    append(tmp_path / "2.jsonl", case)
    with pytest.raises(SampleError, match="the id a"):
        read_cases(tmp_path)


def test_the_default_model_gets_every_case_right() -> None:
    cases = read_cases(CASES)
    scorer = Scorer.load(DEFAULT)
    scores = scorer.score([case.text for case in cases]).score
    assert cases
    assert [
        case.id
        for case, score in zip(cases, scores.tolist(), strict=True)
        if (score >= scorer.thresholds[case.purpose]) is not (case.expected == "commercial")
    ] == []
