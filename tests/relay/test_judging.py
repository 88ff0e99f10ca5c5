"""Verdicts end to end: what the provider hears, what the SMSC gets, what is on record afterwards."""

from __future__ import annotations

from typing import Any

import pytest

from smsc_filter.policy.record import id_to_text
from smsc_filter.smpp.constants import CommandId, CommandStatus
from tests.conftest import Connect, StartRelay
from tests.relay.harness import (
    ACCOUNTS,
    ADVERTISEMENT,
    BANK,
    BANK_SENDER,
    CODE,
    CONSENT_REFUSED,
    NO_CONSENT,
    PEOPLE,
    PERSON,
    SENDERS,
    SHOP,
    SHOP_SENDER,
    UNKNOWN_SENDER,
    WISH,
    WRONG_PURPOSE,
    Esme,
    Relay,
    Smsc,
    message,
    wait_until,
)

SENDER_SUSPENDED, PROHIBITED = 0x0402, 0x0403

ROK, THROTTLED = CommandStatus.ESME_ROK, CommandStatus.ESME_RTHROTTLED

FORBIDDEN = "purple-elephant.example"
GRANTED, REFUSED, NEVER_ASKED = b"8613800001001", b"8613800001002", b"8613800001003"
SUSPENDED, SPENT = b"106999", b"106910"

BINDS_WITHIN = 3.0
"""Seconds in which a change has to bind: one, and two for a machine that is busy with other things."""

CAPPED = [
    {"address": "106910", "owner": "shop-ltd", "purpose": "commercial", "hour_cap": 1},
    {"address": "106911", "owner": "shop-ltd", "purpose": "commercial", "hour_cap": 60},
    {"address": "106912", "owner": "shop-ltd", "purpose": "commercial", "hour_cap": 5},
    {"address": "106999", "owner": "shop-ltd", "purpose": "commercial", "suspended": True},
]


