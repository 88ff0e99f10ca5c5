"""Appeals over the wire: a person who was blocked objects by a reply, and writes again seconds after the grant."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from smsc_filter.classifier.manifest import read_manifest
from smsc_filter.policy.appeals import terms_of
from smsc_filter.policy.record import id_to_text
from smsc_filter.policy.rules import read_profile
from smsc_filter.records.appeals import grant
from smsc_filter.records.database import open_database
from smsc_filter.samples.labels import Case, read_cases
from smsc_filter.smpp.constants import CommandId, CommandStatus
from tests.classifier.models import DEFAULT, variant
from tests.conftest import Connect, StartRelay
from tests.relay.harness import (
    ADVERTISEMENT,
    BANK,
    BANK_SENDER,
    NO_CONSENT,
    PEOPLE,
    PERSON,
    WISH,
    WRONG_PURPOSE,
    Relay,
    Smsc,
    message,
    wait_until,
)

BIND_SECONDS = 5.0
"""Within which a decision on an appeal takes effect."""

RECIPIENT = "8613811120001"
OTHER_BANK_SENDER = b"106920077"
"""One that no whitelist entry of this module clears: an entry lifts the quota too."""


@pytest.fixture(scope="module")
def relay(smsc: Smsc, start_relay: StartRelay) -> Relay:
    """A relay with two workers that takes every text of a person for an advertisement."""
    return start_relay(
        smsc.port,
        listen={"workers": 2},
        environment={"SMSC_FILTER_POLICY__THRESHOLDS__PERSON": "0.0000001"},
        policy={"profile": "cn-2015-order31"},
    )


def says(smsc: Smsc, subscriber: bytes, text: str) -> int:
    """Let a subscriber write to the short code of the operator; the command_status the SMSC hears.

    No provider answers it: what carries a code goes to none.
    """
    link = smsc.link("people")
    number = link.request(message(subscriber, b"10690", text, command_id=CommandId.DELIVER_SM, source_ton=1))
    return smsc.hears_response(number, link).command_status


def appeals_on_record(relay: Relay, count: int = 1) -> list[tuple[object, ...]]:
    def found() -> list[tuple[object, ...]] | None:
        rows = relay.records("select id, state, appellant, channel, reason from appeals order by id")
        return rows if len(rows) >= count else None

    return wait_until(found, f"{count} appeals are on record")  # type: ignore[no-any-return]


def test_a_blocked_greeting_is_appealed_by_its_code_granted_and_passes(
    smsc: Smsc, relay: Relay, connect: Connect
) -> None:
    esmes = [connect(relay, PEOPLE) for _ in range(2)]  # handed to the two workers in turn
    assert [esme.submit(PERSON, RECIPIENT.encode(), WISH) for esme in esmes] == [NO_CONSENT] * 2
    decision = id_to_text(relay.decisions(RECIPIENT)[0]["id"])
    issued = relay.command("appeal", "code", decision, "--party", PERSON.decode())
    assert issued.returncode == 0, issued.stderr
    code = issued.stdout.strip()

    assert says(smsc, b"8613900000009", f"申诉 {code}") == CommandStatus.ESME_ROK, "somebody else's code"
    assert says(smsc, PERSON, f"申诉 {code} 这是给家人的祝福") == CommandStatus.ESME_ROK
    ((number, *rest),) = appeals_on_record(relay)
    assert rest == ["open", PERSON.decode(), "sms", "这是给家人的祝福"]
    shown = relay.command("appeal", "show", str(number))
    assert "open by 8613900000001: 这是给家人的祝福" in shown.stdout
    assert [esme.submit(PERSON, RECIPIENT.encode(), WISH) for esme in esmes] == [NO_CONSENT] * 2, "not before a grant"

    granted = relay.command("appeal", "decide", str(number), "--grant", "--reason", "wishes to family")
    assert granted.returncode == 0, granted.stderr
    at = time.monotonic()
    wait_until(
        lambda: [esme.submit(PERSON, RECIPIENT.encode(), WISH) for esme in esmes] == [0, 0], "both workers admit it"
    )
    assert time.monotonic() - at < BIND_SECONDS
    assert esmes[0].submit(PERSON, b"8613811120002", WISH) == NO_CONSENT, "the grant was for one recipient"

    # What later models must pass.
    (case,) = wait_until(lambda: read_cases(relay.folder / "cases"), "the case is written", 60.0)
    assert (case.text, case.purpose, case.expected, case.provenance.reference) == (WISH, "person", "other", str(number))

    entry = relay.records("select whitelist_id from appeals where id = ?", number)[0][0]
    revoked = relay.command("appeal", "revoke", str(entry), "--reason", "number was sold")
    assert revoked.returncode == 0, revoked.stderr
    wait_until(lambda: esmes[0].submit(PERSON, RECIPIENT.encode(), WISH) == NO_CONSENT, "revoked, it binds no more")
    assert relay.records("select state from appeals where id = ?", number) == [("refused",)]


def test_a_model_that_repeats_what_a_granted_appeal_put_right_cannot_be_promoted(
    relay: Relay, connect: Connect, tmp_path: Path
) -> None:
    esme, recipient = connect(relay, PEOPLE), "8613811120077"
    assert esme.submit(PERSON, recipient.encode(), ADVERTISEMENT) == NO_CONSENT
    decision = id_to_text(relay.decisions(recipient)[0]["id"])
    opened = relay.command("appeal", "open", decision, "--for-person", PERSON.decode(), "--reason", "for my sister")
    assert opened.returncode == 0, opened.stderr
    number = opened.stdout.split()[1].rstrip(":")
    assert relay.command("appeal", "decide", number, "--grant", "--reason", "to a sister").returncode == 0

    def case_of_it() -> Case | None:
        return next((each for each in read_cases(relay.folder / "cases") if each.text == ADVERTISEMENT), None)

    case = wait_until(case_of_it, "the case is written", 60.0)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "toy.jsonl").write_text(
        json.dumps({"text": WISH, "label": "other", "category": "greeting", "lang": "zh"}) + "\n", encoding="utf-8"
    )

    def promote(candidate: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "training", "promote", "--candidate", str(candidate), "--to", str(tmp_path / "to"),
             "--data", str(tmp_path / "data"), "--cases", str(relay.folder / "cases")],
            capture_output=True, check=False, text=True, timeout=120,
        )  # fmt: skip

    # The model that judged would call it an advertisement again.
    done = promote(DEFAULT)
    assert done.returncode == 1
    assert done.stderr == f"training: {read_manifest(DEFAULT).model_id} is not promoted; it failed: cases\n"
    assert f"wrong: {case.id}" in done.stdout
    assert not (tmp_path / "to").exists()
    done = promote(variant(tmp_path / "candidate", bias=-20.0))
    assert done.returncode == 0, done.stderr


def test_a_cluster_clears_the_greeting_in_other_words_and_no_advertisement_behind_it(
    relay: Relay, connect: Connect
) -> None:
    esme = connect(relay, PEOPLE)
    recipient = b"8613811120010"
    assert esme.submit(PERSON, recipient, WISH) == NO_CONSENT
    decision = id_to_text(relay.decisions(recipient.decode())[0]["id"])
    opened = relay.command("appeal", "open", decision, "--for-person", PERSON.decode(), "--reason", "wishes")
    assert opened.returncode == 0, opened.stderr
    number = opened.stdout.split()[1].rstrip(":")
    done = relay.command("appeal", "decide", number, "--grant", "--reason", "wishes", "--scope", "cluster")
    assert done.returncode == 0, done.stderr
    wait_until(lambda: esme.submit(PERSON, b"8613811120011", WISH + "！") == 0, "the same wish to others passes")
    assert esme.submit(PERSON, b"8613811120012", f"{WISH}。{ADVERTISEMENT}") == NO_CONSENT


def test_a_grant_lifts_neither_the_purpose_of_a_port_nor_more_than_it_says(relay: Relay, connect: Connect) -> None:
    bank = connect(relay, BANK)
    recipient = b"8613811120020"
    assert bank.submit(BANK_SENDER, recipient, ADVERTISEMENT) == WRONG_PURPOSE
    decision = id_to_text(relay.decisions(recipient.decode())[0]["id"])
    number = relay.command("appeal", "open", decision, "--for-owner", "bank-ltd").stdout.split()[1].rstrip(":")
    refused = relay.command("appeal", "decide", number, "--grant", "--reason", "test", "--scope", "sender")
    assert refused.returncode == 1
    assert "no appeal lifts that" in refused.stderr
    known = relay.log().count('"whitelist-refreshed"')
    direct = relay.command("appeal", "grant", "--owner", "bank-ltd", "--sender", BANK_SENDER.decode(), "--reason", "x")
    assert direct.returncode == 0, direct.stderr
    wait_until(lambda: relay.log().count('"whitelist-refreshed"') > known + 1, "both workers know it")
    assert bank.submit(BANK_SENDER, recipient, ADVERTISEMENT) == WRONG_PURPOSE


def test_a_lifted_measure_binds_although_nobody_published_it(relay: Relay, connect: Connect) -> None:
    """A page that knows the records and not the hot state, or dies between the two, is made good by the recorder."""
    esme = connect(relay, BANK)
    recipient = b"8613811120030"
    imposed = relay.command("measure", "impose", "--step", "throttle", "--per-hour", "1", "--scope", "owner",
                            "--subject", "bank-ltd", "--reason", "test")  # fmt: skip
    assert imposed.returncode == 0, imposed.stderr
    code = imposed.stdout.split()[-1]
    text = "【江岸银行】您的验证码是 428913，5 分钟内有效"
    wait_until(
        lambda: esme.submit(OTHER_BANK_SENDER, recipient, text) == CommandStatus.ESME_RTHROTTLED, "the throttle binds"
    )
    opened = relay.command("appeal", "open", code, "--for-owner", "bank-ltd", "--reason", "codes only")
    number = opened.stdout.split()[1].rstrip(":")
    engine = open_database("", relay.folder)
    terms = terms_of(read_profile("cn-2015-order31"))
    grant(engine, terms, int(number), by="rui", reason="codes only", now=time.time())
    engine.dispose()
    at = time.monotonic()
    wait_until(lambda: esme.submit(OTHER_BANK_SENDER, recipient, text) == 0, "the throttle is gone")
    assert time.monotonic() - at < BIND_SECONDS


def test_an_appeal_survives_the_death_of_the_recorder(smsc: Smsc, relay: Relay, connect: Connect) -> None:
    esme = connect(relay, PEOPLE)
    recipient = b"8613811120040"
    # In words of its own: the wish has been cleared for everybody by an appeal before this one.
    assert esme.submit(PERSON, recipient, "明天下午三点老地方见，别忘了带上那本书") == NO_CONSENT
    decision = id_to_text(relay.decisions(recipient.decode())[0]["id"])
    before = len(relay.records("select id from appeals"))
    (recorder,) = relay.children("recorder")
    os.kill(recorder, signal.SIGSTOP)
    assert says(smsc, PERSON, f"申诉{decision}") == CommandStatus.ESME_ROK, "durable without the recorder"
    os.kill(recorder, signal.SIGKILL)
    assert appeals_on_record(relay, before + 1)[-1][1:4] == ("open", PERSON.decode(), "sms")
