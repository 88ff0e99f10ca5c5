"""One SMPP session as a table and a few verbs: no socket, no clock.

Octets and the time come in, PDUs the owner must act on come out, and octets to send are collected;
``relay.link`` is the thin shell around it. The server's side (we are the SMSC of a provider) and the client's
side (we are an ESME of the SMSC) differ only in who may ask what, so they share one class and two tables.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from smsc_filter.smpp.codec import DEFAULT_MAX_PDU_OCTETS, encode, take_pdus
from smsc_filter.smpp.constants import (
    MAX_SEQUENCE_NUMBER,
    RESPONSE_BIT,
    CommandId,
    CommandStatus,
)
from smsc_filter.smpp.errors import FramingError
from smsc_filter.smpp.pdu import Pdu


class State(Enum):
    """Section 2.2, and two of our own: BINDING until a bind is answered, UNBOUND after unbind."""

    OPEN = "open"
    BINDING = "binding"
    BOUND_TX = "bound_tx"
    BOUND_RX = "bound_rx"
    BOUND_TRX = "bound_trx"
    UNBOUND = "unbound"


BOUND: Final = frozenset({State.BOUND_TX, State.BOUND_RX, State.BOUND_TRX})

BINDS: Final[Mapping[int, State]] = {
    CommandId.BIND_TRANSMITTER: State.BOUND_TX,
    CommandId.BIND_RECEIVER: State.BOUND_RX,
    CommandId.BIND_TRANSCEIVER: State.BOUND_TRX,
}
"""The state that follows once a bind is answered ESME_ROK."""

_LINK = {CommandId.UNBIND, CommandId.ENQUIRE_LINK}
_TEXT_OUT = {
    CommandId.SUBMIT_SM,
    CommandId.SUBMIT_MULTI,
    CommandId.DATA_SM,
    CommandId.QUERY_SM,
    CommandId.CANCEL_SM,
    CommandId.REPLACE_SM,
}
_TEXT_IN = {CommandId.DELIVER_SM, CommandId.DATA_SM, CommandId.ALERT_NOTIFICATION}

Admissions = Mapping[State, frozenset[int]]

# Requests each side may make in each state (SMPP v3.4, section 2.3). UNBOUND hears nothing more.
FROM_ESME: Final[Admissions] = {
    State.OPEN: frozenset(BINDS),
    State.BINDING: frozenset(),
    State.BOUND_TX: frozenset(_LINK | _TEXT_OUT),
    State.BOUND_RX: frozenset(_LINK),
    State.BOUND_TRX: frozenset(_LINK | _TEXT_OUT),
    State.UNBOUND: frozenset(),
}
FROM_SMSC: Final[Admissions] = {
    State.OPEN: frozenset({CommandId.OUTBIND}),
    State.BINDING: frozenset(),
    State.BOUND_TX: frozenset(_LINK),
    State.BOUND_RX: frozenset(_LINK | _TEXT_IN),
    State.BOUND_TRX: frozenset(_LINK | _TEXT_IN),
    State.UNBOUND: frozenset(),
}

REQUESTS: Final = frozenset(command for command in CommandId if not command & RESPONSE_BIT)
UNANSWERED_COMMANDS: Final = frozenset({CommandId.ALERT_NOTIFICATION, CommandId.OUTBIND})
"""Requests that have no response."""

UNBIND: Final = int(CommandId.UNBIND)
ENQUIRE_LINK: Final = int(CommandId.ENQUIRE_LINK)
ENQUIRE_LINK_RESP: Final = int(CommandId.ENQUIRE_LINK_RESP)


MAX_OCTETS_A_TURN: Final = 16 << 10
"""Of requests of one peer that are taken in one turn; the rest waits for the turns of others."""

UNLIMITED: Final = 1 << 62


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionTimers:
    """``[timers]``: the SMPP v3.4 session timers (section 7.2), in seconds; 0 turns one off."""

    session_init: float = 10.0
    """From TCP connect to the bind request; a slower peer is disconnected."""

    enquire_link: float = 30.0
    """Silence after which the peer is asked whether it is still there."""

    inactivity: float = 0.0
    """Time without a request of the peer, enquire_link not counted, after which it is unbound. Off, because
    enquire_link already finds the dead and a receiver that hears nothing for a day is no fault."""

    response: float = 30.0
    """Longest wait for a response: of a peer to enquire_link, of the SMSC to anything relayed."""


class Due(Enum):
    """What a timer asks of the session's owner."""

    NOTHING = 0
    CLOSE = 1
    """The peer is gone or never came: close the link."""
    UNBIND = 2
    """The peer is idle: unbind it, then close."""


