"""Wishes: whose burst of messages has the caps of a feast.

While a feast is on, a person may send up to its caps, which are the hard ones then, if those it writes to are people
it knows and the text offers nothing. Other messages end at the ordinary caps, which are soft ones below the others. No
lexicon of wishes decides: it would be learned by the first who reads it, while strangers and an offer are what a
campaign cannot do without. Nothing else is lifted: what is prohibited, needs consent or rests on a measure is judged as
ever.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final, NamedTuple

from smsc_filter.policy.facts import Facts, Sender, Standing, Window
from smsc_filter.policy.festivals import Festival, festival_at
from smsc_filter.policy.handles import handles_of
from smsc_filter.policy.rules import Rules
from smsc_filter.policy.verdict import PASS, Finding, remark
from smsc_filter.sms.message import Message

PERSON: Final = "person"


class Greeting(NamedTuple):
    """What is said of a person's message while a feast is on."""

    exempt: bool
    """Whether the caps of the feast hold for it."""
    finding: Finding


def festival_of(sender: Sender, rules: Rules, now: float) -> Festival | None:
    """The feast that is on where a person is; of several zones, in any."""
    if rules.festivals is None:
        return None
    days = rules.zones.days_at(sender.address, now)
    return next((found for day in days if (found := festival_at(day, rules.festivals.feasts)) is not None), None)


def weigh(
    text: str, score: float, commercial: bool, sender: Sender, standing: Standing, festival: Festival, rules: Rules
) -> Greeting:
    """Whether the caps of ``festival`` hold for a message of ``sender``, and why, in words.

    ``commercial`` is what other checks make of the text; ``score`` is its probability to be that.
    """
    greetings = rules.greetings
    assert greetings is not None
    known = standing.contacts
    # Who is answered by nobody has recipients a year ago as well, the same bought list.
    if 100 * standing.answered >= greetings.reply_percent * standing.written:
        known += standing.last_year
    if commercial:
        why = "the text is commercial"
    elif 100 * score >= greetings.offer_percent:
        why = f"the text looks like an offer, score {score:.3f}"
    elif any(not _is_own(handle, sender.address) for handle in handles_of(text)):
        why = "the text carries a link or another's number"
    elif standing.tenure_days < greetings.tenure_days:
        why = f"{sender.address} is known for {standing.tenure_days} days, {greetings.tenure_days} are needed"
    elif 100 * known < greetings.contact_percent * standing.recipients:
        why = (
            f"{known} of {standing.recipients} recipients of two days are contacts, "
            f"{greetings.contact_percent} % are needed; {standing.first_contacts} are first contacts"
        )
    else:
        why = f"{known} of {standing.recipients} recipients of two days are contacts"
        return Greeting(True, remark("greeting", f"caps of the feast {festival.name}: {why}", greetings.article))
    return Greeting(False, remark("greeting", f"no caps of the feast {festival.name}: {why}", greetings.article))


def _is_own(handle: str, address: str) -> bool:
    """Whether a number in the text is that of who writes, with or without its country code."""
    return handle.isdigit() and address.endswith(handle)


def festive(sender: Sender, rules: Rules) -> Sender:
    """``sender`` with the caps of a feast, and its ordinary ones as soft caps below them.

    Only caps of the profile are raised, and all together: where an operator or a measure has set one, it stays, and so
    do the others.
    """
    festivals = rules.festivals
    assert festivals is not None
    article = rules.quota[PERSON].article
    if not all(window.article == article for window in sender.windows):
        return sender
    caps: Mapping[int, int] = {3600: festivals.hour, 86_400: festivals.day}
    windows = tuple(
        Window(window.seconds, cap, festivals.article, soft=window.cap)
        if (cap := caps.get(window.seconds, 0)) > window.cap
        else window
        for window in sender.windows
    )
    return replace(sender, windows=windows)


def check_greeting(_message: Message, facts: Facts, _rules: Rules, _now: float) -> Finding:
    """Say which caps a person's message has while a feast is on, and why; it refuses nothing."""
    return facts.greeting or PASS
