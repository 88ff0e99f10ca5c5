"""Appeals on record: who may object to what, how far, and what an answer brings about."""

from __future__ import annotations

import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, select

from smsc_filter.policy.appeals import AppealState, NotAllowedError, terms_of
from smsc_filter.policy.measures import Step
from smsc_filter.policy.rules import read_profile
from smsc_filter.records import appeals, matters, whitelist
from smsc_filter.records.appeals import AppealRefused, Appellant
from smsc_filter.records.consents import ConsentEvent, store_events
from smsc_filter.records.database import reading, writing
from smsc_filter.records.decisions import insert_decisions
from smsc_filter.records.holds import holds_on_record
from smsc_filter.records.matters import By, Matter, MatterKind
from smsc_filter.records.measures import history, impose, serve_notice, standing
from smsc_filter.records.retention import Retention, purge
from smsc_filter.records.tables import model_cases

NOW = 1_767_225_600.0
"""2026-01-01 00:00 UTC, a holiday."""

DAY = 86_400.0
TERMS = terms_of(read_profile("cn-2020-draft"))
WISH = "新年快乐，祝你和家人身体健康"
LI, WANG, SHOP, BANK = "8613900000001", "8613800000002", "106900001", "106920001"
LI_HERSELF = Appellant("person", LI)
REVIEWER = {"by": "rui", "reason": "a greeting"}


def refused(engine: Engine, id_: int, **values: Any) -> str:
    """A refused message on record; its id."""
    whole = {
        "id": id_, "at_ms": round(NOW * 1000) - 60_000, "system_id": "people", "owner": "mobile", "source": LI,
        "recipient": WANG, "purpose": "person", "cause": "no-consent", "command_status": 0x0410, "enforced": True,
        "score": 9731, "kind": "advertisement", "part": "", "data_coding": 8, "text": WISH, "findings": None,
        "model": "default", "profile": "cn-2020-draft", "worker": 1,
    } | values  # fmt: skip
    with writing(engine) as connection:
        insert_decisions(connection, [tuple(whole.values())])  # type: ignore[list-item]
    return str(id_)


def opened(engine: Engine, subject: str, appellant: Appellant = LI_HERSELF, now: float = NOW, **more: Any) -> Any:
    asked = {"channel": "portal", "reason": "these were wishes"} | more
    return appeals.open_appeal(engine, TERMS, appellant=appellant, subject=subject, now=now, **asked)


def cases(engine: Engine) -> list[tuple[Any, ...]]:
    row = model_cases.c
    with reading(engine) as connection:
        standing = select(row.appeal_id, row.text, row.kind, row.label).where(row.dropped_at_ms.is_(None))
        return [tuple(each) for each in connection.execute(standing)]


@pytest.mark.parametrize("appellant", [
    pytest.param(LI_HERSELF, id="who-wrote"),
    pytest.param(Appellant("person", WANG), id="who-was-to-read"),
    pytest.param(Appellant("owner", "mobile"), id="the-owner"),
    pytest.param(Appellant("operator", "ling"), id="an-operator"),
])  # fmt: skip
def test_a_party_opens_an_appeal_and_its_evidence_is_held(engine: Engine, appellant: Appellant) -> None:
    appeal = opened(engine, refused(engine, 7), appellant)
    assert (appeal.state, appeal.owner, appeal.sender, appeal.recipient) == (AppealState.OPEN, "mobile", LI, WANG)
    assert (appeal.due_at, appeal.due_certain) == TERMS.answer_due(NOW)
    assert appeals.find_appeal(engine, appeal.id) == appeal
    assert [(kind, subject) for _, kind, subject, _ in holds_on_record(engine, NOW)] == [("decision", "7")]
    assert [(each.event, each.by) for each in appeals.appeal_history(engine, appeal.id)] == [("open", appellant.name)]


@pytest.mark.parametrize("appellant", [Appellant("person", "8613800000003"), Appellant("owner", "shop-ltd")])
def test_others_hear_that_there_is_nothing(engine: Engine, appellant: Appellant) -> None:
    refused(engine, 7)
    for subject in ("7", "8", "x"):
        with pytest.raises(AppealRefused, match="nothing of that id") as caught:
            opened(engine, subject, appellant)
        assert caught.value.kind == "no-such-matter"
    assert appeals.list_appeals(engine) == []


def test_the_same_appeal_again_is_the_same_and_answered_it_is_not_opened_again(engine: Engine) -> None:
    refused(engine, 7)
    first = opened(engine, "7")
    assert opened(engine, "7", now=NOW + 5) == first
    assert opened(engine, "7", Appellant("owner", "mobile")).id != first.id
    appeals.refuse(engine, first.id, **REVIEWER, now=NOW + 10)
    with pytest.raises(AppealRefused) as caught:
        opened(engine, "7", now=NOW + 20)
    assert caught.value.kind == "answered-before"
    assert opened(engine, "7", Appellant("operator", "ling")).state is AppealState.OPEN


