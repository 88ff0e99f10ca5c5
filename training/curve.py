"""``curve.json`` of a model: what every threshold does to the texts held out, by purpose of sender."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from smsc_filter.classifier.curve import measure, write_curves
from smsc_filter.classifier.manifest import PURPOSES
from smsc_filter.samples import Sample
from training import prepare

WRITES: Final = {"service": ("verification", "service"), "person": ("personal", "greeting")}
"""Purpose of a sender -> kinds of the other texts that it writes; a commercial sender is held against all of them."""


def write_curve(folder: Path, model_id: str, samples: Sequence[Sample], scores: NDArray[np.float32]) -> None:
    """Write the curve of each purpose into ``folder``.

    Args:
        folder: of the model.
        model_id: of the model.
        samples: n texts that the scores were not learnt from, commercial ones among them.
        scores: shape (n,).
    """
    commercial = np.array([sample.label == "commercial" for sample in samples])
    kind = np.array([prepare.kind_of(sample) or "" for sample in samples])
    curves = {}
    for purpose in PURPOSES:
        theirs = ~commercial & np.isin(kind, WRITES[purpose]) if purpose in WRITES else ~commercial
        curves[purpose] = measure(scores[commercial], scores[theirs])
    write_curves(folder, model_id, curves)
