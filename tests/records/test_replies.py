"""Replies on their way from the stream into consent events: each once, with the position of the stream."""

from __future__ import annotations

import asyncio

import orjson
import pytest
from sqlalchemy import Engine, select

from smsc_filter.policy.record import EntryError
from smsc_filter.records import mover as mover_module
from smsc_filter.records.consents import history, owner_ids
from smsc_filter.records.mover import Fields, Mover
from smsc_filter.records.replies import replies_from_entry
from smsc_filter.records.tables import consent_events, decisions, outbox, stream_rejects

from .helpers import ListStream, batch, count

ALICE = "8613800000001"
WITHDRAWN = [ALICE, 1, "withdrawn", 1_767_225_600_000, 1_767_225_600_005, None, "reply", "TD", ""]


def entry(*replies: list[object]) -> Fields:
    return {b"c": orjson.dumps(replies)}


@pytest.fixture
def engine_with_owner(engine: Engine) -> Engine:
    owner_ids(engine, ["shop-ltd"])
    return engine


def move(engine: Engine, *entries: Fields) -> int:
    return asyncio.run(Mover(engine, ListStream(entries)).drain())


def test_a_reply_becomes_an_event_and_is_announced(engine_with_owner: Engine) -> None:
    assert move(engine_with_owner, entry(WITHDRAWN, [*WITHDRAWN[:5], "loans", *WITHDRAWN[6:]])) == 2
    (_, event), (_, about) = history(engine_with_owner, ALICE)
    assert (event.owner, event.state, event.event_at_ms, event.received_at_ms, event.source, event.reference) == (
        "shop-ltd", "withdrawn", 1_767_225_600_000, 1_767_225_600_005, "reply", "TD",
    )  # fmt: skip
    assert (event.topic, about.topic) == (None, "loans")
    assert count(engine_with_owner, outbox) == 1


def test_one_entry_may_hold_decisions_and_replies(engine_with_owner: Engine) -> None:
    assert move(engine_with_owner, batch(1, 2) | entry(WITHDRAWN)) == 3
    assert (count(engine_with_owner, decisions), count(engine_with_owner, consent_events)) == (2, 1)


def test_sent_again_after_a_fault_it_is_there_once(engine_with_owner: Engine) -> None:
    later = [*WITHDRAWN[:4], 1_767_225_699_000, *WITHDRAWN[5:]]
    move(engine_with_owner, entry(WITHDRAWN), entry(WITHDRAWN), entry(later))
    assert count(engine_with_owner, consent_events) == 1


def test_killed_before_the_commit_nothing_is_lost_and_after_it_nothing_doubled(
    engine_with_owner: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = ListStream([entry(WITHDRAWN), entry([*WITHDRAWN[:3], 5, *WITHDRAWN[4:]])])
    trim = stream.trim

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    async def killed_too(_: str) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(mover_module, "store_replies", killed)
        with pytest.raises(KeyboardInterrupt):
            asyncio.run(Mover(engine_with_owner, stream).move_once())
    assert count(engine_with_owner, consent_events) == 0
    stream.trim = killed_too  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        asyncio.run(Mover(engine_with_owner, stream).move_once())
    stream.trim = trim  # type: ignore[method-assign]
    assert asyncio.run(Mover(engine_with_owner, stream).drain()) == 0
    assert (count(engine_with_owner, consent_events), stream.entries) == (2, [])


def test_of_an_owner_nobody_knows_it_is_set_aside_and_the_others_are_kept(engine_with_owner: Engine) -> None:
    stranger = [ALICE, 99, *WITHDRAWN[2:]]
    move(engine_with_owner, entry(WITHDRAWN), entry(stranger), batch(1))
    assert (count(engine_with_owner, consent_events), count(engine_with_owner, decisions)) == (1, 1)
    with engine_with_owner.connect() as connection:
        (kept,) = connection.execute(select(stream_rejects)).all()
    assert (kept.entry_id, kept.error) == ("2-0", "there is no owner 99")


@pytest.mark.parametrize(("c", "sentence"), [
    pytest.param(b"[torn", "not JSON", id="torn"),
    pytest.param(b"{}", "a list is expected", id="no list"),
    pytest.param(orjson.dumps([WITHDRAWN[:8]]), "a list of 9 is expected", id="too short"),
    pytest.param(orjson.dumps([[ALICE, "1", *WITHDRAWN[2:]]]), "owner_id is '1'", id="another type"),
    pytest.param(orjson.dumps([[ALICE, True, *WITHDRAWN[2:]]]), "owner_id is True", id="a truth"),
    pytest.param(orjson.dumps([[ALICE, 1, "maybe", *WITHDRAWN[3:]]]), "kind is 'maybe'", id="unknown kind"),
    pytest.param(orjson.dumps([[*WITHDRAWN[:5], "", *WITHDRAWN[6:]]]), "topic is empty", id="empty topic"),
])  # fmt: skip
def test_what_is_no_reply_is_told(c: bytes, sentence: str) -> None:
    with pytest.raises(EntryError, match=sentence):
        replies_from_entry(c)
