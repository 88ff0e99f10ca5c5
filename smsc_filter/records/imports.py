"""Takes in consents by the million: batch by batch, resumable, each line once.

How far an import has come is committed with the rows of the batch, under a key: begun again with the same key it
goes on behind the last line that is stored. One that is finished does nothing any more.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Final

from sqlalchemy import Engine, select, update

from smsc_filter.records.consent_files import Row, RowError
from smsc_filter.records.consents import BATCH_ROWS, ConsentEvent, Stored, append_events, owner_ids, owner_ids_within
from smsc_filter.records.database import insert_new, reading, writing
from smsc_filter.records.errors import RecordsError
from smsc_filter.records.tables import imports

MOST_KEY_CHARACTERS: Final = 200


@dataclass(frozen=True, slots=True)
class ImportSummary:
    """How far an import has come."""

    rows: int = 0
    """Lines with something on them, without the header."""

    stored: int = 0
    repeated: int = 0
    """Events that were on record before, to the letter."""

    wrong: int = 0
    held: int = 0
    """Of what was stored, claims that a refusal of the recipient holds back until an operator has reviewed them."""
    lines: int = 0
    """The last line that was taken in."""

    finished: bool = False

    def __str__(self) -> str:
        known = f"{self.repeated:,} known before"
        held = f", {self.held:,} of them claimed: the recipient had refused" if self.held else ""
        return f"{self.rows:,} rows: {self.stored:,} stored{held}, {known}, {self.wrong:,} wrong"


@dataclass(frozen=True, slots=True)
class ImportBatch:
    """What one transaction stored."""

    errors: list[RowError]
    summary: ImportSummary
    """Of everything up to here; that of the last batch is final."""


class Import:
    """One import, under a key."""

    def __init__(self, engine: Engine, key: str, fingerprint: str = "", *, clock: Callable[[], float] = time.time):
        """Begin, or find out how far it came.

        Args:
            engine: the records of law.
            key: names the import for ever.
            fingerprint: of what is imported, so that a key is not used for two things; empty where it is not known.
            clock: epoch seconds.

        Raises:
            RecordsError: the key is empty or too long, or was used for something else.
            SqlUnavailable: the database does not answer.
        """
        if not 0 < len(key) <= MOST_KEY_CHARACTERS:
            raise RecordsError(f"the key of an import has 1 to {MOST_KEY_CHARACTERS} characters")
        self._engine = engine
        self._key = key
        self._clock = clock
        row = imports.c
        with writing(engine) as connection:
            connection.execute(
                insert_new(connection, imports),
                {"key": key, "fingerprint": fingerprint, "started_at_ms": round(clock() * 1000), "lines": 0, "rows": 0,
                 "stored": 0, "repeated": 0, "wrong": 0, "held": 0},
            )  # fmt: skip
            found = connection.execute(select(imports).where(row.key == key)).one()
        if found.fingerprint != fingerprint:
            raise RecordsError(f"key {key!r} was used for an import of something else; choose another key")
        self.summary = ImportSummary(
            rows=found.rows, stored=found.stored, repeated=found.repeated, wrong=found.wrong, held=found.held,
            lines=found.lines, finished=found.finished_at_ms is not None,
        )  # fmt: skip

    def take(self, rows: Iterable[Row], batch_rows: int = BATCH_ROWS) -> Iterator[ImportBatch]:
        """Store ``rows``, a transaction for every ``batch_rows``; at least one batch comes.

        Args:
            rows: what is behind line ``summary.lines``.
            batch_rows: rows a transaction.

        Raises:
            RecordsError: from ``rows``, or another process takes in the same import.
            SqlUnavailable: the database does not answer; the batches so far are stored.
        """
        if self.summary.finished:
            yield ImportBatch([], self.summary)
            return
        events: list[ConsentEvent] = []
        errors: list[RowError] = []
        last_line = self.summary.lines
        for last_line, said in rows:
            if isinstance(said, RowError):
                errors.append(said)
            else:
                events.append(said)
            if len(events) + len(errors) >= batch_rows:
                yield self._store(events, errors, last_line)
                events, errors = [], []
        yield self._store(events, errors, last_line, finished=True)

    def _store(
        self, events: list[ConsentEvent], errors: list[RowError], last_line: int, *, finished: bool = False
    ) -> ImportBatch:
        ids = owner_ids(self._engine, {event.owner for event in events})
        before, row = self.summary, imports.c
        with writing(self._engine) as connection:
            _, new, held = append_events(connection, events, ids) if events else Stored([], 0)
            summary = ImportSummary(
                rows=before.rows + len(events) + len(errors),
                stored=before.stored + new,
                repeated=before.repeated + len(events) - new,
                wrong=before.wrong + len(errors),
                held=before.held + held,
                lines=last_line,
                finished=finished,
            )
            moved = connection.execute(
                update(imports)
                .where(row.key == self._key, row.lines == before.lines, row.finished_at_ms.is_(None))
                .values(
                    rows=summary.rows, stored=summary.stored, repeated=summary.repeated, wrong=summary.wrong,
                    held=summary.held, lines=summary.lines,
                    finished_at_ms=round(self._clock() * 1000) if finished else None,
                )
            )  # fmt: skip
            if moved.rowcount != 1:
                raise RecordsError(f"import {self._key!r} is being taken in by another process")
        self.summary = summary
        return ImportBatch(errors, summary)


@dataclass(slots=True)
class Preview:
    """What an import would come to."""

    states: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Rows by owner and state."""
    stored: int = 0
    repeated: int = 0
    held: int = 0
    wrong: int = 0
    errors: list[RowError] = field(default_factory=list)
    """The first of them."""


class _Undone(Exception):
    """Ends a transaction that nothing may remain of."""


def preview_import(engine: Engine, rows: Iterable[Row], most_errors: int, batch_rows: int = BATCH_ROWS) -> Preview:
    """What taking in ``rows`` would do; nothing is changed.

    Each batch is stored as an import would and taken back, so that a row which is twice in a long file may be counted
    twice.

    Raises:
        RecordsError: from ``rows``.
        SqlUnavailable: the database does not answer.
    """
    found = Preview()
    source = iter(rows)
    while some := list(islice(source, batch_rows)):
        events = [each.said for each in some if isinstance(each.said, ConsentEvent)]
        errors = [each.said for each in some if isinstance(each.said, RowError)]
        found.wrong += len(errors)
        found.errors += errors[: most_errors - len(found.errors)]
        found.states.update((event.owner, event.state) for event in events)
        stored = Stored([], 0)
        with suppress(_Undone), writing(engine) as connection:
            if events:
                ids = owner_ids_within(connection, {event.owner for event in events})
                stored = append_events(connection, events, ids)
            raise _Undone
        found.stored += stored.new
        found.held += stored.held
        found.repeated += len(events) - stored.new
    return found


def fingerprint_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal.

    Raises:
        RecordsError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise RecordsError(f"{path}: {error.strerror}") from error


def known_import(engine: Engine, key: str) -> ImportSummary | None:
    """How far an import has come, or None.

    Raises:
        SqlUnavailable: the database does not answer.
    """
    with reading(engine) as connection:
        found = connection.execute(select(imports).where(imports.c.key == key)).first()
    if found is None:
        return None
    return ImportSummary(
        found.rows, found.stored, found.repeated, found.wrong, found.held, found.lines, found.finished_at_ms is not None
    )
