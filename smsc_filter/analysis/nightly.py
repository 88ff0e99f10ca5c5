"""Runs the nightly pass: exports what is missing, asks every question, writes the report.

DuckDB works out of core: beyond its memory it spills into the folder of the report. Spark gets the same expressions
over the same files; where there is no Spark, nothing of it is loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import ibis
import orjson
from ibis.expr.types import Table

from smsc_filter.analysis import expressions
from smsc_filter.analysis.export import Exporter
from smsc_filter.analysis.expressions import DAY_MS, HOUR_MS

ENGINES: Final = ("duckdb", "spark")

SIGNIFICANT: Final = 9
"""Digits of a fraction that a report keeps: engines add in different orders."""

Answer = list[dict[str, Any]]
Report = dict[str, Any]

QUESTIONS: Final[Mapping[str, str]] = {
    "senders": "senders by what was refused of them and what looked commercial",
    "campaigns": "campaigns by size",
    "cross_owner_campaigns": "advertisements that several owners have in common",
    "slow_campaigns": "advertisements too slow for the early warning",
    "slow_drip": "people who write to strangers, and nobody comes back",
    "hugging_hours": "hours that end just under the cap, over weeks",
    "hugging_days": "days that end just under the cap",
    "shared_handles": "links and call-back numbers that several owners advertise",
}
"""Each question of a report, as its table is headed."""

Begin = Callable[[str], None]
"""Told which question is asked next."""


class AnalysisError(Exception):
    """The pass cannot be run as asked; the message says what is missing."""


def days_up_to(day: date, days: int) -> list[date]:
    """``days`` days, the last of which is ``day``."""
    return [day - timedelta(days=back) for back in range(days - 1, -1, -1)]


@contextmanager
def connected(engine: str, folder: Path, *, memory: str = "1GB", master: str = "local[*]") -> Iterator[Any]:
    """A connection to an engine.

    Args:
        engine: one of ``ENGINES``.
        folder: where it may spill.
        memory: most memory of DuckDB, as it writes it.
        master: of Spark; "local[...]" stays on the loopback address.

    Raises:
        AnalysisError: that engine is not installed.
    """
    if engine == "duckdb":
        spill = folder / ".spill"
        connection = ibis.duckdb.connect(memory_limit=memory, temp_directory=str(spill), preserve_insertion_order=False)
        try:
            yield connection
        finally:
            connection.disconnect()
        return
    try:
        from pyspark.sql import SparkSession
    except ImportError as error:
        raise AnalysisError("Spark is not installed; pip install 'smsc-filter[spark]'") from error
    builder = SparkSession.builder.appName("smsc-filter-nightly").master(master).config("spark.ui.enabled", "false")
    if master.startswith("local"):
        builder = builder.config("spark.driver.host", "127.0.0.1").config("spark.driver.bindAddress", "127.0.0.1")
    session = builder.getOrCreate()
    try:
        yield ibis.pyspark.connect(session)
    finally:
        session.stop()


def export_days(exporter: Exporter, days: list[date], advance: Callable[[int], None]) -> list[Path]:
    """Export ``days``; the folders of those on which something was decided."""
    today = datetime.now(UTC).date()
    return [place for day in days if (place := exporter.export(day, today, advance)) is not None]


def analyse(connection: Any, places: list[Path], *, live_messages: int, begin: Begin) -> dict[str, Answer]:
    """Ask every question of the days in ``places``, in the order of ``QUESTIONS``."""
    files = [str(place / "decisions.parquet") for place in places]
    decisions: Table = connection.read_parquet(files, table_name="decisions")

    def answer(expression: Table) -> Answer:
        rows: Answer = connection.to_pyarrow(expression).to_pylist()
        return [{name: _plain(value) for name, value in row.items()} for row in rows]

    def hugging(window_ms: int) -> Answer:
        caps = [row["cap"] for row in answer(expressions.caps_in(decisions, window_ms))]
        if not caps:
            return []
        return answer(expressions.hugging(decisions, window_ms, expressions.bands_under(caps)))

    ask: dict[str, Callable[[], Answer]] = {
        "senders": lambda: answer(expressions.sender_ranking(decisions)),
        "campaigns": lambda: answer(expressions.campaign_ranking(decisions)),
        "cross_owner_campaigns": lambda: answer(expressions.cross_owner_campaigns(decisions)),
        "slow_campaigns": lambda: answer(expressions.slow_campaigns(decisions, live_messages)),
        "slow_drip": lambda: answer(expressions.slow_drip(decisions)),
        "hugging_hours": lambda: hugging(HOUR_MS),
        "hugging_days": lambda: hugging(DAY_MS),
        "shared_handles": lambda: answer(expressions.shared_handles(decisions)),
    }
    answers = {}
    for name in QUESTIONS:
        begin(name)
        answers[name] = ask[name]()
    return answers


def write_report(folder: Path, day: date, days: int, engine: str, answers: Mapping[str, Answer]) -> Path:
    """Write the report of a day; the file."""
    report: Report = {"day": day.isoformat(), "days": days, "engine": engine, "answers": answers}
    path = folder / f"report-{day.isoformat()}.json"
    beside = path.with_suffix(".tmp")
    beside.write_bytes(orjson.dumps(report, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    beside.rename(path)
    return path


def _plain(value: Any) -> Any:
    return float(f"{value:.{SIGNIFICANT}g}") if isinstance(value, float) else value
