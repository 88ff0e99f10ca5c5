"""Holds the binds to the SMSC, one for each bind of a provider; reconnects."""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Final

import structlog
from pydantic import ConfigDict, Field

from smsc_filter.policy.verdict import Cause
from smsc_filter.relay.correlation import Pairing, Waiting
from smsc_filter.relay.exchange import Exchange, MultiTrack, Track
from smsc_filter.relay.link import Link
from smsc_filter.relay.replies import Replies
from smsc_filter.smpp.codec import DEFAULT_MAX_PDU_OCTETS
from smsc_filter.smpp.constants import HEADER_OCTETS, RESPONSE_BIT, CommandId, CommandStatus
from smsc_filter.smpp.pdu import Pdu
from smsc_filter.smpp.session import (
    BINDS,
    BOUND,
    FROM_SMSC,
    UNANSWERED_COMMANDS,
    Due,
    Session,
    SessionTimers,
    State,
)

if TYPE_CHECKING:
    from smsc_filter.relay.listener import ProviderLink

log = structlog.get_logger()

SUBMIT_SM_RESP: Final = int(CommandId.SUBMIT_SM_RESP)

_FROM_SUBSCRIBERS: Final = frozenset({int(CommandId.DELIVER_SM), int(CommandId.DATA_SM)})
_MAY_SUBMIT: Final = frozenset({State.BOUND_TX, State.BOUND_TRX})

OURS: Final = object()
"""Is tracked with a request of our own: its answer is nobody else's."""

