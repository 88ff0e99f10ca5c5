"""Files as spreadsheets and CRMs save them, read as lists of consents."""

from __future__ import annotations

import io
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import Workbook
from sqlalchemy import Engine

from smsc_filter.records.consent_files import Reader, Reading, RowError, read_consents
from smsc_filter.records.consents import ConsentEvent, store_events
from smsc_filter.records.errors import RecordsError
from smsc_filter.records.imports import preview_import
from smsc_filter.records.tables import consent_events, owners
from smsc_filter.sms.address import Numbering

from .helpers import count

NOW = 1_777_700_000.0
A, B = "8613811240001", "8613811240002"
READING = Reading(zone=ZoneInfo("Asia/Shanghai"), country_code="86", owners=("clinic-ltd", "shop-ltd"))


def reader(**options: object) -> Reader:
    known = {"zone": READING.zone, "country_code": "86", "owners": READING.owners} | options
    return Reader(Numbering().msisdn, NOW, Reading(**known))  # type: ignore[arg-type]


def said(octets: bytes, **options: object) -> list[tuple[str, str, str] | str]:
    """Recipient, owner and state of each row, or what is wrong with it."""
    rows = [row.said for row in reader(**options).read([octets])]
    return [(e.recipient, e.owner, e.state) if isinstance(e, ConsentEvent) else str(e) for e in rows]


GRANTED = [(A, "shop-ltd", "granted")]


@pytest.mark.parametrize("octets", [
    pytest.param(b"recipient,owner,state\n13811240001,shop-ltd,granted\n", id="as-documented"),
    pytest.param(b"recipient;owner;state\n13811240001;shop-ltd;granted\n", id="semicolons"),
    pytest.param(b"recipient\towner\tstate\n13811240001\tshop-ltd\tgranted\n", id="tabs"),
    pytest.param(b"recipient|owner|state\n13811240001|shop-ltd|granted\n", id="bars"),
    pytest.param(b"sep=;\nrecipient;owner;state\n13811240001;shop-ltd;granted\n", id="sep"),
    pytest.param(b"recipient,owner,state\r\n13811240001,shop-ltd,granted\r\n", id="crlf"),
    pytest.param(b"recipient,owner,state\r13811240001,shop-ltd,granted\r", id="cr"),
    pytest.param("\ufeffrecipient,owner,state\n13811240001,shop-ltd,granted\n".encode(), id="utf-8-with-a-mark"),
    pytest.param("recipient\towner\tstate\n13811240001\tshop-ltd\tgranted\n".encode("utf-16"), id="utf-16"),
    pytest.param("手机号,所有者,状态\n13811240001,shop-ltd,同意\n".encode("utf-16-le"), id="utf-16-without-a-mark"),
    pytest.param("手机号,企业,状态\n13811240001,shop-ltd,已订阅\n".encode("utf-16-be"), id="utf-16-be-without-a-mark"),
    pytest.param("手机号码,公司,订阅状态,备注\n13811240001,shop-ltd,已订阅,门店登记\n".encode("gb18030"), id="gb18030"),
    pytest.param(b"Phone Number,Company,Opt-In Status\n\'13811240001,shop-ltd,Subscribed\n", id="a-crm"),
    pytest.param(b"MSISDN,OWNER,SMS_Consent\n+86 138 1124 0001,shop-ltd,YES\n", id="yes-of-a-consent"),
    pytest.param(b"recipient,owner,state,first_name,\n13811240001,shop-ltd,granted,Ann,\n", id="more-columns"),
    pytest.param(b"recipient,owner,state\n13811240001,shop-ltd,granted,,,\n", id="empty-fields-behind"),
    pytest.param(b'"recipient","owner","state"\n"13811240001","shop-ltd","granted"\n', id="all-quoted"),
    pytest.param(b'recipient,owner,state,source\n13811240001,shop-ltd,granted,"two\nlines, and ""quotes"""\n',
                 id="a-quoted-line-break"),
    pytest.param(b"recipient,owner,state\n,,\n   \n13811240001,shop-ltd,granted\n,,\n", id="empty-rows"),
])  # fmt: skip
def test_a_file_as_programs_save_it(octets: bytes) -> None:
    assert said(octets) == GRANTED


