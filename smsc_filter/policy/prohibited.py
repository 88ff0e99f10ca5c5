"""What the operator forbids whoever sends it: words, links, numbers. Nothing overrides it."""

from __future__ import annotations

from collections.abc import Iterable

import ahocorasick

from smsc_filter.policy.facts import Facts
from smsc_filter.policy.rules import Rules
from smsc_filter.policy.verdict import PASS, Cause, Finding, refuse
from smsc_filter.sms.message import Message


class Prohibited:
    """A list of entries that are looked for all at once, in time linear in the text, however long the list is.

    Source: Aho and Corasick, "Efficient string matching: an aid to bibliographic search", 1975.
    """

    def __init__(self, entries: Iterable[str]) -> None:
        """Look for ``entries``, in any case; at least one that is not empty."""
        self._automaton = ahocorasick.Automaton()
        for entry in entries:
            self._automaton.add_word(entry.casefold(), entry)
        self._automaton.make_automaton()

    def search(self, text: str) -> str | None:
        """The entry that ends first in ``text``; None where there is none."""
        found: tuple[int, str] | None = next(self._automaton.iter(text.casefold()), None)
        return None if found is None else found[1]


def compile_prohibited(entries: Iterable[str]) -> Prohibited | None:
    """A whole list; None for an empty one."""
    wanted = [entry for entry in entries if entry]
    return Prohibited(wanted) if wanted else None


def check_prohibited(message: Message, _facts: Facts, rules: Rules, _now: float) -> Finding:
    """No text, link or number on the operator's list is sent."""
    if rules.prohibited is None or rules.prohibited.search(message.text) is None:
        return PASS
    return refuse(
        "prohibited",
        Cause.PROHIBITED,
        "the text holds an entry of the operator's list",
        rules.prohibited_article,
    )
