"""Verbs about what subscribers decline (谢绝来电)."""

from __future__ import annotations

import argparse
import hashlib
import time
from datetime import datetime
from pathlib import Path

import redis
from rich.console import Console
from rich.table import Table
from sqlalchemy import Engine

from smsc_filter.cli.common import day, fail, progress_bar, store, tell
from smsc_filter.cli.verbs import Verbs
from smsc_filter.policy.wishes import CHANNELS, read_wish, unite
from smsc_filter.records import declines
from smsc_filter.service.build_records import open_records, project_declines
from smsc_filter.settings import Settings, read_settings

SHOWN_ERRORS = 20


def sync(options: argparse.Namespace) -> int:
    """Bring a list to a version from a file; all of it is applied, or nothing."""
    settings = read_settings(options.config)
    path: Path = options.file
    try:
        sha256 = options.sha256 or _beside(path)
    except (OSError, ValueError) as error:
        return fail(str(error))
    engine = open_records(settings)
    try:
        with path.open("rb") as file, store(settings) as client, progress_bar() as progress:
            task = progress.add_task(path.name, total=None)
            try:
                done = declines.sync(
                    engine,
                    file,
                    name=options.list,
                    version=options.version,
                    base=options.base,
                    sha256=sha256,
                    normalise_number=settings.numbers.msisdn,
                    now=time.time(),
                    tell=lambda rows: progress.update(task, completed=rows),
                )
            except declines.WrongFile as error:
                for sentence in error.errors[:SHOWN_ERRORS]:
                    fail(f"{path}: {sentence}")
                return fail(f"{path}: nothing was changed")
            _project(settings, engine, client)
    except OSError as error:
        return fail(f"{path}: {error.strerror}")
    finally:
        engine.dispose()
    tell(f"list {done.list} is at version {done.version}: {done.rows:,} lines, {done.changed:,} numbers changed")
    return 0


def _beside(path: Path) -> str:
    """The checksum in the file beside ``path``, as sha256sum writes it.

    Raises:
        OSError, ValueError: there is none, or it holds something else.
    """
    note = path.with_name(f"{path.name}.sha256")
    if not note.exists():
        raise ValueError(f"{path}: give --sha256, or put what sha256sum prints at the source into {note.name}")
    words = note.read_text(encoding="utf-8", errors="replace").split()
    if not words or len(words[0]) != hashlib.sha256().digest_size * 2:
        raise ValueError(f"{note} does not begin with a SHA-256")
    return words[0].lower()


def _project(settings: Settings, engine: Engine, client: redis.Redis) -> None:
    with progress_bar() as progress:
        task = progress.add_task("pages", total=declines.waiting_pages(engine))
        project_declines(settings, engine, client, lambda pages: progress.update(task, completed=pages))


def show(options: argparse.Namespace) -> int:
    """Show the lists and their versions, or what is declined for one number."""
    settings = read_settings(options.config)
    engine = open_records(settings)
    try:
        if options.number is None:
            table = Table("list", "version", "numbers", "synced")
            for each in declines.list_versions(engine):
                synced = day(each["synced_at_ms"] / 1000) if each["synced_at_ms"] is not None else ""
                table.add_row(each["name"], str(each["version"]), f"{each['numbers']:,}", synced)
            Console().print(table if table.row_count else "no lists")
            return 0
        number = settings.numbers.msisdn(options.number)
        found = declines.wishes_of(engine, number)
    except ValueError as error:
        return fail(str(error))
    finally:
        engine.dispose()
    if not found:
        tell(f"{number} declines nothing")
        return 0
    for name, wish in sorted(found.items()):
        tell(f"{name:<12} {wish}")
    united = unite(map(read_wish, found.values()))
    now = datetime.now().astimezone()
    for channel in CHANNELS:
        clause = united.declines(channel, options.category, now.hour * 60 + now.minute)
        tell(f"{channel:<12} {'declined now' if clause is not None else 'not declined now'}")
    return 0


def wish(options: argparse.Namespace) -> int:
    """Set what a person declines, or forget it."""
    settings = read_settings(options.config)
    engine = open_records(settings)
    try:
        number = settings.numbers.msisdn(options.number)
        declines.set_wish(engine, number, None if options.wish == "-" else options.wish)
        with store(settings) as client:
            project_declines(settings, engine, client)
    except ValueError as error:
        return fail(str(error))
    finally:
        engine.dispose()
    tell(f"{number}: {'nothing declined by wish' if options.wish == '-' else read_wish(options.wish)}")
    return 0


def add_verbs(verbs: Verbs) -> None:
    """``decline sync``, ``decline show``, ``decline wish``."""
    group = verbs.group("decline", "what subscribers decline")
    example = "smsc-filter decline sync national-42.csv --list national --version 42 --base 41 --config F"
    one = group.verb("sync", sync, example=example)
    one.add_argument("file", type=Path, metavar="FILE", help="a line each: number[,wish]; - takes it off the list")
    one.add_argument("--list", default="national", help="name of the list (default: national)")
    one.add_argument("--version", type=int, required=True, help="of the list, once the file is applied")
    one.add_argument("--base", type=int, help="version a delta is on; a whole list where not given")
    one.add_argument("--sha256", help="of the file (default: from FILE.sha256 beside it)")
    one = group.verb("show", show, example="smsc-filter decline show 13800000001 --config F")
    one.add_argument("number", nargs="?", metavar="NUMBER", help="all lists where not given")
    one.add_argument("--category", help="what a message would be about")
    one = group.verb("wish", wish, example="smsc-filter decline wish 13800000001 'sms:all@21:00-09:00' --config F")
    one.add_argument("number", metavar="NUMBER")
    one.add_argument("wish", metavar="WISH", help="CHANNEL:CATEGORY[,CATEGORY][@HH:MM-HH:MM] ...; - for nothing")
