"""Holds the binds to the SMSC, one for each bind of a provider; reconnects."""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
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
from smsc_filter.smpp.constants import HEADER_OCTETS, MESSAGE_ID_OCTETS, RESPONSE_BIT, CommandId, CommandStatus
from smsc_filter.smpp.errors import PduError
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

WRONG_LOGIN: Final = frozenset({CommandStatus.ESME_RINVPASWD, CommandStatus.ESME_RINVSYSID})
"""What the SMSC answers to a bind of an account it does not know: the operator's to mend, not the provider's."""

_FROM_SUBSCRIBERS: Final = frozenset({int(CommandId.DELIVER_SM), int(CommandId.DATA_SM)})
_MAY_SUBMIT: Final = frozenset({State.BOUND_TX, State.BOUND_TRX})

LAST_OF_MESSAGE_ID: Final = HEADER_OCTETS + MESSAGE_ID_OCTETS
"""Where a message_id has to have ended in a response."""

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

    reconnect_refused: Annotated[float, Field(gt=0)] = 300.0
    """Longest wait after the SMSC refused system_id or password, in seconds; the first is a tenth of it. SMSCs lock
    accounts after some wrong passwords. The operator is alarmed, and providers are told to send later."""

    binds_at_once: Annotated[int, Field(ge=1)] = 50
    """Most binds that are asked for at the same moment; those of a storm of reconnects wait for each other."""


class UpstreamError(Exception):
    """The SMSC cannot be reached now: try again later."""


class BindRefused(Exception):
    """The SMSC was reached and refused the bind; ``response`` says how."""

    def __init__(self, response: Pdu) -> None:
        super().__init__(f"the SMSC refused the bind with command_status 0x{response.command_status:08x}")
        self.response = response


class Logins:
    """When binds to the SMSC may be asked for: a bounded number at once, and seldom where it refused the password."""

    def __init__(self, settings: UpstreamSettings, loop: asyncio.AbstractEventLoop) -> None:
        """Allow what ``settings`` say; times are those of ``loop``."""
        self._settings = settings
        self._loop = loop
        self._turns = asyncio.Semaphore(settings.binds_at_once)
        self._refused: dict[bytes, tuple[float, float, int]] = {}
        """Login -> the next attempt, the wait before it, what the SMSC answered."""

    @asynccontextmanager
    async def turn(self, body: bytes) -> AsyncIterator[None]:
        """Wait for a turn to ask for the bind in ``body``.

        Raises:
            UpstreamError: it does not come in time, or the SMSC refused this login a while ago.
        """
        try:
            async with asyncio.timeout(self._settings.connect_timeout):
                await self._turns.acquire()
        except TimeoutError as error:
            raise UpstreamError("many binds are asked for; its turn has not come") from error
        try:
            if wait := self.waits(body):
                raise UpstreamError(f"the SMSC refused our password; asked again in {wait:.0f} s")
            if known := self._refused.get(login := _login(body)):
                # One of the account's binds tries; the others wait for what it hears.
                _, pause, status = known
                self._refused[login] = self._loop.time() + pause, pause, status
            yield
        finally:
            self._turns.release()

    def waits(self, body: bytes) -> float:
        """Seconds until the login in the body of a bind may be tried."""
        at, _, _ = self._refused.get(_login(body), (0.0, 0.0, 0))
        return max(0.0, at - self._loop.time())

    def refused(self, body: bytes, status: int) -> None:
        """The SMSC refused a login."""
        most = self._settings.reconnect_refused
        login = _login(body)
        _, before, _ = self._refused.get(login, (0.0, 0.0, 0))
        pause = min(2 * before, most) if before else most / 10
        self._refused[login] = self._loop.time() + pause, pause, status
        system_id = login.partition(b"\0")[0].decode("latin-1")
        log.error("smsc-refuses-login", system_id=system_id, status=status, wait_seconds=pause)

    def held(self, body: bytes) -> None:
        """The SMSC took a login."""
        self._refused.pop(_login(body), None)

    def alarms(self) -> list[dict[str, object]]:
        """Logins that are refused, as ``watch.alarm.Alarm`` has it."""
        return [
            {
                "kind": "smsc-refuses",
                "subject": f"system_id {login.partition(chr(0).encode())[0].decode('latin-1')}",
                "severity": "critical",
                "sentence": f"the SMSC refuses system_id or password with command_status 0x{status:08x}; what the "
                "account's providers send is refused for now",
                "evidence": {"command_status": status},
            }
            for login, (_, _, status) in self._refused.items()
        ]


