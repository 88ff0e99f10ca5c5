"""Disguises that advertisers give their texts: to learn from, and, with other seeds and other marks, to measure with.

A disguise is a function of a text, a source of chance and a palette. ``TRAINING`` and ``EVALUATION`` are two palettes
without a mark, a substitute or a padding sentence in common, so a figure on disguised texts tells how a model takes a
disguise it has not seen, not how well it remembers one.
"""

import random
import re
from collections.abc import Callable, Mapping
from functools import cache
from importlib.resources import files
from typing import Final, NamedTuple

from smsc_filter.samples import Sample


class Palette(NamedTuple):
    """What disguises are painted with."""

    unseen: str
    """Zero-width characters."""

    blanks: str
    punctuation: str
    rare: str
    """Marks that ordinary texts do not hold, some of them laid over the character before."""

    digits: tuple[str, ...]
    """Ten characters each, for 0 to 9."""

    lookalikes: Mapping[str, str]
    leet: Mapping[str, str]
    substitutes: Mapping[str, tuple[str, ...]]
    chatter_zh: tuple[str, ...]
    chatter_en: tuple[str, ...]
    """Harmless sentences to hide a text among."""


TRAINING: Final = Palette(
    unseen="\u200b\u200d\ufeff",
    blanks=" \u3000",
    punctuation=".,、-*",
    rare="丶◆※▲ゞ\u0336\u20dd~",
    digits=("⓪①②③④⑤⑥⑦⑧⑨", "〇一二三四五六七八九", "🄋➀➁➂➃➄➅➆➇➈"),
    lookalikes=dict(zip("aceopxyisAEOTP", "асеорхуіѕАЕОТР", strict=True)),
    leet={"a": "4", "e": "3", "i": "1", "o": "0", "s": "5", "t": "7"},
    substitutes={
        "微信": ("V信", "薇信", "vx"),
        "加": ("➕",),
        "QQ": ("扣扣",),
        "qq": ("扣扣",),
        "微": ("薇",),
        "免费": ("兔费",),
        "优惠": ("忧惠",),
        "发票": ("发漂",),
        "贷款": ("待款",),
        "电话": ("电活",),
    },
    chatter_zh=(
        "今天天气不错，下午一起去公园走走吧",
        "妈，我到学校了，一切都好，别担心",
        "昨晚那场球你看了没有，最后一分钟真是太悬了",
        "会议改到三点，记得带上资料",
        "床前明月光，疑是地上霜",
        "周末有空吗，好久没见了，出来坐坐",
        "我在路上，大概二十分钟以后到",
        "祝你身体健康，工作顺利，天天开心",
    ),
    chatter_en=(
        "hope you had a good day at work, see you at home later",
        "the weather was lovely so we went for a walk by the river",
        "can you pick up some bread on your way back please",
        "mum says hello and asks when you are coming to visit",
        "i was thinking about what you said and you were right",
        "the meeting has moved to three, bring your notes with you",
    ),
)

EVALUATION: Final = Palette(
    unseen="\u200c\u2060\u00ad\u180e",
    blanks="\u2002\u2009\u00a0",
    punctuation=";:/|_·",
    rare="★■♂℡々\u0489\u20e0\u0338ˇ¤",
    digits=("⓿❶❷❸❹❺❻❼❽❾", "零壹贰叁肆伍陆柒捌玖", "𝟎𝟏𝟐𝟑𝟒𝟓𝟔𝟕𝟖𝟗"),
    lookalikes=dict(zip("aceopxyisvnmtrhkuwAEOTPBCHKMX", "ɑϲеοрχγɩꜱνոⅿтгհкυԝΑΕΟΤΡВСНКМΧ", strict=True))
    | {"e": "ҽ", "p": "ρ"},
    leet={"a": "@", "i": "!", "s": "$", "e": "3", "o": "0", "t": "7", "b": "8"},
    substitutes={
        "微信": ("威信", "wx", "徽信"),
        "加": ("✚", "㊉"),
        "QQ": ("企鹅", "抠抠"),
        "qq": ("企鹅", "叩叩"),
        "微": ("徽",),
        "免费": ("免沸",),
        "优惠": ("优蕙",),
        "发票": ("发飘",),
        "贷款": ("贷歀",),
        "电话": ("殿话",),
    },
    chatter_zh=(
        "晚上想吃什么，我下班顺路买菜回去",
        "孩子的作业写完了，正在看动画片",
        "白日依山尽，黄河入海流，欲穷千里目，更上一层楼",
        "谢谢你昨天送我回家，改天请你喝茶",
        "火车晚点了，你们先吃，不用等我",
        "上次借你的那本书看完了，真好看",
    ),
    chatter_en=(
        "sorry i missed your call, my phone was in the other room",
        "we are leaving in ten minutes, do you want to come along",
        "the kids are asleep and i am watching the match with dad",
        "thanks again for dinner, it was really good to see you both",
    ),
)

