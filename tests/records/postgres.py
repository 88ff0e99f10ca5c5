"""A private PostgreSQL for the tests, from the binaries of the machine."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

START_SECONDS = 60


class NoPostgresError(Exception):
    """There are no binaries."""


def binaries() -> Path:
    """The folder of ``initdb`` and ``postgres``, newest first.

    Raises:
        NoPostgresError: there is none.
    """
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda each: -int(each.parts[-3]))
    on_path = shutil.which("initdb")
    for initdb in [*found, *([Path(on_path)] if on_path else [])]:
        if (initdb.parent / "postgres").exists():
            return initdb.parent
    raise NoPostgresError("no PostgreSQL: install the package postgresql, or put initdb and postgres on PATH")


@contextmanager
def running_postgres() -> Iterator[str]:
    """The start of a database URL on a server that lives as long as the block; a database's name completes it."""
    folder = binaries()
    # The server refuses to run as root, so another user owns it all.
    user = "nobody" if os.getuid() == 0 else pwd.getpwuid(os.getuid()).pw_name
    if os.getuid() == 0 and _exists("postgres"):
        user = "postgres"
    account = pwd.getpwnam(user)
    with tempfile.TemporaryDirectory(prefix="postgres-", ignore_cleanup_errors=True) as directory:
        os.chown(directory, account.pw_uid, account.pw_gid)
        data = Path(directory) / "data"
        identity = {} if os.getuid() else {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
        common = {"cwd": directory, "env": {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}, **identity}
        subprocess.run(
            [folder / "initdb", "-D", data, "-U", "tests", "-A", "trust", "-E", "UTF8", "--no-sync"],
            check=True, stdout=subprocess.DEVNULL, timeout=START_SECONDS, **common,
        )  # fmt: skip
        with (Path(directory) / "log").open("wb") as log:
            server = subprocess.Popen(
                [folder / "postgres", "-D", data, "-k", directory, "-h", "", "-F", "-c", "full_page_writes=off"],
                stdout=subprocess.DEVNULL, stderr=log, **common,
            )  # fmt: skip
        try:
            _wait(server, directory)
            yield f"postgresql+psycopg://tests@/{{name}}?host={directory}"
        finally:
            server.send_signal(signal.SIGINT)  # fast: connections are closed
            server.wait(START_SECONDS)


def _exists(user: str) -> bool:
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True


def _wait(server: subprocess.Popen[bytes], directory: str) -> None:
    for _ in range(START_SECONDS * 100):
        try:
            psycopg.connect(f"host={directory} user=tests dbname=postgres").close()
        except psycopg.OperationalError:
            try:
                status = server.wait(0.01)
            except subprocess.TimeoutExpired:
                continue
            raise AssertionError((Path(directory) / "log").read_text() + f"status {status}") from None
        return
    raise AssertionError(f"PostgreSQL does not answer within {START_SECONDS} s")
