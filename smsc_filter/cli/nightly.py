"""The verb of the nightly pass."""

from __future__ import annotations

import argparse
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from smsc_filter.cli.common import console, fail, tell
from smsc_filter.cli.verbs import Verbs
from smsc_filter.service.build_records import open_records
from smsc_filter.service.watching import windows_from
from smsc_filter.settings import read_settings

SHOWN = 10
"""Rows of each answer on the screen; the report has more."""


def nightly(options: argparse.Namespace) -> int:
    """Analyse the decisions of weeks: rank senders and campaigns, find what live checks cannot."""
    try:
        # Heavy, and an extra: whoever only relays needs none of it.
        from smsc_filter.analysis import nightly as analysis
        from smsc_filter.analysis.export import Exporter
    except ImportError as error:
        return fail(f"the nightly pass needs more packages ({error.name}): pip install 'smsc-filter[analysis]'")
    settings = read_settings(options.config)
    folder: Path = options.out
    engine = open_records(settings)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        exporter = Exporter(engine, folder / "decisions", windows_from(settings))
        days = analysis.days_up_to(options.day, options.days)
        with Progress(
            SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), console=console, transient=True
        ) as progress:
            task = progress.add_task("exporting")
            exported = 0

            def advance(rows: int) -> None:
                nonlocal exported
                exported += rows
                progress.update(task, description=f"exporting: {exported:,} decisions")

            places = analysis.export_days(exporter, days, advance)
            if not places:
                return fail(f"nothing was decided from {days[0]} to {days[-1]}")
            progress.update(task, description=f"starting {options.engine}")
            with analysis.connected(options.engine, folder, memory=options.memory, master=options.master) as connection:
                answers = analysis.analyse(
                    connection,
                    places,
                    live_messages=settings.watch.campaign_messages,
                    begin=lambda name: progress.update(task, description=analysis.QUESTIONS[name]),
                )
        path = analysis.write_report(folder, options.day, options.days, options.engine, answers)
    except (analysis.AnalysisError, OSError) as error:
        return fail(str(error))
    finally:
        engine.dispose()
    screen = Console()
    for name, title in analysis.QUESTIONS.items():
        rows = answers[name]
        if not rows:
            tell(f"{title}: none")
            continue
        table = Table(*rows[0], title=f"{title}: {len(rows)}", title_justify="left")
        for row in rows[:SHOWN]:
            table.add_row(*(f"{value:.3g}" if isinstance(value, float) else str(value) for value in row.values()))
        screen.print(table)
    tell(f"report: {path}")
    return 0


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no day such as 2026-05-01") from None


def _count(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 400:
        raise argparse.ArgumentTypeError(f"{text!r} is not 1 to 400 days")
    return int(text)


def add_verbs(verbs: Verbs) -> None:
    """``nightly``."""
    one = verbs.verb("nightly", nightly, example="smsc-filter nightly --day 2026-05-01 --out nightly")
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    one.add_argument("--day", type=_day, default=yesterday, help="last day looked at, UTC (default: yesterday)")
    one.add_argument("--days", type=_count, default=28, help="how many days (default: 28)")
    one.add_argument("--out", type=Path, required=True, metavar="DIR", help="where exports and reports are kept")
    one.add_argument("--engine", choices=("duckdb", "spark"), default="duckdb")
    one.add_argument("--memory", default="1GB", help="of DuckDB; beyond it spills to disk (default: 1GB)")
    one.add_argument("--master", default="local[*]", help="of Spark (default: local[*], on the loopback address)")
