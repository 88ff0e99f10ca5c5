"""A child process of ``serve``: role, control descriptor, configuration file."""

from __future__ import annotations

import socket
import sys
from collections.abc import Sequence
from pathlib import Path

import uvloop

from smsc_filter.service.recorder import run_recorder
from smsc_filter.service.web import run_web
from smsc_filter.service.worker import run_worker
from smsc_filter.settings import read_settings
from smsc_filter.telemetry import configure_logging


def main(arguments: Sequence[str]) -> None:
    """A child process: role, control descriptor, configuration file."""
    role, descriptor, *config = arguments
    control = socket.socket(fileno=int(descriptor))
    settings = read_settings(Path(config[0]) if config else None)
    configure_logging(form=settings.logs.format)
    run = {"worker": run_worker, "recorder": run_recorder, "web": run_web}[role]
    uvloop.run(run(settings, control))


if __name__ == "__main__":
    main(sys.argv[1:])
