import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsc_filter.classifier.features import (
    EVIDENCE_CODES,
    LONGEST,
    ROW_BITS,
    ROWS,
    evidence_rows,
    hash_grams,
    rows,
    scales,
    spell,
)
from smsc_filter.classifier.normalise import MARGIN, SEAM, fold


def grams_of(texts: list[str], which: int) -> list[list[int]]:
    """The hashes of the letters of text ``which``, one list for each length of n-gram."""
    batch = fold(texts)
    here = slice(batch.starts[which], batch.starts[which] + batch.lengths[which])
    return [hashes[here].tolist() for hashes in hash_grams(batch)]


def marks_of(texts: list[str], which: int) -> list[list[int]]:
    """The hashes of its marks."""
    batch = fold(texts)
    start = batch.starts[len(texts) + which]
    return [hashes[start : start + batch.lengths[len(texts) + which]].tolist() for hashes in hash_grams(batch)]


@given(st.lists(st.text(max_size=40), min_size=1, max_size=6), st.data())
def test_no_n_gram_sees_two_texts(texts: list[str], data: st.DataObject) -> None:
    which = data.draw(st.integers(0, len(texts) - 1))
    assert grams_of(texts, which) == grams_of([texts[which]], 0)
    assert marks_of(texts, which) == marks_of([texts[which]], 0)


def test_there_is_one_n_gram_of_each_length_at_each_place() -> None:
    batch = fold(["免费领取", "", "ok"])
    hashes = list(hash_grams(batch))
    assert len(hashes) == LONGEST
    assert {h.size for h in hashes} == {int(batch.lengths.sum())} == {3 * MARGIN + 4 + 2 + 3 * SEAM}


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
    assert scales(fold(["", "ab" * 50])).tolist() == pytest.approx([3**-0.5, 103**-0.5, 2 / SEAM, 2 / SEAM])
    assert scales(fold(["ok!?"])).tolist() == pytest.approx([5**-0.5, 2 / (SEAM + 2)])


@pytest.mark.parametrize(
    ("text", "length", "spelled"),
    [
        pytest.param("免费", 4, ["^免", "^免费", "^免费$", "免费$", "费$"], id="edges"),
        pytest.param("5折", 2, ["^", "^", "^0", "0折", "折$"], id="digit"),
        pytest.param("", 1, ["^", "^", "^"], id="empty"),
    ],
)
def test_letters_are_spelled(text: str, length: int, spelled: list[str]) -> None:
    assert spell_all(text, length)[: len(spelled)] == spelled


@pytest.mark.parametrize(
    ("text", "length", "spelled"),
    [
        pytest.param("", 1, ["^", "⟨marks 0⟩"], id="no-marks"),
        pytest.param("免\u200b费!", 1, ["^", "⟨marks 2⟩", "中!"], id="a-mark"),
        pytest.param("ok, 5: ", 2, ["⟨marks 2⟩a,", "a,0:", "0:$"], id="two-marks"),
    ],
)
def test_marks_and_evidence_are_spelled(text: str, length: int, spelled: list[str]) -> None:
    assert spell_all(text, length)[-len(spelled) :] == spelled


def spell_all(text: str, length: int) -> list[str]:
    codes = fold([text]).codes.tolist()
    return [spell(codes[place : place + length]) for place in range(len(codes) - MARGIN)]


def test_evidence_is_spelled_and_has_rows_of_its_own() -> None:
    assert [spell([code]) for code in EVIDENCE_CODES[:, 2].tolist()] == ["⟨hidden 3⟩", "⟨alike 3⟩"]
    assert np.unique(evidence_rows(EVIDENCE_CODES, ROW_BITS)).size == EVIDENCE_CODES.size
