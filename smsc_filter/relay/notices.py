"""Sends our own texts to subscribers, over a bind of our own.

The first worker of a machine has it. It takes notices from the hot state (``state.notices``), hands each to the SMSC
and is done with it once the SMSC has answered: one that is not answered, or that the SMSC is too busy for, is tried
again until its time is up. So a notice may come twice when a link breaks in between, and is not lost.

Where the texts have an address of their own, the bind receives what is sent to it, whatever providers are bound: an
objection with its code is taken. An SMSC that allows no transceiver gets a transmitter.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Final, NamedTuple

import structlog
from pydantic import ConfigDict, Field
from redis.exceptions import RedisError

from smsc_filter.relay.link import Link, Turn
from smsc_filter.relay.replies import Replies
from smsc_filter.relay.upstream import WRONG_LOGIN, UpstreamSettings, client_tls
from smsc_filter.smpp.codec import encode_bind, encode_submit
from smsc_filter.smpp.constants import (
    HEADER_OCTETS,
    RESPONSE_BIT,
    CommandId,
    CommandStatus,
    DataCoding,
    Npi,
    TlvTag,
    Ton,
)
from smsc_filter.smpp.pdu import Pdu
from smsc_filter.smpp.session import BOUND, FROM_SMSC, Due, Session, SessionTimers, State
from smsc_filter.smpp.tlv import encode_tlv
from smsc_filter.sms.address import Numbering
from smsc_filter.sms.coding import encode_text
from smsc_filter.sms.message import read_delivery
from smsc_filter.state.notices import Notice, NoticeReader, Taken

log = structlog.get_logger()

MOST_AT_ONCE: Final = 32

BLOCK_MS: Final = 500
"""Longest wait for a notice in one call; below every timeout of the store."""

TICK_SECONDS: Final = 1.0

AGAIN_SECONDS: Final = 1.0
"""Pause before what was not taken is tried again."""

MOST_OCTETS: Final = 140
"""Of a short_message; what is longer goes as a message_payload."""

AGAIN: Final = frozenset({
    CommandStatus.ESME_RTHROTTLED, CommandStatus.ESME_RMSGQFUL, CommandStatus.ESME_RSYSERR,
})  # fmt: skip
"""What the SMSC answers when it would take the same later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeSettings:
    """``[notices]``: texts of our own to subscribers."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    system_id: Annotated[str, Field(max_length=15)] = ""
    """What we bind to the SMSC as; empty: not at all, and nobody gets a code to sign in to the portal with."""

    password: Annotated[str, Field(max_length=8)] = field(default="", repr=False)

    address: Annotated[str, Field(max_length=20)] = ""
    """Who the texts are from; empty: whom the SMSC puts there for that bind."""


class Login(NamedTuple):
    """What we bind with, and write from."""

    system_id: str
    password: str
    address: str


class NoticeLink(Link):
    """The stream of our bind."""

    def __init__(
        self,
        session: Session,
        loop: asyncio.AbstractEventLoop,
        turn: Turn,
        deliver: Callable[[NoticeLink, Pdu], None],
    ) -> None:
        super().__init__(session, loop, turn)
        self._deliver = deliver
        self.waiting: dict[int, asyncio.Future[int | None]] = {}
        """sequence_number -> the command_status of its answer; None once there will be none."""

    def ask(self, command_id: int, body: bytes) -> asyncio.Future[int | None]:
        """Send a request; the command_status of its answer, None when the stream is lost before."""
        number = self.session.request(command_id, body)
        self.waiting[number] = self.loop.create_future()
        self.flush_soon()
        return self.waiting[number]

    def take(self, pdus: Sequence[Pdu]) -> None:
        """Hand answers to who waits for them, and what subscribers write to who reads it."""
        for pdu in pdus:
            if pdu.command_id & RESPONSE_BIT:
                answer = self.waiting.pop(pdu.sequence_number, None)
                if answer is not None and not answer.done():
                    answer.set_result(pdu.command_status)
            elif pdu.command_id == CommandId.UNBIND:
                self.session.answer(pdu, CommandStatus.ESME_ROK)
                self.close()
            else:
                self._deliver(self, pdu)

    def lost(self) -> None:
        """Nobody will be answered any more."""
        for answer in self.waiting.values():
            if not answer.done():
                answer.set_result(None)
        self.waiting.clear()


class Notices:
    """The sender of notices of one worker."""

    def __init__(
        self,
        reader: NoticeReader,
        login: Login,
        upstream: UpstreamSettings,
        timers: SessionTimers,
        loop: asyncio.AbstractEventLoop,
        clock: Callable[[], float] = time.time,
        replies: Replies | None = None,
    ) -> None:
        """Send what ``reader`` takes, and have ``replies`` read what comes back; nothing is connected yet."""
        self._reader = reader
        self._replies = replies
        self._kind = CommandId.BIND_TRANSCEIVER if replies is not None and login.address else CommandId.BIND_TRANSMITTER
        self._login = login
        self._upstream = upstream
        self._timers = timers
        self._tls: ssl.SSLContext | None = client_tls(upstream)
        self._loop = loop
        self._turn = Turn(loop)
        self._clock = clock
        self._link: NoticeLink | None = None
        self._pause = upstream.reconnect_first
        self._unsent: list[Taken] = []
        """Taken from the hot state and not done."""

    async def run(self) -> None:
        """Send until cancelled; trouble on either side is logged, waited out and tried again."""
        try:
            while True:
                try:
                    await self._reader.begin()
                    await self._serve()
                except (OSError, TimeoutError, RedisError) as error:
                    log.warning("notices-wait", detail=str(error) or type(error).__name__, wait_seconds=self._pause)
                    await asyncio.sleep(self._pause)
                    self._pause = min(2 * self._pause, self._upstream.reconnect_most)
        finally:
            if self._link is not None:
                self._link.session.request(CommandId.UNBIND)
                self._link.close()

    async def _serve(self) -> None:
        """Bind and send, for as long as the bind stands; ends by an exception.

        Raises:
            OSError, TimeoutError, RedisError: one side is away.
        """
        link = self._link = await self._bind()
        log.info("notices-bound", system_id=self._login.system_id)
        looked_at = self._loop.time()
        try:
            while link.transport is not None and link.session.state in BOUND:
                if self._loop.time() >= looked_at + TICK_SECONDS:
                    looked_at = self._loop.time()
                    if link.tick(looked_at) is not Due.NOTHING:
                        raise TimeoutError("the SMSC is silent")
                self._unsent = self._unsent or await self._reader.take(MOST_AT_ONCE, BLOCK_MS)
                self._pause = self._upstream.reconnect_first
                if self._unsent:
                    self._unsent = await self._send_all(link, self._unsent)
                if self._unsent:
                    await asyncio.sleep(AGAIN_SECONDS)
            raise ConnectionError("the SMSC has closed the bind")
        finally:
            link.abort()
            self._link = None

    async def _bind(self) -> NoticeLink:
        login, upstream = self._login, self._upstream
        session = Session(FROM_SMSC, self._loop.time(), self._timers, window=upstream.window)
        async with asyncio.timeout(upstream.connect_timeout):
            _, link = await self._loop.create_connection(
                lambda: NoticeLink(session, self._loop, self._turn, self.deliver),
                upstream.host,
                upstream.port,
                ssl=self._tls,
                server_hostname=upstream.host if self._tls else None,
            )
            kind = self._kind
            receives = kind == CommandId.BIND_TRANSCEIVER
            body = encode_bind(
                kind, 0, login.system_id.encode(), login.password.encode(),
                # Appendix A of the specification: a regular expression of the addresses that are served.
                address_range=f"^{login.address}$".encode("latin-1") if receives else b"",
            )[HEADER_OCTETS:]  # fmt: skip
            try:
                status = await link.ask(kind, body)
            except BaseException:
                link.abort()
                raise
        if status is None:
            raise ConnectionError("the SMSC closed the connection before the bind")
        if status != CommandStatus.ESME_ROK:
            link.close()
            if status in WRONG_LOGIN:
                self._pause = upstream.reconnect_refused
            elif receives:
                log.warning("notices-not-received", command_status=status, detail="binding as a transmitter instead")
                self._kind = CommandId.BIND_TRANSMITTER
            raise ConnectionError(f"the SMSC refused the bind with command_status 0x{status:08x}")
        link.session.state = State.BOUND_TRX if receives else State.BOUND_TX
        return link

    # What subscribers write to our address.

    def deliver(self, link: NoticeLink, pdu: Pdu) -> None:
        """Take what a subscriber writes to us: an objection, or a word to an owner whose address it is."""
        said = self._replies.read(pdu, "") if self._replies is not None else None
        if said is None or self._replies is None:
            self.pass_on(link, pdu)
        else:
            self._replies.take(self, link, pdu, said)

    def answer_smsc(self, link: NoticeLink, pdu: Pdu, status: int) -> None:
        """Answer the SMSC, unless the stream is gone."""
        if link is self._link and link.transport is not None:
            link.session.answer(pdu, status)
            link.flush_soon()

    def pass_on(self, link: NoticeLink, pdu: Pdu) -> None:
        """Answer what is no objection: ours ends here, a provider's is to come over the provider's bind."""
        delivery = read_delivery(pdu, Numbering())
        ours = delivery is None or delivery.destination == self._login.address.encode("latin-1")
        if not ours:
            log.warning("not-for-us", detail="the SMSC delivers what is sent to others over the bind of [notices]")
        self.answer_smsc(link, pdu, CommandStatus.ESME_ROK if ours else CommandStatus.ESME_RX_T_APPN)

    def confirm(self, body: bytes) -> None:
        """Send a submit_sm of ours, once."""
        if self._link is not None:
            self._link.ask(CommandId.SUBMIT_SM, body)

    async def _send_all(self, link: NoticeLink, taken: Sequence[Taken]) -> list[Taken]:
        """Send some, and forget those that are done; the others."""
        now = self._clock()
        asked: list[tuple[Taken, asyncio.Future[int | None] | None]] = []
        for each in taken:
            notice = each.notice if each.notice is not None and each.notice.until > now else None
            asked.append((each, link.ask(CommandId.SUBMIT_SM, self.body(notice)) if notice is not None else None))
        answers = [answer for _, answer in asked if answer is not None]
        if answers:
            await asyncio.wait(answers, timeout=self._timers.response or None)
        done: list[bytes] = []
        unsent: list[Taken] = []
        for each, answer in asked:
            if answer is None:
                log.warning("notice-dropped", reason="too late")
            elif not answer.done() or answer.result() is None or answer.result() in AGAIN:
                unsent.append(each)
                log.info("notice-waits", command_status=answer.result() if answer.done() else None)
                continue
            elif answer.result():
                log.warning("notice-refused", command_status=answer.result())
            else:
                log.info("notice-sent")
            done.append(each.id)
        await self._reader.done(done)
        return unsent

    def body(self, notice: Notice) -> bytes:
        """The body of its submit_sm."""
        address = self._login.address
        octets, data_coding = encode_text(notice.text)
        tlvs = b""
        if len(octets) > (MOST_OCTETS if data_coding == DataCoding.UCS2 else 160):
            octets, tlvs = b"", encode_tlv(TlvTag.MESSAGE_PAYLOAD, octets)
        return encode_submit(
            0,
            address.encode("latin-1"),
            notice.recipient.encode("latin-1"),
            octets,
            source_ton=Ton.UNKNOWN,
            source_npi=Npi.ISDN if address else Npi.UNKNOWN,
            data_coding=data_coding,
            tlvs=tlvs,
        )[HEADER_OCTETS:]