def _login(body: bytes) -> bytes:
    """system_id and password in the body of a bind."""
    return b"\0".join(body.split(b"\0", 2)[:2])


class UpstreamLink(Link):
    """The stream of one bind to the SMSC."""

    shed_status = CommandStatus.ESME_RX_T_APPN

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
        logins: Logins,
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
        self._logins = logins
        self.sharers: frozenset[str] = frozenset()
        """Owners that share the system_id towards the SMSC with this one, itself included."""
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
            UpstreamError: it cannot be reached, or refuses our password; ``keep_trying`` goes on.
            BindRefused: it said no.
        """
        self._bind = command_id, body
        async with self._logins.turn(body):
            response, link = await self._connect(command_id, body)
        if response.command_status != CommandStatus.ESME_ROK:
            link.close()
            if response.command_status in WRONG_LOGIN:
                self._logins.refused(body, response.command_status)
                raise UpstreamError(f"the SMSC refused our password: 0x{response.command_status:08x}")
            raise BindRefused(response)
        self._logins.held(body)
        if self._closed:
            link.abort()
            raise UpstreamError("the provider is gone")
        self.link = link
        link.other_side = self._provider
        self._provider.other_side = link
        return response

    async def _connect(self, command_id: int, body: bytes) -> tuple[Pdu, UpstreamLink]:
        """Connect and ask for a bind.

        Raises:
            UpstreamError: no connection, or no answer.
        """
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
        return response, link

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
                if self._logins.waits(self._bind[1]):
                    continue
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
                end = octets.find(b"\0", HEADER_OCTETS, LAST_OF_MESSAGE_ID)
                if end < 0:
                    # Some SMSCs leave the NUL out. What is longer than a message_id may be is kept as far as it may.
                    end = LAST_OF_MESSAGE_ID - 1
                tracks.append((tracked, response.command_status, octets[HEADER_OCTETS:end].decode("latin-1")))
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
        target = self._addressee(pdu) if self.sharers else self
        if target is None:
            log.warning("addressee-not-bound", system_id=self._provider.system_id)
            if pdu.command_id not in UNANSWERED_COMMANDS:
                self.answer_smsc(link, pdu, CommandStatus.ESME_RX_T_APPN)
            return
        target.hand_over(link, pdu)

    def hand_over(self, link: UpstreamLink, pdu: Pdu) -> None:
        """Send the provider a request that came over ``link``, where its answer goes."""
        number = self._provider.session.relay(pdu)
        if pdu.command_id not in UNANSWERED_COMMANDS:
            self.to_provider.add(number, (pdu, self._loop.time(), link))
        self._provider.flush_soon()

    def _addressee(self, pdu: Pdu) -> Upstream | None:
        """Who of those that share this system_id a request is for; None: it has no bind here that could hear it."""
        try:
            fields = pdu.fields()
        except PduError:
            return self
        alert = pdu.command_id == CommandId.ALERT_NOTIFICATION
        name, ton = ("esme_addr", "esme_addr_ton") if alert else ("destination_addr", "dest_addr_ton")
        destination = fields[name]
        assert isinstance(destination, bytes)
        owner = self._exchange.registry.owner_of(destination, int(fields[ton]))
        if owner is None or owner not in self.sharers or owner == self._provider.owner:
            return self
        return self._provider.receiver_of(owner)

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
        if waiting is not None:
            request, _, link = waiting
            link.session.respond(response.numbered(request.sequence_number))
            link.flush_soon()

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
                waiting[2].session.answer(waiting[0], CommandStatus.ESME_RX_T_APPN)
                waiting[2].flush_soon()
        if self.link is not None and self.link.tick(now) is not Due.NOTHING:
            log.warning("upstream-silent", system_id=self._provider.system_id)
            self.link.abort()

    def close(self) -> None:
        """Unbind and close; the provider is gone."""
        self._closed = True
        if self._reconnecting is not None:
            self._reconnecting.cancel()
        for request, _, its_link in self.to_provider.drain():
            its_link.session.answer(request, CommandStatus.ESME_RX_T_APPN)
            its_link.flush_soon()
        link = self.link
        if link is not None:
            link.session.request(CommandId.UNBIND)
            link.close()


def client_tls(settings: UpstreamSettings) -> ssl.SSLContext | None:
    """The TLS context towards the SMSC, if it is spoken."""
    if not settings.tls:
        return None
    context = ssl.create_default_context(cafile=settings.tls_ca or None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
