"""One asyncio Protocol driving one session: read, receive, answer, and one write per turn of the loop."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final, cast

import structlog

from smsc_filter.smpp.pdu import Pdu
from smsc_filter.smpp.session import Due, Session

log = structlog.get_logger()


class Halt:
    """Why a link is not read for now, as bits. Plain integers: they are asked for every read and write."""

    NONE: Final = 0
    WINDOW: Final = 1
    """The peer has as many requests waiting as it may, or its bind is being decided."""
    UNREAD: Final = 2
    """The peer does not read what we send."""
    OTHER_SIDE: Final = 4
    """The other side of the bind does not read what the peer sends."""
    BUSY: Final = 8
    """The worker has as much to judge as it can hold."""
    DRAINING: Final = 16
    """The service is stopping."""


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
    """A TCP stream and the session it carries. Its user overrides ``take`` and ``lost``."""

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
        session = self.session
        pdus = session.receive(data, self.loop.time())
        if pdus:
            self.take(pdus)
        if session.holds:
            if session.broken is not None:
                log.warning("framing-lost", detail=str(session.broken))
                self.close_when_answered()
            self.halt(Halt.WINDOW)
        if session.to_send:
            self.flush_soon()

    def flush_soon(self) -> None:
        """Write what there is to send once this turn of the loop is over."""
        if not self.flushing:
            self.flushing = True
            self.turn.add(self)

    def flush(self) -> None:
        """Write what there is to send, and read on if the window has opened."""
        self.flushing = False
        octets = self.session.bytes_to_send()
        if octets and self.transport is not None:
            self.transport.write(octets)
        if self._halts & Halt.WINDOW and not self.session.holds:
            self.resume(Halt.WINDOW)

    def tick(self, now: float) -> Due:
        """Look at the session's timers."""
        if self._halts & ~Halt.UNREAD:
            # We do not read, so silence is no sign of the peer's.
            self.session.heard_at = now
        due = self.session.tick(now)
        if self.session.to_send:
            self.flush_soon()
        return due

    def halt(self, reason: int) -> None:
        """Stop reading for one more reason."""
        if not self._halts and self.transport is not None and not self.transport.is_closing():
            self.transport.pause_reading()
        self._halts |= reason

    def resume(self, reason: int) -> None:
        """One reason not to read is gone; when it was the last, go on with what is already here."""
        if not self._halts & reason:
            return
        self._halts &= ~reason
        if self._halts:
            return
        if self.transport is not None and not self.transport.is_closing():
            self.transport.resume_reading()
            self._receive(b"")

    def pause_writing(self) -> None:
        """The peer does not read: take nothing from it, and nothing for it."""
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
            if octets:
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
