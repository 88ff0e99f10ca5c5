"""Append-only files damaged in every way a disk knows, read and mended; a real server says whether it takes them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis import Redis

from smsc_filter.state.aof import FOLDER, MANIFEST, check_aof, mend_aof, read_commands
from smsc_filter.state.embedded import EmbeddedStore, StoreDamagedError


def command(*words: bytes) -> bytes:
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


COMMANDS = [command(b"SELECT", b"0"), *(command(b"SET", b"key-%d" % n, b"value of %d" % n) for n in range(20))]
TRANSACTION = [command(b"MULTI"), command(b"INCR", b"n"), command(b"XADD", b"s", b"1-1", b"a", b"b"), command(b"EXEC")]


def kept_of(path: Path) -> bytes:
    octets = path.read_bytes()
    return b"".join(octets[span.begin : span.end] for span in read_commands(path).kept)


def test_torn_last_command_is_told_from_damage(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"".join(COMMANDS)[:-7])
    reading = read_commands(path)
    assert (reading.torn, reading.commands) == (True, 20)
    assert kept_of(path) == b"".join(COMMANDS[:-1])


@pytest.mark.parametrize("damage", [b"\xff" * 9, b"\0" * 9, b"*3\r\n$9999"])
def test_commands_behind_a_damaged_place_are_kept(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "f"
    octets = bytearray(b"".join(COMMANDS))
    at = len(b"".join(COMMANDS[:7]))
    octets[at : at + 9] = damage
    path.write_bytes(octets)
    reading = read_commands(path)
    assert (reading.torn, reading.commands, len(reading.lost)) == (False, 20, 1)
    assert kept_of(path) == b"".join(COMMANDS[:7] + COMMANDS[8:])


def test_changed_name_of_a_command_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"".join([*COMMANDS[:3], command(b"SEU", b"a", b"b"), *COMMANDS[3:]]))
    assert kept_of(path) == b"".join(COMMANDS)


def test_half_a_transaction_at_the_end_goes_whole(tmp_path: Path) -> None:
    path = tmp_path / "f"
    for cut in (0, 5):
        path.write_bytes(b"".join(COMMANDS + TRANSACTION[:3])[: -cut or None])
        reading = read_commands(path)
        assert (reading.torn, reading.commands) == (True, len(COMMANDS))
        assert kept_of(path) == b"".join(COMMANDS)


def test_damage_in_a_transaction_costs_one_command_of_it(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"".join([*COMMANDS, *TRANSACTION[:2], b"junk", *TRANSACTION[2:], *COMMANDS[1:]]))
    reading = read_commands(path)
    assert kept_of(path) == b"".join([*COMMANDS, *TRANSACTION[1:3], *COMMANDS[1:]])
    assert reading.commands == 2 * len(COMMANDS) + 1


@given(at=st.integers(0, 900), octets=st.binary(min_size=1, max_size=40))
def test_what_is_kept_of_any_damage_can_be_read(at: int, octets: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "f"
        whole = bytearray(b"".join([*COMMANDS, *TRANSACTION]))
        whole[at : at + len(octets)] = octets
        path.write_bytes(whole)
        reading = read_commands(path)
        assert sum(span.octets for span in (*reading.kept, *reading.lost)) == len(whole)
        path.write_bytes(kept_of(path))
        again = read_commands(path)
        assert (again.lost, again.commands) == ([], reading.commands)


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="aof-") as name:
        store = EmbeddedStore(Path(name) / "state", "no")
        store.start()
        client = Redis.from_url(store.url)
        for number in range(200):
            client.set(f"key-{number}", "v" * 50)
        client.close()
        store.stop()
        yield Path(name)


def keys_in(folder: Path) -> int:
    store = EmbeddedStore(folder / "state", "no")
    try:
        store.start()
        with Redis.from_url(store.url) as client:
            return int(client.dbsize())
    finally:
        store.stop()


def mend(folder: Path) -> list[str]:
    return list(mend_aof(folder / "state", check_aof(folder / "state"), folder / "aside"))


def test_server_refuses_damage_and_starts_once_it_is_mended(folder: Path) -> None:
    path = next((folder / "state" / FOLDER).glob("*.incr.aof"))
    octets = bytearray(path.read_bytes())
    octets[len(octets) // 2 : len(octets) // 2 + 64] = b"\xff" * 64
    path.write_bytes(octets)
    with pytest.raises(StoreDamagedError, match="doctor --mend"):
        keys_in(folder)
    (damage,) = check_aof(folder / "state")
    assert (damage.path, damage.torn) == (path, False)
    assert "commands kept" in mend(folder)[0]
    assert (folder / "aside" / path.name).read_bytes() == octets
    assert check_aof(folder / "state") == []
    assert 195 <= keys_in(folder) < 200


def test_damaged_dump_is_left_out_and_the_rest_kept(folder: Path) -> None:
    base = next((folder / "state" / FOLDER).glob("*.base.rdb"))
    octets = bytearray(base.read_bytes())
    octets[len(octets) // 2] ^= 0xFF
    base.write_bytes(octets)
    (damage,) = check_aof(folder / "state")
    assert damage.path == base
    mend(folder)
    assert (folder / "aside" / base.name).read_bytes() == octets
    assert keys_in(folder) == 200


@pytest.mark.parametrize("content", [None, b"", b"\0" * 80])
def test_manifest_is_made_anew(folder: Path, content: bytes | None) -> None:
    path = folder / "state" / FOLDER / MANIFEST
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    (damage,) = check_aof(folder / "state")
    assert damage.path == path
    mend(folder)
    assert check_aof(folder / "state") == []
    assert keys_in(folder) == 200
