"""Character n-gram hashing, vectorised: one copy for training and for service.

Every place of a folded batch begins one n-gram of each length up to ``LONGEST``. A rolling hash gives
its number, the number gives its row in the table of weights. A text's score is the sum of its rows
divided by the square root of its length, about what L2-normalised counts give, without having to count; long texts
and marks count for less (see ``scales``).

Nothing here is stored per n-gram, so no text of the training data can be read out of a model.
Signatures, links, prices, opt-out phrases and the edges of a text are n-grams too (see ``normalise``), and so are
its punctuation and what was done to hide it, so they have no features of their own.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from smsc_filter.classifier.normalise import (
    BEHIND,
    DENSE_MARKS,
    EDGE,
    EVIDENCE,
    HIDDEN_LETTERS,
    LEVELS,
    LOOKALIKES,
    MARGIN,
    MARK,
    MOST_MARKS,
    RUN,
    SEAM,
    Folded,
)

FEATURE_VERSION: Final = 2
"""Changes whenever the same text would hash to other rows, here or in ``normalise``."""

LONGEST: Final = MARGIN + 1
"""n-grams have 1 to ``LONGEST`` characters."""

ROW_BITS: Final = 18
ROWS: Final = 1 << ROW_BITS
"""Rows of the table that tells how commercial a text is."""

KIND_ROW_BITS: Final = 14
KIND_ROWS: Final = 1 << KIND_ROW_BITS
"""Rows of the table that tells what kind of text it is."""

KIND_LENGTHS: Final = (2,)
"""Lengths of the n-grams that tell the kind: its rows are six times as wide, so it reads fewer."""

LONG: Final = 160
"""Characters of a text, margin included, beyond which it counts as a text of so many."""

MANY_MARKS: Final = 10
"""Marks of a text beyond which they count for less: which they are then tells of a disguise more than of a text."""

LONGEST_SCALED: Final = 2_048
"""Characters beyond which no text counts for less; the scorer cuts texts into windows long before."""

_LETTER_SCALES: Final = np.array(
    [1 / max(length**0.5, length / LONG**0.5, 1) for length in range(MARGIN + LONGEST_SCALED + 1)], np.float32
)
_MARK_SCALES: Final = np.array(
    [2 / max(length, length**2 / (SEAM + MANY_MARKS), 1) for length in range(SEAM + MOST_MARKS + 1)], np.float32
)

# Odd multipliers spread the hash over its high bits, which number the row (Knuth, TAOCP vol. 3,
# section 6.4); one for each length, so that no two lengths share their collisions.
_STEP = np.uint32(0x9E3779B1)
_SPREAD = tuple(np.uint32(odd) for odd in (0x165667B1, 0x85EBCA77, 0xC2B2AE3D, 0x27D4EB2F))


def hash_grams(folded: Folded) -> NDArray[np.uint32]:
    """The 32-bit hash of the n-gram that begins at each place, for n = 1, 2, .. ``LONGEST``.

    Returns:
        Shape (``LONGEST``, places): the n-grams of text k are at ``starts[k] : starts[k] + lengths[k]``, those of its
        marks at the same with k + n. The high bits are the better ones.
    """
    codes = folded.codes
    places = codes.size - MARGIN
    hashes = np.empty((LONGEST, places), np.uint32)
    rolling = codes[:places].copy()
    np.multiply(rolling, _SPREAD[0], out=hashes[0])
    for more in range(1, LONGEST):
        rolling *= _STEP
        rolling += codes[more : more + places]
        np.multiply(rolling, _SPREAD[more], out=hashes[more])
    return hashes


def rows(hashes: NDArray[np.uint32], bits: int) -> NDArray[np.intp]:
    """The row of each n-gram in a table of ``2 ** bits`` rows."""
    return (hashes >> np.uint32(32 - bits)).astype(np.intp)


def scales(folded: Folded) -> NDArray[np.float32]:
    """Shape (2 n,): what the sum over the rows of the letters, then of the marks, of each text is multiplied by.

    Twice the mean for marks: one more of them must not tell more than the first did. From ``LONG`` characters on the
    mean of the letters too: what is said a hundred times tells no more than what is said as often in one SMS.
    """
    n = folded.lengths.size // 2
    scale = np.empty(2 * n, np.float32)
    _LETTER_SCALES.take(folded.lengths[:n], out=scale[:n], mode="clip")
    _MARK_SCALES.take(folded.lengths[n:], out=scale[n:], mode="clip")
    return scale


EVIDENCE_SCALE: Final = 0.5
"""What a row of evidence is multiplied by, whatever the length of the text."""

EVIDENCE_CODES: Final = np.array(
    [[EVIDENCE + 0x10 * what + level for level in range(1, LEVELS)] for what in (HIDDEN_LETTERS, LOOKALIKES)], np.uint32
)
"""Every code of evidence. Training leaves none of their rows below 0: to hide never lowers a score."""


def evidence_rows(codes: NDArray[np.uint32], bits: int) -> NDArray[np.intp]:
    """The row of each code of evidence; what is 0 has none."""
    return rows(codes * _SPREAD[0], bits)


_EVIDENCE: Final = {HIDDEN_LETTERS: "hidden", LOOKALIKES: "alike", DENSE_MARKS: "marks"}


def spell(codes: Sequence[int]) -> str:
    """An n-gram as a person may read it.

    ``^`` and ``$`` are the edges of the text, ``0`` is a digit. A mark, which is read apart from the letters, follows
    the class of what it stood behind (``a``, ``0``, ``中`` or ``_``), and ``⟨hidden 3⟩`` is evidence and its level.
    """
    inside = [code for code in codes if code != EDGE]
    before = "^" if codes[0] == EDGE else ""
    after = "$" if codes[-1] == EDGE and inside else ""
    return before + "".join(map(_spell, inside)) + after


def _spell(code: int) -> str:
    if code >= MARK:
        return "_a0中"[code >> BEHIND & 3] + chr(code & (1 << BEHIND) - 1)
    if code >= EVIDENCE:
        what, level = divmod(code - EVIDENCE, 0x10)
        return f"⟨{_EVIDENCE[what]} {level}⟩"
    return "0" if code > RUN else chr(code)
