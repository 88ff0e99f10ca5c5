"""``evaluate``: a model's figures per source, the thresholds they are measured at, and the card."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from smsc_filter.classifier.manifest import KINDS, PURPOSES, Manifest
from smsc_filter.classifier.scorer import Scorer
from smsc_filter.samples import Sample
from training import goals, prepare
from training.goals import Goal
from training.robustness import Disguised, asked, disguised, rows
from training.unseen import Unseen
from training.wishes import wishes

PERSONAL_OVER: Final = 1 / 2000
"""Share of personal texts that may lie over the threshold for persons. Not none: the corpora of personal
texts hold a few forwarded advertisements, and none of the greetings may lie over it in any case."""

SERVICE_OVER: Final = 1 / 50
"""Share of transactional texts that may lie over the threshold for services."""

MARGIN: Final = 0.1
"""Log-odds kept between the highest greeting and the threshold for persons."""

FEW: Final = 1 / 1000
"""Share of greetings that are left out of ``WIDE_MARGIN``: a single play on words lies far above the others, and that
margin above it would let pass the offers that people are paid to send."""

WIDE_MARGIN: Final = 1.0
"""Log-odds kept between the rest of the greetings and the threshold for persons."""

LEEWAY: Final = 0.0005
"""Balanced accuracy given up for a higher threshold for commercial senders: of equals, the one that refuses less."""


# Thresholds --------------------------------------------------------------------------------------


def choose_thresholds(samples: Sequence[Sample], scores: NDArray[np.float32]) -> dict[str, float]:
    """Choose the threshold of each purpose on texts that the scores were not learnt from.

    A commercial sender gets the one that is right most often, over all sources alike; a person the one
    that no greeting and next to no personal text reaches; a service the one half-way between in log-odds,
    or a higher one if transactional texts ask for it.

    Args:
        samples: n texts, commercial ones among them.
        scores: shape (n,).

    Returns:
        Thresholds in (0, 1) for every one of ``PURPOSES``, none lower than the one for ``commercial``.
    """
    category = np.array([sample.category for sample in samples])
    other = np.array([sample.label == "other" for sample in samples])
    commercial = _most_often_right(samples, scores)
    greetings = scores[other & (category == "greeting")]
    personal = scores[other & np.isin(category, ("personal", "greeting"))]
    transactional = scores[other & np.isin(category, ("transactional", "verification", "service"))]
    person = max(
        commercial,
        _raise(_high(greetings, 0.0), MARGIN),
        _raise(_high(greetings, FEW), WIDE_MARGIN),
        _raise(_high(personal, PERSONAL_OVER), 0.01),
    )
    service = max(_half_way(commercial, person), _raise(_high(transactional, SERVICE_OVER), 0.01))
    service = min(service, person)
    chosen = {"commercial": commercial, "service": service, "person": person}
    return {purpose: round(chosen[purpose], 4) for purpose in PURPOSES}


def _most_often_right(samples: Sequence[Sample], scores: NDArray[np.float32]) -> float:
    """The highest threshold within ``LEEWAY`` of the best balanced accuracy, over all sources with both labels."""
    source = np.array([sample.source for sample in samples])
    commercial = np.array([sample.label == "commercial" for sample in samples])
    # From even odds up: below them a text would be called commercial and its kind would say it is not.
    grid = np.linspace(0.5, 0.7, 21)
    right = []
    for name in dict.fromkeys(source.tolist()):
        yes = np.sort(scores[(source == name) & commercial])
        no = np.sort(scores[(source == name) & ~commercial])
        if yes.size and no.size:
            right.append(1 - np.searchsorted(yes, grid) / yes.size + np.searchsorted(no, grid) / no.size)
    if not right:
        return 0.5
    mean = np.mean(right, axis=0) / 2
    return float(grid[mean >= mean.max() - LEEWAY][-1])


def _high(scores: NDArray[np.float32], share: float) -> float:
    """The score that at most ``share`` of the scores lie over; 0 if there are none."""
    if not scores.size:
        return 0.0
    return float(np.sort(scores)[scores.size - 1 - int(share * scores.size)])


def _raise(score: float, log_odds: float) -> float:
    """``score`` moved up by ``log_odds``, and never to 1 itself: a threshold must stay within reach."""
    if score <= 0:
        return 0.0
    odds = score / max(1 - score, 1e-4) * np.exp(log_odds)
    return min(float(odds / (1 + odds)), 0.9999)


def _half_way(low: float, high: float) -> float:
    odds = np.sqrt(low / (1 - low) * high / (1 - high))
    return float(odds / (1 + odds))


# Figures -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What was measured on the texts of one source; shares are in [0, 1], None where there is nothing to share."""

    source: str
    commercial: int
    other: int
    auc: float | None
    recall: dict[str, float | None]
    """Share of the commercial texts at or over the threshold, by purpose."""

    fpr: dict[str, float | None]
    """Share of the other texts at or over the threshold, by purpose."""

    greetings: int
    greetings_over: dict[str, int]
    """Greetings at or over the threshold, by purpose."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The figures of one model on one set of texts."""

    sources: list[Figures]
    kinds: dict[str, tuple[int, float, float]]
    """By kind: texts of it, recall, precision; over the texts whose kind is known."""

    def table(self) -> str:
        """The figures in aligned columns; three values in a cell are by purpose, in the order of ``PURPOSES``."""
        head = ("source", "commercial", "other", "AUC", "recall c/s/p %", "FPR c/s/p %", "greetings over c/s/p")
        lines = [head, *(_cells(figures) for figures in self.sources)]
        kinds = [("kind", "n", "recall %", "precision %")]
        kinds += [
            (kind, f"{n:,}", f"{100 * recall:.1f}", f"{100 * precision:.1f}")
            for kind, (n, recall, precision) in self.kinds.items()
        ]
        return f"{aligned(lines)}\n\n{aligned(kinds)}"


