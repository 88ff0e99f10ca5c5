"""Providers' clients that nobody here wrote, smpplib and aiosmpplib, behind one face."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, Self

import aiosmpplib
import smpplib.client
import smpplib.exceptions

from smsc_filter.smpp.constants import HEADER_OCTETS, CommandStatus, DataCoding, EsmClass, Npi, Ton
from smsc_filter.sms.coding import ESCAPE, encode_text
from smsc_filter.sms.udh import concatenation_header

PART_SEPTETS: Final = 153
"""Of a concatenated GSM 7-bit message, behind its header (3GPP TS 23.040)."""

PART_OCTETS: Final = 134
ONE_PART_SEPTETS: Final = 160
ONE_PART_OCTETS: Final = 140
MAX_PARTS: Final = 255

Binding = Literal["transceiver", "transmitter"]


class ClientError(Exception):
    """The server cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class TextPart:
    """What one submit_sm carries of a text."""

    octets: bytes
    data_coding: int
    esm_class: int = 0
    in_payload: bool = False
    """Whether it goes into a message_payload."""


def parts_of(text: str, reference: int, *, payload: bool = False) -> list[TextPart]:
    """A text as submit_sm carry it: whole, in parts with a header, or whole in a message_payload.

    Raises:
        ValueError: the text has more parts than a handset can join.
    """
    octets, data_coding = encode_text(text)
    gsm = data_coding == DataCoding.DEFAULT
    if len(octets) <= (ONE_PART_SEPTETS if gsm else ONE_PART_OCTETS):
        return [TextPart(octets, data_coding)]
    if payload:
        return [TextPart(octets, data_coding, in_payload=True)]
    pieces = []
    start = 0
    while start < len(octets):
        stop = min(start + (PART_SEPTETS if gsm else PART_OCTETS), len(octets))
        # A character must not be cut: neither behind an escape nor within a surrogate pair.
        if gsm and octets[stop - 1] == ESCAPE:
            stop -= 1
        elif not gsm and stop < len(octets) and 0xD8 <= octets[stop - 2] <= 0xDB:
            stop -= 2
        pieces.append(octets[start:stop])
        start = stop
    if len(pieces) > MAX_PARTS:
        raise ValueError(f"the text has {len(pieces)} parts; a long message has at most {MAX_PARTS}")
    return [
        TextPart(concatenation_header(reference, len(pieces), number) + piece, data_coding, EsmClass.UDHI)
        for number, piece in enumerate(pieces, 1)
    ]


def ton_of(address: str) -> int:
    """International for a long number, alphanumeric for a name, unknown for a short code."""
    if not address.lstrip("+").isdigit():
        return Ton.ALPHANUMERIC
    return Ton.INTERNATIONAL if len(address) >= 12 else Ton.UNKNOWN


@dataclass(slots=True)
class Answer:
    """What a submit_sm was answered."""

    status: int
    message_id: bytes
    body: bytes
    """What was sent, behind its 16-octet header."""

    seconds: float
    """From request to response."""


class SmpplibSession:
    """A bind through smpplib, in the thread that uses it."""

    def __init__(
        self,
        host: str,
        port: int,
        system_id: str,
        password: str,
        *,
        binding: Binding = "transceiver",
        window: int = 50,
        on_deliver: Callable[[Any], None] | None = None,
    ) -> None:
        """Connect and bind.

        Raises:
            ClientError: nobody listens, or the bind is refused.
        """
        logger = logging.getLogger("smsc_filter.lab.smpplib")
        logger.setLevel(logging.CRITICAL)  # its warnings are our exceptions
        self._window = window
        self._waiting: dict[int, tuple[bytes, float, Callable[[Answer], None]]] = {}
        self._client = smpplib.client.Client(
            host, port, timeout=30, allow_unknown_opt_params=True, logger_name=logger.name
        )
        # smpplib calls both handlers for a refusal; one of them is enough.
        self._client.set_error_pdu_handler(lambda pdu: None)
        self._client.set_message_sent_handler(self._answered)
        self._client.set_message_received_handler(on_deliver or (lambda pdu: None))
        try:
            self._client.connect()
        except smpplib.exceptions.ConnectionError:
            self._close()
            raise ClientError(f"nothing listens at {host}:{port}") from None
        try:
            getattr(self._client, f"bind_{binding}")(system_id=system_id, password=password)
        except smpplib.exceptions.PDUError as error:
            self._close()
            status = error.args[1] if len(error.args) > 1 else CommandStatus.ESME_RBINDFAIL
            raise ClientError(f"the bind of {system_id} was refused with {name_of(int(status))}") from None
        except (smpplib.exceptions.ConnectionError, OSError):
            self._close()
            raise ClientError(f"{host}:{port} closed the connection before it answered the bind") from None

    def send(self, source: str, destination: str, part: TextPart, answered: Callable[[Answer], None]) -> None:
        """Send one part; waits for an answer first if the window is full.

        Raises:
            ClientError: the connection is lost.
        """
        while len(self._waiting) >= self._window:
            self._read()
        where = {"message_payload": part.octets} if part.in_payload else {"short_message": part.octets}
        try:
            request = self._client.send_message(
                source_addr_ton=ton_of(source),
                source_addr_npi=int(Npi.ISDN),
                source_addr=source,
                dest_addr_ton=ton_of(destination),
                dest_addr_npi=int(Npi.ISDN),
                destination_addr=destination,
                data_coding=int(part.data_coding),
                esm_class=int(part.esm_class),
                registered_delivery=0,
                **where,
            )
        except (smpplib.exceptions.ConnectionError, OSError):
            raise ClientError("the server closed the connection") from None
        body = request.generate()[HEADER_OCTETS:]
        self._waiting[request.sequence] = body, time.perf_counter(), answered

    def await_answers(self) -> None:
        """Read until everything is answered.

        Raises:
            ClientError: the connection is lost, or no answer comes for 30 s.
        """
        while self._waiting:
            self._read()

    def _read(self) -> None:
        try:
            self._client.read_once(auto_send_enquire_link=False)
        except TimeoutError:
            raise ClientError(f"{len(self._waiting)} requests have no answer") from None
        except (smpplib.exceptions.ConnectionError, smpplib.exceptions.PDUError, OSError):
            raise ClientError("the server closed the connection") from None

    def _answered(self, pdu: Any) -> None:
        body, sent_at, answered = self._waiting.pop(pdu.sequence)
        message_id = getattr(pdu, "message_id", None) or b""
        answered(Answer(pdu.status, message_id, body, time.perf_counter() - sent_at))

    def _close(self) -> None:
        # Its disconnect() warns about the state it is in; the socket is all there is to close.
        held: socket.socket | None = self._client._socket
        if held is not None:
            held.close()
            self._client._socket = None

    def __enter__(self) -> Self:
        """It is bound."""
        return self

    def __exit__(self, *_: object) -> None:
        """Unbind and hang up."""
        # It is gone either way.
        with contextlib.suppress(smpplib.exceptions.ConnectionError, smpplib.exceptions.PDUError, OSError):
            self._client.unbind()
        self._close()


