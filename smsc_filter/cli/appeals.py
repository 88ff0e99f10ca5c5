"""Verbs about what granted appeals let pass."""

from __future__ import annotations

import argparse
import getpass
import time
from typing import Final

from rich.console import Console
from rich.table import Table
from sqlalchemy import Engine

from smsc_filter.cli.common import day, fail, store, tell
from smsc_filter.cli.verbs import Verbs
from smsc_filter.records import whitelist
from smsc_filter.service.build import open_records
from smsc_filter.settings import Settings, read_settings
from smsc_filter.state.projection import write_whitelist

MAX_DAYS: Final = 36_500


def appeal_grant(options: argparse.Namespace) -> int:
    """Let pass what an appeal cleared, until it expires."""
    settings = read_settings(options.config)
    now = time.time()
    try:
        recipients = [settings.numbers.msisdn(number) for number in options.recipient]
    except ValueError as error:
        return fail(f"--recipient: {error}")
    scope = "owner" if options.sender is None else "sender-recipients" if recipients else "sender"
    if options.sender is None and recipients:
        return fail("--recipient needs --sender: an entry for a whole owner clears all its recipients")
    if options.owner not in settings.owners:
        return fail(f"--owner {options.owner} has no account and no sender; there are {', '.join(settings.owners)}")
    engine = open_records(settings)
    try:
        entry = whitelist.grant(
            engine,
            scope=scope,
            owner=options.owner,
            sender=settings.numbers.canonical(options.sender) if options.sender else None,
            recipients=recipients,
            reason=options.reason,
            now=now,
            expires_at=now + options.days * 86_400,
            created_by=getpass.getuser(),
        )
        _publish_whitelist(settings, engine, now)
    except ValueError as error:
        return fail(str(error))
    finally:
        engine.dispose()
    tell(f"entry {entry.id}: scope {entry.scope}, until {day(entry.expires_at)}")
    return 0


def appeal_list(options: argparse.Namespace) -> int:
    """Show what granted appeals let pass now."""
    settings = read_settings(options.config)
    engine = open_records(settings)
    try:
        entries = whitelist.entries(engine, time.time())
    finally:
        engine.dispose()
    table = Table("id", "scope", "owner", "sender", "recipients", "until", "reason")
    for entry in entries:
        recipients = str(len(entry.recipients)) if entry.recipients else "all"
        until = day(entry.expires_at)
        table.add_row(str(entry.id), entry.scope, entry.owner, entry.sender or "all", recipients, until, entry.reason)
    Console().print(table if entries else "no entries")
    return 0


def appeal_revoke(options: argparse.Namespace) -> int:
    """End an entry before it expires."""
    settings = read_settings(options.config)
    engine = open_records(settings)
    now = time.time()
    try:
        if not whitelist.revoke(engine, options.entry, now):
            return fail(f"there is no entry {options.entry}, or it was revoked before")
        _publish_whitelist(settings, engine, now)
    finally:
        engine.dispose()
    tell(f"entry {options.entry} revoked")
    return 0


def _publish_whitelist(settings: Settings, engine: Engine, now: float) -> None:
    with store(settings) as client:
        write_whitelist(client, whitelist.entries(engine, now))


def _days(text: str) -> float:
    """A number of days that leads to a date."""
    value = float(text)
    if not value <= MAX_DAYS:  # nan is not, either
        raise argparse.ArgumentTypeError(f"{text} is more than {MAX_DAYS:,} days")
    return value


def add_verbs(verbs: Verbs) -> None:
    """``appeal grant``, ``appeal list``, ``appeal revoke``."""
    appeals = verbs.group("appeal", "what granted appeals let pass")
    example = "smsc-filter appeal grant --owner li-wei --sender 13900000001 --days 30 --reason wishes"
    one = appeals.verb("grant", appeal_grant, example=example)
    one.add_argument("--owner", required=True)
    one.add_argument("--sender", help="one source address; all of the owner's where not given")
    one.add_argument("--recipient", action="append", default=[], help="only to this number; may be repeated")
    one.add_argument("--days", type=_days, default=30.0, help="until it expires (default: 30)")
    one.add_argument("--reason", required=True)
    appeals.verb("list", appeal_list, example="smsc-filter appeal list --config smsc-filter.toml")
    one = appeals.verb("revoke", appeal_revoke, example="smsc-filter appeal revoke 7 --config smsc-filter.toml")
    one.add_argument("entry", type=int, metavar="ID")
