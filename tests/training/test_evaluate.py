import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsc_filter.classifier.manifest import PURPOSES
from smsc_filter.samples import Sample
from training.evaluate import aligned, choose_thresholds


def sample(category: str, source: str = "a") -> Sample:
    return Sample("x", "commercial" if category == "commercial" else "other", category, "zh", source)


def thresholds(scored: list[tuple[str, float]]) -> dict[str, float]:
    return choose_thresholds([sample(c) for c, _ in scored], np.array([s for _, s in scored], np.float32))


def test_the_person_threshold_lies_over_every_greeting() -> None:
    chosen = thresholds([("commercial", 0.99), ("commercial", 0.8), ("greeting", 0.9), ("personal", 0.1)])
    assert chosen["person"] > 0.9
    assert chosen["commercial"] < chosen["service"] < chosen["person"]


def test_one_advertisement_among_many_personal_texts_does_not_move_it() -> None:
    chat = [("personal", 0.2)] * 4000
    assert thresholds([("commercial", 0.9), *chat, ("personal", 0.999)])["person"] < 0.9


def test_the_service_threshold_goes_up_where_notices_ask_for_it() -> None:
    few = thresholds([("commercial", 0.99), ("greeting", 0.97), ("transactional", 0.1)])
    many = thresholds([("commercial", 0.99), ("greeting", 0.97), *[("transactional", 0.95)] * 9])
    assert few["service"] < 0.95 < many["service"] <= many["person"]


def test_the_commercial_threshold_parts_the_labels() -> None:
    chosen = thresholds([("commercial", 0.66)] * 9 + [("unknown", 0.55)] * 9)
    assert 0.55 < chosen["commercial"] <= 0.66


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["commercial", "greeting", "personal", "transactional", "unknown"]),
            st.floats(0, 1, width=32),
        ),
        min_size=1,
        max_size=40,
    )
)
def test_thresholds_are_in_order_and_within_reach(scored: list[tuple[str, float]]) -> None:
    chosen = thresholds(scored)
    assert list(chosen) == list(PURPOSES)
    assert 0 < chosen["commercial"] <= chosen["service"] <= chosen["person"] < 1


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        pytest.param([("a", "n"), ("long", "12")], "a      n\nlong  12", id="numbers-to-the-right"),
        pytest.param([("only",)], "only", id="one-cell"),
    ],
)
def test_aligned(lines: list[tuple[str, ...]], text: str) -> None:
    assert aligned(lines) == text