_OURS: Final = Pdu(b"", int(CommandId.SUBMIT_SM), 0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamSettings:
    """``[upstream]``: the SMS centre."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535)] = 2776
    tls: bool = False
    """Speak TLS 1.2 or later and check the certificate."""

    tls_ca: str = ""
    """Certificates to trust, a PEM file; empty: those of the system."""

    window: Annotated[int, Field(ge=1)] = 1000
    """Most requests of one bind that may wait for an answer, in each direction."""

    connect_timeout: Annotated[float, Field(gt=0)] = 5.0
    """Longest wait for a connection and the answer to its bind, in seconds."""

    reconnect_first: Annotated[float, Field(gt=0)] = 0.1
    """Wait before the first attempt to connect again; doubles with each."""

    reconnect_most: Annotated[float, Field(gt=0)] = 15.0
    """Longest wait between two attempts."""


class UpstreamError(Exception):
    """The SMSC cannot be reached now: try again later."""


class BindRefused(Exception):
    """The SMSC was reached and refused the bind; ``response`` says how."""

    def __init__(self, response: Pdu) -> None:
        super().__init__(f"the SMSC refused the bind with command_status 0x{response.command_status:08x}")
        self.response = response


class UpstreamLink(Link):
    """The stream of one bind to the SMSC."""

    def __init__(self, session: Session, loop: asyncio.AbstractEventLoop, owner: Upstream) -> None:
        super().__init__(session, loop, owner.turn)
        self.bound: asyncio.Future[Pdu] = loop.create_future()
        self._owner = owner
        self.bind_number = 0

    def bind(self, command_id: int, body: bytes) -> None:
        """Ask for a bind."""
        self.bind_number = self.session.request(command_id, body)
        self.flush()

    def take(self, pdus: Sequence[Pdu]) -> None:
        """Hand responses to who waits for them, and relay what the network sends to the provider."""
        owner = self._owner
        if not self.bound.done():
            for pdu in pdus:
                if pdu.sequence_number == self.bind_number:
                    self.bound.set_result(pdu)
            return
        if owner.answered(pdus):
            return
        for pdu in pdus:
            if pdu.command_id & RESPONSE_BIT:
                continue
            if pdu.command_id == CommandId.UNBIND:
                self.session.answer(pdu, CommandStatus.ESME_ROK)
                self.close()
            else:
                owner.deliver(self, pdu)

    def lost(self) -> None:
        """The stream is gone, and with it every answer that was awaited on it."""
        if not self.bound.done():
            self.bound.set_exception(UpstreamError("the SMSC closed the connection before the bind"))
            self.bound.exception()
        self._owner.lost(self)


class Upstream:
    """The SMSC's side of one bind of a provider."""

    def __init__(
        self,
        provider: ProviderLink,
        settings: UpstreamSettings,
        timers: SessionTimers,
        tls: ssl.SSLContext | None,
        exchange: Exchange,
        replies: Replies,
        max_pdu_octets: int = DEFAULT_MAX_PDU_OCTETS,
    ) -> None:
        """Serve ``provider``; nothing is connected yet."""
        self.link: UpstreamLink | None = None
        self.to_smsc = Pairing()
        self.to_provider = Pairing()
        self._provider = provider
        self._settings = settings
        # A provider that asks nothing may be unbound; an SMSC with nothing to deliver is no fault.
        self._timers = replace(timers, inactivity=0.0)
        self._tls = tls
        self._exchange = exchange
        self._replies = replies
        self._max_pdu_octets = max_pdu_octets
        self.turn = provider.turn
        self._loop = provider.loop
        self._bind: tuple[int, bytes] | None = None
        self._reconnecting: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def bound(self) -> bool:
        """Whether messages can be sent on now."""
        return self.link is not None and self.link.session.state in BOUND

    async def open(self, command_id: int, body: bytes) -> Pdu:
        """Connect and bind as the provider did; the SMSC's answer. ``begin`` then lets messages through.

        Raises:
            UpstreamError: it cannot be reached; ``keep_trying`` goes on.
            BindRefused: it said no.
        """
        self._bind = command_id, body
        settings = self._settings
        session = Session(
            FROM_SMSC,
            self._loop.time(),
            self._timers,
            window=settings.window,
            max_pdu_octets=self._max_pdu_octets,
        )
        try:
            async with asyncio.timeout(settings.connect_timeout):
                _, link = await self._loop.create_connection(
                    lambda: UpstreamLink(session, self._loop, self),
                    settings.host,
                    settings.port,
                    ssl=self._tls,
                    server_hostname=settings.host if self._tls else None,
                )
                try:
                    link.bind(command_id, body)
                    response = await link.bound
                except BaseException:
                    link.abort()
                    raise
        except (OSError, TimeoutError) as error:
            raise UpstreamError(f"{settings.host}:{settings.port}: {error or 'no answer'}") from error
        if response.command_status != CommandStatus.ESME_ROK:
            link.close()
            raise BindRefused(response)
        if self._closed:
            link.abort()
            raise UpstreamError("the provider is gone")
        self.link = link
        link.other_side = self._provider
        self._provider.other_side = link
        return response

    def begin(self) -> None:
        """The bind stands, and the provider has heard of it: hear the SMSC."""
        link = self.link
        if link is not None and self._bind is not None:
            link.session.state = BINDS[self._bind[0]]
            link.flush()

    def keep_trying(self) -> None:
        """Connect again in the background, with growing pauses, until it succeeds or the provider leaves."""
        if self._reconnecting is None and not self._closed:
            self._reconnecting = self._loop.create_task(self._reconnect())

    async def _reconnect(self) -> None:
        assert self._bind is not None
        pause = self._settings.reconnect_first
        try:
            while not self._closed:
                # Apart in time, so that a thousand binds do not return in one instant.
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))
                pause = min(2 * pause, self._settings.reconnect_most)
                try:
                    await self.open(*self._bind)
                except (UpstreamError, BindRefused) as error:
                    log.warning("upstream-away", system_id=self._provider.system_id, detail=str(error))
                else:
                    self.begin()
                    log.info("upstream-back", system_id=self._provider.system_id)
                    return
        finally:
            self._reconnecting = None

    def lost(self, link: UpstreamLink) -> None:
        """A stream is gone: nothing that was sent on it will be answered any more."""
        if link is not self.link:
            return
        self.link = None
        self._provider.other_side = None
        for waiting in self.to_smsc.drain():
            self._give_up(waiting)
        self.to_provider.drain()
        self._provider.flush_soon()
        if not self._closed:
            log.warning("upstream-lost", system_id=self._provider.system_id)
            self.keep_trying()

    # From the provider to the SMSC.

    def forward(self, pdu: Pdu, request: Pdu, tracked: Track | MultiTrack | None) -> None:
        """Send ``pdu`` on in place of ``request``, or answer that the SMSC is away."""
        link = self.link
        if link is None:
            self._exchange.never_left(tracked)
            self._give_up((request, 0.0, tracked))
            return
        self.to_smsc.add(link.session.relay(pdu), (request, self._loop.time(), tracked))
        if not link.flushing:
            link.flush_soon()

    def answered(self, pdus: Sequence[Pdu]) -> bool:
        """Responses of the SMSC among ``pdus``: pass them on under the provider's numbers.

        Returns:
            Whether there is nothing else among them.
        """
        provider = self._provider
        respond = provider.session.respond
        take = self.to_smsc.take
        tracks: list[tuple[Track, int, str]] = []
        only_responses = True
        sent_at = 0.0
        for response in pdus:
            if not response.command_id & RESPONSE_BIT:
                only_responses = False
                continue
            waiting = take(response.sequence_number, None)
            if waiting is None:
                continue  # too late: its timer has answered in its place
            request, sent_at, tracked = waiting
            if tracked.__class__ is Track:
                octets = response.octets
                message_id = octets[HEADER_OCTETS : octets.find(b"\0", HEADER_OCTETS)].decode("latin-1")
                tracks.append((tracked, response.command_status, message_id))
            elif tracked.__class__ is MultiTrack:
                provider.answer_multi(tracked, response)
                continue
            elif tracked is OURS:
                continue
            respond(response.numbered(request.sequence_number))
        if tracks:
            # The last answered of a read stands for all of them.
            self._exchange.answered(tracks, self._loop.time() - sent_at)
            provider.remember(tracks)
        provider.answers_sent()
        return only_responses

    def _give_up(self, waiting: Waiting) -> None:
        """Answer a request that the SMSC will not answer, with a status that clients retry."""
        cause = Cause.UPSTREAM_UNAVAILABLE
        request, _, tracked = waiting
        if tracked is OURS:
            return
        if isinstance(tracked, Track):
            self._exchange.unanswered(tracked, cause)
        elif isinstance(tracked, MultiTrack):
            for _, track in tracked.kept:
                self._exchange.unanswered(track, cause)
        self._provider.refuse(request, self._exchange.status_of(cause))

    # From the SMSC to the provider.

    def deliver(self, link: UpstreamLink, pdu: Pdu) -> None:
        """Relay what the network sends; a subscriber's reply once it binds."""
        if pdu.command_id in _FROM_SUBSCRIBERS and (reply := self._replies.read(pdu, self._provider.owner)) is not None:
            self._replies.take(self, link, pdu, reply)
        else:
            self.pass_on(link, pdu)

    def answer_smsc(self, link: UpstreamLink, pdu: Pdu, status: int) -> None:
        """Answer the SMSC in place of the provider."""
        if link is self.link:
            link.session.answer(pdu, status)
            link.flush_soon()

    def pass_on(self, link: UpstreamLink, pdu: Pdu) -> None:
        """Send a request of the SMSC on, unless its stream is gone: then the SMSC sends it again over another."""
        if link is not self.link:
            return
        number = self._provider.session.relay(pdu)
        if pdu.command_id not in UNANSWERED_COMMANDS:
            self.to_provider.add(number, (pdu, self._loop.time(), None))
        self._provider.flush_soon()

    def confirm(self, body: bytes) -> None:
        """Send a submit_sm of ours, over this bind or, where it may not send, another of the same account."""
        for upstream in (self, *self._provider.siblings()):
            link = upstream.link
            if link is not None and link.session.state in _MAY_SUBMIT:
                number = link.session.request(CommandId.SUBMIT_SM, body)
                upstream.to_smsc.add(number, (_OURS, self._loop.time(), OURS))
                link.flush_soon()
                return
        log.warning("confirmation-not-sent", system_id=self._provider.system_id)

    def delivered(self, response: Pdu) -> None:
        """The provider's response to that."""
        waiting = self.to_provider.take(response.sequence_number, None)
        if waiting is not None and self.link is not None:
            self.link.session.respond(response.numbered(waiting[0].sequence_number))
            self.link.flush_soon()

    # Timers and the end.

    def tick(self, now: float) -> None:
        """Answer in place of who does not, and look after the link."""
        seconds = self._timers.response
        if seconds:
            for waiting in self.to_smsc.expired(now, seconds):
                log.warning("response-missing", of="smsc", command=waiting[0].name)
                self._give_up(waiting)
                self._provider.flush_soon()
            for waiting in self.to_provider.expired(now, seconds):
                log.warning("response-missing", of=self._provider.system_id, command=waiting[0].name)
                if self.link is not None:
                    self.link.session.answer(waiting[0], CommandStatus.ESME_RX_T_APPN)
                    self.link.flush_soon()
        if self.link is not None and self.link.tick(now) is not Due.NOTHING:
            log.warning("upstream-silent", system_id=self._provider.system_id)
            self.link.abort()

    def close(self) -> None:
        """Unbind and close; the provider is gone."""
        self._closed = True
        if self._reconnecting is not None:
            self._reconnecting.cancel()
        link = self.link
        if link is not None:
            for waiting in self.to_provider.drain():
                link.session.answer(waiting[0], CommandStatus.ESME_RX_T_APPN)
            link.session.request(CommandId.UNBIND)
            link.close()


def client_tls(settings: UpstreamSettings) -> ssl.SSLContext | None:
    """The TLS context towards the SMSC, if it is spoken."""
    if not settings.tls:
        return None
    context = ssl.create_default_context(cafile=settings.tls_ca or None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
