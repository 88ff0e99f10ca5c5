"""What one call of the spending script is told, and what has to be given back of it.

``scripts/meters.lua`` says how the store counts. A gauge of ``policy.quota`` becomes one meter for all its windows that
are counted exactly, and one for each that is counted in slots of time.
"""

from __future__ import annotations

import struct
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any, Final

import orjson

from smsc_filter.policy.facts import Window
from smsc_filter.policy.quota import EXACT_CAP, OWN_NAME, SLOTS, Gauge, spent
from smsc_filter.policy.verdict import Cause, Finding
from smsc_filter.state import keys

LOG: Final = 0
SLOTTED: Final = 1

TIME_OCTETS: Final = 6
"""Of an entry of a log."""

MOST_PLANS: Final = 65_536
"""Gauges whose plans are remembered."""

GAP: Final = "\ue000"
"""Where a name goes into the record of a refusal: no text of ours holds a character for private use."""


def plans_of(gauge: Gauge, statuses: Mapping[Cause, int], *, soft: bool = True) -> tuple[Plan, ...]:
    """How the store keeps a gauge: one plan for all that is counted exactly, one for each window in slots.

    Args:
        gauge: what is counted.
        statuses: command_status of each cause, for records of refusals.
        soft: with its soft caps; without them senders whose public caps are equal share their plans.
    """
    windows = gauge.windows if soft else tuple(replace(window, soft=0) for window in gauge.windows)
    exact = tuple(window for window in windows if window.cap <= EXACT_CAP)
    large = tuple(window for window in windows if window.cap > EXACT_CAP)
    plans = [Plan(gauge, exact, slotted=False, statuses=statuses)] if exact else []
    return (*plans, *(Plan(gauge, (window,), slotted=True, statuses=statuses) for window in large))


class Plans:
    """The plans of gauges, each made once, and one for all gauges that differ in their name alone."""

    def __init__(self) -> None:
        self._of: dict[tuple[Gauge, bool], tuple[Plan, ...]] = {}
        self._shared: dict[object, Plan] = {}

    def __len__(self) -> int:
        """How many gauges are remembered, with soft caps and without counted apart."""
        return len(self._of)

    def of(self, gauge: Gauge, statuses: Mapping[Cause, int], *, soft: bool = False) -> tuple[Plan, ...]:
        """The plans of a gauge, see ``plans_of``."""
        known = self._of.get((gauge, soft))
        if known is None:
            if len(self._of) >= MOST_PLANS:
                self._of.clear()
                self._shared.clear()
            plans = plans_of(gauge, statuses, soft=soft)
            known = self._of[gauge, soft] = tuple(self._shared.setdefault(plan.content, plan) for plan in plans)
        return known


class Plan:
    """How the store keeps a gauge: the windows of a log, or one window in slots."""

    __slots__ = ("content", "kind", "name", "order", "prefix", "slotted", "soft", "tails", "windows")

    def __init__(
        self, gauge: Gauge, windows: tuple[Window, ...], *, slotted: bool, statuses: Mapping[Cause, int]
    ) -> None:
        self.kind = gauge.kind
        self.prefix = gauge.prefix
        self.name = None if gauge.kind in OWN_NAME else gauge.name
        """As findings say it; None where it is the name that is counted under."""
        self.windows = windows
        self.slotted = slotted
        self.soft = any(window.soft for window in windows)
        self.content = self.kind, self.prefix, self.name, windows, slotted
        """All there is to it: plans with the same are the same."""
        # How much of a key comes between its hash tag and the name.
        head = len(self.key(0, "").partition("}")[2]) if self.name is None else 0
        self.order = [SLOTTED if slotted else LOG, head]
        self.tails: list[bytes] = []
        """How the record of a refusal ends, by the cap and by the soft cap: written here, kept by the script. Each in
        two pieces, between which the name goes."""
        for window in windows:
            self.order += (window.seconds * 1000, window.cap, window.soft)
            self.tails += _tail(self._finding(window), statuses)
            self.tails += _tail(self._finding(window, soft=True), statuses) if window.soft else (b"", b"")

    @property
    def slots_ms(self) -> int:
        """Milliseconds of the window that is in slots; 0 for a log."""
        return self.windows[0].seconds * 1000 if self.slotted else 0

    def key(self, partition: int, name: str) -> str:
        """Where the store counts ``name``."""
        if self.slotted:
            return keys.slots_key(partition, self.prefix, name, self.windows[0].seconds)
        return keys.log_key(partition, self.prefix, name)

    def finding(self, window: int, name: str) -> Finding:
        """Why a message was refused: by the cap of a window, or by its soft cap as -1 - window."""
        if window < 0:
            return self._finding(self.windows[-1 - window], name, soft=True)
        return self._finding(self.windows[window], name)

    def _finding(self, window: Window, name: str = GAP, *, soft: bool = False) -> Finding:
        return spent(self.kind, name if self.name is None else self.name, window, soft=soft)


