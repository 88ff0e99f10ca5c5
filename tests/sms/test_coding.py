"""data_coding -> text: every alphabet in use, every position of the GSM tables."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsc_filter.smpp.constants import DataCoding
from smsc_filter.sms.coding import alphabet, decode_gsm, decode_text, encode_text, join_texts

# 3GPP TS 23.038, section 6.2.1, by code point, written independently of the table under test: row by row of the
# specification's chart, whose columns are the high three bits.
CHART = """
    0040 0394 0020 0030 00A1 0050 00BF 0070
    00A3 005F 0021 0031 0041 0051 0061 0071
    0024 03A6 0022 0032 0042 0052 0062 0072
    00A5 0393 0023 0033 0043 0053 0063 0073
    00E8 039B 00A4 0034 0044 0054 0064 0074
    00E9 03A9 0025 0035 0045 0055 0065 0075
    00F9 03A0 0026 0036 0046 0056 0066 0076
    00EC 03A8 0027 0037 0047 0057 0067 0077
    00F2 03A3 0028 0038 0048 0058 0068 0078
    00C7 0398 0029 0039 0049 0059 0069 0079
    000A 039E 002A 003A 004A 005A 006A 007A
    00D8 ---- 002B 003B 004B 00C4 006B 00E4
    00F8 00C6 002C 003C 004C 00D6 006C 00F6
    000D 00E6 002D 003D 004D 00D1 006D 00F1
    00C5 00DF 002E 003E 004E 00DC 006E 00FC
    00E5 00C9 002F 003F 004F 00A7 006F 00E0
