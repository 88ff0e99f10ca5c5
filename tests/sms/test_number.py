"""Subscribers' numbers, however they are written, as the one number that is stored, or as an error that says why."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsc_filter.sms.address import Numbering
from smsc_filter.sms.number import NumberError, _country, msisdn, readings

CHINA = Numbering()
US = Numbering(country_code="1", national_digits=10, trunk_prefix="1")
INDIA = Numbering(country_code="91", national_digits=10)
WHOLE = "8613800000001"


@pytest.mark.parametrize(("text", "number"), [
    pytest.param("13800000001", WHOLE, id="national"),
    pytest.param("8613800000001", WHOLE, id="with-the-country-code"),
    pytest.param("+8613800000001", WHOLE, id="plus"),
    pytest.param("008613800000001", WHOLE, id="00"),
    pytest.param("013800000001", WHOLE, id="trunk-prefix"),
    pytest.param("08613800000001", WHOLE, id="trunk-prefix-and-country-code"),
    pytest.param("+86 (0)138 0000 0001", WHOLE, id="trunk-prefix-in-parentheses"),
    pytest.param(" 138-0000-0001 ", WHOLE, id="hyphens"),
    pytest.param("(138) 0000 0001", WHOLE, id="parentheses"),
    pytest.param("0086.13800000001", WHOLE, id="a-dot-between"),
    pytest.param("138\u00a00000\u202f0001", WHOLE, id="blanks-that-do-not-break"),
    pytest.param("138\u20130000\u20140001", WHOLE, id="dashes"),
    pytest.param("\u202d138 0000 0001\u202c", WHOLE, id="marks-of-direction-from-an-address-book"),
    pytest.param("\ufeff13800000001", WHOLE, id="a-byte-order-mark"),
    pytest.param("＋８６１３８００００００１１".replace("１１", "0１"), WHOLE, id="full-width"),
    pytest.param("（１３８）００００－０００１", WHOLE, id="full-width-with-parentheses"),
    pytest.param("٠١٣٨٠٠٠٠٠٠٠١", WHOLE, id="arabic-digits"),
    pytest.param("'13800000001", WHOLE, id="apostrophe"),
    pytest.param("\u201913800000001", WHOLE, id="typographic-apostrophe"),
    pytest.param('="13800000001"', WHOLE, id="a-formula-that-keeps-text"),
    pytest.param("tel:+86-138-0000-0001", WHOLE, id="tel"),
    pytest.param("13800000001.0", WHOLE, id="pandas"),
    pytest.param("8613800000001.00", WHOLE, id="two-zeros-behind"),
    pytest.param("8.613800000001E+12", WHOLE, id="exponent-with-all-digits"),
    pytest.param("1.3800000001e10", WHOLE, id="small-e"),
    pytest.param("13,800,000,001", WHOLE, id="thousands"),
    pytest.param("15412345678", "8615412345678", id="a-series-the-library-may-not-know"),
    pytest.param("010-61234567", "861061234567", id="a-landline"),
    pytest.param("12025550123", "12025550123", id="american-without-plus"),
    pytest.param("447911123456", "447911123456", id="british-without-plus"),
    pytest.param("85251234567", "85251234567", id="hong-kong-without-plus"),
    pytest.param("+44 (0)7911 123456", "447911123456", id="british-trunk-prefix"),
    pytest.param("+39 06 12345678", "390612345678", id="italian-zero-stays"),
    pytest.param("13105551234", "8613105551234", id="either-is-of-this-country"),
    pytest.param("+13105551234", "13105551234", id="plus-decides"),
])  # fmt: skip
def test_a_number_as_people_and_programs_write_it(text: str, number: str) -> None:
    assert CHINA.msisdn(text) == number


@pytest.mark.parametrize(("text", "reason"), [
    pytest.param("", "no digits", id="empty"),
    pytest.param("Li Wei", "'L' is in it", id="a-name"),
    pytest.param("1380000x001", "'x' is in it", id="a-letter"),
    pytest.param("123456", "6 digits, 7 to 15", id="6-digits"),
    pytest.param("1234567890123456", "16 digits, 7 to 15", id="16-digits"),
    pytest.param("1380000000", "10 digits are no number of country code 86; its mobile numbers have 11, 13 with it",
                 id="a-digit-lost"),
    pytest.param("861380000000", "12 digits are no", id="a-digit-lost-behind-the-country-code"),
    pytest.param("86138000000011", "14 digits are no", id="a-digit-more"),
    pytest.param("+13800000001", "its country has no such number", id="plus-before-a-national-one"),
    pytest.param("10690000101", "11 digits are no", id="a-port"),
    pytest.param("8.6138E+12", "lost its last digits, 5 of 13 are left", id="exponent"),
    pytest.param("1.38E10", "lost its last digits, 3 of 11 are left", id="exponent-of-a-national-one"),
    pytest.param("1380000000.1", "no whole number", id="a-fraction"),
    pytest.param("1381119010.0", "10 digits are no", id="pandas-with-a-digit-lost"),
    pytest.param("13800000001/13900000002", "22 digits", id="two-numbers"),
    pytest.param("13800000001 ext 5", "'e' is in it", id="an-extension"),
    pytest.param("1" * 65, "longer than 64 characters", id="long"),
])  # fmt: skip
def test_what_is_no_number_is_refused_with_its_reason(text: str, reason: str) -> None:
    with pytest.raises(NumberError, match="is not a phone number") as refused:
        CHINA.msisdn(text)
    assert reason in refused.value.reason


@pytest.mark.parametrize(("numbering", "text", "number"), [
    pytest.param(US, "(202) 555-0123", "12025550123", id="american"),
    pytest.param(US, "1 202 555 0123", "12025550123", id="american-with-1"),
    pytest.param(US, "8613800000001", WHOLE, id="a-chinese-one-in-america"),
    pytest.param(US, "011 44 7911 123456", "447911123456", id="011"),
    pytest.param(INDIA, "098765 43210", "919876543210", id="indian"),
    pytest.param(INDIA, "919876543210", "919876543210", id="indian-with-its-code"),
])  # fmt: skip
def test_another_country(numbering: Numbering, text: str, number: str) -> None:
    assert numbering.msisdn(text) == number


@pytest.mark.parametrize(("address", "ton", "npi", "numbers"), [
    pytest.param(b"8613800000001", 1, 1, [WHOLE], id="as-it-should-be"),
    pytest.param(b"13800000001", 1, 1, [WHOLE], id="national-said-to-be-international"),
    pytest.param(b"013800000001", 0, 1, [WHOLE], id="trunk-prefix-of-unknown-type"),
    pytest.param(b"8613800000001", 2, 1, [WHOLE], id="international-said-to-be-national"),
    pytest.param(b"+8613800000001", 1, 1, [WHOLE], id="plus"),
    pytest.param(b"86013800000001", 1, 1, [WHOLE, "86013800000001"], id="trunk-prefix-behind-the-country-code"),
    pytest.param(b"8613800000001", 5, 0, [WHOLE], id="alphanumeric"),
    pytest.param(b"13105551234", 1, 1, ["13105551234", "8613105551234"], id="two-countries-international"),
    pytest.param(b"13105551234", 2, 1, ["8613105551234", "13105551234"], id="two-countries-national"),
    pytest.param(b"13105551234", 0, 8, ["8613105551234", "13105551234"], id="two-countries-national-plan"),
    pytest.param(b"+13800000001", 1, 1, [WHOLE, "13800000001"], id="plus-before-a-national-one"),
    pytest.param(b"10000000001", 0, 1, ["8610000000001", "10000000001"], id="a-number-nobody-knows"),
    pytest.param(b"10086", 3, 0, ["10086"], id="a-short-code"),
    pytest.param(b"ShopLtd", 5, 0, ["ShopLtd"], id="a-name"),
])  # fmt: skip
def test_readings_of_a_source_address(address: bytes, ton: int, npi: int, numbers: list[str]) -> None:
    assert readings(address, ton, npi, CHINA) == numbers


@given(st.binary(max_size=30) | st.from_regex(rb"[0+]{0,3}[0-9]{5,15}", fullmatch=True), st.integers(0, 7),
       st.integers(0, 18))  # fmt: skip
def test_any_source_address_has_readings_and_what_the_relay_looks_up_is_among_them(
    address: bytes, ton: int, npi: int
) -> None:
    assert CHINA.canonical(address, ton) in readings(address, ton, npi, CHINA)


@given(st.from_regex(r"\+?(?:86)?1[0-9]{9,11}", fullmatch=True))
def test_the_short_way_says_what_the_long_one_says(text: str) -> None:
    country = _country(CHINA)
    common = country.common(text)
    if common is not None:
        assert country.read(text) == common


@given(st.sampled_from([CHINA, US, INDIA]), st.text("0123456789+-(). E\u00a0'１", max_size=20))
def test_whatever_is_read_is_read_again_as_itself(numbering: Numbering, text: str) -> None:
    try:
        number = msisdn(text, numbering)
    except NumberError:
        return
    assert number.isascii() and number.isdigit() and 7 <= len(number) <= 15
    assert msisdn(f"+{number}", numbering) == number
