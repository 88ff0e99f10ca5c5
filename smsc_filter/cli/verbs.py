"""A tree of verbs: how each is declared, with its summary, its example and its options."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

Run = Callable[[argparse.Namespace], int]


class Verbs:
    """Verbs of one level, as the modules beside this one add them."""

    def __init__(self, under: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
        self._under = under

    def verb(self, name: str, run: Run, *, example: str = "", config: bool = True) -> argparse.ArgumentParser:
        """A verb that calls ``run``, whose docstring is its summary; ``config`` gives it ``--config``."""
        one = self.bare(name, (run.__doc__ or "").splitlines()[0], example)
        one.set_defaults(run=run)
        if config:
            one.add_argument("--config", type=Path, metavar="F", help="configuration; defaults where not given")
        return one

    def bare(self, name: str, summary: str, example: str = "") -> argparse.ArgumentParser:
        """A verb that somebody else fills in."""
        return self._under.add_parser(
            name,
            help=summary,
            description=summary,
            epilog=f"example:\n  {example}" if example else None,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )

    def group(self, name: str, summary: str) -> Verbs:
        """A verb with verbs of its own."""
        return Verbs(
            self._under.add_parser(name, help=summary).add_subparsers(dest="what", required=True, metavar="WHAT")
        )
