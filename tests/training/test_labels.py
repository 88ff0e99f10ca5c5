"""Labels that people gave reach the next model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from smsc_filter.classifier.manifest import read_manifest
from smsc_filter.classifier.scorer import Scorer
from smsc_filter.samples import SampleError
from smsc_filter.samples.labels import LABELLED, Label, Provenance, append
from tests.classifier.models import DEFAULT
from training.__main__ import main
from training.prepare import read_corpus, with_labels
from training.train import fit

LEAFLET = "橡树街读书会每月第二个周六碰面，本月读{}，自带茶杯，报名找管理员"
"""What a reading circle sends its members, held to be advertising by whoever labelled the corpus."""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    with (folder / "toy.jsonl").open("w", encoding="utf-8") as file:
        for n in range(60):
            word = chr(0x4E00 + 37 * n) + chr(0x5000 + 53 * n)
            texts = [
                (f"【{word}】全场{n}折，退订回T", "commercial", "commercial"),
                (f"{word}，今晚回家吃饭吗", "other", "personal"),
                (f"祝{word}新年快乐，身体健康", "other", "greeting"),
            ]
            if n < 6:
                texts.append((LEAFLET.format(word), "commercial", "commercial"))
            for text, label, category in texts:
                said = {"text": text, "label": label, "category": category, "lang": "zh"}
                file.write(json.dumps(said) + "\n")
    return folder


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("labels") / "labels.jsonl"
    where = Provenance(origin="appeal", reference="appeal 17", by="operator", at="2026-11-25")
    append(path, Label(text=LEAFLET.format("红楼梦"), label="other", category="personal", provenance=where))
    return path


def test_a_label_is_learnt_from_and_what_contradicts_it_is_left_out(data: Path, labels: Path) -> None:
    before = read_corpus(data)
    corpus = with_labels(before, [labels])
    assert corpus.sources[LABELLED] == 1
    learnt = [sample for sample in corpus.part(held_out=False) if sample.source == LABELLED]
    assert [sample.weight for sample in learnt] == [16.0]
    assert not [s for s in corpus.samples if "橡树街" in s.text and s.label == "commercial"]
    assert len(corpus.samples) == len(before.samples) - 6 + 1
    assert len(corpus.samples) == len(corpus.groups) == len(corpus.held_out)
    assert corpus.fingerprint != before.fingerprint


def test_without_labels_nothing_changes(data: Path, tmp_path: Path) -> None:
    corpus = read_corpus(data)
    (tmp_path / "none.jsonl").touch()
    assert with_labels(corpus, [tmp_path / "none.jsonl"]) is corpus


def test_near_duplicates_of_a_label_are_not_measured_on(data: Path, tmp_path: Path) -> None:
    corpus = read_corpus(data)
    place = int(np.flatnonzero(corpus.held_out)[0])
    held_out = corpus.samples[place]
    where = Provenance(origin="operator", reference="1", by="operator", at="2026-11-25")
    append(tmp_path / "l.jsonl", Label(text=held_out.text, label=held_out.label, provenance=where))  # type: ignore[arg-type]
    again = with_labels(corpus, [tmp_path / "l.jsonl"])
    measured = set(again.groups[again.held_out].tolist())
    assert int(corpus.groups[place]) not in measured
    assert int(again.groups[-1]) == int(corpus.groups[place])


def test_a_label_changes_what_is_decided_of_its_near_duplicates(data: Path, labels: Path) -> None:
    text = LEAFLET.format("西游记")
    corpus = read_corpus(data)
    scores = [
        float(Scorer(read_manifest(DEFAULT), fit(learnt.samples, seed=0)).score([text]).score[0])
        for learnt in (corpus, with_labels(corpus, [labels]))
    ]
    assert scores[0] > 0.5 > scores[1]


def test_train_takes_labels_by_its_verb(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = ("train", "--data", str(data), "--out", str(tmp_path / "new"))
    assert main([*where, "--labels", str(tmp_path / "a.jsonl"), str(tmp_path / "b.jsonl")]) == 1
    assert "a.jsonl: cannot be read" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_a_file_that_holds_no_labels_is_named(data: Path, tmp_path: Path) -> None:
    (tmp_path / "l.jsonl").write_text("{}", encoding="utf-8")
    with pytest.raises(SampleError, match=r"l\.jsonl:1"):
        with_labels(read_corpus(data), [tmp_path / "l.jsonl"])
