"""The whole product at work: providers with real clients, the relay, a simulated SMSC, and an account of it all.

Every message goes to a subscriber of its own, so each decision record is found by its recipient. The relay
answers in the standard style, because aiosmpplib knows no command_status but those of the specification and drops the
connection at any other; causes are therefore read from the decision records.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text
from sqlalchemy import func, select

from smsc_filter.lab import rig
from smsc_filter.lab.clients import AiosmpplibSession, Answer, ClientError, SmpplibSession, name_of, parts_of
from smsc_filter.lab.journal import read_journal
from smsc_filter.lab.screen import make_console, make_error_console
from smsc_filter.lab.traffic import PURPOSE_OF, Account, Purpose, carries_its_duties, fits_one_part, recipient
from smsc_filter.records.database import open_database
from smsc_filter.records.explain import describe, find_decision, find_outcome
from smsc_filter.records.tables import decisions
from smsc_filter.samples import Sample, SampleError, load_samples, read_texts
from smsc_filter.smpp.constants import CommandStatus
from smsc_filter.sms.coding import encode_text

MESSAGES: Final = 4_000
PERSON_BURST: Final = 120
"""Wishes and other texts of one person; an hour allows a person 200."""

REPORTED_MOST: Final = 5
"""Examples shown of anything that is wrong."""

SHOW_SECONDS: Final = 0.1
LINE_SECONDS: Final = 1.0
"""How often progress is told where there is no terminal to show it on."""

TRICKLE_SECONDS: Final = 0.2

ADMITTED: Final = "admitted"

INTERRUPTED: Final = 130
"""Exit status after Ctrl-C, as shells have it."""

SHOP = Account(
    system_id="shop",
    password="shop-pw",  # noqa: S106 - of a simulated account
    owner="shop-ltd",
    purpose="commercial",
    senders=("1069000101", "1069000102"),
)
BANK = Account(
    system_id="bank",
    password="bank-pw",  # noqa: S106
    owner="bank-ltd",
    purpose="service",
    senders=("1069000201", "1069000202"),
)
COURIER = Account(
    system_id="courier",
    password="cour-pw",  # noqa: S106
    owner="courier-ltd",
    purpose="service",
    senders=("1069000301", "1069000302"),
)


@dataclass(frozen=True, slots=True)
class Letter:
    """One message to be sent."""

    sample: Sample
    account: Account
    source: str
    destination: str
    consented: bool = False

    @property
    def kind(self) -> str:
        """What it is, by its label and by what its recipient agreed to."""
        if self.sample.label == "commercial":
            return f"{self.sample.category}, {'agreed' if self.consented else 'not agreed'}"
        return self.sample.category


@dataclass(slots=True)
class Sent:
    """What became of one letter."""

    letter: Letter
    parts: int
    answers: list[Answer] = field(default_factory=list)

    @property
    def admitted(self) -> bool:
        """Whether the subscriber can read it: every part was accepted."""
        return len(self.answers) == self.parts and all(
            answer.status == CommandStatus.ESME_ROK for answer in self.answers
        )


class Progress:
    """What all clients have sent so far; they add to it from their threads."""

    def __init__(self, total: int) -> None:
        """``total`` letters are to be sent; 0: nobody knows how many."""
        self.total = total
        self.sent: dict[str, Sent] = {}
        """By recipient."""
        self.began = time.perf_counter()
        self.ended = 0.0
        self.errors: list[str] = []
        self._statuses: Counter[int] = Counter()
        self._lock = threading.Lock()

    def begin(self, letter: Letter, parts: int) -> Sent:
        """A letter is on its way."""
        sent = Sent(letter, parts)
        with self._lock:
            self.sent[letter.destination] = sent
        return sent

    def note(self, sent: Sent, answer: Answer) -> None:
        """One of its parts was answered."""
        with self._lock:
            sent.answers.append(answer)
            self._statuses[answer.status] += 1

    @property
    def seconds(self) -> float:
        """How long it has taken, or took."""
        return (self.ended or time.perf_counter()) - self.began

    def tell_each(self, seconds: float, console: Console) -> Callable[[], None]:
        """A function that prints where things stand, if it was last done so many seconds ago."""
        due = itertools.count(1)
        next_at = next(due) * seconds

        def tell() -> None:
            nonlocal next_at
            if self.seconds >= next_at:
                with self._lock:
                    answered, admitted = self._statuses.total(), self._statuses[CommandStatus.ESME_ROK]
                    begun = len(self.sent)
                console.print(
                    f"{self.seconds:5.0f} s  {begun:,} of {self.total:,} sent, {answered:,} parts answered,"
                    f" {answered - admitted:,} refused"
                )
                next_at = next(due) * seconds

        return tell

    def table(self) -> Table:
        """Where things stand."""
        with self._lock:
            statuses = self._statuses.copy()
            begun = len(self.sent)
        answered = statuses.total()
        table = Table("sent", "answered", ADMITTED, "refused", "answers/s")
        refusals = ", ".join(f"{name_of(status)} {count:,}" for status, count in statuses.most_common() if status)
        admitted = statuses[CommandStatus.ESME_ROK]
        table.add_row(
            f"{begun:,} of {self.total:,}" if self.total else f"{begun:,}",
            f"{answered:,}",
            f"{admitted:,}",
            f"{answered - admitted:,}",
            f"{answered / self.seconds:,.0f}",
        )
        table.caption = f"refused with {refusals}" if refusals else None
        table.caption_justify = "left"
        return table


# What is sent.


def people(count: int) -> Account:
    """Enough people to write ``count`` messages."""
    return Account(
        system_id="people",
        password="ppl-pw",  # noqa: S106
        owner="mobile-operator",
        purpose="person",
        senders=tuple(f"861541{number:07}" for number in range(1, 2 + count // PERSON_BURST)),
    )


PLAN: Final[tuple[tuple[tuple[str, ...], bool, int], ...]] = (
    # categories, consent, share in twentieths
    (("verification",), False, 5),
    (("service",), False, 5),
    (("commercial",), True, 3),
    (("commercial", "fraud"), False, 2),
    (("personal",), False, 2),
    (("greeting",), False, 3),
)
"""A day's traffic in small: codes, notices, advertisements with and without consent, talk, New Year wishes."""


