"""``report``: what a model does on the development set, as JSON and as one page with curves.

The page carries its drawings within it and loads nothing, so it can be sent and kept. Neither holds a text.
"""

import json
from collections.abc import Callable, Sequence
from io import StringIO
from pathlib import Path
from typing import Any, Final

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.calibration import calibration_curve
from sklearn.metrics import precision_recall_curve

from smsc_filter.classifier.scorer import Scorer
from smsc_filter.samples import Sample
from training import evaluate, prepare
from training.unseen import Unseen

POINTS: Final = 200
"""Points of a curve that are kept; more cannot be seen."""

BINS: Final = 10
LEAST_CALIBRATED: Final = 200
"""Texts of a source from which shares by bin say something."""

GRID: Final = np.linspace(-6.0, 8.0, 57)
"""Thresholds, in log-odds, at which recall and false blocks are told."""

REPORT, PAGE = "report.json", "report.html"


def write_report(model: Path, data: Path, out: Path) -> dict[str, Any]:
    """Measure ``model`` on the development set of ``data``; write ``report.json`` and ``report.html`` into ``out``.

    Raises:
        ModelError, SampleError, FileNotFoundError: model or texts cannot be read.
    """
    scorer = Scorer.load(model)
    corpus = prepare.read_corpus(data)
    held_out = corpus.part(held_out=True)
    unseen = Unseen.find(model)
    if unseen is not None:
        held_out = [s for s, known in zip(held_out, unseen.knows([s.text for s in held_out]), strict=True) if known]
    measured = scorer if unseen is None else unseen
    said = curves(measured, held_out)
    said["unseen"] = unseen is not None
    out.mkdir(parents=True, exist_ok=True)
    (out / REPORT).write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8")
    (out / PAGE).write_text(page(said, evaluate.report(measured, held_out).table()), encoding="utf-8")
    print(f"{out / REPORT}, {out / PAGE}: {scorer.model_id} on {len(held_out):,} texts")
    return said


def curves(scorer: Scorer, samples: Sequence[Sample]) -> dict[str, Any]:
    """Every curve as lists of numbers, see the keys; shares and probabilities are in [0, 1]."""
    texts = [sample.text for sample in samples]
    scores, log_odds = scorer.score(texts).score, scorer.log_odds(texts)
    commercial = np.array([sample.label == "commercial" for sample in samples])
    source = np.array([sample.source for sample in samples])
    category = np.array([sample.category for sample in samples])
    places = {name: source == name for name in dict.fromkeys(source.tolist())}
    both = {name: here for name, here in places.items() if commercial[here].any() and not commercial[here].all()}
    return {
        "model": scorer.model_id,
        "trained": scorer.manifest.created,
        "data_fingerprint": scorer.manifest.data_fingerprint,
        "thresholds": dict(scorer.thresholds),
        "texts": len(samples),
        "precision_recall": {name: _precision_recall(commercial[here], log_odds[here]) for name, here in both.items()},
        "calibration": {
            name: _calibration(commercial[here], scores[here])
            for name, here in {**both, "all sources": np.ones(len(samples), np.bool_)}.items()
            if here.sum() >= LEAST_CALIBRATED
        },
        "by_threshold": {
            "threshold": _rounded(1 / (1 + np.exp(-GRID))),
            "recall": {
                name: _share_over(log_odds[here & commercial])
                for name, here in places.items()
                if commercial[here].any()
            },
            "false_blocks": {
                name: _share_over(log_odds[here])
                for name in dict.fromkeys(category[~commercial].tolist())
                for here in [~commercial & (category == name)]
            },
        },
    }