def _tail(finding: Finding, statuses: Mapping[Cause, int]) -> tuple[bytes, bytes]:
    assert finding.cause is not None
    values = orjson.dumps([finding.cause.value, statuses[finding.cause], finding.sentence, finding.article])
    before, _, after = values[1:].partition(GAP.encode())
    return b"," + before, after


class Order:
    """What one call of the script spends in one partition."""

    __slots__ = ("_numbers", "meters", "names", "partition", "plan_of", "plans")

    def __init__(self, partition: int) -> None:
        self.partition = partition
        self.plans: list[Plan] = []
        self.plan_of: dict[int, int] = {}
        self.meters: dict[str, list[int]] = {}
        """Key -> the rows charged."""
        self.names: list[str] = []
        """What each meter counts under."""
        self._numbers: list[int] = []
        """The plan of each meter."""

    def add(self, plan: Plan, key: str, name: str, rows: Sequence[int]) -> None:
        """Charge rows to ``name``, which is counted at ``key``, by one plan."""
        # By identity: to hash what a plan says costs more than the rest.
        number = self.plan_of.get(id(plan))
        if number is None:
            number = self.plan_of[id(plan)] = len(self.plans)
            self.plans.append(plan)
        meter = self.meters.get(key)
        if meter is None:
            self.meters[key] = [*rows]
            self.names.append(name)
            self._numbers.append(number)
        else:
            meter += rows
            # One sender over two accounts, and suspicious over one of them.
            if plan.soft:
                self._numbers[list(self.meters).index(key)] = number

    @property
    def told(self) -> dict[str, Any]:
        """The order as the script reads it: three lists cost it less than a list for each meter."""
        return {
            "p": [plan.order for plan in self.plans],
            "m": self._numbers,
            "n": list(map(len, self.meters.values())),
            "r": list(chain.from_iterable(self.meters.values())),
        }

    @property
    def tails(self) -> list[bytes]:
        """What the script is told of the records of refusals, plan by plan."""
        return [tail for plan in self.plans for tail in plan.tails]

    def plan(self, meter: int) -> Plan:
        """The plan of a meter, by its number."""
        return self.plans[self._numbers[meter]]

    def reason(self, meter: int, window: int) -> Finding:
        """What a refusal by a meter means."""
        return self.plan(meter).finding(window, self.names[meter])


Returns = list[tuple[str, int, int, int]]
"""Key of a meter, when it was spent in ms, how many, milliseconds of its slots' window or 0."""


class Owed:
    """What calls of the script took, in case it has to be given back."""

    def __init__(self, spent_at_ms: int) -> None:
        self._spent_at_ms = spent_at_ms
        self._took: list[tuple[Order, Container[int]]] = []

    def took(self, order: Order, refused: Container[int]) -> None:
        """An order was spent, but for the rows ``refused``."""
        self._took.append((order, refused))

    def by(self, rows: Iterable[int]) -> dict[int, Returns]:
        """What was taken for ``rows``, by partition."""
        gone = frozenset(rows)
        shards: dict[int, Returns] = {}
        for order, refused in self._took:
            for meter, (key, charged) in enumerate(order.meters.items()):
                number = sum(row in gone and row not in refused for row in charged)
                if number:
                    returned = (key, self._spent_at_ms, number, order.plan(meter).slots_ms)
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
    slot = max(now_ms * SLOTS // length_ms, last)
    if slot > last + SLOTS:
        return 0
    ring = struct.unpack_from(f">{SLOTS + 1}I", kept, struct.calcsize(">ddd"))
    return before + current - sum(int(ring[gone % (SLOTS + 1)]) for gone in range(last - SLOTS, slot - SLOTS))
