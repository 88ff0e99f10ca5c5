"""What a subscriber's reply means: it stops, starts, asks for help, says yes, or is talk.

Rules come first. What counts is what the subscriber wrote: the lines above a signature or a quoted original. A keyword
stops where it stands alone, with any dirt around it ("td。", 回复ＴＤ, "STOP please!"): as the whole reply, as a line,
as a clause ("Stop, I moved"). Sentences of the languages stop in a clause of their own, and near misses ("cancel my
appointment", "Don't stop texting me") are known as talk. What no rule reads goes to a small model (``policy.intent``).

A stop binds where it is in doubt, and is marked as doubtful; whatever gives or lifts a consent needs a rule.

The words of every language are heard, whatever those of the profile; a profile's own may be as short as one letter.
Everything is bounded: of a text the first ``LONGEST_READ`` characters, of its clauses the first ``MOST_CLAUSES``.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Iterable, Iterator
from functools import cache, lru_cache
from importlib.resources import files
from itertools import islice
from typing import Final, NamedTuple

from smsc_filter.policy.intent import read_intent
from smsc_filter.policy.language import Patterns, ReplyWords, compiled, found, read_reply_words, reply_language_names

STOP: Final = "stop"
START: Final = "start"
HELP: Final = "help"
CONFIRM: Final = "confirm"
TALK: Final = "talk"

LONGEST_READ: Final = 2_000
"""Characters of a text that are read; nobody hides a withdrawal behind more."""

MOST_CLAUSES: Final = 24

LONGEST_CLAUSE: Final = 200

LONGEST_KEYWORD_REPLY: Final = 160
"""Characters above which a text is no keyword with dirt around it."""

LONGEST_MIXED: Final = 24
"""Characters of Latin letters and digits that a pattern of another script may be about: TD13800000001."""

SHORTEST_SPEECH: Final = 6
"""Characters in Latin letters below which a text is no plain speech."""

LONGEST_APART: Final = 12
"""Characters of ideographs that may be one word with dirt between them."""

LONGEST_ORIGINAL: Final = 24
"""Characters above which a line that says how to refuse is a quoted advertisement: "Reply STOP" is none."""

SURE_FROM: Final = 0.5
"""Probability from which the model is believed, as far as a doubtful reading goes."""

# Latin words, numbers, and runs of any other letters, so that 回复TD is two words.
_WORD = re.compile(r"[a-z]+|[0-9]+|[^\W0-9a-z_]+")
_LATIN = re.compile("[a-z]")
_CLAUSE_END = re.compile(r"[.!?;:,\r\n\u2028\u2029，。！？；：、…~～|]+| - |—+|--+|\s{2,}|[()（）【】\[\]]")
_QUOTED = re.compile(r"[\"“”「『][^\"“”「」『』\n]{8,300}[\"“”」』]")
_NAME_IN_BRACKETS = re.compile(r"【[^【】\n]{1,20}】")
_SUBJECT = re.compile(r"^\s*(?:re|fw|fwd|aw|tr|sv)\s*[:：]", re.IGNORECASE)
_QUOTE_MARK = re.compile(r"^\s*[>|＞]")

# Letters that no decomposition takes apart, signs that are words, and apostrophes, which stand for nothing.
_LETTERS: Final = str.maketrans(
    {"ı": "i", "ø": "o", "ł": "l", "đ": "d", "æ": "ae", "œ": "oe", "🛑": " stop ", "👍": " ok ", "👌": " ok "}
    | dict.fromkeys("'’‘`´ʼ＇", "")
)


_YES: Final = frozenset({"y", "yes"})
"""One word: who is offered the one may write the other."""


class Meaning(NamedTuple):
    """What a reply says."""

    kind: str
    """One of the five above."""
    doubtful: bool = False
    """Whether it is a guess: a misspelled keyword, or plain speech that no rule reads."""
    words: tuple[str, ...] = ()
    """The keywords it consists of, folded: what a request for consent may have offered."""


NOTHING: Final = Meaning(TALK)


class Vocabulary:
    """The keywords and fillers of one language, or of several that are read as one."""

    def __init__(self, languages: Iterable[ReplyWords], shortest: int = 1) -> None:
        """Fold the words of ``languages``; keywords in Latin letters count from ``shortest`` letters."""
        languages = tuple(languages)
        self.kinds: dict[str, str] = {}
        """Word -> what it means; "": nothing."""
        for kind, key in (("", "filler"), (CONFIRM, "confirm"), (HELP, "help"), (START, "start"), (STOP, "stop_alone")):
            self.kinds |= dict.fromkeys(_folded(languages, key, 1 if not kind else shortest), kind)
        self.strong = frozenset(_folded(languages, "stop", shortest))
        """Keywords that withdraw in a clause, too."""
        self.kinds |= dict.fromkeys(self.strong, STOP)
        self._word = re.compile(_alternatives(self.kinds))

    def read(self, words: str, *, alone: bool) -> Meaning | None:
        """What folded words say, one by one; None where one of them says something else, or all say nothing."""
        said = self._said(words)
        if said is None:
            return None
        meant = {word for word in said if self.kinds[word]}
        if not meant & self.strong and (not alone or (len(meant) > 1 and any(map(_may_be_a_part, meant)))):
            return None
        for kind in (STOP, START, HELP, CONFIRM):
            if any(self.kinds[word] == kind for word in said):
                # "Yes, sign me up" may be the answer to who offered YES.
                counts = (START, CONFIRM) if kind == START else (kind,)
                return Meaning(kind, words=tuple(word for word in said if self.kinds[word] in counts))
        return None

    def words_in(self, words: str, kind: str) -> tuple[str, ...]:
        """The keywords of a kind that are somewhere in folded words."""
        spaced = f" {words} "
        return tuple(
            sorted(
                word
                for word, means in self.kinds.items()
                if means == kind and (f" {word} " if word.isascii() else word) in spaced
            )
        )

    def _said(self, words: str) -> list[str] | None:
        # Never back to an earlier word: a pattern that repeats words would try every way to cut a row of ideographs.
        said: list[str] = []
        at, end = 0, len(words) + 1
        words += " "
        while at < end:
            word = self._word.match(words, at)
            if word is None:
                return None
            said.append(word[0].rstrip())
            at = word.end()
        return said


def _may_be_a_part(word: str) -> bool:
    """Whether a keyword beside another may be part of something else: 不 in front of 是, the digit of terminal T1."""
    return len(word) == 1 and (word.isdigit() or not word.isascii())


def _folded(languages: Iterable[ReplyWords], key: str, shortest: int) -> Iterator[str]:
    """The words of a key; in Latin letters, those of ``shortest`` letters or more."""
    for each in languages:
        for word in map(fold_reply, getattr(each, key)):
            if len(word) >= shortest or not word.isascii():
                yield word


class Sentences:
    """Patterns of clauses, those in Latin letters apart from the others: most clauses are of one script."""

    def __init__(self, patterns: Iterable[str]) -> None:
        """Compile ``patterns``.

        Raises:
            re.error: one is wrong.
        """
        patterns = tuple(patterns)
        self._latin = compiled(pattern for pattern in patterns if pattern.isascii())
        self._others = compiled(pattern for pattern in patterns if not pattern.isascii())

    def found(self, clause: str) -> bool:
        """Whether one is in a folded clause."""
        if not clause.isascii() or len(clause) <= LONGEST_MIXED:
            return found(self._others, clause) or (_LATIN.search(clause) is not None and found(self._latin, clause))
        return found(self._latin, clause)


class ReplyReader:
    """Reads replies in the languages there are."""

    def __init__(self, own: Iterable[str], names: Iterable[str] | None = None) -> None:
        """Hear the languages ``own`` in full, and the longer words of the others among ``names`` (default: all).

        Raises:
            re.error: a pattern is wrong.
            ValueError: a language's file is wrong.
        """
        own = tuple(own)
        spoken = [read_reply_words(name) for name in own]
        heard = reply_language_names() if names is None else names
        others = [read_reply_words(name) for name in heard if name not in own]
        replies = [*spoken, *others]
        self._vocabularies = [Vocabulary(spoken), *(Vocabulary([each], shortest=3) for each in others)]
        """Each other language by itself, so that a filler of one is none of another."""
        self._spelled = {
            word: kind
            for word, kind in self._vocabularies[0].kinds.items()
            if kind and len(word) >= 4 and word.isalpha() and word.isascii()
        }
        self._no_keywords = frozenset(fold_reply(word) for each in replies for word in each.not_keywords)
        self._talk = Sentences(pattern for each in replies for pattern in each.talk_sentences)
        self._sentences = {
            STOP: Sentences(pattern for each in replies for pattern in each.stop_sentences),
            START: Sentences(pattern for each in replies for pattern in each.start_sentences),
            HELP: Sentences(pattern for each in replies for pattern in each.help_sentences),
            CONFIRM: Sentences(pattern for each in spoken for pattern in each.confirm_sentences),
        }
        self._doubts = Sentences(pattern for each in replies for pattern in each.doubt_sentences)
        self._below = compiled(pattern for each in replies for pattern in each.below)
        self._original = compiled(pattern for each in replies for pattern in each.original)
        self.appeals = tuple(sorted({word for each in replies for word in each.appeal}, key=len, reverse=True))
        """What an appeal may begin with, the longest first."""
        # The same few words come all day.
        self.read = lru_cache(maxsize=1024)(self._read)

    def read_plain(self, text: str) -> Meaning:
        """What the rules alone read: for text whose coding is a guess."""
        own = self._own_lines(text[:LONGEST_READ])
        meaning, _ = self._by_rule(own)
        return meaning

    def read_keywords(self, text: str) -> Meaning:
        """What a reply says that is nothing but keywords: in a talk of people, plain speech is about something else."""
        return self._keywords(fold_reply(text[: 2 * LONGEST_KEYWORD_REPLY])) or NOTHING

    def _read(self, text: str) -> Meaning:
        """What a reply says."""
        own = self._own_lines(text[:LONGEST_READ])
        meaning, near_miss = self._by_rule(own)
        if meaning.kind != TALK or near_miss or not own:
            return meaning
        words = fold_reply("\n".join(own))
        guess = self._misspelled(words)
        if guess is not None:
            return guess
        if words.isascii() and (" " not in words or len(words) < SHORTEST_SPEECH):
            return NOTHING  # one word of which nothing is known, or too few letters to tell
        kind, probability = read_intent(words)
        return Meaning(kind, doubtful=True) if kind != TALK and probability >= SURE_FROM else NOTHING

    def offered_words(self, text: str, asks: Patterns) -> tuple[str, ...]:
        """The keywords, folded, with which one may agree to a text that asks for consent.

        Args:
            text: the request.
            asks: patterns of the place where it says so; without one of them all of the text is looked at.
        """
        lower = text[:LONGEST_READ].lower()
        places = [match[0] for pattern in asks for match in pattern.finditer(lower)] or [lower]
        said = fold_reply(" | ".join(places))
        vocabulary = self._vocabularies[0]
        offered = {word for kind in (CONFIRM, START) for word in vocabulary.words_in(said, kind)}
        if offered & _YES:
            offered |= _YES
        return tuple(sorted(offered))

    def _own_lines(self, text: str) -> list[str]:
        """What the subscriber wrote: the lines above a signature or a quoted original, names in brackets left out."""
        text = _QUOTED.sub(lambda found: found[0] if self._keywords(fold_reply(found[0])) else "\n", text)
        without_names = _NAME_IN_BRACKETS.sub("\n", text)
        own: list[str] = []
        for line in _lines_at_names(text):
            if _QUOTE_MARK.match(line) or _SUBJECT.match(line):
                continue
            plain = _plain(line)
            is_original = (len(line) > LONGEST_ORIGINAL or "【" in line) and found(self._original, plain)
            if is_original or (found(self._below, plain) and (own or len(line) > LONGEST_ORIGINAL)):
                break
            if line.strip():
                own.append(line)
        stripped = [line for line in (_NAME_IN_BRACKETS.sub(" ", each).strip() for each in own) if fold_reply(line)]
        return stripped if stripped or without_names.strip() else own or [text]

    def _by_rule(self, own: list[str]) -> tuple[Meaning, bool]:
        """What the rules read, and whether a near miss is in it."""
        whole = fold_reply(" ".join(own))
        meaning = self._keywords(whole) if not self._talk.found(whole[:LONGEST_CLAUSE]) else None
        if meaning is not None:
            return meaning, False
        clauses = list(dict.fromkeys(islice(_clauses(own), MOST_CLAUSES)))
        if whole not in clauses and len(whole) <= LONGEST_CLAUSE:
            clauses.append(whole)
        starts = helps = doubts = near_miss = False
        for clause in clauses:
            starts = starts or self._sentences[START].found(clause)
            if self._talk.found(clause):
                near_miss = True
                continue
            said = self._keywords(clause, alone=False)
            if (said is not None and said.kind == STOP) or self._sentences[STOP].found(clause):
                return Meaning(STOP), False
            doubts = doubts or self._doubts.found(clause)
            helps = helps or self._sentences[HELP].found(clause)
        if doubts:
            return Meaning(STOP, doubtful=True), False
        if not near_miss and not starts and self._sentences[CONFIRM].found(whole[:LONGEST_CLAUSE]):
            return Meaning(CONFIRM, words=self._vocabularies[0].words_in(whole, CONFIRM)), False
        return (Meaning(START) if starts else Meaning(HELP) if helps else NOTHING), near_miss

    def _keywords(self, words: str, *, alone: bool = True) -> Meaning | None:
        """What words say that are all keywords or filler of one language; None where one of them says something else.

        Args:
            words: folded.
            alone: whether they are the whole reply; otherwise only the strong keywords count.
        """
        if not words or len(words) > LONGEST_KEYWORD_REPLY:
            return None
        forms = [words]
        if words.isascii() and all(len(word) == 1 for word in words.split()):
            forms.append(words.replace(" ", ""))  # T.D and S T O P
        elif not words.isascii() and len(words) <= LONGEST_APART:
            forms.append(words.replace(" ", ""))  # 退-订
        said = (vocabulary.read(form, alone=alone) for form in forms for vocabulary in self._vocabularies)
        return next((meaning for meaning in said if meaning is not None), None)

    def _misspelled(self, words: str) -> Meaning | None:
        """The keyword that a single word is a letter away from."""
        word = _without_repeats(words.removeprefix("please ").removesuffix(" please").removesuffix(" pls"))
        if not word.isascii() or not word.isalpha() or not 3 <= len(word) <= 14:
            return None
        if word in self._no_keywords or words in self._no_keywords:
            return None
        kind = self._vocabularies[0].kinds.get(word) or next(
            (kind for keyword, kind in self._spelled.items() if _is_a_letter_away(word, keyword)), None
        )
        return Meaning(kind, doubtful=True) if kind else None


@cache
def reader_of(own: tuple[str, ...]) -> ReplyReader:
    """The reader of a profile's languages; it takes some tens of milliseconds to make."""
    return ReplyReader(own)


