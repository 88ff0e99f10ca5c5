"""Verbs around the service itself."""

from __future__ import annotations

import argparse
import getpass
import sys
from pathlib import Path

from smsc_filter.classifier.scorer import Scorer
from smsc_filter.cli.common import fail, tell
from smsc_filter.cli.verbs import Verbs
from smsc_filter.relay.accounts import hash_password
from smsc_filter.relay.listener import server_tls, sharers
from smsc_filter.service import supervisor
from smsc_filter.service.build import load_rules, model_folder
from smsc_filter.settings import read_settings, readable_by_others


def serve(options: argparse.Namespace) -> int:
    """Relay until SIGTERM or Ctrl-C."""
    return supervisor.serve(options.config, lambda line: print(line, flush=True), level=options.log)  # noqa: T201


def check_config(options: argparse.Namespace) -> int:
    """Say whether a configuration can be served, and what it comes to."""
    settings = read_settings(options.file)
    scorer = Scorer.load(model_folder(settings))
    rules = load_rules(settings, scorer)
    server_tls(settings.listen)
    tell(f"{options.file}: can be served")
    for name, value in (
        ("listens", f"{settings.listen.host}:{settings.listen.port}, workers {settings.listen.workers}"),
        ("web", f"{settings.web.host}:{settings.web.port}"),
        ("SMSC", f"{settings.upstream.host}:{settings.upstream.port}"),
        ("judges", f"by {rules.profile}, mode {settings.policy.mode}, model {scorer.model_id}"),
        ("accounts", str(len(settings.accounts))),
        ("senders", str(len(settings.senders))),
    ):
        tell(f"  {name:<9} {value}")
    for name, owners in sharers(settings.accounts).items():
        tell(f"  note      owners {', '.join(sorted(owners))} share {name} at the SMSC: each hears of its addresses")
    ours = {account.owner for account in settings.accounts}
    for sender in settings.senders:
        if sender.owner not in ours:
            tell(f"  note      sender {sender.address} belongs to {sender.owner}, who has no account")
    for warning in readable_by_others(options.file, settings):
        tell(f"  warning   {warning}")
    return 0


def print_hash(_options: argparse.Namespace) -> int:
    """Print a password as it may stand in the configuration."""
    password = getpass.getpass("password: ") if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
    if not 1 <= len(password.encode()) <= 8:
        return fail("SMPP passwords have 1 to 8 octets")
    tell(f'password_hash = "{hash_password(password)}"')
    return 0


def add_verbs(verbs: Verbs) -> None:
    """``serve``, ``check-config``, ``hash-password``."""
    one = verbs.verb("serve", serve, example="smsc-filter serve --config smsc-filter.toml")
    one.add_argument("--log", metavar="LEVEL", help="debug, info (default), warning or error")
    example = "smsc-filter check-config smsc-filter.toml"
    one = verbs.verb("check-config", check_config, config=False, example=example)
    one.add_argument("file", type=Path, metavar="F")
    verbs.verb("hash-password", print_hash, config=False, example="echo secret | smsc-filter hash-password")
