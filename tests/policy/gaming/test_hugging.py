"""Threshold hugging: who is found, how soon, and how seldom an honest sender is."""

from __future__ import annotations

from collections.abc import Iterable
from math import exp, factorial

import numpy as np
import pytest

from smsc_filter.policy.gaming.evidence import FLAG_AT
from smsc_filter.policy.gaming.hugging import Hugging, bands_of, greatest_chance

CAP = 200
HOURS_A_WEEK = 168


def windows_until_flagged(counts: Iterable[int], cap: int = CAP) -> int | None:
    hug = Hugging()
    for number, asked in enumerate(counts, 1):
        hug = hug.after(asked, cap)
        if hug.flagged:
            return number
    return None


@pytest.mark.parametrize(("asked", "cap", "windows"), [
    pytest.param(198, 200, 3, id="198 of 200"),
    pytest.param(200, 200, 3, id="the whole cap, never more"),
    pytest.param(995, 1000, 3, id="995 of 1000"),
    pytest.param(1992, 2000, 3, id="1992 of 2000"),
    pytest.param(496, 500, 3, id="496 of 500"),
    pytest.param(195, 200, 5, id="195 of 200"),
    pytest.param(190, 200, 9, id="190 of 200"),
    pytest.param(180, 200, None, id="180 of 200 is not just under it"),
    pytest.param(120, 200, None, id="60 % of the cap"),
    pytest.param(205, 200, None, id="who runs against the cap does not know it"),
    pytest.param(0, 200, None, id="silence"),
])  # fmt: skip
def test_how_many_windows_it_takes(asked: int, cap: int, windows: int | None) -> None:
    assert windows_until_flagged([asked] * 200, cap) == windows


def test_resting_between_windows_does_not_help() -> None:
    assert windows_until_flagged([198, 0, 5, 198, 30, 0, 0, 198]) == 8


def test_one_who_plays_after_a_year_of_honesty_is_found_as_soon() -> None:
    honest = np.random.default_rng(1).poisson(120, 8760).tolist()
    assert windows_until_flagged([*honest, 198, 198, 198]) == len(honest) + 3


def test_no_steady_sender_at_60_percent_of_its_cap_is_flagged_in_10_000_runs() -> None:
    counts = np.random.default_rng(2026).poisson(0.6 * CAP, (10_000, HOURS_A_WEEK))
    # A run can only be flagged if a window of it reaches a band; the others need no counting.
    lowest = bands_of(CAP)[-1][0]
    striking = counts[(counts >= lowest).any(axis=1)]
    assert sum(windows_until_flagged(run) is not None for run in striking.tolist()) == 0
    assert len(striking) < 100


@pytest.mark.parametrize("rate", [150.0, 180.0, 190.0, 197.0, 199.0, 205.0])
def test_the_worst_honest_rate_is_flagged_as_seldom_as_stated(rate: float) -> None:
    # Stated: within n windows at most n / FLAG_AT of the senders, at whatever rate.
    runs, windows = 2_000, 48
    counts = np.random.default_rng(int(rate)).poisson(rate, (runs, windows))
    flagged = sum(windows_until_flagged(run) is not None for run in counts.tolist())
    assert flagged / runs <= windows / FLAG_AT


def test_a_sender_whose_rate_moves_about_the_cap_is_flagged_as_seldom() -> None:
    generator = np.random.default_rng(7)
    rates = generator.uniform(150, 230, (2_000, 48))
    flagged = sum(windows_until_flagged(run) is not None for run in generator.poisson(rates).tolist())
    assert flagged / 2_000 <= 48 / FLAG_AT


@pytest.mark.parametrize(("low", "high"), [(198, 200), (27, 30), (1, 3), (95, 100)])
def test_the_greatest_chance_is_that_of_the_best_rate(low: int, high: int) -> None:
    def chance(rate: float) -> float:
        return sum(exp(-rate) * rate**k / factorial(k) for k in range(low, high + 1)) if high < 150 else 0.0

    greatest = greatest_chance(low, high)
    if high < 150:
        tried = max(chance(rate) for rate in np.linspace(0.2, 1.5 * high, 2_000))
        assert tried <= greatest <= tried * 1.001
    assert 0 < greatest < 1
