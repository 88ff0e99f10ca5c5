"""Decision records as Parquet, a folder a day, so that any engine reads them and reads only the days it needs.

A day is streamed out of SQL by ranges of the key, which begins with the time, so nothing is sorted and no index but the
key is needed; memory holds one row group. A day is written beside its place and then renamed: what is there is
whole, and is not written again once the day is over.

Texts stay where they are. In their place goes the campaign they belong to, found as the early warning finds it, with
what is known of the days before, so that a campaign keeps its name over weeks; and the links and numbers they lead to.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from sqlalchemy import Engine, select

from smsc_filter.policy.handles import handles_of
from smsc_filter.records.database import reading
from smsc_filter.records.tables import decisions
from smsc_filter.watch.clusters import Clusters
from smsc_filter.watch.watcher import WORTH_A_HANDLE, WindowsOf

ROWS_A_GROUP: Final = 100_000
"""Rows read, and written, at once: some 20 MB."""

TIME_BITS: Final = 20
"""A decision's id is its milliseconds shifted by so many bits, and a little more."""

CLUSTERS_FILE: Final = "campaigns.json"
HOUR, DAY = 3600, 86_400

SCHEMA: Final = pa.schema([
    ("id", pa.int64()),
    ("at_ms", pa.int64()),
    ("owner", pa.string()),
    ("source", pa.string()),
    ("recipient", pa.string()),
    ("purpose", pa.string()),
    ("cause", pa.string()),
    ("score", pa.int32()),
    ("campaign", pa.string()),
    ("handles", pa.list_(pa.string())),
    ("hour_cap", pa.int32()),
    ("day_cap", pa.int32()),
])  # fmt: skip
"""``campaign`` is "" for a text without letters and for later parts; caps are 0 where there are none."""

_COLUMNS: Final = ("id", "at_ms", "owner", "source", "recipient", "purpose", "cause", "score", "part", "text")

Advance = Callable[[int], None]
"""Told how many rows more were written."""


class Exporter:
    """Exports days, oldest first."""

    def __init__(self, engine: Engine, folder: Path, windows_of: WindowsOf) -> None:
        """Export out of ``engine`` into ``folder``, with the caps that ``windows_of`` knows."""
        self._engine = engine
        self._folder = folder
        self._windows_of = windows_of
        self._caps: dict[tuple[str, str], tuple[int, int]] = {}
        self._clusters: Clusters | None = None

    def export(self, day: date, today: date, advance: Advance) -> Path | None:
        """Write one day, unless it is there and over; its folder, or None when nothing was decided on it.

        Raises:
            SqlUnavailable: the database does not answer; what was whole before still is.
            OSError: the folder cannot be written.
        """
        place = self._folder / f"day={day.isoformat()}"
        if place.exists() and day < today:
            self._clusters = None  # that day may have named campaigns we do not know
            return place
        clusters = self._known_clusters(day)
        beside = self._folder / f".{place.name}"
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir(parents=True)
        written = 0
        with pq.ParquetWriter(beside / "decisions.parquet", SCHEMA, compression="zstd") as writer:
            for rows in self._rows(day):
                writer.write_table(self._table(rows, clusters))
                written += len(rows)
                advance(len(rows))
        if not written:
            shutil.rmtree(beside)
            return None
        (beside / CLUSTERS_FILE).write_bytes(orjson.dumps(clusters.to_state(least=1)))
        shutil.rmtree(place, ignore_errors=True)
        beside.rename(place)
        return place

    def _rows(self, day: date) -> Iterator[Sequence[Any]]:
        """The decisions of a day, in the order of ids, by row groups; each is a short read of its own."""
        begin = datetime(day.year, day.month, day.day, tzinfo=UTC)
        last = (int(begin.timestamp() * 1000) << TIME_BITS) - 1
        end = int((begin + timedelta(days=1)).timestamp() * 1000) << TIME_BITS
        columns = [decisions.c[name] for name in _COLUMNS]
        while True:
            query = (
                select(*columns)
                .where(decisions.c.id > last, decisions.c.id < end)
                .order_by(decisions.c.id)
                .limit(ROWS_A_GROUP)
            )
            with reading(self._engine) as connection:
                rows = connection.execute(query).all()
            if not rows:
                return
            yield rows
            last = rows[-1][0]

    def _table(self, rows: Sequence[Any], clusters: Clusters) -> pa.Table:
        ids, at_ms, owners, sources, recipients, purposes, causes, scores, parts, texts = zip(*rows, strict=True)
        clusters.refill(len(rows))
        # A long message is known by its first part: the others begin in the middle of a sentence.
        whole = [index for index, part in enumerate(parts) if not part or ":1/" in part]
        names = [""] * len(rows)
        handles: list[tuple[str, ...]] = [()] * len(rows)
        found = clusters.find([texts[index] for index in whole], at_ms[0])
        for index, cluster in zip(whole, found, strict=True):
            if cluster is not None:
                names[index] = cluster.name
                cluster.messages += 1
                cluster.last_ms = at_ms[index]
            if scores[index] >= WORTH_A_HANDLE:
                handles[index] = handles_of(texts[index])
        caps = [self._caps_of(owner, source) for owner, source in zip(owners, sources, strict=True)]
        hour_caps, day_caps = zip(*caps, strict=True)
        values = (
            ids, at_ms, owners, sources, recipients, purposes, causes, scores, names, handles, hour_caps, day_caps,
        )  # fmt: skip
        columns = [pa.array(column, field.type) for column, field in zip(values, SCHEMA, strict=True)]
        return pa.Table.from_arrays(columns, schema=SCHEMA)

    def _caps_of(self, owner: str, source: str) -> tuple[int, int]:
        key = (owner, source)
        if key not in self._caps:
            windows = dict(self._windows_of(owner, source))
            self._caps[key] = windows.get(HOUR, 0), windows.get(DAY, 0)
        return self._caps[key]

    def _known_clusters(self, day: date) -> Clusters:
        """The campaigns up to the day before, from the newest export older than ``day``."""
        if self._clusters is None:
            self._clusters = Clusters()
            older = [place for place in sorted(self._folder.glob("day=*")) if place.name < f"day={day.isoformat()}"]
            if older:
                self._clusters.restore(orjson.loads((older[-1] / CLUSTERS_FILE).read_bytes()))
        return self._clusters
