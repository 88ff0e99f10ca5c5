"""What subscribers told the decline list, or us, that they do not want at all."""

from __future__ import annotations

from smsc_filter.policy.facts import ConsentState, Facts
from smsc_filter.policy.rules import Rules
from smsc_filter.policy.verdict import PASS, Cause, Finding, refuse, remark
from smsc_filter.sms.message import Message


def check_decline(_message: Message, facts: Facts, rules: Rules, _now: float) -> Finding:
    """Commercial text does not go to who declines it; whether a consent to this owner counts more is the profile's."""
    if facts.declined is None or not facts.commercial:
        return PASS
    if rules.decline.consent_counts_more and facts.consent is ConsentState.GRANTED:
        return remark("decline", f"declined ({facts.declined}), but agreed to {facts.owner}", rules.decline.article)
    return refuse("decline", Cause.DECLINED, f"the recipient declines {facts.declined}", rules.decline.article)
