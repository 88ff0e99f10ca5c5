import hashlib
import json
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smsc_filter.classifier.features import FEATURE_VERSION, KIND_ROWS, ROWS
from smsc_filter.classifier.manifest import KINDS, MANIFEST, Manifest, read_manifest
from smsc_filter.classifier.scorer import BATCH, ModelError, Scorer, Weights, write_weights
from smsc_filter.samples import load_samples

DEFAULT = Path(__file__).parents[2] / "models" / "default"

THRESHOLDS = {"commercial": 0.5, "service": 0.8, "person": 0.95}


def random_weights(seed: int = 1) -> Weights:
    chance = np.random.default_rng(seed)
    return Weights(
        commercial=chance.normal(size=ROWS).astype(np.float32),
        commercial_bias=np.array([-0.25], np.float32),
        kind=chance.normal(size=(KIND_ROWS, len(KINDS))).astype(np.float32),
        kind_bias=chance.normal(size=len(KINDS)).astype(np.float32),
    )


def write_model(folder: Path, weights: Any, /, **changes: Any) -> Path:
    """A model whose manifest describes its file, whatever the file holds."""
    path = folder / "weights.joblib"
    if isinstance(weights, bytes):
        path.write_bytes(weights)
    elif isinstance(weights, Weights):
        write_weights(weights, path)
    else:
        joblib.dump(weights, path)
    manifest = Manifest(
        name="test",
        version=1,
        created="2026-01-01T00:00:00+00:00",
        weights=path.name,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        feature_version=FEATURE_VERSION,
        kinds=KINDS,
        thresholds=THRESHOLDS,
        data_fingerprint="",
    )
    replace(manifest, **changes).write(folder)
    return folder


@pytest.fixture(scope="module")
def scorer(tmp_path_factory: pytest.TempPathFactory) -> Scorer:
    return Scorer.load(write_model(tmp_path_factory.mktemp("model"), random_weights()))


# Scores -------------------------------------------------------------------------------------------


def test_an_empty_batch_gives_empty_arrays(scorer: Scorer) -> None:
    scores = scorer.score([])
    assert (scores.score.shape, scores.score.dtype) == ((0,), np.float32)
    assert (scores.kind.shape, scores.kind.dtype) == ((0,), np.uint8)
    assert scorer.log_odds([]).shape == (0,)


@settings(max_examples=200)
@given(texts=st.lists(st.text(st.characters(), max_size=90), max_size=6))
def test_any_text_has_a_finite_score_and_a_kind(scorer: Scorer, texts: list[str]) -> None:
    scores = scorer.score(texts)
    assert scores.score.shape == scores.kind.shape == (len(texts),)
    assert np.isfinite(scores.score).all()
    assert ((scores.score >= 0) & (scores.score <= 1)).all()
    assert (scores.kind < len(KINDS)).all()


@given(texts=st.lists(st.text(max_size=60), min_size=2, max_size=6))
def test_neighbours_in_the_batch_change_nothing(scorer: Scorer, texts: list[str]) -> None:
    together = scorer.score(texts)
    alone = [scorer.score([text]) for text in texts]
    assert together.score.tolist() == pytest.approx([s.score[0] for s in alone], abs=1e-6)
    assert together.kind.tolist() == [s.kind[0] for s in alone]


def test_a_batch_larger_than_a_piece_is_scored_whole(scorer: Scorer) -> None:
    texts = [f"text {'x' * (number % 50)}" for number in range(2 * BATCH + 3)]
    scores = scorer.score(texts)
    assert scores.score[-1] == pytest.approx(scorer.score(texts[-1:]).score[0], abs=1e-6)
    assert scorer.log_odds(texts).shape == scores.score.shape


