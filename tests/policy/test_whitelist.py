"""What a granted appeal clears, and until when."""

from __future__ import annotations

from typing import Any

import pytest

from smsc_filter.policy.appeal import Whitelist
from smsc_filter.policy.likeness import sketch
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


# --- clusters

WISH = "新年快乐！祝你和家人身体健康，万事如意，阖家幸福"
SAME = (
    "新年快乐，祝你和家人身体健康、万事如意、阖家幸福！！！",
    "新 年 快 乐 ！ 祝你和家人身体健康，万事如意，阖家幸福🎉",
    "  新年快乐！祝你和家人身体健康，万事如意，阖家幸福 http://example.com",
)
OTHER = (
    "新年快乐！祝你和家人身体健康，万事如意，阖家幸福。本店全场五折满200减50快来抢购，回复TD退订，数量有限先到先得",
    "新年快乐！新店开业酬宾，全场商品五折起，到店即送好礼",
    "您的验证码是 428913，5 分钟内有效",
    "",
)
CLUSTER = entry(4, scope="cluster", sender=None, sketch=sketch([WISH])[0])


@pytest.mark.parametrize("text", SAME)
def test_a_cluster_clears_the_same_text_in_another_dress(text: str) -> None:
    of_owner = Whitelist([CLUSTER])
    assert of_owner.clustered == {"shop-ltd"}
    assert of_owner.empty, "only texts are cleared, so nobody need be asked by address"
    (one,) = sketch([text])
    assert of_owner.clearing_text("shop-ltd", "106900009", one, NOW) is CLUSTER
    assert of_owner.clearing_text("bank-ltd", "106900009", one, NOW) is None
    assert of_owner.clearing_text("shop-ltd", "106900009", one, NOW + 60) is None
    of_sender = Whitelist([entry(5, scope="cluster", sketch=CLUSTER.sketch)])
    assert of_sender.clearing_text("shop-ltd", "106900001", one, NOW) is not None
    assert of_sender.clearing_text("shop-ltd", "106900009", one, NOW) is None


@pytest.mark.parametrize("text", OTHER)
def test_a_cluster_does_not_clear_what_hides_behind_it(text: str) -> None:
    assert Whitelist([CLUSTER]).clearing_text("shop-ltd", "106900009", sketch([text])[0], NOW) is None


@pytest.mark.parametrize(("values", "complaint"), [
    pytest.param({"scope": "cluster"}, "with a sketch of 0 octets", id="no-sketch"),
    pytest.param({"sketch": CLUSTER.sketch}, "'sender' with a sketch of 32 octets", id="a-sketch-of-another-scope"),
    pytest.param({"scope": "cluster", "sketch": bytes(32)}, "no letters", id="of-a-text-without-letters"),
    pytest.param({"scope": "cluster", "sketch": b"x"}, "1 octets", id="too-short"),
])  # fmt: skip
def test_a_cluster_needs_a_text(values: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        entry(1, **values)


def test_an_entry_written_before_there_were_clusters_is_read() -> None:
    old = {key: value for key, value in ONE_SENDER.to_dict().items() if key != "sketch"}
    assert WhitelistEntry.from_dict(old) == ONE_SENDER
    assert WhitelistEntry.from_dict(CLUSTER.to_dict()) == CLUSTER
