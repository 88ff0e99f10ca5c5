"""The verb of what-if."""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import orjson
from rich.progress import TaskID
from rich.table import Table
from sqlalchemy import Engine

from smsc_filter.cli.common import day, fail, progress_bar, tell
from smsc_filter.cli.records import first_moment, zone_of
from smsc_filter.cli.verbs import Verbs
from smsc_filter.records.database import FILE_NAME, open_database
from smsc_filter.records.errors import RecordsError
from smsc_filter.service.build_records import open_records
from smsc_filter.settings import Settings, read_settings

if TYPE_CHECKING:
    from smsc_filter.lab.replay import Comparison

SHOWN = 30
"""Differences on the screen; ``--json`` has all."""


def replay(options: argparse.Namespace) -> int:
    """Judge recorded traffic by another configuration, and show what it would have changed."""
    # Brings the relay along, which the other verbs need not load.
    from smsc_filter.lab import replay as lab
    from smsc_filter.lab.screen import make_console

    settings = read_settings(options.config)
    zone = zone_of(settings)
    begin, end = first_moment(options.begin, zone), first_moment(options.end, zone, after=True)
    if begin >= end:
        return fail(f"--from {options.begin} is not before --to {options.end}")
    with ExitStack() as stack:
        engine = _records(settings, options.records)
        stack.callback(engine.dispose)
        log = None
        if options.log is not None:
            try:
                log = stack.enter_context(options.log.open("wb"))
            except OSError as error:
                return fail(f"{options.log}: {error.strerror}")
        progress = stack.enter_context(progress_bar())
        task: TaskID = progress.add_task("judging", total=None)
        found = lab.replay(
            settings,
            engine,
            begin,
            end,
            log=log,
            total=lambda messages: progress.update(task, total=messages),
            advance=lambda messages: progress.advance(task, messages),
        )
    if not found.compared:
        return fail(f"nothing was decided from {day(begin)} to {day(end)}")
    if options.json:
        tell(orjson.dumps({"from": begin, "to": end, **found.to_dict()}).decode())
        return 0
    tell(
        f"{found.compared:,} decisions from {day(begin)} to {day(end)} by {found.profile}, model {found.model};"
        f" {found.before:,} before them fill the windows"
    )
    for change, words in (
        ("appears", "blocks appear"),
        ("vanishes", "blocks vanish"),
        ("other cause", "blocks have another cause"),
    ):
        senders = {key[2:] for key in found.lines if lab.change_of(key) == change}
        tell(f"  {found.messages(change):>9,} {words}, of {len(senders):,} senders")
    if found.lines:
        make_console().print(_table(found))
    for why, count in sorted(found.not_replayed.items()):
        tell(f"not replayed: {count:,} {why}")
    return 0


def _table(found: Comparison) -> Table:
    from smsc_filter.lab.replay import change_of

    lines = found.ordered()
    title = f"what changes, {min(SHOWN, len(lines))} of {len(lines)} lines"
    table = Table(title=title, title_justify="left")
    for heading in ("block", "on record", "now", "owner", "sender"):
        table.add_column(heading, no_wrap=True)
    for heading in ("messages", "recipients"):
        table.add_column(heading, justify="right")
    table.add_column("for example")
    for key, line in lines[:SHOWN]:
        recorded, now, owner, source = key
        table.add_row(
            change_of(key), recorded or "admitted", now or "admitted", owner, source,
            f"{line.messages:,}", f"{len(line.recipients):,}", line.examples[0],
        )  # fmt: skip
    return table


def _records(settings: Settings, place: str | None) -> Engine:
    """The records to replay: a URL, a data folder or its file; those of the configuration where not given.

    Raises:
        RecordsError: there are none at that place.
    """
    if place is None:
        return open_records(settings)
    if "://" in place:
        return open_database(place, Path())
    path = Path(place)
    path = path / FILE_NAME if path.is_dir() else path
    if not path.is_file():
        raise RecordsError(f"--records {place}: there is no {path}")
    return open_database(f"sqlite:///{path}", path.parent)


def add_verbs(verbs: Verbs) -> None:
    """``replay``."""
    example = "smsc-filter replay --from 2026-02-16 --to 2026-02-17 --config tighter.toml --records var"
    one = verbs.verb("replay", replay, example=example)
    one.add_argument("--from", dest="begin", metavar="DATE", required=True,
                     help="first day, in the profile's zone, or a time")  # fmt: skip
    one.add_argument("--to", dest="end", metavar="DATE", required=True,
                     help="last day, or the first moment left out")  # fmt: skip
    one.add_argument("--records", metavar="PLACE",
                     help="a URL, a data_dir or its records; where not given, those of the configuration")  # fmt: skip
    one.add_argument("--log", type=Path, metavar="FILE",
                     help="write every verdict there, a JSON line each; the same from every same run")  # fmt: skip
    one.add_argument("--json", action="store_true", help="one JSON object with every difference instead of a table")
