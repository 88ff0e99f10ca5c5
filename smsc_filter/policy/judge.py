"""The checks, in order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from smsc_filter.policy.appeal import check_appeal
from smsc_filter.policy.consent import check_consent
from smsc_filter.policy.content import check_content
from smsc_filter.policy.decline import check_decline
from smsc_filter.policy.duties import check_duties
from smsc_filter.policy.facts import Facts
from smsc_filter.policy.greeting import check_greeting
from smsc_filter.policy.identity import check_identity
from smsc_filter.policy.measures import check_measures
from smsc_filter.policy.prohibited import check_prohibited
from smsc_filter.policy.quiet import check_quiet
from smsc_filter.policy.quota import check_quota
from smsc_filter.policy.rules import Rules
from smsc_filter.policy.similar import check_similar
from smsc_filter.policy.template import check_template
from smsc_filter.policy.verdict import ADMITTED, PASS, Finding, Verdict, refuse
from smsc_filter.sms.message import Message

Check = Callable[[Message, Facts, Rules, float], Finding]

CHECKS: Final[tuple[Check, ...]] = (
    check_prohibited,
    check_appeal,
    check_template,
    check_content,
    check_consent,
    check_similar,
    check_decline,
    check_duties,  # how a text must be written matters only where it may be sent at all
    check_quiet,
    check_greeting,
    check_quota,  # last: a refused message spends nothing
)

OF_COMMERCIAL_TEXT: Final = frozenset({check_content, check_consent, check_decline, check_duties, check_quiet})
"""Checks that have nothing to say of any other text, and need not be asked."""

CHECKS_OF_OTHER_TEXT: Final[tuple[Check, ...]] = tuple(check for check in CHECKS if check not in OF_COMMERCIAL_TEXT)


def judge(message: Message, facts: Facts, rules: Rules, now: float) -> Verdict:
    """Ask every check; the first refusal, in this order, is the verdict, all findings its reasons.

    Three things settle a message before the others are asked: who does not own the address has no business with
    the rest, who is suspended sends nothing, and what follows a refused part shares its cause, since a handset shows
    nothing of either.
    """
    identity = check_identity(message, facts, rules, now)
    if identity.cause is not None:
        return Verdict((identity,))
    measures = check_measures(message, facts, rules, now)
    if measures.cause is not None:
        return Verdict((measures,))
    if facts.refused_part is not None:
        return Verdict((refuse("parts", facts.refused_part, "another part of this message was refused"),))
    findings = [
        finding
        for check in (CHECKS if facts.commercial else CHECKS_OF_OTHER_TEXT)
        if (finding := check(message, facts, rules, now)) is not PASS
    ]  # fmt: skip
    return Verdict(tuple(findings)) if findings else ADMITTED