_IDEOGRAPH: Final = re.compile(r"[\u4e00-\u9fff]")

type_of_disguise = Callable[[str, random.Random, Palette], str]


# The disguises -----------------------------------------------------------------------------------


def _between(text: str, chance: random.Random, marks: str, share: float) -> str:
    """A mark behind each character with probability ``share``."""
    return "".join(c + chance.choice(marks) if c != " " and chance.random() < share else c for c in text)


def zero_width(text: str, chance: random.Random, palette: Palette) -> str:
    """Characters nobody sees, behind every second character or so."""
    return _between(text, chance, palette.unseen, chance.uniform(0.2, 0.8))


def full_width(text: str, chance: random.Random, palette: Palette) -> str:
    """ASCII letters, digits and marks as wide as ideographs."""
    return "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text)


def spaced(text: str, chance: random.Random, palette: Palette) -> str:
    """A blank between any two characters, and a wider one between words."""
    blank = chance.choice(palette.blanks)
    return blank.join(text.replace(" ", blank))


def punctuation(text: str, chance: random.Random, palette: Palette) -> str:
    """Punctuation between characters."""
    return _between(text, chance, palette.punctuation, chance.uniform(0.2, 0.7))


def rare_marks(text: str, chance: random.Random, palette: Palette) -> str:
    """Marks between and over characters."""
    return _between(text, chance, palette.rare, chance.uniform(0.2, 0.7))


def traditional(text: str, chance: random.Random, palette: Palette) -> str:
    """Traditional characters for the simplified ones."""
    return text.translate(_traditional())


def substitutions(text: str, chance: random.Random, palette: Palette) -> str:
    """Homophones and symbols for the words that filters look for."""
    for word, substitutes in palette.substitutes.items():
        if word in text:
            text = text.replace(word, chance.choice(substitutes))
    return text


def odd_digits(text: str, chance: random.Random, palette: Palette) -> str:
    """Circled and spelled digits."""
    digits = chance.choice(palette.digits)
    return "".join(digits[int(c)] if "0" <= c <= "9" else c for c in text)


def padding(text: str, chance: random.Random, palette: Palette) -> str:
    """A third to as much again of harmless text around it."""
    chatter = palette.chatter_zh if _IDEOGRAPH.search(text) else palette.chatter_en
    wanted = len(text) * chance.uniform(0.3, 1.0)
    before, after = "", ""
    while len(before) + len(after) < wanted:
        if chance.random() < 0.5:
            before = f"{chance.choice(chatter)} {before}"
        else:
            after = f"{after} {chance.choice(chatter)}"
    return f"{before}{text}{after}"


def homoglyphs(text: str, chance: random.Random, palette: Palette) -> str:
    """Letters of other scripts that look Latin."""
    share = chance.uniform(0.3, 1.0)
    return "".join(palette.lookalikes.get(c, c) if chance.random() < share else c for c in text)


def leetspeak(text: str, chance: random.Random, palette: Palette) -> str:
    """Digits and marks for the letters they look like."""
    share = chance.uniform(0.3, 0.9)
    return "".join(palette.leet.get(c.lower(), c) if chance.random() < share else c for c in text)


DISGUISES: Final[Mapping[str, Mapping[str, type_of_disguise]]] = {
    "zh": {
        "zero-width": zero_width,
        "full-width": full_width,
        "spaced": spaced,
        "punctuation": punctuation,
        "rare-marks": rare_marks,
        "traditional": traditional,
        "substitutions": substitutions,
        "circled-digits": odd_digits,
        "padding": padding,
    },
    "en": {
        "homoglyphs": homoglyphs,
        "spaced": spaced,
        "leetspeak": leetspeak,
        "zero-width": zero_width,
        "padding": padding,
    },
}
"""By language and name; a language that is not named is disguised as English is."""


def disguises_of(sample: Sample) -> Mapping[str, type_of_disguise]:
    """The disguises that suit the language of a text."""
    return DISGUISES.get(sample.lang, DISGUISES["en"])


def disguise(sample: Sample, name: str, palette: Palette, seed: int) -> Sample:
    """The text under one disguise; the same for the same seed, whatever came before it."""
    chance = random.Random(f"{seed} {name} {sample.text}")
    return sample._replace(text=disguises_of(sample)[name](sample.text, chance, palette))


@cache
def _traditional() -> dict[int, str]:
    lines = (files("opencc") / "dictionary" / "STCharacters.txt").read_text(encoding="utf-8").splitlines()
    pairs = (line.split("\t") for line in lines if "\t" in line)
    return {ord(old): new.split()[0] for old, new in pairs if len(old) == 1}