@pytest.mark.parametrize(("word", "state"), [
    ("unsubscribed", "withdrawn"), ("Opt-Out", "withdrawn"), ("opted_in", "granted"), ("退订", "withdrawn"),
    ("拒绝", "refused"), ("DNC", "refused"), ("Do not contact", "refused"),
])  # fmt: skip
def test_words_for_states(word: str, state: str) -> None:
    assert said(f"recipient,owner,state\n13811240001,shop-ltd,{word}\n".encode()) == [(A, "shop-ltd", state)]


def test_yes_says_nothing_where_the_column_does_not_ask_for_consent() -> None:
    (wrong,) = said(b"recipient,owner,state\n13811240001,shop-ltd,yes\n")
    assert "--states yes=granted says what another word means" in wrong
    assert said(b"recipient,owner,state\n13811240001,shop-ltd,yes\n", states={"Yes": "withdrawn"}) == [
        (A, "shop-ltd", "withdrawn")
    ]


def test_columns_and_owner_may_be_named() -> None:
    octets = "编号,号码一,号码二,意愿\n1,13811240001,13811240002,乐意\n".encode("gb18030")
    options = {"columns": {"recipient": "号码二", "state": "意愿"}, "states": {"乐意": "granted"}, "owner": "shop-ltd"}
    assert said(octets, **options) == [(B, "shop-ltd", "granted")]
    with pytest.raises(RecordsError, match="there is no column '手机'; there are 编号, 号码一"):
        said(octets, columns={"recipient": "手机"})
    with pytest.raises(ValueError, match="columns: 'phone' is unknown"):
        Reading(columns={"phone": "x"})
    with pytest.raises(ValueError, match="states: 'x' is 'y', one of granted"):
        Reading(states={"x": "y"})


def test_an_owner_nobody_has_is_named_with_those_there_are() -> None:
    (wrong,) = said(b"recipient,owner,state\n13811240001,Shop-Ltd,withdrawn\n")
    assert wrong == (
        "line 2: owner 'Shop-Ltd' is unknown: it has no account and no sender; there are clinic-ltd, shop-ltd"
    )


def test_a_quote_left_open_costs_its_own_line() -> None:
    octets = (b'recipient,owner,state\n13811240009,"shop-ltd,granted\n13811240001,shop-ltd,granted\n'
              b'13811240009,"shop-ltd,granted\n13811240002,"shop-ltd",granted\n')  # fmt: skip
    found = said(octets)
    assert [each for each in found if isinstance(each, tuple)] == [*GRANTED, (B, "shop-ltd", "granted")]
    assert [each[:7] for each in found if isinstance(each, str)] == ["line 2:", "line 4:"]


def test_a_line_in_another_encoding_than_those_before_is_refused() -> None:
    octets = "recipient,owner,state,source\n13811240001,shop-ltd,granted,店\n".encode()
    first, second = said(octets + "13811240002,shop-ltd,granted,店\n".encode("gb18030"))
    assert first == GRANTED[0]
    assert second == "line 3: is not UTF-8; save the file with one encoding"


@pytest.mark.parametrize(("text", "recipient"), [
    ("8.613811240001E12", A), ("13811240001", A), ("13811240001.0", A), ('"+86 (0)138 1124 0001"', A),
    ("8.6138E+12", "has lost its last digits, 5 of 13 are left"), ("1.3811240001E10", A),
])  # fmt: skip
def test_numbers_of_json_lines_have_the_digits_that_were_written(text: str, recipient: str) -> None:
    octets = f'{{"phone": {text}, "owner": "shop-ltd", "status": "unsubscribed"}}\n'.encode()
    (found,) = said(octets, format="jsonl")
    assert recipient in found


@pytest.mark.parametrize(("state", "when", "at"), [
    pytest.param("withdrawn", "20260501", "2026-05-01 23:59:59.999", id="a-refusal-to-the-end-of-its-day"),
    pytest.param("granted", "20260501", "2026-05-01 00:00:00", id="a-grant-from-the-beginning-of-its-day"),
    pytest.param("withdrawn", "46143.41", "2026-05-01 09:50:24", id="a-day-of-a-spreadsheet"),
])  # fmt: skip
def test_a_day_counts_on_the_side_of_the_refusal(state: str, when: str, at: str) -> None:
    file = reader()
    (row,) = file.read([f"recipient,owner,state,date\n13811240001,shop-ltd,{state},{when}\n".encode()])
    assert isinstance(row.said, ConsentEvent)
    expected = datetime.fromisoformat(at).replace(tzinfo=ZoneInfo("Asia/Shanghai"))
    assert row.said.event_at_ms == round(expected.timestamp() * 1000)
    assert "1 times without an offset are of Asia/Shanghai" in file.notes
    assert "read date as event_time" in file.notes


