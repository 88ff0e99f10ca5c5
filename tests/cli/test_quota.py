"""``quota show``: what a sender may send, has sent, and where its suspicious texts end."""

from __future__ import annotations

import asyncio
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from smsc_filter.cli import main
from smsc_filter.policy.facts import Facts
from smsc_filter.policy.identity import Registry
from smsc_filter.policy.rules import read_profile
from smsc_filter.service.build import embedded_store, jitter_key
from smsc_filter.settings import Settings, read_settings
from tests.records.helpers import header, row
from tests.relay.harness import short_folder
from tests.state.conftest import ledger_at

PERSON = "8613900000001"

CONFIG = """
data_dir = "{folder}/var"
[state]
fsync = "everysec"
[[accounts]]
system_id = "people"
password = "secret"
owner = "mobile"
week_cap = 1000000
[[senders]]
address = "861390000*"
owner = "mobile"
purpose = "person"
[[senders]]
address = "106920001"
owner = "bank-ltd"
purpose = "service"
"""


@pytest.fixture
def config(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("COLUMNS", "120")
    with short_folder() as folder:
        path = folder / "smsc-filter.toml"
        path.write_text(CONFIG.format(folder=folder), encoding="utf-8")
        yield path


def send(settings: Settings, messages: int) -> None:
    """As a worker does it."""
    profile = read_profile(settings.policy.profile)
    quotas = settings.quotas(profile, jitter_key(settings))
    sender = Registry(settings.registered(profile), settings.numbers).find("mobile", PERSON.encode(), 0)
    charge = quotas.charge(Facts("mobile", sender, 0.1, False), "people", "8613800000001")
    store = embedded_store(settings)
    assert store is not None

    async def spend() -> None:
        async with ledger_at(store.url) as ledger:
            rows = [row(at + 1) for at in range(messages)]
            for values in rows:
                values[3] = PERSON
            assert not await ledger.spend(
                time.time(), header(), rows, [charge] * messages, writers={PERSON: range(messages)}
            )

    store.start()
    try:
        asyncio.run(spend())
    finally:
        store.stop()


def test_caps_use_and_soft_caps_are_shown(config: Path, capfd: pytest.CaptureFixture[str]) -> None:
    settings = read_settings(config, {})
    send(settings, 17)
    assert main(["quota", "show", PERSON, "--config", str(config)]) == 0
    said = capfd.readouterr().out
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in said.splitlines() if line.startswith("│")]
    (hour, day, week) = cells
    assert hour[:4] == [f"sender {PERSON}", "3,600", "17", "200"]
    assert 140 <= int(hour[4]) <= 190
    assert day[:4] == [f"sender {PERSON}", "86,400", "17", "1,000"]
    assert week == ["account people", "604,800", "17", "1,000,000", ""]
    assert "recipients of this period: 1, first contacts 100%, messages 17" in said


def test_a_sender_without_caps_and_one_of_nobody(config: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["quota", "show", "106920001", "--config", str(config)]) == 0
    assert "106920001, service, of bank-ltd: no caps" in capfd.readouterr().out
    assert main(["quota", "show", "12345", "--config", str(config)]) == 1
    assert "12345 is no sender address of anybody" in capfd.readouterr().err


def test_the_key_is_made_once_and_for_nobody_else_to_read(config: Path) -> None:
    settings = read_settings(config, {})
    made = jitter_key(settings)
    assert len(made) == 32
    assert jitter_key(settings) == made
    assert stat.S_IMODE((settings.data_dir / "jitter.key").stat().st_mode) == 0o600
    own = read_settings(config, {"SMSC_FILTER_POLICY__JITTER_KEY": "s3cr3t"})
    assert jitter_key(own) == b"s3cr3t"
    assert "s3cr3t" not in repr(own)