class Session:
    """What one peer may say, and what we have yet to send it."""

    __slots__ = (
        "_admissions",
        "_enquired_at",
        "_held",
        "_next_sequence",
        "_received",
        "_requested_at",
        "_timers",
        "_write",
        "broken",
        "halted",
        "heard_at",
        "held_octets",
        "max_pdu_octets",
        "opened_at",
        "shed_status",
        "state",
        "taken_octets",
        "to_send",
        "unanswered",
        "window",
    )  # fmt: skip

    def __init__(
        self,
        admissions: Admissions,
        now: float,
        timers: SessionTimers | None = None,
        *,
        window: int = 0,
        max_pdu_octets: int = DEFAULT_MAX_PDU_OCTETS,
    ) -> None:
        """Begin a session at ``now`` (seconds of any steady clock).

        ``window`` is the most requests of the peer that may wait for our answer; further ones are held until one is
        answered, and what is no request passes them by. 0 sets no bound.
        """
        self.state = State.OPEN
        self.window = window
        self.max_pdu_octets = max_pdu_octets
        self.opened_at = self.heard_at = now
        self.unanswered = 0
        """Requests handed to the owner and not yet answered."""
        self.broken: FramingError | None = None
        """Set once the stream has lost its boundaries: answer what came before, then close."""
        self._admissions = admissions
        self._timers = timers or SessionTimers()
        self._received = bytearray()
        self._held: deque[Pdu] = deque()
        self.held_octets = 0
        """Of requests that came and are held back."""
        self.taken_octets = 0
        """Of requests that the last ``receive`` returned."""
        self.halted = False
        """Whether every request is held back, for a reason of the owner's."""
        self.shed_status = 0
        """When not 0: what a request is answered that would have to be held back."""
        self.to_send: list[bytes] = []
        """What ``bytes_to_send`` will give."""
        self._write = self.to_send.append
        self._next_sequence = 0
        self._enquired_at: float | None = None
        self._requested_at = now

    @property
    def stands(self) -> bool:
        """Whether nothing at all is heard: a bind is being decided, or the stream is lost and done with."""
        return self.state is State.BINDING or (self.broken is not None and not self._held)

    @property
    def window_full(self) -> bool:
        """Whether as many requests wait for our answer as may."""
        return bool(self.window) and self.unanswered >= self.window

    @property
    def may_go_on(self) -> bool:
        """Whether a request is held back that could be taken now."""
        return bool(self._held) and not self.halted and not self.window_full and not self.stands

    def receive(self, data: bytes, now: float, most_octets: int = MAX_OCTETS_A_TURN) -> list[Pdu]:
        """Take octets from the peer; return what the owner must act on, in order.

        That is every request the peer may make now, but for enquire_link, which is answered here, and every
        response. What the peer may not say is answered here as the specification asks. A bind request, or the
        answer to ours, is the last of its list: what follows it waits until the state has moved on.

        A full window, ``halted`` and ``most_octets`` hold back requests alone: responses, which others wait for, and
        enquire_link come through. The last request taken may go beyond ``most_octets``.
        """
        received = self._received
        if data:
            self.heard_at = now
            self._enquired_at = None
            received += data
        taken: list[Pdu] = []
        if self.state is State.BINDING:
            return taken
        admitted = self._admissions[self.state]
        left = 0 if self.halted else most_octets
        room = self.window - self.unanswered if self.window else UNLIMITED
        if self._held:
            left, room = self._take_held(taken, left, room)
            if self._held:
                room = 0  # what comes now stands behind them
        if self.broken is not None:
            received.clear()
        try:
            for pdu in take_pdus(received, self.max_pdu_octets):
                command_id = pdu.command_id
                if command_id in admitted:
                    if command_id == ENQUIRE_LINK:
                        self._write(pdu.reply())
                        continue
                    self._requested_at = now
                    if left <= 0 or room <= 0:
                        self._hold(pdu)
                        continue
                    taken.append(pdu)
                    left -= len(pdu.octets)
                    if command_id in UNANSWERED_COMMANDS:
                        continue
                    self.unanswered += 1
                    room -= 1
                    if command_id in BINDS:
                        self.state = State.BINDING
                        break
                    continue
                if command_id & RESPONSE_BIT:
                    if command_id != ENQUIRE_LINK_RESP:
                        taken.append(pdu)
                    bind = command_id ^ RESPONSE_BIT
                    if bind in BINDS and self.state is State.OPEN and bind not in admitted:
                        # What follows in the same octets belongs to the state the owner is about to set. A peer
                        # that may bind to us has no bind of ours to answer, and session_init goes on for it.
                        self.state = State.BINDING
                        break
                else:
                    self._refuse(pdu)
        except FramingError as error:
            self.broken = error
            received.clear()
            status = CommandStatus.ESME_RINVCMDLEN
            self._write(encode(CommandId.GENERIC_NACK, error.sequence_number, status=status))
        self.taken_octets = 0 if self.halted else most_octets - left
        return taken

    def _take_held(self, taken: list[Pdu], left: int, room: int) -> tuple[int, int]:
        """Move requests that were held back to ``taken``; what is left of both bounds."""
        held = self._held
        while held and left > 0 and room > 0:
            pdu = held.popleft()
            self.held_octets -= len(pdu.octets)
            left -= len(pdu.octets)
            taken.append(pdu)
            if pdu.command_id not in UNANSWERED_COMMANDS:
                self.unanswered += 1
                room -= 1
        return left, room

    def _hold(self, pdu: Pdu) -> None:
        """Keep a request for later, or tell the peer to make it later where no more is kept."""
        if self.shed_status and pdu.command_id != UNBIND:
            if pdu.command_id not in UNANSWERED_COMMANDS:
                self._write(pdu.reply(self.shed_status))
            return
        self._held.append(pdu)
        self.held_octets += len(pdu.octets)

    def answer_held(self, status: int) -> None:
        """Answer every request that is held back: nobody will take it any more."""
        for pdu in self._held:
            if pdu.command_id not in UNANSWERED_COMMANDS:
                self._write(pdu.reply(status))
        self._held.clear()
        self.held_octets = 0

    def _refuse(self, pdu: Pdu) -> None:
        """Answer a request that is unknown or out of place."""
        if pdu.command_id not in REQUESTS:
            self._write(encode(CommandId.GENERIC_NACK, pdu.sequence_number, status=CommandStatus.ESME_RINVCMDID))
        elif pdu.command_id in UNANSWERED_COMMANDS:
            return
        elif pdu.command_id in BINDS and self.state in BOUND:
            self._write(pdu.reply(CommandStatus.ESME_RALYBND))
        else:
            self._write(pdu.reply(CommandStatus.ESME_RINVBNDSTS))

    def answer(self, request: Pdu, status: int, body: bytes = b"") -> None:
        """Answer ``request``; answering ESME_ROK moves the session on."""
        self.respond(request.reply(status, body))
        if request.command_id in BINDS:
            self.state = BINDS[request.command_id] if status == CommandStatus.ESME_ROK else State.OPEN
        elif request.command_id == CommandId.UNBIND and status == CommandStatus.ESME_ROK:
            self.state = State.UNBOUND

    def respond(self, octets: bytes) -> None:
        """Send a response made elsewhere to one of the peer's requests."""
        self._write(octets)
        self.unanswered -= 1

    def request(self, command_id: int, body: bytes = b"") -> int:
        """Ask the peer something of our own; returns the sequence_number that its answer will carry."""
        number = self.next_sequence()
        self._write(encode(command_id, number, body))
        return number

    def relay(self, pdu: Pdu) -> int:
        """Pass on a request of somebody else, unchanged but for its sequence_number, which is returned."""
        number = self._next_sequence = self._next_sequence % MAX_SEQUENCE_NUMBER + 1
        self._write(pdu.numbered(number))
        return number

    def next_sequence(self) -> int:
        """The next free sequence_number, 1 to 0x7FFFFFFF and round again."""
        self._next_sequence = self._next_sequence % MAX_SEQUENCE_NUMBER + 1
        return self._next_sequence

    def bytes_to_send(self) -> bytes:
        """Everything to send by now, joined: one write for as many PDUs as there are."""
        octets = self.to_send[0] if len(self.to_send) == 1 else b"".join(self.to_send)
        self.to_send.clear()
        return octets

    def tick(self, now: float) -> Due:
        """Look at the timers; asks the peer for a sign of life when one is due."""
        timers = self._timers
        if self.state is State.OPEN:
            late = timers.session_init and now - self.opened_at >= timers.session_init
            return Due.CLOSE if late else Due.NOTHING
        if self.state not in BOUND:
            return Due.NOTHING
        if self._enquired_at is not None:
            late = timers.response and now - self._enquired_at >= timers.response
            return Due.CLOSE if late else Due.NOTHING
        if timers.inactivity and now - self._requested_at >= timers.inactivity:
            return Due.UNBIND
        if timers.enquire_link and now - self.heard_at >= timers.enquire_link:
            self.request(ENQUIRE_LINK)
            self._enquired_at = now
        return Due.NOTHING
