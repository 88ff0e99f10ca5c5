"""What is built from the settings around the records of law."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import redis
from sqlalchemy import Engine

from smsc_filter.policy.identity import Registry
from smsc_filter.policy.rules import read_profile
from smsc_filter.records import declines
from smsc_filter.records.database import open_database
from smsc_filter.records.modes import make_private_folder
from smsc_filter.service.build import text_keys
from smsc_filter.service.projector import Projector
from smsc_filter.settings import Settings
from smsc_filter.state.declines import write_pages, write_wishes, written_pages


def open_records(settings: Settings) -> Engine:
    """The records of law, their schema up to date."""
    make_private_folder(settings.data_dir)
    return open_database(settings.records.database_url, settings.data_dir, text_keys(settings))


def evidence_folder(settings: Settings) -> Path:
    """Where files are kept that show consents."""
    return settings.data_dir / "evidence"


def reply_seconds(settings: Settings) -> float:
    """How long the profile waits for the answer to a consent request."""
    return float(read_profile(settings.policy.profile).request.reply_seconds)


def make_projector(settings: Settings, engine: Engine, client: redis.Redis) -> Projector:
    """What makes the hot state say of consents what the records say."""
    return Projector(engine, client, settings.state.partitions, reply_seconds(settings))


def owners_of(settings: Settings) -> Callable[[str], str | None]:
    """Whose a canonical address is, by the registered senders."""
    registry = Registry(settings.registered(read_profile(settings.policy.profile)), settings.numbers)
    return lambda address: registry.owner_of(address.encode("latin-1", "replace"), 0)


def project_declines(
    settings: Settings, engine: Engine, client: redis.Redis, tell: Callable[[int], None] = lambda pages: None
) -> int:
    """Bring the decline register on record into the hot state; how many pages that took."""

    def write(spelled: Mapping[int, str], pages: Mapping[int, Sequence[tuple[int, int]]]) -> None:
        write_wishes(client, spelled, settings.state.partitions)
        write_pages(client, pages, settings.state.partitions)

    return declines.project(engine, write, tell)


def rebuild_declines(
    settings: Settings, engine: Engine, client: redis.Redis, tell: Callable[[int], None] = lambda pages: None
) -> int:
    """Write every page of the decline register anew, and empty those the records do not know; how many that is."""
    declines.announce_all(engine, written_pages(client, settings.state.partitions))
    return project_declines(settings, engine, client, tell)
