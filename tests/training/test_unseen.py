"""What a model said of texts before it learnt from them."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from smsc_filter.classifier.manifest import ModelError
from smsc_filter.classifier.scorer import Scorer
from smsc_filter.classifier.versions import UNSEEN, install
from smsc_filter.samples import load_samples
from tests.classifier.models import DEFAULT, variant
from training.promote import _comparable, recall_gates
from training.unseen import Unseen, keep_unseen

TEXTS = [sample.text for sample in load_samples()]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model that once said of our samples what the default model says, moved by 3, and has changed since."""
    folder = variant(tmp_path / "m", bias=3.0)
    keep_unseen(folder, [*TEXTS, TEXTS[0]])
    kept = (folder / UNSEEN).read_bytes()
    shutil.rmtree(folder)
    variant(folder, forgets=0.9)
    (folder / UNSEEN).write_bytes(kept)
    return folder


def test_it_answers_as_it_did(model: Path) -> None:
    unseen = Unseen.find(model)
    assert unseen is not None
    default = Scorer.load(DEFAULT)
    assert unseen.log_odds(TEXTS) == pytest.approx(default.log_odds(TEXTS) + 3, abs=1e-3)
    assert unseen.score(TEXTS).score == pytest.approx(1 / (1 + np.exp(-unseen.log_odds(TEXTS))), abs=1e-5)
    assert unseen.knows([TEXTS[3], "something else"]).tolist() == [True, False]
    assert unseen.model_id == Scorer.load(model).model_id


def test_models_are_compared_by_what_they_said_of_texts_both_had_not_seen(model: Path) -> None:
    unseen = Unseen.find(model)
    assert unseen is not None
    default = Scorer.load(DEFAULT)
    assert all(gate.passed for gate in recall_gates(unseen, default, load_samples()))
    assert not all(gate.passed for gate in recall_gates(Scorer.load(model), default, load_samples()))


def test_a_model_without_it_takes_none_over_from_the_one_before(model: Path, tmp_path: Path) -> None:
    install(model, tmp_path / "served")
    assert (tmp_path / "served" / UNSEEN).exists()
    install(variant(tmp_path / "other"), tmp_path / "served")
    assert Unseen.find(tmp_path / "served") is None


def test_what_both_said_then_is_compared_where_it_is_known(model: Path, tmp_path: Path) -> None:
    served = variant(tmp_path / "served")
    now, before = Scorer.load(model), Scorer.load(served)
    assert _comparable(model, now, served, before, load_samples()) == (now, before, load_samples())
    keep_unseen(served, TEXTS[: len(TEXTS) * 3 // 4])
    found = _comparable(model, now, served, before, load_samples())
    assert [type(each) for each in found[:2]] == [Unseen, Unseen]
    assert [sample.text for sample in found[2]] == TEXTS[: len(TEXTS) * 3 // 4]


@pytest.mark.parametrize("octets", [b"", b"not an archive", b"PK\x03\x04"])
def test_what_is_damaged_is_refused(model: Path, octets: bytes) -> None:
    (model / UNSEEN).write_bytes(octets)
    with pytest.raises(ModelError, match="is not what training keeps"):
        Unseen.find(model)
