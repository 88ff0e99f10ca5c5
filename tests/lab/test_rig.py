"""The processes of bench and demo, and what they make of their figures."""

from __future__ import annotations

import argparse
import contextlib
import os
import time
from pathlib import Path

import pytest

from smsc_filter.lab import bench, demo, rig
from smsc_filter.lab.clients import Answer, SmpplibSession
from smsc_filter.lab.generator import Outcome
from smsc_filter.lab.journal import JournalWriter, encode_record
from smsc_filter.lab.operators import Operators, add_operators
from smsc_filter.lab.screen import make_console
from smsc_filter.lab.traffic import ACCOUNTS, consents, recipient, submissions
from smsc_filter.samples import Sample, load_samples
from smsc_filter.settings import read_settings
from smsc_filter.smpp.constants import CommandId
from smsc_filter.smpp.pdu import Pdu


def test_the_configuration_of_the_relay_is_one_it_can_read(tmp_path: Path) -> None:
    relay = rig.Relay(tmp_path, 2776, ACCOUNTS, mode="observe", status_style="standard", caps=(7, 70))
    settings = read_settings(relay.config, {})
    assert [account.system_id for account in settings.accounts] == [account.system_id for account in ACCOUNTS]
    assert len(settings.senders) == sum(len(account.senders) for account in ACCOUNTS)
    assert {(sender.hour_cap, sender.day_cap) for sender in settings.senders} == {(7, 70)}
    assert (settings.policy.mode, settings.upstream.port) == ("observe", 2776)


def test_bench_traffic_is_made_of_valid_pdus_of_senders_of_the_account() -> None:
    for account in ACCOUNTS:
        sources = set()
        for octets in submissions(account):
            pdu = Pdu.from_octets(octets)
            assert pdu.command_id == CommandId.SUBMIT_SM
            sources.add(str(pdu.fields()["source_addr"], "ascii"))  # type: ignore[arg-type]
        assert sources == set(account.senders)


def test_who_is_advertised_to_in_a_bench_has_agreed() -> None:
    (shop,) = (account for account in ACCOUNTS if account.purpose == "commercial")
    agreed = {line.split(",")[0] for line in consents(ACCOUNTS)}
    advertised_to = {str(Pdu.from_octets(octets).fields()["destination_addr"], "ascii") for octets in submissions(shop)}  # type: ignore[arg-type]
    assert advertised_to <= agreed


def test_the_simulator_process_delivers_what_stdin_says_and_ends_with_it(tmp_path: Path) -> None:
    with rig.simulator(tmp_path) as smsc:
        heard: list[bytes] = []
        with SmpplibSession(
            "127.0.0.1", smsc.port, "esme", "secret", on_deliver=lambda pdu: heard.append(pdu.short_message)
        ) as session:
            smsc.tell("nonsense")
            smsc.tell("deliver 8615420000000 1069 TD please")
            session._read()
        assert heard == [b"TD please"]
        assert smsc.last_words() == "commands are: deliver FROM TO TEXT"
        assert smsc.usage()["simulator"].rss_octets > 1 << 20
        process = smsc._process
        assert process is not None
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(10) == 0


def test_a_part_that_does_not_start_says_why(tmp_path: Path) -> None:
    with rig.simulator(tmp_path) as smsc, pytest.raises(rig.RigError, match=r"second ended: .*in use"):
        rig.Part("second", ("smsc_filter.lab.simulator", "--port", str(smsc.port)), tmp_path).__enter__()


def test_a_stopped_part_is_gone(tmp_path: Path) -> None:
    part = rig.simulator(tmp_path).__enter__()
    pid = part.pid
    assert part.stop() == 0
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


# The demo.


def test_the_plan_holds_all_kinds_and_every_letter_has_a_recipient_of_its_own() -> None:
    written, accounts = demo.letters(demo.planned(load_samples(), 2_000))
    assert len({letter.destination for letter in written}) == 2_000
    assert {letter.sample.category for letter in written} == {sample.category for sample in load_samples()}
    commercial = [letter for letter in written if letter.sample.label == "commercial"]
    assert {letter.consented for letter in commercial} == {True, False}
    assert {letter.account.purpose for letter in commercial} == {"commercial"}
    people = accounts[-1]
    for person in people.senders:
        assert sum(letter.source == person for letter in written) <= demo.PERSON_BURST


