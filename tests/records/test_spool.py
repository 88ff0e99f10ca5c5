"""Spool files: what was appended comes back, whatever happened to the writer."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from smsc_filter.records.mover import take_spools
from smsc_filter.records.spool import (
    SpoolDamagedError,
    SpoolWriter,
    closed_spools,
    pack_fields,
    read_spool,
    unpack_fields,
)
from smsc_filter.records.tables import decisions, stream_rejects

from .helpers import batch, count

ENTRIES = [{b"b": b"first", b"r": b""}, {b"o": b"second"}, {b"b": b"third"}]


def spool(directory: Path) -> Path:
    """A closed file with ``ENTRIES``."""
    with SpoolWriter(directory) as writer:
        for fields in ENTRIES:
            writer.append(fields)
    (path,) = directory.iterdir()
    return path


@given(st.dictionaries(st.binary(), st.binary()))
def test_fields_come_back(fields: dict[bytes, bytes]) -> None:
    assert unpack_fields(pack_fields(fields)) == fields


@pytest.mark.parametrize("octets", [b"\0", b"\0\0\0\5abc", b"\0\0\0\1a"])
def test_fields_that_do_not_add_up(octets: bytes) -> None:
    with pytest.raises(ValueError, match=r"half a length|announced|no value"):
        unpack_fields(octets)


def test_entries_come_back_in_order(tmp_path: Path) -> None:
    assert list(read_spool(spool(tmp_path / "spool"))) == ENTRIES


def test_a_torn_last_record_is_left_out_wherever_it_was_torn(tmp_path: Path) -> None:
    path = spool(tmp_path)
    whole = path.read_bytes()
    last = len(pack_fields(ENTRIES[2])) + 8
    for octets in range(len(whole) - last, len(whole)):
        path.write_bytes(whole[:octets])
        assert list(read_spool(path)) == ENTRIES[:2]


def test_zeros_where_the_file_grew_before_its_octets_came_are_left_out(tmp_path: Path) -> None:
    path = spool(tmp_path)
    path.write_bytes(path.read_bytes() + bytes(200))
    assert list(read_spool(path)) == ENTRIES


def test_a_record_damaged_in_the_middle_is_told(tmp_path: Path) -> None:
    path = spool(tmp_path)
    path.write_bytes(path.read_bytes().replace(b"second", b"Second"))
    entries = read_spool(path)
    assert next(entries) == ENTRIES[0]
    with pytest.raises(SpoolDamagedError, match="is damaged"):
        next(entries)


def test_a_failed_append_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    with SpoolWriter(tmp_path) as writer:
        writer.append(ENTRIES[0])
        (path,) = tmp_path.iterdir()
        file = writer._file
        assert file is not None

        class Full:
            """A disk that takes two octets more."""

            fileno, seek, close = file.fileno, file.seek, file.close

            def write(self, octets: bytes) -> int:
                if len(octets) < 20:
                    raise OSError(28, "No space left on device")
                return file.write(octets[:2])

        writer._file = Full()  # type: ignore[assignment]
        with pytest.raises(OSError, match="No space"):
            writer.append(ENTRIES[1])
        writer._file = file
        writer.append(ENTRIES[2])
    assert list(read_spool(path)) == [ENTRIES[0], ENTRIES[2]]


def test_a_file_is_taken_once_its_writer_is_gone(tmp_path: Path, engine: Engine) -> None:
    directory = tmp_path / "spool"
    writer = SpoolWriter(directory)
    writer.append(batch(1, 2))
    assert take_spools(engine, directory) == 0
    writer.close()
    writer.append(batch(3))  # another file
    assert take_spools(engine, directory) == 2
    assert len(list(directory.iterdir())) == 1
    writer.close()
    assert take_spools(engine, directory) == 1
    assert (count(engine, decisions), list(directory.iterdir())) == (3, [])


def test_a_file_taken_in_twice_adds_nothing(tmp_path: Path, engine: Engine) -> None:
    with SpoolWriter(tmp_path / "spool") as writer:
        writer.append(batch(1, 2))
        writer.append({b"x": b"nobody knows"})
    (path,) = (tmp_path / "spool").iterdir()
    kept = path.read_bytes()
    for _ in range(2):
        path.write_bytes(kept)
        assert take_spools(engine, path.parent) == 3
    assert (count(engine, decisions), count(engine, stream_rejects)) == (2, 1)


def test_a_damaged_file_is_taken_as_far_as_it_goes_and_kept(tmp_path: Path, engine: Engine) -> None:
    with SpoolWriter(tmp_path / "spool") as writer:
        for id_ in (1, 2, 3):
            writer.append(batch(id_))
    (path,) = (tmp_path / "spool").iterdir()
    octets = bytearray(path.read_bytes())
    octets[len(octets) // 2] ^= 1
    path.write_bytes(octets)
    assert take_spools(engine, path.parent) == 1
    assert [left.name for left in path.parent.iterdir()] == [path.name + ".damaged"]
    assert count(engine, decisions) == 1


def test_no_directory_is_no_file(tmp_path: Path) -> None:
    assert list(closed_spools(tmp_path / "spool")) == []
