"""Which test proves which requirement of the rules on consent: the table, and that no row points at nothing.

The ids are those of the requirements on commercial messages (CN-01 to CN-15, CN-24 to CN-26).
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

TESTS = Path(__file__).parent

REQUIREMENTS: dict[str, tuple[str, ...]] = {
    # No commercial message without consent, and nothing else than an explicit yes is one.
    "CN-01": (
        "relay/test_consent.py::test_an_advertisement_needs_a_grant_and_stops_at_a_withdrawal",
        "policy/test_consent.py::test_every_sequence_of_six_keeps_the_law",
    ),
    "CN-02": (
        "policy/test_consent.py::test_whatever_is_no_grant_refuses",
        "state/test_consents.py::test_values_are_read_strictly",
    ),
    "CN-03": (
        "policy/test_consent.py::test_the_order_of_arrival_never_matters",
        "relay/test_consent.py::test_an_older_grant_imported_later_revives_nothing",
    ),
    # Asking, silence, and the same text after a refusal.
    "CN-04": (
        "policy/test_consent.py::test_a_request_goes_once_and_says_what_it_is_about",
        "state/test_consents.py::test_a_recipient_is_asked_once",
        "relay/test_consent.py::test_consent_is_asked_for_once_and_granted_by_a_reply",
    ),
    "CN-05": (
        "policy/test_consent.py::test_states_that_come_by_time",
        "state/test_consents.py::test_a_yes_counts_for_an_open_request_only",
    ),
    "CN-06": (
        "policy/test_likeness.py::test_each_disguise_is_seen_through",
        "policy/test_likeness.py::test_unrelated_texts_are_seldom_mistaken",
        "relay/test_consent.py::test_the_same_text_in_another_dress_is_refused_after_a_refusal",
    ),
    # Ports, and what commercial text carries.
    "CN-07": ("relay/test_consent.py::test_commercial_text_on_a_service_port_is_refused_even_with_consent",),
    "CN-08": (
        "policy/test_text_checks.py::test_who_opted_out_still_gets_service_text",
        "relay/test_consent.py::test_an_advertisement_needs_a_grant_and_stops_at_a_withdrawal",
    ),
    "CN-09": (
        "policy/test_text_checks.py::test_commercial_text_carries_what_the_profile_asks",
        "relay/test_consent.py::test_commercial_text_carries_its_duties",
    ),
    "CN-10": (
        "policy/test_reply.py::test_a_keyword_withdraws_in_any_dress",
        "policy/test_text_checks.py::test_ways_to_refuse_are_recognised",
    ),
    "CN-11": ("relay/test_binds.py::test_a_sender_address_of_somebody_else_is_refused",),
    "CN-12": ("relay/test_binds.py::test_wrong_password_and_unknown_account_hear_the_same_and_may_try_again",),
    # What is kept, and for how long.
    "CN-13": (
        "records/test_record.py::test_a_row_becomes_a_row_of_the_table",
        "relay/test_consent.py::test_an_advertisement_needs_a_grant_and_stops_at_a_withdrawal",
    ),
    "CN-14": (
        "policy/test_profiles.py::test_months_are_those_of_the_rules",
        "records/test_retention.py::test_a_decision_goes_with_its_outcome_on_the_day_after_its_last",
    ),
    "CN-15": ("records/test_retention.py::test_periods_of_their_own_for_proof_and_state",),
    "CN-24": (
        "policy/test_text_checks.py::test_consent_beats_a_general_decline",
        "records/test_declines.py::test_projected_by_and_by_it_is_what_the_files_say",
    ),
    "CN-25": ("relay/test_consent.py::test_what_is_prohibited_is_refused_whoever_agreed",),
    "CN-26": ("records/test_export.py::test_everything_of_a_provider_between_two_dates",),
}

IDS = [f"CN-{number:02d}" for number in (*range(1, 16), 24, 25, 26)]


@cache
def names_in(path: Path) -> frozenset[str]:
    """The tests a module defines."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef))


def test_no_requirement_is_missing() -> None:
    assert list(REQUIREMENTS) == IDS
    assert all(REQUIREMENTS.values())


def rows() -> list[ParameterSet]:
    return [
        pytest.param(key, test, id=f"{key}-{test.partition('::')[2]}")
        for key, tests in REQUIREMENTS.items()
        for test in tests
    ]


@pytest.mark.parametrize(("requirement", "test"), rows())
def test_a_requirement_is_proved_by_a_test_that_exists(requirement: str, test: str) -> None:
    module, _, name = test.partition("::")
    path = TESTS / module
    assert path.exists(), f"{requirement}: tests/{module} is not there"
    assert name in names_in(path), f"{requirement}: tests/{module} has no {name}"
