"""What follows from a reply, without a network: PDU in, consents out."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from smsc_filter.policy.identity import Registry, Sender
from smsc_filter.policy.rules import Rules, make_rules, read_profile
from smsc_filter.relay.replies import AskedForHelp, Replied, Replies
from smsc_filter.smpp.codec import encode_submit
from smsc_filter.smpp.constants import CommandId, EsmClass, TlvTag
from smsc_filter.smpp.pdu import Pdu
from smsc_filter.smpp.tlv import encode_tlv
from smsc_filter.sms.address import Numbering
from smsc_filter.state.appeals import SentAppeal

NUMBERING = Numbering()
SUBSCRIBER, SHOP = b"8613800000001", b"106900001"
AD = "【云上商城】周末全场五折，满200减50，快来抢购！拒收请回复TD"


@pytest.fixture(scope="module", params=["cn-2020-draft"])
def rules(request: pytest.FixtureRequest) -> Rules:
    return make_rules(read_profile(request.param), {})


def reader(rules: Rules, clock: list[float] | None = None) -> Replies:
    now = clock if clock is not None else [1_767_225_600.0]
    registry = Registry(
        [
            Sender("106900001", "shop-ltd", "commercial", ()),
            Sender("8613900000001", "people", "person", ()),
        ],
        NUMBERING,
    )
    loop = asyncio.new_event_loop()
    loop.close()
    nothing: Any = None
    return Replies(
        nothing, nothing, rules, registry, NUMBERING, {"shop-ltd": 7, "people": 8}, loop, lambda: now[0], None
    )


def mo(
    octets: bytes, *, coding: int = 0, esm_class: int = 0, source: bytes = SUBSCRIBER, ton: int = 1, to: bytes = SHOP
) -> Pdu:
    return Pdu.from_octets(
        encode_submit(
            1, source, to, octets, data_coding=coding, esm_class=esm_class, source_ton=ton,
            command_id=CommandId.DELIVER_SM,
        )
    )  # fmt: skip


def parts(text: str, size: int = 134) -> list[Pdu]:
    octets = text.encode("utf-16-be")
    pieces = [octets[at : at + size] for at in range(0, len(octets), size)]
    return [
        mo(bytes((5, 0, 3, 77, len(pieces), number)) + piece, coding=8, esm_class=int(EsmClass.UDHI))
        for number, piece in enumerate(pieces, 1)
    ]


def test_a_stop_binds_for_everybody_who_may_have_written_it(rules: Rules) -> None:
    # Eleven digits that are a mobile number of China and, behind a country code, one of the United States.
    said = reader(rules).read(mo(b"TD", source=b"13105551234"), "shop-ltd")
    assert isinstance(said, Replied)
    first, *others = said.replies
    assert (first.owner_id, first.kind, first.source) == (7, "withdrawn", "reply")
    assert {each.recipient for each in said.replies} == {"8613105551234", "13105551234"}
    assert {each.reference for each in others} == {f"{first.reference}, more plausibly {first.recipient}"}


def test_a_yes_and_a_start_are_for_the_most_plausible_number_alone(rules: Rules) -> None:
    for octets, kind in ((b"Y", "granted"), (b"START", "started")):
        said = reader(rules).read(mo(octets, source=b"13800000001"), "shop-ltd")
        assert isinstance(said, Replied)
        assert [(each.recipient, each.kind, each.words) for each in said.replies] == [
            ("8613800000001", kind, (octets.decode().lower(),))
        ]


@pytest.mark.parametrize(("octets", "coding"), [
    pytest.param("退订".encode("gb18030"), 0, id="gb18030"),
    pytest.param("请不要再给我发短信".encode("gb18030"), 0, id="a-sentence-in-gb18030"),
    pytest.param("别再给我发短信了，我已经说过很多次了，你们到底想怎么样啊".encode(), 0, id="a-long-one-in-utf-8"),
    pytest.param(b"T\0D\0", 8, id="little-endian"),
    pytest.param(b"Unsubscribe", 8, id="ascii-under-ucs2"),
    pytest.param(bytes.fromhex("53ea130a"), 4, id="packed-septets"),
    pytest.param("Arre\u0302t".encode("utf-16-be"), 8, id="accents-apart"),
])  # fmt: skip
def test_a_stop_is_heard_in_any_coding(rules: Rules, octets: bytes, coding: int) -> None:
    said = reader(rules).read(mo(octets, coding=coding), "shop-ltd")
    assert isinstance(said, Replied)
    assert said.replies[0].kind == "withdrawn"


def test_a_stop_is_heard_in_parts_in_any_order(rules: Rules) -> None:
    above = parts("退订\n> " + AD * 2)
    for order in (above, above[::-1]):
        replies = reader(rules)
        assert any(isinstance(replies.read(pdu, "shop-ltd"), Replied) for pdu in order)
    # The words themselves lie across the boundary.
    filler = "你好，我三年前在你们店买过一次奶粉，孩子都上幼儿园了，老人家看到你们的消息还以为是学校通知，"
    across = parts(filler + "请不要再给我发短信了，谢谢", 2 * (len(filler) + 4))
    assert len(across) > 1
    replies = reader(rules)
    assert isinstance([replies.read(pdu, "shop-ltd") for pdu in across][-1], Replied)


@pytest.mark.parametrize(("short", "payloads", "coding"), [
    pytest.param(b"", [b"STOP", b"see you at nine"], 0, id="first-of-two-payloads"),
    pytest.param(b"", [b"see you at nine", b"STOP"], 0, id="second-of-two-payloads"),
    pytest.param(b"STOP", [b"see you at nine"], 0, id="short-message-beside-payload"),
    pytest.param(b"odd", ["退订".encode("utf-16-be")], 8, id="behind-an-odd-octet-count"),
    pytest.param(b"", ["好的".encode("utf-16-be"), "退订".encode("utf-16-be")], 0, id="undeclared"),
])  # fmt: skip
def test_a_stop_is_heard_in_each_text_of_a_pdu(rules: Rules, short: bytes, payloads: list[bytes], coding: int) -> None:
    octets = encode_submit(
        1, SUBSCRIBER, SHOP, short, data_coding=coding, source_ton=1, command_id=CommandId.DELIVER_SM,
        tlvs=b"".join(encode_tlv(TlvTag.MESSAGE_PAYLOAD, each) for each in payloads),
    )  # fmt: skip
    said = reader(rules).read(Pdu.from_octets(octets), "")
    assert isinstance(said, Replied)
    assert {reply.kind for reply in said.replies} == {"withdrawn"}


def test_parts_of_long_ago_are_forgotten(rules: Rules) -> None:
    clock = [1_767_225_600.0]
    replies = reader(rules, clock)
    first, second = parts("好的" * 40 + "退订酒店", 160)
    assert replies.read(first, "shop-ltd") is None
    clock[0] += 3_600
    assert replies.read(second, "shop-ltd") is None
    assert len(replies._long._parts) == 1


@pytest.mark.parametrize(
    ("text", "source"), [("别再给我发短信了", "reply"), ("这种推广我实在看够了", "reply-doubtful")]
)
def test_a_doubtful_stop_is_marked(rules: Rules, text: str, source: str) -> None:
    said = reader(rules).read(mo(text.encode("utf-16-be"), coding=8), "shop-ltd")
    assert isinstance(said, Replied)
    assert (said.replies[0].kind, said.replies[0].source) == ("withdrawn", source)


@pytest.mark.parametrize("text", ["取消预约", "别发货", "好的，下午见", "谢谢", "help", "再给我订一份"])
def test_talk_does_nothing(rules: Rules, text: str) -> None:
    assert reader(rules).read(mo(text.encode("utf-16-be"), coding=8), "shop-ltd") is None


def test_in_a_talk_of_people_only_keywords_count(rules: Rules) -> None:
    person = b"8613900000001"
    assert isinstance(reader(rules).read(mo(b"TD", to=person), ""), Replied)
    for text in ("别再给我发短信了", "不要烦我", "你别再发这种东西给我看啦"):
        assert reader(rules).read(mo(text.encode("utf-16-be"), coding=8, to=person), "") is None


def test_help_is_answered_where_the_profile_says_what(rules: Rules) -> None:
    said = reader(make_rules(read_profile("us-tcpa"), {})).read(mo(b"HELP"), "")
    assert said == AskedForHelp("8613800000001", "106900001", "shop-ltd")
    assert reader(rules).read(mo(b"HELP"), "") is None


def test_an_appeal_is_none_of_the_consents(rules: Rules) -> None:
    said = reader(rules).read(mo("申诉 7K3MW9QD 请不要再拦".encode("utf-16-be"), coding=8), "")
    assert isinstance(said, SentAppeal)
    assert said.code == "7K3MW9QD"


def test_a_start_only_answers_where_the_profile_says_so(rules: Rules) -> None:
    strict = replace(rules, reply=replace(rules.reply, start_lifts=False))
    said = reader(strict).read(mo(b"START"), "")
    assert isinstance(said, Replied)
    assert said.replies[0].kind == "granted"
