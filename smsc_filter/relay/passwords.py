"""Whether the password of a bind is right, and how long whoever gives wrong ones has to wait.

Wrong binds are counted by system_id and address together, by address, and by system_id. Behind a few of them a pair
waits, twice as long with each: its password is not even looked at. An address with many wrong binds has no more
passwords hashed, which costs 40 ms each; what costs nothing is looked at still, so that an account behind the same
address as somebody who guesses binds as ever. An account that is guessed at from many addresses is never shut: each
address is looked at once before it has to wait, instead of five times.

Hashes are made by one thread, in a bounded queue. A password that held is remembered under a key of this process, so
that a thousand binds of one account cost one hash.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ipaddress
import os
from collections import Counter, OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from enum import Enum
from typing import Any, Final

import structlog

from smsc_filter.relay.accounts import Accounts

log = structlog.get_logger()

FREE_TRIES: Final = 5
"""Wrong binds of one system_id from one address before it has to wait."""

FREE_TRIES_OF_ADDRESS: Final = 20
"""Wrong binds from one address, whatever the system_ids, before no more passwords of its binds are hashed."""

GUESSED_AT: Final = 20
"""Wrong binds of one system_id from which an address that never bound as it has one try before it waits."""

FIRST_WAIT_SECONDS: Final = 1.0
LONGEST_WAIT_SECONDS: Final = 300.0

FORGET_SECONDS: Final = 900.0
"""Without a wrong bind for so long, all of them are forgotten."""

MOST_COUNTED: Final = 20_000
"""Pairs, addresses and system_ids each that are counted; the oldest are forgotten first."""

MOST_HASHES: Final = 64
"""Passwords that may wait to be hashed, 3 s of them; further binds are to be made again later."""

MOST_HASHES_OF_ADDRESS: Final = 4
"""Of an address with wrong binds."""

PAUSE: Final = 4.0
"""How many times as long as a hash took the next is put off while wrong binds come: others need the processor."""

DELAY_SECONDS: Final = 1.0
"""How long whoever has to wait waits for being told so."""

MOST_DELAYED: Final = 200
"""Binds whose answer is put off at once."""

GRACE_SECONDS: Final = 1.0
"""How often a try of an address that has bound as the account is looked at while it has to wait."""

GUESSES: Final = frozenset({"wrong", "waits"})
"""Reasons of refusal that speak of guessing: a reconnect storm that finds no room is no attack."""

REPORT_SECONDS: Final = 10.0
"""One log line for all refused binds of so long."""

ALARM_WRONG_BINDS: Final = 50
"""Wrong binds within an hour of one address or one system_id from which the operator is alarmed."""

ALARM_SECONDS: Final = 3600.0


class Password(Enum):
    """What becomes of a bind's password."""

    RIGHT = "right"
    WRONG = "wrong"
    LATER = "later"
    """It was not looked at, or is not told: to be tried again later."""


class Tries:
    """Wrong tries by key, and how long each key has to wait."""

    def __init__(self, most: int = MOST_COUNTED) -> None:
        self._most = most
        self._wrong: OrderedDict[object, tuple[int, float, float]] = OrderedDict()
        """Key -> how many, when last, and until when it waits."""

    def count(self, key: object, now: float) -> int:
        """How many wrong tries count."""
        wrong, at, _ = self._wrong.get(key, (0, 0.0, 0.0))
        return wrong if now - at < FORGET_SECONDS else 0

    def waits(self, key: object, now: float) -> bool:
        """Whether a key has to wait."""
        return now < self._wrong.get(key, (0, 0.0, 0.0))[2]

    def add(self, key: object, now: float, free: int) -> int:
        """Count one more wrong try, of which ``free`` cost no wait; how many there are."""
        wrong = self.count(key, now) + 1
        wait = min(FIRST_WAIT_SECONDS * 2.0 ** min(wrong - free - 1, 16), LONGEST_WAIT_SECONDS) if wrong > free else 0.0
        self._wrong[key] = wrong, now, now + wait
        self._wrong.move_to_end(key)
        if len(self._wrong) > self._most:
            self._wrong.popitem(last=False)
        return wrong

    def forget(self, key: object) -> None:
        """A right try."""
        self._wrong.pop(key, None)