@pytest.mark.parametrize(
    ("label", "category", "purpose"),
    [
        ("commercial", "unknown", "commercial"),
        ("other", "unknown", "service"),
        ("other", "transactional", "service"),
        ("other", "greeting", "person"),
        ("other", "personal", "person"),
    ],
)
def test_a_labelled_text_is_sent_by_whoever_would(label: str, category: str, purpose: str) -> None:
    assert demo.purpose_of(Sample("text", label, category, "en")) == purpose


def test_the_demo_accounts_for_every_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts = demo.planned(load_samples(), 120)
    assert demo.perform(tmp_path, texts, make_console(), once=True, lenient=True) == 0
    out = capsys.readouterr().out
    for claim in (
        "right  greetings blocked: none of 18",
        "right  messages without an answer: none of 120",
        "right  messages without a decision record for every part: none of 120",
        "right  accepted parts that are not at the SMSC octet for octet: none",
        "right  parts at the SMSC that nobody was told of: none",
    ):
        assert claim in out


def test_the_traffic_says_who_sends_what_through_which_client() -> None:
    written, _ = demo.letters(demo.planned(load_samples(), 2_000))
    first, second = demo.traffic_text(written).splitlines()
    assert first.startswith("2,000 messages, ")
    assert "people send 300 New Year wishes in bursts" in first
    assert second == "providers: courier, bank through aiosmpplib; shop, people through smpplib"


@pytest.mark.parametrize(
    ("category", "lenient", "held_against"),
    [
        pytest.param("commercial", False, True, id="own-advertisement"),
        pytest.param("commercial", True, False, id="labels-of-others"),
        pytest.param("fraud", False, False, id="own-fraud"),
    ],
)
def test_an_advertisement_let_through_fails_the_run_and_what_is_not_promised_is_noted(
    tmp_path: Path, category: str, lenient: bool, held_against: bool
) -> None:
    journal = tmp_path / "smsc.journal"
    letter = demo.Letter(Sample("Buy now", "commercial", category, "en"), demo.SHOP, "1069000101", recipient(1))
    body = b"what was sent"
    writer = JournalWriter(journal)
    writer.write([encode_record(1, b"7", bytes(16) + body)])
    writer.close()
    progress = demo.Progress(1)
    progress.note(progress.begin(letter, 1), Answer(0, b"7", body, 0.001))
    found = demo.findings(progress, {recipient(1): [""]}, journal)
    wrong = [finding.sentence for finding in found if not finding.holds]
    assert len(wrong) == 1
    assert "let through: 1 of 1" in wrong[0]
    assert any(finding.held_against(lenient=lenient) for finding in found) == held_against
    assert ("wrong" in demo.findings_text(found, lenient=lenient).plain) == held_against


