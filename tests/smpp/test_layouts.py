"""The table of fields each command carries: what fits, and which status says what does not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsc_filter.smpp.codec import encode
from smsc_filter.smpp.constants import CommandId, CommandStatus
from smsc_filter.smpp.errors import PduError
from smsc_filter.smpp.layouts import LAYOUTS, MULTI_TAIL, SUBMIT, Field, what_is_wrong
from smsc_filter.smpp.pdu import Pdu

S = CommandStatus

# Widths from SMPP v3.4, section 4, by hand: a number is an integer's octets, "20" the most characters of a string.
ADDRESS = "1 1 '20"
LONG_ADDRESS = "1 1 '64"
SUBMIT_WIDTHS = f"'5 {ADDRESS} {ADDRESS} 1 1 1 '16 '16 1 1 1 1 1"
BIND_WIDTHS = "'15 '8 '12 1 1 1 '40"
WIDTHS = {
    CommandId.BIND_RECEIVER: BIND_WIDTHS,
    CommandId.BIND_TRANSMITTER: BIND_WIDTHS,
    CommandId.BIND_TRANSCEIVER: BIND_WIDTHS,
    CommandId.SUBMIT_SM: SUBMIT_WIDTHS,
    CommandId.DELIVER_SM: SUBMIT_WIDTHS,
    CommandId.DATA_SM: f"'5 {LONG_ADDRESS} {LONG_ADDRESS} 1 1 1",
    CommandId.QUERY_SM: f"'64 {ADDRESS}",
    CommandId.CANCEL_SM: f"'5 '64 {ADDRESS} {ADDRESS}",
    CommandId.REPLACE_SM: f"'64 {ADDRESS} '16 '16 1 1 1",
    CommandId.ALERT_NOTIFICATION: f"{LONG_ADDRESS} {LONG_ADDRESS}",
    CommandId.SUBMIT_MULTI: f"'5 {ADDRESS} 1",
}


def test_every_width_is_that_of_the_specification() -> None:
    ours = {
        command: " ".join(f"'{field.octets - 1}" if field.string else str(field.octets) for field in fields)
        for command, fields in LAYOUTS.items()
    }
    assert ours == WIDTHS


def test_submit_multi_ends_as_submit_sm_does() -> None:
    assert [field.name for field in MULTI_TAIL] == [field.name for field in SUBMIT][-10:]
    assert MULTI_TAIL[0].name == "esm_class"


def longest(field: Field) -> bytes:
    return b"9" * (field.octets - 1) + b"\0" if field.string else b"\xff" * field.octets


def parameters(*, strings_only: bool = False) -> list[object]:
    return [
        pytest.param(CommandId(command), at, id=f"{CommandId(command).name.lower()}-{field.name}")
        for command, fields in LAYOUTS.items()
        for at, field in enumerate(fields)
        if field.string or not strings_only
    ]


@pytest.mark.parametrize("command", [CommandId(command) for command in LAYOUTS])
def test_every_field_at_its_longest_is_read(command: CommandId) -> None:
    layout = LAYOUTS[command]
    fields = Pdu.from_octets(encode(command, 1, b"".join(map(longest, layout)))).fields()
    assert fields == {
        field.name: b"9" * (field.octets - 1) if field.string else 256**field.octets - 1 for field in layout
    }


@pytest.mark.parametrize("command", [CommandId(command) for command in LAYOUTS])
def test_every_string_may_be_empty(command: CommandId) -> None:
    layout = LAYOUTS[command]
    body = b"".join(b"\0" if field.string else b"\x0a" * field.octets for field in layout)
    fields = Pdu.from_octets(encode(command, 1, body)).fields()
    assert fields == {field.name: b"" if field.string else 10 for field in layout}


@pytest.mark.parametrize(("command", "at"), parameters())
def test_a_body_that_ends_before_a_field_gets_its_status(command: CommandId, at: int) -> None:
    layout = LAYOUTS[command]
    pdu = Pdu.from_octets(encode(command, 42, b"".join(map(longest, layout[:at]))))
    with pytest.raises(PduError, match=layout[at].name) as caught:
        pdu.fields()
    assert caught.value.status is layout[at].status
    assert caught.value.sequence_number == 42


@pytest.mark.parametrize(("command", "at"), parameters(strings_only=True))
def test_a_string_one_octet_too_long_gets_its_status(command: CommandId, at: int) -> None:
    layout = LAYOUTS[command]
    before, behind = b"".join(map(longest, layout[:at])), b"".join(map(longest, layout[at + 1 :]))
    pdu = Pdu.from_octets(encode(command, 42, before + b"9" + longest(layout[at]) + behind))
    with pytest.raises(PduError, match=f"{layout[at].name} is longer than {layout[at].octets - 1} octets") as caught:
        pdu.fields()
    assert caught.value.status is layout[at].status


PARTIES = b"\0\1\x01106900001\0\1\x018613800000001\0"


@pytest.mark.parametrize(("command", "body", "status", "detail"), [
    pytest.param(CommandId.BIND_TRANSMITTER, b"", S.ESME_RINVSYSID, "system_id has no NUL", id="empty-bind"),
    pytest.param(CommandId.BIND_TRANSMITTER, b"shop", S.ESME_RINVSYSID, "system_id has no NUL", id="no-nul"),
    pytest.param(CommandId.BIND_TRANSMITTER, b"s" * 16 + b"\0", S.ESME_RINVSYSID, "longer than 15", id="long-name"),
    pytest.param(CommandId.BIND_TRANSMITTER, b"shop\x00123456789\0", S.ESME_RINVPASWD, "longer than 8", id="long-pw"),
    pytest.param(CommandId.BIND_RECEIVER, b"shop\0pw\0" + b"t" * 13, S.ESME_RINVSYSTYP, "longer", id="long-type"),
    pytest.param(CommandId.BIND_TRANSCEIVER, b"shop\0pw\0\0", S.ESME_RINVCMDLEN, "interface_version", id="no-version"),
    pytest.param(CommandId.BIND_TRANSCEIVER, b"shop\0pw\0\0\x34\0\0", S.ESME_RBINDFAIL, "address_range", id="no-range"),
    pytest.param(CommandId.SUBMIT_SM, b"", S.ESME_RINVSERTYP, "service_type", id="empty-submit"),
    pytest.param(CommandId.SUBMIT_SM, b"WWWWWW\0", S.ESME_RINVSERTYP, "longer than 5", id="long-service_type"),
    pytest.param(CommandId.SUBMIT_SM, b"\0\0\1" + b"1" * 21, S.ESME_RINVSRCADR, "longer than 20", id="long-source"),
    pytest.param(CommandId.SUBMIT_SM, b"\0\0\x011069", S.ESME_RINVSRCADR, "no NUL", id="source-without-nul"),
    pytest.param(CommandId.SUBMIT_SM, b"\0\0\x011\0\1\1" + b"1" * 21, S.ESME_RINVDSTADR, "longer", id="long-dest"),
    pytest.param(CommandId.SUBMIT_SM, PARTIES, S.ESME_RINVCMDLEN, "esm_class", id="no-esm_class"),
    pytest.param(CommandId.SUBMIT_SM, PARTIES + b"\0\0\0" + b"2" * 17, S.ESME_RINVSCHED, "longer", id="schedule"),
    pytest.param(CommandId.SUBMIT_SM, PARTIES + b"\0\0\0\0" + b"2" * 17, S.ESME_RINVEXPIRY, "longer", id="validity"),
    pytest.param(CommandId.SUBMIT_SM, PARTIES + b"\0\0\0\0\0\0\0\0\0", S.ESME_RINVCMDLEN, "sm_length", id="no-length"),
    pytest.param(CommandId.QUERY_SM, b"m" * 65, S.ESME_RINVMSGID, "longer than 64", id="long-message_id"),
    pytest.param(CommandId.CANCEL_SM, b"\0m-1", S.ESME_RINVMSGID, "no NUL", id="message_id-without-nul"),
    pytest.param(CommandId.REPLACE_SM, b"m-1\0\0\0\0\0", S.ESME_RINVEXPIRY, "validity_period", id="cut-replace"),
    pytest.param(CommandId.DATA_SM, b"\0\0\1" + b"1" * 65, S.ESME_RINVSRCADR, "longer than 64", id="long-data-source"),
])  # fmt: skip
def test_what_is_wrong_says_its_field_and_status(
    command: CommandId, body: bytes, status: CommandStatus, detail: str
) -> None:
    with pytest.raises(PduError, match=detail) as caught:
        Pdu.from_octets(encode(command, 9, body)).fields()
    assert caught.value.status is status
    assert str(caught.value).startswith(status.name)
    assert str(caught.value).endswith("(sequence_number 9)")


@given(st.sampled_from(sorted(LAYOUTS)), st.binary(max_size=120))
def test_any_body_is_read_or_refused_with_a_status(command: int, body: bytes) -> None:
    pdu = Pdu.from_octets(encode(command, 9, body))
    try:
        fields = pdu.fields()
    except PduError as error:
        assert error.status is not CommandStatus.ESME_ROK
    else:
        written = b"".join(
            value + b"\0" if isinstance(value, bytes) else value.to_bytes(1, "big") for value in fields.values()
        )
        assert body.startswith(written)


def test_asking_what_is_wrong_with_nothing_is_a_mistake_of_ours() -> None:
    body = b"m-1\0\0\x01106900001\0"
    with pytest.raises(AssertionError, match="its layout matches"):
        what_is_wrong(LAYOUTS[CommandId.QUERY_SM], encode(CommandId.QUERY_SM, 1, body), 1)