@pytest.fixture(scope="module")
def start(smsc: Smsc, start_relay: StartRelay, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Start a relay with two workers that knows two consents; ``policy`` is what a test varies."""
    prohibited = tmp_path_factory.mktemp("lists") / "prohibited.txt"
    prohibited.write_text(f"# links\n{FORBIDDEN}\n", encoding="utf-8")

    def started(**policy: str) -> Relay:
        relay = start_relay(
            smsc.port,
            accounts=ACCOUNTS,
            senders=[*SENDERS, *CAPPED],
            listen={"workers": 2},
            policy={"prohibited_file": str(prohibited), **policy},
        )
        granted = [f"{GRANTED.decode()},{owner},granted" for owner in ("shop-ltd", "bank-ltd")]
        relay.consents(*granted, f"{REFUSED.decode()},shop-ltd,refused")
        return relay

    return started


@pytest.fixture(scope="module")
def relay(start: Any) -> Relay:
    return start()


@pytest.fixture(scope="module")
def standard(start: Any) -> Relay:
    return start(status_style="standard")


@pytest.fixture(scope="module")
def observing(start: Any) -> Relay:
    return start(mode="observe")


def on_every_worker(relay: Relay, connect: Connect, account: tuple[str, str]) -> list[Esme]:
    """A bind on each of two workers, as their decisions show."""
    esmes = [connect(relay, account) for _ in range(4)]
    on_worker: dict[int, Esme] = {}
    sender = {"shop": SHOP_SENDER, "bank": BANK_SENDER, "people": PERSON}[account[0]]
    for at, esme in enumerate(esmes):
        probe = b"861380100%04d" % at
        assert esme.submit(sender, probe, CODE) == ROK
        on_worker.setdefault(relay.decisions(probe.decode())[-1]["worker"], esme)
    assert len(on_worker) == 2, "binds are handed out in turn"
    return list(on_worker.values())


ROWS = [
    pytest.param(SHOP, BANK_SENDER, CODE, "unknown-sender", UNKNOWN_SENDER, CommandStatus.ESME_RINVSRCADR, id="lent"),
    pytest.param(SHOP, SUSPENDED, CODE, "sender-suspended", SENDER_SUSPENDED, CommandStatus.ESME_RINVSRCADR,
                 id="suspended"),
    pytest.param(SHOP, SHOP_SENDER, f"{CODE} https://PURPLE-elephant.example/", "prohibited", PROHIBITED,
                 CommandStatus.ESME_RSUBMITFAIL, id="prohibited"),
    pytest.param(BANK, BANK_SENDER, ADVERTISEMENT, "commercial-on-service-port", WRONG_PURPOSE,
                 CommandStatus.ESME_RSUBMITFAIL, id="service-port"),
    pytest.param(SHOP, SHOP_SENDER, ADVERTISEMENT, "no-consent", NO_CONSENT, CommandStatus.ESME_RINVDSTADR,
                 id="never-asked"),
]  # fmt: skip


@pytest.mark.parametrize(("account", "sender", "text", "cause", "vendor", "nearest"), ROWS)
def test_a_refusal_has_one_cause_in_every_style_and_is_only_noted_when_observing(
    smsc: Smsc, relay: Relay, standard: Relay, observing: Relay, connect: Connect, account: tuple[str, str],
    sender: bytes, text: str, cause: str, vendor: int, nearest: int,
) -> None:  # fmt: skip
    recipient = b"86138%08d" % (abs(vendor) + 2_000_000)
    for its_relay, status, enforced in ((relay, vendor, 1), (standard, nearest, 1), (observing, ROK, 0)):
        smsc.forget()
        assert connect(its_relay, account).submit(sender, recipient, text) == status
        assert len(smsc.requests()) == (status == ROK)
        (decision,) = its_relay.decisions(recipient.decode())
        assert (decision["cause"], decision["enforced"]) == (cause, enforced)
        assert decision["command_status"] == (nearest if its_relay is standard else vendor)
        if its_relay is not standard:
            told = its_relay.command("explain", id_to_text(decision["id"]))
            assert told.returncode == 0, told.stderr
            assert cause in told.stdout
            assert ("would have been refused" in told.stdout) == (not enforced)


def test_commercial_text_goes_to_who_agreed_and_to_nobody_else(smsc: Smsc, relay: Relay, connect: Connect) -> None:
    esme = connect(relay, SHOP)
    smsc.forget()
    asked = [esme.submit(SHOP_SENDER, recipient, ADVERTISEMENT) for recipient in (GRANTED, REFUSED, NEVER_ASKED)]
    assert asked == [ROK, CONSENT_REFUSED, NO_CONSENT]
    assert [pdu.fields()["destination_addr"] for pdu in smsc.requests()] == [GRANTED]


def test_text_that_is_not_commercial_needs_no_consent(relay: Relay, connect: Connect) -> None:
    assert connect(relay, SHOP).submit(SHOP_SENDER, REFUSED, CODE) == ROK
    assert connect(relay, BANK).submit(BANK_SENDER, NEVER_ASKED, CODE) == ROK
    assert connect(relay, PEOPLE).submit(PERSON, NEVER_ASKED, WISH) == ROK


def test_commercial_text_on_a_service_port_is_refused_even_with_consent(relay: Relay, connect: Connect) -> None:
    assert connect(relay, BANK).submit(BANK_SENDER, GRANTED, ADVERTISEMENT) == WRONG_PURPOSE


def test_consent_does_not_lift_the_prohibited_list(relay: Relay, connect: Connect) -> None:
    assert connect(relay, SHOP).submit(SHOP_SENDER, GRANTED, f"{ADVERTISEMENT} {FORBIDDEN}") == PROHIBITED


def test_an_imported_consent_binds_the_next_message_on_every_worker(relay: Relay, connect: Connect) -> None:
    esmes = on_every_worker(relay, connect, SHOP)
    recipient = b"8613800001010"
    assert [esme.submit(SHOP_SENDER, recipient, ADVERTISEMENT) for esme in esmes] == [NO_CONSENT] * 2
    relay.consents(f"{recipient.decode()},shop-ltd,granted")
    assert [esme.submit(SHOP_SENDER, recipient, ADVERTISEMENT) for esme in esmes] == [ROK] * 2
    relay.consents(f"{recipient.decode()},shop-ltd,withdrawn")
    assert [esme.submit(SHOP_SENDER, recipient, ADVERTISEMENT) for esme in esmes] == [CONSENT_REFUSED] * 2


def test_a_granted_appeal_binds_on_every_worker_and_lifts_what_it_may(relay: Relay, connect: Connect) -> None:
    sender = b"106900077"
    esmes = on_every_worker(relay, connect, SHOP)
    assert [esme.submit(sender, b"8613800001020", ADVERTISEMENT) for esme in esmes] == [NO_CONSENT] * 2
    granted = relay.command(
        "appeal", "grant", "--owner", "shop-ltd", "--sender", sender.decode(), "--days", "1", "--reason", "a test"
    )
    assert granted.returncode == 0, granted.stderr
    for esme in esmes:
        wait_until(
            lambda esme=esme: esme.submit(sender, b"8613800001020", ADVERTISEMENT) == ROK, "it clears", BINDS_WITHIN
        )
    # Never the operator's list, nor who said no; and nobody else's sender.
    assert esmes[0].submit(sender, b"8613800001020", f"{ADVERTISEMENT} {FORBIDDEN}") == PROHIBITED
    assert esmes[0].submit(sender, REFUSED, ADVERTISEMENT) == CONSENT_REFUSED
    assert esmes[0].submit(SHOP_SENDER, b"8613800001020", ADVERTISEMENT) == NO_CONSENT
    entry = granted.stdout.split()[1].rstrip(":")
    revoked = relay.command("appeal", "revoke", entry)
    assert revoked.returncode == 0, revoked.stderr
    for esme in esmes:
        wait_until(
            lambda esme=esme: esme.submit(sender, b"8613800001021", ADVERTISEMENT) == NO_CONSENT,
            "it clears no more",
            BINDS_WITHIN,
        )


def test_an_appeal_does_not_open_a_service_port(relay: Relay, connect: Connect) -> None:
    esme = connect(relay, BANK)
    sender = BANK_SENDER.decode()
    granted = relay.command("appeal", "grant", "--owner", "bank-ltd", "--sender", sender, "--reason", "a test")
    assert granted.returncode == 0, granted.stderr
    findings = (
        "select count(*) from decisions where recipient = '8613800001030' and findings like '%cleared by appeal%'"
    )
    wait_until(
        lambda: esme.submit(BANK_SENDER, b"8613800001030", CODE) == ROK and relay.records(findings) != [(0,)],
        "the entry is known",
    )
    assert esme.submit(BANK_SENDER, GRANTED, ADVERTISEMENT) == WRONG_PURPOSE


def test_a_quota_is_exact_over_two_workers(relay: Relay, connect: Connect) -> None:
    esmes = on_every_worker(relay, connect, SHOP)
    sender, each = b"106911", 50
    for esme in esmes:
        esme.send(b"".join(message(sender, b"8613800001040", CODE, 1000 + at) for at in range(each)))
    heard = [esme.pdu().command_status for esme in esmes for _ in range(each)]
    assert (heard.count(ROK), heard.count(THROTTLED)) == (60, 2 * each - 60)
    causes = [decision["cause"] for decision in relay.decisions("8613800001040", 2 * each)]
    assert (causes.count(""), causes.count("quota-spent")) == (60, 2 * each - 60)


def test_a_spent_quota_is_refused_recorded_and_explained(relay: Relay, connect: Connect) -> None:
    esme = connect(relay, SHOP)
    assert [esme.submit(SPENT, b"8613800001050", CODE) for _ in range(2)] == [ROK, THROTTLED]
    decision = relay.decisions("8613800001050", 2)[1]
    assert (decision["cause"], decision["command_status"]) == ("quota-spent", THROTTLED)
    told = relay.command("explain", id_to_text(decision["id"])).stdout
    assert "106910 has sent 1 within 3600 s" in told


def test_what_another_check_refuses_spends_nothing(relay: Relay, connect: Connect) -> None:
    esme, sender = connect(relay, SHOP), b"106912"
    assert [esme.submit(sender, NEVER_ASKED, ADVERTISEMENT) for _ in range(8)] == [NO_CONSENT] * 8
    assert esme.submit(sender, NEVER_ASKED, CODE) == ROK


def test_quota_is_given_back_when_the_smsc_rejects(smsc: Smsc, start: Any, connect: Connect) -> None:
    relay = start()
    esme, sender = connect(relay, SHOP), b"106912"
    smsc.answers[CommandId.SUBMIT_SM] = lambda pdu: pdu.reply(CommandStatus.ESME_RSUBMITFAIL)
    try:
        rejected = [esme.submit(sender, b"8613800001060", CODE) for _ in range(5)]
    finally:
        smsc.answers.clear()
    assert rejected == [CommandStatus.ESME_RSUBMITFAIL] * 5
    wait_until(
        lambda: (
            relay.records("select count(*) from outcomes where command_status = ?", CommandStatus.ESME_RSUBMITFAIL)
            == [(5,)]
        ),
        "what the SMSC said is on record",
    )
    assert [esme.submit(sender, b"8613800001061", CODE) for _ in range(6)] == [ROK] * 5 + [THROTTLED]


def test_every_message_gives_one_decision_with_its_outcome(smsc: Smsc, relay: Relay, connect: Connect) -> None:
    esmes = on_every_worker(relay, connect, SHOP)
    count = 40
    texts = [CODE if at % 2 else ADVERTISEMENT for at in range(count)]
    for worker, esme in enumerate(esmes):
        esme.send(
            b"".join(
                message(SHOP_SENDER, b"86138002%05d" % (worker * count + at), text, 5000 + at)
                for at, text in enumerate(texts)
            )
        )
    heard = {
        (worker, pdu.sequence_number - 5000): pdu
        for worker, esme in enumerate(esmes)
        for pdu in (esme.pdu() for _ in range(count))
    }
    accepted = sum(pdu.command_status == ROK for pdu in heard.values())
    assert accepted == count

    query = """select d.recipient, d.cause, d.text, o.command_status, o.message_id
        from decisions d left join outcomes o on o.decision_id = d.id where d.recipient like '86138002%'"""
    wait_until(
        lambda: (
            sum(row[3] is not None for row in relay.records(query)) == accepted
            and len(relay.records(query)) == 2 * count
        ),
        "every message is on record",
    )
    recorded = {row[0]: row[1:] for row in relay.records(query)}
    assert len(recorded) == 2 * count, "one decision each"
    for (worker, at), pdu in heard.items():
        cause, text, status, message_id = recorded[f"86138002{worker * count + at:05d}"]
        assert text == texts[at]
        if pdu.command_status == ROK:
            assert (cause, status, message_id) == ("", ROK, pdu.body.rstrip(b"\0").decode())
        else:
            assert (pdu.command_status, cause, status) == (NO_CONSENT, "no-consent", None)
