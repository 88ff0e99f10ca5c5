"""The load generator: as many submit_sm as asked for, at the least cost, and what came of them.

PDUs are built once; to send one is to put a sequence_number into it. Two ways to send:

* closed loop: each session keeps ``window`` requests unanswered. Says how much a server can do.
* open loop (``rate``): messages fall due on a schedule, in steps of 1 ms as that is how fine the loop's timers are,
  and a latency runs from the moment a message was due, not from when it could be sent. A server that
  stalls is charged for everything that had to wait meanwhile (no coordinated omission).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import cycle
from pathlib import Path
from struct import Struct
from time import perf_counter, process_time
from typing import Final, cast

import orjson
import uvloop

from smsc_filter.lab.journal import JournalWriter, encode_record
from smsc_filter.lab.traffic import ACCOUNTS, Account, submissions
from smsc_filter.smpp.codec import encode, encode_bind
from smsc_filter.smpp.constants import (
    HEADER_OCTETS,
    RESPONSE_BIT,
    CommandId,
    CommandStatus,
)
from smsc_filter.smpp.pdu import HEADER, Pdu

TICK_SECONDS: Final = 0.001
BIND_NUMBER: Final = 0x7FFFFFFF
"""sequence_number of a bind, out of the way of those of messages."""

SUBMIT_SM_RESP: Final = int(CommandId.SUBMIT_SM_RESP)
_SEQUENCE: Final = Struct(">I")


class GeneratorError(Exception):
    """No load could be put on the server; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """How much to send, and how."""

    host: str = "127.0.0.1"
    port: int = 2775
    accounts: Sequence[Account] = ACCOUNTS
    """Who binds; sessions take them in turn."""

    sessions: int = 4
    window: int = 100
    """Most unanswered requests of a session in the closed loop."""

    messages: int = 10_000
    """How many at most, over all sessions."""

    rate: float = 0.0
    """Messages a second of the open loop; 0: the closed loop."""

    seconds: float = 600.0
    """When to stop sending, whatever else holds."""

    patience: float = 30.0
    """How long the last answers, and binds, are waited for."""

    answers: Path | None = None
    """Where to keep what was answered ESME_ROK, in the form of the simulator's journal."""


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What came of a load."""

    sent: int
    answered: int
    statuses: dict[int, int]
    """Answers by command_status."""

    strays: int
    """Answers to nothing that was asked, or given twice."""

    lost_sessions: int
    """Sessions that the server closed."""

    seconds: float
    """From the first request to the last answer."""

    cpu_seconds: float
    """Of the generator itself, meanwhile."""

    p50_ms: float = 0.0
    p90_ms: float = 0.0
    p99_ms: float = 0.0
    max_ms: float = 0.0

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.answered / self.seconds if self.seconds else 0.0

    @property
    def unanswered(self) -> int:
        """Requests that got no answer."""
        return self.sent - self.answered

    def as_json(self) -> bytes:
        """One line."""
        values = {**asdict(self), "rate": self.rate, "unanswered": self.unanswered}
        return orjson.dumps(values, option=orjson.OPT_NON_STR_KEYS)

    @classmethod
    def from_json(cls, line: bytes) -> Outcome:
        """Read what ``as_json`` wrote."""
        values = orjson.loads(line)
        del values["rate"], values["unanswered"]
        values["statuses"] = {int(status): count for status, count in values["statuses"].items()}
        return cls(**values)


class Tally:
    """What all sessions count together."""

    def __init__(self, to_send: int, answers: JournalWriter | None) -> None:
        """``to_send`` messages in all; what is accepted goes into ``answers``."""
        self.to_send = to_send
        self.waiting = 0
        """Requests that may yet be answered."""
        self.sent = 0
        self.strays = 0
        self.lost_sessions = 0
        self.statuses: Counter[int] = Counter()
        self.latencies = array("d")
        self.answers = answers
        self.last_at = 0.0
        self.done = asyncio.Event()

    def look(self) -> None:
        """See whether there is anything left to wait for."""
        if not (self.to_send or self.waiting):
            self.done.set()


class Esme(asyncio.Protocol):
    """One session: binds, sends when told, counts what comes back."""

    def __init__(self, number: int, account: Account, load: Load, tally: Tally) -> None:
        """Session ``number`` of the load, for ``account``."""
        loop = asyncio.get_running_loop()
        self.bound: asyncio.Future[None] = loop.create_future()
        self._number = number
        self._account = account
        self._window = load.window
        self._tally = tally
        octets = submissions(account)
        # Sessions of one account begin at different places, so that not all send the same at once.
        first = number * 37 % len(octets)
        self._submissions = cycle([(each[:12], each[16:]) for each in octets[first:] + octets[:first]])
        self._transport: asyncio.Transport | None = None
        self._rest = b""
        self._next_sequence = 1
        self._due: dict[int, float] = {}
        """When each unanswered request was due, by sequence_number."""
        self._sent: dict[int, bytes] = {}
        """Bodies of unanswered requests, if answers are kept."""
        self._driven = False
        """Whether every answer is followed by the next request."""
        self._stopped = False

    @property
    def alive(self) -> bool:
        """Whether requests can be sent on it."""
        return self._transport is not None and not self._stopped

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Bind."""
        # uvloop's transports are no subclass, they only quack.
        self._transport = cast(asyncio.Transport, transport)
        account = self._account
        self._transport.write(
            encode_bind(CommandId.BIND_TRANSCEIVER, BIND_NUMBER, account.system_id.encode(), account.password.encode())
        )

    def connection_lost(self, exc: Exception | None) -> None:
        """Whatever is unanswered stays so."""
        self._transport = None
        if not self.bound.done():
            self.bound.set_exception(GeneratorError("the server closed the connection before the bind"))
        elif not self._stopped:
            self._tally.lost_sessions += 1
        self._tally.waiting -= len(self._due)
        self._due.clear()
        self._tally.look()

    def send(self, due: Sequence[float]) -> None:
        """Send one request for each moment in ``due``, all in one write."""
        transport, number = self._transport, self._next_sequence
        assert transport is not None
        tally, waiting, pack = self._tally, self._due, _SEQUENCE.pack
        parts: list[bytes] = []
        for at, (before, behind) in zip(due, self._submissions, strict=False):
            waiting[number] = at
            parts += (before, pack(number), behind)
            if tally.answers is not None:
                self._sent[number] = behind
            number += 1
        self._next_sequence = number
        tally.sent += len(due)
        tally.waiting += len(due)
        tally.to_send -= len(due)
        transport.write(b"".join(parts))

    def fill_window(self) -> None:
        """Send as much as the window has room for."""
        self._driven = True
        count = min(self._window - len(self._due), self._tally.to_send)
        if count > 0 and self._transport is not None:
            self.send([perf_counter()] * count)

    def data_received(self, data: bytes) -> None:
        """Count answers, and send as many requests again."""
        if self._rest:
            data = self._rest + data
        now = perf_counter()
        tally, unpack, take = self._tally, HEADER.unpack_from, self._due.pop
        statuses, note = tally.statuses, tally.latencies.append
        records: list[bytes] = []
        strays = answered = 0
        end, start = len(data), 0
        while end - start >= HEADER_OCTETS:
            length, command_id, status, number = unpack(data, start)
            stop = start + length
            if stop > end:
                break
            if command_id == SUBMIT_SM_RESP:
                due = take(number, None)
                if due is None:
                    strays += 1
                else:
                    answered += 1
                    statuses[status] += 1
                    note(now - due)
                    if tally.answers is not None:
                        self._keep_answer(status, number, data[start:stop], records)
            elif length < HEADER_OCTETS:
                self.abort()
                return
            else:
                self._take(Pdu.from_octets(data[start:stop]))
            start = stop
        self._rest = data[start:] if start < end else b""
        tally.last_at = now
        tally.strays += strays
        tally.waiting -= answered
        if records and tally.answers is not None:
            tally.answers.write(records)
        if self._driven:
            self.fill_window()
        tally.look()

    def _keep_answer(self, status: int, number: int, answer: bytes, records: list[bytes]) -> None:
        behind = self._sent.pop(number)
        if status == CommandStatus.ESME_ROK:
            octets = encode(CommandId.SUBMIT_SM, number, behind)
            records.append(encode_record(self._number, answer[HEADER_OCTETS:-1], octets))

    def _take(self, pdu: Pdu) -> None:
        """Act on whatever else a server says."""
        if pdu.command_id == CommandId.BIND_TRANSCEIVER_RESP:
            if pdu.command_status == CommandStatus.ESME_ROK:
                self.bound.set_result(None)
            else:
                name = status_name(pdu.command_status)
                self.bound.set_exception(GeneratorError(f"bind of {self._account.system_id} refused: {name}"))
        elif not pdu.command_id & RESPONSE_BIT and self._transport is not None:
            body = b"\0" if pdu.command_id in (CommandId.DELIVER_SM, CommandId.DATA_SM) else b""
            self._transport.write(pdu.reply(CommandStatus.ESME_ROK, body))
        elif pdu.command_id == CommandId.GENERIC_NACK and self._due.pop(pdu.sequence_number, None) is not None:
            self._tally.waiting -= 1
            self._tally.statuses[pdu.command_status] += 1

    def close(self) -> None:
        """Unbind and hang up."""
        self._stopped = True
        if self._transport is not None:
            self._transport.write(encode(CommandId.UNBIND, BIND_NUMBER))
            self._transport.close()

    def abort(self) -> None:
        """Hang up at once."""
        if self._transport is not None:
            self._transport.abort()