def report(scorer: Scorer, samples: Sequence[Sample]) -> Report:
    """Measure ``scorer`` on labelled texts, source by source in the order of their appearance."""
    scores = scorer.score([sample.text for sample in samples])
    source = np.array([sample.source for sample in samples])
    figures = []
    for name in dict.fromkeys(source.tolist()):
        here = source == name
        own = [sample for sample in samples if sample.source == name]
        figures.append(_figures(name, own, scores.score[here], scorer))
    return Report(sources=figures, kinds=_kinds(samples, scores.kind))


def _figures(name: str, samples: Sequence[Sample], scores: NDArray[np.float32], scorer: Scorer) -> Figures:
    commercial = np.array([sample.label == "commercial" for sample in samples])
    greeting = np.array([sample.category == "greeting" for sample in samples]) & ~commercial
    over = {purpose: scores >= threshold for purpose, threshold in scorer.thresholds.items()}
    both = commercial.any() and not commercial.all()
    return Figures(
        source=name,
        commercial=int(commercial.sum()),
        other=int((~commercial).sum()),
        auc=float(roc_auc_score(commercial, scores)) if both else None,
        recall={purpose: _share(over[purpose][commercial]) for purpose in PURPOSES},
        fpr={purpose: _share(over[purpose][~commercial]) for purpose in PURPOSES},
        greetings=int(greeting.sum()),
        greetings_over={purpose: int((over[purpose] & greeting).sum()) for purpose in PURPOSES},
    )


def _kinds(samples: Sequence[Sample], found: NDArray[np.uint8]) -> dict[str, tuple[int, float, float]]:
    known = [(prepare.kind_of(sample), KINDS[k]) for sample, k in zip(samples, found.tolist(), strict=True)]
    known = [pair for pair in known if pair[0] is not None]
    said, true, right = Counter(k for _, k in known), Counter(k for k, _ in known), Counter(known)
    return {
        kind: (true[kind], right[kind, kind] / true[kind], right[kind, kind] / max(said[kind], 1))
        for kind in KINDS
        if true[kind]
    }


def _share(over: NDArray[np.bool_]) -> float | None:
    return float(over.mean()) if over.size else None


def _cells(figures: Figures) -> tuple[str, ...]:
    return (
        figures.source,
        f"{figures.commercial:,}",
        f"{figures.other:,}",
        "-" if figures.auc is None else f"{figures.auc:.4f}",
        _by_purpose(figures.recall),
        _by_purpose(figures.fpr),
        f"{' / '.join(str(n) for n in figures.greetings_over.values())} of {figures.greetings:,}"
        if figures.greetings
        else "-",
    )


def _by_purpose(shares: dict[str, float | None]) -> str:
    values = [share for share in shares.values() if share is not None]
    return " / ".join(f"{100 * share:.2f}" for share in values) or "-"