"""
ROWS = [line.split() for line in CHART.split("\n") if line.strip()]
GSM = {column << 4 | row: cells[column] for row, cells in enumerate(ROWS) for column in range(8)}
EXTENSION = {
    0x0A: "\f", 0x14: "^", 0x28: "{", 0x29: "}", 0x2F: "\\",
    0x3C: "[", 0x3D: "~", 0x3E: "]", 0x40: "|", 0x65: "\u20ac",
}  # fmt: skip
ESCAPE = 0x1B


@pytest.mark.parametrize("septet", [septet for septet in range(128) if septet != ESCAPE])
def test_every_septet_of_the_default_alphabet(septet: int) -> None:
    assert decode_gsm(bytes((septet,))) == chr(int(GSM[septet], 16))


@pytest.mark.parametrize("septet", range(128))
def test_every_septet_behind_an_escape(septet: int) -> None:
    shown = EXTENSION.get(septet) or ("\u00a0" if septet == ESCAPE else chr(int(GSM[septet], 16)))
    assert decode_gsm(bytes((0x41, ESCAPE, septet, 0x42))) == f"A{shown}B"


@pytest.mark.parametrize(("octets", "text"), [
    pytest.param(b"", "", id="empty"),
    pytest.param(b"\x1b", "", id="a-lone-escape"),
    pytest.param(b"price 5\x1b", "price 5", id="escape-at-the-end"),
    pytest.param(b"\x1b\x1b\x1b", "\u00a0", id="three-escapes"),
    pytest.param(b"\x1b\x65\x1b\x65", "€€", id="two-extensions"),
    pytest.param(b"\xe9", "é", id="above-127-reads-as-latin-1"),
    pytest.param(b"\x1b\xe9", "é", id="above-127-behind-an-escape"),
])  # fmt: skip
def test_edges_of_gsm(octets: bytes, text: str) -> None:
    assert decode_gsm(octets) == text


@pytest.mark.parametrize(("coding", "octets", "text"), [
    pytest.param(DataCoding.DEFAULT, b"\0Hi\x02", "@Hi$", id="gsm"),
    pytest.param(DataCoding.IA5, b"@Hi$", "@Hi$", id="ascii"),
    pytest.param(DataCoding.IA5, b"caf\xe9", "café", id="ascii-with-high-octets"),
    pytest.param(DataCoding.LATIN_1, b"caf\xe9 \xa3", "café £", id="latin-1"),
    pytest.param(DataCoding.BINARY_1, b"buy now", "", id="binary-2"),
    pytest.param(DataCoding.BINARY_2, b"buy now", "", id="binary-4"),
    pytest.param(0x05, "テスト".encode("shift_jis"), "テスト", id="jis"),
    pytest.param(0x06, "привет".encode("iso8859_5"), "привет", id="cyrillic"),
    pytest.param(0x07, "שלום".encode("iso8859_8"), "שלום", id="hebrew"),
    pytest.param(DataCoding.UCS2, b"\x4f\x60\x59\x7d", "你好", id="ucs2-chinese"),
    pytest.param(DataCoding.UCS2, b"\xd8\x3d\xde\x00", "😀", id="ucs2-surrogate-pair"),
    pytest.param(DataCoding.UCS2, b"\x4f", "\ufffd", id="ucs2-odd-octet"),
    pytest.param(DataCoding.UCS2, b"\x4f\x60\x59", "你\ufffd", id="ucs2-odd-octet-behind"),
    pytest.param(DataCoding.UCS2, b"\xd8\x3d\0a", "\ufffda", id="ucs2-lone-surrogate"),
    pytest.param(DataCoding.UCS2, b"\xfe\xff\0a", "\ufeffa", id="ucs2-byte-order-mark"),
    pytest.param(0x0A, "テスト".encode("iso2022_jp"), "テスト", id="iso-2022-jp"),
    pytest.param(0x0D, "テスト".encode("euc_jp"), "テスト", id="euc-jp"),
    pytest.param(0x0E, "안녕".encode("euc_kr"), "안녕", id="euc-kr"),
    pytest.param(0x0F, "你好".encode("gb18030"), "你好", id="gb18030"),
    pytest.param(0x0F, b"\xff\xff", "\ufffd\ufffd", id="not-gb18030"),
    pytest.param(0x10, b"\0Hi", "@Hi", id="flash-gsm"),
    pytest.param(0x14, b"buy now", "", id="flash-binary"),
    pytest.param(0x18, b"\x4f\x60", "你", id="flash-ucs2"),
    pytest.param(0x1C, b"\0", "@", id="reserved-alphabet-reads-as-gsm"),
    pytest.param(0xBF, b"\0", "@", id="reserved-group-reads-as-gsm"),
    pytest.param(0xC8, b"\0", "@", id="message-waiting-discard"),
    pytest.param(0xD8, b"\0", "@", id="message-waiting-gsm"),
    pytest.param(0xE8, b"\x4f\x60", "你", id="message-waiting-ucs2"),
    pytest.param(0xF0, b"\0", "@", id="class-0-gsm"),
    pytest.param(0xF5, b"buy now", "", id="class-1-binary"),
])  # fmt: skip
def test_decode_text(coding: int, octets: bytes, text: str) -> None:
    assert decode_text(octets, coding) == text


def test_alphabets_have_names() -> None:
    assert [alphabet(coding) for coding in (0, 3, 4, 8)] == ["gsm", "latin-1", "", "utf-16-be"]


@given(st.binary(max_size=200), st.integers(0, 255))
def test_any_octets_in_any_coding_read_as_some_text(octets: bytes, coding: int) -> None:
    assert isinstance(decode_text(octets, coding), str)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_text_of_ours_comes_back(text: str) -> None:
    octets, coding = encode_text(text)
    assert decode_text(octets, coding) == text


@pytest.mark.parametrize(("text", "octets", "coding"), [
    pytest.param("Hi @5€", b"Hi \x005\x1b\x65", DataCoding.DEFAULT, id="gsm"),
    pytest.param("你", b"\x4f\x60", DataCoding.UCS2, id="ucs2"),
    pytest.param("5\u00a0euro", "5\u00a0euro".encode("utf-16-be"), DataCoding.UCS2, id="no-break-space-is-no-escape"),
    pytest.param("half \ud83d", "half ?".encode("utf-16-be"), DataCoding.UCS2, id="half-a-pair"),
])  # fmt: skip
def test_a_text_takes_the_shortest_coding(text: str, octets: bytes, coding: DataCoding) -> None:
    assert encode_text(text) == (octets, coding)


@pytest.mark.parametrize(("pieces", "coding"), [
    pytest.param(("hi", "buy"), 0, id="gsm"),
    pytest.param(("你好", "优惠"), 8, id="ucs-2"),
    pytest.param(("こんにちは", "buy"), 10, id="iso-2022-jp"),
    pytest.param(("你好", "buy"), 15, id="gb-18030"),
])  # fmt: skip
def test_joined_texts_read_each_and_in_a_row(pieces: tuple[str, str], coding: int) -> None:
    encoded = [piece.encode(alphabet(coding) if coding else "ascii") for piece in pieces]
    assert decode_text(join_texts(encoded, coding), coding).split("\n") == [*pieces, "".join(pieces)]
    assert join_texts(encoded[:1], coding) is encoded[0]
