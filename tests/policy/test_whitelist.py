"""What a granted appeal clears, and until when."""

from __future__ import annotations

from typing import Any

import pytest

from smsc_filter.policy.appeal import Whitelist
from smsc_filter.policy.whitelist import WhitelistEntry

from .known import NOW

LI, WANG = "8613800000001", "8613800000002"


def entry(number: int, **values: Any) -> WhitelistEntry:
    whole: dict[str, Any] = {
        "id": number, "scope": "sender", "owner": "shop-ltd", "sender": "106900001", "expires_at": NOW + 60,
        "reason": "wishes",
    } | values  # fmt: skip
    return WhitelistEntry(**whole)


ONE_SENDER = entry(1)
TO_LI = entry(2, scope="sender-recipients", sender="106900002", recipients=frozenset({LI}))
ALL_OF_BANK = entry(3, scope="owner", owner="bank-ltd", sender=None)
WHITELIST = Whitelist([ONE_SENDER, TO_LI, ALL_OF_BANK])


@pytest.mark.parametrize(("owner", "sender", "recipient", "cleared"), [
    pytest.param("shop-ltd", "106900001", LI, ONE_SENDER, id="sender"),
    pytest.param("shop-ltd", "106900001", "", ONE_SENDER, id="sender-to-anybody"),
    pytest.param("shop-ltd", "106900003", LI, None, id="another-sender"),
    pytest.param("bank-ltd", "106900001", LI, ALL_OF_BANK, id="the-same-address-of-another-owner"),
    pytest.param("post-ltd", "106900001", LI, None, id="an-owner-without-entries"),
    pytest.param("shop-ltd", "106900002", LI, TO_LI, id="recipient"),
    pytest.param("shop-ltd", "106900002", WANG, None, id="another-recipient"),
    pytest.param("bank-ltd", "anything", WANG, ALL_OF_BANK, id="owner"),
])  # fmt: skip
def test_scopes(owner: str, sender: str, recipient: str, cleared: WhitelistEntry | None) -> None:
    assert WHITELIST.clearing(owner, sender, recipient, NOW) is cleared


@pytest.mark.parametrize(("after", "holds"), [(59.999, True), (60.0, False), (1e9, False)])
def test_an_entry_clears_nothing_from_its_expiry_on(after: float, holds: bool) -> None:
    assert (Whitelist([ONE_SENDER]).clearing("shop-ltd", "106900001", LI, NOW + after) is ONE_SENDER) == holds


def test_an_expired_entry_does_not_hide_one_that_holds() -> None:
    expired, holds = entry(1, expires_at=NOW), entry(2)
    assert Whitelist([expired, holds]).clearing("shop-ltd", "106900001", LI, NOW) is holds


def test_a_whole_owner_is_asked_behind_the_sender() -> None:
    whole = entry(9, scope="owner", sender=None)
    assert Whitelist([whole, ONE_SENDER]).clearing("shop-ltd", "106900001", LI, NOW) is ONE_SENDER
    assert Whitelist([whole, TO_LI]).clearing("shop-ltd", "106900002", WANG, NOW) is whole


def test_an_empty_whitelist_knows_that_it_is() -> None:
    assert Whitelist().empty
    assert not WHITELIST.empty
    assert not Whitelist([ALL_OF_BANK]).empty
    assert Whitelist().clearing("shop-ltd", "106900001", LI, NOW) is None


@pytest.mark.parametrize(("values", "complaint"), [
    pytest.param({"scope": "country"}, "scope is 'country', one of sender, sender-recipients, owner", id="scope"),
    pytest.param({"owner": ""}, "owner is empty", id="no-owner"),
    pytest.param({"sender": None}, "every scope but owner names a sender", id="no-sender"),
    pytest.param({"scope": "owner"}, "every scope but owner names a sender", id="an-owner-with-a-sender"),
    pytest.param({"scope": "sender-recipients"}, "with 0 recipients", id="no-recipients"),
    pytest.param({"recipients": frozenset({LI})}, "with 1 recipients", id="recipients-of-another-scope"),
])  # fmt: skip
def test_an_entry_that_fits_no_scope(values: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        entry(1, **values)


@pytest.mark.parametrize("one", [ONE_SENDER, TO_LI, ALL_OF_BANK], ids=lambda one: one.scope)
def test_an_entry_comes_back_from_plain_values(one: WhitelistEntry) -> None:
    assert WhitelistEntry.from_dict(one.to_dict()) == one
    with pytest.raises(KeyError):
        WhitelistEntry.from_dict({key: value for key, value in one.to_dict().items() if key != "owner"})