def test_limits_of_one_appellant(engine: Engine) -> None:
    terms = replace(TERMS, most_open=2, most_a_day=3)
    for id_ in range(5):
        refused(engine, id_)

    def one(subject: int, now: float) -> int:
        appeal = appeals.open_appeal(
            engine, terms, appellant=LI_HERSELF, channel="portal", reason="", subject=str(subject), now=now
        )
        return appeal.id

    first, _second = one(0, NOW), one(1, NOW)
    with pytest.raises(AppealRefused, match="2 appeals of yours wait"):
        one(2, NOW)
    appeals.withdraw(engine, first, by=LI, now=NOW)
    one(2, NOW + 1)
    appeals.withdraw(engine, _second, by=LI, now=NOW + 1)
    with pytest.raises(AppealRefused, match="3 appeals in 24 hours") as caught:
        one(3, NOW + DAY - 1)
    assert caught.value.kind == "limit-reached"
    assert one(3, NOW + DAY)


def test_a_code_is_issued_once_and_speaks_for_whom_it_is_for(engine: Engine) -> None:
    subject = refused(engine, 7)
    code = appeals.issue_code(engine, kind="decision", subject=subject, now=NOW, party=LI)
    assert len(code) == 8
    assert appeals.issue_code(engine, kind="decision", subject=subject, now=NOW + 9, party=LI) == code
    anybodys = appeals.issue_code(engine, kind="decision", subject=subject, now=NOW)
    assert anybodys != code
    with pytest.raises(AppealRefused):
        opened(engine, "", Appellant("person", WANG), code=code)
    appeal = opened(engine, "", code=f" {code.lower()} ", channel="sms")
    assert (appeal.kind, appeal.subject, appeal.channel) == ("decision", "7", "sms")
    assert opened(engine, "", Appellant("owner", "agent-ltd"), code=anybodys).subject == "7"
    with pytest.raises(ValueError, match="kind is 'dream'"):
        appeals.issue_code(engine, kind="dream", subject="1", now=NOW)


def test_a_question_stops_the_clock_and_silence_ends_the_appeal(engine: Engine) -> None:
    refused(engine, 7)
    appeal = opened(engine, "7")
    asked = appeals.ask(engine, TERMS, appeal.id, by="rui", question="to whom?", now=NOW + DAY)
    assert (asked.state, asked.due_at) == (AppealState.NEEDS_INFORMATION, TERMS.information_due(NOW + DAY).at)
    told = appeals.supply(
        engine, TERMS, appeal.id, by=LI, information="my aunt", now=NOW + 2 * DAY, evidence=["a" * 64]
    )
    assert (told.state, told.due_at) == (AppealState.OPEN, TERMS.answer_due(NOW + 2 * DAY).at)
    with pytest.raises(NotAllowedError, match="open knows no supply"):
        appeals.supply(engine, TERMS, appeal.id, by=LI, information="more", now=NOW)
    assert appeals.expire_silent(engine, NOW + 1000 * DAY) == [], "the reviewer is late, not the appellant"
    asked = appeals.ask(engine, TERMS, appeal.id, by="rui", question="which aunt?", now=NOW + 3 * DAY)
    assert asked.due_at is not None
    assert appeals.expire_silent(engine, asked.due_at - 0.001) == []
    assert [each.state for each in appeals.expire_silent(engine, asked.due_at)] == [AppealState.EXPIRED]
    assert holds_on_record(engine, NOW + 1000 * DAY) == []
    events = [(each.event, each.note, each.evidence) for each in appeals.appeal_history(engine, appeal.id)]
    assert events[2] == ("supply", "my aunt", ["a" * 64])
    assert [event for event, _, _ in events] == ["open", "ask", "supply", "ask", "expire"]


