"""What the operator forbids whoever sends it: words, links, numbers. Nothing overrides it."""

from __future__ import annotations

import re
from collections.abc import Iterable

from smsc_filter.policy.facts import Facts
from smsc_filter.policy.rules import Rules
from smsc_filter.policy.verdict import PASS, Cause, Finding, refuse
from smsc_filter.sms.message import Message


def compile_prohibited(entries: Iterable[str]) -> re.Pattern[str] | None:
    """One expression for a whole list, matched in any case; None for an empty list."""
    wanted = [re.escape(entry) for entry in entries if entry]
    return re.compile("|".join(wanted), re.IGNORECASE) if wanted else None


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
