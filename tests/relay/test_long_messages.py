"""Parts of a long message: judged with all that is known of it, never held back, whatever way they come."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from smsc_filter.smpp.codec import encode_submit
from smsc_filter.smpp.constants import CommandStatus, DataCoding, EsmClass
from smsc_filter.smpp.tlv import encode_tlv
from tests.conftest import Connect, StartRelay
from tests.relay.harness import (
    ADVERTISEMENT,
    CODE,
    NO_CONSENT,
    SHOP,
    SHOP_SENDER,
    Esme,
    Relay,
    Smsc,
    wait_until,
)

ROK, PROHIBITED = CommandStatus.ESME_ROK, 0x0403

FORBIDDEN = "purple-elephant"
FORBIDDEN_EMOJI = "🎰赌场"

PIECES = [b"Your parcel is here, collect it. purple-", b"elephant", b" is the word at the counter."]
"""What is forbidden lies across the first border, so no part is refused for itself."""

references = itertools.count(1)
recipients = itertools.count(8613800300000)


@pytest.fixture(scope="module")
def relay(smsc: Smsc, start_relay: StartRelay, tmp_path_factory: pytest.TempPathFactory) -> Relay:
    """Two workers that let each bind have a single request waiting."""
    prohibited: Path = tmp_path_factory.mktemp("lists") / "prohibited.txt"
    prohibited.write_text(f"{FORBIDDEN}\n{FORBIDDEN_EMOJI}\n", encoding="utf-8")
    return start_relay(smsc.port, listen={"workers": 2, "window": 1}, policy={"prohibited_file": str(prohibited)})


Part = Callable[[bytes, int, int, int, bytes, int], bytes]


def udh_8(recipient: bytes, reference: int, total: int, number: int, octets: bytes, coding: int) -> bytes:
    header = bytes((5, 0, 3, reference % 256, total, number))
    return encode_submit(
        1, SHOP_SENDER, recipient, header + octets, esm_class=EsmClass.UDHI, data_coding=coding
    )  # fmt: skip


def udh_16(recipient: bytes, reference: int, total: int, number: int, octets: bytes, coding: int) -> bytes:
    header = bytes((6, 8, 4, reference >> 8 & 255, reference & 255, total, number))
    return encode_submit(1, SHOP_SENDER, recipient, header + octets, esm_class=EsmClass.UDHI, data_coding=coding)


def udh_in_payload(recipient: bytes, reference: int, total: int, number: int, octets: bytes, coding: int) -> bytes:
    # Behind an element of another kind, application ports.
    header = bytes((11, 5, 4, 0, 80, 0, 80, 0, 3, reference % 256, total, number))
    tlvs = encode_tlv(0x0424, header + octets)
    return encode_submit(
        1, SHOP_SENDER, recipient, b"", esm_class=EsmClass.UDHI, data_coding=coding, tlvs=tlvs
    )  # fmt: skip


def sar(recipient: bytes, reference: int, total: int, number: int, octets: bytes, coding: int) -> bytes:
    tlvs = (
        encode_tlv(0x020C, reference.to_bytes(2, "big"))
        + encode_tlv(0x020E, bytes((total,)))
        + encode_tlv(0x020F, bytes((number,)))
    )
    return encode_submit(1, SHOP_SENDER, recipient, octets, data_coding=coding, tlvs=tlvs)


def sar_in_payload(recipient: bytes, reference: int, total: int, number: int, octets: bytes, coding: int) -> bytes:
    tlvs = (
        encode_tlv(0x0424, octets)
        + encode_tlv(0x020F, bytes((number,)))
        + encode_tlv(0x020E, bytes((total,)))
        + encode_tlv(0x020C, reference.to_bytes(2, "big"))
    )
    return encode_submit(1, SHOP_SENDER, recipient, b"", data_coding=coding, tlvs=tlvs)


WAYS = [udh_8, udh_16, udh_in_payload, sar, sar_in_payload]


def in_parts(way: Part, pieces: list[bytes], coding: int = DataCoding.DEFAULT) -> tuple[str, list[bytes]]:
    """The parts of a message nobody has sent before, and who it is for."""
    recipient, reference = next(recipients), next(references)
    parts = [
        way(b"%d" % recipient, reference, len(pieces), number, piece, coding) for number, piece in enumerate(pieces, 1)
    ]
    return str(recipient), parts


@pytest.fixture
def esmes(smsc: Smsc, relay: Relay, connect: Connect) -> list[Esme]:
    """Two binds on two workers: handed out in turn once those of the test before are gone."""
    wait_until(lambda: not any(link.open for link in smsc.links), "all have left")
    return [connect(relay, SHOP), connect(relay, SHOP)]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
@pytest.mark.parametrize("order", ["123", "132", "213", "231", "312", "321"])
def test_parts_in_any_order_over_two_binds_are_judged_with_all_seen_so_far(
    smsc: Smsc, relay: Relay, esmes: list[Esme], way: Part, order: str
) -> None:
    places = [int(number) - 1 for number in order]
    recipient, parts = in_parts(way, PIECES)
    smsc.forget()
    heard = []
    for turn, at in enumerate(places):
        # Each is answered before the next is sent, as by a client with window 1.
        heard.append(esmes[turn % 2].ask(parts[at]).command_status)
        assert len(smsc.requests()) == heard.count(ROK), "what passes is with the SMSC before its answer"
    joined = max(places.index(0), places.index(1))
    assert heard == [ROK if turn < joined else PROHIBITED for turn in range(3)]
    assert [pdu.octets[16:] for pdu in smsc.requests()] == [parts[at][16:] for at in places[:joined]]
    decisions = relay.decisions(recipient, 3)
    assert [each["cause"] for each in decisions] == ["" if status == ROK else "prohibited" for status in heard]
    assert [each["text"].encode() for each in decisions] == [PIECES[at] for at in places]
    assert len({each["worker"] for each in decisions}) == 2, "two workers have judged it"


def test_what_follows_a_refused_part_says_so(relay: Relay, esmes: list[Esme]) -> None:
    recipient, parts = in_parts(udh_8, PIECES)
    assert [esmes[0].ask(part).command_status for part in parts] == [ROK, PROHIBITED, PROHIBITED]
    rest = relay.decisions(recipient, 3)[2]
    findings = relay.records("select findings from decisions where id = ?", rest["id"])[0][0]
    assert "another part of this message was refused" in findings


def test_a_harmless_long_message_passes_to_the_octet(smsc: Smsc, relay: Relay, esmes: list[Esme]) -> None:
    text = "【银行】您尾号1234的账户于今日完成转账，如非本人操作请致电客服。" * 5
    octets = text.encode("utf-16-be")
    pieces = [octets[at : at + 133] for at in range(0, len(octets), 133)]  # an odd length cuts characters in two
    _, parts = in_parts(udh_8, pieces, DataCoding.UCS2)
    smsc.forget()
    assert {esmes[at % 2].ask(part).command_status for at, part in enumerate(parts)} == {ROK}
    assert [pdu.octets[16:] for pdu in smsc.requests()] == [part[16:] for part in parts]


@pytest.mark.parametrize("way", [udh_8, sar], ids=lambda way: way.__name__)
@pytest.mark.parametrize("cut", [1, 2, 3], ids=["in-a-code-unit", "between-surrogates", "in-the-second-surrogate"])
def test_a_character_cut_between_two_parts_is_read_whole(esmes: list[Esme], way: Part, cut: int) -> None:
    start = "恭喜".encode("utf-16-be")
    octets = f"恭喜{FORBIDDEN_EMOJI}，晚上见".encode("utf-16-be")
    pieces = [octets[: len(start) + cut], octets[len(start) + cut :]]
    _, parts = in_parts(way, pieces, DataCoding.UCS2)
    assert [esme.ask(part).command_status for esme, part in zip(esmes, parts, strict=True)] == [ROK, PROHIBITED]


def test_an_advertisement_in_parts_needs_consent_like_any_other(smsc: Smsc, relay: Relay, esmes: list[Esme]) -> None:
    octets = (ADVERTISEMENT * 4).encode("utf-16-be")
    pieces = [octets[at : at + 134] for at in range(0, len(octets), 134)]
    recipient, parts = in_parts(udh_16, pieces, DataCoding.UCS2)
    smsc.forget()
    assert [esmes[0].ask(part).command_status for part in parts] == [NO_CONSENT] * len(parts)
    assert not smsc.requests()
    assert len(relay.decisions(recipient, len(parts))) == len(parts)
    relay.consents(f"{recipient},shop-ltd,granted")
    assert [esmes[0].ask(part).command_status for part in parts] == [ROK] * len(parts), "and is judged anew"
    agreed, parts = in_parts(udh_16, pieces, DataCoding.UCS2)
    relay.consents(f"{agreed},shop-ltd,granted")
    assert [esmes[1].ask(part).command_status for part in parts] == [ROK] * len(parts)


def test_a_long_text_in_one_payload_is_judged_whole(esmes: list[Esme]) -> None:
    def payload(text: str) -> bytes:
        tlvs = encode_tlv(0x0424, text.encode("utf-16-be"))
        return encode_submit(1, SHOP_SENDER, b"%d" % next(recipients), b"", data_coding=DataCoding.UCS2, tlvs=tlvs)

    assert esmes[0].ask(payload(CODE * 400)).command_status == ROK
    assert esmes[0].ask(payload(CODE * 400 + FORBIDDEN)).command_status == PROHIBITED
    assert esmes[0].ask(payload(ADVERTISEMENT * 50)).command_status == NO_CONSENT


def test_a_text_split_over_short_message_and_payload_is_not_judged_by_half(esmes: list[Esme]) -> None:
    tlvs = encode_tlv(0x0424, b"elephant")
    both = encode_submit(1, SHOP_SENDER, b"%d" % next(recipients), b"Meet me at purple-", tlvs=tlvs)
    assert esmes[0].ask(both).command_status == PROHIBITED


def test_parts_to_two_recipients_are_two_messages(esmes: list[Esme]) -> None:
    reference = next(references)
    first, second = (b"%d" % next(recipients) for _ in range(2))
    assert esmes[0].ask(udh_8(first, reference, 3, 1, PIECES[0], 0)).command_status == ROK
    assert esmes[0].ask(udh_8(second, reference, 3, 2, PIECES[1], 0)).command_status == ROK
    assert esmes[0].ask(udh_8(first, reference, 3, 2, PIECES[1], 0)).command_status == PROHIBITED
    assert esmes[0].ask(udh_8(second, reference, 3, 3, PIECES[2], 0)).command_status == ROK
