"""What the relay costs, in one run: direct, through a byte splice, observing, and with all checks on.

A machine is faster on one day than on another and in one minute than in the next, so the ways are measured in turn,
round after round, and what counts are the ratios. Generator, SMSC, splice and relay are processes of their own on
the cores that there are; the relay writes every record, and its time ends only when the last one is in SQL.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Final

import orjson
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from smsc_filter.lab import quota_memory, rig
from smsc_filter.lab.evasion import verb as evasion
from smsc_filter.lab.generator import Outcome, status_name
from smsc_filter.lab.operators import PAGE_SECONDS, PEOPLE, Operators, Walked, add_operators
from smsc_filter.lab.screen import make_console, make_error_console
from smsc_filter.lab.traffic import ACCOUNTS, consents
from smsc_filter.smpp.constants import CommandStatus

DIRECT: Final = "direct"
SPLICE: Final = "splice"
OBSERVE: Final = "relay, observing"
CHECKS: Final = "relay, all checks"
CONSOLE: Final = "relay, console used"

CAPS: Final = (1_000_000_000, 1_000_000_000)
"""Of every sender, an hour and a day: quotas are counted and never spent."""

LEAST_ADMITTED: Final = 0.9
"""Share of messages that must reach the SMSC for a measurement to count."""

LATENCY_RATE: Final = 5_000
RECORD_SECONDS: Final = 300.0
"""Longest wait for the last decision to be in SQL."""

GOAL_BATCHED: Final = 50_000
GOAL_BATCHED_SHARE: Final = 0.03
GOAL_UNBATCHED_SHARE: Final = 0.35
GOAL_ADDED_P99_MS: Final = 10.0
GOAL_CONSOLE_SHARE: Final = 0.95


@dataclass(frozen=True, slots=True)
class Shape:
    """How the load comes."""

    name: str
    sessions: int
    window: int
    messages: int
    rate: float = 0.0

    def __str__(self) -> str:
        if self.rate:
            return f"{self.sessions} sessions, {self.rate:,.0f}/s"
        return f"{self.sessions} sessions x window {self.window}"


@dataclass(slots=True)
class Measurement:
    """One load on one way."""

    way: str
    shape: str
    outcome: Outcome
    cpu_seconds: dict[str, float]
    """By process, until the last record was written."""

    record_seconds: float = 0.0
    """From the last answer until the last decision was in SQL."""

    @property
    def recorded_rate(self) -> float:
        """Messages a second with the writing of the last record."""
        return self.outcome.answered / (self.outcome.seconds + self.record_seconds or 1)


@dataclass(slots=True)
class MemorySample:
    """Resident octets of each process after so many messages."""

    messages: int
    rss_octets: dict[str, int]


@dataclass(slots=True)
class Report:
    """Everything one run has found."""

    measurements: list[Measurement] = field(default_factory=list)
    memory: list[MemorySample] = field(default_factory=list)
    walked: list[Walked] = field(default_factory=list)
    """What was opened in the console, by round."""

    def of(self, way: str, shape: str) -> list[Measurement]:
        """The measurements of all rounds."""
        return [each for each in self.measurements if (each.way, each.shape) == (way, shape)]

    def middle(self, way: str, shape: str, value: Callable[[Measurement], float]) -> float:
        """The median over the rounds."""
        found = [value(each) for each in self.of(way, shape)]
        return median(found) if found else 0.0

    def console_share(self, value: Callable[[Measurement], float]) -> float:
        """What is left while the console is used: the median over the rounds, each against its own other half."""
        pairs = zip(self.of(CONSOLE, "console"), self.of(CHECKS, "console"), strict=True)
        return median([value(used) / value(alone) for used, alone in pairs])


class Ground:
    """The simulator, and every way there is to it."""

    def __init__(self, stack: ExitStack, folder: Path, ways: Sequence[str]) -> None:
        """Start what ``ways`` need; ``stack`` ends it."""
        self.simulator = stack.enter_context(rig.simulator(folder))
        self._parts: dict[str, rig.Part] = {}
        for way in ways:
            if way == SPLICE:
                self._parts[way] = stack.enter_context(rig.splice(folder, self.simulator.port))
            elif way in (OBSERVE, CHECKS):
                mode = "observe" if way == OBSERVE else "enforce"
                relay = rig.Relay(folder / mode, self.simulator.port, ACCOUNTS, mode=mode, caps=CAPS)
                relay.import_consents(consents(ACCOUNTS))
                self._parts[way] = stack.enter_context(relay)

    def measure(self, way: str, shape: Shape) -> Measurement:
        """Put one load on one way.

        Raises:
            RigError: it could not be carried out, or something was lost.
        """
        part = self._parts.get(way)
        processes = [self.simulator] if part is None else [self.simulator, part]
        before = _cpu_seconds(processes)
        decided = part.decisions() if isinstance(part, rig.Relay) else 0
        outcome = generate((part or self.simulator).port, shape)
        if outcome.unanswered or outcome.strays or outcome.lost_sessions:
            raise rig.RigError(f"{way}, {shape}: {outcome}")
        admitted = outcome.statuses.get(CommandStatus.ESME_ROK, 0)
        if admitted < LEAST_ADMITTED * outcome.answered:
            # A refusal is cheaper than a message, so this would be no measure of relaying.
            raise rig.RigError(f"{way}, {shape}: answered {counted(Counter(outcome.statuses))}")
        record_seconds = 0.0
        if isinstance(part, rig.Relay):
            record_seconds = part.await_decisions(decided + outcome.sent, RECORD_SECONDS)
        after = _cpu_seconds(processes)
        spent = {name: after[name] - before.get(name, 0.0) for name in after}
        return Measurement(way, shape.name, outcome, {"generator": outcome.cpu_seconds, **spent}, record_seconds)

    def relay(self, way: str) -> rig.Relay:
        """The relay of a way that has one."""
        part = self._parts[way]
        assert isinstance(part, rig.Relay)
        return part

    def measure_used(self, shape: Shape, users: Sequence[tuple[str, str]]) -> tuple[Measurement, Walked]:
        """The same load on the relay with all checks on while ``users`` walk through its console.

        Raises:
            RigError: as ``measure``, or a page was not answered.
        """
        with Operators(self.relay(CHECKS).web, users) as operators:
            measured = self.measure(CHECKS, shape)
        measured.way = CONSOLE
        return measured, operators.walked()

    def memory(self, way: str) -> dict[str, int]:
        """Resident octets of every process on a way."""
        parts = [self.simulator, self._parts[way]]
        return {name: usage.rss_octets for part in parts for name, usage in part.usage().items()}


def _cpu_seconds(parts: Sequence[rig.Part]) -> dict[str, float]:
    return {name: usage.cpu_seconds for part in parts for name, usage in part.usage().items()}


def generate(port: int, shape: Shape) -> Outcome:
    """Run the generator as a process of its own.

    Raises:
        RigError: it could not bind.
    """
    command = [sys.executable, "-m", "smsc_filter.lab.generator", "--json", "--port", str(port)]
    for name in ("sessions", "window", "messages", "rate"):
        command += [f"--{name}", str(getattr(shape, name))]
    parent = os.getpid()
    done = subprocess.run(  # noqa: S603 - our own module
        command, capture_output=True, check=False, preexec_fn=lambda: rig.end_with_parent(parent)
    )
    if done.returncode:
        raise rig.RigError(done.stderr.decode(errors="replace").strip())
    return Outcome.from_json(done.stdout)


def measure_speed(
    folder: Path, shapes: Sequence[Shape], rounds: int, warm_up: int, console: Console
) -> Iterator[Measurement]:
    """Every way under every shape, in turn, ``rounds`` times.

    Raises:
        RigError: a process did not start, or something was lost.
    """
    ways = (DIRECT, SPLICE, OBSERVE, CHECKS)
    plan = [
        (way, shape) for _ in range(rounds) for shape in shapes for way in ways if not (shape.rate and way == DIRECT)
    ]
    with ExitStack() as stack, _progress(console) as progress:
        task = progress.add_task("starting", total=len(plan))
        ground = Ground(stack, folder, ways)
        for way in ways:  # the first messages of a process pay for its caches
            ground.measure(way, Shape("warm-up", 4, 100, warm_up))
        for way, shape in plan:
            progress.update(task, description=f"{way}: {shape}")
            yield ground.measure(way, shape)
            progress.advance(task)


def measure_console(folder: Path, messages: int, rounds: int, console: Console, report: Report) -> None:
    """A batched load with nobody at the console and with people at it, in turn, ``rounds`` times; into ``report``.

    Raises:
        RigError: a process did not start, something was lost, or a page was not answered.
    """
    shape = Shape("console", 4, 100, messages)
    with ExitStack() as stack, _progress(console) as progress:
        task = progress.add_task("console", total=2 * rounds)
        ground = Ground(stack, folder, (CHECKS,))
        users = add_operators(ground.relay(CHECKS).config)
        # The first messages of a process pay for its caches, and so do the first pages.
        ground.measure_used(Shape("warm-up", 4, 100, max(1_000, messages // 20)), users)
        for number in range(rounds):
            for used in (False, True) if number % 2 else (True, False):
                progress.update(task, description=f"{CONSOLE if used else CHECKS}: {shape}")
                if used:
                    measured, walked = ground.measure_used(shape, users)
                    report.walked.append(walked)
                else:
                    measured = ground.measure(CHECKS, shape)
                report.measurements.append(measured)
                progress.advance(task)


def measure_memory(folder: Path, messages: int, console: Console) -> Iterator[MemorySample]:
    """The memory of every process while ``messages`` pass with all checks on, ten looks and one before.

    Raises:
        RigError: a process did not start, or something was lost.
    """
    looks = 10
    with ExitStack() as stack, _progress(console) as progress:
        task = progress.add_task("memory, all checks on", total=messages)
        ground = Ground(stack, folder, (CHECKS,))
        ground.measure(CHECKS, Shape("warm-up", 4, 100, max(1_000, messages // 50)))
        yield MemorySample(0, ground.memory(CHECKS))
        passed = 0
        for look in range(1, looks + 1):
            share = messages * look // looks - passed
            ground.measure(CHECKS, Shape("memory", 4, 100, share))
            passed += share
            progress.update(task, completed=passed)
            yield MemorySample(passed, ground.memory(CHECKS))


def _progress(console: Console) -> Progress:
    columns = TextColumn("{task.description:<48}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    return Progress(*columns, console=console, transient=True)


# What was found, for people.


def speed_table(report: Report, shape: Shape) -> Table:
    """Every way under one shape."""
    table = Table(title=f"{shape.name}: {shape}, {shape.messages:,} messages", title_justify="left")
    table.add_column("way")
    for heading in ("messages/s", "of direct", "of splice", "with records/s", "p50 ms", "p99 ms", "max ms"):
        table.add_column(heading, justify="right")
    rates = {way: report.middle(way, shape.name, lambda each: each.outcome.rate) for way in (DIRECT, SPLICE)}
    for way in (DIRECT, SPLICE, OBSERVE, CHECKS):
        if not report.of(way, shape.name):
            continue
        rate = report.middle(way, shape.name, lambda each: each.outcome.rate)
        recorded = report.middle(way, shape.name, lambda each: each.recorded_rate)
        table.add_row(
            way,
            f"{rate:,.0f}",
            f"{rate / rates[DIRECT]:.3f}" if rates[DIRECT] and not shape.rate else "",
            f"{rate / rates[SPLICE]:.3f}" if rates[SPLICE] and not shape.rate else "",
            f"{recorded:,.0f}" if way in (OBSERVE, CHECKS) and not shape.rate else "",
            *(
                f"{report.middle(way, shape.name, value):.2f}"
                for value in (
                    lambda each: each.outcome.p50_ms,
                    lambda each: each.outcome.p99_ms,
                    lambda each: each.outcome.max_ms,
                )
            ),
        )
    return table


def cost_table(report: Report, shape: Shape) -> Table:
    """Processor time a message, by process: where the microseconds go."""
    columns: dict[str, dict[str, float]] = {}
    for way in (DIRECT, SPLICE, OBSERVE, CHECKS):
        spent: dict[str, list[float]] = defaultdict(list)
        for each in report.of(way, shape.name):
            for name, seconds in each.cpu_seconds.items():
                spent[name].append(1e6 * seconds / each.outcome.answered)
        if spent:
            columns[way] = {name: median(values) for name, values in spent.items()}
    names = list(dict.fromkeys(name for column in columns.values() for name in column))
    table = Table(title=f"{shape.name}: processor microseconds a message", title_justify="left")
    table.add_column("process")
    for way in columns:
        table.add_column(way, justify="right")
    for name in names:
        table.add_row(name, *(f"{column[name]:.2f}" if name in column else "" for column in columns.values()))
    table.add_section()
    table.add_row("together", *(f"{sum(column.values()):.2f}" for column in columns.values()))
    return table


def console_table(report: Report) -> Table:
    """The same load with nobody at the console and with people at it."""
    table = Table(title=f"console: {PEOPLE} people, a page in {PAGE_SECONDS:g} s each", title_justify="left")
    table.add_column("way")
    for heading in ("messages/s", "with records/s", "p99 ms", "pages", "page ms", "slowest page ms"):
        table.add_column(heading, justify="right")
    pages = (
        f"{sum(walked.pages for walked in report.walked):,}",
        f"{median(walked.median_ms for walked in report.walked):.0f}",
        f"{max(walked.slowest_ms for walked in report.walked):.0f}",
    )
    for way in (CHECKS, CONSOLE):
        rate, recorded, p99 = (
            report.middle(way, "console", value)
            for value in (
                lambda each: each.outcome.rate,
                lambda each: each.recorded_rate,
                lambda each: each.outcome.p99_ms,
            )
        )
        table.add_row(way, f"{rate:,.0f}", f"{recorded:,.0f}", f"{p99:.2f}", *(pages if way == CONSOLE else ()))
    return table


def memory_table(samples: Sequence[MemorySample]) -> Table:
    """Resident memory of every process as messages pass."""
    names = list(dict.fromkeys(name for sample in samples for name in sample.rss_octets))
    table = Table(title="resident MiB, all checks on", title_justify="left")
    table.add_column("messages", justify="right")
    for name in names:
        table.add_column(name, justify="right")
    for sample in samples:
        shown = (f"{sample.rss_octets[name] / 2**20:.1f}" if name in sample.rss_octets else "" for name in names)
        table.add_row(f"{sample.messages:,}", *shown)
    return table


def goals(report: Report) -> Iterator[tuple[bool, str]]:
    """(whether it is met, the figures) of each goal that was measured."""

    def rate(way: str, shape: str) -> float:
        return report.middle(way, shape, lambda each: each.outcome.rate)

    if report.of(CHECKS, "batched"):
        reached, direct = rate(CHECKS, "batched"), rate(DIRECT, "batched")
        yield (
            reached >= min(GOAL_BATCHED, GOAL_BATCHED_SHARE * direct),
            f"batched, all checks on: {reached:,.0f}/s, {reached / direct:.3f} of direct"
            f" (goal {GOAL_BATCHED:,}/s or {GOAL_BATCHED_SHARE})",
        )
    if report.of(CHECKS, "unbatched"):
        share = rate(CHECKS, "unbatched") / rate(SPLICE, "unbatched")
        yield (
            share >= GOAL_UNBATCHED_SHARE,
            f"unbatched, all checks on: {share:.3f} of the splice (goal {GOAL_UNBATCHED_SHARE})",
        )
    if report.of(CHECKS, "latency"):
        through, beside = (report.middle(way, "latency", lambda each: each.outcome.p99_ms) for way in (CHECKS, SPLICE))
        yield (
            through - beside <= GOAL_ADDED_P99_MS,
            f"added p99 at {LATENCY_RATE:,}/s: {through - beside:.2f} ms, {through:.2f} against {beside:.2f}"
            f" (goal at most {GOAL_ADDED_P99_MS:g})",
        )

    if report.of(CONSOLE, "console"):
        share = report.console_share(lambda each: each.outcome.rate)
        recorded = report.console_share(lambda each: each.recorded_rate)
        yield (
            share >= GOAL_CONSOLE_SHARE,
            f"while the console is used: {share:.3f} of the messages/s, {recorded:.3f} with records"
            f" (goal at least {GOAL_CONSOLE_SHARE})",
        )


def answers(report: Report) -> str:
    """How the relay with all checks on answered, over the whole run."""
    counts: Counter[int] = Counter()
    for each in report.measurements:
        if each.way == CHECKS:
            counts.update(each.outcome.statuses)
    return counted(counts)


def counted(statuses: Counter[int]) -> str:
    """Answers by command_status, the most frequent first."""
    return ", ".join(f"{status_name(status)} {count:,}" for status, count in statuses.most_common())


def as_json(report: Report) -> bytes:
    """Every single measurement."""
    measurements: list[Mapping[str, object]] = [
        {**asdict(each), "rate": each.outcome.rate, "recorded_rate": each.recorded_rate} for each in report.measurements
    ]
    values = {
        "measurements": measurements,
        "memory": [asdict(each) for each in report.memory],
        "console": [asdict(each) for each in report.walked],
    }
    return orjson.dumps(values, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


# The verb.

SHAPES: Final = ("batched", "unbatched", "latency")


def shapes_for(names: Sequence[str], messages: int, *, quick: bool) -> list[Shape]:
    """The loads of a run. Unbatched messages cost ten times as much, so there are fewer."""
    every = (
        Shape("batched", 4, 100, messages),
        Shape("unbatched", 64, 1, max(1_000, messages // 5)),
        Shape("latency", 16, 100, LATENCY_RATE * (2 if quick else 5), LATENCY_RATE),
    )
    return [shape for shape in every if shape.name in names]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``smsc-filter bench``."""
    parser.add_argument("what", nargs="?", choices=("speed", "quota-memory", "evasion"), default="speed",
                        help="speed of the relay (default), memory of the state of quotas, or evasion: which"
                        " adversaries are stopped, and whether honest people are")  # fmt: skip
    parser.add_argument("--sample", type=int, default=200_000, help="quota-memory: entries of each kind")
    parser.add_argument("--messages", type=int, help="a batched load (default: 200,000; quick: 30,000)")
    parser.add_argument("--rounds", type=int, help="how often everything is measured (default: 3; quick: 1)")
    parser.add_argument("--quick", action="store_true", help="a first impression in half a minute")
    parser.add_argument("--only", nargs="+", choices=(*SHAPES, "memory", "console"), default=SHAPES,
                        metavar="NAME", help="some of batched, unbatched, latency; memory; or console: what people at"
                        " the console cost")  # fmt: skip
    parser.add_argument("--people", type=int, help="evasion: people who send wishes (default: 10,000; quick: 500)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every measurement there")


