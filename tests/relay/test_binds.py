"""Who may bind, from where, how often, in which version; TLS on both sides; IPv6."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from smsc_filter.relay.accounts import hash_password
from smsc_filter.smpp.codec import encode, encode_bind
from smsc_filter.smpp.constants import CommandId, CommandStatus
from tests.conftest import Connect, StartRelay
from tests.relay.harness import (
    ACCOUNTS,
    BANK,
    BANK_SENDER,
    CODE,
    SHOP,
    SHOP_SENDER,
    UNKNOWN_SENDER,
    Relay,
    Smsc,
    message,
    wait_until,
)

HASHED = ("hashed", "sesame")
FAR = ("far", "far-pw")
NEAR = ("near", "near-pw")
FEW = ("few", "few-pw")
MAPPED = ("mapped", "mapped")


@pytest.fixture(scope="module")
def relay(smsc: Smsc, start_relay: StartRelay) -> Relay:
    """A relay with two workers and accounts of every sort."""
    plain = [{"system_id": name, "password": password, "owner": f"{name}-ltd"} for name, password in (SHOP, BANK)]
    accounts = [
        *plain,
        {"system_id": "hashed", "password_hash": hash_password("sesame"), "owner": "shop-ltd"},
        {
            "system_id": "far", "password": "far-pw", "owner": "shop-ltd",
            "allow_from": ["192.0.2.0/24", "2001:db8::/32"],
        },
        {"system_id": "near", "password": "near-pw", "owner": "shop-ltd", "allow_from": ["127.0.0.0/8"]},
        {"system_id": "few", "password": "few-pw", "owner": "shop-ltd", "max_binds": 3},
        {
            "system_id": "mapped", "password": "mapped", "owner": "shop-ltd",
            "upstream_system_id": "other", "upstream_password": "secret",
        },
    ]  # fmt: skip
    return start_relay(smsc.port, accounts=accounts, listen={"workers": 2})


@pytest.mark.parametrize(
    ("command_id", "may_send", "may_hear"),
    [
        pytest.param(CommandId.BIND_TRANSMITTER, True, False, id="transmitter"),
        pytest.param(CommandId.BIND_RECEIVER, False, True, id="receiver"),
        pytest.param(CommandId.BIND_TRANSCEIVER, True, True, id="transceiver"),
    ],
)
def test_each_kind_of_bind_may_do_what_it_is_for(
    smsc: Smsc, relay: Relay, connect: Connect, command_id: int, may_send: bool, may_hear: bool
) -> None:
    esme = connect(relay, BANK, command_id)
    link = smsc.link("bank")
    assert link.bind is not None
    assert link.bind.command_id == command_id
    expected = CommandStatus.ESME_ROK if may_send else CommandStatus.ESME_RINVBNDSTS
    assert esme.submit(BANK_SENDER, b"8613800000001", CODE) == expected
    number = link.request(message(b"8613800000001", BANK_SENDER, "hello", command_id=CommandId.DELIVER_SM))
    if may_hear:
        heard = esme.next_request()
        esme.send(heard.reply(body=b"\0"))
    else:
        assert smsc.hears_response(number, link).command_status == CommandStatus.ESME_RINVBNDSTS
    assert esme.ask(encode(CommandId.UNBIND, 0)).command_status == CommandStatus.ESME_ROK
    assert esme.hears_the_end()
    wait_until(lambda: link.unbound and not link.open, "the SMSC is unbound and left")


@pytest.mark.parametrize("version", [0x00, 0x22, 0x33, 0x34, 0x50])
def test_interface_versions_are_accepted(smsc: Smsc, relay: Relay, connect: Connect, version: int) -> None:
    esme = connect(relay)
    answer = esme.bind(BANK, version=version)
    assert (answer.command_status, answer.body) == (CommandStatus.ESME_ROK, b"test-smsc\0")
    bind = smsc.link("bank").bind
    assert bind is not None
    assert bind.fields()["interface_version"] == version
    assert esme.submit(BANK_SENDER, b"8613800000001", CODE) == CommandStatus.ESME_ROK


def test_the_bind_reaches_the_smsc_as_the_provider_made_it(smsc: Smsc, relay: Relay, connect: Connect) -> None:
    esme = connect(relay)
    bind = encode_bind(CommandId.BIND_TRANSCEIVER, 1, b"shop", b"shop-pw", system_type=b"VMS", address_range=b"^1069.*")
    assert esme.ask(bind).command_status == CommandStatus.ESME_ROK
    upstream = smsc.link("shop").bind
    assert upstream is not None
    assert upstream.body == bind[16:]


def test_an_account_may_be_another_one_to_the_smsc(smsc: Smsc, relay: Relay, connect: Connect) -> None:
    connect(relay, MAPPED)
    bind = smsc.link("other").bind
    assert bind is not None
    assert bind.fields()["password"] == b"secret"


def test_a_hashed_password_lets_in_and_a_wrong_one_does_not(relay: Relay, connect: Connect) -> None:
    connect(relay, HASHED)
    assert connect(relay).bind(("hashed", "wrong")).command_status == CommandStatus.ESME_RINVPASWD


def test_wrong_password_and_unknown_account_hear_the_same_and_may_connect_again(
    smsc: Smsc, relay: Relay, connect: Connect
) -> None:
    links = len(smsc.links)
    esme, stranger = connect(relay), connect(relay)
    wrong, unknown = esme.bind(("shop", "wrong")), stranger.bind(("nobody", "shop-pw"))
    assert esme.hears_the_end()
    assert stranger.hears_the_end()
    assert wrong.octets[:12] == unknown.octets[:12]
    assert wrong.body == unknown.body
    assert wrong.command_status == CommandStatus.ESME_RINVPASWD
    assert len(smsc.links) == links, "the SMSC hears nothing of them"
    assert connect(relay).bind(SHOP).command_status == CommandStatus.ESME_ROK


def test_of_many_binds_on_one_connection_one_is_looked_at(relay: Relay, connect: Connect) -> None:
    esme = connect(relay)
    esme.send(b"".join(encode_bind(CommandId.BIND_TRANSCEIVER, number, b"shop", b"wrong") for number in range(500)))
    assert esme.hears_the_end()
    assert [pdu.sequence_number for pdu in esme.unasked] == [0]
    assert connect(relay).bind(SHOP).command_status == CommandStatus.ESME_ROK


def test_an_account_binds_only_from_its_networks(relay: Relay, connect: Connect) -> None:
    assert connect(relay).bind(FAR).command_status == CommandStatus.ESME_RBINDFAIL
    assert connect(relay).bind(NEAR).command_status == CommandStatus.ESME_ROK


def test_binds_of_an_account_are_counted_over_all_workers(relay: Relay, connect: Connect) -> None:
    held = [connect(relay, FEW) for _ in range(3)]
    late = [connect(relay).bind(FEW).command_status for _ in range(3)]
    assert late == [CommandStatus.ESME_RBINDFAIL] * 3
    held.pop().close()
    wait_until(lambda: connect(relay).bind(FEW).command_status == 0, "a bind that ended makes room")


def test_a_sender_address_of_somebody_else_is_refused(relay: Relay, smsc: Smsc, connect: Connect) -> None:
    esme, heard = connect(relay, SHOP), len(smsc.requests())
    assert esme.submit(BANK_SENDER, b"8613800000031", CODE) == UNKNOWN_SENDER
    assert esme.submit(b"12345", b"8613800000031", CODE) == UNKNOWN_SENDER
    assert esme.submit(b"", b"8613800000031", CODE) == UNKNOWN_SENDER
    assert [each["cause"] for each in relay.decisions("8613800000031", 3)] == ["unknown-sender"] * 3
    assert len(smsc.requests()) == heard


def test_what_the_smsc_says_to_a_bind_is_what_the_provider_hears(smsc: Smsc, relay: Relay, connect: Connect) -> None:
    smsc.answers[CommandId.BIND_TRANSCEIVER] = lambda pdu: pdu.reply(CommandStatus.ESME_RBINDFAIL)
    try:
        assert connect(relay).bind(SHOP).command_status == CommandStatus.ESME_RBINDFAIL
    finally:
        smsc.answers.clear()
    assert connect(relay).bind(SHOP).command_status == CommandStatus.ESME_ROK


def test_a_second_bind_on_a_link_is_refused_and_the_first_stands(relay: Relay, connect: Connect) -> None:
    esme = connect(relay, SHOP)
    assert esme.bind(SHOP).command_status == CommandStatus.ESME_RALYBND
    assert esme.submit(SHOP_SENDER, b"8613800000001", CODE) == CommandStatus.ESME_ROK


@pytest.fixture(scope="module")
def restless(smsc: Smsc, start_relay: StartRelay) -> Relay:
    """A relay that asks for a sign of life after one second of silence; two owners of it are one to the SMSC."""
    hub = {"upstream_system_id": "hub", "upstream_password": "hub-pw"}
    accounts = [
        *ACCOUNTS,
        {"system_id": "shop-hub", "password": "shop-pw", "owner": "shop-ltd", **hub},
        {"system_id": "bank-hub", "password": "bank-pw", "owner": "bank-ltd", **hub},
    ]
    return start_relay(smsc.port, timers={"enquire_link": 1.0, "response": 2.0}, accounts=accounts)


def test_owners_that_share_an_account_of_the_smsc_hear_what_is_for_their_addresses(
    smsc: Smsc, restless: Relay, connect: Connect
) -> None:
    shop = connect(restless, ("shop-hub", "shop-pw"))
    link = smsc.link("hub")
    to_bank = message(b"8613800000001", BANK_SENDER, "my card is lost", command_id=CommandId.DELIVER_SM)
    number = link.request(to_bank)
    assert smsc.hears_response(number, link).command_status == CommandStatus.ESME_RX_T_APPN, "the bank is not bound"
    bank = connect(restless, ("bank-hub", "bank-pw"))
    number = link.request(to_bank)
    heard = bank.next_request()
    assert BANK_SENDER in heard.body
    bank.send(heard.reply(body=b"\0"))
    assert smsc.hears_response(number, link).command_status == CommandStatus.ESME_ROK
    link.request(message(b"8613800000001", SHOP_SENDER, "hello", command_id=CommandId.DELIVER_SM))
    assert SHOP_SENDER in shop.next_request().body, "and nothing of the bank's before it"


def test_a_silent_provider_is_asked_for_a_sign_of_life_and_given_up_without(
    smsc: Smsc, restless: Relay, connect: Connect
) -> None:
    esme = connect(restless, SHOP)
    link = smsc.link("shop")
    assert esme.ask(encode(CommandId.ENQUIRE_LINK, 0)).command_status == CommandStatus.ESME_ROK
    assert esme.pdu().command_id == CommandId.ENQUIRE_LINK
    assert esme.hears_the_end()
    wait_until(lambda: not link.open, "the SMSC's side is closed as well")


def test_a_silent_smsc_is_asked_for_a_sign_of_life(smsc: Smsc, restless: Relay, connect: Connect) -> None:
    smsc.forget()
    esme = connect(restless, SHOP)
    link = smsc.link("shop")
    for _ in range(4):
        asked = esme.pdu()
        assert asked.command_id == CommandId.ENQUIRE_LINK
        esme.send(asked.reply())
    assert sum(pdu.command_id == CommandId.ENQUIRE_LINK for its, pdu in smsc.heard if its is link) >= 2
    assert link.open


# TLS.


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for localhost that signs itself, and its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl to make a certificate with")
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        [
            openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-keyout", str(key), "-out", str(cert), "-days", "2", "-subj", "/CN=localhost",
            "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
        ],
        check=True,
        capture_output=True,
        timeout=30,
    )  # fmt: skip
    return cert, key


@pytest.fixture(scope="module")
def tls_relay(certificate: tuple[Path, Path], start_relay: StartRelay) -> Iterator[Relay]:
    """A relay that speaks TLS to both sides."""
    cert, key = certificate
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    with Smsc(tls=context) as smsc:
        yield start_relay(
            smsc.port,
            listen={"tls_cert": str(cert), "tls_key": str(key)},
            upstream={"tls": True, "tls_ca": str(cert)},
            timers={"session_init": 2.0},
        )


def client_context(cert: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(cert))


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls_is_spoken_on_both_sides(
    certificate: tuple[Path, Path], tls_relay: Relay, connect: Connect, version: ssl.TLSVersion
) -> None:
    context = client_context(certificate[0])
    context.maximum_version = version
    esme = connect(tls_relay, SHOP, tls=context)
    assert esme.submit(SHOP_SENDER, b"8613800000001", CODE) == CommandStatus.ESME_ROK
    for number in range(200):
        esme.send(message(SHOP_SENDER, b"8613800000001", CODE, number))
    assert {esme.pdu().command_status for _ in range(200)} == {CommandStatus.ESME_ROK}


def test_tls_1_1_is_refused(certificate: tuple[Path, Path], tls_relay: Relay, connect: Connect) -> None:
    context = client_context(certificate[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1_1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    # Distributions forbid 1.1 to clients as well; here it is the relay that has to say no.
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        connect(tls_relay, tls=context)
    wait_until(lambda: "UNSUPPORTED_PROTOCOL" in tls_relay.log(), "the relay says why, so it was not this client")


def test_who_speaks_no_tls_is_cut_off_and_the_others_go_on(
    certificate: tuple[Path, Path], tls_relay: Relay, connect: Connect
) -> None:
    plain = connect(tls_relay)
    plain.send(encode_bind(CommandId.BIND_TRANSCEIVER, 1, b"shop", b"shop-pw"))
    silent = connect(tls_relay)
    assert plain.hears_the_end()
    assert silent.hears_the_end()
    connect(tls_relay, SHOP, tls=client_context(certificate[0]))


def test_a_certificate_the_relay_does_not_trust_keeps_the_smsc_away(
    certificate: tuple[Path, Path], start_relay: StartRelay, connect: Connect
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    with Smsc(tls=context) as smsc:
        esme = connect(start_relay(smsc.port, upstream={"tls": True}), SHOP)
        assert esme.submit(SHOP_SENDER, b"8613800000001", CODE) == CommandStatus.ESME_RMSGQFUL
        assert not smsc.requests()


# IPv6.


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


@pytest.mark.skipif(not has_ipv6(), reason="no IPv6 on this machine")
def test_ipv6_is_listened_on(smsc: Smsc, start_relay: StartRelay, connect: Connect) -> None:
    accounts = [{"system_id": "shop", "password": "shop-pw", "owner": "shop-ltd", "allow_from": ["::1/128"]}]
    relay = start_relay(smsc.port, listen={"host": "::1"}, accounts=accounts)
    esme = connect(relay, SHOP, host="::1")
    assert esme.submit(SHOP_SENDER, b"8613800000001", CODE) == CommandStatus.ESME_ROK