def planned(samples: Sequence[Sample], messages: int) -> list[tuple[Sample, bool]]:
    """(text, whether its recipient agreed) for a run of the package's own texts, all kinds mixed."""
    queues: list[Iterator[tuple[Sample, bool]]] = []
    for categories, consent, share in PLAN:
        chosen = [
            sample
            for sample in samples
            if sample.category in categories and (not consent or carries_its_duties(sample.text))
        ]
        if chosen:
            queues += [zip(itertools.cycle(chosen), itertools.repeat(consent), strict=False)] * share
    return [next(queue) for queue, _ in zip(itertools.cycle(queues), range(messages), strict=False)]


def labelled(samples: Sequence[Sample], messages: int | None) -> list[tuple[Sample, bool]]:
    """The same for a file of labelled texts: all of it, every third advertisement to somebody who agreed."""
    chosen = samples[:messages] if messages else samples
    turn = itertools.count()
    return [
        (sample, sample.label == "commercial" and next(turn) % 3 == 2 and carries_its_duties(sample.text))
        for sample in chosen
    ]


def purpose_of(sample: Sample) -> Purpose:
    """Whose business a text is. Where a file does not say what other texts are, they are notices."""
    return "commercial" if sample.label == "commercial" else PURPOSE_OF.get(sample.category, "service")


def letters(texts: Sequence[tuple[Sample, bool]]) -> tuple[list[Letter], list[Account]]:
    """(what is sent, by whom) for ``texts``."""
    crowd = people(sum(purpose_of(sample) == "person" for sample, _ in texts))
    by_purpose: dict[Purpose, tuple[Account, ...]] = {
        "commercial": (SHOP,),
        "service": (BANK, COURIER),
        "person": (crowd,),
    }
    turns: Counter[str] = Counter()
    written = []
    for index, (sample, consented) in enumerate(texts):
        purpose = purpose_of(sample)
        accounts = by_purpose[purpose]
        turns[purpose] += 1
        account = accounts[turns[purpose] % len(accounts)]
        # One person's wishes leave in one burst, as they do on New Year's Eve.
        at = turns[purpose] // PERSON_BURST if purpose == "person" else turns[purpose]
        source = account.senders[at % len(account.senders)]
        written.append(Letter(sample, account, source, recipient(index), consented))
    return written, [SHOP, BANK, COURIER, crowd]


