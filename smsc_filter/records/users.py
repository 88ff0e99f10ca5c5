"""Who may sign in to the console, and who is signed in.

Passwords are kept as argon2id hashes (RFC 9106, the profile for little memory). A session is 256 random bits in the
browser and their SHA-256 here: who reads the records cannot sign in with what they hold.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Any, Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import Connection, Engine, delete, insert, or_, select, update

from smsc_filter.records.audit import Actor, note_change
from smsc_filter.records.database import reading, writing
from smsc_filter.records.tables import sessions, users

LEAST_PASSWORD: Final = 12
MOST_PASSWORD: Final = 256
"""Characters; longer ones would make the hash a way to keep the service busy."""

SECRET_OCTETS: Final = 32
SEEN_MS: Final = 30_000
"""How exactly it is known when a session was last used: a write at every page would be too many."""

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,31}")


class Role(StrEnum):
    """What a person does here; ``web.console.access`` says what each may."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    REVIEWER = "reviewer"
    ADMIN = "admin"
    PROVIDER = "provider"
    """Somebody of a provider: sees what concerns one owner and nothing else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A person, without the password."""

    id: int
    name: str
    role: Role
    owner: str | None
    """Of a provider: whose data it sees."""
    created_at_ms: int
    disabled_at_ms: int | None = None

    def shown(self) -> dict[str, Any]:
        """As the audit shows it."""
        return {"role": self.role.value, "owner": self.owner, "disabled": self.disabled_at_ms is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifetime:
    """How long sessions last."""

    idle_ms: int
    absolute_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Somebody who is signed in."""

    user: User
    csrf: str
    digest: bytes


def add_user(
    engine: Engine, *, name: str, role: Role, owner: str | None, password: str, actor: Actor, now: float
) -> User:
    """A new user.

    Raises:
        ValueError: the name is taken or has other characters, the password is too short, or role and owner do not fit.
        SqlUnavailable: the database does not answer.
    """
    if _NAME.fullmatch(name) is None:
        raise ValueError(f"name {name!r}: 1 to 32 of a-z, 0-9, dot, hyphen and underscore, the first a letter or digit")
    if (role is Role.PROVIDER) != bool(owner):
        raise ValueError("an owner goes with the role provider, and a provider needs one")
    hashed = hash_password(password)
    with writing(engine) as connection:
        if _row(connection, name) is not None:
            raise ValueError(f"there is a user {name} already")
        row = connection.execute(
            insert(users)
            .values(name=name, role=role.value, owner=owner or None, password=hashed, created_at_ms=round(now * 1000))
            .returning(*users.c)
        )
        user = _user(row.mappings().one())
        note_change(connection, actor, "user-add", name, after=user.shown(), now=now)
    return user


def set_password(engine: Engine, name: str, password: str, actor: Actor, now: float) -> bool:
    """Give a user another password and end its sessions; False where there is none of that name.

    Raises:
        ValueError: the password is too short or too long.
    """
    hashed = hash_password(password)
    with writing(engine) as connection:
        row = _row(connection, name)
        if row is None:
            return False
        connection.execute(update(users).where(users.c.id == row["id"]).values(password=hashed))
        connection.execute(delete(sessions).where(sessions.c.user_id == row["id"]))
        note_change(connection, actor, "user-password", name, now=now)
    return True


def disable_user(engine: Engine, name: str, actor: Actor, now: float, *, disabled: bool = True) -> bool:
    """Let a user in no more and end its sessions, or let it in again; False where nothing changes."""
    with writing(engine) as connection:
        row = _row(connection, name)
        if row is None or (row["disabled_at_ms"] is not None) == disabled:
            return False
        before = _user(row)
        changed = connection.execute(
            update(users)
            .where(users.c.id == row["id"])
            .values(disabled_at_ms=round(now * 1000) if disabled else None)
            .returning(*users.c)
        )
        after = _user(changed.mappings().one())
        connection.execute(delete(sessions).where(sessions.c.user_id == row["id"]))
        action = "user-disable" if disabled else "user-enable"
        note_change(connection, actor, action, name, before=before.shown(), after=after.shown(), now=now)
    return True


def list_users(engine: Engine) -> list[User]:
    """Everybody, in the order of names."""
    with reading(engine) as connection:
        return [_user(row) for row in connection.execute(select(users).order_by(users.c.name)).mappings()]


def check_password(engine: Engine, name: str, password: str) -> User | None:
    """The user of that name, if the password is right and it may sign in.

    It takes the same time whether the name, the password or neither is right.
    """
    with reading(engine) as connection:
        row = _row(connection, name)
    right = _verify(row["password"] if row is not None else _nobody(), password[:MOST_PASSWORD])
    if row is None or not right or row["disabled_at_ms"] is not None:
        return None
    if _hasher().check_needs_rehash(row["password"]):
        with writing(engine) as connection:
            connection.execute(update(users).where(users.c.id == row["id"]).values(password=hash_password(password)))
    return _user(row)


def open_session(engine: Engine, user: User, lifetime: Lifetime, now: float) -> tuple[str, Session]:
    """A new session, and the secret that opens it, which is never to be had again."""
    secret = secrets.token_urlsafe(SECRET_OCTETS)
    now_ms = round(now * 1000)
    session = Session(user=user, csrf=secrets.token_urlsafe(SECRET_OCTETS), digest=_digest(secret))
    row = sessions.c
    with writing(engine) as connection:
        connection.execute(delete(sessions).where(_ended(lifetime, now_ms)))
        connection.execute(
            insert(sessions).values(
                digest=session.digest, user_id=user.id, csrf=session.csrf, created_at_ms=now_ms, seen_at_ms=now_ms
            )
        )
        newest = (
            select(row.digest).where(row.user_id == user.id).order_by(row.created_at_ms.desc()).limit(MOST_SESSIONS)
        )
        connection.execute(delete(sessions).where(row.user_id == user.id, row.digest.not_in(newest)))
    return secret, session


def find_session(engine: Engine, secret: str, lifetime: Lifetime, now: float) -> Session | None:
    """The session that ``secret`` opens, if it has not ended and its user may be here."""
    now_ms = round(now * 1000)
    row = sessions.c
    wanted = (
        select(users, row.csrf, row.seen_at_ms)
        .join(sessions, row.user_id == users.c.id)
        .where(row.digest == _digest(secret), users.c.disabled_at_ms.is_(None), ~_ended(lifetime, now_ms))
    )
    with reading(engine) as connection:
        found = connection.execute(wanted).mappings().first()
    if found is None:
        return None
    if now_ms - found["seen_at_ms"] >= SEEN_MS:
        with writing(engine) as connection:
            connection.execute(update(sessions).where(row.digest == _digest(secret)).values(seen_at_ms=now_ms))
    return Session(user=_user(found), csrf=found["csrf"], digest=_digest(secret))


def close_session(engine: Engine, digest: bytes) -> None:
    """End a session."""
    with writing(engine) as connection:
        connection.execute(delete(sessions).where(sessions.c.digest == digest))


MOST_SESSIONS: Final = 10
"""Of one user at a time; the oldest ones end."""


def hash_password(password: str) -> str:
    """What is kept of a password.

    Raises:
        ValueError: it is too short or too long.
    """
    if not LEAST_PASSWORD <= len(password) <= MOST_PASSWORD:
        raise ValueError(f"a password has {LEAST_PASSWORD} to {MOST_PASSWORD} characters")
    return _hasher().hash(password)


def _ended(lifetime: Lifetime, now_ms: int) -> Any:
    row = sessions.c
    return or_(row.seen_at_ms <= now_ms - lifetime.idle_ms, row.created_at_ms <= now_ms - lifetime.absolute_ms)


@cache
def _hasher() -> PasswordHasher:
    return PasswordHasher()


@cache
def _nobody() -> str:
    """The hash of a password nobody has."""
    return _hasher().hash(secrets.token_urlsafe())


def _verify(hashed: str, password: str) -> bool:
    try:
        return _hasher().verify(hashed, password)
    except (VerificationError, InvalidHashError):
        return False


def _row(connection: Connection, name: str) -> Any:
    return connection.execute(select(users).where(users.c.name == name)).mappings().first()


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "replace")).digest()


def _user(row: Mapping[Any, Any]) -> User:
    return User(
        id=row["id"],
        name=row["name"],
        role=Role(row["role"]),
        owner=row["owner"],
        created_at_ms=row["created_at_ms"],
        disabled_at_ms=row["disabled_at_ms"],
    )
