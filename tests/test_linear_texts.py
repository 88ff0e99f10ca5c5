"""Whatever a text repeats, twice as much of it costs about twice as much: no text holds up a worker.

Every compiled pattern of the package is found by itself, in modules and in what a profile is made of, so a new one is
tested without being named here. Time is that of the processor, the least of several runs, and is only compared where
there is enough of it: what reads 8,000 characters within some milliseconds is not quadratic.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
import time
from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any

import pytest

import smsc_filter
from smsc_filter.classifier.scorer import WINDOW, Scorer, windows_of
from smsc_filter.policy import appeal_reply
from smsc_filter.policy.appeal_reply import read_appeal
from smsc_filter.policy.handles import handles_of
from smsc_filter.policy.language import Wording, language_names, read_language, reply_language_names
from smsc_filter.policy.likeness import sketch
from smsc_filter.policy.prohibited import compile_prohibited
from smsc_filter.policy.reply import ReplyReader
from smsc_filter.sms.coding import decode_text
from tests.classifier.models import DEFAULT

MOST_RATIO = 2.5
PATTERN_CHARACTERS = 4_000
TEXT_CHARACTERS = 16_000
PATTERN_SECONDS, TEXT_SECONDS = 0.006, 0.012
"""What twice as many characters may cost without a second look."""

RUNS = 5
TRIES = 4
"""A measurement that another process disturbed is made again."""

APART = ("smsc_filter.lab", "smsc_filter.analysis", "smsc_filter.records.migrations")
"""What meets no text of strangers."""

REPEATED = (
    *(
        "a",
        "1",
        " ",
        "\t",
        "-",
        ".",
        "_",
        ",",
        ":",
        "[",
        "【",
        "(",
        '"',
        "“",
        ">",
        "=",
        "|",
        "/",
        "@",
        "*",
        "中",
        "不",
        "回",
        "每",
        "一",
    ),
    *(
        "a.",
        "a-",
        "1.",
        "1-",
        "1 ",
        "a ",
        " -",
        "- ",
        "aa1.",
        "1msg",
        ".a",
        "a1",
        "A1",
        "\ud83d",
        "\U0001f600",
        "e\u0301",
        "\ufdfa",
        "a\u200b",
    ),
    *(
        "www.",
        "http://",
        "http://a.b/",
        "reply ",
        "stop ",
        "for 1 ",
        "to ",
        "TD ",
        "texts ",
        "messages ",
        "please stop ",
        "dont ",
        "send me ",
    ),
    *(
        "回复",
        "回复T退订",
        "同意接收",
        "每日",
        "有效期",
        "取消",
        "退订",
        "不要再",
        "给我发",
        "短信",
        "申诉 ",
        "【a】",
        "每1条",
        "至 20",
        "id:1 ",
        "\r\n",
        " - a",
    ),
)


@cache
def patterns() -> dict[str, re.Pattern[Any]]:
    """Every compiled pattern there is, by what it looks for."""
    found: dict[str, re.Pattern[Any]] = {}
    seen: set[int] = set()

    def gather(value: object, depth: int) -> None:
        if id(value) in seen or depth > 6:
            return
        seen.add(id(value))
        if isinstance(value, re.Pattern):
            found[repr(value.pattern)] = value
        elif isinstance(value, dict):
            for each in value.values():
                gather(each, depth + 1)
        elif isinstance(value, tuple | list | set | frozenset):
            for each in value:
                gather(each, depth + 1)
        elif type(value).__module__.startswith("smsc_filter") and hasattr(value, "__dict__"):
            gather(vars(value), depth)

    for module in pkgutil.walk_packages(smsc_filter.__path__, "smsc_filter."):
        if not module.name.startswith(APART) and not module.name.endswith("__main__"):
            gather(vars(importlib.import_module(module.name)), 0)
    gather(wording(), 0)
    gather(reader(), 0)
    return found


@cache
def wording() -> Wording:
    return Wording([read_language(name) for name in language_names()])


@cache
def reader() -> ReplyReader:
    return ReplyReader(reply_language_names())


@cache
def scorer() -> Scorer:
    return Scorer.load(DEFAULT)


def seconds(run: Callable[[], object], runs: int = RUNS) -> float:
    """The least processor time of some runs."""
    least = float("inf")
    for _ in range(runs):
        began = time.process_time()
        run()
        least = min(least, time.process_time() - began)
    return least


def is_linear(run: Callable[[int], object], size: int, allowed: float) -> bool:
    """Whether ``run`` of twice ``size`` is quick, or costs less than ``MOST_RATIO`` times what ``size`` costs."""
    if seconds(lambda: run(2 * size), 1) < allowed:
        return True
    return any(
        seconds(lambda: run(2 * size)) < max(allowed, MOST_RATIO * seconds(lambda: run(size))) for _ in range(TRIES)
    )


def repeated(piece: str, size: int) -> str:
    return (piece * (size // len(piece) + 1))[:size]


def hostile(pattern: str) -> Iterator[str]:
    """Pieces that a pattern itself names, besides those that trouble any."""
    yield from REPEATED
    words = re.findall(r"[a-z]{2,}|[\u4e00-\u9fff]+", pattern)
    yield from dict.fromkeys(words[:6])
    yield from (f"{word} " for word in words[:3])


def test_there_are_patterns_to_be_tested() -> None:
    found = patterns()
    assert len(found) > 150
    assert any("https?" in name for name in found)


MATCHED_ONLY = {appeal_reply._CODE.pattern}
"""Looked for at one place alone, never searched for."""


def test_every_pattern_is_linear() -> None:
    slow = []
    for name, pattern in patterns().items():
        look = pattern.match if pattern.pattern in MATCHED_ONLY else pattern.search
        for piece in hostile(name):
            texts = {size: repeated(piece, size) for size in (PATTERN_CHARACTERS, 2 * PATTERN_CHARACTERS)}
            told: dict[int, Any] = (
                {size: text.encode("utf-8", "surrogatepass") for size, text in texts.items()}
                if isinstance(pattern.pattern, bytes)
                else texts
            )
            if not is_linear(partial(_look, look, told), PATTERN_CHARACTERS, PATTERN_SECONDS):
                slow.append((name, piece))
    assert slow == []


def _look(look: Callable[[Any], object], texts: dict[int, Any], size: int) -> None:
    look(texts[size])


FUNCTIONS: dict[str, Callable[[str], object]] = {
    "score": lambda text: scorer().score([text]),
    "explain": lambda text: scorer().explain(text),
    "sketch": lambda text: sketch([text]),
    "handles_of": handles_of,
    "asks_for_consent": lambda text: wording().asks_for_consent(text),
    "missing_statements": lambda text: wording().missing_statements(text),
    "carried": lambda text: wording()._carried(text),
    "prohibited": lambda text: prohibited().search(text),
    "reply": lambda text: reader()._read(text),
    "keywords of a reply": lambda text: reader().read_keywords(text),
    "appeal": lambda text: read_appeal(text, reader().appeals),
    "decode_text": lambda text: decode_text(text.encode("utf-16-be", "surrogatepass"), 8),
    "decode_text, septets": lambda text: decode_text(text.encode("latin-1", "replace"), 0),
}


@cache
def prohibited() -> Any:
    return compile_prohibited([*(f"word{number}" for number in range(10_000)), "a" * 50, "回复T"])


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_over_text_is_linear(name: str) -> None:
    function = FUNCTIONS[name]
    function("warm")
    slow = []
    for piece in REPEATED:
        texts = {size: repeated(piece, size) for size in (TEXT_CHARACTERS, 2 * TEXT_CHARACTERS)}
        if not is_linear(partial(_look, function, texts), TEXT_CHARACTERS, TEXT_SECONDS):
            slow.append(piece)
    assert slow == []


OFFER = "Mega sale! 50% off all shoes this weekend, buy now at http://shop.example Reply STOP to opt out. "
CHAT = "are you home tonight? mum asked whether we come for dinner on sunday, i said i would ask you first. "


@pytest.mark.parametrize("share", [0.0, 0.1, 0.37, 0.5, 0.81, 1.0])
def test_an_advertisement_anywhere_in_64_kib_counts(share: float) -> None:
    chat = repeated(CHAT, 65_000 - len(OFFER))
    at = int(share * len(chat))
    clean, hidden = scorer().score([repeated(CHAT, 65_000), chat[:at] + OFFER + chat[at:]]).score.tolist()
    threshold = scorer().thresholds["commercial"]
    assert clean < threshold < hidden


@pytest.mark.parametrize("length", [0, 1, WINDOW, WINDOW + 1, 799, 800, 801, 5_000])
def test_windows_cover_a_text_and_each_is_as_long_as_may_be(length: int) -> None:
    text = "".join(chr(0x4E00 + number % 20_000) for number in range(length))
    windows = windows_of(text)
    assert all(len(window) == min(length, WINDOW) for window in windows)
    assert all(any(text[at : at + 160] in window for window in windows) for at in range(max(1, length - 160)))
    assert windows[-1] == text[-WINDOW:]
