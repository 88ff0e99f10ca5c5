"""``promote``: a candidate becomes the model that is served, if it passes every gate.

A gate is one question with an answer in figures. All are asked before anything is said, so that who trains
the next candidate sees everything that is wrong with this one. None can be left out: a model that must be
served in spite of a gate needs another gate set or another case, and that is a change somebody can read.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np
from numpy.typing import NDArray

from smsc_filter.classifier import drift
from smsc_filter.classifier.gates import Asked, Gate, write_gates, wrong_cases
from smsc_filter.classifier.manifest import MANIFEST, PURPOSES, ModelError
from smsc_filter.classifier.scorer import Scorer
from smsc_filter.classifier.versions import install, replace_model
from smsc_filter.samples import Sample
from smsc_filter.samples.labels import Case, read_cases
from training import prepare
from training.goals import shortest_seconds
from training.unseen import Unseen

__all__ = ["Gate", "NotPromotedError", "ask", "install", "promote"]

RESAMPLES: Final = 1000
"""Draws of the bootstrap."""

CHANCE: Final = 0.01
"""A loss counts where fewer of the draws than this show none: some ten sources are asked at once."""

LEEWAY: Final = 0.005
"""Recall that may be lost beyond what the draws show: about what training with another seed changes."""

RATES: Final = ((5_000, 0.001), (500, 0.01), (50, 0.05))
"""False-positive rate at which recall is compared, by the least number of other texts that tell it."""

LEAST_COMMERCIAL: Final = 50
"""Commercial texts a source needs at the gate: the recall on fewer is chance."""

LEAST_KNOWN: Final = 0.5
"""Share of the gate set that both models must have been asked about before they learnt from it."""

PAIRS: Final = 30
"""Times both models are timed, one right after the other."""

RUNS: Final = 2
"""Runs of one timing, of which the shortest counts: what else the machine does only ever adds."""

SLOWER: Final = 0.10
"""Share by which a candidate may be slower; two runs of one model differ by a few hundredths."""

ALL: Final = "all sources"


class NotPromotedError(Exception):
    """The candidate failed a gate; the message names the ones it failed."""


def promote(candidate: Path, to: Path, data: Path, cases: Path, clock: Callable[[], float] = time.time) -> str:
    """Serve ``candidate`` from ``to`` if it passes every gate; return its id.

    Prints a table of the gates. What was served is kept, for ``smsc-filter model rollback``.

    Args:
        candidate: folder of the model.
        to: folder the service reads.
        data: folder of labelled texts; their development set is the gate set.
        cases: folder of ``*.jsonl`` with the cases every model must get right.
        clock: epoch seconds.

    Raises:
        NotPromotedError: a gate failed; ``to`` is as it was.
        ModelError, SampleError, FileNotFoundError: the candidate, the texts or the cases cannot be read.
    """
    served = _served(to)
    scorer, gates, corpus, must = _ask(candidate, to, served, data, cases)
    _refuse(scorer, gates)
    held_out = corpus.part(held_out=True)
    with TemporaryDirectory() as scratch:
        staged = Path(scratch)
        install(candidate, staged)
        replace(scorer.manifest, reference=reference(scorer, held_out)).write(staged)
        replace_model(to, staged, "promotion", clock())
    before = f" in place of {served.model_id}" if served else ""
    print(f"{scorer.model_id} is now in {to}{before}; {len(held_out):,} texts and {len(must)} cases at the gates")
    return scorer.model_id


def ask(candidate: Path, to: Path, data: Path, cases: Path, clock: Callable[[], float] = time.time) -> str:
    """Ask ``candidate`` every gate and leave the answers in its folder, for the console to promote it; its id.

    Arguments, table and errors are those of ``promote``; what is served stays, whatever the answers.
    """
    served = _served(to)
    scorer, gates, corpus, _ = _ask(candidate, to, served, data, cases)
    asked = Asked(
        model=scorer.model_id,
        beside=served.model_id if served else "",
        at=datetime.fromtimestamp(clock(), UTC).isoformat(timespec="seconds"),
        gates=tuple(gates),
    )
    write_gates(candidate, asked)
    _refuse(scorer, gates)
    # What live traffic is held against, once it is served.
    replace(scorer.manifest, reference=reference(scorer, corpus.part(held_out=True))).write(candidate)
    print(f"{scorer.model_id} passed every gate and may be promoted from the console")
    return scorer.model_id


def _refuse(scorer: Scorer, gates: Sequence[Gate]) -> None:
    if failed := [gate.name for gate in gates if not gate.passed]:
        raise NotPromotedError(f"{scorer.model_id} is not promoted; it failed: {', '.join(failed)}")


def _ask(
    candidate: Path, to: Path, served: Scorer | None, data: Path, cases: Path
) -> tuple[Scorer, list[Gate], prepare.Corpus, list[Case]]:
    """Ask every gate and print the table of them."""
    scorer = Scorer.load(candidate)
    must = read_cases(cases)
    corpus = prepare.read_corpus(data)
    held_out = corpus.part(held_out=True)
    greetings = [s for s in corpus.samples if s.category == "greeting" and s.label == "other"]
    gates = [greeting_gate(scorer, greetings), case_gate(scorer, must)]
    if served is not None:
        gates += recall_gates(*_comparable(candidate, scorer, to, served, held_out))
        gates += speed_gates(scorer, served, [sample.text for sample in held_out])
    print(table(gates))
    return scorer, gates, corpus, must


def table(gates: Sequence[Gate]) -> str:
    """The gates in aligned columns."""
    lines = [("gate", "", "wants", "found")]
    lines += [(gate.name, "passed" if gate.passed else "FAILED", gate.wants, gate.found) for gate in gates]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)


def reference(scorer: Scorer, samples: Sequence[Sample]) -> dict[str, tuple[int, ...]]:
    """Histogram of the scores of texts such as each purpose sends, which live traffic is held against."""
    scores = drift.to_parts(scorer.score([sample.text for sample in samples]).score)
    sends = np.array([_PURPOSE_OF_KIND.get(prepare.kind_of(sample) or "", "") for sample in samples])
    return {purpose: tuple(drift.histogram(scores[sends == purpose]).tolist()) for purpose in PURPOSES}


_PURPOSE_OF_KIND: Final = {
    "commercial": "commercial",
    "verification": "service",
    "service": "service",
    "personal": "person",
    "greeting": "person",
}


def _comparable(
    candidate: Path, scorer: Scorer, to: Path, served: Scorer, samples: Sequence[Sample]
) -> tuple[Scorer, Scorer, Sequence[Sample]]:
    """Both models as they were before they learnt from the gate set, and the texts of it that both were asked then."""
    now, before = Unseen.find(candidate), Unseen.find(to)
    if now is not None and before is not None:
        texts = [sample.text for sample in samples]
        known = now.knows(texts) & before.knows(texts)
        if known.mean() >= LEAST_KNOWN:
            return now, before, [sample for sample, both in zip(samples, known.tolist(), strict=True) if both]
    print("recall is that on texts the models may have learnt from: what they said before is not kept of both")
    return scorer, served, samples


def _served(folder: Path) -> Scorer | None:
    """What ``folder`` serves; None where there is nothing, or nothing that this version can load."""
    if not (folder / MANIFEST).exists():
        return None
    try:
        return Scorer.load(folder)
    except ModelError as error:
        print(f"nothing to compare with: {error}")
        return None


# Gates -------------------------------------------------------------------------------------------


def greeting_gate(candidate: Scorer, greetings: Sequence[Sample]) -> Gate:
    """No wish from a person is refused: not one, however good the rest is."""
    over = int((candidate.score([sample.text for sample in greetings]).score >= candidate.thresholds["person"]).sum())
    return Gate("greetings", not over, "0 blocked", f"{over} blocked of {len(greetings):,}")


def case_gate(candidate: Scorer, cases: Sequence[Case]) -> Gate:
    """What was once decided in an appeal stays decided."""
    failed = wrong_cases(candidate, cases)
    found = f"{len(cases) - len(failed)} right of {len(cases)}"
    return Gate("cases", not failed, "all right", f"{found}; wrong: {', '.join(failed)}" if failed else found)


def recall_gates(candidate: Scorer, served: Scorer, samples: Sequence[Sample]) -> list[Gate]:
    """Of each source and of all together: no less is caught at the same rate of false alarms.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13, with both models on the same
    draws.
    """
    texts = [sample.text for sample in samples]
    pair = np.stack([candidate.log_odds(texts), served.log_odds(texts)])
    commercial = np.array([sample.label == "commercial" for sample in samples], np.bool_)
    source = np.array([sample.source for sample in samples])
    places = {name: source == name for name in dict.fromkeys(source.tolist())}
    places[ALL] = np.ones(len(samples), np.bool_)
    gates = []
    for name, here in places.items():
        yes, no = pair[:, here & commercial], pair[:, here & ~commercial]
        rate = next((rate for least, rate in RATES if no.shape[1] >= least), None)
        if rate is None or yes.shape[1] < LEAST_COMMERCIAL:
            continue
        now, before = recall_at(yes, no, rate)
        at_best = float(np.quantile(_differences(yes, no, rate), 1 - CHANCE))
        gates.append(
            Gate(
                f"recall, {name}",
                at_best >= -LEEWAY,
                f">= {before:.2%} at {rate:.1%} false, less noise",
                f"{now:.2%} ({now - before:+.2%}, at best {at_best:+.2%})",
            )
        )
    # A gate that cannot be asked is not passed.
    return gates or [Gate("recall", False, "texts to compare it on", f"too few among {len(samples):,}")]


def recall_at(yes: NDArray[np.float32], no: NDArray[np.float32], rate: float) -> NDArray[np.float64]:
    """Share of the commercial texts that lie over all but ``rate`` of the others, by model.

    Args:
        yes: shape (models, n), log-odds of the commercial texts.
        no: shape (models, m), of the others.
        rate: in (0, 1).
    """
    place = no.shape[1] - 1 - int(rate * no.shape[1])
    thresholds = np.partition(no, place, axis=1)[:, place]
    recall: NDArray[np.float64] = (yes > thresholds[:, None]).mean(axis=1)
    return recall


def _differences(yes: NDArray[np.float32], no: NDArray[np.float32], rate: float) -> NDArray[np.float64]:
    """Recall of the first model less that of the second, on ``RESAMPLES`` draws of the texts."""
    chance = np.random.default_rng(1993)
    found = np.empty(RESAMPLES)
    for draw in range(RESAMPLES):
        some_yes = yes[:, chance.integers(yes.shape[1], size=yes.shape[1])]
        some_no = no[:, chance.integers(no.shape[1], size=no.shape[1])]
        now, before = recall_at(some_yes, some_no, rate)
        found[draw] = now - before
    return found


def speed_gates(candidate: Scorer, served: Scorer, texts: Sequence[str]) -> list[Gate]:
    """No slower, neither by the batch nor alone; both models in turn, so that a busy machine is busy for both."""
    batches = [texts[start : start + 64] for start in range(0, min(len(texts), 512), 64)]
    singles = [[text] for text in texts[:20]]
    return [
        _speed_gate("batches of 64", candidate, served, batches),
        _speed_gate("one text", candidate, served, singles),
    ]


def _speed_gate(what: str, candidate: Scorer, served: Scorer, batches: Sequence[Sequence[str]]) -> Gate:
    order = (candidate, served)
    ratios = np.empty(PAIRS)
    for pair in range(PAIRS):
        spent = {scorer: shortest_seconds(scorer, batches, RUNS) for scorer in (order if pair % 2 else order[::-1])}
        ratios[pair] = spent[candidate] / spent[served]
    chance = np.random.default_rng(1993)
    medians = np.median(chance.choice(ratios, (RESAMPLES, PAIRS)), axis=1)
    at_best = float(np.quantile(medians, CHANCE))
    return Gate(
        f"speed, {what}",
        at_best <= 1 + SLOWER,
        f"<= {1 + SLOWER:g} x the time served, less noise",
        f"{float(np.median(ratios)):.2f} x (at best {at_best:.2f} x)",
    )
