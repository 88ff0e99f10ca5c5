from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsc_filter.classifier.normalise import (
    BLANK,
    DIGIT,
    EDGE,
    EVIDENCE,
    LONGEST_RUN,
    MARGIN,
    MARK,
    MOST_MARKS,
    RUN,
    SEAM,
    fold,
    fold_table,
)
from training.alike import PATH, write


def letters(text: str) -> list[int]:
    """The codes of the letters of one text without the margins around them."""
    batch = fold([text])
    codes = batch.codes.tolist()[: batch.lengths[0] + MARGIN]
    assert codes[:MARGIN] == codes[-MARGIN:] == [EDGE] * MARGIN
    return codes[MARGIN:-MARGIN]


def read(text: str) -> str:
    """The letters of one text as a person reads them; ``0`` is any digit."""
    return "".join("0" if RUN < code <= RUN + LONGEST_RUN else chr(code) for code in letters(text))


def marks(text: str) -> str:
    """The marks of one text."""
    return "".join(chr(code & (1 << 21) - 1) for code in fold([text]).codes.tolist() if code >= MARK)


def evidence(text: str) -> tuple[int, int, int]:
    """How much was hidden, how much looked like something else, how dense the marks are; 0 for nothing."""
    batch = fold([text])
    hidden, alike = (max(0, int(code) - EVIDENCE - 0x10 * n) for n, code in enumerate(batch.evidence[:, 0]))
    return hidden, alike, int(batch.codes[batch.starts[1] + MARGIN]) - EVIDENCE - 0x20


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        pytest.param("SALE", "sale", id="case"),
        pytest.param("ＳＡＬＥ", "sale", id="full-width"),
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
    assert letters(text) == [ord(character) for character in seen]


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
    assert letters(text) == [RUN + run for run in runs]


def test_runs_of_digits_do_not_join_across_texts() -> None:
    batch = fold(["12", "345"])
    assert batch.codes[: batch.lengths[:2].sum()].tolist() == [
        *[EDGE] * MARGIN, RUN + 2, RUN + 2,
        *[EDGE] * MARGIN, RUN + 3, RUN + 3, RUN + 3,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("disguised", "plain", "hidden", "alike"),
    [
        pytest.param("优\u200b惠\u2060券", "优惠券", True, False, id="zero-width"),
        pytest.param("优\u0338惠\u20e0券", "优惠券", True, False, id="struck-out-and-encircled"),
        pytest.param("优★惠■券", "优惠券", False, False, id="marks-between"),
        pytest.param("优丶惠々券", "优惠券", False, False, id="strokes-between"),
        pytest.param("優惠領獎", "优惠领奖", False, False, id="traditional"),
        pytest.param("加V信", "加微信", False, False, id="a-letter-for-a-sound"),
        pytest.param("➕薇信", "加微信", False, False, id="a-sign-and-a-homophone"),
        pytest.param("扣扣12345", "qq12345", False, False, id="a-sound-for-letters"),
        pytest.param("满⑤⓪减➀", "满50减1", False, True, id="circled-digits"),
        pytest.param("电一三八〇〇一二三四五六", "电13800123456", False, False, id="spelled-digits"),
        pytest.param("电壹叁捌零零壹贰叁肆伍陆", "电13800123456", False, False, id="digits-as-on-a-bill"),
        pytest.param("优 惠 券 VIP", "优惠券VIP", False, False, id="blanks-between-ideographs"),
        pytest.param("f r e e   e n t r y   t o", "free entry to", True, False, id="letters-set-wide"),
        pytest.param("f.r.e.e e*n*t*r*y", "free entry", False, False, id="punctuation-in-words"),
        pytest.param("frее еntrу", "free entry", False, True, id="cyrillic"),
        pytest.param("ϲɑꜱհ ρгіzе", "cash prize", False, True, id="greek-armenian-phonetic"),
        pytest.param("fr3e c4$h pr!z3", "free cash prize", False, True, id="leetspeak"),
        pytest.param("🅵🆁🅴🅴", "free", False, False, id="letters-in-squares"),
    ],
)
def test_a_disguise_is_undone_and_leaves_a_trace(disguised: str, plain: str, hidden: bool, alike: bool) -> None:
    assert letters(disguised) == letters(plain)
    traces = evidence(disguised)
    assert (traces[0] > 0, traces[1] > 0) == (hidden, alike)
    assert evidence(plain)[:2] == (0, 0)


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        pytest.param("See you at 3pm, bring 2 mp3", "see you at 0pm bring 0 mp0", id="hours"),
        pytest.param("the 1st at 10am on M25", "the 0st at 00am on m00", id="ordinals-and-numbers-of-roads"),
        pytest.param("I am at home, u r late!", "i am at home u r late", id="single-letters"),
        pytest.param("Win! Call now... ok?!", "win call now ok", id="marks-behind-words"),
        pytest.param("一起去三亚，二十五号", "一起去三亚二十五号", id="numerals-in-words"),
        pytest.param("满100减5.5%", "满000减00%", id="shares"),
        pytest.param("【店】￥99", "【店】¥00", id="signature-and-price"),
        pytest.param("жизнь", "жизhb", id="a-word-of-another-script"),
    ],
)
def test_ordinary_text_stays_readable(text: str, seen: str) -> None:
    assert read(text) == seen
    assert evidence(text)[:2] == (0, 0)


