"""``promote``: a candidate becomes the model that is served, if it is no worse."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from smsc_filter.classifier.manifest import CARD, MANIFEST, read_manifest
from smsc_filter.classifier.scorer import Scorer
from smsc_filter.samples import Sample
from training import evaluate, prepare

AUC_MARGIN: Final = 0.005
"""How much lower the AUC of a source may be: about what another seed or split changes."""

AUC_TEXTS: Final = 10
"""Texts of each label that a source must have at the gate: the AUC of fewer is chance."""


class NotPromotedError(Exception):
    """The candidate is worse than what is served; the message says in what, one reason a line."""


def promote(candidate: Path, to: Path, data: Path) -> str:
    """Install ``candidate`` in ``to`` if it holds up on the development set of ``data``; return its id.

    Raises:
        NotPromotedError: it does not; ``to`` is as it was.
        ModelError, SampleError, FileNotFoundError: models or texts cannot be read.
    """
    gate = prepare.read_corpus(data).part(held_out=True)
    scorer = Scorer.load(candidate)
    served = Scorer.load(to) if (to / MANIFEST).exists() else None
    reasons = objections(scorer, served, gate)
    if reasons:
        raise NotPromotedError("\n".join([f"{scorer.model_id} is not promoted:", *reasons]))
    install(candidate, to)
    before = f" in place of {served.model_id}" if served else ""
    print(f"{scorer.model_id} is now in {to}{before}; {len(gate):,} texts at the gate")
    return scorer.model_id


def objections(candidate: Scorer, served: Scorer | None, gate: Sequence[Sample]) -> list[str]:
    """What speaks against ``candidate``, a sentence each; none if it may be served."""
    measured = evaluate.report(candidate, gate)
    reasons = [
        f"{figures.source}: blocks {figures.greetings_over['person']} of {figures.greetings} greetings"
        for figures in measured.sources
        if figures.greetings_over["person"]
    ]
    if served is None:
        return reasons
    before = {figures.source: figures.auc for figures in evaluate.report(served, gate).sources}
    for figures in measured.sources:
        auc = before[figures.source]
        if auc is None or figures.auc is None or min(figures.commercial, figures.other) < AUC_TEXTS:
            continue
        if figures.auc < auc - AUC_MARGIN:
            reasons.append(
                f"{figures.source}: AUC {figures.auc:.4f}, served {auc:.4f}, at most {AUC_MARGIN} may be lost"
            )
    return reasons


def install(model: Path, to: Path) -> None:
    """Copy a model into ``to`` so that ``to`` holds a whole model at every moment.

    A reader that took the old manifest and comes too late for its weights gets a ModelError, never a mixture.
    """
    manifest = read_manifest(model)
    to.mkdir(parents=True, exist_ok=True)
    # The name of the weights holds their checksum: old and new lie side by side until the manifest,
    # replaced in one step, says which of them counts.
    for name in (manifest.weights, CARD, MANIFEST):
        if (model / name).exists():
            partial = to / f".{name}.partial"
            shutil.copyfile(model / name, partial)
            partial.replace(to / name)
    for stale in to.glob("weights-*.joblib"):
        if stale.name != manifest.weights:
            stale.unlink()
