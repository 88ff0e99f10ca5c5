"""The gates a candidate must pass, each with a model that fails it and one that does not."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from smsc_filter.classifier.drift import BINS
from smsc_filter.classifier.gates import read_gates
from smsc_filter.classifier.manifest import PURPOSES, read_manifest
from smsc_filter.classifier.scorer import Scorer, Scores
from smsc_filter.classifier.versions import earlier_models
from smsc_filter.samples import Sample, load_samples
from smsc_filter.samples.labels import Case, Provenance, append
from tests.classifier.models import DEFAULT, disturbed, variant, weights_of
from training import promote as gates
from training.__main__ import main
from training.promote import NotPromotedError, case_gate, greeting_gate, promote, recall_at, recall_gates, speed_gates


@pytest.fixture(scope="module")
def served() -> Scorer:
    return Scorer.load(DEFAULT)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Advertisements and chat of our own making, enough of both for every gate to ask."""
    folder = tmp_path_factory.mktemp("data")
    with (folder / "toy.jsonl").open("w", encoding="utf-8") as file:
        for n in range(400):
            word = chr(0x4E00 + 37 * n) + chr(0x5000 + 53 * n)
            for text, label, category in (
                (f"【{word}】全场{n}折，满{n}减{n + 1}，快来抢购，退订回T", "commercial", "commercial"),
                (f"{word}，今晚回家吃饭吗", "other", "personal"),
                (f"祝{word}新年快乐，身体健康", "other", "greeting"),
            ):
                file.write(json.dumps({"text": text, "label": label, "category": category, "lang": "zh"}) + "\n")
    return folder


@pytest.fixture
def cases(tmp_path: Path) -> Path:
    append(tmp_path / "cases" / "appeals.jsonl", case("appeal-1", "祝您新年快乐，身体健康"))
    return tmp_path / "cases"


def case(name: str, text: str, expected: str = "other") -> Case:
    where = Provenance(origin="appeal", reference=name, by="operator", at="2026-11-25")
    return Case(id=name, text=text, purpose="person", expected=expected, provenance=where)  # type: ignore[arg-type]


# One gate at a time -------------------------------------------------------------------------------


def test_no_greeting_may_be_blocked(served: Scorer, tmp_path: Path) -> None:
    greetings = [sample for sample in load_samples() if sample.category == "greeting"]
    assert greeting_gate(served, greetings).passed
    thresholds = dict(served.thresholds) | {"person": 1e-30}
    gate = greeting_gate(Scorer.load(variant(tmp_path / "m", thresholds=thresholds)), greetings)
    assert not gate.passed
    assert gate.found == f"{len(greetings)} blocked of {len(greetings)}"


def test_a_failed_case_is_named(served: Scorer) -> None:
    right, wrong = case("a", "今晚回家吃饭吗"), case("b", "今晚回家吃饭吗？", "commercial")
    assert case_gate(served, [right]).passed
    assert case_gate(served, []).passed
    gate = case_gate(served, [right, wrong])
    assert not gate.passed
    assert gate.found == "1 right of 2; wrong: b"


def test_recall_at_a_rate_counts_what_lies_over_the_rest() -> None:
    no = np.arange(100, dtype=np.float32)[None]
    yes = np.array([[98.5, 99.5, 50.0, 97.5]], np.float32)
    assert recall_at(yes, no, 0.01).tolist() == [0.5]
    assert recall_at(yes, no, 0.05).tolist() == [0.75]


def noisy(scorer: Scorer, share: float) -> Scorer:
    """The same model with some of its weights gone."""
    return Scorer(scorer.manifest, disturbed(weights_of(scorer), 1, share))


@pytest.fixture(scope="module")
def texts() -> list[Sample]:
    """Our own samples, each a few times in other words so that chance plays a part."""
    return [
        sample._replace(text=f"{sample.text}{chr(0x4E00 + n)}", source="own")
        for sample in load_samples()
        for n in range(4)
    ]


def test_the_same_model_loses_nothing(served: Scorer, texts: list[Sample]) -> None:
    found = recall_gates(served, served, texts)
    assert [gate.name for gate in found] == ["recall, own", "recall, all sources"]
    assert all(gate.passed for gate in found)


def test_a_loss_within_noise_passes_and_one_beyond_it_does_not(served: Scorer, texts: list[Sample]) -> None:
    assert all(gate.passed for gate in recall_gates(noisy(served, 0.01), served, texts))
    gate = recall_gates(noisy(served, 0.97), served, texts)[0]
    assert not gate.passed
    assert gate.wants.startswith(">= ")


def test_where_no_source_can_tell_the_gate_is_not_passed(served: Scorer, texts: list[Sample]) -> None:
    (gate,) = recall_gates(served, served, texts[:60])
    assert (gate.passed, gate.found) == (False, "too few among 60")


class Slower(Scorer):
    """Takes about twice the time."""

    def score(self, texts: Sequence[str]) -> Scores:
        super().score(texts)
        return super().score(texts)


