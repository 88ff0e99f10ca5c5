"""Consents as files and request bodies bring them: lines become events, or errors that name the line.

CSV with a header, or JSON Lines with the same names, in UTF-8; a wrong line costs itself and no other.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

import orjson

from smsc_filter.records.consents import MOST_TOPIC_OCTETS, ConsentEvent
from smsc_filter.records.errors import RecordsError

KINDS: Final = ("granted", "refused", "withdrawn")
"""What a file may say; a request is put on record by who sends it."""

REQUIRED: Final = ("recipient", "owner", "state")
OPTIONAL: Final = (
    "event_time", "expires_time", "topic", "source", "reference", "text_version", "evidence_sha256",
)  # fmt: skip

FORMATS: Final = ("csv", "jsonl")

MOST_LINE_OCTETS: Final = 16_384
MOST_FIELD_CHARACTERS: Final = 1_000

FUTURE_SECONDS: Final = 300.0
"""How far an event may lie ahead of our clock; it then counts as of now. A grant dated next year could not be
withdrawn before then."""

_FAR_SECONDS: Final = 4_102_444_800.0
"""The year 2100: milliseconds taken for seconds are beyond it."""

_HEXADECIMAL: Final = frozenset("0123456789abcdef")


@dataclass(frozen=True, slots=True)
class RowError:
    """A line that says nothing we can store."""

    line: int
    """From 1; the header is line 1."""

    sentence: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.sentence}"


class Row(NamedTuple):
    """One line, read."""

    line: int
    said: ConsentEvent | RowError


class Reader:
    """Turns the lines of one file or body into rows."""

    def __init__(
        self,
        normalise_number: Callable[[str], str],
        now: float,
        *,
        format: str = "csv",  # noqa: A002 - what it is called
        zone: tzinfo = UTC,
        owner: str | None = None,
    ) -> None:
        """Read ``format``, one of ``FORMATS``.

        Args:
            normalise_number: makes a number E.164, or raises ValueError with a sentence.
            now: epoch seconds, received time of every event and event time of those that name none.
            format: one of ``FORMATS``.
            zone: of event times without an offset.
            owner: whose events these are; a line may then leave the owner out and may name no other.
        """
        self._normalise_number = normalise_number
        self._now = now
        self._format = format
        self._zone = zone
        self._owner = owner

    def read(self, octets: Iterable[bytes], after_line: int = 0) -> Iterator[Row]:
        """The rows of a stream of octets in pieces of any size, from the line behind ``after_line``.

        Raises:
            RecordsError: before the first row; the header is wrong.
        """
        lines = _lines(octets)
        columns: list[str] = []
        if self._format == "csv":
            try:
                columns = self._header(next(lines, (1, b""))[1])
            except ValueError as error:
                raise RecordsError(f"line 1: {error}") from error
        for number, line in lines:
            if number <= after_line or not line.strip():
                continue
            try:
                values = self._csv(line, columns) if columns else _json(line)
                yield Row(number, self._event(values))
            except ValueError as error:
                yield Row(number, RowError(number, str(error)))

    def _header(self, line: bytes) -> list[str]:
        columns = [column.strip().lower() for column in _fields(line.removeprefix(b"\xef\xbb\xbf"))]
        self._check_names(columns)
        for column in columns:
            if columns.count(column) > 1:
                raise ValueError(f"column {column} is there twice")
        return columns

    def _check_names(self, names: Iterable[str]) -> None:
        names = list(names)
        for column in REQUIRED:
            if column not in names and not (column == "owner" and self._owner is not None):
                raise ValueError(
                    f"column {column} is missing; the header is {','.join(REQUIRED)}[,{','.join(OPTIONAL)}]"
                )
        for column in names:
            if column not in REQUIRED + OPTIONAL:
                raise ValueError(f"column {column!r} is unknown; known are {', '.join(REQUIRED + OPTIONAL)}")

    @staticmethod
    def _csv(line: bytes, columns: list[str]) -> dict[str, str]:
        fields = _fields(line)
        if len(fields) != len(columns):
            raise ValueError(f"has {len(fields)} fields, the header has {len(columns)}")
        return {column: field.strip() for column, field in zip(columns, fields, strict=True)}

    def _event(self, row: Mapping[str, str]) -> ConsentEvent:
        if self._format != "csv":
            self._check_names(row)
        for column, value in row.items():
            if len(value) > MOST_FIELD_CHARACTERS or "\0" in value:
                raise ValueError(f"{column} holds a NUL or more than {MOST_FIELD_CHARACTERS} characters")
        owner = row.get("owner") or self._owner
        if not owner:
            raise ValueError("owner is empty")
        if self._owner is not None and owner != self._owner:
            raise ValueError(f"owner is {owner!r}, only events of {self._owner!r} may come here")
        state = row["state"].lower()
        if state not in KINDS:
            raise ValueError(f"state is {row['state']!r}, one of {', '.join(KINDS)} is expected")
        topic = row.get("topic") or None
        if topic is not None and len(topic.encode()) > MOST_TOPIC_OCTETS:
            raise ValueError(f"topic has more than {MOST_TOPIC_OCTETS} octets in UTF-8")
        when, end = row.get("event_time"), row.get("expires_time")
        at = min(self._past(when), self._now) if when else self._now
        until = _epoch_seconds("expires_time", end, self._zone) if end else None
        if until is not None and (state != "granted" or not at < until < _FAR_SECONDS):
            raise ValueError(f"expires_time {end!r}: only a grant ends by time, after its event_time and before 2100")
        evidence = row.get("evidence_sha256", "").lower() or None
        if evidence is not None and (len(evidence) != 64 or not _HEXADECIMAL.issuperset(evidence)):
            raise ValueError(f"evidence_sha256 is {evidence!r}, 64 hexadecimal digits are expected")
        return ConsentEvent(
            recipient=self._normalise_number(row["recipient"]),
            owner=owner,
            state=state,
            event_at_ms=round(at * 1000),
            received_at_ms=round(self._now * 1000),
            expires_at_ms=None if until is None else round(until * 1000),
            topic=topic,
            source=row.get("source", ""),
            reference=row.get("reference", ""),
            text_version=row.get("text_version", ""),
            evidence=evidence,
            by_owner=True,
            dated=bool(when),
        )

    def _past(self, when: str) -> float:
        seconds = _epoch_seconds("event_time", when, self._zone)
        if not 0 <= seconds <= self._now + FUTURE_SECONDS:
            raise ValueError(f"event_time {when!r} lies in the future or before 1970")
        return seconds


def read_consents(
    path: Path,
    normalise_number: Callable[[str], str],
    now: float,
    zone: tzinfo = UTC,
    *,
    format: str = "",  # noqa: A002 - what it is called
    after_line: int = 0,
    on_octets: Callable[[int], object] = lambda octets: None,
) -> Iterator[Row]:
    """The rows of a file; a wrong line gives its error, and the next one is read.

    Args:
        path: the file.
        normalise_number: see ``Reader``.
        now: see ``Reader``.
        zone: see ``Reader``.
        format: one of ``FORMATS``; empty to go by the ending of the name, CSV unless that is ``.jsonl``.
        after_line: begin behind this line.
        on_octets: hears how many octets were read, piece by piece.

    Raises:
        RecordsError: before the first event; the file cannot be read or its header is wrong.
    """
    if not format:
        format = "jsonl" if path.suffix.lower() in (".jsonl", ".ndjson") else "csv"  # noqa: A001
    reader = Reader(normalise_number, now, format=format, zone=zone)
    try:
        file = path.open("rb")
    except OSError as error:
        raise RecordsError(f"{path}: {error.strerror}") from error
    with file:
        try:
            yield from reader.read(_pieces(file, on_octets), after_line)
        except RecordsError as error:
            raise RecordsError(f"{path}: {error}") from error
        except OSError as error:
            raise RecordsError(f"{path}: {error.strerror}") from error


def with_evidence(rows: Iterable[Row], evidence: str, name: str) -> Iterator[Row]:
    """The rows of which one file is the evidence, unless a row names its own."""
    for row in rows:
        if isinstance(row.said, ConsentEvent) and row.said.evidence is None:
            yield Row(row.line, replace(row.said, evidence=evidence, evidence_name=name))
        else:
            yield row


def _pieces(file: BinaryIO, on_octets: Callable[[int], object]) -> Iterator[bytes]:
    while piece := file.read(1 << 18):
        on_octets(len(piece))
        yield piece


def _lines(octets: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """Numbered lines; of one that is too long, as much as shows it."""
    number, rest = 1, b""
    for piece in octets:
        lines = (rest + piece).split(b"\n")
        rest = lines.pop()
        for line in lines:
            yield number, line
            number += 1
        if len(rest) > MOST_LINE_OCTETS:
            # What follows of it is not kept; one octet too many is enough to tell.
            rest = rest[: MOST_LINE_OCTETS + 1]
    if rest:
        yield number, rest


def _decoded(line: bytes) -> str:
    if len(line) > MOST_LINE_OCTETS:
        raise ValueError(f"longer than {MOST_LINE_OCTETS} octets")
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        raise ValueError("is not UTF-8; save the file with that encoding") from error


def _fields(line: bytes) -> list[str]:
    """The fields of one line.

    A record never spans lines here, although CSV allows it: a quote left open would swallow what follows.
    """
    text = _decoded(line)
    if '"' not in text:
        return text.rstrip("\r").split(",")
    try:
        return next(csv.reader([text], strict=True))
    except csv.Error as error:
        raise ValueError(f"is not CSV: {error}") from error


def _json(line: bytes) -> dict[str, str]:
    try:
        found = orjson.loads(_decoded(line.removeprefix(b"\xef\xbb\xbf")))
    except orjson.JSONDecodeError as error:
        raise ValueError(f"is not JSON: {error}") from error
    if type(found) is not dict:
        raise ValueError("is not a JSON object")
    values = {}
    for name, value in found.items():
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise ValueError(f"{name} is neither a string nor a number")
        values[name] = str(value).strip()
    return values


def _epoch_seconds(column: str, when: str, zone: tzinfo) -> float:
    try:
        seconds = float(when)
    except ValueError:
        try:
            moment = datetime.fromisoformat(when)
        except ValueError as error:
            raise ValueError(f"{column} is {when!r}, ISO 8601 or epoch seconds are expected") from error
        seconds = (moment if moment.tzinfo else moment.replace(tzinfo=zone)).timestamp()
    if not math.isfinite(seconds):
        raise ValueError(f"{column} {when!r} is no moment")
    return seconds