def status_name(status: int) -> str:
    """A command_status as people read it."""
    try:
        return CommandStatus(status).name
    except ValueError:
        return f"0x{status:04X}"


async def generate(load: Load) -> Outcome:
    """Put ``load`` on the server and report.

    Raises:
        GeneratorError: nobody listens, or a bind is refused.
    """
    loop = asyncio.get_running_loop()
    journal = JournalWriter(load.answers) if load.answers is not None else None
    tally = Tally(load.messages, journal)
    accounts = cycle(load.accounts)
    esmes = [Esme(number, next(accounts), load, tally) for number in range(1, load.sessions + 1)]
    try:
        async with asyncio.timeout(load.patience):
            for esme in esmes:
                await loop.create_connection(lambda esme=esme: esme, load.host, load.port)  # type: ignore[misc]
            await asyncio.gather(*(esme.bound for esme in esmes))
        began, cpu_began = perf_counter(), process_time()
        await _drive(load, esmes, tally)
        cpu_seconds = process_time() - cpu_began
    except TimeoutError:
        raise GeneratorError(f"{load.host}:{load.port} did not answer a bind in {load.patience:g} s") from None
    except OSError as error:
        raise GeneratorError(f"{load.host}:{load.port}: {error.strerror or error}") from error
    finally:
        for esme in esmes:
            esme.close()
        if journal is not None:
            journal.close()
        await asyncio.sleep(0.01)  # the unbinds leave
    return _outcome(tally, began, cpu_seconds)


