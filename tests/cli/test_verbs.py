"""Each verb as a person runs it: what it says, its exit status, and one line about a mistake."""

from __future__ import annotations

import argparse
import io
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from redis import Redis

from smsc_filter.classifier.manifest import read_manifest
from smsc_filter.cli import main
from smsc_filter.cli.parser import LAB, build_parser
from smsc_filter.policy.facts import ConsentState
from smsc_filter.policy.record import id_to_text, rows_from_entry
from smsc_filter.records.database import open_database, writing
from smsc_filter.records.tables import decisions
from smsc_filter.relay.accounts import Accounts, AccountSettings
from smsc_filter.state import keys
from smsc_filter.state.embedded import EmbeddedStore
from tests.classifier.models import DEFAULT
from tests.records.helpers import batch
from tests.relay.harness import short_folder

CONFIG = """
data_dir = "{folder}/var"
[state]
fsync = "everysec"
[[accounts]]
system_id = "shop"
password = "secret"
owner = "shop-ltd"
[[senders]]
address = "106900001"
owner = "shop-ltd"
purpose = "commercial"
"""

Verb = Callable[..., tuple[int, str, str]]


@pytest.fixture
def folder() -> Iterator[Path]:
    with short_folder() as folder:
        (folder / "smsc-filter.toml").write_text(CONFIG.format(folder=folder), encoding="utf-8")
        yield folder


@pytest.fixture
def run(folder: Path, capfd: pytest.CaptureFixture[str]) -> Verb:
    """``run("appeal", "list")``: (exit status, stdout, stderr); ``--config`` is added."""

    def verb(*arguments: str, config: bool = True) -> tuple[int, str, str]:
        capfd.readouterr()
        status = main([*arguments, *(("--config", str(folder / "smsc-filter.toml")) if config else ())])
        said = capfd.readouterr()
        return status, said.out, said.err

    return verb


def leaves(parser: argparse.ArgumentParser, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    groups = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not groups:
        yield path
    for group in groups:
        for name, inner in group.choices.items():
            yield from leaves(inner, (*path, name))


VERBS = list(leaves(build_parser()))


def test_the_verbs_of_the_contract_are_there() -> None:
    contract = {"serve", "check-config", "classify", "explain", "demo", "smsc-sim", "send", "bench", "rebuild-state"}
    assert contract | {"consent", "appeal"} <= {path[0] for path in VERBS}
    assert {("consent", "import"), ("appeal", "grant"), ("appeal", "list"), ("appeal", "revoke")} <= set(VERBS)


@pytest.mark.parametrize("path", VERBS, ids=" ".join)
def test_the_help_of_every_verb_has_an_example(path: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*path, "--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    example = shown.partition("example:\n")[2]
    assert f"smsc-filter {' '.join(path)}" in example
    assert len(shown.splitlines()) > 5


@pytest.mark.parametrize("name", [name for name, _, _ in LAB])
def test_the_example_of_a_verb_of_the_lab_can_be_run(name: str) -> None:
    example = next(example for verb, _, example in LAB if verb == name)
    words = example.replace("'Hello'", "Hello").split()[1:]
    assert build_parser(name).parse_args(words).verb == name


def test_without_a_verb_they_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([])
    assert ended.value.code == 2
    assert "VERB" in capsys.readouterr().err


# check-config


def test_a_good_config_can_be_served(run: Verb, folder: Path) -> None:
    status, out, err = run("check-config", str(folder / "smsc-filter.toml"), config=False)
    assert (status, err) == (0, "")
    assert out.splitlines()[0].endswith("smsc-filter.toml: can be served")
    assert "by cn-2020-draft, mode enforce" in out
    assert "secret" not in out


def test_a_sender_of_nobody_is_remarked(run: Verb, folder: Path) -> None:
    text = CONFIG.format(folder=folder) + '[[senders]]\naddress = "1"\nowner = "nobody"\npurpose = "person"\n'
    (folder / "smsc-filter.toml").write_text(text, encoding="utf-8")
    status, out, _ = run("check-config", str(folder / "smsc-filter.toml"), config=False)
    assert status == 0
    assert "note      sender 1 belongs to nobody, who has no account" in out


@pytest.mark.parametrize(("line", "complaint"), [
    pytest.param("[listen]\nport = 99999", "listen.port = 99999: input should be less than", id="value"),
    pytest.param("[lisen]\nport = 1", "lisen is not a setting; allowed are", id="key"),
    pytest.param('[model]\npath = "nowhere"', "nowhere", id="no-model"),
    pytest.param('[policy]\nprohibited_file = "nowhere.txt"', "policy.prohibited_file: nowhere.txt: ", id="no-list"),
    pytest.param('[listen]\ntls_cert = "nowhere.pem"\ntls_key = "nowhere.key"', "nowhere", id="no-certificate"),
    pytest.param("[listen", "is not TOML", id="not-toml"),
])  # fmt: skip
def test_a_bad_config_is_one_line(run: Verb, folder: Path, line: str, complaint: str) -> None:
    (folder / "smsc-filter.toml").write_text(line, encoding="utf-8")
    status, out, err = run("check-config", str(folder / "smsc-filter.toml"), config=False)
    assert (status, out) == (1, "")
    assert err.startswith("smsc-filter: ")
    assert complaint in err
    assert err.count("\n") == 1


# hash-password


def test_a_password_is_hashed_for_the_config(run: Verb, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("secret\n"))
    status, out, _ = run("hash-password", config=False)
    assert status == 0
    key, _, value = out.strip().partition(" = ")
    account = AccountSettings(system_id="shop", owner="shop-ltd", password_hash=value.strip('"'))
    assert key == "password_hash"
    assert Accounts([account]).password_holds("shop", b"secret")


@pytest.mark.parametrize("password", ["", "123456789", "密码密码"])
def test_a_password_that_smpp_cannot_carry(run: Verb, monkeypatch: pytest.MonkeyPatch, password: str) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(password + "\n"))
    assert run("hash-password", config=False)[::2] == (1, "smsc-filter: SMPP passwords have 1 to 8 octets\n")


# classify


def test_a_text_a_line_gives_json_lines(run: Verb, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = "Your verification code is 428913\n【云上商城】全场五折，快来抢购！退订回T\n\nlast line without an end"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(texts.encode() + b"\n\xff")))
    status, out, err = run("classify")
    assert (status, err) == (0, "")
    made = [json.loads(line) for line in out.splitlines()]
    assert len(made) == 5
    assert all(set(each) == {"score", "commercial", "kind"} and 0 <= each["score"] <= 1 for each in made)
    assert not made[0]["commercial"]
    assert made[1]["commercial"]


