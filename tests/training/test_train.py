import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from smsc_filter.classifier import features
from smsc_filter.classifier.curve import CURVE, read_curves
from smsc_filter.classifier.manifest import CARD, MANIFEST, PURPOSES, read_manifest
from smsc_filter.classifier.scorer import WINDOW, Scorer
from smsc_filter.classifier.versions import UNSEEN
from smsc_filter.samples import load_samples
from training.__main__ import main
from training.prepare import OWN, read_corpus
from training.train import evidence_matrix, fit, gram_matrix, train


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small corpus: advertisements and chat that a few words tell apart."""
    folder = tmp_path_factory.mktemp("data")
    with (folder / "toy.jsonl").open("w", encoding="utf-8") as file:
        for n in range(120):
            word = chr(0x4E00 + 37 * n) + chr(0x5000 + 53 * n)
            for text, label, category in (
                (f"【{word}】全场{n}折，退订回T", "commercial", "commercial"),
                (f"{word}，今晚回家吃饭吗", "other", "personal"),
                (f"祝{word}新年快乐，身体健康", "other", "greeting"),
            ):
                said = {"text": text, "label": label, "category": category, "lang": "zh"}
                file.write(json.dumps(said) + "\n")
    return folder


@pytest.fixture(scope="module")
def model(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("model")
    train(data, folder, name="toy", version=2, seed=3)
    yield folder


def test_a_trained_model_is_whole(model: Path, data: Path) -> None:
    manifest = read_manifest(model)
    assert (manifest.name, manifest.version, manifest.seed) == ("toy", 2, 3)
    assert manifest.sources == {OWN: len(load_samples()), "toy": 360}
    assert manifest.data_fingerprint == read_corpus(data).fingerprint
    low, middle, high = (manifest.thresholds[purpose] for purpose in PURPOSES)
    assert 0 < low <= middle <= high < 1
    assert sorted(path.name for path in model.iterdir()) == sorted([manifest.weights, MANIFEST, CARD, UNSEEN, CURVE])


def test_a_trained_model_tells_the_toy_texts_apart(model: Path) -> None:
    scores = Scorer.load(model).score(["【云杉】全场六折，退订回T", "小林，今晚回家吃饭吗"]).score
    assert scores[0] > 0.9 > 0.1 > scores[1]


def test_the_same_seed_gives_the_same_weights(model: Path, data: Path, tmp_path: Path) -> None:
    assert train(data, tmp_path, name="toy", version=2, seed=3).sha256 == read_manifest(model).sha256


def test_the_card_gives_figures_and_no_text(model: Path) -> None:
    card = (model / CARD).read_text(encoding="utf-8")
    assert "toy-2@" in card
    assert "greetings over" in card
    assert not [sample.text for sample in load_samples() if sample.text in card]


def test_the_curve_is_of_the_texts_held_out(model: Path) -> None:
    curves = read_curves(model, read_manifest(model).model_id)
    assert set(curves) == set(PURPOSES)
    every, person, service = (curves[purpose] for purpose in ("commercial", "person", "service"))
    assert every.commercial == person.commercial == service.commercial > 0
    assert every.other > person.other > service.other > 0
    point = every.point(every.nearest(0.5))
    assert point.recall > 0.7 > 0.1 > point.false_alarms
    assert list(every.recall) == sorted(every.recall, reverse=True)


def test_training_again_leaves_one_file_of_weights(data: Path, tmp_path: Path) -> None:
    train(data, tmp_path)
    (tmp_path / "weights-00000000.joblib").touch()
    train(data, tmp_path)
    assert len(list(tmp_path.glob("weights-*"))) == 1


def test_evidence_of_hiding_never_speaks_for_a_text(model: Path) -> None:
    rows = features.evidence_rows(features.EVIDENCE_CODES, features.ROW_BITS)
    assert (Scorer.load(model)._weights.commercial[rows] >= 0).all()


def test_evaluate_asks_the_model_as_it_was_before_it_learnt_from_the_texts(
    model: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", "--model", str(model), "--data", str(data)]) == 0
    printed = capsys.readouterr().out
    assert "flatter" not in printed
    assert "greetings blocked, threshold person" in printed
    assert "zh spaced" in printed


def test_a_kind_without_texts_is_named(data: Path) -> None:
    samples = [s for s in load_samples() if s.category != "verification"]
    with pytest.raises(ValueError, match="no text of kind verification"):
        fit(samples, seed=0)


def test_the_matrix_gives_the_scores_of_the_scorer(model: Path) -> None:
    scorer = Scorer.load(model)
    texts = ["", *(sample.text for sample in load_samples())]
    texts += [f"{text[:9]}\u200b{text[9:]} frее" for text in texts]
    texts = [text for text in texts if len(text) <= WINDOW]  # a longer one is trained whole and scored by windows
    matrix = gram_matrix(texts, range(1, features.LONGEST + 1), features.ROW_BITS) + evidence_matrix(texts)
    weights = scorer._weights.commercial
    assert matrix @ weights + scorer.bias == pytest.approx(scorer.log_odds(texts), abs=1e-3)


# Verbs --------------------------------------------------------------------------------------------


def test_evaluate_prints_a_row_for_each_source(model: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "--model", str(model), "--data", str(data)]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("toy-2@")
    assert [line.split()[0] for line in printed.splitlines() if line.startswith(("own", "toy "))] == ["own", "toy"]
    assert "not the texts" not in printed


def test_evaluate_says_when_the_texts_are_others(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = {"text": "今晚见", "label": "other", "category": "personal", "lang": "zh"}
    (tmp_path / "chat.jsonl").write_text(json.dumps(line), encoding="utf-8")
    assert main(["evaluate", "--model", str(model), "--data", str(tmp_path)]) == 0
    assert "not the texts the model was trained on" in capsys.readouterr().out
    assert main(["evaluate", "--all", "--model", str(model), "--data", str(tmp_path)]) == 0
    assert "flatter" in capsys.readouterr().out


def test_an_error_is_one_line_and_a_status(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "--model", str(tmp_path), "--data", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert said.startswith("training: ")
    assert said.count("\n") == 1


def test_train_by_its_verb(data: Path, tmp_path: Path) -> None:
    assert main(["train", "--data", str(data), "--out", str(tmp_path / "new")]) == 0
    assert Scorer.load(tmp_path / "new").model_id.startswith("default-1@")


def test_weights_are_plain_float32(model: Path) -> None:
    assert {array.dtype for array in Scorer.load(model)._weights} == {np.dtype(np.float32)}