# How it is sent.


def send_by_smpplib(port: int, account: Account, share: Sequence[Letter], progress: Progress) -> None:
    """One bind through smpplib, until all of its share is answered."""
    with SmpplibSession("127.0.0.1", port, account.system_id, account.password) as session:
        for reference, letter in enumerate(share):
            parts = parts_of(letter.sample.text, reference, payload=reference % 2 == 1)
            sent = progress.begin(letter, len(parts))
            for part in parts:
                session.send(letter.source, letter.destination, part, partial(progress.note, sent))
        session.await_answers()


async def send_by_aiosmpplib(port: int, account: Account, share: Sequence[Letter], progress: Progress) -> None:
    """One bind through aiosmpplib, until all of its share is answered."""
    async with AiosmpplibSession("127.0.0.1", port, account.system_id, account.password) as session:
        for letter in share:
            sent = progress.begin(letter, 1)
            await session.send(letter.source, letter.destination, letter.sample.text, partial(progress.note, sent))
        await session.await_answers()


def send_all(port: int, written: Sequence[Letter], progress: Progress, show: Callable[[], None]) -> None:
    """Send everything: two binds an account, services through aiosmpplib and all others through smpplib.

    ``show`` is called ten times a second.
    """
    shares: dict[str, list[Letter]] = defaultdict(list)
    accounts = {letter.account.system_id: letter.account for letter in written}
    for letter in written:
        shares[letter.account.system_id].append(letter)

    def guarded(system_id: str, share: Sequence[Letter]) -> None:
        account = accounts[system_id]
        try:
            if account.purpose == "service":
                asyncio.run(send_by_aiosmpplib(port, account, share, progress))
            else:
                send_by_smpplib(port, account, share, progress)
        except (ClientError, OSError, ValueError) as error:
            progress.errors.append(f"{system_id}: {error}")

    threads = [
        threading.Thread(target=guarded, args=(system_id, half), daemon=True)
        for system_id, share in shares.items()
        for half in halves(share)
    ]
    progress.began = time.perf_counter()
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        time.sleep(SHOW_SECONDS)
        show()
    progress.ended = time.perf_counter()


def traffic_text(written: Sequence[Letter]) -> str:
    """What is about to be sent, and through which clients."""
    through: dict[str, list[str]] = {"aiosmpplib": [], "smpplib": []}
    for account in dict.fromkeys(letter.account for letter in written):
        through["aiosmpplib" if account.purpose == "service" else "smpplib"].append(account.system_id)
    clients = "; ".join(f"{', '.join(names)} through {client}" for client, names in through.items() if names)
    long = sum(not fits_one_part(*encode_text(letter.sample.text)) for letter in written)
    people = {letter.source for letter in written if letter.account.purpose == "person"}
    wishes = sum(letter.sample.category == "greeting" for letter in written)
    burst = f"; {len(people):,} people send {wishes:,} New Year wishes in bursts" if wishes else ""
    return f"{len(written):,} messages, {long:,} of them long{burst}\nproviders: {clients}"


def halves(share: Sequence[Letter]) -> Iterable[Sequence[Letter]]:
    """A share for two binds, in bursts rather than in turn."""
    middle = (len(share) + 1) // 2
    return [half for half in (share[:middle], share[middle:]) if half]


# What came of it.


def causes_on_record(relay: rig.Relay) -> dict[str, list[str]]:
    """The causes of all decisions, by recipient; "" for a message that was let through."""
    found: dict[str, list[str]] = defaultdict(list)
    with contextlib.closing(relay.records()) as records:
        for destination, cause in records.execute("select recipient, cause from decisions order by id"):
            found[destination].append(cause)
    return found


def explained_refusal(data_dir: Path) -> str | None:
    """The first refusal on record in words, or None where nothing was refused."""
    engine = open_database("", data_dir)
    try:
        with engine.connect() as connection:
            found = connection.execute(select(func.min(decisions.c.id)).where(decisions.c.cause != "")).scalar()
        decision = find_decision(engine, found) if found is not None else None
        return describe(decision, find_outcome(engine, decision.id)) if decision is not None else None
    finally:
        engine.dispose()


