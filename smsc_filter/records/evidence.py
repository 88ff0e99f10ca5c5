"""Files that show a consent: kept under the name of their content, so that a name cannot come to mean another file."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from smsc_filter.records.errors import RecordsError

MOST_OCTETS: Final = 64 << 20


class Evidence(NamedTuple):
    """One file as it is kept."""

    sha256: str
    """In hexadecimal."""
    name: str
    """In the folder of evidence."""


def keep_file(folder: Path, path: Path) -> Evidence:
    """Take a copy of ``path`` into ``folder``.

    Raises:
        RecordsError: it cannot be read or kept, or is too large.
    """

    def pieces() -> Iterator[bytes]:
        with path.open("rb") as file:
            while piece := file.read(1 << 18):
                yield piece

    return keep(folder, pieces(), path.suffix)


def keep(folder: Path, pieces: Iterable[bytes], suffix: str = "") -> Evidence:
    """Keep what comes in ``pieces``; kept twice it is there once.

    Raises:
        RecordsError: it cannot be read or kept, or is too large.
    """
    digest, octets = hashlib.sha256(), 0
    ending = suffix.lower() if suffix[1:].isascii() and suffix[1:].isalnum() and len(suffix) <= 8 else ""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor, unfinished = tempfile.mkstemp(dir=folder, prefix=".", suffix=".part")
        try:
            with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor
                for piece in pieces:
                    octets += len(piece)
                    if octets > MOST_OCTETS:
                        raise RecordsError(f"evidence has more than {MOST_OCTETS >> 20} MiB")
                    digest.update(piece)
                    file.write(piece)
                file.flush()
                os.fsync(file.fileno())
            name = digest.hexdigest() + ending
            Path(unfinished).replace(folder / name)
        finally:
            Path(unfinished).unlink(missing_ok=True)
        _sync(folder)
    except OSError as error:
        raise RecordsError(f"evidence: {error.filename}: {error.strerror}") from error
    return Evidence(digest.hexdigest(), name)


def wrong_file(folder: Path, evidence: Evidence) -> str | None:
    """What is wrong with a file that is kept, in a few words; None where it is as it was."""
    try:
        with (folder / evidence.name).open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return None if found == evidence.sha256 else "is not the file it was"


def _sync(folder: Path) -> None:
    # The name must outlive a power cut as well as the octets.
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
