"""The text of all parts seen so far."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsc_filter.sms.assembly import text_so_far
from smsc_filter.sms.coding import encode_text

SMILE = "好😀".encode("utf-16-be")


@pytest.mark.parametrize(("parts", "text"), [
    pytest.param({}, "", id="none"),
    pytest.param({1: (0, b"one")}, "one", id="one"),
    pytest.param({2: (0, b"two"), 1: (0, b"one ")}, "one two", id="out-of-order"),
    pytest.param({1: (0, b"one"), 3: (0, b"three")}, "one\nthree", id="a-gap"),
    pytest.param({2: (0, b"two"), 3: (0, b"three")}, "twothree", id="the-first-is-missing"),
    pytest.param({1: (8, SMILE[:4]), 2: (8, SMILE[4:])}, "好😀", id="a-surrogate-pair-over-two-parts"),
    pytest.param({1: (8, SMILE[:3]), 2: (8, SMILE[3:])}, "好😀", id="a-code-unit-over-two-parts"),
    pytest.param({1: (8, SMILE[:4]), 3: (8, SMILE[4:])}, "好\ufffd\n\ufffd", id="half-a-pair-at-a-gap"),
    pytest.param({1: (0, b"5 \x1b"), 2: (0, b"e")}, "5 €", id="an-escape-over-two-parts"),
    pytest.param({1: (0, b"hi "), 2: (8, b"\x4f\x60")}, "hi 你", id="another-coding"),
    pytest.param({1: (0, b"hi "), 3: (8, b"\x4f\x60")}, "hi \n你", id="another-coding-behind-a-gap"),
    pytest.param({1: (4, b"\1\2"), 2: (4, b"\3")}, "", id="binary"),
    pytest.param({1: (0, b""), 2: (0, b"two")}, "two", id="an-empty-part"),
    pytest.param({1: (0, b"one"), 2: (0, b""), 3: (0, b"three")}, "onethree", id="an-empty-part-is-no-gap"),
])  # fmt: skip
def test_text_so_far(parts: dict[int, tuple[int, bytes]], text: str) -> None:
    assert text_so_far(parts) == text


@given(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=60),
    st.lists(st.integers(0, 120), max_size=6),
    st.randoms(),
)
def test_a_text_cut_anywhere_reads_as_it_was_written(text: str, places: list[int], order: object) -> None:
    octets, coding = encode_text(text)
    ends = [*sorted({place % (len(octets) + 1) for place in places}), len(octets)]
    pieces = {at: (coding, octets[start:end]) for at, (start, end) in enumerate(zip([0, *ends], ends, strict=False), 1)}
    shuffled = list(pieces.items())
    order.shuffle(shuffled)  # type: ignore[attr-defined]
    assert text_so_far(dict(shuffled)) == text
