"""What a subscriber's reply means for the consent: it withdraws, it grants, or it says something else.

A reply counts when it is nothing but a keyword of the profile's languages, in any case and width, with any dirt around
it ("td。", 回复ＴＤ, "STOP please!"), or a sentence that asks to be left alone. A keyword somewhere in a longer text is
talk: "stop by at six" withdraws nothing.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final, NamedTuple

from smsc_filter.policy.appeals import CODE_LENGTH, CODE_LETTERS
from smsc_filter.policy.language import GRANTED, WITHDRAWN, Wording, found

LONGEST_REPLY: Final = 160
"""Characters above which a text is no keyword with dirt around it."""

LONGEST_APPEAL: Final = 1_000
"""Characters above which a text is no appeal; one is a few sentences, of several messages at most."""

# An appeal code (records/appeals.py), or a decision's id as people write it; what follows is the reason.
_CODE = re.compile(
    rf"([^0-9A-Z]*)([{CODE_LETTERS}]{{{CODE_LENGTH}}}|[0-7OIL](?:-?[0-9A-TV-Z]){{12}})(?![0-9A-Z])(.*)",
    re.IGNORECASE | re.DOTALL,
)
_AROUND: Final = " \t\r\n,.:;!?#*<>()[]-，。：；！？、【】“”\"'"

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


class AppealReply(NamedTuple):
    """An objection to a refusal, as a subscriber sends it."""

    code: str
    """An appeal code, or the id of a decision, in capitals."""
    reason: str
    """What else the text says."""


def read_appeal(text: str, wording: Wording) -> AppealReply | None:
    """The objection in a reply, or None.

    A code counts behind one of the words of the profile's languages ("申诉 7K3MW9QD 是给家人的"), or where it is all
    there is; then it has to hold a digit, since eight letters by themselves may be any word.
    """
    if len(text) > LONGEST_APPEAL:
        return None
    words = unicodedata.normalize("NFKC", text).strip()
    folded = words.casefold()
    for word in wording.appeals:
        if folded.startswith(word) and len(folded) == len(words):
            return _appeal(_CODE.match(words, len(word)))
    alone = _appeal(_CODE.fullmatch(words))
    if alone is None or alone.reason or not any(character.isdigit() for character in alone.code):
        return None
    return alone


def _appeal(found: re.Match[str] | None) -> AppealReply | None:
    if found is None:
        return None
    reason = " ".join(said for side in (found[1], found[3]) if (said := side.strip(_AROUND)))
    return AppealReply(found[2].upper(), reason)


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
