"""The text behind the disguise: one copy for training and for service.

A batch of texts is joined into one array of code points, every code point is looked up in one
table, and the few rules that need a neighbour (blanks, runs of digits) are array operations. So the
cost of a text is a few nanoseconds a character, and a lone text pays only for some twenty numpy calls.

What is folded: case, full-width and other compatibility forms of a single character (as NFKC does),
accents, the kinds of brackets a signature comes in, the kinds of blanks. What is dropped: controls,
zero-width characters, direction marks, blanks beside a Chinese character. Digits become a class that
only tells how long their run is: a code of six is a feature, its value is not.

Unicode data is that of version 3.2, which every Python carries as ``unicodedata.ucd_3_2_0``: a newer
Python must not fold a text differently from the one its model was trained on.
"""

from collections.abc import Sequence
from functools import cache
from itertools import chain
from typing import Final, NamedTuple
from unicodedata import ucd_3_2_0 as ucd

import numpy as np
from numpy.typing import NDArray

MAX_CHARACTERS: Final = 2048
"""A longer text is judged by its first and its last 1,024 characters, so that work is bounded."""

MARGIN: Final = 3
"""Places before every text, and behind the last, that hold ``EDGE``: no n-gram of up to
``MARGIN + 1`` characters then sees two texts, and the edges of a text are features themselves."""

BLANK: Final = 0x20
DIGIT: Final = 0x30

# Codes beyond Unicode, so that no text can write them.
EDGE: Final = 0x110000
DROPPED: Final = 0x110001
RUN: Final = 0x110010
"""``RUN + k`` stands for a digit in a run of k digits."""

LONGEST_RUN: Final = 12
"""Runs of more digits than a phone number has are all alike."""

_WIDE = 0x2E80
"""From here on (ideographs, kana, their punctuation) a script writes no blanks between words."""

_BRACKETS = {"[": "【", "]": "】", "〔": "【", "〕": "】", "〖": "【", "〗": "】", "「": "【", "」": "】"}

# Code points no one sees that Unicode 3.2 does not class as Cc or Cf: the zero-width space (still a
# blank then), fillers, variation selectors, later joiners and the tags of plane 14.
_UNSEEN = (
    range(0x200B, 0x2010),
    range(0x2028, 0x202F),
    range(0x2060, 0x2070),
    range(0xFE00, 0xFE10),
    range(0xE0000, 0xE1000),
    (0x00AD, 0x034F, 0x115F, 0x1160, 0x180E, 0x2800, 0x3164, 0xFEFF, 0xFFA0),
)

# Everything that folds to something else lies here; the rest of Unicode stands for itself.
_FOLDABLE = (
    range(0x3400),
    range(0xA000, 0xAC00),
    range(0xF900, 0x10000),
    range(0x10400, 0x10450),
    range(0x1D400, 0x1D800),
    range(0x2F800, 0x2FA20),
)


class Folded(NamedTuple):
    """A batch of n texts as one array of codes.

    Each text is ``MARGIN`` places of ``EDGE`` followed by its folded characters; another ``MARGIN``
    places of ``EDGE`` close the batch.
    """

    codes: NDArray[np.uint32]
    """Shape (places + ``MARGIN``,)."""

    starts: NDArray[np.intp]
    """Shape (n,): where the margin of each text begins."""

    lengths: NDArray[np.intp]
    """Shape (n,): places of each text, its margin before it included; never less than ``MARGIN``."""


def fold(texts: Sequence[str]) -> Folded:
    """Fold a batch of at least one text; any ``str`` will do, lone surrogates included."""
    lengths = np.fromiter(map(len, texts), np.intp, len(texts))
    if lengths.max() > MAX_CHARACTERS:
        texts = [_ends(text) for text in texts]
        np.minimum(lengths, MAX_CHARACTERS, out=lengths)
    margin = "\0" * MARGIN
    joined = margin.join(chain(("",), texts, ("",)))
    points = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), np.dtype("<u4"))
    codes = fold_table().take(points)

    lengths += MARGIN
    starts = np.empty_like(lengths)
    starts[0] = 0
    np.cumsum(lengths[:-1], out=starts[1:])
    # A text may hold U+0000 itself, so the margins are told by their place, not by their value.
    for place in range(MARGIN):
        codes[starts + place] = EDGE
    codes[-MARGIN:] = EDGE

    dropped = _dropped(codes)
    if dropped.any():
        lengths -= np.add.reduceat(dropped, starts, dtype=np.intp)
        np.cumsum(lengths[:-1], out=starts[1:])
        codes = codes[~dropped]
    _class_digits(codes)
    return Folded(codes, starts, lengths)


def _ends(text: str) -> str:
    half = MAX_CHARACTERS // 2
    return text if len(text) <= MAX_CHARACTERS else text[:half] + text[-half:]


def _dropped(codes: NDArray[np.uint32]) -> NDArray[np.bool_]:
    """Which places hold nothing a reader would miss: see the module's introduction."""
    dropped: NDArray[np.bool_] = codes == DROPPED
    blank = codes == BLANK
    # EDGE counts as wide, so blanks around a text go the same way as blanks beside an ideograph.
    beside = codes >= _WIDE
    dropped[1:] |= blank[1:] & (beside | blank)[:-1]
    dropped[:-1] |= blank[:-1] & beside[1:]
    return dropped


def _class_digits(codes: NDArray[np.uint32]) -> None:
    """Replace each digit by the class of the run it stands in, in place."""
    digit = codes == DIGIT
    # Every text begins and ends in a margin, so runs begin and end inside the array.
    turns = np.flatnonzero(digit[1:] != digit[:-1])
    if turns.size:
        runs = turns[1::2] - turns[0::2]
        codes[digit] = np.repeat((RUN + np.minimum(runs, LONGEST_RUN)).astype(np.uint32), runs)


@cache
def fold_table() -> NDArray[np.uint32]:
    """Shape (0x110000,): what each code point folds to; read only."""
    table = np.arange(0x110000, dtype=np.uint32)
    for point in chain.from_iterable(_FOLDABLE):
        table[point] = _fold_point(chr(point))
    for points in _UNSEEN:
        table[np.array(points)] = DROPPED
    table.flags.writeable = False
    return table


def _fold_point(character: str) -> int:
    if character in "\t\n\r":
        return BLANK
    category = ucd.category(character)
    if category == "Cn":
        # Not a character of Unicode 3.2, so what this Python knows of it another may not know.
        return ord(character)
    if category in ("Cc", "Cf") or "\u0300" <= character <= "\u036f":
        return DROPPED
    if category in ("Zs", "Zl", "Zp"):
        return BLANK
    if ucd.digit(character, None) is not None:
        return DIGIT
    folded = _single(ucd.normalize("NFKC", character)) or character
    # An accent hides a letter as well as it spells one, and writers of SMS leave accents out.
    apart = ucd.normalize("NFD", folded)
    if all("\u0300" <= mark <= "\u036f" for mark in apart[1:]):
        folded = apart[0]
    folded = _single(folded.lower()) or folded
    return ord(_BRACKETS.get(folded, folded))


def _single(text: str) -> str | None:
    """``text`` if it is one character: a form that folds to more keeps its place and stays as it is."""
    return text if len(text) == 1 else None
