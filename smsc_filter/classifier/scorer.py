"""Loads a model, scores a batch, explains a score.

A model is two linear heads over the same hashed n-grams: one weight a row for *is it commercial*, one
row of ``len(KINDS)`` weights for *what kind of text is it*. The table of the first is one megabyte, so it
stays in the cache of a core; that, and no Python per character, is what makes a text cost microseconds.
"""

import hashlib
import io
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import joblib
import numpy as np
from joblib.numpy_pickle import NumpyArrayWrapper, NumpyUnpickler
from numpy.typing import NDArray

from smsc_filter.classifier import features
from smsc_filter.classifier.manifest import (
    KINDS,
    MOST_WEIGHTS_OCTETS,
    Manifest,
    ModelError,
    read_manifest,
    read_octets,
)
from smsc_filter.classifier.normalise import Folded, fold

__all__ = ["KINDS", "Contribution", "ModelError", "Scorer", "Scores", "Weights", "write_weights"]

BATCH: Final = 256
"""Texts scored at once; more are cut into pieces, so that the arrays between stay in the cache."""

WINDOW: Final = 480
"""Characters of a text, some three SMS, above which it is judged by windows of so many, of which the worst counts: an
advertisement in the midst of a long text counts as if it stood alone or nearly so."""

STEP: Final = 320
"""Characters from one window to the next; what is no longer than the difference lies whole in one of them."""

WINDOWS: Final = 64
"""Windows scored at once."""

_MOST: Final = np.float32(80)

_COMMERCIAL_KINDS: Final = np.isin(KINDS, ("commercial", "fraud"))


class Scores(NamedTuple):
    """What the classifier says of n texts, in their order."""

    score: NDArray[np.float32]
    """Shape (n,), in [0, 1]: probability that each text is commercial; fraud counts as commercial."""

    kind: NDArray[np.uint8]
    """Shape (n,): index into ``KINDS``; one of the commercial kinds where the score is 0.5 or more,
    one of the others where it is less."""


class Contribution(NamedTuple):
    """What one n-gram of a text adds to the log-odds that the text is commercial."""

    feature: str
    """The n-gram after folding; ``^`` and ``$`` are the edges of the text, ``0`` is any digit."""

    log_odds: float


class Weights(NamedTuple):
    """The learnt numbers, all float32; see ``features`` for the rows."""

    commercial: NDArray[np.float32]
    """Shape (``ROWS``,)."""

    commercial_bias: NDArray[np.float32]
    """Shape (1,)."""

    kind: NDArray[np.float32]
    """Shape (``KIND_ROWS``, ``len(KINDS)``)."""

    kind_bias: NDArray[np.float32]
    """Shape (``len(KINDS)``,)."""


_SHAPES: Final = {
    "commercial": (features.ROWS,),
    "commercial_bias": (1,),
    "kind": (features.KIND_ROWS, len(KINDS)),
    "kind_bias": (len(KINDS),),
}


