"""What every threshold does to texts whose label is known: how many are caught, and how many false alarms that costs.

``training train`` measures it on the texts held out and writes it beside the weights as ``curve.json``; pages draw it.
A folder of before there were curves has none.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from smsc_filter.classifier.manifest import PURPOSES, ModelError, read_octets

CURVE: Final = "curve.json"
MOST_CURVE_OCTETS: Final = 1 << 20

STEPS: Final = 301
LOWEST, HIGHEST = -6.0, 9.2
"""Log-odds between which thresholds are tried, in even steps: from 0.0025 to 0.9999."""

DIGITS: Final = 5


@dataclass(frozen=True, slots=True)
class Point:
    """One threshold."""

    threshold: float
    recall: float
    """Share of the commercial texts that reach it."""
    false_alarms: float
    """Share of the other texts that reach it."""
    precision: float
    """Share of the texts that reach it that is commercial; 1 where none does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """All thresholds, for senders of one purpose."""

    commercial: int
    """Commercial texts it was measured on."""
    other: int
    """Other texts, such as senders of the purpose write."""
    threshold: tuple[float, ...]
    """Rising."""
    recall: tuple[float, ...]
    false_alarms: tuple[float, ...]

    def __len__(self) -> int:
        return len(self.threshold)

    def point(self, place: int) -> Point:
        """The threshold at a place."""
        return self._point(self.threshold[place], self.recall[place], self.false_alarms[place])

    def at(self, threshold: float) -> Point:
        """Any threshold, between those that were tried in proportion."""
        recall, alarms = (float(np.interp(threshold, self.threshold, its)) for its in (self.recall, self.false_alarms))
        return self._point(threshold, recall, alarms)

    def _point(self, threshold: float, recall: float, alarms: float) -> Point:
        caught = recall * self.commercial
        reached = caught + alarms * self.other
        return Point(threshold, recall, alarms, caught / reached if reached else 1.0)

    def nearest(self, threshold: float) -> int:
        """The place whose threshold is nearest."""
        return int(np.abs(np.asarray(self.threshold) - threshold).argmin())


def measure(commercial: ArrayLike, other: ArrayLike) -> Curve:
    """The curve of scores.

    Args:
        commercial: shape (n,), n above 0, scores in [0, 1] of commercial texts.
        other: shape (m,), those of other texts.
    """
    thresholds = np.unique(_rounded(1 / (1 + np.exp(-np.linspace(LOWEST, HIGHEST, STEPS))), 4))
    yes, no = (np.asarray(scores, np.float64) for scores in (commercial, other))
    return Curve(
        commercial=yes.size,
        other=no.size,
        threshold=tuple(thresholds.tolist()),
        recall=tuple(_reaching(yes, thresholds).tolist()),
        false_alarms=tuple(_reaching(no, thresholds).tolist()),
    )


def write_curves(folder: Path, model_id: str, curves: Mapping[str, Curve]) -> None:
    """Write ``curve.json``: the curve of each purpose."""
    said = {"model": model_id, "curves": {purpose: asdict(curve) for purpose, curve in curves.items()}}
    (folder / CURVE).write_text(json.dumps(said) + "\n", encoding="utf-8")


def read_curves(folder: Path, model_id: str) -> dict[str, Curve]:
    """The curve of each purpose; none where the file is missing, is damaged or speaks of another model."""
    try:
        said = json.loads(read_octets(folder / CURVE, MOST_CURVE_OCTETS))
        if said["model"] != model_id:
            return {}
        return {purpose: _curve(said["curves"][purpose]) for purpose in PURPOSES}
    except (ModelError, ValueError, LookupError, TypeError):
        return {}


def _curve(said: Mapping[str, object]) -> Curve:
    threshold, recall, alarms = (_shares(said[name]) for name in ("threshold", "recall", "false_alarms"))
    if not len(threshold) == len(recall) == len(alarms) or list(threshold) != sorted(threshold):
        raise ValueError("a curve must have as many values of each, by rising threshold")
    return Curve(
        commercial=_count(said["commercial"]),
        other=_count(said["other"]),
        threshold=threshold,
        recall=recall,
        false_alarms=alarms,
    )


def _shares(said: object) -> tuple[float, ...]:
    values = np.asarray(said, np.float64)
    if values.ndim != 1 or not values.size or not ((values >= 0) & (values <= 1)).all():
        raise ValueError("must be shares")
    return tuple(values.tolist())


def _count(said: object) -> int:
    if not isinstance(said, int) or said < 0:
        raise ValueError("must be a count")
    return said


def _reaching(scores: NDArray[np.float64], thresholds: NDArray[np.float64]) -> NDArray[np.float64]:
    if not scores.size:
        return np.zeros(thresholds.size)
    below = np.searchsorted(np.sort(scores), thresholds, side="left")
    return _rounded(1 - below / scores.size, DIGITS)


def _rounded(values: NDArray[np.float64], digits: int) -> NDArray[np.float64]:
    rounded: NDArray[np.float64] = np.round(values, digits)
    return rounded
