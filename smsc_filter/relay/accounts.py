"""Who may bind: system_id and password, from where, and how often at once."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import os
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Annotated, Final

from pydantic import ConfigDict, Field

from smsc_filter.policy.template import NO_PARAMETERS, Parameters

# RFC 7914, section 2. 16 MiB and about 40 ms: a bind is rare, and a stolen file should stay useless.
SCRYPT_N: Final = 1 << 14
SCRYPT_R: Final = 8
SCRYPT_P: Final = 1
_SCHEME: Final = "scrypt"

Cap = Annotated[int, Field(ge=0)]
"""Of messages within a window; 0: none."""

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountSettings:
    """``[[accounts]]``: a provider that may bind."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    system_id: Annotated[str, Field(min_length=1, max_length=15)]
    owner: Annotated[str, Field(min_length=1)]
    """Who answers for what the account sends; its senders are those of the same owner."""

    password: Annotated[str | None, Field(max_length=8)] = field(default=None, repr=False)
    """In clear, at most 8 octets as SMPP has it."""

    password_hash: str | None = field(default=None, repr=False)
    """As ``smsc-filter hash-password`` prints it; instead of ``password``."""

    max_binds: Annotated[int, Field(ge=1)] = 10
    """Binds at once, over all workers."""

    allow_from: tuple[Network, ...] = ()
    """Networks it may bind from; empty: any."""

    upstream_system_id: str = ""
    """What it is to the SMSC; empty: the same."""

    upstream_password: str = field(default="", repr=False)
    """Its password there; empty: the same."""

    parameters: Parameters = NO_PARAMETERS
    """What optional parameters mean on this account."""

    minute_cap: Cap = 0
    """Messages of all its senders in any 60 s; 0: no cap."""

    hour_cap: Cap = 0
    """Messages in any 3,600 s."""

    day_cap: Cap = 0
    """Messages in any 86,400 s."""

    week_cap: Cap = 0
    """Messages in any 604,800 s."""

    def __post_init__(self) -> None:
        if (self.password is None) == (self.password_hash is None):
            raise ValueError(f"account {self.system_id}: set one of password and password_hash")
        if self.password_hash is not None:
            _parse_hash(self.password_hash)


def hash_password(password: str) -> str:
    """A password as it may stand in the configuration."""
    salt = os.urandom(16)
    digest = hashlib.scrypt(password.encode(), salt=salt, n=SCRYPT_N, r=SCRYPT_R, p=SCRYPT_P)
    fields = (_SCHEME, SCRYPT_N, SCRYPT_R, SCRYPT_P, b64encode(salt).decode(), b64encode(digest).decode())
    return "$".join(map(str, fields))


def _parse_hash(text: str) -> tuple[int, int, int, bytes, bytes]:
    try:
        scheme, n, r, p, salt, digest = text.split("$")
        if scheme != _SCHEME:
            raise ValueError(scheme)
        return int(n), int(r), int(p), b64decode(salt, validate=True), b64decode(digest, validate=True)
    except ValueError:
        raise ValueError(
            "password_hash is not scrypt$n$r$p$salt$digest; make one with `smsc-filter hash-password`"
        ) from None


class Accounts:
    """The accounts, by system_id."""

    def __init__(self, accounts: Iterable[AccountSettings]) -> None:
        """Hold ``accounts``, whose system_ids differ."""
        self._accounts = {account.system_id: account for account in accounts}
        # What an unknown system_id is compared with, so that it takes as long as a known one.
        self._nobody_hash = hash_password("")

    def __iter__(self) -> Iterator[AccountSettings]:
        return iter(self._accounts.values())

    def find(self, system_id: str) -> AccountSettings | None:
        """The account of that name."""
        return self._accounts.get(system_id)

    def password_holds(self, system_id: str, password: bytes) -> bool:
        """Compare a password in constant time; False for an unknown account, after the same work."""
        account = self._accounts.get(system_id)
        if account is not None and account.password is not None:
            return hmac.compare_digest(account.password.encode(), password)
        stored = account.password_hash if account is not None else None
        n, r, p, salt, digest = _parse_hash(stored or self._nobody_hash)
        given = hashlib.scrypt(password, salt=salt, n=n, r=r, p=p, dklen=len(digest))
        return hmac.compare_digest(given, digest) and account is not None


def may_come_from(account: AccountSettings, address: str) -> bool:
    """Whether an account may bind from an IP address."""
    if not account.allow_from:
        return True
    try:
        peer = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(peer, ipaddress.IPv6Address) and peer.ipv4_mapped:
        peer = peer.ipv4_mapped
    return any(peer in network for network in account.allow_from)