def test_an_emoji_of_several_hides_nothing() -> None:
    assert evidence("晚安❤\ufe0f👨\u200d👩\u200d👧")[:2] == (0, 0)


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        pytest.param("好!", [3, "!"], id="ideograph"),
        pytest.param("ok!", [1, "!"], id="latin"),
        pytest.param("5!", [2, "!"], id="digit"),
        pytest.param("!", [0, "!"], id="nothing"),
        pytest.param("ok ！", [0, "!"], id="a-blank"),
    ],
)
def test_a_mark_tells_what_it_stood_behind(text: str, codes: tuple[int, str]) -> None:
    last = int(fold([text]).codes[-MARGIN - 1])
    assert [last >> 21 & 7, chr(last & (1 << 21) - 1)] == codes


def test_a_flood_of_marks_drowns_nothing() -> None:
    assert letters("优" + "。" * 500 + "惠") == letters("优惠")
    assert marks("优" + "。" * 500 + "惠") == "。" * MOST_MARKS
    assert evidence("优" + "。" * 500 + "惠")[2] > evidence("优惠。")[2] > evidence("优惠")[2] == 0


def test_a_long_text_is_folded_whole() -> None:
    assert letters("a" * 2_048 + "b" * 60_000 + "c") == [ord("a")] * 2_048 + [ord("b")] * 60_000 + [ord("c")]


def test_the_table_is_the_same_for_every_python() -> None:
    # The sum over the table of Unicode 3.2 and alike.toml; it changes only together with FEATURE_VERSION.
    table = fold_table().codes.astype(np.uint64) * 256 + fold_table().traits
    weighed = (table * (np.arange(table.size, dtype=np.uint64) % 9973 + 1)).sum()
    assert int(weighed) == 1399253625489776899


def test_what_looks_alike_is_written_down_as_the_libraries_have_it(tmp_path: Path) -> None:
    write(tmp_path / "alike.toml")
    assert (tmp_path / "alike.toml").read_text(encoding="utf-8") == PATH.read_text(encoding="utf-8")


@given(st.lists(st.text(max_size=60), min_size=1, max_size=8))
def test_a_text_folds_alike_in_every_batch(texts: list[str]) -> None:
    batch = fold(texts)
    assert batch.codes.dtype == np.uint32
    assert int(batch.lengths.sum()) + MARGIN == batch.codes.size
    assert batch.lengths[len(texts) :].min() >= SEAM
    places = list(zip(batch.starts, batch.lengths, strict=True))
    for n, text in enumerate(texts):
        alone = fold([text])
        for (start, length), first, several in zip(places[n :: len(texts)], alone.starts, alone.lengths, strict=True):
            assert batch.codes[start : start + length].tolist() == alone.codes[first : first + several].tolist()


@given(st.text(st.characters(), max_size=80))
def test_folding_leaves_no_case_no_digit_and_no_double_blank(text: str) -> None:
    codes = letters(text)
    assert not any(DIGIT <= code < DIGIT + 10 for code in codes)
    assert (BLANK, BLANK) not in set(pairwise(codes))
    assert not any(ord("A") <= code <= ord("Z") for code in codes)


WORDS = st.lists(st.text("abcdefghijklmnopqrstuvwxyz", min_size=2, max_size=9), min_size=1, max_size=8)


@given(WORDS)
def test_words_are_as_they_were_and_folding_them_again_changes_nothing(words: list[str]) -> None:
    text = " ".join(words)
    assert read(text) == text
    assert evidence(text) == (0, 0, 0)


@given(WORDS, st.lists(st.sampled_from([" ", ", ", ". ", "! ", "? ", " - "]), min_size=8, max_size=8))
def test_punctuation_between_words_leaves_the_words_alone(words: list[str], between: list[str]) -> None:
    text = "".join(word + mark for word, mark in zip(words, between, strict=False))
    assert read(text) == " ".join(words)


@given(st.text(st.characters(categories=["Lu", "Ll", "Lo", "Zs"], max_codepoint=0x9FFF), max_size=40))
def test_what_is_read_reads_the_same_again(text: str) -> None:
    once = read(text)
    assert read(once) == once


@given(WORDS, st.sampled_from("\u200b\u200c\u2060\u00ad\ufeff\u0338"))
def test_what_no_one_sees_changes_no_letter(words: list[str], unseen: str) -> None:
    text = " ".join(words)
    assert letters(unseen.join(text)) == letters(text)
