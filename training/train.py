"""``train``: labelled texts -> a folder with weights, manifest and card."""

import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_matrix  # type: ignore[import-untyped]
from sklearn.linear_model import LogisticRegression

from smsc_filter.classifier import features
from smsc_filter.classifier.manifest import CARD, KINDS, Manifest
from smsc_filter.classifier.normalise import fold
from smsc_filter.classifier.scorer import Scorer, Weights, write_weights
from smsc_filter.samples import Sample
from training import augment, evaluate, prepare
from training.curve import write_curve
from training.promote import install
from training.unseen import keep_unseen

COMMERCIAL_C: Final = 1.0
"""Inverse strength of the L2 penalty on rows scaled by their rarity; 4 and 8 judged surer and more often wrong: one
greeting more in a hundred, and half as many more of the people who write in disguise."""

KIND_C: Final = 4.0

FOLDS: Final = 4
"""Models that score the training set for the choice of thresholds."""

PIECE: Final = 4096
"""Texts hashed at once; bounds memory, changes nothing else."""


def train(
    data: Path, out: Path, *, name: str = "default", version: int = 1, seed: int = 0, labels: Sequence[Path] = ()
) -> Manifest:
    """Train a model on all of ``data`` but its development set and write it to ``out``.

    Raises:
        SampleError, FileNotFoundError: ``data`` does not hold labelled texts.
    """
    clock = _Clock()
    corpus = prepare.with_labels(prepare.read_corpus(data), labels)
    learn, dev = corpus.part(held_out=False), corpus.part(held_out=True)
    clock.says(f"{len(learn):,} texts to learn from, {len(dev):,} held out")
    weights = fit(learn, seed, clock)
    crossed = cross_score(learn, corpus.groups[~corpus.held_out], seed)
    clock.says(f"each text scored by a model that had not seen it, {FOLDS} models in all")
    draft = Manifest(
        name=name,
        version=version,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        weights="",
        sha256="",
        feature_version=features.FEATURE_VERSION,
        kinds=KINDS,
        thresholds={},
        data_fingerprint=corpus.fingerprint,
        sources=corpus.sources,
        seed=seed,
    )
    scores = Scorer(draft, weights).score([sample.text for sample in dev]).score
    thresholds = evaluate.choose_thresholds([*learn, *dev], np.concatenate([crossed, scores]))
    draft = replace(draft, thresholds=thresholds)
    with TemporaryDirectory() as scratch:
        manifest = write_model(Path(scratch), draft, weights)
        measured = evaluate.measure(Scorer.load(Path(scratch)), dev)
        clock.says("measured")
        keep_unseen(Path(scratch), evaluate.questions(dev))
        # What is served has learnt from every text there is; the figures stay those of the model that had not.
        (Path(scratch) / manifest.weights).unlink()
        manifest = write_model(Path(scratch), draft, fit([*learn, *dev], seed, clock, start=weights))
        write_curve(Path(scratch), manifest.model_id, dev, scores)
        (Path(scratch) / CARD).write_text(evaluate.card(manifest, corpus, measured), encoding="utf-8")
        install(Path(scratch), out)
    clock.says(f"{manifest.model_id} is in {out}")
    print(measured.text())
    return manifest


def write_model(folder: Path, draft: Manifest, weights: Weights) -> Manifest:
    """Write weights and manifest into an existing folder; return the manifest with their checksum."""
    partial = folder / "weights.partial"
    sha256 = write_weights(weights, partial)
    manifest = replace(draft, sha256=sha256, weights=f"weights-{sha256[:8]}.joblib")
    partial.rename(folder / manifest.weights)
    manifest.write(folder)
    return manifest


