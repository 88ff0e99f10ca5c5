"""Who asks, and what that opens: bearer tokens, and patience with wrong ones."""

from __future__ import annotations

import hashlib
import ipaddress
import math
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Final

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.concurrency import run_in_threadpool

from smsc_filter.records.tokens import Token, find_token
from smsc_filter.web.problems import Problem

if TYPE_CHECKING:
    from smsc_filter.web.context import Context

MOST_ADDRESSES: Final = 10_000
"""Addresses whose failures are remembered; those that failed longest ago are forgotten first."""

WINDOW_SECONDS: Final = 60.0

bearer: Final = HTTPBearer(auto_error=False, description="As `smsc-filter token create` printed it.")


class Failures:
    """Counts wrong tokens by address, within any minute. Not thread-safe: asked on the loop only."""

    def __init__(self, most: int) -> None:
        """Let an address fail ``most`` times a minute."""
        self._most = most
        self._at: OrderedDict[str, deque[float]] = OrderedDict()
        self._known: OrderedDict[bytes, None] = OrderedDict()

    def knows(self, secret: str) -> bool:
        """Whether ``secret`` has opened something since the start."""
        return _digest(secret) in self._known

    def remember(self, secret: str) -> None:
        """Know ``secret``, which has opened something, until too many newer ones have."""
        self._known[_digest(secret)] = None
        self._known.move_to_end(_digest(secret))
        while len(self._known) > MOST_ADDRESSES:
            self._known.popitem(last=False)

    def forget(self, secret: str) -> None:
        """Know ``secret`` no more: it was revoked."""
        self._known.pop(_digest(secret), None)

    def wait_seconds(self, address: str, now: float) -> float:
        """How long an address has to wait; 0: not at all."""
        at = self._at.get(network_of(address))
        if at is None:
            return 0.0
        while at and at[0] <= now - WINDOW_SECONDS:
            at.popleft()
        return at[0] + WINDOW_SECONDS - now if len(at) >= self._most else 0.0

    def note(self, address: str, now: float) -> None:
        """One more failure."""
        network = network_of(address)
        at = self._at.setdefault(network, deque(maxlen=self._most))
        at.append(now)
        self._at.move_to_end(network)
        while len(self._at) > MOST_ADDRESSES:
            self._at.popitem(last=False)


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def network_of(address: str) -> str:
    """An IPv4 address, or the /48 an IPv6 address lies in: what providers give one customer."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is None:
            return str(ipaddress.ip_network((parsed, 48), strict=False))
        parsed = parsed.ipv4_mapped
    return str(parsed)


async def asker(
    request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]
) -> Token:
    """The token of a request.

    Raises:
        Problem: there is none, it opens nothing, or its address has tried too many.
    """
    context: Context = request.app.state.context
    address = request.client.host if request.client else ""
    now = context.clock()
    wait = context.failures.wait_seconds(address, now)
    given = credentials.credentials if credentials is not None else ""
    # Whoever was let in before does not wait for what others try from the same address, such as a proxy's.
    if wait > 0 and not context.failures.knows(given):
        headers = {"Retry-After": str(math.ceil(wait))}
        raise Problem(429, "too-many-failures", "too many wrong tokens from this address; wait", headers=headers)
    if credentials is None:
        raise _unauthorised("a bearer token is expected in the header Authorization")
    token = await run_in_threadpool(find_token, context.engine, credentials.credentials, now)
    if token is None:
        context.failures.note(address, now)
        context.failures.forget(given)
        raise _unauthorised("the token is unknown, revoked or has expired")
    context.failures.remember(given)
    request.state.token_id = token.id
    return token


def needs(scope: str) -> Callable[[Token], Token]:
    """A dependency: the token, if it opens ``scope``."""

    def allowed(token: Annotated[Token, Depends(asker)]) -> Token:
        if scope not in token.scopes:
            raise Problem(403, "scope-missing", f"the token does not open {scope}; ask for one that does")
        return token

    return allowed


def _unauthorised(detail: str) -> Problem:
    return Problem(401, "unauthorised", detail, headers={"WWW-Authenticate": "Bearer"})
