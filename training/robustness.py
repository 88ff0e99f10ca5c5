"""What a disguise gains: recall and false positives on disguised texts beside the same texts as they are."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from smsc_filter.classifier.scorer import Scorer
from smsc_filter.samples import Sample
from training.disguise import DISGUISES, EVALUATION, disguise

SEED: Final = 1_000_003
"""Never the seed of a training run."""

MOST: Final = 2_000
"""Texts of each label and language that are disguised: enough to tell half a point."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Disguised:
    """What one disguise did, at the threshold for commercial senders; shares are in [0, 1]."""

    lang: str
    name: str
    commercial: int
    recall_plain: float
    recall: float
    other: int
    fpr_plain: float
    fpr: float


def disguised(scorer: Scorer, samples: Sequence[Sample]) -> list[Disguised]:
    """Measure every disguise of a language on the texts of that language."""
    threshold = scorer.thresholds["commercial"]
    measured = []
    for lang, names in DISGUISES.items():
        texts = _chosen(samples, lang)
        plain = {label: _over(scorer, several, threshold) for label, several in texts.items()}
        for name in names:
            changed = {label: _over(scorer, _dressed(several, name), threshold) for label, several in texts.items()}
            measured.append(
                Disguised(
                    lang=lang,
                    name=name,
                    commercial=len(texts.get("commercial", ())),
                    recall_plain=plain.get("commercial", 0.0),
                    recall=changed.get("commercial", 0.0),
                    other=len(texts.get("other", ())),
                    fpr_plain=plain.get("other", 0.0),
                    fpr=changed.get("other", 0.0),
                )
            )
    return measured


def asked(samples: Sequence[Sample]) -> list[str]:
    """Every disguised text that ``disguised`` asks about."""
    return [
        sample.text
        for lang, names in DISGUISES.items()
        for several in _chosen(samples, lang).values()
        for name in names
        for sample in _dressed(several, name)
    ]


def _chosen(samples: Sequence[Sample], lang: str) -> dict[str, list[Sample]]:
    """By label, the texts of a language that are disguised."""
    found = {}
    for label in ("commercial", "other"):
        several = [sample for sample in samples if (sample.lang, sample.label) == (lang, label)]
        if several:
            # Evenly over the sources in their order, so that the largest is not the only one.
            found[label] = several[:: -(-len(several) // MOST)]
    return found


def _dressed(samples: Sequence[Sample], name: str) -> list[Sample]:
    return [disguise(sample, name, EVALUATION, SEED) for sample in samples]


def rows(measured: Sequence[Disguised]) -> list[tuple[str, ...]]:
    """A table of what was measured, its heads first."""
    head = ("disguise", "commercial", "recall plain %", "disguised %", "other", "FPR plain %", "disguised %")
    return [
        head,
        *(
            (
                f"{found.lang} {found.name}",
                f"{found.commercial:,}",
                f"{100 * found.recall_plain:.2f}",
                f"{100 * found.recall:.2f}",
                f"{found.other:,}",
                f"{100 * found.fpr_plain:.2f}",
                f"{100 * found.fpr:.2f}",
            )
            for found in measured
        ),
    ]


def _over(scorer: Scorer, samples: Sequence[Sample], threshold: float) -> float:
    return float(np.mean(scorer.score([sample.text for sample in samples]).score >= threshold))
