"""What a subscriber's reply means for the consent: it withdraws, it grants, or it says something else.

A reply counts when it is nothing but a keyword of the profile's languages, in any case and width, with any dirt around
it ("td。", 回复ＴＤ, "STOP please!"), or a sentence that asks to be left alone. A keyword somewhere in a longer text is
talk: "stop by at six" withdraws nothing.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from smsc_filter.policy.language import GRANTED, WITHDRAWN, Wording, found

LONGEST_REPLY: Final = 160
"""Characters above which a text is no keyword with dirt around it."""

# Latin words, numbers, and runs of any other letters, so that 回复TD is two words.
_WORD = re.compile(r"[a-z]+|[0-9]+|[^\W0-9a-z_]+")


def read_reply(text: str, wording: Wording) -> str | None:
    """What a reply says: "withdrawn", "granted", or None for neither. A text that says both withdraws."""
    if len(text) > LONGEST_REPLY:
        return None
    words = fold_reply(text)
    if found(wording.sentences, words):
        return WITHDRAWN
    meaning = _meaning(words, wording)
    if meaning is None and words.isascii() and all(len(word) == 1 for word in words.split()):
        return _meaning(words.replace(" ", ""), wording)  # T.D and S T O P
    return meaning


def _meaning(words: str, wording: Wording) -> str | None:
    """What words say, one by one; None where one of them says something else."""
    # Never back to an earlier word: a pattern that repeats words would try every way to cut a row of ideographs.
    meanings = set()
    at, end = 0, len(words) + 1
    words += " "
    while at < end:
        word = wording.word.match(words, at)
        if word is None:
            return None
        meanings.add(wording.meanings[word[0].rstrip()])
        at = word.end()
    return WITHDRAWN if WITHDRAWN in meanings else GRANTED if GRANTED in meanings else None


def fold_reply(text: str) -> str:
    """The words of a reply: compatibility forms folded, in lower case, one blank between them and nothing else."""
    visible = "".join(
        character
        for character in unicodedata.normalize("NFKC", text).casefold()
        if unicodedata.category(character) not in ("Cf", "Mn", "Me")
    )
    return " ".join(_WORD.findall(visible))
