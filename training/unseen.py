"""What a model said of the development set before it learnt from it too.

The weights that are served have learnt from every text there is, so asking them about the development set
measures memory. ``train`` therefore keeps beside them what the same recipe said of those texts while it had
not seen them, by a digest of each text; whoever measures or compares models asks that.
"""

import hashlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from smsc_filter.classifier.manifest import ModelError
from smsc_filter.classifier.scorer import Scorer, Scores
from smsc_filter.classifier.versions import UNSEEN

_ARRAYS: Final = {"digest": np.uint64, "log_odds": np.float32, "kind": np.uint8}


class Unseen(Scorer):
    """A model that answers as it did before it saw a text; it knows the texts it was asked about then and no others."""

    _digest: NDArray[np.uint64]
    _log_odds: NDArray[np.float32]
    _kind: NDArray[np.uint8]

    @classmethod
    def find(cls, folder: Path) -> "Unseen | None":
        """What is kept in ``folder``; None where its training kept nothing.

        Raises:
            ModelError: the folder holds no model, or what it keeps cannot be read.
        """
        scorer = cls.load(folder)
        path = folder / UNSEEN
        if not path.exists():
            return None
        assert isinstance(scorer, cls)
        try:
            # Octets and not the path: numpy leaves a file open that turns out to be no archive.
            with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as kept:
                scorer._digest, scorer._log_odds, scorer._kind = (kept[n].astype(t) for n, t in _ARRAYS.items())
        except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
            raise ModelError(f"{path}: is not what training keeps ({type(error).__name__})") from error
        if not len(scorer._digest) == len(scorer._log_odds) == len(scorer._kind):
            raise ModelError(f"{path}: holds columns of different lengths")
        return scorer

    def knows(self, texts: Sequence[str]) -> NDArray[np.bool_]:
        """Shape (n,): which texts it was asked about."""
        return np.isin(_digests(texts), self._digest)

    def log_odds(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """As it said then; all texts must be known."""
        return self._log_odds[self._places(texts)]

    def score(self, texts: Sequence[str]) -> Scores:
        """As it said then; all texts must be known."""
        places = self._places(texts)
        score = np.reciprocal(1 + np.exp(-self._log_odds[places].clip(-80, 80))).astype(np.float32)
        return Scores(score, self._kind[places])

    def _places(self, texts: Sequence[str]) -> NDArray[np.intp]:
        return np.searchsorted(self._digest, _digests(texts)).astype(np.intp)


def keep_unseen(folder: Path, texts: Sequence[str]) -> None:
    """Keep what the model in ``folder`` says of texts that it has not learnt from."""
    scorer = Scorer.load(folder)
    digest, first = np.unique(_digests(texts), return_index=True)
    kept = [texts[place] for place in first.tolist()]
    np.savez_compressed(folder / UNSEEN, digest=digest, log_odds=scorer.log_odds(kept), kind=scorer.score(kept).kind)


def _digests(texts: Sequence[str]) -> NDArray[np.uint64]:
    octets = (hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest() for text in texts)
    return np.frombuffer(b"".join(octets), "<u8").astype(np.uint64)
