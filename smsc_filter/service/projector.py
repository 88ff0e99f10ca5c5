"""The projector: makes the hot state say of consents what the records of law say.

It runs in the recorder all the time, and at the end of every verb that changes a consent. Any number may run at
once: ``records.outbox`` says how they keep out of each other's way.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import islice
from typing import Final

import redis
import structlog
from sqlalchemy import Engine

from smsc_filter.policy.consent import NOTHING
from smsc_filter.records import consents, outbox
from smsc_filter.records.errors import RecordsError
from smsc_filter.state.projection import OutdatedError, Projected, Projection

log = structlog.get_logger(__name__)

POLL_SECONDS: Final = 0.2
"""How often the outbox is looked at; a change made over the API or at the command line binds by then."""

LONGEST_WAIT_SECONDS: Final = 5.0

REBUILD_CONSENTS: Final = 5_000
"""Consents that are read and written together while the state is rebuilt."""

Advance = Callable[[int], object]


class Projector:
    """Brings changes from the records into the hot state. Not thread-safe."""

    def __init__(
        self,
        engine: Engine,
        client: redis.Redis,
        partitions: int,
        reply_seconds: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Read from ``engine`` and write over ``client``.

        Args:
            engine: the records of law.
            client: a client of the hot state.
            partitions: into which it is split.
            reply_seconds: how long an answer to a consent request is waited for.
            clock: epoch seconds.
        """
        self._engine = engine
        self._projection = Projection(client, partitions)
        self._reply_seconds = reply_seconds
        self._clock = clock

    def apply(self) -> int:
        """Project what the outbox holds, and return how many consents that were.

        Raises:
            SqlUnavailable, redis.RedisError: one side does not answer; what is left stays in the outbox.
        """
        total = 0
        while pending := outbox.next_pending(self._engine, reply_seconds=self._reply_seconds, now=self._clock()):
            try:
                self._projection.write(pending.revision, map(_projected, pending.consents))
                self._projection.mark(pending.revision)
            except OutdatedError as error:
                self._catch_up(error)
                continue
            outbox.done(self._engine, pending)
            total += len(pending.consents)
        return total

    def heal(self) -> bool:
        """Rebuild the hot state where it has lost what it was known to have; whether it had.

        Raises:
            SqlUnavailable, redis.RedisError: one side does not answer.
        """
        _, projected = outbox.revisions(self._engine)
        held = self._projection.revision()
        # Read after: others may be writing, and what they write is no newer than this.
        revision, _ = outbox.revisions(self._engine)
        if projected <= held <= revision:
            return False
        log.warning("projection-lost", known=projected, revision=revision, held=held)
        self.rebuild()
        return True

    def rebuild(self, advance: Advance = lambda consents: None) -> tuple[int, int]:
        """Write every consent anew, and take away what the records do not know, while traffic flows.

        A consent is written over with what it is, never taken away first, so nobody is judged by a gap.

        Args:
            advance: hears of consents written, by their number.

        Returns:
            How many were written, and how many taken away.

        Raises:
            SqlUnavailable, redis.RedisError: one side does not answer; run it again.
        """
        # Should the records come from a backup, the hot state would think them outdated.
        outbox.raise_revision(self._engine, self._projection.newest_revision())
        self.apply()
        written = 0
        for pairs in _chunks(consents.pairs_on_record(self._engine), REBUILD_CONSENTS):
            written += self._write_pairs(pairs)
            advance(len(pairs))
        removed = 0
        for held in self._projection.pairs(round(self._clock() * 1000)):
            known = self._known(held)
            gone = [each for each in held if each not in known]
            if gone:
                removed += self._remove(gone)
        revision, _ = outbox.revisions(self._engine)
        with suppress(OutdatedError):  # who has written meanwhile has marked it
            self._projection.mark(revision)
        return written, removed

    async def run(self, stop: asyncio.Event) -> None:
        """Project what comes until ``stop``; trouble on either side is logged, waited out and tried again."""
        wait, healed = POLL_SECONDS, False
        while not stop.is_set():
            try:
                if not healed:
                    await asyncio.to_thread(self.heal)
                    healed = True
                await asyncio.to_thread(self.apply)
            except Exception as error:
                # Whatever it is: without a projector no withdrawal made over the API would bind any more.
                log.warning("projector-waits", error=str(error), wait_seconds=wait)
                wait, healed = min(2 * wait, LONGEST_WAIT_SECONDS), False
            else:
                wait = POLL_SECONDS
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), wait)

    def _read(self, pairs: Iterable[tuple[str, int]]) -> tuple[int, list[Projected]]:
        revision, found = outbox.read_consents_now(
            self._engine, pairs, reply_seconds=self._reply_seconds, now=self._clock()
        )
        return revision, [_projected(each) for each in found]

    def _write_pairs(self, pairs: list[tuple[str, int]]) -> int:
        # What was read to know the pairs may be outdated by now: they are read again with their revision.
        while True:
            revision, found = self._read(pairs)
            try:
                self._projection.write(revision, found)
            except OutdatedError as error:
                self._catch_up(error)
            else:
                return len(found)

    def _known(self, held: list[tuple[str, int, str | None]]) -> set[tuple[str, int, str | None]]:
        _, found = self._read({(recipient, owner_id) for recipient, owner_id, _ in held})
        return _on_record(found)

    def _remove(self, gone: list[tuple[str, int, str | None]]) -> int:
        while True:
            revision, found = self._read({(recipient, owner_id) for recipient, owner_id, _ in gone})
            known = _on_record(found)
            nothing = [Projected(*each, NOTHING, 0, 0) for each in gone if each not in known]
            try:
                left = self._projection.write(revision, nothing)
            except OutdatedError as error:
                self._catch_up(error)
            else:
                return len(nothing) - left

    def _catch_up(self, error: OutdatedError) -> None:
        """After another projector was quicker: read again, unless the records themselves are older than its."""
        revision, _ = outbox.revisions(self._engine)
        if revision < error.revision:
            raise RecordsError(
                f"{error}, the records are at {revision}: they are of an older backup; run smsc-filter rebuild-state"
            ) from error


def _projected(consent: consents.Consent) -> Projected:
    return Projected(*consent)


def _on_record(found: Iterable[Projected]) -> set[tuple[str, int, str | None]]:
    """Those of which the records know anything."""
    return {each[:3] for each in found if each.status != NOTHING}


def _chunks(pairs: Iterable[tuple[str, int]], size: int) -> Iterator[list[tuple[str, int]]]:
    source = iter(pairs)
    while chunk := list(islice(source, size)):
        yield chunk
