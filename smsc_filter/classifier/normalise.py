"""The text behind the disguise: one copy for training and for service.

A batch of texts is joined into one array of code points, every code point is looked up in one table, and the
few rules that need a neighbour are array operations. So the cost of a text is some tens of nanoseconds a
character, and a lone text pays only for the numpy calls; what a batch does not hold costs one look.

Folded to what a reader reads: case, full-width and other compatibility forms of a single character (as NFKC
does), accents, letters of other scripts that look Latin, traditional characters, brackets of signatures,
circled and spelled digits in a run, a few homophones, ``$`` and ``3`` in the midst of a word, blanks between
single letters. Dropped: controls, zero-width characters, direction marks, marks laid over a letter, blanks
beside a Chinese character. Digits become a class that only tells how long their run is: a code of six is a
feature, its value is not.

Punctuation and symbols are taken out of the midst of the letters and follow behind them, each with the class of
what it stood behind. So marks between letters, the cheapest disguise, change no n-gram of letters, and still
tell what they tell. The first ``MOST_MARKS`` count, so no flood of them drowns the rest.

How much was hidden and how much looked like something else is kept beside the codes, as evidence. Whoever hides leaves
that trace; what it weighs is learnt, and it never weighs in favour of the text (see ``features``).

Unicode data is that of version 3.2, which every Python carries as ``unicodedata.ucd_3_2_0``, and ``alike.toml``: a
newer Python must not fold a text differently from the one its model was trained on.
"""

import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from itertools import chain
from typing import Final, NamedTuple
from unicodedata import ucd_3_2_0 as ucd

import numpy as np
from numpy.typing import NDArray

MARGIN: Final = 3
"""Places before every text, and behind the last, that hold ``EDGE``: no n-gram of up to
``MARGIN + 1`` characters then sees two texts, and the edges of a text are features themselves."""

SEAM: Final = MARGIN + 1
"""Places before the marks of a text: a margin, and how dense the marks are."""

MOST_MARKS: Final = 24
"""Marks of a text that count: its first."""

BLANK: Final = 0x20
DIGIT: Final = 0x30
"""``DIGIT + d`` is the digit d, until its run is known."""

# Codes beyond Unicode, so that no text can write them.
EDGE: Final = 0x110000
RUN: Final = 0x110010
"""``RUN + k`` stands for a digit in a run of k digits."""

LONGEST_RUN: Final = 12
"""Runs of more digits than a phone number has are all alike."""

EVIDENCE: Final = 0x110100
"""``EVIDENCE + 0x10 * what + level``: how much was done to a text."""

HIDDEN_LETTERS, LOOKALIKES, DENSE_MARKS = range(3)

LEVELS: Final = 6
"""Levels of each, the first for nothing."""

POINT: Final = 0x1FFFFF
"""The bits of a code that are a code point; those above are of one of the kinds below."""

MARK: Final = 1 << 24
BEHIND: Final = 21
"""Bit from which the code of a mark tells what it stood behind."""

_ODD = 1 << 25
"""Looks like what it folds to, and is something else."""

_NUMERAL = 1 << 26
"""A Chinese numeral: a digit among digits, a word among words."""

_HIDDEN = 1 << 27
"""Nothing a reader would see, and nothing an honest text holds inside a word."""

_NOTHING = 1 << 28
"""Dropped without a trace: what ordinary texts hold too."""

# Traits of a character, an octet for each, so that looking at neighbours costs little.
_LATIN, _DIGIT, _BLANK, _MARK, _SIGN, _WIDE, _RARE, _SPOKEN = (np.uint8(1 << bit) for bit in range(8))
_SIGN_BIT = 4

_IDEOGRAPHS = 0x2E80
"""From here on (ideographs, kana, their punctuation) a script writes no blanks between words."""

_BRACKETS = {"[": "【", "]": "】", "〔": "【", "〕": "】", "〖": "【", "〗": "】", "「": "【", "」": "】"}

# Symbols that are part of what they stand beside: a signature, a price, a share.
_LETTERLIKE = frozenset("【】%¥£€℃")

_PLUS = "➕✚✛✜⊕㊉🞡🞢🞣🞤🞥"
_NUMERALS = "〇一二三四五六七八九"
_FORMAL = dict(zip("零壹贰叁肆伍陆柒捌玖", _NUMERALS, strict=True)) | dict(
    zip("貳參陸弌弍弎", "二三六一二三", strict=True)
)

