"""What of the system a service needs for itself: its addresses, its data folder, as many descriptors as it may have."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import resource
import socket
import time
from pathlib import Path
from typing import Final

import structlog

from smsc_filter.settings import SettingsError

log = structlog.get_logger()

BACKLOG: Final = 4096
"""Connections that wait to be accepted, as far as the system lets them (net.core.somaxconn)."""

RETRY_SECONDS: Final = 0.2

LOCK_SECONDS: Final = 2.0
"""Longest wait for the lock of a process that was killed a moment ago."""


async def bind_addresses(section: str, host: str, port: int, wait_seconds: float) -> list[socket.socket]:
    """Sockets bound to every address of ``host``, as ``section`` of the settings has it; none of them listens yet.

    An address that is in use is waited for, ``wait_seconds`` at most: what a killed service left needs a moment to end.

    Raises:
        SettingsError: the address cannot be had.
    """
    deadline = time.monotonic() + wait_seconds
    said = False
    while True:
        try:
            return _bind(host, port)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or time.monotonic() >= deadline:
                reason = error.strerror or str(error)
                raise SettingsError(f"{section}.host = {host!r}, {section}.port = {port}: {reason}") from error
            if not said:
                log.warning("address-in-use", section=section, host=host, port=port, wait_seconds=wait_seconds)
                said = True
        await asyncio.sleep(RETRY_SECONDS)


def _bind(host: str, port: int) -> list[socket.socket]:
    bound: list[socket.socket] = []
    try:
        addresses = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, kind, protocol, _, address in addresses:
            one = socket.socket(family, kind, protocol)
            bound.append(one)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                # "::" is every address of either family; a name with both has a socket for each.
                one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, host != "::")
            one.bind(address)
            one.setblocking(False)
    except OSError:
        for one in bound:
            one.close()
        raise
    return bound


async def listen_on(section: str, bound: list[socket.socket], wait_seconds: float) -> None:
    """Have bound sockets listen; another process that listens on the same address is waited for.

    Raises:
        SettingsError: it does not let go.
    """
    deadline = time.monotonic() + wait_seconds
    for one in bound:
        while True:
            try:
                one.listen(BACKLOG)
                break
            except OSError as error:
                if error.errno != errno.EADDRINUSE or time.monotonic() >= deadline:
                    host, port = one.getsockname()[:2]
                    raise SettingsError(f"{section}: {host}:{port}: {error.strerror or error}") from error
            await asyncio.sleep(RETRY_SECONDS)


class FolderLock:
    """Keeps a second service out of a data folder, for as long as this process lives."""

    def __init__(self, folder: Path) -> None:
        """Take the folder.

        Raises:
            SettingsError: another service has it, or it cannot be written.
        """
        path = folder / "serve.lock"
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise SettingsError(f"data_dir = {str(folder)!r}: {path}: {error.strerror}") from error
        deadline = time.monotonic() + LOCK_SECONDS
        while True:
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    holder = os.pread(self._descriptor, 32, 0).decode("ascii", "replace").strip()
                    os.close(self._descriptor)
                    raise SettingsError(
                        f"data_dir = {str(folder)!r} is in use by another smsc-filter serve"
                        f" (process {holder or 'unknown'}); stop it first"
                    ) from None
                time.sleep(0.02)
            except OSError as error:
                os.close(self._descriptor)
                raise SettingsError(f"data_dir = {str(folder)!r}: {path}: {error.strerror}") from error
        try:
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)
        except OSError as error:
            # It is held all the same; who comes second is not told by whom.
            log.warning("lock-not-written", file=path.name, detail=error.strerror)

    def release(self) -> None:
        """Let the next one in."""
        os.close(self._descriptor)


def raise_file_limit() -> int:
    """Let this process and its children open as many files as they may; how many that is."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (OSError, ValueError):  # "unlimited" is more than some systems take
            return soft
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
