"""The same or similar text does not follow a refusal, whatever it is called now."""

from __future__ import annotations

from smsc_filter.policy.consent import REFUSALS
from smsc_filter.policy.facts import Facts
from smsc_filter.policy.rules import Rules
from smsc_filter.policy.verdict import PASS, Cause, Finding, refuse
from smsc_filter.sms.message import Message


def check_similar(_message: Message, facts: Facts, rules: Rules, _now: float) -> Finding:
    """Who refused does not get the text again in another dress, commercial by its score or not."""
    if not facts.similar or facts.consent not in REFUSALS:
        return PASS
    return refuse(
        "similar",
        Cause.SIMILAR_AFTER_REFUSAL,
        f"the text is like one of {facts.owner} that the recipient has refused",
        rules.similar.article,
    )
