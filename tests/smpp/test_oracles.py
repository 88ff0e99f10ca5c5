"""Codecs that nobody here wrote: what we write they read, what they write we read.

smpp34 (Rust) reads submit_sm and deliver_sm field by field and every header; smpplib (Python) reads the binds and
the commands about single messages.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import smpp34
from hypothesis import given
from hypothesis import strategies as st
from smpplib import smpp as smpplib_smpp

from smsc_filter.smpp.codec import encode, encode_bind, encode_submit, take_pdus
from smsc_filter.smpp.constants import CommandId, CommandStatus
from smsc_filter.smpp.errors import PduError
from smsc_filter.smpp.layouts import LAYOUTS, SUBMIT
from smsc_filter.smpp.pdu import Pdu
from smsc_filter.smpp.tlv import encode_tlv, read_tlvs

SUBMIT_FIELDS = [field.name for field in SUBMIT]
KINDS = {CommandId.SUBMIT_SM: smpp34.SubmitSm, CommandId.DELIVER_SM: smpp34.DeliverSm}


def ascii_text(most: int) -> st.SearchStrategy[str]:
    return st.text(st.characters(min_codepoint=1, max_codepoint=127), max_size=most)


octet = st.integers(0, 255)
numbers = st.integers(1, 0x7FFFFFFF)
tlvs = st.lists(st.tuples(st.integers(0, 0xFFFF), st.binary(max_size=40)), max_size=5)
messages = st.fixed_dictionaries({
    "service_type": ascii_text(5), "source_addr_ton": octet, "source_addr_npi": octet, "source_addr": ascii_text(20),
    "dest_addr_ton": octet, "dest_addr_npi": octet, "destination_addr": ascii_text(20),
    "esm_class": octet, "protocol_id": octet, "priority_flag": octet,
    "schedule_delivery_time": st.sampled_from(["", "261231235959000+"]),
    "validity_period": st.sampled_from(["", "000007000000000R"]),
    "registered_delivery": octet, "replace_if_present_flag": octet, "data_coding": octet, "sm_default_msg_id": octet,
    "short_message": st.binary(max_size=254),
})  # fmt: skip


@pytest.mark.parametrize("command", KINDS)
@given(fields=messages, tlvs=tlvs, number=numbers)
def test_what_smpp34_writes_we_read_field_by_field(
    command: CommandId, fields: dict[str, Any], tlvs: list[tuple[int, bytes]], number: int
) -> None:
    theirs = KINDS[command](**fields, tlvs=[smpp34.Tlv(tag, value) for tag, value in tlvs], sequence_number=number)
    octets = theirs.encode()
    (pdu,) = take_pdus(bytearray(octets))
    assert (pdu.octets, pdu.command_id, pdu.sequence_number) == (octets, command, number)
    ours = pdu.fields()
    short_message = fields.pop("short_message")
    expected = {name: value.encode() if isinstance(value, str) else value for name, value in fields.items()}
    assert ours == expected | {"sm_length": len(short_message)}
    behind = len(octets) - sum(4 + len(value) for _, value in tlvs)
    assert octets[behind - len(short_message) : behind] == short_message
    assert read_tlvs(octets, behind) == tlvs


@pytest.mark.parametrize("command", KINDS)
@given(fields=messages, tlvs=tlvs, number=numbers)
def test_what_we_write_smpp34_reads_field_by_field(
    command: CommandId, fields: dict[str, Any], tlvs: list[tuple[int, bytes]], number: int
) -> None:
    octets = encode_submit(
        number,
        fields["source_addr"].encode(),
        fields["destination_addr"].encode(),
        fields["short_message"],
        command_id=command,
        service_type=fields["service_type"].encode(),
        source_ton=fields["source_addr_ton"],
        source_npi=fields["source_addr_npi"],
        destination_ton=fields["dest_addr_ton"],
        destination_npi=fields["dest_addr_npi"],
        esm_class=fields["esm_class"],
        registered_delivery=fields["registered_delivery"],
        data_coding=fields["data_coding"],
        tlvs=b"".join(encode_tlv(tag, value) for tag, value in tlvs),
    )
    theirs = smpp34.decode(octets)
    assert isinstance(theirs, KINDS[command])
    ours = Pdu.from_octets(octets).fields()
    for name in SUBMIT_FIELDS:
        value = getattr(theirs, name)
        assert ours[name] == (value.encode() if isinstance(value, str) else value)
    assert theirs.sequence_number == number
    assert theirs.short_message == fields["short_message"]
    assert [(tlv.tag, bytes(tlv.value)) for tlv in theirs.tlvs] == tlvs


@given(fields=messages, cut=st.integers(0, 400), number=numbers)
def test_what_smpp34_cannot_read_we_do_not_read_either(fields: dict[str, Any], cut: int, number: int) -> None:
    whole = smpp34.SubmitSm(**fields, sequence_number=number).encode()
    body = whole[16 : 16 + min(cut, len(whole) - 17)]
    octets = encode(CommandId.SUBMIT_SM, number, body)
    with pytest.raises(smpp34.SmppError):
        smpp34.decode(octets)
    pdu = Pdu.from_octets(octets)
    try:
        sm_length = pdu.fields()["sm_length"]
    except PduError as error:
        assert error.status is not CommandStatus.ESME_ROK
    else:
        assert sm_length == len(fields["short_message"])  # the cut lies in short_message, which sms.message finds
        assert len(body) < len(whole) - 16


@given(
    st.sampled_from(sorted(set(CommandId) - set(KINDS))), st.integers(0, 0xFFFFFFFF), numbers, st.binary(max_size=99)
)
def test_every_other_header_reads_the_same(command: int, status: int, number: int, body: bytes) -> None:
    theirs = smpp34.decode(encode(command, number, body, status))
    assert isinstance(theirs, smpp34.RawPdu)
    assert (theirs.command_id, theirs.command_status, theirs.sequence_number) == (command, status, number)
    assert (theirs.command_length, bytes(theirs.body)) == (16 + len(body), body)


client = SimpleNamespace(sequence=1, next_sequence=lambda: 1)


@pytest.mark.parametrize("command", [
    CommandId.BIND_TRANSMITTER, CommandId.BIND_RECEIVER, CommandId.BIND_TRANSCEIVER,
])  # fmt: skip
@given(system_id=ascii_text(15), password=ascii_text(8), system_type=ascii_text(12))
def test_binds_read_the_same_in_smpplib(command: CommandId, system_id: str, password: str, system_type: str) -> None:
    octets = encode_bind(
        command, 5, system_id.encode(), password.encode(), system_type=system_type.encode(), address_range=b"10690"
    )
    theirs = smpplib_smpp.parse_pdu(octets, client=client, allow_unknown_opt_params=True)
    ours = Pdu.from_octets(octets).fields()
    for field in LAYOUTS[command]:
        value = getattr(theirs, field.name)
        assert ours[field.name] == (value or b"" if field.string else value), field.name
    assert theirs.sequence == 5


WRITTEN_BY_SMPPLIB: list[Any] = [
    pytest.param("query_sm", {"message_id": "m-1", "source_addr_ton": 1, "source_addr": "106900001"}, id="query_sm"),
    pytest.param(
        "submit_sm",
        {"source_addr": "106900001", "destination_addr": "8613800000001", "short_message": b"hi", "data_coding": 8},
        id="submit_sm",
    ),
    pytest.param("bind_transceiver", {"system_id": "shop", "password": "pw", "interface_version": 0x34}, id="bind"),
]


@pytest.mark.parametrize(("name", "fields"), WRITTEN_BY_SMPPLIB)
def test_what_smpplib_writes_we_read(name: str, fields: dict[str, Any]) -> None:
    octets = smpplib_smpp.make_pdu(name, client=client, **fields).generate()
    (pdu,) = take_pdus(bytearray(octets))
    assert pdu.name == name
    ours = pdu.fields()
    for key, value in fields.items():
        if key != "short_message":
            assert ours[key] == (value.encode() if isinstance(value, str) else value)
