"""What the pages do: search, explain, tune, let pass, take measures; every change on record."""

from __future__ import annotations

import html
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from smsc_filter.classifier.manifest import read_manifest
from smsc_filter.policy import checks
from smsc_filter.policy.verdict import Cause
from smsc_filter.records.audit import changes
from smsc_filter.records.consents import ConsentEvent
from smsc_filter.records.labels import labels_of
from smsc_filter.records.rulebook import newest_rules
from smsc_filter.records.search import MOST_LOOKED_AT, Wanted, find
from smsc_filter.records.tally import minutes_since, owners_since
from smsc_filter.records.users import Role
from smsc_filter.records.whitelist import entries
from smsc_filter.state.rules import TABLE, read_rules
from smsc_filter.web.console.words import CAUSES, CHECKS
from tests.classifier.models import DEFAULT
from tests.web.conftest import NOW, World
from tests.web.console.conftest import GREETING, HOSTILE, SignIn, decision_row, put_decisions

SERVED = read_manifest(DEFAULT).thresholds
SMALL_TABLES = "{p0}small-tables"


def audited(world: World) -> list[tuple[str, Any, Any]]:
    """What was changed since people signed in, oldest first."""
    return [
        (each.action, each.before, each.after)
        for each in reversed(changes(world.engine))
        if each.action not in ("user-add", "sign-in")
    ]


