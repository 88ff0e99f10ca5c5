"""The simulated SMSC: takes every kind of bind, accepts what it is sent, and can be told to misbehave.

A submit_sm on a bound link, which is nearly everything a relay sends, is answered in one short loop over the octets
of a read: about 1 us each, so that a bench measures the relay and not its surroundings. All else takes the road
through ``smpp.session``, which knows what may be said when.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import re
import signal
import ssl
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self, cast

import uvloop

from smsc_filter.lab.journal import JournalWriter, encode_record, read_journal
from smsc_filter.smpp.codec import DEFAULT_MAX_PDU_OCTETS, encode_submit
from smsc_filter.smpp.constants import (
    HEADER_OCTETS,
    RESPONSE_BIT,
    CommandId,
    CommandStatus,
    DataCoding,
    EsmClass,
    TlvTag,
)
from smsc_filter.smpp.errors import PduError
from smsc_filter.smpp.pdu import HEADER, Pdu
from smsc_filter.smpp.session import BINDS, BOUND, FROM_ESME, Session, SessionTimers, State
from smsc_filter.smpp.tlv import encode_tlv
from smsc_filter.sms.coding import decode_text, encode_text

__all__ = ["Simulator", "SimulatorOptions", "SmscLink", "add_arguments", "read_journal", "run", "run_simulator"]

SYSTEM_ID: Final = b"smsc-sim"
SUBMIT_SM: Final = int(CommandId.SUBMIT_SM)
SUBMIT_SM_RESP: Final = int(CommandId.SUBMIT_SM_RESP)
ROK: Final = int(CommandStatus.ESME_ROK)

TEXT_COMMANDS: Final = frozenset({CommandId.SUBMIT_SM, CommandId.SUBMIT_MULTI, CommandId.DATA_SM, CommandId.REPLACE_SM})
"""Requests that carry a text; the simulator keeps and journals these."""

TRANSMITTING: Final = frozenset({State.BOUND_TX, State.BOUND_TRX})
RECEIVING: Final = frozenset({State.BOUND_RX, State.BOUND_TRX})

DELIVERED: Final = 2
"""message_state (section 5.2.28)."""

MAX_WAITING: Final = 10_000
"""Receipts and replies kept for a receiver that is not bound."""


def _uuid(number: int) -> bytes:
    digits = b"%032x" % number
    return b"-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


# A method of a bytes object costs no Python frame.
ID_FORMATS: Final[dict[str, Callable[[int], bytes]]] = {
    "decimal": b"%d".__mod__,
    "hex": b"%X".__mod__,
    "uuid": _uuid,
    "padded": b"%020d".__mod__,
}
"""How a message_id is written; SMSCs differ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatorOptions:
    """How the simulator behaves."""

    host: str = "127.0.0.1"
    port: int = 2776
    """0: any free one."""

    system_id: str = ""
    """The only account that may bind; empty: any."""

    password: str = ""
    """What it must give; empty: anything."""

    latency_ms: float = 0.0
    """How long every answer to a message waits."""

    refuse_rate: float = 0.0
    """Share of messages refused with ``refuse_status``."""

    refuse_status: int = CommandStatus.ESME_RTHROTTLED
    silent_rate: float = 0.0
    """Share of messages never answered."""

    receipts: bool = False
    """Whether registered_delivery is honoured."""

    id_format: str = "decimal"
    """One of ``ID_FORMATS``."""

    journal: Path | None = None
    """Where accepted messages are written before they are answered."""

    tls_cert: str = ""
    tls_key: str = ""

    @property
    def erratic(self) -> bool:
        """Whether a message may meet anything but acceptance."""
        return bool(self.refuse_rate or self.silent_rate or self.receipts)


@dataclass(slots=True)
class Answered:
    """What came of the requests of one read."""

    octets: list[bytes] = field(default_factory=list)
    """Responses, in the order of the requests."""

    records: list[bytes] = field(default_factory=list)
    """For the journal."""

    receipts: list[tuple[bytes, Pdu]] = field(default_factory=list)
    """(message_id, request) of messages whose receipt is to follow the responses."""

    bound: bool = False
    """Whether a bind was among them: what waited for a receiver can follow."""