def fold_reply(text: str) -> str:
    """The words of a reply: compatibility forms, accents and traditional characters folded, one blank between words."""
    return " ".join(_WORD.findall(_plain(text)))


def _plain(text: str) -> str:
    """A text in lower case without accents, apostrophes and what cannot be seen, in simplified characters."""
    apart = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold())
    # The marks of voiced kana stay: か and が are two letters.
    visible = "".join(
        each
        for each in apart
        if each < "\x80" or each in "\u3099\u309a" or unicodedata.category(each) not in ("Cf", "Mn", "Me")
    )
    return unicodedata.normalize("NFC", visible).translate(_LETTERS).translate(_simplified())


@cache
def _simplified() -> dict[int, str]:
    alike = tomllib.loads((files("smsc_filter.classifier") / "alike.toml").read_text(encoding="utf-8"))
    return {ord(source): target for target, sources in alike["simplified"].items() for source in sources}


def _lines_at_names(text: str) -> list[str]:
    """The lines of a text; a name in brackets behind other words begins one too, as a quoted original does."""
    return re.sub(r"(?<=\S)【(?=[^【】\n]{1,20}】\S)", "\n【", text).splitlines()


def _clauses(lines: Iterable[str]) -> Iterator[str]:
    """Lines cut at punctuation, folded."""
    for line in lines:
        pieces = _CLAUSE_END.split(line)
        # A line counts as one too, where punctuation stands between letters of one word.
        for piece in [line, *pieces] if len(pieces) > 1 and len(line) <= LONGEST_KEYWORD_REPLY // 4 else pieces:
            if folded := fold_reply(piece):
                yield folded[:LONGEST_CLAUSE]


def _alternatives(words: Iterable[str]) -> str:
    """Any of ``words`` and the blank behind it.

    Words of letters stand between blanks; a script without blanks writes its words in a row, so there it is optional.
    The longest is tried first, which keeps 不同意 from being read as 同意 behind a stray 不.
    """
    ordered = sorted(words, key=lambda word: (-len(word), word))
    return "|".join(re.escape(word) + (" " if word.isascii() else " ?") for word in ordered)


def _without_repeats(word: str) -> str:
    """A word with runs of three or more letters made one: STOOOP."""
    return re.sub(r"(.)\1{2,}", r"\1", word)


def _is_a_letter_away(word: str, keyword: str) -> bool:
    """Whether one letter is missing, too much, wrong, or changed places with its neighbour."""
    if abs(len(word) - len(keyword)) > 1 or word == keyword:
        return word == keyword
    same = 0
    while same < min(len(word), len(keyword)) and word[same] == keyword[same]:
        same += 1
    a, b = word[same:], keyword[same:]
    return a[1:] == b or a == b[1:] or a[1:] == b[1:] or (a[1::-1] == b[:2] and a[2:] == b[2:])