def test_a_slower_model_is_told(served: Scorer, texts: list[Sample]) -> None:
    words = [sample.text for sample in texts]
    assert all(gate.passed for gate in speed_gates(served, served, words))
    slower = Slower(served.manifest, weights_of(served))
    assert [gate.passed for gate in speed_gates(slower, served, words)] == [False, False]


# The verb -----------------------------------------------------------------------------------------


def run(candidate: Path, to: Path, data: Path, cases: Path, *more: str) -> int:
    where = ("--candidate", str(candidate), "--to", str(to), "--data", str(data), "--cases", str(cases))
    return main(["promote", *where, *more])


def test_the_first_model_needs_only_the_gates_that_compare_nothing(
    data: Path, cases: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(DEFAULT, tmp_path / "served", data, cases) == 0
    printed = capsys.readouterr().out
    assert [line.split("  ")[0] for line in printed.splitlines()[1:3]] == ["greetings", "cases"]
    assert "recall" not in printed
    manifest = read_manifest(tmp_path / "served")
    assert manifest.sha256 == read_manifest(DEFAULT).sha256
    assert set(manifest.reference) == set(PURPOSES)
    assert all(len(counts) == BINS for counts in manifest.reference.values())
    assert sum(manifest.reference["person"]) > 100
    assert earlier_models(tmp_path / "served") == []


def test_a_model_no_worse_replaces_the_one_before_which_is_kept(
    data: Path, cases: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    to = tmp_path / "served"
    promote(DEFAULT, to, data, cases, clock=lambda: 0)
    candidate = variant(tmp_path / "candidate", version=2, bias=-0.01)
    capsys.readouterr()
    promoted = promote(candidate, to, data, cases, clock=lambda: 1)
    assert read_manifest(to).model_id == promoted
    assert [model.manifest.version for model in earlier_models(to)] == [1]
    printed = capsys.readouterr().out
    assert "recall, all sources" in printed
    assert "speed, one text" in printed
    assert "FAILED" not in printed


def test_every_failed_gate_is_named_and_nothing_is_changed(
    data: Path, cases: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    to = tmp_path / "served"
    promote(DEFAULT, to, data, cases)
    before = read_manifest(to)
    candidate = variant(tmp_path / "candidate", thresholds=dict.fromkeys(PURPOSES, 1e-9))
    assert run(candidate, to, data, cases) == 1
    said = capsys.readouterr()
    assert "it failed: greetings, cases\n" in said.err
    assert said.out.count("FAILED") == 2
    assert read_manifest(to) == before


def test_a_model_that_catches_less_is_not_promoted(data: Path, cases: Path, tmp_path: Path) -> None:
    candidate = variant(tmp_path / "candidate", forgets=0.97)
    to = tmp_path / "served"
    promote(DEFAULT, to, data, cases)
    with pytest.raises(NotPromotedError, match="recall, own"):
        promote(candidate, to, data, cases)


def test_a_candidate_that_is_only_asked_keeps_the_answers_and_is_not_served(
    data: Path, cases: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    to = tmp_path / "served"
    promote(DEFAULT, to, data, cases)
    candidate = variant(tmp_path / "candidate", version=2, bias=-0.01)
    assert run(candidate, to, data, cases, "--ask") == 0
    assert "may be promoted from the console" in capsys.readouterr().out
    manifest = read_manifest(candidate)
    asked = read_gates(candidate, manifest.model_id)
    assert asked is not None
    assert (asked.passed, asked.beside) == (True, read_manifest(to).model_id)
    assert sum(manifest.reference["person"]) > 100
    assert read_manifest(to).version == 1
    append(cases / "appeals.jsonl", case("appeal-2", "【云杉】全场5折，满200减50，快来抢购，退订回T"))
    again = variant(tmp_path / "again", version=3, bias=-0.02)
    assert run(again, to, data, cases, "--ask") == 1
    assert "it failed: cases\n" in capsys.readouterr().err
    asked = read_gates(again, read_manifest(again).model_id)
    assert asked is not None
    assert [gate.found for gate in asked.gates if not gate.passed] == ["1 right of 2; wrong: appeal-2"]
    assert not read_manifest(again).reference


def test_what_is_served_may_be_of_other_features(
    data: Path, cases: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    to = variant(tmp_path / "served", feature_version=0)
    assert run(DEFAULT, to, data, cases) == 0
    assert "nothing to compare with" in capsys.readouterr().out
    assert Scorer.load(to).model_id == read_manifest(DEFAULT).model_id


def test_there_is_no_way_round_the_gates(data: Path, cases: Path, tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        run(DEFAULT, tmp_path / "served", data, cases, "--force")
    assert not (tmp_path / "served").exists()


def test_the_gates_stand_in_columns() -> None:
    lines = gates.table([gates.Gate("greetings", True, "0 blocked", "0 of 9"), gates.Gate("cases", False, "all", "1")])
    assert lines.splitlines()[2].split() == ["cases", "FAILED", "all", "1"]
