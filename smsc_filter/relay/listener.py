"""Takes binds from ESMEs: one link each, with the SMSC behind it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Annotated, Final

import structlog
from pydantic import ConfigDict, Field

from smsc_filter.policy.template import NO_PARAMETERS
from smsc_filter.relay.accounts import Accounts, AccountSettings, may_come_from
from smsc_filter.relay.exchange import Exchange, MultiTrack, Track
from smsc_filter.relay.link import Halt, Link, Turn
from smsc_filter.relay.passwords import Password, Passwords
from smsc_filter.relay.replies import Replies
from smsc_filter.relay.upstream import BindRefused, Logins, Upstream, UpstreamError, UpstreamSettings, client_tls
from smsc_filter.smpp.codec import DEFAULT_MAX_PDU_OCTETS
from smsc_filter.smpp.constants import (
    HEADER_OCTETS,
    INTERFACE_VERSIONS,
    MESSAGE_ID_OCTETS,
    NO_TLVS_UP_TO,
    RESPONSE_BIT,
    CommandId,
    CommandStatus,
    TlvTag,
)
from smsc_filter.smpp.errors import PduError
from smsc_filter.smpp.layouts import LAYOUTS
from smsc_filter.smpp.pdu import Pdu
from smsc_filter.smpp.session import BINDS, BOUND, FROM_ESME, Due, Session, SessionTimers, State
from smsc_filter.smpp.tlv import encode_tlv
from smsc_filter.sms.address import Numbering
from smsc_filter.sms.message import Multi, Replacement, read_data, read_submit, read_unsuccess
from smsc_filter.state.appeals import Appeals
from smsc_filter.state.ledger import Ledger, StoreUnavailable

log = structlog.get_logger()

SUBMIT_SM: Final = int(CommandId.SUBMIT_SM)

MAX_REMEMBERED: Final = 5_000
"""Accepted messages of a bind that a replace_sm can still find, at least."""

SYSTEM_ID: Final = b"smsc-filter"
"""What we are called in a bind_resp of our own, given while the SMSC is away."""

OUR_VERSION: Final = encode_tlv(TlvTag.SC_INTERFACE_VERSION, b"\x34")

MOST_COUNTING: Final = 32
"""Binds that are counted in the store, or no longer, at once; the others of a storm wait."""

HEARS: Final = frozenset({State.BOUND_RX, State.BOUND_TRX})

UNBIND_SECONDS: Final = 1.0
"""Longest wait for the answers to our unbinds before the links are closed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenSettings:
    """``[listen]``: where providers bind."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    host: str = "127.0.0.1"
    """Address or name, IPv4 or IPv6."""

    port: Annotated[int, Field(ge=0, le=65535)] = 2775
    tls_cert: str = ""
    """Certificate chain, a PEM file; with ``tls_key``: TLS 1.2 or later is spoken, and nothing else."""

    tls_key: str = ""
    workers: Annotated[int, Field(ge=1, le=16)] = 1
    """Processes that share the address."""

    window: Annotated[int, Field(ge=1)] = 1000
    """Most requests of one bind that may wait for an answer; further ones are not read until one is given."""

    max_pdu_octets: Annotated[int, Field(ge=1024, le=1 << 24)] = DEFAULT_MAX_PDU_OCTETS
    """A longer command_length closes the link."""

    drain_seconds: Annotated[float, Field(ge=0)] = 10.0
    """How long requests in flight are waited for when the service stops."""

    def __post_init__(self) -> None:
        if bool(self.tls_cert) != bool(self.tls_key):
            raise ValueError("set both of tls_cert and tls_key, or none")


class TlsError(Exception):
    """A certificate or key that cannot be used; the message names the settings and files."""


def server_tls(settings: ListenSettings) -> ssl.SSLContext | None:
    """The TLS context towards providers, if it is spoken.

    Raises:
        TlsError: a file cannot be read, or certificate and key do not belong together.
    """
    if not settings.tls_cert:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(settings.tls_cert, settings.tls_key)
    except OSError as error:  # an SSLError is one
        files = f"listen.tls_cert {settings.tls_cert}, listen.tls_key {settings.tls_key}"
        raise TlsError(f"{files}: {error.strerror or error}") from error
    return context


class Switchboard:
    """What all links of a worker share."""

    def __init__(
        self,
        *,
        exchange: Exchange,
        ledger: Ledger,
        accounts: Accounts,
        owner_ids: dict[str, int],
        numbering: Numbering,
        listen: ListenSettings,
        upstream: UpstreamSettings,
        timers: SessionTimers,
        worker: str,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.exchange = exchange
        self.ledger = ledger
        self.accounts = accounts
        self.owner_ids = owner_ids
        self.numbering = numbering
        self.listen = listen
        self.upstream = upstream
        self.timers = timers
        self.upstream_tls = client_tls(upstream)
        self.loop = loop
        self.turn = Turn(loop)
        self.links: set[ProviderLink] = set()
        self.passwords = Passwords(accounts, loop)
        self.smsc = Logins(upstream, loop)
        self.sharers = sharers(accounts)
        self.counting = asyncio.Semaphore(MOST_COUNTING)
        self.replies = Replies(
            exchange.consents,
            Appeals(ledger, ledger.partitions),
            exchange.rules,
            exchange.registry,
            numbering,
            owner_ids,
            loop,
            exchange.now,
            exchange.people,
        )
        self.tasks: set[asyncio.Task[None]] = set()
        self.no_room = ""
        """Why nobody can be let in for now: what is wrong with the disk."""
        self.on_closed: Callable[[], None] = lambda: None
        """Called when a connection has ended."""
        self._worker = worker
        self._number = 0

    def take_accounts(self, accounts: Accounts) -> None:
        """Let in who may bind from now on; binds that stand stay."""
        self.accounts = self.passwords.accounts = accounts
        self.sharers = sharers(accounts)

    def new_link(self) -> ProviderLink:
        """A protocol for one more connection."""
        return ProviderLink(self)

    def new_holder(self) -> str:
        """A name for one more bind, unlike any other."""
        self._number += 1
        return f"{self._worker}:{self._number}"

    def held_binds(self) -> list[tuple[str, str]]:
        """(system_id, holder) of every bind."""
        return [(link.system_id, link.holder) for link in self.links if link.holder]

    async def drop_bind(self, system_id: str, holder: str) -> None:
        """Count a bind no longer."""
        async with self.counting:
            await self.ledger.drop_bind(system_id, holder)

    def binds(self) -> dict[str, tuple[int, int]]:
        """Binds by system_id: how many stand, and of how many the SMSC's side does."""
        counts: dict[str, tuple[int, int]] = {}
        for link in self.links:
            if link.holder:
                binds, upstream = counts.get(link.system_id, (0, 0))
                counts[link.system_id] = binds + 1, upstream + link.upstream_bound
        return counts

    def tick(self, now: float) -> None:
        """Look at the timers of every link."""
        for link in list(self.links):
            link.look_after(now)
        self.passwords.binds.report(now, lambda name: self.accounts.find(name) is not None)

    def alarms(self) -> list[dict[str, object]]:
        """What the operator should know of, as ``watch.alarm.Alarm`` has it."""
        return [*self.passwords.binds.alarms(self.loop.time()), *self.smsc.alarms()]

    async def drain(self) -> None:
        """Answer what is in flight, unbind, close."""
        deadline = self.loop.time() + self.listen.drain_seconds
        for link in self.links:
            link.stop_reading()
        while self.loop.time() < deadline and not (self.exchange.idle and all(link.quiet for link in self.links)):
            await asyncio.sleep(0.01)
        for link in list(self.links):
            link.say_goodbye()
        deadline = self.loop.time() + UNBIND_SECONDS
        while self.links and self.loop.time() < deadline:
            await asyncio.sleep(0.01)
        for link in list(self.links):
            link.close()
        await asyncio.sleep(0)
        for link in list(self.links):
            link.abort()
        self.passwords.close()


