"""Bearer tokens of the HTTP API: whose they are, what they open, until when.

A token is ``sft_<id>_<secret>``: the id finds the row, the secret is 256 random bits of which only the SHA-256 is kept.
A slow hash would add nothing, since nobody guesses 256 bits; it would let anyone make the service work hard. A token is
shown once, when it is made.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Engine, insert, select, update

from smsc_filter.records.database import reading, writing
from smsc_filter.records.tables import tokens

SCOPES: Final = (
    "consents:read", "consents:write", "decisions:read", "declines:read", "declines:write",
    "texts:classify",
    "appeals:read", "appeals:write", "appeals:review", "complaints:read", "complaints:write",
)  # fmt: skip
"""What a token may open; those of ``OPERATOR_SCOPES`` are for the operator."""

OPERATOR_SCOPES: Final = frozenset({"declines:write", "appeals:review", "complaints:write"})
"""Change or show what is everybody's."""

SECRET_OCTETS: Final = 32
MOST_DAYS: Final = 3_660

_SHAPE: Final = re.compile(r"sft_([0-9a-f]{16})_([A-Za-z0-9_-]{43})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A token without its secret."""

    id: str
    owner: str
    """Whose data it opens."""
    label: str
    """What it is for, as whoever made it wrote."""
    scopes: tuple[str, ...]
    created_at_ms: int
    created_by: str
    expires_at_ms: int
    revoked_at_ms: int | None = None

    def valid_at(self, now: float) -> bool:
        """Whether it opens anything at ``now``, epoch seconds."""
        return self.revoked_at_ms is None and now * 1000 < self.expires_at_ms


def create_token(
    engine: Engine, *, owner: str, scopes: Sequence[str], label: str, days: float, created_by: str, now: float
) -> tuple[str, Token]:
    """A new token, in full and as it is kept; what is returned first is never to be had again.

    Raises:
        ValueError: an unknown scope, none, or a time that is not positive or beyond ten years.
        SqlUnavailable: the database does not answer.
    """
    if not owner:
        raise ValueError("owner is empty")
    unknown = [scope for scope in scopes if scope not in SCOPES]
    if unknown or not scopes:
        raise ValueError(f"scope {', '.join(unknown) or 'is missing'}: there are {', '.join(SCOPES)}")
    if not 0 < days <= MOST_DAYS:
        raise ValueError(f"days is {days:g}, above 0 and at most {MOST_DAYS} is expected")
    secret = secrets.token_urlsafe(SECRET_OCTETS)
    token = Token(
        id=secrets.token_hex(8),
        owner=owner,
        label=label,
        scopes=tuple(scope for scope in SCOPES if scope in scopes),
        created_at_ms=round(now * 1000),
        created_by=created_by,
        expires_at_ms=round((now + days * 86_400) * 1000),
    )
    with writing(engine) as connection:
        connection.execute(
            insert(tokens).values(
                id=token.id,
                digest=_digest(secret),
                owner=token.owner,
                label=token.label,
                scopes=" ".join(token.scopes),
                created_at_ms=token.created_at_ms,
                created_by=token.created_by,
                expires_at_ms=token.expires_at_ms,
            )
        )
    return f"sft_{token.id}_{secret}", token


def find_token(engine: Engine, text: str, now: float) -> Token | None:
    """The token that ``text`` is, if it opens anything at ``now``.

    What it is compared with takes the same time whether the id is known, the secret wrong or the token revoked.

    Raises:
        SqlUnavailable: the database does not answer.
    """
    found = _SHAPE.fullmatch(text)
    token_id, secret = found.groups() if found else ("", "")
    with reading(engine) as connection:
        row = connection.execute(select(tokens).where(tokens.c.id == token_id)).mappings().first()
    right = hmac.compare_digest(_digest(secret), row["digest"] if row else bytes(hashlib.sha256().digest_size))
    if not right or row is None:
        return None
    token = _token(row)
    return token if token.valid_at(now) else None


def list_tokens(engine: Engine, owner: str | None = None) -> list[Token]:
    """Every token, newest first; those of one owner where it is given.

    Raises:
        SqlUnavailable: the database does not answer.
    """
    wanted = select(tokens).order_by(tokens.c.created_at_ms.desc(), tokens.c.id)
    if owner is not None:
        wanted = wanted.where(tokens.c.owner == owner)
    with reading(engine) as connection:
        return [_token(row) for row in connection.execute(wanted).mappings()]


def revoke_token(engine: Engine, token_id: str, now: float) -> bool:
    """End a token; False when there is none of that id or it was revoked before.

    Raises:
        SqlUnavailable: the database does not answer.
    """
    with writing(engine) as connection:
        changed = connection.execute(
            update(tokens)
            .where(tokens.c.id == token_id, tokens.c.revoked_at_ms.is_(None))
            .values(revoked_at_ms=round(now * 1000))
        )
        return changed.rowcount > 0


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def _token(row: Any) -> Token:
    return Token(
        id=row["id"],
        owner=row["owner"],
        label=row["label"],
        scopes=tuple(row["scopes"].split()),
        created_at_ms=row["created_at_ms"],
        created_by=row["created_by"],
        expires_at_ms=row["expires_at_ms"],
        revoked_at_ms=row["revoked_at_ms"],
    )