def test_what_moved_a_score_adds_up_to_it(run: Verb, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO("【云上商城】全场五折，退订回T\n".encode())))
    status, out, _ = run("classify", "--explain")
    assert status == 0
    made = json.loads(out)
    said = made["explanation"]
    assert said["start"] + said["rest"] + sum(p["log_odds"] for p in said["parts"]) == pytest.approx(said["log_odds"])
    assert 1 / (1 + math.exp(-said["log_odds"])) == pytest.approx(made["score"], abs=1e-5)


# explain


def test_a_decision_in_words(run: Verb, folder: Path) -> None:
    fields = batch(987_654_321_987_654)
    engine = open_database("", folder / "var")
    (values,) = rows_from_entry(fields[b"b"], None)
    with writing(engine) as connection:
        connection.execute(decisions.insert().values(dict(zip(decisions.c.keys(), values, strict=False))))
    engine.dispose()
    for name in (id_to_text(987_654_321_987_654), id_to_text(987_654_321_987_654).lower(), "987654321987654"):
        status, out, _ = run("explain", name)
        assert status == 0
        assert "106900001" in out
        why = [line for line in out.splitlines() if line.startswith("Why")]
        assert len(why) == 1
        assert "is kept no more" in why[0]
        assert out.splitlines()[-1].strip().endswith(read_manifest(DEFAULT).model_id)


@pytest.mark.parametrize(("name", "complaint"), [
    pytest.param("01H4C9M2Q7R3T", "no decision 01H4C9M2Q7R3T on record", id="unknown"),
    pytest.param("12345678901234", "no decision 12345678901234 on record", id="unknown-number"),
    pytest.param("hello", "decision id 'hello' has 5 characters, 13 are expected", id="no-id"),
    pytest.param("9" * 25, "does not fit 63 bits", id="a-number-too-great"),
])  # fmt: skip
def test_a_decision_that_is_not_there(run: Verb, folder: Path, name: str, complaint: str) -> None:
    status, out, err = run("explain", name)
    assert (status, out) == (1, "")
    assert complaint in err
    assert err.count("\n") == 1


# consent import


def consent_of(folder: Path, recipient: str, owner_id: int) -> bytes | None:
    """What the hot state says, from a store started for the question."""
    store = EmbeddedStore(folder / "var" / "state")
    store.start()
    try:
        with Redis.from_url(store.url) as client:
            field = keys.consent_field(owner_id, recipient)
            found: bytes | None = client.hget(keys.consent_key(0, field), field)
            return found
    finally:
        store.stop()


