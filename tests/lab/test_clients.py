"""How texts become parts, and what the command line says of answers."""

from __future__ import annotations

import argparse
import asyncio
import socket
from collections.abc import Callable

import pytest

from smsc_filter.lab import bench, demo, send, simulator
from smsc_filter.lab.clients import AiosmpplibSession, Answer, parts_of
from smsc_filter.lab.simulator import Simulator, SimulatorOptions
from smsc_filter.policy.verdict import Cause
from smsc_filter.smpp.constants import CommandStatus
from smsc_filter.sms.coding import decode_text
from smsc_filter.sms.udh import split_udh


@pytest.mark.parametrize(
    ("text", "count"),
    [
        pytest.param("a" * 160, 1, id="gsm-one-part"),
        pytest.param("a" * 161, 2, id="gsm-two-parts"),
        pytest.param("a" * 152 + "€" * 10, 2, id="gsm-escape-at-the-cut"),
        pytest.param("祝" * 70, 1, id="ucs2-one-part"),
        pytest.param("祝" * 66 + "🎆" * 60, 3, id="ucs2-surrogates-at-the-cut"),
    ],
)
def test_parts_carry_the_whole_text_and_cut_no_character(text: str, count: int) -> None:
    parts = parts_of(text, 7)
    assert len(parts) == count
    read = ""
    for number, part in enumerate(parts, 1):
        place, octets = split_udh(part.octets) if part.esm_class else (None, part.octets)
        assert len(part.octets) <= 160
        assert count == 1 or (place is not None and (place.total, place.number) == (count, number))
        read += decode_text(octets, part.data_coding)
    assert read == text


def test_a_long_text_fits_one_message_payload() -> None:
    (part,) = parts_of("祝" * 500, 7, payload=True)
    assert part.in_payload
    assert len(part.octets) == 1000


def test_a_text_of_too_many_parts_is_no_message() -> None:
    with pytest.raises(ValueError, match="at most 255"):
        parts_of("a" * 153 * 256, 7)


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (CommandStatus.ESME_ROK, "ESME_ROK"),
        (Cause.NO_CONSENT.status, "no-consent (0x0410)"),
        (Cause.QUOTA_SPENT.status, "ESME_RTHROTTLED"),
        (0x0BAD, "0x00000BAD"),
    ],
)
def test_a_status_is_shown_by_name(status: int, text: str) -> None:
    assert send.status_text(status) == text


def sending(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    send.add_arguments(parser)
    return send.run(parser.parse_args(["--system-id", "esme", "--from", "1069", *arguments]))


def test_send_shows_every_part_and_its_answer(capsys: pytest.CaptureFixture[str]) -> None:
    async def run() -> list[bytes]:
        async with Simulator() as smsc:
            to = ("--port", str(smsc.port), "--to", "8615420000001", "--to", "8615420000002")
            assert await asyncio.to_thread(sending, *to, "hello", "[b]long" + "x" * 200) == 0
            assert await asyncio.to_thread(sending, *to, "--payload", "--bind", "transmitter", "y" * 300) == 0
            return smsc.received

    received = asyncio.run(run())
    out = capsys.readouterr().out
    assert len(received) == 8
    assert out.count("ESME_ROK") == 8
    assert out.count("2/2") == 2
    assert "[b]long" in out


def test_send_says_in_one_line_what_is_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        assert sending("--port", str(port), "--to", "1", "hello") == 1
    assert capsys.readouterr().err == f"smsc-filter send: nothing listens at 127.0.0.1:{port}\n"


def test_send_hears_that_its_bind_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    async def run() -> int:
        async with Simulator(SimulatorOptions(port=0, system_id="other")) as smsc:
            return await asyncio.to_thread(sending, "--port", str(smsc.port), "--to", "1", "hello")

    assert asyncio.run(run()) == 1
    assert "the bind of esme was refused with ESME_RINVSYSID" in capsys.readouterr().err


def test_aiosmpplib_binds_and_sends() -> None:
    async def run() -> tuple[list[Answer], list[bytes]]:
        heard: list[Answer] = []
        async with Simulator() as smsc:
            async with AiosmpplibSession("127.0.0.1", smsc.port, "esme", "secret") as session:
                for number in range(60):
                    await session.send("1069", "8615420000000", f"新年快乐 {number}", heard.append)
                await session.await_answers()
            return heard, smsc.received

    heard, received = asyncio.run(asyncio.wait_for(run(), 20))
    assert [answer.status for answer in heard] == [CommandStatus.ESME_ROK] * 60
    assert [answer.body for answer in heard] == [octets[16:] for octets in received]


@pytest.mark.parametrize(
    ("add_arguments", "arguments"),
    [
        pytest.param(simulator.add_arguments, ["--refuse-rate", "1.5"], id="share-above-one"),
        pytest.param(simulator.add_arguments, ["--refuse-status", "ESME_NO"], id="no-such-status"),
        pytest.param(simulator.add_arguments, ["--id-format", "roman"], id="no-such-format"),
        pytest.param(bench.add_arguments, ["--only", "beauty"], id="no-such-bench"),
        pytest.param(demo.add_arguments, ["--messages", "many"], id="no-number"),
        pytest.param(send.add_arguments, ["--from", "1", "--to", "2"], id="no-system-id"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(
    add_arguments: Callable[[argparse.ArgumentParser], None],
    arguments: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    with pytest.raises(SystemExit) as ended:
        parser.parse_args(arguments)
    assert ended.value.code == 2
    assert "error:" in capsys.readouterr().err
