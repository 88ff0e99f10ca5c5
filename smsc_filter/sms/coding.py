"""data_coding -> text, for judging: GSM 7-bit default alphabet, ASCII, Latin-1, UCS-2 and others in use.

Nothing here can fail: an octet that is no text in its alphabet reads as U+FFFD, because a relay judges what a
handset may show and forwards the octets themselves.
"""

import codecs
from collections.abc import Sequence
from typing import Final

from smsc_filter.smpp.constants import DataCoding

ESCAPE: Final = 0x1B

# 3GPP TS 23.038, section 6.2.1, by septet; the escape itself reads as a no-break space there.
GSM_DEFAULT: Final = (
    "@£$¥èéùìòÇ\nØø\rÅå"
    "Δ_ΦΓΛΩΠΨΣΘΞ\u00a0ÆæßÉ"
    " !\"#¤%&'()*+,-./"
    "0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNO"
    "PQRSTUVWXYZÄÖÑÜ§"
    "¿abcdefghijklmno"
    "pqrstuvwxyzäöñüà"
)
# TS 23.038, section 6.2.1.1: the septet after an escape.
GSM_EXTENSION: Final = {
    0x0A: "\f", 0x14: "^", 0x28: "{", 0x29: "}", 0x2F: "\\",
    0x3C: "[", 0x3D: "~", 0x3E: "]", 0x40: "|", 0x65: "€",
}  # fmt: skip

# Octets above 127 are no septets; many gateways put Latin-1 there, which is the better guess than nothing.
_GSM_TABLE: Final = GSM_DEFAULT + "".join(map(chr, range(128, 256)))

_CODECS: Final[dict[int, str]] = {
    DataCoding.IA5: "latin-1",
    DataCoding.LATIN_1: "latin-1",
    0x05: "shift_jis",
    0x06: "iso8859_5",
    0x07: "iso8859_8",
    DataCoding.UCS2: "utf-16-be",
    0x0A: "iso2022_jp",
    0x0D: "euc_jp",
    0x0E: "euc_kr",
    0x0F: "gb18030",  # in use between Chinese gateways, outside the SMPP table
}
_GSM: Final = "gsm"
_BINARY: Final = ""

_GAPS: Final = {"utf-16-be": b"\0\n", "iso2022_jp": b"\x1b(B\n"}
"""A line break by alphabet, where it is not one octet; ISO 2022 goes back to ASCII before it."""


def alphabet(data_coding: int) -> str:
    """The name of the alphabet of ``data_coding``: "gsm", "" for binary, or a Python codec."""
    return _ALPHABETS[data_coding]


def _alphabet(data_coding: int) -> str:
    if data_coding in _CODECS:
        return _CODECS[data_coding]
    if data_coding == DataCoding.DEFAULT:
        return _GSM
    if data_coding in (DataCoding.BINARY_1, DataCoding.BINARY_2):
        return _BINARY
    # TS 23.038, section 4: the data coding scheme of the air interface, which flash messages carry through.
    if data_coding >= 0xF0:
        return _BINARY if data_coding & 0x04 else _GSM
    if data_coding >= 0xE0:
        return "utf-16-be"
    if data_coding < 0x80:
        return (_GSM, _BINARY, "utf-16-be", _GSM)[data_coding >> 2 & 3]
    return _GSM


_ALPHABETS: Final = tuple(_alphabet(coding) for coding in range(256))


def decode_gsm(octets: bytes) -> str:
    """GSM 7-bit text, one septet an octet, as SMPP carries it."""
    text = codecs.charmap_decode(octets, "replace", _GSM_TABLE)[0]
    if ESCAPE not in octets:
        return text
    pieces = []
    start = 0
    while (at := octets.find(ESCAPE, start)) >= 0:
        pieces.append(text[start:at])
        if at + 1 < len(octets):
            # An unknown extension shows the character of the main table (section 6.2.1.1).
            pieces.append(GSM_EXTENSION.get(octets[at + 1], text[at + 1]))
        start = at + 2
    pieces.append(text[start:])
    return "".join(pieces)


def decode_text(octets: bytes, data_coding: int) -> str:
    """What a handset shows for ``octets``; binary content reads as no text."""
    name = _ALPHABETS[data_coding]
    if name == "utf-16-be":
        # The codec itself: octets.decode() goes through its Python wrapper, twice the time for a short text.
        return codecs.utf_16_be_decode(octets, "replace", True)[0]
    if name == _GSM:
        return decode_gsm(octets)
    return octets.decode(name, "replace") if name else ""


def join_texts(pieces: Sequence[bytes], data_coding: int) -> bytes:
    """Octets that read as each of several texts of one message, and as all of them in a row.

    Args:
        pieces: at least one; one alone is given back as it is.
        data_coding: of them all.

    Each piece is decoded from its own first octet: an odd octet count does not move the pairs of the next.
    """
    if len(pieces) == 1:
        return pieces[0]
    name = _ALPHABETS[data_coding]
    gap = _GAPS.get(name, b"\n")
    pairs = name == "utf-16-be"
    return gap.join((*(piece[: len(piece) & ~1] if pairs else piece for piece in pieces), b"".join(pieces)))


# The escape is no character to write, though alone it reads as one.
_GSM_SEPTETS: Final = {character: bytes((at,)) for at, character in enumerate(GSM_DEFAULT) if at != ESCAPE} | {
    character: bytes((ESCAPE, at)) for at, character in GSM_EXTENSION.items()
}


def encode_text(text: str) -> tuple[bytes, int]:
    """The shortest coding of a text of ours: (octets, data_coding), GSM 7-bit where it fits, else UCS-2."""
    try:
        return b"".join(_GSM_SEPTETS[character] for character in text), DataCoding.DEFAULT
    except KeyError:
        return text.encode("utf-16-be", "replace"), DataCoding.UCS2
