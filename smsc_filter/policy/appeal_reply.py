"""Reads the objection in a subscriber's reply: a code, and the reason around it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Final, NamedTuple

from smsc_filter.policy.appeals import CODE_LENGTH, CODE_LETTERS

LONGEST_APPEAL: Final = 1_000
"""Characters above which a text is no appeal; one is a few sentences, of several messages at most."""

# An appeal code (records/appeals.py), or a decision's id as people write it; what follows is the reason.
_CODE = re.compile(
    rf"([^0-9A-Z]*)([{CODE_LETTERS}]{{{CODE_LENGTH}}}|[0-7OIL](?:-?[0-9A-TV-Z]){{12}})(?![0-9A-Z])(.*)",
    re.IGNORECASE | re.DOTALL,
)
_AROUND: Final = " \t\r\n,.:;!?#*<>()[]-，。：；！？、【】“”\"'"


class AppealReply(NamedTuple):
    """An objection to a refusal, as a subscriber sends it."""

    code: str
    """An appeal code, or the id of a decision, in capitals."""
    reason: str
    """What else the text says."""


def read_appeal(text: str, words: Iterable[str]) -> AppealReply | None:
    """The objection in a reply, or None.

    A code counts behind one of ``words`` ("申诉 7K3MW9QD 是给家人的"), or where it is all there is; then it has to hold
    a digit, since eight letters by themselves may be any word.

    Args:
        text: as it came.
        words: what an objection may begin with, the longest first; see ``ReplyReader.appeals``.
    """
    if len(text) > LONGEST_APPEAL:
        return None
    said = unicodedata.normalize("NFKC", text).strip()
    folded = said.casefold()
    for word in words:
        if folded.startswith(word) and len(folded) == len(said):
            return _appeal(_CODE.match(said, len(word)))
    alone = _appeal(_CODE.fullmatch(said))
    if alone is None or alone.reason or not any(character.isdigit() for character in alone.code):
        return None
    return alone


def _appeal(found: re.Match[str] | None) -> AppealReply | None:
    if found is None:
        return None
    reason = " ".join(said for side in (found[1], found[3]) if (said := side.strip(_AROUND)))
    return AppealReply(found[2].upper(), reason)