def page(said: dict[str, Any], table: str) -> str:
    """The page of a report; ``table`` has the figures by source in aligned columns."""
    environment = Environment(
        loader=PackageLoader("training", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    drawings = [
        ("Precision against recall, by source", draw(_draw_precision_recall, said, "precision-recall")),
        (
            "Share of commercial texts against probability: on the line is right",
            draw(_draw_calibration, said, "calibration"),
        ),
        ("Threshold against recall, by source", draw(_draw_recall, said, "recall")),
        ("Threshold against share of other texts blocked, by kind of text", draw(_draw_false_blocks, said, "false")),
    ]
    return environment.get_template("report.html.j2").render(said=said, table=table, drawings=drawings)


# Curves ------------------------------------------------------------------------------------------


def _precision_recall(commercial: NDArray[np.bool_], log_odds: NDArray[np.float32]) -> dict[str, list[float]]:
    precision, recall, _ = precision_recall_curve(commercial, log_odds)
    kept = np.unique(np.linspace(0, len(recall) - 1, min(POINTS, len(recall))).round().astype(int))
    return {"precision": _rounded(precision[kept]), "recall": _rounded(recall[kept])}


def _calibration(commercial: NDArray[np.bool_], scores: NDArray[np.float32]) -> dict[str, list[float]]:
    observed, predicted = calibration_curve(commercial, scores, n_bins=BINS)
    return {"predicted": _rounded(predicted), "observed": _rounded(observed)}


def _share_over(log_odds: NDArray[np.float32]) -> list[float]:
    below = np.searchsorted(np.sort(log_odds), GRID, side="left")
    return _rounded(1 - below / log_odds.size)


def _rounded(values: NDArray[Any]) -> list[float]:
    rounded: list[float] = np.asarray(values, np.float64).round(5).tolist()
    return rounded


# Drawings ----------------------------------------------------------------------------------------


def draw(plot: Callable[[Axes, dict[str, Any]], None], said: dict[str, Any], name: str) -> Markup:
    """A drawing as an ``svg`` element; ``name`` keeps its inner names apart from those of other drawings."""
    # Without a date and with a salt of its own, the same figures give the same octets.
    with rc_context({"svg.hashsalt": name, "svg.fonttype": "none", "font.size": 9}):
        figure = Figure(figsize=(7, 4.2), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        plot(axes, said)
        axes.grid(alpha=0.3)
        if axes.get_legend_handles_labels()[0]:
            figure.legend(loc="outside right upper", fontsize=8, frameon=False)
        written = StringIO()
        figure.savefig(written, format="svg", metadata={"Date": None})
    svg = written.getvalue()
    return Markup(svg[svg.index("<svg") :])  # noqa: S704  # matplotlib escapes what it writes


def _draw_precision_recall(axes: Axes, said: dict[str, Any]) -> None:
    for name, curve in said["precision_recall"].items():
        axes.plot(curve["recall"], curve["precision"], label=name, linewidth=1.2)
    axes.set(xlabel="recall", ylabel="precision", xlim=(0.5, 1.005), ylim=(0.5, 1.005))


def _draw_calibration(axes: Axes, said: dict[str, Any]) -> None:
    axes.plot([0, 1], [0, 1], color="grey", linestyle=":")
    for name, curve in said["calibration"].items():
        axes.plot(curve["predicted"], curve["observed"], marker=".", label=name, linewidth=1)
    axes.set(xlabel="score", ylabel="share that is commercial", xlim=(0, 1), ylim=(0, 1))


def _draw_recall(axes: Axes, said: dict[str, Any]) -> None:
    for name, shares in said["by_threshold"]["recall"].items():
        axes.plot(GRID, shares, label=name, linewidth=1.2)
    axes.set(ylabel="recall", ylim=(0, 1.01))
    _mark_thresholds(axes, said)


def _draw_false_blocks(axes: Axes, said: dict[str, Any]) -> None:
    for name, shares in said["by_threshold"]["false_blocks"].items():
        axes.plot(GRID, shares, label=name, linewidth=1.2)
    axes.set(ylabel="share blocked (log scale)")
    axes.set_yscale("symlog", linthresh=1e-4)
    axes.set_ylim(0, 1)
    _mark_thresholds(axes, said)


def _mark_thresholds(axes: Axes, said: dict[str, Any]) -> None:
    """A scale of scores that is even in log-odds, and a line at each threshold."""
    ticks = (0.01, 0.1, 0.5, 0.9, 0.99, 0.999)
    axes.set_xticks([float(np.log(score / (1 - score))) for score in ticks], [f"{score:g}" for score in ticks])
    axes.set(xlabel="threshold", xlim=(float(GRID[0]), float(GRID[-1])))
    for purpose, score in said["thresholds"].items():
        place = float(np.log(score / (1 - score))) if score < 1 else float(GRID[-1])
        axes.axvline(place, color="black", linewidth=0.8, linestyle="--")
        axes.text(
            place, 1.0, purpose, rotation=90, va="top", ha="right", fontsize=7, transform=axes.get_xaxis_transform()
        )
