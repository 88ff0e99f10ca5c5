"""Numbers of machines and workers, leased in the store, and the decision ids that are given under them.

A decision id is a millisecond, the number of a worker and a counter. No clock makes it unique: a worker gives ids only
of milliseconds that the store reserved under its number, a few seconds ahead at a time, and the store reserves none
twice. So ids stay unique, and a later process begins above what earlier ones gave, though the clock of the machine is
set back, a lease runs out under its holder, or two machines begin with the same number.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, NamedTuple

from smsc_filter.state import keys
from smsc_filter.state.ledger import Script, StoreUnavailable

LEASE_SECONDS: Final = 15.0
"""How long a number stays with a holder that no longer renews it."""

FOLLOWED_MS: Final = 3_000
"""Milliseconds reserved ahead in which ids follow the clock."""

SPARE_MS: Final = 1_000
"""Milliseconds reserved behind those: four million ids to go on with while the store is away."""

IDS_A_MS: Final = 1 << 12
MOST_WORKERS: Final = 256
MOST_NODES: Final = 16

LEASE: Final = Script("lease")

Run = Callable[[Script, Sequence[str], Sequence[str | bytes | int]], Awaitable[Any]]


class NumberHeldError(Exception):
    """Somebody else holds the number; the message names the holder."""


class IdsUsedUpError(StoreUnavailable):
    """The store was away for so long that no decision id is left."""


class Lease(NamedTuple):
    """A number, and the milliseconds reserved with it."""

    number: int
    first_ms: int
    last_ms: int


class DecisionIds:
    """Decision ids of one worker, each greater than the one before."""

    def __init__(self, worker: int, first_ms: int = 0, last_ms: int = (1 << 43) - 1) -> None:
        """Give ids under the number ``worker``, of the milliseconds ``first_ms`` to ``last_ms``."""
        self.worker = worker
        self._ms = first_ms
        self._count = 0
        self._last_ms = last_ms

    @property
    def at_ms(self) -> int:
        """The millisecond of the last id given."""
        return self._ms

    def go_on(self, lease: Lease) -> None:
        """Take over what was reserved: more milliseconds, or another number."""
        if lease.number != self.worker or lease.first_ms > self._last_ms:
            self.worker, self._ms, self._count = lease.number, lease.first_ms, 0
        self._last_ms = lease.last_ms

    def first(self, count: int, now: float) -> int:
        """The first of ``count`` ids that follow each other, at about ``now`` in epoch seconds.

        Raises:
            IdsUsedUpError: what is reserved is used up.
        """
        ms = min(int(now * 1000), self._last_ms - SPARE_MS)
        if ms > self._ms:
            self._ms, self._count = ms, 0
        elif self._count + count > IDS_A_MS:
            # A counter that ran over would give the ids of the next worker.
            self._ms, self._count = self._ms + 1, 0
        if self._ms > self._last_ms:
            raise IdsUsedUpError("no decision id is left until the store reserves more")
        first = self._ms << 20 | self.worker << 12 | self._count
        self._count += count
        return first


def workers_wanted(node: int, number: int) -> list[int]:
    """Numbers a worker may have: its own, then those that machines with many workers want last."""
    own = node << 4 | number
    return [own, *(other for other in range(MOST_WORKERS - 1, -1, -1) if other != own)]


def lease_call(
    kind: str, holder: str, wanted: Sequence[int], *, held: int | None = None, now: float = 0, highest_ms: int = 0
) -> tuple[list[str], list[str | bytes | int]]:
    """Keys and arguments of ``lease.lua``; ``kind`` is "w" for numbers of workers, "n" for those of machines."""
    ahead = FOLLOWED_MS + SPARE_MS if kind == "w" else 0
    held_name = "" if held is None else f"{kind}{held}"
    names = [f"{kind}{number}" for number in wanted]
    return [keys.leases_key()], [
        holder,
        int(LEASE_SECONDS * 1000),
        held_name,
        int(now * 1000),
        ahead,
        highest_ms,
        *names,
    ]


def lease_of(answer: Sequence[bytes]) -> Lease:
    """What ``lease.lua`` returned.

    Raises:
        NumberHeldError: others hold all numbers that were wanted.
    """
    name, first, last = answer
    if not name:
        raise NumberHeldError(bytes(first).decode())
    return Lease(int(bytes(name)[1:]), int(first), int(last))


class WorkerLease:
    """The number of one worker, and that of its machine, renewed as long as it lives."""

    def __init__(self, run: Run, holder: str, node: int, number: int, node_holder: str) -> None:
        """Lease over ``run`` for ``holder``; the number of the machine is ``node_holder``'s."""
        self._run = run
        self.holder = holder
        self._node = node
        self._node_holder = node_holder
        self._wanted = workers_wanted(node, number)
        self.ids: DecisionIds | None = None

    async def renew(self, now: float, highest_ms: int = 0) -> DecisionIds:
        """Keep both numbers, or take one nobody holds; ``now`` is epoch seconds.

        Raises:
            StoreUnavailable: the store did not answer.
            NumberHeldError: others hold every number.
        """
        ids = self.ids
        held = ids.worker if ids is not None else None
        wanted = self._wanted if held is None else [held, *(each for each in self._wanted if each != held)]
        at_ms = ids.at_ms if ids is not None else 0
        names, arguments = lease_call(
            "w", self.holder, wanted, held=held, now=max(now, at_ms / 1000), highest_ms=max(highest_ms, at_ms)
        )
        lease = lease_of(await self._run(LEASE, names, arguments))
        if ids is None:
            ids = self.ids = DecisionIds(*lease)
        else:
            ids.go_on(lease)
        names, arguments = lease_call("n", self._node_holder, [self._node])
        lease_of(await self._run(LEASE, names, arguments))
        return ids
