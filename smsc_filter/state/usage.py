"""How much of its caps something has spent, for people to look at."""

from __future__ import annotations

from collections.abc import Iterable

from redis import Redis

from smsc_filter.policy.facts import Window
from smsc_filter.policy.quota import Use
from smsc_filter.policy.verdict import Cause
from smsc_filter.state import keys
from smsc_filter.state.meters import plans_of, used

_STATUSES = {cause: cause.status for cause in Cause}


def spent(client: Redis, partitions: int, uses: Iterable[Use], now: float) -> list[dict[Window, int]]:
    """What each use has spent within each of its windows.

    Args:
        client: of the hot state; asked once for all of them.
        partitions: over how many it is spread.
        uses: what messages are charged to.
        now: epoch seconds.

    Raises:
        redis.RedisError: the store does not answer.
    """
    asked = [(use, plans_of(use.gauge, _STATUSES)) for use in uses]
    pipeline = client.pipeline(transaction=False)
    for use, plans in asked:
        for plan in plans:
            pipeline.get(plan.key(keys.partition_of(use.name, partitions), use.name))
    kept = iter(pipeline.execute())
    now_ms = int(now * 1000)
    return [
        {
            window: count
            for plan in plans
            for window, count in zip(plan.windows, used(plan, next(kept) or b"", now_ms), strict=True)
        }
        for _, plans in asked
    ]