class Scorer:
    """A model in memory. Scoring changes nothing in it, so threads may share one."""

    model_id: str
    """Name, version and the first eight digits of the weights' checksum: ``default-1@3f2a91c0``."""

    thresholds: Mapping[str, float]
    """Score from which a text counts as commercial, by the purpose its sender is registered for."""

    def __init__(self, manifest: Manifest, weights: Weights) -> None:
        self.manifest = manifest
        self.model_id = manifest.model_id
        self.thresholds = MappingProxyType(dict(manifest.thresholds))
        self._weights = weights

    @classmethod
    def load(cls, folder: Path) -> "Scorer":
        """Load the model in ``folder``.

        Raises:
            ModelError: the folder does not hold a whole model of this version; nothing in it was executed.
        """
        manifest = read_manifest(folder)
        path = folder / manifest.weights
        if manifest.feature_version != features.FEATURE_VERSION:
            raise ModelError(
                f"{folder}: made for features of version {manifest.feature_version},"
                f" this is version {features.FEATURE_VERSION}; train it again"
            )
        octets = read_octets(path, MOST_WEIGHTS_OCTETS)
        # The octets that were checked are the ones unpickled: the file is not opened a second time.
        if hashlib.sha256(octets).hexdigest() != manifest.sha256:
            raise ModelError(f"{path}: is not the file its manifest describes (SHA-256 differs)")
        return cls(manifest, _read_weights(octets, path))

    def score(self, texts: Sequence[str]) -> Scores:
        """Score n texts as a subscriber reads them, parts joined, not yet normalised."""
        if 0 < len(texts) <= BATCH and max(map(len, texts)) <= WINDOW:
            return Scores(*self._score(fold(texts)))
        scores = Scores(np.empty(len(texts), np.float32), np.empty(len(texts), np.uint8))
        for start in range(0, len(texts), BATCH):
            piece = slice(start, start + BATCH)
            scores.score[piece], scores.kind[piece] = self._score_windows(texts[piece])
        return scores

    def _score_windows(self, texts: Sequence[str]) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """Score and kind of the worst window of each text."""
        windows = [windows_of(text) for text in texts]
        pieces = list(chain.from_iterable(windows))
        scored = [self._score(fold(pieces[at : at + WINDOWS])) for at in range(0, len(pieces), WINDOWS)]
        score, kind = (np.concatenate(column) for column in zip(*scored, strict=True))
        worst = _worst(score, windows)
        return score[worst], kind[worst]

    def log_odds(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Shape (n,): the score before the logistic function, which tells apart scores close to 1."""
        windows = [windows_of(text) for text in texts]
        pieces = list(chain.from_iterable(windows))
        sums = [self._sum(fold(pieces[at : at + BATCH]))[0] for at in range(0, len(pieces), BATCH)]
        odds = np.concatenate([np.empty(0, np.float32), *sums])
        return odds[_worst(odds, windows)]

    def explain(self, text: str, most: int = 12) -> list[Contribution]:
        """The n-grams that matter most for the score of ``text``, the largest contribution first.

        Size counts, not sign: a negative contribution speaks against *commercial*. Over all n-grams
        (``most`` large enough) the contributions and ``bias`` add up to the log-odds exactly. Of a long text they are
        those of its worst window.
        """
        windows = windows_of(text)
        folded = fold([max(windows, key=lambda window: self.log_odds([window])[0]) if len(windows) > 1 else text])
        scale = np.repeat(features.scales(folded), folded.lengths)
        codes = folded.codes.tolist()
        sums: defaultdict[str, float] = defaultdict(float)
        for length, hashes in enumerate(features.hash_grams(folded), 1):
            weights = self._weights.commercial[features.rows(hashes, features.ROW_BITS)] * scale
            for place, weight in enumerate(weights.tolist()):
                sums[features.spell(codes[place : place + length])] += weight
        evidence = folded.evidence[folded.evidence > 0]
        weights = self._weights.commercial[features.evidence_rows(evidence, features.ROW_BITS)]
        for code, weight in zip(evidence.tolist(), weights.tolist(), strict=True):
            sums[features.spell([code])] += weight * features.EVIDENCE_SCALE
        largest = sorted(sums.items(), key=lambda item: (-abs(item[1]), item[0]))
        return [Contribution(*item) for item in largest[:most]]

    @property
    def bias(self) -> float:
        """The log-odds of a text of which nothing is known."""
        return float(self._weights.commercial_bias[0])

    def _score(self, folded: Folded) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        log_odds, kinds = self._sum(folded)
        # Bounded, since exp overflows float32 beyond 88; the score is 0 to the last bit long before.
        score = np.reciprocal(1 + np.exp(np.minimum(-log_odds, _MOST)))
        kinds[(score >= 0.5)[:, None] != _COMMERCIAL_KINDS] = -np.inf
        return score, kinds.argmax(axis=1).astype(np.uint8)

    def _sum(self, folded: Folded) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Log-odds of *commercial*, shape (n,), and of each kind, shape (n, kinds)."""
        weights = self._weights
        scale = features.scales(folded)
        hashes = features.hash_grams(folded)
        log_odds = np.add.reduce(weights.commercial.take(features.rows(hashes, features.ROW_BITS)), axis=0)
        sums = np.add.reduceat(log_odds, folded.starts) * scale
        n = scale.size // 2  # letters and marks of a text lie apart
        commercial = sums[:n] + sums[n:] + weights.commercial_bias
        if np.count_nonzero(folded.evidence):
            evidence = weights.commercial.take(features.evidence_rows(folded.evidence, features.ROW_BITS))
            commercial += features.EVIDENCE_SCALE * np.where(folded.evidence, evidence, 0).sum(axis=0)
        kinds = np.zeros((scale.size, len(KINDS)), np.float32)
        for length in features.KIND_LENGTHS:
            rows = features.rows(hashes[length - 1], features.KIND_ROW_BITS)
            kinds += np.add.reduceat(weights.kind.take(rows, axis=0), folded.starts, axis=0)
        kinds *= scale[:, None]
        return commercial, kinds[:n] + kinds[n:] + weights.kind_bias


def windows_of(text: str) -> list[str]:
    """The windows a text is judged by: itself, unless it is longer than ``WINDOW``. The last one ends with the text."""
    if len(text) <= WINDOW:
        return [text]
    return [text[at : at + WINDOW] for at in (*range(0, len(text) - WINDOW, STEP), len(text) - WINDOW)]


def _worst(values: NDArray[np.float32], windows: Sequence[Sequence[str]]) -> NDArray[np.intp]:
    """Where the greatest of the values of each text stands."""
    counts = np.fromiter(map(len, windows), np.intp, len(windows))
    starts = np.cumsum(counts) - counts
    if values.size == counts.size:
        return starts
    return np.array([at + values[at : at + count].argmax() for at, count in zip(starts, counts, strict=True)], np.intp)


def write_weights(weights: Weights, path: Path) -> str:
    """Write the weights and return the SHA-256 of the file, in hexadecimal."""
    joblib.dump(weights._asdict(), path)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _read_weights(octets: bytes, path: Path) -> Weights:
    try:
        found = _ArrayUnpickler(octets).load()
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error
    except Exception as error:  # a damaged pickle can raise anything
        raise ModelError(f"{path}: is not a file of weights ({type(error).__name__})") from error
    if not isinstance(found, dict) or set(found) != set(Weights._fields):
        raise ModelError(f"{path}: must hold {', '.join(Weights._fields)}")
    for name, shape in _SHAPES.items():
        array = found[name]
        if not isinstance(array, np.ndarray) or array.dtype != np.float32 or array.shape != shape:
            raise ModelError(f"{path}: {name} must be float32 of shape {shape}")
        if not np.isfinite(array).all():
            raise ModelError(f"{path}: {name} holds a value that is not finite")
    return Weights(**found)


class _PlainArray(NumpyArrayWrapper):  # type: ignore[misc]
    """What joblib writes in place of an array, but only for arrays of plain numbers."""

    def read(self, unpickler: Any, *args: Any) -> Any:
        # An array of objects is a pickle inside the pickle, which joblib may read without our find_class.
        if not isinstance(self.dtype, np.dtype) or self.dtype != np.float32:
            raise ModelError(f"holds an array of {self.dtype!r}, not of float32")
        return super().read(unpickler, *args)


class _ArrayUnpickler(NumpyUnpickler):  # type: ignore[misc]
    """joblib's unpickler, able to make arrays and nothing else."""

    _KNOWN: Final = {
        ("joblib.numpy_pickle", "NumpyArrayWrapper"): _PlainArray,
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
    }

    def __init__(self, octets: bytes) -> None:
        super().__init__("", io.BytesIO(octets), ensure_native_byte_order=True)

    def find_class(self, module: str, name: str) -> Any:
        """Refuse every name a pickle may call for, but the three that an array needs."""
        try:
            return self._KNOWN[module, name]
        except KeyError:
            raise ModelError(f"asks for {module}.{name}, which weights have no use for") from None
