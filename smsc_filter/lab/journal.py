"""What the simulated SMSC has accepted, on disk before its answers leave.

One record a message, integers big-endian:

    u32  octets that follow
    u32  connection, counted from 1 in each run of the simulator
    u8   length of the message_id
    ...  message_id, without a NUL
    ...  the PDU as it came, header included

A record is handed to the kernel in one write with all others of the same read, so ``kill -9`` can cut off at most
the end of the last write, whose messages were not answered. Opening a journal takes such an end off again.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from struct import Struct
from typing import Final, NamedTuple

_LENGTH: Final = Struct(">I")
RECORD_HEAD: Final = Struct(">IIB")
"""Octets that follow, connection, length of the message_id."""

HEAD_OCTETS: Final = RECORD_HEAD.size - _LENGTH.size
"""What a record counts besides message_id and PDU."""


class JournalEntry(NamedTuple):
    """One accepted message."""

    connection: int
    message_id: bytes
    octets: bytes
    """The PDU."""


class JournalWriter:
    """A journal open for appending."""

    def __init__(self, path: Path) -> None:
        """Go on with the journal at ``path``, or begin it."""
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        os.ftruncate(self._descriptor, _whole_octets(path))

    def write(self, records: Sequence[bytes]) -> None:
        """Append whole records; on return they outlive this process.

        Raises:
            OSError: the disk does not take them.
        """
        octets = b"".join(records)
        written = os.write(self._descriptor, octets)
        while written < len(octets):
            written += os.write(self._descriptor, octets[written:])

    def close(self) -> None:
        """No more records."""
        os.close(self._descriptor)


def encode_record(connection: int, message_id: bytes, octets: bytes) -> bytes:
    """One record."""
    head = RECORD_HEAD.pack(HEAD_OCTETS + len(message_id) + len(octets), connection, len(message_id))
    return head + message_id + octets


def read_journal(path: Path) -> Iterator[JournalEntry]:
    """The accepted messages in their order; the cut-off end of a killed run is left out."""
    with path.open("rb") as journal:
        while len(start := journal.read(_LENGTH.size)) == _LENGTH.size:
            (length,) = _LENGTH.unpack(start)
            record = journal.read(length)
            if len(record) < length:
                return
            connection = int.from_bytes(record[:4], "big")
            end = HEAD_OCTETS + record[4]
            yield JournalEntry(connection, record[HEAD_OCTETS:end], record[end:])


def _whole_octets(path: Path) -> int:
    """Where the last whole record ends."""
    size = path.stat().st_size
    at = 0
    with path.open("rb") as journal:
        while at + _LENGTH.size <= size:
            journal.seek(at)
            after = at + _LENGTH.size + _LENGTH.unpack(journal.read(_LENGTH.size))[0]
            if after > size:
                break
            at = after
    return at
