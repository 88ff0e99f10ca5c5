from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsc_filter.classifier.normalise import (
    BLANK,
    DIGIT,
    EDGE,
    LONGEST_RUN,
    MARGIN,
    MAX_CHARACTERS,
    RUN,
    fold,
    fold_table,
)


def folded(text: str) -> list[int]:
    """The codes of one text without the margins around it."""
    batch = fold([text])
    assert batch.codes.tolist()[:MARGIN] == batch.codes.tolist()[-MARGIN:] == [EDGE] * MARGIN
    return batch.codes.tolist()[MARGIN:-MARGIN]


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        pytest.param("SALE", "sale", id="case"),
        pytest.param("ＳＡＬＥ！", "sale!", id="full-width"),
        pytest.param("𝐒𝐀𝐋𝐄", "sale", id="mathematical-letters-beyond-the-bmp"),
        pytest.param("Señor Çağ", "senor cag", id="accents"),
        pytest.param("e\u0301te\u0301", "ete", id="combining-accents"),
        pytest.param("优\u200b惠\ufeff券\u2060", "优惠券", id="zero-width"),
        pytest.param("a\u00adb\u202ec\U000e0041", "abc", id="soft-hyphen-direction-mark-tag"),
        pytest.param("a\x00b", "ab", id="a-null-is-not-a-margin"),
        pytest.param("优 惠 ab 券", "优惠ab券", id="blanks-beside-ideographs"),
        pytest.param(" two \t\n words", "two words", id="runs-of-blanks"),
        pytest.param("\u3000免费\u3000", "免费", id="ideographic-space"),
        pytest.param("[店]〔店〕〖店〗", "【店】【店】【店】", id="brackets-of-signatures"),
        pytest.param("\ud83d", "\ud83d", id="lone-surrogate"),
        pytest.param("", "", id="empty"),
        pytest.param("\u200b", "", id="nothing-to-see"),
    ],
)
def test_fold(text: str, seen: str) -> None:
    assert folded(text) == [ord(character) for character in seen]


@pytest.mark.parametrize(
    ("text", "runs"),
    [
        pytest.param("7", [1], id="one"),
        pytest.param("482913", [6] * 6, id="a-code"),
        pytest.param("４８２９１３", [6] * 6, id="full-width"),
        pytest.param("①②", [2] * 2, id="circled"),
        pytest.param("48\u200b29", [4] * 4, id="zero-width-between"),
        pytest.param("1" * 40, [LONGEST_RUN] * 40, id="longer-than-a-phone-number"),
    ],
)
def test_a_digit_tells_the_length_of_its_run_and_not_its_value(text: str, runs: list[int]) -> None:
    assert folded(text) == [RUN + run for run in runs]


def test_runs_of_digits_do_not_join_across_texts() -> None:
    assert fold(["12", "345"]).codes.tolist() == [
        *[EDGE] * MARGIN, RUN + 2, RUN + 2,
        *[EDGE] * MARGIN, RUN + 3, RUN + 3, RUN + 3,
        *[EDGE] * MARGIN,
    ]  # fmt: skip


def test_a_long_text_is_judged_by_its_ends() -> None:
    codes = folded("a" * MAX_CHARACTERS + "b" * 64_000 + "c" * MAX_CHARACTERS)
    assert codes == [ord("a")] * (MAX_CHARACTERS // 2) + [ord("c")] * (MAX_CHARACTERS // 2)


def test_the_table_is_the_same_for_every_python() -> None:
    # The sum over the table of Unicode 3.2; it changes only together with FEATURE_VERSION.
    table = fold_table().astype(np.uint64)
    weighed = (table * (np.arange(table.size, dtype=np.uint64) % 9973 + 1)).sum()
    assert int(weighed) == 3094344591408228


@given(st.lists(st.text(max_size=60), min_size=1, max_size=8))
def test_a_text_folds_alike_in_every_batch(texts: list[str]) -> None:
    batch = fold(texts)
    assert batch.codes.dtype == np.uint32
    assert int(batch.lengths.sum()) + MARGIN == batch.codes.size
    for text, start, length in zip(texts, batch.starts, batch.lengths, strict=True):
        assert batch.codes[start : start + length].tolist() == [EDGE] * MARGIN + folded(text)


@given(st.text(st.characters(), max_size=80))
def test_folding_leaves_no_case_no_digit_and_no_double_blank(text: str) -> None:
    codes = folded(text)
    assert DIGIT not in codes
    assert (BLANK, BLANK) not in set(pairwise(codes))
    assert not any(ord("A") <= code <= ord("Z") for code in codes)
