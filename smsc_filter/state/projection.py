"""Writing what workers look up: consents into their buckets, small tables into theirs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

import orjson
from redis import Redis
from redis.exceptions import NoScriptError

from smsc_filter.policy.consent import ConsentStatus
from smsc_filter.policy.facts import ConsentState
from smsc_filter.policy.whitelist import WhitelistEntry
from smsc_filter.state import keys
from smsc_filter.state.ledger import Script

CALL_CONSENTS: Final = 2_000
"""Consents written in one call: some 3 ms for which nobody else is served."""


class Projected(NamedTuple):
    """One consent as the hot state is to have it."""

    recipient: str
    owner_id: int
    topic: str | None
    status: ConsentStatus
    known_ms: int
    """When the newest event happened that the records know and that is no request, 0 for none; what a reply set later
    than that stays."""
    newest_ms: int
    """When the newest event of any kind happened; a request that was sent later than that stays."""


class OutdatedError(Exception):
    """Somebody has written from newer records: read again. ``revision`` is theirs."""

    def __init__(self, revision: int) -> None:
        super().__init__(f"the hot state was written from revision {revision} of the records")
        self.revision = revision


class Projection:
    """Writes consents into the hot state."""

    def __init__(self, client: Redis, partitions: int) -> None:
        """Write over ``client``."""
        self._client = client
        self._partitions = partitions
        self._project = Script("project")

    def write(self, revision: int, consents: Iterable[Projected]) -> int:
        """Write what the records said at ``revision``.

        What a reply set is left alone until the records know it.

        Returns:
            How many were left alone.

        Raises:
            OutdatedError: somebody has written from newer records; part of ``consents`` may be written.
            redis.RedisError: the store does not answer; part may be written.
        """
        shards: dict[int, tuple[list[str], list[Any]]] = {}
        left = 0
        for consent in consents:
            partition = keys.partition_of(consent.recipient, self._partitions)
            names, arguments = shards.setdefault(partition, ([], []))
            field = keys.consent_field(consent.owner_id, consent.recipient, consent.topic)
            whole = field if consent.topic is None else keys.consent_field(consent.owner_id, consent.recipient)
            value = b"" if consent.status.state is ConsentState.NONE else keys.pack_consent(consent.status)
            names.append(keys.consent_key(partition, field))
            arguments += (field, whole, value, consent.known_ms, consent.newest_ms)
            if len(names) == CALL_CONSENTS:
                left += self._call(partition, revision, names, arguments)
                del shards[partition]
        for partition, (names, arguments) in shards.items():
            left += self._call(partition, revision, names, arguments)
        return left

    def mark(self, revision: int) -> None:
        """Note in every partition that the hot state has all that was said at ``revision``.

        Raises:
            OutdatedError: it has newer.
            redis.RedisError: the store does not answer.
        """
        for partition in range(self._partitions):
            self._call(partition, revision, [], [])

    def revision(self) -> int:
        """The oldest revision any partition was last written from; 0 in a store that is new.

        Raises:
            redis.RedisError: the store does not answer.
        """
        return min(self._revisions())

    def newest_revision(self) -> int:
        """The newest revision any partition was last written from.

        Raises:
            redis.RedisError: the store does not answer.
        """
        return max(self._revisions())

    def _revisions(self) -> list[int]:
        found: list[Any] = [self._client.get(keys.projected_key(each)) for each in range(self._partitions)]
        return [int(each or 0) for each in found]

    def pairs(self, now_ms: int) -> Iterator[list[tuple[str, int, str | None]]]:
        """What the hot state holds, some hundred (recipient, owner id, topic) at a time.

        What is no consent is removed. Requests that are open are left out: one may be on its way to the recipient, and
        then into the records.

        Raises:
            redis.RedisError: the store does not answer.
        """
        for partition in range(self._partitions):
            for first in range(0, keys.CONSENT_BUCKETS, 64):
                names = [keys.bucket_key(partition, number) for number in range(first, first + 64)]
                pipeline = self._client.pipeline(transaction=False)
                for name in names:
                    pipeline.hgetall(name)
                held: list[tuple[str, int, str | None]] = []
                for name, fields in zip(names, pipeline.execute(), strict=True):
                    for field, value in fields.items():
                        if keys.unpack_consent(value, now_ms) is ConsentState.REQUESTED:
                            continue
                        try:
                            owner_id, recipient, topic = keys.split_field(field)
                        except ValueError:
                            self._client.hdel(name, field)
                        else:
                            held.append((recipient, owner_id, topic))
                if held:
                    yield held

    def _call(self, partition: int, revision: int, names: Sequence[str], arguments: Sequence[Any]) -> int:
        all_names = [keys.projected_key(partition), keys.fresh_key(partition), *names]
        call = (len(all_names), *all_names, revision, keys.sketches_prefix(partition), *arguments)
        try:
            answer: Any = self._client.evalsha(self._project.digest, *call)
        except NoScriptError:
            answer = self._client.eval(self._project.text, *call)
        if answer < 0:
            found: Any = self._client.get(keys.projected_key(partition))
            raise OutdatedError(int(found or 0))
        return int(answer)


WHITELIST: Final = "whitelist"
"""Its field among the small tables."""


def write_whitelist(client: Redis, entries: Iterable[WhitelistEntry]) -> None:
    """Publish the appeal whitelist, whole; every worker has it within a second."""
    pipeline = client.pipeline(transaction=True)
    pipeline.hset(keys.SMALL_TABLES, WHITELIST, orjson.dumps([entry.to_dict() for entry in entries]))
    pipeline.hincrby(keys.SMALL_TABLES, "version", 1)
    pipeline.execute()
