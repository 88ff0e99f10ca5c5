"""A subscriber is erased, but for what the law keeps; that is said with its reason and its last day."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis
from sqlalchemy import Engine, insert, select

from smsc_filter.records.audit import Actor
from smsc_filter.records.consents import store_events
from smsc_filter.records.database import forget_deleted, reading, writing
from smsc_filter.records.decisions import insert_decisions
from smsc_filter.records.erasure import Erased, erase
from smsc_filter.records.retention import purge
from smsc_filter.records.seals import seal_due
from smsc_filter.records.tables import audit, decisions, portal_sessions
from smsc_filter.records.verify import verify_events
from smsc_filter.records.verify_seals import verify_seals
from smsc_filter.state import keys
from smsc_filter.state.embedded import EmbeddedStore
from smsc_filter.state.erasure import erase_number
from smsc_filter.state.rewriting import rewrite_append_only_file
from tests.relay.harness import short_folder

from .test_retention import ALICE, BOB, FIVE, REPLY_SECONDS, at, said, state_now

NOW = "2026-08-01T12:00"
ARTICLE = "Draft 2020, Art. 19"


def decide(engine: Engine, id_: int, when: str, source: str, recipient: str, purpose: str, text: str) -> None:
    row = (id_, round(at(when) * 1000), "x", "x-ltd", source, recipient, purpose, "", 0, True, 1, "personal", "", 8,
           text, '["evidence"]', "default", "cn-2020-draft", 1)  # fmt: skip
    with writing(engine) as connection:
        insert_decisions(connection, [row])


def run(engine: Engine, *, dry_run: bool = False, keep_texts_of_people: bool = False) -> Erased:
    return erase(
        engine, FIVE, ALICE, Actor("mei"), article=ARTICLE, keep_texts_of_people=keep_texts_of_people, now=at(NOW),
        reply_seconds=REPLY_SECONDS, dry_run=dry_run,
    )  # fmt: skip


@pytest.fixture
def filled(engine: Engine) -> Engine:
    """Messages of Alice and others, a withdrawal of hers, a session in the portal."""
    decide(engine, 1, "2026-01-02T12:00", "106900001", ALICE, "service", "old notice")
    decide(engine, 2, "2026-07-20T12:00", "106900001", ALICE, "service", "new notice")
    decide(engine, 3, "2026-07-21T12:00", ALICE, BOB, "person", "from Alice")
    decide(engine, 4, "2026-07-22T12:00", BOB, ALICE, "person", "to Alice")
    decide(engine, 5, "2026-07-22T12:00", BOB, "8613800000003", "person", "of others")
    store_events(engine, [said("granted", "2026-07-01T00:00"), said("withdrawn", "2026-07-02T00:00")])
    with writing(engine) as connection:
        connection.execute(insert(portal_sessions).values(digest=b"d", recipient=ALICE, began_at_ms=0, seen_at_ms=0))
    return engine


def texts(engine: Engine) -> dict[int, str]:
    with reading(engine) as connection:
        return {row.id: row.text for row in connection.execute(select(decisions.c.id, decisions.c.text))}


def test_texts_between_people_go_and_what_the_law_keeps_stays(filled: Engine) -> None:
    erased = run(filled)
    assert texts(filled) == {2: "new notice", 3: "", 4: "", 5: "of others"}
    assert {what: count for what, count in erased.gone.items() if count} == {
        "decisions past their retention": 1,
        "texts between people": 2,
        "portal sessions": 1,
    }
    records, consents = erased.kept
    assert (records.count, ARTICLE in records.why) == (3, True)
    assert records.until_ms is not None
    assert records.until_ms == round(at("2026-12-23T00:00") * 1000) - 1
    assert consents.count == 2


def test_a_withdrawal_binds_after_an_erasure_and_the_chain_holds(filled: Engine) -> None:
    run(filled)
    assert state_now(filled, NOW) == "WITHDRAWN"
    assert verify_events(filled, []).problems == []


def test_what_was_sealed_verifies_after_an_erasure_and_after_a_purge(filled: Engine) -> None:
    seal_due(filled, at(NOW))
    assert verify_seals(filled).problems == []
    run(filled)
    assert verify_seals(filled).problems == []
    seal_due(filled, at(NOW) + 600)
    purged = purge(filled, FIVE, now=at("2027-06-01T00:00"), reply_seconds=REPLY_SECONDS)
    assert purged.decisions == 4
    found = verify_seals(filled)
    assert found.problems == []
    assert sum(count for (table, _), count in found.removed.items() if table == "decisions") == 5


def test_a_dry_run_says_the_same_and_changes_nothing(filled: Engine) -> None:
    before = texts(filled)
    planned = run(filled, dry_run=True)
    assert texts(filled) == before
    done = run(filled)
    assert planned.gone == done.gone
    again = run(filled)
    assert not any(again.gone.values())


def test_a_profile_that_asks_for_texts_of_people_keeps_them(filled: Engine) -> None:
    erased = run(filled, keep_texts_of_people=True)
    assert texts(filled)[3] == "from Alice"
    assert "texts between people" not in erased.gone


def test_the_trail_of_an_erasure_does_not_name_who_was_erased(filled: Engine) -> None:
    run(filled)
    with reading(filled) as connection:
        (line,) = connection.execute(select(audit.c.actor, audit.c.action, audit.c.subject)).all()
    assert line.actor == "mei"
    assert ALICE not in line.subject


def test_what_was_erased_is_in_no_file_of_sqlite(sqlite_engine: Engine, tmp_path: Path) -> None:
    decide(sqlite_engine, 3, "2026-07-21T12:00", ALICE, BOB, "person", "SECRETMARK of Alice")
    run(sqlite_engine)
    forget_deleted(sqlite_engine)
    assert all(b"SECRETMARK" not in file.read_bytes() for file in tmp_path.glob("records.sqlite3*"))


@pytest.fixture
def store() -> Iterator[EmbeddedStore]:
    with short_folder() as folder:
        store = EmbeddedStore(folder)
        store.start()
        yield store
        store.stop()


def test_the_hot_state_forgets_a_number_and_its_append_only_file_too(store: EmbeddedStore) -> None:
    with Redis.from_url(store.url) as client:
        client.hset(keys.parts_key(0, "106900001", ALICE, 7, 2), "1", "SECRETMARK")
        client.set(keys.book_key(0, ALICE), "book")
        client.set(keys.feast_key(0, ALICE, "new-year", 2026), "feast")
        client.set(keys.book_key(0, BOB), "book")
        assert erase_number(client, ALICE, 1) == 3
        assert client.keys("*") == [keys.book_key(0, BOB).encode()]
        assert any(b"SECRETMARK" in file.read_bytes() for file in store.folder.rglob("*.aof"))
        assert rewrite_append_only_file(client)
        assert not any(b"SECRETMARK" in file.read_bytes() for file in store.folder.rglob("*.aof"))
