"""Two histograms of scores, and how far they lie apart."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsc_filter.classifier.drift import BINS, LEAST, histogram, says, stability, to_parts

COUNTS = st.lists(st.integers(0, 10_000), min_size=BINS, max_size=BINS)


def test_every_score_has_a_bin_and_the_ends_have_their_own() -> None:
    parts = to_parts(np.array([0, 0.0002, 0.0004, 0.5, 0.9998, 1.0], np.float32))
    counts = histogram(parts)
    assert counts.shape == (BINS,)
    assert counts.sum() == 6
    assert (counts[0], counts[1], counts[-1]) == (2, 1, 2)
    assert histogram([]).sum() == 0


@given(COUNTS, COUNTS)
def test_the_index_is_symmetric_and_never_negative(first: list[int], second: list[int]) -> None:
    assert stability(first, first) == 0
    assert stability(first, second) == pytest.approx(stability(second, first))
    assert stability(first, second) >= 0


def test_what_moved_is_told_apart_from_chance() -> None:
    chance = np.random.default_rng(4)
    here = histogram(chance.beta(0.3, 3, 20_000) * 10_000).tolist()
    again = histogram(chance.beta(0.3, 3, 2_000) * 10_000).tolist()
    moved = histogram(chance.beta(0.6, 2, 2_000) * 10_000).tolist()
    assert says(stability(here, again), 2_000) == "stable"
    assert says(stability(here, moved), 2_000) == "drifted"
    assert says(stability(here, moved), LEAST - 1) == "too few"
