"""Consents over the API: durable and binding when the answer comes, and only the owner's."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import orjson
import pytest
import redis

from smsc_filter.policy.facts import ConsentState
from smsc_filter.records.consents import owner_ids
from smsc_filter.state import keys
from tests.web.conftest import API, NOW, A, B, World, problem


def hot(world: World, recipient: str, owner: str = "shop-ltd") -> bytes | None:
    """What a relay worker finds."""
    owner_id = owner_ids(world.engine, {owner})[owner]
    field = keys.consent_field(owner_id, recipient)
    found = world.store.hget(keys.consent_key(0, field), field)
    assert found is None or isinstance(found, bytes)
    return found


def state(world: World, headers: dict[str, str], recipient: str) -> str:
    body = world.client.get(f"{API}/consents/{recipient}", headers=headers).json()
    found: str = body["states"][0]["state"]
    return found


def test_a_grant_binds_and_a_withdrawal_ends_it(world: World) -> None:
    headers = world.token()
    grant = {"recipient": "138-0000-0001", "state": "granted", "text_version": "2026-1", "reference": "form 7"}
    answer = world.client.post(f"{API}/consents", json=grant, headers=headers)
    assert answer.status_code == 201, answer.text
    body = answer.json()
    assert (body["recipient"], body["states"][0]["state"]) == (A, "granted")
    assert body["history"][0]["text_version"] == "2026-1"
    granted = hot(world, A)
    assert granted is not None
    assert granted[:1] == str(int(ConsentState.GRANTED)).encode()
    world.now[0] += 1
    answer = world.client.post(f"{API}/consents/{A}/withdraw", headers=headers)
    assert answer.status_code == 200, answer.text
    assert [event["state"] for event in answer.json()["history"]] == ["granted", "withdrawn"]
    withdrawn = hot(world, A)
    assert withdrawn is not None
    assert withdrawn[:1] == str(int(ConsentState.WITHDRAWN)).encode()


def test_an_older_grant_revives_nothing(world: World) -> None:
    """CN-03."""
    headers = world.token()
    world.client.post(f"{API}/consents/{A}/withdraw", headers=headers)
    late = {"recipient": A, "state": "granted", "event_time": "2025-12-01T00:00:00Z"}
    assert world.client.post(f"{API}/consents", json=late, headers=headers).json()["states"][0]["state"] == "withdrawn"


def test_the_same_event_again_changes_nothing(world: World) -> None:
    headers = world.token()
    event = {"recipient": A, "state": "granted", "event_time": "2025-12-01T00:00:00Z"}
    first, second = (world.client.post(f"{API}/consents", json=event, headers=headers).json() for _ in range(2))
    assert first["event_id"] == second["event_id"]
    assert len(second["history"]) == 1


def test_an_owner_sees_its_own_and_no_other(world: World) -> None:
    shop, bank = world.token("shop-ltd"), world.token("bank-ltd")
    world.client.post(f"{API}/consents", json={"recipient": A, "state": "granted"}, headers=shop)
    assert state(world, shop, A) == "granted"
    assert world.client.get(f"{API}/consents/{A}", headers=bank).json() == {
        "recipient": A,
        "states": [{"topic": None, "state": "none", "since": None, "until": None}],
        "history": [],
    }
    assert world.client.get(f"{API}/exports/consents", headers=bank).text.count("\n") == 1
    world.client.post(f"{API}/consents/{A}/withdraw", headers=bank)
    assert state(world, shop, A) == "granted"


def test_many_are_looked_up_in_the_order_asked(world: World) -> None:
    headers = world.token()
    world.client.post(f"{API}/consents", json={"recipient": B, "state": "refused"}, headers=headers)
    asked = {"recipients": [A, "13800000002", A]}
    found = world.client.post(f"{API}/consent-lookup", json=asked, headers=headers).json()
    assert [(each["recipient"], each["states"][0]["state"]) for each in found] == [
        (A, "none"),
        (B, "refused"),
        (A, "none"),
    ]


def test_a_grant_ends_by_time(world: World) -> None:
    headers = world.token()
    grant = {"recipient": A, "state": "granted", "expires_time": "2026-01-02T00:00:00Z"}
    world.client.post(f"{API}/consents", json=grant, headers=headers)
    assert state(world, headers, A) == "granted"
    world.now[0] = NOW + 86_400
    assert state(world, headers, A) == "expired"


@pytest.mark.parametrize(("changes", "kind"), [
    pytest.param({"recipient": "12ab"}, "wrong-number", id="malformed number"),
    pytest.param({"recipient": "1" * 20}, "wrong-number", id="too many digits"),
    pytest.param({"recipient": "\uff11\uff13\uff18" * 4}, "wrong-number", id="full-width digits"),
    pytest.param({"state": "requested"}, "invalid-request", id="a request is put on record by who sends it"),
    pytest.param({"event_time": "2026-01-01T00:00:00"}, "invalid-request", id="time without an offset"),
    pytest.param({"event_time": "2027-01-01T00:00:00Z"}, "invalid-request", id="in the future"),
    pytest.param({"event_time": "1969-12-31T00:00:00Z"}, "invalid-request", id="before 1970"),
    pytest.param({"expires_time": "2025-01-01T00:00:00Z"}, "invalid-request", id="ends before it begins"),
    pytest.param({"topic": "题" * 17}, "invalid-request", id="topic of too many octets"),
    pytest.param({"reference": "a\0b"}, "invalid-request", id="NUL"),
    pytest.param({"source": "x" * 1001}, "invalid-request", id="too long"),
    pytest.param({"evidence_sha256": "0" * 64}, "invalid-request", id="evidence nobody has sent"),
    pytest.param({"owner": "bank-ltd"}, "invalid-request", id="a field nobody knows"),
])  # fmt: skip
def test_a_wrong_event_changes_nothing(world: World, changes: dict[str, str], kind: str) -> None:
    headers = world.token()
    event = {"recipient": A, "state": "granted"} | changes
    body = problem(world.client.post(f"{API}/consents", json=event, headers=headers), 422, kind)
    assert body["errors"][0]["where"].startswith("body.")
    assert changes.get("recipient", A) not in orjson.dumps(body).decode()
    assert world.client.get(f"{API}/consents/{A}", headers=headers).json()["history"] == []


@pytest.mark.parametrize("body", [
    pytest.param(b'{"recipient": "13800000001", "state"', id="half a body"),
    pytest.param(b"\xff\xfe", id="not UTF-8"),
    pytest.param(b"[]", id="a list"),
    pytest.param(b"", id="nothing"),
])  # fmt: skip
def test_a_body_that_is_no_event(world: World, body: bytes) -> None:
    headers = world.token() | {"Content-Type": "application/json"}
    answer = world.client.post(f"{API}/consents", content=body, headers=headers)
    assert answer.status_code in (400, 422), answer.text
    assert answer.headers["content-type"] == "application/problem+json"


def test_evidence_is_kept_and_named_by_an_event(world: World) -> None:
    headers = world.token()
    octets = b"%PDF-1.7 signed form"
    sha256 = hashlib.sha256(octets).hexdigest()
    put = f"{API}/evidence/{sha256}?ending=.pdf"
    problem(world.client.put(put, content=octets[:-1], headers=headers), 422, "wrong-checksum")
    assert world.client.put(put, content=octets, headers=headers).status_code == 201
    event = {"recipient": A, "state": "granted", "evidence_sha256": sha256}
    answer = world.client.post(f"{API}/consents", json=event, headers=headers)
    assert answer.status_code == 201, answer.text
    assert answer.json()["history"][0]["evidence_sha256"] == sha256


def test_with_the_hot_state_away_it_is_on_record_and_binds_later(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    headers = world.token()
    real = world.context.consents.project

    def away() -> None:
        raise redis.ConnectionError("away")

    object.__setattr__(world.context.consents, "project", away)
    withdraw = f"{API}/consents/{A}/withdraw"
    answer = world.client.post(withdraw, headers=headers)
    problem(answer, 503, "unavailable")
    assert answer.headers["retry-after"]
    assert hot(world, A) is None
    object.__setattr__(world.context.consents, "project", real)
    assert world.client.post(withdraw, headers=headers).status_code == 200
    assert hot(world, A) is not None


def test_an_export_proves_itself_whole(world: World) -> None:
    headers = world.token()
    for recipient in (A, B):
        world.client.post(f"{API}/consents", json={"recipient": recipient, "state": "granted"}, headers=headers)
        world.now[0] += 60
    text = world.client.get(f"{API}/exports/consents", headers=headers).content
    *events, last = text.splitlines(keepends=True)
    manifest = orjson.loads(last)["manifest"]
    assert manifest["rows"] == 2
    assert manifest["sha256"] == hashlib.sha256(b"".join(events)).hexdigest()
    assert [orjson.loads(event)["recipient"] for event in events] == [A, B]
    later = world.client.get(f"{API}/exports/consents", params={"from": "2026-01-01T00:00:30Z"}, headers=headers)
    assert [orjson.loads(line).get("recipient") for line in later.content.splitlines()] == [B, None]


def test_a_consent_for_an_owner_nobody_has_names_those_there_are(world: World) -> None:
    setup = replace(world.context.setup, owners=["bank-ltd", "shop-ltd"])
    world.client.app.state.context = replace(world.context, setup=setup)  # type: ignore[attr-defined]
    gone, there = world.token("gone-ltd"), world.token("shop-ltd")
    grant = {"recipient": A, "state": "granted"}
    for answer in (
        world.client.post(f"{API}/consents", json=grant, headers=gone),
        world.client.post(f"{API}/consents/{A}/withdraw", headers=gone),
        world.client.post(f"{API}/imports", content=b"recipient\n", headers=gone | {"Idempotency-Key": "one"}),
    ):
        assert "bank-ltd, shop-ltd" in problem(answer, 422, "unknown-owner")["detail"]
    assert world.client.post(f"{API}/consents/{A}/withdraw", headers=there).status_code == 200
