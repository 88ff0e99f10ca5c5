"""What can be wrong with octets, by what the catcher does next."""

from smsc_filter.smpp.constants import CommandStatus


class SmppError(Exception):
    """Something the peer sent is not SMPP v3.4."""


class FramingError(SmppError):
    """The stream has lost its PDU boundaries: answer generic_nack, then close the link."""

    def __init__(self, detail: str, sequence_number: int = 0) -> None:
        super().__init__(detail)
        self.sequence_number = sequence_number
        """Of the PDU with the broken length; 0 where it did not come that far."""


class PduError(SmppError):
    """One PDU is wrong and the next is fine: answer it with ``status``."""

    def __init__(self, status: CommandStatus, sequence_number: int, detail: str) -> None:
        super().__init__(f"{status.name}: {detail} (sequence_number {sequence_number})")
        self.status = status
        self.sequence_number = sequence_number