def test_the_overview_counts_by_cause_and_time(world: World, sign_in: SignIn) -> None:
    put_decisions(world, *(decision_row(number, NOW - 70) for number in range(3)), decision_row(9, NOW - 5, cause=""))
    put_decisions(world, decision_row(10, NOW - 7200, cause="quota-spent"))
    page = sign_in(Role.VIEWER).get("/")
    assert "recipient has not consented" in page.text
    assert "75.0 %" in page.text
    assert minutes_since(world.engine, round(NOW * 1000) - 3_600_000) == [
        (round(NOW * 1000) // 60_000 - 2, "no-consent", 3),
        (round(NOW * 1000) // 60_000 - 1, "", 1),
    ]
    assert owners_since(world.engine, 0) == [
        ("shop-ltd", "", 1), ("shop-ltd", "no-consent", 3), ("shop-ltd", "quota-spent", 1),
    ]  # fmt: skip


@pytest.mark.parametrize(("query", "expected"), [
    ({}, {1, 2, 3, 4}),
    ({"number": "138 0000 0001"}, {1, 2}),
    ({"number": "8613800000002"}, {3, 4}),
    ({"sender": "106900001"}, {1, 3}),
    ({"sender": "106900001", "number": "13800000002"}, {3}),
    ({"cause": "no-consent"}, {1, 2}),
    ({"cause": "refused"}, {1, 2, 3}),
    ({"cause": "admitted"}, {4}),
    ({"owner": "bank-ltd"}, {4}),
    ({"owner": "shop-ltd", "cause": "quota-spent"}, {3}),
    ({"least": "0.9"}, {1, 2}),
    ({"most": "0.5", "cause": "admitted"}, {4}),
    ({"from": "2026-01-01T08:00:02"}, {3, 4}),
    ({"to": "2026-01-01T08:00:02"}, {1, 2}),
    ({"sender": HOSTILE}, set()),
    ({"owner": HOSTILE}, set()),
    ({"cause": HOSTILE}, {1, 2, 3, 4}),
])  # fmt: skip
def test_decisions_are_found_by_what_is_asked(
    world: World, sign_in: SignIn, query: dict[str, str], expected: set[int]
) -> None:
    rows = {
        1: decision_row(1, NOW), 2: decision_row(2, NOW + 1, source="106900002"),
        3: decision_row(3, NOW + 2, recipient="8613800000002", cause="quota-spent", score=5500),
        4: decision_row(
            4, NOW + 3, recipient="8613800000002", cause="", owner="bank-ltd", source="106920001", score=10
        ),
    }  # fmt: skip
    ids = dict(zip(rows, put_decisions(world, *rows.values()), strict=True))
    page = sign_in(Role.VIEWER).get("/decisions", params=query)
    assert page.status_code == 200
    assert {number for number, id_ in ids.items() if f"/decisions/{id_}" in page.text} == expected
    assert "<script>alert" not in page.text


@pytest.mark.parametrize("query", [
    {"number": HOSTILE}, {"number": "abc"}, {"from": "yesterday"}, {"to": "9999-12-31T00:00"}, {"least": "2"},
    {"most": "nan"}, {"least": "x"},
])  # fmt: skip
def test_what_is_no_question_is_told_and_not_echoed_as_markup(
    world: World, sign_in: SignIn, query: dict[str, str]
) -> None:
    page = sign_in(Role.VIEWER).get("/decisions", params=query)
    assert page.status_code == 422
    assert "<script>alert" not in page.text


def test_an_id_leads_to_its_page(world: World, sign_in: SignIn) -> None:
    (id_,) = put_decisions(world, decision_row(1))
    answer = sign_in(Role.VIEWER).get("/decisions", params={"number": id_.lower()})
    assert answer.headers["location"] == f"/console/decisions/{id_}"


def test_pages_follow_each_other_without_gap_or_repetition(world: World) -> None:
    put_decisions(world, *(decision_row(number, NOW + number // 3) for number in range(130)))
    seen, before = [], None
    while True:
        page = find(world.engine, Wanted(source="106900001"), before)
        seen += [each.id for each in page.decisions]
        if page.next_before is None:
            break
        before = page.next_before
    assert len(seen) == len(set(seen)) == 130
    assert seen == sorted(seen, reverse=True)


def test_a_search_that_finds_little_stops_and_goes_on(world: World) -> None:
    rows = [decision_row(number, NOW + number / 1000, cause="") for number in range(MOST_LOOKED_AT + 500)]
    rows[100] = decision_row(100, NOW + 0.1, cause="", score=1234)
    put_decisions(world, *rows)
    first = find(world.engine, Wanted(least_score=1234, most_score=1234))
    assert first.decisions == []
    assert first.next_before is not None
    assert first.looked_back_to_ms == rows[500][1] - 1
    second = find(world.engine, Wanted(least_score=1234, most_score=1234), first.next_before)
    assert [each.id for each in second.decisions] == [rows[100][0]]
    assert second.next_before is None


def test_a_decision_is_explained_in_full(world: World, sign_in: SignIn) -> None:
    (id_,) = put_decisions(world, decision_row(1))
    page = html.unescape(sign_in(Role.VIEWER).get(f"/decisions/{id_}").text)
    for said in ("recipient has not consented", "Draft 2020, Art. 16", "Log-odds", "0x00000410", "cn-2020-draft"):
        assert said in page
    assert '<mark class="for">' in page
    assert "Let the like pass" not in page


def test_texts_of_strangers_stay_texts(world: World, sign_in: SignIn) -> None:
    findings = '[["content",null,"<script>alert(2)</script>","<b>"]]'
    (id_,) = put_decisions(world, decision_row(1, text=HOSTILE, source="<b>x</b>", findings=findings))
    person = sign_in(Role.ADMIN)
    for path in ("/decisions", f"/decisions/{id_}", "/owners/shop-ltd"):
        page = person.get(path)
        assert page.status_code == 200
        assert "<script>alert" not in page.text
        assert "<b>" not in page.text


def test_every_cause_and_every_check_has_words() -> None:
    assert {cause.value for cause in Cause} | {""} == set(CAUSES)
    package = Path(str(files("smsc_filter")))
    speaking = (*package.glob("policy/*.py"), package / "relay" / "exchange.py")  # elsewhere binds are refused
    said = "".join(path.read_text(encoding="utf-8") for path in speaking)
    assert set(re.findall(r'\b(?:refuse|remark)\(\s*"([a-z-]+)"', said)) <= set(CHECKS)
    assert {check.name for check in (*checks.SETTLING, *checks.CHECKS)} <= set(CHECKS)


def test_a_label_is_on_record(world: World, sign_in: SignIn) -> None:
    (id_,) = put_decisions(world, row := decision_row(1, text=GREETING))
    person = sign_in(Role.OPERATOR)
    assert person.post(f"/decisions/{id_}/label", label="greeting", note="New Year").status_code == 303
    assert person.post(f"/decisions/{id_}/label", label="poem").status_code == 422
    assert [each.label for each in labels_of(world.engine, row[0])] == ["greeting"]
    assert audited(world) == [("label", None, {"label": "greeting", "note": "New Year"})]


def test_a_whitelist_entry_binds_and_is_revoked(world: World, sign_in: SignIn) -> None:
    (id_,) = put_decisions(world, decision_row(1, text=GREETING))
    person = sign_in(Role.REVIEWER)
    fields = {"scope": "sender-recipients", "days": "7", "reason": "a greeting"}
    assert person.post(f"/decisions/{id_}/whitelist", **fields).status_code == 303
    (entry,) = entries(world.engine, NOW)
    assert entry.recipients == {"8613800000001"}
    assert b"8613800000001" in world.store.hget(SMALL_TABLES, "whitelist")  # type: ignore[operator]
    assert person.post(f"/decisions/{id_}/whitelist", **fields | {"days": "1e9"}).status_code == 422
    assert person.post(f"/lists/whitelist/{entry.id}/revoke").status_code == 303
    assert person.post(f"/lists/whitelist/{entry.id}/revoke").status_code == 409
    assert entries(world.engine, NOW + 1) == []
    assert [each[0] for each in audited(world)] == ["whitelist-grant", "whitelist-revoke"]


def test_a_threshold_is_tried_saved_and_taken_back(world: World, sign_in: SignIn) -> None:
    put_decisions(
        world,
        *(decision_row(number, purpose="person", cause="", score=9000, text=GREETING) for number in range(5)),
        decision_row(9, purpose="person", score=9900),
    )
    person = sign_in(Role.OPERATOR)
    tried = person.get("/rules?threshold.person=0.8")
    assert "6 messages: 1 commercial now" in tried.text
    assert "6 with 0.8" in tried.text
    assert newest_rules(world.engine).version == 0
    form = {
        "threshold.person": "0.8",
        "threshold.commercial": str(SERVED["commercial"]),
        "cap.person.hour": "50",
        "cap.person.day": "300",
    }
    saved = person.post("/rules", **form, based_on="0", reason="before the festival")
    assert saved.status_code == 303, saved.text
    tuning = newest_rules(world.engine)
    assert (tuning.thresholds, tuning.caps["person"].day) == ({"person": 0.8}, 300)
    assert read_rules(world.store.hget(SMALL_TABLES, TABLE)) == tuning  # type: ignore[arg-type]
    assert "0.8" in person.get("/rules/1").text
    stale = person.post("/rules", **form, based_on="0", reason="late")
    assert stale.status_code == 422
    assert person.post("/rules/0/restore", based_on="1", reason="").status_code == 303
    assert newest_rules(world.engine).body() == {"thresholds": {}, "caps": {}, "prohibited": []}
    assert [each[0] for each in audited(world)] == ["rules-save", "rules-save"]
    assert audited(world)[1][1]["thresholds"] == {"person": 0.8}


@pytest.mark.parametrize("wrong", [
    {"threshold.person": "0"}, {"threshold.person": "1.5"}, {"threshold.person": "x"}, {"threshold.person": "nan"},
    {"cap.person.hour": "-1", "cap.person.day": "1"}, {"cap.person.hour": "1e9", "cap.person.day": "1"},
    {"reason": " "},
])  # fmt: skip
def test_a_value_out_of_range_is_refused(world: World, sign_in: SignIn, wrong: dict[str, str]) -> None:
    person = sign_in(Role.OPERATOR)
    fields = {"threshold.person": "0.9", "based_on": "0", "reason": "r", **wrong}
    assert person.post("/rules", **fields).status_code == 422
    assert newest_rules(world.engine).version == 0


def test_the_prohibited_list_is_a_version_too(world: World, sign_in: SignIn) -> None:
    person = sign_in(Role.OPERATOR)
    fields = {"entries": "casino.example\r\n\r\n赌场\r\ncasino.example", "based_on": "0", "reason": "court order"}
    assert person.post("/lists/prohibited", **fields).status_code == 303
    assert newest_rules(world.engine).prohibited == ("casino.example", "赌场")
    assert person.post("/lists/prohibited", **fields | {"entries": "x", "based_on": "1"}).status_code == 422


def test_measures_need_their_notice_and_are_published(world: World, sign_in: SignIn) -> None:
    person = sign_in(Role.OPERATOR)
    party = "sender 106900001"
    fields = {"party": party, "step": "suspend", "reason": "numbers counted up"}
    assert person.post("/owners/shop-ltd/measures", **fields).status_code == 422
    notice = {"party": "sender 106900001", "channel": "letter", "reason": "numbers counted up"}
    assert person.post("/owners/shop-ltd/notices", **notice).status_code == 303
    assert person.post("/owners/shop-ltd/measures", **fields).status_code == 303
    assert b"suspend" in world.store.hget(SMALL_TABLES, "measures")  # type: ignore[operator]
    for wrong in ("owner bank-ltd", "account bank", "sender 106920001", "nonsense"):
        assert person.post("/owners/shop-ltd/measures", **fields | {"party": wrong}).status_code == 422
    assert "numbers counted up" in person.get("/owners/shop-ltd").text
    assert person.post("/owners/shop-ltd/measures/1/lift", reason="they stopped").status_code == 303
    assert person.post("/owners/shop-ltd/measures/1/lift", reason="again").status_code == 409
    assert [each[0] for each in audited(world)] == ["notice", "measure-impose", "measure-lift"]


def test_a_consent_is_shown_with_its_proof_and_the_look_up_is_on_record(world: World, sign_in: SignIn) -> None:
    at_ms = round(NOW * 1000)
    world.context.consents.record([
        ConsentEvent(recipient="8613800000001", owner="shop-ltd", state="granted", event_at_ms=at_ms,
                     received_at_ms=at_ms, source="web form", reference="order 88"),
    ])  # fmt: skip
    person = sign_in(Role.VIEWER)
    page = person.post("/consents", number="138 0000 0001")
    for said in ("granted", "web form", "order 88", "as sealed", "receipt"):
        assert said in page.text
    receipt = person.get("/consents/receipts/1").json()
    assert receipt["event"][1] == "8613800000001"
    assert person.get("/consents/receipts/99").status_code == 422
    assert person.post("/consents", number=HOSTILE).status_code == 422
    assert audited(world) == [("consent-lookup", None, None)]


def test_an_appeal_is_opened_from_a_decision_and_answered(world: World, sign_in: SignIn) -> None:
    (id_,) = put_decisions(world, decision_row(1, text=GREETING))
    operator, reviewer = sign_in(Role.OPERATOR), sign_in(Role.REVIEWER)
    opened = operator.post(f"/decisions/{id_}/appeal", reason="a greeting")
    assert opened.headers["location"] == "/console/appeals/1?done=appeal"
    assert "a greeting" in reviewer.get("/appeals").text
    assert reviewer.post("/appeals/1/ask", reason="to whom?").status_code == 303
    assert operator.post("/appeals/1/supply", reason="to friends").status_code == 303
    assert reviewer.post("/appeals/1/grant", reason="indeed", scope="sender-recipients", days="10").status_code == 303
    assert [entry.recipients for entry in entries(world.engine, NOW + 1)] == [{"8613800000001"}]
    assert reviewer.post("/appeals/1/refuse", reason="no").status_code == 422
    assert reviewer.post("/appeals/1/revoke", reason="it was abused").status_code == 303
    assert entries(world.engine, NOW + 1) == []
    assert "it was abused" in reviewer.get("/appeals/1").text
    assert "1" in reviewer.get("/appeals?closed=1").text
    names = [each[0] for each in audited(world)]
    assert names == ["appeal-open", "appeal-ask", "appeal-supply", "appeal-grant", "appeal-revoke"]


def test_a_provider_objects_to_its_own_refusals_only(world: World, sign_in: SignIn) -> None:
    own, foreign = put_decisions(world, decision_row(1), decision_row(2, owner="bank-ltd"))
    person, other = sign_in(Role.PROVIDER), sign_in(Role.PROVIDER, "bank-ltd", "bank")
    assert person.post(f"/provider/decisions/{foreign}/appeal", reason="r").status_code == 404
    assert person.post(f"/provider/decisions/{own}/appeal", reason="they asked for it").status_code == 303
    assert "they asked for it" in person.get("/provider/appeals/1").text
    assert other.get("/provider/appeals/1").status_code == 404
    assert other.post("/provider/appeals/1/withdraw").status_code == 404
    assert person.post("/provider/appeals/1/withdraw").status_code == 303


def test_a_complaint_goes_its_way(world: World, sign_in: SignIn) -> None:
    (id_,) = put_decisions(world, decision_row(1, cause="", findings=None))
    reviewer = sign_in(Role.REVIEWER)
    assert reviewer.post(f"/decisions/{id_}/complaint", category="advertising").status_code == 303
    assert reviewer.post(f"/decisions/{id_}/complaint").headers["location"].endswith("/complaints/1?done=complaint")
    assert f"console-{id_}" in reviewer.get("/complaints").text
    assert reviewer.post("/complaints/1/decide", outcome="upheld", note="n").status_code == 422
    assert reviewer.post("/complaints/1/forward").status_code == 303
    decided = reviewer.post("/complaints/1/decide", outcome="upheld", note="no consent", refuse_for="true")
    assert decided.status_code == 303, decided.text
    assert reviewer.post("/complaints/1/tell", note="by letter").status_code == 303
    assert id_ in reviewer.get("/complaints/1").text
    states = world.context.consents.states("shop-ltd", ["8613800000001"])["8613800000001"]
    assert [each.state for each in states] == ["refused"]


def test_a_provider_uploads_consents_and_sees_what_is_wrong(world: World, sign_in: SignIn) -> None:
    person = sign_in(Role.PROVIDER)
    token = person.csrf()
    body = b"recipient,state\n13800000001,granted\nnonsense,granted\n"

    def send(csrf: str, content: bytes) -> int:
        files = {"file": ("consents.csv", content, "text/csv")}
        url = "/console/provider/consents"
        return person.client.post(url, data={"csrf": csrf}, files=files, follow_redirects=False).status_code

    assert send("x", body) == 403
    assert send(token, b"") == 422
    assert send(token, body) == 303
    page = ""
    for _ in range(500):
        page = person.get("/provider/consents").text
        if "done" in page and "line 3" in page:
            break
        assert world.client.get("/healthz").status_code == 200
    assert "line 3" in page
    states = world.context.consents.states("shop-ltd", ["8613800000001"])["8613800000001"]
    assert [each.state for each in states] == ["granted"]
    assert send(token, body) == 303


def test_users_are_added_disabled_and_let_in_again(world: World, sign_in: SignIn) -> None:
    admin = sign_in(Role.ADMIN)
    fields = {"name": "mei", "role": "operator", "password": "a long enough one"}
    assert admin.post("/users", **fields).status_code == 303
    for wrong in ({"name": "mei"}, {"name": HOSTILE[:30]}, {"name": "li", "password": "short"},
                  {"name": "li", "role": "provider"}, {"name": "li", "role": "root"}):  # fmt: skip
        assert admin.post("/users", **fields | wrong).status_code == 422, wrong
    assert admin.post("/users/mei/disable").status_code == 303
    assert admin.post("/users/mei/enable").status_code == 303
    assert admin.post("/users/admin/disable").status_code == 409
    page = admin.get("/audit").text
    assert "user-disable" in page
    assert "long enough" not in page


def test_every_page_speaks_chinese_to_who_prefers_it(world: World, sign_in: SignIn) -> None:
    (id_,) = put_decisions(world, decision_row(1))
    person = sign_in(Role.ADMIN)
    for path in ("/", "/decisions", f"/decisions/{id_}", "/senders", "/rules", "/lists", "/appeals", "/complaints"):
        page = person.get(path, headers={"Accept-Language": "zh-CN"})
        assert '<html lang="zh-CN">' in page.text
        for english in ("Sign out", "recipient has not consented", "Overview", "Verdict<"):
            assert english not in page.text, path
