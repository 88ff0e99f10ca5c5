"""Measures end to end: imposed by the command line, in force on every worker within a second."""

from __future__ import annotations

import time

import pytest

from smsc_filter.smpp.constants import CommandStatus
from tests.conftest import Connect, StartRelay
from tests.relay.harness import PEOPLE, PERSON, SHOP, WISH, Esme, Relay, Smsc, wait_until

SUSPENDED = 0x0402
EFFECTIVE_SECONDS = 1.0
SLACK_SECONDS = 2.0
"""What a busy machine may add before a test calls it late."""


@pytest.fixture
def relay(smsc: Smsc, start_relay: StartRelay) -> Relay:
    return start_relay(smsc.port, listen={"workers": 2}, policy={"profile": "cn-2015-order31"})


def impose(relay: Relay, *arguments: str) -> str:
    done = relay.command("measure", "impose", "--reason", "test", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()[1].rstrip(":")


def submits(esme: Esme, number: int) -> int:
    return esme.submit(PERSON, b"86138%08d" % number, WISH)


def test_no_suspension_without_a_notice_and_on_all_workers_with_one(relay: Relay, connect: Connect) -> None:
    esmes = [connect(relay, PEOPLE) for _ in range(2)]  # handed to the two workers in turn
    about = ("--scope", "owner", "--subject", "mobile")
    refused = relay.command("measure", "impose", "--step", "suspend", "--reason", "test", *about)
    assert refused.returncode == 1
    assert "no notice was served to owner mobile" in refused.stderr
    assert [submits(esme, 1) for esme in esmes] == [0, 0]

    told = relay.command("measure", "notice", *about, "--channel", "letter", "--reason", "test")
    assert told.returncode == 0, told.stderr
    number = impose(relay, "--step", "suspend", *about)
    at = time.monotonic()
    wait_until(lambda: [submits(esme, 2) for esme in esmes] == [SUSPENDED] * 2, "both workers refuse")
    assert time.monotonic() - at < EFFECTIVE_SECONDS + SLACK_SECONDS
    assert connect(relay, SHOP).submit(b"106900001", b"8613800000009", WISH) == 0  # nobody else is touched

    lifted = relay.command("measure", "lift", number, "--reason", "appeal granted")
    assert lifted.returncode == 0, lifted.stderr
    wait_until(lambda: [submits(esme, 3) for esme in esmes] == [0, 0], "both workers admit again")
    suspended = "select findings from decisions where cause = 'sender-suspended'"
    explained = wait_until(lambda: relay.records(suspended), "the refusal is on record")[0][0]
    assert f"suspended by measure {number}; appeal with code" in explained


def test_a_throttle_lets_so_many_pass_in_an_hour_over_all_workers(relay: Relay, connect: Connect) -> None:
    esmes = [connect(relay, PEOPLE) for _ in range(2)]
    impose(relay, "--step", "throttle", "--per-hour", "5", "--scope", "sender", "--subject", PERSON.decode())
    # The log of a sender counts from the first message on; wait until both know the cap.
    wait_until(lambda: relay.log().count('"measures-refreshed"') >= 2, "both workers know it")
    statuses = [submits(esmes[number % 2], 100 + number) for number in range(8)]
    assert statuses == [0] * 5 + [CommandStatus.ESME_RTHROTTLED] * 3
    assert "1" in relay.command("measure", "list").stdout


def test_no_new_resources_refuses_binds_beyond_those_there_were(relay: Relay, connect: Connect) -> None:
    held = connect(relay, PEOPLE)
    impose(relay, "--step", "no-new-resources", "--scope", "account", "--subject", "people")
    wait_until(lambda: relay.log().count('"measures-refreshed"') >= 2, "both workers know it")
    with Esme(relay.port) as another:
        assert another.bind(PEOPLE).command_status == CommandStatus.ESME_RBINDFAIL
    assert submits(held, 1) == 0
    held.close()

    def bound_again() -> bool:
        with Esme(relay.port) as again:
            return again.bind(PEOPLE).command_status == 0

    wait_until(bound_again, "the place of the bind that ended can be taken again")
