"""Small models for tests: real folders with random weights."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from smsc_filter.classifier.manifest import Manifest, read_manifest
from smsc_filter.classifier.scorer import Scorer, Weights, write_weights

DEFAULT = Path(__file__).parents[2] / "models" / "default"


def weights_of(scorer: Scorer) -> Weights:
    """The numbers of a model in memory."""
    return scorer._weights


def disturbed(weights: Weights, seed: int, share: float) -> Weights:
    """The same numbers, with a share of the n-grams forgotten."""
    name = max(weights._fields, key=lambda field: getattr(weights, field).size)
    rows = getattr(weights, name).copy()
    rows[np.random.default_rng(seed).random(len(rows)) < share] = 0
    return weights._replace(**{name: rows})


def variant(folder: Path, /, *, of: Path = DEFAULT, bias: float = 0.0, forgets: float = 0.0, **changes: Any) -> Path:
    """A model like ``of`` moved by ``bias`` in log-odds, that forgets a share of the n-grams; manifest as changed."""
    weights = weights_of(Scorer.load(of))
    if forgets:
        weights = disturbed(weights, 1, forgets)
    weights = weights._replace(commercial_bias=weights.commercial_bias + np.float32(bias))
    folder.mkdir(parents=True, exist_ok=True)
    write_weights(weights, folder / "partial")
    sha256 = hashlib.sha256((folder / "partial").read_bytes()).hexdigest()
    name = f"weights-{sha256[:8]}.joblib"
    (folder / "partial").rename(folder / name)
    manifest: Manifest = replace(read_manifest(of), weights=name, sha256=sha256, **changes)
    manifest.write(folder)
    return folder
