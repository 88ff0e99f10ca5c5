"""One asyncio Protocol driving one session: read, receive, answer, and one write per turn of the loop."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final, cast

import structlog

from smsc_filter.smpp.constants import CommandStatus
from smsc_filter.smpp.pdu import Pdu
from smsc_filter.smpp.session import Due, Session

log = structlog.get_logger()


MOST_HELD_OCTETS: Final = 1 << 20
"""Of requests that one link holds back, some 5,000 short texts; with more of them it is not read."""

SHED_SECONDS: Final = 3.0
"""How long a link is not read for the requests that it holds back. Then it is read again, since answers and
enquire_link may stand behind them, and requests beyond those held are answered with a status that clients retry."""

UNREAD_SECONDS: Final = 30.0
"""How long a peer may leave unread what we send before it is cut off."""


class Halt:
    """Why a link is not read, or its requests wait, as bits. Plain integers: asked for every read and write."""

    NONE: Final = 0
    STANDS: Final = 1
    """Its bind is being decided, or the stream is lost."""
    UNREAD: Final = 2
    """The peer does not read what we send."""
    FULL: Final = 4
    """It holds back as many requests as it may."""
    OTHER_SIDE: Final = 8
    """The other side of the bind does not read what the peer sends."""
    BUSY: Final = 16
    """The worker has as much to judge as it can hold, or it is the turn of other links."""
    DRAINING: Final = 32
    """The service is stopping."""

    READING: Final = STANDS | UNREAD | FULL
    """Those for which nothing is read."""
    REQUESTS: Final = UNREAD | OTHER_SIDE | BUSY | DRAINING
    """Those for which requests are held back; what comes besides them is acted upon."""


class Turn:
    """The links that have something to write once this turn of the loop is over: one callback for all of them."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Flush at the end of turns of ``loop``."""
        self._loop = loop
        self._links: list[Link] = []

    def add(self, link: Link) -> None:
        """Flush ``link`` when the turn is over; it is not in yet."""
        if not self._links:
            self._loop.call_soon(self._end)
        self._links.append(link)

    def _end(self) -> None:
        links, self._links = self._links, []
        for link in links:
            link.flush()


