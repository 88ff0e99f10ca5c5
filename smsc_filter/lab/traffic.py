"""The providers of bench and demo: who they are, what they send, and to whom.

Everything is derived from indices, so every process of a run builds the same traffic without asking another. Numbers
begin with 86154, a mobile prefix that no operator has been assigned.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Final, Literal

from smsc_filter.policy.language import Wording, language_names, read_language
from smsc_filter.samples import Sample, load_samples
from smsc_filter.smpp.codec import encode_submit
from smsc_filter.smpp.constants import DataCoding
from smsc_filter.sms.coding import encode_text

Purpose = Literal["commercial", "service", "person"]

PURPOSE_OF: Final[dict[str, Purpose]] = {
    "commercial": "commercial",
    "fraud": "commercial",
    "spam-fraud": "commercial",
    "verification": "service",
    "service": "service",
    "transactional": "service",
    "personal": "person",
    "greeting": "person",
}
"""Whose business a category of text is."""

_DIGIT: Final = re.compile("[0-9]")

ONE_PART_SEPTETS: Final = 160
ONE_PART_OCTETS: Final = 140

DISTINCT: Final = 2_000
"""Subscribers of a bench; more would only measure the cache of the processor."""

SERVICE_ROUNDS: Final = 10
"""Messages of a service to each, before they begin anew."""

# Only while the package has no texts of its own.
_FALLBACK: Final = (
    Sample("【云上商城】周末全场五折，满200减50，快来抢购！拒收请回复TD", "commercial", "commercial", "zh"),
    Sample("Big weekend sale at Cloud Mall: 50% off everything. Reply TD to opt out", "commercial", "commercial", "en"),
    Sample("【云上银行】验证码 428913，5分钟内有效，请勿告诉他人。", "other", "verification", "zh"),
    Sample("Your parcel will arrive today between 14 and 16. Cloud Courier", "other", "service", "en"),
    Sample("新年快乐！祝你和家人身体健康，万事如意", "other", "greeting", "zh"),
    Sample("Are you home for dinner tonight?", "other", "personal", "en"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A provider, as it stands in the relay's configuration."""

    system_id: str
    password: str
    owner: str
    purpose: Purpose
    senders: tuple[str, ...]
    """Its source addresses."""


def _numbers(prefix: str, count: int, digits: int) -> tuple[str, ...]:
    return tuple(f"{prefix}{number:0{digits}}" for number in range(1, count + 1))


ACCOUNTS: Final = (
    Account(
        system_id="shop",
        password="shop-pw",  # noqa: S106 - of a simulated account
        owner="shop-ltd",
        purpose="commercial",
        senders=_numbers("10690001", 12, 3),
    ),
    Account(
        system_id="bank",
        password="bank-pw",  # noqa: S106
        owner="bank-ltd",
        purpose="service",
        senders=_numbers("10690002", 12, 3),
    ),
    Account(
        system_id="courier",
        password="cour-pw",  # noqa: S106
        owner="courier-ltd",
        purpose="service",
        senders=_numbers("10690003", 12, 3),
    ),
    Account(
        system_id="people",
        password="ppl-pw",  # noqa: S106
        owner="mobile-operator",
        purpose="person",
        senders=_numbers("861541", 12, 7),
    ),
)
"""Of the bench: four dozen senders of every purpose."""


def recipient(index: int) -> str:
    """The number of a subscriber, E.164 digits."""
    return f"86154{20_000_000 + index}"


@cache
def texts_by_purpose() -> dict[Purpose, tuple[Sample, ...]]:
    """The package's texts, by whose business they are."""
    samples = load_samples() or list(_FALLBACK)
    found: dict[Purpose, list[Sample]] = {"commercial": [], "service": [], "person": []}
    for sample in samples:
        if purpose := PURPOSE_OF.get(sample.category):
            found[purpose].append(sample)
    return {purpose: tuple(samples) for purpose, samples in found.items()}


@cache
def _wording() -> Wording:
    return Wording(read_language(name) for name in language_names())


def carries_its_duties(text: str) -> bool:
    """Whether an advertisement names its sender and tells how to refuse: else consent does not help it."""
    carried = _wording().carried(text)
    return carried.name and carried.refuse


def fits_one_part(octets: bytes, data_coding: int) -> bool:
    """Whether a handset gets this text in one piece."""
    return len(octets) <= (ONE_PART_SEPTETS if data_coding == DataCoding.DEFAULT else ONE_PART_OCTETS)


@cache
def submissions(account: Account) -> tuple[bytes, ...]:
    """What an account sends in a bench over and over, as submit_sm: its senders and texts, to ``DISTINCT`` subscribers.

    An advertisement is one text to many. What a service sends is not: codes and amounts differ in every message, of
    which there are so many that what is remembered of the first is forgotten when they begin anew.
    """
    texts = [sample.text for sample in texts_by_purpose()[account.purpose]]
    if account.purpose == "commercial":
        texts = [text for text in texts if carries_its_duties(text)]
    texts = [text for text in texts if fits_one_part(*encode_text(text))]
    chance = Random(account.system_id)
    built = []
    service = account.purpose == "service"
    for index in range(DISTINCT * (SERVICE_ROUNDS if service else 1)):
        text = texts[index % len(texts)]
        if service:
            text = _DIGIT.sub(lambda _: chance.choice("0123456789"), text)
        octets, data_coding = encode_text(text)
        source = account.senders[index % len(account.senders)]
        to = recipient(index % DISTINCT).encode()
        built.append(encode_submit(0, source.encode(), to, octets, data_coding=data_coding, source_ton=0))
    return tuple(built)


def consents(accounts: Sequence[Account], count: int = DISTINCT) -> Iterator[str]:
    """Lines of a CSV file by which the first ``count`` subscribers agreed to hear from those who advertise."""
    yield "recipient,owner,state"
    for account in accounts:
        if account.purpose == "commercial":
            for index in range(count):
                yield f"{recipient(index)},{account.owner},granted"
