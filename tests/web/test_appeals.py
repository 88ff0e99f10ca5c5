"""Appeals and complaints over the API: whose they are, what an answer brings about, what is refused how."""

from __future__ import annotations

import hashlib
from typing import Any

import orjson
import pytest

from smsc_filter.policy.record import id_to_text
from smsc_filter.records.measures import standing
from smsc_filter.state import keys
from tests.records.test_appeals import WANG, refused
from tests.web.conftest import API, NOW, World, problem

SHOP = "106900001"
REVIEWER = ("appeals:read", "appeals:review")
DECISION = id_to_text(7)


def blocked(world: World, **values: Any) -> None:
    """Decision 7, a message of shop-ltd."""
    whole = {"owner": "shop-ltd", "source": SHOP, "purpose": "service"} | values
    refused(world.engine, 7, **whole)


def opened(world: World, headers: dict[str, str], **body: Any) -> dict[str, Any]:
    answer = world.client.post(
        f"{API}/appeals", json={"decision": DECISION, "reason": "no advertisement"} | body, headers=headers
    )
    assert answer.status_code == 201, answer.text
    return answer.json()  # type: ignore[no-any-return]


def published(world: World) -> list[dict[str, Any]]:
    return orjson.loads(world.store.hget(keys.SMALL_TABLES, "whitelist") or b"[]")  # type: ignore[no-any-return, arg-type]


def test_an_owner_appeals_and_a_reviewer_grants(world: World) -> None:
    blocked(world)
    owner, reviewer = world.token("shop-ltd", "appeals:read", "appeals:write"), world.token("operator", *REVIEWER)
    appeal = opened(world, owner, evidence=["a" * 64])
    assert (appeal["state"], appeal["subject"], appeal["appellant"]) == ("open", DECISION, "shop-ltd")
    assert appeal["due"] == "2026-01-22T16:00:00Z", "15 working days from the fourth, a Sunday that is worked"
    assert opened(world, owner)["id"] == appeal["id"], "the same again is the same"
    url = f"{API}/appeals/{appeal['id']}"

    asked = world.client.post(f"{url}/question", json={"question": "to whom?"}, headers=reviewer).json()
    assert asked["state"] == "needs-information"
    told = world.client.post(f"{url}/information", json={"information": "customers"}, headers=owner).json()
    assert told["state"] == "open"
    granted = world.client.post(
        f"{url}/grant", json={"reason": "a delivery note", "recipients": ["13800000009"]}, headers=reviewer
    )
    assert granted.status_code == 200, granted.text
    assert [each["event"] for each in granted.json()["history"]] == ["open", "ask", "supply", "grant", "effects"]
    (entry,) = published(world)
    assert entry["id"] == granted.json()["whitelist_entry"]
    assert entry["recipients"] == [WANG, "8613800000009"]
    problem(world.client.post(f"{url}/refuse", json={"reason": "x"}, headers=reviewer), 409, "wrong-state")

    assert world.client.post(f"{url}/revoke", json={"reason": "abused"}, headers=reviewer).json()["state"] == "refused"
    assert published(world) == []
    figures = world.client.get(f"{API}/appeal-figures", headers=reviewer).json()
    assert (figures["opened"], figures["refused"], figures["waiting"]) == (1, 1, 0)


def test_what_is_another_owners_is_not_there(world: World) -> None:
    blocked(world)
    mine, others = (
        world.token("shop-ltd", "appeals:read", "appeals:write"),
        world.token("bank-ltd", *REVIEWER[:1], "appeals:write"),
    )
    appeal = opened(world, mine)
    url = f"{API}/appeals/{appeal['id']}"
    body = {"decision": DECISION, "reason": "mine"}
    problem(world.client.post(f"{API}/appeals", json=body, headers=others), 404, "no-such-matter")
    problem(
        world.client.post(f"{API}/appeal-codes", json={"decision": DECISION}, headers=others), 404, "no-such-decision"
    )
    problem(world.client.get(url, headers=others), 404, "no-such-appeal")
    problem(world.client.post(f"{url}/withdraw", headers=others), 404, "no-such-appeal")
    assert world.client.get(f"{API}/appeals", headers=others).json()["appeals"] == []
    seen = world.client.get(f"{API}/appeals", headers=world.token("operator", *REVIEWER)).json()
    assert [each["id"] for each in seen["appeals"]] == [appeal["id"]]
    problem(world.client.post(f"{url}/grant", json={"reason": "x"}, headers=mine), 403, "scope-missing")
    assert world.client.post(f"{url}/withdraw", headers=mine).json()["state"] == "withdrawn"


def test_a_code_is_issued_for_ones_own_decision_and_speaks(world: World) -> None:
    blocked(world)
    mine = world.token("shop-ltd", "appeals:read", "appeals:write")
    code = world.client.post(f"{API}/appeal-codes", json={"decision": DECISION}, headers=mine).json()["code"]
    agent = world.token("agent-ltd", "appeals:write")
    answer = world.client.post(f"{API}/appeals", json={"code": code, "reason": "for shop-ltd"}, headers=agent)
    assert (answer.status_code, answer.json()["appellant"]) == (201, "agent-ltd")


@pytest.mark.parametrize(("body", "status", "kind"), [
    pytest.param({"reason": "x"}, 422, "invalid-request", id="neither"),
    pytest.param({"reason": "x", "decision": DECISION, "code": "ABCDEFGH"}, 422, "invalid-request", id="both"),
    pytest.param({"reason": "  ", "decision": DECISION}, 422, "invalid-request", id="no-reason"),
    pytest.param({"reason": "x", "code": "ABCDEFGH"}, 404, "no-such-matter", id="unknown-code"),
    pytest.param({"reason": "x", "decision": id_to_text(8)}, 404, "no-such-matter", id="unknown-decision"),
    pytest.param({"reason": "x\0", "decision": DECISION}, 422, "invalid-request", id="nul"),
])  # fmt: skip
def test_what_is_not_taken_is_a_problem(world: World, body: dict[str, Any], status: int, kind: str) -> None:
    blocked(world)
    problem(world.client.post(f"{API}/appeals", json=body, headers=world.token("shop-ltd")), status, kind)


