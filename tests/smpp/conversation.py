"""A protocol test is a conversation: what the peer says, and what it hears in return."""

from __future__ import annotations

from typing import Any, Self

from smsc_filter.smpp.codec import encode, encode_bind, encode_submit
from smsc_filter.smpp.constants import CommandId, CommandStatus
from smsc_filter.smpp.pdu import Pdu
from smsc_filter.smpp.session import FROM_ESME, Admissions, Due, Session, SessionTimers

Said = Pdu | bytes


def octets_of(said: Said) -> bytes:
    return said.octets if isinstance(said, Pdu) else said


class Conversation:
    """A peer at a session of ours, whose owner answers each request ESME_ROK unless it is ``slow``."""

    def __init__(
        self,
        admissions: Admissions = FROM_ESME,
        *,
        timers: SessionTimers | None = None,
        slow: bool = False,
        **options: Any,
    ) -> None:
        self.now = 1000.0
        self.session = Session(admissions, self.now, timers, **options)
        self.slow = slow
        self.taken: list[Pdu] = []
        """What the owner was given, in order."""

    def says(self, *said: Said) -> Self:
        """Send octets in one piece."""
        octets = b"".join(map(octets_of, said))
        while pdus := self.session.receive(octets, self.now):
            octets = b""
            self.taken += pdus
            if self.slow:
                break
            for pdu in pdus:
                if not pdu.command_id & 0x80000000 and pdu.command_id not in (
                    CommandId.ALERT_NOTIFICATION,
                    CommandId.OUTBIND,
                ):
                    self.session.answer(pdu, CommandStatus.ESME_ROK)
        return self

    def hears(self, *expected: Said) -> Self:
        """What the session sent since the last time, to the octet."""
        assert self.session.bytes_to_send() == b"".join(map(octets_of, expected))
        return self

    def hears_nothing(self) -> Self:
        return self.hears()

    def after(self, seconds: float) -> Due:
        """Let time pass and the timers be looked at."""
        self.now += seconds
        return self.session.tick(self.now)

    def bound(self, command_id: int = CommandId.BIND_TRANSCEIVER) -> Self:
        """A conversation that is past its bind."""
        request = bind(command_id, 1)
        slow, self.slow = self.slow, False
        self.says(request).hears(request.reply())
        self.slow = slow
        self.taken.clear()
        return self


def pdu(command_id: int, number: int, body: bytes = b"") -> Pdu:
    return Pdu.from_octets(encode(command_id, number, body))


def bind(command_id: int, number: int) -> Pdu:
    return Pdu.from_octets(encode_bind(command_id, number, b"shop", b"secret"))


def bind_transmitter(number: int) -> Pdu:
    return bind(CommandId.BIND_TRANSMITTER, number)


def submit_sm(number: int, short_message: bytes = b"hello", **fields: Any) -> Pdu:
    return Pdu.from_octets(encode_submit(number, b"106900001", b"8613800000001", short_message, **fields))


def unbind(number: int) -> Pdu:
    return pdu(CommandId.UNBIND, number)


def enquire_link(number: int) -> Pdu:
    return pdu(CommandId.ENQUIRE_LINK, number)
