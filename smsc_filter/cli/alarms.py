"""Verbs about alarms: what was raised, and what is being raised."""

from __future__ import annotations

import argparse
import time

import orjson
from rich.console import Console
from rich.table import Table

from smsc_filter.cli.common import day, tell
from smsc_filter.cli.verbs import Verbs
from smsc_filter.records.alarms import AlarmRecord, alarms_since, newest_alarm
from smsc_filter.service.build_records import open_records
from smsc_filter.settings import read_settings

POLL_SECONDS = 0.5


def alarms_list(options: argparse.Namespace) -> int:
    """Show the alarms of the last hours."""
    settings = read_settings(options.config)
    engine = open_records(settings)
    try:
        records = alarms_since(engine, time.time() - options.hours * 3600)
    finally:
        engine.dispose()
    if options.json:
        for record in records:
            tell(_line(record))
        return 0
    table = Table("id", "last", "times", "severity", "kind", "about", "what was seen")
    for record in records:
        table.add_row(
            str(record.id), day(record.last_at), str(record.count), record.severity, record.kind, record.subject,
            record.sentence,
        )  # fmt: skip
    Console().print(table if records else "no alarms")
    return 0


def alarms_follow(options: argparse.Namespace) -> int:
    """Print new alarms as they come, as JSON, one a line, until Ctrl-C."""
    settings = read_settings(options.config)
    engine = open_records(settings)
    deadline = None if options.seconds is None else time.monotonic() + options.seconds
    try:
        told = newest_alarm(engine)
        while deadline is None or time.monotonic() < deadline:
            for record in alarms_since(engine, 0.0, after_id=told):
                print(_line(record), flush=True)  # noqa: T201
                told = record.id
            time.sleep(POLL_SECONDS)
    finally:
        engine.dispose()
    return 0


def _line(record: AlarmRecord) -> str:
    return orjson.dumps(record.to_dict()).decode()


def add_verbs(verbs: Verbs) -> None:
    """``alarms list``, ``alarms follow``."""
    alarms = verbs.group("alarms", "what the early warning has raised")
    one = alarms.verb("list", alarms_list, example="smsc-filter alarms list --hours 24")
    one.add_argument("--hours", type=float, default=24.0, help="how far back (default: 24)")
    one.add_argument("--json", action="store_true", help="one JSON object a line instead of a table")
    one = alarms.verb("follow", alarms_follow, example="smsc-filter alarms follow --config smsc-filter.toml")
    one.add_argument("--seconds", type=float, help="stop after so long (default: never)")
