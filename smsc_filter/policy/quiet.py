"""Hours in which advertisements are not sent, by the recipient's clock."""

from __future__ import annotations

from typing import Final

from smsc_filter.policy.facts import Facts
from smsc_filter.policy.rules import Rules
from smsc_filter.policy.verdict import PASS, Cause, Finding, refuse
from smsc_filter.policy.zones import within
from smsc_filter.smpp.constants import CommandId
from smsc_filter.smpp.errors import PduError
from smsc_filter.smpp.times import moment_of
from smsc_filter.sms.message import Message

SCHEDULED: Final = (CommandId.SUBMIT_SM, CommandId.SUBMIT_MULTI, CommandId.REPLACE_SM)
"""Requests that may name a time of delivery."""


def check_quiet(message: Message, facts: Facts, rules: Rules, now: float) -> Finding:
    """Commercial text comes at no hour that is quiet where the recipient may be."""
    quiet = rules.quiet
    if quiet is None or not facts.commercial or facts.cleared is not None:
        return PASS
    scheduled = scheduled_for(message, now)
    for minute in rules.zones.minutes_at(message.recipient, now if scheduled is None else scheduled):
        if within(minute, quiet.begin_minute, quiet.end_minute):
            will_be = "it is" if scheduled is None else "it is to be delivered at"
            return refuse(
                "quiet",
                Cause.QUIET_HOURS,
                f"{will_be} {minute // 60:02d}:{minute % 60:02d} for the recipient; commercial text is not sent from"
                f" {quiet.begin} to {quiet.end}",
                quiet.article,
            )
    return PASS


def scheduled_for(message: Message, now: float) -> float | None:
    """When the SMSC is asked to deliver a message, epoch seconds; None for at once.

    Read only of commercial text in a profile with quiet hours: the other messages do not pay for it.
    """
    if message.pdu.command_id not in SCHEDULED:
        return None
    try:
        written = message.pdu.fields()["schedule_delivery_time"]
    except PduError:
        return None  # one that was made up, as a replay makes them of records
    assert isinstance(written, bytes)
    moment = moment_of(written, now)
    return moment if moment is not None and moment > now else None
