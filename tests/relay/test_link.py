"""What a link reads, holds back, sheds and gives up, on a transport that only notes what is asked of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from smsc_filter.relay import link as module
from smsc_filter.relay.link import SHED_SECONDS, UNREAD_SECONDS, Halt, Link, Turn
from smsc_filter.smpp.codec import encode, encode_submit
from smsc_filter.smpp.constants import CommandId, CommandStatus
from smsc_filter.smpp.pdu import Pdu
from smsc_filter.smpp.session import FROM_ESME, Due, Session, State

TEXT = encode_submit(7, b"106900001", b"8613800000001", b"x" * 200)


class Loop:
    """A loop whose time stands still, and whose turns a test takes."""

    def __init__(self) -> None:
        self.now = 100.0
        self.soon: list[Callable[[], None]] = []

    def time(self) -> float:
        return self.now

    def call_soon(self, call: Callable[[], None]) -> None:
        self.soon.append(call)

    def turn(self) -> None:
        calls, self.soon = self.soon, []
        for call in calls:
            call()


class Transport:
    """A transport that reads or does not, and keeps what is written."""

    def __init__(self) -> None:
        self.reads = True
        self.written = b""

    def pause_reading(self) -> None:
        self.reads = False

    def resume_reading(self) -> None:
        self.reads = True

    def write(self, octets: bytes) -> None:
        self.written += octets

    def is_closing(self) -> bool:
        return False


class Kept(Link):
    """A link that keeps what it is given."""

    taken: list[Pdu]

    def take(self, pdus: Sequence[Pdu]) -> None:
        self.taken += pdus

    def lost(self) -> None:
        """Nobody cares."""


def make(window: int = 1) -> tuple[Kept, Loop, Transport]:
    loop, transport = Loop(), Transport()
    session = Session(FROM_ESME, loop.now, window=window)
    session.state = State.BOUND_TRX
    link = Kept(session, loop, Turn(loop))  # type: ignore[arg-type]
    link.taken = []
    link.connection_made(transport)  # type: ignore[arg-type]
    return link, loop, transport


def statuses(octets: bytes) -> list[int]:
    found = []
    while octets:
        length = int.from_bytes(octets[:4], "big")
        found.append(Pdu.from_octets(octets[:length]).command_status)
        octets = octets[length:]
    return found


def test_a_link_that_holds_back_too_much_is_not_read_and_then_sheds() -> None:
    link, loop, transport = make()
    link.data_received(TEXT * (module.MOST_HELD_OCTETS // len(TEXT) + 3))
    assert len(link.taken) == 1
    assert not transport.reads
    loop.now += SHED_SECONDS
    link.tick(loop.now)
    assert transport.reads
    link.data_received(TEXT * 2 + encode(CommandId.DELIVER_SM_RESP, 1, b"\0"))
    loop.turn()
    assert statuses(transport.written) == [CommandStatus.ESME_RTHROTTLED] * 2
    assert [pdu.name for pdu in link.taken] == ["submit_sm", "deliver_sm_resp"]
    while link.session.held_octets > module.MOST_HELD_OCTETS // 2:
        link.session.answer(link.taken[-1], CommandStatus.ESME_ROK)
        link.flush_soon()
        loop.turn()
        loop.turn()
    link.data_received(TEXT)
    assert link.session.shed_status == 0, "with room again nothing is shed"


def test_a_busy_worker_hears_answers_and_goes_on_in_order() -> None:
    link, loop, transport = make(window=1000)
    link.halt(Halt.BUSY)
    link.data_received(TEXT + encode(CommandId.DELIVER_SM_RESP, 1, b"\0") + encode(CommandId.ENQUIRE_LINK, 2))
    loop.turn()
    assert transport.reads
    assert [pdu.name for pdu in link.taken] == ["deliver_sm_resp"]
    assert statuses(transport.written) == [0]
    link.resume(Halt.BUSY)
    assert [pdu.name for pdu in link.taken] == ["deliver_sm_resp", "submit_sm"]


def test_one_turn_takes_some_and_the_next_turns_the_rest() -> None:
    link, loop, _ = make(window=0)
    link.data_received(TEXT * 400)
    first = len(link.taken)
    assert 0 < first < 400
    turns = 0
    while len(link.taken) < 400:
        loop.turn()
        turns += 1
        assert turns < 100
    assert turns >= 2


def test_a_peer_that_does_not_read_is_given_up() -> None:
    link, loop, transport = make()
    link.pause_writing()
    assert not transport.reads
    loop.now += UNREAD_SECONDS - 1
    assert link.tick(loop.now) is not Due.CLOSE
    loop.now += 1
    assert link.tick(loop.now) is Due.CLOSE
    link.resume_writing()
    assert transport.reads
