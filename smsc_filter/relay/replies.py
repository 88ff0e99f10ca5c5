"""What subscribers reply: a withdrawal or a grant binds before the SMSC hears that its deliver_sm was taken.

An objection to a refusal ("申诉 7K3MW9QD") is durable before that; what its code stands for, the records find. It goes
to no provider: the code is between the subscriber and us.

Replies of one turn of the loop are taken together, in one call of the store. Then each goes on to the provider as it
came. While the store is away the SMSC is answered ESME_RX_T_APPN and delivers again: a withdrawal is never acknowledged
and lost.

A withdrawal binds for every number that the source address may mean, and is looked for in every coding that the octets
may be in; a long one in each part and in all parts that have come. A grant is for the most plausible number alone.

A reply is to the owner of the address it was sent to, which the registry knows, over whichever bind it comes: addresses
may be shared out among binds otherwise than among owners. One to an address of nobody is to the owner of the bind.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

import structlog

from smsc_filter.policy.appeal_reply import read_appeal
from smsc_filter.policy.identity import Registry
from smsc_filter.policy.reply import CONFIRM, HELP, START, STOP, TALK, Meaning, fold_reply
from smsc_filter.policy.rules import Rules
from smsc_filter.relay.link import Link
from smsc_filter.relay.long_replies import LongReplies
from smsc_filter.smpp.codec import encode_submit
from smsc_filter.smpp.constants import HEADER_OCTETS, CommandStatus
from smsc_filter.smpp.pdu import Pdu
from smsc_filter.sms.address import Numbering
from smsc_filter.sms.coding import decode_text, encode_text
from smsc_filter.sms.message import Delivery, read_delivery
from smsc_filter.sms.readings import texts_of
from smsc_filter.state.appeals import Appeals, SentAppeal
from smsc_filter.state.consents import DOUBTFUL_REPLY, REPLY, Consents, Reply
from smsc_filter.state.ledger import StoreUnavailable

if TYPE_CHECKING:
    from smsc_filter.relay.people import People

log = structlog.get_logger()

LONGEST_REFERENCE: Final = 60
"""Characters of a reply that are kept as proof; what counts is shorter."""

LONGEST_ADDRESS: Final = 21

HELP_SECONDS: Final = 86_400
"""For how long one answer to a request for help serves."""


KINDS: Final = {STOP: "withdrawn", START: "started", CONFIRM: "granted"}
"""Meaning -> what is done to the consent."""


class Replied(NamedTuple):
    """What a subscriber's words do to consents."""

    replies: list[Reply]
    """One for each number the subscriber may have; the most plausible one first."""


class AskedForHelp(NamedTuple):
    """A subscriber wants to know what the messages are."""

    subscriber: str
    address: str
    owner: str


Said = Replied | AskedForHelp | SentAppeal


class Origin(Protocol):
    """The bind over which a reply came."""

    def answer_smsc(self, link: Any, pdu: Pdu, status: int, /) -> None:
        """Answer the SMSC; the reply goes no further."""

    def pass_on(self, link: Any, pdu: Pdu, /) -> None:
        """Send a reply on to whom it is for, who answers."""

    def confirm(self, body: bytes, /) -> None:
        """Send a submit_sm of ours to the subscriber."""


class Waiting(NamedTuple):
    """A reply on its way through the store."""

    upstream: Origin
    link: Link
    """The stream it came over: its answer belongs there and nowhere else."""
    pdu: Pdu
    reply: Said