def test_a_grant_clears_the_sender_and_its_recipient_and_becomes_a_case(engine: Engine) -> None:
    refused(engine, 7)
    appeal = opened(engine, "7")
    done = appeals.grant(engine, TERMS, appeal.id, **REVIEWER, now=NOW + DAY)
    assert (done.state, done.decided_by, done.decision) == (AppealState.GRANTED, "rui", "a greeting")
    (entry,) = whitelist.entries(engine, NOW + DAY)
    assert (entry.id, entry.scope, entry.owner, entry.sender) == (done.whitelist_id, "sender-recipients", "mobile", LI)
    assert entry.recipients == {WANG}
    assert entry.expires_at == NOW + DAY + TERMS.entry_days * DAY
    assert entry.reason == f"appeal {appeal.id}: a greeting"
    assert cases(engine) == [(appeal.id, WISH, "person", "other")]
    assert holds_on_record(engine, NOW + DAY) == []
    with pytest.raises(NotAllowedError, match="granted knows no grant; only revoke"):
        appeals.grant(engine, TERMS, appeal.id, **REVIEWER, now=NOW + DAY)

    taken = appeals.revoke(engine, appeal.id, by="rui", reason="the sender sold the number", now=NOW + 2 * DAY)
    assert taken.state is AppealState.REFUSED
    assert whitelist.entries(engine, NOW + 2 * DAY) == []
    assert cases(engine) == []


@pytest.mark.parametrize(("scope", "more", "sender", "recipients"), [
    pytest.param("sender", {}, LI, set(), id="sender"),
    pytest.param("sender-recipients", {"recipients": ["8613800000003"]}, LI, {WANG, "8613800000003"}, id="recipients"),
    pytest.param("owner", {}, None, set(), id="owner"),
    pytest.param("cluster", {}, LI, set(), id="cluster"),
])  # fmt: skip
def test_scopes_of_a_grant(engine: Engine, scope: str, more: Any, sender: str | None, recipients: set[str]) -> None:
    appeal = opened(engine, refused(engine, 7))
    appeals.grant(engine, TERMS, appeal.id, **REVIEWER, now=NOW, scope=scope, expires_at=NOW + 9, **more)
    (entry,) = whitelist.entries(engine, NOW)
    assert (entry.scope, entry.sender, entry.recipients, entry.expires_at) == (scope, sender, recipients, NOW + 9)
    assert bool(entry.sketch) == (scope == "cluster")


@pytest.mark.parametrize("cause", ["prohibited", "consent-refused", "commercial-on-service-port", "declined"])
def test_what_no_appeal_lifts_gets_no_entry(engine: Engine, cause: str) -> None:
    appeal = opened(engine, refused(engine, 7, cause=cause))
    with pytest.raises(AppealRefused, match=f"refused for {cause}: no appeal lifts that"):
        appeals.grant(engine, TERMS, appeal.id, **REVIEWER, now=NOW, scope="sender")
    assert appeals.find_appeal(engine, appeal.id) == appeal, "all or nothing"
    assert appeals.grant(engine, TERMS, appeal.id, **REVIEWER, now=NOW).whitelist_id is None


@pytest.mark.parametrize(("values", "label", "expected"), [
    pytest.param({"purpose": "service", "cause": "commercial-on-service-port"}, None, 1, id="service"),
    pytest.param({"purpose": "commercial"}, None, 0, id="of-who-advertises-a-reviewer-has-to-say-so"),
    pytest.param({"purpose": "commercial"}, True, 1, id="and-may"),
    pytest.param({"cause": "quota-spent"}, None, 0, id="not-refused-for-its-content"),
    pytest.param({}, False, 0, id="unless-the-reviewer-says-no"),
])  # fmt: skip
def test_which_texts_become_cases(engine: Engine, values: Any, label: bool | None, expected: int) -> None:
    appeal = opened(engine, refused(engine, 7, **values))
    appeals.grant(engine, TERMS, appeal.id, **REVIEWER, now=NOW, scope=None, label=label)
    assert len(cases(engine)) == expected


@pytest.mark.parametrize("by_code", [True, False], ids=["by-its-code", "by-what-it-refused"])
def test_a_grant_lifts_the_measure_behind(engine: Engine, by_code: bool) -> None:
    serve_notice(engine, scope="owner", subject="mobile", channel="letter", reason="spam", by="ling", now=NOW - DAY)
    measure = impose(
        engine,
        step=Step.SUSPEND,
        scope="owner",
        subject="mobile",
        reason="spam",
        article="31",
        by="ling",
        now=NOW - DAY,
    ).measure
    owner = Appellant("owner", "mobile")
    if by_code:
        assert appeals.issue_code(engine, kind="measure", subject=str(measure.id), now=NOW) == measure.appeal_code
        appeal = opened(engine, "", owner, code=measure.appeal_code)
        assert [each.appeal_id for each in standing(engine, NOW)] == [str(appeal.id)]
    else:
        appeal = opened(engine, refused(engine, 7, cause="sender-suspended"), owner)
    appeals.grant(engine, TERMS, appeal.id, **REVIEWER, now=NOW)
    assert standing(engine, NOW) == []
    assert history(engine, measure.id)[-1]["note"] == f"appeal {appeal.id}"
    assert f"measure {measure.id} lifted" in appeals.appeal_history(engine, appeal.id)[-1].note


