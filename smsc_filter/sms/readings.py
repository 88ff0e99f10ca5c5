"""Everything the octets of a subscriber's reply may say, whatever data_coding says of them.

SMSCs and gateways deliver GB18030 or UTF-8 under data_coding 0, ASCII or little-endian UTF-16 under 8, septets as they
were packed on the air, and text as binary. A person would read the text all the same; so does whoever looks for a
withdrawal.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from smsc_filter.sms.coding import decode_gsm, decode_text

FEW_CHARACTERS: Final = 2
"""Up to which a text makes sense by chance."""

MOST_OCTETS: Final = 1_024
"""Of a text that are read in other codings than the declared one."""

_CODECS: Final = ("ascii", "utf-8", "utf-16-le", "utf-16-be", "gb18030", "big5", "shift_jis", "euc_kr", "latin-1")

_ASCII: Final = re.compile(rb"[\t\n\r -~]*")

# Controls, surrogates, private use and the sign of what could not be decoded: nobody writes them.
_NO_TEXT: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ue000-\uf8ff\ufffd]")


def texts_of(octets: bytes, data_coding: int) -> Iterator[str]:
    """The texts that octets may be: as declared, and where that makes no sense, in any other coding they are whole in.

    Args:
        octets: user data behind any header.
        data_coding: as the PDU has it.
    """
    declared = decode_text(octets, data_coding)
    yield declared
    if len(declared) > FEW_CHARACTERS and _makes_sense(declared, octets):
        return
    some = octets[:MOST_OCTETS]
    seen = {declared}
    for text in _others(some):
        # NULs end or pad a text; they are no letters of it.
        plain = text.replace("\0", "").lstrip("\ufeff")
        if plain and plain not in seen and not _NO_TEXT.search(plain):
            seen.add(plain)
            yield plain


def _others(octets: bytes) -> Iterator[str]:
    for codec in _CODECS:
        # A stray octet in front or behind moves the pairs of UTF-16.
        cuts = (octets, octets[1:], octets[:-1]) if codec.startswith("utf-16") else (octets,)
        for cut in cuts:
            try:
                yield cut.decode(codec)
            except UnicodeDecodeError:
                continue
    yield decode_gsm(octets) if max(octets, default=0) < 0x80 else ""
    yield decode_gsm(_unpacked(octets)).rstrip("@\r")


def _unpacked(octets: bytes) -> bytes:
    """Septets as they are packed on the air (3GPP TS 23.038, section 6.1.2.1), one to an octet."""
    bits = int.from_bytes(octets, "little")
    return bytes((bits >> 7 * at) & 0x7F for at in range(len(octets) * 8 // 7))


def _makes_sense(text: str, octets: bytes) -> bool:
    """Whether the declared coding is plainly the right one.

    Octets of ASCII are Latin letters, whatever ideographs they would be as pairs; octets above it are in doubt unless
    their pairs are common ideographs, of which random pairs are one in ten.
    """
    if _ASCII.fullmatch(octets):
        return text.isascii()
    if len(octets) != 2 * len(text):
        return False
    try:
        text.encode("gb2312")
    except UnicodeEncodeError:
        return False
    return not _NO_TEXT.search(text)
