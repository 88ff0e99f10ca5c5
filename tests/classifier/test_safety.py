"""A folder from anywhere: what is in it is refused by name, in bounded time, and never executed."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from joblib.numpy_pickle import NumpyArrayWrapper

from smsc_filter.classifier import manifest as manifests
from smsc_filter.classifier.manifest import MANIFEST, MOST_MANIFEST_OCTETS, PURPOSES, ModelError, read_manifest
from smsc_filter.classifier.scorer import Scorer
from tests.classifier.models import DEFAULT, variant, weights_of


class Trap:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def folder_with(folder: Path, octets: bytes) -> Path:
    """A model whose manifest vouches for ``octets``."""
    (folder / "weights-x.joblib").write_bytes(octets)
    changed = replace(read_manifest(DEFAULT), weights="weights-x.joblib", sha256=hashlib.sha256(octets).hexdigest())
    changed.write(folder)
    return folder


def dumped(value: Any, compress: int = 0) -> bytes:
    written = io.BytesIO()
    joblib.dump(value, written, compress=compress)
    return written.getvalue()


def good() -> dict[str, Any]:
    found: dict[str, Any] = weights_of(Scorer.load(DEFAULT))._asdict()
    return found


def with_a_value(value: float) -> bytes:
    """The default model with one wrong number in its longest array of float32."""
    arrays = good()
    name = max((n for n, a in arrays.items() if a.dtype == np.float32), key=lambda n: arrays[n].size)
    arrays[name] = arrays[name].copy()
    arrays[name].flat[7] = value
    return dumped(arrays)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_weight_that_is_not_finite_is_refused(tmp_path: Path, value: float) -> None:
    with pytest.raises(ModelError, match="not finite"):
        Scorer.load(folder_with(tmp_path, with_a_value(value)))


@pytest.mark.parametrize(
    "dress",
    [
        pytest.param(lambda trap: pickle.dumps(trap), id="plain"),
        pytest.param(lambda trap: dumped(good() | {"kind": trap}), id="in-place-of-weights"),
        pytest.param(lambda trap: dumped(good() | {trap: 1}), id="as-a-key"),
        pytest.param(lambda trap: dumped(good()) + pickle.dumps(trap), id="behind-the-weights"),
        pytest.param(lambda trap: dumped([np.array([trap], object)]), id="array-of-objects"),
        pytest.param(lambda trap: dumped(trap, compress=3), id="compressed"),
        pytest.param(lambda trap: zlib.compress(pickle.dumps(trap)), id="zlib"),
    ],
)
def test_a_foreign_pickle_is_never_executed(tmp_path: Path, dress: Callable[[Trap], bytes]) -> None:
    executed = tmp_path / "executed"
    try:
        Scorer.load(folder_with(tmp_path, dress(Trap(executed))))
    except ModelError as error:
        assert "weights-x.joblib" in str(error)
        assert "\n" not in str(error)
    assert not executed.exists()


def test_an_array_that_claims_to_be_huge_costs_nothing(tmp_path: Path) -> None:
    claim = NumpyArrayWrapper(np.ndarray, (1 << 44,), "C", np.dtype(np.float32))
    claims = pickle.dumps(good() | {"commercial": claim}, protocol=4)
    with pytest.raises(ModelError, match=r"weights-x\.joblib"):
        Scorer.load(folder_with(tmp_path, claims))


def test_a_compressed_file_is_not_unpacked(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is not a file of weights"):
        Scorer.load(folder_with(tmp_path, dumped(good(), compress=9)))


@pytest.mark.parametrize("which", [MANIFEST, "weights"])
def test_a_pipe_keeps_nobody_waiting(tmp_path: Path, which: str) -> None:
    folder = variant(tmp_path / "m")
    path = folder / (MANIFEST if which == MANIFEST else read_manifest(folder).weights)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(ModelError, match="is no regular file"):
        Scorer.load(folder)


def test_files_have_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = variant(tmp_path / "m")
    monkeypatch.setattr("smsc_filter.classifier.scorer.MOST_WEIGHTS_OCTETS", 1_000)
    with pytest.raises(ModelError, match="more than 1,000 octets"):
        Scorer.load(folder)
    (folder / MANIFEST).write_bytes(b" " * (MOST_MANIFEST_OCTETS + 1))
    with pytest.raises(ModelError, match="more than 1,048,576 octets"):
        read_manifest(folder)


def test_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    first, second = variant(tmp_path / "1"), variant(tmp_path / "2", bias=1.0)
    (first / read_manifest(first).weights).write_bytes((second / read_manifest(second).weights).read_bytes())
    with pytest.raises(ModelError, match="SHA-256 differs"):
        Scorer.load(first)


@pytest.mark.parametrize("change", [-1, 1])
def test_another_feature_version_is_refused_before_the_weights_are_read(tmp_path: Path, change: int) -> None:
    folder = variant(tmp_path / "m", feature_version=read_manifest(DEFAULT).feature_version + change)
    (folder / read_manifest(folder).weights).unlink()
    with pytest.raises(ModelError, match="train it again"):
        Scorer.load(folder)


@pytest.mark.parametrize(
    "reference",
    [
        pytest.param([1], id="a-list"),
        pytest.param({"person": [1]}, id="one-purpose"),
        pytest.param({purpose: [-1] for purpose in PURPOSES}, id="negative"),
        pytest.param({purpose: [0.5] for purpose in PURPOSES}, id="not-whole"),
        pytest.param(dict.fromkeys(PURPOSES, "1"), id="text"),
    ],
)
def test_a_reference_that_is_no_histogram_is_named(tmp_path: Path, reference: object) -> None:
    folder = variant(tmp_path / "m")
    said = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    (folder / MANIFEST).write_text(json.dumps(said | {"reference": reference}), encoding="utf-8")
    with pytest.raises(ModelError, match="reference"):
        manifests.read_manifest(folder)
