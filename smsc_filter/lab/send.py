"""A provider's client for the command line: texts in, a table of answers out."""

from __future__ import annotations

import argparse
import random
import sys
from functools import partial

from rich.markup import escape
from rich.table import Table

from smsc_filter.lab.clients import Answer, ClientError, SmpplibSession, name_of, parts_of
from smsc_filter.lab.screen import make_console, make_error_console
from smsc_filter.policy.verdict import Cause
from smsc_filter.smpp.constants import CommandStatus

SHOWN_CHARACTERS = 40

VENDOR_CAUSES = tuple((cause.status, cause.value) for cause in Cause if 0x0400 <= cause.status <= 0x04FF)
"""What the codes of ours in a response mean."""


def status_text(status: int) -> str:
    """A command_status by name; one of ours with its cause."""
    name = name_of(status, VENDOR_CAUSES)
    return f"{name} (0x{status:04X})" if any(status == known for known, _ in VENDOR_CAUSES) else name


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``smsc-filter send``."""
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=2775)
    parser.add_argument("--system-id", required=True)
    parser.add_argument("--password", default="")
    parser.add_argument("--from", dest="source", required=True, metavar="ADDR")
    parser.add_argument("--to", dest="destinations", action="append", required=True, metavar="ADDR",
                        help="may be repeated")  # fmt: skip
    parser.add_argument("--bind", dest="binding", choices=("transceiver", "transmitter"), default="transceiver")
    long = parser.add_mutually_exclusive_group()
    long.add_argument("--udh", action="store_true", help="long texts in parts with a header (default)")
    long.add_argument("--payload", action="store_true", help="long texts in one message_payload")
    parser.add_argument("text", nargs="*", metavar="TEXT", help="one message each; none: a line of stdin each")


def run(args: argparse.Namespace) -> int:
    """Send texts as a provider does, and show how each is answered."""
    errors = make_error_console()
    texts = args.text or [line.rstrip("\r\n") for line in sys.stdin]
    texts = [text for text in texts if text]
    if not texts:
        errors.print("smsc-filter send: there is no text to send")
        return 2
    table = Table("to", "part", "text", "answer", "message_id")
    refused = 0

    def note(destination: str, part: str, text: str, answer: Answer) -> None:
        nonlocal refused
        refused += answer.status != CommandStatus.ESME_ROK
        shown = text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"
        table.add_row(
            *map(escape, (destination, part, shown, status_text(answer.status), answer.message_id.decode("latin-1")))
        )

    reference = random.randrange(256)
    try:
        with SmpplibSession(args.host, args.port, args.system_id, args.password, binding=args.binding) as session:
            for text in texts:
                for destination in args.destinations:
                    reference += 1
                    parts = parts_of(text, reference, payload=args.payload)
                    for number, part in enumerate(parts, 1):
                        place = f"{number}/{len(parts)}"
                        session.send(args.source, destination, part, partial(note, destination, place, text))
            session.await_answers()
    except (ClientError, ValueError) as error:
        errors.print(f"smsc-filter send: {error}")
        return 1
    finally:
        if table.row_count:
            make_console().print(table)
    return 1 if refused else 0
