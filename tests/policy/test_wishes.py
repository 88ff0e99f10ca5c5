"""What subscribers decline: one spelling, and what it means."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsc_filter.policy.wishes import ALL, CHANNELS, Clause, Wish, make_wish, read_wish, unite

CLAUSES = st.builds(
    Clause,
    st.sampled_from(CHANNELS),
    st.sampled_from([ALL, "finance", "realty", "1"]),
    st.integers(0, 1439),
    st.integers(0, 1439),
)
WISHES = st.lists(CLAUSES, min_size=1, max_size=8).map(make_wish)


@pytest.mark.parametrize(("text", "spelled"), [
    pytest.param("sms:all", "sms:all", id="everything on one channel"),
    pytest.param("*:all", "sms:all voice:all", id="star is both channels"),
    pytest.param(" VOICE:Realty,finance  sms:all ", "sms:all voice:finance,realty", id="case and order"),
    pytest.param("sms:finance sms:all", "sms:all", id="all covers a category"),
    pytest.param("sms:all@21:00-09:00 sms:all", "sms:all", id="all day covers a band"),
    pytest.param("sms:all@21:00-09:00 sms:finance", "sms:all@21:00-09:00 sms:finance", id="a band does not cover"),
    pytest.param("sms:all@08:00-08:00", "sms:all", id="a band without an end is the whole day"),
])  # fmt: skip
def test_spelling(text: str, spelled: str) -> None:
    assert sorted(str(read_wish(text)).split()) == sorted(spelled.split())


@pytest.mark.parametrize("text", [
    "", " ", "sms", "sms:", "mail:all", "sms:all@9-21", "sms:all@24:00-01:00", "sms:a b", "sms:all;voice:all",
    "sms:" + "x" * 33, "sms:all " * 65, "sms:财经", "sms:all@21:00", "sms:all\0",
])  # fmt: skip
def test_what_spells_no_wish_is_told_what_is_expected(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected"):
        read_wish(text)


@given(WISHES)
def test_a_wish_comes_back_from_its_spelling(wish: Wish) -> None:
    assert read_wish(str(wish)) == wish


@given(st.lists(WISHES, min_size=1, max_size=3), CLAUSES, st.integers(0, 1439), st.booleans())
def test_united_wishes_decline_what_any_of_them_does(
    wishes: list[Wish], asked: Clause, minute: int, known: bool
) -> None:
    category = asked.category if known and asked.category != ALL else None
    united = unite(wishes).declines(asked.channel, category, minute)
    assert (united is not None) == any(wish.declines(asked.channel, category, minute) for wish in wishes)


@pytest.mark.parametrize(("minute", "holds"), [
    pytest.param(20 * 60 + 59, False, id="a minute before"),
    pytest.param(21 * 60, True, id="at its beginning"),
    pytest.param(0, True, id="past midnight"),
    pytest.param(8 * 60 + 59, True, id="its last minute"),
    pytest.param(9 * 60, False, id="at its end"),
])  # fmt: skip
def test_a_band_past_midnight(minute: int, holds: bool) -> None:
    wish = read_wish("sms:all@21:00-09:00")
    assert (wish.declines("sms", None, minute) is not None) == holds
    assert wish.declines("voice", None, minute) is None
