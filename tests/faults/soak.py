"""A soak: a provider at a steady rate beside hostile peers, with a process killed every so often, for as long as asked.

``python -m tests.faults.soak --minutes 20`` prints a line of progress every ten seconds and its figures at the end; the
exit status is 0 if nothing was lost and no process grew. What is asserted:

- every message is answered in the end; ESME_ROK means that the SMSC has it once, octet for octet, under the message_id
  that the provider was told, and that it has its decision record;
- a refusal has its record too, but for those that say "later", of which repeats are counted;
- no message has more records than times it was sent, and no record was rejected;
- between the half of the run and its end no process grew by more than a fifth.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import os
import re
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import quantiles
from typing import Final

import uvloop

from smsc_filter.lab import rig
from smsc_filter.lab.generator import status_name
from smsc_filter.lab.journal import read_journal
from smsc_filter.lab.traffic import recipient
from smsc_filter.smpp.codec import encode_submit
from smsc_filter.smpp.constants import HEADER_OCTETS, CommandStatus
from smsc_filter.sms.coding import encode_text
from tests.faults.driver import BANK, LATER, SHOP, Letter, Provider
from tests.faults.ground import Ground, free_port, simulator
from tests.faults.peers import DEAF, MUTANT, Tally, guess_passwords, never_read, send_mutated

SUBSCRIBERS: Final = 5_000
"""Recipients of a soak: as few as keep what is counted for each of them the same size after the first minute."""

DEAF_LINKS: Final = 3
TICK_SECONDS: Final = 0.1
PROGRESS_SECONDS: Final = 10.0
PATIENCE_SECONDS: Final = 180.0
"""How long the last answers may take after the last message was due."""

KILL_CALM_SECONDS: Final = 5.0
"""Before and after a kill latencies are not those of a relay in peace."""

GROWTH: Final = 1.2
ROLES: Final = ("worker", "valkey", "recorder", "web", "supervisor", "smsc")

TEXTS: Final = (
    (BANK, "Your verification code is {serial:09d}. It is valid for 5 minutes. Do not share it."),
    (BANK, "【云上银行】验证码 {serial:09d}，5分钟内有效，请勿告诉他人。"),
    (SHOP, "【云上商城】周末全场五折，券号{serial:09d}，快来抢购！拒收请回复TD"),
    (BANK, "Your parcel {serial:09d} will arrive today between 14 and 16."),
)
_SERIAL: Final = re.compile(r"\d{9}")


@dataclass(slots=True)
class Soak:
    """What a soak does and what it saw."""

    seconds: float
    rate: float
    kill_every: float
    ground: Ground
    letters: list[Letter]
    tally: Tally = field(default_factory=Tally)
    killed: Counter[str] = field(default_factory=Counter)
    memory: dict[str, list[tuple[float, int]]] = field(default_factory=lambda: defaultdict(list))
    """Resident octets of each role, at seconds since the start."""

    began: float = field(default_factory=time.monotonic)
    broken: list[str] = field(default_factory=list)
    """Why a peer ended before the soak did: then the relay was not under what was promised."""

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.began

    async def run(self) -> Provider:
        """Send, disturb, kill and watch until every message is answered.

        Raises:
            TimeoutError: a message is not answered.
        """
        port = self.ground.relay.port
        provider = Provider(port, self.letters)
        provider.may_send = 0
        self.began = time.monotonic()
        others = [
            asyncio.ensure_future(each)
            for each in (
                send_mutated(port, self.tally),
                *(never_read(port, self.tally) for _ in range(DEAF_LINKS)),
                guess_passwords(port, self.tally),
                self._watch(provider),
                self._kill(provider),
            )
        ]
        pace = asyncio.ensure_future(self._pace(provider))
        try:
            await provider.run(self.seconds + PATIENCE_SECONDS)
        finally:
            for task in (pace, *others):
                task.cancel()
            ended = await asyncio.gather(*others, return_exceptions=True)
            await asyncio.gather(pace, return_exceptions=True)
        self.broken = [repr(each) for each in ended if isinstance(each, Exception)]
        return provider

    async def _pace(self, provider: Provider) -> None:
        allowed = 0
        while allowed < len(self.letters):
            due = min(len(self.letters), int(self.elapsed * self.rate))
            provider.may_send += due - allowed
            allowed = due
            await asyncio.sleep(TICK_SECONDS)

    async def _kill(self, provider: Provider) -> None:
        for turn, role in enumerate(itertools.cycle(ROLES), 1):
            await asyncio.sleep(max(0.0, turn * self.kill_every - self.elapsed))
            if self.elapsed > self.seconds - self.kill_every / 2:
                return
            await asyncio.to_thread(self.ground.kill_role, role)
            provider.port = self.ground.relay.port
            self.killed[role] += 1

    async def _watch(self, provider: Provider) -> None:
        while True:
            usage = await asyncio.to_thread(self._usage)
            for role, octets in usage.items():
                self.memory[role].append((self.elapsed, octets))
            sizes = ", ".join(f"{role} {octets >> 20}" for role, octets in sorted(usage.items()))
            say(
                f"{self.elapsed:6.0f} s  {provider.answered:,} of {len(self.letters):,} answered, "
                f"{self.tally.mutated:,} mutated, {self.tally.guesses:,} guesses, "
                f"killed {self.killed.total()}; MiB: {sizes}"
            )
            await asyncio.sleep(PROGRESS_SECONDS)

    def _usage(self) -> dict[str, int]:
        with contextlib.suppress(OSError):
            return {role: usage.rss_octets for role, usage in self.ground.relay.usage().items()}
        return {}


def say(line: str) -> None:
    """Print a line at once, also into a file."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def make_letters(count: int) -> list[Letter]:
    """``count`` messages, each with a serial number of its own in its text."""
    written = []
    for serial in range(count):
        account, text = TEXTS[serial % len(TEXTS)]
        octets, data_coding = encode_text(text.format(serial=serial))
        source, to = account.senders[0].encode(), recipient(serial % SUBSCRIBERS).encode()
        pdu = encode_submit(0, source, to, octets, data_coding=data_coding, source_ton=0)
        written.append(Letter(serial, account, pdu[HEADER_OCTETS:]))
    return written


