"""Replies whose coding is not what data_coding says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsc_filter.sms.readings import texts_of


def packed(text: str) -> bytes:
    """Septets as the air carries them."""
    bits = sum(ord(letter) << 7 * at for at, letter in enumerate(text))
    return bits.to_bytes((len(text) * 7 + 7) // 8, "little")


@pytest.mark.parametrize(("octets", "data_coding", "text"), [
    pytest.param("退订".encode("gb18030"), 0, "退订", id="gb18030-under-0"),
    pytest.param("退订".encode("gb18030"), 3, "退订", id="gb18030-under-latin-1"),
    pytest.param("退订".encode("gb18030"), 8, "退订", id="gb18030-under-ucs2"),
    pytest.param("退訂".encode("big5"), 0, "退訂", id="big5-under-0"),
    pytest.param("退订".encode(), 0, "退订", id="utf-8-under-0"),
    pytest.param("退订".encode(), 8, "退订", id="utf-8-under-ucs2"),
    pytest.param("退订".encode("utf-16-le"), 8, "退订", id="utf-16-le-under-ucs2"),
    pytest.param("\ufeff退订".encode("utf-16-le"), 8, "退订", id="utf-16-le-with-a-mark"),
    pytest.param("退订".encode("utf-16-be"), 0, "退订", id="ucs2-under-0"),
    pytest.param("退订".encode("utf-16-be"), 4, "退订", id="ucs2-as-binary"),
    pytest.param(b"\0" + "退订".encode("utf-16-be"), 8, "退订", id="an-octet-in-front"),
    pytest.param("退订".encode("utf-16-be") + b"\0", 8, "退订", id="an-octet-behind"),
    pytest.param(b"TD", 8, "TD", id="ascii-under-ucs2"),
    pytest.param(b"STOP", 8, "STOP", id="longer-ascii-under-ucs2"),
    pytest.param(b"STOP", 4, "STOP", id="binary"),
    pytest.param(b"STOP", 0xF5, "STOP", id="8-bit-data"),
    pytest.param(b"TD\0\0", 0xF5, "TD", id="padded"),
    pytest.param(packed("STOP"), 0, "STOP", id="packed-septets"),
    pytest.param(packed("Please stop texting me"), 4, "Please stop texting me", id="packed-septets-as-binary"),
    pytest.param("수신거부".encode("euc_kr"), 0, "수신거부", id="euc-kr-under-0"),
    pytest.param("配信停止".encode("shift_jis"), 0, "配信停止", id="shift-jis-under-0"),
])  # fmt: skip
def test_the_text_is_among_its_readings(octets: bytes, data_coding: int, text: str) -> None:
    assert text in list(texts_of(octets, data_coding))


def test_what_is_declared_comes_first_and_a_long_text_that_makes_sense_is_read_as_declared_alone() -> None:
    text = "你们的老师讲得很好，孩子说以后不想去别的班了，请问下学期什么时候报名，多少钱一个人"
    assert list(texts_of(text.encode("utf-16-be"), 8)) == [text]
    assert next(texts_of(b"hello", 0)) == "hello"


@given(st.binary(max_size=400), st.integers(0, 255))
def test_any_octets_have_a_reading_and_none_comes_twice(octets: bytes, data_coding: int) -> None:
    found = list(texts_of(octets, data_coding))
    assert len(found) == len(set(found)) <= 20