def test_where_there_is_no_terminal_progress_is_told_line_by_line() -> None:
    console = make_console()
    progress = demo.Progress(10)
    tell = progress.tell_each(0.0, console)
    with console.capture() as shown:
        tell()
    assert "0 of 10 sent, 0 parts answered, 0 refused" in shown.get()


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        pytest.param(["--messages", "0"], 2, "--messages must be at least 1", id="none"),
        pytest.param(["--texts", "missing.jsonl"], 1, "missing.jsonl: cannot be read", id="no-file"),
    ],
)
def test_a_demo_of_nothing_says_why(
    arguments: list[str], status: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    parser = argparse.ArgumentParser()
    demo.add_arguments(parser)
    assert demo.run(parser.parse_args([*arguments, "--once"])) == status
    assert said in capsys.readouterr().err


# The bench.


def measured(way: str, shape: str, rate: float, p99_ms: float = 1.0) -> bench.Measurement:
    outcome = Outcome(
        sent=1000, answered=1000, statuses={0: 1000}, strays=0, lost_sessions=0,
        seconds=1000 / rate, cpu_seconds=0.1, p99_ms=p99_ms,
    )  # fmt: skip
    return bench.Measurement(way, shape, outcome, {"worker": 0.01}, record_seconds=1.0)


@pytest.mark.parametrize(
    ("batched", "unbatched", "p99_ms", "met"),
    [
        pytest.param(60_000, 9_000, 8.0, [True, True, True], id="all-met"),
        pytest.param(40_000, 9_000, 8.0, [True, True, True], id="slow-machine"),
        pytest.param(20_000, 3_000, 12.0, [False, False, False], id="none-met"),
    ],
)
def test_goals_are_ratios(batched: float, unbatched: float, p99_ms: float, met: list[bool]) -> None:
    report = bench.Report(
        [
            measured(bench.DIRECT, "batched", 1_000_000),
            measured(bench.CHECKS, "batched", batched),
            measured(bench.SPLICE, "unbatched", 20_000),
            measured(bench.CHECKS, "unbatched", unbatched),
            measured(bench.SPLICE, "latency", 5_000, 1.0),
            measured(bench.CHECKS, "latency", 5_000, p99_ms),
        ]
    )
    assert [reached for reached, _ in bench.goals(report)] == met


def test_a_bench_of_one_part_has_the_goals_of_that_part() -> None:
    assert [shape.name for shape in bench.shapes_for(["latency", "memory"], 10, quick=True)] == ["latency"]
    assert list(bench.goals(bench.Report())) == []


def test_a_small_bench_measures_every_way(tmp_path: Path) -> None:
    shapes = [bench.Shape("batched", 4, 10, 200)]
    report = bench.Report(list(bench.measure_speed(tmp_path, shapes, 1, 50, make_console())))
    assert [each.way for each in report.measurements] == [bench.DIRECT, bench.SPLICE, bench.OBSERVE, bench.CHECKS]
    assert {"generator", "simulator", "relay", "worker", "recorder", "valkey"} <= report.measurements[
        -1
    ].cpu_seconds.keys()
    assert b'"recorded_rate"' in bench.as_json(report)
    console = make_console()
    with console.capture() as shown:
        console.print(bench.speed_table(report, shapes[0]), bench.cost_table(report, shapes[0]))
    assert "relay, all checks" in shown.get()


def test_a_small_bench_of_the_console_tells_what_people_at_it_cost(tmp_path: Path) -> None:
    report = bench.Report()
    bench.measure_console(tmp_path, 500, 2, make_console(), report)
    assert [each.way for each in report.measurements] == [bench.CONSOLE, bench.CHECKS, bench.CHECKS, bench.CONSOLE]
    assert len(report.walked) == 2
    assert all(walked.pages >= 1 and walked.median_ms > 0 for walked in report.walked)
    ((_, figures),) = [goal for goal in bench.goals(report) if "console" in goal[1]]
    assert "of the messages/s" in figures
    console = make_console()
    with console.capture() as shown:
        console.print(bench.console_table(report))
    assert "relay, console used" in shown.get()
    assert b'"slowest_ms"' in bench.as_json(report)


def test_who_is_not_let_in_says_so(tmp_path: Path) -> None:
    with rig.simulator(tmp_path) as smsc, rig.Relay(tmp_path / "r", smsc.port, ACCOUNTS) as relay:
        with pytest.raises(rig.RigError, match="signing in was answered 4"):
            Operators(relay.web, [("nobody", "wrong")]).__enter__()
        (user,) = add_operators(relay.config, 1)
        with Operators(relay.web, [user], page_seconds=0.01) as operators:
            time.sleep(0.5)
        assert operators.walked().pages > 1


def test_a_part_ends_with_whoever_started_it(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:  # pragma: no cover - in a process that is killed
        part = rig.simulator(tmp_path).__enter__()
        os.write(writer, str(part.pid).encode())
        time.sleep(60)
        os._exit(0)
    pid = int(os.read(reader, 20))
    os.kill(child, 9)
    os.waitpid(child, 0)
    os.close(reader)
    os.close(writer)
    deadline = time.monotonic() + 10
    with contextlib.suppress(ProcessLookupError):
        while time.monotonic() < deadline:
            os.kill(pid, 0)
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return
            time.sleep(0.01)
        raise AssertionError("the simulator outlived its parent")


def test_recipients_are_numbers_nobody_has() -> None:
    assert recipient(5) == "8615420000005"