@contextlib.contextmanager
def soak_ground(folder: Path) -> Iterator[Ground]:
    """A relay with two workers on a port that it keeps, its SMSC, and accounts for everybody."""
    os.environ["SMSC_FILTER_LISTEN__WORKERS"] = "2"
    os.environ["SMSC_FILTER_LISTEN__PORT"] = str(free_port())
    os.environ["SMSC_FILTER_UPSTREAM__RECONNECT_MOST"] = "0.5"
    smsc = simulator(folder, free_port())
    with contextlib.ExitStack() as stack:
        smsc.__enter__()
        relay = rig.Relay(folder / "relay", smsc.port, (BANK, SHOP, MUTANT, DEAF), caps=(10**9, 10**9))
        agreed = (f"{recipient(number)},{SHOP.owner},granted" for number in range(SUBSCRIBERS))
        relay.import_consents(["recipient,owner,state", *agreed])
        relay.__enter__()
        ground = Ground(folder, smsc, relay)
        stack.callback(lambda: ground.smsc.stop())
        stack.callback(relay.stop)
        yield ground


def faults_of(soak: Soak) -> tuple[list[str], Counter[int]]:
    """What was promised and did not hold, in words; and how often each status was answered."""
    found = [f"a peer of the soak ended by itself: {each}" for each in soak.broken]
    statuses = Counter(letter.answer.status for letter in soak.letters if letter.answer is not None)
    unanswered = sum(letter.answer is None for letter in soak.letters)
    if unanswered:
        found.append(f"{unanswered:,} messages without an answer")
    found += _lost_at_smsc(soak)
    found += _lost_on_record(soak)
    found += [f"{role} grew from {before >> 20} to {after >> 20} MiB" for role, before, after in _growth(soak)]
    return found, statuses


def _lost_at_smsc(soak: Soak) -> list[str]:
    at_smsc = {entry.message_id: entry.octets[HEADER_OCTETS:] for entry in read_journal(soak.ground.journal)}
    missing = changed = 0
    for letter in soak.letters:
        if letter.answer is not None and letter.answer.status == CommandStatus.ESME_ROK:
            body = at_smsc.pop(letter.answer.message_id, None)
            missing += body is None
            changed += body is not None and body != letter.body
    return [
        f"{count:,} messages answered ESME_ROK {what}"
        for count, what in ((missing, "are not at the SMSC"), (changed, "are there with other octets"))
        if count
    ]


