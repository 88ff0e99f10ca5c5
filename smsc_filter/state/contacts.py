"""Who writes to whom among people: one script call a batch and partition, and nothing for any other sender.

The book of a person lies in its own partition and holds a pair of days for each number: when it was last written to,
and when it last wrote. Pairs fall out once both days are older than a contact counts. Whom a person wrote to at a feast
is kept for a year as a sketch: three octets a recipient, of which one in 16 million is taken for another.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from smsc_filter.policy.facts import Standing
from smsc_filter.policy.festivals import Festival
from smsc_filter.state import keys
from smsc_filter.state.ledger import Argument, Ledger, Script

DAY_SECONDS: Final = 86_400

KEEP_DAYS: Final = 400
"""How long the book of a person who has fallen silent is kept, and a sketch: a feast of the moon moves by up to 20 days
from one year to the next."""


class Contacts:
    """Keeps the books of people."""

    def __init__(self, ledger: Ledger, contact_days: int) -> None:
        """Keep them as ``ledger`` does; who wrote within ``contact_days`` is a contact."""
        self._ledger = ledger
        self._days = contact_days
        self._write = Script("book", "write")
        self._heard = Script("book", "heard")

    async def write(
        self, written: Mapping[str, Sequence[str]], now: float, festival: Festival | None = None
    ) -> dict[str, Standing]:
        """Remember to whom people write, and say what is known of each of them then.

        Args:
            written: person -> recipients, in any number and order.
            now: epoch seconds.
            festival: that is on.

        Raises:
            StoreUnavailable: the store did not answer. The call may be repeated.
        """
        known: dict[str, Standing] = {}
        for partition, people in self._by_partition(written).items():
            names: list[str] = []
            arguments = self._head(now)
            arguments += (int(festival is not None), len(people))
            for person in people:
                names.append(keys.book_key(partition, person))
                if festival is not None:
                    feasts = (festival, festival.year_before())
                    names += [keys.feast_key(partition, person, feast.name, feast.year) for feast in feasts]
                arguments += (len(written[person]), *map(keys.number_field, written[person]))
            answer: Any = await self._ledger.call(self._write, names, arguments)
            known.update(zip(people, (Standing(*counts) for counts in answer), strict=True))
        return known

    async def hear(self, heard: Mapping[str, Sequence[str]], now: float) -> None:
        """Remember who wrote to people: person -> who wrote.

        Raises:
            StoreUnavailable: the store did not answer. The call may be repeated.
        """
        for partition, people in self._by_partition(heard).items():
            arguments = self._head(now)
            for person in people:
                arguments += (len(heard[person]), *map(keys.number_field, heard[person]))
            await self._ledger.call(self._heard, [keys.book_key(partition, person) for person in people], arguments)

    def _head(self, now: float) -> list[Argument]:
        return [int(now // DAY_SECONDS), self._days, KEEP_DAYS * DAY_SECONDS * 1000]

    def _by_partition(self, people: Iterable[str]) -> dict[int, list[str]]:
        shards: dict[int, list[str]] = {}
        for person in people:
            shards.setdefault(keys.partition_of(person, self._ledger.partitions), []).append(person)
        return shards
