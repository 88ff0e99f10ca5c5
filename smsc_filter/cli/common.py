"""What verbs share: the store, progress, and how things are said."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import redis
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from smsc_filter.service.build import embedded_store
from smsc_filter.settings import Settings
from smsc_filter.state.embedded import EmbeddedStore

console = Console(stderr=True)


@contextmanager
def store(settings: Settings) -> Iterator[redis.Redis]:
    """A client of the hot state; a private store that is not being served is started for as long as it takes."""
    embedded = embedded_store(settings)
    started: EmbeddedStore | None = None
    if embedded is not None and not embedded.running():
        embedded.start()
        started = embedded
    url = embedded.url if embedded is not None else settings.state.redis_url
    try:
        client = redis.Redis.from_url(url, socket_timeout=30.0)
        try:
            yield client
        finally:
            client.close()
    finally:
        if started is not None:
            started.stop()


def progress_bar() -> Progress:
    """Progress on stderr of something that takes longer than a second."""
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        console=console, transient=True, disable=not console.is_terminal,
    )  # fmt: skip


def octets_bar() -> Progress:
    """Progress on stderr of a file that is read."""
    return Progress(
        TextColumn("{task.description}"), BarColumn(), DownloadColumn(binary_units=True), TimeElapsedColumn(),
        TimeRemainingColumn(), console=console, transient=True, disable=not console.is_terminal,
    )  # fmt: skip


def day(epoch_seconds: float) -> str:
    """A moment as people read it."""
    return datetime.fromtimestamp(epoch_seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")


def tell(text: str) -> None:
    """Say what was done, on stdout."""
    print(text)  # noqa: T201


def fail(text: str) -> int:
    """Say what went wrong, in one line on stderr; the exit status."""
    print(f"smsc-filter: {text}", file=sys.stderr)  # noqa: T201
    return 1
