"""Verbs about appeals and complaints as people run them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from smsc_filter.policy.record import id_to_text
from smsc_filter.records.database import open_database
from tests.cli.test_verbs import Verb, folder, run  # noqa: F401 - fixtures
from tests.records.test_appeals import refused

DECISION = id_to_text(7)
PERSON = "13900000001"


@pytest.fixture
def blocked(folder: Path) -> None:  # noqa: F811
    """Decision 7, a greeting of a person, and one that was sent to the same recipient an hour ago."""
    engine = open_database("", folder / "var")
    refused(engine, 7)
    at_ms = round(time.time() * 1000) - 3_600_000
    sent: dict[str, Any] = {"source": "106900001", "owner": "shop-ltd", "purpose": "commercial", "cause": ""}
    refused(engine, at_ms << 20, at_ms=at_ms, **sent)
    engine.dispose()


def done(answer: tuple[int, str, str]) -> str:
    status, out, err = answer
    assert status == 0, err
    return out


@pytest.mark.usefixtures("blocked")
def test_an_appeal_from_its_code_to_its_grant_and_back(run: Verb) -> None:  # noqa: F811
    code = done(run("appeal", "code", DECISION, "--party", PERSON)).strip()
    assert done(run("appeal", "code", DECISION, "--party", PERSON)).strip() == code
    opened = done(run("appeal", "open", code, "--for-person", PERSON, "--reason", "wishes"))
    assert opened.startswith("appeal 1: open, due ")
    assert run("appeal", "open", DECISION, "--for-owner", "shop-ltd")[0] == 1, "it is not this owner's"
    assert "appeal 1: needs-information" in done(run("appeal", "decide", "1", "--ask", "--reason", "to whom?"))
    assert "appeal 1: open" in done(run("appeal", "supply", "1", "to my aunt"))
    listed = done(run("appeal", "list"))
    assert "open" in listed
    assert "no entries" in listed
    granted = done(run("appeal", "decide", "1", "--grant", "--reason", "a greeting", "--days", "90"))
    assert granted == "appeal 1: granted; whitelist entry 1, scope sender-recipients; a case for models\n"
    shown = done(run("appeal", "show", "1"))
    assert "supply by" in shown
    assert DECISION in shown
    assert run("appeal", "decide", "1", "--refuse", "--reason", "x")[0] == 1
    assert "1 answered, 100% granted" in done(run("appeal", "list"))
    assert done(run("appeal", "revoke", "1", "--reason", "sold")) == "entry 1 revoked\n"
    assert "refused" in done(run("appeal", "list", "--all"))


@pytest.mark.usefixtures("blocked")
@pytest.mark.parametrize(("arguments", "says"), [
    pytest.param(("open", id_to_text(8)), "nothing of that id or code", id="unknown"),
    pytest.param(("open", "x-y-z"), "decision id", id="no-id"),
    pytest.param(("open", DECISION, "--for-person", "12"), "--for-person", id="no-number"),
    pytest.param(("show", "9"), "there is no appeal 9", id="no-appeal"),
    pytest.param(("withdraw", "9"), "there is no appeal 9", id="nothing-to-withdraw"),
    pytest.param(("code", id_to_text(8)), "is on record", id="no-decision"),
])  # fmt: skip
def test_mistakes_are_one_line(run: Verb, arguments: tuple[str, ...], says: str) -> None:  # noqa: F811
    status, out, err = run("appeal", *arguments)
    assert (status, out, err.count("\n")) == (1, "", 1)
    assert says in err


@pytest.mark.usefixtures("blocked")
def test_a_complaint_from_its_intake_to_the_regulator(run: Verb, folder: Path) -> None:  # noqa: F811
    new = ("--number", "C-1", "--complainant", "13800000002", "--sender", "106900001")
    added = done(run("complaint", "add", *new, "--content", "x"))
    assert added.startswith("complaint 1: received, due ")
    assert added.endswith("about 1 decisions of shop-ltd\n")
    assert "C-1" in done(run("complaint", "list"))
    assert done(run("complaint", "list", "--overdue")) == "no complaints\n"
    assert "complaint 1: forwarded" in done(run("complaint", "forward", "1", "--note", "by mail"))
    outcome = ("complaint", "outcome", "1", "--outcome", "upheld", "--note", "no consent")
    assert run(*outcome, "--measure", "throttle")[0] == 1, "a throttle says how many"
    found = done(run(*outcome, "--label", "--refuse", "--measure", "throttle", "--per-hour", "5"))
    assert found == (
        "complaint 1: upheld; 1 texts labelled; refusal of shop-ltd on record; "
        "measure 1: throttle of sender 106900001\n"
    )
    assert "refused" in done(run("consent", "show", "13800000002"))
    assert "complaint 1: told, no clock runs" in done(run("complaint", "tell", "1"))
    assert "decide by" in done(run("complaint", "show", "1"))
    days = ("--from", "2020-01-01", "--to", "2099-12-31")
    exported = done(run("complaint", "export", *days, "--out", str(folder / "out")))
    assert "complaints.jsonl: 1 rows" in exported
    assert "decisions.jsonl: 1 rows" in exported
    assert run("export", "--verify", str(folder / "out"), config=False)[0] == 0


def test_a_file_says_what_is_wrong_with_it(run: Verb, folder: Path) -> None:  # noqa: F811
    path = folder / "12321.csv"
    path.write_text(
        "投诉编号,投诉号码,被投诉号码,投诉时间\n1,13800000002,106900001,2026-05-01\n2,x,y,z\n", encoding="gb18030"
    )
    status, out, err = run("complaint", "import", str(path))
    assert status == 1
    assert out == "1 stored, 1 of them about owners we know; 0 known before, 1 wrong\n"
    assert "line 3: complainant: 'x' is not a phone number" in err
    assert run("complaint", "import", str(folder / "nowhere.csv"))[0] == 1