def run(args: argparse.Namespace) -> int:
    """Measure what the relay costs against none and against a byte splice, or what evades it."""
    if args.what == "evasion":
        return evasion.run(args)
    console, errors = make_console(), make_error_console()
    if args.what == "quota-memory":
        with _progress(errors) as progress:
            task = progress.add_task("memory of quotas", total=None)
            quota_memory.show(quota_memory.measure(args.sample, lambda count: progress.advance(task, count)), console)
        return 0
    messages = args.messages or (30_000 if args.quick else 200_000)
    if messages < 1:
        errors.print("smsc-filter bench: --messages must be at least 1")
        return 2
    report = Report()
    shapes = shapes_for(args.only, messages, quick=args.quick)
    try:
        with tempfile.TemporaryDirectory(prefix="smsc-filter-bench-") as folder:
            if shapes:
                rounds = args.rounds or (1 if args.quick else 3)
                for measurement in measure_speed(Path(folder), shapes, rounds, max(1_000, messages // 20), errors):
                    report.measurements.append(measurement)
            if "console" in args.only:
                console_folder = Path(folder) / "console"
                console_folder.mkdir()
                measure_console(console_folder, messages, args.rounds or (1 if args.quick else 5), errors, report)
            if "memory" in args.only:
                memory_folder = Path(folder) / "memory"
                memory_folder.mkdir()
                for sample in measure_memory(memory_folder, messages, errors):
                    report.memory.append(sample)
    except rig.RigError as error:
        errors.print(f"smsc-filter bench: {error}")
        return 1
    for shape in shapes:
        console.print(speed_table(report, shape))
        console.print(cost_table(report, shape))
    if report.walked:
        console.print(console_table(report))
    if report.memory:
        console.print(memory_table(report.memory))
    for met, figures in goals(report):
        console.print(f"{'met    ' if met else 'not met'}  {figures}")
    if shapes:
        console.print(f"answers with all checks on: {answers(report)}")
    if args.json:
        args.json.write_bytes(as_json(report))
    return 0


def main() -> int:
    """``python -m smsc_filter.lab.bench``."""
    parser = argparse.ArgumentParser(prog="bench")
    add_arguments(parser)
    return run(parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
