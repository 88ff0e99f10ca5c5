"""All verbs and their options; runs the one asked for."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Final

import redis

from smsc_filter.classifier.manifest import ModelError
from smsc_filter.cli import (
    alarms,
    appeals,
    complaints,
    consents,
    declines,
    doctor,
    measures,
    messages,
    models,
    nightly,
    quota,
    records,
    replay,
    serving,
    text_keys,
    tokens,
    users,
)
from smsc_filter.cli.common import fail
from smsc_filter.cli.verbs import Verbs
from smsc_filter.policy.rules import ProfileError
from smsc_filter.records.errors import RecordsError
from smsc_filter.records.modes import PRIVATE_UMASK
from smsc_filter.relay.listener import TlsError
from smsc_filter.samples import SampleError
from smsc_filter.settings import SettingsError
from smsc_filter.state.embedded import StoreError

DESCRIPTION: Final = "An SMPP relay that judges every message by consent, quota and content before it reaches the SMSC."

EXAMPLES: Final = """\
examples:
  smsc-filter demo                                  see it work, with a simulated SMSC
  smsc-filter check-config smsc-filter.toml         find what is wrong before it is served
  smsc-filter serve --config smsc-filter.toml       relay
  smsc-filter consent import consents.csv           who agreed to hear from whom
  smsc-filter explain 01H4-C9M2-Q7R3-T               one decision, in words
"""

LAB: Final = (
    ("demo", "Show everything at work: a simulated SMSC, real clients, a table of verdicts.",
     "smsc-filter demo --once"),
    ("smsc-sim", "A simulated SMSC to bind to.", "smsc-filter smsc-sim --port 2776 --receipts"),
    ("send", "Send texts as a provider would, and say what became of them.",
     "smsc-filter send --system-id shop --password secret --from 106900001 --to 13800000001 'Hello'"),
    ("bench", "Measure the relay beside a direct connection and a byte splice, or what evades it.",
     "smsc-filter bench evasion --quick"),
)  # fmt: skip
"""Verbs that bring their own clients and servers: name, summary, example."""

LAB_MODULES: Final = {name: f"smsc_filter.lab.{name.replace('smsc-sim', 'simulator')}" for name, _, _ in LAB}

MISTAKES: Final = (
    SettingsError, ModelError, SampleError, ProfileError, RecordsError, StoreError, TlsError, redis.RedisError,
    BrokenPipeError,
)  # fmt: skip
"""What a person can mend: one line on stderr, exit status 1."""


def build_parser(asked: str = "") -> argparse.ArgumentParser:
    """All verbs and their options; those of a verb of the lab only where it is the one ``asked`` for."""
    parser = argparse.ArgumentParser(
        prog="smsc-filter",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = Verbs(parser.add_subparsers(dest="verb", required=True, metavar="VERB"))
    for module in (
        *(serving, messages, consents, appeals, complaints, declines, measures, alarms, doctor),
        *(models, nightly, quota, records, replay, text_keys, tokens, users),
    ):
        module.add_verbs(verbs)
    for name, summary, example in LAB:
        one = verbs.bare(name, summary, example)
        if name == asked:
            # Brings clients and servers of its own, which the other verbs need not load.
            lab = importlib.import_module(LAB_MODULES[name])
            lab.add_arguments(one)
            one.set_defaults(run=lab.run)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; the exit status."""
    os.umask(PRIVATE_UMASK)
    arguments = sys.argv[1:] if arguments is None else arguments
    options = build_parser(*arguments[:1]).parse_args(arguments)
    try:
        status: int = options.run(options)
    except MISTAKES as error:
        return fail(str(error))
    except KeyboardInterrupt:
        return 130
    return status
