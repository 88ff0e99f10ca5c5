"""People who write and are written to: what is remembered of them, and the caps their messages have during a feast.

Senders of another purpose cost nothing here, and a relay without people, or whose profile has no festivals, does not
come here at all. Whom a person tried to write to counts as written to, whatever became of it: a list of strangers shows
before much of it is sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from smsc_filter.policy.facts import Facts, Sender, Standing
from smsc_filter.policy.festivals import Festival
from smsc_filter.policy.greeting import PERSON, festival_of, festive, weigh
from smsc_filter.policy.identity import Registry
from smsc_filter.policy.rules import Rules
from smsc_filter.smpp.constants import Ton
from smsc_filter.sms.message import Message
from smsc_filter.state.contacts import Contacts
from smsc_filter.state.ledger import Ledger, StoreUnavailable

log = structlog.get_logger()

HEAR_SECONDS: Final = 0.05
"""How long is gathered who wrote to people, and outside a feast to whom people wrote, before it is remembered."""

MOST_FESTIVE: Final = 65_536
MOST_REMEMBERED: Final = 65_536
"""Recipients of whom is remembered whether they are people here."""

QUARTER_SECONDS: Final = 900
"""Days begin, in every zone, at a quarter of an hour."""


class People:
    """The people of one worker."""

    def __init__(
        self,
        ledger: Ledger,
        rules: Rules,
        registry: Registry,
        loop: asyncio.AbstractEventLoop,
        clock: Callable[[], float],
    ) -> None:
        """Remember in ``ledger``, at times ``clock()``; ``rules`` have festivals."""
        assert rules.greetings is not None
        self._contacts = Contacts(ledger, rules.greetings.contact_days)
        self._rules = rules
        self._registry = registry
        self._loop = loop
        self._clock = clock
        self._festive: dict[str, tuple[Sender, Sender]] = {}
        self._person_at: dict[str, str | None] = {}
        self._festivals: dict[str, Festival | None] = {}
        """What is on where a person is, in this quarter of an hour."""
        self._quarter = 0
        self._heard: dict[str, list[str]] = {}
        self._written: dict[str, list[str]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._in_order = asyncio.Lock()

    @property
    def idle(self) -> bool:
        """Whether nothing waits to be remembered."""
        return not self._heard and not self._written and self._task is None

    def heard(self, address: bytes, ton: int, subscriber: str) -> None:
        """Remember that ``subscriber`` wrote to ``address``, if that is a person."""
        self._hears(self._registry.person_at(address, ton), subscriber)

    def _hears(self, person: str | None, subscriber: str) -> None:
        if person is not None:
            self._heard.setdefault(person, []).append(subscriber)
            self._soon()

    def _person(self, recipient: str) -> str | None:
        """Who a recipient is, if it is a person here: asked of every message of people, and mostly the same ones."""
        try:
            return self._person_at[recipient]
        except KeyError:
            if len(self._person_at) >= MOST_REMEMBERED:
                self._person_at.clear()
            person = self._registry.person_at(recipient.encode("latin-1", "replace"), Ton.INTERNATIONAL)
            self._person_at[recipient] = person
            return person

    def _festivals_at(self, now: float) -> dict[str, Festival | None]:
        quarter = int(now // QUARTER_SECONDS)
        if quarter != self._quarter or len(self._festivals) >= MOST_FESTIVE:
            self._festivals, self._quarter = {}, quarter
        return self._festivals

    def _soon(self) -> None:
        if self._timer is None and self._task is None:
            self._timer = self._loop.call_later(HEAR_SECONDS, self._flush)

    def _flush(self) -> None:
        self._timer = None
        self._task = self._loop.create_task(self._hear())

    async def _hear(self) -> None:
        try:
            while self._heard or self._written:
                async with self._in_order:
                    await self._remember_heard()
        finally:
            self._task = None

    async def remember(self) -> None:
        """Remember now what waits to be."""
        async with self._in_order:
            await self._remember_heard()

    async def _remember_heard(self) -> None:
        heard, self._heard = self._heard, {}
        written, self._written = self._written, {}
        if not heard and not written:
            return
        now = self._clock()
        try:
            if written:
                await self._contacts.write(written, now)
            if heard:
                await self._contacts.hear(heard, now)
        except StoreUnavailable as error:
            # What somebody wrote is relayed in any case; who writes again is remembered then.
            log.warning("contacts-forgotten", detail=str(error), people=len(heard) + len(written))

    async def weigh(self, messages: Sequence[Message], facts: Sequence[Facts], now: float) -> None:
        """Remember to whom people write, and give their messages the caps of a feast where that is due.

        Raises:
            StoreUnavailable: the store did not answer.
        """
        feasts: dict[Festival | None, dict[str, list[str]]] = {}
        festivals = self._festivals_at(now)
        writing: list[tuple[Message, Facts, Sender]] = []
        for message, known in zip(messages, facts, strict=True):
            sender = known.sender
            if sender is None or sender.purpose != PERSON or not message.recipient:
                continue
            address = sender.address
            writing.append((message, known, sender))
            if address not in festivals:
                festivals[address] = festival_of(sender, self._rules, now)
            feasts.setdefault(festivals[address], {}).setdefault(address, []).append(message.recipient)
        if not writing:
            return
        # Outside a feast nothing is judged by it, so it need not be asked before the batch goes on.
        for address, recipients in feasts.pop(None, {}).items():
            self._written.setdefault(address, []).extend(recipients)
            self._soon()
        standings: dict[str, Standing] = {}
        # Batches of one burst are in flight together: each is to see the recipients of those before it.
        if feasts:
            async with self._in_order:
                await self._remember_heard()
                for festival, written in feasts.items():
                    standings |= await self._contacts.write(written, now, festival)
        for message, known, sender in writing:
            self._hears(self._person(message.recipient), sender.address)
            festival = festivals[sender.address]
            if festival is not None:
                standing = standings[sender.address]
                greeting = weigh(message.text, known.score, known.commercial, sender, standing, festival, self._rules)
                known.greeting = greeting.finding
                known.held = not greeting.exempt
                known.sender = self.with_festive_caps(sender)

    def with_festive_caps(self, sender: Sender) -> Sender:
        """``sender`` with the caps of a feast."""
        # One object for all its messages, as the ledger counts them together.
        known = self._festive.get(sender.address)
        if known is None or known[0] is not sender:
            if len(self._festive) >= MOST_FESTIVE:
                self._festive.clear()
            known = self._festive[sender.address] = sender, festive(sender, self._rules)
        return known[1]
