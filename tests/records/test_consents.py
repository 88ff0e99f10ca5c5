"""Consent events: read from files, stored for ever, and what follows from them."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy import Engine

from smsc_filter.records.consent_files import Reading, RowError, read_consents
from smsc_filter.records.consents import (
    ConsentEvent,
    consents_of_pairs,
    owner_ids,
    pairs_on_record,
    store_events,
)
from smsc_filter.records.database import reading
from smsc_filter.records.errors import RecordsError

NOW = 1_767_225_600.0
HEADER = "recipient,owner,state,event_time,topic,source,reference"
REPLY_SECONDS = 7 * 86_400.0


def normalise(number: str) -> str:
    if not number.isdigit():
        raise ValueError(f"{number!r} is not a phone number")
    return "86" + number.removeprefix("86")


def read(path: Path, octets: bytes | str, **options: object) -> list[ConsentEvent | RowError]:
    path.write_bytes(octets if isinstance(octets, bytes) else octets.encode())
    return [row.said for row in read_consents(path, normalise, NOW, Reading(**options))]  # type: ignore[arg-type]


def said(state: str, at: float, recipient: str = "8613800000001", owner: str = "shop-ltd") -> ConsentEvent:
    at_ms = round(at * 1000)
    return ConsentEvent(recipient=recipient, owner=owner, state=state, event_at_ms=at_ms, received_at_ms=at_ms)


def listed(state: str, owner: str = "shop-ltd") -> ConsentEvent:
    """What a file says without a time."""
    return replace(said(state, NOW, owner=owner), by_owner=True, dated=False)


def current(engine: Engine, now: float = NOW + 60) -> dict[tuple[str, int, str | None], str]:
    with reading(engine) as connection:
        pairs = list(pairs_on_record(engine))
        found = consents_of_pairs(connection, pairs, REPLY_SECONDS, now)
    return {(each.recipient, each.owner_id, each.topic): each.status.state.name.lower() for each in found}


def test_a_full_line_and_a_short_one(tmp_path: Path) -> None:
    full = f'{HEADER}\n 13800000001 ,shop-ltd,Granted,1767225000.5,loans,"form, page 2",ref-1\n'
    assert read(tmp_path / "full.csv", full) == [
        ConsentEvent(
            recipient="8613800000001", owner="shop-ltd", state="granted", event_at_ms=1_767_225_000_500,
            received_at_ms=1_767_225_600_000, topic="loans", source="form, page 2", reference="ref-1", by_owner=True,
        )
    ]  # fmt: skip
    assert read(tmp_path / "short.csv", "\ufeffstate,owner,recipient\r\nrefused,商城,13800000001\r\n\r\n") == [
        listed("refused", owner="商城")
    ]


@pytest.mark.parametrize(("when", "at_ms"), [
    pytest.param("2025-12-31T23:00:00Z", 1_767_222_000_000, id="UTC"),
    pytest.param("2026-01-01 07:00:00.25+08:00", 1_767_222_000_250, id="with an offset"),
    pytest.param("2026-01-01T07:00:00", 1_767_222_000_000, id="without one: the zone given"),
    pytest.param("2026-01-01", 1_767_196_800_000, id="a day begins in that zone too"),
    pytest.param("1767222000", 1_767_222_000_000, id="epoch seconds"),
    pytest.param("", 1_767_225_600_000, id="none: now"),
])  # fmt: skip
def test_event_time(tmp_path: Path, when: str, at_ms: int) -> None:
    lines = f"recipient,owner,state,event_time\n13800000001,shop-ltd,granted,{when}\n"
    (event,) = read(tmp_path / "c.csv", lines, zone=timezone(timedelta(hours=8)))
    assert isinstance(event, ConsentEvent)
    assert event.event_at_ms == at_ms


@pytest.mark.parametrize(("line", "sentence"), [
    pytest.param("138-x,shop-ltd,granted,,,,", "'138-x' is not a phone number", id="bad number"),
    pytest.param("13800000001,shop-ltd,maybe,,,,", "state is 'maybe', one of granted, refused, withdrawn is expected; "
                 "--states maybe=granted says what another word means",
                 id="unknown state"),
    pytest.param("13800000001,,granted,,,,", "owner is empty", id="no owner"),
    pytest.param("13800000001,shop-ltd,granted", "has 3 fields, the header has 7", id="missing column"),
    pytest.param("13800000001,shop-ltd,granted,yesterday,,,", "event_time 'yesterday' is no time; "
                 "2026-05-01 09:30:00 is one", id="no time"),
    pytest.param("13800000001,shop-ltd,granted,nan,,,", "event_time 'nan' is no time; 2026-05-01 09:30:00 is one",
                 id="nan"),
    pytest.param("13800000001,shop-ltd,granted,2099-01-01,,,", "event_time '2099-01-01' lies in the future",
                 id="a grant nobody could withdraw"),
    pytest.param('13800000001,"shop-ltd,granted,,,,', "is not CSV: unexpected end of data", id="quote left open"),
    pytest.param("13800000001,shop\0ltd,granted,,,,", "owner holds a NUL or more than 1000 characters", id="NUL"),
    pytest.param(f"13800000001,shop-ltd,granted,,,{'x' * 1001},", "source holds a NUL or more than 1000 characters",
                 id="long field"),
    pytest.param("1" * 100_000, "longer than 16384 octets", id="long line"),
    pytest.param(f"13800000001,shop-ltd,granted,,{'题' * 17},,", "topic has more than 48 octets in UTF-8",
                 id="a topic that would not fit the hot state"),
])  # fmt: skip
def test_a_wrong_line_is_told_and_the_next_one_is_read(tmp_path: Path, line: str | bytes, sentence: str) -> None:
    octets = line if isinstance(line, bytes) else line.encode()
    good = b"13800000001,shop-ltd,granted,,,,\n"
    rows = read(tmp_path / "c.csv", HEADER.encode() + b"\n" + octets + b"\n" + good)
    assert rows == [RowError(2, sentence), listed("granted")]
    assert str(rows[0]) == f"line 2: {sentence}"


@pytest.mark.parametrize(("octets", "complaint"), [
    pytest.param("", "column recipient is missing", id="empty file"),
    pytest.param("recipient,owner\n", "column state is missing; there are recipient, owner; say --columns state=NAME",
                 id="missing"),
    pytest.param("recipient,state\n", "column owner is missing; there are recipient, state; say --owner",
                 id="no owner"),
    pytest.param("recipient,owner,state,expires_tme\n", "'expires_tme' is unknown; expires_time may be meant",
                 id="slip"),
    pytest.param("recipient,owner,state,owner\n", "columns 'owner' and 'owner' may both be owner", id="twice"),
    pytest.param("phone,mobile,owner,state\n", "columns 'phone' and 'mobile' may both be recipient", id="either"),
])  # fmt: skip
def test_a_wrong_header_is_told_before_any_line(tmp_path: Path, octets: bytes | str, complaint: str) -> None:
    with pytest.raises(RecordsError, match=complaint):
        read(tmp_path / "c.csv", octets)


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(RecordsError, match="No such file"):
        list(read_consents(tmp_path / "c.csv", normalise, NOW))


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_an_older_grant_imported_later_revives_nothing(engine: Engine, order: tuple[int, ...]) -> None:
    """CN-03: the verdict depends on when it happened, not on when we learned of it."""
    events = [said("granted", NOW), said("withdrawn", NOW + 1), said("granted", NOW + 0.5)]
    for index in order:
        store_events(engine, [events[index]])
    assert current(engine) == {("8613800000001", 1, None): "withdrawn"}


@pytest.mark.parametrize("refusal", ["refused", "withdrawn"])
@pytest.mark.parametrize("first", ["grant", "refusal"])
def test_at_the_same_moment_the_refusal_speaks(engine: Engine, refusal: str, first: str) -> None:
    events = [said("granted", NOW), said(refusal, NOW)]
    for event in events if first == "grant" else reversed(events):
        store_events(engine, [event])
    assert current(engine) == {("8613800000001", 1, None): refusal}


def test_owners_get_one_small_id_each_whoever_asks_at_once(engine: Engine) -> None:
    names = [f"owner-{number}" for number in range(20)]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: owner_ids(engine, names), range(4)))
    assert all(answer == answers[0] for answer in answers)
    ids = set(answers[0].values())
    # Who comes second for a name may leave a number unused.
    assert len(ids) == 20
    assert ids <= set(range(1, 4 * 20 + 1))
    assert owner_ids(engine, []) == {}
