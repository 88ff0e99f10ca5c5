"""Seals: an edit, a deletion, a row put in or a reorder past smsc-filter is found in every table, and told where."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, Table, insert, select, text, update

from smsc_filter.records import database
from smsc_filter.records.database import open_database, writing
from smsc_filter.records.decisions import insert_decisions, insert_outcomes
from smsc_filter.records.journal import NOTED, key_columns
from smsc_filter.records.reseal import reseal
from smsc_filter.records.retention import _delete_decisions
from smsc_filter.records.seals import adopt, seal_due
from smsc_filter.records.tables import (
    appeal_events,
    appeals,
    audit,
    changes,
    complaint_decisions,
    complaint_events,
    complaints,
    decisions,
    measure_events,
    measures,
    notices,
    outcomes,
    rule_versions,
    seal_heads,
    seals,
    whitelist,
)
from smsc_filter.records.text_keys import TextKeys, add_key
from smsc_filter.records.verify_seals import verify_seals

NOW = 1_767_225_600.0
NOW_MS = round(NOW * 1000)
LATER = NOW + 3600

VALUES: dict[str, dict[str, Any]] = {
    "whitelist": {"scope": "owner", "owner": "shop", "reason": "appeal", "created_at_ms": 1, "expires_at_ms": 9},
    "notices": {"scope": "owner", "subject": "shop", "channel": "mail", "reason": "r", "at_ms": 1, "by": "me"},
    "measures": {"step": "throttle", "scope": "owner", "subject": "shop", "reason": "r", "article": "16",
                 "appeal_code": "", "binds": ["a", "b"], "begins_at_ms": 1},
    "measure_events": {"measure_id": 1, "event": "imposed", "at_ms": 1, "by": "me", "note": "n"},
    "appeals": {"state": "open", "kind": "decision", "subject": "1", "appellant_kind": "owner", "appellant": "shop",
                "channel": "console", "owner": "shop", "sender": "1069", "recipient": "861", "reason": "r",
                "opened_at_ms": 1, "since_ms": 1, "due_certain": True, "told": ""},
    "appeal_events": {"appeal_id": 1, "event": "opened", "at_ms": 1, "by": "me", "note": "n", "evidence": {"b": 1}},
    "complaints": {"number": "", "state": "received", "complainant": "861", "sender": "1069", "owner": "shop",
                   "content": "大促", "category": "c", "source": "12321", "received_at_ms": 1, "recorded_at_ms": 1,
                   "since_ms": 1, "due_certain": False, "told": ""},
    "complaint_events": {"complaint_id": 1, "event": "received", "at_ms": 1, "by": "me", "note": "n"},
    "complaint_decisions": {"complaint_id": 1, "decision_id": 1},
    "audit": {"at_ms": 1, "actor": "me", "action": "a", "subject": "s", "before": {"z": 1, "a": 2}, "address": ""},
    "rule_versions": {"at_ms": 1, "by": "me", "reason": "r", "based_on": 0, "body": {"x": 1}},
}  # fmt: skip
ORDER = (whitelist, notices, measures, measure_events, appeals, appeal_events, complaints, complaint_events,
         complaint_decisions, audit, rule_versions)  # fmt: skip
ROWS = 5


def id_of(number: int) -> int:
    return (NOW_MS + number) << 20


def decision(id_: int, words: str = "大促") -> tuple[Any, ...]:
    return (
        id_, NOW_MS, "shop", "shop-ltd", "106900001", "8613800000001", "commercial", "no-consent", 0x410,
        True, 9000, "advertisement", "", 8, words, '[["consent"]]', "default", "cn-2020-draft", 1,
    )  # fmt: skip


def values_of(table: Table, number: int) -> dict[str, Any]:
    values = dict(VALUES[table.name])
    for name in ("appeal_code", "number"):
        if name in values:
            values[name] = f"n{number}"
    if table is complaint_decisions:
        values["decision_id"] = number
    return values


def fill(engine: Engine) -> None:
    with writing(engine) as connection:
        for table in ORDER:
            for number in range(1, ROWS + 1):
                connection.execute(insert(table).values(**values_of(table, number)))
        insert_decisions(connection, [decision(id_of(number)) for number in range(1, ROWS + 1)])
        insert_outcomes(connection, [(id_of(number), NOW_MS, 0, f"m{number}") for number in range(1, ROWS + 1)])


@pytest.fixture
def sealed(engine: Engine) -> Engine:
    fill(engine)
    seal_due(engine, LATER)
    assert verify_seals(engine).problems == []
    return engine


def test_tables_of_the_test_are_all_that_are_noted() -> None:
    assert {table.name for table in ORDER} == set(NOTED)


SEALED = (*ORDER, decisions, outcomes)
EDITED = {"measure_events": "note", "appeal_events": "note", "complaint_events": "note", "audit": "actor",
          "decisions": "source", "outcomes": "message_id", "complaints": "sender", "appeals": "sender"}  # fmt: skip


def ids(connection: Connection, table: Table) -> list[int]:
    column = list(key_columns(table))[-1]
    return list(connection.execute(select(column).order_by(column)).scalars())


def raw(connection: Connection, sql: str, **values: Any) -> None:
    """SQL as somebody types it who has the database: past smsc-filter."""
    connection.execute(text(sql), values)


def unbind(connection: Connection) -> None:
    """Whoever edits the database keeps no foreign keys."""
    if connection.dialect.name == "postgresql":
        raw(connection, "SET session_replication_role = replica")
    else:
        connection.rollback()
        dbapi: Any = connection.connection.dbapi_connection
        dbapi.execute("PRAGMA foreign_keys = OFF")


def edit(connection: Connection, table: Table, which: int) -> None:
    key = list(key_columns(table))[-1].name
    if table is complaint_decisions:
        raw(connection, "UPDATE complaint_decisions SET decision_id = 77 WHERE decision_id = :id", id=which)
        return
    column = EDITED.get(table.name, "reason")
    raw(connection, f"UPDATE {table.name} SET {column} = 'other' WHERE {key} = :id", id=which)


def remove(connection: Connection, table: Table, which: int) -> None:
    key = list(key_columns(table))[-1].name
    raw(connection, f"DELETE FROM {table.name} WHERE {key} = :id", id=which)


def swap(connection: Connection, table: Table, which: int) -> None:
    """Two rows that differ change their ids."""
    key = list(key_columns(table))[-1].name
    if table is complaint_decisions:
        raw(connection, "UPDATE complaint_decisions SET decision_id = 77 WHERE decision_id = :id", id=which)
        return
    other, spare = ids(connection, table)[0], 500
    for old, new in ((which, spare), (other, which), (spare, other)):
        raw(connection, f"UPDATE {table.name} SET {key} = :new WHERE {key} = :old", new=new, old=old)


def empty(connection: Connection, table: Table, which: int) -> None:
    raw(connection, f"DELETE FROM {table.name}")


def put_in(connection: Connection, table: Table, which: int) -> None:
    """A copy of a row, with an id inside what is sealed."""
    names = [column.name for column in table.columns]
    key = list(key_columns(table))[-1].name
    unique = {"appeal_code", "number"}
    taken = ", ".join(
        str(which + 1) if name == key else ("'forged'" if name in unique else f'"{name}"') for name in names
    )
    if table.name not in ("decisions", "outcomes"):
        taken = taken.replace(str(which + 1), "99", 1)
    quoted = ", ".join(f'"{name}"' for name in names)
    raw(connection, f"INSERT INTO {table.name} ({quoted}) SELECT {taken} FROM {table.name} WHERE {key} = :id", id=which)


@pytest.mark.parametrize("attack", [edit, remove, swap, empty, put_in], ids=lambda attack: attack.__name__)
def test_an_attack_is_found_in_every_table(sealed: Engine, attack: Any) -> None:
    with writing(sealed) as connection:
        which = {table.name: ids(connection, table)[2] for table in SEALED}
        for table in SEALED:
            if table is not complaint_decisions:
                # Rows must differ for a swap to change anything; through smsc-filter that is lawful.
                values = {EDITED.get(table.name, "reason"): "differs"}
                connection.execute(
                    update(table).where(list(key_columns(table))[-1] == which[table.name]).values(values)
                )
    assert verify_seals(sealed).problems == []
    with sealed.connect() as connection:
        unbind(connection)
        for table in SEALED:
            attack(connection, table, which[table.name])
        connection.commit()
        connection.invalidate()
    found = verify_seals(sealed)
    places = {table.name: {part.split(": ")[1] for part in found.problems if part.startswith(f"{table.name}:")}
              for table in SEALED}  # fmt: skip
    assert all(places.values()), places
    assert {problem.split(":")[0] for problem in found.problems} == set(places)
    if attack in (edit, remove, swap):
        assert all(re.search(rf"\b{which[name]}\b", " ".join(place)) for name, place in places.items()
                   if name != "complaint_decisions")  # fmt: skip


@pytest.mark.parametrize("table", [seals, changes], ids=lambda table: table.name)
@pytest.mark.parametrize("attack", [remove, empty], ids=lambda attack: attack.__name__)
def test_seals_and_notes_cannot_be_taken_away(sealed: Engine, table: Table, attack: Any) -> None:
    with sealed.begin() as connection:
        attack(connection, table, ids(connection, table)[-1])
    assert verify_seals(sealed).problems


def test_newest_seals_cut_off_are_found_by_an_anchor(sealed: Engine) -> None:
    before = verify_seals(sealed)
    with writing(sealed) as connection:
        connection.execute(insert(audit).values(**VALUES["audit"]))
    seal_due(sealed, LATER + 60)
    anchor = verify_seals(sealed)
    with sealed.begin() as connection:
        # All that tells of the newest row goes, the heads too.
        raw(connection, "DELETE FROM audit WHERE id = 6")
        raw(connection, "DELETE FROM row_salts WHERE \"table\" = 'audit' AND key = '6'")
        last = connection.execute(select(changes.c.id).order_by(changes.c.id.desc())).scalars().first()
        raw(connection, "DELETE FROM changes WHERE id = :id", id=last)
        raw(connection, "DELETE FROM seals WHERE id = :id", id=anchor.position)
        raw(connection, "UPDATE seal_heads SET bound = :at, chain = :chain WHERE name = 'seals'",
            at=before.position, chain=before.chain)  # fmt: skip
        raw(connection, "UPDATE seal_heads SET bound = :at WHERE name = 'changes'", at=(last or 1) - 1)
    assert verify_seals(sealed).problems == []
    found = verify_seals(sealed, [(anchor.position, bytes.fromhex(anchor.chain))])
    assert found.problems == [f"seals: {anchor.position} is missing: it was noted elsewhere when the chain ended there"]


def test_lawful_changes_and_removals_verify_and_are_told(sealed: Engine) -> None:
    with writing(sealed) as connection:
        gone = ids(connection, decisions)
        connection.execute(update(measures).values(lifted_at_ms=7))
        connection.execute(update(decisions).where(decisions.c.id == gone[0]).values(text="", findings=None))
        _delete_decisions(connection, gone[1:3], dry_run=False)
    found = verify_seals(sealed)
    assert found.problems == []
    assert {table: count for (table, _), count in found.removed.items()} == {"decisions": 2, "outcomes": 2}
    seal_due(sealed, LATER + 60)
    with writing(sealed) as connection:
        _delete_decisions(connection, gone, dry_run=False)
        left = connection.execute(select(seals.c.digests).where(seals.c.kind == "decisions")).scalars().all()
        assert left == [None]
    assert verify_seals(sealed).problems == []
    with sealed.begin() as connection:
        raw(connection, "UPDATE changes SET kind = 'removed' WHERE kind = 'changed'")
    assert verify_seals(sealed).problems


def test_what_comes_late_is_noted_and_what_was_edited_is_not_made_good(sealed: Engine) -> None:
    with writing(sealed) as connection:
        insert_decisions(connection, [decision(id_of(1) + 5)])
        insert_outcomes(connection, [(id_of(1) + 5, NOW_MS, 0, "late")])
    assert verify_seals(sealed).problems == []
    with sealed.begin() as connection:
        raw(connection, "UPDATE decisions SET source = 'other' WHERE id = :id", id=id_of(2))
    with writing(sealed) as connection:
        insert_decisions(connection, [decision(id_of(2))])
    assert verify_seals(sealed).problems == [f"decisions: {id_of(2)} was changed (segment 1)"]


def test_rows_from_before_are_sealed_as_found(engine: Engine) -> None:
    with engine.begin() as connection:
        raw(connection, "UPDATE seal_heads SET bound = 0 WHERE name = 'found'")
        for number in (1, 2):
            raw(
                connection,
                "INSERT INTO audit (id, at_ms, actor, action, subject, address) VALUES"
                f" ({number}, 1, 'a', 'b', 'c', '')",
            )
    adopt(engine, NOW)
    found = verify_seals(engine)
    assert (found.problems, found.as_found["audit"]) == ([], 2)


def test_texts_sealed_at_rest_verify_and_may_be_sealed_anew(tmp_path: Path) -> None:
    folder = tmp_path / "sealed"
    folder.mkdir()
    add_key(tmp_path / "keys")
    keys = TextKeys(tmp_path / "keys", sealing=True)
    engine = open_database("", folder, keys)
    fill(engine)
    seal_due(engine, LATER)
    noted = verify_seals(engine)
    add_key(tmp_path / "keys")
    assert reseal(engine, TextKeys(tmp_path / "keys", sealing=True)) > 0
    engine.dispose()
    engine = open_database("", folder, TextKeys(tmp_path / "keys", sealing=True))
    found = verify_seals(engine)
    assert (found.problems, found.rows) == ([], noted.rows)
    engine.dispose()


def test_sealing_costs_little_beside_storing(sqlite_engine: Engine) -> None:
    """The road and the stream to SQL write nothing more; sealing reads each row once."""
    rows = [decision((NOW_MS << 20) + number, f"大促 {number}") for number in range(20_000)]
    began = time.process_time()
    for first in range(0, len(rows), 5_000):
        with writing(sqlite_engine) as connection:
            insert_decisions(connection, rows[first : first + 5_000])
    stored = time.process_time() - began
    began = time.process_time()
    assert seal_due(sqlite_engine, LATER) == len(rows)
    assert time.process_time() - began < 3 * stored
    assert database.REVISION >= "0013"
    assert seal_heads.c.bound is not None
