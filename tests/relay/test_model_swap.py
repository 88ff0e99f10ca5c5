"""Another model comes into service, and leaves it, while messages flow."""

from __future__ import annotations

import json
import shutil
import threading
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from smsc_filter.classifier.drift import BINS
from smsc_filter.classifier.manifest import MANIFEST, PURPOSES, read_manifest
from smsc_filter.classifier.versions import replace_model
from tests.classifier.models import DEFAULT, variant
from tests.conftest import Connect, StartRelay
from tests.relay.harness import PEOPLE, PERSON, WISH, Esme, Relay, Smsc, wait_until

WITHIN_SECONDS = 1.0
SLACK_SECONDS = 2.0
"""What a busy machine may add before a test calls it late."""


@pytest.fixture
def served(tmp_path: Path) -> Path:
    """A folder of its own that serves the default model."""
    shutil.copytree(DEFAULT, tmp_path / "served")
    return tmp_path / "served"


@pytest.fixture
def strict(tmp_path: Path) -> Path:
    """A model to which everything is commercial."""
    return variant(tmp_path / "strict", version=2, bias=40.0)


@pytest.fixture
def relay(smsc: Smsc, start_relay: StartRelay, served: Path) -> Relay:
    return start_relay(smsc.port, listen={"workers": 2}, model={"path": str(served)})


def events(relay: Relay, name: str) -> list[dict[str, str]]:
    found = (json.loads(line) for line in relay.log().splitlines() if line.startswith("{"))
    return [event for event in found if event["event"] == name]


def has_swapped(relay: Relay, times: int) -> bool:
    return len(events(relay, "model-swapped")) == times


def submits(esme: Esme, number: int) -> int:
    return esme.submit(PERSON, b"86138%08d" % number, WISH)


def judged_by(relay: Relay, number: int) -> set[str]:
    query = "select model from decisions where recipient = ?"
    rows = wait_until(lambda: relay.records(query, f"86138{number:08}"), "the decision is on record")
    return {model for (model,) in rows}


def test_a_promoted_model_judges_within_a_second_and_rollback_brings_the_old_one_back(
    relay: Relay, connect: Connect, served: Path, strict: Path
) -> None:
    before = read_manifest(served).model_id
    esmes = [connect(relay, PEOPLE) for _ in range(2)]  # handed to the two workers in turn
    assert [submits(esme, 1) for esme in esmes] == [0, 0]

    replace_model(served, strict, "promotion", time.time())
    at = time.monotonic()
    wait_until(lambda: all(submits(esme, 2) for esme in esmes), "both workers judge by the new model")
    assert time.monotonic() - at < WITHIN_SECONDS + SLACK_SECONDS
    assert [submits(esme, 3) > 0 for esme in esmes] == [True, True]

    done = relay.command("model", "rollback")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == f"serving {before}"
    wait_until(lambda: not any(submits(esme, 4) for esme in esmes), "both workers judge by the old one again")
    assert judged_by(relay, 1) == {before}
    assert judged_by(relay, 3) == {read_manifest(strict).model_id}
    assert len(events(relay, "model-swapped")) == 4
    listed = relay.command("model", "list").stdout
    assert "serving" in listed


def test_a_bad_model_is_told_of_and_the_old_one_goes_on(relay: Relay, connect: Connect, served: Path) -> None:
    before = read_manifest(served).model_id
    esmes = [connect(relay, PEOPLE) for _ in range(2)]
    weights = served / read_manifest(served).weights
    weights.write_bytes(b"not the weights")
    (served / ".new").write_bytes((served / MANIFEST).read_bytes())
    (served / ".new").replace(served / MANIFEST)
    refused = wait_until(lambda: len(events(relay, "model-refused")) == 2 and events(relay, "model-refused"), "told")
    assert {event["serving"] for event in refused} == {before}
    assert all("SHA-256 differs" in event["detail"] for event in refused)
    assert [submits(esme, 11) for esme in esmes] == [0, 0]
    assert judged_by(relay, 11) == {before}


def test_no_message_waits_or_is_lost_while_models_change(
    relay: Relay, connect: Connect, served: Path, strict: Path
) -> None:
    esme = connect(relay, PEOPLE)
    slowest, statuses, stop = [0.0], [], threading.Event()

    def send() -> None:
        number = 1000
        while not stop.is_set():
            number += 1
            start = time.monotonic()
            statuses.append(submits(esme, number))
            slowest[0] = max(slowest[0], time.monotonic() - start)

    sender = threading.Thread(target=send)
    sender.start()
    try:
        for turn in range(3):
            replace_model(served, strict if turn % 2 == 0 else DEFAULT, "promotion", time.time())
            swapped = 2 * (turn + 1)
            wait_until(partial(has_swapped, relay, swapped), "both have swapped")
    finally:
        stop.set()
        sender.join()
    assert {0} < set(statuses)
    assert slowest[0] < 1.0


def test_a_shadow_is_compared_on_live_traffic_and_drift_is_told(
    smsc: Smsc, start_relay: StartRelay, connect: Connect, served: Path, strict: Path
) -> None:
    manifest = read_manifest(served)
    replace(manifest, reference=dict.fromkeys(PURPOSES, (900,) + (10,) * (BINS - 1))).write(served)
    relay = start_relay(smsc.port, model={"path": str(served), "shadow": str(strict)})
    esme = connect(relay, PEOPLE)
    assert [submits(esme, number) for number in range(4)] == [0] * 4  # it blocks nothing

    def compared() -> list[str]:
        said = relay.command("model", "shadow").stdout
        return next((line.split() for line in said.splitlines() if " person " in line and " 4 " in line), [])

    row = wait_until(compared, "the shadow has scored what was judged")
    assert [word for word in row if word.isdigit()][:3] == ["4", "4", "0"]  # texts, newly blocks, newly passes
    drift = relay.command("model", "drift").stdout
    person = next(line.split() for line in drift.splitlines() if " person " in line)
    assert "4" in person
    assert "too few" in drift
    assert "no past" in drift
    assert manifest.model_id in relay.command("model", "show").stdout
    lost = relay.command("model", "show", "default-9@00000000")
    assert (lost.returncode, lost.stderr.count("\n")) == (1, 1)
