"""``doctor`` over an installation that is damaged on purpose; what it mends serves again, originals stay."""

from __future__ import annotations

import fcntl
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from smsc_filter.cli import main
from smsc_filter.records.database import open_database
from smsc_filter.records.errors import SqlDamaged
from smsc_filter.records.modes import make_private_folder
from smsc_filter.service import supervisor
from smsc_filter.settings import read_settings
from smsc_filter.state.aof import FOLDER
from smsc_filter.state.embedded import EmbeddedStore

CONFIG = 'data_dir = "{folder}/var"\n[state]\nmin_free_mb = 0\n'


@pytest.fixture
def var() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="doctor-") as name:
        folder = Path(name)
        (folder / "c.toml").write_text(CONFIG.format(folder=folder), encoding="utf-8")
        make_private_folder(folder / "var")
        open_database("", folder / "var").dispose()
        for path in (folder / "var").iterdir():
            path.chmod(0o600)
        yield folder / "var"


def doctor(var: Path, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    status = main(["doctor", "--config", str(var.parent / "c.toml"), *words])
    return status, capsys.readouterr().out


def spoil(path: Path, page: int = 6) -> bytes:
    octets = bytearray(path.read_bytes())
    octets[page * 4096 : (page + 8) * 4096] = bytes(8 * 4096)
    path.write_bytes(octets)
    return bytes(octets)


def test_whole_installation_is_well(var: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out = doctor(var, capsys)
    assert status == 0
    assert all(line.startswith("ok ") for line in out.splitlines()), out


def test_damaged_records_are_copied_and_the_original_kept(var: Path, capsys: pytest.CaptureFixture[str]) -> None:
    octets = spoil(var / "records.sqlite3")
    status, out = doctor(var, capsys)
    assert status == 1
    assert "bad   records" in out and "--mend" in out
    with pytest.raises(SqlDamaged, match="doctor"):
        supervisor._look_for_damage(read_settings(var.parent / "c.toml"))
    status, out = doctor(var, capsys, "--mend")
    assert status == 0, out
    (aside,) = var.glob("damaged-*")
    assert (aside / "records.sqlite3").read_bytes() == octets
    supervisor._look_for_damage(read_settings(var.parent / "c.toml"))


def test_nothing_is_replaced_under_a_running_service(var: Path, capsys: pytest.CaptureFixture[str]) -> None:
    octets = spoil(var / "records.sqlite3")
    (var / "spool").mkdir(mode=0o755)
    (var / "spool").chmod(0o755)
    with (var / "serve.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        status, out = doctor(var, capsys, "--mend")
    assert status == 1
    assert "stop it" in out
    assert (var / "records.sqlite3").read_bytes() == octets
    assert (var / "spool").stat().st_mode & 0o077 == 0  # modes are mended all the same


def test_damaged_append_only_file_and_spool_are_mended(var: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = EmbeddedStore(var / "state", "no")
    store.start()
    store.stop()
    path = next((var / "state" / FOLDER).glob("*.incr.aof"))
    path.write_bytes(b"*1\r\n$5\r\nMULTI\r\njunk\r\n*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\nb\r\n")
    (var / "spool").mkdir(mode=0o700)
    (var / "spool" / "1.spool.damaged").write_bytes(b"x")
    status, out = doctor(var, capsys, "--mend")
    assert status == 0, out
    (aside,) = var.glob("damaged-*")
    assert {each.name for each in aside.iterdir()} == {path.name, "1.spool.damaged"}
    store.start()
    store.stop()


def test_keys_model_and_rows_set_aside_are_said(var: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (var / "jitter.key").write_bytes(b"short")
    (var / "jitter.key").chmod(0o600)
    with (var.parent / "c.toml").open("a") as file:
        file.write(f'[model]\npath = "{var}/no-model"\n')
    status, out = doctor(var, capsys)
    assert status == 1
    assert "bad   keys" in out
    assert "bad   model" in out
