"""Whether two texts are the same in substance, told from a sketch of each and never from the text.

A text is folded as the classifier folds it (case, width, look-alike letters, traditional characters) and then
stripped to its letters: digits, links, blanks, punctuation, emoji and unseen marks are what a disguise changes first.
What is left is cut into overlapping shingles, two ideographs or five other letters, and the sketch is a MinHash of
them, one octet for each of 32 hashes. Two sketches agree in about as many places as the texts share shingles, so a text
with some words exchanged still agrees in many and an unrelated one in next to none. From a sketch nobody reads
the text.

SimHash of 64 bits was tried first: on texts of thirty characters two exchanged words turn as many bits as chance does.

Source: Broder, "On the resemblance and containment of documents", 1997; Li and Koenig, "b-bit minwise hashing", 2010.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from smsc_filter.classifier.normalise import fold
from smsc_filter.policy.links import without_links

PLACES: Final = 32
"""Octets of a sketch."""

ALIKE_PLACES: Final = 12
"""Places in which two sketches have to agree. ``tests/policy/test_likeness.py`` measures what it finds and what it
mistakes."""

NO_SKETCH: Final = bytes(PLACES)
"""Of a text without letters: it is like nothing, itself included."""

_IDEOGRAPH = 0x2E80
_SHORT, _LONG = 2, 5

# Odd numbers without a pattern, the same in every version of Python and numpy: sketches in the store outlive both.
_MULTIPLIERS: Final = np.array(
    [int.from_bytes(hashlib.sha256(b"place %d" % place).digest()[:4], "big") | 1 for place in range(PLACES)], np.uint32
)[:, None]


def sketch(texts: Sequence[str]) -> list[bytes]:
    """The sketch of each text, ``PLACES`` octets; ``NO_SKETCH`` where there are no letters."""
    if not texts:
        return []
    folded = fold([without_links(text) for text in texts])
    kept = _letters().take(folded.codes, mode="clip")
    kept[folded.codes >= 0x110000] = False
    owner = np.repeat(np.arange(len(texts)), folded.lengths[: len(texts)])
    kept = kept[: len(owner)]
    codes, owner = folded.codes[: len(owner)][kept], owner[kept]
    if not codes.size:
        return [NO_SKETCH] * len(texts)
    hashes = _shingles(codes, owner)
    starts = np.flatnonzero(np.r_[True, owner[1:] != owner[:-1]])
    mixed = hashes * _MULTIPLIERS
    mixed ^= mixed >> np.uint32(15)
    least = np.minimum.reduceat(mixed, starts, axis=1) * np.uint32(0x2C1B3C6D)
    octets = (least >> np.uint32(24)).astype(np.uint8).T
    sketches = [NO_SKETCH] * len(texts)
    for text, row in zip(owner[starts].tolist(), octets, strict=True):
        sketches[text] = row.tobytes()
    return sketches


def agreeing_places(one: bytes, kept: bytes) -> int:
    """In how many places a sketch agrees with the one of ``kept`` (sketches in a row) that it is most like."""
    if one == NO_SKETCH or not kept:
        return 0
    several = np.frombuffer(kept, np.uint8, len(kept) // PLACES * PLACES).reshape(-1, PLACES)
    return int((several == np.frombuffer(one, np.uint8)).sum(axis=1).max(initial=0))


def alike(one: bytes, kept: bytes) -> bool:
    """Whether the text of a sketch is the same as, or similar to, one of those behind ``kept``."""
    return agreeing_places(one, kept) >= ALIKE_PLACES


def _shingles(codes: NDArray[np.uint32], owner: NDArray[np.intp]) -> NDArray[np.uint32]:
    """A hash of the shingle that begins at each letter; near the end of a text it is as long as is left."""
    hashes = codes * np.uint32(0x9E3779B1)
    wide = codes >= _IDEOGRAPH
    for distance in range(1, _LONG):
        same = owner[distance:] == owner[:-distance]
        if distance >= _SHORT:
            same &= ~wide[:-distance]
        grown = (hashes[:-distance] ^ (hashes[:-distance] >> np.uint32(13))) * np.uint32(0x85EBCA6B) + codes[distance:]
        np.copyto(hashes[:-distance], grown, where=same)
    hashes ^= hashes >> np.uint32(16)
    hashes *= np.uint32(0x7FEB352D)
    hashes ^= hashes >> np.uint32(15)
    return hashes


@cache
def _letters() -> NDArray[np.bool_]:
    """Shape (0x110000,): which folded codes are letters."""
    table = np.zeros(0x110000, np.bool_)
    table[:0x20000] = np.strings.isalpha(np.arange(0x20000, dtype=np.uint32).view("<U1"))
    table[0x20000:0x40000] = True  # ideographs, all of them
    table.flags.writeable = False
    return table
