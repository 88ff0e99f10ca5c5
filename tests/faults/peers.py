"""Peers that a relay must outlive: one that mutates its PDUs, one that never reads, one that guesses passwords.

Each comes from an address of the loopback network of its own, so that what is done about it does not meet the provider
beside it, and each runs until it is cancelled.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from struct import Struct
from typing import Final

from smsc_filter.lab.traffic import Account, recipient
from smsc_filter.smpp.codec import encode_bind, encode_submit
from smsc_filter.smpp.constants import CommandId

HOST: Final = "127.0.0.1"
MUTANT: Final = Account(
    system_id="mutant", password="mut-pw", owner="mutant-ltd", purpose="service", senders=("1069000401",)
)
DEAF: Final = Account(
    system_id="deaf", password="deaf-pw", owner="deaf-ltd", purpose="service", senders=("1069000501",)
)

CONNECT_SECONDS: Final = 5.0
REST_SECONDS: Final = 0.05
PDUS_A_SECOND: Final = 200
GUESSES_A_SECOND: Final = 20
DEAF_SECONDS: Final = 30.0
"""How long a peer that never reads waits for room to send; then it connects anew."""

_U32: Final = Struct(">I")
LENGTHS: Final = (0, 1, 15, 16, 17, 255, 0x7FFFFFFF, 0xFFFFFFFF)
OCTETS: Final = (0, 1, 2, 3, 0x7F, 0x80, 0xFE, 0xFF)


@dataclass(slots=True)
class Tally:
    """What the peers have done."""

    mutated: int = 0
    """PDUs of the mutating peer."""

    cut_off: int = 0
    """Links that the relay closed on it."""

    unread: int = 0
    """Requests of the peers that never read, as far as the kernel took them."""

    guesses: int = 0
    refused_connections: int = 0
    """Connections that were not taken, while the relay was away or because it had enough of them."""

    statuses: dict[str, int] = field(default_factory=dict)


def mutate(pdu: bytes, chance: random.Random) -> bytes:
    """Change, cut, repeat or lengthen a few octets of ``pdu``; one in ten gets another command_length."""
    octets = bytearray(pdu)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(4, len(octets))
        match chance.randrange(4):
            case 0:
                octets[at] = chance.choice(OCTETS)
            case 1:
                octets[at] ^= 1 << chance.randrange(8)
            case 2:
                del octets[at : at + chance.randint(1, 8)]
            case _:
                octets[at:at] = octets[at : at + chance.randint(1, 64)]
        if len(octets) <= 16:
            break
    length = chance.choice(LENGTHS) if chance.random() < 0.1 else len(octets)
    octets[:4] = _U32.pack(length)
    return bytes(octets)


async def send_mutated(port: int, tally: Tally, seed: int = 1) -> None:
    """Bind and send mutated PDUs; bind again whenever the relay hangs up."""
    chance = random.Random(seed)
    texts = (b"hello", b"", b"\x1b" * 40, bytes(range(254)), "优惠大促销退订回T".encode("utf-16-be"), b"\xd8\x3d" * 20)
    number = 0
    while True:
        async with _connection(port, "127.0.0.7", tally) as streams:
            if streams is None:
                continue
            reader, writer = streams
            writer.write(encode_bind(CommandId.BIND_TRANSCEIVER, 1, b"mutant", b"mut-pw"))
            drain = asyncio.ensure_future(_read_to_end(reader))
            try:
                while not (drain.done() or writer.is_closing()):
                    number += 1
                    source, text = MUTANT.senders[0].encode(), chance.choice(texts)
                    udh = b"\x05\x00\x03\x01\x02\x01" if chance.random() < 0.3 else b""
                    tlvs = b"\x04\x24\x00\x05hello" if chance.random() < 0.3 else b""
                    pdu = encode_submit(
                        number & 0x7FFFFFFF,
                        source,
                        recipient(number % 1000).encode(),
                        (udh + text)[:254],
                        esm_class=0x40 if udh else 0,
                        data_coding=chance.choice((0, 1, 3, 4, 8, 0xF0, 0xFF)),
                        tlvs=tlvs,
                    )
                    writer.write(mutate(pdu, chance))
                    tally.mutated += 1
                    await writer.drain()
                    await asyncio.sleep(1 / PDUS_A_SECOND)
                tally.cut_off += 1
            finally:
                drain.cancel()


async def never_read(port: int, tally: Tally) -> None:
    """Send submit_sm over and over and read none of the answers, until the relay has enough of it."""
    loop = asyncio.get_running_loop()
    submit = encode_submit(1, DEAF.senders[0].encode(), recipient(1).encode(), b"Your parcel has arrived.")
    while True:
        # Not a stream: that reads ahead by itself, and then the answers do not stay with the kernel.
        with socket.socket() as link, contextlib.suppress(OSError, TimeoutError):
            link.setblocking(False)
            link.bind(("127.0.0.8", 0))
            async with asyncio.timeout(CONNECT_SECONDS):
                await loop.sock_connect(link, (HOST, port))
            await loop.sock_sendall(link, encode_bind(CommandId.BIND_TRANSCEIVER, 1, b"deaf", b"deaf-pw"))
            while True:
                async with asyncio.timeout(DEAF_SECONDS):
                    await loop.sock_sendall(link, submit)
                tally.unread += 1
                await asyncio.sleep(1 / PDUS_A_SECOND)
        await asyncio.sleep(REST_SECONDS)


async def guess_passwords(port: int, tally: Tally) -> None:
    """Bind with wrong passwords, of names that there are and of others."""
    while True:
        async with _connection(port, "127.0.0.9", tally) as streams:
            if streams is None:
                continue
            reader, writer = streams
            name = (b"bank", b"shop", b"admin", b"test")[tally.guesses % 4]
            writer.write(encode_bind(CommandId.BIND_TRANSCEIVER, 1, name, b"pw%d" % (tally.guesses % 1000)))
            tally.guesses += 1
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, TimeoutError):
                async with asyncio.timeout(CONNECT_SECONDS):
                    answer = await reader.readexactly(16)
                status = hex(_U32.unpack_from(answer, 8)[0])
                tally.statuses[status] = tally.statuses.get(status, 0) + 1
        await asyncio.sleep(1 / GUESSES_A_SECOND)


@contextlib.asynccontextmanager
async def _connection(
    port: int, address: str, tally: Tally
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter] | None]:
    """Connect from ``address``; None where that is refused, after a rest."""
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            reader, writer = await asyncio.open_connection(HOST, port, local_addr=(address, 0))
    except (OSError, TimeoutError):
        tally.refused_connections += 1
        await asyncio.sleep(REST_SECONDS)
        yield None
        return
    try:
        # uvloop says RuntimeError of a transport that closed between a look at it and a write.
        with contextlib.suppress(OSError, TimeoutError, RuntimeError):
            yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(CONNECT_SECONDS):
                await writer.wait_closed()
        await asyncio.sleep(REST_SECONDS)


async def _read_to_end(reader: asyncio.StreamReader) -> None:
    with contextlib.suppress(OSError):
        while await reader.read(1 << 16):
            pass
