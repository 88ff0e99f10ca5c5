"""What the watcher makes of decisions: each alarm from rows as the mover hands them over."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pytest

from smsc_filter.policy.record import DecisionRow
from smsc_filter.watch.alarm import Alarm, Kind
from smsc_filter.watch.settings import WatchSettings
from smsc_filter.watch.watcher import Watcher

NOON = 1_767_268_800
"""2026-01-01 12:00:00 UTC, in seconds."""

HOUR = 3600
CAPS = ((HOUR, 200), (86_400, 1000))
HONEYPOT = "8613800009999"
OFFERS = (
    "【云上商城】周末全场五折，满200减50，快来抢购！拒收请回复TD",
    "【云上商城】本周末全场五折优惠，满200立减50元，快来抢购吧！拒收请回复TD",
    "【云上商城】周末全场五折，满300减80，速来抢购！拒收回复TD",
)


def decision(at: float, **changes: Any) -> DecisionRow:
    values: dict[str, Any] = {
        "id": int(at * 1000) << 20, "at_ms": int(at * 1000), "system_id": "people", "owner": "mobile",
        "source": "8613900000001", "recipient": "8613800000001", "purpose": "person", "cause": "", "command_status": 0,
        "enforced": True, "score": 100, "kind": "personal", "part": "", "data_coding": 8, "text": "晚上一起吃饭吗",
        "findings": None, "model": "default:1", "profile": "cn-2020-draft", "worker": 1,
    }  # fmt: skip
    return tuple((values | changes).values())  # type: ignore[return-value]


def strangers(seed: int, count: int) -> list[str]:
    return [f"86138{number:08d}" for number in np.random.default_rng(seed).integers(0, 10**8, count).tolist()]


def spread_over(at: int, seconds: int, count: int, **changes: Any) -> list[DecisionRow]:
    numbers = strangers(at, count)
    return [
        decision(at + seconds * number / count, recipient=recipient, **changes)
        for number, recipient in enumerate(numbers)
    ]


def new_watcher(caps: Sequence[tuple[int, int]] = CAPS, **settings: Any) -> Watcher:
    return Watcher(WatchSettings(honeypots=(HONEYPOT,), **settings), lambda owner, source: caps)


def kinds(alarms: Iterable[Alarm]) -> set[Kind]:
    return {alarm.kind for alarm in alarms}


def watch(watcher: Watcher, rows: Sequence[DecisionRow], every: int = 600) -> list[Alarm]:
    """Hand rows over in order, with a look behind each ``every`` seconds of them."""
    alarms: list[Alarm] = []
    done = 0
    while done < len(rows):
        until = rows[done][1] + every * 1000
        batch = [row for row in rows[done:] if row[1] < until]
        watcher.observe(batch)
        alarms += watcher.look(until / 1000 + 60)
        done += len(batch)
    return alarms


def test_198_of_200_an_hour_is_found_within_3_windows() -> None:
    watcher = new_watcher()
    alarms: list[Alarm] = []
    for hour in range(3):
        assert Kind.HUGGING not in kinds(alarms)
        alarms += watch(watcher, spread_over(NOON + hour * HOUR, HOUR, 198))
    alarms += watcher.look(NOON + 3 * HOUR + 60)
    hugging = [alarm for alarm in alarms if alarm.kind is Kind.HUGGING]
    assert hugging[0].subject == "sender 8613900000001"
    assert (hugging[0].evidence["windows"], hugging[0].evidence["cap"]) == (3, 200)


@pytest.mark.parametrize("asked", [pytest.param(120, id="60 % of the cap"), pytest.param(240, id="over the cap")])
def test_whoever_does_not_know_the_cap_raises_nothing(asked: int) -> None:
    watcher = new_watcher()
    alarms: list[Alarm] = []
    for hour in range(24):
        rows = spread_over(NOON + hour * HOUR, HOUR, asked)
        alarms += watch(watcher, rows[:200] + [_refused(row) for row in rows[200:]])
    assert kinds(alarms) <= {Kind.NEW_CAMPAIGN}  # one text, a thousand times


def _refused(row: DecisionRow) -> DecisionRow:
    return (*row[:7], "quota-spent", *row[8:])  # type: ignore[return-value]


def test_bursts_over_the_full_hour_are_found_at_the_third() -> None:
    watcher = new_watcher()
    alarms: list[Alarm] = []
    for hour in (2, 4, 6):
        edge = NOON + hour * HOUR
        assert Kind.EDGE_BURSTS not in kinds(alarms)
        alarms += watch(watcher, spread_over(edge - 200, 400, 398), every=60)
        alarms += watch(watcher, [decision(edge + 1200)])
    assert Kind.EDGE_BURSTS in kinds(alarms)


def test_a_honeypot_tells_at_the_first_message() -> None:
    watcher = new_watcher()
    watcher.observe([decision(NOON, recipient=HONEYPOT)])
    (alarm,) = watcher.look(NOON)
    assert (alarm.kind, alarm.subject) == (Kind.HONEYPOT, "sender 8613900000001")
    assert len(alarm.evidence["decisions"]) == 1
    assert HONEYPOT not in alarm.sentence + repr(alarm.evidence)


def test_numbers_counted_up_are_found_in_whatever_order() -> None:
    watcher = new_watcher()
    numbers = [f"86138{number:08d}" for number in np.random.default_rng(1).permutation(np.arange(5000, 5040))]
    watcher.observe([decision(NOON + at, recipient=number) for at, number in enumerate(numbers)])
    (alarm,) = watcher.look(NOON + 60)
    assert alarm.kind is Kind.NUMBERING
    assert alarm.evidence | {"chance": 0} == {
        "first": "861380000****", "step": 1, "length": 40, "recipients": 40, "chance": 0,
    }  # fmt: skip


def test_one_advertisement_in_many_words_is_one_campaign() -> None:
    watcher = new_watcher(caps=(), campaign_messages=90)
    rows = [
        decision(NOON + at / 10, owner="shop-ltd", source="106900001", purpose="commercial", score=9900,
                 text=OFFERS[at % 3], recipient=number)
        for at, number in enumerate(strangers(2, 90))
    ]  # fmt: skip
    watcher.observe(rows[:89])
    assert watcher.look(NOON + 9) == []
    watcher.observe(rows[89:])
    (alarm,) = watcher.look(NOON + 10)
    assert alarm.kind is Kind.NEW_CAMPAIGN
    assert (alarm.severity, alarm.evidence["messages"], alarm.evidence["wordings"]) == ("warning", 90, 3)


def test_wishes_that_people_copy_from_each_other_raise_nothing() -> None:
    watcher = new_watcher()
    rows = [
        decision(NOON + at, source=f"86139{at % 150:08d}", recipient=number, kind="greeting",
                 text="新年快乐！祝你和家人身体健康，万事如意")
        for at, number in enumerate(strangers(3, 600))
    ]  # fmt: skip
    assert watch(watcher, rows) == []


def test_one_advertisement_over_ten_senders_is_rotation() -> None:
    watcher = new_watcher()
    rows = [
        decision(NOON + at, source=f"86139{at % 10:08d}", recipient=number, score=8000, text=OFFERS[at % 3])
        for at, number in enumerate(strangers(4, 40))
    ]
    alarms = watch(watcher, rows)
    assert kinds(alarms) == {Kind.ROTATION}
    assert len(alarms[-1].evidence["senders"]) == 10


def test_ports_without_a_cap_have_nothing_to_get_round() -> None:
    watcher = new_watcher(caps=())
    rows = [
        decision(NOON + at, source=f"1069{at % 10:05d}", recipient=number, score=8000, text=OFFERS[at % 3])
        for at, number in enumerate(strangers(4, 40))
    ]
    assert watch(watcher, rows) == []


def test_a_link_that_many_owners_advertise_is_found() -> None:
    watcher = new_watcher(caps=())
    texts = ("出售各类发票，详询%s", "高薪兼职日结，加我%s", "小额贷款当天放款%s", "游戏充值五折%s", "低价香烟批发%s",
             "信用卡代还套现%s", "学历快速提升%s", "代开证明加急%s", "彩票计划稳赚%s")  # fmt: skip
    rows = [
        decision(NOON + at, owner=f"owner-{at}", source=f"1069{at:05d}", score=9000, text=text % " t.cn/ABCd12 ")
        for at, text in enumerate(texts)
    ]
    alarms = watch(watcher, rows)
    assert kinds(alarms) == {Kind.SHARED_HANDLE}
    assert alarms[-1].subject == "handle t.cn/abcd12"


def test_advertisements_over_a_service_port_are_found() -> None:
    watcher = new_watcher(caps=())
    texts = ("周末家电大促全场五折起", "信用贷款利率低至三厘秒批", "健身年卡特惠仅限本周抢购")
    rows = [decision(NOON + at, purpose="service", score=7000, text=text) for at, text in enumerate(texts)]
    assert kinds(watch(watcher, rows)) == {Kind.LAUNDERING}


def test_a_rise_of_refusals_is_found() -> None:
    watcher = new_watcher(caps=())
    steady = [
        decision(NOON + at, recipient=number, cause="no-consent" if at % 50 == 0 else "")
        for at, number in enumerate(strangers(5, 3000))
    ]
    assert Kind.REFUSALS_RISE not in kinds(watch(watcher, steady))
    rising = [
        decision(NOON + 3600 + at, recipient=number, cause="no-consent" if at % 2 else "")
        for at, number in enumerate(strangers(6, 100))
    ]
    watcher.observe(rising)
    alarms = watcher.look(NOON + 3700)
    assert kinds(alarms) == {Kind.REFUSALS_RISE}


def test_a_rise_of_complaints_is_found() -> None:
    watcher = new_watcher()
    for number in range(6):
        watcher.observe_complaint("shop-ltd", NOON + number)
    assert kinds(watcher.look(NOON + 10)) == {Kind.COMPLAINTS_RISE}


def test_trouble_of_store_and_smsc_is_told() -> None:
    watcher = new_watcher()
    watcher.observe([decision(NOON, cause="store-unavailable"), decision(NOON + 1, cause="upstream-unavailable")])
    alarms = watcher.look(NOON + 2)
    assert [(alarm.kind, alarm.severity) for alarm in alarms] == [
        (Kind.STORE_TROUBLE, "critical"), (Kind.SMSC_TROUBLE, "critical"),
    ]  # fmt: skip
    watcher.observe_outcomes([(number, 0, 0x08 if number < 30 else 0, "") for number in range(40)])
    assert kinds(watcher.look(NOON + 3)) == {Kind.SMSC_TROUBLE}
    assert watcher.look(NOON + 4) == []


def test_what_was_counted_survives_a_restart() -> None:
    before = new_watcher(campaign_messages=60)
    for hour in range(2):
        watch(before, spread_over(NOON + hour * HOUR, HOUR, 198))
    offers = [
        decision(NOON + 2 * HOUR + at, owner="shop-ltd", source="106900001", score=9900, text=OFFERS[at % 3])
        for at in range(60)
    ]
    before.observe(offers[:50])
    after = new_watcher(campaign_messages=60)
    after.restore(before.to_bytes())
    assert after.last_decision_id == before.last_decision_id
    after.observe(offers[50:])
    assert Kind.NEW_CAMPAIGN in kinds(after.look(NOON + 2 * HOUR + 60))
    alarms = watch(after, spread_over(NOON + 2 * HOUR + 100, HOUR - 100, 198)) + after.look(NOON + 3 * HOUR + 60)
    assert Kind.HUGGING in kinds(alarms)


@pytest.mark.parametrize("body", [b"", b"\x78\x9c", b"not a checkpoint"])
def test_a_checkpoint_that_cannot_be_read_is_an_error_of_its_own(body: bytes) -> None:
    with pytest.raises(ValueError, match="no checkpoint"):
        new_watcher().restore(body)


def test_alarms_carry_no_text_and_no_recipient() -> None:
    watcher = new_watcher(campaign_messages=20)
    rows = [
        decision(NOON + at, source=f"86139{at % 10:08d}", recipient=f"86138{7000 + at:08d}", score=8000,
                 text=OFFERS[at % 3])
        for at in range(60)
    ]  # fmt: skip
    alarms = watch(watcher, rows)
    assert len(kinds(alarms)) >= 2
    said = repr(alarms)
    assert not any(row[5] in said for row in rows)
    assert not any(offer[7:13] in said for offer in OFFERS)
