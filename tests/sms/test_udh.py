"""User data headers: which part this is, and what a broken header leaves."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsc_filter.sms.udh import Part, concatenation_header, part_of, split_udh

WIDE = 0x10000


@pytest.mark.parametrize(("user_data", "part", "left"), [
    pytest.param(b"\5\0\3\x07\2\1text", Part(7, 2, 1), b"text", id="8-bit"),
    pytest.param(b"\6\x08\4\x01\x07\3\3text", Part(WIDE + 0x0107, 3, 3), b"text", id="16-bit"),
    pytest.param(b"\6\x08\4\0\x07\2\1text", Part(WIDE + 7, 2, 1), b"text", id="16-bit-apart-from-8-bit"),
    pytest.param(b"\x0b\5\4\x0b\x84\x23\xf0\0\3\x07\2\2text", Part(7, 2, 2), b"text", id="ports-in-front"),
    pytest.param(b"\x0b\0\3\x07\2\2\5\4\x0b\x84\x23\xf0text", Part(7, 2, 2), b"text", id="ports-behind"),
    pytest.param(b"\6\5\4\x0b\x84\x23\xf0text", None, b"text", id="ports-alone"),
    pytest.param(b"\5\0\3\x07\2\1", Part(7, 2, 1), b"", id="no-text"),
    pytest.param(b"\0text", None, b"text", id="empty-header"),
    pytest.param(b"\1\0text", None, b"text", id="an-element-without-length"),
    pytest.param(b"", None, b"", id="nothing"),
    pytest.param(b"\x05", None, b"\x05", id="only-a-length"),
    pytest.param(b"\x09\0\3\x07\2\1hi", None, b"\x09\0\3\x07\2\1hi", id="longer-than-there-is"),
    pytest.param(b"\xffnot a header", None, b"\xffnot a header", id="far-longer-than-there-is"),
    pytest.param(b"\5\0\x09\x07\2\1text", Part(7, 2, 1), b"text", id="an-element-is-cut-at-its-header"),
    pytest.param(b"\4\0\2\x07\2text", None, b"text", id="8-bit-too-short"),
    pytest.param(b"\5\x08\3\x07\2\1text", None, b"text", id="16-bit-too-short"),
    pytest.param(b"\5\0\3\x07\2\0text", None, b"text", id="part-0"),
    pytest.param(b"\5\0\3\x07\2\3text", None, b"text", id="part-3-of-2"),
    pytest.param(b"\5\0\3\x07\1\1text", None, b"text", id="part-1-of-1-is-no-long-message"),
    pytest.param(b"\5\0\3\x07\0\0text", None, b"text", id="part-0-of-0"),
    pytest.param(b"\x0a\0\3\x07\2\1\0\3\x08\3\2text", Part(8, 3, 2), b"text", id="the-last-element-counts"),
])  # fmt: skip
def test_split_udh(user_data: bytes, part: Part | None, left: bytes) -> None:
    assert split_udh(user_data) == (part, left)


@given(st.binary(max_size=140))
def test_any_user_data_is_split(user_data: bytes) -> None:
    part, left = split_udh(user_data)
    assert user_data.endswith(left)
    assert part is None or 1 <= part.number <= part.total <= 255


@given(st.integers(0, 0xFFFF), st.integers(2, 255), st.data(), st.binary(max_size=134))
def test_a_header_of_ours_comes_back(reference: int, total: int, data: st.DataObject, text: bytes) -> None:
    number = data.draw(st.integers(1, total))
    assert split_udh(concatenation_header(reference, total, number) + text) == (
        Part(reference & 0xFF, total, number),
        text,
    )


@pytest.mark.parametrize(("total", "number"), [(0, 0), (1, 1), (2, 0), (2, 3), (255, 256)])
def test_numbers_that_make_no_part(total: int, number: int) -> None:
    assert part_of(1, total, number) is None
