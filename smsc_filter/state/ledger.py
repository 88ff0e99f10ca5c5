"""One question and one settlement for a whole batch: a script call each per partition.

Commands one at a time, or in a client's pipeline, cost 20 to 80 times as much a message as one call of a script
that takes the batch.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.resources import files
from itertools import chain
from typing import Any, Final, NamedTuple

import hiredis
import orjson
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from smsc_filter.policy.facts import ConsentState, Contacts
from smsc_filter.policy.likeness import ALIKE_PLACES
from smsc_filter.policy.quota import Charge, Use
from smsc_filter.policy.record import ROW, BatchHeader, OutcomeRow, pack_batch, pack_outcomes
from smsc_filter.policy.verdict import Cause, Finding
from smsc_filter.sms.udh import Part
from smsc_filter.state import keys
from smsc_filter.state.meters import Order, Owed, Plan, Plans, Returns
from smsc_filter.state.settings import StateSettings

RETRY_SECONDS: Final = 0.02
"""Pause before a call is tried again while the store is away."""

SOURCE: Final = ROW.index("source")
RECIPIENT: Final = ROW.index("recipient")
CAUSE: Final = ROW.index("cause")
STATUS: Final = ROW.index("command_status")
FINDINGS: Final = ROW.index("findings")

DEADLINE: Final = 4
"""Which argument of ``spend.lua`` is the deadline."""

MOST_ABANDONED: Final = 8
"""Batches that were not confirmed, of which the store may know: it remembers as many."""

BIND_SECONDS: Final = 15.0
"""How long a bind counts after it was last kept alive."""

MOST_SHARED: Final = 16_384
"""Senders whose meters are remembered."""

REFUSED_PART: Final = b"x"
"""Field of a long message that holds why it is refused."""

_CAUSES: Final = {cause.value: cause for cause in Cause}

_CONSENT_STATES: Final[Mapping[bytes | None, ConsentState]] = {
    None: ConsentState.NONE,
    **{str(int(state)).encode(): state for state in ConsentState},
}
"""Values that say all by themselves; the others hold a time."""


Argument = str | bytes | int


class StoreUnavailable(Exception):
    """The store did not answer within its patience."""


class PartSeen(NamedTuple):
    """One part of a long message, as it is remembered."""

    source: str
    recipient: str
    part: Part
    data_coding: int
    octets: bytes


class KnownParts(NamedTuple):
    """What is known of a long message."""

    parts: dict[int, tuple[int, bytes]]
    """Part number -> (data_coding, octets)."""
    refused: Cause | None
    counts: bool = True
    """Whether the part asked about is the first to come of its message, or one sent again."""


class GiveBack(NamedTuple):
    """What was spent on messages which the SMSC then did not take."""

    charge: Charge
    spent_at_ms: int


class Abandoned(NamedTuple):
    """A batch that the store did not confirm in time; it may have been spent."""

    number: int
    order: Order
    spent_at: float


class Script:
    """A script kept by the server, called by its digest."""

    def __init__(self, *names: str) -> None:
        """Read ``scripts/<name>.lua``; of several, those that come first define what the last one calls."""
        folder = files("smsc_filter.state") / "scripts"
        self.text = "\n".join((folder / f"{name}.lua").read_text(encoding="utf-8") for name in names)
        self.digest = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()


class ScriptCaller:
    """Calls scripts over connections of its own.

    The client's asyncio commands are packed in Python an argument at a time, and a batch has hundreds; its pool and its
    timeouts cost another 100 us a call. Here hiredis packs, and one timer bounds the whole call.
    """

    def __init__(self, client: Redis, timeout: float) -> None:
        """Connect as ``client`` does; a call takes at most ``timeout`` seconds."""
        self._pool = client.connection_pool
        self._timeout = timeout
        self._idle: list[Any] = []

    async def __call__(self, script: Script, keys: Sequence[str], arguments: Sequence[Argument]) -> Any:
        """Run a script, sending its text when the server does not have it (it may be a new one)."""
        command = ("EVALSHA", script.digest, len(keys), *keys, *arguments)
        try:
            return await self._run(command)
        except NoScriptError:
            return await self._run(("EVAL", script.text, *command[2:]))

    async def _run(self, command: tuple[Argument, ...]) -> Any:
        packed = hiredis.pack_command(command)  # type: ignore[arg-type]
        connection = self._idle.pop() if self._idle else self._pool.make_connection()  # type: ignore[no-untyped-call]
        # The call as a whole is bounded here; a second bound inside would only cost time.
        connection.socket_timeout = None
        try:
            async with asyncio.timeout(self._timeout):
                await connection.send_packed_command([packed])
                answer = await connection.read_response()
        except ResponseError:
            self._idle.append(connection)
            raise
        except BaseException:
            # Its answer may still come, and must not be taken for that of the next call.
            await connection.disconnect(nowait=True)
            raise
        self._idle.append(connection)
        return answer

    async def close(self) -> None:
        """Close every connection that is not in use."""
        while self._idle:
            await self._idle.pop().disconnect()


class Ledger:
    """What one worker asks of the hot state, and settles there."""

    def __init__(self, client: Redis, settings: StateSettings, worker: str, *, remember_parts: float = 3600.0) -> None:
        """Speak for ``worker`` over ``client``; parts of long messages are remembered in seconds."""
        self._client = client
        self._run = ScriptCaller(client, settings.timeout)
        self.partitions = settings.partitions
        self._patience = settings.patience
        self._timeout = settings.timeout
        self._worker = worker
        self._remember_ms = int(remember_parts * 1000)
        self.keep_sketches_ms = 30 * 86_400_000
        """How long the sketch of a text is kept in case it is refused; whoever knows the rules sets it."""
        self.seal_octets: Callable[[bytes], bytes] | None = None
        """What parts of long messages are sealed with while they are remembered; equal parts must come out equal."""
        self.open_octets: Callable[[bytes], bytes] | None = None
        self._look_up = Script("look_up")
        self.contact_seconds = 7 * 86_400
        """How long a period is in which recipients of a sender are counted; whoever knows the rules sets it."""
        self.statuses: Mapping[Cause, int] = {cause: cause.status for cause in Cause}
        """What providers are told of each cause."""
        self._spend = Script("meters", "spend")
        self._settle = Script("meters", "settle")
        self._undo = Script("undo")
        self._campaigns = Script("campaigns")
        self._bind = Script("bind")
        # Unlike any number of an earlier process of the same name, and exact as a double.
        self._batches = [int(time.time() * 1000) * 1000] * settings.partitions
        self._clock_ahead_ms: dict[int, float] = {}
        """By partition, how far the store's clock is ahead of the monotonic one, at the least."""
        self._abandoned: dict[int, deque[Abandoned]] = {}
        self._plans = Plans()
        self._meters: dict[tuple[int, bool], tuple[tuple[Use, ...], list[tuple[int, Plan, str, str]]]] = {}
        """What a sender shares, as orders take it: home, plan, key and name of each meter."""

    async def _call(
        self, script: Script, names: Sequence[str], arguments: Sequence[Argument], deadline: float | None = None
    ) -> Any:
        """Run a script; while the store is away try again, as long as patience lasts, or until ``deadline``.

        Raises:
            StoreUnavailable: it stayed away, or refused.
        """
        if deadline is None:
            deadline = time.monotonic() + self._patience
        while True:
            try:
                return await self._run(script, names, arguments)
            except (RedisConnectionError, RedisTimeoutError, TimeoutError, OSError) as error:
                if time.monotonic() >= deadline:
                    raise StoreUnavailable(f"the store is away: {error}") from error
                await asyncio.sleep(RETRY_SECONDS)
            except ResponseError as error:
                # Loading its data after a restart is a wait; anything else will not mend itself.
                if not str(error).startswith(("LOADING", "BUSY", "MASTERDOWN")) or time.monotonic() >= deadline:
                    raise StoreUnavailable(f"the store refused: {error}") from error
                await asyncio.sleep(RETRY_SECONDS)

    async def call(self, script: Script, names: Sequence[str], arguments: Sequence[Argument]) -> Any:
        """Run a script for somebody who shares this store.

        Raises:
            StoreUnavailable: it did not answer.
        """
        return await self._call(script, names, arguments)

    async def look_up(
        self,
        consents: Sequence[tuple[int, str]],
        parts: Sequence[PartSeen] = (),
        *,
        topics: Sequence[str | None] = (),
        sketches: Sequence[bytes] = (),
        refused: dict[int, bytes] | None = None,
        now: float | None = None,
    ) -> tuple[list[ConsentState], list[KnownParts]]:
        """Ask for consents, and remember parts and ask what is known of their messages.

        Args:
            consents: (owner id, recipient) of each message to ask for.
            parts: parts that came in this batch; each is remembered before any is asked for.
            topics: of each message; where one has a consent of its own, that one speaks. None given: of none.
            sketches: of each message, to be remembered in case its recipient refuses later; b"" for a text that is
                not. None given: of none.
            refused: takes the sketches kept of what recipients had got who have not agreed (any more), by the index
                of the message.
            now: epoch seconds; by the clock of this machine where not given.

        Returns:
            The consent states and what is known of the long messages, in the order asked.

        Raises:
            StoreUnavailable: the store did not answer.
        """
        states = [ConsentState.NONE] * len(consents)
        known: list[KnownParts | None] = [None] * len(parts)
        shards: dict[int, tuple[list[int], list[str], list[Argument], list[int]]] = {}
        partitions = self.partitions
        for index, (owner_id, recipient) in enumerate(consents):
            partition = keys.partition_of(recipient, partitions)
            shard = shards.get(partition)
            if shard is None:
                shard = shards[partition] = [], [], [], []
            sketch = sketches[index] if sketches else b""
            topic = topics[index] if topics else None
            for about in (None,) if topic is None else (None, topic):
                field = keys.consent_field(owner_id, recipient, about)
                shard[0].append(index)
                shard[1].append(keys.consent_key(partition, field))
                shard[2].append(field)
                shard[2].append(sketch)
        for index, part in enumerate(parts):
            partition = keys.partition_of(part.recipient, partitions)
            shards.setdefault(partition, ([], [], [], []))[3].append(index)
        now_ms = int((time.time() if now is None else now) * 1000)
        for partition, (asked, names, questions, of_parts) in shards.items():
            arguments: list[Argument] = [
                len(asked),
                self._remember_ms,
                keys.sketches_prefix(partition),
                self.keep_sketches_ms,
                *questions,
            ]
            for index in of_parts:
                part = parts[index]
                names.append(self._parts_key(partition, part))
                octets = part.octets if self.seal_octets is None else self.seal_octets(part.octets)
                arguments += (part.part.number, part.part.total, bytes((part.data_coding,)) + octets)
            answer = await self._call(self._look_up, names, arguments)
            for index, value in zip(asked, answer, strict=False):
                if value is None:
                    continue
                if value.__class__ is list:
                    value, kept = value
                    if refused is not None:
                        refused[index] = refused.get(index, b"") + kept
                # A consent to everything comes first, so that one to the topic has the last word.
                state = _CONSENT_STATES.get(value)
                states[index] = keys.unpack_consent(value, now_ms) if state is None else state
            for index, flat in zip(of_parts, answer[len(asked) :], strict=True):
                known[index] = _known_parts(flat[1], counts=bool(flat[0]), opened=self.open_octets)
        return states, [entry for entry in known if entry is not None]

    @staticmethod
    def _parts_key(partition: int, part: PartSeen) -> str:
        return keys.parts_key(partition, part.source, part.recipient, part.part.reference, part.part.total)

    async def refuse_parts(self, refused: Iterable[tuple[PartSeen, Cause]]) -> None:
        """Remember that long messages are refused, so that their other parts share the cause.

        Raises:
            StoreUnavailable: the store did not answer.
        """
        for part, cause in refused:
            partition = keys.partition_of(part.recipient, self.partitions)
            try:
                await self._client.hset(self._parts_key(partition, part), REFUSED_PART.decode(), cause.value)
            except (RedisError, OSError) as error:
                raise StoreUnavailable(str(error)) from error

    async def campaigns(self, sketches: Sequence[bytes], keep_seconds: int) -> list[bytes]:
        """The sketch of the first text of the campaign that each text belongs to; its own where it begins one.

        Args:
            sketches: of texts, see ``policy.likeness``.
            keep_seconds: how long a campaign is remembered after its last text.

        Raises:
            StoreUnavailable: the store did not answer.
        """
        arguments: list[Argument] = [keys.bands_prefix(), keep_seconds * 1000, ALIKE_PLACES, *sketches]
        leaders: list[bytes] = await self._call(self._campaigns, [keys.decisions_key(0)], arguments)
        return leaders

    async def spend(
        self,
        now: float,
        header: BatchHeader,
        rows: Sequence[list[Any]],
        charges: Sequence[Charge | None],
        *,
        suspicious: Sequence[int] = (),
        together: Mapping[int, Sequence[int]] | None = None,
        writers: Mapping[str, Sequence[int]] | None = None,
        contacts: dict[str, Contacts] | None = None,
    ) -> dict[int, Finding]:
        """Spend what a batch is charged and put its decisions in the durable stream.

        In one partition that is one atomic call. Of several, each message is first charged to what lies outside the
        partition of its sender, everywhere at once; then, in that partition, to the rest, together with the record.
        What was taken for a message that is refused after all is given back before this returns. In between it counts:
        another message may be refused that would have fitted, and no cap is ever exceeded.

        Args:
            now: seconds since the epoch.
            header: what all records of the batch share.
            rows: n decision records, see ``policy.record``; the partition of its source address holds each. Those
                refused outside that partition are changed to say so.
            charges: what each of the n messages is charged to, None for nothing.
            suspicious: rows that soft caps hold for.
            together: row -> rows of the same long message, which are refused with it.
            writers: sender address -> its rows, for senders whose recipients are counted, see ``contact_seconds``.
            contacts: takes what is counted of those senders now.

        Returns:
            Row -> why it is refused, for those that do not fit.

        Raises:
            StoreUnavailable: the store did not answer; whether it counted the batch is not known.
        """
        order: dict[str, Any] = {"s": suspicious} if suspicious else {}
        if together:
            order["t"] = {str(row): others for row, others in together.items()}
        found = {} if contacts is None else contacts
        if self.partitions == 1:
            here = {0: Order(0)}
            self._gather(here, charges, suspicious)
            return await self._spend_in(here[0], now, pack_batch(header, rows), order, rows, writers, found)
        return await self._spend_over(now, header, rows, charges, order, writers, found)

    async def _spend_over(
        self,
        now: float,
        header: BatchHeader,
        rows: Sequence[list[Any]],
        charges: Sequence[Charge | None],
        order: Mapping[str, Any],
        writers: Mapping[str, Sequence[int]] | None,
        contacts: dict[str, Contacts],
    ) -> dict[int, Finding]:
        """The same over several partitions."""
        homes = [self._home(row[SOURCE]) for row in rows]
        near: list[Charge | None] = []
        far: list[Charge | None] = []
        for home, charge in zip(homes, charges, strict=True):
            uses = charge.shared + charge.own if charge is not None else ()
            near.append(Charge((), tuple(use for use in uses if self._home(use.name) == home)))
            far.append(Charge((), tuple(use for use in uses if self._home(use.name) != home)))
        orders: dict[int, Order] = {}
        self._gather(orders, far, order.get("s", ()))
        owed = Owed(int(now * 1000))
        refusals: dict[int, Finding] = {}
        failures: list[BaseException] = []
        calls = [self._spend_in(each, now, b"", order) for each in orders.values()]
        for each, found in zip(orders.values(), await asyncio.gather(*calls, return_exceptions=True), strict=True):
            if isinstance(found, BaseException):
                failures.append(found)
            else:
                owed.took(each, found)
                refusals.update(found)
        if not failures:
            for row, others in (order.get("t") or {}).items():
                if int(row) in refusals:
                    refusals.update(dict.fromkeys(others, refusals[int(row)]))
            for row, finding in refusals.items():
                assert finding.cause is not None
                rows[row][CAUSE], rows[row][STATUS] = finding.cause.value, self.statuses[finding.cause]
                rows[row][FINDINGS] = [
                    *(rows[row][FINDINGS] or ()),
                    [finding.check, finding.cause.value, finding.sentence, finding.article],
                ]
                near[row] = None
            shards: dict[int, list[int]] = {}
            for index, home in enumerate(homes):
                shards.setdefault(home, []).append(index)
            at_home = [
                self._spend_at_home(
                    home,
                    indexes,
                    now,
                    header,
                    rows,
                    near,
                    order,
                    {
                        address: [row for row in its if row not in refusals]
                        for address, its in (writers or {}).items()
                        if self._home(address) == home
                    },
                    contacts,
                )
                for home, indexes in shards.items()
            ]
            for found in await asyncio.gather(*at_home, return_exceptions=True):
                if isinstance(found, BaseException):
                    failures.append(found)
                else:
                    refusals.update(found)
        # Where a call failed, all of the batch goes nowhere.
        with contextlib.suppress(StoreUnavailable):
            await self._give_back(owed.by(range(len(rows)) if failures else refusals))
        if failures:
            raise failures[0]
        return refusals

    async def _spend_at_home(
        self,
        partition: int,
        indexes: Sequence[int],
        now: float,
        header: BatchHeader,
        rows: Sequence[list[Any]],
        charges: Sequence[Charge | None],
        order: Mapping[str, Any],
        writers: Mapping[str, Sequence[int]],
        contacts: dict[str, Contacts],
    ) -> dict[int, Finding]:
        """Spend what belongs to the partition of the senders, with the records of their messages."""
        place = {index: at for at, index in enumerate(indexes)}
        here: dict[int, Order] = {partition: Order(partition)}
        mine: dict[str, Any] = {}
        if "s" in order:
            mine["s"] = [place[row] for row in order["s"] if row in place]
        self._gather(here, [charges[index] for index in indexes], mine.get("s", ()))
        if "t" in order:
            mine["t"] = {
                str(place[int(row)]): [place[other] for other in others]
                for row, others in order["t"].items()
                if int(row) in place
            }
        its = [rows[index] for index in indexes]
        wrote = {address: [place[row] for row in of_it] for address, of_it in writers.items() if of_it}
        found = await self._spend_in(here[partition], now, pack_batch(header, its), mine, its, wrote, contacts)
        return {indexes[at]: finding for at, finding in found.items()}

    def _home(self, name: str) -> int:
        return keys.partition_of(name, self.partitions)

    def _gather(self, orders: dict[int, Order], charges: Sequence[Charge | None], suspicious: Sequence[int]) -> None:
        """Add what messages are charged to the orders of the partitions it belongs to."""
        # Of what a sender shares, once for all its messages: by identity, since to hash it would cost as much again.
        shared: dict[int, tuple[tuple[Use, ...], list[int]]] = {}
        own: list[tuple[Use, int]] = []
        for row, charge in enumerate(charges):
            if charge is None:
                continue
            uses, others = charge
            if uses:
                group = shared.get(id(uses))
                if group is None:
                    shared[id(uses)] = uses, [row]
                else:
                    group[1].append(row)
            own += [(use, row) for use in others]
        held = frozenset(suspicious)
        for uses, rows in shared.values():
            for home, plan, key, name in self._meters_of(uses, soft=bool(held) and not held.isdisjoint(rows)):
                order = orders.get(home) or orders.setdefault(home, Order(home))
                order.add(plan, key, name, rows)
        plans, statuses, single = self._plans.of, self.statuses, self.partitions == 1
        for (gauge, name), row in own:
            home = 0 if single else self._home(name)
            order = orders.get(home) or orders.setdefault(home, Order(home))
            for plan in plans(gauge, statuses):
                order.add(plan, plan.key(home, name), name, (row,))

    def _meters_of(self, uses: tuple[Use, ...], *, soft: bool) -> list[tuple[int, Plan, str, str]]:
        """The meters of what a sender shares, by identity, which the reference keeps from being used again."""
        known = self._meters.get((id(uses), soft))
        if known is None:
            if len(self._meters) >= MOST_SHARED:
                self._meters.clear()
            meters = [
                (home, plan, plan.key(home, name), name)
                for gauge, name in uses
                for home in (self._home(name),)
                for plan in self._plans.of(gauge, self.statuses, soft=soft)
            ]
            known = self._meters[id(uses), soft] = uses, meters
        return known[1]

    async def _spend_in(
        self,
        order: Order,
        now: float,
        records: bytes,
        also: Mapping[str, Any],
        rows: Sequence[list[Any]] = (),
        writers: Mapping[str, Sequence[int]] | None = None,
        contacts: dict[str, Contacts] | None = None,
    ) -> dict[int, Finding]:
        """Spend an order; ``records`` are those of its rows, b"" where they are kept elsewhere."""
        partition = order.partition
        names = [keys.decisions_key(partition), keys.applied_key(partition, self._worker), *order.meters]
        told = {**order.told, **also}
        if writers:
            period = int(now // self.contact_seconds)
            told["k"] = 2 * self.contact_seconds * 1000
            told["c"] = [[value for row in its for value in (row, rows[row][RECIPIENT])] for its in writers.values()]
            for address in writers:
                names += keys.contacts_keys(partition, address, period)
        await self._undo_abandoned(partition)
        number = self._next_batch(partition)
        arguments: list[Argument] = [number, int(now * 1000), records, orjson.dumps(told), 0, *order.tails]
        try:
            refused, counts, _ = await self._call_in_time(partition, names, arguments)
        except BaseException:
            waiting = self._abandoned.setdefault(partition, deque(maxlen=MOST_ABANDONED))
            waiting.append(Abandoned(number, order, now))
            raise
        if writers and contacts is not None:
            for at, address in enumerate(writers):
                contacts[address] = Contacts(*counts[3 * at : 3 * at + 3])
        reasons: dict[tuple[int, int], Finding] = {}
        refusals = {}
        for row, meter, window in zip(refused[::3], refused[1::3], refused[2::3], strict=True):
            reason = reasons.get((meter, window))
            if reason is None:
                reason = reasons[meter, window] = order.reason(meter, window)
            refusals[row] = reason
        return refusals

    async def _call_in_time(self, partition: int, names: Sequence[str], arguments: list[Argument]) -> Any:
        """Spend, unless the store comes to it only when nobody waits for it any more.

        How far its clock is ahead is told by each answer, which came no earlier than it was made: so the deadline is
        not later by the store's clock than by ours. Where that is not known yet, or that clock was set forward, the
        store is asked twice.

        Raises:
            StoreUnavailable: it did not answer, or only when it was too late.
        """
        deadline = time.monotonic() + max(self._patience, self._timeout)
        while True:
            ahead_ms = self._clock_ahead_ms.get(partition)
            arguments[DEADLINE] = 0 if ahead_ms is None else int(deadline * 1000 + ahead_ms)
            answer = await self._call(self._spend, names, arguments, deadline)
            self._clock_ahead_ms[partition] = answer[-1] - time.monotonic() * 1000
            if len(answer) > 1:
                return answer
            if time.monotonic() >= deadline:
                raise StoreUnavailable("the store came to it too late")

    async def _undo_abandoned(self, partition: int) -> None:
        """Give back what was spent on batches that were refused because the store did not confirm them in time.

        Raises:
            StoreUnavailable: it does not answer now either.
        """
        waiting = self._abandoned.get(partition)
        while waiting:
            number, order, spent_at = waiting[0]
            flat = await self._call(self._undo, [keys.applied_key(partition, self._worker)], [number])
            if waiting and waiting[0].number == number:
                waiting.popleft()
            if flat is not None:
                owed = Owed(int(spent_at * 1000))
                owed.took(order, frozenset(flat[::3]))
                await self._give_back(owed.by(chain.from_iterable(order.meters.values())))

    def _next_batch(self, partition: int) -> int:
        """Numbers follow each other in each partition: the store remembers as many as can be under way at once."""
        self._batches[partition] += 1
        return self._batches[partition]

    async def settle(self, outcomes: Sequence[OutcomeRow], give_back: Mapping[GiveBack, int]) -> None:
        """Put on record what the SMSC answered, and give back what it refused.

        Args:
            outcomes: what the SMSC said of messages that were admitted.
            give_back: how many messages, by what they were charged and when.

        Raises:
            StoreUnavailable: the store did not answer.
        """
        shards: dict[int, Returns] = {0: []}
        for (charge, spent_at_ms), number in give_back.items():
            for use in charge.shared + charge.own:
                home = self._home(use.name)
                for plan in self._plans.of(use.gauge, self.statuses):
                    shards.setdefault(home, []).append((plan.key(home, use.name), spent_at_ms, number, plan.slots_ms))
        await self._give_back(shards, pack_outcomes(outcomes))

    async def _give_back(self, shards: Mapping[int, Returns], outcomes: bytes = b"") -> None:
        """Give back in each partition; ``outcomes`` go on record in the first."""
        for partition, returns in shards.items():
            names = [keys.decisions_key(partition), keys.applied_key(partition, self._worker)]
            names += [each[0] for each in returns]
            told = orjson.dumps([each[1:] for each in returns])
            record = outcomes if partition == 0 else b""
            await self._call(self._settle, names, [self._next_batch(partition), record, told])

    async def take_bind(self, system_id: str, holder: str, most: int, now: float) -> bool:
        """Count one more bind of an account, over all workers; False when it has ``most`` already.

        A bind counts for ``BIND_SECONDS`` and has to be kept alive by ``keep_binds``, so that those of a worker that
        fell over are free again soon.

        Raises:
            StoreUnavailable: the store did not answer.
        """
        until = int((now + BIND_SECONDS) * 1000)
        arguments: list[Argument] = [holder, int(now * 1000), until, most]
        return bool(await self._call(self._bind, [keys.binds_key(system_id)], arguments))

    async def keep_binds(self, held: Sequence[tuple[str, str]], now: float) -> None:
        """Say that binds, given as (system_id, holder), still stand; does nothing while the store is away."""
        until = int((now + BIND_SECONDS) * 1000)
        if not held:
            return
        with contextlib.suppress(RedisError, OSError):
            async with self._client.pipeline(transaction=False) as pipeline:
                for system_id, holder in held:
                    pipeline.zadd(keys.binds_key(system_id), {holder: until})
                await pipeline.execute()

    async def drop_bind(self, system_id: str, holder: str) -> None:
        """Free a bind; one that cannot be freed now runs out by itself."""
        with contextlib.suppress(RedisError, OSError):
            await self._client.zrem(keys.binds_key(system_id), holder)

    async def close(self) -> None:
        """Let go of the store."""
        await self._run.close()
        await self._client.aclose()

    async def backlog_octets(self) -> int:
        """Memory taken by decisions that are not yet moved to the records; 0 while the store is away."""
        total = 0
        with contextlib.suppress(RedisError, OSError):
            for partition in range(self.partitions):
                total += await self._client.memory_usage(keys.decisions_key(partition)) or 0
        return total

    async def publish(self, key: str, field: str, value: bytes) -> None:
        """Tell something in a field of a hash; not told while the store is away."""
        with contextlib.suppress(RedisError, OSError):
            await self._client.hset(key, field, value)

    async def small_tables(self, known_version: bytes | None) -> tuple[bytes | None, dict[bytes, bytes] | None]:
        """The tables kept in process, if they changed since ``known_version``; None while nothing changed."""
        try:
            version: Any = await self._client.hget(keys.SMALL_TABLES, "version")
            if version == known_version:
                return version, None
            tables: Any = await self._client.hgetall(keys.SMALL_TABLES)
            return version, tables
        except (RedisError, OSError):
            return known_version, None


def _known_parts(flat: Sequence[bytes], *, counts: bool, opened: Callable[[bytes], bytes] | None = None) -> KnownParts:
    """A long message from its fields and values."""
    parts: dict[int, tuple[int, bytes]] = {}
    refused = None
    for name, value in zip(flat[::2], flat[1::2], strict=True):
        if name == REFUSED_PART:
            refused = _CAUSES[value.decode()]
        else:
            parts[int(name)] = value[0], value[1:] if opened is None else opened(value[1:])
    return KnownParts(parts, refused, counts)
