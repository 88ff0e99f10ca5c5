"""What the text is: commercial or not, and whether it may be that on this sender's port."""

from __future__ import annotations

from smsc_filter.policy.facts import Facts
from smsc_filter.policy.rules import Rules
from smsc_filter.policy.verdict import PASS, Cause, Finding, refuse, remark
from smsc_filter.sms.message import Message

SERVICE = "service"


def check_content(_message: Message, facts: Facts, rules: Rules, _now: float) -> Finding:
    """Commercial text does not go out on a port registered for service messages, consent or not."""
    if not facts.commercial or facts.sender is None:
        return PASS
    if facts.sender.purpose == SERVICE:
        return refuse(
            "content",
            Cause.WRONG_PURPOSE,
            f"commercial text (score {facts.score:.3f}) on the service port {facts.sender.address}",
            rules.content.article,
        )
    if facts.cleared is not None:
        return remark("content", f"score {facts.score:.3f} set aside by appeal {facts.cleared.id}")
    return remark("content", f"commercial text, score {facts.score:.3f}")
