"""Which test proves which requirement of the rules: the tables, and that no row points at nothing.

The ids of REQUIREMENTS are those of the requirements on commercial messages (CN-01 to CN-26), and from CN-30 on those
that practice added to them. Those of QUOTAS are numbers among the most important testable requirements (9-10 and
on), the evasions each mechanism answers (6.1), and the faults no quota may fall to.
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
    "CN-12": ("relay/test_binds.py::test_wrong_password_and_unknown_account_hear_the_same_and_may_connect_again",),
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
    # Complaints, their clocks, and appeals.
    "CN-16": (
        "web/test_appeals.py::test_a_complaint_goes_its_way_and_the_owner_sees_it",
        "cli/test_appeals.py::test_a_complaint_from_its_intake_to_the_regulator",
        "records/test_complaints.py::test_it_is_linked_to_what_was_sent_and_that_is_held",
    ),
    "CN-17": (
        "policy/test_appeals.py::test_the_clocks_of_a_complaint_are_the_profiles",
        "policy/test_workdays.py::test_the_last_day_on_the_chinese_calendar",
        "records/test_complaints.py::test_its_clocks_are_the_profiles_on_the_chinese_calendar",
        "records/test_complaints.py::test_profiles_differ",
    ),
    "CN-18": (
        "records/test_complaints.py::test_its_clocks_are_the_profiles_on_the_chinese_calendar",
        "records/test_complaints.py::test_what_is_due_is_told_once_as_near_and_once_as_past",
        "service/test_clerk.py::test_what_is_due_is_told_once_and_again_to_who_comes_back_too_soon",
        "records/test_complaints.py::test_what_a_regulator_is_handed_carries_its_decisions_and_a_signed_manifest",
    ),
    "CN-19": ("records/test_complaints.py::test_its_clocks_are_the_profiles_on_the_chinese_calendar",),
    "CN-20": ("watch/test_early_warning.py::test_a_seeded_campaign_is_told_within_ten_seconds",),
    "CN-21": (
        "relay/test_measures.py::test_a_throttle_lets_so_many_pass_in_an_hour_over_all_workers",
        "relay/test_measures.py::test_no_new_resources_refuses_binds_beyond_those_there_were",
        "records/test_complaints.py::test_an_upheld_complaint_labels_refuses_and_throttles_in_one",
    ),
    "CN-22": ("relay/test_measures.py::test_no_suspension_without_a_notice_and_on_all_workers_with_one",),
    "CN-23": (
        "relay/test_appeals.py::test_a_blocked_greeting_is_appealed_by_its_code_granted_and_passes",
        "relay/test_appeals.py::test_a_grant_lifts_neither_the_purpose_of_a_port_nor_more_than_it_says",
        "records/test_appeals.py::test_a_grant_lifts_the_measure_behind",
        "policy/test_appeals.py::test_what_is_answered_stays_answered",
    ),
    "CN-24": (
        "policy/test_text_checks.py::test_consent_beats_a_general_decline",
        "records/test_declines.py::test_projected_by_and_by_it_is_what_the_files_say",
    ),
    "CN-25": ("relay/test_consent.py::test_what_is_prohibited_is_refused_whoever_agreed",),
    "CN-26": ("records/test_export.py::test_everything_of_a_provider_between_two_dates",),
    # What a subscriber refused in person is lifted by the subscriber, or on evidence that an operator has reviewed.
    "CN-30": (
        "policy/test_consent.py::test_the_subscribers_own_last_word_holds_until_the_subscriber_lifts_it",
        "policy/test_consent.py::test_a_grant_without_a_time_is_later_than_no_refusal",
        "records/test_claims.py::test_whatever_owners_send_the_subscribers_own_last_word_is_in_the_hot_state",
        "records/test_claims.py::test_accepted_a_claim_grants_from_when_the_recipient_agreed",
        "web/test_portal.py::test_what_an_owner_claims_of_who_withdrew_is_shown_and_counts_once_allowed",
        "service/test_clerk.py::test_who_often_claims_consents_of_people_who_refused_is_told",
    ),
    # A number is read for what it is, or refused.
    "CN-31": (
        "sms/test_number.py::test_a_number_as_people_and_programs_write_it",
        "sms/test_number.py::test_what_is_no_number_is_refused_with_its_reason",
    ),
    # So is a time, and nothing is silently of 1970.
    "CN-32": (
        "records/test_moments.py::test_what_a_time_is",
        "records/test_moments.py::test_what_is_no_time_or_may_be_two_is_refused",
        "records/test_moments.py::test_nothing_is_silently_of_1970",
        "records/test_sheets.py::test_a_day_counts_on_the_side_of_the_refusal",
    ),
    # Files as spreadsheets and CRMs save them are read, and a preview says what would happen.
    "CN-33": (
        "records/test_sheets.py::test_a_file_as_programs_save_it",
        "records/test_sheets.py::test_a_workbook",
        "records/test_sheets.py::test_a_preview_says_what_would_happen_and_changes_nothing",
        "records/test_complaints.py::test_a_file_as_spreadsheets_save_it",
    ),
    # A withdrawal for an owner nobody has is an error that names those there are.
    "CN-34": (
        "records/test_sheets.py::test_an_owner_nobody_has_is_named_with_those_there_are",
        "web/test_consents.py::test_a_consent_for_an_owner_nobody_has_names_those_there_are",
    ),
    # A stop in whatever words, coding and parts; what is none stays talk; a doubtful one is marked.
    "CN-35": (
        "policy/test_reply.py::test_the_held_out_replies_are_read_well_enough",
        "policy/test_reply.py::test_near_misses_are_talk",
        "policy/test_reply.py::test_a_doubtful_stop_is_marked",
        "policy/test_reply.py::test_every_profile_hears_stop_in_every_language",
        "policy/test_reply.py::test_no_text_takes_long",
    ),
    "CN-36": (
        "sms/test_readings.py::test_the_text_is_among_its_readings",
        "sms/test_message.py::test_what_a_subscriber_writes_is_read_through_faults",
        "relay/test_replies.py::test_a_stop_is_heard_in_any_coding",
        "relay/test_replies.py::test_a_stop_is_heard_in_parts_in_any_order",
    ),
    # A yes answers a request, a start lifts one's own withdrawal, help is answered by profile.
    "CN-37": (
        "state/test_consents.py::test_a_yes_answers_the_request_of_that_address_in_a_word_it_offered",
        "state/test_consents.py::test_a_start_lifts_what_the_subscriber_withdrew",
        "relay/test_replies.py::test_a_start_only_answers_where_the_profile_says_so",
        "relay/test_replies.py::test_help_is_answered_where_the_profile_says_what",
    ),
    # A withdrawal binds for every number its source address may mean.
    "CN-38": (
        "relay/test_replies.py::test_a_stop_binds_for_everybody_who_may_have_written_it",
        "relay/test_replies.py::test_a_yes_and_a_start_are_for_the_most_plausible_number_alone",
    ),
}

QUOTAS: dict[str, tuple[str, ...]] = {
    "9-10 sliding windows are exact": (
        "state/test_meters.py::test_windows_are_exact",
        "state/test_meters.py::test_the_200th_in_an_hour_passes_and_the_201st_does_not",
        "state/test_meters.py::test_any_messages_on_any_meters_are_admitted_as_by_hand",
        "relay/test_judging.py::test_a_quota_is_exact_over_two_workers",
    ),
    "9-11 the calendar of feasts switches the caps and back": (
        "policy/test_festivals.py::test_chinese_profiles_switch_to_500_an_hour_and_2000_a_day",
        "policy/test_greeting.py::test_the_calendar_switches_at_midnight_of_the_sender",
        "policy/test_greeting.py::test_no_exemption_goes_above_the_hard_cap",
    ),
    "9-12 threshold hugging is flagged, steady senders are not": (
        "watch/test_watcher.py::test_198_of_200_an_hour_is_found_within_3_windows",
        "policy/gaming/test_hugging.py::test_no_steady_sender_at_60_percent_of_its_cap_is_flagged_in_10_000_runs",
    ),
    "9-13 rotating senders share the cap of their campaign": (
        "state/test_campaigns.py::test_ten_rotating_senders_with_one_paraphrased_text_stop_at_the_cap",
        "relay/test_quota.py::test_ten_people_with_one_offer_stop_at_the_cap_of_the_campaign",
    ),
    "9-14 wishes to contacts pass, with an offer or to strangers they are capped": (
        "relay/test_people.py::test_wishes_to_300_contacts_pass_and_those_to_strangers_are_capped",
        "relay/test_people.py::test_wishes_with_an_offer_are_capped_and_wishes_beside_them_are_not",
        "policy/test_greeting.py::test_weigh",
    ),
    "9-15 no score scales a hard cap": (
        "policy/test_quota.py::test_no_score_changes_a_public_cap",
        "state/test_meters.py::test_soft_caps_hold_for_suspicious_texts_alone",
    ),
    "9-16 thresholds by kind of sender, model in each verdict": (
        "training/test_evaluate.py::test_thresholds_are_in_order_and_within_reach",
        "classifier/test_scorer.py::test_a_model_is_named_by_its_weights",
    ),
    "9-18 a replay gives the same log to the octet": ("lab/test_replay.py::test_the_log_is_the_same_to_the_octet",),
    "9-19 parts are counted by policy": (
        "relay/test_quota.py::test_messages_are_counted_once_however_many_parts",
        "state/test_ledger.py::test_a_message_begins_with_its_first_part_or_one_sent_again",
    ),
    "large caps have a stated error": (
        "state/test_meters.py::test_slots_never_admit_more_and_refuse_for_a_slot_at_most",
    ),
    "spent atomically over workers": ("state/test_meters.py::test_workers_together_never_admit_more_than_any_cap",),
    "given back when the SMSC rejects": (
        "state/test_meters.py::test_what_the_smsc_rejects_is_given_back_on_every_meter",
        "relay/test_judging.py::test_quota_is_given_back_when_the_smsc_rejects",
    ),
    "what is refused is never counted": (
        "state/test_meters.py::test_a_message_fits_every_meter_or_spends_nothing",
        "relay/test_judging.py::test_what_another_check_refuses_spends_nothing",
    ),
    "6.1 just under the cap": (
        "policy/test_quota.py::test_a_soft_cap_is_below_the_public_one_and_the_same_every_time",
    ),
    "6.1 bursts over the edge of a window": (
        "state/test_meters.py::test_the_200th_in_an_hour_passes_and_the_201st_does_not",
        "watch/test_watcher.py::test_bursts_over_the_full_hour_are_found_at_the_third",
    ),
    "6.1 content variation": (
        "state/test_campaigns.py::test_paraphrases_over_workers_are_one_campaign_and_other_texts_are_not",
    ),
    "6.1 slow drip": (
        "state/test_meters.py::test_recipients_and_first_contacts_are_counted_by_period",
        "state/test_meters.py::test_recipients_are_exact_to_2000_and_a_sketch_above",
    ),
    "6.1 number enumeration": ("watch/test_watcher.py::test_numbers_counted_up_are_found_in_whatever_order",),
    "6.1 class laundering": ("watch/test_watcher.py::test_advertisements_over_a_service_port_are_found",),
    "clocks that jump": (
        "state/test_meters.py::test_a_clock_that_steps_back_frees_nothing",
        "state/test_meters.py::test_whoever_wrote_by_a_clock_that_ran_ahead_waits_two_windows_at_most",
        "state/test_meters.py::test_no_step_of_the_clock_of_a_machine_frees_or_locks_anything",
    ),
    "a worker killed, a store restarted": (
        "state/test_meters.py::test_a_store_that_is_killed_keeps_every_count",
        "state/test_meters.py::test_what_was_taken_for_a_batch_that_fails_is_given_back",
        "state/test_ledger.py::test_a_repeated_call_counts_once",
        "faults/test_killed.py::test_a_killed_worker_takes_only_its_own_links_along",
        "faults/test_killed.py::test_a_killed_store_is_waited_for_and_nobody_notices",
    ),
    "nobody stays locked": (
        "watch/test_locks.py::test_a_person_who_is_stopped_is_locked_for_72_hours_and_then_free",
        "relay/test_people.py::test_who_is_stopped_is_locked_and_told_once_with_a_code_over_restarts_too",
    ),
    "memory for each entry": ("lab/test_quota_memory.py::test_every_kind_of_entry_is_measured_and_linear",),
}

IDS = [f"CN-{number:02d}" for number in range(1, 27)]


@cache
def names_in(path: Path) -> frozenset[str]:
    """The tests a module defines."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef))


def test_no_requirement_is_missing() -> None:
    assert list(REQUIREMENTS)[: len(IDS)] == IDS
    added = list(REQUIREMENTS)[len(IDS) :]
    assert added == sorted(added)
    assert all(each >= "CN-30" for each in added)
    assert all(REQUIREMENTS.values())
    assert all(QUOTAS.values())
    assert {f"9-{number}" for number in (10, 11, 12, 13, 14, 15, 16, 18)} <= {key.partition(" ")[0] for key in QUOTAS}


def rows() -> list[ParameterSet]:
    return [
        pytest.param(key, test, id=f"{key}-{test.partition('::')[2]}")
        for key, tests in (REQUIREMENTS | QUOTAS).items()
        for test in tests
    ]


@pytest.mark.parametrize(("requirement", "test"), rows())
def test_a_requirement_is_proved_by_a_test_that_exists(requirement: str, test: str) -> None:
    module, _, name = test.partition("::")
    path = TESTS / module
    assert path.exists(), f"{requirement}: tests/{module} is not there"
    assert name in names_in(path), f"{requirement}: tests/{module} has no {name}"
