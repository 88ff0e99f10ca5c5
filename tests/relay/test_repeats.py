"""Clients that retry at once while the SMSC is away: few records, all answers, and a count that adds up."""

from __future__ import annotations

import re
from itertools import count

from smsc_filter.policy.verdict import Cause
from smsc_filter.relay.repeats import MOST_REMEMBERED, MOST_ROWS, WINDOW_SECONDS, Repeats
from smsc_filter.smpp.constants import CommandId
from tests.conftest import StartRelay

from .harness import BANK, Esme, Smsc, message, wait_until

AWAY = Cause.UPSTREAM_UNAVAILABLE


def test_the_first_of_a_window_have_a_record_each() -> None:
    repeats: Repeats[int] = Repeats()
    found = [repeats.count("bank", AWAY, b"again", 100.0) for _ in range(MOST_ROWS + 2)]
    assert found == [False] * MOST_ROWS + [True] * 2
    # Other accounts and causes are counted for themselves.
    assert not repeats.count("shop", AWAY, b"again", 100.0)
    assert not repeats.count("bank", Cause.STORE_UNAVAILABLE, b"again", 100.0)
    assert repeats.count("bank", AWAY, b"again", 100.0 + WINDOW_SECONDS - 0.01)
    assert not repeats.count("bank", AWAY, b"again", 100.0 + WINDOW_SECONDS)


def test_a_message_that_was_not_refused_before_has_a_record_of_its_own() -> None:
    repeats: Repeats[int] = Repeats()
    assert not any(repeats.count("bank", AWAY, b"%d" % number, 100.0) for number in range(10 * MOST_ROWS))
    assert all(repeats.count("bank", AWAY, b"%d" % number, 100.5) for number in range(10 * MOST_ROWS))


def test_what_is_remembered_is_bounded() -> None:
    repeats: Repeats[int] = Repeats()
    for number in range(MOST_REMEMBERED + 1):
        repeats.count("bank", AWAY, b"%d" % number, 100.0)
    assert not repeats.count("bank", AWAY, b"0", 100.0)
    assert repeats.count("bank", AWAY, b"%d" % MOST_REMEMBERED, 100.0)


def test_a_clock_set_back_begins_a_window() -> None:
    repeats: Repeats[int] = Repeats()
    repeats.count("bank", AWAY, b"again", 100.0, messages=MOST_ROWS)
    assert repeats.count("bank", AWAY, b"again", 100.0)
    assert not repeats.count("bank", AWAY, b"again", 50.0)


def test_what_is_held_is_taken_once_and_in_order() -> None:
    repeats: Repeats[int] = Repeats()
    assert not repeats
    for number in range(3):
        repeats.hold(AWAY, number)
    assert repeats
    assert repeats.take() == {AWAY: [0, 1, 2]}
    assert not repeats
    assert repeats.take() == {}


def test_a_client_that_retries_at_once_writes_few_records(start_relay: StartRelay) -> None:
    with Smsc() as smsc:
        relay = start_relay(smsc.port)
        with Esme.bound(relay.port, BANK) as esme:
            smsc.stop()
            numbers = count(10)
            # The link to the SMSC is lost a moment after it is gone.
            wait_until(lambda: esme.submit(b"95599", b"8613800000001", "ping") == AWAY.status, "a refusal")
            sent, answered = 0, 0
            window = 100
            for _ in range(window):
                esme.send(message(b"95599", b"8613800000002", "again", next(numbers)))
                sent += 1
            while answered < sent:
                pdu = esme.pdu()
                if pdu.command_id != CommandId.SUBMIT_SM_RESP:
                    continue
                assert pdu.command_status == AWAY.status
                answered += 1
                if sent < 400:
                    esme.send(message(b"95599", b"8613800000002", "again", next(numbers)))
                    sent += 1

        def on_record() -> list[str]:
            found = relay.records("select findings from decisions where recipient = '8613800000002'")
            return [findings or "" for (findings,) in found]

        def messages(findings: str) -> int:
            counted = re.search(r"stands for (\d+) refusals", findings)
            return int(counted[1]) if counted else 1

        rows = wait_until(
            lambda: (rows := on_record()) and sum(map(messages, rows)) >= sent and rows, "every refusal, counted"
        )
        assert sum(map(messages, rows)) == sent
        assert len(rows) < sent - 100
