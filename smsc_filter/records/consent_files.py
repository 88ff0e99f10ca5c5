"""Consents as files and request bodies bring them: lines become events, or errors that name the line.

A table with a header (``records.sheets``) or JSON Lines with the same names, which may be those of spreadsheets and
CRMs in Chinese and English (``records.consent_words``); a wrong line costs itself and no other.
"""

from __future__ import annotations

import difflib
import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, tzinfo
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

import orjson

from smsc_filter.records.consent_words import ASKS_FOR_CONSENT, COLUMNS, NO, STATES, YES, plain
from smsc_filter.records.consents import MOST_TOPIC_OCTETS, ConsentEvent
from smsc_filter.records.errors import RecordsError
from smsc_filter.records.moments import MomentError, Moments
from smsc_filter.records.sheets import (
    OLD_WORKBOOK_MARK,
    WORKBOOK_MARK,
    Table,
    read_lines,
    read_text_table,
    read_workbook,
)

KINDS: Final = ("granted", "refused", "withdrawn")
"""What a file may say; a request is put on record by who sends it."""

REQUIRED: Final = ("recipient", "owner", "state")
OPTIONAL: Final = (
    "event_time", "expires_time", "topic", "source", "reference", "text_version", "evidence_sha256",
)  # fmt: skip
FIELDS: Final = REQUIRED + OPTIONAL

FORMATS: Final = ("csv", "jsonl", "xlsx")

MOST_FIELD_CHARACTERS: Final = 1_000

FUTURE_SECONDS: Final = 300.0
"""How far an event may lie ahead of our clock; it then counts as of now. A grant dated next year could not be
withdrawn before then."""

_FAR_SECONDS: Final = 4_102_444_800.0
"""The year 2100."""

_DAY_SECONDS: Final = 86_400.0

