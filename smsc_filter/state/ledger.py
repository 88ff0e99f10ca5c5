"""One question and one settlement for a whole batch: a script call each per partition.

Commands one at a time, or in a client's pipeline, cost 20 to 80 times as much a message as one call of a script
that takes the batch.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import time
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from typing import Any, Final, NamedTuple

import hiredis
import orjson
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from smsc_filter.policy.facts import ConsentState, Sender, Window
from smsc_filter.policy.quota import spent
from smsc_filter.policy.record import ROW, BatchHeader, OutcomeRow, pack_batch, pack_outcomes
from smsc_filter.policy.verdict import Cause, Finding
from smsc_filter.sms.udh import Part
from smsc_filter.state import keys
from smsc_filter.state.settings import StateSettings

RETRY_SECONDS: Final = 0.02
"""Pause before a call is tried again while the store is away."""

SOURCE: Final = ROW.index("source")

BIND_SECONDS: Final = 15.0
"""How long a bind counts after it was last kept alive."""

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


class GiveBack(NamedTuple):
    """Quota that was spent on messages which the SMSC then did not take."""

    sender: str
    spent_at_ms: int


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
        self._worker = worker
        self._remember_ms = int(remember_parts * 1000)
        self.keep_sketches_ms = 30 * 86_400_000
        """How long the sketch of a text is kept in case it is refused; whoever knows the rules sets it."""
        self._look_up = Script("look_up")
        self._spend = Script("spend")
        self._settle = Script("settle")
        self._bind = Script("bind")
        # Unlike any number of an earlier process of the same name, and exact as a double.
        self._batch = int(time.time() * 1000) * 1000
        self._refusal_tails: dict[str, tuple[tuple[Window, ...], tuple[bytes, ...]]] = {}

    async def _call(self, script: Script, names: Sequence[str], arguments: Sequence[Argument]) -> Any:
        """Run a script; while the store is away try again, as long as patience lasts.

        Raises:
            StoreUnavailable: it stayed away, or refused.
        """
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
                arguments += (part.part.number, bytes((part.data_coding,)) + part.octets)
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
                known[index] = _known_parts(flat)
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

    async def spend(
        self,
        now: float,
        header: BatchHeader,
        rows: Sequence[list[Any]],
        charged: Sequence[Sender | None],
    ) -> dict[int, Finding]:
        """Spend the quota of a batch and put its decisions in the durable stream, atomically per partition.

        Args:
            now: seconds since the epoch.
            header: what all records of the batch share.
            rows: n decision records, see ``policy.record``; the partition of its source address holds each.
            charged: n senders whose quota is charged one message, None where nothing is.

        Returns:
            Row -> why it is refused, for those whose sender has nothing left.

        Raises:
            StoreUnavailable: the store did not answer; whether it counted the batch is not known.
        """
        if self.partitions == 1:
            return await self._spend_in(0, now, header, rows, charged)
        shards: dict[int, list[int]] = {}
        for index, row in enumerate(rows):
            home = keys.partition_of(row[SOURCE], self.partitions)
            shards.setdefault(home, []).append(index)
        refusals: dict[int, Finding] = {}
        for partition, indexes in shards.items():
            found = await self._spend_in(
                partition, now, header, [rows[i] for i in indexes], [charged[i] for i in indexes]
            )
            refusals.update((indexes[at], finding) for at, finding in found.items())
        return refusals

    async def _spend_in(
        self,
        partition: int,
        now: float,
        header: BatchHeader,
        rows: Sequence[list[object]],
        charged: Sequence[Sender | None],
    ) -> dict[int, Finding]:
        """The part of a batch that belongs to one partition."""
        # By address, whose hash is remembered; that of a sender would be made anew for each message.
        by_sender: dict[str, tuple[Sender, list[int]]] = {}
        for row, sender in enumerate(charged):
            if sender is not None:
                address = sender.address
                if address in by_sender:
                    by_sender[address][1].append(row)
                else:
                    by_sender[address] = sender, [row]
        self._batch += 1
        names = [keys.decisions_key(partition), keys.applied_key(partition, self._worker)]
        arguments: list[Argument] = [
            self._batch,
            int(now * 1000),
            pack_batch(header, rows),
            len(by_sender),
        ]
        for sender, its_rows in by_sender.values():
            names.append(keys.quota_key(partition, sender.address))
            arguments += (len(its_rows), ",".join(map(str, its_rows)), len(sender.windows))
            known = self._refusal_tails.get(sender.address)
            # A measure can change the caps of a sender; what is remembered is of the caps it was made for.
            tails = known[1] if known is not None and known[0] is sender.windows else self._remember_tails(sender)
            for window, tail in zip(sender.windows, tails, strict=True):
                arguments += (window.seconds * 1000, window.cap, tail)
        answer = await self._call(self._spend, names, arguments)
        refusals = {}
        for index, (sender, its_rows) in enumerate(by_sender.values()):
            admitted, stopped_by = answer[2 * index], answer[2 * index + 1]
            if admitted < len(its_rows):
                finding = spent(sender.address, sender.windows[stopped_by - 1])
                for row in its_rows[admitted:]:
                    refusals[row] = finding
        return refusals

    def _remember_tails(self, sender: Sender) -> tuple[bytes, ...]:
        """How the record of a refusal ends, for each window of a sender: written by us, kept by the script."""
        if len(self._refusal_tails) > 65_536:
            self._refusal_tails.clear()
        tails = []
        for window in sender.windows:
            finding = spent(sender.address, window)
            assert finding.cause is not None
            values = orjson.dumps(
                [
                    finding.cause.value,
                    finding.cause.status,
                    finding.sentence,
                    finding.article,
                ]
            )
            tails.append(b"," + values[1:])
        self._refusal_tails[sender.address] = sender.windows, tuple(tails)
        return tuple(tails)

    async def settle(self, outcomes: Sequence[OutcomeRow], give_back: Mapping[GiveBack, int]) -> None:
        """Put on record what the SMSC answered, and give back what it refused.

        Args:
            outcomes: what the SMSC said of messages that were admitted.
            give_back: how many messages, by sender and time of spending.

        Raises:
            StoreUnavailable: the store did not answer.
        """
        shards: dict[int, tuple[list[str], list[Argument]]] = {0: ([], [])}
        for (sender, spent_at_ms), number in give_back.items():
            partition = keys.partition_of(sender, self.partitions)
            names, arguments = shards.setdefault(partition, ([], []))
            names.append(keys.quota_key(partition, sender))
            arguments += (spent_at_ms, number)
        for partition, (names, arguments) in shards.items():
            stream = keys.decisions_key(partition)
            record = pack_outcomes(outcomes if partition == 0 else [])
            self._batch += 1
            applied = keys.applied_key(partition, self._worker)
            await self._call(self._settle, [stream, applied, *names], [self._batch, record, *arguments])

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


def _known_parts(flat: Sequence[bytes]) -> KnownParts:
    """A long message from its fields and values."""
    parts: dict[int, tuple[int, bytes]] = {}
    refused = None
    for name, value in zip(flat[::2], flat[1::2], strict=True):
        if name == REFUSED_PART:
            refused = _CAUSES[value.decode()]
        else:
            parts[int(name)] = value[0], value[1:]
    return KnownParts(parts, refused)
