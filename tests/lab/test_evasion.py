"""The evasion benchmark, in small."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest

from smsc_filter.lab import bench
from smsc_filter.lab.evasion import actors as cast
from smsc_filter.lab.evasion import verb
from smsc_filter.lab.evasion.actors import Actor, circles, greeters
from smsc_filter.lab.evasion.trial import NAIVE, SHIPPED, FixedWindows, Result, Trial, cast_of
from smsc_filter.lab.evasion.wordings import templates, write
from smsc_filter.lab.screen import make_console


def only(*names: str, days: int = 2) -> list[Actor]:
    found = [actor for actor in cast.adversaries(days) if actor.name in names]
    assert len(found) == len(names)
    return found


def run(setting: str, actors: list[Actor]) -> dict[str, Result]:
    return {result.name: result for result in Trial(setting, actors, []).run()}


def test_scripts_are_the_same_each_time_and_in_the_order_of_time() -> None:
    actors, known = cast_of(people=30, days=1)
    assert known == circles(30)
    assert len({actor.name for actor in actors}) == 15
    for actor in actors:
        sent = list(actor.script())
        assert sent == list(actor.script())
        assert all(one.at <= other.at for one, other in pairwise(sent))
        assert {sending.source for sending in sent} == set(actor.senders)
        assert all("{" not in sending.text for sending in sent)


def test_adversaries_keep_below_the_caps_they_hide_under() -> None:
    (hugger,) = only("198-hugger")
    hours = Counter(int(sending.at // 3600) for sending in hugger.script())
    assert set(hours.values()) == {198}
    (counter,) = only("number enumerator", days=1)
    numbers = [int(sending.recipient) for sending in counter.script()]
    assert {other - one for one, other in pairwise(numbers)} == {1}


def test_every_slot_of_every_text_can_be_filled() -> None:
    random = Random(1)
    for name in ("wishes", "paraphrases", "laundered", "bank", "courier", "clinic", "school", "cover"):
        assert "{" not in "".join(write(name, random) for _ in range(50 * len(templates(name))))


def test_fixed_windows_let_twice_the_cap_through_at_their_edge() -> None:
    fixed = FixedWindows(hour=200, day=1000)
    assert sum(fixed.admits("one", 3_599.0) for _ in range(300)) == 200
    assert sum(fixed.admits("one", 3_600.0) for _ in range(300)) == 200
    assert fixed.admits("other", 3_600.0)


def test_a_hugger_is_accused_within_three_windows_and_only_where_somebody_watches() -> None:
    shipped = run(SHIPPED, only("198-hugger"))["198-hugger"]
    assert (shipped.stopped_by, shipped.met) == ("threshold-hugging", True)
    assert shipped.got_through <= 3 * 198 + 10
    naive = run(NAIVE, only("198-hugger"))["198-hugger"]
    assert (naive.stopped_by, naive.got_through, naive.met) == ("nothing", naive.messages, False)


def test_an_edge_burst_is_cut_by_sliding_windows_and_not_by_fixed_ones() -> None:
    (edge,) = only("edge burster", days=1)
    assert run(NAIVE, [edge])["edge burster"].through == 800
    assert run(SHIPPED, [edge])["edge burster"].through == 400


def test_a_number_enumerator_is_accused_at_once() -> None:
    counted = run(SHIPPED, only("number enumerator", days=1))["number enumerator"]
    assert (counted.stopped_by, counted.met) == ("number-run", True)
    assert counted.got_through < 100


def test_a_trial_comes_out_the_same_twice() -> None:
    actors = [*only("198-hugger", "number enumerator", days=1), greeters(circles(20))]
    one, other = ([result.to_dict() for result in Trial(SHIPPED, actors, []).run()] for _ in range(2))
    assert one == other


def test_firms_lose_nothing() -> None:
    for result in Trial(SHIPPED, cast.firms(1), []).run():
        assert (result.met, result.causes) == (True, {}), result.name


def test_the_verb_shows_both_settings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    results = {
        setting: [
            Result("198-hugger", False, 1, 10_000, 9_000, accused="threshold-hugging", through_then=594),
            Result("drip", False, 10, 5_000, 5_000),
            Result("people with wishes", True, 20, 900, 890, Counter({"quota-spent": 10}), {"8613900000001"}),
        ]
        for setting in (SHIPPED, NAIVE)
    }
    monkeypatch.setattr(verb, "trials", lambda people, days, console: results)
    parser = argparse.ArgumentParser()
    bench.add_arguments(parser)
    assert bench.run(parser.parse_args(["evasion", "--quick", "--json", str(tmp_path / "found.json")])) == 0
    said = capsys.readouterr().out
    assert "threshold-hugging" in said
    assert "nothing, too late" in said
    assert "1 of 2 adversaries were stopped" in said
    assert "1 of 20 people with wishes were blocked" in said
    found = json.loads((tmp_path / "found.json").read_bytes())
    assert found["settings"][SHIPPED][0]["got_through_before_stop"] == 594
    assert bench.run(parser.parse_args(["evasion", "--people", "0"])) == 2


def test_the_trials_run_in_processes_of_their_own() -> None:
    found = verb.trials(people=3, days=0, console=make_console())
    assert set(found) == {SHIPPED, NAIVE}
    assert [result.name for result in found[SHIPPED]] == [result.name for result in found[NAIVE]]