def fit(learn: Sequence[Sample], seed: int, clock: "_Clock | None" = None, start: Weights | None = None) -> Weights:
    """Fit both heads: *commercial or other* on every text, *kind* on those whose kind is known.

    Args:
        learn: the texts.
        seed: of everything random.
        clock: told how far it has come.
        start: weights of nearly the same texts, from which there are fewer steps to go.

    Raises:
        ValueError: a label or a kind has no text to be learnt from.
    """
    clock = clock or _Clock()
    forms = _forms(learn, seed)
    matrix = _commercial_matrix(forms.samples)
    clock.says(f"{matrix.nnz:,} n-grams in {len(forms.samples):,} forms of the texts")
    label = [sample.label == "commercial" for sample in forms.samples]
    rarity = rarities(matrix)
    matrix.data *= rarity[matrix.indices]
    before = start and (start.commercial[None, :] / rarity, start.commercial_bias)
    commercial = _fit(matrix, label, forms.weight, COMMERCIAL_C, seed, before)
    clock.says(f"commercial or other: {commercial.n_iter_[0]} steps")

    named = [
        (sample, weight, kind)
        for sample, weight in zip(forms.samples, forms.weight, strict=True)
        if (kind := prepare.kind_of(sample))
    ]
    matrix = gram_matrix([sample.text for sample, _, _ in named], features.KIND_LENGTHS, features.KIND_ROW_BITS)
    kinds = [KINDS.index(kind) for _, _, kind in named]
    if missing := [kind for kind in KINDS if KINDS.index(kind) not in kinds]:
        raise ValueError(f"no text of kind {', '.join(missing)} to learn from")
    before = start and (np.ascontiguousarray(start.kind.T), start.kind_bias)
    kind = _fit(matrix, kinds, [weight for _, weight, _ in named], KIND_C, seed, before)
    clock.says(f"kind, of {len(named):,} texts: {kind.n_iter_[0]} steps")
    weights = (commercial.coef_[0] * rarity).astype(np.float32)
    evidence = features.evidence_rows(features.EVIDENCE_CODES, features.ROW_BITS)
    weights[evidence] = np.maximum(weights[evidence], 0)
    return Weights(
        commercial=weights,
        commercial_bias=commercial.intercept_.astype(np.float32),
        kind=np.ascontiguousarray(kind.coef_.T, np.float32),
        kind_bias=kind.intercept_.astype(np.float32),
    )


def cross_score(learn: Sequence[Sample], groups: NDArray[np.intp], seed: int) -> NDArray[np.float32]:
    """Score each text of the training set by a model that has seen none of its group.

    Greetings are few, and the threshold for persons hangs on the highest of them: this way all of them
    are asked, not only those of the development set.

    Args:
        learn: n texts.
        groups: shape (n,), their groups of near-duplicates.
        seed: as in ``fit``.

    Returns:
        Shape (n,), the scores of the texts as they are, not of their other forms.
    """
    forms = _forms(learn, seed)
    matrix = _commercial_matrix(forms.samples)
    matrix.data *= rarities(matrix)[matrix.indices]
    label = np.array([sample.label == "commercial" for sample in forms.samples])
    fold_of = (np.unique(groups, return_inverse=True)[1] % FOLDS)[forms.origin]
    log_odds = np.zeros(len(learn))

    def ask(fold_number: int) -> None:
        seen = fold_of != fold_number
        model = _fit(matrix[seen], label[seen], forms.weight[seen], COMMERCIAL_C, seed)
        asked = ~seen & forms.as_read
        log_odds[forms.origin[asked]] = model.decision_function(matrix[asked])

    # Products of sparse matrices do not hold the interpreter, so threads do, and share the matrix.
    with ThreadPoolExecutor(min(2, len(os.sched_getaffinity(0)))) as threads:
        list(threads.map(ask, range(FOLDS)))
    score: NDArray[np.float32] = np.reciprocal(1 + np.exp(-log_odds)).astype(np.float32)
    return score


class _Forms(NamedTuple):
    """What is learnt from: each text as it was read, and the other forms of some."""

    samples: list[Sample]
    origin: NDArray[np.intp]
    """Place of the text each form is of."""

    as_read: NDArray[np.bool_]
    weight: NDArray[np.float64]


