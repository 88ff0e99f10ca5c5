"""The table of fields each command carries (SMPP v3.4, section 4).

A layout is turned into one regular expression over octets, which checks every bound of the mandatory part
in a single call (about 1 us for a submit_sm); reading field by field in Python costs ten times that. Only
when the expression does not match is the body walked field by field, to say which one is wrong.
"""

import re
from dataclasses import dataclass
from typing import Final

from smsc_filter.smpp.constants import HEADER_OCTETS, CommandId, CommandStatus
from smsc_filter.smpp.errors import PduError


@dataclass(frozen=True, slots=True)
class Field:
    """One mandatory parameter: an integer, or a string that ends with a NUL."""

    name: str
    octets: int
    """Width of an integer; most octets of a string, its NUL included."""

    status: CommandStatus
    """What the peer hears when the field is wrong."""

    string: bool


def integer(name: str, octets: int = 1) -> Field:
    """An unsigned integer. Any value is the SMSC's to judge, so only its absence is an error."""
    return Field(name, octets, CommandStatus.ESME_RINVCMDLEN, string=False)


def c_string(name: str, octets: int, status: CommandStatus) -> Field:
    """A C-Octet String of at most ``octets``."""
    return Field(name, octets, status, string=True)


def address(role: str, status: CommandStatus, octets: int = 21) -> tuple[Field, Field, Field]:
    """TON, NPI and digits of one party."""
    prefix = {"source_addr": "source_addr", "destination_addr": "dest_addr"}.get(role, role)
    return integer(f"{prefix}_ton"), integer(f"{prefix}_npi"), c_string(role, octets, status)


S = CommandStatus
SERVICE_TYPE = c_string("service_type", 6, S.ESME_RINVSERTYP)
MESSAGE_ID = c_string("message_id", 65, S.ESME_RINVMSGID)
SCHEDULE = c_string("schedule_delivery_time", 17, S.ESME_RINVSCHED)
VALIDITY = c_string("validity_period", 17, S.ESME_RINVEXPIRY)
SOURCE = address("source_addr", S.ESME_RINVSRCADR)
DESTINATION = address("destination_addr", S.ESME_RINVDSTADR)

BIND: Final = (
    c_string("system_id", 16, S.ESME_RINVSYSID),
    c_string("password", 9, S.ESME_RINVPASWD),
    c_string("system_type", 13, S.ESME_RINVSYSTYP),
    integer("interface_version"),
    integer("addr_ton"),
    integer("addr_npi"),
    c_string("address_range", 41, S.ESME_RBINDFAIL),
)

SUBMIT: Final = (
    SERVICE_TYPE,
    *SOURCE,
    *DESTINATION,
    integer("esm_class"),
    integer("protocol_id"),
    integer("priority_flag"),
    SCHEDULE,
    VALIDITY,
    integer("registered_delivery"),
    integer("replace_if_present_flag"),
    integer("data_coding"),
    integer("sm_default_msg_id"),
    integer("sm_length"),
)
"""submit_sm and deliver_sm, up to short_message."""

LAYOUTS: Final[dict[int, tuple[Field, ...]]] = {
    CommandId.BIND_RECEIVER: BIND,
    CommandId.BIND_TRANSMITTER: BIND,
    CommandId.BIND_TRANSCEIVER: BIND,
    CommandId.SUBMIT_SM: SUBMIT,
    CommandId.DELIVER_SM: SUBMIT,
    CommandId.DATA_SM: (
        SERVICE_TYPE,
        *address("source_addr", S.ESME_RINVSRCADR, 65),
        *address("destination_addr", S.ESME_RINVDSTADR, 65),
        integer("esm_class"),
        integer("registered_delivery"),
        integer("data_coding"),
    ),
    CommandId.QUERY_SM: (MESSAGE_ID, *SOURCE),
    CommandId.CANCEL_SM: (SERVICE_TYPE, MESSAGE_ID, *SOURCE, *DESTINATION),
    CommandId.REPLACE_SM: (
        MESSAGE_ID,
        *SOURCE,
        SCHEDULE,
        VALIDITY,
        integer("registered_delivery"),
        integer("sm_default_msg_id"),
        integer("sm_length"),
    ),
    CommandId.ALERT_NOTIFICATION: (
        *address("source_addr", S.ESME_RINVSRCADR, 65),
        *address("esme_addr", S.ESME_RINVDSTADR, 65),
    ),
    # submit_multi has a list in its middle; these are the parts on both sides of it.
    CommandId.SUBMIT_MULTI: (SERVICE_TYPE, *SOURCE, integer("number_of_dests")),
}

MULTI_TAIL: Final = SUBMIT[7:]
"""submit_multi behind its destinations: from esm_class to sm_length."""


def compile_layout(fields: tuple[Field, ...]) -> re.Pattern[bytes]:
    """One expression for a run of fields; group n holds field n, its NUL left out."""
    return re.compile(
        b"".join(
            rb"([^\0]{0,%d})\0" % (field.octets - 1) if field.string else rb"(.{%d})" % field.octets for field in fields
        ),
        re.DOTALL,
    )


PATTERNS: Final = {command_id: compile_layout(fields) for command_id, fields in LAYOUTS.items()}
MULTI_TAIL_PATTERN: Final = compile_layout(MULTI_TAIL)


def group_of(fields: tuple[Field, ...], name: str) -> int:
    """Which group of the compiled layout holds the field ``name``."""
    return [field.name for field in fields].index(name) + 1


def what_is_wrong(
    fields: tuple[Field, ...], octets: bytes, sequence_number: int, start: int = HEADER_OCTETS
) -> PduError:
    """Why a run of fields does not match: the first wrong one names the status."""
    for field in fields:
        if field.string:
            nul = octets.find(b"\0", start, start + field.octets)
            if nul < 0:
                rest = len(octets) - start
                if rest < field.octets and b"\0" not in octets[start:]:
                    cut = "has no NUL before the body ends"
                else:
                    cut = f"is longer than {field.octets - 1} octets"
                return PduError(field.status, sequence_number, f"{field.name} {cut}")
            start = nul + 1
        else:
            start += field.octets
            if start > len(octets):
                return PduError(field.status, sequence_number, f"the body ends before {field.name}")
    raise AssertionError("called for a body that its layout matches")
