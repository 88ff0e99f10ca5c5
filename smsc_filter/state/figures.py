"""What a worker counts, and where it tells it: one hash in the hot state with a field a worker.

A worker adds to plain numbers, once a batch, and tells all of them twice a second; whoever serves ``/metrics`` reads
the hash when asked. The field names the installation, not its leased number: after a long cut from the store another
machine may have that number. Each worker stays a series of its own, so that one that starts anew is a counter that was
reset and no dip in a sum. A field that was not told again for ``STALE_SECONDS`` is of a worker that is no more.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from smsc_filter.policy.verdict import Cause
from smsc_filter.state import keys

KEY: Final = f"{keys.tag(0)}meters"

STALE_SECONDS: Final = 30.0

FORGET_SECONDS: Final = 86_400.0
"""Fields that were not told again for so long are deleted."""

STAGES: Final = ("decode", "score", "look-up", "judge", "spend", "batch", "upstream")
"""The road of a message: octets to messages; the classifier; facts from the store; the checks; quota and record in the
store; the whole of these as one batch waits for it; the SMSC's answer."""

SECONDS: Final = (0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
"""Upper bounds of the buckets of a stage; what is slower counts in one more."""

BATCH_SIZES: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Histogram:
    """How often values fell between bounds, and their sum."""

    __slots__ = ("_bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        """Count by ``bounds``, ascending."""
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, value: float, times: int = 1) -> None:
        """Count ``value``, for each of the messages that met it."""
        self.counts[bisect_left(self._bounds, value)] += times
        self.total += value * times


class Meter:
    """The counters of one worker."""

    def __init__(self) -> None:
        self.stages = {name: Histogram(SECONDS) for name in STAGES}
        self.batches = Histogram(BATCH_SIZES)
        self.messages = 0
        self.refused: dict[Cause, int] = dict.fromkeys(Cause, 0)
        """By cause; in observe mode what would have been."""
        self.greetings = 0
        """Texts of people that the classifier takes for a wish."""
        self.greetings_refused: dict[Cause, int] = {}
        self.smsc_refused: dict[int, int] = {}
        """By command_status: what the SMSC did not take, or did not answer."""
        self.store_failures = 0
        """Batches the store did not take."""

    def refuse(self, cause: Cause, *, greeting: bool) -> None:
        """Count one refusal."""
        self.refused[cause] += 1
        if greeting:
            self.greetings_refused[cause] = self.greetings_refused.get(cause, 0) + 1

    def tell(self, now: float, **levels: object) -> bytes:
        """All of it as it is published; ``levels`` are what goes up and down."""
        return orjson.dumps({
            "at": now,
            "stages": {name: [histogram.counts, histogram.total] for name, histogram in self.stages.items()},
            "batches": [self.batches.counts, self.batches.total],
            "messages": self.messages,
            "refused": {cause.value: count for cause, count in self.refused.items()},
            "greetings": self.greetings,
            "greetings_refused": {cause.value: count for cause, count in self.greetings_refused.items()},
            "smsc_refused": {str(status): count for status, count in self.smsc_refused.items()},
            "store_failures": self.store_failures,
            **levels,
        })  # fmt: skip


def field(machine: str, number: int) -> str:
    """The field of a worker of a machine; the next process of the same number takes it over."""
    return f"{machine}/{number}"


def read_meters(fields: Mapping[bytes, bytes], machine: str, now: float) -> dict[str, dict[str, Any]]:
    """What the workers of a machine told, by their number; what is stale is left out."""
    told: dict[str, dict[str, Any]] = {}
    for name, octets in fields.items():
        its_machine, _, number = name.decode().rpartition("/")
        if its_machine == machine:
            values = orjson.loads(octets)
            if now - values["at"] < STALE_SECONDS:
                told[number] = values
    return dict(sorted(told.items(), key=lambda item: int(item[0])))


def forgotten(fields: Mapping[bytes, bytes], now: float) -> list[bytes]:
    """The fields of workers that are no more, of any machine."""
    return [name for name, octets in fields.items() if now - orjson.loads(octets)["at"] > FORGET_SECONDS]
