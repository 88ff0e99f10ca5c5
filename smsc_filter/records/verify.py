"""Shows that consent events are as they were sealed, and lets others see it: anchors and receipts.

The chain finds a change, a deletion and a reorder inside it. Events cut off at its end leave a chain that is whole,
so where it ended is noted elsewhere too: in ``chain_heads``, in a file of anchors outside the database, and in every
receipt and manifest that was handed out.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import orjson
from sqlalchemy import Connection, Engine, select

from smsc_filter.records import chain
from smsc_filter.records.consents import BATCH_ROWS, owner_names, read_head
from smsc_filter.records.database import reading
from smsc_filter.records.errors import RecordsError
from smsc_filter.records.signature import SigningKey, check_signature
from smsc_filter.records.tables import consent_events

ANCHORS: Final = "anchors.jsonl"
SEAL_ANCHORS: Final = "seal-anchors.jsonl"
"""Where the chain of seals ended (``records.seals``)."""

MOST_PROBLEMS: Final = 100
"""Beyond these nobody reads on."""

RECEIPT: Final = "consent-receipt"


@dataclass(slots=True)
class Verification:
    """What was found."""

    events: int = 0
    forgotten: int = 0
    """Of these, events whose content retention has taken; their place is checked."""
    position: int = 0
    chain: bytes = chain.BEGINNING
    problems: list[str] = field(default_factory=list)

    def tell(self, problem: str) -> None:
        """Add a problem, unless there are too many already."""
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(problem)


def verify_events(
    engine: Engine, anchors: Iterable[tuple[int, bytes]] = (), advance: Callable[[int], object] = lambda events: None
) -> Verification:
    """Recompute the whole chain, and compare it with every note of it.

    Args:
        engine: the records of law.
        anchors: (position, chain) as they were noted elsewhere; the chain must have gone through each.
        advance: hears of events checked, by their number.

    Raises:
        SqlUnavailable: the database does not answer.
    """
    noted: dict[int, set[bytes]] = {}
    for position, end in anchors:
        noted.setdefault(position, set()).add(end)
    found = Verification()
    with reading(engine) as connection:
        # Read first: events that come while we count are then behind this end.
        head = read_head(connection)
        names = owner_names(connection)
        events = connection.execution_options(yield_per=BATCH_ROWS).execute(
            select(consent_events).where(consent_events.c.id <= max(head.position, 0)).order_by(consent_events.c.id)
        )
        for partition in events.mappings().partitions():
            for row in partition:
                _check(row, names, found)
                for end in noted.pop(row["id"], ()):
                    if end != row["chain"]:
                        found.tell(f"event {row['id']}: the chain was noted elsewhere and is another one now")
            advance(len(partition))
        beyond = connection.execute(
            select(consent_events.c.id).where(consent_events.c.id > head.position).order_by(consent_events.c.id)
        ).scalars().first()  # fmt: skip
        # Unless they were appended while we read.
        if beyond is not None and read_head(connection).position == head.position:
            found.tell(f"event {beyond} is behind the end of the chain: it was put there past smsc-filter")
    if (found.position, found.chain) != head[:2]:
        found.tell(
            f"the chain ends with event {found.position}, and ended with event {head.position}: events are missing"
        )
    for position in sorted(noted):
        if position > 0:
            found.tell(f"event {position} is missing: the chain was noted elsewhere when it ended there")
    return found


def _check(row: Mapping[Any, Any], names: Mapping[int, str], found: Verification) -> None:
    expected = found.position + 1
    digest = row["digest"] or _digest(row, names)
    found.forgotten += row["digest"] is not None
    if digest is None or chain.link(found.chain, row["id"], digest) != row["chain"]:
        if row["id"] != expected:
            missing = f"{expected}" if row["id"] == expected + 1 else f"{expected} to {row['id'] - 1}"
            found.tell(f"event {missing} is missing, or event {row['id']} was changed")
        else:
            found.tell(f"event {row['id']} was changed, or is not in its place")
    found.events += 1
    found.position, found.chain = row["id"], row["chain"]


def _digest(row: Mapping[Any, Any], names: Mapping[int, str]) -> bytes | None:
    """The digest of what a row holds now; None when it holds nothing that could have been sealed."""
    core, proof, salt, proof_salt = _content(row, names)
    of_proof = row["proof_digest"] or (chain.proof_digest(proof, proof_salt) if proof_salt is not None else None)
    if of_proof is None or salt is None or core[2] is None:
        return None
    return chain.event_digest(core, of_proof, salt)


def _content(
    row: Mapping[Any, Any], names: Mapping[int, str]
) -> tuple[chain.Core, chain.Proof, bytes | None, bytes | None]:
    core: Any = (
        row["id"], row["recipient"], names.get(row["owner_id"]), row["topic"], row["event"], row["event_at_ms"],
        row["received_at_ms"], row["expires_at_ms"],
    )  # fmt: skip
    proof = (row["source"], row["reference"], row["text_version"], row["evidence"], row["evidence_name"])
    return core, proof, row["salt"], row["proof_salt"]


# --- anchors: where the chain ended, outside the database


def note_anchor(folder: Path, key: SigningKey, position: int, end: bytes, now: float, file_name: str = ANCHORS) -> None:
    """Append where the chain ends to the anchors in ``folder``.

    Raises:
        RecordsError: it cannot be written.
    """
    line = orjson.dumps(
        key.sign({"at_ms": round(now * 1000), "position": position, "chain": end.hex()}),
        option=orjson.OPT_APPEND_NEWLINE,
    )
    path = folder / file_name
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(descriptor, line)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise RecordsError(f"{path}: {error.strerror}") from error


def read_anchors(folder: Path, file_name: str = ANCHORS) -> Iterator[tuple[int, bytes]]:
    """What ``note_anchor`` wrote; a torn last line is left out.

    Raises:
        RecordsError: a line was changed after it was signed.
    """
    path = folder / file_name
    if not path.exists():
        return
    for number, line in enumerate(path.read_bytes().split(b"\n")[:-1], 1):
        yield anchor_of(line, f"{path}: line {number}")


def anchor_of(octets: bytes, name: str, public: str | None = None) -> tuple[int, bytes]:
    """Position and chain that a signed document notes: an anchor, a manifest or a receipt.

    Raises:
        RecordsError: it is none, or was changed after it was signed.
    """
    try:
        document = orjson.loads(octets)
        check_signature(document, public)
        head = document.get("head", document)
        return int(head["position"]), bytes.fromhex(head["chain"])
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise RecordsError(f"{name}: notes no end of a chain") from error
    except RecordsError as error:
        raise RecordsError(f"{name}: {error}") from error


def seal_anchor_of(octets: bytes) -> tuple[int, bytes] | None:
    """Position and chain of seals that a manifest notes, whose signature is checked already; None without."""
    head = orjson.loads(octets).get("seals")
    return None if head is None else (int(head["position"]), bytes.fromhex(head["chain"]))


# --- receipts: one event with what shows its place


def make_receipt(engine: Engine, event_id: int, key: SigningKey, now: float) -> dict[str, Any]:
    """What a subscriber or an inspector is handed for one event: content, proof, place in the chain, signed.

    Raises:
        RecordsError: there is no such event, or retention has taken its content.
        SqlUnavailable: the database does not answer.
    """
    with reading(engine) as connection:
        head = read_head(connection)
        row = _row(connection, event_id)
        if row is None or row["digest"] is not None or row["proof_digest"] is not None:
            raise RecordsError(f"event {event_id} is not on record, or no longer with its proof")
        before = connection.execute(
            select(consent_events.c.chain)
            .where(consent_events.c.id < event_id)
            .order_by(consent_events.c.id.desc())
            .limit(1)
        ).scalar()
        core, proof, salt, proof_salt = _content(row, owner_names(connection))
    assert salt is not None
    assert proof_salt is not None
    return key.sign(
        {
            "kind": RECEIPT,
            "issued_at_ms": round(now * 1000),
            "event": list(core),
            "proof": list(proof),
            "salt": salt.hex(),
            "proof_salt": proof_salt.hex(),
            "previous": (before or chain.BEGINNING).hex(),
            "head": {"position": head.position, "chain": head.chain.hex()},
            "position": core[0],
            "chain": row["chain"].hex(),
        }
    )


def check_receipt(octets: bytes, engine: Engine | None, public: str | None = None) -> dict[str, Any]:
    """Whether a receipt is genuine; without ``engine`` by itself alone, with it also against the records.

    Returns:
        The receipt.

    Raises:
        RecordsError: it is not; the sentence says why.
        SqlUnavailable: the database does not answer.
    """
    try:
        receipt: dict[str, Any] = orjson.loads(octets)
        if not isinstance(receipt, dict) or receipt.get("kind") != RECEIPT:
            raise RecordsError("is no receipt of a consent event")
        check_signature(receipt, public)
        core, proof = tuple(receipt["event"]), tuple(receipt["proof"])
        salt, proof_salt = bytes.fromhex(receipt["salt"]), bytes.fromhex(receipt["proof_salt"])
        digest = chain.event_digest(core, chain.proof_digest(proof, proof_salt), salt)
        linked = chain.link(bytes.fromhex(receipt["previous"]), core[0], digest)
        sealed = bytes.fromhex(receipt["chain"])
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
        raise RecordsError("is no receipt of a consent event") from error
    if linked != sealed:
        raise RecordsError("its event is not the one that was sealed")
    if engine is not None:
        with reading(engine) as connection:
            row = _row(connection, core[0])
        if row is None or row["chain"] != sealed:
            raise RecordsError(f"the records hold another event {core[0]}, or none")
    return receipt


def _row(connection: Connection, event_id: int) -> Mapping[Any, Any] | None:
    return connection.execute(select(consent_events).where(consent_events.c.id == event_id)).mappings().first()
