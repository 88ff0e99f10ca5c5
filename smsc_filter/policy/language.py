"""What is said how in the languages of a profile: replies, requests for consent, and what commercial text carries.

A text asks for consent when it offers a reply that grants ("回复Y同意接收", "Reply YES to subscribe"); a provider may
also mark one with the parameter its account names (``consent_request_tag``).

``languages/*.toml`` hold the words and patterns; a profile names the languages it expects, which are read together.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any, Final, NamedTuple

from pydantic import ConfigDict, TypeAdapter

from smsc_filter.policy.links import has_link

GRANTED: Final = "granted"
WITHDRAWN: Final = "withdrawn"

MAX_REMEMBERED: Final = 4096
"""Texts whose duties are remembered."""

Patterns = tuple[re.Pattern[str], ...]

_STRICT = ConfigDict(extra="forbid")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyWords:
    """``[reply]``: what a subscriber writes back; see ``policy.reply``. Words and patterns are over folded text."""

    __pydantic_config__ = _STRICT

    stop: tuple[str, ...]
    """Keywords that withdraw wherever they stand alone, in a clause too."""
    stop_alone: tuple[str, ...]
    """Keywords that withdraw only as the whole reply."""
    start: tuple[str, ...]
    """Keywords that ask for messages."""
    help: tuple[str, ...]
    """Keywords that ask for help."""
    confirm: tuple[str, ...]
    """Keywords that say yes."""
    filler: tuple[str, ...]
    """What may stand around them and says nothing."""
    not_keywords: tuple[str, ...] = ()
    """Words that are no misspelled keyword."""
    appeal: tuple[str, ...] = ()
    """What an appeal begins with, in front of its code."""
    talk_sentences: tuple[str, ...]
    """Patterns of near misses."""
    stop_sentences: tuple[str, ...]
    """Patterns of a clause that withdraws."""
    doubt_sentences: tuple[str, ...] = ()
    """Patterns of a clause that withdraws, and is marked for the operator to look at."""
    start_sentences: tuple[str, ...]
    help_sentences: tuple[str, ...]
    confirm_sentences: tuple[str, ...] = ()
    """Patterns of a whole reply that agrees in more words than one."""
    original: tuple[str, ...] = ()
    """Patterns of a line that quotes an advertisement."""
    below: tuple[str, ...]
    """Patterns of a line below which stands what the subscriber did not write."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestWords:
    """``[request]``: patterns of a text that asks for consent, and of what it has to state."""

    __pydantic_config__ = _STRICT

    asks: tuple[str, ...]
    kind: tuple[str, ...]
    frequency: tuple[str, ...]
    period: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DutyWords:
    """``[duties]``: patterns of what commercial text carries."""

    __pydantic_config__ = _STRICT

    name: tuple[str, ...]
    contact: tuple[str, ...]
    refuse: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeWords:
    """``[notice]``: what a person is told of a measure, in one message of 140 octets.

    {code} is the code of an appeal, {until} one of the two below, {per_hour} what may still be sent in an hour.
    """

    __pydantic_config__ = _STRICT

    warn: str
    throttle: str
    suspend: str
    until: str
    """{at} is the end by the clock of the person."""
    open: str
    """Where no end is set."""

    def written(self, step: str, code: str, end: datetime | None, per_hour: int | None) -> str:
        """The words for a step of the ladder; ``end`` by the clock of who reads it."""
        text = {"warn": self.warn, "throttle": self.throttle, "suspend": self.suspend}[step]
        until = self.open if end is None else self.until.format(at=end)
        return text.format(code=code, until=until, per_hour=per_hour)


class Carried(NamedTuple):
    """Which of its duties a commercial text fulfils."""

    name: bool
    contact: bool
    refuse: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Language:
    """One file."""

    __pydantic_config__ = _STRICT

    reply: ReplyWords
    request: RequestWords
    duties: DutyWords
    notice: NoticeWords


class Wording:
    """Several languages read together, compiled."""

    def __init__(self, languages: Iterable[Language]) -> None:
        """Compile ``languages``.

        Raises:
            re.error: a pattern is wrong.
        """
        languages = tuple(languages)
        requests = [each.request for each in languages]
        duties = [each.duties for each in languages]
        self.asks = compiled(pattern for each in requests for pattern in each.asks)
        self._statements = {
            "type": compiled(pattern for each in requests for pattern in each.kind),
            "frequency": compiled(pattern for each in requests for pattern in each.frequency),
            "period": compiled(pattern for each in requests for pattern in each.period),
        }
        self._name = compiled(pattern for each in duties for pattern in each.name)
        self._contact = compiled(pattern for each in duties for pattern in each.contact)
        self._refuse = compiled(pattern for each in duties for pattern in each.refuse)
        # A campaign is one text to many; three searches take some microseconds.
        self.carried = lru_cache(maxsize=MAX_REMEMBERED)(self._carried)

    def asks_for_consent(self, text: str) -> bool:
        """Whether ``text`` offers a reply that grants."""
        return found(self.asks, text.lower())

    def missing_statements(self, text: str) -> list[str]:
        """Which of type, frequency and period a request does not state."""
        folded = text.lower()
        return [name for name, patterns in self._statements.items() if not found(patterns, folded)]

    def _carried(self, text: str) -> Carried:
        """What a commercial text carries of what it has to."""
        folded = text.lower()
        contact = found(self._contact, folded) or has_link(folded)
        return Carried(found(self._name, folded), contact, found(self._refuse, folded))


def found(patterns: Patterns, folded: str) -> bool:
    """Whether any pattern is in a text in lower case."""
    return any(pattern.search(folded) is not None for pattern in patterns)


def language_names() -> list[str]:
    """The languages that come with the package and have all words a profile needs."""
    return [name for name in reply_language_names() if "request" in _read(name)]


def reply_language_names() -> list[str]:
    """The languages in which replies are heard."""
    folder = files("smsc_filter.policy") / "languages"
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


@cache
def _read(name: str) -> dict[str, Any]:
    return tomllib.loads((files("smsc_filter.policy") / "languages" / f"{name}.toml").read_text(encoding="utf-8"))


@cache
def read_language(name: str) -> Language:
    """One of ``language_names``.

    Raises:
        ValueError: its file is wrong.
    """
    return TypeAdapter(Language).validate_python(_read(name))


@cache
def read_reply_words(name: str) -> ReplyWords:
    """What is written back in one of ``reply_language_names``.

    Raises:
        ValueError: its file is wrong.
    """
    return TypeAdapter(ReplyWords).validate_python(_read(name)["reply"])


def compiled(patterns: Iterable[str]) -> Patterns:
    """Patterns, each by itself.

    Raises:
        re.error: one is wrong.
    """
    # Apart and without IGNORECASE, the engine skips to where the first letter of a pattern stands; as alternatives
    # of one expression, or in any case, it tries every place of a text, which takes twenty times as long.
    return tuple(re.compile(pattern, re.DOTALL) for pattern in patterns)
