"""submit_multi: each destination is judged for itself, the rest of the PDU is nobody's to change."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from smsc_filter.smpp.codec import encode
from smsc_filter.smpp.constants import CommandId, CommandStatus, DataCoding
from smsc_filter.smpp.pdu import Pdu
from smsc_filter.smpp.tlv import encode_tlv
from tests.conftest import Connect, StartRelay
from tests.relay.harness import (
    ADVERTISEMENT,
    BANK_SENDER,
    CODE,
    CONSENT_REFUSED,
    NO_CONSENT,
    SENDERS,
    SHOP,
    SHOP_SENDER,
    UNKNOWN_SENDER,
    Relay,
    Smsc,
    wait_until,
)

ROK = CommandStatus.ESME_ROK

AGREED, TOO, REFUSED, STRANGER = b"8613800004001", b"8613800004002", b"8613800004003", b"8613800004004"

STRANGE = encode_tlv(0x1400, b"vendor") + encode_tlv(0x1401, b"")


def sme(number: bytes) -> bytes:
    """A destination that is a subscriber."""
    return b"\1\1\1" + number + b"\0"


def submit_multi(
    destinations: Sequence[bytes],
    text: str,
    *,
    source: bytes = SHOP_SENDER,
    count: int | None = None,
    tlvs: bytes = b"",
) -> bytes:
    octets = text.encode("utf-16-be")
    body = (
        b"CMT\0\0\1" + source + b"\0"
        + bytes((len(destinations) if count is None else count,)) + b"".join(destinations)
        + bytes((0, 0, 0, 0, 0, 1, 0, DataCoding.UCS2, 0, len(octets))) + octets + tlvs
    )  # fmt: skip
    return encode(CommandId.SUBMIT_MULTI, 0, body)


def unsuccess(answer: Pdu) -> dict[bytes, int]:
    """The list of a submit_multi_resp."""
    rest = answer.body.partition(b"\0")[2]
    found, at = {}, 1
    for _ in range(rest[0]):
        nul = rest.index(b"\0", at + 2)
        found[rest[at + 2 : nul]] = int.from_bytes(rest[nul + 1 : nul + 5], "big")
        at = nul + 5
    assert at == len(rest), "nothing is behind the list"
    return found


@pytest.fixture(scope="module")
def relay(smsc: Smsc, start_relay: StartRelay) -> Relay:
    """A relay that knows who agreed."""
    capped = {"address": "106920", "owner": "shop-ltd", "purpose": "commercial", "hour_cap": 3}
    relay = start_relay(smsc.port, senders=[*SENDERS, capped])
    relay.consents(*(f"{n.decode()},shop-ltd,granted" for n in (AGREED, TOO)), f"{REFUSED.decode()},shop-ltd,refused")
    return relay


def test_refused_destinations_are_listed_and_only_the_rest_goes_on(smsc: Smsc, relay: Relay, connect: Connect) -> None:
    esme = connect(relay, SHOP)
    smsc.forget()
    sent = submit_multi([sme(STRANGER), sme(AGREED), sme(REFUSED), sme(TOO)], ADVERTISEMENT, tlvs=STRANGE)
    answer = esme.ask(sent)
    assert answer.command_status == ROK
    assert unsuccess(answer) == {STRANGER: NO_CONSENT, REFUSED: CONSENT_REFUSED}
    (heard,) = smsc.requests()
    assert heard.body == submit_multi([sme(AGREED), sme(TOO)], ADVERTISEMENT, tlvs=STRANGE)[16:]
    causes = [relay.decisions(each.decode())[-1]["cause"] for each in (STRANGER, AGREED, REFUSED, TOO)]
    assert causes == ["no-consent", "", "consent-refused", ""]


def test_where_all_may_go_the_pdu_is_untouched(smsc: Smsc, relay: Relay, connect: Connect) -> None:
    esme = connect(relay, SHOP)
    smsc.forget()
    sent = submit_multi([sme(AGREED), sme(TOO), sme(AGREED)], ADVERTISEMENT, tlvs=STRANGE)
    answer = esme.ask(sent)
    assert (answer.command_status, unsuccess(answer)) == (ROK, {})
    assert smsc.requests()[0].body == sent[16:]


def test_where_none_may_go_the_smsc_hears_nothing(smsc: Smsc, relay: Relay, connect: Connect) -> None:
    esme = connect(relay, SHOP)
    smsc.forget()
    answer = esme.ask(submit_multi([sme(STRANGER), sme(REFUSED)], ADVERTISEMENT))
    assert answer.command_status == NO_CONSENT
    assert unsuccess(answer) == {STRANGER: NO_CONSENT, REFUSED: CONSENT_REFUSED}
    assert not smsc.requests()


def test_what_the_smsc_could_not_reach_stays_listed_beside_ours(smsc: Smsc, relay: Relay, connect: Connect) -> None:
    esme = connect(relay, SHOP)
    theirs = b"\1\1" + TOO + b"\0" + int(CommandStatus.ESME_RINVDSTADR).to_bytes(4, "big")
    smsc.answers[CommandId.SUBMIT_MULTI] = lambda pdu: pdu.reply(body=b"m-77\0\1" + theirs)
    try:
        answer = esme.ask(submit_multi([sme(AGREED), sme(TOO), sme(STRANGER)], ADVERTISEMENT))
    finally:
        smsc.answers.clear()
    assert answer.body.startswith(b"m-77\0")
    assert unsuccess(answer) == {TOO: CommandStatus.ESME_RINVDSTADR, STRANGER: NO_CONSENT}
    query = """select d.recipient, o.command_status from outcomes o join decisions d on d.id = o.decision_id
        where o.message_id = 'm-77' order by d.recipient"""
    expected = [(AGREED.decode(), ROK), (TOO.decode(), CommandStatus.ESME_RINVDSTADR)]
    wait_until(lambda: relay.records(query) == expected, "the outcome of each destination is on record")


def test_each_destination_spends_quota_and_what_the_smsc_lists_is_given_back(
    smsc: Smsc, relay: Relay, connect: Connect
) -> None:
    esme, sender = connect(relay, SHOP), b"106920"
    numbers = [b"86138000041%02d" % at for at in range(5)]
    status = int(CommandStatus.ESME_RTHROTTLED)
    answer = esme.ask(submit_multi([sme(each) for each in numbers[:2]], CODE, source=sender))
    assert unsuccess(answer) == {}
    theirs = b"\1\1" + numbers[2] + b"\0" + int(CommandStatus.ESME_RINVDSTADR).to_bytes(4, "big")
    smsc.answers[CommandId.SUBMIT_MULTI] = lambda pdu: pdu.reply(body=b"m-78\0\1" + theirs)
    try:
        answer = esme.ask(submit_multi([sme(each) for each in numbers[2:]], CODE, source=sender))
    finally:
        smsc.answers.clear()
    assert unsuccess(answer) == {
        numbers[2]: CommandStatus.ESME_RINVDSTADR, numbers[3]: status, numbers[4]: status,
    }  # fmt: skip
    wait_until(
        lambda: relay.records("select count(*) from outcomes where message_id = 'm-78'") == [(1,)], "it is on record"
    )
    assert [esme.submit(sender, numbers[4], CODE) for _ in range(2)] == [ROK, status], "one was given back"


def test_a_sender_of_somebody_else_reaches_nobody(smsc: Smsc, relay: Relay, connect: Connect) -> None:
    esme = connect(relay, SHOP)
    smsc.forget()
    answer = esme.ask(submit_multi([sme(AGREED), sme(TOO)], CODE, source=BANK_SENDER))
    assert answer.command_status == UNKNOWN_SENDER
    assert unsuccess(answer) == {AGREED: UNKNOWN_SENDER, TOO: UNKNOWN_SENDER}
    assert not smsc.requests()


def test_255_destinations_are_judged_together(smsc: Smsc, relay: Relay, connect: Connect) -> None:
    numbers = [b"86138000%05d" % at for at in range(50_000, 50_254)] + [AGREED]
    answer = connect(relay, SHOP).ask(submit_multi([sme(each) for each in numbers], ADVERTISEMENT))
    assert answer.command_status == ROK
    assert unsuccess(answer) == dict.fromkeys(numbers[:-1], NO_CONSENT)


def test_a_distribution_list_is_somebody_whose_consent_is_not_on_record(
    smsc: Smsc, relay: Relay, connect: Connect
) -> None:
    esme = connect(relay, SHOP)
    smsc.forget()
    answer = esme.ask(submit_multi([b"\2customers\0", sme(AGREED)], ADVERTISEMENT))
    assert unsuccess(answer) == {b"customers": NO_CONSENT}
    plain = submit_multi([b"\2customers\0", sme(AGREED)], CODE)
    assert unsuccess(esme.ask(plain)) == {}
    assert smsc.requests()[1].body == plain[16:]


@pytest.mark.parametrize(
    ("pdu", "status"),
    [
        pytest.param(submit_multi([], CODE), CommandStatus.ESME_RINVNUMDESTS, id="nobody"),
        pytest.param(submit_multi([b"\3x\0"], CODE), CommandStatus.ESME_RINVDESTFLAG, id="unknown-flag"),
        pytest.param(submit_multi([sme(b"1" * 21)], CODE), CommandStatus.ESME_RINVDSTADR, id="number-too-long"),
        pytest.param(submit_multi([b"\2" + b"l" * 21 + b"\0"], CODE), CommandStatus.ESME_RINVDLNAME, id="long-name"),
        pytest.param(submit_multi([sme(AGREED)], CODE, tlvs=b"\x14\0\0\x09x"), CommandStatus.ESME_RINVOPTPARSTREAM,
                     id="tlv-overruns"),
        pytest.param(encode(CommandId.SUBMIT_MULTI, 0, b"CMT\0\0\1106900001\0\5" + sme(AGREED)),
                     CommandStatus.ESME_RINVNUMDESTS, id="fewer-than-it-says"),
        pytest.param(encode(CommandId.SUBMIT_MULTI, 0, b"CMT\0\0\1106900001\0\1" + sme(AGREED)),
                     CommandStatus.ESME_RINVCMDLEN, id="ends-behind-the-list"),
    ],
)  # fmt: skip
def test_a_list_that_is_wrong_gets_the_fitting_status(
    smsc: Smsc, relay: Relay, connect: Connect, pdu: bytes, status: int
) -> None:
    esme = connect(relay, SHOP)
    smsc.forget()
    assert esme.ask(pdu).command_status == status
    assert not smsc.requests()
    assert esme.submit(SHOP_SENDER, AGREED, CODE) == ROK
