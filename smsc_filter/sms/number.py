"""Subscribers' numbers as people, files and networks write them, in the one form that is stored: E.164 digits.

Files, the API, decline lists, complaints, the portal and the command line ask ``msisdn`` for the one number a text
means, or why it means none. A withdrawal by reply asks ``readings`` for every number its source address may mean.

Which numbers a country has is asked of the library ``phonenumbers``, which takes some 30 us; the mobile numbers of the
home country, most of every list, match one pattern and are read in 1 us. Nothing here is called for each message.
"""

from __future__ import annotations

import re
import unicodedata
from enum import Enum
from functools import lru_cache
from typing import Final, Protocol

import phonenumbers
from phonenumbers import PhoneMetadata, PhoneNumberFormat, PhoneNumberType

from smsc_filter.smpp.constants import Ton

MOST_CHARACTERS: Final = 64
"""Of a number with everything that stands around it."""

SERIES: Final = {"86": re.compile(r"1[3-9][0-9]{9}"), "91": re.compile(r"[6-9][0-9]{9}")}
"""Country code -> the form of its mobile numbers, where new ones are given out faster than the library follows."""

MOST_DIGITS: Final = 17
"""Of a number with its trunk prefix: E.164 has 15."""

NATIONAL_PLAN: Final = 8
"""Numbering plan indicator (SMPP v3.4, section 5.2.6) of a national plan."""


class Believed(Enum):
    """What the type of a number says that its digits begin with."""

    INTERNATIONAL = "a country code"
    NATIONAL = "an area or network code"


_BELIEVED: Final[dict[int, Believed]] = {
    Ton.INTERNATIONAL: Believed.INTERNATIONAL,
    Ton.NATIONAL: Believed.NATIONAL,
    Ton.SUBSCRIBER_NUMBER: Believed.NATIONAL,
}

_MOBILE: Final = (PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE_OR_MOBILE)

_DIGITS: Final = frozenset("0123456789")

_EXPONENT: Final = re.compile(r"\+?([0-9])(?:\.([0-9]+))?[eE]\+?([0-9]{1,2})")
_DECIMAL: Final = re.compile(r"(\+?[0-9]{1,32})\.([0-9]{1,2}|0{1,32})")
"""A fraction behind digits; longer ones may be the last group of a number written with dots."""

_THOUSANDS: Final = re.compile(r"[0-9]{1,3}(?:,[0-9]{3})+")
_APOSTROPHES: Final = "'\u2018\u2019`\u00b4\uff07"
_SEPARATORS: Final = frozenset("()./\u00b7\u2022\u30fb")
"""What stands between digits besides blanks and dashes of any kind. A slash alone never joins two numbers: what
results is too long to be one."""


class _Numbering(Protocol):
    """What is asked of ``sms.address.Numbering``, which asks here in its turn."""

    @property
    def country_code(self) -> str: ...
    @property
    def trunk_prefix(self) -> str: ...
    def canonical(self, address: bytes | str, ton: int = ..., /) -> str: ...


class NumberError(ValueError):
    """A text is no number of a subscriber."""

    def __init__(self, text: str, reason: str) -> None:
        shown = repr(text if len(text) <= MOST_CHARACTERS else text[: MOST_CHARACTERS - 3] + "...")
        super().__init__(f"{shown} is not a phone number: {reason}")
        self.reason = reason
        """Without the text, for answers that end up in logs."""


def msisdn(text: str, numbering: _Numbering) -> str:
    """The subscriber's number that ``text`` means, in E.164 digits.

    Of a number without a country code that may be read in several ways the most plausible one is taken, see
    ``Country.candidates``. Digits are never added nor dropped otherwise.

    Raises:
        NumberError: it means none, or has lost digits on its way.
    """
    country = _country(numbering)
    found = country.common(text)
    return found if found is not None else country.read(text)


def readings(source_addr: bytes | str, ton: int, npi: int, numbering: _Numbering) -> list[str]:
    """Every number that the source address of a reply may mean, the most plausible one first; at least one.

    Type and plan are hints: networks deliver ``138...`` as international and ``86138...`` as national. The form under
    which the relay would look the address up as a recipient is always among them.
    """
    text = source_addr if isinstance(source_addr, str) else source_addr.decode("latin-1")
    country = _country(numbering)
    found: list[str] = []
    try:
        digits, international = _cleaned(text)
    except NumberError:
        pass
    else:
        believed = Believed.INTERNATIONAL if international else _BELIEVED.get(ton)
        if believed is None and npi == NATIONAL_PLAN:
            believed = Believed.NATIONAL
        found = country.candidates(digits, believed)
        if not found and 7 <= len(digits) <= 15:
            # The library knows no such number; somebody may have it nevertheless.
            found = [numbering.canonical(text, kind) for kind in (ton, Ton.UNKNOWN, Ton.INTERNATIONAL, Ton.NATIONAL)]
    return list(dict.fromkeys([*found, numbering.canonical(text, ton)]))


