import json
from pathlib import Path
from typing import Any

import pytest

from smsc_filter.classifier.manifest import KINDS, MANIFEST, Manifest, ModelError, read_manifest

GOOD = Manifest(
    name="default",
    version=3,
    created="2026-01-01T00:00:00+00:00",
    weights="weights-3f2a91c0.joblib",
    sha256="3f2a91c0" + "0" * 56,
    feature_version=1,
    kinds=KINDS,
    thresholds={"commercial": 0.5, "service": 0.8, "person": 0.95},
    data_fingerprint="f" * 64,
    sources={"own": 3},
    seed=7,
)


def test_a_manifest_comes_back_as_it_was_written(tmp_path: Path) -> None:
    GOOD.write(tmp_path)
    assert read_manifest(tmp_path) == GOOD
    assert GOOD.model_id == "default-3@3f2a91c0"


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        pytest.param("weights", "../weights.joblib", "the name of a file beside it", id="weights-elsewhere"),
        pytest.param("weights", "", "the name of a file beside it", id="weights-unnamed"),
        pytest.param("sha256", "abc", "64 lower-case", id="short-checksum"),
        pytest.param("sha256", 5, "must be a string", id="checksum-no-string"),
        pytest.param("version", "1", "must be a whole number", id="version-a-string"),
        pytest.param("feature_version", True, "must be a whole number", id="version-a-bool"),
        pytest.param("kinds", ["spam"], "kinds must be verification", id="other-kinds"),
        pytest.param("thresholds", {"commercial": 0.5}, "thresholds must give", id="missing-purpose"),
        pytest.param("thresholds", [0.5], "thresholds must give", id="no-object"),
        pytest.param("thresholds", {"commercial": 0, "service": 0.5, "person": 1}, "thresholds.commercial", id="zero"),
        pytest.param(
            "thresholds",
            {"commercial": 0.5, "service": 0.5, "person": float("nan")},
            "thresholds.person",
            id="not-a-number",
        ),
        pytest.param("sources", {"own": "many"}, "sources must give", id="source-without-number"),
    ],
)
def test_a_wrong_value_is_named(tmp_path: Path, key: str, value: Any, says: str) -> None:
    GOOD.write(tmp_path)
    said = json.loads((tmp_path / MANIFEST).read_text(encoding="utf-8"))
    (tmp_path / MANIFEST).write_text(json.dumps(said | {key: value}), encoding="utf-8")
    with pytest.raises(ModelError, match=says) as caught:
        read_manifest(tmp_path)
    assert str(tmp_path / MANIFEST) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "key", ["name", "version", "created", "weights", "sha256", "feature_version", "kinds", "thresholds", "sources"]
)
def test_a_missing_key_is_named(tmp_path: Path, key: str) -> None:
    GOOD.write(tmp_path)
    said = json.loads((tmp_path / MANIFEST).read_text(encoding="utf-8"))
    del said[key]
    (tmp_path / MANIFEST).write_text(json.dumps(said), encoding="utf-8")
    with pytest.raises(ModelError, match=f"lacks '{key}'"):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    ("octets", "says"),
    [
        pytest.param(b"", "is not JSON", id="empty"),
        pytest.param(b"{", "is not JSON", id="cut-off"),
        pytest.param(b"\xff\xfe", "is not JSON", id="not-utf-8"),
        pytest.param(b"[]", "must hold one JSON object", id="a-list"),
        pytest.param(b"[" * 100_000, "is not JSON", id="nested-too-deep"),
    ],
)
def test_what_is_no_manifest_is_refused(tmp_path: Path, octets: bytes, says: str) -> None:
    (tmp_path / MANIFEST).write_bytes(octets)
    with pytest.raises(ModelError, match=says):
        read_manifest(tmp_path)


def test_a_missing_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be read"):
        read_manifest(tmp_path)