def verdicts_table(progress: Progress, causes: dict[str, list[str]]) -> Table:
    """How many messages of each kind met which verdict."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for destination, sent in progress.sent.items():
        found = [cause for cause in causes.get(destination, ()) if cause]
        counts[sent.letter.kind][found[0] if found else ADMITTED] += 1
    everything = sum(counts.values(), Counter[str]())
    refusals = sorted(cause for cause in everything if cause != ADMITTED)
    table = Table(title="verdicts by kind and cause", title_justify="left")
    table.add_column("kind")
    for heading in ("sent", ADMITTED, *refusals):
        table.add_column(heading, justify="right")

    def add_row(name: str, row: Counter[str]) -> None:
        table.add_row(
            name, f"{row.total():,}", *(f"{row[each]:,}" if row[each] else "" for each in (ADMITTED, *refusals))
        )

    for kind in sorted(counts):
        add_row(kind, counts[kind])
    table.add_section()
    add_row("all", everything)
    return table


def shares_table(progress: Progress) -> Table:
    """By category of a labelled file: how many that should be refused were, and how many that should not."""
    table = Table(
        title="by label and category",
        title_justify="left",
        caption="A model flatters itself on texts it was trained on; its card.md lists them.",
        caption_justify="left",
    )
    table.add_column("label")
    table.add_column("category")
    for heading in ("messages", "refused", "share", "what that is"):
        table.add_column(heading, justify="right")
    groups: dict[tuple[str, str, bool], list[bool]] = defaultdict(list)
    for sent in progress.sent.values():
        sample = sent.letter.sample
        groups[sample.label, sample.category, sent.letter.consented].append(not sent.admitted)
    for (label, category, consented), refused in sorted(groups.items()):
        meaning = "consent is on record" if consented else "recall" if label == "commercial" else "false refusals"
        share = sum(refused) / len(refused)
        table.add_row(label, category, f"{len(refused):,}", f"{sum(refused):,}", f"{share:.1%}", meaning)
    return table


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was to hold."""

    holds: bool
    sentence: str
    examples: tuple[str, ...] = ()
    noisy: bool = False
    """Whether it rests on labels that somebody else gave."""

    promised: bool = True
    """Whether a run in which it does not hold has failed; else it is said for what it is worth."""

    def held_against(self, *, lenient: bool) -> bool:
        """Whether the run has failed by this; with ``lenient``, labels are not trusted that far."""
        return not self.holds and self.promised and not (lenient and self.noisy)


def _finding(sentence: str, wrong: Sequence[str], *, of: int, noisy: bool = False, promised: bool = True) -> Finding:
    found = f"{sentence}: {'none' if not wrong else f'{len(wrong):,}'} of {of:,}"
    # The texts are sent over and over; one example of each is enough.
    return Finding(not wrong, found, tuple(dict.fromkeys(wrong))[:REPORTED_MOST], noisy, promised)


