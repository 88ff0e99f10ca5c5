"""Where bench, demo and send print their tables."""

from __future__ import annotations

from typing import Final

from rich.console import Console

TABLE_CHARACTERS: Final = 120
"""Width where there is no terminal to fit, such as in a file or a log."""


def make_console() -> Console:
    """Standard output, as wide as the terminal."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=TABLE_CHARACTERS)


def make_error_console() -> Console:
    """Standard error: progress, and what went wrong in one line."""
    return Console(stderr=True, highlight=False, markup=False)
