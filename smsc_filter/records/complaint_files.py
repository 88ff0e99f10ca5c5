"""Complaints as the files of 12321 bring them: a CSV with a header in Chinese or English, a complaint a line.

A wrong line costs itself and no other; a file that is taken in twice adds nothing.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from typing import BinaryIO, Final

from sqlalchemy import Engine

from smsc_filter.policy.appeals import Terms
from smsc_filter.records.complaints import ComplaintRefused, NewComplaint, take_complaint
from smsc_filter.records.consent_files import RowError
from smsc_filter.records.database import writing
from smsc_filter.records.errors import RecordsError

COLUMNS: Final = {
    "number": ("number", "complaint_number", "投诉编号", "举报编号", "工单编号", "编号"),
    "complainant": ("complainant", "投诉号码", "举报号码", "投诉人号码", "举报人号码", "用户号码"),
    "sender": ("sender", "complained_of", "被投诉号码", "被举报号码", "发送号码", "主叫号码"),
    "content": ("content", "短信内容", "投诉内容", "举报内容", "内容"),
    "message_time": ("message_time", "短信时间", "短信接收时间", "接收短信时间"),
    "received_time": ("received_time", "投诉时间", "举报时间", "受理时间", "接收时间"),
    "category": ("category", "类别", "投诉类别", "举报类别", "分类"),
}
"""Field -> the names a column may have."""

REQUIRED: Final = ("number", "complainant", "sender", "received_time")

ENCODINGS: Final = ("utf-8-sig", "gb18030")
"""Tried in this order: what is no UTF-8 is taken for what spreadsheets write in China."""

MOST_OCTETS: Final = 64 << 20
BATCH_ROWS: Final = 200
"""Rows a transaction."""


@dataclass(slots=True)
class Taken:
    """What a file brought."""

    stored: int = 0
    repeated: int = 0
    """On record before, to the letter."""
    linked: int = 0
    """Of the new ones, those whose owner is known."""
    errors: list[RowError] = field(default_factory=list)


def read_complaints(
    file: BinaryIO,
    *,
    normalise_number: Callable[[str], str],
    canonical: Callable[[str], str],
    zone: tzinfo,
    source: str,
) -> Iterator[tuple[int, NewComplaint | RowError]]:
    """The lines of a file, each a complaint or what is wrong with it.

    Args:
        file: CSV.
        normalise_number: a subscriber's number to E.164 digits; raises ValueError.
        canonical: a sender address as it is looked up.
        zone: of times that name none.
        source: who took the complaints in.

    Raises:
        RecordsError: the file is too large, in no known encoding, or has not the columns.
    """
    octets = file.read(MOST_OCTETS + 1)
    if len(octets) > MOST_OCTETS:
        raise RecordsError(f"the file has more than {MOST_OCTETS >> 20} MB; cut it")
    rows = csv.reader(_decoded(octets).splitlines(keepends=True), strict=True)
    try:
        header = [name.strip().lower() for name in next(rows, [])]
        places = {name: header.index(known) for name, names in COLUMNS.items() for known in names if known in header}
        if missing := [COLUMNS[name][0] + " or " + COLUMNS[name][2] for name in REQUIRED if name not in places]:
            raise RecordsError(f"the header has no column {', nor '.join(missing)}")
        for values in rows:
            if any(value.strip() for value in values):
                yield rows.line_num, _row(values, places, rows.line_num, normalise_number, canonical, zone, source)
    except csv.Error as error:
        raise RecordsError(f"line {rows.line_num}: {error}; what follows is not taken in") from error


def import_complaints(
    engine: Engine,
    terms: Terms,
    rows: Iterator[tuple[int, NewComplaint | RowError]],
    *,
    by: str,
    now: float,
    owner_of: Callable[[str], str | None],
    forwarded: bool = True,
) -> Taken:
    """Put the complaints of a file on record.

    Raises:
        RecordsError: from ``rows``; what came before is stored.
        SqlUnavailable: the database does not answer; what came before is stored.
    """
    taken = Taken()
    done = False
    while not done:
        with writing(engine) as connection:
            for _ in range(BATCH_ROWS):
                line, said = next(rows, (0, None))
                if said is None:
                    done = True
                    break
                if isinstance(said, RowError):
                    taken.errors.append(said)
                    continue
                try:
                    complaint, new = take_complaint(
                        connection, terms, said, by=by, now=now, owner_of=owner_of, forwarded=forwarded
                    )
                except ComplaintRefused as error:
                    taken.errors.append(RowError(line, str(error)))
                    continue
                taken.stored += new
                taken.repeated += not new
                taken.linked += new and complaint.owner != ""
    return taken


def _row(
    values: list[str],
    places: Mapping[str, int],
    line: int,
    normalise_number: Callable[[str], str],
    canonical: Callable[[str], str],
    zone: tzinfo,
    source: str,
) -> NewComplaint | RowError:
    if len(values) <= max(places.values()):
        return RowError(line, f"{len(values)} fields; {max(places.values()) + 1} are expected")
    given = {name: values[place].strip() for name, place in places.items()}
    for name in REQUIRED:
        if not given[name]:
            return RowError(line, f"{name} is empty")
    try:
        complainant = normalise_number(given["complainant"])
    except ValueError as error:
        return RowError(line, f"complainant: {error}")
    try:
        received_at = _moment(given["received_time"], zone)
        message_at = _moment(given["message_time"], zone) if given.get("message_time") else None
    except ValueError:
        return RowError(line, "a time is written as 2026-05-01 09:30:00")
    try:
        return NewComplaint(
            number=given["number"],
            complainant=complainant,
            sender=canonical(given["sender"]),
            content=given.get("content", ""),
            category=given.get("category", ""),
            source=source,
            message_at=message_at,
            received_at=received_at,
        )
    except ValueError as error:
        return RowError(line, str(error))


def _moment(text: str, zone: tzinfo) -> float:
    moment = datetime.fromisoformat(text.replace("/", "-"))
    at = (moment if moment.tzinfo else moment.replace(tzinfo=zone)).timestamp()
    if at < 0:
        raise ValueError(text)
    return at


def _decoded(octets: bytes) -> str:
    for encoding in ENCODINGS:
        try:
            return octets.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise RecordsError(f"the file is in none of {', '.join(ENCODINGS)}")