def test_consents_are_taken_in_and_bind_the_next_message(run: Verb, folder: Path) -> None:
    path = folder / "consents.csv"
    path.write_text("recipient,owner,state\n13800000001,shop-ltd,granted\n13800000002,shop-ltd,refused\n", "utf-8")
    status, out, _ = run("consent", "import", str(path))
    assert status == 0
    assert "2 rows: 2 stored, 0 known before, 0 wrong" in out
    assert consent_of(folder, "8613800000001", 1) == b"%d" % ConsentState.GRANTED
    (folder / "var" / "state" / "appendonlydir").rename(folder / "lost")
    assert consent_of(folder, "8613800000001", 1) is None
    assert run("rebuild-state")[:2] == (
        0,
        "2 consents written, 0 removed that the records do not know; 0 pages of declines\n",
    )
    assert consent_of(folder, "8613800000001", 1) == b"%d" % ConsentState.GRANTED


def test_wrong_lines_are_named_and_the_others_taken(run: Verb, folder: Path) -> None:
    path = folder / "consents.csv"
    path.write_text("recipient,owner,state\nLi Wei,shop-ltd,granted\n13800000001,shop-ltd,granted\n", "utf-8")
    status, out, err = run("consent", "import", str(path))
    assert status == 1
    assert "2 rows: 1 stored, 0 known before, 1 wrong" in out
    assert "line 2" in err


@pytest.mark.parametrize(("text", "complaint"), [
    pytest.param(None, "No such file or directory", id="not-there"),
    pytest.param("", "line 1: ", id="empty"),
    pytest.param("number,state\n1,granted\n", "line 1: ", id="another-header"),
])  # fmt: skip
def test_a_file_of_no_consents(run: Verb, folder: Path, text: str | None, complaint: str) -> None:
    path = folder / "consents.csv"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    status, out, err = run("consent", "import", str(path))
    assert (status, out) == (1, "")
    assert complaint in err
    assert err.count("\n") == 1


# appeal


def test_an_appeal_is_granted_listed_and_revoked(run: Verb) -> None:
    assert run("appeal", "list")[:2] == (0, "no entries\n")
    grant = ("appeal", "grant", "--owner", "shop-ltd", "--reason", "wishes")
    status, out, _ = run(*grant, "--sender", "106900001", "--recipient", "138 0000 0001")
    assert status == 0
    assert out.startswith("entry 1: scope sender-recipients, until 20")
    assert run(*grant, "--sender", "106900001")[1].startswith("entry 2: scope sender, ")
    assert run(*grant, "--days", "1")[1].startswith("entry 3: scope owner, ")
    status, out, _ = run("appeal", "list")
    assert status == 0
    assert "wishes" in out
    assert run("appeal", "revoke", "1")[:2] == (0, "entry 1 revoked\n")
    status, _, err = run("appeal", "revoke", "1")
    assert (status, err) == (1, "smsc-filter: there is no entry 1, or it was revoked before\n")
    assert run("appeal", "revoke", "99")[0] == 1


@pytest.mark.parametrize(("options", "complaint"), [
    pytest.param(["--owner", "nobody"], "--owner nobody has no account and no sender; there are shop-ltd", id="owner"),
    pytest.param(["--recipient", "13800000001"], "--recipient needs --sender", id="recipients-of-an-owner"),
    pytest.param(
        ["--sender", "1", "--recipient", "Li"], "--recipient: 'Li' is not a phone number", id="recipient"
    ),
    pytest.param(["--days", "0"], "", id="no-days"),
    pytest.param(["--days", "-1"], "", id="days-below-0"),
])  # fmt: skip
def test_an_appeal_that_cannot_be_granted(run: Verb, options: list[str], complaint: str) -> None:
    whole = ["--owner", "shop-ltd", "--reason", "wishes", *options]
    status, out, err = run("appeal", "grant", *whole)
    assert (status, out) == (1, "")
    assert complaint in err
    assert err.count("\n") == 1
    assert run("appeal", "list")[1] == "no entries\n"


@pytest.mark.parametrize("days", ["inf", "nan", "1e12", "many"])
def test_days_that_no_calendar_has(run: Verb, days: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run("appeal", "grant", "--owner", "shop-ltd", "--reason", "wishes", "--days", days)
    assert ended.value.code == 2
    assert "argument --days" in capfd.readouterr().err
    assert run("appeal", "list")[1] == "no entries\n"


# Mistakes of the surroundings.


def test_a_config_that_is_not_there(run: Verb, folder: Path) -> None:
    (folder / "smsc-filter.toml").unlink()
    status, out, err = run("appeal", "list")
    assert (status, out) == (1, "")
    assert err.endswith("smsc-filter.toml: cannot be read: No such file or directory\n")


def test_a_store_that_is_not_there(run: Verb, folder: Path) -> None:
    text = CONFIG.format(folder=folder).replace("[state]", f'[state]\nredis_url = "unix://{folder}/none"')
    (folder / "smsc-filter.toml").write_text(text, encoding="utf-8")
    status, _, err = run("rebuild-state")
    assert status == 1
    assert err.startswith("smsc-filter: ")
    assert err.count("\n") == 1