# Strokes and signs that ordinary texts do not hold and that stand between letters like marks.
_STROKES = frozenset("丶丨丿乀乁亅々〃〻ゝゞヽヾ゛゜ㄧ")

# Code points no one sees that Unicode 3.2 does not class as Cc or Cf: the zero-width space (still a
# blank then), fillers, later joiners and the tags of plane 14.
_UNSEEN = (
    range(0x200B, 0x2010),
    range(0x2028, 0x202F),
    range(0x2060, 0x2070),
    range(0xE0000, 0xE1000),
    (0x00AD, 0x034F, 0x115F, 0x1160, 0x180E, 0x2800, 0x3164, 0xFEFF, 0xFFA0),
)
_VARIATION = range(0xFE00, 0xFE10)

# Marks laid over or under the character before. Accents spell letters; what strikes out or encircles does not.
_ACCENTS = frozenset(chain(range(0x0300, 0x0370), range(0x1DC0, 0x1E00), range(0xFE20, 0xFE30)))
_OVERLAYS = frozenset(chain(range(0x0334, 0x0339), range(0x0483, 0x048A), range(0x1AB0, 0x1B00), range(0x20D0, 0x2100)))

# Symbols that Unicode 3.2 does not know yet: emoji, dingbats, arrows.
_LATER_SYMBOLS = (range(0x2010, 0x2060), range(0x20A0, 0x20D0), range(0x2190, 0x2C00), range(0x1F000, 0x1FB00))
_LATER_LETTERS = ((0x1F110, 26), (0x1F130, 26), (0x1F150, 26), (0x1F170, 26))
_LATER_DIGITS = ((0x1F10B, 1), (0x1F10C, 1), (0x24FF, 1), (0x1FBF0, 10), (0x1F100, 1), (0x1F101, 10))

# Everything that folds to something else lies here, beside what ``alike.toml`` adds; the rest stands for itself.
_FOLDABLE = (
    range(0x3400),
    range(0xA000, 0xAC00),
    range(0xF900, 0x10000),
    range(0x10400, 0x10450),
    range(0x1D000, 0x1D800),
    range(0x2F800, 0x2FA20),
)

_HOMOPHONES = {"薇": "微"}

_LEET = {"4": "a", "@": "a", "3": "e", "1": "i", "!": "i", "0": "o", "5": "s", "$": "s", "7": "t", "8": "b"}

_WEI, _XIN, _KOU = map(ord, "微信扣")

_LONG_NUMERAL = 4
"""From so many numerals in a row on they are digits: a year, a number to call."""

_SINGLES = 3
"""Blanks, each between two single letters, that it takes to read them as one word."""


class Folded(NamedTuple):
    """A batch of n texts as one array of codes: the letters of all texts, and behind them the marks of all texts.

    The letters of a text are ``MARGIN`` places of ``EDGE`` and its folded characters; its marks are ``MARGIN``
    places of ``EDGE``, how dense they are, and the marks. ``MARGIN`` places of ``EDGE`` close the array.
    """

    codes: NDArray[np.uint32]
    """Shape (places + ``MARGIN``,)."""

    starts: NDArray[np.intp]
    """Shape (2 n,): where the letters of each text begin, then where the marks of each text begin."""

    lengths: NDArray[np.intp]
    """Shape (2 n,): places from each start to the next; at least ``MARGIN`` for letters, ``SEAM`` for marks."""

    evidence: NDArray[np.uint32]
    """Shape (2, n): codes of how much was hidden and how much looked like something else; 0 for nothing."""


def fold(texts: Sequence[str]) -> Folded:
    """Fold a batch of at least one text; any ``str`` will do, lone surrogates included."""
    lengths = np.fromiter(map(len, texts), np.intp, len(texts))
    margin = _FILLER * MARGIN
    joined = margin.join(chain(("",), texts, ("",)))
    points = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), np.dtype("<u4"))
    return _Batch(points, lengths).fold()


