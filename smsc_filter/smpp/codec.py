"""Whole PDUs off a byte buffer; building the PDUs we originate."""

from collections.abc import Iterator
from typing import Final

from smsc_filter.smpp.constants import HEADER_OCTETS, CommandId, CommandStatus
from smsc_filter.smpp.errors import FramingError
from smsc_filter.smpp.pdu import HEADER, Pdu

DEFAULT_MAX_PDU_OCTETS: Final = 72 * 1024
"""Room for a message_payload of 65,535 octets and the fields around it."""


def take_pdus(received: bytearray, max_pdu_octets: int = DEFAULT_MAX_PDU_OCTETS) -> Iterator[Pdu]:
    """Cut every whole PDU off the front of ``received``, which keeps the octets of an unfinished one.

    Raises:
        FramingError: a command_length that no PDU has; raised behind the PDUs that came before it.
    """
    # A PDU that comes in by single octets is copied once, when it is whole, not once an octet.
    if len(received) < HEADER_OCTETS:
        if len(received) >= 4:
            _check_length(int.from_bytes(received[:4], "big"), max_pdu_octets, 0)
        return
    if len(received) < int.from_bytes(received[:4], "big") <= max_pdu_octets:
        return
    octets = bytes(received)
    end = len(octets)
    start = 0
    unpack = HEADER.unpack_from
    try:
        while end - start >= HEADER_OCTETS:
            length, command_id, command_status, sequence_number = unpack(octets, start)
            if not HEADER_OCTETS <= length <= max_pdu_octets:
                _check_length(length, max_pdu_octets, sequence_number)
            stop = start + length
            if stop > end:
                break
            pdu = Pdu(octets[start:stop], command_id, command_status, sequence_number)
            start = stop
            yield pdu
    finally:
        del received[:start]


def _check_length(length: int, max_pdu_octets: int, sequence_number: int) -> None:
    """Raise a FramingError for a command_length that no PDU has."""
    if not HEADER_OCTETS <= length <= max_pdu_octets:
        detail = f"command_length {length} is not between {HEADER_OCTETS} and {max_pdu_octets}"
        raise FramingError(detail, sequence_number)


def encode(
    command_id: int,
    sequence_number: int,
    body: bytes = b"",
    status: int = CommandStatus.ESME_ROK,
) -> bytes:
    """One PDU as octets."""
    return HEADER.pack(HEADER_OCTETS + len(body), command_id, status, sequence_number) + body


def encode_bind(
    command_id: int,
    sequence_number: int,
    system_id: bytes,
    password: bytes,
    *,
    system_type: bytes = b"",
    interface_version: int = 0x34,
    address_range: bytes = b"",
) -> bytes:
    """A bind request of any of the three kinds (section 4.1)."""
    body = b"%b\0%b\0%b\0%b\0\0%b\0" % (
        system_id,
        password,
        system_type,
        interface_version.to_bytes(1, "big"),
        address_range,
    )
    return encode(command_id, sequence_number, body)


def encode_submit(
    sequence_number: int,
    source: bytes,
    destination: bytes,
    short_message: bytes,
    *,
    command_id: int = CommandId.SUBMIT_SM,
    service_type: bytes = b"",
    source_ton: int = 0,
    source_npi: int = 1,
    destination_ton: int = 1,
    destination_npi: int = 1,
    esm_class: int = 0,
    registered_delivery: int = 0,
    data_coding: int = 0,
    tlvs: bytes = b"",
) -> bytes:
    """A submit_sm (or deliver_sm) with the common fields set (section 4.4.1).

    ``short_message`` has at most 254 octets; longer texts go into a message_payload in ``tlvs``.
    """
    body = b"".join(
        (
            service_type,
            bytes((0, source_ton, source_npi)),
            source,
            bytes((0, destination_ton, destination_npi)),
            destination,
            bytes((0, esm_class, 0, 0, 0, 0, registered_delivery, 0, data_coding, 0, len(short_message))),
            short_message,
            tlvs,
        )
    )
    return encode(command_id, sequence_number, body)
