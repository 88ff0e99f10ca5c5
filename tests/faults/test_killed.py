"""Each process in turn is killed in the middle of its work, twice, and everything is accounted for afterwards.

What can be promised, and is proved here whatever is killed:

- A message answered ESME_ROK is at the SMSC once, under the message_id the provider was told, octet for octet.
- Every answered message, refusals included, has its decision record, and its answer follows from that record.
- No decision is recorded twice: a message has no more records than times it was sent.
- A sender's cap holds: the SMSC never gets more of it than the cap.

An answer that never left is no answer: what lost its link is sent again, and the SMSC may then have it twice. So it is
asserted that the SMSC has nothing its provider was not told of, but for messages in flight at the instant of a kill.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
import uvloop

from smsc_filter.lab import rig
from smsc_filter.lab.journal import read_journal
from smsc_filter.lab.traffic import recipient
from smsc_filter.policy.verdict import Cause
from smsc_filter.smpp.codec import encode
from smsc_filter.smpp.constants import HEADER_OCTETS, CommandId, CommandStatus
from tests.faults.driver import (
    BANK,
    CAPPED,
    CAPPED_SENDER,
    KINDS,
    LATER,
    SESSIONS,
    SHOP,
    WINDOW,
    Letter,
    Provider,
    agreements,
    letters,
)
from tests.faults.ground import Ground, free_port, simulator
from tests.relay.harness import Esme, wait_until

MESSAGES = int(os.environ.get("FAULT_MESSAGES", "20000"))
"""Of each test. With 100,000 all of them together take about two minutes."""

CAP = MESSAGES // 100
"""Of the capped sender; it is asked to send ten times as much."""

KILL_AT = (0.3, 0.6)
"""Shares of messages answered when somebody is killed."""

SECONDS = 60.0


@pytest.fixture
def ground(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ground]:
    """Everything up, consents imported."""
    monkeypatch.setenv("SMSC_FILTER_LISTEN__WORKERS", "2")
    monkeypatch.setenv("SMSC_FILTER_UPSTREAM__RECONNECT_MOST", "0.5")
    smsc = simulator(tmp_path, free_port())
    with contextlib.ExitStack() as stack:
        smsc.__enter__()
        stack.callback(smsc.stop)
        relay = rig.Relay(tmp_path / "relay", smsc.port, (BANK, SHOP), caps=(10**9, 10**9))
        with relay.config.open("a") as config:
            config.write(f'[[senders]]\naddress = "{CAPPED_SENDER}"\nowner = "{BANK.owner}"\npurpose = "service"\n')
            config.write(f"hour_cap = {CAP}\nday_cap = {10**9}\n")
        relay.import_consents(agreements(MESSAGES))
        relay.__enter__()
        stack.callback(relay.stop)
        yield Ground(tmp_path, smsc, relay)


def carry_through(ground: Ground, fault: Callable[[Provider], None]) -> tuple[Provider, list[Letter]]:
    """Send everything, with ``fault`` in the middle, until all is answered and on record."""
    written = letters(MESSAGES)
    provider = Provider(ground.relay.port, written)
    # However long a restart takes, there is as much traffic at the next kill as at the first.
    shares = (0.0, *(sum(pair) / 2 for pair in itertools.pairwise((*KILL_AT, 1.0))))
    provider.may_send = 0

    async def interfere() -> None:
        for share, (before, until) in zip(KILL_AT, itertools.pairwise(shares), strict=True):
            provider.may_send += int((until - before) * MESSAGES)
            await provider.reached(share)
            # Elsewhere, because it blocks, and traffic goes on meanwhile.
            await asyncio.to_thread(fault, provider)
        provider.may_send = MESSAGES

    async def both() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(provider.run())
            group.create_task(interfere())

    uvloop.run(both())
    ground.await_records()
    assert len(ground.kills) == len(KILL_AT)
    return provider, written


def spans(letter: Letter) -> list[tuple[float, float]]:
    """From when until when each sending of a message waited."""
    answer = letter.answer
    return [*letter.lost, *([(answer.sent_at, answer.answered_at)] if answer is not None else [])]


def in_flight(sent_at: float, ended_at: float, kills: Sequence[tuple[float, float]]) -> bool:
    """Whether a message waited for its answer while somebody was killed."""
    return any(sent_at <= gone and ended_at >= began for began, gone in kills)


def check_answers(provider: Provider, written: Sequence[Letter]) -> Counter[int]:
    """Everything was answered, each once, with a status there is a reason for; how often each."""
    assert provider.strays == 0
    assert all(letter.answer is not None for letter in written)
    statuses = Counter(letter.answer.status for letter in written if letter.answer is not None)
    assert statuses[CommandStatus.ESME_ROK] > MESSAGES / 2
    assert statuses[Cause.NO_CONSENT.status] > MESSAGES / 20
    assert statuses[Cause.UNKNOWN_SENDER.status] > MESSAGES / 20
    assert statuses[Cause.QUOTA_SPENT.status] > MESSAGES / 20
    causes = (Cause.NO_CONSENT, Cause.UNKNOWN_SENDER, Cause.QUOTA_SPENT)
    assert statuses.keys() <= {CommandStatus.ESME_ROK, *(cause.status for cause in causes), *LATER}
    return statuses


def check_smsc(ground: Ground, written: Sequence[Letter], *, surplus_allowed: bool) -> None:
    """What was answered ESME_ROK is at the SMSC as answered; what else is there was in flight at a kill."""
    at_smsc: dict[bytes, bytes] = {}
    for entry in read_journal(ground.journal):
        assert entry.message_id not in at_smsc
        at_smsc[entry.message_id] = entry.octets[HEADER_OCTETS:]
    for letter in written:
        if letter.answer is not None and letter.answer.status == CommandStatus.ESME_ROK:
            assert at_smsc.pop(letter.answer.message_id) == letter.body
    if not surplus_allowed:
        assert not at_smsc
    by_body = {letter.body: letter for letter in written}
    surplus = Counter(by_body[body].number for body in at_smsc.values())
    for number, count in surplus.items():
        letter = written[number]
        assert letter.answer is not None
        untold = letter.lost if letter.answer.status == CommandStatus.ESME_ROK else spans(letter)
        assert count <= sum(in_flight(sent_at, ended_at, ground.kills) for sent_at, ended_at in untold)
    assert surplus.total() <= SESSIONS * WINDOW * len(ground.kills)


def check_cap(ground: Ground) -> None:
    """However often somebody was killed, the SMSC got no more of the capped sender than its cap."""
    passed = sum(CAPPED_SENDER.encode() in entry.octets for entry in read_journal(ground.journal))
    assert CAP - SESSIONS * WINDOW * len(ground.kills) <= passed <= CAP
    assert passed > 0


def check_records(ground: Ground, written: Sequence[Letter]) -> None:
    """Each answer has its decision, and no decision is there twice."""
    with contextlib.closing(ground.relay.records()) as records:
        outcomes = dict(records.execute("select decision_id, command_status from outcomes"))
        decisions: dict[str, list[tuple[int, str, int]]] = defaultdict(list)
        for number, cause, status, to in records.execute("select id, cause, command_status, recipient from decisions"):
            decisions[to].append((number, cause, status))
        assert records.execute("select count(*) from stream_rejects").fetchone() == (0,)
    assert decisions.keys() <= {letter.recipient for letter in written}
    for letter in written:
        assert letter.answer is not None
        found = decisions[letter.recipient]
        assert 1 <= len(found) <= letter.sent, f"{letter}: {found}"
        status = letter.answer.status
        if status == CommandStatus.ESME_ROK:
            assert any(not cause for _, cause, _ in found), f"{letter}: {found}"
        else:
            # Refused by us, or admitted and then not taken by the SMSC.
            assert any(said == status if cause else outcomes.get(number) == status for number, cause, said in found), (
                f"{letter}: {found}"
            )


def check_everything(
    ground: Ground, provider: Provider, written: Sequence[Letter], *, surplus_allowed: bool
) -> Counter[int]:
    """All that is promised whatever is killed; how often each status was answered."""
    for kill in ground.kills:
        assert any(in_flight(sent_at, ended_at, [kill]) for letter in written for sent_at, ended_at in spans(letter))
    statuses = check_answers(provider, written)
    check_smsc(ground, written, surplus_allowed=surplus_allowed)
    check_cap(ground)
    check_records(ground, written)
    return statuses


def test_a_killed_worker_takes_only_its_own_links_along(ground: Ground) -> None:
    provider, written = carry_through(ground, lambda _: ground.kill_child("worker"))
    # Four links over two workers, of which one is killed: two of them, or the three it had after the first kill.
    assert len(KILL_AT) <= provider.lost_links < SESSIONS * len(KILL_AT)
    check_everything(ground, provider, written, surplus_allowed=True)


def test_a_killed_supervisor_leaves_no_process_and_loses_nothing(ground: Ground) -> None:
    def kill_and_restart(provider: Provider) -> None:
        pid = ground.relay.pid
        children = rig.descendants(pid)
        assert sorted(rig._role(child) for child in children) == ["recorder", "valkey", "web", "worker", "worker"]
        ground.kill_supervisor()
        provider.port = ground.relay.port

    provider, written = carry_through(ground, kill_and_restart)
    assert provider.lost_links == SESSIONS * len(KILL_AT)
    check_everything(ground, provider, written, surplus_allowed=True)


def test_a_killed_smsc_leaves_providers_bound_and_what_it_took_is_known(ground: Ground) -> None:
    # For as long as it is away, providers are told to come back later.
    provider, written = carry_through(ground, lambda _: ground.kill_smsc())
    ground.smsc.stop()
    assert provider.lost_links == 0
    statuses = check_everything(ground, provider, written, surplus_allowed=True)
    assert statuses[Cause.UPSTREAM_UNAVAILABLE.status] > 0


def test_a_killed_store_is_waited_for_and_nobody_notices(ground: Ground) -> None:
    provider, written = carry_through(ground, lambda _: ground.kill_child("valkey"))
    assert provider.lost_links == 0
    statuses = check_everything(ground, provider, written, surplus_allowed=False)
    assert not statuses.keys() & LATER
    with contextlib.closing(ground.relay.records()) as records:
        assert records.execute("select count(*) from decisions").fetchone() == (MESSAGES,)


def test_a_killed_recorder_goes_on_where_it_was(ground: Ground) -> None:
    provider, written = carry_through(ground, lambda _: ground.kill_child("recorder"))
    assert provider.lost_links == 0
    statuses = check_everything(ground, provider, written, surplus_allowed=False)
    assert not statuses.keys() & LATER
    with contextlib.closing(ground.relay.records()) as records:
        assert records.execute("select count(*) from decisions").fetchone() == (MESSAGES,)
        assert records.execute("select count(*) from outcomes").fetchone() == (statuses[CommandStatus.ESME_ROK],)


def test_who_connects_while_no_worker_is_left_waits_for_the_next_one(ground: Ground) -> None:
    workers = [pid for pid in rig.descendants(ground.relay.pid) if rig._role(pid) == "worker"]
    for pid in workers:
        ground.kill(pid)
    wait_until(lambda: ground.logged("child-ended") == len(workers), "the supervisor sees that")
    with Esme.bound(ground.relay.port, (BANK.system_id, BANK.password)) as esme:
        assert esme.ask(encode(CommandId.SUBMIT_SM, 0, letters(1)[0].body)).command_status == CommandStatus.ESME_ROK


def test_the_traffic_is_what_the_checks_rest_on() -> None:
    written = letters(200)
    assert len({letter.body for letter in written}) == 200
    assert {letter.account for letter in written} == {BANK, SHOP}
    assert all(recipient(letter.number).encode() in letter.body for letter in written)
    assert sum(CAPPED_SENDER.encode() in letter.body for letter in written) == 200 // len(KINDS)
    assert CAPPED_SENDER.encode() in written[CAPPED].body
    assert len(agreements(200)) == 1 + 40
