"""A provider that survives what the relay goes through, and remembers every answer it was given.

Each message has a subscriber of its own, so that its body is unlike any other and its decisions are found by their
recipient. What is answered is never sent again; what lost its link before it was answered is, as a provider would.
A status that says "later" makes its place in the window wait, so that a pause of the SMSC does not burn all messages.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, cast

from smsc_filter.lab.traffic import Account, recipient
from smsc_filter.smpp.codec import encode, encode_bind, encode_submit
from smsc_filter.smpp.constants import HEADER_OCTETS, RESPONSE_BIT, CommandId, CommandStatus
from smsc_filter.smpp.pdu import HEADER
from smsc_filter.sms.coding import encode_text

SESSIONS: Final = 4
WINDOW: Final = 100
BACK_OFF_SECONDS: Final = 0.25
"""How long a place in the window rests after a status that says "later"."""

RECONNECT_SECONDS: Final = 0.05
PATIENCE_SECONDS: Final = 120.0
BIND_NUMBER: Final = 0x7FFFFFFF
LATER: Final = frozenset({CommandStatus.ESME_RMSGQFUL, CommandStatus.ESME_RSYSERR})
"""What the relay answers while the SMSC or the store is away."""

BANK: Final = Account(
    system_id="bank",
    password="bank-pw",
    owner="bank-ltd",
    purpose="service",
    senders=("1069000201",),
)
SHOP: Final = Account(
    system_id="shop",
    password="shop-pw",
    owner="shop-ltd",
    purpose="commercial",
    senders=("1069000101",),
)
CAPPED_SENDER: Final = "1069000299"
"""Of the bank, with a cap; the tests put it into the configuration."""

CODE: Final = "Your verification code is 428913. It is valid for 5 minutes. Do not share it."
ADVERTISEMENT: Final = "【云上商城】周末全场五折，满200减50，快来抢购！拒收请回复TD"

KINDS: Final[tuple[tuple[Account, str, str], ...]] = (
    # whose bind, source address, text; message i is of kind i modulo their number
    *((BANK, BANK.senders[0], CODE),) * 4,
    (SHOP, SHOP.senders[0], ADVERTISEMENT),  # agreed
    (SHOP, SHOP.senders[0], ADVERTISEMENT),  # not agreed
    (SHOP, SHOP.senders[0], ADVERTISEMENT),  # agreed
    (SHOP, "1069099999", CODE),  # nobody's address
    (BANK, CAPPED_SENDER, CODE),
    (SHOP, SHOP.senders[0], CODE),
)
AGREED: Final = (4, 6)
CAPPED: Final = 8


NOBODY: Final = (None, 0.0)


class Answer(NamedTuple):
    """What a message was answered, and when, in seconds of ``time.monotonic``."""

    status: int
    message_id: bytes
    sent_at: float
    answered_at: float


@dataclass(slots=True)
class Letter:
    """One message and what became of it."""

    number: int
    account: Account
    body: bytes
    """Of its submit_sm, behind the header."""

    answer: Answer | None = None
    lost: list[tuple[float, float]] = field(default_factory=list)
    """(sent, link lost) of each time it was sent and never answered."""

    @property
    def recipient(self) -> str:
        """Its subscriber, whom no other message is for."""
        return recipient(self.number)

    @property
    def sent(self) -> int:
        """How often it was sent."""
        return len(self.lost) + (self.answer is not None)


def letters(count: int) -> list[Letter]:
    """``count`` messages of all kinds, mixed."""
    encoded = [(account, source.encode(), *encode_text(text)) for account, source, text in KINDS]
    written = []
    for number in range(count):
        account, source, octets, data_coding = encoded[number % len(encoded)]
        octets = encode_submit(0, source, recipient(number).encode(), octets, data_coding=data_coding, source_ton=0)
        written.append(Letter(number, account, octets[HEADER_OCTETS:]))
    return written


def agreements(count: int) -> list[str]:
    """Lines of the CSV file that goes with ``letters(count)``."""
    agreed = [number for number in range(count) if number % len(KINDS) in AGREED]
    return ["recipient,owner,state", *(f"{recipient(number)},{SHOP.owner},granted" for number in agreed)]


class Provider:
    """All sessions together."""

    def __init__(self, port: int, written: Sequence[Letter]) -> None:
        """Send ``written`` to whoever listens on ``port``."""
        self.port = port
        """Where to connect next; changes when the relay comes back elsewhere."""
        self.answered = 0
        self.lost_links = 0
        self.strays = 0
        """Answers to nothing that waits for one."""
        self.may_send = len(written)
        """How many more messages may be sent now; less than all, where a test wants to find traffic later."""
        self._to_answer = len(written)
        self._milestones: list[tuple[int, asyncio.Event]] = []
        self._queues = {
            system_id: deque(letter for letter in written if letter.account.system_id == system_id)
            for system_id in {letter.account.system_id for letter in written}
        }

    async def run(self, patience: float = PATIENCE_SECONDS) -> None:
        """Send everything and wait for every answer, ``patience`` seconds at most.

        Raises:
            TimeoutError: something is not answered.
        """
        accounts = {account.system_id: account for account in (BANK, SHOP)}
        names = sorted(self._queues)
        async with asyncio.timeout(patience), asyncio.TaskGroup() as group:
            for index in range(SESSIONS):
                name = names[index % len(names)]
                group.create_task(self._keep_session(accounts[name], self._queues[name]))

    async def reached(self, share: float) -> None:
        """Wait until so much is answered."""
        event = asyncio.Event()
        self._milestones.append((int(share * self._to_answer), event))
        await event.wait()

    @property
    def done(self) -> bool:
        """Whether everything is answered."""
        return self.answered >= self._to_answer

    def note_answers(self, count: int) -> None:
        """So many more are answered."""
        self.answered += count
        for milestone, event in self._milestones:
            if self.answered >= milestone:
                event.set()

    async def _keep_session(self, account: Account, queue: deque[Letter]) -> None:
        """Bind, and bind again whenever the link is lost, until everything is answered."""
        loop = asyncio.get_running_loop()
        while not self.done:
            session = Session(self, account, queue)
            try:
                await loop.create_connection(lambda session=session: session, "127.0.0.1", self.port)  # type: ignore[misc]
            except OSError:
                await asyncio.sleep(RECONNECT_SECONDS)
                continue
            try:
                await self._drive(session)
            finally:
                # Also when a fault's own check failed: uvloop does not close with a transport left open.
                session.close()
            if session.closed.is_set():
                self.lost_links += 1
                await asyncio.sleep(RECONNECT_SECONDS)

    async def _drive(self, session: Session) -> None:
        """Keep a window full, until everything is answered or the link is lost."""
        while not (self.done or session.closed.is_set()):
            try:
                await asyncio.wait_for(session.closed.wait(), RECONNECT_SECONDS)
            except TimeoutError:
                session.fill_window()


class Session(asyncio.Protocol):
    """One bind, for as long as its link lasts."""

    def __init__(self, provider: Provider, account: Account, queue: deque[Letter]) -> None:
        self.closed = asyncio.Event()
        self._provider = provider
        self._account = account
        self._queue = queue
        self._transport: asyncio.Transport | None = None
        self._bound = False
        self._rest = b""
        self._next_number = 1
        self._waiting: dict[int, tuple[Letter, float]] = {}
        self._resting = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Bind."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(
            encode_bind(
                CommandId.BIND_TRANSCEIVER,
                BIND_NUMBER,
                self._account.system_id.encode(),
                self._account.password.encode(),
            )
        )

    def connection_lost(self, exc: Exception | None) -> None:
        """What is unanswered is to be sent again."""
        self._transport = None
        now = time.monotonic()
        for letter, sent_at in self._waiting.values():
            letter.lost.append((sent_at, now))
        self._provider.may_send += len(self._waiting)
        self._queue.extendleft(letter for letter, _ in reversed(self._waiting.values()))
        self._waiting.clear()
        self.closed.set()

    def fill_window(self) -> None:
        """Send as much as the window has room for."""
        if not self._bound or self._transport is None:
            return
        now = time.monotonic()
        parts = []
        room = min(WINDOW - len(self._waiting) - self._resting, len(self._queue), self._provider.may_send)
        self._provider.may_send -= max(0, room)
        for _ in range(room):
            letter = self._queue.popleft()
            self._waiting[self._next_number] = letter, now
            parts.append(encode(CommandId.SUBMIT_SM, self._next_number, letter.body))
            self._next_number += 1
        if parts:
            self._transport.write(b"".join(parts))

    def data_received(self, data: bytes) -> None:
        """Note every answer."""
        data = self._rest + data
        now = time.monotonic()
        start = answered = later = 0
        while len(data) - start >= HEADER_OCTETS:
            length, command_id, status, number = HEADER.unpack_from(data, start)
            if start + length > len(data):
                break
            if command_id == CommandId.SUBMIT_SM_RESP:
                letter, sent_at = self._waiting.pop(number, NOBODY)
                if letter is None:
                    self._provider.strays += 1
                else:
                    letter.answer = Answer(status, data[start + HEADER_OCTETS : start + length - 1], sent_at, now)
                    answered += 1
                    later += status in LATER
            else:
                self._take(command_id, status, number)
            start += length
        self._rest = data[start:]
        if later:
            self._resting += later
            asyncio.get_running_loop().call_later(BACK_OFF_SECONDS, self._rested, later)
        self._provider.note_answers(answered)
        self.fill_window()

    def _take(self, command_id: int, status: int, number: int) -> None:
        assert self._transport is not None
        if command_id == CommandId.BIND_TRANSCEIVER_RESP:
            self._bound = status == CommandStatus.ESME_ROK
            if not self._bound:  # the store may be away; the next bind is for the next link
                self._transport.close()
        elif not command_id & RESPONSE_BIT:
            self._transport.write(encode(command_id | RESPONSE_BIT, number))

    def _rested(self, count: int) -> None:
        self._resting -= count
        self.fill_window()

    def close(self) -> None:
        """Unbind and hang up."""
        if self._transport is not None:
            self._transport.write(encode(CommandId.UNBIND, BIND_NUMBER))
            self._transport.close()