@pytest.mark.parametrize("bias", [1e30, -1e30])
def test_huge_weights_still_give_a_probability(bias: float) -> None:
    weights = random_weights()._replace(commercial_bias=np.array([bias], np.float32))
    manifest = Manifest(
        name="huge", version=1, created="", weights="", sha256="", feature_version=FEATURE_VERSION,
        kinds=KINDS, thresholds=THRESHOLDS, data_fingerprint="",
    )  # fmt: skip
    assert Scorer(manifest, weights).score(["x"]).score.tolist() == [pytest.approx(float(bias > 0))]


def test_the_kind_takes_the_side_of_the_score(scorer: Scorer) -> None:
    scores = scorer.score([f"{word} {number}" for number in range(40) for word in ("优惠", "hello", "【店】")])
    assert 0 < (scores.score >= 0.5).mean() < 1
    for score, kind in zip(scores.score, scores.kind, strict=True):
        assert (KINDS[kind] in ("commercial", "fraud")) == (score >= 0.5)


# Explanations -------------------------------------------------------------------------------------


@given(text=st.text(st.characters(), max_size=80))
def test_contributions_add_up_to_the_log_odds(scorer: Scorer, text: str) -> None:
    parts = scorer.explain(text, most=10_000)
    total = scorer.bias + sum(part.log_odds for part in parts)
    assert total == pytest.approx(float(scorer.log_odds([text])[0]), abs=1e-4)


def test_the_largest_contributions_come_first(scorer: Scorer) -> None:
    parts = scorer.explain("周年庆全场五折起，拒收请回复R")
    assert len(parts) == 12
    sizes = [abs(part.log_odds) for part in parts]
    assert sizes == sorted(sizes, reverse=True)


# Loading ------------------------------------------------------------------------------------------


def test_a_model_is_named_by_its_weights(tmp_path: Path) -> None:
    scorer = Scorer.load(write_model(tmp_path, random_weights()))
    assert scorer.model_id == f"test-1@{read_manifest(tmp_path).sha256[:8]}"
    assert dict(scorer.thresholds) == THRESHOLDS


def test_a_changed_file_is_refused_before_it_is_read_as_a_pickle(tmp_path: Path) -> None:
    write_model(tmp_path, random_weights())
    trap = tmp_path / "executed"
    (tmp_path / "weights.joblib").write_bytes(pickle.dumps(Trap(trap)))
    with pytest.raises(ModelError, match="SHA-256 differs"):
        Scorer.load(tmp_path)
    assert not trap.exists()


class Trap:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize(
    "wrap",
    [
        pytest.param(pickle.dumps, id="plain"),
        pytest.param(lambda trap: pickle.dumps({"commercial": trap}), id="inside-a-dictionary"),
        pytest.param(lambda trap: pickle.dumps(trap, protocol=0), id="protocol-0"),
        pytest.param(lambda trap: np.array([trap], object), id="array-of-objects"),
        pytest.param(lambda trap: {"commercial": np.array([trap], object)}, id="array-of-objects-in-place"),
    ],
)
def test_a_foreign_pickle_is_refused_and_nothing_is_executed(tmp_path: Path, wrap: Any) -> None:
    trap = tmp_path / "executed"
    write_model(tmp_path, wrap(Trap(trap)))
    with pytest.raises(ModelError, match=r"weights\.joblib"):
        Scorer.load(tmp_path)
    assert not trap.exists()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        pytest.param({"commercial_bias": np.array([np.nan], np.float32)}, "not finite", id="nan"),
        pytest.param({"kind_bias": np.full(len(KINDS), np.inf, np.float32)}, "not finite", id="infinite"),
        pytest.param({"commercial": np.zeros(5, np.float32)}, "of shape", id="too-few-rows"),
        pytest.param({"commercial_bias": np.zeros(1)}, "not of float32", id="float64"),
        pytest.param({"commercial_bias": 0.5}, "must be float32", id="no-array"),
        pytest.param({"extra": np.zeros(1, np.float32)}, "must hold", id="more-than-weights"),
    ],
)
def test_unfit_weights_are_refused(tmp_path: Path, change: dict[str, Any], says: str) -> None:
    write_model(tmp_path, random_weights()._asdict() | change)
    with pytest.raises(ModelError, match=says):
        Scorer.load(tmp_path)