def aligned(lines: Sequence[Sequence[str]]) -> str:
    """Cells in columns; the first column to the left, the rest to the right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rows = (
        "  ".join([line[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(line[1:], widths[1:], strict=True))])
        for line in lines
    )
    return "\n".join(row.rstrip() for row in rows)


# Verb and card -----------------------------------------------------------------------------------


def evaluate(model: Path, data: Path, *, everything: bool = False) -> Report:
    """Print and return the figures of ``model`` on the development set of ``data``.

    Args:
        model: folder of the model.
        data: folder of labelled texts.
        everything: measure on all texts instead, those that the model may have been trained on included.

    Raises:
        ModelError, SampleError, FileNotFoundError: model or texts cannot be read.
    """
    scorer = Scorer.load(model)
    corpus = prepare.read_corpus(data)
    print(f"{scorer.model_id}; " + _thresholds(scorer.manifest))
    if everything:
        print("all texts, those the model was trained on included: the figures flatter")
    elif corpus.fingerprint != scorer.manifest.data_fingerprint:
        # Other texts make other groups, so the split may have put texts of training into this set.
        print("these are not the texts the model was trained on: some of this set may have been among those")
    samples = corpus.samples if everything else corpus.part(held_out=True)
    judge = scorer if everything else _before(model, scorer, questions(samples))
    measured = measure(judge, samples)
    print(measured.text())
    print(f"\n{aligned(goals.rows(goals.speed(scorer, samples)))}")
    return measured.report


def questions(samples: Sequence[Sample]) -> list[str]:
    """All texts a model is asked about when it is measured on ``samples``."""
    return [*(sample.text for sample in [*samples, *wishes()]), *asked(samples)]


def _before(model: Path, scorer: Scorer, texts: Sequence[str]) -> Scorer:
    """The model as it was before it learnt from ``texts`` too, if it kept what it said of them all."""
    before = Unseen.find(model)
    if before is None or not before.knows(texts).all():
        print("the model has learnt from texts of this set: the figures flatter")
        return scorer
    return before


class Measured(NamedTuple):
    """All that is measured of a model's judgement."""

    report: Report
    disguised: list[Disguised]
    goals: list[Goal]

    def text(self) -> str:
        """Three tables."""
        tables = self.report.table(), aligned(rows(self.disguised)), aligned(goals.rows(self.goals))
        return "\n\n".join(tables)


def measure(scorer: Scorer, samples: Sequence[Sample]) -> Measured:
    """Measure on labelled texts, on pairs of wishes, and on the texts in disguise."""
    changed = disguised(scorer, samples)
    return Measured(report(scorer, [*samples, *wishes()]), changed, goals.goals(scorer, samples, changed))


def _thresholds(manifest: Manifest) -> str:
    return "thresholds " + ", ".join(f"{purpose} {t:g}" for purpose, t in manifest.thresholds.items())


def card(manifest: Manifest, corpus: prepare.Corpus, measured: Measured) -> str:
    """``card.md``: what the model was trained on, what was measured, what not to expect of it."""
    held_out = Counter(sample.source for sample in corpus.part(held_out=True))
    sources = [("source", "texts", "trained on", "held out")]
    sources += [
        (source, f"{n:,}", f"{n - held_out[source]:,}", f"{held_out[source]:,}") for source, n in corpus.sources.items()
    ]
    return _CARD.format(
        model_id=manifest.model_id,
        created=manifest.created,
        seed=manifest.seed,
        features=manifest.feature_version,
        fingerprint=manifest.data_fingerprint,
        sources=aligned(sources),
        thresholds=_thresholds(manifest),
        own=prepare.OWN,
        figures=measured.report.table(),
        disguises=aligned(rows(measured.disguised)),
        goals=aligned(goals.rows(measured.goals)),
    )


_CARD: Final = """\
# {model_id}

Tells how likely an SMS is commercial (fraud included), and of what kind it is. Two linear heads over hashed
character n-grams of letters and of marks; nothing in the weights is a text. Written by `python -m training train`;
do not edit.

- trained: {created}, seed {seed}, features of version {features}
- data fingerprint: `{fingerprint}`
- {thresholds}

## Trained on

Groups of near-duplicates are held out as a whole, about 15 % of each source, a third of the project's own
samples (source `{own}`, `smsc_filter/samples`; `wishes` are measured with and not learnt from). Placeholders of
`fbs` and `zh800k` were also trained on filled in, a part of `zh800k` with a signature and an opt-out phrase, and a
part of all texts in disguise.

```
{sources}
```

## Measured

On the held-out texts only, at the thresholds for senders registered as commercial / service / person (c/s/p).
The thresholds were chosen on these texts and on the rest, each scored by a model that had not seen it: that no
greeting reaches the one for persons holds by construction. Weights of sources and strength of the penalty were
chosen by these figures too, so expect a little less elsewhere. The weights that are served were then fitted once more,
to all texts, those held out here included.

```
{figures}
```

In disguise, by marks, look-alikes and padding that training does not know, at the threshold for commercial senders:

```
{disguises}
```

Against the goals:

```
{goals}
```

## Limits

- Labels of the public corpora are noisy (about 4 % of `mudou`), so no figure on them can reach 100 %.
- Written for Chinese and English. Turkish, Indonesian and Swahili texts were learnt along the way; others were not.
- Phonetic spellings, invented words and text in pictures are not undone; what is, `classifier/normalise.py` tells.
  Padding dilutes: harmless text around an advertisement can hide it.
- A text of more than 2,048 characters is judged by its beginning and its end.
- Kinds are learnt from categories and simple patterns; read them as a hint, the score as the judgement.
"""