def _forms(learn: Sequence[Sample], seed: int) -> _Forms:
    rows = [
        (form, place, form is sample, prepare.weight_of(sample) / len(forms))
        for place, sample in enumerate(learn)
        for forms in (prepare.forms(sample),)
        for form in forms
    ]
    rows += [
        (form, place, False, prepare.weight_of(form) * augment.weight_of(form))
        for place, form in augment.disguised_forms(learn, seed)
    ]
    samples, origin, as_read, weight = zip(*rows, strict=True)
    return _Forms(list(samples), np.array(origin), np.array(as_read), np.array(weight))


def _commercial_matrix(samples: Sequence[Sample]) -> csr_matrix:
    lengths = range(1, features.LONGEST + 1)
    texts = [sample.text for sample in samples]
    return gram_matrix(texts, lengths, features.ROW_BITS) + evidence_matrix(texts)


def rarities(matrix: csr_matrix) -> NDArray[np.float32]:
    """What each row is scaled by while it is learnt, and its weight afterwards: its inverse document frequency.

    The penalty then weighs less on what few texts hold and more on what most do; serving costs the same.

    Args:
        matrix: shape (n, rows), with no entry twice.

    Returns:
        Shape (rows,), at least 1.
    """
    texts = np.bincount(matrix.indices, minlength=matrix.shape[1])
    rarity: NDArray[np.float32] = (np.log((1 + matrix.shape[0]) / (1 + texts)) + 1).astype(np.float32)
    return rarity


def evidence_matrix(texts: Sequence[str]) -> csr_matrix:
    """The evidence of each text, as the scorer sees it: shape (n, ``features.ROWS``), float32."""
    places, found = [], []
    for start in range(0, len(texts), PIECE):
        evidence = fold(texts[start : start + PIECE]).evidence
        what, text = np.nonzero(evidence)
        places.append(start + text)
        found.append(features.evidence_rows(evidence[what, text], features.ROW_BITS))
    place, row = np.concatenate(places), np.concatenate(found)
    values = np.full(place.size, features.EVIDENCE_SCALE, np.float32)
    return csr_matrix((values, (place, row)), shape=(len(texts), features.ROWS))


def _fit(
    matrix: csr_matrix,
    label: ArrayLike,
    weight: ArrayLike,
    strength: float,
    seed: int,
    start: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None,
) -> LogisticRegression:
    model = LogisticRegression(C=strength, tol=1e-4, max_iter=300, random_state=seed, warm_start=start is not None)
    if start is not None:
        model.coef_, model.intercept_ = start
    return model.fit(matrix, np.asarray(label), sample_weight=np.asarray(weight))


def gram_matrix(texts: Sequence[str], lengths: Sequence[int], bits: int) -> csr_matrix:
    """The n-grams of each text, as the scorer sees them.

    Args:
        texts: n texts.
        lengths: which n-grams, each from 1 to ``features.LONGEST``.
        bits: the table has ``2 ** bits`` rows.

    Returns:
        Shape (n, 2 ** bits), float32: how often the text has an n-gram of that row, times its scale.
    """
    indices, values, counts = [], [], []
    for start in range(0, len(texts), PIECE):
        folded = fold(texts[start : start + PIECE])
        rows = [features.rows(hashes, bits).astype(np.int32) for hashes in features.hash_grams(folded)]
        n = folded.starts.size // 2
        # The marks of a text lie behind the letters of the last: a text's places are brought together.
        owner = np.repeat(np.tile(np.arange(n, dtype=np.int32), 2), folded.lengths)
        order = np.argsort(owner, kind="stable")
        indices.append(np.stack([rows[n - 1] for n in lengths], axis=1)[order].ravel())
        counts.append((folded.lengths[:n] + folded.lengths[n:]) * len(lengths))
        values.append(np.repeat(np.repeat(features.scales(folded), folded.lengths)[order], len(lengths)))
    ends = np.concatenate([[0], *counts]).cumsum()
    parts = (np.concatenate(values), np.concatenate(indices), ends)
    matrix = csr_matrix(parts, shape=(len(texts), 1 << bits), dtype=np.float32)
    matrix.sum_duplicates()
    return matrix


class _Clock:
    """Tells how far a run has come, and when."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    def says(self, what: str) -> None:
        print(f"{time.monotonic() - self._start:6.1f} s  {what}", flush=True)
