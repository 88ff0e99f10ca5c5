"""The decline register in the hot state: who does not want what, at two to six octets a number.

Numbers are spread over pages of 65,536, as in a roaring bitmap:

- ``{pN}d:<number // 65536>`` is one page, a string. Below 32,768 entries it is a sorted array of four octets an
  entry: place of the number in the page (number % 65536) and code of its wish, 16 bits each, greatest octet first.
  A fuller page is a plain table of 65,536 codes (131,072 octets), 0 where nothing is declined.
- ``{pN}dw`` is the table of wishes, a hash: code, two octets -> spelling (``policy.wishes``). The codes are ids of
  SQL and never change, so that a page means the same whenever it is read.

A recipient's partition holds its entry, like all that belongs to the recipient. Asking is ``wish_of(page, place,
wishes)`` of ``scripts/wish_of.lua``, one GETRANGE for most numbers. A script that asks other things too is read
as ``Script("wish_of", "its_name")`` and gets names and place from ``page_key``, ``place`` and ``wishes_key``; what it
returns is read by ``read_wish(answer.decode())``. Only numbers of digits are in the register: see ``in_register``.

A bitmap for each channel and category was the other way: smaller once a category is declined by one number in
eleven, but a sparse list of 2,000,000 numbers touches 26,000 pages of 8 KiB for every category.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import redis
import redis.asyncio

from smsc_filter.policy.wishes import Clause, Wish, read_wish
from smsc_filter.state import keys
from smsc_filter.state.ledger import Argument, Script, ScriptCaller

PAGE_NUMBERS: Final = 65_536
DENSE_FROM: Final = 32_768
"""Entries from which a page is a plain table."""

MOST_DIGITS: Final = 15

LOOK_UP: Final = Script("wish_of", "declines")

_ENTRY = np.dtype([("place", ">u2"), ("code", ">u2")])


class Decline(NamedTuple):
    """Why a message or a call is not wanted."""

    clause: Clause
    wish: Wish


def in_register(recipient: str) -> bool:
    """Whether the register can hold a recipient: a number of at most 15 digits, as E.164 has it."""
    return recipient.isascii() and recipient.isdigit() and len(recipient) <= MOST_DIGITS and recipient[0] != "0"


def page_key(partition: int, number: int) -> str:
    """The page that holds a number."""
    return f"{{p{partition}}}d:{number // PAGE_NUMBERS}"


def place(number: int) -> int:
    """Where in its page a number stands."""
    return number % PAGE_NUMBERS


def wishes_key(partition: int) -> str:
    """The table of wishes."""
    return f"{keys.tag(partition)}dw"


def pack_page(entries: Iterable[tuple[int, int]]) -> bytes:
    """A page of (number, code), the numbers of one page, ascending and each once."""
    rows = np.array([(number % PAGE_NUMBERS, code) for number, code in entries], dtype=_ENTRY)
    if len(rows) < DENSE_FROM:
        return rows.tobytes()
    table = np.zeros(PAGE_NUMBERS, dtype=">u2")
    table[rows["place"]] = rows["code"]
    return table.tobytes()


def write_wishes(client: redis.Redis, wishes: Mapping[int, str], partitions: int) -> None:
    """Make wishes known by their codes; before any page that uses them."""
    if not wishes:
        return
    pipeline = client.pipeline(transaction=False)
    for partition in range(partitions):
        table = {code.to_bytes(2, "big"): text for code, text in wishes.items()}
        pipeline.hset(wishes_key(partition), mapping=table)  # type: ignore[arg-type]
    pipeline.execute()


def write_pages(client: redis.Redis, pages: Mapping[int, Sequence[tuple[int, int]]], partitions: int) -> None:
    """Write pages anew, each whole.

    Args:
        client: of the hot state.
        pages: page (number // 65536) -> (number, code) of every number in it, ascending; none empties the page.
        partitions: over how many the recipients are spread.
    """
    pipeline = client.pipeline(transaction=False)
    for page, entries in pages.items():
        shards: list[list[tuple[int, int]]] = [[] for _ in range(partitions)]
        for entry in entries:
            shards[keys.partition_of(str(entry[0]), partitions) if partitions > 1 else 0].append(entry)
        for partition, shard in enumerate(shards):
            name = page_key(partition, page * PAGE_NUMBERS)
            if shard:
                pipeline.set(name, pack_page(shard))
            else:
                pipeline.delete(name)
    pipeline.execute()


def written_pages(client: redis.Redis, partitions: int) -> set[int]:
    """The pages there are."""
    pages: set[int] = set()
    for partition in range(partitions):
        prefix = f"{keys.tag(partition)}d:"
        names = (name.decode() for name in client.scan_iter(match=f"{prefix}*", count=10_000))
        pages |= {int(name.removeprefix(prefix)) for name in names}
    return pages


class Declines:
    """Asks the register for whole batches."""

    def __init__(self, client: redis.asyncio.Redis, partitions: int, timeout: float) -> None:
        """Ask over ``client``; a call takes at most ``timeout`` seconds."""
        self._call = ScriptCaller(client, timeout)
        self._partitions = partitions

    async def wishes(self, recipients: Sequence[str]) -> list[Wish | None]:
        """The wish of each recipient, None where there is none; one script call per partition.

        Raises:
            RedisError, TimeoutError, OSError: the store did not answer.
        """
        found: list[Wish | None] = [None] * len(recipients)
        shards: dict[int, tuple[list[int], list[str], list[Argument]]] = {}
        for index, recipient in enumerate(recipients):
            if not in_register(recipient):
                continue
            number = int(recipient)
            partition = keys.partition_of(recipient, self._partitions)
            if partition not in shards:
                shards[partition] = [], [wishes_key(partition)], []
            asked, names, places = shards[partition]
            asked.append(index)
            names.append(page_key(partition, number))
            places.append(place(number))
        for asked, names, places in shards.values():
            answer: list[Any] = await self._call(LOOK_UP, names, places)
            for index, text in zip(asked, answer, strict=True):
                if text is not None:
                    found[index] = read_wish(text.decode())
        return found

    async def look_up(
        self, recipients: Sequence[str], categories: Sequence[str | None], channel: str, minute: int
    ) -> list[Decline | None]:
        """What speaks against a message or call to each recipient, None where nothing does.

        Args:
            recipients: n numbers, E.164 digits.
            categories: n names of what each is about, None where not known.
            channel: "sms" or "voice".
            minute: of the day in the recipients' zone, 0 to 1439.

        Raises:
            RedisError, TimeoutError, OSError: the store did not answer.
        """
        declines: list[Decline | None] = []
        for wish, category in zip(await self.wishes(recipients), categories, strict=True):
            clause = wish.declines(channel, category, minute) if wish is not None else None
            declines.append(Decline(clause, wish) if clause is not None and wish is not None else None)
        return declines

    async def close(self) -> None:
        """Let go of the connections."""
        await self._call.close()
