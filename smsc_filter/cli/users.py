"""Verbs about who may sign in to the console."""

from __future__ import annotations

import argparse
import getpass
import sys
import time

from rich.console import Console
from rich.table import Table

from smsc_filter.cli.common import day, fail, tell
from smsc_filter.cli.verbs import Verbs
from smsc_filter.records.audit import Actor
from smsc_filter.records.consents import owner_ids
from smsc_filter.records.users import Role, add_user, disable_user, list_users, set_password
from smsc_filter.service.build_records import open_records
from smsc_filter.settings import read_settings


def user_add(options: argparse.Namespace) -> int:
    """Let somebody sign in to the console; the password is read from the terminal, or a line of stdin."""
    settings = read_settings(options.config)
    if options.owner is not None and options.owner not in settings.owners:
        return fail(f"--owner {options.owner} has no account and no sender; there are {', '.join(settings.owners)}")
    engine = open_records(settings)
    try:
        user = add_user(
            engine,
            name=options.name,
            role=Role(options.role),
            owner=options.owner,
            password=_password(),
            actor=_actor(),
            now=time.time(),
        )
        if user.owner is not None:
            owner_ids(engine, {user.owner})
    except ValueError as error:
        return fail(str(error))
    finally:
        engine.dispose()
    tell(f"user {user.name} may sign in as {user.role}" + (f" of {user.owner}" if user.owner else ""))
    return 0


def user_list(options: argparse.Namespace) -> int:
    """Show who may sign in."""
    engine = open_records(read_settings(options.config))
    try:
        found = list_users(engine)
    finally:
        engine.dispose()
    table = Table("name", "role", "owner", "since", "state")
    for user in found:
        state = "disabled" if user.disabled_at_ms is not None else "may sign in"
        table.add_row(user.name, user.role, user.owner or "", day(user.created_at_ms / 1000), state)
    Console().print(table if found else "no users")
    return 0


def user_disable(options: argparse.Namespace) -> int:
    """Let a user in no more and end its sessions now; --undo lets it in again."""
    engine = open_records(read_settings(options.config))
    try:
        if not disable_user(engine, options.name, _actor(), time.time(), disabled=not options.undo):
            return fail(f"there is no user {options.name}, or nothing changes")
    finally:
        engine.dispose()
    tell(f"user {options.name} may sign in again" if options.undo else f"user {options.name} may sign in no more")
    return 0


def user_password(options: argparse.Namespace) -> int:
    """Give a user another password and end its sessions; read as by ``user add``."""
    engine = open_records(read_settings(options.config))
    try:
        if not set_password(engine, options.name, _password(), _actor(), time.time()):
            return fail(f"there is no user {options.name}")
    except ValueError as error:
        return fail(str(error))
    finally:
        engine.dispose()
    tell(f"user {options.name} has another password, and no session")
    return 0


def _password() -> str:
    """From the terminal, unseen and twice, or the first line of stdin.

    Raises:
        ValueError: what was typed is not the same twice.
    """
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    typed = getpass.getpass("Password: ")
    if getpass.getpass("Again: ") != typed:
        raise ValueError("these are two passwords")
    return typed


def _actor() -> Actor:
    return Actor(f"{getpass.getuser()} (command line)")


def add_verbs(verbs: Verbs) -> None:
    """``user add``, ``user list``, ``user disable``, ``user password``."""
    group = verbs.group("user", "who may sign in to the console")
    one = group.verb("add", user_add, example="smsc-filter user add mei --role operator --config F")
    one.add_argument("name", metavar="NAME")
    one.add_argument("--role", required=True, choices=[role.value for role in Role])
    one.add_argument("--owner", help="with the role provider: whose data it sees")
    group.verb("list", user_list, example="smsc-filter user list --config F")
    one = group.verb("disable", user_disable, example="smsc-filter user disable mei --config F")
    one.add_argument("name", metavar="NAME")
    one.add_argument("--undo", action="store_true", help="let it in again")
    one = group.verb("password", user_password, example="smsc-filter user password mei --config F")
    one.add_argument("name", metavar="NAME")
