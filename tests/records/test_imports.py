"""Imports: batch by batch, each line once, resumable."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from smsc_filter.records.consent_files import Reader, Reading, Row, RowError, read_consents, with_evidence
from smsc_filter.records.consents import ConsentEvent, history
from smsc_filter.records.errors import RecordsError
from smsc_filter.records.imports import Import, ImportSummary, fingerprint_of, known_import
from smsc_filter.records.tables import consent_events, outbox

from .helpers import count

NOW = 1_767_225_600.0
HEADER = "recipient,owner,state,event_time\n"


def normalise(number: str) -> str:
    if not number.isdigit():
        raise ValueError(f"{number!r} is not a phone number")
    return "86" + number.removeprefix("86")


def lines(number: int, wrong: int = 10**9) -> str:
    return "".join(
        f"138{each:08d},shop-ltd,{'?' if each % wrong == wrong - 1 else 'granted'},\n" for each in range(number)
    )


def rows(text: str, after_line: int = 0, now: float = NOW) -> list[Row]:
    return list(Reader(normalise, now).read([text.encode()], after_line))


class Killed(Exception):
    """What a test raises where a process would have been killed."""


def test_it_says_how_far_it_came(engine: Engine) -> None:
    taking = Import(engine, "k")
    batches = list(taking.take(rows(HEADER + lines(10, wrong=3)), batch_rows=4))
    assert [batch.summary.rows for batch in batches] == [4, 8, 10]
    assert [error.line for batch in batches for error in batch.errors] == [4, 7, 10]
    expected = ImportSummary(rows=10, stored=7, repeated=0, wrong=3, lines=11, finished=True)
    assert (taking.summary, known_import(engine, "k"), known_import(engine, "other")) == (expected, expected, None)
    assert str(expected) == "10 rows: 7 stored, 0 known before, 3 wrong"
    assert count(engine, outbox) == 3


def test_killed_it_goes_on_behind_the_last_line_stored_though_the_clock_went_on(engine: Engine) -> None:
    """Lines without a time of their own would be told twice, were they read twice."""
    text = HEADER + lines(10)
    taking = Import(engine, "k", "f").take(rows(text), batch_rows=4)
    next(taking)
    next(taking)
    del taking
    again = Import(engine, "k", "f")
    assert again.summary == ImportSummary(rows=8, stored=8, lines=9)
    (batch,) = again.take(rows(text, again.summary.lines, now=NOW + 60))
    assert batch.summary == ImportSummary(rows=10, stored=10, lines=11, finished=True)
    assert count(engine, consent_events) == 10


def test_finished_it_does_nothing_any_more(engine: Engine) -> None:
    for _ in range(2):
        taking = Import(engine, "k")
        (batch,) = taking.take(rows(HEADER + lines(3), now=NOW))
        assert batch.summary.stored == 3
    assert count(engine, consent_events) == 3


def test_under_another_key_what_is_on_record_is_not_repeated(engine: Engine) -> None:
    for key, stored in (("a", 3), ("b", 0)):
        (batch,) = Import(engine, key).take(rows(HEADER + lines(3)))
        assert (batch.summary.stored, batch.summary.repeated) == (stored, 3 - stored)


def test_a_key_is_for_one_thing(engine: Engine) -> None:
    Import(engine, "k", "one")
    with pytest.raises(RecordsError, match="was used for an import of something else"):
        Import(engine, "k", "other")


@pytest.mark.parametrize("key", ["", "k" * 201])
def test_a_key_has_a_length(engine: Engine, key: str) -> None:
    with pytest.raises(RecordsError, match="1 to 200 characters"):
        Import(engine, key)


def test_of_two_that_take_in_the_same_one_gives_up_and_nothing_is_doubled(engine: Engine) -> None:
    text = HEADER + lines(8)
    first, second = Import(engine, "k"), Import(engine, "k")
    taking = first.take(rows(text), batch_rows=4)
    next(taking)
    with pytest.raises(RecordsError, match="is being taken in by another process"):
        list(second.take(rows(text), batch_rows=4))
    list(taking)
    assert count(engine, consent_events) == 8


def test_what_raises_in_a_batch_leaves_nothing_of_it(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: object, **__: object) -> None:
        raise Killed

    monkeypatch.setattr("smsc_filter.records.consents.move_head", killed)
    with pytest.raises(Killed):
        list(Import(engine, "k").take(rows(HEADER + lines(3))))
    assert (count(engine, consent_events), known_import(engine, "k")) == (0, ImportSummary())


def test_an_empty_file_is_finished_at_once(engine: Engine) -> None:
    (batch,) = Import(engine, "k").take(rows(HEADER))
    assert batch.summary == ImportSummary(finished=True)


# --- reading


def test_json_lines_say_the_same_as_csv() -> None:
    fields = {
        "recipient": "13800000001", "owner": "商城", "state": "GRANTED", "event_time": 1_767_000_000.5,
        "expires_time": "2030-01-01T00:00:00Z", "topic": "loans", "source": "form", "reference": "7",
        "text_version": "v2", "evidence_sha256": "AB" * 32,
    }  # fmt: skip
    reader = Reader(normalise, NOW, Reading(format="jsonl"))
    (row,) = reader.read([b"\xef\xbb\xbf" + orjson.dumps({**fields, "state": "granted"}) + b"\n\n"])
    text = ",".join(fields) + "\n" + ",".join(map(str, fields.values())) + "\n"
    (same,) = Reader(normalise, NOW).read([text.encode()])
    assert row.said == same.said == ConsentEvent(
        recipient="8613800000001", owner="商城", state="granted", event_at_ms=1_767_000_000_500,
        received_at_ms=1_767_225_600_000, expires_at_ms=1_893_456_000_000, topic="loans", source="form", reference="7",
        text_version="v2", evidence="ab" * 32, by_owner=True,
    )  # fmt: skip
    (numeric,) = reader.read([b'{"recipient": 13800000001, "owner": "o", "state": "refused", "topic": null}'])
    assert isinstance(numeric.said, ConsentEvent)


@pytest.mark.parametrize(("line", "sentence"), [
    pytest.param(b"{", "is not JSON", id="torn"),
    pytest.param(b"[1]", "is not a JSON object", id="a list"),
    pytest.param(b'{"recipient": "1", "owner": "o"}', "column state is missing", id="no state"),
    pytest.param(b'{"recipient": "1", "owner": "o", "state": "granted", "evidence_sha": "red"}',
                 "column 'evidence_sha' is unknown", id="unknown name"),
    pytest.param(b'{"recipient": ["1"], "owner": "o", "state": "granted"}', "recipient is neither a string",
                 id="nested"),
    pytest.param(b'{"recipient": true, "owner": "o", "state": "granted"}', "'true' is not a phone number",
                 id="a truth"),
    pytest.param(b'{"owner": "\xff\xff"}', "is not UTF-8", id="bad encoding"),
])  # fmt: skip
def test_a_wrong_json_line_is_told_and_the_next_one_is_read(line: bytes, sentence: str) -> None:
    good = b'{"recipient": "1", "owner": "o", "state": "granted"}'
    first, second = Reader(normalise, NOW, Reading(format="jsonl")).read([line + b"\n" + good])
    assert isinstance(first.said, RowError)
    assert first.said.sentence.startswith(sentence)
    assert isinstance(second.said, ConsentEvent)


@pytest.mark.parametrize(("tail", "sentence"), [
    pytest.param("granted,2026-01-01,2025-12-31,", "only a grant ends by time, after its event_time",
                 id="before it began"),
    pytest.param("refused,,2030-01-01,", "only a grant ends by time", id="a refusal that ends"),
    pytest.param("granted,,4200000000000,", "would be of the year 2103", id="beyond 2100"),
    pytest.param("granted,,soon,", "expires_time 'soon' is no time", id="no time"),
    pytest.param("granted,,,abc", "evidence_sha256 is 'abc'", id="no digest"),
])  # fmt: skip
def test_ends_and_evidence_are_checked(tail: str, sentence: str) -> None:
    text = f"recipient,owner,state,event_time,expires_time,evidence_sha256\n13800000001,shop-ltd,{tail}\n"
    (row,) = rows(text)
    assert isinstance(row.said, RowError)
    assert sentence in row.said.sentence


def test_an_event_a_little_ahead_of_our_clock_counts_as_of_now() -> None:
    """A withdrawal a second later must not be the older one."""
    (row,) = rows(f"{HEADER}13800000001,shop-ltd,granted,{NOW + 200}\n")
    assert isinstance(row.said, ConsentEvent)
    assert row.said.event_at_ms == row.said.received_at_ms


def test_an_owner_brings_only_its_own() -> None:
    reader = Reader(normalise, NOW, Reading(owner="shop-ltd"))
    found = list(reader.read([b"recipient,state,owner\n138,granted,\n138,granted,shop-ltd\n138,granted,bank\n"]))
    assert [isinstance(row.said, ConsentEvent) for row in found] == [True, True, False]
    assert "only events of 'shop-ltd' may come here" in str(found[2].said)
    (without,) = Reader(normalise, NOW, Reading(owner="shop-ltd")).read([b"recipient,state\n138,granted\n"])
    assert isinstance(without.said, ConsentEvent)


@given(text=st.text('138,\n\r"grantedshop-ltd', max_size=200), cuts=st.lists(st.integers(0, 400), max_size=8))
def test_rows_come_alike_however_the_stream_is_cut(text: str, cuts: list[int]) -> None:
    octets = (HEADER + text).encode()
    places = sorted({min(cut, len(octets)) for cut in cuts} | {0, len(octets)})
    pieces = [octets[begin:end] for begin, end in pairwise(places)]
    assert list(Reader(normalise, NOW).read(pieces)) == list(Reader(normalise, NOW).read([octets]))


def test_a_line_too_long_is_not_kept_in_memory() -> None:
    def endless() -> object:
        yield HEADER.encode()
        for _ in range(100):
            yield b"1" * 100_000
        yield b"\n138,shop-ltd,granted,\n"

    first, second = Reader(normalise, NOW).read(endless())  # type: ignore[arg-type]
    assert "longer than" in str(first.said)
    assert (second.line, isinstance(second.said, ConsentEvent)) == (3, True)


def test_a_file_by_its_ending_with_its_evidence(engine: Engine, tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    path.write_bytes(b'{"recipient": "138", "owner": "o", "state": "granted"}\n')
    heard: list[int] = []
    found = with_evidence(
        read_consents(path, normalise, NOW, Reading(format="jsonl"), on_octets=heard.append), "ab" * 32, "form.pdf"
    )
    list(Import(engine, "k", fingerprint_of(path)).take(found))
    ((_, event),) = history(engine, "86138")
    assert (event.evidence, event.evidence_name, sum(heard)) == ("ab" * 32, "form.pdf", path.stat().st_size)
    with pytest.raises(RecordsError, match="No such file"):
        fingerprint_of(tmp_path / "none")
