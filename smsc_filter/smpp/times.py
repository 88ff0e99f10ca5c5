"""Times as SMPP writes them: sixteen characters, absolute with a zone or relative to now.

Source: SMPP v3.4, section 7.1.1.
"""

from __future__ import annotations

import re
from calendar import monthrange
from datetime import UTC, datetime, timedelta, timezone
from typing import Final

_TIME: Final = re.compile(rb"(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d)(\d\d)([+R-])")
_QUARTER: Final = timedelta(minutes=15)


def moment_of(written: bytes, now: float) -> float | None:
    """The moment, epoch seconds, that ``schedule_delivery_time`` or ``validity_period`` names; None for none.

    Args:
        written: the field without its NUL; empty means at once.
        now: epoch seconds, from which a relative time counts.
    """
    found = _TIME.fullmatch(written)
    if found is None:
        return None
    year, month, day, hour, minute, second, _tenths, quarters = map(int, found.groups()[:-1])
    try:
        if found[9] == b"R":
            return (
                _later(datetime.fromtimestamp(now, UTC), year, month)
                + timedelta(days=day, hours=hour, minutes=minute, seconds=second).total_seconds()
            )
        zone = timezone(quarters * _QUARTER * (-1 if found[9] == b"-" else 1))
        return datetime(2000 + year, month, day, hour, minute, second, tzinfo=zone).timestamp()
    except (ValueError, OverflowError):
        return None  # the SMSC says what it makes of it


def _later(moment: datetime, years: int, months: int) -> float:
    """Some years and months after a moment, on the last day of a month that has no such day."""
    year, month = divmod(moment.year * 12 + moment.month - 1 + years * 12 + months, 12)
    return moment.replace(year=year, month=month + 1, day=min(moment.day, monthrange(year, month + 1)[1])).timestamp()
