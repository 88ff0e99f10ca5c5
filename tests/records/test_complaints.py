"""Complaints on record: linked, on the profile's clocks, with what follows from their outcome; and as files."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Engine, select

from smsc_filter.policy.appeals import ComplaintState, NotAllowedError, terms_of
from smsc_filter.policy.measures import Step
from smsc_filter.policy.rules import read_profile
from smsc_filter.records import appeals, cases, clocks, complaints
from smsc_filter.records.appeal_figures import appeal_figures
from smsc_filter.records.complaint_files import Taken, import_complaints, read_complaints
from smsc_filter.records.complaints import ComplaintRefused, Effects, NewComplaint
from smsc_filter.records.consents import history
from smsc_filter.records.database import writing
from smsc_filter.records.errors import RecordsError
from smsc_filter.records.export import COMPLAINT_SECTIONS, Scope, check_export, export
from smsc_filter.records.holds import holds_on_record
from smsc_filter.records.measures import impose_measure, standing
from smsc_filter.records.retention import Retention, purge
from smsc_filter.records.signature import SigningKey
from smsc_filter.records.tables import appeals as appeals_table
from smsc_filter.records.tables import model_cases
from smsc_filter.samples.labels import read_cases, read_labels
from smsc_filter.sms.address import Numbering
from tests.records.test_appeals import BANK, DAY, LI_HERSELF, NOW, SHOP, WANG, opened, refused

SHANGHAI = ZoneInfo("Asia/Shanghai")
TERMS = terms_of(read_profile("cn-2020-draft"))
AT = datetime(2026, 9, 29, 10, tzinfo=SHANGHAI).timestamp()
"""A Tuesday before the national holiday of 2026."""

NUMBERS = Numbering()
ADVERTISEMENT = "周末全场五折"


def late_on(day: str) -> float:
    """The first moment after a day in Shanghai."""
    return datetime.fromisoformat(day).replace(tzinfo=SHANGHAI).timestamp() + DAY


def owner_of(address: str) -> str | None:
    return {SHOP: "shop-ltd", BANK: "bank-ltd"}.get(address)


def sent(engine: Engine, at: float, **values: Any) -> int:
    id_ = round(at * 1000) << 20
    refused(engine, id_, at_ms=round(at * 1000), source=SHOP, owner="shop-ltd", purpose="commercial", cause="",
            text=ADVERTISEMENT, **values)  # fmt: skip
    return id_


NEW = NewComplaint(number="2026-1", complainant=WANG, sender=SHOP, content=ADVERTISEMENT, received_at=AT)


def added(engine: Engine, new: NewComplaint = NEW, **more: Any) -> complaints.Complaint:
    complaint, _ = complaints.add_complaint(engine, TERMS, new, by="ling", now=AT, owner_of=owner_of, **more)
    return complaint


def test_it_is_linked_to_what_was_sent_and_that_is_held(engine: Engine) -> None:
    mine = [sent(engine, AT - 2 * DAY), sent(engine, AT - 60)]
    sent(engine, AT - 8 * DAY)  # too long ago
    sent(engine, AT + 60)  # later than the complaint
    sent(engine, AT - 90, recipient="8613800000003")
    complaint = added(engine)
    assert (complaint.state, complaint.owner) == (ComplaintState.RECEIVED, "shop-ltd")
    assert complaints.linked_decisions(engine, complaint.id) == mine
    assert [subject for _, _, subject, _ in holds_on_record(engine, AT)] == [str(each) for each in reversed(mine)]
    told_day = replace(NEW, number="2026-2", message_at=AT - 2 * DAY - 3600)
    assert complaints.linked_decisions(engine, added(engine, told_day).id) == mine[:1]


def test_the_same_again_is_the_same_and_another_of_its_number_is_refused(engine: Engine) -> None:
    first = added(engine)
    assert complaints.add_complaint(engine, TERMS, NEW, by="wu", now=AT + 9, owner_of=owner_of) == (first, False)
    with pytest.raises(ComplaintRefused, match="says something else") as caught:
        added(engine, replace(NEW, content="another"))
    assert caught.value.kind == "number-taken"
    assert len(complaints.complaint_history(engine, first.id)) == 1


def test_the_owner_of_an_unknown_sender_is_that_of_its_decisions(engine: Engine) -> None:
    id_ = round((AT - 60) * 1000) << 20
    refused(engine, id_, at_ms=round((AT - 60) * 1000), source="10699", owner="other-ltd")
    assert added(engine, replace(NEW, sender="10699")).owner == "other-ltd"
    assert added(engine, replace(NEW, number="2", sender="10698")).owner == ""


def test_its_clocks_are_the_profiles_on_the_chinese_calendar(engine: Engine) -> None:
    """3 to forward, 15 to decide, 3 to tell: over the national holiday and the Saturday worked for it."""
    complaint = added(engine)
    assert complaint.due_at == late_on("2026-10-09"), "30 September, 8 and 9 October"
    forwarded = complaints.forward(engine, TERMS, complaint.id, by="ling", now=AT + DAY)
    assert forwarded.due_at == late_on("2026-10-27"), "10 October, a Saturday, is worked"
    done = complaints.decide(
        engine, TERMS, complaint.id, outcome="unfounded", by="ling", note="consent", now=AT + 2 * DAY
    )
    assert done.due_at == late_on("2026-10-10")
    told = complaints.tell(engine, TERMS, complaint.id, by="ling", now=AT + 3 * DAY)
    assert (told.state, told.due_at) == (ComplaintState.TOLD, None)
    assert [each.event for each in complaints.complaint_history(engine, told.id)] == [
        "received", "forward", "decide", "tell",
    ]  # fmt: skip
    with pytest.raises(NotAllowedError, match="told knows no withdraw; nothing more"):
        complaints.withdraw(engine, TERMS, told.id, by="ling", now=AT)


def test_profiles_differ(engine: Engine) -> None:
    terms = terms_of(read_profile("cn-2015-order31"))
    complaint, _ = complaints.add_complaint(engine, terms, NEW, by="ling", now=AT)
    assert complaint.due_at == late_on("2026-10-12"), "five days, and the tenth is worked"
    complaints.forward(engine, terms, complaint.id, by="ling", now=AT)
    decided = complaints.decide(engine, terms, complaint.id, outcome="not-ours", by="ling", note="a guest", now=AT)
    assert decided.due_at is None, "nothing says by when the user is told"


def test_what_is_forwarded_to_us_is_due_from_when_it_was_taken_in(engine: Engine) -> None:
    complaint = added(engine, forwarded=True)
    assert (complaint.state, complaint.due_at) == (ComplaintState.FORWARDED, late_on("2026-10-26"))


def test_an_upheld_complaint_labels_refuses_and_throttles_in_one(engine: Engine) -> None:
    sent(engine, AT - 60)
    sent(engine, AT - 50)
    complaint = added(engine, forwarded=True)
    throttle = partial(
        impose_measure, step=Step.THROTTLE, scope="sender", subject=SHOP, reason="complaint", article="31", by="ling",
        now=AT, per_hour=5,
    )  # fmt: skip
    upheld = partial(complaints.decide, engine, TERMS, complaint.id, by="ling", note="no consent", now=AT)
    with pytest.raises(ValueError, match="nothing follows from a complaint that is unfounded"):
        upheld(outcome="unfounded", effects=Effects(label=True))
    with pytest.raises(ValueError, match="per_hour"):
        upheld(outcome="upheld", effects=Effects(True, True, partial(throttle, per_hour=None)))
    assert history(engine, WANG) == [], "all or nothing"
    done = upheld(outcome="upheld", effects=Effects(label=True, refuse_for=True, measure=throttle))
    assert [record.measure.id for record in standing(engine, AT)] == [done.measure_id]
    ((_, event),) = history(engine, WANG)
    assert (event.owner, event.state, event.source, event.reference) == ("shop-ltd", "refused", "complaint", "2026-1")
    with engine.connect() as connection:
        row = model_cases.c
        assert connection.execute(select(row.text, row.kind, row.label)).all() == [
            (ADVERTISEMENT, "commercial", "commercial")
        ]
    last = complaints.complaint_history(engine, complaint.id)[-1]
    assert (
        last.note
        == f"1 texts labelled; refusal of shop-ltd on record; measure {done.measure_id}: throttle of sender {SHOP}"
    )
    complaints.tell(engine, TERMS, complaint.id, by="ling", now=AT)
    assert holds_on_record(engine, AT) == []


def test_nobody_refuses_whom_nobody_knows(engine: Engine) -> None:
    complaint = added(engine, replace(NEW, sender="10698"), forwarded=True)
    with pytest.raises(ComplaintRefused, match="nobody knows"):
        complaints.decide(
            engine, TERMS, complaint.id, outcome="upheld", by="ling", note="x", now=AT, effects=Effects(refuse_for=True)
        )


def test_lists(engine: Engine) -> None:
    first = added(engine)
    second = added(engine, replace(NEW, number="2", sender=BANK, received_at=AT + DAY))
    assert [each.id for each in complaints.list_complaints(engine)] == [second.id, first.id]
    assert [each.id for each in complaints.list_complaints(engine, owner="bank-ltd")] == [second.id]
    assert first.due_at is not None
    assert [each.id for each in complaints.list_complaints(engine, overdue_at=first.due_at, by_due=True)] == [first.id]
    assert complaints.list_complaints(engine, states=[ComplaintState.TOLD]) == []
    assert complaints.list_complaints(engine, complainant="1") == []


# --- clocks of both


def test_what_is_due_is_told_once_as_near_and_once_as_past(engine: Engine) -> None:
    refused(engine, 7)
    appeal = opened(engine, "7", now=AT)
    complaint = added(engine)
    assert complaint.due_at is not None
    assert clocks.late(engine, TERMS, AT) == []
    near = TERMS.remind_at(complaint.due_at)
    assert clocks.late(engine, TERMS, near - 1) == []
    (reminder,) = clocks.late(engine, TERMS, near)
    assert (reminder.what, reminder.id, reminder.told, reminder.owner) == (
        "complaint",
        complaint.id,
        "reminded",
        "shop-ltd",
    )
    clocks.note_told(engine, [reminder])
    assert clocks.late(engine, TERMS, complaint.due_at - 0.001) == []
    (overdue,) = clocks.late(engine, TERMS, complaint.due_at)
    assert overdue.told == "overdue"
    clocks.note_told(engine, [overdue])
    assert [(each.what, each.id) for each in clocks.late(engine, TERMS, AT + 365 * DAY)] == [("appeal", appeal.id)]
    # What has moved on since is not noted as told.
    complaints.forward(engine, TERMS, complaint.id, by="ling", now=AT)
    clocks.note_told(engine, [overdue])
    assert ("complaint", complaint.id) in {(each.what, each.id) for each in clocks.late(engine, TERMS, AT + 365 * DAY)}


def test_a_deadline_is_counted_anew_once_the_calendar_knows_its_year(engine: Engine) -> None:
    refused(engine, 7)
    unsure = opened(engine, "7", now=datetime(2040, 1, 2, tzinfo=SHANGHAI).timestamp())
    assert not unsure.due_certain
    assert clocks.refine_deadlines(engine, TERMS) == 0
    assert clocks.refine_deadlines(engine, replace(TERMS, calendar="weekdays")) == 1
    again = appeals.find_appeal(engine, unsure.id)
    assert again is not None
    assert (again.due_certain, again.due_at) == (True, unsure.due_at)


def test_figures_of_appeals(engine: Engine) -> None:
    for id_, hours in enumerate((1, 3, 10)):
        appeal = opened(engine, refused(engine, id_), LI_HERSELF)
        answer = appeals.refuse if hours == 10 else partial(appeals.grant, terms=TERMS)
        answer(engine, appeal_id=appeal.id, by="rui", reason="x", now=NOW + hours * 3600)
    opened(engine, refused(engine, 9))
    found = appeal_figures(engine, since=NOW, until=NOW + 365 * DAY)
    assert (found.opened, found.granted, found.refused, found.waiting, found.overdue) == (4, 2, 1, 1, 1)
    assert (found.median_seconds, found.p90_seconds) == (3 * 3600, 10 * 3600)
    assert found.overturn_rate == pytest.approx(2 / 3)
    nothing = appeal_figures(engine, since=NOW, until=NOW + 1, owner="nobody")
    assert (nothing.opened, nothing.overturn_rate, nothing.median_seconds) == (0, None, None)


def test_cases_are_written_whole_and_what_is_revoked_disappears(engine: Engine, tmp_path: Path) -> None:
    at, labels = tmp_path / "cases", tmp_path / "labels"
    assert cases.write_cases(engine, at, labels) == 0
    assert not at.exists(), "no file where there is nothing to say"
    refused(engine, 7)
    appeal = opened(engine, "7")
    appeals.grant(engine, TERMS, appeal.id, by="rui", reason="wishes", now=NOW)
    complaint = added(engine, forwarded=True)
    complaints.decide(
        engine, TERMS, complaint.id, outcome="upheld", by="ling", note="x", now=NOW, effects=Effects(label=True)
    )
    assert cases.write_cases(engine, at, labels) == 2
    # As the gates of promotion and training read them.
    (case,) = read_cases(at)
    assert (case.text, case.purpose, case.expected) == ("新年快乐，祝你和家人身体健康", "person", "other")
    said = case.provenance
    assert (said.origin, said.reference, said.by, said.at) == ("appeal", f"{appeal.id}", "rui", "2026-01-01")
    found = read_labels(sorted(labels.iterdir()))
    assert [(each.label, each.provenance.origin) for each in found] == [
        ("other", "appeal"),
        ("commercial", "complaint"),
    ]
    appeals.revoke(engine, appeal.id, by="rui", reason="sold", now=NOW)
    assert cases.write_cases(engine, at, labels) == 1
    assert read_cases(at) == []


# --- files


def take(engine: Engine, text: str | bytes) -> Taken:
    octets = text if isinstance(text, bytes) else text.encode()
    rows = read_complaints(
        BytesIO(octets), normalise_number=NUMBERS.msisdn, canonical=NUMBERS.canonical, zone=SHANGHAI, source="12321"
    )
    return import_complaints(engine, TERMS, rows, by="ling", now=AT, owner_of=owner_of)


CHINESE = (
    "投诉编号,投诉号码,被投诉号码,短信内容,短信接收时间,投诉时间,类别\n"
    f'A-1,13800000002,{SHOP},"周末,全场五折",2026/9/28 20:00:00,2026-09-29 09:00:00,商业广告\n'
)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_a_file_of_12321_is_taken_in_once(engine: Engine, encoding: str) -> None:
    taken = take(engine, CHINESE.replace("9/28", "09/28").encode(encoding))
    assert (taken.stored, taken.repeated, taken.linked, taken.errors) == (1, 0, 1, [])
    again = take(engine, CHINESE.replace("9/28", "09/28").encode(encoding))
    assert (again.stored, again.repeated, again.linked) == (0, 1, 0)
    (complaint,) = complaints.list_complaints(engine)
    assert (complaint.number, complaint.complainant, complaint.sender, complaint.category) == (
        "A-1",
        WANG,
        SHOP,
        "商业广告",
    )
    assert (complaint.content, complaint.state) == ("周末,全场五折", ComplaintState.FORWARDED)
    assert complaint.received_at == datetime(2026, 9, 29, 9, tzinfo=SHANGHAI).timestamp()
    assert complaint.message_at == datetime(2026, 9, 28, 20, tzinfo=SHANGHAI).timestamp()


def test_a_wrong_line_costs_itself(engine: Engine) -> None:
    taken = take(engine, "number,complainant,sender,received_time,content\n"
                 f"1,13800000002,{SHOP},2026-09-29,x\n"
                 f"2,12,{SHOP},2026-09-29,x\n"
                 f"3,13800000002,,2026-09-29,x\n"
                 f"4,13800000002,{SHOP},yesterday,x\n"
                 "5,1380\n"
                 f"1,13800000002,{SHOP},2026-09-29,something else\n"
                 "\n"
                 f"{'6' * 65},13800000002,{SHOP},2026-09-29,x\n"
                 f"7,13800000002,{BANK},2026-09-29T08:00:00+08:00,x\n")  # fmt: skip
    assert taken.stored == 2
    assert [(each.line, each.sentence) for each in taken.errors] == [
        (3, "complainant: '12' is not a phone number: it has 2 digits, 7 to 15 are expected"),
        (4, "sender is empty"),
        (5, "time 'yesterday' is no time; 2026-05-01 09:30:00 is one"),
        (6, "has 2 fields, the header has 5"),
        (7, "complaint 1 is on record and says something else"),
        (9, "number has 1 to 64 characters"),
    ]


@pytest.mark.parametrize(("text", "says"), [
    pytest.param("a,b\n1,2\n", "no column number or 投诉编号, nor complainant", id="header"),
    pytest.param("", "no column", id="empty"),
    pytest.param(b"\xff\xff\xff", "is not UTF-8", id="encoding"),
])  # fmt: skip
def test_a_file_that_is_none(engine: Engine, text: str | bytes, says: str) -> None:
    with pytest.raises(RecordsError, match=says):
        take(engine, text)
    assert complaints.list_complaints(engine) == []


def test_a_file_as_spreadsheets_save_it(engine: Engine) -> None:
    taken = take(engine, "sep=;\r\n投诉编号;投诉号码;被投诉号码;投诉时间;备注\r\n"
                         f"1;'13800000002;{SHOP};2026年9月29日 上午8:00;\r\n"
                         f"2;13800000002.0;{SHOP};46294.5;\"in\r\ntwo lines\"\r\n"
                         f"3;13800000002;{SHOP};2026;\r\n".encode("gb18030"))  # fmt: skip
    assert (taken.stored, [(each.line, each.sentence) for each in taken.errors]) == (
        2, [(6, "time '2026' is a year; the day is missing")],
    )  # fmt: skip
    assert {each.complainant for each in complaints.list_complaints(engine)} == {"8613800000002"}


def test_what_a_regulator_is_handed_carries_its_decisions_and_a_signed_manifest(engine: Engine, tmp_path: Path) -> None:
    mine = sent(engine, AT - 60)
    sent(engine, AT - 60 * 86_400)
    complaint = added(engine)
    added(engine, replace(NEW, number="2", sender=BANK))
    key = SigningKey.open(tmp_path / "key")
    out = tmp_path / "out"
    scope = Scope("shop-ltd", round((AT - DAY) * 1000), round((AT + DAY) * 1000))
    export(engine, out, scope, key, now=AT, evidence_folder=tmp_path / "evidence", sections=COMPLAINT_SECTIONS)
    manifest, problems = check_export(out, key.public)
    assert problems == []
    assert {name: each["rows"] for name, each in manifest["files"].items() if name.endswith(".jsonl")} == {
        "complaints.jsonl": 1,
        "decisions.jsonl": 1,
    }
    row = json.loads((out / "complaints.jsonl").read_text("utf-8"))
    assert (row["id"], row["decisions"], row["events"][0]["event"]) == (complaint.id, [mine], "received")
    (out / "complaints.jsonl").write_text("{}\n")
    assert check_export(out, key.public)[1] == ["complaints.jsonl: was changed"]


def test_the_database_refuses_states_there_are_not(engine: Engine) -> None:
    refused(engine, 7)
    appeal = opened(engine, "7")
    with pytest.raises(Exception, match=r"(?i)check"), writing(engine) as connection:
        connection.execute(appeals_table.update().where(appeals_table.c.id == appeal.id).values(state="lost"))


def test_retention_takes_what_was_closed_long_ago_and_leaves_the_text_of_a_case(engine: Engine, tmp_path: Path) -> None:
    five = Retention(5, 5, 5, SHANGHAI)
    refused(engine, 7)
    refused(engine, 8)
    granted, waiting = opened(engine, "7", now=AT), opened(engine, "8", now=AT)
    appeals.grant(engine, TERMS, granted.id, by="rui", reason="wishes", now=AT)
    told, running = added(engine, forwarded=True), added(engine, replace(NEW, number="2"))
    complaints.decide(engine, TERMS, told.id, outcome="unfounded", by="ling", note="x", now=AT)
    complaints.tell(engine, TERMS, told.id, by="ling", now=AT)
    appeals.issue_code(engine, kind="decision", subject="99", now=AT)

    def gone(days: float) -> tuple[int, int]:
        purged = purge(engine, five, now=AT + days * DAY, reply_seconds=0)
        return purged.appeals, purged.complaints

    assert gone(150) == (0, 0)
    assert gone(160) == (0, 1), "the entry of the grant still clears"
    assert gone(TERMS.entry_days + 160) == (1, 0)
    assert [each.id for each in appeals.list_appeals(engine)] == [waiting.id]
    assert [each.id for each in complaints.list_complaints(engine)] == [running.id]
    cases.write_cases(engine, tmp_path, tmp_path / "labels")
    (case,) = read_cases(tmp_path)
    assert (case.provenance.reference, case.provenance.by, case.provenance.at) == (cases.GONE, cases.GONE, "2026-09-29")
