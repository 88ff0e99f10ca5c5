"""Signs what leaves the house: receipts, manifests, and notes of where the chain of consent events ended.

Ed25519, because whoever is handed such a document can check it with the public key alone. The key shows that this
installation said so; that it said the truth is shown by the chain.
"""

from __future__ import annotations

import os
from base64 import b64decode, b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Self

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from smsc_filter.records.errors import RecordsError

FILE_NAME: Final = "signing-key"


class SigningKey:
    """The key of this installation."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public = b64encode(key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()
        """What others check with, in base 64."""

    @classmethod
    def open(cls, folder: Path) -> Self:
        """The key in ``folder``; made there when it is first asked for.

        Raises:
            RecordsError: it cannot be read or written.
        """
        path = folder / FILE_NAME
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                made = Ed25519PrivateKey.generate().private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
                unfinished = path.with_name(f"{FILE_NAME}.{os.getpid()}")
                descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
                with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor
                    file.write(b64encode(made) + b"\n")
                    file.flush()
                    os.fsync(file.fileno())
                try:
                    os.link(unfinished, path)  # of two that make one at once, the first one's stays
                except FileExistsError:
                    pass
                finally:
                    unfinished.unlink()
            return cls(Ed25519PrivateKey.from_private_bytes(b64decode(path.read_bytes(), validate=False)))
        except OSError as error:
            raise RecordsError(f"{path}: {error.strerror}") from error
        except ValueError as error:
            raise RecordsError(f"{path}: is no signing key: {error}") from error

    def sign(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """The document with ``key`` and ``signature``."""
        signed = {**document, "key": self.public}
        return {**signed, "signature": b64encode(self._key.sign(_octets(signed))).decode()}


def signed_octets(document: Mapping[str, Any]) -> bytes:
    """What the signature of a document is of."""
    return _octets({name: value for name, value in document.items() if name != "signature"})


def check_signature(document: Mapping[str, Any], public: str | None = None) -> None:
    """Whether a document is as it was signed.

    Args:
        document: what ``SigningKey.sign`` gave.
        public: the key it must be signed with; None for any.

    Raises:
        RecordsError: it is not; the sentence says why.
    """
    key, signature = document.get("key"), document.get("signature")
    if not isinstance(key, str) or not isinstance(signature, str):
        raise RecordsError("has no signature")
    if public is not None and key != public:
        raise RecordsError(f"is signed with key {key}, not with {public}")
    try:
        Ed25519PublicKey.from_public_bytes(b64decode(key)).verify(b64decode(signature), signed_octets(document))
    except (InvalidSignature, ValueError) as error:
        raise RecordsError("was changed after it was signed") from error


def _octets(document: Mapping[str, Any]) -> bytes:
    return orjson.dumps(document, option=orjson.OPT_SORT_KEYS)
