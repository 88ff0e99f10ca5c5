"""Patterns of links, for everybody who looks for one; linear in the length of a text, whatever it holds."""

from __future__ import annotations

import re
from typing import Final

_LONGEST_DOMAIN: Final = 24
"""Letters of a top-level domain."""

# Every repetition is possessive and a host begins only where no other could have begun before, so that each character
# is looked at once: whatever a text repeats, nothing is tried again.
_BEHIND_DOMAIN: Final = "|".join(rf"(?<=\.[a-z]{{{letters}}})" for letters in range(2, _LONGEST_DOMAIN + 1))
HOST: Final = rf"(?<![a-z0-9-])(?<![a-z0-9-]\.)[a-z0-9-]++(?:\.[a-z0-9-]++)++(?:{_BEHIND_DOMAIN})"
"""A name with a top-level domain of letters, such as ``shop.example``; it is compiled with IGNORECASE and ASCII."""

LINK: Final = re.compile(rf"(?:https?://|www\.)\S++|{HOST}(?:/[\w/?&=%.#-]*+)?", re.IGNORECASE | re.ASCII)
"""A link of any form."""

HOST_AND_STEP: Final = re.compile(rf"({HOST})(/[\w%-]{{1,64}}+)?", re.IGNORECASE | re.ASCII)
"""A host, and the first step of the path behind it."""


def has_link(text: str) -> bool:
    """Whether there is a link in ``text``."""
    return _may_have_link(text) and LINK.search(text) is not None


def without_links(text: str) -> str:
    """``text`` with a blank in place of each link."""
    return LINK.sub(" ", text) if _may_have_link(text) else text


def _may_have_link(text: str) -> bool:
    # Most texts have neither, and both are found a hundred times as fast as a link.
    return "." in text or "://" in text
