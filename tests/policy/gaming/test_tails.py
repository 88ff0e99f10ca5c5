"""Tail probabilities against sums of exact fractions."""

from __future__ import annotations

from fractions import Fraction
from math import comb, exp, factorial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsc_filter.policy.gaming.tails import binomial_tail, poisson_tail


@given(st.integers(1, 60), st.integers(0, 61), st.integers(1, 99))
def test_a_binomial_tail_is_the_exact_sum(trials: int, at_least: int, percent: int) -> None:
    chance = Fraction(percent, 100)
    exact = sum(comb(trials, k) * chance**k * (1 - chance) ** (trials - k) for k in range(at_least, trials + 1))
    assert binomial_tail(at_least, trials, percent / 100) == pytest.approx(float(exact), rel=1e-9)


@given(st.integers(0, 40), st.floats(0.01, 30))
def test_a_poisson_tail_is_what_the_lower_terms_leave(at_least: int, mean: float) -> None:
    lower = sum(exp(-mean) * mean**k / factorial(k) for k in range(at_least))
    assert poisson_tail(at_least, mean) == pytest.approx(1 - lower, abs=1e-12, rel=1e-6)


@pytest.mark.parametrize(("value", "expected"), [
    pytest.param(binomial_tail(0, 10, 0.1), 1.0, id="nothing asked"),
    pytest.param(binomial_tail(11, 10, 0.9), 0.0, id="more than there are"),
    pytest.param(binomial_tail(1, 10, 0.0), 0.0, id="impossible"),
    pytest.param(binomial_tail(10, 10, 1.0), 1.0, id="certain"),
    pytest.param(poisson_tail(1, 0.0), 0.0, id="no mean"),
    pytest.param(poisson_tail(5, 5000.0), 1.0, id="far below a great mean"),
])  # fmt: skip
def test_the_edges_of_a_tail(value: float, expected: float) -> None:
    assert value == pytest.approx(expected)


def test_a_tail_far_out_does_not_underflow() -> None:
    assert 0 < poisson_tail(400, 120.0) < 1e-80
    assert 0 < binomial_tail(1000, 1000, 0.6) < 1e-200