def _lost_on_record(soak: Soak) -> list[str]:
    admitted: Counter[int] = Counter()
    refused: dict[int, list[int]] = defaultdict(list)
    with contextlib.closing(soak.ground.relay.records()) as records:
        rows = records.execute(
            "select text, cause, command_status from decisions where system_id in (?, ?)",
            (BANK.system_id, SHOP.system_id),
        )
        for text, cause, status in rows:
            serial = int(_SERIAL.findall(text)[0])
            if cause:
                refused[serial].append(status)
            else:
                admitted[serial] += 1
        rejections = records.execute("select count(*) from outcomes where command_status != 0").fetchone()[0]
        rejected = records.execute("select count(*) from stream_rejects").fetchone()[0]
    faults: Counter[str] = Counter()
    for letter in soak.letters:
        if letter.answer is None:
            continue
        status, number = letter.answer.status, letter.number
        if status == CommandStatus.ESME_ROK:
            faults["answered ESME_ROK without a record"] += not admitted[number]
        elif status not in LATER:
            faults["refused without a record"] += status not in refused[number] and not rejections
        faults["with more records than sendings"] += admitted[number] + len(refused[number]) > letter.sent
    faults["rejected by the records"] += rejected
    return [f"{count:,} messages {what}" for what, count in faults.items() if count]


def _growth(soak: Soak) -> list[tuple[str, int, int]]:
    """Roles that were larger at the end of a run than at its half, by more than they may."""
    found = []
    for role, samples in soak.memory.items():
        middle = [octets for at, octets in samples if soak.seconds * 0.4 <= at < soak.seconds * 0.6]
        end = [octets for at, octets in samples if soak.seconds * 0.8 <= at < soak.seconds]
        if middle and end and max(end) > GROWTH * max(middle):
            found.append((role, max(middle), max(end)))
    return found


def _latencies(soak: Soak) -> list[float]:
    """Seconds to each answer in peace, sorted."""
    kills = soak.ground.kills
    calm = []
    for letter in soak.letters:
        answer = letter.answer
        if answer is None or letter.lost:
            continue
        if any(
            began - KILL_CALM_SECONDS <= answer.answered_at and answer.sent_at <= gone + KILL_CALM_SECONDS
            for began, gone in kills
        ):
            continue
        calm.append(answer.answered_at - answer.sent_at)
    return calm


def report(soak: Soak, provider: Provider, faults: Sequence[str], statuses: Counter[int]) -> None:
    """Print the figures of a soak."""
    told = {status_name(code): count for code, count in statuses.items()}
    again = sum(len(letter.lost) for letter in soak.letters)
    say(f"{len(soak.letters):,} messages in {soak.seconds:,.0f} s, answered {told}; sent again {again:,}")
    say(f"killed {dict(soak.killed)}, links lost {provider.lost_links}, stray answers {provider.strays}")
    tally = soak.tally
    say(f"mutated PDUs {tally.mutated:,}, links closed on them {tally.cut_off:,}; unread requests {tally.unread:,}")
    say(f"wrong binds {tally.guesses:,}, answered {tally.statuses}; connections refused {tally.refused_connections:,}")
    calm = [seconds * 1000 for seconds in _latencies(soak)]
    if len(calm) > 1:
        cuts = quantiles(calm, n=100)
        say(f"latency in peace: p50 {cuts[49]:.1f} ms, p99 {cuts[98]:.1f} ms, most {max(calm):.0f} ms")
    for role, samples in sorted(soak.memory.items()):
        quarter = soak.seconds / 4
        most = [
            max((octets for at, octets in samples if index * quarter <= at < (index + 1) * quarter), default=0) >> 20
            for index in range(4)
        ]
        say(f"MiB at most in each quarter: {role:10} {most}")
    for fault in faults:
        say(f"FAULT {fault}")
    say(f"{len(faults)} faults" if faults else "nothing lost, memory flat")


def soak_once(folder: Path, seconds: float, rate: float, kill_every: float) -> list[str]:
    """Carry out one soak in ``folder`` and print its figures; what did not hold, in words."""
    with soak_ground(folder) as ground:
        soak = Soak(seconds, rate, kill_every, ground, make_letters(int(seconds * rate)))
        provider = uvloop.run(soak.run())
        ground.await_records()
        ground.smsc.stop()
        faults, statuses = faults_of(soak)
    report(soak, provider, faults, statuses)
    return faults


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a soak from the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.soak", description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--rate", type=float, default=300.0, help="messages a second of the provider")
    parser.add_argument("--kill-every", type=float, default=60.0, metavar="SECONDS")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        return 1 if soak_once(Path(folder), options.minutes * 60, options.rate, options.kill_every) else 0


if __name__ == "__main__":
    sys.exit(main())
