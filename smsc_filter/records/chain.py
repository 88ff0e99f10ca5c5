"""The hash chain of consent events: any later change, deletion or reorder breaks it.

    proof digest = SHA-256(proof salt, proof)
    digest       = SHA-256(salt, proof digest, the rest of the event)
    chain        = SHA-256(chain of the event before, id, digest)

One chain for the whole installation: an owner's own would show its events complete, but not that all owners are
there, and a deleted owner would take its chain along. Whoever is shown one owner's events sees of the others a
digest each. The salts go with what they hide: a digest left behind tells nobody whose number it was, although
numbers are few enough to try them all.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from hashlib import sha256
from typing import Final, NamedTuple

import orjson

NAME: Final = "consents"
"""Of the one chain there is, in ``chain_heads``."""

BEGINNING: Final = bytes(32)
SALT_OCTETS: Final = 16

Core = tuple[int, str, str, str | None, str, int, int, int | None]
"""id, recipient, name of the owner, topic, kind, event time, received time, end."""

Proof = tuple[str | None, str | None, str | None, str | None, str | None]
"""source, reference, text version, SHA-256 of the evidence, name of its file."""


class Seal(NamedTuple):
    """What binds one event to all before it."""

    salt: bytes
    proof_salt: bytes
    chain: bytes


def proof_digest(proof: Proof, proof_salt: bytes) -> bytes:
    """Of where an event comes from."""
    return sha256(proof_salt + orjson.dumps(proof)).digest()


def event_digest(core: Core, digest_of_proof: bytes, salt: bytes) -> bytes:
    """Of an event with its proof."""
    return sha256(salt + digest_of_proof + orjson.dumps(core)).digest()


def link(previous: bytes, event_id: int, digest: bytes) -> bytes:
    """The chain up to an event and including it."""
    return sha256(previous + event_id.to_bytes(8, "big") + digest).digest()


def seal(events: Sequence[tuple[Core, Proof]], previous: bytes) -> list[Seal]:
    """Bind events to the chain that ends in ``previous``; some 3 us each."""
    random = os.urandom(2 * SALT_OCTETS * len(events))
    seals = []
    at = 0
    for core, proof in events:
        salt, proof_salt = random[at : at + SALT_OCTETS], random[at + SALT_OCTETS : at + 2 * SALT_OCTETS]
        at += 2 * SALT_OCTETS
        previous = link(previous, core[0], event_digest(core, proof_digest(proof, proof_salt), salt))
        seals.append(Seal(salt, proof_salt, previous))
    return seals
