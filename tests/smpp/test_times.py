"""Times of SMPP v3.4, section 7.1.1."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsc_filter.smpp.times import moment_of

NOW = datetime.fromisoformat("2026-01-31T10:00:00+00:00").timestamp()


@pytest.mark.parametrize(("written", "moment"), [
    pytest.param(b"260201080000032+", "2026-02-01T08:00:00+08:00", id="eight-hours-ahead-of-utc"),
    pytest.param(b"260201080000020-", "2026-02-01T08:00:00-05:00", id="five-hours-behind"),
    pytest.param(b"260201080000000+", "2026-02-01T08:00:00+00:00", id="utc"),
    pytest.param(b"000000030000000R", "2026-01-31T13:00:00+00:00", id="in-three-hours"),
    pytest.param(b"000002000000000R", "2026-02-02T10:00:00+00:00", id="in-two-days"),
    pytest.param(b"000100000000000R", "2026-02-28T10:00:00+00:00", id="in-a-month-that-has-no-such-day"),
    pytest.param(b"010000000000000R", "2027-01-31T10:00:00+00:00", id="in-a-year"),
])  # fmt: skip
def test_a_time_names_a_moment(written: bytes, moment: str) -> None:
    assert moment_of(written, NOW) == datetime.fromisoformat(moment).timestamp()


@pytest.mark.parametrize(
    "written", [b"", b"0", b"261301080000032+", b"260230080000032+", b"260201080000032", b"26020108000003+R"]
)
def test_what_is_no_time_names_none(written: bytes) -> None:
    assert moment_of(written, NOW) is None


@given(st.from_regex(rb"\A[0-9]{15}[+R-]\Z"))
def test_any_digits_are_read_or_not(written: bytes) -> None:
    moment_of(written, NOW)
