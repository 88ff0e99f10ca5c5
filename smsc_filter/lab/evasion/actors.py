"""Who takes part: adversaries who each play one game, and honest people and firms.

An actor is a script: all it will send, with times, fixed by a seed. It does not learn from refusals; each plays the
game it is named for as well as somebody could who knows the public caps. Adversaries and people write from phones of
one mobile operator, so that nothing is found by whose account a message came over. Two ordinary weeks in January 2026
are the stage, and the eve of the Spring Festival behind them.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from random import Random
from typing import Final, NamedTuple

from smsc_filter.lab.evasion import wordings

HOUR: Final = 3600.0
DAY: Final = 86_400.0

_SHANGHAI: Final = timedelta(hours=8)
WEEKS_BEGIN: Final = (datetime(2026, 1, 12, tzinfo=UTC) - _SHANGHAI).timestamp()
"""A Monday, 00:00 in Shanghai."""
EVE_BEGINS: Final = (datetime(2026, 2, 16, tzinfo=UTC) - _SHANGHAI).timestamp()
"""Of the Spring Festival."""

LAST_EVE: Final = datetime(2025, 1, 28, 12, tzinfo=UTC).timestamp()
CHATTED: Final = WEEKS_BEGIN - 5 * DAY
"""When friends last wrote to each other."""

MOBILE: Final = "mobile-operator"
PHONES: Final = "people"
"""The account phones write over."""

PUBLIC_HOUR: Final = 200
PUBLIC_DAY: Final = 1000
"""The caps of a phone that everybody knows."""


class Sending(NamedTuple):
    """One message an actor sends."""

    at: float
    """Epoch seconds."""
    source: str
    recipient: str
    text: str
    counts: bool = True
    """False for what an adversary sends as cover: it is no part of the campaign."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Somebody who sends."""

    name: str
    honest: bool
    owner: str
    system_id: str
    purpose: str
    senders: tuple[str, ...]
    script: Callable[[], Iterator[Sending]]
    """All it sends, in the order of time; the same each time it is called."""


def phone(number: int) -> str:
    """The number of a phone of the operator."""
    return f"86139{number:08}"


def stranger(random: Random) -> str:
    """Somebody else's number, by chance."""
    return f"86138{random.randrange(100_000_000):08}"


class Burst(NamedTuple):
    """Messages of one sender, evenly spread from ``begin`` on."""

    begin: float
    seconds: float
    source: str
    messages: int


Write = Callable[[Random], str]
Choose = Callable[[Random], str]


def _spread(
    bursts: Sequence[Burst], seed: str, text: Write, recipient: Choose = stranger
) -> Callable[[], Iterator[Sending]]:
    """A script of bursts that overlap as they like."""

    def of(index: int, burst: Burst) -> Iterator[tuple[float, int, str]]:
        step = burst.seconds / burst.messages
        for number in range(burst.messages):
            yield burst.begin + number * step, index, burst.source

    def script() -> Iterator[Sending]:
        random = Random(seed)
        for at, _, source in heapq.merge(*(of(index, burst) for index, burst in enumerate(bursts))):
            yield Sending(at, source, recipient(random), text(random))

    return script


def _texts(templates: str) -> Write:
    return lambda random: wordings.write(templates, random)