def findings(progress: Progress, causes: dict[str, list[str]], journal: Path) -> list[Finding]:
    """What was right and what was not."""
    sent = list(progress.sent.values())
    greetings = [each for each in sent if each.letter.sample.category == "greeting"]
    unconsented = [each for each in sent if each.letter.sample.label == "commercial" and not each.letter.consented]
    fraud = [each for each in unconsented if "fraud" in each.letter.sample.category]
    advertisements = [each for each in unconsented if "fraud" not in each.letter.sample.category]
    allowed = [each for each in sent if each.letter.sample.label == "other" or each.letter.consented]
    answers = [answer for each in sent for answer in each.answers]
    accepted = [answer for answer in answers if answer.status == CommandStatus.ESME_ROK]
    at_smsc = {entry.message_id: entry.octets[16:] for entry in read_journal(journal)}

    def texts(group: Sequence[Sent]) -> list[str]:
        return [each.letter.sample.text for each in group]

    unanswered = texts([each for each in sent if len(each.answers) != each.parts])
    unrecorded = texts([each for each in sent if len(causes.get(each.letter.destination, ())) != each.parts])
    unexplained = texts(
        [each for each in sent if not each.admitted and not any(causes.get(each.letter.destination, ()))]
    )
    altered = [repr(answer) for answer in accepted if at_smsc.get(answer.message_id) != answer.body]
    surplus = [message_id.decode() for message_id in at_smsc.keys() - {answer.message_id for answer in accepted}]
    not_sent = [*progress.errors, *(["letters were left"] * (progress.total - len(sent)))]
    found = [
        _finding("greetings blocked", texts([each for each in greetings if not each.admitted]), of=len(greetings),
                 noisy=True),
        _finding("advertisements without consent let through",
                 texts([each for each in advertisements if each.admitted]), of=len(advertisements), noisy=True),
        _finding("frauds that pass for something else, and so let through",
                 texts([each for each in fraud if each.admitted]), of=len(fraud), noisy=True, promised=False),
        _finding("other messages refused", texts([each for each in allowed if not each.admitted]), of=len(allowed),
                 noisy=True),
        _finding("messages not sent", not_sent, of=progress.total),
        _finding("messages without an answer", unanswered, of=len(sent)),
        _finding("messages without a decision record for every part", unrecorded, of=len(sent)),
        _finding("refusals without a cause on record", unexplained, of=len(sent)),
        _finding("accepted parts that are not at the SMSC octet for octet", altered, of=len(accepted)),
        _finding("parts at the SMSC that nobody was told of", surplus, of=len(at_smsc)),
    ]  # fmt: skip
    return [finding for finding in found if not finding.sentence.endswith(" of 0") or not finding.holds]


def findings_text(found: Sequence[Finding], *, lenient: bool) -> Text:
    """A line each; what is not held against the run is noted."""
    text = Text()
    for finding in found:
        mark, style = ("right", "green") if finding.holds else ("wrong", "red")
        if not finding.holds and not finding.held_against(lenient=lenient):
            mark, style = "noted", "yellow"
        text.append(f"{mark}  ", style=style)
        text.append(f"{finding.sentence}\n")
        if not lenient or not finding.noisy:
            for example in finding.examples:
                text.append(f"       {example[:100]}\n", style="dim")
    return text


