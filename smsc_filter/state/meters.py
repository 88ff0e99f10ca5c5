"""What one call of the spending script is told, and what has to be given back of it.

``scripts/meters.lua`` says how the store counts. A gauge of ``policy.quota`` becomes one meter for all its windows that
are counted exactly, and one for each that is counted in slots of time.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Final

import orjson

from smsc_filter.policy.facts import Window
from smsc_filter.policy.quota import EXACT_CAP, SLOTS, Gauge
from smsc_filter.policy.verdict import Cause, Finding
from smsc_filter.state import keys

LOG: Final = 0
SLOTTED: Final = 1

TIME_OCTETS: Final = 6
"""Of an entry of a log."""


def plans_of(gauge: Gauge, statuses: Mapping[Cause, int]) -> tuple[Plan, ...]:
    """How the store keeps a gauge: one plan for all that is counted exactly, one for each window in slots."""
    exact = [window for window in gauge.windows if window.cap <= EXACT_CAP]
    large = [window for window in gauge.windows if window.cap > EXACT_CAP]
    plans = [Plan(gauge, exact, slotted=False, statuses=statuses)] if exact else []
    return (*plans, *(Plan(gauge, [window], slotted=True, statuses=statuses) for window in large))


class Plan:
    """How the store keeps a gauge: the windows of a log, or one window in slots."""

    __slots__ = ("gauge", "order", "slotted", "tails", "windows")

    def __init__(
        self, gauge: Gauge, windows: Sequence[Window], *, slotted: bool, statuses: Mapping[Cause, int]
    ) -> None:
        self.gauge = gauge
        self.windows = windows
        self.slotted = slotted
        self.order = [SLOTTED if slotted else LOG]
        self.tails: list[bytes] = []
        """How the record of a refusal ends, by the cap and by the soft cap: written here, kept by the script."""
        for window in windows:
            self.order += (window.seconds * 1000, window.cap, window.soft)
            for finding in (gauge.spent(window), gauge.spent(window, soft=True) if window.soft else None):
                self.tails.append(b"" if finding is None else _tail(finding, statuses))

    @property
    def slots_ms(self) -> int:
        """Milliseconds of the window that is in slots; 0 for a log."""
        return self.windows[0].seconds * 1000 if self.slotted else 0

    def key(self, partition: int, name: str) -> str:
        """Where the store counts ``name``."""
        if self.slotted:
            return keys.slots_key(partition, self.gauge.prefix, name, self.windows[0].seconds)
        return keys.log_key(partition, self.gauge.prefix, name)

    def finding(self, window: int) -> Finding:
        """Why a message was refused: by the cap of a window, or by its soft cap as -1 - window."""
        if window < 0:
            return self.gauge.spent(self.windows[-1 - window], soft=True)
        return self.gauge.spent(self.windows[window])


def _tail(finding: Finding, statuses: Mapping[Cause, int]) -> bytes:
    assert finding.cause is not None
    values = orjson.dumps([finding.cause.value, statuses[finding.cause], finding.sentence, finding.article])
    return b"," + values[1:]


class Order:
    """What one call of the script spends in one partition."""

    __slots__ = ("meters", "partition", "plan_of", "plans")

    def __init__(self, partition: int) -> None:
        self.partition = partition
        self.plans: list[Plan] = []
        self.plan_of: dict[Plan, int] = {}
        self.meters: dict[str, list[int]] = {}
        """Key -> its plan, then the rows charged."""

    def add(self, plans: Sequence[Plan], name: str, rows: Sequence[int]) -> None:
        """Charge rows to ``name`` by the plans of one gauge."""
        for plan in plans:
            key = plan.key(self.partition, name)
            meter = self.meters.get(key)
            if meter is None:
                number = self.plan_of.get(plan)
                if number is None:
                    number = self.plan_of[plan] = len(self.plans)
                    self.plans.append(plan)
                self.meters[key] = [number, *rows]
            else:
                meter += rows

    def reason(self, meter: int, window: int) -> Finding:
        """What a refusal by a meter means."""
        rows = next(islice(self.meters.values(), meter, None))
        return self.plans[rows[0]].finding(window)


Returns = list[tuple[str, int, int, int]]
"""Key of a meter, when it was spent in ms, how many, milliseconds of its slots' window or 0."""


class Owed:
    """What calls of the script took, in case it has to be given back."""

    def __init__(self, spent_at_ms: int) -> None:
        self._spent_at_ms = spent_at_ms
        self._took: list[tuple[Order, Mapping[int, Finding]]] = []

    def took(self, order: Order, refused: Mapping[int, Finding]) -> None:
        """An order was spent, but for the rows ``refused``."""
        self._took.append((order, refused))

    def by(self, rows: Iterable[int]) -> dict[int, Returns]:
        """What was taken for ``rows``, by partition."""
        gone = frozenset(rows)
        shards: dict[int, Returns] = {}
        for order, refused in self._took:
            for key, (plan, *charged) in order.meters.items():
                number = sum(row in gone and row not in refused for row in charged)
                if number:
                    returned = (key, self._spent_at_ms, number, order.plans[plan].slots_ms)
                    shards.setdefault(order.partition, []).append(returned)
        return shards


def used(plan: Plan, kept: bytes, now_ms: int) -> list[int]:
    """How much of each window of a plan is used at ``now_ms``, from what the store keeps of it.

    What a clock that ran ahead wrote counts as if it were of now, as it does when it is next spent.
    """
    if plan.slotted:
        return [_used_in_slots(kept, now_ms, plan.slots_ms)]
    times = [int.from_bytes(kept[at : at + TIME_OCTETS], "big") for at in range(0, len(kept), TIME_OCTETS)]
    return [sum(each > now_ms - window.seconds * 1000 for each in times) for window in plan.windows]


def _used_in_slots(kept: bytes, now_ms: int, length_ms: int) -> int:
    if not kept:
        return 0
    last, before, current = map(int, struct.unpack_from(">ddd", kept))
    slot = max(now_ms // -(-length_ms // SLOTS), last)
    if slot > last + SLOTS:
        return 0
    ring = struct.unpack_from(f">{SLOTS + 1}I", kept, struct.calcsize(">ddd"))
    return before + current - sum(int(ring[gone % (SLOTS + 1)]) for gone in range(last - SLOTS, slot - SLOTS))