def adversaries(days: int) -> list[Actor]:
    """All of them, each at work for at most ``days`` days."""
    made: list[Actor] = []

    def phones(count: int, begin: int) -> tuple[str, ...]:
        return tuple(phone(90_000_000 + begin + number) for number in range(count))

    def add(name: str, senders: tuple[str, ...], script: Callable[[], Iterator[Sending]]) -> None:
        made.append(
            Actor(
                name=name,
                honest=False,
                owner=MOBILE,
                system_id=PHONES,
                purpose="person",
                senders=senders,
                script=script,
            )
        )

    def each_day(most: int, make: Callable[[float], list[Burst]]) -> list[Burst]:
        return [burst for day in range(min(days, most)) for burst in make(WEEKS_BEGIN + day * DAY)]

    (one,) = phones(1, 1)
    add(
        "198-hugger",
        (one,),
        _spread(
            each_day(14, lambda day: [Burst(day + hour * HOUR, HOUR, one, PUBLIC_HOUR - 2) for hour in range(9, 14)]),
            "hugger",
            _texts("hugging"),
        ),
    )
    (edge,) = phones(1, 2)
    add(
        "edge burster",
        (edge,),
        _spread(
            each_day(
                14,
                lambda day: [
                    Burst(day + hour * HOUR + side, 240, edge, PUBLIC_HOUR) for hour in (10, 15) for side in (-240, 0)
                ],
            ),
            "burster",
            _texts("bursts"),
        ),
    )
    ten = phones(10, 10)
    add(
        "rotator, 10 phones",
        ten,
        _spread(
            each_day(5, lambda day: [Burst(day + 9 * HOUR + at, 10 * HOUR, one, 950) for at, one in enumerate(ten)]),
            "rotator-10",
            _texts("rotated"),
        ),
    )
    for name, begin, words in (
        ("rotator, 100 phones", 100, "rotated"),
        # The same game in the tone of a friend, which the classifier takes for one.
        ("rotator, 100 phones, private tone", 300, "rotated-in-private"),
    ):
        hundred = phones(100, begin)
        add(
            name,
            hundred,
            _spread(
                each_day(2, partial(_hundredfold, hundred)),
                name,
                _texts(words),
            ),
        )
    five = phones(5, 20)
    add(
        "paraphraser, 5 phones",
        five,
        _spread(
            each_day(5, lambda day: [Burst(day + 10 * HOUR + at, 6 * HOUR, one, 900) for at, one in enumerate(five)]),
            "paraphraser",
            _texts("paraphrases"),
        ),
    )
    drips = phones(10, 30)
    add(
        "drip, 10 phones",
        drips,
        _spread(
            each_day(
                14, lambda day: [Burst(day + 9 * HOUR + 61 * at, 12 * HOUR, one, 48) for at, one in enumerate(drips)]
            ),
            "drip",
            _texts("dripped"),
        ),
    )
    (counter,) = phones(1, 3)
    add(
        "number enumerator",
        (counter,),
        _enumerated(each_day(14, lambda day: [Burst(day + hour * HOUR, HOUR, counter, 180) for hour in range(9, 14)])),
    )
    offering = phones(5, 40)
    add(
        "greeting with offer",
        offering,
        _spread(
            [Burst(EVE_BEGINS + 18 * HOUR + at, 6 * HOUR, one, 1_980) for at, one in enumerate(offering) if days],
            "greeting-with-offer",
            _texts("offering-wishes"),
        ),
    )
    laundry = "106990001"
    made.append(
        Actor(
            name="launderer",
            honest=False,
            owner="gift-ltd",
            system_id="gift",
            purpose="service",
            senders=(laundry,),
            script=_laundered(each_day(3, lambda day: [Burst(day + 9 * HOUR, 10 * HOUR, laundry, 10_000)])),
        )
    )
    return made


def _hundredfold(phones: Sequence[str], day: float) -> list[Burst]:
    return [Burst(day + 9 * HOUR + at, 8 * HOUR, one, 240) for at, one in enumerate(phones)]


def _enumerated(bursts: Sequence[Burst]) -> Callable[[], Iterator[Sending]]:
    """A script that counts its recipients up."""
    spread = _spread(bursts, "enumerator", _texts("counted-up"))

    def script() -> Iterator[Sending]:
        for number, sending in enumerate(spread()):
            yield sending._replace(recipient=f"86138{50_000_000 + number:08}")

    return script


