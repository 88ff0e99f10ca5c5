"""Addresses: type of number, digits, and the one form in which two spellings of a number are the same."""

from dataclasses import dataclass

from smsc_filter.smpp.constants import Ton
from smsc_filter.sms import number

_DIGITS = frozenset("0123456789")
_LATIN = "latin-1"


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

        A number whose type claims to be international is believed: where that is wrong, the consent of
        nobody is found, which is refusal, the safe side.
        """
        text = address if isinstance(address, str) else address.decode(_LATIN)
        if ton == Ton.INTERNATIONAL and text.isdigit() and text[:2] != "00":
            return text
        if ton == Ton.ALPHANUMERIC:
            return text
        digits = text
        international = ton == Ton.INTERNATIONAL
        if digits[:1] == "+":
            digits, international = digits[1:], True
        elif digits[:2] == "00":
            digits, international = digits[2:], True
        if not digits or not _DIGITS.issuperset(digits):
            return text
        if international:
            return digits
        if ton in (Ton.NATIONAL, Ton.SUBSCRIBER_NUMBER) or len(digits) == self.national_digits:
            return self.country_code + digits.removeprefix(self.trunk_prefix)
        return digits

    def msisdn(self, text: str) -> str:
        """A subscriber's number as a person, a file or a program writes it, in E.164 digits.

        Raises:
            NumberError: it is none; see ``sms.number``.
        """
        return number.msisdn(text, self)
