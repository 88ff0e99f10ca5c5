"""People end to end: wishes to contacts have the caps of the feast, others not; who is stopped is told once."""

from __future__ import annotations

import os
import signal
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from smsc_filter.policy.rules import read_profile
from smsc_filter.smpp.constants import CommandId, CommandStatus
from smsc_filter.sms.address import Numbering
from smsc_filter.sms.message import read_submit
from tests.conftest import Connect, StartRelay
from tests.policy.test_profiles import text_of
from tests.relay.harness import (
    PEOPLE,
    START_SECONDS,
    WISH,
    Esme,
    Relay,
    Smsc,
    message,
    renumbered,
    short_folder,
    wait_until,
)

FRIENDLY, STRANGER, SELLER, STOPPED, ANOTHER, TRAPPED = (b"861390000%04d" % number for number in range(1, 7))
CARE = b"10086"
HONEYPOT = "8613800009999"
CAP = 200


@pytest.fixture(scope="module")
def relay(smsc: Smsc, start_relay: StartRelay) -> Any:
    """A relay to which today is a feast, and a number is known from its first day on."""
    today = datetime.now(UTC) + timedelta(hours=8)
    profile = text_of("cn-2020-draft").replace('name = "cn-2020-draft"', 'name = "ours"')
    feast = f'{{ name = "today", solar = "{today:%m-%d}", after = 1, article = "test", seen = true }}'
    profile = profile.replace("feasts = [", f"feasts = [\n  {feast},").replace("tenure_days = 14", "tenure_days = 0")
    with short_folder() as folder:
        path = folder / "ours.toml"
        path.write_text(profile, encoding="utf-8")
        assert read_profile(str(path)).festivals is not None
        yield start_relay(smsc.port, policy={"profile": str(path)}, watch={"honeypots": [HONEYPOT]},
                          notices={"system_id": "care", "password": "care-pw", "address": CARE.decode()})  # fmt: skip


def recipient(index: int) -> bytes:
    return b"86138%08d" % index


def all_write_to(smsc: Smsc, esme: Esme, person: bytes, subscribers: range) -> None:
    """Deliver a text of each subscriber to a person; the provider takes them."""
    link = smsc.link("people")
    for index in subscribers:
        link.request(message(recipient(index), person, "How are you?", command_id=CommandId.DELIVER_SM))
        request = esme.next_request()
        esme.send(request.reply(body=b"\0"))


def burst(esme: Esme, person: bytes, recipients: range, text: str = WISH) -> list[int]:
    """Send a text to all at once; the status of each."""
    first = esme.numbers + 1
    for index in recipients:
        esme.numbers += 1
        esme.send(renumbered(message(person, recipient(index), text), esme.numbers))
    # A refusal is ours and overtakes what the SMSC has yet to answer.
    statuses: dict[int, int] = {}
    while len(statuses) < len(recipients):
        pdu = esme.pdu()
        if pdu.command_id == CommandId.SUBMIT_SM_RESP:
            statuses[pdu.sequence_number] = pdu.command_status
        elif pdu.command_id == CommandId.ENQUIRE_LINK:
            esme.send(pdu.reply())
    return [statuses[number] for number in range(first, esme.numbers + 1)]


def findings(relay: Relay, person: bytes, cause: str) -> list[str]:
    query = "select findings from decisions where source = ? and cause = ? order by id"
    return wait_until(lambda: relay.records(query, person.decode(), cause), f"records with {cause!r}")[0][0]


def test_wishes_to_300_contacts_pass_and_those_to_strangers_are_capped(
    relay: Relay, smsc: Smsc, connect: Connect
) -> None:
    esme = connect(relay, PEOPLE)
    all_write_to(smsc, esme, FRIENDLY, range(150))
    # Half of them wrote within 90 days.
    assert burst(esme, FRIENDLY, range(300)) == [CommandStatus.ESME_ROK] * 300
    assert '"caps of the feast today: ' in findings(relay, FRIENDLY, "")

    statuses = burst(esme, STRANGER, range(1000, 1300))
    assert statuses == [0] * CAP + [CommandStatus.ESME_RTHROTTLED] * 100
    assert "no caps of the feast today: 0 of " in findings(relay, STRANGER, "quota-spent")


