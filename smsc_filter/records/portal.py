"""How a subscriber proves a number, and who has done so.

Whoever asks for a code gets a secret word, which the browser keeps, and the number gets the code. Both together open a
session, with another word. Of words only digests are kept, and of a code what it is under the word: whoever reads the
table can neither enter nor find out a code by trying all of them.

Every number is treated alike, whether anything is known of it. Where a limit of the number is reached no code is sent,
and the asker sees the same as ever; a limit of the asker's own network is told. A browser that proved the number before
has limits of its own, which no stranger reaches.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import secrets
from dataclasses import dataclass
from typing import Final, NamedTuple

from sqlalchemy import ColumnElement, Connection, Engine, delete, func, insert, select, update

from smsc_filter.records.database import reading, writing
from smsc_filter.records.errors import RecordsError
from smsc_filter.records.tables import portal_challenges as challenges
from smsc_filter.records.tables import portal_sessions as sessions

CODE_DIGITS: Final = 8
WORD_OCTETS: Final = 32

DEVICE: Final = "device:"
"""Begins what stands for the network of a browser that is known."""

MINUTE_MS: Final = 60_000
HOUR_MS: Final = 3_600_000
DAY_MS: Final = 86_400_000

TOUCH_MS: Final = MINUTE_MS
"""A session is written anew at most that often."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How often, and for how long."""

    code_seconds: float
    """A code is good for so long."""
    tries: int
    """Wrong codes before it is good no more."""
    pause_seconds: float
    """Between two codes to one number."""
    number_a_day: int
    """Codes to one number."""
    network_an_hour: int
    """Codes one network asks for."""
    all_a_minute: int
    """Codes altogether."""
    idle_seconds: float
    """A session nobody uses ends after it."""
    session_seconds: float
    """Any session ends after it."""


class TooOften(RecordsError):
    """This network, or everybody together, has asked for too many codes; nothing was done."""

    def __init__(self, wait_seconds: int) -> None:
        super().__init__(f"too many codes were asked for; wait {wait_seconds} s")
        self.wait_seconds = wait_seconds


class Asked(NamedTuple):
    """What became of a wish for a code."""

    word: str
    """For the browser alone."""
    code: str | None
    """For the number alone; None: the number had enough of them."""


class Visit(NamedTuple):
    """A subscriber who is signed in."""

    recipient: str
    csrf: str
    """What a form of this session has to carry."""
    digest: bytes


class Opened(NamedTuple):
    """A session that a code has opened."""

    word: str
    recipient: str


def ask_code(engine: Engine, limits: Limits, recipient: str, network: str, now: float, device: str = "") -> Asked:
    """Begin to prove ``recipient``, a number in E.164 digits, for somebody in ``network``.

    ``device`` names a browser that has proved this very number before; "" for any other.

    Raises:
        TooOften: nothing was done.
        SqlUnavailable: the database does not answer.
    """
    now_ms = round(now * 1000)
    word = secrets.token_urlsafe(WORD_OCTETS)
    code = f"{secrets.randbelow(10**CODE_DIGITS):0{CODE_DIGITS}}"
    row = challenges.c
    with writing(engine) as connection:
        connection.execute(delete(challenges).where(row.asked_at_ms <= now_ms - DAY_MS))
        asker = DEVICE + device if device else network
        whose = row.network == asker if device else row.network.not_like(f"{DEVICE}%")
        if not device:
            _check(connection, limits, network, now_ms)
        sent = row.recipient == recipient, row.code.is_not(None), whose
        today = _since(connection, now_ms - DAY_MS, *sent)
        lately = _since(connection, now_ms - round(limits.pause_seconds * 1000), *sent)
        may = today < limits.number_a_day and not lately
        connection.execute(
            insert(challenges).values(
                digest=_digest(word),
                recipient=recipient,
                network=asker,
                code=_under(word, code) if may else None,
                asked_at_ms=now_ms,
                tries=0,
                used=False,
            )
        )
    return Asked(word, code if may else None)