class SmscLink(asyncio.Protocol):
    """One bind, as the simulator sees it."""

    def __init__(self, smsc: Simulator) -> None:
        self.smsc = smsc
        self.number = 0
        self.system_id = b""
        self.address_range = ""
        self.session = Session(FROM_ESME, 0.0, SessionTimers(session_init=0, enquire_link=0))
        self.answers: Counter[int] = Counter()
        """What the peer answered to deliver_sm, by command_status."""
        self._transport: asyncio.Transport | None = None
        self._rest = b""
        self._quick = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        # uvloop's transports are no subclass, they only quack.
        self._transport = cast(asyncio.Transport, transport)
        self.smsc.connections += 1
        self.number = self.smsc.connections
        self.smsc.links.append(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """The peer is gone, or we are."""
        self._transport = None
        self.smsc.links.remove(self)

    def pause_writing(self) -> None:
        """The peer does not read: hear nothing more from it."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """The peer reads again."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        """Answer every whole PDU; the octets of an unfinished one wait for the rest."""
        if self._rest:
            data = self._rest + data
        smsc = self.smsc
        answered = Answered()
        answer, record = answered.octets.append, answered.records.append
        unpack, pack, make_id = HEADER.unpack_from, HEADER.pack, smsc.make_id
        kept, journal, quick = smsc.received, smsc.journal, self._quick
        keeps = smsc.keep > 0
        number, connection = smsc.next_number, self.number
        end, start = len(data), 0
        while end - start >= HEADER_OCTETS:
            length, command_id, _, sequence_number = unpack(data, start)
            stop = start + length
            if not HEADER_OCTETS <= length <= DEFAULT_MAX_PDU_OCTETS:
                self._lose_boundaries(answered)
                start = end
                break
            if stop > end:
                break
            if quick and command_id == SUBMIT_SM:
                message_id = make_id(number)
                number += 1
                answer(b"%b%b\0" % (pack(17 + len(message_id), SUBMIT_SM_RESP, ROK, sequence_number), message_id))
                if journal is not None:
                    record(encode_record(connection, message_id, data[start:stop]))
                if keeps:
                    kept.append(data[start:stop])
            else:
                smsc.next_number = number
                self._take(data[start:stop], answered)
                number, quick = smsc.next_number, self._quick
            start = stop
        smsc.next_number = number
        self._rest = data[start:] if start < end else b""
        if keeps and len(kept) > 2 * smsc.keep:
            del kept[: -smsc.keep]
        self._finish(answered)

    def _finish(self, answered: Answered) -> None:
        """Journal first, then answers, then receipts."""
        smsc = self.smsc
        if answered.records and smsc.journal is not None:
            smsc.journal.write(answered.records)
        octets = b"".join(answered.octets)
        if smsc.options.latency_ms and self.session.state in BOUND and not answered.bound:
            asyncio.get_running_loop().call_later(
                smsc.options.latency_ms / 1000, self._send_all, octets, answered.receipts
            )
        else:
            self._send_all(octets, answered.receipts)
        if answered.bound and self.session.state in RECEIVING:
            smsc.deliver_waiting(self)
        if self.session.state is State.UNBOUND and self._transport is not None:
            self._transport.close()

    def _send_all(self, octets: bytes, receipts: list[tuple[bytes, Pdu]]) -> None:
        self.send(octets)
        for message_id, request in receipts:
            self.smsc.send_receipt(self, message_id, request)

    def send(self, octets: bytes) -> None:
        """Write to the peer, if it is still there."""
        if octets and self._transport is not None:
            self._transport.write(octets)

    def request(self, command_id: int, body: bytes = b"") -> None:
        """Ask the peer something."""
        self.session.request(command_id, body)
        self.send(self.session.bytes_to_send())

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.close()

    def _lose_boundaries(self, answered: Answered) -> None:
        nack = HEADER.pack(HEADER_OCTETS, CommandId.GENERIC_NACK, CommandStatus.ESME_RINVCMDLEN, 0)
        answered.octets.append(nack)
        self.session.state = State.UNBOUND
        self._quick = False

    def _take(self, octets: bytes, answered: Answered) -> None:
        """Act on one PDU of any kind."""
        session = self.session
        for pdu in session.receive(octets, 0.0):
            if pdu.command_id & RESPONSE_BIT:
                self.answers[pdu.command_status] += 1
            elif pdu.command_id in TEXT_COMMANDS:
                self._take_text(pdu, answered)
            else:
                try:
                    status, body = self._reply(pdu)
                except PduError as error:
                    status, body = error.status, b""
                session.answer(pdu, status, body)
                answered.bound = answered.bound or (pdu.command_id in BINDS and status == ROK)
        answered.octets.append(session.bytes_to_send())
        self._quick = session.state in TRANSMITTING and not self.smsc.options.erratic

    def _take_text(self, pdu: Pdu, answered: Answered) -> None:
        """Accept a message, refuse it, or say nothing, as the options have it."""
        smsc, session = self.smsc, self.session
        options = smsc.options
        if smsc.keep:
            smsc.received.append(pdu.octets)
        if options.silent_rate and random.random() < options.silent_rate:
            return
        if options.refuse_rate and random.random() < options.refuse_rate:
            session.answer(pdu, options.refuse_status)
            return
        try:
            message_id, body = self._accept(pdu)
        except PduError as error:
            session.answer(pdu, error.status)
            return
        if smsc.journal is not None:
            answered.records.append(encode_record(self.number, message_id, pdu.octets))
        session.answer(pdu, ROK, body)
        if options.receipts and pdu.command_id in (CommandId.SUBMIT_SM, CommandId.DATA_SM):
            registered = pdu.fields()["registered_delivery"]
            assert isinstance(registered, int)
            # 1: whatever the outcome; 2: failures only, and nothing fails here (section 5.2.17).
            if registered & 0x03 == 1:
                answered.receipts.append((message_id, pdu))

    def _accept(self, pdu: Pdu) -> tuple[bytes, bytes]:
        """(message_id, body of the response) of a message that is fine."""
        if pdu.command_id == CommandId.REPLACE_SM:
            replaced = pdu.fields()["message_id"]
            assert isinstance(replaced, bytes)
            self._expect_known(pdu, replaced)
            return replaced, b""
        pdu.fields()
        message_id = self.smsc.next_id()
        # no_unsuccess: every destination of a submit_multi is fine.
        return message_id, message_id + (b"\0\0" if pdu.command_id == CommandId.SUBMIT_MULTI else b"\0")

    def _reply(self, pdu: Pdu) -> tuple[int, bytes]:
        """(command_status, body) for a request without text."""
        if pdu.command_id in BINDS:
            return self._bind(pdu)
        if pdu.command_id in (CommandId.QUERY_SM, CommandId.CANCEL_SM):
            message_id = pdu.fields()["message_id"]
            assert isinstance(message_id, bytes)
            # Without an id, cancel_sm means all messages between two parties; there is none left to cancel.
            if message_id or pdu.command_id == CommandId.QUERY_SM:
                self._expect_known(pdu, message_id)
            if pdu.command_id == CommandId.QUERY_SM:
                return ROK, message_id + b"\0" + time.strftime("%y%m%d%H%M%S000+").encode() + bytes((0, DELIVERED, 0))
        return ROK, b""

    def _bind(self, pdu: Pdu) -> tuple[int, bytes]:
        fields = pdu.fields()
        system_id, options = fields["system_id"], self.smsc.options
        assert isinstance(system_id, bytes)
        if options.system_id and system_id != options.system_id.encode():
            return CommandStatus.ESME_RINVSYSID, b""
        if options.password and fields["password"] != options.password.encode():
            return CommandStatus.ESME_RINVPASWD, b""
        self.system_id = system_id
        address_range = fields["address_range"]
        assert isinstance(address_range, bytes)
        self.address_range = address_range.decode("latin-1")
        version = fields["interface_version"]
        assert isinstance(version, int)
        # Version 3.3 knows no optional parameters (section 1.6).
        tlvs = encode_tlv(TlvTag.SC_INTERFACE_VERSION, b"\x34") if version >= 0x34 else b""
        return ROK, SYSTEM_ID + b"\0" + tlvs

    def serves(self, destination: str) -> bool:
        """Whether the address_range of the bind covers an address (appendix A: a UNIX regular expression)."""
        try:
            return re.search(self.address_range, destination) is not None
        except re.error:
            return self.address_range == destination

    def _expect_known(self, pdu: Pdu, message_id: bytes) -> None:
        if not self.smsc.knows(message_id):
            raise PduError(CommandStatus.ESME_RINVMSGID, pdu.sequence_number, "no message of this id")


class Simulator:
    """A listening SMSC: ``async with Simulator() as smsc``, then bind to ``smsc.port``."""

    def __init__(self, options: SimulatorOptions | None = None, *, keep: int = 1_000_000) -> None:
        """Describe it; ``keep`` is how many of the newest messages ``received`` holds at least."""
        self.options = options or SimulatorOptions(port=0)
        self.keep = keep
        self.received: list[bytes] = []
        """PDUs that carried a text, in their order, whatever they were answered."""
        self.links: list[SmscLink] = []
        """Open connections, bound or not."""
        self.connections = 0
        self.make_id = ID_FORMATS[self.options.id_format]
        self.journal: JournalWriter | None = None
        # Microseconds of the epoch: at fewer than a million messages a second a restarted simulator repeats no id.
        self.first_number = self.next_number = int(time.time() * 1e6)
        self._server: asyncio.Server | None = None
        self._waiting: deque[tuple[bytes | None, str, bytes]] = deque(maxlen=MAX_WAITING)
        self._turn = 0

    @property
    def port(self) -> int:
        """Where it listens."""
        assert self._server is not None
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    @property
    def accepted(self) -> int:
        """Messages given a message_id so far."""
        return self.next_number - self.first_number

    async def __aenter__(self) -> Self:
        """Listen."""
        options = self.options
        tls = None
        if options.tls_cert:
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.minimum_version = ssl.TLSVersion.TLSv1_2
            tls.load_cert_chain(options.tls_cert, options.tls_key or None)
        self._server = await asyncio.get_running_loop().create_server(
            lambda: SmscLink(self), options.host, options.port, ssl=tls, backlog=1024
        )
        if options.journal is not None:
            self.journal = JournalWriter(options.journal)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Hang up and stop listening."""
        assert self._server is not None
        self._server.close()
        for link in tuple(self.links):
            link.close()
        # Transports close in the next turns of the loop; only then does nobody write to the journal.
        while self.links:
            await asyncio.sleep(0)
        await self._server.wait_closed()
        if self.journal is not None:
            self.journal.close()

    def next_id(self) -> bytes:
        """A message_id that no other message has."""
        number = self.next_number
        self.next_number += 1
        return self.make_id(number)

    def knows(self, message_id: bytes) -> bool:
        """Whether this is the id of a message accepted in this run. Ids are numbers, so none is remembered."""
        base = 16 if self.options.id_format in ("hex", "uuid") else 10
        try:
            number = int(message_id.replace(b"-", b""), base)
        except ValueError:
            return False
        return self.first_number <= number < self.next_number and self.make_id(number) == message_id

    def deliver(
        self,
        source: str,
        destination: str,
        text: str,
        *,
        system_id: bytes | None = None,
        esm_class: int = 0,
        tlvs: bytes = b"",
    ) -> None:
        """Send a deliver_sm to a receiver, of ``system_id`` or else of any in turn; without one it waits.

        Receivers that bound for other addresses get none; those that bound for this one come first.
        """
        octets, data_coding = encode_text(text)
        if len(octets) > 254:
            tlvs += encode_tlv(TlvTag.MESSAGE_PAYLOAD, octets)
            octets = b""
        body = encode_submit(
            0,
            source.encode(),
            destination.encode(),
            octets,
            command_id=CommandId.DELIVER_SM,
            esm_class=esm_class,
            data_coding=data_coding,
            tlvs=tlvs,
        )[HEADER_OCTETS:]
        receivers = [
            link
            for link in self.links
            if link.session.state in RECEIVING and system_id in (None, link.system_id) and link.serves(destination)
        ]
        receivers = [link for link in receivers if link.address_range] or receivers
        if receivers:
            self._turn += 1
            receivers[self._turn % len(receivers)].request(CommandId.DELIVER_SM, body)
        else:
            self._waiting.append((system_id, destination, body))

    def deliver_waiting(self, link: SmscLink) -> None:
        """Send a receiver that has just bound what waited for one such as it."""
        for _ in range(len(self._waiting)):
            system_id, destination, body = self._waiting.popleft()
            if system_id in (None, link.system_id) and link.serves(destination):
                link.request(CommandId.DELIVER_SM, body)
            else:
                self._waiting.append((system_id, destination, body))

    def send_receipt(self, link: SmscLink, message_id: bytes, request: Pdu) -> None:
        """Send the delivery receipt of ``request`` to who sent it (appendix B)."""
        fields = request.fields()
        source, destination = fields["source_addr"], fields["destination_addr"]
        assert isinstance(source, bytes)
        assert isinstance(destination, bytes)
        now = time.strftime("%y%m%d%H%M")
        text = (
            f"id:{message_id.decode()} sub:001 dlvrd:001 submit date:{now} done date:{now}"
            f" stat:DELIVRD err:000 text:{_beginning(request)}"
        )
        tlvs = encode_tlv(TlvTag.RECEIPTED_MESSAGE_ID, message_id + b"\0")
        tlvs += encode_tlv(TlvTag.MESSAGE_STATE, bytes((DELIVERED,)))
        self.deliver(
            destination.decode("latin-1"),
            source.decode("latin-1"),
            text,
            system_id=link.system_id,
            esm_class=EsmClass.DELIVERY_RECEIPT,
            tlvs=tlvs,
        )


def _beginning(request: Pdu) -> str:
    """The first 20 characters of a text, where they are plain: a receipt is GSM 7-bit."""
    if request.command_id != CommandId.SUBMIT_SM:
        return ""
    fields = request.fields()
    length, data_coding = fields["sm_length"], fields["data_coding"]
    assert isinstance(length, int)
    assert isinstance(data_coding, int)
    if not length or fields["esm_class"] or data_coding != DataCoding.DEFAULT:
        return ""
    start = len(request.octets) - length
    return decode_text(request.octets[start:], data_coding)[:20]


async def serve(options: SimulatorOptions, *, until_eof: bool = False) -> None:
    """Simulate until SIGTERM or SIGINT, and with ``until_eof`` until stdin ends."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with Simulator(options, keep=0) as smsc:
        sys.stdout.write(f"listening on {options.host}:{smsc.port}\n")
        sys.stdout.flush()
        # A thread, because stdin may be what no event loop can wait for: /dev/null or a file.
        threading.Thread(target=_read_commands, args=(loop, smsc, stop if until_eof else None), daemon=True).start()
        await stop.wait()


def _read_commands(loop: asyncio.AbstractEventLoop, smsc: Simulator, stop: asyncio.Event | None) -> None:
    """Carry out ``deliver FROM TO TEXT``, one a line."""
    rest = b""
    # Not sys.stdin, whose lock would be held by a thread that never ends.
    while data := os.read(0, 65_536):
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            words = line.decode("utf-8", "replace").strip().split(maxsplit=3)
            match words:
                case []:
                    pass
                case ["deliver", source, destination, text]:
                    loop.call_soon_threadsafe(smsc.deliver, source, destination, text)
                case _:
                    sys.stderr.write("commands are: deliver FROM TO TEXT\n")
    if stop is not None:
        loop.call_soon_threadsafe(stop.set)


def run_simulator(options: SimulatorOptions, *, until_eof: bool = False) -> None:
    """Run the simulator as this process."""
    uvloop.run(serve(options, until_eof=until_eof))


def _share(text: str) -> float:
    """A share, 0 to 1."""
    share = float(text)
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return share


def _status(text: str) -> int:
    """A command_status by name or number."""
    if text in CommandStatus.__members__:
        return CommandStatus[text]
    try:
        return int(text, 0)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is neither a number nor a name such as ESME_RTHROTTLED") from None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``smsc-filter smsc-sim``."""
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=2776, help="0: any free one")
    parser.add_argument("--system-id", default="", help="only this account may bind (default: any)")
    parser.add_argument("--password", default="", help="and only with this password")
    parser.add_argument("--latency-ms", type=float, default=0.0, help="how long every answer waits")
    parser.add_argument("--refuse-rate", type=_share, default=0.0, help="share of messages refused, 0 to 1")
    parser.add_argument(
        "--refuse-status", type=_status, default=CommandStatus.ESME_RTHROTTLED, help="with which command_status"
    )
    parser.add_argument("--silent-rate", type=_share, default=0.0, help="share of messages never answered")
    parser.add_argument("--receipts", action="store_true", help="send delivery receipts where they are asked for")
    parser.add_argument("--id-format", choices=tuple(ID_FORMATS), default="decimal", help="form of message_id")
    parser.add_argument("--journal", type=Path, help="file that accepted messages are appended to")
    parser.add_argument("--tls-cert", default="", help="PEM file: speak TLS")
    parser.add_argument("--tls-key", default="")
    parser.add_argument("--until-eof", action="store_true", help="end with stdin, and so with whoever started it")


def run(args: argparse.Namespace) -> int:
    """``smsc-filter smsc-sim``."""
    options = SimulatorOptions(
        host=args.host,
        port=args.port,
        system_id=args.system_id,
        password=args.password,
        latency_ms=args.latency_ms,
        refuse_rate=args.refuse_rate,
        refuse_status=args.refuse_status,
        silent_rate=args.silent_rate,
        receipts=args.receipts,
        id_format=args.id_format,
        journal=args.journal,
        tls_cert=args.tls_cert,
        tls_key=args.tls_key,
    )
    try:
        run_simulator(options, until_eof=args.until_eof)
    except OSError as error:
        sys.stderr.write(f"smsc-sim: {args.host}:{args.port}: {error.strerror or error}\n")
        return 1
    return 0


def main() -> int:
    """``python -m smsc_filter.lab.simulator``."""
    parser = argparse.ArgumentParser(prog="smsc-sim", description=__doc__.splitlines()[0] if __doc__ else None)
    add_arguments(parser)
    return run(parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
