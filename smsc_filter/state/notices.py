"""Texts of our own to subscribers, on their way from whoever writes them to the worker that has the bind.

A stream with one group of readers: each notice is taken by one worker, stays its until it is done, and goes to another
when that one is gone. A notice that has waited too long is of no use to anybody and is left out.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from redis import Redis as SyncRedis
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from smsc_filter.state import keys
from smsc_filter.state.ledger import Script

STREAM: Final = f"{keys.tag(0)}notices"
GROUP: Final = "senders"

MOST_WAITING: Final = 10_000
"""Notices kept for a bind that is away; of more the oldest are dropped."""

POSTED_SECONDS: Final = 30 * 86_400
"""How long a name is known under which a notice was posted."""

_POST_ONCE: Final = Script("notice")

IDLE_MS: Final = 60_000
"""How long a notice is with a reader that says nothing before another takes it."""


class Notice(NamedTuple):
    """One text to one subscriber."""

    recipient: str
    """MSISDN, E.164 digits."""
    text: str
    until: float
    """Epoch seconds after which it is not sent any more."""


class Taken(NamedTuple):
    """A notice as the stream has it."""

    id: bytes
    notice: Notice | None
    """None: an entry nobody can read."""


def fields_of(notice: Notice) -> dict[str, str]:
    """A notice as an entry of ``STREAM``."""
    return {"to": notice.recipient, "text": notice.text, "until": repr(notice.until)}


async def post(client: Redis, notice: Notice) -> None:
    """Have a notice sent.

    Raises:
        RedisError: the store is away; it is not.
    """
    await client.xadd(STREAM, fields_of(notice), maxlen=MOST_WAITING, approximate=True)  # type: ignore[arg-type]


def post_once(client: SyncRedis, name: str, notice: Notice) -> bool:
    """Have a notice sent; False when one was posted under that name before.

    Raises:
        RedisError: the store is away; the call may be repeated.
    """
    fields = [part for field in fields_of(notice).items() for part in field]
    posted: Any = client.eval(
        _POST_ONCE.text, 2, STREAM, f"{keys.tag(0)}posted:{name}", POSTED_SECONDS, MOST_WAITING, *fields
    )
    return bool(posted)


class NoticeReader:
    """Takes notices for one worker."""

    def __init__(self, client: Redis) -> None:
        """Read over ``client``. What methods raise is RedisError or OSError: the store is away."""
        self._client = client
        self._name = secrets.token_hex(8)

    async def begin(self) -> None:
        """Make the group where there is none."""
        try:
            await self._client.xgroup_create(STREAM, GROUP, id="0", mkstream=True)
        except ResponseError as error:
            if not str(error).startswith("BUSYGROUP"):
                raise

    async def take(self, most: int, block_ms: int) -> list[Taken]:
        """Notices to send, those that another reader left behind first; waits up to ``block_ms``."""
        claimed: Any = await self._client.xautoclaim(STREAM, GROUP, self._name, IDLE_MS, count=most)
        entries = [entry for entry in claimed[1] if entry[1] is not None]
        if not entries:
            answer: Any = await self._client.xreadgroup(GROUP, self._name, {STREAM: ">"}, count=most, block=block_ms)
            if answer:
                # RESP3 answers a map of streams, RESP2 a list of pairs.
                entries = answer[STREAM.encode()][0] if isinstance(answer, dict) else answer[0][1]
        return [Taken(id_, _read(fields)) for id_, fields in entries]

    async def done(self, ids: Sequence[bytes]) -> None:
        """Forget notices."""
        if ids:
            await self._client.xack(STREAM, GROUP, *ids)
            await self._client.xdel(STREAM, *ids)


def _read(fields: dict[bytes, bytes]) -> Notice | None:
    try:
        return Notice(fields[b"to"].decode(), fields[b"text"].decode(), float(fields[b"until"]))
    except (KeyError, ValueError):
        return None