class Country:
    """The numbers of the home country, and how foreign ones are told from them."""

    def __init__(self, code: str, trunk_prefix: str) -> None:
        """Read numbers where ``code`` is the country code and ``trunk_prefix`` precedes national numbers."""
        self.code = code
        self._series = SERIES.get(code)
        region = phonenumbers.region_code_for_country_code(int(code)) if code.isdigit() else "ZZ"
        metadata = PhoneMetadata.metadata_for_region(region, None)
        library = _trunk_prefix(int(code)) if code.isdigit() else ""
        self._trunk_prefixes = sorted({trunk_prefix, library} - {""})
        abroad = (metadata.international_prefix if metadata is not None else None) or "00"
        self._abroad = re.compile(f"(?:00|{abroad})(?=[1-9])")
        pattern = self._series.pattern if self._series else None
        if pattern is None and metadata is not None and metadata.mobile is not None:
            pattern = metadata.mobile.national_number_pattern
        # A number that cannot be: nothing is common.
        self._common = re.compile(rf"(?:\+?{re.escape(code)})?({pattern or '(?!)'})", re.ASCII)
        lengths = metadata.mobile.possible_length if metadata is not None and metadata.mobile is not None else ()
        self._mobile_digits = tuple(length for length in lengths if length > 0)

    def common(self, text: str) -> str | None:
        """A mobile number of this country, written as most lists write it; None for what has to be looked at."""
        match = self._common.fullmatch(text)
        return self.code + match[1] if match is not None else None

    def read(self, text: str) -> str:
        """The number that ``text`` means.

        Raises:
            NumberError: it means none.
        """
        digits, international = _cleaned(text)
        if international:
            number = self.number(digits)
            found = [number[0]] if number is not None else []
        else:
            found = self.candidates(digits)
        if not found:
            raise NumberError(text, self._why(digits, international))
        return found[0]

    def candidates(self, digits: str, believed: Believed | None = None) -> list[str]:
        """What digits may mean, the most plausible first.

        Behind a trunk prefix that is a number of this country. Otherwise mobile numbers come before others, and those
        of this country before foreign ones: ``13105551234`` is Chinese in China, ``85251234567`` of Hong Kong.

        Args:
            digits: without plus.
            believed: what their type says of them; the others come behind it.
        """
        abroad = self._abroad.match(digits)
        if abroad is not None and (number := self.number(digits[abroad.end() :])) is not None:
            return [number[0]]
        found = [
            (Believed.NATIONAL, False, self._at_home(digits)),
            (Believed.INTERNATIONAL, False, self.number(digits)),
        ]
        for prefix in self._trunk_prefixes:
            if digits.startswith(prefix):
                rest = digits[len(prefix) :]
                found += [
                    (Believed.NATIONAL, True, self._at_home(rest)),
                    (Believed.INTERNATIONAL, False, self.number(rest)),
                ]
        ranked = [
            ((kind is not believed, not trunk, not number[1]), number[0])
            for kind, trunk, number in found
            if number is not None
        ]
        ranked.sort(key=lambda each: each[0])  # of equal ones the number of this country stays first
        return list(dict.fromkeys(number for _, number in ranked))

    def number(self, digits: str) -> tuple[str, bool] | None:
        """What digits mean that begin with a country code, and whether that is a mobile number; None: nothing."""
        if not 7 <= len(digits) <= MOST_DIGITS or digits[0] == "0":
            return None
        try:
            number = phonenumbers.parse(f"+{digits}")
        except phonenumbers.NumberParseException:
            return None
        mobile = _is_mobile(number)
        if mobile is None:
            return None
        e164 = phonenumbers.format_number(number, PhoneNumberFormat.E164)[1:]
        code = str(number.country_code)
        # The library takes off what else precedes numbers too, such as the code of a carrier: that is not ours to drop.
        rest, given = e164[len(code) :], digits[len(code) :]
        dropped = given.removesuffix(rest) if given != rest else ""
        return (e164, mobile) if dropped == "" or dropped == _trunk_prefix(number.country_code) else None

    def _at_home(self, digits: str) -> tuple[str, bool] | None:
        return self.number(self.code + digits) if digits[:1] != "0" else None

    def _why(self, digits: str, international: bool) -> str:
        if not 7 <= len(digits) <= 15:
            return f"it has {len(digits)} digits, 7 to 15 are expected"
        if international and not digits.startswith(self.code):
            return "its country has no such number"
        most = self._mobile_digits
        expected = " or ".join(str(length) for length in most)
        of_mobiles = f"; its mobile numbers have {expected}, {'/'.join(str(n + len(self.code)) for n in most)} with it"
        return f"{len(digits)} digits are no number of country code {self.code}{of_mobiles if most else ''}"


