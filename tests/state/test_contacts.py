"""Books of people, on an embedded store: who is a contact, who was one a year ago, and a model that agrees."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

import pytest
from redis import Redis

from smsc_filter.policy.facts import Standing
from smsc_filter.policy.festivals import Festival
from smsc_filter.state import keys
from smsc_filter.state.contacts import Contacts
from tests.state.conftest import OpenLedger

DAY = 86_400.0
NOW = 20_000 * DAY + 50_000
ME, SHORTCODE = "8613900000001", "alpha"
DAYS = 90
THIS_YEAR, LAST_YEAR = Festival("spring-festival", 2027), Festival("spring-festival", 2026)


def number(index: int) -> str:
    return str(8_613_800_000_000 + index)


async def written(
    contacts: Contacts, recipients: Sequence[str], day: float = 0, feast: Festival | None = None
) -> Standing:
    return (await contacts.write({ME: recipients}, NOW + day * DAY, feast))[ME]


async def heard(contacts: Contacts, *subscribers: str, day: float = 0) -> None:
    await contacts.hear({ME: subscribers}, NOW + day * DAY)


def run(open_ledger: OpenLedger, partitions: int = 1):  # type: ignore[no-untyped-def]
    """Run a conversation with a person's book."""

    def decorate(conversation):  # type: ignore[no-untyped-def]
        async def with_ledger() -> None:
            async with open_ledger(partitions=partitions) as ledger:
                await conversation(Contacts(ledger, DAYS))

        asyncio.run(with_ledger())

    return decorate


def test_a_stranger_becomes_a_contact_by_writing_back(open_ledger: OpenLedger) -> None:
    @run(open_ledger)
    async def _(contacts: Contacts) -> None:
        first = await written(contacts, [number(1), number(2), SHORTCODE])
        assert first == Standing(0, 3, 0, 3, 0, 0, 3)
        await heard(contacts, number(1))
        # Written to again the same day, nobody counts twice; the reply does at once.
        assert await written(contacts, [number(1), number(1)]) == Standing(0, 3, 1, 3, 0, 0, 3)
        assert await written(contacts, [number(1)], day=1) == Standing(1, 3, 1, 4, 1, 0, 3)
        assert await written(contacts, [number(3)], day=2) == Standing(2, 4, 1, 2, 1, 0, 1)


def test_who_wrote_first_is_a_contact_at_the_first_answer(open_ledger: OpenLedger) -> None:
    @run(open_ledger)
    async def _(contacts: Contacts) -> None:
        await heard(contacts, number(1), SHORTCODE)
        assert await written(contacts, [number(1), SHORTCODE], day=3) == Standing(3, 2, 2, 2, 2, 0, 0)


@pytest.mark.parametrize(("days", "contacts_then"), [(DAYS, 1), (DAYS + 1, 0)])
def test_a_contact_is_one_for_90_days(open_ledger: OpenLedger, client: Redis, days: int, contacts_then: int) -> None:
    @run(open_ledger)
    async def _(contacts: Contacts) -> None:
        await written(contacts, [number(1)])
        await heard(contacts, number(1))
        later = await written(contacts, [number(1)], day=days)
        assert (later.contacts, later.answered, later.tenure_days) == (contacts_then, contacts_then, days)
        await written(contacts, [number(2)], day=2 * days + 1)
        # The book, without the sums: what is older than a contact counts is gone.
        assert client.hlen(keys.book_key(0, ME)) - 1 == 1


def test_recipients_of_the_same_feast_a_year_ago_are_known(open_ledger: OpenLedger) -> None:
    @run(open_ledger)
    async def _(contacts: Contacts) -> None:
        friends = [number(index) for index in range(300)]
        await written(contacts, friends, feast=LAST_YEAR)
        later = await written(contacts, [*friends[:250], number(1000)], day=354, feast=THIS_YEAR)
        assert (later.recipients, later.contacts, later.last_year, later.first_contacts) == (251, 0, 250, 1)
        other = await written(contacts, friends[250:], day=354, feast=Festival("christmas", 2026))
        assert other.last_year == 250, "another feast knows nobody more"


def test_a_call_that_is_repeated_counts_once(open_ledger: OpenLedger) -> None:
    @run(open_ledger)
    async def _(contacts: Contacts) -> None:
        once = await written(contacts, [number(1), number(2)], feast=THIS_YEAR)
        again = await written(contacts, [number(1), number(2)], feast=THIS_YEAR)
        assert once == again == Standing(0, 2, 0, 2, 0, 0, 2)


def test_a_clock_that_steps_back_turns_no_page(open_ledger: OpenLedger) -> None:
    @run(open_ledger)
    async def _(contacts: Contacts) -> None:
        await heard(contacts, number(1))
        await written(contacts, [number(1)], day=1)
        assert await written(contacts, [number(2)], day=-5) == Standing(1, 2, 1, 2, 1, 0, 1)


def test_people_are_kept_in_their_own_partitions(open_ledger: OpenLedger, client: Redis) -> None:
    @run(open_ledger, partitions=4)
    async def _(contacts: Contacts) -> None:
        people = {number(index): [number(index + 1)] for index in range(20)}
        await contacts.hear(people, NOW)
        known = await contacts.write(people, NOW)
        assert known == dict.fromkeys(people, Standing(0, 1, 1, 1, 1, 0, 0))
        for person in people:
            assert client.exists(keys.book_key(keys.partition_of(person, 4), person))


class Model:
    """What a book says, counted the slow way."""

    def __init__(self) -> None:
        self.sent: dict[str, list[int]] = {}
        self.heard: dict[str, list[int]] = {}
        self.first: int | None = None
        self.marks: dict[tuple[str, int], str] = {}

    @staticmethod
    def lately(days: list[int], day: int) -> bool:
        return any(day - DAYS <= one <= day for one in days)

    def hear(self, who: str, day: int) -> None:
        self.first = day if self.first is None else self.first
        self.heard.setdefault(who, []).append(day)

    def write(self, who: Sequence[str], day: int) -> Standing:
        self.first = day if self.first is None else self.first
        for one in who:
            if (one, day) not in self.marks:
                known = self.lately(self.sent.get(one, []), day) or self.lately(self.heard.get(one, []), day)
                contact = self.lately(self.heard.get(one, []), day)
                self.marks[one, day] = "contact" if contact else "known" if known else "first"
            self.sent.setdefault(one, []).append(day)
        marks = [mark for (_, then), mark in self.marks.items() if then in (day, day - 1)]
        lately = [one for one, days in self.sent.items() if self.lately(days, day)]
        answered = sum(self.lately(self.heard.get(one, []), day) for one in lately)
        first = marks.count("first")
        return Standing(day - self.first, len(lately), answered, len(marks), marks.count("contact"), 0, first)


@pytest.mark.parametrize("seed", range(5))
def test_a_book_says_what_counting_everything_says(open_ledger: OpenLedger, seed: int) -> None:
    @run(open_ledger)
    async def _(contacts: Contacts) -> None:
        chance, model, day = random.Random(seed), Model(), 0
        for _step in range(150):
            day += chance.choice((0, 0, 0, 1, 1, 2, 30, 91))
            who = [number(chance.randrange(12)) for _ in range(chance.randrange(1, 6))]
            if chance.random() < 0.4:
                for one in who:
                    model.hear(one, day)
                await heard(contacts, *who, day=day)
            else:
                assert await written(contacts, who, day=day) == model.write(who, day)
