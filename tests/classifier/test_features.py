import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsc_filter.classifier.features import (
    LONGEST,
    ROW_BITS,
    ROWS,
    hash_grams,
    rows,
    scales,
    spell,
)
from smsc_filter.classifier.normalise import MARGIN, fold


def grams_of(texts: list[str], which: int) -> list[list[int]]:
    """The hashes of text ``which``, one list for each length of n-gram."""
    batch = fold(texts)
    here = slice(batch.starts[which], batch.starts[which] + batch.lengths[which])
    return [hashes[here].tolist() for hashes in hash_grams(batch)]


@given(st.lists(st.text(max_size=40), min_size=1, max_size=6), st.data())
def test_no_n_gram_sees_two_texts(texts: list[str], data: st.DataObject) -> None:
    which = data.draw(st.integers(0, len(texts) - 1))
    assert grams_of(texts, which) == grams_of([texts[which]], 0)


def test_there_is_one_n_gram_of_each_length_at_each_place() -> None:
    batch = fold(["免费领取", "", "ok"])
    hashes = list(hash_grams(batch))
    assert len(hashes) == LONGEST
    assert {h.size for h in hashes} == {int(batch.lengths.sum())} == {3 * MARGIN + 4 + 2}


def test_equal_n_grams_share_a_row_and_lengths_do_not() -> None:
    by_length = [rows(np.array(hashes, np.uint32), ROW_BITS) for hashes in grams_of(["ababab"], 0)]
    a, b = MARGIN, MARGIN + 1
    for found in by_length[:2]:
        assert found[a] == found[a + 2] != found[b]
    assert len({int(found[a]) for found in by_length}) == LONGEST


def test_rows_are_used_evenly() -> None:
    # Neighbouring ideographs: a hash whose high bits hang on little of its input crowds these together.
    texts = [chr(0x4E00 + first) + chr(0x4E00 + second) for first in range(180) for second in range(180)]
    for hashes in hash_grams(fold(texts)):
        grams = np.unique(hashes)
        by_chance = ROWS * -np.expm1(-grams.size / ROWS)
        assert np.unique(rows(grams, ROW_BITS)).size > 0.95 * by_chance


def test_scales_shrink_with_length() -> None:
    assert scales(fold(["", "ab" * 50])).tolist() == pytest.approx([3**-0.5, 103**-0.5])


@pytest.mark.parametrize(
    ("text", "length", "spelled"),
    [
        pytest.param("免费", 4, ["^免", "^免费", "^免费$", "免费$", "费$"], id="edges"),
        pytest.param("5折", 2, ["^", "^", "^0", "0折", "折$"], id="digit"),
        pytest.param("", 1, ["^", "^", "^"], id="empty"),
    ],
)
def test_spell(text: str, length: int, spelled: list[str]) -> None:
    codes = fold([text]).codes.tolist()
    places = range(len(codes) - MARGIN)
    found = [spell(codes[place : place + length]) for place in places]
    assert found == spelled