def workbook(path: Path, *rows: tuple[object, ...], before: bool = False) -> Path:
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    if before:
        sheet = book.create_sheet("people")
    for row in rows:
        sheet.append(row)
    book.save(path)
    return path


def test_a_workbook(tmp_path: Path) -> None:
    path = workbook(
        tmp_path / "c.xlsx",
        ("手机号", "企业", "状态", "时间", "备注"),
        (13811240001, "shop-ltd", "同意", datetime(2026, 5, 1, 9, 30), None),  # noqa: DTZ001 - as cells have it
        (13811240002.0, "shop-ltd", "退订", None, "x"),
        (None, None, None, None, None),
        ("1381124", "shop-ltd", "退订", None, None),
        before=True,
    )
    file = reader()
    first, second, third = (row.said for row in file.read_file(path))
    assert isinstance(first, ConsentEvent)
    assert isinstance(second, ConsentEvent)
    moment = datetime(2026, 5, 1, 9, 30, tzinfo=ZoneInfo("Asia/Shanghai"))
    assert (first.recipient, first.state, first.event_at_ms) == (A, "granted", round(moment.timestamp() * 1000))
    assert (second.recipient, second.state, second.dated) == (B, "withdrawn", False)
    assert isinstance(third, RowError)
    assert third.line == 5
    assert "sheet 'people' of 2" in file.notes
    assert "not read: 备注" in file.notes
    # The same behind a line that was taken in before, and whatever the file is called.
    again = path.rename(tmp_path / "c.csv")
    assert [row.line for row in reader().read_file(again, after_line=2)] == [3, 5]


@pytest.mark.parametrize(("octets", "sentence"), [
    pytest.param(b"PK\x03\x04 and no more", "is no workbook that can be read", id="torn"),
    pytest.param(b"\xd0\xcf\x11\xe0 and more", "a workbook of before 2007; save it as .xlsx", id="xls"),
])  # fmt: skip
def test_a_workbook_that_cannot_be_read(tmp_path: Path, octets: bytes, sentence: str) -> None:
    path = tmp_path / "c.xlsx"
    path.write_bytes(octets)
    with pytest.raises(RecordsError, match=sentence):
        list(read_consents(path, Numbering().msisdn, NOW))


ROWS = st.lists(st.text('138,;\n\r"店grantedshop-ltd', max_size=30), max_size=6)


@given(ROWS, st.sampled_from(["utf-8", "utf-8-sig", "gb18030", "utf-16", "utf-16-be"]), st.lists(st.integers(0, 400)))
def test_rows_come_alike_however_the_stream_is_cut(rows: list[str], encoding: str, cuts: list[int]) -> None:
    octets = "\n".join(["recipient,owner,state,店", *rows]).encode(encoding)
    places = sorted({min(cut, len(octets)) for cut in cuts} | {0, len(octets)})
    pieces = [octets[begin:end] for begin, end in pairwise(places)]
    whole = list(reader().read([octets]))
    assert list(reader().read(pieces)) == whole
    assert [row for row in whole if row.line > 3] == list(reader().read([octets], 3))


def test_a_preview_says_what_would_happen_and_changes_nothing(engine: Engine) -> None:
    known = ConsentEvent(recipient=A, owner="shop-ltd", state="withdrawn", event_at_ms=1, received_at_ms=1)
    store_events(engine, [known])
    text = f"recipient,owner,state\n{A},shop-ltd,granted\n{B},shop-ltd,granted\n{B},clinic-ltd,refused\nx,shop-ltd,no\n"
    found = preview_import(engine, reader().read(io.BytesIO(text.encode())), most_errors=5)
    assert found.states == {("shop-ltd", "granted"): 2, ("clinic-ltd", "refused"): 1}
    assert (found.stored, found.held, found.repeated, found.wrong) == (3, 1, 0, 1)
    assert [error.line for error in found.errors] == [5]
    assert (count(engine, consent_events), count(engine, owners)) == (1, 1)
