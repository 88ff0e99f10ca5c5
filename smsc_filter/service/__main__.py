"""A child process of ``serve``: role, control descriptor, configuration file."""

from __future__ import annotations

import importlib
import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

import uvloop

from smsc_filter.records.modes import PRIVATE_UMASK
from smsc_filter.settings import read_settings
from smsc_filter.telemetry import configure_logging


def main(arguments: Sequence[str]) -> None:
    """A child process: role, control descriptor, configuration file."""
    os.umask(PRIVATE_UMASK)
    role, descriptor, *config = arguments
    control = socket.socket(fileno=int(descriptor))
    settings = read_settings(Path(config[0]) if config else None)
    configure_logging(form=settings.logs.format)
    # Of its own role alone: with the web and SQL a worker's imports take twice as long and 40 MB more.
    run = getattr(importlib.import_module(f"smsc_filter.service.{role}"), f"run_{role}")
    uvloop.run(run(settings, control))


if __name__ == "__main__":
    main(sys.argv[1:])
