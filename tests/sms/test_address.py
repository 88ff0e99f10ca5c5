"""Addresses in the one form in which two spellings of a number are the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsc_filter.smpp.constants import Ton
from smsc_filter.sms.address import Numbering

CHINA = Numbering()
FRANCE = Numbering(country_code="33", national_digits=10, trunk_prefix="0")
WHOLE = "8613800000001"


@pytest.mark.parametrize(("address", "ton", "canonical"), [
    pytest.param(b"8613800000001", Ton.INTERNATIONAL, WHOLE, id="international"),
    pytest.param(b"+8613800000001", Ton.INTERNATIONAL, WHOLE, id="international-with-plus"),
    pytest.param(b"008613800000001", Ton.INTERNATIONAL, WHOLE, id="international-with-00"),
    pytest.param(b"+8613800000001", Ton.UNKNOWN, WHOLE, id="plus"),
    pytest.param(b"008613800000001", Ton.UNKNOWN, WHOLE, id="00"),
    pytest.param(b"13800000001", Ton.UNKNOWN, WHOLE, id="as-long-as-a-national-number"),
    pytest.param(b"8613800000001", Ton.UNKNOWN, WHOLE, id="longer-than-a-national-number"),
    pytest.param(b"13800000001", Ton.NATIONAL, WHOLE, id="national"),
    pytest.param(b"013800000001", Ton.NATIONAL, WHOLE, id="national-with-trunk-prefix"),
    pytest.param(b"13800000001", Ton.SUBSCRIBER_NUMBER, WHOLE, id="subscriber-number"),
    pytest.param(b"13800000001", Ton.INTERNATIONAL, WHOLE, id="a-mobile-number-said-to-be-international"),
    pytest.param(b"12025550123", Ton.INTERNATIONAL, "12025550123", id="as-long-and-none-of-ours-is-believed"),
    pytest.param(b"+13800000001", Ton.NATIONAL, "13800000001", id="plus-decides"),
    pytest.param(b"85251234567", Ton.INTERNATIONAL, "85251234567", id="hong-kong"),
    pytest.param(b"447911123456", Ton.UNKNOWN, "447911123456", id="a-foreign-number"),
    pytest.param(b"013800000001", Ton.UNKNOWN, WHOLE, id="trunk-prefix-of-unknown-type"),
    pytest.param(b"861012345678", Ton.NATIONAL, "861012345678", id="a-landline-with-its-country-code"),
    pytest.param(b"95588", Ton.NATIONAL, "95588", id="a-short-code-said-to-be-national"),
    pytest.param(b"01012345678", Ton.UNKNOWN, "861012345678", id="a-landline-with-trunk-prefix"),
    pytest.param(b"106900001", Ton.UNKNOWN, "106900001", id="a-port"),
    pytest.param(b"10086", Ton.NETWORK_SPECIFIC, "10086", id="a-short-code"),
    pytest.param(b"13800000001", Ton.ALPHANUMERIC, WHOLE, id="digits-as-a-name"),
    pytest.param(b"ShopLtd", Ton.ALPHANUMERIC, "ShopLtd", id="a-name"),
    pytest.param(b"Shop", Ton.UNKNOWN, "Shop", id="a-name-of-unknown-type"),
    pytest.param(b"+Shop", Ton.INTERNATIONAL, "+Shop", id="a-name-with-plus"),
    pytest.param(b"", Ton.UNKNOWN, "", id="empty"),
    pytest.param(b"+", Ton.UNKNOWN, "+", id="plus-alone"),
    pytest.param(b"00", Ton.INTERNATIONAL, "00", id="00-alone"),
    pytest.param(b"caf\xe9", Ton.UNKNOWN, "café", id="octets-above-127"),
    pytest.param(b"12\xb2", Ton.INTERNATIONAL, "12²", id="a-superscript-is-kept"),
    pytest.param(b"12\xb2", Ton.NATIONAL, "12²", id="a-superscript-is-no-digit"),
])  # fmt: skip
def test_canonical(address: bytes, ton: Ton, canonical: str) -> None:
    assert CHINA.canonical(address, ton) == canonical
    assert CHINA.canonical(address.decode("latin-1"), ton) == canonical


@pytest.mark.parametrize("ton", range(7))
@pytest.mark.parametrize("address", [b"8613800000001", b"13800000001", b"+8613800000001", b"008613800000001"])
def test_a_mobile_number_is_the_same_whatever_its_type_says(address: bytes, ton: int) -> None:
    assert CHINA.canonical(address, ton) == WHOLE


@pytest.mark.parametrize(("address", "ton"), [
    (b"33612345678", Ton.NATIONAL), (b"0612345678", Ton.UNKNOWN),
    (b"0612345678", Ton.NATIONAL), (b"612345678", Ton.NATIONAL),
    (b"33612345678", Ton.INTERNATIONAL), (b"+33612345678", Ton.UNKNOWN), (b"0033612345678", Ton.UNKNOWN),
])  # fmt: skip
def test_another_country(address: bytes, ton: Ton) -> None:
    assert FRANCE.canonical(address, ton) == "33612345678"


@given(st.binary(max_size=64), st.integers(0, 255))
def test_any_address_has_a_form(address: bytes, ton: int) -> None:
    assert isinstance(CHINA.canonical(address, ton), str)
