"""A decision in plain words."""

from __future__ import annotations

import orjson
import pytest
from sqlalchemy import Engine

from smsc_filter.policy.record import id_to_text, pack_batch, rows_from_entry
from smsc_filter.records.database import writing
from smsc_filter.records.decisions import insert_decisions, insert_outcomes
from smsc_filter.records.explain import Outcome, describe, find_decision, find_outcome, status_name

from .helpers import header, row

CONSENT = ["consent", "no-consent", "absent for shop-ltd", "第九条"]


def described(
    engine: Engine, packed: list[object], r: bytes = b"", mode: str = "enforce", outcome: Outcome | None = None
) -> str:
    """What is said of a row once it has been stored and found again."""
    rows = rows_from_entry(pack_batch(header(mode), [packed]), r)
    with writing(engine) as connection:
        insert_decisions(connection, rows)
        if outcome is not None:
            insert_outcomes(connection, [(7, outcome.at_ms, outcome.command_status, outcome.message_id)])
    decision = find_decision(engine, 7)
    assert decision is not None
    assert find_outcome(engine, 7) == outcome
    return describe(decision, outcome)


def test_a_refused_message(engine: Engine) -> None:
    refused = row(7, cause="no-consent", command_status=0x410, text="春节大促，全场五折", findings=[CONSENT])
    assert described(engine, refused).splitlines() == [
        f"Decision  {id_to_text(7)}",
        "When      2026-01-01 00:00:00.250 UTC",
        "From      106900001, commercial, of shop-ltd, over shop (worker 1)",
        "To        8613800000001",
        "Text      春节大促，全场五折",
        "          data_coding 8",
        "Content   advertisement, commercial with probability 0.9731, by model default",
        "Verdict   refused: no-consent, command_status 0x00000410",
        "Checks    by profile cn-2020-draft",
        "  identity    passed",
        "  measures    passed",
        "  parts       passed",
        "  prohibited  passed",
        "  appeal      passed",
        "  template    passed",
        "  content     passed",
        "  consent     refused, no-consent: absent for shop-ltd [第九条]",
        "  similar     passed",
        "  decline     passed",
        "  duties      passed",
        "  quiet       passed",
        "  greeting    passed",
        "  quota       not asked: a refused message spends nothing",
        "SMSC      not asked",
    ]


def test_an_admitted_message_and_its_answer(engine: Engine) -> None:
    said = described(engine, row(7), outcome=Outcome(1_767_225_601_000, 0, "m-77"))
    assert "Verdict   admitted\n" in said
    assert said.endswith("SMSC      answered ESME_ROK (0x00000000) at 2026-01-01 00:00:01.000 UTC, message_id m-77")


def test_an_answer_that_has_not_come(engine: Engine) -> None:
    assert described(engine, row(7)).endswith("SMSC      no answer on record")


def test_what_was_only_observed_was_sent_on(engine: Engine) -> None:
    refused = row(7, cause="no-consent", command_status=0x410, findings=[CONSENT])
    said = described(engine, refused, mode="observe")
    assert "Verdict   would have been refused: no-consent, command_status 0x00000410; only observed" in said
    assert said.endswith("SMSC      no answer on record")


def test_a_remark_lets_pass_and_quota_refuses(engine: Engine) -> None:
    remark = ["appeal", None, "cleared by appeal 3", ""]
    r = orjson.dumps([[0, "quota-spent", 88, "1,001 of 1,000 in an hour", "第十二条"]])
    said = described(engine, row(7, findings=[remark]), r)
    assert "  appeal      passed: cleared by appeal 3\n" in said
    assert "  quota       refused, quota-spent: 1,001 of 1,000 in an hour [第十二条]\n" in said
    assert "quota-spent, command_status ESME_RTHROTTLED (0x00000058)\n" in said


@pytest.mark.parametrize(("check", "silent"), [
    pytest.param("identity", "consent", id="a sender that is not the account's"),
    pytest.param("parts", "consent", id="another part was refused"),
])  # fmt: skip
def test_what_settled_a_message_before_the_other_checks(engine: Engine, check: str, silent: str) -> None:
    finding = [check, "unknown-sender", "no such sender", ""]
    said = described(engine, row(7, cause="unknown-sender", command_status=0x401, findings=[finding]))
    assert f"  {silent:<11} not asked: {check} settled it\n" in said
    assert f"  {check:<11} refused, unknown-sender: no such sender\n" in said


def test_a_message_cannot_command_the_terminal(engine: Engine) -> None:
    said = described(engine, row(7, text="\x1b[2J\r\n好"))
    assert "Text      \\x1b[2J\\r\\n好\n" in said


def test_what_is_empty_is_said(engine: Engine) -> None:
    empty = row(7, text="")
    empty[2] = empty[3] = empty[5] = ""
    empty[8], empty[10] = -1, "17:2/3"
    said = described(engine, empty)
    assert "From      (no address), unregistered, of an unknown owner, over shop" in said
    assert "Text      (none)\n          data_coding 8, part 17:2/3\nContent   not scored\n" in said


def test_no_such_decision(engine: Engine) -> None:
    assert find_decision(engine, 7) is None
    assert find_outcome(engine, 7) is None


@pytest.mark.parametrize(("status", "name"), [(0, "ESME_ROK (0x00000000)"), (0x04FF, "0x000004FF")])
def test_status_name(status: int, name: str) -> None:
    assert status_name(status) == name
