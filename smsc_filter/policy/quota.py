"""How much a sender may send: exact sliding windows.

The counting is the store's, atomically over all workers. What is charged, and what a refusal of the store means, is
said here.
"""

from __future__ import annotations

from smsc_filter.policy.facts import Facts, Sender, Window
from smsc_filter.policy.rules import Rules
from smsc_filter.policy.verdict import PASS, Cause, Finding, refuse, remark
from smsc_filter.sms.message import Message


def charged(facts: Facts) -> Sender | None:
    """The sender whose quota a message is charged to; None where there is nothing to charge."""
    sender = facts.sender
    if sender is None or not sender.windows or facts.cleared is not None:
        return None
    return sender


def check_quota(_message: Message, facts: Facts, _rules: Rules, _now: float) -> Finding:
    """Say when an appeal lifts the quota; what is charged is settled when it is spent."""
    if facts.cleared is None or facts.sender is None or not facts.sender.windows:
        return PASS
    return remark("quota", f"not counted, by appeal {facts.cleared.id}")


def spent(sender: str, window: Window) -> Finding:
    """What it means that a sender has nothing left in a window."""
    return refuse(
        "quota",
        Cause.QUOTA_SPENT,
        f"{sender} has sent {window.cap} within {window.seconds} s, which is its cap",
        window.article,
    )
