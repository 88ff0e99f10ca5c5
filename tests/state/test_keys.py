"""Names of keys: what one script call touches lies in one slot, and no two consents share a field."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsc_filter.state import keys

recipients = st.one_of(st.text(max_size=20), st.text("0123456789", max_size=16))
owner_ids = st.integers(0, (1 << 24) - 1)


@pytest.mark.parametrize("key", [
    keys.consent_key(3, b"field"),
    keys.log_key(3, "s", "106900001"),
    keys.slots_key(3, "a", "shop", 3600),
    keys.parts_key(3, "106900001", "8613800000001", 7, 2),
    keys.decisions_key(3),
    keys.applied_key(3, "0-1"),
])  # fmt: skip
def test_a_key_carries_its_partition_as_hash_tag(key: str) -> None:
    assert re.findall(r"\{.*?\}", key)[0] == "{p3}"


@given(owner_ids, recipients, owner_ids, recipients)
def test_no_two_consents_share_a_field(owner: int, recipient: str, other_owner: int, other: str) -> None:
    same = (owner, recipient) == (other_owner, other)
    assert (keys.consent_field(owner, recipient) == keys.consent_field(other_owner, other)) == same


@pytest.mark.parametrize(("recipient", "octets"), [
    pytest.param("8613800000001", 10, id="a-number"),
    pytest.param("9" * 15, 10, id="the-longest-number"),
    pytest.param("1" * 16, 20, id="too-long-for-a-number"),
    pytest.param("013800000001", 16, id="a-leading-zero-is-kept"),
    pytest.param("friends", 11, id="a-name"),
    pytest.param("", 4, id="empty"),
    pytest.param("１２", 10, id="full-width-digits-are-no-number"),
    pytest.param("\ud83d", 7, id="half-a-surrogate-pair"),
])  # fmt: skip
def test_a_consent_is_small(recipient: str, octets: int) -> None:
    assert len(keys.consent_field(7, recipient)) == octets


@given(recipients, st.integers(1, 64))
def test_a_partition_is_one_there_is(name: str, partitions: int) -> None:
    assert 0 <= keys.partition_of(name, partitions) < partitions
    assert keys.partition_of(name, 1) == 0


def test_partitions_are_all_used() -> None:
    assert {keys.partition_of(f"86138{number:08}", 8) for number in range(200)} == set(range(8))
