"""Which source addresses belong to which owner."""

from __future__ import annotations

from itertools import count

import pytest

from smsc_filter.policy import identity
from smsc_filter.policy.facts import Sender, Window
from smsc_filter.policy.identity import Registry
from smsc_filter.smpp.constants import Ton
from smsc_filter.sms.address import Numbering

WINDOWS = (Window(3600, 200, "practice"),)
REGISTRY = Registry(
    [
        Sender("10690*", "shop-ltd", "commercial", WINDOWS),
        Sender("1069012*", "bank-ltd", "service", ()),
        Sender("106901299", "shop-ltd", "person", (), suspended=True),
        Sender("13900000001", "shop-ltd", "person", ()),
        Sender("139*", "mobile", "person", ()),
        Sender("8613800*", "mobile", "person", ()),
        Sender("ShopLtd", "shop-ltd", "commercial", ()),
    ],
    Numbering(),
)
U, INT, N, A = Ton.UNKNOWN, Ton.INTERNATIONAL, Ton.NATIONAL, Ton.ALPHANUMERIC


@pytest.mark.parametrize(("owner", "source", "ton", "found"), [
    pytest.param("shop-ltd", b"106900001", U, ("106900001", "commercial"), id="in-a-range"),
    pytest.param("shop-ltd", b"10690", U, ("10690", "commercial"), id="the-prefix-itself"),
    pytest.param("shop-ltd", b"1069", U, None, id="shorter-than-the-prefix"),
    pytest.param("bank-ltd", b"106901201", U, ("106901201", "service"), id="the-longest-prefix"),
    pytest.param("shop-ltd", b"106901201", U, None, id="a-shorter-prefix-of-ones-own-does-not-help"),
    pytest.param("shop-ltd", b"106901299", U, ("106901299", "person"), id="a-single-address-before-any-range"),
    pytest.param("bank-ltd", b"106901299", U, None, id="a-single-address-of-another"),
    pytest.param("bank-ltd", b"106900001", U, None, id="a-range-of-another"),
    pytest.param("shop-ltd", b"10690123456", U, None, id="eleven-digits-in-the-range-of-another"),
    pytest.param("shop-ltd", b"10690999999", U, ("8610690999999", "commercial"), id="a-port-as-long-as-a-mobile"),
    pytest.param("shop-ltd", b"13900000001", U, ("8613900000001", "person"), id="national-as-registered"),
    pytest.param("shop-ltd", b"8613900000001", INT, ("8613900000001", "person"), id="international"),
    pytest.param("shop-ltd", b"+8613900000001", U, ("8613900000001", "person"), id="with-plus"),
    pytest.param("mobile", b"8613800000009", INT, ("8613800000009", "person"), id="an-international-range"),
    pytest.param("mobile", b"13800000009", N, ("8613800000009", "person"), id="national-in-an-international-range"),
    pytest.param("mobile", b"13900000009", N, ("8613900000009", "person"), id="national-in-a-national-range"),
    pytest.param("mobile", b"8613900000009", INT, None, id="a-national-range-speaks-of-its-spelling"),
    pytest.param("shop-ltd", b"ShopLtd", A, ("ShopLtd", "commercial"), id="a-name"),
    pytest.param("shop-ltd", b"shopltd", A, None, id="a-name-in-another-case"),
    pytest.param("shop-ltd", b"10690*", U, ("10690*", "commercial"), id="a-star-is-a-character"),
    pytest.param("shop-ltd", b"", U, None, id="no-address"),
    pytest.param("nobody", b"106900001", U, None, id="an-owner-without-senders"),
])  # fmt: skip
def test_find(owner: str, source: bytes, ton: Ton, found: tuple[str, str] | None) -> None:
    for _ in range(2):  # the second time it is remembered
        sender = REGISTRY.find(owner, source, ton)
        assert (sender and (sender.address, sender.purpose)) == found
        assert sender is None or sender.owner == owner


def test_what_is_registered_comes_along() -> None:
    in_range, single = REGISTRY.find("shop-ltd", b"106900001", U), REGISTRY.find("shop-ltd", b"106901299", U)
    assert in_range is not None
    assert single is not None
    assert (in_range.windows, in_range.suspended) == (WINDOWS, False)
    assert (single.windows, single.suspended) == ((), True)


def test_an_address_is_remembered() -> None:
    assert REGISTRY.find("shop-ltd", b"106900007", U) is REGISTRY.find("shop-ltd", b"106900007", U)


def test_what_a_provider_invents_does_not_grow_without_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "MAX_REMEMBERED", 100)
    registry = Registry([Sender("10690*", "shop-ltd", "commercial", ())], Numbering())
    for number, _ in zip(count(), range(1000), strict=False):
        assert registry.find("shop-ltd", b"10690%d" % number, U) is not None
        assert len(registry._remembered) <= 100


def test_nobody_is_registered() -> None:
    assert Registry([], Numbering()).find("shop-ltd", b"106900001", U) is None
