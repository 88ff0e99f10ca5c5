"""Hands out records as a folder of JSON Lines with a signed manifest, and checks such a folder.

A table takes part as a ``Section``; other modules may ``register`` theirs. The manifest names every file with its
SHA-256, and where the chain of consent events ended: what is cut off the records later can be shown by it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson
from sqlalchemy import Connection, Engine, RowMapping, and_, or_, select

from smsc_filter.records import chain, export_proofs
from smsc_filter.records.consents import BATCH_ROWS, consents_of_pairs, owner_names, pairs_on_record, read_head
from smsc_filter.records.database import reading
from smsc_filter.records.errors import RecordsError
from smsc_filter.records.evidence import Evidence, wrong_file
from smsc_filter.records.retention import DECISION_ID_BITS
from smsc_filter.records.seals import end_of_seals
from smsc_filter.records.signature import SigningKey, check_signature, signed_octets
from smsc_filter.records.tables import (
    appeal_events,
    appeals,
    complaint_decisions,
    complaint_events,
    complaints,
    consent_events,
    decisions,
    outcomes,
    whitelist,
)

MANIFEST: Final = "manifest.json"
KIND: Final = "smsc-filter-export"
EVIDENCE: Final = "evidence"

IDS: Final = {"decisions": "id", "outcomes": "decision_id"}
"""Sections whose rows are sealed by segment, and what their id is called."""


LAST_MOMENT_MS: Final = (1 << 63 - DECISION_ID_BITS) - 2
"""The year 2248: as the time of a decision's id it still fits 63 bits."""


class Scope(NamedTuple):
    """What is asked for."""

    owner: str | None
    """Whose; None: everybody's."""
    from_ms: int
    to_ms: int
    """The first moment that is not asked for."""


Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Section:
    """One file of an export."""

    name: str
    rows: Callable[[Connection, Scope], Iterator[Row]]