async def _drive(load: Load, esmes: Sequence[Esme], tally: Tally) -> None:
    """Send everything, then wait for the last answers."""
    if load.rate:
        await _send_by_schedule(load, esmes, tally)
    else:
        for esme in esmes:
            esme.fill_window()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(load.seconds):
            while any(esme.alive for esme in esmes) and not tally.done.is_set():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(tally.done.wait(), TICK_SECONDS * 200)
    tally.to_send = 0
    tally.look()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(load.patience):
            await tally.done.wait()


async def _send_by_schedule(load: Load, esmes: Sequence[Esme], tally: Tally) -> None:
    """Send each message in the first millisecond at whose beginning it is due."""
    loop = asyncio.get_running_loop()
    began = perf_counter()
    tick = total = 0
    stop_at = loop.time() + load.seconds
    turn = 0
    while tally.to_send and loop.time() < stop_at:
        now_tick = int((perf_counter() - began) / TICK_SECONDS)
        due: list[float] = []
        while tick <= now_tick and len(due) < tally.to_send:
            fallen_due = min(int((tick + 1) * TICK_SECONDS * load.rate) - total, tally.to_send - len(due))
            due += [began + tick * TICK_SECONDS] * fallen_due
            total += fallen_due
            tick += 1
        alive = [esme for esme in esmes if esme.alive]
        if not alive:
            return
        turn += 1
        for at in range(min(len(alive), len(due))):
            alive[(turn + at) % len(alive)].send(due[at :: len(alive)])
        await asyncio.sleep(max(0.0, began + tick * TICK_SECONDS - perf_counter()))