def test_limits_and_what_no_appeal_lifts_are_problems(world: World) -> None:
    for number in range(6):
        refused(world.engine, number, owner="shop-ltd", source=SHOP, cause="prohibited")
    mine, reviewer = world.token("shop-ltd", "appeals:write"), world.token("operator", *REVIEWER)
    answers = [
        world.client.post(f"{API}/appeals", json={"decision": id_to_text(number), "reason": "x"}, headers=mine)
        for number in range(6)
    ]
    assert [answer.status_code for answer in answers] == [201] * 5 + [409]
    problem(answers[5], 409, "limit-reached")
    url = f"{API}/appeals/{answers[0].json()['id']}/grant"
    problem(world.client.post(url, json={"reason": "x", "scope": "sender"}, headers=reviewer), 422, "never-lifted")
    past = {"reason": "x", "expires_time": "2025-01-01T00:00:00Z"}
    problem(world.client.post(url, json=past, headers=reviewer), 422, "invalid-request")
    assert world.client.post(url, json={"reason": "x", "scope": "none"}, headers=reviewer).json()["state"] == "granted"


def test_a_complaint_goes_its_way_and_the_owner_sees_it(world: World) -> None:
    at_ms = round((NOW - 3600) * 1000)
    id_ = at_ms << 20
    refused(world.engine, id_, owner="shop-ltd", source=SHOP, cause="", at_ms=at_ms, purpose="commercial")
    operator = world.token("operator", "complaints:read", "complaints:write")
    owner, bank = world.token("shop-ltd", "complaints:read"), world.token("bank-ltd", "complaints:read")
    body = {"number": "C-1", "complainant": "13800000002", "sender": SHOP, "content": "五折", "category": "广告"}
    added = world.client.post(f"{API}/complaints", json=body, headers=operator)
    assert added.status_code == 201, added.text
    complaint = added.json()
    assert (complaint["state"], complaint["owner"]) == ("received", "shop-ltd")
    assert complaint["decisions"] == [id_to_text(id_)]
    assert complaint["due"] == "2026-01-06T16:00:00Z", "the fourth, a Sunday, is worked"
    problem(world.client.post(f"{API}/complaints", json=body | {"content": "x"}, headers=operator), 409, "number-taken")

    url = f"{API}/complaints/{complaint['id']}"
    assert world.client.get(url, headers=owner).json()["number"] == "C-1"
    problem(world.client.get(url, headers=bank), 404, "no-such-complaint")
    assert world.client.get(f"{API}/complaints", headers=bank).json()["complaints"] == []
    world.now[0] = NOW + 20 * 86_400
    (late,) = world.client.get(f"{API}/complaints?overdue=true", headers=owner).json()["complaints"]
    assert late["overdue"]
    problem(world.client.post(f"{url}/tell", json={}, headers=operator), 409, "wrong-state")
    assert world.client.post(f"{url}/forward", json={}, headers=operator).json()["state"] == "forwarded"
    wrong = {"outcome": "upheld", "note": "x", "measure": {"step": "throttle"}}
    problem(world.client.post(f"{url}/outcome", json=wrong, headers=operator), 422, "invalid-request")
    outcome = {
        "outcome": "upheld", "note": "no consent", "label": True, "refuse_for_complainant": True,
        "measure": {"step": "throttle", "per_hour": 10, "hours": 24},
    }  # fmt: skip
    done = world.client.post(f"{url}/outcome", json=outcome, headers=operator)
    assert done.status_code == 200, done.text
    assert done.json()["measure"] == standing(world.engine, world.now[0])[0].measure.id
    states = world.client.get(f"{API}/consents/{WANG}", headers=world.token("shop-ltd", "consents:read")).json()
    assert states["states"][0]["state"] == "refused"
    assert world.store.hget(keys.SMALL_TABLES, "measures") != b"[]"
    told = world.client.post(f"{url}/tell", json={"note": "by SMS"}, headers=operator).json()
    assert (told["state"], told["due"]) == ("told", None)


def test_a_file_of_complaints(world: World) -> None:
    operator = world.token("operator", "complaints:read", "complaints:write")
    text = f"投诉编号,投诉号码,被投诉号码,投诉时间\n1,13800000002,{SHOP},2026-01-01\n2,x,{SHOP},2026-01-01\n"
    for stored in (1, 0):
        done = world.client.post(f"{API}/complaint-imports", content=text.encode(), headers=operator)
        assert done.status_code == 200, done.text
        assert (done.json()["stored"], done.json()["repeated"]) == (stored, 1 - stored)
        assert done.json()["errors"] == [{"line": 3, "detail": "complainant: 'x' is not a phone number: 'x' is in it"}]
    problem(world.client.post(f"{API}/complaint-imports", content=b"a,b\n", headers=operator), 422, "unusable")


def test_evidence_that_is_kept_can_be_named(world: World) -> None:
    blocked(world)
    headers = world.token("shop-ltd")
    octets = b"a signed form"
    sha256 = hashlib.sha256(octets).hexdigest()
    assert world.client.put(f"{API}/evidence/{sha256}", content=octets, headers=headers).status_code == 201
    appeal = opened(world, headers, evidence=[sha256, DECISION])
    assert appeal["history"][0]["evidence"] == [sha256, DECISION]
