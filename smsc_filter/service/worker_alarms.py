"""What the workers of a machine would have the operator know, from what they publish to the early warning."""

from __future__ import annotations

from typing import Any, Final

import redis

from smsc_filter.state.figures import KEY, forgotten, read_meters
from smsc_filter.watch.alarm import Alarm, Kind

LOOK_SECONDS: Final = 5.0


class WorkerAlarms:
    """Reads the alarms of workers; the same one is raised again for as long as it holds."""

    def __init__(self, client: redis.Redis, machine: str) -> None:
        """Read from ``client`` what workers of ``machine`` publish."""
        self._client = client
        self._machine = machine
        self._look_at = 0.0

    def look(self, now: float) -> list[Alarm]:
        """The alarms of all workers at ``now`` (epoch seconds); at most every ``LOOK_SECONDS``."""
        if now < self._look_at:
            return []
        self._look_at = now + LOOK_SECONDS
        try:
            fields: Any = self._client.hgetall(KEY)
            if old := forgotten(fields, now):
                self._client.hdel(KEY, *old)
        except redis.RedisError:
            return []
        return [
            Alarm(
                kind=Kind(alarm["kind"]),
                subject=alarm["subject"],
                severity=alarm["severity"],
                sentence=alarm["sentence"],
                evidence=alarm["evidence"],
            )
            for told in read_meters(fields, self._machine, now).values()
            for alarm in told.get("alarms", ())
        ]
