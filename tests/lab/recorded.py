"""A day of traffic on record, made by the engine itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import Engine as Records

from smsc_filter.lab.engine import Engine, Provider, message_of
from smsc_filter.policy.record import DecisionRow
from smsc_filter.records.database import writing
from smsc_filter.records.decisions import insert_decisions
from smsc_filter.settings import Settings
from smsc_filter.sms.udh import Part

NOON = 1_772_596_800.0
"""2026-03-04 12:00 in Shanghai, when no feast is on."""

WISH = "新年快乐！祝你和家人身体健康，万事如意"
ADVERTISEMENT = "【云上商城】周末全场五折，满200减50，快来抢购！拒收请回复TD"
PERSON, SHOP = "8613900000001", "106900001"

Sent = tuple[float, str, str, str]
"""(seconds after noon, source, recipient, text)."""


def settings_of(**overridden: Any) -> Settings:
    values: dict[str, Any] = {
        "accounts": [
            {"system_id": "shop", "password": "secret", "owner": "shop-ltd"},
            {"system_id": "people", "password": "secret", "owner": "mobile"},
        ],
        "senders": [
            {"address": "10690*", "owner": "shop-ltd", "purpose": "commercial"},
            {"address": "86139*", "owner": "mobile", "purpose": "person"},
        ],
    }
    overridden["policy"] = {"jitter_key": "a test"} | overridden.get("policy", {})
    return TypeAdapter(Settings).validate_python(values | overridden)


def subscriber(number: int) -> str:
    return f"86138{number:08}"


def judge(engine: Engine, sent: Sequence[Sent], parts: Sequence[Part | None] = ()) -> list[DecisionRow]:
    """Judge messages one after another."""
    shop, people = Provider(engine, "shop", "shop-ltd", 1), Provider(engine, "people", "mobile", 2)
    rows = []
    for index, (after, source, recipient, text) in enumerate(sent):
        provider = people if source.startswith("86") else shop
        message = message_of(source, recipient, text, parts[index] if parts else None)
        rows += engine.judge(NOON + after, [(provider, message)])
    return rows


def record(records: Records, rows: Sequence[DecisionRow]) -> None:
    with writing(records) as connection:
        insert_decisions(connection, rows)