class Replies:
    """The replies that come to one worker."""

    def __init__(
        self,
        consents: Consents,
        appeals: Appeals,
        rules: Rules,
        registry: Registry,
        numbering: Numbering,
        owner_ids: Mapping[str, int],
        loop: asyncio.AbstractEventLoop,
        clock: Callable[[], float],
        people: People | None,
    ) -> None:
        """Take replies at times ``clock()``, in seconds since the epoch."""
        self._consents = consents
        self._appeals = appeals
        self._rules = rules
        self._registry = registry
        self._numbering = numbering
        self._owner_ids = owner_ids
        self._loop = loop
        self._clock = clock
        self._people = people
        self._long = LongReplies()
        self._waiting: list[Waiting] = []
        self._task: asyncio.Task[None] | None = None

    def judge_by(self, rules: Rules, registry: Registry, people: People | None) -> None:
        """Read the next replies by another configuration."""
        self._rules, self._registry, self._people = rules, registry, people

    def read(self, pdu: Pdu, bind_owner: str) -> Said | None:
        """What follows from a PDU of the SMSC, or None: most of them are receipts, or talk.

        Args:
            pdu: a deliver_sm or data_sm.
            bind_owner: whom a reply to an address of nobody is for; "" where that is nobody either.
        """
        delivery = read_delivery(pdu, self._numbering)
        if delivery is None:
            return None
        if self._people is not None:
            self._people.heard(delivery.destination, delivery.destination_ton, delivery.written_as)
        now = self._clock()
        octets, whole = self._long.octets(delivery, now)
        if whole:
            for text in (text for each in (octets, *delivery.alone) for text in texts_of(each, delivery.data_coding)):
                if (appeal := read_appeal(text, self._rules.replies.appeals)) is not None:
                    return SentAppeal(delivery.subscriber, *appeal, int(now * 1000))
        meaning, text = self._heard(delivery, octets)
        if meaning.kind == TALK or not (whole or meaning.kind == STOP):
            return None
        return self._follows(delivery, meaning, text, bind_owner, int(now * 1000))

    def _heard(self, delivery: Delivery, octets: bytes) -> tuple[Meaning, str]:
        """What is known of a reply says, or this part of it by itself."""
        if self._registry.person_at(delivery.destination, delivery.destination_ton) is not None:
            # "Leave me alone" to a person is no word to the person's operator; a keyword may be.
            return self._keywords(delivery)
        meaning, text = self._meaning(octets, delivery.data_coding)
        by_itself = (delivery.octets, *delivery.alone) if delivery.part is not None else delivery.alone
        for each in by_itself:
            if meaning.kind == STOP and not meaning.doubtful:
                break
            alone, its_text = self._meaning(each, delivery.data_coding)
            if (alone.kind == STOP and meaning.kind != STOP) or (meaning.kind == TALK and each in delivery.alone):
                meaning, text = alone, its_text
        return meaning, text

    def _keywords(self, delivery: Delivery) -> tuple[Meaning, str]:
        """What a keyword in a reply says; of several texts in one PDU, a stop."""
        read = [
            (self._rules.replies.read_keywords(text), text)
            for text in (delivery.text, *(decode_text(each, delivery.data_coding) for each in delivery.alone))
        ]
        return next((each for each in read if each[0].kind == STOP), read[0])

    def _meaning(self, octets: bytes, data_coding: int) -> tuple[Meaning, str]:
        """What octets say, and the text that says it; a stop in another coding than the declared one counts, too."""
        texts = texts_of(octets, data_coding)
        declared = next(texts)
        meaning = self._rules.replies.read(declared)
        if meaning.kind == STOP and not meaning.doubtful:
            return meaning, declared
        for text in texts:
            if (other := self._rules.replies.read_plain(text)).kind == STOP or (
                meaning.kind == TALK and other.kind != TALK
            ):
                return other, text
        return meaning, declared

    def _follows(
        self, delivery: Delivery, meaning: Meaning, text: str, bind_owner: str, now_ms: int
    ) -> Replied | AskedForHelp | None:
        destination, ton = delivery.destination, delivery.destination_ton
        owner = self._registry.owner_of(destination, ton) or bind_owner
        if owner not in self._owner_ids:
            return None
        address = self._registry.address_of(destination, ton)
        if meaning.kind == HELP:
            asks = self._rules.reply.help and self._registry.speaks_for_owner(destination, ton)
            return AskedForHelp(delivery.subscriber, address, owner) if asks and not meaning.doubtful else None
        if meaning.doubtful and meaning.kind != STOP:
            return None  # whatever gives a consent is said plainly
        kind = KINDS[meaning.kind]
        if kind == "started" and not self._rules.reply.start_lifts:
            kind = "granted"
        written = f"{fold_reply(text)[:LONGEST_REFERENCE]} to {destination.decode('latin-1')}"
        first, *others = delivery.subscribers
        if others and kind == "withdrawn":
            written += f", written {delivery.source.decode('latin-1')[:LONGEST_ADDRESS]}"
        template = Reply(
            first,
            self._owner_ids[owner],
            self._registry.topics_of(owner),
            kind,
            now_ms,
            written,
            address,
            meaning.words,
            DOUBTFUL_REPLY if meaning.doubtful else REPLY,
        )
        if kind != "withdrawn":
            return Replied([template])
        less_plausible = f"{written}, more plausibly {first}"
        return Replied([template, *(template._replace(recipient=each, reference=less_plausible) for each in others)])

    def take(self, upstream: Origin, link: Link, pdu: Pdu, reply: Said) -> None:
        """Take a reply in with what else comes in this turn of the loop; then ``upstream`` relays its PDU."""
        self._waiting.append(Waiting(upstream, link, pdu, reply))
        if self._task is None:
            self._task = self._loop.create_task(self._run())

    async def _run(self) -> None:
        # A task begins behind what is ready now, so that a batch holds what this turn brings.
        try:
            while self._waiting:
                batch, self._waiting = self._waiting, []
                replies = [(each, each.reply) for each in batch if isinstance(each.reply, Replied)]
                appeals = [(each, each.reply) for each in batch if isinstance(each.reply, SentAppeal)]
                helped = [(each, each.reply) for each in batch if isinstance(each.reply, AskedForHelp)]
                if replies:
                    await self._take(replies)
                if appeals:
                    await self._take_appeals(appeals)
                for each, asked in helped:
                    await self._help(each, asked)
        finally:
            self._task = None

    async def _take(self, batch: list[tuple[Waiting, Replied]]) -> None:
        replies = [reply for _, replied in batch for reply in replied.replies]
        try:
            any_change = iter(await self._consents.reply(replies))
        except StoreUnavailable as error:
            log.error("replies-undone", detail=str(error), replies=len(batch))
            for each, _ in batch:
                each.upstream.answer_smsc(each.link, each.pdu, CommandStatus.ESME_RX_T_APPN)
            return
        for each, replied in batch:
            changed = [next(any_change) for _ in replied.replies]
            first = replied.replies[0]
            log.info(
                "reply",
                kind=first.kind,
                owner_id=first.owner_id,
                changed=any(changed),
                doubtful=first.source == DOUBTFUL_REPLY,
                numbers=len(changed),
            )
            each.upstream.pass_on(each.link, each.pdu)
            if any(changed) and first.kind == "withdrawn" and self._rules.reply.confirmation:
                each.upstream.confirm(confirmation(each.pdu, self._rules.reply.confirmation))

    async def _help(self, each: Waiting, asked: AskedForHelp) -> None:
        """Answer who asks for help, once in a while; the provider hears it, too."""
        each.upstream.pass_on(each.link, each.pdu)
        try:
            first = await self._consents.first_time(f"help:{asked.address}", asked.subscriber, HELP_SECONDS)
        except StoreUnavailable as error:
            log.warning("help-not-answered", detail=str(error))
            return
        log.info("reply", kind="help", answered=first)
        if first:
            each.upstream.confirm(confirmation(each.pdu, self._rules.reply.help.replace("{owner}", asked.owner)))

    async def _take_appeals(self, batch: list[tuple[Waiting, SentAppeal]]) -> None:
        try:
            await self._appeals.put([appeal for _, appeal in batch])
        except StoreUnavailable as error:
            log.error("appeals-undone", detail=str(error), appeals=len(batch))
            for each, _ in batch:
                each.upstream.answer_smsc(each.link, each.pdu, CommandStatus.ESME_RX_T_APPN)
            return
        log.info("appeals", appeals=len(batch))
        for each, _ in batch:
            each.upstream.answer_smsc(each.link, each.pdu, CommandStatus.ESME_ROK)


def confirmation(request: Pdu, text: str) -> bytes:
    """The body of a submit_sm that answers a deliver_sm, from the address it was sent to."""
    fields = request.fields()
    octets, data_coding = encode_text(text)
    source, destination = fields["destination_addr"], fields["source_addr"]
    assert isinstance(source, bytes)
    assert isinstance(destination, bytes)
    numbers = {
        name: int(fields[name]) for name in ("dest_addr_ton", "dest_addr_npi", "source_addr_ton", "source_addr_npi")
    }
    return encode_submit(
        0,
        source,
        destination,
        octets,
        source_ton=numbers["dest_addr_ton"],
        source_npi=numbers["dest_addr_npi"],
        destination_ton=numbers["source_addr_ton"],
        destination_npi=numbers["source_addr_npi"],
        data_coding=data_coding,
    )[HEADER_OCTETS:]
