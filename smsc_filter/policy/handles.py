"""Where a text wants its reader to go: links and call-back numbers."""

from __future__ import annotations

import re
from typing import Final

from smsc_filter.policy.links import HOST_AND_STEP

MOST: Final = 4
"""Handles taken of one text."""

MOST_LABELS: Final = 7
"""Labels of a host that are kept: the last ones."""

_NUMBER = re.compile(r"(?<![\d.])(?<!\d[ -])\+?\d(?:[ -]?\d)*+(?![\d.])", re.ASCII)
_DIGITS: Final = range(7, 16)
_DAY = re.compile(r"20[2-4]\d(?:0[1-9]|1[0-2])\d\d")


def handles_of(text: str) -> tuple[str, ...]:
    """The links (host and first step of the path, in lower case) and the numbers of 7 to 15 digits in ``text``."""
    found = [
        (".".join(host.split(".")[-MOST_LABELS:]) + (path or "")).lower() for host, path in HOST_AND_STEP.findall(text)
    ]
    for number in _NUMBER.findall(text):
        digits = "".join(filter(str.isdigit, number))
        if len(digits) in _DIGITS and not (len(digits) == 8 and _DAY.fullmatch(digits)):
            found.append(digits)
    return tuple(dict.fromkeys(found))[:MOST]
