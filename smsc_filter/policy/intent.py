"""A small model of what a reply means, for plain speech that no rule reads.

Logistic regression over hashed n-grams: letters of words with their edges, words and pairs of words, ideographs alone,
in pairs and in threes. ``python -m training replies`` learns it from ``samples/replies.jsonl`` and writes
``intent.npz``: one octet a weight and a scale for each meaning, so that it reads alike on every machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib.resources import as_file, files
from typing import Final, NamedTuple
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

BUCKETS: Final = 1 << 14

LONGEST: Final = 400
"""Characters of a folded text that are read: its first half and its last."""

MEANINGS: Final = ("stop", "start", "help", "confirm", "talk")


class Intent(NamedTuple):
    """What the model takes a text for."""

    kind: str
    """One of ``MEANINGS``."""
    probability: float


def read_intent(words: str) -> Intent:
    """The likeliest meaning of a text that ``policy.reply.fold_reply`` folded."""
    weights, scales, bias = _model()
    buckets = buckets_of(words)
    # The sum of small integers does not depend on the order of its terms, unlike that of floats.
    sums = weights[buckets].sum(axis=0, dtype=np.int64)
    logits = sums * scales / np.sqrt(float(buckets.size)) + bias
    odds = np.exp(logits - logits.max())
    best = int(odds.argmax())
    return Intent(MEANINGS[best], float(odds[best] / odds.sum()))


def buckets_of(words: str) -> NDArray[np.int64]:
    """The bucket of each distinct n-gram of a folded text, in rising order."""
    if len(words) > LONGEST:
        words = f"{words[: LONGEST // 2]} {words[-LONGEST // 2 :]}"
    found = {crc32(gram.encode("utf-8", "surrogatepass")) % BUCKETS for gram in _grams(words)}
    return np.array(sorted(found), np.int64)


def _grams(words: str) -> Iterator[str]:
    """N-grams of a folded text."""
    pieces = words.split()
    for piece in pieces:
        if piece.isascii():
            yield f"w{piece}"
            edged = f"<{piece}>"
            for length in (3, 4):
                for at in range(len(edged) - length + 1):
                    yield f"c{edged[at : at + length]}"
        else:
            edged = f"<{piece}>"
            for length in (1, 2, 3):
                for at in range(len(edged) - length + 1):
                    yield f"i{edged[at : at + length]}"
    for a, b in zip(["<", *pieces], [*pieces, ">"], strict=True):
        yield f"b{a} {b}"
    for a, b, c in zip(pieces, pieces[1:], pieces[2:], strict=False):
        yield f"t{a} {b} {c}"
    yield f"n{min(len(words) // 10, 12)}"


@cache
def _model() -> tuple[NDArray[np.int8], NDArray[np.float64], NDArray[np.float64]]:
    with as_file(files(__package__) / "intent.npz") as path, np.load(path, allow_pickle=False) as stored:
        return stored["weights"], stored["scales"], stored["bias"]
