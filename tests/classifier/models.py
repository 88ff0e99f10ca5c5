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


def variant(folder: Path, /, *, of: Path = DEFAULT, bias: float = 0.0, **changes: Any) -> Path:
    """A model like ``of`` whose scores are moved by ``bias`` in log-odds, with some of its manifest changed."""
    weights = weights_of(Scorer.load(of))
    weights = weights._replace(commercial_bias=weights.commercial_bias + np.float32(bias))
    folder.mkdir(parents=True, exist_ok=True)
    write_weights(weights, folder / "partial")
    sha256 = hashlib.sha256((folder / "partial").read_bytes()).hexdigest()
    name = f"weights-{sha256[:8]}.joblib"
    (folder / "partial").rename(folder / name)
    manifest: Manifest = replace(read_manifest(of), weights=name, sha256=sha256, **changes)
    manifest.write(folder)
    return folder
