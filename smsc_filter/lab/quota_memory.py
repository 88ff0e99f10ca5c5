"""What the state of quotas takes in memory: octets for each entry, measured on a private store.

Each kind of entry is loaded by itself through the script that serves, at half of the sample and at all of it: figures
that agree show that memory grows with the entries and with nothing else. What a store of a million senders and ten
million pairs takes follows from them.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import redis
import redis.asyncio
from rich.console import Console
from rich.table import Table

from smsc_filter.policy.facts import Window
from smsc_filter.policy.quota import EXACT_CAP, Charge, Gauge, Use
from smsc_filter.policy.record import BatchHeader
from smsc_filter.state import keys
from smsc_filter.state.embedded import EmbeddedStore
from smsc_filter.state.ledger import Ledger
from smsc_filter.state.settings import StateSettings

SENDERS: Final = 1_000_000
PAIRS: Final = 10_000_000
"""What the table is extrapolated to."""

RECIPIENTS: Final = 10
"""Of each sender."""

BATCH: Final = 2_000
NAME: Final = "bench"
SCANNED: Final = 5_000
NOW: Final = 1_800_000_000.0
_HEADER: Final[BatchHeader] = {"at": NOW, "model": "", "profile": "", "mode": "enforce", "worker": 0}
_PERSON: Final = Gauge("sender", "s", "a person", (Window(3600, 200, ""), Window(86_400, 1000, "")))
_FIRM: Final = Gauge("sender", "s", "a firm", (Window(86_400, EXACT_CAP + 1, ""),))
_RECIPIENT: Final = Gauge("recipient", "rservice/shop-ltd/", "", (Window(60, 10, ""), Window(86_400, 50, "")))


@dataclass(frozen=True, slots=True)
class Load:
    """One kind of entry."""

    name: str
    charge: Callable[[int], Charge | None]
    """What message number n is charged to."""
    share: int = 1
    """The sample is divided by this where an entry is large."""
    per_entry: int = 1
    """Messages of each entry, one behind the other."""
    contacts: bool = False
    total: int = SENDERS


LOADS: Final = (
    Load("person, first message of its windows", lambda n: Charge((), (Use(_PERSON, _sender(n)),))),
    Load("person, ten messages", lambda n: Charge((), (Use(_PERSON, _sender(n // 10)),)), share=10, per_entry=10),
    Load("firm, one window in slots", lambda n: Charge((), (Use(_FIRM, _sender(n)),)), share=10),
    Load("recipient of an owner, first message", lambda n: Charge((), (Use(_RECIPIENT, _number(n)),)), total=PAIRS),
    Load("pair of sender and recipient, ten a sender", lambda n: None, contacts=True, total=PAIRS),
)


def _sender(number: int) -> str:
    return f"86139{number:08}"


def _number(number: int) -> str:
    return f"86138{number:08}"


@dataclass(frozen=True, slots=True)
class Found:
    """What one load took."""

    load: Load
    half: float
    """Octets an entry at half of the sample."""
    whole: float
    entries: int


async def _spend(ledger: Ledger, load: Load, first: int, last: int) -> None:
    """Messages ``first`` to ``last``."""
    rows: list[list[Any]] = [
        [n, "", "", _sender(n // RECIPIENTS), _number(n * 7919 % PAIRS), "", "", 0, -1, "", "", 0, "", 0]
        for n in range(first, last)
    ]
    writers: dict[str, list[int]] = {}
    if load.contacts:
        for at, row in enumerate(rows):
            writers.setdefault(row[3], []).append(at)
    await ledger.spend(NOW, _HEADER, rows, [load.charge(n) for n in range(first, last)], writers=writers)


async def _octets(store: Any) -> int:
    """What all keys take but those of the decisions, and the table that finds them.

    Not ``used_memory``: buffers that are full or empty when it is asked weigh as much as thousands of entries.
    """
    octets = 0
    apart = (keys.decisions_key(0).encode(), keys.applied_key(0, NAME).encode())
    cursor = -1
    while cursor:
        cursor, found = await store.scan(max(cursor, 0), count=SCANNED)
        pipeline = store.pipeline(transaction=False)
        for key in found:
            if key not in apart:
                pipeline.memory_usage(key, samples=0)
        octets += sum(await pipeline.execute())
    table: dict[str, int] = (await store.memory_stats()).get("db.0", {})
    return octets + sum(table.values())


async def _measure(url: str, load: Load, entries: int, tell: Callable[[int], None]) -> Found:
    store: Any = redis.asyncio.Redis.from_url(url)
    ledger = Ledger(redis.asyncio.Redis.from_url(url), StateSettings(timeout=60.0), NAME)
    octets = []
    try:
        await store.flushall()
        messages = entries * load.per_entry
        for first in range(0, messages, BATCH):
            last = min(first + BATCH, messages)
            await _spend(ledger, load, first, last)
            tell(last - first)
            # The stream of decisions is none of the state of quotas.
            await store.xtrim(keys.decisions_key(0), 0, approximate=False)
            if first < messages // 2 <= last or last == messages:
                octets.append(await _octets(store) / (last / load.per_entry))
        return Found(load, octets[0], octets[-1], entries)
    finally:
        await ledger.close()
        await store.aclose()


def measure(sample: int, tell: Callable[[int], None]) -> Iterator[Found]:
    """Every load, with ``sample`` entries or a share of them."""
    with tempfile.TemporaryDirectory(prefix="sf-") as folder:
        embedded = EmbeddedStore(Path(folder), fsync="everysec")
        embedded.start()
        try:
            for load in LOADS:
                yield asyncio.run(_measure(embedded.url, load, max(2, sample // load.share), tell))
        finally:
            embedded.stop()


def show(found: Iterator[Found], console: Console) -> None:
    """Print what was found, as it is found."""
    table = Table(title="memory of the state of quotas", title_justify="left")
    table.add_column("entry")
    for heading in ("entries", "octets each, half", "octets each, all", "entries meant", "MiB"):
        table.add_column(heading, justify="right")
    for each in found:
        mebibytes = each.whole * each.load.total / 2**20
        figures = (
            f"{each.entries:,}",
            f"{each.half:.1f}",
            f"{each.whole:.1f}",
            f"{each.load.total:,}",
            f"{mebibytes:,.0f}",
        )
        table.add_row(each.load.name, *figures)
    console.print(table)
