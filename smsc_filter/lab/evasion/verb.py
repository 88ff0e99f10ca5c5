"""``smsc-filter bench evasion``: every setting put to the trial, side by side."""

from __future__ import annotations

import argparse
import multiprocessing
import os
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any, Final

import orjson
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from smsc_filter.lab.evasion.trial import NAIVE, SETTINGS, SHIPPED, Result, Trial, cast_of
from smsc_filter.lab.rig import RigError, end_with_parent
from smsc_filter.lab.screen import make_console, make_error_console

PEOPLE: Final = 10_000
DAYS: Final = 14
QUICK_PEOPLE: Final = 500
QUICK_DAYS: Final = 3
TOLD_MESSAGES: Final = 2_000
"""Messages between two tidings of progress."""

TITLES: Final[Mapping[str, str]] = {
    SHIPPED: "shipped: the default profile",
    NAIVE: "naive: fixed windows of the clock, a public cap, no clusters, nobody watching",
}

Results = Mapping[str, Sequence[Result]]


def trials(people: int, days: int, console: Console) -> Results:
    """Every setting in a process of its own, so that they share the cores there are.

    Raises:
        RigError: one ended before it was done.
    """
    context = multiprocessing.get_context("spawn")
    results: dict[str, Sequence[Result]] = {}
    ends: dict[Connection, str] = {}
    columns = TextColumn("{task.description:<12}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console, transient=True) as progress:
        tasks = {setting: progress.add_task(setting, total=None) for setting in SETTINGS}
        processes = []
        for setting in SETTINGS:
            ours, theirs = context.Pipe(duplex=False)
            process = context.Process(target=_in_child, args=(setting, people, days, os.getpid(), theirs), daemon=True)
            process.start()
            theirs.close()
            processes.append(process)
            ends[ours] = setting
        try:
            while ends:
                for ready in wait(list(ends)):
                    assert isinstance(ready, Connection)
                    try:
                        kind, value = ready.recv()
                    except EOFError:
                        raise RigError(f"the trial of the {ends[ready]} setting ended before it was done") from None
                    if kind == "done":
                        results[ends.pop(ready)] = value
                    elif kind == "total":
                        progress.update(tasks[ends[ready]], total=value)
                    else:
                        progress.advance(tasks[ends[ready]], value)
        finally:
            for process in processes:
                process.join(5.0 if not ends else 0.0)
                if process.is_alive():
                    process.terminate()
    return results


def _in_child(setting: str, people: int, days: int, parent: int, to: Connection) -> None:
    end_with_parent(parent)
    actors, known = cast_of(people, days)
    to.send(("total", sum(1 for actor in actors for _ in actor.script())))
    untold = 0

    def advance(messages: int) -> None:
        nonlocal untold
        untold += messages
        if untold >= TOLD_MESSAGES:
            to.send(("more", untold))
            untold = 0

    to.send(("done", Trial(setting, actors, known).run(advance)))
    to.close()


def adversaries_table(setting: str, results: Sequence[Result]) -> Table:
    """How each adversary was stopped."""
    table = Table(title=f"adversaries, {TITLES[setting]}", title_justify="left")
    table.add_column("")
    table.add_column("adversary")
    for heading in ("campaign", "got through", "share", "through in all"):
        table.add_column(heading, justify="right")
    table.add_column("stopped by")
    for result in results:
        if not result.honest:
            table.add_row(
                "met" if result.met else "not met",
                result.name,
                f"{result.messages:,}",
                f"{result.got_through:,}",
                f"{result.got_through / max(1, result.messages):.2%}",
                f"{result.through:,}",
                result.stopped_by if result.met else f"{result.stopped_by}, too late",
            )
    return table


def honest_table(setting: str, results: Sequence[Result]) -> Table:
    """Who should not have been stopped, and was."""
    table = Table(title=f"the honest, {TITLES[setting]}", title_justify="left")
    table.add_column("")
    table.add_column("who")
    for heading in ("messages", "blocked", "senders", "senders blocked"):
        table.add_column(heading, justify="right")
    table.add_column("why")
    table.add_column("accused by")
    for result in results:
        if result.honest:
            table.add_row(
                "met" if result.met else "not met",
                result.name,
                f"{result.messages:,}",
                f"{sum(result.causes.values()):,}",
                f"{result.senders:,}",
                f"{len(result.blocked):,}",
                ", ".join(f"{cause} {count:,}" for cause, count in result.causes.most_common()),
                ", ".join(sorted(result.alarms)),
            )
    return table


def as_json(results: Results, people: int, days: int) -> bytes:
    """Every figure."""
    values: dict[str, Any] = {
        "people": people,
        "days": days,
        "settings": {setting: [result.to_dict() for result in its] for setting, its in results.items()},
    }
    return orjson.dumps(values, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def run(args: argparse.Namespace) -> int:
    """Measure what adversaries get through, and which honest people are stopped."""
    console, errors = make_console(), make_error_console()
    people = args.people if args.people is not None else QUICK_PEOPLE if args.quick else PEOPLE
    days = QUICK_DAYS if args.quick else DAYS
    if people < 1:
        errors.print("smsc-filter bench evasion: --people must be at least 1")
        return 2
    try:
        results = trials(people, days, errors)
    except RigError as error:
        errors.print(f"smsc-filter bench evasion: {error}")
        return 1
    for setting in SETTINGS:
        console.print(adversaries_table(setting, results[setting]))
        console.print(honest_table(setting, results[setting]))
    shipped = results[SHIPPED]
    stopped = [result.met for result in shipped if not result.honest]
    greeters = shipped[-1]
    console.print(
        f"{'met    ' if all(stopped) else 'not met'}  {sum(stopped)} of {len(stopped)} adversaries were stopped within"
        " 1 % of their campaign or 1,000 messages"
    )
    console.print(
        f"{'not met' if greeters.blocked else 'met    '}  {len(greeters.blocked):,} of {greeters.senders:,} people with"
        " wishes were blocked (goal 0)"
    )
    if args.json:
        args.json.write_bytes(as_json(results, people, days))
    return 0