class _Hook(aiosmpplib.AbstractHook):  # type: ignore[misc]
    """Hears of every PDU of an aiosmpplib client."""

    def __init__(self) -> None:
        self.waiting: dict[str, tuple[bytes, float, Callable[[Answer], None]]] = {}
        self.answered: dict[str, Callable[[Answer], None]] = {}
        self.room = asyncio.Semaphore(50)
        self.errors: list[str] = []

    async def sending(self, smpp_message: Any, pdu: bytes, client_id: str) -> None:
        """Note what goes out and when."""
        if isinstance(smpp_message, aiosmpplib.SubmitSm):
            key = smpp_message.log_id
            self.waiting[key] = pdu[HEADER_OCTETS:], time.perf_counter(), self.answered.pop(key)

    async def received(self, smpp_message: Any, pdu: bytes, client_id: str) -> None:
        """Note what it is answered."""
        if isinstance(smpp_message, aiosmpplib.SubmitSmResp) and smpp_message.log_id in self.waiting:
            body, sent_at, answered = self.waiting.pop(smpp_message.log_id)
            message_id = (smpp_message.message_id or "").encode()
            answered(Answer(int(smpp_message.command_status), message_id, body, time.perf_counter() - sent_at))
            self.room.release()

    async def send_error(self, smpp_message: Any, error: Exception, client_id: str) -> None:
        """Note what could not be sent."""
        self.errors.append(str(error))
        self.answered.pop(smpp_message.log_id, None)
        self.room.release()


class AiosmpplibSession:
    """A bind through aiosmpplib, in the loop that uses it."""

    def __init__(self, host: str, port: int, system_id: str, password: str) -> None:
        """Describe it; ``async with`` binds."""
        self._hook = _Hook()
        self._sent = 0
        self._esme = aiosmpplib.ESME(
            smsc_host=host,
            smsc_port=port,
            system_id=system_id,
            password=password,
            hook=self._hook,
            log_level=logging.CRITICAL,
        )
        self._running: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Bind.

        Raises:
            ClientError: that takes more than 10 s.
        """
        self._running = asyncio.create_task(self._esme.start())
        deadline = time.monotonic() + 10
        while self._esme.session_state is not aiosmpplib.SmppSessionState.BOUND_TRX:
            if time.monotonic() > deadline:
                self._running.cancel()
                raise ClientError(f"aiosmpplib could not bind as {self._esme.system_id}")
            await asyncio.sleep(0.01)
        return self

    async def send(self, source: str, destination: str, text: str, answered: Callable[[Answer], None]) -> None:
        """Send one text, as it chooses to encode it; waits while 50 are unanswered."""
        await self._hook.room.acquire()
        self._sent += 1
        key = str(self._sent)
        self._hook.answered[key] = answered
        await self._esme.broker.enqueue(
            aiosmpplib.SubmitSm(
                short_message=text,
                source=_phone_number(source),
                destination=_phone_number(destination),
                registered_delivery=0,
                log_id=key,
            )
        )

    async def await_answers(self, seconds: float = 30.0) -> None:
        """Wait until everything is answered.

        Raises:
            ClientError: something is not.
        """
        deadline = time.monotonic() + seconds
        while self._hook.waiting or self._hook.answered:
            if time.monotonic() > deadline:
                raise ClientError(f"{len(self._hook.waiting) + len(self._hook.answered)} requests have no answer")
            await asyncio.sleep(0.005)
        if self._hook.errors:
            raise ClientError(f"aiosmpplib could not send: {self._hook.errors[0]}")

    async def __aexit__(self, *_: object) -> None:
        """Unbind."""
        writer: asyncio.StreamWriter | None = self._esme._writer
        await self._esme.stop()
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
        # It leaves its stream to the garbage collector.
        if writer is not None:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


def _phone_number(address: str) -> Any:
    return aiosmpplib.PhoneNumber(address, aiosmpplib.TON(ton_of(address)), aiosmpplib.NPI(int(Npi.ISDN)))


def name_of(status: int, causes: Sequence[tuple[int, str]] = ()) -> str:
    """A command_status as people read it; ``causes`` are (status, name) of what the standard does not know."""
    if status in CommandStatus._value2member_map_:
        return CommandStatus(status).name
    return next((name for known, name in causes if known == status), f"0x{status:08X}")