class WrongBinds:
    """Who gave wrong passwords, how often, and who has to wait; times are seconds of any steady clock."""

    def __init__(self) -> None:
        self._pairs = Tries()
        self._addresses = Tries()
        self._names = Tries()
        self._good: OrderedDict[tuple[str, str], float] = OrderedDict()
        """Pairs that have bound, and when a try of theirs was last looked at although they had to wait."""
        self.refused: Counter[str] = Counter()
        """Refused binds by reason, as metrics have them."""
        self._since: Counter[str] = Counter()
        self._from: Counter[str] = Counter()
        self._as: Counter[str] = Counter()
        self._reported_at = 0.0
        self._alarmed: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def has_bound(self, name: str, address: str) -> bool:
        """Whether an address has bound as that account."""
        return (name, address) in self._good

    def pair_waits(self, name: str, address: str, now: float) -> bool:
        """Whether a password for ``name`` from ``address`` is not looked at for now.

        An address that has bound as that account may share it, or its block, with somebody who guesses: of its tries
        one in ``GRACE_SECONDS`` is looked at all the same.
        """
        if not self._pairs.waits((name, block_of(address)), now):
            return False
        looked_at = self._good.get((name, address))
        if looked_at is None or now - looked_at < GRACE_SECONDS:
            return True
        self._good[name, address] = now
        return False

    def address_waits(self, address: str, now: float) -> bool:
        """Whether passwords from ``address`` are not hashed for now."""
        return self._addresses.waits(block_of(address), now)

    def suspicious(self, address: str, now: float) -> bool:
        """Whether an address has given a wrong password lately."""
        return self._addresses.count(block_of(address), now) > 0

    def wrong(self, name: str, address: str, now: float) -> None:
        """Count a wrong password."""
        block = block_of(address)
        guessed_at = self._names.add(name, now, MOST_COUNTED) >= GUESSED_AT and not self.has_bound(name, address)
        self._pairs.add((name, block), now, 1 if guessed_at else FREE_TRIES)
        self._addresses.add(block, now, FREE_TRIES_OF_ADDRESS)

    def right(self, name: str, address: str) -> None:
        """A bind stands: its pair is forgiven and known."""
        self._pairs.forget((name, block_of(address)))
        self._good[name, address] = -GRACE_SECONDS
        self._good.move_to_end((name, address))
        if len(self._good) > MOST_COUNTED:
            self._good.popitem(last=False)

    def refuse(self, reason: str, name: str, address: str, now: float, **fields: Any) -> None:
        """Count a refused bind; the first of a while is logged as it is, the others together."""
        self.refused[reason] += 1
        if now - self._reported_at >= REPORT_SECONDS and not self._since:
            self._reported_at = now
            log.warning("bind-refused", reason=reason, system_id=name, peer=address, **fields)
        else:
            self._since[reason] += 1
        if reason not in GUESSES:
            return
        if len(self._from) < MOST_COUNTED:
            self._from[block_of(address)] += 1
        if len(self._as) < MOST_COUNTED:
            self._as[name] += 1

    def report(self, now: float, known: Callable[[str], bool]) -> None:
        """Log what was refused, once for a while, and see who is to be told of; ``known`` says which accounts are."""
        if now - self._reported_at < REPORT_SECONDS:
            return
        if self._since:
            most_from = self._from.most_common(1)
            log.warning(
                "binds-refused",
                binds=self._since.total(),
                reasons=dict(self._since),
                addresses=len(self._from),
                system_ids=len(self._as),
                most_from=most_from[0][0] if most_from else "",
            )
            self._reported_at = now
        for subject, count in (
            *((f"address {address}", count) for address, count in self._from.items()),
            *((f"account {name}", count) for name, count in self._as.items() if known(name)),
        ):
            at, before = self._alarmed.get(subject, (now, 0))
            at, before = (at, before) if now - at < ALARM_SECONDS else (now, 0)
            self._alarmed[subject] = at, before + count
        while len(self._alarmed) > MOST_COUNTED:
            self._alarmed.popitem(last=False)
        self._since.clear()
        self._from.clear()
        self._as.clear()

    def alarms(self, now: float) -> list[dict[str, object]]:
        """Whom the operator should know of, as ``watch.alarm.Alarm`` has it; at most ten."""
        found = [
            (count, subject)
            for subject, (at, count) in self._alarmed.items()
            if count >= ALARM_WRONG_BINDS and now - at < ALARM_SECONDS
        ]
        return [
            {
                "kind": "wrong-binds",
                "subject": subject,
                "severity": "warning",
                "sentence": f"{count} binds were refused within an hour, {subject}; whoever it is has to wait longer "
                "with each",
                "evidence": {"binds": count},
            }
            for count, subject in sorted(found, reverse=True)[:10]
        ]


