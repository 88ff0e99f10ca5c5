"""Character n-gram hashing, vectorised: one copy for training and for service.

Every place of a folded batch begins one n-gram of each length up to ``LONGEST``. A rolling hash gives
its number, the number gives its row in the table of weights. A text's score is the sum of its rows
divided by the square root of its length: about what L2-normalised counts give, without having to count.

Nothing here is stored per n-gram, so no text of the training data can be read out of a model.
Signatures, links, prices, opt-out phrases and the edges of a text are n-grams too (see ``normalise``),
so they have no features of their own. n-grams of 5 and tables of up to 2**20 rows were tried and scored
no better on the development set.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from smsc_filter.classifier.normalise import EDGE, MARGIN, RUN, Folded

FEATURE_VERSION: Final = 1
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

# Odd multipliers spread the hash over its high bits, which number the row (Knuth, TAOCP vol. 3,
# section 6.4); one for each length, so that no two lengths share their collisions.
_STEP = np.uint32(0x9E3779B1)
_SPREAD = tuple(np.uint32(odd) for odd in (0x165667B1, 0x85EBCA77, 0xC2B2AE3D, 0x27D4EB2F))


def hash_grams(folded: Folded) -> Iterator[NDArray[np.uint32]]:
    """The 32-bit hash of the n-gram that begins at each place, for n = 1, 2, .. ``LONGEST``.

    Yields:
        Shape (places,): the n-grams of text k are at ``starts[k] : starts[k] + lengths[k]``.
        The high bits are the better ones.
    """
    places = folded.codes.size - MARGIN
    rolling = folded.codes[:places].copy()
    yield rolling * _SPREAD[0]
    for more in range(1, LONGEST):
        rolling *= _STEP
        rolling += folded.codes[more : more + places]
        yield rolling * _SPREAD[more]


def rows(hashes: NDArray[np.uint32], bits: int) -> NDArray[np.intp]:
    """The row of each n-gram in a table of ``2 ** bits`` rows."""
    return (hashes >> np.uint32(32 - bits)).astype(np.intp)


def scales(folded: Folded) -> NDArray[np.float32]:
    """Shape (n,): what the sum over the rows of each text is multiplied by."""
    return np.reciprocal(np.sqrt(folded.lengths.astype(np.float32)))


def spell(codes: Sequence[int]) -> str:
    """An n-gram as a person may read it: ``^`` and ``$`` for the edges of the text, ``0`` for a digit."""
    inside = [code for code in codes if code != EDGE]
    before = "^" if codes[0] == EDGE else ""
    after = "$" if codes[-1] == EDGE and inside else ""
    return before + "".join("0" if code > RUN else chr(code) for code in inside) + after
