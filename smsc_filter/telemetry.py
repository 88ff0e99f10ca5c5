"""How events are logged: a name and fields, one a line on stderr, as JSON or for people to read.

Texts of messages and full phone numbers stay in the decision record and never come here. What names a number after all,
such as the words of an error somebody else raised, has its middle taken out on its way.
"""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import structlog
from pydantic import ConfigDict
from structlog.typing import EventDict, Processor, WrappedLogger

LEVEL_VARIABLE = "SMSC_FILTER_LOG"
"""Environment variable with the least level that is logged: debug, info, warning, error."""

NUMBER: Final = re.compile(r"(?<![0-9.:-])(\+?[0-9]{3})[0-9]{5,10}([0-9]{2})(?![0-9.:-])")
"""A phone number in full: 10 to 15 digits by themselves."""

NO_NUMBERS: Final = frozenset({"event", "level", "timestamp", "entry_id", "file", "at"})
"""Fields whose digits are times and places."""

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


def configure_logging(level: str | None = None, form: Format = "json") -> None:
    """Log events at ``level`` and above, as ``form``; without a level the environment says, and "info" otherwise."""
    name = (level or os.environ.get(LEVEL_VARIABLE, "info")).upper()
    least = logging.getLevelNamesMapping().get(name, logging.INFO)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            shorten_numbers,
            *_renderer(form),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(least),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )


def _renderer(form: Format) -> Sequence[Processor]:
    if form == "json":
        return [structlog.processors.JSONRenderer(ensure_ascii=False)]
    plain = structlog.dev.plain_traceback
    return [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)]
