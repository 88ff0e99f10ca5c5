"""How events are logged: a name and fields, one JSON object a line, on stderr.

Texts of messages and full phone numbers stay in the decision record and never come here.
"""

import logging
import os
import sys

import structlog

LEVEL_VARIABLE = "SMSC_FILTER_LOG"
"""Environment variable with the least level that is logged: debug, info, warning, error."""


def configure_logging(level: str | None = None) -> None:
    """Log events at ``level`` and above; not given, the environment says, and "info" otherwise."""
    name = (level or os.environ.get(LEVEL_VARIABLE, "info")).upper()
    least = logging.getLevelNamesMapping().get(name, logging.INFO)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(least),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
