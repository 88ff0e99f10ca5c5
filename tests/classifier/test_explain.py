"""An explanation is the whole sum: nothing of a score is left unsaid."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smsc_filter.classifier.explain import describe, explain
from smsc_filter.classifier.scorer import Scorer
from tests.classifier.models import DEFAULT


@pytest.fixture(scope="module")
def scorer() -> Scorer:
    return Scorer.load(DEFAULT)


@settings(max_examples=50, deadline=None)
@given(text=st.text(st.characters(), max_size=120), most=st.integers(0, 20))
def test_the_parts_add_up_to_the_score(scorer: Scorer, text: str, most: int) -> None:
    said = explain(scorer, text, most)
    assert len(said.parts) <= most
    assert said.start + said.rest + sum(part.log_odds for part in said.parts) == pytest.approx(said.log_odds)
    assert said.log_odds == pytest.approx(float(scorer.log_odds([text])[0]), abs=1e-4)
    assert said.score == pytest.approx(float(scorer.score([text]).score[0]), abs=1e-5)


def test_what_speaks_for_and_against_is_told_in_words(scorer: Scorer) -> None:
    said = explain(scorer, "【云上商城】周末全场五折，快来抢购！拒收请回复TD")
    lines = describe(said)
    assert len(lines) == len(said.parts) + 3
    assert f"probability {said.score:.4f}, by model {scorer.model_id}" in lines[-1]
    assert any(part.log_odds > 0 for part in said.parts)
    for part, line in zip(said.parts, lines[1:], strict=False):
        assert line == f"{part.log_odds:+8.3f}  “{part.feature}”"
    numbers = [float(line.split()[0]) for line in lines]
    assert sum(numbers[:-1]) == pytest.approx(numbers[-1], abs=0.01)


def test_what_was_done_to_hide_it_is_told(scorer: Scorer) -> None:
    said = explain(scorer, "frее ca\u200bsh", 1 << 20)
    assert {"⟨hidden 1⟩", "⟨alike 1⟩"} <= {part.feature for part in said.parts}
    assert all(part.log_odds >= 0 for part in said.parts if part.feature.startswith(("⟨hidden", "⟨alike")))
    assert said.log_odds == pytest.approx(float(scorer.log_odds(["frее ca\u200bsh"])[0]), abs=1e-4)


def test_a_text_of_64_kib_is_explained(scorer: Scorer) -> None:
    assert math.isfinite(explain(scorer, "周末大促 " * 13_000).log_odds)
