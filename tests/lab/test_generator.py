"""The load generator against the simulator, directly and through the splice."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from smsc_filter.lab.generator import GeneratorError, Load, Outcome, generate
from smsc_filter.lab.journal import read_journal
from smsc_filter.lab.simulator import Simulator, SimulatorOptions
from smsc_filter.lab.splice import Front
from smsc_filter.smpp.constants import CommandStatus


def put(options: SimulatorOptions | None = None, *, spliced: bool = False, **load: object) -> tuple[Outcome, Simulator]:
    async def run() -> tuple[Outcome, Simulator]:
        async with Simulator(options) as smsc:
            port = smsc.port
            server = await asyncio.get_running_loop().create_server(lambda: Front("127.0.0.1", smsc.port), "127.0.0.1")
            async with server:
                if spliced:
                    port = server.sockets[0].getsockname()[1]
                return await generate(Load(port=port, **load)), smsc  # type: ignore[arg-type]

    return asyncio.run(asyncio.wait_for(run(), 20))


@pytest.mark.parametrize("spliced", [pytest.param(False, id="direct"), pytest.param(True, id="spliced")])
@pytest.mark.parametrize(("sessions", "window"), [(1, 1), (4, 100), (16, 1)])
def test_every_message_is_sent_once_and_answered(spliced: bool, sessions: int, window: int) -> None:
    outcome, smsc = put(spliced=spliced, sessions=sessions, window=window, messages=2_003)
    assert (outcome.sent, outcome.answered, len(smsc.received)) == (2_003, 2_003, 2_003)
    assert outcome.statuses == {CommandStatus.ESME_ROK: 2_003}
    assert (outcome.strays, outcome.lost_sessions, outcome.unanswered) == (0, 0, 0)
    assert 0 < outcome.p50_ms <= outcome.p90_ms <= outcome.p99_ms <= outcome.max_ms


def test_the_open_loop_keeps_its_rate_and_charges_waiting_to_the_server() -> None:
    slow = SimulatorOptions(port=0, latency_ms=50)
    outcome, _ = put(slow, sessions=2, messages=300, rate=1_000)
    assert outcome.answered == 300
    assert 0.3 <= outcome.seconds < 2
    assert outcome.p50_ms >= 49


def test_what_was_answered_is_what_the_smsc_has_accepted(tmp_path: Path) -> None:
    at_smsc, answered = tmp_path / "smsc", tmp_path / "answers"
    refusing = SimulatorOptions(port=0, refuse_rate=0.5, journal=at_smsc)
    outcome, _ = put(refusing, sessions=3, window=10, messages=500, answers=answered)
    assert outcome.statuses.keys() == {CommandStatus.ESME_ROK, CommandStatus.ESME_RTHROTTLED}
    sent = {entry.message_id: entry.octets for entry in read_journal(answered)}
    assert sent == {entry.message_id: entry.octets for entry in read_journal(at_smsc)}
    assert len(sent) == outcome.statuses[CommandStatus.ESME_ROK]


def test_silence_ends_with_patience() -> None:
    outcome, _ = put(SimulatorOptions(port=0, silent_rate=1.0), messages=50, window=5, seconds=0.2, patience=0.2)
    assert (outcome.sent, outcome.answered, outcome.unanswered) == (20, 0, 20)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        pytest.param(SimulatorOptions(port=0, password="other"), "bind of shop refused: ESME_RINVPASWD", id="refused"),
        pytest.param(None, "did not answer a bind", id="silent"),
    ],
)
def test_a_load_that_cannot_be_put_says_why(options: SimulatorOptions | None, said: str) -> None:
    async def run() -> None:
        if options is not None:
            async with Simulator(options) as smsc:
                await generate(Load(port=smsc.port))
            return
        quiet = await asyncio.get_running_loop().create_server(asyncio.Protocol, "127.0.0.1")
        async with quiet:
            await generate(Load(port=quiet.sockets[0].getsockname()[1], patience=0.2))

    with pytest.raises(GeneratorError, match=said):
        asyncio.run(run())


def test_an_outcome_survives_json() -> None:
    outcome, _ = put(messages=10)
    assert Outcome.from_json(outcome.as_json()) == outcome
