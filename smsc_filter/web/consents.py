"""Consents as the web asks for them and puts them on record: one owner's, and never another's.

What is put on record is durable and binds the next message before it is answered. Should the hot state be away, the
record stays, is projected once it is back, and the asker is told to send the same again, which changes nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from pathlib import Path
from typing import Any, Final

import orjson
from sqlalchemy import Engine, select

from smsc_filter.policy.facts import ConsentState
from smsc_filter.records import evidence
from smsc_filter.records.claims import claimed_among
from smsc_filter.records.consent_files import Reader, Reading, Row, RowError
from smsc_filter.records.consents import (
    BATCH_ROWS,
    ConsentEvent,
    event_of,
    history,
    owner_ids,
    owner_names,
    store_events,
)
from smsc_filter.records.database import reading
from smsc_filter.records.imports import Import, ImportSummary
from smsc_filter.records.outbox import read_consents_now
from smsc_filter.records.tables import consent_events

EXPORT_ROWS: Final = 5_000


@dataclass(frozen=True, slots=True)
class TopicState:
    """What a recipient's events amount to, of one topic."""

    topic: str | None
    """None: everything the owner sends."""
    state: str
    since_ms: int
    until_ms: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentDesk:
    """Where the web has consents put on record and looked up. Thread-safe."""

    engine: Engine
    project: Callable[[], object]
    """Brings what is on record into the hot state; called by one thread at a time."""
    normalise_number: Callable[[str], str]
    zone: tzinfo
    """Of times without an offset."""
    country_code: str
    owners: Collection[str]
    """Those there are; empty: any."""
    evidence_folder: Path
    reply_seconds: float
    """How long a consent request may wait for its answer."""
    clock: Callable[[], float]
    _projecting: threading.Lock

    def record(self, events: Sequence[ConsentEvent]) -> list[int]:
        """Put events on record, all or none, and make them bind; the id of each.

        Raises:
            ValueError: an event cannot be kept as it is.
            SqlUnavailable: nothing was changed.
            RedisError: all is on record and will bind once the hot state is back.
        """
        ids = store_events(self.engine, events).ids
        self.bind()
        return ids

    def bind(self) -> None:
        """Make what is on record bind.

        Raises:
            SqlUnavailable, RedisError: one side is away; what is left is done later.
        """
        with self._projecting:
            self.project()

    def states(self, owner: str, recipients: Sequence[str]) -> dict[str, list[TopicState]]:
        """What each recipient has told ``owner``, of everything first and then by topic."""
        owner_id = owner_ids(self.engine, {owner})[owner]
        now = self.clock()
        pairs = [(recipient, owner_id) for recipient in recipients]
        _, found = read_consents_now(self.engine, pairs, reply_seconds=self.reply_seconds, now=now)
        states: dict[str, list[TopicState]] = {recipient: [] for recipient in recipients}
        for consent in found:
            status = consent.status.at(round(now * 1000))
            name = ConsentState(status.state).name.lower().replace("_", "-")
            states[consent.recipient].append(TopicState(consent.topic, name, status.since_ms, status.until_ms))
        return states

    def history(self, owner: str, recipient: str) -> list[tuple[int, ConsentEvent]]:
        """Every event of a recipient and ``owner`` with its id, in the order they were put on record."""
        return history(self.engine, recipient, owner)

    def claimed(self, recipient: str, events: Sequence[tuple[int, ConsentEvent]]) -> set[int]:
        """The ids of those events of a recipient that are claims a refusal holds back."""
        return claimed_among(self.engine, recipient, events, reply_seconds=self.reply_seconds, now=self.clock())

    def evidence_name(self, sha256: str) -> str | None:
        """Under which name a file is kept, or None."""
        if (self.evidence_folder / sha256).is_file():
            return sha256
        return next((path.name for path in self.evidence_folder.glob(f"{sha256}.*")), None)

    def keep_evidence(self, path: Path) -> evidence.Evidence:
        """Take a copy of a file that shows a consent.

        Raises:
            RecordsError: it cannot be kept.
        """
        return evidence.keep_file(self.evidence_folder, path)

    def take(
        self,
        *,
        key: str,
        owner: str,
        format: str,  # noqa: A002 - what it is called
        sha256: str,
        path: Path,
        errors: Path,
        now: float,
        tell: Callable[[ImportSummary], None],
        batch_rows: int = BATCH_ROWS,
    ) -> ImportSummary:
        """Take in a file of ``owner``; cut short and begun again it goes on where it was.

        Args:
            key: names this import for ever.
            owner: the only one whose consents the file may hold.
            format: one of ``consent_files.FORMATS``.
            sha256: of the file.
            path: the file.
            errors: where what is wrong is written, a JSON object a line.
            now: when it was asked for; event time of rows that name none.
            tell: hears how far it has come, after each transaction.
            batch_rows: rows a transaction.

        Raises:
            RecordsError: the header is wrong; nothing was changed.
            SqlUnavailable, RedisError: one side is away; begin again.
        """
        taking = Import(self.engine, key, sha256, clock=self.clock)
        reading = Reading(
            format=format, zone=self.zone, country_code=self.country_code, owner=owner, owners=self.owners
        )
        reader = Reader(self.normalise_number, now, reading)
        _keep_errors_up_to(errors, taking.summary.lines)
        with errors.open("ab") as wrong:

            def noting(rows: Iterator[Row]) -> Iterator[Row]:
                # Written before its batch is stored: killed in between, the line is cut off again at the next start.
                for row in rows:
                    if isinstance(row.said, RowError):
                        line = {"line": row.said.line, "detail": row.said.sentence}
                        wrong.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
                    yield row
                wrong.flush()

            for batch in taking.take(noting(reader.read_file(path, taking.summary.lines)), batch_rows):
                wrong.flush()
                self.bind()
                tell(batch.summary)
        self.bind()
        return taking.summary

    def export(self, owner: str, from_ms: int, to_ms: int) -> Iterator[dict[str, Any]]:
        """Every event of ``owner`` received from ``from_ms`` and before ``to_ms``, in the order of the records."""
        owner_id = owner_ids(self.engine, {owner})[owner]
        row = consent_events.c
        after = 0
        while True:
            wanted = (
                select(consent_events)
                .where(
                    row.id > after,
                    row.owner_id == owner_id,
                    row.received_at_ms >= from_ms,
                    row.received_at_ms < to_ms,
                    row.recipient.is_not(None),
                )
                .order_by(row.id)
                .limit(EXPORT_ROWS)
            )
            # One page a transaction: an export that is read slowly keeps no snapshot open.
            with reading(self.engine) as connection:
                names = owner_names(connection)
                found = [
                    (values["id"], event_of(values, names)) for values in connection.execute(wanted).mappings().all()
                ]
            for id_, event in found:
                yield told(id_, event)
            if len(found) < EXPORT_ROWS:
                return
            after = found[-1][0]


def told(id_: int, event: ConsentEvent) -> dict[str, Any]:
    """An event as it is told outside."""
    return {
        "id": id_,
        "recipient": event.recipient,
        "owner": event.owner,
        "state": event.state,
        "by": "owner" if event.by_owner else "subscriber",
        "topic": event.topic,
        "event_at_ms": event.event_at_ms,
        "received_at_ms": event.received_at_ms,
        "expires_at_ms": event.expires_at_ms,
        "source": event.source,
        "reference": event.reference,
        "text_version": event.text_version,
        "evidence_sha256": event.evidence,
    }


def _keep_errors_up_to(errors: Path, line: int) -> None:
    """Drop what was noted of lines that were not stored."""
    if not errors.exists():
        return
    with errors.open("r+b") as file:
        kept = 0
        for text in file:
            try:
                if orjson.loads(text)["line"] > line:
                    break
            except (orjson.JSONDecodeError, KeyError):
                break  # the last line of a process that was killed
            kept += len(text)
        file.truncate(kept)
