"""The soak, in short: what it asserts over twenty minutes holds over seconds too, and it ends by itself."""

from __future__ import annotations

from pathlib import Path

from tests.faults.soak import soak_once


def test_nothing_is_lost_beside_hostile_peers_while_a_worker_is_killed(tmp_path: Path) -> None:
    assert soak_once(tmp_path, seconds=12.0, rate=200.0, kill_every=5.0) == []
