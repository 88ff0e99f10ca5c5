"""What people are shown of a quota is what the store goes by."""

from __future__ import annotations

import asyncio

from redis import Redis

from smsc_filter.policy.facts import Sender, Window
from smsc_filter.policy.quota import EXACT_CAP, sender_use
from smsc_filter.state.embedded import EmbeddedStore
from smsc_filter.state.usage import spent
from tests.records.helpers import header, row

from .conftest import charge_of, ledger_at

NOW = 1_767_225_600.0


def test_logs_and_slots_are_read_as_the_store_counts_them(store: EmbeddedStore, client: Redis) -> None:
    windows = (Window(60, EXACT_CAP + 1, ""), Window(3600, 5, ""))
    writing, silent = (Sender(address, "shop-ltd", "commercial", windows) for address in ("106911", "106912"))

    async def send() -> None:
        async with ledger_at(store.url) as ledger:
            for at, messages in ((NOW, 3), (NOW + 50, 4)):
                rows = [row(number + 1) for number in range(messages)]
                await ledger.spend(at, header(), rows, [charge_of(writing)] * messages)

    asyncio.run(send())
    uses = [sender_use(writing), sender_use(silent)]
    # Five of the seven fit the hour: what is refused by one window is spent in none.
    assert spent(client, 1, uses, NOW + 50) == [{windows[0]: 5, windows[1]: 5}, dict.fromkeys(windows, 0)]
    assert spent(client, 1, uses[:1], NOW + 100) == [{windows[0]: 2, windows[1]: 5}]
    assert spent(client, 1, uses[:1], NOW + 3_600) == [{windows[0]: 0, windows[1]: 2}]
