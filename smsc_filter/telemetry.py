"""How events are logged: a name and fields, one a line on stderr, as JSON or for people to read.

A line is one ``write``, and processes that share a pipe write one after the other: no line is torn by another's.

Texts of messages and full phone numbers stay in the decision record and never come here. Of an exception its class and
the lines it came by are logged, never its words: a database or a parser puts the value it dislikes into them. What
libraries and the interpreter log by themselves goes the same way. A number that gets here after all has its middle
taken out.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import re
import select
import stat
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TextIO

import structlog
from pydantic import ConfigDict
from structlog.typing import EventDict, Processor, WrappedLogger

LEVEL_VARIABLE = "SMSC_FILTER_LOG"
"""Environment variable with the least level that is logged: debug, info, warning, error."""

NUMBER: Final = re.compile(r"(?<![0-9.:-])(\+?[0-9]{3})[0-9]{5,10}([0-9]{2})(?![0-9.:-])")
"""A phone number in full: 10 to 15 digits by themselves."""

NO_NUMBERS: Final = frozenset({"event", "level", "timestamp", "entry_id", "file", "at"})
"""Fields whose digits are times and places."""

ARGUMENTS: Final = re.compile(r",? with args beginning with:.*", re.DOTALL)

LOCK_SECONDS: Final = 0.5
"""Longest wait for another process to finish its line; one that was stopped in the middle of it holds up nobody."""

Format = Literal["json", "text"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings:
    """``[logs]``: how events are written."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    format: Format = "json"
    """"json": an object a line, for machines; "text": for people."""


def shorten_numbers(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    """Take the middle out of every phone number among the fields."""
    return {key: value if key in NO_NUMBERS else _shortened(value) for key, value in event.items()}


def _shortened(value: Any) -> Any:
    if isinstance(value, str):
        return NUMBER.sub(r"\1****\2", value)
    if isinstance(value, list | tuple):
        return [_shortened(each) for each in value]
    return value


class LineWriter:
    """Writes whole lines to a stream, whoever else writes to it. Safe for threads."""

    def __init__(self, stream: TextIO) -> None:
        """Write to the descriptor of ``stream``, or through ``stream`` where it has none."""
        self._stream = stream
        self._lock = threading.Lock()
        self._descriptor: int | None = None
        self._shared = False
        with contextlib.suppress(OSError, ValueError):
            descriptor = stream.fileno()
            # A write to a file is whole already; one to a pipe only up to PIPE_BUF octets.
            mode = os.fstat(descriptor).st_mode
            self._shared = stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)
            self._descriptor = descriptor

    def msg(self, message: str) -> None:
        """Write ``message`` and a line feed; what nobody can read any more is dropped."""
        if self._descriptor is None:
            with self._lock:
                self._stream.write(message + "\n")
                self._stream.flush()
            return
        line = (message + "\n").encode("utf-8", "backslashreplace")
        with self._lock, self._alone(self._descriptor), contextlib.suppress(OSError):
            _write_all(self._descriptor, line)

    log = debug = info = warn = warning = msg
    fatal = failure = err = error = critical = exception = msg

    @contextlib.contextmanager
    def _alone(self, descriptor: int) -> Iterator[None]:
        """Keep other processes from writing meanwhile, as far as the system can."""
        locked = False
        deadline = time.monotonic() + LOCK_SECONDS
        while self._shared and not locked:
            try:
                fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                locked = True
            except (BlockingIOError, PermissionError):
                if time.monotonic() > deadline:
                    break
                time.sleep(0.0005)
            except OSError:
                self._shared = False  # this system has no locks on pipes
        try:
            yield
        finally:
            if locked:
                fcntl.lockf(descriptor, fcntl.LOCK_UN)


def _write_all(descriptor: int, octets: bytes) -> None:
    """Write all of ``octets``, in one call but where the system takes only a part."""
    while octets:
        try:
            octets = octets[os.write(descriptor, octets) :]
        except BlockingIOError:
            select.select((), (descriptor,), (), 1.0)


def configure_logging(level: str | None = None, form: Format = "json") -> None:
    """Log events at ``level`` and above, as ``form``; without a level the environment says, and "info" otherwise."""
    name = (level or os.environ.get(LEVEL_VARIABLE, "info")).upper()
    least = logging.getLevelNamesMapping().get(name, logging.INFO)
    writer = LineWriter(sys.stderr)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            place_exception,
            cut_arguments,
            shorten_numbers,
            *_renderer(form),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(least),
        logger_factory=lambda *_: writer,
        cache_logger_on_first_use=True,
    )
    _take_over(least)


def failure(error: BaseException) -> dict[str, object]:
    """What a log may say of an exception: its class, that of its cause, and the lines it came by; not its words."""
    frames = traceback.extract_tb(error.__traceback__)[-16:]
    cause = error.__cause__ or error.__context__
    name = type(error).__name__ + (f" from {type(cause).__name__}" if cause is not None else "")
    return {"error": name, "at": [f"{frame.filename}:{frame.lineno}" for frame in frames]}


def place_exception(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    """Put class and place of an exception in the place of the exception."""
    found = event.pop("exc_info", None)
    if isinstance(found, tuple):
        found = found[1]
    elif found and not isinstance(found, BaseException):
        found = sys.exc_info()[1]
    if isinstance(found, BaseException):
        event.update(failure(found))
    return event


def cut_arguments(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    """Cut from the words of a store what it was given: "unknown command 'X', with args beginning with: ..."."""
    return {key: ARGUMENTS.sub("", value) if isinstance(value, str) else value for key, value in event.items()}


class _Events(logging.Handler):
    """Logs what libraries log, as an event."""

    def emit(self, record: logging.LogRecord) -> None:
        """Log a record; its further lines may hold an exception's words."""
        said = record.getMessage().partition("\n")[0]
        level = "error" if record.levelno >= logging.ERROR else "warning"
        getattr(structlog.get_logger(), level)("library", logger=record.name, detail=said, exc_info=record.exc_info)


def _take_over(least: int) -> None:
    """Log as events what libraries log and what nobody catches."""
    root = logging.getLogger()
    if not any(isinstance(handler, _Events) for handler in root.handlers):
        root.addHandler(_Events())
    root.setLevel(max(least, logging.WARNING))
    # A warning for each malformed request, which is answered with 400.
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    sys.excepthook = lambda _kind, error, _traceback: _log_uncaught(error)
    threading.excepthook = lambda uncaught: _log_uncaught(uncaught.exc_value)


def _log_uncaught(error: BaseException | None) -> None:
    if error is not None and not isinstance(error, KeyboardInterrupt):
        structlog.get_logger().error("uncaught", exc_info=error)


def _renderer(form: Format) -> Sequence[Processor]:
    if form == "json":
        return [structlog.processors.JSONRenderer(ensure_ascii=False)]
    plain = structlog.dev.plain_traceback
    return [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)]
