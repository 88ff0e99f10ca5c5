"""Hours in which advertisements are not sent, by the recipient's clock."""

from __future__ import annotations

from smsc_filter.policy.facts import Facts
from smsc_filter.policy.rules import Rules
from smsc_filter.policy.verdict import PASS, Cause, Finding, refuse
from smsc_filter.policy.zones import within
from smsc_filter.sms.message import Message


def check_quiet(message: Message, facts: Facts, rules: Rules, now: float) -> Finding:
    """Commercial text comes at no hour that is quiet where the recipient may be."""
    quiet = rules.quiet
    if quiet is None or not facts.commercial or facts.cleared is not None:
        return PASS
    for minute in rules.zones.minutes_at(message.recipient, now):
        if within(minute, quiet.begin_minute, quiet.end_minute):
            return refuse(
                "quiet",
                Cause.QUIET_HOURS,
                f"it is {minute // 60:02d}:{minute % 60:02d} for the recipient; commercial text is not sent from"
                f" {quiet.begin} to {quiet.end}",
                quiet.article,
            )
    return PASS
