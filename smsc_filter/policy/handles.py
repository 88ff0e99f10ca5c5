"""Where a text wants its reader to go: links and call-back numbers."""

from __future__ import annotations

import re
from typing import Final

MOST: Final = 4
"""Handles taken of one text."""

_LINK = re.compile(r"\b((?:[a-z0-9-]{1,63}\.){1,6}[a-z]{2,24})\b(/[\w%-]{1,64})?", re.IGNORECASE | re.ASCII)
_NUMBER = re.compile(r"(?<![\d.])\+?\d(?:[ -]?\d){6,14}(?![\d.])", re.ASCII)
_DAY = re.compile(r"20[2-4]\d(?:0[1-9]|1[0-2])\d\d")


def handles_of(text: str) -> tuple[str, ...]:
    """The links (host and first step of the path, in lower case) and the numbers of 7 to 15 digits in ``text``."""
    found = [(host + (path or "")).lower() for host, path in _LINK.findall(text)]
    for number in _NUMBER.findall(text):
        digits = "".join(filter(str.isdigit, number))
        if not (len(digits) == 8 and _DAY.fullmatch(digits)):
            found.append(digits)
    return tuple(dict.fromkeys(found))[:MOST]
