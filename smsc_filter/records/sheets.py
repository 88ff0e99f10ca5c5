"""Tables as spreadsheets and CRMs save them: a header and rows, whatever their delimiter, encoding and ends of lines.

Text comes in pieces of any size and is read line by line: UTF-8, UTF-16 and UTF-32 with a mark or without one, and
GB18030 where the first line that is not ASCII is no UTF-8. Workbooks (.xlsx) are read from their file, the first sheet
with anything in it. A wrong line costs itself and no other.
"""

from __future__ import annotations

import codecs
import csv
import zipfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from datetime import date, datetime, time
from functools import partial
from typing import BinaryIO, Final, NamedTuple
from xml.etree.ElementTree import ParseError  # only its name: openpyxl reads, and Expat bounds what entities expand to

from openpyxl import load_workbook
from openpyxl.utils.exceptions import InvalidFileException

from smsc_filter.records.errors import RecordsError

MOST_LINE_OCTETS: Final = 16_384
"""Of one record, its quoted line breaks included."""

MOST_SPANNED_LINES: Final = 20
"""Lines one record may span: a quote left open must not swallow what follows."""

HEAD_OCTETS: Final = 65_536
"""By which encoding and ends of lines are told."""

DELIMITERS: Final = (",", "\t", ";", "|")

MOST_WORKBOOK_OCTETS: Final = 2 << 30
MOST_STRINGS_OCTETS: Final = 256 << 20
"""Unpacked; a workbook keeps every text once, and these are held in memory."""

WORKBOOK_MARK: Final = b"PK\x03\x04"
OLD_WORKBOOK_MARK: Final = b"\xd0\xcf\x11\xe0"


class Line(NamedTuple):
    """One row of a table."""

    number: int
    """From 1, that of the line it begins in; the header is line 1 or follows a line ``sep=``."""
    fields: list[str]
    wrong: str = ""
    """Why it has no fields."""


class Table(NamedTuple):
    """What a file holds."""

    columns: list[str]
    rows: Iterator[Line]
    described: Callable[[], str]
    """How what was read of it is written: encoding and delimiter, or which sheet."""


def read_text_table(octets: Iterable[bytes], known: Callable[[list[str]], int]) -> Table:
    """The table in a text.

    Args:
        octets: in pieces of any size.
        known: how many names of a header are known; of several delimiters the one that gives most is taken.

    Raises:
        RecordsError: the header cannot be read.
    """
    text = _Decoder()
    lines = _lines(text.pieces(octets))
    delimiter = ""
    try:
        _, header = next(lines, (1, b""))
        first = text.decode(header).rstrip("\r\n ")
        if first.lower().startswith("sep=") and len(first) <= 5:
            delimiter = first[4:] or "\t"
            _, header = next(lines, (2, b""))
            first = text.decode(header).rstrip("\r\n ")
        candidates = [delimiter] if delimiter else DELIMITERS
        columns, delimiter = _header(first, candidates, known)
    except ValueError as error:
        raise RecordsError(f"line 1: {error}") from error
    names = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}

    def described() -> str:
        return f"{text.encoding or 'ASCII'}, {names.get(delimiter, repr(delimiter))}"

    return Table(columns, _records(lines, text, delimiter, len(columns)), described)


def read_lines(octets: Iterable[bytes]) -> Iterator[tuple[int, bytes | str]]:
    """Numbered lines of a text, decoded; octets where one cannot be."""
    text = _Decoder()
    for number, line in _lines(text.pieces(octets)):
        try:
            yield number, text.decode(line)
        except ValueError as error:
            yield number, str(error).encode()


def read_workbook(file: BinaryIO) -> Table:
    """The table in an .xlsx file, which stays open while its rows are read.

    Raises:
        RecordsError: it is none, it is too large, or there is nothing in it.
    """
    try:
        _check_size(file)
        book = load_workbook(file, read_only=True, data_only=True, keep_links=False)
        for sheet in book.worksheets:
            rows = enumerate(sheet.iter_rows(values_only=True), 1)
            for _, header in rows:
                columns = [_cell(value).strip() for value in header]
                if any(columns):
                    which = f"sheet {sheet.title!r} of {len(book.worksheets)}"
                    return Table(columns, _cells(rows, len(columns)), partial(str, which))
    except (InvalidFileException, zipfile.BadZipFile, KeyError, ValueError, ParseError, OSError) as error:
        raise RecordsError(f"is no workbook that can be read: {error}") from error
    raise RecordsError("the workbook is empty")


def _cells(rows: Iterator[tuple[int, tuple[object, ...]]], width: int) -> Iterator[Line]:
    for number, values in rows:
        fields = [_cell(value).strip() for value in values]
        if not any(fields):
            continue
        if any(fields[width:]):
            yield Line(number, [], f"has {len(fields)} fields, the header has {width}")
            continue
        yield Line(number, [*fields[:width], *[""] * (width - len(fields))])