@pytest.mark.parametrize(
    "octets",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"weights", id="text"),
        pytest.param(b"\x80\x04N.", id="none"),
        pytest.param(pickle.dumps([1, 2]), id="list"),
    ],
)
def test_what_is_no_file_of_weights_is_refused(tmp_path: Path, octets: bytes) -> None:
    with pytest.raises(ModelError, match=r"weights\.joblib"):
        Scorer.load(write_model(tmp_path, octets))


def test_weights_cut_short_are_refused(tmp_path: Path) -> None:
    write_weights(random_weights(), tmp_path / "whole")
    with pytest.raises(ModelError, match="is not a file of weights"):
        Scorer.load(write_model(tmp_path, (tmp_path / "whole").read_bytes()[:100_000]))


def test_another_feature_version_is_refused(tmp_path: Path) -> None:
    write_model(tmp_path, random_weights(), feature_version=FEATURE_VERSION + 1)
    with pytest.raises(ModelError, match="train it again"):
        Scorer.load(tmp_path)


def test_missing_weights_are_refused(tmp_path: Path) -> None:
    write_model(tmp_path, random_weights(), weights="elsewhere.joblib")
    with pytest.raises(ModelError, match=r"elsewhere\.joblib: cannot be read"):
        Scorer.load(tmp_path)


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=MANIFEST):
        Scorer.load(tmp_path / "nowhere")


# The model in the repository ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def default() -> Scorer:
    return Scorer.load(DEFAULT)


def test_the_default_model_is_whole_and_small(default: Scorer) -> None:
    assert default.thresholds["commercial"] <= default.thresholds["service"] <= default.thresholds["person"]
    assert sum(path.stat().st_size for path in DEFAULT.iterdir()) < 5_000_000
    assert json.loads((DEFAULT / MANIFEST).read_text(encoding="utf-8"))["sha256"] == default.manifest.sha256


def test_the_default_model_blocks_no_greeting_and_no_personal_text_of_ours(default: Scorer) -> None:
    texts = [s.text for s in load_samples() if s.category in ("greeting", "personal")]
    scores = default.score(texts).score
    over = [text for text, score in zip(texts, scores, strict=True) if score >= default.thresholds["person"]]
    assert not over


def test_the_default_model_tells_our_samples_apart(default: Scorer) -> None:
    samples = load_samples()
    commercial = np.array([sample.label == "commercial" for sample in samples])
    over = default.score([sample.text for sample in samples]).score >= default.thresholds["commercial"]
    assert over[commercial].mean() > 0.9
    assert over[~commercial].mean() < 0.05


@pytest.mark.parametrize(
    ("plain", "disguised"),
    [
        pytest.param("全场五折，免费领取", "全\u200b场五\u200b折，免\u200b费领取", id="zero-width"),
        pytest.param("FREE entry, call now", "ＦＲＥＥ entry, call now", id="full-width"),
        pytest.param("免费领取红包", "免 费 领 取 红 包", id="blanks"),
        pytest.param("優惠大酬賓", "优惠大酬宾", id="simplified"),
        pytest.param("free entry, win cash", "frее entrу, win саsh", id="look-alikes"),
        pytest.param("free entry to win", "f r e e   e n t r y   t o   w i n", id="letters-set-wide"),
        pytest.param("加微信领红包", "加V信领红包", id="a-letter-for-a-sound"),
        pytest.param("call 13800123456", "call ①380012345⑥", id="circled-digits"),
    ],
)
def test_a_disguise_never_lowers_a_score(default: Scorer, plain: str, disguised: str) -> None:
    assert default.score([plain]).score[0] <= default.score([disguised]).score[0] + 1e-6