def test_other_modules_add_what_can_be_appealed_against(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    lifted: list[tuple[str, str]] = []

    def lift(_connection: object, matter: Matter, by: By) -> bool:
        lifted.append((matter.id, by.note))
        return True

    monkeypatch.setattr(matters, "KINDS", matters.KINDS.copy())
    monkeypatch.setattr(appeals, "KINDS", matters.KINDS)
    matters.register_kind("lock", MatterKind(
        lambda _connection, subject: Matter(kind="lock", id=subject, parties=frozenset({LI}), sender=LI), lift,
    ))  # fmt: skip
    code = appeals.issue_code(engine, kind="lock", subject="3", now=NOW, party=LI)
    appeal = opened(engine, "", code=code)
    appeals.grant(engine, TERMS, appeal.id, **REVIEWER, now=NOW)
    assert lifted == [("3", f"appeal {appeal.id}")]
    assert whitelist.entries(engine, NOW) == []


def test_lists_and_pages(engine: Engine) -> None:
    for id_ in range(4):
        opened(engine, refused(engine, id_), now=NOW + id_ * DAY)
    first, second, third, fourth = sorted(appeals.list_appeals(engine), key=lambda each: each.id)
    appeals.refuse(engine, second.id, **REVIEWER, now=NOW)
    assert [each.id for each in appeals.list_appeals(engine, states=[AppealState.REFUSED])] == [second.id]
    assert [each.id for each in appeals.list_appeals(engine, most=2)] == [fourth.id, third.id]
    assert [each.id for each in appeals.list_appeals(engine, before=third.id, most=1)] == [second.id]
    queue = appeals.list_appeals(engine, states=[AppealState.OPEN], by_due=True)
    assert [each.id for each in queue] == [first.id, third.id, fourth.id]
    assert appeals.list_appeals(engine, appellant=Appellant("owner", "mobile")) == []
    assert len(appeals.list_appeals(engine, owner="mobile")) == 4


@pytest.mark.parametrize(("change", "says"), [
    pytest.param({"reason": "x" * 2001}, "2000 characters", id="long"),
    pytest.param({"channel": "pigeon"}, "channel is 'pigeon'", id="channel"),
    pytest.param({"evidence": ["a"] * 21}, "20 pieces", id="evidence"),
])  # fmt: skip
def test_an_appeal_that_makes_no_sense(engine: Engine, change: dict[str, Any], says: str) -> None:
    refused(engine, 7)
    with pytest.raises(ValueError, match=says):
        opened(engine, "7", **change)
    with pytest.raises(AppealRefused, match="there is no appeal 9"):
        appeals.withdraw(engine, 9, by=LI, now=NOW)


def test_many_at_once_open_one_appeal_and_keep_the_limits(engine: Engine) -> None:
    terms = replace(TERMS, most_open=3)
    for id_ in range(8):
        refused(engine, id_)
    at_once = threading.Barrier(8)

    def one(subject: int) -> str:
        at_once.wait()
        try:
            appeal = appeals.open_appeal(
                engine, terms, appellant=LI_HERSELF, channel="portal", reason="", subject=str(subject), now=NOW
            )
        except AppealRefused as error:
            return error.kind
        return str(appeal.id)

    with ThreadPoolExecutor(8) as threads:
        same = list(threads.map(one, [0] * 8))
        others = list(threads.map(one, range(8)))
    assert len(set(same)) == 1
    assert others.count("limit-reached") == 5
    assert len(appeals.list_appeals(engine)) == 3


def test_evidence_of_an_appeal_outlives_the_consent_it_was_kept_for(engine: Engine, tmp_path: Path) -> None:
    folder = tmp_path / "evidence"
    folder.mkdir()
    octets = b"a signed form"
    sha256 = hashlib.sha256(octets).hexdigest()
    (folder / f"{sha256}.pdf").write_bytes(octets)
    said: dict[str, Any] = {"recipient": WANG, "owner": "mobile", "received_at_ms": 0}
    store_events(
        engine,
        [
            ConsentEvent(
                state="granted", event_at_ms=0, source="form", evidence=sha256, evidence_name=f"{sha256}.pdf", **said
            ),
            ConsentEvent(state="withdrawn", event_at_ms=1, source="reply", **said),
        ],
    )
    appeal = opened(engine, refused(engine, 7, recipient="8613800000003"), evidence=[sha256])
    purged = purge(engine, Retention(5, 5, 5, UTC), now=NOW, reply_seconds=0, evidence_folder=folder)
    assert (purged.events, purged.files) == (2, 0)
    assert (folder / f"{sha256}.pdf").exists()
    assert appeals.appeal_history(engine, appeal.id)[0].evidence == [sha256]
