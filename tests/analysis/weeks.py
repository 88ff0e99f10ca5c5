"""Four weeks of decisions with everything in them that the nightly pass is to find, and people it is to leave alone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import count
from typing import Any

import numpy as np
from sqlalchemy import Engine

from smsc_filter.policy.record import DecisionRow
from smsc_filter.records.database import writing
from smsc_filter.records.decisions import insert_decisions

LAST = date(2026, 1, 28)
DAYS = 28

DRIP, HUGGER, FRIEND, BUSY = "8613900000001", "8613900000002", "8613900000003", "8613900000004"
LINK = "t.cn/abc123"
SLOW_OFFER = "【好运来】会员专享礼包限时领取，老客户再享折上折，详情到店咨询"
SHARED_OFFERS = (
    "高薪招聘兼职人员，日结三百，在家可做，加微信详谈",
    "高薪招聘兼职人员，日结五百，在家就可做，加微信详谈吧",
    "诚招高薪兼职人员，日结三百，在家可做，加微信详谈",
)


def caps_of(owner: str, source: str) -> list[tuple[int, int]]:
    return [(3600, 200), (86_400, 1000)] if owner == "mobile" else []


def fill(engine: Engine) -> int:
    """Put the weeks on record; how many decisions they are."""
    rows = sorted(_weeks(), key=lambda values: values["at_ms"])
    numbers = count()
    done: list[DecisionRow] = []
    for values in rows:
        id_ = (values["at_ms"] << 20) + next(numbers)
        done.append(tuple({"id": id_, **values}.values()))  # type: ignore[arg-type]
    with writing(engine) as connection:
        insert_decisions(connection, done)
    return len(done)


def _weeks() -> Iterator[dict[str, Any]]:
    generator = np.random.default_rng(2026)
    strangers = (f"86137{number:08d}" for number in generator.permutation(10**6).tolist())
    begin = datetime(LAST.year, LAST.month, LAST.day, 8, tzinfo=UTC) - timedelta(days=DAYS - 1)
    for day in range(DAYS):
        morning = int((begin + timedelta(days=day)).timestamp() * 1000)
        # Five strangers a day, and nobody ever answers.
        for number in range(5):
            yield _decision(morning + number * 600_000, source=DRIP, recipient=next(strangers), text="您好，最近怎么样")
        # The same six friends, who answer; and a new one now and then.
        for number in range(6):
            friend = f"86136{number:08d}"
            yield _decision(morning + number * 60_000, source=FRIEND, recipient=friend, text="早上好")
            yield _decision(morning + number * 60_000 + 30_000, source=friend, recipient=FRIEND, text="早上好呀")
        if day % 3 == 0:
            yield _decision(morning, source=FRIEND, recipient=next(strangers), text="你好，我是小王")
        # Just under the cap in the morning, an honest hour at noon, every day.
        for hour, asked in ((0, 197), (4, 130)):
            for number in range(asked):
                at = morning + hour * 3_600_000 + number * 18_000
                yield _decision(at, source=HUGGER, recipient=f"86136{number:08d}", text="会议改到下午")
        for number in range(int(generator.poisson(120))):
            yield _decision(morning + number * 25_000, source=BUSY, recipient=f"86136{number:08d}", text="明天见")
        # Twelve a day of one advertisement, for ten days.
        if day < 10:
            for number in range(12):
                yield _decision(
                    morning + number * 3_000_000, owner="shop-ltd", source="106900001", purpose="commercial",
                    recipient=next(strangers), score=9_500, text=SLOW_OFFER,
                )  # fmt: skip
        # One campaign, a few messages each from four owners.
        if day % 7 == 0:
            for number in range(4):
                yield _decision(
                    morning + number * 1000, owner=f"front-{number}", source=f"10699000{number}", purpose="commercial",
                    recipient=next(strangers), score=9_000, cause="no-consent",
                    text=f"{SHARED_OFFERS[number % 3]} {LINK}",
                )  # fmt: skip


def _decision(at_ms: int, **changes: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "at_ms": at_ms, "system_id": "people", "owner": "mobile", "source": "", "recipient": "", "purpose": "person",
        "cause": "", "command_status": 0, "enforced": True, "score": 100, "kind": "personal", "part": "",
        "data_coding": 8, "text": "", "findings": None, "model": "default:1", "profile": "cn-2020-draft", "worker": 1,
    }  # fmt: skip
    return values | changes
