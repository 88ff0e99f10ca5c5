"""Exports: everything of a provider between two dates, and what is wrong with a folder that was changed (CN-26)."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlalchemy import Engine

from smsc_filter.records import whitelist
from smsc_filter.records.consents import ConsentEvent, store_events
from smsc_filter.records.database import writing
from smsc_filter.records.decisions import insert_decisions, insert_outcomes
from smsc_filter.records.errors import RecordsError
from smsc_filter.records.evidence import Evidence, keep, wrong_file
from smsc_filter.records.export import SECTIONS, Scope, Section, check_export, consent_sections, export, register
from smsc_filter.records.seals import seal_due
from smsc_filter.records.signature import SigningKey
from smsc_filter.records.verify import anchor_of, verify_events

NOW = 1_767_225_600.0
NOW_MS = round(NOW * 1000)
DAY_MS = 86_400_000
ALICE, BOB, CAROL = "8613800000001", "8613800000002", "8613800000003"
JANUARY = Scope("shop-ltd", NOW_MS, NOW_MS + 31 * DAY_MS)


@pytest.fixture
def key(tmp_path: Path) -> SigningKey:
    return SigningKey.open(tmp_path)


def decision(id_: int, day: float, owner: str, recipient: str) -> tuple[Any, ...]:
    return (
        id_, NOW_MS + round(day * DAY_MS), "shop", owner, "106900001", recipient, "commercial", "no-consent", 0x410,
        True, 9000, "advertisement", "", 8, "大促", '[["consent","no-consent","none","Art. 16"]]', "default",
        "cn-2020-draft", 1,
    )  # fmt: skip


def said(recipient: str, day: float, owner: str = "shop-ltd", **more: Any) -> ConsentEvent:
    at_ms = NOW_MS + round(day * DAY_MS)
    values = {"state": "granted", "source": "form", "reference": f"page {day}", **more}
    return ConsentEvent(recipient=recipient, owner=owner, event_at_ms=at_ms, received_at_ms=at_ms, **values)


@pytest.fixture
def filled(engine: Engine, tmp_path: Path) -> Engine:
    with writing(engine) as connection:
        insert_decisions(connection, [
            decision(1, -0.001, "shop-ltd", ALICE), decision(2, 0, "shop-ltd", ALICE), decision(3, 5, "bank", BOB),
            decision(4, 30.9, "shop-ltd", BOB), decision(5, 31, "shop-ltd", ALICE),
        ])  # fmt: skip
        insert_outcomes(connection, [(number, NOW_MS + 32 * DAY_MS, 0, f"m{number}") for number in range(1, 6)])
    kept = keep(tmp_path / "evidence", [b"signed ", b"form"], ".PDF")
    store_events(engine, [
        said(ALICE, -300, evidence=kept.sha256, evidence_name=kept.name), said(CAROL, -300),
        said(BOB, -1, owner="bank"),
    ])  # fmt: skip
    store_events(engine, [said(CAROL, 3, topic="loans"), said(ALICE, 31, state="withdrawn")])
    for owner, day in (("shop-ltd", 0), ("shop-ltd", 31), ("bank", 0)):
        now = NOW + day * 86_400
        whitelist.grant(engine, scope="owner", owner=owner, reason="appeal", now=now, expires_at=now + 86_400)
    return engine


def write(
    engine: Engine, tmp_path: Path, key: SigningKey, scope: Scope = JANUARY, name: str = "out", **more: Any
) -> Path:
    export(engine, tmp_path / name, scope, key, now=NOW, evidence_folder=tmp_path / "evidence", **more)
    return tmp_path / name


def rows(folder: Path, name: str) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in (folder / f"{name}.jsonl").read_bytes().splitlines()]


def test_everything_of_a_provider_between_two_dates(filled: Engine, tmp_path: Path, key: SigningKey) -> None:
    folder = write(filled, tmp_path, key)
    assert [row["id"] for row in rows(folder, "decisions")] == [2, 4]
    assert rows(folder, "decisions")[0]["findings"] == [["consent", "no-consent", "none", "Art. 16"]]
    assert [row["decision_id"] for row in rows(folder, "outcomes")] == [2, 4]
    # What Carol said in January, and by what right Alice was written to in January.
    assert [(row["recipient"], row["owner"], row["topic"]) for row in rows(folder, "consent_events")] == [
        (ALICE, "shop-ltd", None), (CAROL, "shop-ltd", "loans"),
    ]  # fmt: skip
    assert [row["owner"] for row in rows(folder, "whitelist")] == ["shop-ltd"]
    (file,) = (folder / "evidence").iterdir()
    assert file.read_bytes() == b"signed form"
    manifest, problems = check_export(folder, key.public)
    assert problems == []
    told = {name for name in manifest["files"] if name in ("README.txt", "SHA256SUMS") or name.startswith("sealed/")}
    assert {name: each["rows"] for name, each in manifest["files"].items() if name not in told} == {
        "decisions.jsonl": 2, "outcomes.jsonl": 2, "consent_events.jsonl": 2, "whitelist.jsonl": 1,
        f"evidence/{file.name}": 0, "appeals.jsonl": 0, "complaints.jsonl": 0,
    }  # fmt: skip
    anchor = anchor_of((folder / "manifest.json").read_bytes(), "manifest")
    assert verify_events(filled, [anchor]).problems == []


def test_a_third_party_checks_an_export_with_the_commands_of_its_readme(
    filled: Engine, tmp_path: Path, key: SigningKey
) -> None:
    seal_due(filled, NOW + 99 * 86_400)
    folder = write(filled, tmp_path, key)
    manifest, problems = check_export(folder, key.public)
    assert (problems, manifest["sealed"]) == ([], 4)
    commands = [line for line in (folder / "README.txt").read_text().splitlines() if line.startswith("    ")]
    commands = [line.strip() for line in commands if not line.startswith("     ")]
    assert len(commands) == 6

    def run() -> list[str]:
        return [subprocess.run(["/bin/sh", "-c", each], cwd=folder, text=True, check=False, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT).stdout.strip() for each in commands]  # fmt: skip

    good = ["Signature Verified Successfully", "", "", "", "", manifest["seals"]["chain"]]
    assert run() == good
    for name, place in (("manifest.signed", 0), ("SHA256SUMS", 1), ("decisions.jsonl", 2), ("sealed/rows.txt", 3),
                        ("sealed/segment-1.txt", 4), ("sealed/chain.txt", 5)):  # fmt: skip
        before = (folder / name).read_bytes()
        (folder / name).write_bytes(before.replace(b"1", b"2", 1))
        assert run()[place] != good[place], name
        (folder / name).write_bytes(before)


def test_what_does_not_verify_is_marked(filled: Engine, tmp_path: Path, key: SigningKey) -> None:
    folder = write(filled, tmp_path, key, problems=["decisions: 2 was changed"])
    assert check_export(folder)[1] == ["when it was exported: decisions: 2 was changed"]


def test_of_everybody_when_no_owner_is_named(filled: Engine, tmp_path: Path, key: SigningKey) -> None:
    folder = write(filled, tmp_path, key, JANUARY._replace(owner=None))
    assert [row["id"] for row in rows(folder, "decisions")] == [2, 3, 4]
    assert {row["owner"] for row in rows(folder, "whitelist")} == {"shop-ltd", "bank"}


def test_of_an_unknown_owner_nothing(filled: Engine, tmp_path: Path, key: SigningKey) -> None:
    folder = write(filled, tmp_path, key, JANUARY._replace(owner="nobody"))
    assert all(not rows(folder, section.name) for section in SECTIONS)
    assert check_export(folder)[1] == []


def test_consents_as_they_are(filled: Engine, tmp_path: Path, key: SigningKey) -> None:
    now = NOW + 40 * 86_400
    sections = consent_sections(filled, reply_seconds=3_600, now=now)
    folder = write(filled, tmp_path, key, Scope("shop-ltd", 0, NOW_MS + 99 * DAY_MS), sections=sections)
    assert {(row["recipient"], row["topic"], row["state"]) for row in rows(folder, "consents")} == {
        (ALICE, None, "withdrawn"), (CAROL, None, "granted"), (CAROL, "loans", "granted"),
    }  # fmt: skip
    assert len(rows(folder, "consent_events")) == 4
    assert check_export(folder)[1] == []


def edit(name: str, old: bytes, new: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes().replace(old, new, 1))


@pytest.mark.parametrize(("forgery", "problem"), [
    pytest.param(edit("decisions.jsonl", b"no-consent", b"no-dissent"), "decisions.jsonl: was changed", id="a value"),
    pytest.param(lambda folder: (folder / "decisions.jsonl").write_bytes(
        (folder / "decisions.jsonl").read_bytes().splitlines(True)[0]),
        "decisions.jsonl: 2 lines expected, 1 are there", id="a line cut off"),
    pytest.param(lambda folder: (folder / "outcomes.jsonl").unlink(), "outcomes.jsonl is missing", id="a file gone"),
    pytest.param(lambda folder: (folder / "more.jsonl").write_bytes(b""), "more.jsonl is not in the manifest",
                 id="a file more"),
    pytest.param(edit("manifest.json", b'"rows": 2', b'"rows": 3'), "manifest.json was changed after it was signed",
                 id="the manifest"),
    pytest.param(lambda folder: next((folder / "evidence").iterdir()).write_bytes(b"another form"), "was changed",
                 id="evidence"),
])  # fmt: skip
def test_a_folder_that_was_changed_is_told(
    filled: Engine, tmp_path: Path, key: SigningKey, forgery: Callable[[Path], object], problem: str
) -> None:
    folder = write(filled, tmp_path, key)
    forgery(folder)
    problems = check_export(folder)[1]
    assert any(problem in each for each in problems), problems


def test_signed_by_somebody_else_it_is_told(filled: Engine, tmp_path: Path, key: SigningKey) -> None:
    folder = write(filled, tmp_path, SigningKey.open(tmp_path / "forger"))
    assert check_export(folder)[1] == []
    assert "is signed with key" in check_export(folder, key.public)[1][0]


def test_events_that_were_never_sealed_are_told_though_the_manifest_fits(
    filled: Engine, tmp_path: Path, key: SigningKey
) -> None:
    def forged(connection: Any, scope: Scope) -> Any:
        (events,) = (section for section in SECTIONS if section.name == "consent_events")
        for row in events.rows(connection, scope):
            yield {**row, "event": "refused"} if row["recipient"] == ALICE else row

    folder = write(filled, tmp_path, key, sections=[Section("consent_events", forged)])
    assert check_export(folder)[1] == ["consent_events.jsonl: line 1: the event is not the one that was sealed"]


@pytest.mark.parametrize("octets", [b"", b"{}", b"[1]", b'{"files": 3}', b'{"files": {"a": {}}}'])
def test_what_is_no_manifest_is_told(tmp_path: Path, octets: bytes) -> None:
    (tmp_path / "manifest.json").write_bytes(octets)
    with pytest.raises(RecordsError, match="is no manifest"):
        check_export(tmp_path)
    with pytest.raises(RecordsError, match="No such file"):
        check_export(tmp_path / "elsewhere")


def test_a_folder_with_something_in_it_is_left_alone(filled: Engine, tmp_path: Path, key: SigningKey) -> None:
    write(filled, tmp_path, key)
    with pytest.raises(RecordsError, match="is there already"):
        write(filled, tmp_path, key)


def test_an_export_that_fails_leaves_nothing(filled: Engine, tmp_path: Path, key: SigningKey) -> None:
    def torn(connection: Any, scope: Scope) -> Any:
        yield {"id": 1}
        raise RuntimeError

    before = set(tmp_path.iterdir())
    with pytest.raises(RuntimeError):
        write(filled, tmp_path, key, sections=[Section("torn", torn)])
    assert set(tmp_path.iterdir()) == before


def test_evidence_that_is_gone_or_changed_is_named(filled: Engine, tmp_path: Path, key: SigningKey) -> None:
    (file,) = (tmp_path / "evidence").iterdir()
    file.write_bytes(b"another")
    folder = write(filled, tmp_path, key)
    assert check_export(folder)[0]["evidence_not_kept_here"] == [file.name]
    assert check_export(folder)[1] == []
    shutil.rmtree(tmp_path / "evidence")
    folder = write(filled, tmp_path, key, name="again")
    assert check_export(folder)[0]["evidence_not_kept_here"] == [file.name]


def test_other_modules_may_have_their_tables_in_every_export(
    filled: Engine, tmp_path: Path, key: SigningKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smsc_filter.records.export.SECTIONS", list(SECTIONS))
    for _ in range(2):
        register(Section("locks", lambda connection, scope: iter([{"owner": scope.owner}])))
    folder = write(filled, tmp_path, key)
    assert rows(folder, "locks") == [{"owner": "shop-ltd"}]


# --- evidence


def test_evidence_is_kept_under_the_name_of_its_content(tmp_path: Path) -> None:
    first, second = (keep(tmp_path, [b"a", b"b"], suffix) for suffix in (".pdf", ".pdf"))
    assert first == second
    assert [path.name for path in tmp_path.iterdir()] == [first.name]
    assert wrong_file(tmp_path, first) is None
    assert keep(tmp_path, [b"ab"], "./../x").name == first.sha256
    assert wrong_file(tmp_path, Evidence(first.sha256, "other")) == "is missing"
    (tmp_path / first.name).write_bytes(b"ba")
    assert wrong_file(tmp_path, first) == "is not the file it was"


def test_evidence_that_is_too_large_is_refused_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smsc_filter.records.evidence.MOST_OCTETS", 5)
    with pytest.raises(RecordsError, match="has more than"):
        keep(tmp_path, [b"abc", b"def"])
    assert list(tmp_path.iterdir()) == []
