"""Who may sign in to the console, at the command line."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from smsc_filter.cli import main
from smsc_filter.records.audit import changes
from smsc_filter.records.database import open_database
from smsc_filter.records.users import check_password

PASSWORD = "correct horse battery"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "smsc-filter.toml"
    path.write_text(
        f'data_dir = "{tmp_path}"\n[[senders]]\naddress = "10690*"\nowner = "shop-ltd"\npurpose = "commercial"\n',
        encoding="utf-8",
    )
    return path


def run(monkeypatch: pytest.MonkeyPatch, config: Path, *arguments: str, stdin: str = PASSWORD) -> int:
    monkeypatch.setattr("sys.stdin", io.StringIO(stdin + "\n"))
    return main(["user", *arguments, "--config", str(config)])


def test_a_user_is_added_listed_given_another_password_and_disabled(
    monkeypatch: pytest.MonkeyPatch, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, config, "add", "mei", "--role", "operator") == 0
    assert run(monkeypatch, config, "add", "li", "--role", "provider", "--owner", "shop-ltd") == 0
    assert run(monkeypatch, config, "password", "mei", stdin="another long one") == 0
    assert run(monkeypatch, config, "disable", "li") == 0
    assert run(monkeypatch, config, "list") == 0
    said = capsys.readouterr().out
    for word in ("mei", "operator", "shop-ltd", "disabled"):
        assert word in said
    assert PASSWORD not in said
    engine = open_database("", config.parent)
    try:
        assert check_password(engine, "mei", PASSWORD) is None
        assert check_password(engine, "mei", "another long one") is not None
        assert check_password(engine, "li", PASSWORD) is None
        actions = [each.action for each in changes(engine)]
    finally:
        engine.dispose()
    assert actions == ["user-disable", "user-password", "user-add", "user-add"]


@pytest.mark.parametrize(("arguments", "stdin"), [
    pytest.param(("add", "mei", "--role", "operator"), "short", id="short-password"),
    pytest.param(("add", "Mei!", "--role", "operator"), PASSWORD, id="name"),
    pytest.param(("add", "mei", "--role", "provider"), PASSWORD, id="provider-without-owner"),
    pytest.param(("add", "mei", "--role", "viewer", "--owner", "shop-ltd"), PASSWORD, id="viewer-with-owner"),
    pytest.param(("add", "mei", "--role", "provider", "--owner", "nobody"), PASSWORD, id="unknown-owner"),
    pytest.param(("disable", "nobody"), PASSWORD, id="disable-nobody"),
    pytest.param(("password", "nobody"), PASSWORD, id="password-of-nobody"),
])  # fmt: skip
def test_what_cannot_be_is_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch, config: Path, capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...], stdin: str,
) -> None:  # fmt: skip
    assert run(monkeypatch, config, *arguments, stdin=stdin) == 1
    said = capsys.readouterr().err
    assert said.startswith("smsc-filter: ")
    assert said.count("\n") == 1
