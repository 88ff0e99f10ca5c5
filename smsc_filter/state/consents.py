"""What subscribers answer, and what they are asked, as the hot state takes it: one script call a batch and partition.

Each call changes the consent that the next submit is judged by, marks it as not yet known to SQL (``keys.fresh_key``)
and puts the event into the durable stream, field ``c`` of an entry, all at once. From there it goes into the records.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

import orjson

from smsc_filter.policy.consent import ConsentStatus
from smsc_filter.policy.facts import ConsentState
from smsc_filter.state import keys
from smsc_filter.state.ledger import Argument, Ledger, Script

REPLY: Final = "reply"
"""Where an event comes from that a subscriber wrote."""

DOUBTFUL_REPLY: Final = "reply-doubtful"
"""The same of a withdrawal that is a guess: it binds, and an operator may look."""


class Reply(NamedTuple):
    """What a subscriber wrote back."""

    recipient: str
    owner_id: int
    topics: tuple[str, ...]
    """Topics of the owner's senders: a withdrawal spans them, a grant is for the one that was asked about."""
    kind: str
    """"withdrawn"; "granted", which answers a request; "started", which answers one or lifts a withdrawal."""
    at_ms: int
    reference: str
    """What was written, and to whom."""
    address: str = ""
    """To whom it was written, canonical: a request of another address is not answered by it."""
    words: tuple[str, ...] = ()
    """The keywords in it: one of them is what a request has to have offered."""
    source: str = REPLY


class Request(NamedTuple):
    """A text that asks a recipient for consent."""

    recipient: str
    owner_id: int
    topic: str | None
    at_ms: int
    until_ms: int
    """When silence becomes a refusal."""
    sketch: bytes
    reference: str
    text_version: str
    address: str = ""
    """Who asks, canonical."""
    offers: tuple[str, ...] = ()
    """The words that agree."""

    @property
    def offer(self) -> bytes:
        """What an answer is compared with."""
        return _said(self.address, self.offers)

    @property
    def noted(self) -> bytes:
        """What the hot state holds while it is open."""
        return keys.pack_consent(ConsentStatus(ConsentState.REQUESTED, self.at_ms, self.until_ms))


class Consents:
    """Writes what happens to consents while messages flow."""

    def __init__(self, ledger: Ledger, partitions: int) -> None:
        """Write as ``ledger`` does."""
        self._ledger = ledger
        self._partitions = partitions
        self._reply = Script("reply")
        self._ask = Script("ask")
        self._asked = Script("asked")
        self._once = Script("once")

    async def reply(self, replies: Sequence[Reply]) -> list[bool]:
        """Take replies; durable, and binding for every worker, once this returns.

        Returns:
            Whether each changed anything.

        Raises:
            StoreUnavailable: the store did not answer. The call may be repeated.
        """
        changed = [False] * len(replies)
        for partition, indices in self._by_partition(reply.recipient for reply in replies).items():
            names = [keys.decisions_key(partition), keys.fresh_key(partition)]
            arguments: list[Argument] = [
                keys.sketches_prefix(partition),
                keys.offers_prefix(partition),
                replies[indices[0]].at_ms // 1000,
                len(indices),
            ]
            for index in indices:
                reply = replies[index]
                arguments += (reply.kind, reply.at_ms, _said(reply.address, reply.words), 1 + len(reply.topics))
                kind = "withdrawn" if reply.kind == "withdrawn" else "granted"
                for topic in (None, *reply.topics):
                    field = keys.consent_field(reply.owner_id, reply.recipient, topic)
                    names.append(keys.consent_key(partition, field))
                    head = orjson.dumps([reply.recipient, reply.owner_id, kind])[:-1] + b","
                    tail = b"," + orjson.dumps([reply.at_ms, topic, reply.source, reply.reference, ""])[1:]
                    arguments += (field, head, tail)
            answer: Any = await self._ledger.call(self._reply, names, arguments)
            for index, any_change in zip(indices, answer, strict=True):
                changed[index] = bool(any_change)
        return changed

    async def ask(self, requests: Sequence[Request], now: float) -> list[bool]:
        """Note that recipients are being asked; False for those who were before, or have answered.

        Raises:
            StoreUnavailable: the store did not answer. What it has noted is refused when it is tried again.
        """
        may = [False] * len(requests)
        for partition, indices in self._by_partition(request.recipient for request in requests).items():
            names: list[str] = []
            arguments: list[Argument] = [keys.sketches_prefix(partition), keys.offers_prefix(partition), int(now)]
            for index in indices:
                request = requests[index]
                field = keys.consent_field(request.owner_id, request.recipient, request.topic)
                names.append(keys.consent_key(partition, field))
                left_ms = max(request.until_ms - int(now * 1000), 1)
                arguments += (field, request.noted, request.sketch, request.offer, left_ms)
            answer: Any = await self._ledger.call(self._ask, names, arguments)
            for index, allowed in zip(indices, answer, strict=True):
                may[index] = bool(allowed)
        return may

    async def asked(self, outcomes: Sequence[tuple[Request, bool]]) -> None:
        """Put requests on record that the SMSC took, and take the others back.

        Raises:
            StoreUnavailable: the store did not answer. The call may be repeated.
        """
        for partition, indices in self._by_partition(request.recipient for request, _ in outcomes).items():
            names = [keys.decisions_key(partition), keys.fresh_key(partition)]
            arguments: list[Argument] = []
            for index in indices:
                request, sent = outcomes[index]
                field = keys.consent_field(request.owner_id, request.recipient, request.topic)
                names.append(keys.consent_key(partition, field))
                arguments += (field, request.noted, request.at_ms, _event(request) if sent else b"")
            await self._ledger.call(self._asked, names, arguments)

    async def first_time(self, name: str, recipient: str, seconds: int) -> bool:
        """Whether nothing was done under that name for a recipient for so many seconds; now it is.

        Raises:
            StoreUnavailable: the store did not answer.
        """
        partition = keys.partition_of(recipient, self._partitions)
        key = keys.once_key(partition, name, recipient)
        return bool(await self._ledger.call(self._once, [key], [seconds]))

    def _by_partition(self, recipients: Iterable[str]) -> dict[int, list[int]]:
        shards: dict[int, list[int]] = {}
        for index, recipient in enumerate(recipients):
            shards.setdefault(keys.partition_of(recipient, self._partitions), []).append(index)
        return shards


def _event(request: Request) -> bytes:
    return orjson.dumps(
        [
            request.recipient,
            request.owner_id,
            "requested",
            request.at_ms,
            request.at_ms,
            request.topic,
            "request",
            request.reference,
            request.text_version,
        ]
    )


def _said(address: str, words: tuple[str, ...]) -> bytes:
    """An address and words, each between NULs."""
    return "\0".join(("", address, *words, "")).encode("utf-8", "surrogatepass")
