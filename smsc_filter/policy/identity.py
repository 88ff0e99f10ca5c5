"""Who writes: the source address belongs to this account's owner, is registered and not suspended."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from smsc_filter.policy.facts import Facts, Sender
from smsc_filter.policy.rules import Rules
from smsc_filter.policy.verdict import PASS, Cause, Finding, refuse
from smsc_filter.sms.address import Numbering
from smsc_filter.sms.message import Message

RANGE_MARK = "*"

MAX_REMEMBERED = 65_536


class Registry:
    """Which source addresses belong to which owner; a range is a prefix with a star behind it."""

    def __init__(self, senders: Iterable[Sender], numbering: Numbering) -> None:
        """Register ``senders``; an address with a star at its end is a range, the longest prefix counts."""
        self._numbering = numbering
        self._single: dict[str, Sender] = {}
        self._ranges: dict[str, Sender] = {}
        senders = tuple(senders)
        self.has_people = any(sender.purpose == "person" for sender in senders)
        self._advertisers = {sender.owner for sender in senders if sender.purpose == "commercial"}
        self._topics: dict[str, tuple[str, ...]] = {}
        for sender in senders:
            if sender.topic is not None and sender.topic not in self._topics.get(sender.owner, ()):
                self._topics[sender.owner] = (*self._topics.get(sender.owner, ()), sender.topic)
            if sender.address.endswith(RANGE_MARK):
                self._ranges[sender.address[:-1]] = sender
            else:
                self._single[numbering.canonical(sender.address)] = sender
        self._lengths = sorted({len(prefix) for prefix in self._ranges}, reverse=True)
        self._remembered: dict[tuple[str, bytes, int], Sender | None] = {}

    def find(self, owner: str, source: bytes, ton: int) -> Sender | None:
        """The sender behind a source_addr, if it is registered for ``owner``."""
        key = (owner, source, ton)
        try:
            return self._remembered[key]
        except KeyError:
            # What a provider invents must not grow this without bound.
            if len(self._remembered) >= MAX_REMEMBERED:
                self._remembered.clear()
            found = self._remembered[key] = self._find(owner, source, ton)
            return found

    def _registered(self, address: str, source: bytes) -> Sender | None:
        """The entry for a canonical address and its spelling on the wire, alone or of a range."""
        sender = self._single.get(address)
        if sender is None:
            # A range is a prefix of what the address looks like. A port of as many digits as a mobile number has a
            # canonical form with a country code in front, so the spelling counts too.
            spellings = (address, source.decode("latin-1"))
            sender = next(
                (
                    self._ranges[spelling[:length]]
                    for length in self._lengths
                    for spelling in spellings
                    if spelling[:length] in self._ranges
                ),
                None,
            )
        return sender

    def _find(self, owner: str, source: bytes, ton: int) -> Sender | None:
        address, sender = self._entry(source, ton)
        if sender is None or sender.owner != owner:
            return None
        return replace(sender, address=address)

    def _entry(self, source: bytes, ton: int) -> tuple[str, Sender | None]:
        """The canonical address of a source_addr and its entry.

        A port with the type of a national number is a port: Kannel gives that type to every address of digits.
        """
        address = self._numbering.canonical(source, ton)
        sender = self._registered(address, source)
        if sender is None and (plain := self._numbering.canonical(source)) != address:
            return plain, self._registered(plain, source)
        return address, sender

    def owner_of(self, address: bytes, ton: int) -> str | None:
        """Whose a source address is, whoever asks; None when it is nobody's."""
        _, sender = self._entry(address, ton)
        return sender.owner if sender is not None else None

    def address_of(self, address: bytes, ton: int) -> str:
        """An address as that of a sender is written, whoever's it is."""
        return self._numbering.canonical(address, ton)

    def speaks_for_owner(self, address: bytes, ton: int) -> bool:
        """Whether an address is an owner's own line, and no person's."""
        sender = self._registered(self._numbering.canonical(address, ton), address)
        return sender is not None and sender.purpose != "person"

    def person_at(self, address: bytes, ton: int) -> str | None:
        """The canonical address of the person at an address, whoever's it is; None when there is no person."""
        canonical, sender = self._entry(address, ton)
        return canonical if sender is not None and sender.purpose == "person" else None

    def advertises(self, owner: str) -> bool:
        """Whether an owner has a sender that may carry commercial text."""
        return owner in self._advertisers

    def topics_of(self, owner: str) -> tuple[str, ...]:
        """The topics an owner's senders write about."""
        return self._topics.get(owner, ())


def check_identity(_message: Message, facts: Facts, rules: Rules, _now: float) -> Finding:
    """A sender address is true, registered, and lent to nobody."""
    sender = facts.sender
    if sender is None:
        return refuse(
            "identity",
            Cause.UNKNOWN_SENDER,
            f"the source address is not registered for {facts.owner}",
            rules.identity.article,
        )
    if sender.suspended:
        return refuse("identity", Cause.SENDER_SUSPENDED, f"{sender.address} is suspended", rules.identity.article)
    return PASS
