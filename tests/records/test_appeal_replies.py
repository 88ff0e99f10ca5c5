"""Appeals sent by reply on their way from the stream into the records."""

from __future__ import annotations

import asyncio

import orjson
import pytest
from sqlalchemy import Engine

from smsc_filter.policy.record import EntryError, id_to_text
from smsc_filter.records import appeals
from smsc_filter.records.appeal_replies import appeals_from_entry
from smsc_filter.records.mover import Fields, Mover
from smsc_filter.records.tables import appeals as table
from smsc_filter.records.tables import decisions, stream_rejects

from .helpers import ListStream, batch, count
from .test_appeals import LI, NOW, TERMS, refused

AT_MS = round(NOW * 1000)


def entry(*sent: list[object]) -> Fields:
    return {b"a": orjson.dumps(sent)}


def move(engine: Engine, *entries: Fields) -> int:
    return asyncio.run(Mover(engine, ListStream(entries), terms=TERMS).drain())


def test_an_appeal_is_opened_by_code_and_by_decision_and_once(engine: Engine) -> None:
    refused(engine, 7)
    refused(engine, 8)
    code = appeals.issue_code(engine, kind="decision", subject="7", now=NOW, party=LI)
    by_code, by_decision = [LI, code, "wishes\0", AT_MS], [LI, id_to_text(8), "", AT_MS + 5]
    assert move(engine, entry(by_code, by_decision), entry(by_code)) == 3
    second, first = appeals.list_appeals(engine)
    assert (first.subject, first.reason, first.channel, first.opened_at) == ("7", "wishes", "sms", NOW)
    assert (second.subject, second.appellant) == ("8", ("person", LI))


def test_what_cannot_be_opened_takes_nothing_with_it(engine: Engine) -> None:
    refused(engine, 7)
    stranger, unknown, mine = ["8613800000009", id_to_text(7), "", AT_MS], [LI, "ABCDEFGH", "", AT_MS], [
        LI, id_to_text(7), "", AT_MS,
    ]  # fmt: skip
    move(engine, batch(1) | entry(stranger, unknown, [LI, "7" + "Z" * 12 + "Z", "", AT_MS], mine))
    assert (count(engine, table), count(engine, decisions), count(engine, stream_rejects)) == (1, 2, 0)


def test_without_terms_they_are_set_aside_and_not_lost(engine: Engine) -> None:
    refused(engine, 7)
    asyncio.run(Mover(engine, ListStream([entry([LI, id_to_text(7), "", AT_MS])])).drain())
    assert (count(engine, table), count(engine, stream_rejects)) == (0, 1)


@pytest.mark.parametrize(("a", "sentence"), [
    pytest.param(b"[torn", "not JSON", id="torn"),
    pytest.param(b"{}", "a list is expected", id="no list"),
    pytest.param(orjson.dumps([[LI, "A", ""]]), "4 values are expected", id="too short"),
    pytest.param(orjson.dumps([[LI, "A", "", "now"]]), "4 values are expected", id="another type"),
])  # fmt: skip
def test_what_is_no_appeal_is_told(a: bytes, sentence: str) -> None:
    with pytest.raises(EntryError, match=sentence):
        appeals_from_entry(a)
