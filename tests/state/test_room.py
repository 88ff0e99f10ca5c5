"""What counts as too little room."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from smsc_filter.state.room import room_in

MIB = 1 << 20


@pytest.mark.parametrize(
    ("disk", "least", "trouble"),
    [
        pytest.param({}, 256, "", id="a large disk"),
        pytest.param({"f_bavail": 255}, 256, "255.0 MiB are free on the disk of data_dir, 256.0", id="nearly full"),
        pytest.param({"f_blocks": 100, "f_bavail": 6}, 256, "", id="of a small disk 5 % are enough"),
        pytest.param({"f_blocks": 100, "f_bavail": 4}, 256, "4.0 MiB are free", id="a small disk that is nearly full"),
        pytest.param({"f_favail": 0}, 256, "no inode is free", id="too many files"),
        pytest.param({"f_files": 0, "f_favail": 0}, 256, "", id="a file system without inodes"),
        pytest.param({"f_flag": os.ST_RDONLY}, 256, "mounted read-only", id="read-only"),
        pytest.param({"f_bavail": 1}, 0, "", id="not watched"),
    ],
)
def test_room(monkeypatch: pytest.MonkeyPatch, disk: dict[str, int], least: int, trouble: str) -> None:
    whole = {"f_frsize": MIB, "f_blocks": 100_000, "f_bavail": 50_000, "f_files": 10, "f_favail": 5, "f_flag": 0}
    monkeypatch.setattr(os, "statvfs", lambda _folder: SimpleNamespace(**whole | disk))
    found = room_in(Path(), least)
    assert trouble in found.trouble
    assert bool(found.trouble) == bool(trouble)


@pytest.mark.parametrize(
    ("free_mb", "little", "last"), [(256, False, False), (255, True, False), (128, True, False), (127, True, True)]
)
def test_the_last_half_is_for_what_was_answered(
    monkeypatch: pytest.MonkeyPatch, free_mb: int, little: bool, last: bool
) -> None:
    disk = SimpleNamespace(f_frsize=MIB, f_blocks=100_000, f_bavail=free_mb, f_files=10, f_favail=5, f_flag=0)
    monkeypatch.setattr(os, "statvfs", lambda _folder: disk)
    found = room_in(Path(), 256)
    assert (bool(found.trouble), found.last) == (little, last)