def _laundered(bursts: Sequence[Burst]) -> Callable[[], Iterator[Sending]]:
    """A script of which every other message is what the port is registered for."""
    spread = _spread(bursts, "launderer", _texts("laundered"))

    def script() -> Iterator[Sending]:
        random = Random("cover")
        for number, sending in enumerate(spread()):
            yield sending if number % 2 else sending._replace(text=wordings.write("cover", random), counts=False)

    return script


# The honest.


def firms(days: int) -> list[Actor]:
    """A school, a clinic, a bank and a courier, each at work for ``days`` days."""

    def daily(name: str, port: str, templates: str, bursts: Sequence[tuple[float, float, int]], size: int) -> Actor:
        known = Random(name)
        circle = [stranger(known) for _ in range(size)]
        all_bursts = [
            Burst(WEEKS_BEGIN + day * DAY + begin * HOUR, hours * HOUR, port, messages)
            for day in range(days)
            for begin, hours, messages in bursts
        ]
        return Actor(
            name=name,
            honest=True,
            owner=f"{name}-ltd",
            system_id=name,
            purpose="service",
            senders=(port,),
            script=_spread(all_bursts, name, _texts(templates), lambda random: random.choice(circle)),
        )

    return [
        daily("school", "106980001", "school", [(7.5, 0.2, 600), (16.0, 0.3, 600)], 1_200),
        daily("clinic", "106980002", "clinic", [(8.0, 10.0, 300)], 4_000),
        daily("bank", "106980003", "bank", [(6.0, 17.0, 3_000)], 20_000),
        daily("courier", "106980004", "courier", [(8.0, 11.0, 1_500)], 15_000),
    ]


BURST_SIZES: Final = ((15, 55), (40, 30), (120, 10), (260, 4), (450, 1))
"""Wishes a person sends on the eve, and how many of a hundred people send so many."""


class Circle(NamedTuple):
    """A person, and whom it knows."""

    phone: str
    wishes_to: tuple[str, ...]
    wrote: tuple[str, ...]
    """Those of them who have written to it within the last weeks."""
    last_year: tuple[str, ...]
    """Those it sent wishes to a year ago."""


def circles(people: int) -> list[Circle]:
    """The contact graph of the people who send wishes: the same for the same number of them.

    Friends are phones of this operator or of others. Most of a small circle has written lately, of a large one every
    second or third, and four in five of them had wishes a year ago too.
    """
    random = Random("circles")
    sizes, weights = zip(*BURST_SIZES, strict=True)
    found = []
    for number in range(people):
        size = random.choices(sizes, weights)[0]
        friends = {
            phone(random.randrange(people)) if random.random() < 0.4 else stranger(random) for _ in range(size)
        }  # fmt: skip
        friends.discard(phone(number))
        its = tuple(sorted(friends))
        lately = random.betavariate(5, 3) if size <= 40 else random.betavariate(5, 6)
        wrote = tuple(friend for friend in its if random.random() < lately)
        before = tuple(friend for friend in its if random.random() < 0.8)
        found.append(Circle(phone(number), its, wrote, before))
    return found


def greeters(known: Sequence[Circle]) -> Actor:
    """People who wish their friends a happy New Year, each in a burst of a message every three seconds or so."""

    def script() -> Iterator[Sending]:
        random = Random("greeters")
        plan: list[tuple[float, int, str]] = []
        for number, circle in enumerate(known):
            # Most write towards midnight; the longest burst takes half an hour.
            at = EVE_BEGINS + 18 * HOUR + 5.4 * HOUR * random.betavariate(4, 2)
            for friend in circle.wishes_to:
                plan.append((at, number, friend))
                at += random.uniform(2.0, 5.0)
        plan.sort()
        for at, number, friend in plan:
            yield Sending(at, known[number].phone, friend, wordings.write("wishes", random))

    return Actor(
        name="people with wishes",
        honest=True,
        owner=MOBILE,
        system_id=PHONES,
        purpose="person",
        senders=tuple(circle.phone for circle in known),
        script=script,
    )
