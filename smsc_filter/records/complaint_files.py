"""Complaints as the files of 12321 bring them: a table with a header in Chinese or English, a complaint a line.

A wrong line costs itself and no other; a file that is taken in twice adds nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import tzinfo
from io import BytesIO
from typing import BinaryIO, Final

from sqlalchemy import Engine

from smsc_filter.policy.appeals import Terms
from smsc_filter.records.complaints import ComplaintRefused, NewComplaint, take_complaint
from smsc_filter.records.consent_files import FUTURE_SECONDS, RowError
from smsc_filter.records.consent_words import plain
from smsc_filter.records.database import writing
from smsc_filter.records.errors import RecordsError
from smsc_filter.records.moments import MomentError, Moments
from smsc_filter.records.sheets import OLD_WORKBOOK_MARK, WORKBOOK_MARK, read_text_table, read_workbook

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

_FIELD_OF: Final = {plain(known): name for name, names in COLUMNS.items() for known in names}

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
    country_code: str = "",
    now: float = math.inf,
) -> Iterator[tuple[int, NewComplaint | RowError]]:
    """The lines of a file, each a complaint or what is wrong with it.

    Args:
        file: a table, see ``records.sheets``.
        normalise_number: a subscriber's number to E.164 digits; raises ValueError.
        canonical: a sender address as it is looked up.
        zone: of times that name none.
        source: who took the complaints in.
        country_code: says what 5/1/2026 is, see ``records.moments``.
        now: epoch seconds; nothing was received later.

    Raises:
        RecordsError: the file is too large, in no known encoding, or has not the columns.
    """
    octets = file.read(MOST_OCTETS + 1)
    if len(octets) > MOST_OCTETS:
        raise RecordsError(f"the file has more than {MOST_OCTETS >> 20} MB; cut it")
    if octets.startswith(OLD_WORKBOOK_MARK):
        raise RecordsError("is a workbook of before 2007; save it as .xlsx or as CSV")
    if octets.startswith(WORKBOOK_MARK):
        table = read_workbook(BytesIO(octets))
    else:
        table = read_text_table([octets], lambda columns: sum(plain(column) in _FIELD_OF for column in columns))
    header = [plain(column) for column in table.columns]
    places = {
        name: header.index(known) for name, names in COLUMNS.items() for known in map(plain, names) if known in header
    }
    if missing := [COLUMNS[name][0] + " or " + COLUMNS[name][2] for name in REQUIRED if name not in places]:
        raise RecordsError(f"the header has no column {', nor '.join(missing)}")
    moments = Moments(zone, country_code)
    for line, values, wrong in table.rows:
        if wrong:
            yield line, RowError(line, wrong)
        else:
            yield line, _row(values, places, line, normalise_number, canonical, moments, now, source)


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
    moments: Moments,
    now: float,
    source: str,
) -> NewComplaint | RowError:
    given = {name: values[place].strip() for name, place in places.items()}
    for name in REQUIRED:
        if not given[name]:
            return RowError(line, f"{name} is empty")
    try:
        complainant = normalise_number(given["complainant"])
    except ValueError as error:
        return RowError(line, f"complainant: {error}")
    try:
        received_at = _moment(given["received_time"], moments, now)
        message_at = _moment(given["message_time"], moments, now) if given.get("message_time") else None
    except ValueError as error:
        return RowError(line, str(error))
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


def _moment(text: str, moments: Moments, now: float) -> float:
    try:
        at = moments.read(text).seconds
    except MomentError as error:
        raise ValueError(f"time {text!r} {error}") from error
    if at > now + FUTURE_SECONDS:
        raise ValueError(f"time {text!r} lies in the future")
    return at
