"""The tables of states: every way through them ends, and nothing happens that they do not say."""

from __future__ import annotations

from enum import StrEnum
from itertools import product

import pytest

from smsc_filter.policy.appeals import (
    ACTORS,
    APPEAL_TRANSITIONS,
    COMPLAINT_CLOCKS,
    COMPLAINT_TRANSITIONS,
    WAITING,
    AppealEvent,
    AppealState,
    ComplaintEvent,
    ComplaintState,
    NotAllowedError,
    after,
    complaint_after,
    terms_of,
)
from smsc_filter.policy.rules import profile_names, read_profile

CLOSED = [state for state in AppealState if state not in WAITING]


def reachable(table: dict[StrEnum, dict[StrEnum, StrEnum]], start: StrEnum) -> set[StrEnum]:
    found, new = {start}, [start]
    while new:
        follows = set(table[new.pop()].values()) - found
        found |= follows
        new += follows
    return found


@pytest.mark.parametrize(("table", "states", "events", "start", "ends"), [
    pytest.param(APPEAL_TRANSITIONS, AppealState, AppealEvent, AppealState.OPEN, set(CLOSED), id="appeal"),
    pytest.param(
        COMPLAINT_TRANSITIONS, ComplaintState, ComplaintEvent, ComplaintState.RECEIVED,
        {ComplaintState.TOLD, ComplaintState.WITHDRAWN}, id="complaint",
    ),
])  # fmt: skip
def test_every_state_is_reached_and_has_a_way_to_an_end(table, states, events, start, ends) -> None:  # type: ignore[no-untyped-def]
    assert set(table) == set(states)
    assert reachable(table, start) == set(states)
    assert {event for follows in table.values() for event in follows} == set(events)
    for state in states:
        assert reachable(table, state) & ends, f"{state} is a trap"


@pytest.mark.parametrize(("state", "event"), list(product(AppealState, AppealEvent)))
def test_an_appeal_moves_as_the_table_says_and_no_other_way(state: AppealState, event: AppealEvent) -> None:
    follows = APPEAL_TRANSITIONS[state].get(event)
    if follows is not None:
        assert after(state, event) is follows
    else:
        with pytest.raises(NotAllowedError, match=f"is {state} knows no {event}"):
            after(state, event)


@pytest.mark.parametrize(("state", "event"), list(product(ComplaintState, ComplaintEvent)))
def test_a_complaint_moves_as_the_table_says(state: ComplaintState, event: ComplaintEvent) -> None:
    follows = COMPLAINT_TRANSITIONS[state].get(event)
    if follows is not None:
        assert complaint_after(state, event) is follows
    else:
        with pytest.raises(NotAllowedError, match="can happen to it"):
            complaint_after(state, event)


def test_what_is_answered_stays_answered() -> None:
    """Of all ways of six events: only a reviewer answers, a closed appeal is opened by nobody, a grant by one way."""
    for events in product(AppealEvent, repeat=6):
        state = AppealState.OPEN
        for event in events:
            follows = APPEAL_TRANSITIONS[state].get(event)
            if follows is None:
                continue
            if follows in (AppealState.GRANTED, AppealState.REFUSED):
                assert ACTORS[event] == "reviewer"
            if state in CLOSED:
                assert (state, event) == (AppealState.GRANTED, AppealEvent.REVOKE)
            if event is AppealEvent.EXPIRE:
                assert state is AppealState.NEEDS_INFORMATION, "nobody loses by the silence of a reviewer"
            state = follows


def test_every_event_is_somebodys() -> None:
    assert set(ACTORS) == set(AppealEvent)


@pytest.mark.parametrize(("profile", "days"), [
    ("cn-2015-order31", (5, 15, None)),
    ("cn-2020-draft", (3, 15, 3)),
    ("cn-2026-order74", (3, 15, 3)),
    ("in-tcccpr", (None, 5, None)),
])  # fmt: skip
def test_the_clocks_of_a_complaint_are_the_profiles(profile: str, days: tuple[int | None, ...]) -> None:
    terms = terms_of(read_profile(profile))
    assert tuple(getattr(terms, clock) for clock in COMPLAINT_CLOCKS.values()) == days
    assert [terms.complaint_due(state, 1_767_225_600.0) is None for state in COMPLAINT_CLOCKS] == [
        each is None for each in days
    ]
    assert terms.complaint_due(ComplaintState.TOLD, 0.0) is None


@pytest.mark.parametrize("profile", profile_names())
def test_every_profile_has_terms(profile: str) -> None:
    terms = terms_of(read_profile(profile))
    assert min(terms.answer_days, terms.information_days, terms.most_open, terms.most_a_day, terms.entry_days) > 0
