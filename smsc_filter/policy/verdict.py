"""What a check says, and what the checks amount to."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final, Self

from smsc_filter.smpp.constants import CommandStatus


class Cause(Enum):
    """Why a message was not sent on, and the command_status its sender sees.

    Codes of ours use the vendor range 0x0400-0x04FF, so that a provider can tell them apart; the standard code beside
    each serves clients that dislike the range. Troubles that pass have a code that clients retry in both styles.
    """

    UNKNOWN_SENDER = "unknown-sender", 0x0401, CommandStatus.ESME_RINVSRCADR
    SENDER_SUSPENDED = "sender-suspended", 0x0402, CommandStatus.ESME_RINVSRCADR
    PROHIBITED = "prohibited", 0x0403, CommandStatus.ESME_RSUBMITFAIL
    WRONG_PURPOSE = "commercial-on-service-port", 0x0404, CommandStatus.ESME_RSUBMITFAIL
    NO_CONSENT = "no-consent", 0x0410, CommandStatus.ESME_RINVDSTADR
    CONSENT_REFUSED = "consent-refused", 0x0411, CommandStatus.ESME_RINVDSTADR
    ASKED_ALREADY = "consent-asked-already", 0x0412, CommandStatus.ESME_RINVDSTADR
    REQUEST_INCOMPLETE = "consent-request-incomplete", 0x0413, CommandStatus.ESME_RSUBMITFAIL
    SIMILAR_AFTER_REFUSAL = "similar-after-refusal", 0x0414, CommandStatus.ESME_RINVDSTADR
    QUIET_HOURS = "quiet-hours", 0x0415, CommandStatus.ESME_RSUBMITFAIL
    DECLINED = "declined", 0x0416, CommandStatus.ESME_RINVDSTADR
    NO_SENDER_NAME = "no-sender-name", 0x0420, CommandStatus.ESME_RSUBMITFAIL
    NO_CONTACT = "no-contact", 0x0421, CommandStatus.ESME_RSUBMITFAIL
    NO_WAY_TO_REFUSE = "no-way-to-refuse", 0x0422, CommandStatus.ESME_RSUBMITFAIL
    NO_TEMPLATE = "template-missing", 0x0430, CommandStatus.ESME_RMISSINGOPTPARAM
    WRONG_ENTITY = "entity-unknown", 0x0431, CommandStatus.ESME_RINVOPTPARAMVAL
    WRONG_CHAIN = "chain-hash-mismatch", 0x0432, CommandStatus.ESME_RINVOPTPARAMVAL
    QUOTA_SPENT = "quota-spent", CommandStatus.ESME_RTHROTTLED, CommandStatus.ESME_RTHROTTLED
    RECIPIENT_QUOTA_SPENT = "recipient-quota-spent", 0x0440, CommandStatus.ESME_RINVDSTADR
    CAMPAIGN_QUOTA_SPENT = "campaign-quota-spent", 0x0441, CommandStatus.ESME_RSUBMITFAIL
    STORE_UNAVAILABLE = "store-unavailable", CommandStatus.ESME_RSYSERR, CommandStatus.ESME_RSYSERR
    UPSTREAM_UNAVAILABLE = "upstream-unavailable", CommandStatus.ESME_RMSGQFUL, CommandStatus.ESME_RMSGQFUL

    status: int
    """command_status with ``status_style = "vendor"``."""
    standard_status: int
    """command_status with ``status_style = "standard"``."""

    def __new__(cls, label: str, status: int, standard_status: int) -> Self:
        """A member whose value is its stable name."""
        member = object.__new__(cls)
        member._value_ = label
        member.status = int(status)
        member.standard_status = int(standard_status)
        return member


TROUBLES: Final = frozenset({Cause.STORE_UNAVAILABLE, Cause.UPSTREAM_UNAVAILABLE})
"""Causes that are no verdict on a message: there is no way on, so they refuse in observe mode as well."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check says of one message."""

    check: str
    cause: Cause | None
    """None where the check lets the message pass."""
    sentence: str
    """For people: what was found, without the text of the message."""
    article: str
    """What in the rule profile it rests on; "" for a rule of the operator or of SMPP."""


PASS: Final = Finding("", None, "", "")
"""Nothing to say: what most checks find of most messages."""


def refuse(check: str, cause: Cause, sentence: str, article: str = "") -> Finding:
    """A finding that the message must not go."""
    return Finding(check, cause, sentence, article)


def remark(check: str, sentence: str, article: str = "") -> Finding:
    """A finding that lets the message pass and is worth a line on record."""
    return Finding(check, None, sentence, article)


class Verdict:
    """What the findings amount to: the first refusal in the order of the checks, all findings its reasons."""

    __slots__ = ("cause", "findings")

    def __init__(self, findings: tuple[Finding, ...]) -> None:
        """``findings`` in the order of the checks; those that are ``PASS`` may be left out."""
        self.findings = findings
        self.cause: Cause | None = next((finding.cause for finding in findings if finding.cause is not None), None)

    def and_then(self, finding: Finding) -> Verdict:
        """This verdict with one more finding behind the others."""
        return Verdict((*self.findings, finding))

    def __repr__(self) -> str:
        return f"<Verdict {self.cause.value if self.cause else 'admitted'} {self.findings}>"


ADMITTED: Final = Verdict(())
"""Every check passed without remark. Shared, because most verdicts are this one."""
