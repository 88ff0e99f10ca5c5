"""Entries as a relay worker writes them, and a stream that keeps them in memory."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from sqlalchemy import Engine, Table, func, select

from smsc_filter.policy.record import BatchHeader, pack_batch
from smsc_filter.records.database import FILE_NAME, open_database
from smsc_filter.records.mover import Entry, Fields

AT = 1_767_225_600.25
"""2026-01-01 00:00:00.250 UTC."""


@cache
def _migrated() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        open_database("", Path(folder)).dispose()
        return (Path(folder) / FILE_NAME).read_bytes()


def copy_database(folder: Path) -> None:
    """Put a database with the tables and nothing in them into ``folder``: the migrations run once for all tests."""
    (folder / FILE_NAME).write_bytes(_migrated())


def new_database(folder: Path) -> Engine:
    """The same, opened."""
    copy_database(folder)
    return open_database("", folder)


def header(mode: str = "enforce") -> BatchHeader:
    return {"at": AT, "model": "default", "profile": "cn-2020-draft", "mode": mode, "worker": 1}


def row(
    id_: int, *, cause: str = "", command_status: int = 0, text: str = "新年快乐", findings: object = 0
) -> list[object]:
    """A message in the order of ``ROW``."""
    return [
        id_, "shop", "shop-ltd", "106900001", "8613800000001", "commercial", cause, command_status, 9731,
        "advertisement", "", 8, text, findings,
    ]  # fmt: skip


def batch(*ids: int, mode: str = "enforce") -> Fields:
    """The fields of an entry with these decisions."""
    return {b"b": pack_batch(header(mode), [row(id_) for id_ in ids])}


def count(engine: Engine, table: Table) -> int:
    with engine.connect() as connection:
        return connection.execute(select(func.count()).select_from(table)).scalar_one()


class ListStream:
    """A stream in memory; entry n has the id ``n-0``."""

    name = "decisions"

    def __init__(self, entries: Sequence[Fields] = ()) -> None:
        self.entries: list[Entry] = []
        self._last = 0
        self.add(*entries)

    def add(self, *entries: Fields) -> None:
        for fields in entries:
            self._last += 1
            self.entries.append((f"{self._last}-0", fields))

    async def read(self, after: str, most_entries: int, block_ms: int) -> list[Entry]:
        return [entry for entry in self.entries if _number(entry[0]) > _number(after)][:most_entries]

    async def trim(self, up_to: str) -> None:
        self.entries = [entry for entry in self.entries if _number(entry[0]) > _number(up_to)]


def _number(entry_id: str) -> int:
    return int(entry_id.split("-")[0])
