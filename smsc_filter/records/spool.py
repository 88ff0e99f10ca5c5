"""Where a worker keeps stream entries while it cannot reach its store: files that outlive it.

A file holds records of u32 length, u32 CRC-32 of the payload, payload; all numbers big-endian. A payload is
the entry's fields, as ``pack_fields`` writes them. The writer holds ``flock`` on its file as long as it
lives, so whoever can lock a file may take it in and remove it, and nobody needs to know who is alive.
"""

import fcntl
import os
import struct
import time
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, Final, Self

from smsc_filter.records.errors import RecordsError

SUFFIX: Final = ".spool"

_HEAD = struct.Struct(">II")
_LENGTH = struct.Struct(">I")


class SpoolDamagedError(RecordsError):
    """A record in the middle of a file is not as it was written: what precedes it was read, keep the file."""


def pack_fields(fields: Mapping[bytes, bytes]) -> bytes:
    """The fields of a stream entry as octets: name and value in turn, each behind its u32 length."""
    return b"".join(_LENGTH.pack(len(part)) + part for field in fields.items() for part in field)


def unpack_fields(octets: bytes) -> dict[bytes, bytes]:
    """What ``pack_fields`` took.

    Raises:
        ValueError: the lengths do not add up.
    """
    parts: list[bytes] = []
    at = 0
    while at < len(octets):
        if at + _LENGTH.size > len(octets):
            raise ValueError(f"half a length at octet {at}")
        (length,) = _LENGTH.unpack_from(octets, at)
        at += _LENGTH.size
        if at + length > len(octets):
            raise ValueError(f"{length} octets announced at octet {at}, {len(octets) - at} are there")
        parts.append(octets[at : at + length])
        at += length
    if len(parts) % 2:
        raise ValueError("the last name has no value")
    return dict(zip(parts[::2], parts[1::2], strict=True))


class SpoolWriter:
    """Appends entries to a file of its own, each on the disk when ``append`` returns.

    The file appears with the first entry. ``close`` it once the store is back: only then is it taken in.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._file: BinaryIO | None = None
        self._octets = 0

    def append(self, fields: Mapping[bytes, bytes]) -> None:
        """Write one entry and wait for the disk: some ms, so keep it off the event loop.

        Raises:
            OSError: it could not be written; the file is as it was before.
        """
        if self._file is None:
            self._file = _new_file(self._directory)
            self._octets = 0
        payload = pack_fields(fields)
        record = _HEAD.pack(len(payload), zlib.crc32(payload)) + payload
        try:
            # The file has no buffer of its own, and a raw write may take a part only.
            written = 0
            while written < len(record):
                written += self._file.write(record[written:])
            os.fsync(self._file.fileno())
        except OSError:
            # Half a record would hide every later one behind it.
            os.ftruncate(self._file.fileno(), self._octets)
            self._file.seek(self._octets)
            raise
        self._octets += len(record)

    def close(self) -> None:
        """Let go of the file, so that it may be taken in; a later ``append`` begins another one."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read_spool(path: Path) -> Iterator[dict[bytes, bytes]]:
    """The entries of a file, in the order in which they were appended.

    A torn last record is left out without a word: its ``append`` never returned, so nobody relies on it.

    Raises:
        SpoolDamagedError: a record is wrong that is not the last.
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        at = 0
        while at < size:
            head = file.read(_HEAD.size)
            if len(head) < _HEAD.size:
                return
            length, checksum = _HEAD.unpack(head)
            # Nobody may make us reserve more than the file can hold.
            payload = file.read(min(length, size))
            end = at + _HEAD.size + length
            if length == 0 or len(payload) < length or zlib.crc32(payload) != checksum:
                if end >= size or not (length or any(iter(lambda: file.read(1 << 16).strip(b"\0"), b""))):
                    return
                raise SpoolDamagedError(f"{path.name}: the record at octet {at} of {size} is damaged")
            yield unpack_fields(payload)
            at = end


def closed_spools(directory: Path) -> Iterator[Path]:
    """Files that no living writer holds, oldest first; each stays locked while the caller has it in hand."""
    for path in sorted(directory.glob("*" + SUFFIX)):
        try:
            file = path.open("rb")
        except FileNotFoundError:
            continue  # another mover was quicker
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            if os.fstat(file.fileno()).st_nlink:
                yield path


def _new_file(directory: Path) -> BinaryIO:
    directory.mkdir(parents=True, exist_ok=True)
    while True:
        path = directory / f"{time.time_ns():020d}-{os.getpid()}{SUFFIX}"
        file = path.open("xb", buffering=0)
        fcntl.flock(file, fcntl.LOCK_EX)
        # A mover that saw the file before we held it took it for the empty leavings of a dead writer.
        if os.fstat(file.fileno()).st_nlink:
            break
        file.close()
    # The name must outlive a power cut as well as the octets.
    folder = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return file
