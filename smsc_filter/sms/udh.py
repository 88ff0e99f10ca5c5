"""User Data Header: the elements in front of the text when esm_class says so (3GPP TS 23.040, 9.2.3.24)."""

from typing import Final, NamedTuple

CONCATENATED_8: Final = 0x00
CONCATENATED_16: Final = 0x08


class Part(NamedTuple):
    """Which part of which long message this is."""

    reference: int
    """Chosen by the sender. Each way to say it is a space of its own: 8 bits from 0, 16 bits from 0x10000,
    SAR parameters from 0x20000."""
    total: int
    """Number of parts, 1 to 255."""
    number: int
    """1 to ``total``."""


def part_of(reference: int, total: int, number: int) -> Part | None:
    """A part, or None for numbers that make none: such a message stands for itself, as handsets treat it."""
    return Part(reference, total, number) if 1 <= number <= total and total > 1 else None


def split_udh(user_data: bytes) -> tuple[Part | None, bytes]:
    """Split user data that begins with a header into (part, what the header leaves).

    A header that claims more octets than there are is no header: everything is then text.
    """
    if not user_data or user_data[0] >= len(user_data):
        return None, user_data
    end = 1 + user_data[0]
    part = None
    at = 1
    while at + 2 <= end:
        element, length = user_data[at], user_data[at + 1]
        value = user_data[at + 2 : min(at + 2 + length, end)]
        at += 2 + length
        if element == CONCATENATED_8 and len(value) == 3:
            part = part_of(value[0], value[1], value[2])
        elif element == CONCATENATED_16 and len(value) == 4:
            part = part_of(0x10000 + int.from_bytes(value[:2], "big"), value[2], value[3])
    return part, user_data[end:]


def concatenation_header(reference: int, total: int, number: int) -> bytes:
    """The header of one part of a long message of ours, with an 8-bit reference."""
    return bytes((5, CONCATENATED_8, 3, reference & 0xFF, total, number))
