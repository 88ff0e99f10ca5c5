"""A relay does not grow with what has passed through it."""

from __future__ import annotations

from pathlib import Path

from smsc_filter.lab import bench, rig
from smsc_filter.lab.traffic import ACCOUNTS, consents

SHAPE = bench.Shape("connections that come and go", 4, 100, 20_000)
ROUNDS_TO_SETTLE, ROUNDS = 2, 4
ROOM_OCTETS = 6 << 20
"""A worker that kept what each closed bind remembered grew by 4 MiB a round."""


def test_binds_that_are_gone_leave_nothing_behind(tmp_path: Path) -> None:
    with rig.simulator(tmp_path) as smsc:
        relay = rig.Relay(tmp_path / "relay", smsc.port, ACCOUNTS, caps=bench.CAPS)
        relay.import_consents(consents(ACCOUNTS))
        with relay:
            for _ in range(ROUNDS_TO_SETTLE):
                bench.generate(relay.port, SHAPE)
            settled = relay.usage()["worker"].rss_octets
            for _ in range(ROUNDS):
                bench.generate(relay.port, SHAPE)
            assert relay.usage()["worker"].rss_octets - settled < ROOM_OCTETS
