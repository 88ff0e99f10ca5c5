"""What is about people is closed to other users of the machine."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from smsc_filter.records.database import FILE_NAME, open_database
from smsc_filter.records.modes import close_to_others, make_private_folder
from smsc_filter.settings import read_settings, readable_by_others


@pytest.fixture(autouse=True)
def open_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_folder_is_made_private_and_an_open_one_closed(tmp_path: Path) -> None:
    made, found = tmp_path / "made" / "inner", tmp_path / "found"
    found.mkdir(mode=0o755)
    make_private_folder(made)
    make_private_folder(found)
    assert [mode_of(made), mode_of(found)] == [0o700, 0o700]


def test_a_folder_of_everybody_s_stays_open(tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)
    assert not close_to_others(tmp_path, 0o700)
    assert mode_of(tmp_path) == 0o1777


def test_records_made_by_an_earlier_version_are_closed(tmp_path: Path) -> None:
    data_dir = tmp_path / "var"
    open_database("", data_dir).dispose()
    data_dir.chmod(0o755)
    (data_dir / FILE_NAME).chmod(0o644)
    engine = open_database("", data_dir)
    with engine.connect():
        modes = {path.name: mode_of(path) for path in data_dir.iterdir()}
    engine.dispose()
    assert mode_of(data_dir) == 0o700
    assert set(modes.values()) == {0o600}


ACCOUNT = '[[accounts]]\nsystem_id = "shop"\nowner = "shop-ltd"\npassword = "secret"\n'


@pytest.mark.parametrize(
    ("content", "mode", "warned"),
    [
        pytest.param(ACCOUNT, 0o644, True, id="a password"),
        pytest.param(ACCOUNT, 0o640, False, id="the group of the service"),
        pytest.param(ACCOUNT, 0o600, False, id="closed"),
        pytest.param('[state]\nredis_url = "redis://:secret@store/0"\n', 0o644, True, id="a URL with a password"),
        pytest.param('[records]\ndatabase_url = "postgresql://me@host/name"\n', 0o644, False, id="a URL without"),
        pytest.param("[listen]\nport = 2775\n", 0o644, False, id="no secret"),
    ],
)
def test_a_readable_configuration_with_secrets_is_warned_of(
    tmp_path: Path, content: str, mode: int, warned: bool
) -> None:
    path = tmp_path / "smsc-filter.toml"
    path.write_text(f'data_dir = "{tmp_path / "var"}"\n{content}', encoding="utf-8")
    path.chmod(mode)
    warnings = readable_by_others(path, read_settings(path, {}))
    assert bool(warnings) == warned
    assert "secret@" not in str(warnings)
