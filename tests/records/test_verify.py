"""The hash chain: what anybody changes later is found, by the chain, by anchors or by what was handed out."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, delete, insert, select, text, update

from smsc_filter.records import chain, database
from smsc_filter.records.consents import ConsentEvent, store_events
from smsc_filter.records.database import writing
from smsc_filter.records.errors import RecordsError
from smsc_filter.records.signature import FILE_NAME, SigningKey, check_signature
from smsc_filter.records.tables import chain_heads, consent_events, owners
from smsc_filter.records.verify import (
    anchor_of,
    check_receipt,
    make_receipt,
    note_anchor,
    read_anchors,
    verify_events,
)

NOW = 1_767_225_600.0
NOW_MS = round(NOW * 1000)
EVENTS = 9


@pytest.fixture
def key(tmp_path: Path) -> SigningKey:
    return SigningKey.open(tmp_path)


@pytest.fixture
def sealed(engine: Engine) -> Engine:
    """Nine events, of three transactions and two owners."""
    for first in range(0, EVENTS, 3):
        store_events(engine, [event(number) for number in range(first, first + 3)])
    return engine


def event(number: int) -> ConsentEvent:
    return ConsentEvent(
        recipient=f"861380000000{number}", owner=("shop-ltd", "bank")[number % 2], state="granted",
        event_at_ms=NOW_MS - number, received_at_ms=NOW_MS, topic="loans" if number % 3 else None,
        source="form", reference=f"page {number}", text_version="2026-1", evidence="ab" * 32,
    )  # fmt: skip


Forgery = Callable[[Connection], object]
row = consent_events.c


def change(**values: object) -> Forgery:
    return lambda connection: connection.execute(update(consent_events).where(row.id == 5).values(**values))


def swap(connection: Connection) -> None:
    """Two events change places, each with its own seals."""
    found = connection.execute(select(consent_events).where(row.id.in_((4, 5)))).mappings().all()
    connection.execute(delete(consent_events).where(row.id.in_((4, 5))))
    connection.execute(insert(consent_events), [{**each, "id": 9 - each["id"]} for each in found])


def rebuilt_from(first: int) -> Forgery:
    """Who knows the algorithm seals everything from ``first`` anew, the head too."""

    def forge(connection: Connection) -> None:
        names = dict(connection.execute(select(owners.c.id, owners.c.name)).all())  # type: ignore[arg-type]
        previous = connection.execute(select(row.chain).where(row.id == first - 1)).scalar_one()
        for each in connection.execute(select(consent_events).where(row.id >= first).order_by(row.id)).all():
            core = (each.id, each.recipient, names[each.owner_id], each.topic, "refused", each.event_at_ms,
                    each.received_at_ms, each.expires_at_ms)  # fmt: skip
            proof = (each.source, each.reference, each.text_version, each.evidence, each.evidence_name)
            ((salt, proof_salt, previous),) = chain.seal([(core, proof)], previous)
            connection.execute(
                update(consent_events).where(row.id == each.id)
                .values(event="refused", salt=salt, proof_salt=proof_salt, chain=previous)
            )  # fmt: skip
        connection.execute(update(chain_heads).values(chain=previous))

    return forge


def cut_off(connection: Connection) -> None:
    """The last three events go, and the head is set back."""
    connection.execute(delete(consent_events).where(row.id > 6))
    end = connection.execute(select(row.chain).where(row.id == 6)).scalar_one()
    connection.execute(update(chain_heads).values(position=6, chain=end))


def test_what_was_sealed_is_found_as_it_was(sealed: Engine) -> None:
    found = verify_events(sealed)
    assert (found.events, found.position, found.problems) == (EVENTS, EVENTS, [])
    assert verify_events(sealed, [(found.position, found.chain)]).problems == []


def test_nothing_is_a_chain_too(engine: Engine) -> None:
    assert verify_events(engine).problems == []


@pytest.mark.parametrize(("forgery", "sentence"), [
    pytest.param(change(event="refused"), "event 5 was changed", id="what it says"),
    pytest.param(change(event_at_ms=NOW_MS + 1), "event 5 was changed", id="when"),
    pytest.param(change(received_at_ms=NOW_MS + 1), "event 5 was changed", id="when it was learned"),
    pytest.param(change(expires_at_ms=1), "event 5 was changed", id="until when"),
    pytest.param(change(recipient="8613800000009"), "event 5 was changed", id="who"),
    pytest.param(change(owner_id=1), "event 5 was changed", id="whom it was told"),
    pytest.param(change(topic=None), "event 5 was changed", id="about what"),
    pytest.param(change(source="a call"), "event 5 was changed", id="source"),
    pytest.param(change(reference="page 6"), "event 5 was changed", id="reference"),
    pytest.param(change(text_version="2026-2"), "event 5 was changed", id="wording"),
    pytest.param(change(evidence="cd" * 32), "event 5 was changed", id="evidence"),
    pytest.param(change(evidence_name="other.pdf"), "event 5 was changed", id="name of the evidence"),
    pytest.param(change(proof_digest=bytes(32)), "event 5 was changed", id="proof digest put in"),
    pytest.param(change(digest=bytes(32)), "event 5 was changed", id="passed off as forgotten"),
    pytest.param(change(salt=None), "event 5 was changed", id="salt taken"),
    pytest.param(lambda connection: connection.execute(update(owners).values(name=owners.c.name + "-2")),
                 "event 1 was changed", id="an owner renamed"),
    pytest.param(lambda connection: connection.execute(delete(consent_events).where(row.id == 5)),
                 "event 5 is missing, or event 6 was changed", id="one deleted"),
    pytest.param(lambda connection: connection.execute(delete(consent_events).where(row.id.between(3, 6))),
                 "event 3 to 6 is missing, or event 7 was changed", id="some deleted"),
    pytest.param(lambda connection: connection.execute(delete(consent_events).where(row.id == 1)),
                 "event 1 is missing, or event 2 was changed", id="the first deleted"),
    pytest.param(swap, "event 4 was changed, or is not in its place", id="reordered"),
    pytest.param(lambda connection: connection.execute(delete(consent_events).where(row.id > 6)),
                 "the chain ends with event 6, and ended with event 9", id="the end cut off"),
    pytest.param(lambda connection: connection.execute(update(chain_heads).values(position=6)),
                 "event 7 is behind the end of the chain", id="put in behind the end"),
])  # fmt: skip
def test_a_forgery_is_found(sealed: Engine, forgery: Forgery, sentence: str) -> None:
    """CN-15: the proof on record is the proof that was given."""
    with writing(sealed) as connection:
        forgery(connection)
    problems = verify_events(sealed).problems
    assert any(problem.startswith(sentence) for problem in problems), problems


@pytest.mark.parametrize("forgery", [
    pytest.param(rebuilt_from(5), id="sealed anew from the change on"),
    pytest.param(cut_off, id="cut off with the head set back"),
])  # fmt: skip
def test_a_forgery_that_leaves_a_whole_chain_is_found_by_an_anchor_and_by_what_was_handed_out(
    sealed: Engine, key: SigningKey, tmp_path: Path, forgery: Forgery
) -> None:
    found = verify_events(sealed)
    note_anchor(tmp_path, key, found.position, found.chain, NOW)
    receipt = orjson.dumps(make_receipt(sealed, 2, key, NOW))
    with writing(sealed) as connection:
        forgery(connection)
    assert verify_events(sealed).problems == []
    assert len(verify_events(sealed, read_anchors(tmp_path)).problems) == 1
    assert len(verify_events(sealed, [anchor_of(receipt, "receipt")]).problems) == 1


def other_value(name: str, value: object) -> object:
    """Something else that the column takes, as near as can be."""
    if name == "event":
        return "refused"
    if name == "owner_id":
        return 3 - int(str(value))
    if isinstance(value, str):
        return value[:-1] + chr(ord(value[-1]) ^ 1)
    if isinstance(value, int):
        return value ^ 1
    if isinstance(value, bytes):
        return value[:-1] + bytes([value[-1] ^ 1])
    return 7 if name.endswith("ms") else "x"


def test_any_octet_of_any_event_counts(sealed: Engine) -> None:
    """Random changes of stored values, one at a time, each undone by a rollback."""
    chance = random.Random(20260101)
    columns = [
        each
        for each in (column.name for column in consent_events.columns)
        if each not in ("id", "mark", "digest", "proof_digest")
    ]
    for _ in range(60):
        name, id_ = chance.choice(columns), chance.randrange(1, EVENTS + 1)
        with sealed.connect() as connection:
            value = connection.execute(select(row[name]).where(row.id == id_)).scalar_one()
        other = other_value(name, value)
        with writing(sealed) as connection:
            connection.execute(update(consent_events).where(row.id == id_).values({name: other}))
        assert verify_events(sealed).problems, (name, id_)
        with writing(sealed) as connection:
            connection.execute(update(consent_events).where(row.id == id_).values({name: value}))
    assert verify_events(sealed).problems == []


def test_events_may_come_while_they_are_counted(sealed: Engine) -> None:
    def come(_: int) -> None:
        # SQLite and PostgreSQL both let a writer in beside a reader.
        store_events(sealed, [event(0)])

    assert verify_events(sealed, advance=come).problems == []


def test_a_receipt_is_checked_by_itself_and_against_the_records(sealed: Engine, key: SigningKey) -> None:
    octets = orjson.dumps(make_receipt(sealed, 5, key, NOW))
    for engine in (None, sealed):
        assert check_receipt(octets, engine, key.public)["event"][1] == "8613800000004"
    with writing(sealed) as connection:
        rebuilt_from(4)(connection)
    with pytest.raises(RecordsError, match="the records hold another event 5"):
        check_receipt(octets, sealed)


@pytest.mark.parametrize(("name", "value"), [
    ("event", [5, "8613800000004", "shop-ltd", "loans", "refused", 1, 1, None]), ("proof", ["", "", "", None, None]),
    ("salt", "00" * 16), ("previous", "00" * 32), ("chain", "00" * 32), ("issued_at_ms", 1), ("signature", "AAAA"),
    ("key", "AAAA"),
])  # fmt: skip
def test_a_receipt_that_was_changed_is_none(sealed: Engine, key: SigningKey, name: str, value: object) -> None:
    receipt = make_receipt(sealed, 5, key, NOW)
    with pytest.raises(RecordsError, match="changed after it was signed"):
        check_receipt(orjson.dumps({**receipt, name: value}), None)


def test_a_receipt_of_somebody_else_is_told(sealed: Engine, key: SigningKey, tmp_path: Path) -> None:
    other = SigningKey.open(tmp_path / "other")
    receipt = make_receipt(sealed, 5, key, NOW)
    with pytest.raises(RecordsError, match="is signed with key"):
        check_receipt(orjson.dumps(receipt), None, other.public)
    # Signed by whoever, it still has to be what was sealed.
    unsigned = {name: each for name, each in receipt.items() if name not in ("key", "signature")}
    forged = other.sign({**unsigned, "event": [*receipt["event"][:4], "refused", *receipt["event"][5:]]})
    with pytest.raises(RecordsError, match="is not the one that was sealed"):
        check_receipt(orjson.dumps(forged), None)


@pytest.mark.parametrize("octets", [b"", b"{}", b"[]", b'{"kind": "consent-receipt"}', b"\xff", b"null"])
def test_what_is_no_receipt_is_told(octets: bytes) -> None:
    with pytest.raises(RecordsError, match=r"is no receipt|has no signature"):
        check_receipt(octets, None)


def test_there_is_no_receipt_of_nothing(sealed: Engine, key: SigningKey) -> None:
    with pytest.raises(RecordsError, match="event 77 is not on record"):
        make_receipt(sealed, 77, key, NOW)


def test_a_key_is_made_once_and_kept_from_others(tmp_path: Path) -> None:
    first = SigningKey.open(tmp_path)
    assert SigningKey.open(tmp_path).public == first.public
    assert (tmp_path / FILE_NAME).stat().st_mode & 0o077 == 0
    check_signature(first.sign({"a": 1}), first.public)
    (tmp_path / FILE_NAME).write_text("nonsense")
    with pytest.raises(RecordsError, match="is no signing key"):
        SigningKey.open(tmp_path)


def test_a_torn_last_anchor_is_left_out_and_a_changed_one_told(tmp_path: Path, key: SigningKey) -> None:
    for position in (1, 2):
        note_anchor(tmp_path, key, position, bytes(32), NOW)
    path = tmp_path / "anchors.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"at_ms": 17')
    assert [position for position, _ in read_anchors(tmp_path)] == [1, 2]
    path.write_bytes(whole.replace(b'"position":2', b'"position":3'))
    with pytest.raises(RecordsError, match="line 2: was changed"):
        list(read_anchors(tmp_path))


def test_events_of_the_version_before_are_sealed_by_the_migration(database_url: str, tmp_path: Path) -> None:
    engine = database.open_database(database_url, tmp_path)
    scripts = Path(database.__file__).parent / "migrations"
    config = Config()
    config.set_main_option("script_location", str(scripts))

    def migrate(step: str) -> None:
        with writing(engine) as connection:
            config.attributes["connection"] = connection
            (command.downgrade if step == "0001" else command.upgrade)(config, step)

    migrate("0001")
    with writing(engine) as connection:
        connection.execute(text("INSERT INTO owners (name) VALUES ('shop-ltd')"))
        old = "INSERT INTO consent_events (recipient, owner_id, event, event_at_ms, received_at_ms, source, reference,"
        for number in range(3):
            connection.execute(
                text(f"{old} text_version) VALUES ('861380000000{number}', 1, 'granted', 5, 6, 'form', 'r', '')")
            )
        connection.execute(text("DELETE FROM consent_events WHERE id = 2"))
    migrate("head")
    assert verify_events(engine).problems == []
    assert store_events(engine, [event(1)]).ids == [4]
    found = verify_events(engine)
    assert (found.events, found.problems) == (3, [])
    migrate("0001")
    with engine.connect() as connection:
        assert len(connection.execute(text("SELECT id FROM consent_events")).all()) == 3
    engine.dispose()
