"""What commercial text has to carry: who sends it, how to reach them, how to refuse."""

from __future__ import annotations

from smsc_filter.policy.facts import Facts
from smsc_filter.policy.rules import Rules
from smsc_filter.policy.verdict import PASS, Cause, Finding, refuse, remark
from smsc_filter.sms.message import Message


def check_duties(message: Message, facts: Facts, rules: Rules, _now: float) -> Finding:
    """Commercial text names its sender and tells how to refuse; the profile says what is refused for want of it."""
    # Of a long message the last part may say it, so what is still to come is not missing. What an appeal cleared is
    # no advertisement.
    if not facts.commercial or not facts.whole or facts.cleared is not None:
        return PASS
    duties, carried = rules.duties, rules.wording.carried(message.text)
    if all(carried):
        return PASS
    lacking = PASS
    for duty, fulfilled, cause, sentence in (
        (duties.name, carried.name, Cause.NO_SENDER_NAME, "the text does not name its sender"),
        # Whoever does not answer a request has refused.
        (
            duties.refuse,
            carried.refuse or facts.request,
            Cause.NO_WAY_TO_REFUSE,
            "the text does not tell how to refuse",
        ),
        (duties.contact, carried.contact, Cause.NO_CONTACT, "the text gives no number or address to reach its sender"),
    ):
        if fulfilled or duty.action == "ignore":
            continue
        if duty.action == "reject":
            return refuse("duties", cause, sentence, duty.article)
        if lacking is PASS:
            lacking = remark("duties", f"{cause.value}: {sentence}", duty.article)
    return lacking