class Passwords:
    """Looks at the passwords of binds."""

    def __init__(self, accounts: Accounts, loop: asyncio.AbstractEventLoop) -> None:
        """Compare with those of ``accounts``."""
        self.accounts = accounts
        self.binds = WrongBinds()
        self._loop = loop
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="passwords")
        self._key = os.urandom(32)
        self._held: dict[tuple[str, str], bytes] = {}
        """(system_id, hash) -> what the password that held digests to."""
        self._hashing: dict[tuple[str, bytes], asyncio.Task[bool]] = {}
        self._hashes_of: Counter[str] = Counter()
        self._one = asyncio.Lock()
        self._delayed = 0

    async def look(self, name: str, password: bytes, address: str) -> Password:
        """Say whether a password is right, unless whoever gives it has to wait."""
        binds, now = self.binds, self._loop.time()
        if binds.pair_waits(name, address, now):
            binds.refuse("waits", name, address, now)
            await self._delay(address)
            return Password.LATER
        holds = self._at_once(name, password)
        if holds is None:
            if not self._may_hash(name, address, now):
                binds.refuse("busy", name, address, now)
                await self._delay(address)
                return Password.LATER
            holds = await self._hash(name, password, address)
        if holds:
            return Password.RIGHT
        now = self._loop.time()
        waits = binds.address_waits(address, now)
        binds.wrong(name, address, now)
        binds.refuse("wrong", name, address, now, known=self.accounts.find(name) is not None)
        if waits:
            # Who has to wait hears the same whether there is such an account or not.
            await self._delay(address)
            return Password.LATER
        return Password.WRONG

    async def _delay(self, address: str) -> None:
        """Let an address with wrong binds wait for its answer, so that it does not connect again at once."""
        if self._delayed < MOST_DELAYED and self.binds.suspicious(address, self._loop.time()):
            self._delayed += 1
            try:
                await asyncio.sleep(DELAY_SECONDS)
            finally:
                self._delayed -= 1

    def _at_once(self, name: str, password: bytes) -> bool | None:
        """Whether a password holds; None where only a hash can tell."""
        account = self.accounts.find(name)
        if account is not None and account.password is not None:
            return self.accounts.password_holds(name, password)
        if account is not None and account.password_hash is not None:
            held = self._held.get((name, account.password_hash))
            if held is not None and hmac.compare_digest(held, self._digest(password)):
                return True
        return None

    def _digest(self, password: bytes) -> bytes:
        return hashlib.blake2b(password, key=self._key, digest_size=32).digest()

    def _may_hash(self, name: str, address: str, now: float) -> bool:
        binds = self.binds
        if len(self._hashing) >= MOST_HASHES:
            return False
        if binds.has_bound(name, address):
            return True
        if binds.address_waits(address, now):
            return False
        return not binds.suspicious(address, now) or self._hashes_of[block_of(address)] < MOST_HASHES_OF_ADDRESS

    async def _hash(self, name: str, password: bytes, address: str) -> bool:
        """Hash a password beside the loop; binds with the same one wait for the same hash."""
        key = name, self._digest(password)
        task = self._hashing.get(key)
        if task is None:
            task = self._hashing[key] = self._loop.create_task(self._in_turn(name, password, address))
            task.add_done_callback(lambda _: self._hashing.pop(key, None))
        return await asyncio.shield(task)

    async def _in_turn(self, name: str, password: bytes, address: str) -> bool:
        block = block_of(address)
        self._hashes_of[block] += 1
        try:
            async with self._one:
                began = self._loop.time()
                holds = await self._loop.run_in_executor(self._thread, self.accounts.password_holds, name, password)
                took = self._loop.time() - began
                if not holds and self.binds.suspicious(address, began):
                    await asyncio.sleep(took * PAUSE)
        finally:
            self._hashes_of[block] -= 1
            if not self._hashes_of[block]:
                del self._hashes_of[block]
        account = self.accounts.find(name)
        if holds and account is not None and account.password_hash is not None:
            self._held[name, account.password_hash] = self._digest(password)
        return holds

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown(wait=False, cancel_futures=True)


def block_of(address: str) -> str:
    """What is counted as one address: of IPv6 the /48 that one customer has."""
    if ":" not in address:
        return address
    try:
        parsed = ipaddress.IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    mapped = parsed.ipv4_mapped
    return str(mapped) if mapped is not None else str(ipaddress.IPv6Network((parsed, 48), strict=False))
