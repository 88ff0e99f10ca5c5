"""Granting, listing and revoking what appeals allow."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from smsc_filter.policy.whitelist import WhitelistEntry
from smsc_filter.records.whitelist import entries, grant, revoke

NOW = 1_767_225_600.0
GRANT: dict[str, Any] = {
    "scope": "sender", "owner": "shop-ltd", "sender": "106900001", "reason": "appeal 12", "expires_at": NOW + 60,
}  # fmt: skip


@given(
    scope=st.sampled_from(["sender", "sender-recipients", "owner"]),
    sender=st.text(min_size=1),
    recipients=st.frozensets(st.text("0123456789", min_size=1), min_size=1),
    expires_at=st.floats(0, 1e11),
)
def test_an_entry_comes_back_from_json(scope: str, sender: str, recipients: frozenset[str], expires_at: float) -> None:
    entry = WhitelistEntry(
        id=1,
        scope=scope,
        owner="shop-ltd",
        sender=None if scope == "owner" else sender,
        recipients=recipients if scope == "sender-recipients" else frozenset(),
        expires_at=expires_at,
        reason="appeal 12",
    )
    assert WhitelistEntry.from_dict(orjson.loads(orjson.dumps(entry.to_dict()))) == entry


def test_what_is_granted_is_listed_until_it_expires(engine: Engine) -> None:
    first = grant(engine, **GRANT, now=NOW, created_by="wang")
    to_two = {"scope": "sender-recipients", "recipients": ["8613800000002", "8613800000001"]}
    second = grant(engine, **GRANT | to_two | {"expires_at": NOW + 120}, now=NOW)
    third = grant(engine, **GRANT | {"scope": "owner", "sender": None, "expires_at": NOW + 90}, now=NOW)
    assert second.recipients == {"8613800000001", "8613800000002"}
    assert entries(engine, NOW) == [first, second, third]
    assert entries(engine, NOW + 59.999) == [first, second, third]
    assert entries(engine, NOW + 60) == [second, third]
    assert entries(engine, NOW - 1) == []


def test_what_is_revoked_ends_then_and_only_once(engine: Engine) -> None:
    entry = grant(engine, **GRANT, now=NOW)
    assert revoke(engine, entry.id, NOW + 10)
    assert not revoke(engine, entry.id, NOW + 20)
    assert not revoke(engine, entry.id + 1, NOW)
    assert entries(engine, NOW + 9.999) == [entry]
    assert entries(engine, NOW + 10) == []


@pytest.mark.parametrize(("changes", "complaint"), [
    pytest.param({"scope": "everyone"}, "scope is 'everyone'", id="unknown scope"),
    pytest.param({"owner": ""}, "owner is empty", id="no owner"),
    pytest.param({"sender": None}, "names a sender", id="sender missing"),
    pytest.param({"scope": "owner"}, "names a sender", id="sender beside the scope owner"),
    pytest.param({"scope": "sender-recipients"}, "with 0 recipients", id="recipients missing"),
    pytest.param({"recipients": ["8613800000001"]}, "with 1 recipients", id="recipients beside the scope sender"),
    pytest.param({"reason": " "}, "reason is empty", id="no reason"),
    pytest.param({"expires_at": NOW}, "is not after now", id="expired at once"),
])  # fmt: skip
def test_a_grant_that_makes_no_sense(engine: Engine, changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        grant(engine, **GRANT | changes, now=NOW)
    assert entries(engine, NOW) == []
