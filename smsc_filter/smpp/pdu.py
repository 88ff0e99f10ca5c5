"""A PDU: a view on its octets. Fields are read where they are needed, octets are kept as they came."""

from __future__ import annotations

from struct import Struct
from typing import Final

from smsc_filter.smpp.constants import HEADER_OCTETS, RESPONSE_BIT, CommandId, CommandStatus
from smsc_filter.smpp.layouts import LAYOUTS, PATTERNS, what_is_wrong

HEADER: Final = Struct(">IIII")

COMMAND_NAMES: Final = {int(command): command.name.lower() for command in CommandId}


_EMPTY_BODIES: Final = {int(CommandId.DELIVER_SM): b"\0", int(CommandId.DATA_SM): b"\0"}
"""Responses whose message_id is mandatory whatever their status (sections 4.6.2 and 4.7.2): an empty one."""


class Pdu:
    """One unit on the wire, whole."""

    __slots__ = ("command_id", "command_status", "octets", "sequence_number")

    def __init__(self, octets: bytes, command_id: int, command_status: int, sequence_number: int) -> None:
        self.octets = octets
        self.command_id = command_id
        self.command_status = command_status
        self.sequence_number = sequence_number

    @classmethod
    def from_octets(cls, octets: bytes) -> Pdu:
        """One whole PDU; ``octets`` has at least its 16-octet header."""
        return cls(octets, *HEADER.unpack_from(octets)[1:])

    @property
    def body(self) -> bytes:
        """What follows the 16-octet header."""
        return self.octets[HEADER_OCTETS:]

    @property
    def name(self) -> str:
        """The command as the specification writes it; unknown ids in hexadecimal."""
        return COMMAND_NAMES.get(self.command_id, f"0x{self.command_id:08x}")

    def fields(self) -> dict[str, bytes | int]:
        """Mandatory parameters by name, integers as such and strings without their NUL.

        Raises:
            PduError: the body does not have the layout of its command.
        """
        layout = LAYOUTS[self.command_id]
        match = PATTERNS[self.command_id].match(self.octets, HEADER_OCTETS)
        if match is None:
            raise what_is_wrong(layout, self.octets, self.sequence_number)
        return {
            field.name: value if field.string else int.from_bytes(value, "big")
            for field, value in zip(layout, match.groups(), strict=True)
        }

    def reply(self, status: int = CommandStatus.ESME_ROK, body: bytes = b"") -> bytes:
        """The response to this request, as octets."""
        body = body or _EMPTY_BODIES.get(self.command_id, b"")
        return (
            HEADER.pack(HEADER_OCTETS + len(body), self.command_id | RESPONSE_BIT, status, self.sequence_number) + body
        )

    def numbered(self, sequence_number: int) -> bytes:
        """The same octets under another sequence_number."""
        return b"%b%b%b" % (self.octets[:12], sequence_number.to_bytes(4, "big"), self.octets[16:])

    def __repr__(self) -> str:
        return (
            f"<Pdu {self.name} sequence_number={self.sequence_number}"
            f" command_status={self.command_status} octets={len(self.octets)}>"
        )