def export(
    engine: Engine,
    out: Path,
    scope: Scope,
    key: SigningKey,
    *,
    now: float,
    evidence_folder: Path,
    sections: Sequence[Section] | None = None,
    problems: Sequence[str] = (),
    advance: Callable[[int], object] = lambda rows: None,
) -> dict[str, Any]:
    """Write what ``scope`` asks for into the new folder ``out``; the manifest.

    The folder gets its name when it is complete. ``problems`` is what verifying found: the manifest says so.

    Raises:
        RecordsError: ``out`` is there already, or cannot be written.
        SqlUnavailable: the database does not answer.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise RecordsError(f"{out} is there already; name a new folder")
    unfinished = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        unfinished.mkdir(parents=True)
        try:
            with reading(engine) as connection:
                # Before the rows: what the chain was at least when they were read.
                head, sealed_to = read_head(connection), end_of_seals(connection)
                files: dict[str, Any] = {}
                evidence: dict[str, str] = {}
                ids: dict[str, list[int]] = {kind: [] for kind in IDS}
                for section in SECTIONS if sections is None else sections:
                    rows = _noting(section, section.rows(connection, scope), evidence, ids)
                    files[f"{section.name}.jsonl"] = _write(unfinished / f"{section.name}.jsonl", rows, advance)
                sealed = export_proofs.write_seals(connection, unfinished, ids, sealed_to[0])
            missing = _copy_evidence(evidence_folder, unfinished, evidence, files)
            _add_proofs(unfinished, files)
            manifest = key.sign(
                {
                    "kind": KIND,
                    "version": 1,
                    "owner": scope.owner,
                    "from_ms": scope.from_ms,
                    "to_ms": scope.to_ms,
                    "made_at_ms": round(now * 1000),
                    "files": files,
                    "evidence_not_kept_here": missing,
                    "head": {"position": head.position, "chain": head.chain.hex()},
                    "seals": {"position": sealed_to[0], "chain": sealed_to[1]},
                    "sealed": sealed,
                    "problems": list(problems),
                }
            )
            export_proofs.write_signature(unfinished, manifest)
            (unfinished / MANIFEST).write_bytes(orjson.dumps(manifest, option=orjson.OPT_INDENT_2))
            if out.exists():
                out.rmdir()
            unfinished.rename(out)
        except BaseException:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise
    except OSError as error:
        raise RecordsError(f"{error.filename}: {error.strerror}") from error
    return manifest


def check_export(folder: Path, public: str | None = None) -> tuple[dict[str, Any], list[str]]:
    """The manifest of an export, and what is wrong with the folder, a sentence each.

    Args:
        folder: what ``export`` wrote.
        public: the key it must be signed with; None for any.

    Raises:
        RecordsError: there is no manifest that can be read.
    """
    try:
        manifest: dict[str, Any] = orjson.loads((folder / MANIFEST).read_bytes())
        files: dict[str, dict[str, Any]] = manifest["files"]
        wanted = {name: (each["sha256"], each["octets"], each["rows"]) for name, each in files.items()}
    except OSError as error:
        raise RecordsError(f"{folder / MANIFEST}: {error.strerror}") from error
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise RecordsError(f"{folder / MANIFEST}: is no manifest of an export") from error
    problems: list[str] = []
    try:
        check_signature(manifest, public)
    except RecordsError as error:
        problems.append(f"{MANIFEST} {error}")
    there = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    there -= {MANIFEST, *export_proofs.SIGNING_FILES}
    problems += [f"when it was exported: {each}" for each in manifest.get("problems", ())]
    signed = folder / export_proofs.SIGNED
    if signed.is_file() and signed.read_bytes() != signed_octets(manifest):
        problems.append(f"{export_proofs.SIGNED} is not what {MANIFEST} says")
    problems += [f"{name} is not in the manifest" for name in sorted(there - wanted.keys())]
    for name, expected in sorted(wanted.items()):
        if name not in there:
            problems.append(f"{name} is missing")
        elif (found := _measure(folder / name)) != expected:
            said = (
                f"{expected[2]:,} lines expected, {found[2]:,} are there" if found[2] != expected[2] else "was changed"
            )
            problems.append(f"{name}: {said}")
        elif name == "consent_events.jsonl":
            problems += _wrong_events(folder / name)
    return manifest, problems


def register(section: Section) -> None:
    """Have a section in every export from now on."""
    if section.name not in (each.name for each in SECTIONS):
        SECTIONS.append(section)


# --- sections


def _decisions(connection: Connection, scope: Scope) -> Iterator[Row]:
    for row in _stream(connection, select(decisions).where(*_of_decisions(scope)).order_by(decisions.c.id)):
        yield {**row, "findings": orjson.loads(row["findings"] or "[]")}


def _outcomes(connection: Connection, scope: Scope) -> Iterator[Row]:
    joined = outcomes.join(decisions, outcomes.c.decision_id == decisions.c.id)
    wanted = select(outcomes).select_from(joined).where(*_of_decisions(scope)).order_by(outcomes.c.decision_id)
    yield from _stream(connection, wanted)


def _consent_events(connection: Connection, scope: Scope) -> Iterator[Row]:
    """Events of the time asked for, and whatever else was told by a recipient who was written to in it."""
    row, before = consent_events.c, consent_events.alias("before")
    names = owner_names(connection)
    previous = (
        select(before.c.chain)
        .where(before.c.id < row.id)
        .order_by(before.c.id.desc())
        .limit(1)
        .correlate(consent_events)
        .scalar_subquery()
    )
    written_to = select(decisions.c.recipient).where(*_of_decisions(scope))
    wanted = (
        select(consent_events, previous.label("previous"))
        .where(
            row.recipient.is_not(None),
            or_(
                and_(row.event_at_ms >= scope.from_ms, row.event_at_ms < scope.to_ms),
                and_(row.received_at_ms >= scope.from_ms, row.received_at_ms < scope.to_ms),
                and_(row.event_at_ms < scope.to_ms, row.recipient.in_(written_to)),
            ),
        )
        .order_by(row.id)
    )
    if scope.owner is not None:
        wanted = wanted.where(row.owner_id.in_([id_ for id_, name in names.items() if name == scope.owner]))
    for each in _stream(connection, wanted):
        each["owner"] = names[each.pop("owner_id")]
        for name in ("salt", "proof_salt", "proof_digest", "chain", "previous"):
            each[name] = each[name].hex() if each[name] is not None else None
        del each["digest"], each["mark"]
        yield each


def _whitelist(connection: Connection, scope: Scope) -> Iterator[Row]:
    row = whitelist.c
    wanted = select(whitelist).where(row.created_at_ms < scope.to_ms, row.expires_at_ms >= scope.from_ms)
    if scope.owner is not None:
        wanted = wanted.where(row.owner == scope.owner)
    yield from _stream(connection, wanted.order_by(row.id))


def _appeals(connection: Connection, scope: Scope) -> Iterator[Row]:
    """Appeals opened, or answered, in the time asked for, with all that happened to them."""
    row, event = appeals.c, appeal_events.c
    wanted = select(appeals).where(
        row.opened_at_ms < scope.to_ms, or_(row.opened_at_ms >= scope.from_ms, row.decided_at_ms >= scope.from_ms)
    )
    if scope.owner is not None:
        wanted = wanted.where(row.owner == scope.owner)
    for each in connection.execute(wanted.order_by(row.id)).mappings():
        history = select(event.event, event.at_ms, event.by, event.note, event.evidence).where(
            event.appeal_id == each["id"]
        )
        events = connection.execute(history.order_by(event.id)).mappings()
        yield {**_plain(each), "events": [_plain(one) for one in events]}


def _complaints(connection: Connection, scope: Scope) -> Iterator[Row]:
    """Complaints taken in during the time asked for, with the decisions they are about and all that happened."""
    row, link, event = complaints.c, complaint_decisions.c, complaint_events.c
    wanted = select(complaints).where(row.received_at_ms >= scope.from_ms, row.received_at_ms < scope.to_ms)
    if scope.owner is not None:
        wanted = wanted.where(row.owner == scope.owner)
    for each in connection.execute(wanted.order_by(row.id)).mappings():
        linked = select(link.decision_id).where(link.complaint_id == each["id"]).order_by(link.decision_id)
        history = select(event.event, event.at_ms, event.by, event.note).where(event.complaint_id == each["id"])
        yield {
            **_plain(each),
            "decisions": list(connection.execute(linked).scalars()),
            "events": [_plain(one) for one in connection.execute(history.order_by(event.id)).mappings()],
        }


def _complained_of(connection: Connection, scope: Scope) -> Iterator[Row]:
    """The decisions those complaints are about."""
    row, link = complaints.c, complaint_decisions.c
    concerned = (
        select(link.decision_id)
        .join(complaints, row.id == link.complaint_id)
        .where(row.received_at_ms >= scope.from_ms, row.received_at_ms < scope.to_ms)
    )
    if scope.owner is not None:
        concerned = concerned.where(row.owner == scope.owner)
    wanted = select(decisions).where(decisions.c.id.in_(concerned)).order_by(decisions.c.id)
    for each in _stream(connection, wanted):
        yield {**each, "findings": orjson.loads(each["findings"] or "[]")}


COMPLAINTS: Final = Section("complaints", _complaints)

COMPLAINT_SECTIONS: Final = (COMPLAINTS, Section("decisions", _complained_of))
"""What a regulator is handed of complaints."""

SECTIONS: Final = [
    Section("decisions", _decisions),
    Section("outcomes", _outcomes),
    Section("consent_events", _consent_events),
    Section("whitelist", _whitelist),
    Section("appeals", _appeals),
    COMPLAINTS,
]
"""What every export of a provider holds."""


def consent_sections(engine: Engine, *, reply_seconds: float, now: float) -> list[Section]:
    """Consents as they are at ``now``, and the events they follow from."""

    def current(connection: Connection, scope: Scope) -> Iterator[Row]:
        names = owner_names(connection)
        chunk: list[tuple[str, int]] = []

        def told() -> Iterator[Row]:
            for each in consents_of_pairs(connection, chunk, reply_seconds, now):
                yield {
                    "recipient": each.recipient,
                    "owner": names[each.owner_id],
                    "topic": each.topic,
                    "state": each.status.state.name.lower(),
                    "since_ms": each.status.since_ms,
                    "until_ms": each.status.until_ms,
                }

        for pair in pairs_on_record(engine):
            if scope.owner in (None, names.get(pair[1])):
                chunk.append(pair)
                if len(chunk) == BATCH_ROWS:
                    yield from told()
                    chunk.clear()
        yield from told()

    return [Section("consents", current), Section("consent_events", _consent_events)]


# --- files


def _of_decisions(scope: Scope) -> list[Any]:
    row = decisions.c
    conditions = [
        row.at_ms >= scope.from_ms,
        row.at_ms < scope.to_ms,
        row.id < (scope.to_ms + 1) << DECISION_ID_BITS,  # ids grow with time: spares reading what is younger
    ]
    return conditions if scope.owner is None else [*conditions, row.owner == scope.owner]


def _stream(connection: Connection, wanted: Any) -> Iterator[Row]:
    found = connection.execution_options(yield_per=BATCH_ROWS).execute(wanted)
    names = [str(name) for name in found.keys()]  # noqa: SIM118 - of a result, not of a dict
    yield from (dict(zip(names, row, strict=True)) for row in found)


def _plain(row: RowMapping) -> Row:
    """A row with names that a JSON writer takes."""
    return {str(name): value for name, value in row.items()}


def _noting(
    section: Section, rows: Iterator[Row], evidence: dict[str, str], ids: dict[str, list[int]]
) -> Iterator[Row]:
    key = IDS.get(section.name)
    for row in rows:
        if key is not None and key in row:
            ids[section.name].append(row[key])
        if row.get("evidence_name"):
            evidence[row["evidence_name"]] = row["evidence"]
        yield row


def _write(path: Path, rows: Iterator[Row], advance: Callable[[int], object]) -> dict[str, Any]:
    digest, octets, number, told = hashlib.sha256(), 0, 0, 0
    with path.open("wb") as file:
        for row in rows:
            line = orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)
            file.write(line)
            digest.update(line)
            octets += len(line)
            number += 1
            if number - told == BATCH_ROWS:
                advance(number - told)
                told = number
        file.flush()
        os.fsync(file.fileno())
    advance(number - told)
    return {"sha256": digest.hexdigest(), "octets": octets, "rows": number}


def _add_proofs(folder: Path, files: dict[str, Any]) -> None:
    """Add the words and sums for a third party, and name all that the folder holds in ``files``."""
    (folder / export_proofs.README).write_text(export_proofs.readme())
    for path in sorted([folder / export_proofs.README, *(folder / export_proofs.FOLDER).iterdir()]):
        digest, octets, _ = _measure(path)
        files[str(path.relative_to(folder))] = {"sha256": digest, "octets": octets, "rows": 0}
    sums = "".join(f"{each['sha256']}  {name}\n" for name, each in sorted(files.items()))
    (folder / export_proofs.SUMS).write_text(sums)
    digest, octets, _ = _measure(folder / export_proofs.SUMS)
    files[export_proofs.SUMS] = {"sha256": digest, "octets": octets, "rows": 0}


def _measure(path: Path) -> tuple[str, int, int]:
    digest, octets, lines = hashlib.sha256(), 0, 0
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
            octets += len(piece)
            lines += piece.count(b"\n")
    return digest.hexdigest(), octets, lines if path.suffix == ".jsonl" else 0


def _copy_evidence(folder: Path, out: Path, evidence: Mapping[str, str], files: dict[str, Any]) -> list[str]:
    """Add what shows the consents; the names of files that are not kept here, or are not what they were."""
    missing = []
    for name, sha256 in sorted(evidence.items()):
        if wrong_file(folder, Evidence(sha256, name)) is not None:
            missing.append(name)
            continue
        (out / EVIDENCE).mkdir(exist_ok=True)
        shutil.copyfile(folder / name, out / EVIDENCE / name)
        _, octets, _ = _measure(out / EVIDENCE / name)
        files[f"{EVIDENCE}/{name}"] = {"sha256": sha256, "octets": octets, "rows": 0}
    return missing


def _wrong_events(path: Path) -> Iterator[str]:
    """Events that are not those that were sealed."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                row = orjson.loads(line)
                core: Any = (
                    row["id"], row["recipient"], row["owner"], row["topic"], row["event"], row["event_at_ms"],
                    row["received_at_ms"], row["expires_at_ms"],
                )  # fmt: skip
                proof = (row["source"], row["reference"], row["text_version"], row["evidence"], row["evidence_name"])
                of_proof = (
                    bytes.fromhex(row["proof_digest"])
                    if row["proof_digest"]
                    else chain.proof_digest(proof, bytes.fromhex(row["proof_salt"]))
                )
                digest = chain.event_digest(core, of_proof, bytes.fromhex(row["salt"]))
                previous = bytes.fromhex(row["previous"]) if row["previous"] else chain.BEGINNING
                sealed = chain.link(previous, row["id"], digest).hex() == row["chain"]
            except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
                sealed = False
            if not sealed:
                yield f"{path.name}: line {number}: the event is not the one that was sealed"