def speed_text(progress: Progress) -> str:
    """Throughput and latency as the clients saw them."""
    seconds = sorted(answer.seconds for sent in progress.sent.values() for answer in sent.answers)
    if not seconds:
        return "nothing was answered"
    middle, late = seconds[len(seconds) // 2], seconds[int(len(seconds) * 0.99)]
    return (
        f"{len(progress.sent):,} messages ({len(seconds):,} parts) in {progress.seconds:.1f} s,"
        f" {len(seconds) / progress.seconds:,.0f} parts/s as fast as these clients go;"
        f" latency p50 {1000 * middle:.1f} ms, p99 {1000 * late:.1f} ms"
    )


# The verb.


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``smsc-filter demo``."""
    parser.add_argument("--once", action="store_true", help="end after the run; status 0 only if all was right")
    parser.add_argument("--texts", type=Path, metavar="FILE", help="labelled JSON Lines to send instead, .gz too")
    parser.add_argument("--messages", type=int, help=f"how many (default: {MESSAGES:,}, or all of FILE)")


def run(args: argparse.Namespace) -> int:
    """See it work: providers, relay, simulated SMSC, thousands of messages."""
    console, errors = make_console(), make_error_console()
    if args.messages is not None and args.messages < 1:
        errors.print("smsc-filter demo: --messages must be at least 1")
        return 2
    try:
        if args.texts:
            texts = labelled(read_texts(args.texts), args.messages)
        else:
            texts = planned(load_samples(), args.messages or MESSAGES)
        if not texts:
            errors.print("smsc-filter demo: there is no text to send")
            return 2
        with tempfile.TemporaryDirectory(prefix="smsc-filter-demo-") as folder:
            return perform(Path(folder), texts, console, once=args.once, lenient=bool(args.texts))
    except (rig.RigError, SampleError, ClientError) as error:
        errors.print(f"smsc-filter demo: {error}")
        return 1
    except KeyboardInterrupt:
        errors.print("smsc-filter demo: stopped before the end")
        return INTERRUPTED


def perform(folder: Path, texts: Sequence[tuple[Sample, bool]], console: Console, *, once: bool, lenient: bool) -> int:
    """Start everything, send ``texts``, and account for them.

    Raises:
        RigError: a process did not start.
    """
    written, accounts = letters(texts)
    journal = folder / "smsc.journal"
    with contextlib.ExitStack() as stack:
        with console.status("starting the simulated SMSC and the relay"):
            smsc = stack.enter_context(rig.simulator(folder, "--journal", str(journal)))
            relay = rig.Relay(folder / "relay", smsc.port, accounts, status_style="standard")
            agreed = [letter for letter in written if letter.consented]
            relay.import_consents(
                ("recipient,owner,state", *(f"{each.destination},{each.account.owner},granted" for each in agreed))
            )
            stack.enter_context(relay)
        console.print(
            f"relay on 127.0.0.1:{relay.port}, simulated SMSC on 127.0.0.1:{smsc.port};"
            f" {len(agreed):,} consents imported\nconsole at {relay.web}/console, subscribers' portal at {relay.web}/",
            soft_wrap=True,
        )
        console.print(traffic_text(written))
        progress = Progress(len(written))
        if console.is_terminal:
            with Live(progress.table(), console=console, refresh_per_second=8, transient=True) as live:
                send_all(relay.port, written, progress, lambda: live.update(progress.table()))
        else:
            send_all(relay.port, written, progress, progress.tell_each(LINE_SECONDS, console))
        parts = sum(len(sent.answers) for sent in progress.sent.values())
        with console.status("waiting for the last decision to be on record"), contextlib.suppress(rig.RigError):
            relay.await_decisions(parts)
        causes = causes_on_record(relay)
        console.print(verdicts_table(progress, causes))
        if lenient:
            console.print(shares_table(progress))
        console.print(speed_text(progress))
        found = findings(progress, causes, journal)
        console.print(findings_text(found, lenient=lenient), end="")
        broken = sum(finding.held_against(lenient=lenient) for finding in found)
        console.print(f"{broken} of these should not be" if broken else "everything promised has held")
        refusal = explained_refusal(relay.config.parent)
        if refusal is not None:
            console.print("\none refusal in words, by `smsc-filter explain`", style="italic")
            console.print(Text(refusal))
        if not once:
            trickle(relay, written, console)
    return 1 if broken else 0


def trickle(relay: rig.Relay, written: Sequence[Letter], console: Console) -> None:
    """Keep a little traffic going, with a live view, until Ctrl-C."""
    console.print(
        f"Still up; Ctrl-C ends it. Try:\n  smsc-filter send --port {relay.port} --system-id shop"
        f" --password shop-pw --from {SHOP.senders[0]} --to {recipient(0)} 'Half price today only'"
        f"\n  smsc-filter explain ID --config {relay.config}"
        f"\n  smsc-filter user add me --role admin --config {relay.config}  # then sign in at {relay.web}/console",
        soft_wrap=True,
    )
    through_smpplib = [letter for letter in written if letter.account.purpose != "service"] or list(written)
    progress = Progress(0)
    sessions: dict[str, SmpplibSession] = {}
    with contextlib.ExitStack() as stack, contextlib.suppress(KeyboardInterrupt):
        live = stack.enter_context(Live(progress.table(), console=console, refresh_per_second=4, transient=True))
        for reference, letter in enumerate(itertools.cycle(through_smpplib)):
            account = letter.account
            if account.system_id not in sessions:
                sessions[account.system_id] = stack.enter_context(
                    SmpplibSession("127.0.0.1", relay.port, account.system_id, account.password)
                )
            parts = parts_of(letter.sample.text, reference)
            sent = progress.begin(letter, len(parts))
            for part in parts:
                sessions[account.system_id].send(letter.source, letter.destination, part, partial(progress.note, sent))
            sessions[account.system_id].await_answers()
            live.update(Group(progress.table(), Text("Ctrl-C ends the demo", style="dim")))
            time.sleep(TRICKLE_SECONDS)


def main() -> int:
    """``python -m smsc_filter.lab.demo``."""
    parser = argparse.ArgumentParser(prog="demo")
    add_arguments(parser)
    return run(parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
