"""The command line: one function a verb."""

from smsc_filter.cli.parser import main

__all__ = ["main"]
