"""The addresses and the folder of a service: waited for, shared by no second one."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from smsc_filter.service import addresses
from smsc_filter.service.addresses import FolderLock, bind_addresses, listen_on, raise_file_limit
from smsc_filter.settings import SettingsError


def test_an_address_in_use_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "RETRY_SECONDS", 0.02)

    async def run() -> None:
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            with pytest.raises(SettingsError, match=rf"listen.port = {port}: Address already in use"):
                await bind_addresses("listen", "127.0.0.1", port, 0.1)
            asyncio.get_running_loop().call_later(0.1, other.close)
            (one,) = await bind_addresses("listen", "127.0.0.1", port, 30.0)
        with one:
            assert one.getsockname()[1] == port

    asyncio.run(run())


def test_any_other_trouble_with_an_address_is_told_at_once() -> None:
    began = time.monotonic()
    with pytest.raises(SettingsError, match=r"web.host = '192.0.2.1', web.port = 80: "):
        asyncio.run(bind_addresses("web", "192.0.2.1", 80, 60.0))
    assert time.monotonic() - began < 30


def test_nobody_can_connect_before_it_listens() -> None:
    async def run() -> None:
        (one,) = await bind_addresses("listen", "127.0.0.1", 0, 0.0)
        with one:
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(one.getsockname(), timeout=5)
            await listen_on("listen", [one], 0.0)
            socket.create_connection(one.getsockname(), timeout=5).close()
            with pytest.raises(SettingsError, match="Address already in use"):
                await bind_addresses("listen", "127.0.0.1", one.getsockname()[1], 0.0)

    asyncio.run(run())


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
def test_every_address_of_either_family() -> None:
    async def run() -> None:
        (one,) = await bind_addresses("listen", "::", 0, 0.0)
        with one:
            await listen_on("listen", [one], 0.0)
            for host in ("127.0.0.1", "::1"):
                socket.create_connection((host, one.getsockname()[1]), timeout=5).close()

    asyncio.run(run())


HOLDER = """
import sys, pathlib, time
from smsc_filter.service.addresses import FolderLock
lock = FolderLock(pathlib.Path(sys.argv[1]))
print("held", flush=True)
time.sleep(600)
"""


def test_a_second_service_over_one_folder_is_refused_and_a_killed_one_leaves_no_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLDER, tmp_path], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with monkeypatch.context() as patched:
            patched.setattr(addresses, "LOCK_SECONDS", 0.05)
            with pytest.raises(SettingsError, match=rf"in use by another smsc-filter serve \(process {holder.pid}\)"):
                FolderLock(tmp_path)
        os.kill(holder.pid, signal.SIGKILL)
        FolderLock(tmp_path).release()


def test_as_many_files_as_may_be() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, before[1]), before[1]))
        raise_file_limit()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (before[1], before[1])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
