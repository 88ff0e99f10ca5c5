"""What subscribers reply: a withdrawal or a grant binds before the SMSC hears that its deliver_sm was taken.

An objection to a refusal ("申诉 7K3MW9QD") is durable before that; what its code stands for, the records find.

Replies of one turn of the loop are taken together, in one call of the store. Then each goes on to the provider as it
came. While the store is away the SMSC is answered ESME_RX_T_APPN and delivers again: a withdrawal is never acknowledged
and lost.

A reply is to the owner of the address it was sent to, which the registry knows, over whichever bind it comes: addresses
may be shared out among binds otherwise than among owners. One to an address of nobody is to the owner of the bind.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

import structlog

from smsc_filter.policy.identity import Registry
from smsc_filter.policy.language import WITHDRAWN
from smsc_filter.policy.reply import fold_reply, read_appeal, read_reply
from smsc_filter.policy.rules import Rules
from smsc_filter.smpp.codec import encode_submit
from smsc_filter.smpp.constants import HEADER_OCTETS, CommandStatus
from smsc_filter.smpp.pdu import Pdu
from smsc_filter.sms.address import Numbering
from smsc_filter.sms.coding import encode_text
from smsc_filter.sms.message import read_delivery
from smsc_filter.state.appeals import Appeals, SentAppeal
from smsc_filter.state.consents import Consents, Reply
from smsc_filter.state.ledger import StoreUnavailable

if TYPE_CHECKING:
    from smsc_filter.relay.people import People
    from smsc_filter.relay.upstream import Upstream, UpstreamLink

log = structlog.get_logger()

LONGEST_REFERENCE: Final = 60
"""Characters of a reply that are kept as proof; what counts is shorter."""


class Waiting(NamedTuple):
    """A reply on its way through the store."""

    upstream: Upstream
    link: UpstreamLink
    """The stream it came over: its answer belongs there and nowhere else."""
    pdu: Pdu
    reply: Reply | SentAppeal


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
        self._waiting: list[Waiting] = []
        self._task: asyncio.Task[None] | None = None

    def read(self, pdu: Pdu, bind_owner: str) -> Reply | SentAppeal | None:
        """The reply in a PDU of the SMSC, or None: most of them are receipts, or talk."""
        delivery = read_delivery(pdu, self._numbering)
        if delivery is None or not delivery.subscriber:
            return None
        if self._people is not None:
            self._people.heard(delivery.destination, delivery.destination_ton, delivery.subscriber)
        if not delivery.whole:
            return None
        now_ms = int(self._clock() * 1000)
        kind = read_reply(delivery.text, self._rules.wording)
        if kind is None:
            appeal = read_appeal(delivery.text, self._rules.wording)
            return SentAppeal(delivery.subscriber, *appeal, now_ms) if appeal is not None else None
        owner = self._registry.owner_of(delivery.destination, delivery.destination_ton) or bind_owner
        written = fold_reply(delivery.text)[:LONGEST_REFERENCE]
        return Reply(
            delivery.subscriber,
            self._owner_ids[owner],
            self._registry.topics_of(owner),
            kind,
            now_ms,
            f"{written} to {delivery.destination.decode('latin-1')}",
        )

    def take(self, upstream: Upstream, link: UpstreamLink, pdu: Pdu, reply: Reply | SentAppeal) -> None:
        """Take a reply in with what else comes in this turn of the loop; then ``upstream`` relays its PDU."""
        self._waiting.append(Waiting(upstream, link, pdu, reply))
        if self._task is None:
            self._task = self._loop.create_task(self._run())

    async def _run(self) -> None:
        # A task begins behind what is ready now, so that a batch holds what this turn brings.
        try:
            while self._waiting:
                batch, self._waiting = self._waiting, []
                replies = [(each, each.reply) for each in batch if isinstance(each.reply, Reply)]
                appeals = [(each, each.reply) for each in batch if isinstance(each.reply, SentAppeal)]
                if replies:
                    await self._take(replies)
                if appeals:
                    await self._take_appeals(appeals)
        finally:
            self._task = None

    async def _take(self, batch: list[tuple[Waiting, Reply]]) -> None:
        try:
            changed = await self._consents.reply([reply for _, reply in batch])
        except StoreUnavailable as error:
            log.error("replies-undone", detail=str(error), replies=len(batch))
            for each, _ in batch:
                each.upstream.not_taken(each.link, each.pdu, CommandStatus.ESME_RX_T_APPN)
            return
        for (each, reply), any_change in zip(batch, changed, strict=True):
            log.info("reply", kind=reply.kind, owner_id=reply.owner_id, changed=any_change)
            each.upstream.pass_on(each.link, each.pdu)
            if any_change and reply.kind == WITHDRAWN and self._rules.reply.confirmation:
                each.upstream.confirm(confirmation(each.pdu, self._rules.reply.confirmation))

    async def _take_appeals(self, batch: list[tuple[Waiting, SentAppeal]]) -> None:
        try:
            await self._appeals.put([appeal for _, appeal in batch])
        except StoreUnavailable as error:
            log.error("appeals-undone", detail=str(error), appeals=len(batch))
            for each, _ in batch:
                each.upstream.not_taken(each.link, each.pdu, CommandStatus.ESME_RX_T_APPN)
            return
        log.info("appeals", appeals=len(batch))
        for each, _ in batch:
            each.upstream.pass_on(each.link, each.pdu)


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