class Link(asyncio.Protocol):
    """A TCP stream and the session it carries. Its user overrides ``take`` and ``lost``.

    Requests are held back by a full window, a busy worker or a slow other side; responses and enquire_link never are,
    since whoever sent them may be waited for.
    """

    shed_status: int = CommandStatus.ESME_RTHROTTLED
    """What a request is answered that is beyond those held back."""

    def __init__(self, session: Session, loop: asyncio.AbstractEventLoop, turn: Turn) -> None:
        """Drive ``session``; times are ``loop.time()``."""
        self.session = session
        self.loop = loop
        self.turn = turn
        self.transport: asyncio.Transport | None = None
        self.other_side: Link | None = None
        self.flushing = False
        """Whether a write is due at the end of this turn."""
        self._halts = Halt.NONE
        self._full_at = 0.0
        self._unread_at = 0.0
        self._going_on = False
        self.deaf = False
        """Whether the last word is said: nothing more is heard or sent."""

    def take(self, pdus: Sequence[Pdu]) -> None:
        """Act on what the peer sent."""
        raise NotImplementedError

    def lost(self) -> None:
        """The stream is closed."""
        raise NotImplementedError

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        # uvloop's transports have the methods of asyncio.Transport without its class.
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Hand octets to the session, and what comes of them to the user."""
        self._receive(data)

    def _receive(self, data: bytes) -> None:
        if self.deaf:
            return
        session = self.session
        pdus = session.receive(data, self.loop.time())
        if pdus:
            self.take(pdus)
        if session.broken is not None or session.stands:
            if session.broken is not None and not self._halts & Halt.STANDS:
                log.warning("framing-lost", detail=str(session.broken))
                self.close_when_answered()
            self.halt(Halt.STANDS)
        if session.held_octets or self._halts & Halt.FULL:
            self._hold_back()
        if session.to_send:
            self.flush_soon()

    def _hold_back(self) -> None:
        """See how much is held back, and come back for it in another turn of the loop if it need not wait longer."""
        session = self.session
        if session.held_octets > MOST_HELD_OCTETS:
            if not session.shed_status and not self._halts & Halt.FULL:
                self._full_at = self.loop.time()
                self.halt(Halt.FULL)
        elif session.held_octets <= MOST_HELD_OCTETS // 2:
            session.shed_status = 0
            self.resume(Halt.FULL)
        if session.may_go_on and not self._going_on:
            self._going_on = True
            self.loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        self._going_on = False
        if self.session.may_go_on and self.transport is not None:
            self.go_on()

    def go_on(self) -> None:
        """Take requests that were held back."""
        self._receive(b"")

    def flush_soon(self) -> None:
        """Write what there is to send once this turn of the loop is over."""
        if not self.flushing:
            self.flushing = True
            self.turn.add(self)

    def flush(self) -> None:
        """Write what there is to send, and read on if the window has opened."""
        self.flushing = False
        octets = self.session.bytes_to_send()
        if octets and self.transport is not None and not self.deaf:
            self.transport.write(octets)
        if self._halts & Halt.STANDS and not self.session.stands and self.session.broken is None:
            self.resume(Halt.STANDS)
        if self.session.held_octets:
            self._hold_back()

    def tick(self, now: float) -> Due:
        """Look at the session's timers."""
        if self._halts & (Halt.STANDS | Halt.FULL):
            # We do not read, so silence is no sign of the peer's.
            self.session.heard_at = now
        if self._halts & Halt.FULL and now - self._full_at >= SHED_SECONDS:
            log.warning("requests-shed", held_octets=self.session.held_octets)
            self.session.shed_status = self.shed_status
            self.resume(Halt.FULL)
        if self._halts & Halt.UNREAD and now - self._unread_at >= UNREAD_SECONDS:
            return Due.CLOSE
        due = self.session.tick(now)
        if self.session.to_send:
            self.flush_soon()
        return due

    def halt(self, reason: int) -> None:
        """Stop reading, or taking requests, for one more reason."""
        stop = reason & Halt.READING and not self._halts & Halt.READING
        if stop and self.transport is not None and not self.transport.is_closing():
            self.transport.pause_reading()
        self._halts |= reason
        self.session.halted = bool(self._halts & Halt.REQUESTS)

    def resume(self, reason: int) -> None:
        """One reason not to read is gone; when it was the last, go on with what is already here."""
        if not self._halts & reason:
            return
        was_stopped = self._halts & Halt.READING
        self._halts &= ~reason
        self.session.halted = bool(self._halts & Halt.REQUESTS)
        if self.transport is None or self.transport.is_closing() or self._halts & Halt.READING:
            return
        if was_stopped:
            self.transport.resume_reading()
        if reason in (Halt.STANDS, Halt.BUSY):
            self._receive(b"")
        elif self.session.may_go_on:
            self.go_on()

    def pause_writing(self) -> None:
        """The peer does not read: take nothing from it, and nothing for it."""
        self._unread_at = self.loop.time()
        self.halt(Halt.UNREAD)
        if self.other_side is not None:
            self.other_side.halt(Halt.OTHER_SIDE)

    def resume_writing(self) -> None:
        """The peer reads again."""
        self.resume(Halt.UNREAD)
        if self.other_side is not None:
            self.other_side.resume(Halt.OTHER_SIDE)

    def close_when_answered(self) -> None:
        """Close once every request is answered; overridden where answers take time."""
        self.close()

    def close(self) -> None:
        """Send what there is to send, then close."""
        if self.transport is not None and not self.transport.is_closing():
            octets = self.session.bytes_to_send()
            if octets and not self.deaf:
                self.transport.write(octets)
            self.transport.close()

    def abort(self) -> None:
        """Close at once, unsent octets dropped: for a peer that is gone."""
        if self.transport is not None:
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the user."""
        self.transport = None
        if self.other_side is not None:
            self.other_side.resume(Halt.OTHER_SIDE)
        self.lost()
