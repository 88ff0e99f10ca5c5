"""What a threshold does to texts whose label is known, and the file that says so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from smsc_filter.classifier.curve import CURVE, measure, read_curves, write_curves
from smsc_filter.classifier.manifest import PURPOSES

YES, NO = [0.2, 0.7, 0.9, 0.99], [0.01, 0.02, 0.3, 0.8]


def test_a_point_says_what_its_threshold_does() -> None:
    curve = measure(YES, NO)
    point = curve.point(curve.nearest(0.6))
    assert abs(point.threshold - 0.6) < 0.01
    assert (point.recall, point.false_alarms, point.precision) == (0.75, 0.25, 0.75)
    assert curve.at(0.6).recall == 0.75
    between = curve.at(0.7)
    assert (between.threshold, between.recall) == (0.7, pytest.approx(0.7, abs=0.06))
    highest = curve.point(len(curve) - 1)
    assert (highest.threshold, highest.recall, highest.precision) == (0.9999, 0.0, 1.0)
    assert list(curve.threshold) == sorted(set(curve.threshold))


def test_without_other_texts_nothing_is_a_false_alarm() -> None:
    assert set(measure(YES, []).false_alarms) == {0.0}


def test_curves_are_read_as_they_were_written(tmp_path: Path) -> None:
    curves = dict.fromkeys(PURPOSES, measure(YES, NO))
    write_curves(tmp_path, "toy-1@00000000", curves)
    assert read_curves(tmp_path, "toy-1@00000000") == curves


@pytest.mark.parametrize("wrong", [
    pytest.param({"model": "toy-2@00000000"}, id="another-model"),
    pytest.param({"curves": {}}, id="no-curve"),
    pytest.param({"curves": 7}, id="no-curves"),
    pytest.param({"recall": [0.5]}, id="other-lengths"),
    pytest.param({"recall": [2.0] * 3}, id="no-shares"),
    pytest.param({"threshold": [0.3, 0.2, 0.1]}, id="falling"),
    pytest.param({"commercial": -1}, id="no-count"),
    pytest.param({"recall": "x"}, id="no-numbers"),
])  # fmt: skip
def test_a_file_that_is_none_counts_as_missing(tmp_path: Path, wrong: dict[str, Any]) -> None:
    curve = {"commercial": 1, "other": 1, "threshold": [0.1, 0.2, 0.3], "recall": [1, 1, 0], "false_alarms": [1, 0, 0]}
    curve |= {key: value for key, value in wrong.items() if key in curve}
    said = {"model": "toy-1@00000000", "curves": dict.fromkeys(PURPOSES, curve)}
    said |= {key: value for key, value in wrong.items() if key in said}
    (tmp_path / CURVE).write_text(json.dumps(said), encoding="utf-8")
    assert read_curves(tmp_path, "toy-1@00000000") == {}
    assert read_curves(tmp_path / "nowhere", "toy-1@00000000") == {}