@lru_cache(maxsize=64)
def _of(code: str, trunk_prefix: str) -> Country:
    return Country(code, trunk_prefix)


def _country(numbering: _Numbering) -> Country:
    return _of(numbering.country_code, numbering.trunk_prefix)


def _is_mobile(number: phonenumbers.PhoneNumber) -> bool | None:
    """Whether a number is a mobile one; None: its country has no such number."""
    series = SERIES.get(str(number.country_code))
    if series is not None and series.fullmatch(phonenumbers.national_significant_number(number)):
        return True
    kind = phonenumbers.number_type(number)
    return None if kind == PhoneNumberType.UNKNOWN else kind in _MOBILE


def _trunk_prefix(code: int | None) -> str:
    """What precedes national numbers where ``code`` is the country code."""
    if code is None:
        return ""
    metadata = PhoneMetadata.metadata_for_region(phonenumbers.region_code_for_country_code(code), None)
    return (metadata.national_prefix or "") if metadata is not None else ""


def _cleaned(text: str) -> tuple[str, bool]:
    """The digits of a number as it is written, and whether a plus or 00 says that they begin with a country code.

    Raises:
        NumberError: there is something in it that no number has, or it has lost digits.
    """
    if len(text) > MOST_CHARACTERS:
        raise NumberError(text, f"it is longer than {MOST_CHARACTERS} characters")
    plain = text if text.isascii() else _ascii(text)
    plain = plain.strip()
    if plain[:2] == '="' and plain[-1:] == '"':
        plain = plain[2:-1]
    plain = plain.strip("\"'").removeprefix("tel:").strip()
    if exponent := _EXPONENT.fullmatch(plain):
        plain = _expanded(text, *exponent.groups(default=""))
    elif decimal := _DECIMAL.fullmatch(plain):
        if decimal[2].strip("0"):
            raise NumberError(text, "it is no whole number")
        plain = decimal[1]
    elif _THOUSANDS.fullmatch(plain):
        plain = plain.replace(",", "")
    plus = plain[:1] == "+"
    digits = "".join(character for character in plain[plus:] if character not in " -()./")
    if not digits or not _DIGITS.issuperset(digits):
        raise NumberError(text, _stray(digits))
    if plus:
        digits = digits.removeprefix("00")
    elif digits[:2] == "00":
        plus, digits = True, digits[2:]
    return digits, plus


def _ascii(text: str) -> str:
    """Digits, signs and blanks of any script as those of ASCII; marks that show nothing are dropped."""
    plain = []
    for character in text:
        kind = unicodedata.category(character)
        if kind in ("Cf", "Mn"):
            continue
        if kind == "Nd":
            plain.append(str(unicodedata.digit(character)))
        elif kind[0] == "Z":
            plain.append(" ")
        elif kind == "Pd" or character in "\u2212\u30fc":
            plain.append("-")
        elif character in _APOSTROPHES:
            plain.append("'")
        elif character in _SEPARATORS:
            plain.append(".")
        else:
            plain.append(unicodedata.normalize("NFKC", character))
    return "".join(plain)


def _expanded(text: str, first: str, fraction: str, exponent: str) -> str:
    """The digits of a number that a spreadsheet wrote with an exponent, where it has kept all of them."""
    power = int(exponent)
    if len(fraction) < power:
        raise NumberError(
            text,
            f"it has lost its last digits, {1 + len(fraction)} of {1 + power} are left; have the spreadsheet save the "
            "column as text",
        )
    if fraction[power:].strip("0"):
        raise NumberError(text, "it is no whole number")
    return first + fraction[:power]


def _stray(rest: str) -> str:
    character = next((each for each in rest if each not in _DIGITS), "")
    return f"{character!r} is in it" if character else "it has no digits"