_HEXADECIMAL: Final = frozenset("0123456789abcdef")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How a file is to be read, where it does not say so itself."""

    format: str = "csv"
    """One of ``FORMATS``."""
    zone: tzinfo = UTC
    """Of times without an offset."""
    country_code: str = ""
    """Says what 5/1/2026 is, see ``records.moments``."""
    owner: str | None = None
    """Whose events these are; a line may then leave the owner out and may name no other."""
    owners: Collection[str] = ()
    """Those there are; empty: any."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """Field -> the name of its column."""
    states: Mapping[str, str] = field(default_factory=dict)
    """What the state column says -> one of ``KINDS``."""

    def __post_init__(self) -> None:
        for name in self.columns:
            if name not in FIELDS:
                raise ValueError(f"columns: {name!r} is unknown; known are {', '.join(FIELDS)}")
        for name, kind in self.states.items():
            if kind not in KINDS:
                raise ValueError(f"states: {name!r} is {kind!r}, one of {', '.join(KINDS)} is expected")


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
        reading: Reading = Reading(),
    ) -> None:
        """Read as ``reading`` says.

        Args:
            normalise_number: makes a number E.164, or raises ValueError with a sentence.
            now: epoch seconds, received time of every event and event time of those that name none.
            reading: how.
        """
        self._normalise_number = normalise_number
        self._now = now
        self._reading = reading
        self._moments = Moments(reading.zone, reading.country_code)
        self._states = {plain(name): kind for name, kind in reading.states.items()}
        self._yes_and_no = False
        self._names: dict[str, str] = {}
        self._unread: Counter[str] = Counter()
        self._described: Callable[[], str] = str

    @property
    def notes(self) -> list[str]:
        """How what was read so far was taken, for whoever sent it."""
        notes = [self._described()] if self._described() else []
        renamed = [f"{column} as {name}" for column, name in self._names.items() if column != name]
        notes += [f"read {', '.join(renamed)}"] if renamed else []
        notes += [f"not read: {', '.join(self._unread)}"] if self._unread else []
        if self._moments.zoneless:
            notes.append(f"{self._moments.zoneless:,} times without an offset are of {self._reading.zone}")
        if self._moments.ordered:
            first = "the month" if self._moments.month_first else "the day"
            notes.append(f"of {self._moments.ordered:,} dates such as 5/1/2026 {first} comes first")
        return notes

    def read(self, octets: Iterable[bytes], after_line: int = 0) -> Iterator[Row]:
        """The rows of a stream of octets in pieces of any size, from the line behind ``after_line``.

        Raises:
            RecordsError: before the first row; the header is wrong.
        """
        if self._reading.format == "jsonl":
            yield from self._json_lines(octets, after_line)
        else:
            yield from self._table(read_text_table(octets, self._known), after_line)

    def read_file(
        self, path: Path, after_line: int = 0, on_octets: Callable[[int], object] = lambda octets: None
    ) -> Iterator[Row]:
        """The rows of a file, which is a workbook if it begins as one, from the line behind ``after_line``.

        Raises:
            RecordsError: before the first row; the file cannot be read or its header is wrong.
        """
        try:
            with path.open("rb") as file:
                mark = file.read(len(OLD_WORKBOOK_MARK))
                if mark == OLD_WORKBOOK_MARK:
                    raise RecordsError("is a workbook of before 2007; save it as .xlsx or as CSV")
                if mark == WORKBOOK_MARK:
                    yield from self._table(read_workbook(file), after_line)
                    on_octets(path.stat().st_size)
                elif self._reading.format == "xlsx":
                    raise RecordsError("is no workbook")
                else:
                    file.seek(0)
                    yield from self.read(_pieces(file, on_octets), after_line)
        except OSError as error:
            raise RecordsError(f"cannot be read: {error.strerror}") from error

    def _table(self, table: Table, after_line: int) -> Iterator[Row]:
        try:
            places = self._places(table.columns)
        except ValueError as error:
            raise RecordsError(f"line 1: {error}") from error
        self._described = table.described
        names, indices = list(places), list(places.values())
        for number, fields, wrong in table.rows:
            if number <= after_line:
                continue
            try:
                if wrong:
                    raise ValueError(wrong)
                values = {name: fields[index].strip() for name, index in zip(names, indices, strict=True)}
                yield Row(number, self._event(values))
            except ValueError as error:
                yield Row(number, RowError(number, str(error)))

    def _json_lines(self, octets: Iterable[bytes], after_line: int) -> Iterator[Row]:
        known: dict[tuple[str, ...], dict[str, int]] = {}
        for number, line in read_lines(octets):
            if number <= after_line or not line.strip():
                continue
            try:
                if isinstance(line, bytes):
                    raise ValueError(line.decode())
                found = _json(line)
                columns = tuple(found)
                if columns not in known:
                    known[columns] = self._places(columns)
                values = list(found.values())
                yield Row(number, self._event({name: values[index] for name, index in known[columns].items()}))
            except ValueError as error:
                yield Row(number, RowError(number, str(error)))

    def _known(self, columns: Sequence[str]) -> int:
        asked = {plain(column) for column in self._reading.columns.values()}
        return sum(plain(column) in _FIELD_OF or plain(column) in asked for column in columns)

    def _places(self, columns: Sequence[str]) -> dict[str, int]:
        """Field -> where it stands.

        Raises:
            ValueError: a column is missing, or nobody can tell which one it is.
        """
        names = [plain(column) for column in columns]
        places: dict[str, int] = {}
        for name, column in self._reading.columns.items():
            if plain(column) not in names:
                raise ValueError(f"there is no column {column!r}; there are {', '.join(filter(None, columns))}")
            places[name] = names.index(plain(column))
        free = {index: _FIELD_OF[each] for index, each in enumerate(names) if each in _FIELD_OF}
        taken = set(places.values())
        for name in FIELDS:
            found = [index for index, field in free.items() if field == name and index not in taken]
            if name in places or not found:
                continue
            exact = [index for index in found if names[index] == plain(name)]
            if len(exact or found) > 1:
                twice = " and ".join(repr(columns[index]) for index in exact or found)
                raise ValueError(f"columns {twice} may both be {name}; say --columns {name}=NAME")
            places[name] = (exact or found)[0]
        self._check(columns, names, places)
        return places

    def _check(self, columns: Sequence[str], names: Sequence[str], places: Mapping[str, int]) -> None:
        for name in REQUIRED:
            if name not in places and not (name == "owner" and self._reading.owner is not None):
                there = ", ".join(filter(None, columns)) or "none"
                say = "--owner OWNER or --columns owner=NAME" if name == "owner" else f"--columns {name}=NAME"
                raise ValueError(f"column {name} is missing; there are {there}; say {say}")
        for index, each in enumerate(names):
            if not each or index in places.values():
                continue
            close = [] if each in _FIELD_OF else difflib.get_close_matches(each, _CLOSE, 1, 0.85)
            if close and _FIELD_OF[close[0]] not in places:
                raise ValueError(f"column {columns[index]!r} is unknown; {_FIELD_OF[close[0]]} may be meant")
            self._unread[columns[index].strip()] += 1
        self._names |= {columns[index].strip(): name for name, index in places.items()}
        self._yes_and_no = names[places["state"]] in ASKS_FOR_CONSENT

    def _event(self, row: Mapping[str, str]) -> ConsentEvent:
        together = "".join(row.values())
        if len(together) > MOST_FIELD_CHARACTERS or "\0" in together:
            for column, value in row.items():
                if len(value) > MOST_FIELD_CHARACTERS or "\0" in value:
                    raise ValueError(f"{column} holds a NUL or more than {MOST_FIELD_CHARACTERS} characters")
        state = row["state"]
        if state not in KINDS:
            state = self._state(state)
        topic = row.get("topic") or None
        if topic is not None and len(topic.encode()) > MOST_TOPIC_OCTETS:
            raise ValueError(f"topic has more than {MOST_TOPIC_OCTETS} octets in UTF-8")
        when, end = row.get("event_time"), row.get("expires_time")
        at = self._past(when, state) if when else self._now
        until = self._end(end, state, at) if end else None
        evidence = row.get("evidence_sha256", "").lower() or None
        if evidence is not None and (len(evidence) != 64 or not _HEXADECIMAL.issuperset(evidence)):
            raise ValueError(f"evidence_sha256 is {evidence!r}, 64 hexadecimal digits are expected")
        return ConsentEvent(
            recipient=self._normalise_number(row["recipient"]),
            owner=self._owner(row.get("owner", "")),
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

    def _owner(self, name: str) -> str:
        given, owners = self._reading.owner, self._reading.owners
        owner = name or given
        if not owner:
            raise ValueError("owner is empty")
        if given is not None and owner != given:
            raise ValueError(f"owner is {owner!r}, only events of {given!r} may come here")
        if owners and owner not in owners:
            raise ValueError(unknown_owner(owner, owners))
        return owner

    def _state(self, text: str) -> str:
        word = plain(text)
        kind = self._states.get(word) or STATES.get(word)
        if kind is None and self._yes_and_no:
            kind = "granted" if word in YES else "refused" if word in NO else None
        if kind is None:
            raise ValueError(
                f"state is {text!r}, one of {', '.join(KINDS)} is expected; --states {text or 'NAME'}=granted says "
                "what another word means"
            )
        return kind

    def _past(self, when: str, state: str) -> float:
        try:
            at, whole_day = self._moments.read(when)
        except MomentError as error:
            raise ValueError(f"event_time {when!r} {error}") from error
        if at > self._now + FUTURE_SECONDS:
            raise ValueError(f"event_time {when!r} lies in the future")
        if whole_day and state != "granted":
            # Of a day a grant counts from its beginning and a refusal to its end.
            at += _DAY_SECONDS - 0.001
        return min(at, self._now)

    def _end(self, end: str, state: str, at: float) -> float:
        try:
            until = self._moments.read(end).seconds
        except MomentError as error:
            raise ValueError(f"expires_time {end!r} {error}") from error
        if state != "granted" or not at < until < _FAR_SECONDS:
            raise ValueError(f"expires_time {end!r}: only a grant ends by time, after its event_time and before 2100")
        return until


def unknown_owner(owner: str, owners: Iterable[str]) -> str:
    """What is said of an owner that nobody has."""
    return f"owner {owner!r} is unknown: it has no account and no sender; there are {', '.join(sorted(owners))}"


def read_consents(
    path: Path,
    normalise_number: Callable[[str], str],
    now: float,
    reading: Reading = Reading(),
    *,
    after_line: int = 0,
    on_octets: Callable[[int], object] = lambda octets: None,
) -> Iterator[Row]:
    """The rows of a file; a wrong line gives its error, and the next one is read; see ``Reader.read_file``.

    Raises:
        RecordsError: before the first event; the file cannot be read or its header is wrong.
    """
    return named(path, Reader(normalise_number, now, reading).read_file(path, after_line, on_octets))


def named(path: Path, rows: Iterator[Row]) -> Iterator[Row]:
    """The rows of a file, which is named in what goes wrong with it.

    Raises:
        RecordsError: from ``rows``.
    """
    try:
        yield from rows
    except RecordsError as error:
        raise RecordsError(f"{path}: {error}") from error


def format_of(path: Path) -> str:
    """The format that the ending of a name says; CSV unless it is another."""
    ending = path.suffix.lower()
    return "jsonl" if ending in (".jsonl", ".ndjson") else "xlsx" if ending in (".xlsx", ".xlsm") else "csv"


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


_FIELD_OF: Final = {
    **{name: field for field, names in COLUMNS.items() for name in names},
    **{plain(field): field for field in FIELDS},
}
_CLOSE: Final = [name for name in _FIELD_OF if name.isascii() and len(name) > 4]
"""Names of which a slip of the pen is told."""


class _Written(str):
    """A number of JSON as it is written: what the float would be may have lost digits."""

    __slots__ = ()


def _json(line: str) -> dict[str, str]:
    try:
        found = orjson.loads(line)
        if type(found) is dict and any(type(value) is float for value in found.values()):
            found = json.loads(line, parse_float=_Written)
    except ValueError as error:
        raise ValueError(f"is not JSON: {error}") from error
    if type(found) is not dict:
        raise ValueError("is not a JSON object")
    values = {}
    for name, value in found.items():
        if value is None:
            continue
        if isinstance(value, bool):
            value = "true" if value else "false"
        elif not isinstance(value, str | int):
            raise ValueError(f"{name} is neither a string nor a number")
        values[name] = str(value).strip()
    return values
