"""Wrong binds: who has to wait, who never does, and what the operator hears."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from smsc_filter.relay import passwords
from smsc_filter.relay.accounts import Accounts, AccountSettings, hash_password
from smsc_filter.relay.passwords import (
    ALARM_WRONG_BINDS,
    FREE_TRIES,
    FREE_TRIES_OF_ADDRESS,
    GUESSED_AT,
    LONGEST_WAIT_SECONDS,
    MOST_HASHES,
    REPORT_SECONDS,
    Password,
    Passwords,
    Tries,
    WrongBinds,
    block_of,
)

HERE, ELSEWHERE = "192.0.2.1", "198.51.100.7"
HASHED = hash_password("sesame")
ACCOUNTS = (
    AccountSettings(system_id="shop", owner="shop-ltd", password="secret"),
    AccountSettings(system_id="hashed", owner="shop-ltd", password_hash=HASHED),
)


def run(conversation: Callable[[Passwords], Awaitable[None]], monkeypatch: pytest.MonkeyPatch) -> None:
    """Hold a conversation with passwords that put nobody off in real time."""
    monkeypatch.setattr(passwords, "DELAY_SECONDS", 0.0)
    monkeypatch.setattr(passwords, "PAUSE", 0.0)

    async def talk() -> None:
        looker = Passwords(Accounts(ACCOUNTS), asyncio.get_running_loop())
        try:
            await conversation(looker)
        finally:
            looker.close()

    asyncio.run(talk())


def test_waits_double_up_to_a_bound_and_wrong_tries_are_forgotten() -> None:
    tries = Tries()
    for _ in range(5):
        tries.add("key", 0.0, 5)
    assert not tries.waits("key", 0.0)
    for expected in (1, 2, 4, 8):
        tries.add("key", 0.0, 5)
        assert tries.waits("key", expected - 0.01)
        assert not tries.waits("key", expected)
    for _ in range(40):
        tries.add("key", 0.0, 5)
    assert not tries.waits("key", LONGEST_WAIT_SECONDS)
    assert tries.count("key", 10_000.0) == 0


def test_what_is_counted_is_bounded() -> None:
    tries = Tries(most=10)
    for number in range(1000):
        tries.add(number, 0.0, 1)
    assert sum(tries.count(number, 0.0) > 0 for number in range(1000)) == 10


def test_who_guesses_is_not_looked_at_any_more_and_others_are(monkeypatch: pytest.MonkeyPatch) -> None:
    async def talk(looker: Passwords) -> None:
        heard = [await looker.look("shop", b"%d" % number, HERE) for number in range(FREE_TRIES + 1)]
        assert set(heard) == {Password.WRONG}
        assert await looker.look("shop", b"secret", HERE) is Password.LATER, "even the right one"
        assert await looker.look("shop", b"secret", ELSEWHERE) is Password.RIGHT

    run(talk, monkeypatch)


@pytest.mark.parametrize(("mine", "stranger"), [
    pytest.param(HERE, HERE, id="behind-one-address"),
    pytest.param("2001:db8:1:1::1", "2001:db8:1:ffff::9", id="in-one-block"),
])  # fmt: skip
def test_who_has_bound_well_is_looked_at_once_a_second_whoever_guesses_beside_it(mine: str, stranger: str) -> None:
    binds = WrongBinds()
    binds.right("shop", mine)
    for _ in range(50):
        binds.wrong("shop", stranger, 10.0)
    assert not binds.pair_waits("shop", mine, 10.0)
    assert binds.pair_waits("shop", mine, 10.5)
    assert not binds.pair_waits("shop", mine, 11.0)
    assert binds.pair_waits("shop", "203.0.113.9" if mine == HERE else stranger, 10.0) is (mine != HERE)


def test_a_storm_of_binds_that_find_no_room_is_no_attack() -> None:
    binds = WrongBinds()
    for reason in ("no-room", "max-binds", "busy", "smsc", "version"):
        for _ in range(2 * ALARM_WRONG_BINDS):
            binds.refuse(reason, "shop", HERE, 0.0)
    binds.report(REPORT_SECONDS, lambda name: True)
    assert binds.alarms(REPORT_SECONDS) == []
    assert binds.refused.total() == 10 * ALARM_WRONG_BINDS


def test_an_account_that_is_guessed_at_from_everywhere_binds_from_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    async def talk(looker: Passwords) -> None:
        for number in range(GUESSED_AT * 5):
            assert await looker.look("shop", b"guess", f"10.0.0.{number}") is Password.WRONG
        assert await looker.look("shop", b"secret", ELSEWHERE) is Password.RIGHT
        await looker.look("shop", b"guess", "10.1.0.1")
        await looker.look("shop", b"guess", "10.1.0.1")
        assert await looker.look("shop", b"secret", "10.1.0.1") is Password.LATER, "a stranger has one try by now"

    run(talk, monkeypatch)


def test_behind_the_address_of_who_guesses_other_accounts_bind_and_unknown_ones_cost_no_hash(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def talk(looker: Passwords) -> None:
        now = asyncio.get_running_loop().time()
        for number in range(FREE_TRIES_OF_ADDRESS + 6):
            looker.binds.wrong(f"nobody{number}", HERE, now)
        monkeypatch.setattr(looker.accounts, "password_holds", Accounts(ACCOUNTS[:1]).password_holds)
        assert await looker.look("shop", b"secret", HERE) is Password.RIGHT
        assert await looker.look("shop", b"wrong", HERE) is Password.LATER
        monkeypatch.setattr(looker.accounts, "password_holds", lambda *_: pytest.fail("a hash was made"))
        assert await looker.look("nobody", b"x", HERE) is Password.LATER
        assert await looker.look("hashed", b"sesame", HERE) is Password.LATER

    run(talk, monkeypatch)


def test_a_thousand_binds_of_one_hashed_account_cost_one_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []

    async def talk(looker: Passwords) -> None:
        holds = looker.accounts.password_holds
        monkeypatch.setattr(
            looker.accounts, "password_holds", lambda name, given: made.append(name) or holds(name, given)
        )
        answers = await asyncio.gather(*(looker.look("hashed", b"sesame", HERE) for _ in range(1000)))
        assert set(answers) == {Password.RIGHT}
        assert await looker.look("hashed", b"sesame", HERE) is Password.RIGHT
        assert made == ["hashed"]
        assert await looker.look("hashed", b"wrong", HERE) is Password.WRONG

    run(talk, monkeypatch)


def test_the_queue_of_hashes_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    async def talk(looker: Passwords) -> None:
        monkeypatch.setattr(looker.accounts, "password_holds", lambda *_: False)
        wanted = 3 * MOST_HASHES
        answers = await asyncio.gather(*(looker.look(f"nobody{at}", b"x", f"10.0.{at}.1") for at in range(wanted)))
        assert answers.count(Password.WRONG) == MOST_HASHES
        assert answers.count(Password.LATER) == wanted - MOST_HASHES

    run(talk, monkeypatch)


def test_a_flood_is_one_log_line_and_one_alarm(capsys: pytest.CaptureFixture[str]) -> None:
    binds = WrongBinds()
    for number in range(2 * ALARM_WRONG_BINDS):
        binds.refuse("wrong", "shop", HERE, 100.0 + number / 100)
    binds.report(100.0 + REPORT_SECONDS, lambda name: name == "shop")
    said = capsys.readouterr().out
    assert said.count("bind-refused") == 1
    assert said.count("binds-refused") == 1
    alarms = binds.alarms(100.0 + REPORT_SECONDS)
    assert {alarm["subject"] for alarm in alarms} == {f"address {HERE}", "account shop"}
    assert binds.refused["wrong"] == 2 * ALARM_WRONG_BINDS
    assert not binds.alarms(100.0 + 2 * 3600)


@pytest.mark.parametrize(("address", "block"), [
    ("192.0.2.1", "192.0.2.1"), ("2001:db8:1:2::3", "2001:db8:1::/48"), ("::ffff:192.0.2.1", "192.0.2.1"),
    ("fe80::1%eth0", "fe80::/48"), ("", ""),
])  # fmt: skip
def test_what_is_counted_as_one_address(address: str, block: str) -> None:
    assert block_of(address) == block
