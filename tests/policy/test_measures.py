"""What each step of the ladder does to a sender."""

from __future__ import annotations

from math import inf
from typing import Any

import orjson
import pytest

from smsc_filter.policy.facts import Sender, Window
from smsc_filter.policy.measures import Measure, Measures, Step

NOW = 1_767_225_600.0
PERSON = Sender("8613900000001", "mobile", "person", (Window(3600, 200, "practice"), Window(86_400, 1000, "practice")))
PORT = Sender("106900001", "shop-ltd", "commercial", ())


def measure(step: Step, **changes: Any) -> Measure:
    values: dict[str, Any] = {
        "id": 7, "step": step, "scope": "owner", "subject": "mobile", "begins_at": NOW, "article": "Art. 31",
        "appeal_code": "K7M2P9QX",
    }  # fmt: skip
    return Measure(**values | changes)


@pytest.mark.parametrize(("changes", "found"), [
    pytest.param({"scope": "owner", "subject": "mobile"}, True, id="its owner"),
    pytest.param({"scope": "account", "subject": "people"}, True, id="its account"),
    pytest.param({"scope": "sender", "subject": "8613900000001"}, True, id="itself"),
    pytest.param({"scope": "owner", "subject": "people"}, False, id="an owner named like its account"),
    pytest.param({"scope": "sender", "subject": "8613900000002"}, False, id="its neighbour"),
    pytest.param({"begins_at": NOW + 0.001}, False, id="not begun"),
    pytest.param({"begins_at": NOW - 2, "ends_at": NOW}, False, id="over"),
    pytest.param({"begins_at": NOW - 2, "ends_at": NOW + 0.001}, True, id="not yet over"),
])  # fmt: skip
def test_whom_a_suspension_is_about(changes: dict[str, Any], found: bool) -> None:
    under = Measures([measure(Step.SUSPEND, **changes)]).sender_under(PERSON, "people", NOW)
    assert (under.suspension is not None) == found
    assert under.windows is PERSON.windows or under.windows == PERSON.windows


@pytest.mark.parametrize(("sender", "caps", "hourly"), [
    pytest.param(PERSON, [20], [(3600, 20), (86_400, 1000)], id="tighter than the cap"),
    pytest.param(PERSON, [500], [(3600, 200), (86_400, 1000)], id="looser than the cap"),
    pytest.param(PERSON, [50, 20, 30], [(3600, 20), (86_400, 1000)], id="the tightest of several"),
    pytest.param(PORT, [20], [(3600, 20)], id="no cap before"),
])  # fmt: skip
def test_a_throttle_lowers_the_hourly_cap(sender: Sender, caps: list[int], hourly: list[tuple[int, int]]) -> None:
    throttles = [
        measure(Step.THROTTLE, id=number, subject=sender.owner, per_hour=cap) for number, cap in enumerate(caps)
    ]
    under = Measures(throttles).sender_under(sender, "any", NOW)
    assert [(window.seconds, window.cap) for window in under.windows] == hourly
    assert under.suspension is None


def test_a_throttled_sender_is_told_by_which_measure_and_how_to_object() -> None:
    under = Measures([measure(Step.THROTTLE, per_hour=20)]).sender_under(PERSON, "people", NOW)
    assert under.windows[0].article == "Art. 31; measure 7, appeal K7M2P9QX"


def test_one_object_serves_all_messages_of_a_sender() -> None:
    table = Measures([measure(Step.THROTTLE, per_hour=20)])
    assert table.sender_under(PERSON, "people", NOW) is table.sender_under(PERSON, "people", NOW + 1)
    assert Measures().sender_under(PERSON, "people", NOW) is PERSON


def test_no_new_resources_keeps_the_binds_there_were() -> None:
    table = Measures([measure(Step.NO_NEW_RESOURCES, binds={"people": 3})])
    assert table.most_binds("people", "mobile", NOW) == 3
    assert table.most_binds("a new account", "mobile", NOW) == 0
    assert table.most_binds("people", "mobile", NOW - 1) == inf
    assert table.most_binds("shop", "shop-ltd", NOW) == inf


@pytest.mark.parametrize("kept", [
    pytest.param(measure(Step.SUSPEND, ends_at=NOW + 5), id="suspend"),
    pytest.param(measure(Step.THROTTLE, per_hour=3), id="throttle"),
    pytest.param(measure(Step.NO_NEW_RESOURCES, binds={"people": 3}), id="no-new-resources"),
])  # fmt: skip
def test_a_measure_comes_back_from_json(kept: Measure) -> None:
    assert Measure.from_dict(orjson.loads(orjson.dumps(kept.to_dict()))) == kept
