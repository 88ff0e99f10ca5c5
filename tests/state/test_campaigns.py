"""Campaigns: whoever sends it, and in whatever words, it is one, and its caps hold for all of it together."""

from __future__ import annotations

import asyncio
from itertools import product
from random import Random

import pytest
from redis import Redis

from smsc_filter.policy.facts import Facts, Sender, Window
from smsc_filter.policy.likeness import sketch
from smsc_filter.policy.quota import Charge, Quotas
from smsc_filter.policy.rules import CampaignCaps
from smsc_filter.relay.campaigns import REMEMBER_SECONDS, Campaigns
from smsc_filter.state.embedded import EmbeddedStore
from tests.records.helpers import header, row

from .conftest import OpenLedger, ledger_at

NOW = 1_767_225_600.0
DAY = 86_400
CAPS = CampaignCaps(hours=24, owner=20, all=30, suspicion_percent=50, article="practice", seen=True)

OPENINGS = ("各位邻居", "亲爱的邻居", "小区的朋友们", "邻居们好")
VERBS = ("可以办理", "能够办理", "专门办理", "快速办理")
TAILS = ("当天放款", "当日放款", "一天放款", "很快放款")


def paraphrases(number: int, seed: int = 3) -> list[str]:
    """One offer in so many dresses: other words, other numbers, other blanks and marks."""
    random = Random(seed)
    forms = [
        f"{opening}，我们{verb}小额周转，手续简单，无需抵押，额度三十万，{tail}，加微信联系"
        for opening, verb, tail in product(OPENINGS, VERBS, TAILS)
    ]
    return [f"{random.choice(forms)}{random.choice(' 。！~')}{random.randrange(10**6)}" for _ in range(number)]


OTHERS = (
    "晚上八点在老地方见面，记得带上次借的那本书", "妈，我到车站了，半小时后到家，晚饭不用等我",
    "明天的会议改到下午三点，在二楼的小会议室", "帮我带一斤苹果和两盒牛奶，谢谢",
)  # fmt: skip


def test_paraphrases_over_workers_are_one_campaign_and_other_texts_are_not(open_ledger: OpenLedger) -> None:
    async def scenario() -> list[list[str]]:
        async with open_ledger("0-1") as one, open_ledger("0-2") as two:
            workers = [Campaigns(one, DAY), Campaigns(two, DAY)]
            return [await workers[at % 2].find([text], NOW) for at, text in enumerate((*paraphrases(60), *OTHERS))]

    found = [name for names in asyncio.run(scenario()) for name in names]
    assert len(set(found[:60])) == 1
    assert len(set(found)) == 1 + len(OTHERS)


def test_the_store_is_asked_of_a_text_once_and_again_when_a_campaign_may_be_forgotten(
    client: Redis, open_ledger: OpenLedger
) -> None:
    async def scenario() -> list[str]:
        async with open_ledger() as ledger:
            campaigns = Campaigns(ledger, DAY)
            first = await campaigns.find(["http://a.example/1", OTHERS[0]], NOW)
            client.flushall()
            assert await campaigns.find([OTHERS[0], "http://a.example/1"], NOW + 1) == first[::-1]
            assert not client.dbsize()
            assert await campaigns.find([OTHERS[0]], NOW + REMEMBER_SECONDS + 1) == first[1:]
            assert client.dbsize()
            return first

    assert len(set(asyncio.run(scenario()))) == 2


def test_a_campaign_is_remembered_as_long_as_its_caps(client: Redis, open_ledger: OpenLedger) -> None:
    async def scenario() -> None:
        async with open_ledger() as ledger:
            (leader,) = await ledger.campaigns(sketch([OTHERS[0]]), DAY)
            assert leader == sketch([OTHERS[0]])[0]

    asyncio.run(scenario())
    keys = client.keys("{p0}k*")
    assert len(keys) == 16
    assert all(DAY * 1000 - 5000 < int(client.pttl(key)) <= DAY * 1000 for key in keys)


@pytest.mark.parametrize("partitions", [1, 4])
def test_ten_rotating_senders_with_one_paraphrased_text_stop_at_the_cap(
    store: EmbeddedStore, client: Redis, partitions: int
) -> None:
    """None of them comes near a cap of its own; two owners with ten numbers each stop at the cap over all."""
    quotas = Quotas(campaigns={"person": CAPS})
    hour = (Window(3600, 200, "practice"),)
    senders = [Sender(f"86139{n:08}", ("one-ltd", "two-ltd")[n // 10], "person", hour) for n in range(20)]
    texts = paraphrases(100)

    async def scenario() -> tuple[list[str], list[str]]:
        async with ledger_at(store.url, partitions=partitions) as ledger:
            campaigns = Campaigns(ledger, DAY)

            async def send(number: int, by: Sender) -> str:
                (name,) = await campaigns.find([texts[number]], NOW + number)
                charge = quotas.charge(Facts(by.owner, by, 0.8, False), "people", f"86138{number:08}")
                assert charge is not None
                values = row(number + 1)
                values[3] = by.address
                charges: list[Charge | None] = [quotas.with_campaign(charge, by, name)]
                refused = await ledger.spend(NOW + number, header(), [values], charges)
                return refused[0].sentence if refused else ""

            one = [await send(number, senders[number % 10]) for number in range(50)]
            two = [await send(number, senders[10 + number % 10]) for number in range(50, 100)]
            return one, two

    one, two = asyncio.run(scenario())
    assert (one.count(""), two.count("")) == (20, 10)
    assert {said for said in one if said} == {
        "suspicious texts like this one were sent 20 times by senders of one-ltd within 86400 s, which is the cap"
    }
    assert {said for said in two if said} == {
        "suspicious texts like this one were sent 30 times by all senders within 86400 s, which is the cap"
    }