def sharers(accounts: Iterable[AccountSettings]) -> dict[str, frozenset[str]]:
    """Owners by the system_id that they share towards the SMSC, which gives what is for one to any of them."""
    owners: dict[str, set[str]] = {}
    for account in accounts:
        owners.setdefault(account.upstream_system_id or account.system_id, set()).add(account.owner)
    return {name: frozenset(some) for name, some in owners.items() if len(some) > 1}


class ProviderLink(Link):
    """One provider's connection."""

    def __init__(self, board: Switchboard) -> None:
        """Serve a connection that is about to be made."""
        session = Session(
            FROM_ESME,
            board.loop.time(),
            board.timers,
            window=min(board.listen.window, board.upstream.window),
            max_pdu_octets=board.listen.max_pdu_octets,
        )
        super().__init__(session, board.loop, board.turn)
        self.system_id = ""
        self.owner = ""
        self.owner_id = 0
        self.parameters = NO_PARAMETERS
        self.holder = ""
        self.old = False
        """Whether it speaks version 3.3 or earlier, which has no optional parameters."""
        self.upstream: Upstream | None = None
        self._board = board
        self._exchange = board.exchange
        self._numbering = board.numbering
        self._unbind: Pdu | None = None
        self._closing_at: float | None = None
        self._leaving = False
        self._remembered: dict[str, tuple[str, int]] = {}
        self._remembered_before: dict[str, tuple[str, int]] = {}

    # What the provider sends.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        super().connection_made(transport)
        self._board.links.add(self)

    def data_received(self, data: bytes) -> None:
        """Take what comes; requests wait where others do."""
        if self.deaf:
            return
        exchange = self._exchange
        if exchange.must_wait and not self._halts & Halt.BUSY:
            exchange.wait(self, fresh=not self.session.held_octets)
        self._receive(data)

    def go_on(self) -> None:
        """Take requests that were held back, when it is this link's turn."""
        if self._exchange.must_wait:
            self._exchange.wait(self)
        else:
            self._receive(b"")

    def take(self, pdus: Sequence[Pdu]) -> None:
        """Judge what carries text, relay the rest."""
        exchange = self._exchange
        began = perf_counter()
        exchange.arriving(self.session.taken_octets)
        for pdu in pdus:
            command_id = pdu.command_id
            try:
                if command_id == SUBMIT_SM:
                    exchange.take(self, read_submit(pdu, self._numbering))
                elif command_id & RESPONSE_BIT:
                    self._take_response(pdu)
                else:
                    self._take_other(pdu)
            except PduError as error:
                log.info("pdu-refused", system_id=self.system_id, command=pdu.name, detail=str(error))
                self.session.answer(pdu, error.status)
        exchange.decoded(perf_counter() - began)
        if self.session.may_go_on and exchange.must_wait:
            exchange.wait(self)

    def _take_response(self, pdu: Pdu) -> None:
        if pdu.command_id == CommandId.UNBIND_RESP:
            self.close()
        elif self.upstream is not None:
            self.upstream.delivered(pdu)

    def _take_other(self, pdu: Pdu) -> None:
        """Requests that are not a submit_sm."""
        exchange = self._exchange
        if pdu.command_id in BINDS:
            self._start(self._bind(pdu))
        elif pdu.command_id == CommandId.UNBIND:
            if self._unbind is not None:
                # Two that wait for each other would wait for ever.
                self.session.answer(pdu, CommandStatus.ESME_RINVBNDSTS)
                return
            self._unbind = pdu
            self._answer_unbind()
        elif pdu.command_id == CommandId.DATA_SM:
            exchange.take(self, read_data(pdu, self._numbering))
        elif pdu.command_id == CommandId.SUBMIT_MULTI:
            multi = Multi(pdu, self._numbering)
            for message in multi.messages:
                exchange.take(self, message, multi)
        elif pdu.command_id == CommandId.REPLACE_SM:
            replacement = Replacement(pdu)
            message_id = replacement.message_id.decode("latin-1")
            # A message we do not know may be for anybody: nobody's consent is found for it.
            known = self._remembered.get(message_id) or self._remembered_before.get(message_id)
            exchange.take(
                self,
                replacement.as_message(*known)
                if known is not None
                else replacement.as_message_to_anybody(exchange.worst_reading(replacement.readings())),
            )
        else:
            self._check_layout(pdu)
            assert self.upstream is not None
            self.upstream.forward(pdu, pdu, None)

    @staticmethod
    def _check_layout(pdu: Pdu) -> None:
        if pdu.command_id in LAYOUTS:
            pdu.fields()

    # Binding.

    def _start(self, coroutine: Coroutine[None, None, None]) -> None:
        task = self.loop.create_task(coroutine)
        self._board.tasks.add(task)
        task.add_done_callback(self._board.tasks.discard)

    async def _bind(self, request: Pdu) -> None:
        """Let a provider in, or tell it why not."""
        try:
            status, body = await self._decide(request)
        except PduError as error:
            self._board.passwords.binds.refuse("malformed", "", self._peer(), self.loop.time())
            status, body = error.status, b""
        except StoreUnavailable as error:
            log.error("bind-undecided", detail=str(error))
            status, body = CommandStatus.ESME_RSYSERR, b""
        if self.transport is None:
            self._leave()
            return
        self.session.answer(request, status, body)
        if status != CommandStatus.ESME_ROK:
            # Whoever guesses connects anew for each guess.
            self.part()
            return
        self.flush()
        if self.upstream is not None:
            self.upstream.begin()

    async def _decide(self, request: Pdu) -> tuple[int, bytes]:
        """The answer to a bind: its status and body."""
        fields = request.fields()
        system_id, password = fields["system_id"], fields["password"]
        assert isinstance(system_id, bytes)
        assert isinstance(password, bytes)
        name = system_id.decode("latin-1")
        peer = self._peer()
        board, passwords = self._board, self._board.passwords
        refuse = passwords.binds.refuse
        answer = await passwords.look(name, password, peer)
        account = board.accounts.find(name)
        if answer is Password.LATER:
            return CommandStatus.ESME_RTHROTTLED, b""
        if answer is Password.WRONG or account is None:
            # One answer for a wrong name and a wrong password: which system_ids exist is nobody's business.
            return CommandStatus.ESME_RINVPASWD, b""
        if not may_come_from(account, peer):
            refuse("network", name, peer, self.loop.time(), allow_from=len(account.allow_from))
            return CommandStatus.ESME_RBINDFAIL, b""
        version = fields["interface_version"]
        assert isinstance(version, int)
        if version not in INTERFACE_VERSIONS:
            refuse("version", name, peer, self.loop.time(), interface_version=version)
            return CommandStatus.ESME_RBINDFAIL, b""
        if board.no_room:
            refuse("no-room", name, peer, self.loop.time(), no_room=board.no_room)
            return CommandStatus.ESME_RSYSERR, b""
        self.old = version <= NO_TLVS_UP_TO
        holder = board.new_holder()
        now = self._exchange.now()
        most = int(min(account.max_binds, self._exchange.measures.most_binds(name, account.owner, now)))
        async with board.counting:
            taken = await board.ledger.take_bind(name, holder, most, now)
        if not taken:
            refuse("max-binds", name, peer, self.loop.time(), max_binds=most)
            return CommandStatus.ESME_RBINDFAIL, b""
        passwords.binds.right(name, peer)
        self.system_id, self.owner, self.holder = name, account.owner, holder
        self.owner_id = self._board.owner_ids[account.owner]
        self.parameters = account.parameters
        self.upstream = Upstream(
            self,
            board.upstream,
            board.timers,
            board.upstream_tls,
            self._exchange,
            board.replies,
            board.smsc,
            board.listen.max_pdu_octets,
        )
        self.upstream.sharers = board.sharers.get(account.upstream_system_id or name, frozenset())
        body = _upstream_bind_body(request, account, system_id, password)
        try:
            response = await self.upstream.open(request.command_id, body)
        except BindRefused as refused:
            refuse("smsc", name, peer, self.loop.time(), status=refused.response.command_status)
            self._leave()
            return refused.response.command_status, refused.response.body
        except UpstreamError as error:
            # The provider may stay: what it sends is answered with a status it retries.
            log.warning("upstream-away", system_id=name, detail=str(error))
            self.upstream.keep_trying()
            return CommandStatus.ESME_ROK, self._bind_body(SYSTEM_ID + b"\0" + OUR_VERSION)
        log.info("bound", system_id=name, peer=peer, command=request.name)
        return CommandStatus.ESME_ROK, self._bind_body(response.body)

    def _bind_body(self, body: bytes) -> bytes:
        """The body of a bind_resp as the provider's version has it."""
        name, nul, _ = body.partition(b"\0")
        return name + nul if self.old else body

    def _peer(self) -> str:
        peer = self.transport.get_extra_info("peername") if self.transport is not None else None
        return str(peer[0]) if peer else ""

    def receiver_of(self, owner: str) -> Upstream | None:
        """A bind of ``owner`` on this worker that may hear what the network sends."""
        return next(
            (
                link.upstream
                for link in self._board.links
                if link.owner == owner and link.upstream is not None and link.session.state in HEARS
            ),
            None,
        )

    # What becomes of what it sent.

    @property
    def upstream_bound(self) -> bool:
        """Whether the SMSC can be reached for this bind."""
        return self.upstream is not None and self.upstream.bound

    def siblings(self) -> list[Upstream]:
        """The SMSC's side of the other binds of this account on this worker."""
        return [
            link.upstream
            for link in self._board.links
            if link is not self and link.system_id == self.system_id and link.upstream is not None
        ]

    def forward(self, pdu: Pdu, request: Pdu, tracked: Track | MultiTrack) -> None:
        """Send ``pdu`` on to the SMSC in answer to ``request``."""
        assert self.upstream is not None
        self.upstream.forward(pdu, request, tracked)

    def refuse(self, request: Pdu, status: int) -> None:
        """Answer ``request`` with a status other than ESME_ROK."""
        self.respond(request.reply(status))

    def respond(self, octets: bytes) -> None:
        """Send an answer that was made elsewhere."""
        self.session.respond(octets)
        self.answers_sent()

    def answers_sent(self) -> None:
        """Answers were given to the session: write them, and do what waited for them."""
        if not self.flushing:
            self.flush_soon()
        if self._unbind is not None:
            self._answer_unbind()

    def refuse_multi(self, tracked: MultiTrack) -> None:
        """Answer a submit_multi of which no destination goes on: with the first cause, and all in its list."""
        destinations = tracked.multi.destinations
        body = b"\0%b%b" % (
            bytes((len(tracked.refused),)),
            b"".join(destinations[at].unsuccess(status) for at, status in tracked.refused),
        )
        self.respond(tracked.multi.pdu.reply(tracked.refused[0][1], body))

    def answer_multi(self, tracked: MultiTrack, response: Pdu) -> None:
        """Answer a submit_multi with what the SMSC said of it, and with those we refused added to its list."""
        body = response.body
        nul = body.find(b"\0")
        message_id = body[:nul][: MESSAGE_ID_OCTETS - 1].decode("latin-1")
        count, entries = (body[nul + 1], body[nul + 2 :]) if 0 <= nul < len(body) - 1 else (0, b"")
        listed = read_unsuccess(entries)
        destinations = tracked.multi.destinations
        self._exchange.answered(
            [
                (track, listed.get(destinations[at].party, response.command_status), message_id)
                for at, track in tracked.kept
            ]
        )
        if tracked.refused and nul >= 0:
            ours = b"".join(destinations[at].unsuccess(status) for at, status in tracked.refused)
            total = bytes((min(255, count + len(tracked.refused)),))
            body = body[: nul + 1] + total + ours + entries
        self.respond(tracked.multi.pdu.reply(response.command_status, body))

    def remember(self, accepted: Sequence[tuple[Track, int, str]]) -> None:
        """Keep who accepted messages are for: a replace_sm names only its message_id."""
        remembered = self._remembered
        for track, status, message_id in accepted:
            if status == CommandStatus.ESME_ROK:
                remembered[message_id] = track.message.recipient, track.message.data_coding
        if len(self._remembered) >= MAX_REMEMBERED:
            # The older half goes at once: cheaper than to drop one for each that comes.
            self._remembered_before, self._remembered = self._remembered, {}

    # The end.

    @property
    def quiet(self) -> bool:
        """Whether nothing of this link waits for an answer."""
        return self.session.unanswered <= (self._unbind is not None)

    def _answer_unbind(self) -> None:
        """Answer an unbind once what came before it is answered."""
        if self._unbind is not None and self.quiet:
            request, self._unbind = self._unbind, None
            self.session.answer(request, CommandStatus.ESME_ROK)
            self.close()

    def close_when_answered(self) -> None:
        """The stream has lost its boundaries: answer what came before, then close."""
        self._leaving = True
        self._closing_at = self.loop.time() + (self._board.timers.response or UNBIND_SECONDS)
        # Where nothing waits for an answer, nothing else would bring the end about.
        self.flush_soon()

    def flush(self) -> None:
        """Write, and close if that was the last answer to give."""
        super().flush()
        if self._leaving and self.session.unanswered <= 0 and not self.session.held_octets:
            self._leaving = False
            self.part()

    def part(self) -> None:
        """Say the last word and hear no more; closed once the peer has closed, or soon.

        A close while octets of the peer are unread makes its system throw away what we said last.
        """
        transport = self.transport
        if transport is None or transport.is_closing() or self.deaf:
            return
        octets = self.session.bytes_to_send()
        if octets:
            transport.write(octets)
        self.deaf = True
        if not transport.can_write_eof():
            self.close()
            return
        transport.write_eof()
        transport.resume_reading()
        self._closing_at = self.loop.time() + UNBIND_SECONDS

    def stop_reading(self) -> None:
        """The service is stopping: take nothing new."""
        self.halt(Halt.DRAINING)

    def say_goodbye(self) -> None:
        """Ask the provider to end the session; its answer closes the link."""
        if self.session.state in BOUND:
            self.session.answer_held(self.shed_status)
            self.session.request(CommandId.UNBIND)
            self.session.shed_status = self.shed_status
            self.flush()
        else:
            self.close()

    def look_after(self, now: float) -> None:
        """Look at the timers of both sides."""
        if self._closing_at is not None and now >= self._closing_at:
            self.abort()
            return
        due = self.tick(now)
        if due is Due.CLOSE:
            log.info("link-silent", system_id=self.system_id, state=self.session.state.value)
            self.abort()
            return
        if due is Due.UNBIND:
            log.info("link-idle", system_id=self.system_id)
            self.session.request(CommandId.UNBIND)
            self._closing_at = now + UNBIND_SECONDS
            self.flush_soon()
        if self.upstream is not None:
            self.upstream.tick(now)

    def close(self) -> None:
        """Send what there is to send, then close; a peer that does not read is cut off in the end."""
        super().close()
        if self._closing_at is None:
            self._closing_at = self.loop.time() + UNBIND_SECONDS

    def lost(self) -> None:
        """The provider is gone."""
        self._board.links.discard(self)
        self._exchange.forget(self)
        # The links of both sides and their upstream hold each other, and the collector seldom comes by here.
        self._remembered, self._remembered_before = {}, {}
        self._board.on_closed()
        self._leave()

    def _leave(self) -> None:
        """Give up the bind and the SMSC's side of it."""
        if self.upstream is not None:
            self.upstream.close()
        holder, self.holder = self.holder, ""
        if holder:
            self._start(self._board.drop_bind(self.system_id, holder))


def _upstream_bind_body(request: Pdu, account: AccountSettings, system_id: bytes, password: bytes) -> bytes:
    """The body of the bind towards the SMSC: the provider's own, but for what the account maps."""
    rest = request.octets[HEADER_OCTETS + len(system_id) + 1 + len(password) + 1 :]
    ours = account.upstream_system_id.encode("latin-1") or system_id
    secret = account.upstream_password.encode("latin-1") or password
    return b"%b\0%b\0%b" % (ours, secret, rest)
