"""Causes and what a provider sees of them; findings and what they amount to."""

from __future__ import annotations

import pytest

from smsc_filter.policy.verdict import ADMITTED, PASS, Cause, Verdict, refuse, remark
from smsc_filter.smpp.constants import CommandStatus

VENDOR = range(0x0400, 0x0500)
RETRYABLE = {CommandStatus.ESME_RTHROTTLED, CommandStatus.ESME_RMSGQFUL, CommandStatus.ESME_RSYSERR}
PASSES_BY_ITSELF = {Cause.QUOTA_SPENT, Cause.STORE_UNAVAILABLE, Cause.UPSTREAM_UNAVAILABLE}


def test_names_and_statuses_are_unique() -> None:
    assert len({cause.value for cause in Cause}) == len({cause.status for cause in Cause}) == len(Cause)


def test_names_that_providers_and_records_know() -> None:
    """Stable for ever: records of last year are read by them."""
    assert {cause.value: hex(cause.status) for cause in Cause} | {
        "unknown-sender": "0x401",
        "sender-suspended": "0x402",
        "prohibited": "0x403",
        "commercial-on-service-port": "0x404",
        "no-consent": "0x410",
        "consent-refused": "0x411",
        "quota-spent": "0x58",
        "store-unavailable": "0x8",
        "upstream-unavailable": "0x14",
    } == {cause.value: hex(cause.status) for cause in Cause}


@pytest.mark.parametrize("cause", list(Cause))
def test_a_cause_can_be_told_apart_or_is_retried(cause: Cause) -> None:
    if cause in PASSES_BY_ITSELF:
        assert cause.status == cause.standard_status
        assert cause.status in RETRYABLE
    else:
        assert cause.status in VENDOR
        assert cause.standard_status not in RETRYABLE


@pytest.mark.parametrize("cause", list(Cause))
def test_the_standard_status_is_one_of_the_specification(cause: Cause) -> None:
    assert cause.standard_status in set(CommandStatus)
    assert cause.standard_status != CommandStatus.ESME_ROK


@pytest.mark.parametrize("cause", list(Cause))
def test_a_name_is_in_kebab_case(cause: Cause) -> None:
    assert cause.value.replace("-", "").isalpha()
    assert cause.value == cause.value.lower()
    assert Cause(cause.value) is cause


def test_a_later_finding_does_not_change_the_cause() -> None:
    verdict = Verdict((remark("content", "score 0.9"), refuse("consent", Cause.NO_CONSENT, "none")))
    later = verdict.and_then(refuse("quota", Cause.QUOTA_SPENT, "spent"))
    assert (verdict.cause, later.cause) == (Cause.NO_CONSENT, Cause.NO_CONSENT)
    assert [finding.check for finding in later.findings] == ["content", "consent", "quota"]
    assert len(verdict.findings) == 2


def test_what_passes_is_admitted_until_something_refuses() -> None:
    assert ADMITTED.cause is None
    assert Verdict((PASS, remark("content", "fine"))).cause is None
    assert ADMITTED.and_then(refuse("quota", Cause.QUOTA_SPENT, "spent")).cause is Cause.QUOTA_SPENT
    assert ADMITTED.findings == ()


def test_a_verdict_shows_its_cause() -> None:
    assert repr(ADMITTED) == "<Verdict admitted ()>"
    assert repr(Verdict((refuse("consent", Cause.NO_CONSENT, "none"),))).startswith("<Verdict no-consent (Finding(")
