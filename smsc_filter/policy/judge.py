"""Asks the checks."""

from __future__ import annotations

from typing import Final

from smsc_filter.policy import checks
from smsc_filter.policy.facts import Facts
from smsc_filter.policy.rules import Rules
from smsc_filter.policy.verdict import ADMITTED, PASS, Verdict
from smsc_filter.sms.message import Message

_SETTLING: Final = tuple(check.test for check in checks.SETTLING)
CHECKS: Final = tuple(check.test for check in checks.CHECKS)
_OF_OTHER_TEXT: Final = tuple(check.test for check in checks.CHECKS if not check.commercial_only)


def judge(message: Message, facts: Facts, rules: Rules, now: float) -> Verdict:
    """Ask the checks of the table; the first refusal, in its order, is the verdict, all findings its reasons."""
    for settles in _SETTLING:
        finding = settles(message, facts, rules, now)
        if finding.cause is not None:
            return Verdict((finding,))
    findings = [
        finding
        for test in (CHECKS if facts.commercial else _OF_OTHER_TEXT)
        if (finding := test(message, facts, rules, now)) is not PASS
    ]
    return Verdict(tuple(findings)) if findings else ADMITTED