class _Batch:
    """A batch on its way through the rules: each takes codes and their traits, and leaves fewer or simpler ones."""

    def __init__(self, points: NDArray[np.uint32], lengths: NDArray[np.intp]) -> None:
        table = fold_table()
        self.codes = table.codes.take(points)
        self.traits = table.traits.take(points)
        self.bounds = np.zeros(lengths.size + 1, np.intp)
        """Where each text begins, and where the last ends."""
        np.cumsum(lengths + MARGIN, out=self.bounds[1:])
        self.found = int(np.bitwise_or.reduce(self.traits))
        """Every trait that some character has."""
        # A text may hold the filler itself, so the margins are told by their place, not by their value.
        edges = (self.bounds[:, None] + _MARGIN_PLACES).ravel()
        self.codes[edges] = EDGE
        self.traits[edges] = _BLANK | _WIDE
        self.hidden = self.odd = self.none = np.zeros(lengths.size, np.intp)

    def fold(self) -> Folded:
        found = self.found
        if found & _RARE:
            self._drop_hidden()
        if found & _SIGN and found & _LATIN:
            self._read_leet()
        marks, counts = self._take_marks() if found & _MARK else (self.codes[:0], self.none)
        if found & _BLANK:
            self._drop_blanks()
        if found & _SPOKEN:
            self._read_homophones()
        if found & (_DIGIT | _SPOKEN):
            self._class_digits()
        return self._assemble(marks, counts)

    def _count(self, places: NDArray[np.intp]) -> NDArray[np.intp]:
        """How many of the places lie in each text."""
        before = places.searchsorted(self.bounds)
        return before[1:] - before[:-1]

    def _keep(self, kept: NDArray[np.bool_]) -> None:
        self.codes = self.codes[kept]
        self.traits = self.traits[kept]
        if self.bounds.size > 2:
            np.cumsum(np.add.reduceat(kept, self.bounds[:-1], dtype=np.intp)[:-1], out=self.bounds[1:-1])
        self.bounds[-1] = self.codes.size - MARGIN

    def _drop_hidden(self) -> None:
        """Drop what no one sees, and tell letters of other scripts in the midst of Latin ones."""
        codes, traits = self.codes, self.traits
        rare = _places(traits & _RARE)
        unseen = rare[codes[rare] >= _HIDDEN]
        if unseen.size:
            # Between symbols a joiner makes one emoji of several; behind a letter it only parts letters.
            hides = (codes[unseen] & _HIDDEN != 0) & (traits[unseen - 1] & (_MARK | _BLANK) == 0)
            hides &= codes[unseen - 1] < _HIDDEN
            self.hidden = self._count(unseen[hides])
            kept = np.ones(codes.size, np.bool_)
            kept[unseen] = False
            self._keep(kept)
            codes, traits = self.codes, self.traits
            rare = _places(traits & _RARE)
        if rare.size:
            # A word of another script is written in its own letters; mixed with Latin ones it is a disguise.
            honest = traits & (_RARE | _LATIN) == _LATIN
            odd = honest[rare - 1] | honest[rare + 1] | (traits[rare] & _LATIN == 0)
            self.odd = self._count(rare[odd])
            codes[rare] &= np.uint32(POINT)

    def _read_leet(self) -> None:
        """Read digits and signs in the midst of a Latin word as the letters they look like."""
        traits = self.traits
        # A word is looked at if it has a sign or two in its midst: those at its end are mostly numbers and punctuation.
        sign = traits >> _SIGN_BIT
        inside = traits[:-3] & sign[1:-2] & (traits[2:-1] | (sign[2:-1] & traits[3:])) & _LATIN
        if not np.count_nonzero(inside):
            return
        hits = _places(inside)
        word = traits & (_LATIN | _DIGIT | _SIGN) != 0
        begins, lengths = _runs(word)
        asked = begins.searchsorted(hits, "right") - 1
        asked = asked[_places(np.diff(asked, prepend=-1))]
        begins, lengths = begins[asked], lengths[asked]
        starts = _starts(lengths)
        places = np.repeat(begins - starts, lengths) + np.arange(int(lengths.sum()))
        here, behind = traits.take(places), traits.take(places + 1)
        latin = here & _LATIN != 0
        # A sign at the end of a word is punctuation; a digit there is not.
        signs = (here & _SIGN != 0) & ((here & _DIGIT != 0) | (behind & (_LATIN | _DIGIT) != 0))
        letters, read, numbers = (
            np.add.reduceat(which, starts, dtype=np.intp) for which in (latin, signs, ~signs & (here & _DIGIT != 0))
        )
        last = starts + lengths - 1
        good = (read > 0) & (numbers == 0) & (letters >= np.maximum(read, 2))
        # What begins with a number is one.
        good &= (here[starts] & here[np.minimum(starts + 1, last)] & _DIGIT) == 0
        chosen = places[signs & np.repeat(good, lengths)]
        if chosen.size:
            self.codes[chosen] = _leet_table().take(self.codes[chosen] & 0x7F)
            traits[chosen] = _LATIN
            self.odd = self.odd + self._count(chosen)

    def _take_marks(self) -> tuple[NDArray[np.uint32], NDArray[np.intp]]:
        """Take the marks out of the midst of the letters: all of them, and how many those of each text are."""
        lettered = (self.traits & _MARK) == 0
        places = _places(~lettered)
        counts = self._count(places)
        marks = self.codes.take(places) + _CLASS.take(self.traits.take(places - 1))
        self._keep(lettered)
        return marks, counts

    def _drop_blanks(self) -> None:
        """Drop blanks beside ideographs and edges, repeated ones, and those of a row of single letters."""
        apart = self.traits & _BLANK
        single = _places(apart[1:-1] < (apart[:-2] & apart[2:]))
        # So many singles in a row lie close: not worth more looks otherwise, and chat has many that do not.
        if single.size > _SINGLES and (single[_SINGLES:] - single[:-_SINGLES]).min() <= 4 * _SINGLES:
            self._join(single + 1)
        repeated = 1
        while repeated:
            traits = self.traits
            blank = (traits & (_BLANK | _WIDE)) == _BLANK
            repeated = int(np.count_nonzero(blank[1:] & blank[:-1]))
            # The edges count as wide, so blanks around a text go the same way as blanks beside an ideograph.
            blank[1:-1] &= ((traits[:-2] & (_BLANK | _WIDE)) | (traits[2:] & _WIDE)) != 0
            if np.count_nonzero(blank):
                self._keep(~blank)

    def _join(self, single: NDArray[np.intp]) -> None:
        """Drop the blanks between single letters in a row; two blanks or three there still part two words."""
        gaps = single[1:] - single[:-1]
        steps = np.zeros(single.size + 1, np.bool_)
        steps[1:-1] = (gaps < 4) | ((gaps == 4) & (self.traits[single[:-1] + 2] & (_BLANK | _WIDE) == _BLANK))
        lengths = _runs(steps)[1]
        row = _places(steps)[np.repeat(lengths >= _SINGLES, lengths)] - 1
        gone = single[row[gaps[row] == 2]] + 1
        if gone.size:
            self.hidden = self.hidden + self._count(gone)
            kept = np.ones(self.codes.size, np.bool_)
            kept[gone] = False
            self._keep(kept)

    def _read_homophones(self) -> None:
        """``V信`` is 微信, ``扣扣`` sounds like QQ, and four numerals in a row are a number."""
        codes, traits = self.codes, self.traits
        spoken = _places(traits & _SPOKEN)
        said = codes.take(spoken)
        numeral = spoken[said >= _NUMERAL]
        if numeral.size < spoken.size:
            letter = spoken[said == _XIN]
            letter = letter[codes[letter - 1] == ord("v")] - 1
            codes[letter[traits[letter - 1] & _LATIN == 0]] = _WEI
            sound = spoken[said == _KOU]
            first = sound[:-1][np.diff(sound) == 1]
            codes[first] = codes[first + 1] = ord("q")
        if not numeral.size:
            return
        codes[numeral] &= np.uint32(POINT)
        beside = traits.take(numeral - 1) | traits.take(numeral + 1)
        if not np.count_nonzero(beside & (_DIGIT | _SPOKEN)):
            return
        digit = traits & _DIGIT
        digit[numeral] = _DIGIT
        begins, lengths = _runs(digit)
        long = lengths >= _LONG_NUMERAL
        begins, lengths = begins[long], lengths[long]
        traits[np.repeat(begins - _starts(lengths), lengths) + np.arange(int(lengths.sum()))] = _DIGIT

    def _class_digits(self) -> None:
        digit = self.traits & _DIGIT
        # Every text begins and ends in a margin, so runs begin and end inside the array.
        lengths = _runs(digit)[1]
        if lengths.size:
            self.codes[_places(digit)] = _RUNS.take(np.repeat(lengths, lengths), mode="clip")

    def _assemble(self, marks: NDArray[np.uint32], counts: NDArray[np.intp]) -> Folded:
        """The letters of all texts, and behind them evidence and marks of all texts."""
        n = counts.size
        kept = counts
        if marks.size > MOST_MARKS and counts.max() > MOST_MARKS:
            marks = marks[np.arange(marks.size) - np.repeat(_starts(counts), counts) < MOST_MARKS]
            kept = np.minimum(counts, MOST_MARKS)
        lengths = np.empty(2 * n, np.intp)
        letters = lengths[:n]
        np.subtract(self.bounds[1:], self.bounds[:-1], out=letters)
        np.add(kept, SEAM, out=lengths[n:])
        seams = np.full((n, SEAM), EDGE, np.uint32)
        seams[:, MARGIN] = _DENSITY.take(counts * 16 // letters, mode="clip")
        behind = seams.ravel()
        if marks.size:
            behind = np.concatenate((behind, marks)) if n == 1 else _interleave(behind, marks, kept)
        codes = np.concatenate((self.codes[: self.bounds[-1]], behind, _CLOSE))
        evidence = np.zeros((2, n), np.uint32)
        if self.hidden is not self.none:
            evidence[HIDDEN_LETTERS] = _HIDDEN_LEVELS.take(self.hidden, mode="clip")
        if self.odd is not self.none:
            evidence[LOOKALIKES] = _ALIKE_LEVELS.take(self.odd, mode="clip")
        return Folded(codes, _starts(lengths), lengths, evidence)


_FILLER = "\ue000"
_CLOSE = np.full(MARGIN, EDGE, np.uint32)
_MARGIN_PLACES = np.arange(MARGIN)
_RUNS = np.array([RUN + run for run in range(LONGEST_RUN + 1)], np.uint32)
_HIDDEN_LEVELS, _ALIKE_LEVELS = (
    np.array([n and EVIDENCE + 0x10 * what + n.bit_length() for n in range(17)], np.uint32)
    for what in (HIDDEN_LETTERS, LOOKALIKES)
)
_DENSITY = np.array([EVIDENCE + 0x10 * DENSE_MARKS + level for level in (0, 1, 1, 2, 2, 2, 3, 3, 3, 3, 4)], np.uint32)

# What a mark stands behind, by the traits of that: a Latin letter, a digit, an ideograph, or anything else.
_CLASS = np.array(
    [
        (1 if t & _LATIN else 2 if t & _DIGIT else 3 if t & (_WIDE | _BLANK) == _WIDE else 0) << BEHIND
        for t in range(256)
    ],
    np.uint32,
)


def _interleave(seams: NDArray[np.uint32], marks: NDArray[np.uint32], counts: NDArray[np.intp]) -> NDArray[np.uint32]:
    """The seam of each text and its marks, one text behind the other."""
    is_mark = np.zeros(seams.size + marks.size, np.bool_)
    ends = np.cumsum(counts + SEAM)
    is_mark[np.repeat(ends - np.cumsum(counts), counts) + np.arange(marks.size)] = True
    joined = np.empty(is_mark.size, np.uint32)
    joined[is_mark] = marks
    joined[~is_mark] = seams
    return joined


def _places(which: NDArray[np.generic]) -> NDArray[np.intp]:
    """Where something is not 0: ``flatnonzero`` without what that asks of its argument, which a lone text feels."""
    return which.nonzero()[0]


def _starts(lengths: NDArray[np.intp]) -> NDArray[np.intp]:
    starts = np.zeros_like(lengths)
    np.cumsum(lengths[:-1], out=starts[1:])
    return starts


def _runs(which: NDArray[np.generic]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Where runs begin, and how long they are; neither the first nor the last place is in one."""
    turns = _places(which[1:] != which[:-1])
    begins = turns[0::2]
    return begins + 1, turns[1::2] - begins


@cache
def _leet_table() -> NDArray[np.uint32]:
    table = np.zeros(0x80, np.uint32)
    for sign, letter in _LEET.items():
        table[ord(sign)] = ord(letter)
    return table


# The table ---------------------------------------------------------------------------------------


class FoldTable(NamedTuple):
    """What each code point folds to; both read only."""

    codes: NDArray[np.uint32]
    """Shape (0x110000,)."""

    traits: NDArray[np.uint8]
    """Shape (0x110000,)."""


@cache
def fold_table() -> FoldTable:
    """The table every character is looked up in."""
    alike = tomllib.loads((files(__package__) / "alike.toml").read_text(encoding="utf-8"))
    latin = {source: target for target, sources in alike["lookalikes"].items() for source in sources}
    table = np.arange(0x110000, dtype=np.uint32)
    for point in chain.from_iterable(_FOLDABLE):
        table[point] = _fold_point(chr(point), latin)
    for point in chain.from_iterable(_LATER_SYMBOLS):
        if ucd.category(chr(point)) == "Cn":
            table[point] = MARK | point
    for first, several in _LATER_LETTERS:
        table[first : first + several] = _ODD | np.arange(ord("a"), ord("a") + several)
    for first, several in _LATER_DIGITS:
        table[first : first + several] = _ODD | np.arange(DIGIT, DIGIT + several)
    for target, sources in alike["simplified"].items():
        for source in sources:
            table[ord(source)] = ord(target)
    for character in _STROKES:
        table[ord(character)] = MARK | ord(character)
    for character in _PLUS:
        table[ord(character)] = ord("加")
    for formal, numeral in {**{n: n for n in _NUMERALS}, **_FORMAL}.items():
        table[ord(formal)] = _NUMERAL | ord(numeral)
    for word, character in _HOMOPHONES.items():
        table[ord(word)] = ord(character)
    for points in _UNSEEN:
        table[np.array(points)] = _HIDDEN
    table[np.array(_VARIATION)] = _NOTHING
    traits = _traits(table)
    # Of the flags only those stay that a rule asks for.
    table.flags.writeable = traits.flags.writeable = False
    return FoldTable(table, traits)


def _traits(table: NDArray[np.uint32]) -> NDArray[np.uint8]:
    point = table & np.uint32(POINT)
    mark = (table & MARK) != 0
    latin = ~mark & (point >= ord("a")) & (point <= ord("z"))
    digit = ~mark & (point >= DIGIT) & (point < DIGIT + 10)
    sign = np.isin(point, [ord(sign) for sign in _LEET])
    traits = np.zeros(table.size, np.uint8)
    for which, trait in (
        (latin, _LATIN),
        (digit, _DIGIT),
        (table == BLANK, _BLANK),
        (mark, _MARK),
        (sign & (mark | digit), _SIGN),
        (~mark & (point >= _IDEOGRAPHS), _WIDE),
        ((table & (_ODD | _HIDDEN | _NOTHING)) != 0, _RARE),
        (((table & _NUMERAL) != 0) | np.isin(table, (_XIN, _KOU)), _SPOKEN),
    ):
        traits[which] |= trait
    return traits


def _fold_point(character: str, latin: Mapping[str, str]) -> int:
    if character in "\t\n\r":
        return BLANK
    point = ord(character)
    if point in _OVERLAYS:
        return _HIDDEN
    if point in _ACCENTS:
        return _NOTHING
    category = ucd.category(character)
    if category == "Cn":
        # Not a character of Unicode 3.2, so what this Python knows of it another may not know.
        return _ODD | ord(latin[character]) if character in latin else point
    if category in ("Cc", "Cf"):
        return _NOTHING if category == "Cc" else _HIDDEN
    if category in ("Zs", "Zl", "Zp"):
        return BLANK
    if (digit := ucd.digit(character, None)) is not None:
        # Of these, footnotes and the digits of other scripts are honest.
        odd = _ODD if (category == "No" and point >= 0x2460) or 0x1D7CE <= point <= 0x1D7FF else 0
        return odd | (DIGIT + digit)
    # Before NFKC, which takes some look-alikes for other letters of their script.
    folded = character if character in latin else _single(ucd.normalize("NFKC", character)) or character
    # An accent hides a letter as well as it spells one, and writers of SMS leave accents out.
    apart = ucd.normalize("NFD", folded)
    if all("\u0300" <= mark <= "\u036f" for mark in apart[1:]):
        folded = apart[0]
    if folded in latin:
        # Latin letters with a stroke or without a dot are letters of some alphabet, not a disguise.
        return ord(latin[folded]) | (0 if folded < "\u0250" else _ODD)
    folded = _single(folded.lower()) or folded
    folded = _BRACKETS.get(folded, folded)
    marks = category[0] in "PS" or ucd.category(folded)[0] in "PS" or 0x02B0 <= point <= 0x02FF
    return ord(folded) | (MARK if marks and folded not in _LETTERLIKE else 0)


def _single(text: str) -> str | None:
    """``text`` if it is one character: a form that folds to more keeps its place and stays as it is."""
    return text if len(text) == 1 else None
