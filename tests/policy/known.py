"""Messages, facts and rules for the checks, as short as a row of a table."""

from __future__ import annotations

from typing import Any

from smsc_filter.policy.facts import ConsentState, Facts, Sender, Window
from smsc_filter.policy.prohibited import compile_prohibited
from smsc_filter.policy.rules import Rules, make_rules, read_profile
from smsc_filter.policy.whitelist import WhitelistEntry
from smsc_filter.smpp.codec import encode_submit
from smsc_filter.smpp.pdu import Pdu
from smsc_filter.sms.address import Numbering
from smsc_filter.sms.coding import encode_text
from smsc_filter.sms.message import Message, read_submit

NOW = 1_767_225_600.0
HOUR = Window(3600, 200, "practice")

COMMERCIAL = Sender("106900001", "shop-ltd", "commercial", (HOUR,))
SERVICE = Sender("106920001", "shop-ltd", "service", ())
PERSON = Sender("8613900000001", "shop-ltd", "person", (HOUR,))
SUSPENDED = Sender("106900002", "shop-ltd", "commercial", (HOUR,), suspended=True)

CLEARED = WhitelistEntry(
    id=7, scope="sender", owner="shop-ltd", sender="106900001", expires_at=NOW + 60, reason="wishes"
)


def message(text: str = "hello") -> Message:
    octets, coding = encode_text(text)
    return read_submit(
        Pdu.from_octets(encode_submit(1, b"106900001", b"8613800000001", octets, data_coding=coding)), Numbering()
    )


def facts(sender: Sender | None = COMMERCIAL, *, commercial: bool = False, **known: Any) -> Facts:
    return Facts("shop-ltd", sender, 0.93 if commercial else 0.04, commercial, **known)


def rules(*prohibited: str, profile: str = "cn-2020-draft") -> Rules:
    return make_rules(read_profile(profile), {"commercial": 0.5}, compile_prohibited(prohibited))


GRANTED, REFUSED, WITHDRAWN, NONE = (
    ConsentState.GRANTED, ConsentState.REFUSED, ConsentState.WITHDRAWN, ConsentState.NONE,
)  # fmt: skip