def test_wishes_with_an_offer_are_capped_and_wishes_beside_them_are_not(
    relay: Relay, smsc: Smsc, connect: Connect
) -> None:
    esme = connect(relay, PEOPLE)
    all_write_to(smsc, esme, SELLER, range(2000, 2300))
    offer = WISH + " 13711112222"
    assert burst(esme, SELLER, range(2000, 2200), offer) == [0] * CAP
    assert burst(esme, SELLER, range(2200, 2210)) == [0] * 10
    assert burst(esme, SELLER, range(2210, 2215), offer) == [CommandStatus.ESME_RTHROTTLED] * 5
    assert "a link or another's number" in findings(relay, SELLER, "quota-spent")


def test_the_hard_cap_stays(relay: Relay, smsc: Smsc, connect: Connect) -> None:
    esme = connect(relay, PEOPLE)
    all_write_to(smsc, esme, FRIENDLY, range(300, 520))
    statuses = burst(esme, FRIENDLY, range(300, 400)) + burst(esme, FRIENDLY, range(400, 520))
    assert statuses == [0] * 200 + [CommandStatus.ESME_RTHROTTLED] * 20


def notices(smsc: Smsc, person: bytes) -> list[str]:
    """What a person was told."""
    heard = [pdu for pdu in smsc.requests() if pdu.command_id == CommandId.SUBMIT_SM]
    return [
        read_submit(pdu, Numbering()).text
        for pdu in heard
        if pdu.fields()["source_addr"] == CARE and pdu.fields()["destination_addr"] == person
    ]


def test_who_is_stopped_is_locked_and_told_once_with_a_code_over_restarts_too(
    relay: Relay, smsc: Smsc, connect: Connect
) -> None:
    esme = connect(relay, PEOPLE)
    assert CommandStatus.ESME_RTHROTTLED in burst(esme, STOPPED, range(5000, 5000 + CAP + 50))
    (told,) = wait_until(lambda: notices(smsc, STOPPED), "the notice")
    query = "select id, step, per_hour, appeal_code, ends_at_ms - begins_at_ms from measures where subject = ?"
    ((measure, step, per_hour, code, lasts_ms),) = relay.records(query, STOPPED.decode())
    assert (step, per_hour, lasts_ms) == ("throttle", 60, 72 * 3_600_000)
    assert code in told
    assert "每小时限60条" in told

    told_query = "select by_message from tellings where measure_id = ?"
    wait_until(lambda: relay.records(told_query, measure) == [(1,)], "the telling is on record")
    (recorder,) = relay.children("recorder")
    os.kill(recorder, signal.SIGKILL)
    wait_until(lambda: recorder not in relay.children("recorder") and relay.children("recorder"), "another recorder")
    assert burst(esme, STOPPED, range(6000, 6050)) == [CommandStatus.ESME_RTHROTTLED] * 50
    # Another person's notice goes the same way behind whatever there was to say to this one.
    burst(esme, ANOTHER, range(5000, 5000 + CAP + 50))
    wait_until(lambda: notices(smsc, ANOTHER), "the other notice", START_SECONDS)
    assert len(notices(smsc, STOPPED)) == len(relay.records(query, STOPPED.decode())) == 1
    shown = relay.command("measure", "show", str(measure)).stdout
    assert "told by message" in shown


def test_who_writes_to_a_honeypot_is_warned_at_the_first_message(relay: Relay, smsc: Smsc, connect: Connect) -> None:
    assert connect(relay, PEOPLE).submit(TRAPPED, HONEYPOT.encode(), WISH) == 0
    (told,) = wait_until(lambda: notices(smsc, TRAPPED), "the notice")
    steps = relay.records("select step, appeal_code from measures where subject = ?", TRAPPED.decode())
    assert [(step, code in told) for step, code in steps] == [("warn", True)]
    # The objection comes to our own address, over our own bind.
    link = smsc.link("care")
    bind = link.bind.fields()
    assert (link.bind.command_id, bind["address_range"]) == (CommandId.BIND_TRANSCEIVER, b"^10086$")
    for text in ("谢谢", f"申诉 {steps[0][1]} 我不认识这个号码"):
        number = link.request(message(TRAPPED, CARE, text, command_id=CommandId.DELIVER_SM))
        assert smsc.hears_response(number, link).command_status == CommandStatus.ESME_ROK
    query = "select reason from appeals where appellant = ?"
    wait_until(lambda: relay.records(query, TRAPPED.decode()) == [("我不认识这个号码",)], "the appeal is open")
    # What is a provider's comes over the provider's bind.
    number = link.request(message(TRAPPED, b"106900001", "几点关门", command_id=CommandId.DELIVER_SM))
    assert smsc.hears_response(number, link).command_status == CommandStatus.ESME_RX_T_APPN
