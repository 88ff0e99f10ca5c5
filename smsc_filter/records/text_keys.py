"""Texts of messages at rest under a key that is kept elsewhere: AES-256-GCM, by the library ``cryptography``.

A worker seals a text before it goes into the stream, so that the append-only file, the spool and SQL hold it sealed;
who reads the records opens it. The keys stand in a file outside ``data_dir``, a line each: a name and 32 octets in
base64; the last one seals, all of them open. A change of the file is seen within a second.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import re
import secrets
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from smsc_filter.records.errors import RecordsError

MARK: Final = "\x02gcm:"
"""What a sealed text begins with: then the name of its key, a colon, and nonce, text and tag in base64."""

KEY_OCTETS: Final = 32
NONCE_OCTETS: Final = 12
NAME_OCTETS: Final = 8
_SEALED: Final = re.compile(rf"{MARK}([0-9a-f]{{{NAME_OCTETS}}}):([A-Za-z0-9+/]++={{0,2}})")
LOOK_SECONDS: Final = 1.0
"""How often the file is looked at for a new key."""

KEPT: Final = 2
"""Keys left after a rotation: what was on its way to the records when it began is sealed with the one before."""


class TextKeyError(RecordsError):
    """The key file is of no use, or lacks a key; the message says what to do."""


class TextKeys:
    """The keys of one file. Safe to use from several threads."""

    def __init__(self, path: Path, *, sealing: bool, clock: Callable[[], float] = time.monotonic) -> None:
        """Read ``path``; with ``sealing`` new texts are sealed, else only sealed ones opened.

        Raises:
            TextKeyError: the file cannot be read or holds no key.
        """
        self.path = path
        self.sealing = sealing
        self._clock = clock
        self._looked_at = 0.0
        self._modified_ns = -1
        self._keys: dict[str, bytes] = {}
        self._ciphers: dict[str, AESGCM] = {}
        self._name = ""
        self._read()

    @property
    def names(self) -> list[str]:
        """Of the keys, oldest first."""
        return list(self._keys)

    def seal(self, text: str) -> str:
        """``text`` under the newest key; half a surrogate pair becomes a replacement character, NUL its symbol."""
        self._look()
        text = text.replace("\0", "\N{SYMBOL FOR NULL}")
        octets = text.encode("utf-16-be", "surrogatepass").decode("utf-16-be", "replace").encode()
        return f"{MARK}{self._name}:{base64.b64encode(self._encrypted(octets, os.urandom(NONCE_OCTETS))).decode()}"

    def open(self, stored: str) -> str:
        """The text that ``stored`` holds; what is not sealed comes back as it is.

        Raises:
            TextKeyError: its key is not in the file, or it is not what was sealed.
        """
        sealed = _SEALED.fullmatch(stored)
        if sealed is None:
            return stored  # also what somebody began like a sealed text
        try:
            name, octets = sealed[1], base64.b64decode(sealed[2], validate=True)
        except binascii.Error:
            return stored
        return self._decrypted(name, octets).decode("utf-8", "replace")

    def seal_octets(self, octets: bytes) -> bytes:
        """Octets under the newest key; the same octets give the same result, so that repeats are still seen."""
        self._look()
        nonce = hmac.digest(self._keys[self._name], b"nonce" + octets, hashlib.sha256)[:NONCE_OCTETS]
        return self._name.encode() + self._encrypted(octets, nonce)

    def open_octets(self, stored: bytes) -> bytes:
        """What ``seal_octets`` took.

        Raises:
            TextKeyError: as ``open``.
        """
        return self._decrypted(stored[:NAME_OCTETS].decode("latin-1"), stored[NAME_OCTETS:])

    def name_of(self, stored: str) -> str:
        """The key a stored text is sealed with; "" for none."""
        sealed = _SEALED.fullmatch(stored)
        return sealed[1] if sealed is not None else ""

    def _encrypted(self, octets: bytes, nonce: bytes) -> bytes:
        return nonce + self._ciphers[self._name].encrypt(nonce, octets, None)

    def _decrypted(self, name: str, octets: bytes) -> bytes:
        if name not in self._ciphers:
            self._read()
        if name not in self._ciphers:
            raise TextKeyError(f"a text is sealed with key {name!r}, which is not in {self.path}")
        try:
            return self._ciphers[name].decrypt(octets[:NONCE_OCTETS], octets[NONCE_OCTETS:], None)
        except (InvalidTag, ValueError) as error:
            raise TextKeyError(f"a text is not what was sealed with key {name!r}") from error

    def _look(self) -> None:
        now = self._clock()
        if now - self._looked_at >= LOOK_SECONDS:
            self._looked_at = now
            try:
                changed = self.path.stat().st_mtime_ns != self._modified_ns
            except OSError:
                return  # the keys in use stay
            if changed:
                self._read()

    def _read(self) -> None:
        try:
            modified_ns = self.path.stat().st_mtime_ns
            lines = self.path.read_text(encoding="ascii").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not text"
            raise TextKeyError(f"records.text_keys {self.path}: {reason}; `text-key new` makes one") from error
        keys = dict(_parsed(line, self.path) for line in lines if line.strip())
        if not keys:
            raise TextKeyError(f"records.text_keys {self.path}: holds no key; `text-key new` makes one")
        self._keys, self._name, self._modified_ns = keys, list(keys)[-1], modified_ns
        self._ciphers = {name: AESGCM(key) for name, key in keys.items()}


def add_key(path: Path) -> str:
    """Add a new key to the file, or begin one; its name.

    Raises:
        TextKeyError: what is there is no key file.
        OSError: the file cannot be written.
    """
    lines = path.read_text(encoding="ascii").splitlines() if path.exists() else []
    for line in lines:
        _parsed(line, path)
    name = secrets.token_hex(NAME_OCTETS // 2)
    _write(path, [*lines, f"{name} {base64.b64encode(secrets.token_bytes(KEY_OCTETS)).decode()}"])
    return name


def drop_old_keys(path: Path, kept: int = KEPT) -> list[str]:
    """Take all but the newest ``kept`` keys out of the file; the names of those that went.

    Raises:
        OSError: the file cannot be written.
    """
    lines = path.read_text(encoding="ascii").splitlines()
    gone, left = lines[:-kept], lines[-kept:]
    if gone:
        _write(path, left)
    return [_parsed(line, path)[0] for line in gone]


def _write(path: Path, lines: list[str]) -> None:
    """Replace the file whole: a crash leaves the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False, encoding="ascii") as file:
        file.write("".join(f"{line}\n" for line in lines))
        file.flush()
        os.fsync(file.fileno())
    Path(file.name).replace(path)


def _parsed(line: str, path: Path) -> tuple[str, bytes]:
    name, _, encoded = line.strip().partition(" ")
    try:
        key = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(name) != NAME_OCTETS or len(key) != KEY_OCTETS:
        # The line itself would show the key.
        raise TextKeyError(f"records.text_keys {path}: a line is not NAME and {KEY_OCTETS} octets in base64")
    return name, key