def _cell(value: object) -> str:
    """A cell as text; numbers with all their digits."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    return str(value)


def _check_size(file: BinaryIO) -> None:
    with zipfile.ZipFile(file) as archive:
        entries = archive.infolist()
    total = sum(entry.file_size for entry in entries)
    strings = sum(entry.file_size for entry in entries if "sharedStrings" in entry.filename)
    if total > MOST_WORKBOOK_OCTETS or strings > MOST_STRINGS_OCTETS:
        raise RecordsError("the workbook is too large; save it as CSV, or in parts")


class _Decoder:
    """Finds out how a text is encoded, and decodes its lines."""

    def __init__(self) -> None:
        self.encoding = ""
        """Empty while all was ASCII."""

    def pieces(self, octets: Iterable[bytes]) -> Iterator[bytes]:
        """The text without its mark, wide encodings as UTF-8, every line ended by a line feed."""
        source = iter(octets)
        head = b""
        for piece in source:
            head += piece
            if len(head) >= HEAD_OCTETS:
                break
        wide, mark = _wide(head[:HEAD_OCTETS])
        self.encoding = "UTF-8" if mark == codecs.BOM_UTF8 else wide
        pieces = _chain(head[len(mark) :], source)
        if wide:
            pieces = _narrow(pieces, wide)
            head = next(pieces, b"")
            pieces = _chain(head, pieces)
        if b"\n" not in head[:HEAD_OCTETS] and b"\r" in head[:HEAD_OCTETS]:
            pieces = (piece.replace(b"\r", b"\n") for piece in pieces)
        yield from pieces

    def decode(self, line: bytes) -> str:
        """One line as text.

        Raises:
            ValueError: it is too long, or not in the encoding of the lines before.
        """
        if len(line) > MOST_LINE_OCTETS:
            raise ValueError(f"longer than {MOST_LINE_OCTETS} octets")
        if line.isascii():
            return line.decode("ascii")
        if self.encoding == "GB18030":
            try:
                return line.decode("gb18030")
            except UnicodeDecodeError as error:
                raise ValueError("is not GB18030, as lines before it are") from error
        try:
            text = line.decode()
        except UnicodeDecodeError as error:
            if not self.encoding:
                try:
                    text = line.decode("gb18030")
                except UnicodeDecodeError:
                    pass
                else:
                    self.encoding = "GB18030"
                    return text
            raise ValueError(f"is not {self.encoding or 'UTF-8'}; save the file with one encoding") from error
        self.encoding = self.encoding or "UTF-8"
        return text


def _wide(head: bytes) -> tuple[str, bytes]:
    """The encoding of a text in units of two or four octets, and the mark it begins with; ("", mark) for others."""
    for encoding, mark in (
        ("UTF-32-LE", codecs.BOM_UTF32_LE), ("UTF-32-BE", codecs.BOM_UTF32_BE), ("", codecs.BOM_UTF8),
        ("UTF-16-LE", codecs.BOM_UTF16_LE), ("UTF-16-BE", codecs.BOM_UTF16_BE),
    ):  # fmt: skip
        if head.startswith(mark):
            return encoding, mark
    # Without a mark: delimiters and digits are every other octet zero, which no other text has.
    even, odd = head[:4096:2].count(0), head[1:4096:2].count(0)
    most = max(1, min(len(head), 4096) // 8)
    if odd >= most and even * 4 < odd:
        return "UTF-16-LE", b""
    if even >= most and odd * 4 < even:
        return "UTF-16-BE", b""
    return "", b""


def _narrow(pieces: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    for piece in pieces:
        yield decoder.decode(piece).encode()
    if rest := decoder.decode(b"", final=True).encode():
        yield rest


def _chain(head: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    if head:
        yield head
    yield from rest


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


def _header(text: str, delimiters: Iterable[str], known: Callable[[list[str]], int]) -> tuple[list[str], str]:
    """The columns of a header, and the delimiter that gives most that are known.

    Raises:
        ValueError: it is no CSV with any.
    """
    found: list[tuple[list[str], str]] = []
    wrong: ValueError | None = None
    for delimiter in delimiters:
        try:
            found.append((_split(text, delimiter), delimiter))
        except ValueError as error:
            wrong = wrong or error
    if not found:
        assert wrong is not None
        raise wrong
    return max(found, key=lambda each: (known(each[0]), len(each[0]) > 1))


def _split(text: str, delimiter: str) -> list[str]:
    """The fields of one record.

    Raises:
        ValueError: it is no CSV.
    """
    if '"' not in text:
        return text.rstrip("\r").split(delimiter)
    try:
        return next(csv.reader([text.rstrip("\r")], strict=True, delimiter=delimiter), [])
    except csv.Error as error:
        raise ValueError(f"is not CSV: {error}") from error


def _records(lines: Iterator[tuple[int, bytes]], text: _Decoder, delimiter: str, width: int) -> Iterator[Line]:
    """The records of a text: mostly a line each, several where a quoted field holds line breaks."""
    again: deque[tuple[int, bytes]] = deque()
    while True:
        number, octets = again.popleft() if again else next(lines, (0, b""))
        if not number:
            return
        if not octets.strip():
            continue
        try:
            record = text.decode(octets)
            if '"' in record and record.count('"') % 2:
                record = _joined(record, again, lines, text, delimiter, width)
            fields = _split(record, delimiter)
        except ValueError as error:
            yield Line(number, [], str(error))
            continue
        if len(fields) != width:
            if len(fields) < width or any(field.strip() for field in fields[width:]):
                yield Line(number, [], f"has {len(fields)} fields, the header has {width}")
                continue
            del fields[width:]
        if any(fields):
            yield Line(number, fields)


def _joined(
    record: str,
    again: deque[tuple[int, bytes]],
    lines: Iterator[tuple[int, bytes]],
    text: _Decoder,
    delimiter: str,
    width: int,
) -> str:
    """A record whose last quote is open, with the lines up to where it is closed.

    Where none closes it, or what comes of it is no record, the lines behind the first go back into ``again``.
    """
    taken: list[tuple[int, bytes]] = []
    joined = record
    while len(taken) < MOST_SPANNED_LINES and len(joined) <= MOST_LINE_OCTETS:
        line = again.popleft() if again else next(lines, None)
        if line is None:
            break
        taken.append(line)
        try:
            more = text.decode(line[1])
        except ValueError:
            break
        joined = f"{joined}\n{more}"
        if more.count('"') % 2:
            try:
                if len(_split(joined, delimiter)) == width:
                    return joined
            except ValueError:
                pass
            break
    again.extendleft(reversed(taken))
    return record
