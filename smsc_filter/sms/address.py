"""Addresses: type of number, digits, and the one form in which two spellings of a number are the same."""

from dataclasses import dataclass
from typing import Final

from smsc_filter.smpp.constants import Ton
from smsc_filter.sms import number

_DIGITS = frozenset("0123456789")
_LATIN = "latin-1"

LEAST_NATIONAL_DIGITS: Final = 7
"""Of a subscriber's number; what is shorter is a short code, whatever its type."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbering:
    """``[numbers]``: how a national number is told from an international one."""

    country_code: str = "86"
    """Put before national numbers to make them E.164."""

    national_digits: int = 11
    """Length of a national mobile number; a number of unknown type and this length is one."""

    trunk_prefix: str = "0"
    """Taken off the front of a national number."""

    def canonical(self, address: bytes | str, ton: int = Ton.UNKNOWN) -> str:
        """The address as it is looked up and counted: E.164 digits without plus, other addresses as they are.

        The digits decide, not their type: clients put one type before everything (Kannel national, Jasmin
        international). ``ton`` counts where digits of one length may be either.
        """
        text = address if isinstance(address, str) else address.decode(_LATIN)
        digits = text
        if digits[:1] == "+":
            digits = digits[1:]
        elif digits[:2] == "00":
            digits = digits[2:]
        if not digits or not _DIGITS.issuperset(digits):
            return text
        if digits is not text:
            return digits
        length, most = len(digits), self.national_digits
        if length == most:
            # A foreign number may have as many digits: its type is believed, unless it is a mobile number from here.
            series = number.SERIES.get(self.country_code)
            if ton == Ton.INTERNATIONAL and (series is None or not series.fullmatch(digits)):
                return digits
            return self.country_code + digits.removeprefix(self.trunk_prefix)
        trunk = self.trunk_prefix
        if trunk and length == most + len(trunk) and digits.startswith(trunk):
            return self.country_code + digits[len(trunk) :]
        national = ton in (Ton.NATIONAL, Ton.SUBSCRIBER_NUMBER) and length >= LEAST_NATIONAL_DIGITS
        return self.country_code + digits if national and not self._is_whole(digits) else digits

    def _is_whole(self, digits: str) -> bool:
        """Whether digits are as long as the country code and a national number, and begin with the code."""
        rest = len(digits) - len(self.country_code)
        most = self.national_digits
        return most - len(self.trunk_prefix) <= rest <= most and digits.startswith(self.country_code)

    def msisdn(self, text: str) -> str:
        """A subscriber's number as a person, a file or a program writes it, in E.164 digits.

        Raises:
            NumberError: it is none; see ``sms.number``.
        """
        return number.msisdn(text, self)
