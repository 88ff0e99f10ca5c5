"""Optional parameters <-> octets (SMPP v3.4, section 3.2.4)."""

from struct import Struct

from smsc_filter.smpp.constants import CommandStatus
from smsc_filter.smpp.errors import PduError

TLV_HEADER = Struct(">HH")


def read_tlvs(octets: bytes, start: int, sequence_number: int = 0) -> list[tuple[int, bytes]]:
    """Optional parameters of a PDU, in their order.

    Args:
        octets: a whole PDU.
        start: where its mandatory part ends.
        sequence_number: of that PDU, for the error.

    Returns:
        (tag, value) for each, repeated and unknown tags included.

    Raises:
        PduError: ESME_RINVOPTPARSTREAM, a parameter reaches past the end of the PDU.
    """
    found = []
    end = len(octets)
    while start < end:
        if end - start == 1 and octets[start] == 0:
            # Some gateways end a PDU with a NUL (praekelt/python-smpp#7). Nothing can hide in it.
            break
        if end - start < TLV_HEADER.size:
            raise PduError(
                CommandStatus.ESME_RINVOPTPARSTREAM,
                sequence_number,
                f"{end - start} octets after the last optional parameter; one has at least 4",
            )
        tag, length = TLV_HEADER.unpack_from(octets, start)
        start += TLV_HEADER.size
        if start + length > end:
            raise PduError(
                CommandStatus.ESME_RINVOPTPARSTREAM,
                sequence_number,
                f"optional parameter 0x{tag:04x} says {length} octets and has {end - start}",
            )
        found.append((tag, octets[start : start + length]))
        start += length
    return found


def whole_tlvs(octets: bytes, start: int) -> list[tuple[int, bytes]]:
    """Optional parameters up to the first that is not whole: what can be made of a PDU that ends in stray octets."""
    found: list[tuple[int, bytes]] = []
    while start + TLV_HEADER.size <= len(octets):
        tag, length = TLV_HEADER.unpack_from(octets, start)
        start += TLV_HEADER.size
        if start + length > len(octets):
            break
        found.append((tag, octets[start : start + length]))
        start += length
    return found


def encode_tlv(tag: int, value: bytes) -> bytes:
    """One optional parameter as octets; ``value`` has at most 65,535."""
    return TLV_HEADER.pack(tag, len(value)) + value
