"""Texts that ask for consent, from the moment they are let through until the SMSC has said whether it took them.

A recipient is noted as asked before the text goes out, so that of two workers one asks. That the text was sent is known
when the SMSC answers: only then does the request go on record, and one that never left is taken back, so that the
provider may ask another time.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from typing import Final

import structlog

from smsc_filter.policy.facts import Facts
from smsc_filter.policy.likeness import sketch
from smsc_filter.policy.record import id_to_text
from smsc_filter.policy.rules import Rules
from smsc_filter.sms.message import Message
from smsc_filter.state.consents import Consents, Request
from smsc_filter.state.ledger import StoreUnavailable

log = structlog.get_logger()

RETRY_SECONDS: Final = 1.0


class Requests:
    """The requests of one worker that are under way."""

    def __init__(self, consents: Consents, loop: asyncio.AbstractEventLoop) -> None:
        """Note and settle through ``consents``."""
        self._consents = consents
        self._loop = loop
        self._under_way: dict[int, Request] = {}
        self._outcomes: list[tuple[Request, bool]] = []
        self._task: asyncio.Task[None] | None = None

    @property
    def none_under_way(self) -> bool:
        """Whether no answer of the SMSC can be to a request."""
        return not self._under_way

    @property
    def idle(self) -> bool:
        """Whether nothing waits to be put on record."""
        return not self._outcomes and self._task is None

    async def ask(self, asking: Sequence[tuple[int, int, Message, Facts]], rules: Rules, now: float) -> list[bool]:
        """Note recipients as asked; False where one was before.

        Args:
            asking: decision id, owner id, message and facts of each text that asks.
            rules: say how long an answer is waited for.
            now: epoch seconds.

        Raises:
            StoreUnavailable: the store did not answer.
        """
        at_ms = int(now * 1000)
        sketches = sketch([message.text for _, _, message, _ in asking])
        requests = [
            Request(
                message.recipient,
                owner_id,
                facts.sender.topic if facts.sender is not None else None,
                at_ms,
                at_ms + rules.request.reply_seconds * 1000,
                its_sketch,
                f"decision {id_to_text(decision_id)}",
                hashlib.sha256(message.text.encode("utf-8", "replace")).hexdigest()[:16],
                facts.sender.address if facts.sender is not None else "",
                rules.offered_words(message.text),
            )
            for (decision_id, owner_id, message, facts), its_sketch in zip(asking, sketches, strict=True)
        ]
        may = await self._consents.ask(requests, now)
        for (decision_id, _, _, _), request, allowed in zip(asking, requests, may, strict=True):
            if allowed:
                self._under_way[decision_id] = request
        return may

    def settle(self, decision_id: int, sent: bool) -> None:
        """The SMSC took a request, or it never got out; a decision that is no request is none of ours."""
        if (request := self._under_way.pop(decision_id, None)) is not None:
            self._outcomes.append((request, sent))
            if self._task is None:
                self._task = self._loop.create_task(self._record())

    async def _record(self) -> None:
        while self._outcomes:
            outcomes, self._outcomes = self._outcomes, []
            try:
                await self._consents.asked(outcomes)
            except StoreUnavailable as error:
                # Meanwhile the recipients stand as asked, which permits nothing.
                log.error("requests-wait", detail=str(error), requests=len(outcomes))
                self._outcomes = outcomes + self._outcomes
                await asyncio.sleep(RETRY_SECONDS)
        self._task = None
