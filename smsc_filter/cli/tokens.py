"""Verbs about who may use the HTTP API."""

from __future__ import annotations

import argparse
import getpass
import time

from rich.console import Console
from rich.table import Table

from smsc_filter.cli.common import day, fail, tell
from smsc_filter.cli.verbs import Verbs
from smsc_filter.records import tokens
from smsc_filter.records.consents import owner_ids
from smsc_filter.service.build_records import open_records
from smsc_filter.settings import read_settings


def token_create(options: argparse.Namespace) -> int:
    """Make a token, and show it this once."""
    settings = read_settings(options.config)
    operator = not tokens.OPERATOR_SCOPES.isdisjoint(options.scope)
    if options.owner not in settings.owners and not operator:
        return fail(f"--owner {options.owner} has no account and no sender; there are {', '.join(settings.owners)}")
    engine = open_records(settings)
    try:
        secret, token = tokens.create_token(
            engine,
            owner=options.owner,
            scopes=options.scope or ["consents:read", "consents:write", "decisions:read"],
            label=options.label,
            days=options.days,
            created_by=getpass.getuser(),
            now=time.time(),
        )
        owner_ids(engine, {options.owner})
    except ValueError as error:
        return fail(str(error))
    finally:
        engine.dispose()
    tell(secret)
    tell(f"token {token.id} of {token.owner}: {' '.join(token.scopes)}, until {day(token.expires_at_ms / 1000)};")
    tell("it is not kept and will not be shown again")
    return 0


def token_list(options: argparse.Namespace) -> int:
    """Show the tokens there are."""
    engine = open_records(read_settings(options.config))
    try:
        found = tokens.list_tokens(engine, options.owner)
    finally:
        engine.dispose()
    now = time.time()
    table = Table("id", "owner", "scopes", "until", "state", "label")
    for token in found:
        state = "revoked" if token.revoked_at_ms is not None else "valid" if token.valid_at(now) else "expired"
        until = day(token.expires_at_ms / 1000)
        table.add_row(token.id, token.owner, " ".join(token.scopes), until, state, token.label)
    Console().print(table if found else "no tokens")
    return 0


def token_revoke(options: argparse.Namespace) -> int:
    """End a token now."""
    engine = open_records(read_settings(options.config))
    try:
        if not tokens.revoke_token(engine, options.token, time.time()):
            return fail(f"there is no token {options.token}, or it was revoked before")
    finally:
        engine.dispose()
    tell(f"token {options.token} revoked")
    return 0


def add_verbs(verbs: Verbs) -> None:
    """``token create``, ``token list``, ``token revoke``."""
    group = verbs.group("token", "who may use the HTTP API")
    example = "smsc-filter token create --owner shop-ltd --label 'shop system' --days 365 --config F"
    one = group.verb("create", token_create, example=example)
    one.add_argument("--owner", required=True, help="whose data it opens")
    one.add_argument(
        "--scope",
        action="append",
        default=[],
        choices=tokens.SCOPES,
        help="what it opens; may be repeated (default: consents:read, consents:write, decisions:read)",
    )
    one.add_argument("--label", default="", help="what it is for")
    one.add_argument("--days", type=float, default=90.0, help="until it expires (default: 90)")
    one = group.verb("list", token_list, example="smsc-filter token list --owner shop-ltd --config F")
    one.add_argument("--owner", help="only those of one owner")
    one = group.verb("revoke", token_revoke, example="smsc-filter token revoke 0123456789abcdef --config F")
    one.add_argument("token", metavar="ID")
