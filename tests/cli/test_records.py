"""The verbs about consents and records, as an operator types them; the private store starts with each that needs it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import orjson
import pytest

from smsc_filter.cli import main
from smsc_filter.records.audit import Actor, note_done
from smsc_filter.records.consents import history
from smsc_filter.records.database import open_database

ALICE = "8613800000001"
CONFIG = """
data_dir = "{folder}/var"
[[accounts]]
system_id = "shop"
password = "secret"
owner = "shop-ltd"
[[senders]]
address = "106900001"
owner = "shop-ltd"
purpose = "commercial"
"""
LINES = """recipient,owner,state,event_time
13800000001,shop-ltd,granted,2026-01-01
13800000002,shop-ltd,granted,2026-01-01
nobody,shop-ltd,granted,
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    # Not the test's own: a socket's path may hold some hundred characters at most.
    with tempfile.TemporaryDirectory(prefix="verbs-") as name:
        path = Path(name)
        (path / "c.toml").write_text(CONFIG.format(folder=path), encoding="utf-8")
        (path / "consents.csv").write_text(LINES, encoding="utf-8")
        yield path


Say = Callable[..., tuple[int, str, str]]


@pytest.fixture
def say(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Say:
    monkeypatch.chdir(folder)

    def run(*words: str, config: bool = True) -> tuple[int, str, str]:
        status = main([*words, *(["--config", "c.toml"] if config else [])])
        out, error = capsys.readouterr()
        return status, out, " ".join(error.split())

    return run


def test_import_tells_wrong_lines_and_does_nothing_twice(say: Say) -> None:
    status, out, error = say("consent", "import", "consents.csv")
    assert status == 1
    assert out == (
        "consents.csv: 3 rows: 2 stored, 0 known before, 1 wrong\n"
        "  ASCII, commas\n  2 times without an offset are of Asia/Shanghai\n"
    )
    assert "consents.csv: line 4: 'nobody' is not a phone number: 'n' is in it" in error
    status, out, _ = say("consent", "import", "consents.csv")
    assert status == 0
    assert "imported before, nothing to do" in out
    _, out, _ = say("consent", "import", "consents.csv", "--key", "again")
    assert "0 stored, 2 known before, 1 wrong" in out


def test_a_preview_of_a_spreadsheet_says_what_would_happen(say: Say, folder: Path) -> None:
    path = folder / "crm.csv"
    path.write_bytes("手机号;意愿;姓名\n13800000001;乐意;安\n13800000002;退订;白\n138;退订;陈\n".encode("gb18030"))
    words = ("--columns", "state=意愿", "--states", "乐意=granted", "--owner", "shop-ltd")
    status, out, error = say("consent", "import", "crm.csv", *words, "--dry-run")
    assert status == 1
    assert "line 4: '138' is not a phone number" in error
    assert out.splitlines() == [
        "shop-ltd: 1 granted", "shop-ltd: 1 withdrawn", "would be stored: 2; 0 known before, 1 wrong",
        "  GB18030, semicolons", "  read 意愿 as state, 手机号 as recipient", "  not read: 姓名", "nothing was changed",
    ]  # fmt: skip
    status, out, _ = say("consent", "import", "crm.csv", *words)
    assert "3 rows: 2 stored" in out
    for wrong, sentence in ((("--owner", "Shop"), "owner 'Shop' is unknown: it has no account and no sender"),
                            (("--states", "x"), "--states: 'x' is not NAME=VALUE"),
                            (("--columns", "phone=x"), "columns: 'phone' is unknown")):  # fmt: skip
        status, _, error = say("consent", "import", "crm.csv", *wrong)
        assert status != 0
        assert sentence in error


def test_what_was_claimed_is_listed_and_reviewed(say: Say) -> None:
    say("consent", "record", "13800000009", "withdrawn", "--owner", "shop-ltd", "--source", "portal")
    _, out, _ = say("consent", "record", "13800000009", "granted", "--owner", "shop-ltd", "--reference", "f1")
    assert out.startswith("event 2: 8613800000009 claimed shop-ltd")
    _, out, _ = say("consent", "claims")
    assert "event 2: claimed shop-ltd" in out
    assert "held back: the recipient refused at" in out
    assert "1 claims wait for a review" in out
    assert "shop-ltd: withdrawn" in say("consent", "show", "13800000009")[1]
    status, out, _ = say("consent", "review", "2", "--accept", "--reason", "form seen")
    assert (status, out) == (0, "claim 2 is accepted: event 3 grants it\n")
    assert "shop-ltd: granted" in say("consent", "show", "13800000009")[1]
    status, _, error = say("consent", "review", "2", "--reject", "--reason", "x")
    assert status == 1
    assert "claim 2 was accepted before" in error


def test_many_wrong_lines_are_told_in_a_file(say: Say, folder: Path) -> None:
    (folder / "consents.csv").write_text(LINES + "x,shop-ltd,granted,\n" * 30, encoding="utf-8")
    _, out, error = say("consent", "import", "consents.csv")
    assert "wrong lines are told in consents.csv.errors" in out
    told = (folder / "consents.csv.errors").read_text(encoding="utf-8").splitlines()
    assert len(told) == 31
    assert told[-1].startswith("consents.csv: line 34:")
    assert error.count("is not a phone number") == 20


@pytest.mark.parametrize(("content", "complaint"), [
    pytest.param(b"", "column recipient is missing", id="empty"),
    pytest.param(LINES.encode("utf-7").replace(b",", b"#"), "column recipient is missing", id="another delimiter"),
    pytest.param(b"\x00\x01\x02", "line 1: column recipient is missing", id="octets"),
])  # fmt: skip
def test_a_file_of_no_use_is_told_and_nothing_is_applied(
    say: Say, folder: Path, content: bytes, complaint: str
) -> None:
    (folder / "consents.csv").write_bytes(content)
    status, _, error = say("consent", "import", "consents.csv")
    assert status == 1
    assert complaint in error
    engine = open_database("", folder / "var")
    assert history(engine, ALICE) == []
    engine.dispose()


def test_from_the_record_to_the_receipt(say: Say, folder: Path) -> None:
    """CN-15: proof reference, hash, source, time and wording of every consent can be shown."""
    (folder / "form.pdf").write_bytes(b"signed")
    assert (
        say(
            "consent",
            "record",
            "13800000001",
            "granted",
            "--owner",
            "shop-ltd",
            "--source",
            "shop floor",
            "--reference",
            "form 7",
            "--text-version",
            "2026-1",
            "--evidence",
            "form.pdf",
            "--days",
            "90",
        )[0]
        == 0
    )
    assert say("consent", "record", "+86 138-0000-0001", "withdrawn", "--owner", "shop-ltd")[0] == 0
    status, out, _ = say("consent", "show", "13800000001", "--receipts", "receipts")
    assert status == 0
    for line in ("shop-ltd: withdrawn since", "source     shop floor", "reference  form 7", "wording    2026-1",
                 "evidence   sha256 ", "receipt    receipts/consent-1.json"):  # fmt: skip
        assert line in out
    status, out, _ = say("consent", "verify")
    assert status == 0
    assert out.startswith("2 events as they were sealed; 0 notes of the chain agree\n")
    key = out.split()[-1]
    status, out, _ = say("consent", "verify", "--receipt", "receipts/consent-1.json", "--key", key)
    assert (status, "the records hold it in this place" in out) == (0, True)
    status, out, _ = say("consent", "verify", "--receipt", "receipts/consent-1.json", "--offline", config=False)
    assert (status, "not compared with the records" in out) == (0, True)
    receipt = orjson.loads((folder / "receipts" / "consent-1.json").read_bytes())
    receipt["event"][4] = "refused"
    (folder / "forged.json").write_bytes(orjson.dumps(receipt))
    status, _, error = say("consent", "verify", "--receipt", "forged.json")
    assert (status, "was changed after it was signed" in error) == (1, True)


def test_a_forgery_is_found_by_verify(say: Say, folder: Path) -> None:
    say("consent", "import", "consents.csv")
    assert say("consent", "verify")[0] == 0  # notes where the chain ends
    engine = open_database("", folder / "var")
    with engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM consent_events WHERE id = 2")
        connection.exec_driver_sql(
            "UPDATE chain_heads SET position = 1, chain = (SELECT chain FROM consent_events WHERE id = 1)"
        )
    engine.dispose()
    status, _, error = say("consent", "verify")
    assert status == 1
    assert "event 2 is missing: the chain was noted elsewhere" in error


def test_an_edit_of_any_record_is_found_by_verify_and_not_exported(say: Say, folder: Path) -> None:
    say("consent", "import", "consents.csv")
    engine = open_database("", folder / "var")
    note_done(engine, Actor("wang"), "sign-in", "wang", now=1.0)
    status, out, _ = say("verify")
    assert status == 0
    assert "audit: 1 rows as they were sealed\n" in out.replace("2 rows", "1 rows")
    assert "consent_events: 2 rows as they were sealed" in out
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE audit SET actor = 'li' WHERE action = 'sign-in'")
    engine.dispose()
    status, _, error = say("verify")
    assert status == 1
    assert "audit:" in error
    assert "was changed" in error
    wanted = ("export", "--owner", "shop-ltd", "--from", "2026-01-01", "--to", "2026-01-01")
    status, _, error = say(*wanted, "--out", "out")
    assert (status, "nothing was exported" in error, (folder / "out").exists()) == (1, True, False)
    assert say(*wanted, "--out", "out", "--unverified")[0] == 0
    status, _, error = say("export", "--verify", "out", config=False)
    assert (status, "when it was exported: audit:" in error) == (1, True)


def test_export_of_a_provider_is_written_and_checked(say: Say, folder: Path) -> None:
    """CN-26: one command."""
    say("consent", "import", "consents.csv")
    status, out, _ = say("export", "--owner", "shop-ltd", "--from", "2026-01-01", "--to", "2026-01-01", "--out", "out")
    assert (status, "out/consent_events.jsonl: 2 rows" in out) == (0, True)
    status, out, _ = say("export", "--verify", "out", config=False)
    assert (status, "as exported and signed with" in out) == (0, True)
    assert say("consent", "verify", "--manifest", "out/manifest.json")[0] == 0
    with (folder / "out" / "consent_events.jsonl").open("ab") as file:
        file.write(b"{}\n")
    status, _, error = say("export", "--verify", "out", config=False)
    assert (status, "2 lines expected, 3 are there" in error) == (1, True)
    status, out, _ = say("consent", "export", "--out", "consents")
    assert (status, "consents/consents.jsonl: 2 rows" in out) == (0, True)


@pytest.mark.parametrize(("words", "complaint"), [
    (("export",), "export needs --owner, --from, --to and --out"),
    (("export", "--owner", "a", "--from", "2026-02-01", "--to", "2026-01-01", "--out", "o"), "lies before"),
    (("export", "--owner", "a", "--from", "soon", "--to", "2026-01-01", "--out", "o"), "'soon' is no date"),
    (("export", "--verify", "nowhere"), "No such file"),
    (("consent", "record", "nobody", "granted", "--owner", "shop-ltd"), "is not a phone number"),
    (("consent", "record", "13800000001", "granted", "--owner", "bank"), "has no account and no sender"),
    (
        ("consent", "record", "13800000001", "granted", "--owner", "shop-ltd", "--topic", "t" * 49),
        "more than 48 octets",
    ),
    (("consent", "record", "13800000001", "granted", "--owner", "shop-ltd", "--evidence", "nowhere"), "No such file"),
    (("consent", "show", "13800000001"), "nothing of 8613800000001 is on record"),
    (("consent", "show", "nobody"), "is not a phone number"),
    (("consent", "verify", "--receipt", "nowhere"), "No such file"),
    (("consent", "verify", "--manifest", "nowhere"), "No such file"),
    (("consent", "import", "nowhere"), "No such file"),
    (("purge", "--now", "soon"), "'soon' is no date"),
])  # fmt: skip
def test_a_mistake_is_told_in_one_line(say: Say, words: tuple[str, ...], complaint: str) -> None:
    status, out, error = say(*words)
    assert (status, out) == (1, "")
    assert complaint in error


def test_purge_counts_and_takes_and_the_chain_stays_whole(say: Say) -> None:
    """CN-14 at the command line."""
    say("consent", "import", "consents.csv")
    say("consent", "record", "13800000001", "withdrawn", "--owner", "shop-ltd")
    _, out, _ = say("purge", "--dry-run", "--now", "2100-01-01")
    assert "would go by cn-2020-draft" in out
    assert "2 consent events" in out
    _, out, _ = say("purge")
    assert "0 consent events" in out
    _, out, _ = say("purge", "--now", "2100-01-01")
    assert "2 consent events" in out
    assert say("consent", "show", "13800000001")[0] == 1
    status, out, _ = say("consent", "verify")
    assert (status, "of 2 the content is past its retention" in out) == (0, True)


def test_rebuild_state_says_what_it_did(say: Say) -> None:
    say("consent", "import", "consents.csv")
    _, out, _ = say("rebuild-state")
    assert out == "2 consents written, 0 removed that the records do not know; 0 pages of declines\n"


def test_doubtful_withdrawals_are_shown_to_the_operator(say: Say) -> None:
    for number, source in ((1, "reply"), (2, "reply-doubtful")):
        assert (
            say("consent", "record", f"1380000000{number}", "withdrawn", "--owner", "shop-ltd", "--source", source)[0]
            == 0
        )
    status, shown, _ = say("consent", "doubtful", "--owner", "shop-ltd")
    assert status == 0
    assert "8613800000002: event 2: withdrawn shop-ltd" in shown
    assert "8613800000001" not in shown
    assert "1 doubtful withdrawals" in shown
    assert "0 doubtful withdrawals" in say("consent", "doubtful", "--owner", "nobody")[1]
