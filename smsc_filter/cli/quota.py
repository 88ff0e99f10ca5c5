"""Verbs about quotas: what a sender may send, and what it has sent."""

from __future__ import annotations

import argparse
import time

import redis
from rich.console import Console
from rich.table import Table

from smsc_filter.cli.common import fail, store, tell
from smsc_filter.cli.verbs import Verbs
from smsc_filter.policy.facts import Contacts, Facts
from smsc_filter.policy.identity import Registry
from smsc_filter.policy.quota import Use
from smsc_filter.policy.rules import read_profile
from smsc_filter.service.build import jitter_key
from smsc_filter.settings import Settings, read_settings
from smsc_filter.state import keys
from smsc_filter.state.usage import spent


def quota_show(options: argparse.Namespace) -> int:
    """The caps of a sender address, what is used of them now, and where its suspicious texts end."""
    settings = read_settings(options.config)
    profile = read_profile(settings.policy.profile)
    registry = Registry(settings.registered(profile), settings.numbers)
    address = options.sender.encode("latin-1", "replace")
    owner = registry.owner_of(address, 0)
    sender = registry.find(owner, address, 0) if owner is not None else None
    if sender is None:
        return fail(f"{options.sender} is no sender address of anybody")
    quotas = settings.quotas(profile, jitter_key(settings))
    facts = Facts(sender.owner, sender, -1.0, False)
    uses: dict[str, Use] = {}
    for account in settings.accounts:
        if account.owner == sender.owner and (charge := quotas.charge(facts, account.system_id, "")) is not None:
            uses |= {f"{use.gauge.kind} {use.name}": use for use in charge.shared}
    table = Table(title=f"{sender.address}, {sender.purpose}, of {sender.owner}", title_justify="left")
    table.add_column("counted for")
    for heading in ("window s", "used", "cap", "suspicious texts end at"):
        table.add_column(heading, justify="right")
    with store(settings) as client:
        found = spent(client, settings.state.partitions, uses.values(), time.time())
        for label, windows in zip(uses, found, strict=True):
            for window, count in windows.items():
                soft = str(window.soft) if window.soft else ""
                table.add_row(label, f"{window.seconds:,}", f"{count:,}", f"{window.cap:,}", soft)
        contacts = None
        if profile.contacts is not None and sender.purpose in profile.contacts.purposes:
            contacts = _contacts(client, settings, sender.address, profile.contacts.days * 86_400)
    if table.row_count:
        Console().print(table)
    else:
        tell(f"{sender.address}, {sender.purpose}, of {sender.owner}: no caps")
    if contacts is not None:
        tell(
            f"recipients of this period: {contacts.distinct}, first contacts {contacts.first_share:.0%}, "
            f"messages {contacts.messages}"
        )
    return 0


def _contacts(client: redis.Redis, settings: Settings, address: str, period_seconds: int) -> Contacts:
    partition = keys.partition_of(address, settings.state.partitions)
    current, _, sketch, counts = keys.contacts_keys(partition, address, int(time.time() // period_seconds))
    firsts, messages = (int(value or 0) for value in client.hmget(counts, "f", "m"))
    return Contacts(int(client.scard(current)) + int(client.pfcount(sketch)), firsts, messages)


def add_verbs(verbs: Verbs) -> None:
    """``quota show``."""
    group = verbs.group("quota", "What senders may send, and have sent.")
    show = group.verb("show", quota_show, example="smsc-filter quota show 8613900000001 --config smsc-filter.toml")
    show.add_argument("sender", help="a sender address")