def enter_code(engine: Engine, limits: Limits, word: str, code: str, now: float) -> Opened | None:
    """A new session, if ``code`` is the one that was sent; None otherwise, whatever the reason.

    Raises:
        SqlUnavailable: the database does not answer.
    """
    now_ms = round(now * 1000)
    row = challenges.c
    here = row.digest == _digest(word)
    with writing(engine) as connection:
        # Counted first: two at once cannot share a try.
        counted = connection.execute(
            update(challenges)
            .where(
                here,
                row.used.is_(False),
                row.tries < limits.tries,
                row.asked_at_ms > now_ms - round(limits.code_seconds * 1000),
            )
            .values(tries=row.tries + 1)
            .returning(row.recipient, row.code)
        ).first()
        right = hmac.compare_digest(_under(word, code), bytes(counted.code) if counted and counted.code else b"")
        if counted is None or not right:
            return None
        connection.execute(update(challenges).where(here).values(used=True))
        connection.execute(
            delete(sessions).where(sessions.c.began_at_ms <= now_ms - round(limits.session_seconds * 1000))
        )
        session = secrets.token_urlsafe(WORD_OCTETS)
        connection.execute(
            insert(sessions).values(
                digest=_digest(session), recipient=counted.recipient, began_at_ms=now_ms, seen_at_ms=now_ms
            )
        )
    return Opened(session, counted.recipient)


def find_visit(engine: Engine, limits: Limits, word: str, now: float) -> Visit | None:
    """Whose session a word opens, or None.

    Raises:
        SqlUnavailable: the database does not answer.
    """
    now_ms = round(now * 1000)
    digest = _digest(word)
    row = sessions.c
    with reading(engine) as connection:
        found = connection.execute(
            select(row.recipient, row.began_at_ms, row.seen_at_ms).where(row.digest == digest)
        ).first()
    if found is None:
        return None
    if (
        now_ms - found.seen_at_ms >= limits.idle_seconds * 1000
        or now_ms - found.began_at_ms >= limits.session_seconds * 1000
    ):
        end_visit(engine, digest)
        return None
    if now_ms - found.seen_at_ms >= TOUCH_MS:
        with writing(engine) as connection:
            connection.execute(update(sessions).where(row.digest == digest).values(seen_at_ms=now_ms))
    return Visit(found.recipient, form_word(word), digest)


def end_visit(engine: Engine, digest: bytes) -> None:
    """End a session.

    Raises:
        SqlUnavailable: the database does not answer.
    """
    with writing(engine) as connection:
        connection.execute(delete(sessions).where(sessions.c.digest == digest))


def form_word(word: str) -> str:
    """What a form carries to show that its page was given to the browser that keeps ``word``."""
    return hmac.digest(word.encode(), b"form", "sha256").hex()


def _check(connection: Connection, limits: Limits, network: str, now_ms: int) -> None:
    row = challenges.c
    strangers = row.network.not_like(f"{DEVICE}%")
    for most, period_ms, condition in (
        (limits.network_an_hour, HOUR_MS, (row.network == network,)),
        # Whoever has many networks has them next to each other, and leaves half to everybody else.
        (max(1, limits.all_a_minute // 2), MINUTE_MS, (row.network.startswith(_wide(network), autoescape=True),)),
        (limits.all_a_minute, MINUTE_MS, (strangers,)),
    ):
        if _since(connection, now_ms - period_ms, *condition) >= most:
            oldest = select(func.min(row.asked_at_ms)).where(row.asked_at_ms > now_ms - period_ms, *condition)
            free_ms = connection.execute(oldest).scalar_one() + period_ms - now_ms
            raise TooOften(math.ceil(free_ms / 1000))


def _wide(network: str) -> str:
    """How the networks begin that lie in the same IPv4 /16 or IPv6 /32."""
    mark = ":" if ":" in network else "."
    return mark.join([*network.split(mark)[:2], ""])


def _since(connection: Connection, after_ms: int, *conditions: ColumnElement[bool]) -> int:
    wanted = select(func.count()).select_from(challenges).where(challenges.c.asked_at_ms > after_ms, *conditions)
    count: int = connection.execute(wanted).scalar_one()
    return count


def _digest(word: str) -> bytes:
    return hashlib.sha256(word.encode("utf-8", "surrogatepass")).digest()


def _under(word: str, code: str) -> bytes:
    return hmac.digest(word.encode("utf-8", "surrogatepass"), code.encode("utf-8", "surrogatepass"), "sha256")