def _outcome(tally: Tally, began: float, cpu_seconds: float) -> Outcome:
    """What the counts amount to."""
    latencies = sorted(tally.latencies)

    def percentile(share: float) -> float:
        return 1000 * latencies[min(len(latencies) - 1, int(len(latencies) * share))] if latencies else 0.0

    return Outcome(
        sent=tally.sent,
        answered=len(latencies),
        statuses=dict(tally.statuses),
        strays=tally.strays,
        lost_sessions=tally.lost_sessions,
        seconds=max(tally.last_at - began, 0.0),
        cpu_seconds=cpu_seconds,
        p50_ms=percentile(0.5),
        p90_ms=percentile(0.9),
        p99_ms=percentile(0.99),
        max_ms=percentile(1.0),
    )


def main() -> int:
    """``python -m smsc_filter.lab.generator``."""
    default = Load()
    parser = argparse.ArgumentParser(prog="generator", description="Puts load on an SMPP server.")
    parser.add_argument("--host", default=default.host)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--sessions", type=int, default=default.sessions)
    parser.add_argument("--window", type=int, default=default.window, help="unanswered requests of a session")
    parser.add_argument("--messages", type=int, default=default.messages, help="in all")
    parser.add_argument("--rate", type=float, default=default.rate, help="messages a second, instead of a window")
    parser.add_argument("--seconds", type=float, default=default.seconds, help="longest time to send")
    parser.add_argument("--patience", type=float, default=default.patience, help="longest wait for the last answers")
    parser.add_argument("--account", default="", help="SYSTEM_ID:PASSWORD for all sessions, instead of the bench's")
    parser.add_argument("--answers", type=Path, help="journal of what was answered ESME_ROK")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args()
    accounts: Sequence[Account] = default.accounts
    if args.account:
        system_id, _, password = args.account.partition(":")
        accounts = [replace(each, system_id=system_id, password=password) for each in accounts]
    load = Load(
        host=args.host,
        port=args.port,
        accounts=accounts,
        sessions=args.sessions,
        window=args.window,
        messages=args.messages,
        rate=args.rate,
        seconds=args.seconds,
        patience=args.patience,
        answers=args.answers,
    )
    try:
        outcome = uvloop.run(generate(load))
    except GeneratorError as error:
        sys.stderr.write(f"generator: {error}\n")
        return 1
    if args.json:
        sys.stdout.write(outcome.as_json().decode() + "\n")
        return 0
    counts = ", ".join(f"{status_name(status)} {count:,}" for status, count in sorted(outcome.statuses.items()))
    sys.stdout.write(
        f"{outcome.answered:,} of {outcome.sent:,} answered in {outcome.seconds:.2f} s: {outcome.rate:,.0f}/s;"
        f" {counts or 'no answers'}; strays {outcome.strays}, lost sessions {outcome.lost_sessions}\n"
        f"latency p50 {outcome.p50_ms:.2f}  p90 {outcome.p90_ms:.2f}  p99 {outcome.p99_ms:.2f}"
        f"  max {outcome.max_ms:.2f} ms\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
