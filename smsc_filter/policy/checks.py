"""The table of checks: what is asked of a message, in order. The judge, `explain`, console and docs read this one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

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
from smsc_filter.policy.verdict import PASS, Finding, refuse
from smsc_filter.sms.message import Message


class Check(NamedTuple):
    """One row of the table."""

    name: str
    test: Callable[[Message, Facts, Rules, float], Finding]
    commercial_only: bool = False
    """It has nothing to say of any other text, and is not asked."""
    spends: bool = False
    """It counts what is sent, so nothing of a message that another check refuses."""


def check_parts(_message: Message, facts: Facts, _rules: Rules, _now: float) -> Finding:
    """What follows a refused part shares its cause, since a handset shows nothing of either."""
    if facts.refused_part is None:
        return PASS
    return refuse("parts", facts.refused_part, "another part of this message was refused")


SETTLING: Final = (
    Check("identity", check_identity),  # who does not own the address has no business with the rest
    Check("measures", check_measures),  # who is suspended sends nothing
    Check("parts", check_parts),
)
"""Asked first, one by one: a refusal settles the message, and nothing behind it is asked."""

CHECKS: Final = (
    Check("prohibited", check_prohibited),
    Check("appeal", check_appeal),
    Check("template", check_template),
    Check("content", check_content, commercial_only=True),  # says something of every commercial text
    Check("consent", check_consent, commercial_only=True),
    Check("similar", check_similar),
    Check("decline", check_decline, commercial_only=True),
    # How a text must be written matters only where it may be sent at all.
    Check("duties", check_duties, commercial_only=True),
    Check("quiet", check_quiet, commercial_only=True),
    Check("greeting", check_greeting),
    Check("quota", check_quota, spends=True),  # last: a refused message spends nothing
)
"""All asked of what is not settled; the first refusal is the cause, all findings its reasons."""


def not_asked(found: Mapping[str, bool]) -> dict[str, str]:
    """Why checks were not asked of a message on record: name -> reason, for those that were not.

    Args:
        found: the checks with a finding, in order; true where one refused.
    """
    settled = next((name for name, refused in found.items() if refused), "")
    names = [check.name for check in CHECKS]
    if settled and settled not in names:
        early = [check.name for check in SETTLING]
        behind = early[early.index(settled) + 1 :] if settled in early else early
        return dict.fromkeys([*behind, *names], f"not asked: {settled} settled it")
    silent = [check for check in CHECKS if check.name not in found]
    commercial = any(check.commercial_only and check.name in found for check in CHECKS)
    reasons = {}
    for check in silent:
        if check.commercial_only and not commercial:
            reasons[check.name] = "not asked: the text was not taken for commercial"
        elif check.spends and settled:
            reasons[check.name] = "not asked: a refused message spends nothing"
    return reasons
