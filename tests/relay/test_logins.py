"""When binds to the SMSC are asked for: so many at once, and seldom where it refused the password."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from smsc_filter.relay.upstream import Logins, UpstreamError, UpstreamSettings
from smsc_filter.smpp.constants import CommandStatus

SHOP, BANK = b"shop\0secret\0rest", b"bank\0secret\0rest"
REFUSED = CommandStatus.ESME_RINVPASWD


class Loop:
    """A loop whose clock stands where a test puts it."""

    def __init__(self) -> None:
        self.now = 100.0

    def time(self) -> float:
        return self.now


def run(talk: Callable[[Logins, Loop], Awaitable[None]], **settings: float) -> None:
    async def main() -> None:
        loop = Loop()
        await talk(Logins(UpstreamSettings(**settings), loop), loop)  # type: ignore[arg-type]

    asyncio.run(main())


async def ask(logins: Logins, body: bytes) -> bool:
    """Whether a bind may be asked for now."""
    try:
        async with logins.turn(body):
            return True
    except UpstreamError:
        return False


def test_a_refused_login_waits_longer_with_each_refusal_and_others_do_not() -> None:
    async def talk(logins: Logins, loop: Loop) -> None:
        for pause in (30, 60, 120, 240, 300, 300):
            assert await ask(logins, SHOP)
            logins.refused(SHOP, REFUSED)
            loop.now += pause - 1
            assert not await ask(logins, SHOP)
            assert await ask(logins, BANK)
            assert [alarm["subject"] for alarm in logins.alarms()] == ["system_id shop"]
            loop.now += 1
        assert await ask(logins, SHOP)
        logins.held(SHOP)
        assert await ask(logins, SHOP)
        assert not logins.alarms()

    run(talk, reconnect_refused=300)


def test_of_many_binds_of_a_refused_login_one_tries() -> None:
    async def talk(logins: Logins, loop: Loop) -> None:
        logins.refused(SHOP, REFUSED)
        loop.now += 30
        assert [await ask(logins, SHOP) for _ in range(5)] == [True, False, False, False, False]

    run(talk)


def test_a_new_password_is_tried_at_once() -> None:
    async def talk(logins: Logins, _loop: Loop) -> None:
        logins.refused(SHOP, REFUSED)
        assert await ask(logins, b"shop\0mended\0rest")

    run(talk)


def test_so_many_binds_are_asked_for_at_once() -> None:
    async def talk(logins: Logins, _loop: Loop) -> None:
        async with logins.turn(SHOP), logins.turn(BANK):
            with pytest.raises(UpstreamError, match="turn"):
                async with logins.turn(SHOP):
                    pass
        assert await ask(logins, SHOP)

    run(talk, binds_at_once=2, connect_timeout=0.01)
