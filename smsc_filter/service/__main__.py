"""A child process of ``serve``: role, descriptors of its channel and of its stacks, process id of the supervisor."""

from __future__ import annotations

import faulthandler
import importlib
import os
import signal
import socket
import sys
from collections.abc import Sequence

import uvloop

from smsc_filter.records.modes import PRIVATE_UMASK
from smsc_filter.service.child import STACK_SIGNAL, STARTED, Control
from smsc_filter.state.embedded import end_with_parent
from smsc_filter.telemetry import configure_logging


def main(arguments: Sequence[str]) -> None:
    """Serve one role, for as long as the supervisor lives."""
    os.umask(PRIVATE_UMASK)
    role, descriptor, stacks, parent = arguments
    # Also when the loop, which would see the end of the channel, is blocked.
    end_with_parent(int(parent), signal.SIGKILL)
    faulthandler.register(STACK_SIGNAL, file=int(stacks), all_threads=True)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a terminal says it to everybody; the supervisor decides
    control = Control(socket.socket(fileno=int(descriptor)))
    control.say(STARTED)
    start, listening = control.begin()
    configure_logging(form=start.settings.logs.format)
    # Of its own role alone: with the web and SQL a worker's imports take twice as long and 40 MB more.
    run = getattr(importlib.import_module(f"smsc_filter.service.{role}"), f"run_{role}")
    uvloop.run(run(start, control, *([listening] if listening else [])))


if __name__ == "__main__":
    main(sys.argv[1:])
