"""Message: who wrote, to whom, what the subscriber reads."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from smsc_filter.smpp.constants import HEADER_OCTETS, CommandId, CommandStatus, DataCoding, EsmClass, TlvTag, Ton
from smsc_filter.smpp.errors import PduError
from smsc_filter.smpp.layouts import (
    LAYOUTS,
    MULTI_TAIL,
    MULTI_TAIL_PATTERN,
    PATTERNS,
    group_of,
    what_is_wrong,
)
from smsc_filter.smpp.pdu import HEADER, Pdu
from smsc_filter.smpp.tlv import read_tlvs, whole_tlvs
from smsc_filter.sms.address import Numbering
from smsc_filter.sms.coding import decode_text, join_texts
from smsc_filter.sms.number import readings
from smsc_filter.sms.udh import Part, part_of, split_udh

MAX_SHORT_MESSAGE_OCTETS: Final = 254

UDHI: Final = int(EsmClass.UDHI)

_POSSIBLE_CODINGS: Final = (DataCoding.UCS2, DataCoding.DEFAULT, DataCoding.LATIN_1, 0x0F)
"""The alphabets in use around here; the last is GB 18030, see ``sms.coding``."""

_SAR_OCTETS: Final = {TlvTag.SAR_MSG_REF_NUM: 2, TlvTag.SAR_TOTAL_SEGMENTS: 1, TlvTag.SAR_SEGMENT_SEQNUM: 1}
NO_TLVS: Final[Mapping[int, bytes]] = {}


class Message:
    """One text for one subscriber, read from a copy; the octets that travel are the PDU's own."""

    __slots__ = ("data_coding", "part", "payload", "pdu", "recipient", "source", "source_ton", "text", "tlvs")

    def __init__(
        self,
        pdu: Pdu,
        source: bytes,
        source_ton: int,
        recipient: str,
        data_coding: int,
        payload: bytes,
        part: Part | None,
        text: str,
        tlvs: Mapping[int, bytes] = NO_TLVS,
    ) -> None:
        self.pdu = pdu
        self.source = source
        """source_addr as it came."""
        self.source_ton = source_ton
        self.recipient = recipient
        """Canonical, see ``Numbering.canonical``; "" where the PDU does not say."""
        self.data_coding = data_coding
        self.payload = payload
        """User data behind any header, as octets."""
        self.part = part
        self.text = text
        """What this part carries; of a long message replaced by all that is known when it is judged."""
        self.tlvs = tlvs
        """Optional parameters by tag; of a repeated one, the last."""


def _layout(command_id: int, *names: str) -> tuple[int, ...]:
    return tuple(group_of(LAYOUTS[command_id], name) for name in names)


_SUBMIT_MATCH: Final = PATTERNS[CommandId.SUBMIT_SM].match
_SUBMIT_GROUPS: Final = _layout(
    CommandId.SUBMIT_SM,
    "source_addr_ton",
    "source_addr",
    "dest_addr_ton",
    "destination_addr",
    "esm_class",
    "data_coding",
    "sm_length",
)
_DATA_GROUPS: Final = _layout(
    CommandId.DATA_SM,
    "source_addr_ton",
    "source_addr",
    "dest_addr_ton",
    "destination_addr",
    "esm_class",
    "data_coding",
)
_DELIVERY_GROUPS: Final = _layout(
    CommandId.DELIVER_SM,
    "source_addr_ton", "source_addr_npi", "source_addr", "dest_addr_ton", "destination_addr", "esm_class",
    "data_coding",
)  # fmt: skip
_DATA_DELIVERY_GROUPS: Final = _layout(
    CommandId.DATA_SM,
    "source_addr_ton", "source_addr_npi", "source_addr", "dest_addr_ton", "destination_addr", "esm_class",
    "data_coding",
)  # fmt: skip
_REPLACE_GROUPS: Final = _layout(CommandId.REPLACE_SM, "message_id", "source_addr_ton", "source_addr", "sm_length")


def read_submit(pdu: Pdu, numbering: Numbering) -> Message:
    """The message in a submit_sm.

    Raises:
        PduError: a field is wrong; its status says which.
    """
    octets = pdu.octets
    match = _SUBMIT_MATCH(octets, HEADER_OCTETS)
    if match is None:
        raise what_is_wrong(LAYOUTS[CommandId.SUBMIT_SM], octets, pdu.sequence_number)
    source_ton, source, recipient_ton, recipient, esm_class, data_coding, sm_length = match.group(*_SUBMIT_GROUPS)
    start = match.end()
    stop = start + sm_length[0]
    if stop == len(octets) and stop - start <= MAX_SHORT_MESSAGE_OCTETS and not esm_class[0] & UDHI:
        payload = octets[start:stop]
        coding = data_coding[0]
        return Message(
            pdu,
            source,
            source_ton[0],
            numbering.canonical(recipient, recipient_ton[0]),
            coding,
            payload,
            None,
            decode_text(payload, coding),
        )
    payload, tlvs = _user_data(pdu, start, sm_length[0])
    return _message(
        pdu, source, source_ton[0], numbering.canonical(recipient, recipient_ton[0]), esm_class[0],
        data_coding[0], payload, tlvs,
    )  # fmt: skip


def read_data(pdu: Pdu, numbering: Numbering) -> Message:
    """The message in a data_sm.

    Raises:
        PduError: a field is wrong; its status says which.
    """
    match = PATTERNS[CommandId.DATA_SM].match(pdu.octets, HEADER_OCTETS)
    if match is None:
        raise what_is_wrong(LAYOUTS[CommandId.DATA_SM], pdu.octets, pdu.sequence_number)
    source_ton, source, recipient_ton, recipient, esm_class, data_coding = match.group(*_DATA_GROUPS)
    tlvs = read_tlvs(pdu.octets, match.end(), pdu.sequence_number)
    return _message(
        pdu, source, source_ton[0], numbering.canonical(recipient, recipient_ton[0]), esm_class[0],
        data_coding[0], b"", tlvs,
    )  # fmt: skip


class Replacement:
    """What a replace_sm says: the new text, and which message it replaces. Its recipient is not in it."""

    __slots__ = ("_pieces", "message_id", "pdu", "source", "source_ton")

    def __init__(self, pdu: Pdu) -> None:
        """Read ``pdu``.

        Raises:
            PduError: a field is wrong; its status says which.
        """
        match = PATTERNS[CommandId.REPLACE_SM].match(pdu.octets, HEADER_OCTETS)
        if match is None:
            raise what_is_wrong(LAYOUTS[CommandId.REPLACE_SM], pdu.octets, pdu.sequence_number)
        self.message_id, source_ton, self.source, sm_length = match.group(*_REPLACE_GROUPS)
        self.source_ton: int = source_ton[0]
        self._pieces = _pieces(*_user_data(pdu, match.end(), sm_length[0]))
        self.pdu = pdu

    def as_message(self, recipient: str, data_coding: int) -> Message:
        """The message as it would now read, with what is known of the one it replaces."""
        return self._message(recipient, data_coding, self._read_as(data_coding))

    def readings(self) -> list[str]:
        """Everything the text can be read as where nothing is known of the message, its coding included."""
        return list(dict.fromkeys(self._read_as(coding) for coding in _POSSIBLE_CODINGS))

    def as_message_to_anybody(self, text: str) -> Message:
        """The message, read as ``text``, to a recipient who is not known."""
        return self._message("", DataCoding.DEFAULT, text)

    def _read_as(self, data_coding: int) -> str:
        return decode_text(join_texts(self._pieces, data_coding), data_coding)

    def _message(self, recipient: str, data_coding: int, text: str) -> Message:
        octets = join_texts(self._pieces, data_coding)
        return Message(self.pdu, self.source, self.source_ton, recipient, data_coding, octets, None, text)


class Delivery:
    """What a subscriber writes to a sender address, read from a deliver_sm or a data_sm of the SMSC."""

    __slots__ = (
        "_numbering",
        "_source_numbering",
        "_subscribers",
        "alone",
        "data_coding",
        "destination",
        "destination_ton",
        "octets",
        "part",
        "source",
        "written_as",
    )

    def __init__(
        self,
        source: bytes,
        source_ton: int,
        source_npi: int,
        destination: bytes,
        destination_ton: int,
        octets: bytes,
        data_coding: int,
        part: Part | None,
        numbering: Numbering,
        alone: Sequence[bytes] = (),
    ) -> None:
        self.source = source
        self.written_as = numbering.canonical(source, source_ton)
        """Who writes if the type of number is right; "" for nobody."""
        self.destination = destination
        self.destination_ton = destination_ton
        self.octets = octets
        """User data behind any header."""
        self.alone = alone
        """Each text of a PDU that carries more than one; ``octets`` are all of them in a row. Empty for the others."""
        self.data_coding = data_coding
        self.part = part
        self._source_numbering = source_ton, source_npi
        self._numbering = numbering
        self._subscribers: Sequence[str] = ()

    @property
    def subscribers(self) -> Sequence[str]:
        """Canonical, as a recipient is: everybody the source address may mean, the most plausible first."""
        if not self._subscribers:  # most of what is written is talk, of which nobody asks
            self._subscribers = readings(self.source, *self._source_numbering, self._numbering)
        return self._subscribers

    @property
    def subscriber(self) -> str:
        """Who most plausibly writes."""
        return self.subscribers[0]

    @property
    def text(self) -> str:
        """What it says if data_coding is right."""
        return decode_text(self.octets, self.data_coding)


_RECEIPTS: Final = frozenset({0x04, 0x20})
"""Message types in esm_class (section 5.2.12) that report on a message: a receipt, an intermediate notification."""

_MESSAGE_TYPE: Final = 0x3C

# The text of a receipt, appendix B. Many SMSCs set no type in esm_class.
_RECEIPT_TEXT: Final = re.compile(rb"\s{0,8}id:\S{1,80} .{0,200}\bstat:[A-Z]", re.DOTALL)


def read_delivery(pdu: Pdu, numbering: Numbering) -> Delivery | None:
    """The words of a subscriber in a deliver_sm or data_sm; None for a receipt and what has no source address.

    Faults are read through, since what is not read is acknowledged all the same: optional parameters that are not
    whole end the PDU, a wrong sm_length takes what there is, a header counts without its flag.
    """
    data = pdu.command_id == CommandId.DATA_SM
    match = PATTERNS[CommandId.DATA_SM if data else CommandId.DELIVER_SM].match(pdu.octets, HEADER_OCTETS)
    if match is None:
        return None
    groups = _DATA_DELIVERY_GROUPS if data else _DELIVERY_GROUPS
    source_ton, source_npi, source, destination_ton, destination, esm_class, data_coding = match.group(*groups)
    if esm_class[0] & _MESSAGE_TYPE in _RECEIPTS:
        return None
    start = match.end()
    stop = start if data else start + match.group(_SUBMIT_GROUPS[-1])[0]
    parameters = whole_tlvs(pdu.octets, stop)
    tlvs = dict(parameters)
    if TlvTag.MESSAGE_STATE in tlvs:
        return None
    udhi = bool(esm_class[0] & UDHI)
    pieces = [piece for piece in _pieces(pdu.octets[start:stop], parameters) if not _RECEIPT_TEXT.match(piece)]
    if not pieces:
        return None
    part, octets = _part_in(b"".join(pieces), udhi=udhi)
    if part is None and TlvTag.SAR_MSG_REF_NUM in tlvs:
        part = _sar_numbers(tlvs)
    if _RECEIPT_TEXT.match(octets):
        return None
    alone = [text for piece in pieces for text in (piece, _part_in(piece, udhi=udhi)[1])] if len(pieces) > 1 else ()
    delivery = Delivery(
        source, source_ton[0], source_npi[0], destination, destination_ton[0], octets, data_coding[0], part, numbering,
        tuple(dict.fromkeys(alone)),
    )  # fmt: skip
    return delivery if delivery.written_as else None


def _part_in(octets: bytes, *, udhi: bool) -> tuple[Part | None, bytes]:
    """Part and text of user data; a header of a long message counts even where esm_class does not announce it."""
    if udhi:
        return split_udh(octets)
    if octets.startswith((b"\5\0\3", b"\6\x08\4")):
        length = 1 + octets[0]
        total, number = octets[length - 2 : length] if len(octets) >= length else (0, 0)
        if 1 <= number <= total:
            return split_udh(octets)
    return None, octets


class Destination:
    """One destination of a submit_multi."""

    __slots__ = ("address", "flag", "npi", "octets", "ton")

    SME = 1
    LIST = 2

    def __init__(self, flag: int, ton: int, npi: int, address: bytes, octets: bytes) -> None:
        self.flag = flag
        self.ton = ton
        self.npi = npi
        self.address = address
        """Digits, or the name of a distribution list."""
        self.octets = octets
        """The entry as it came, its flag included."""

    @property
    def party(self) -> tuple[int, int, bytes]:
        """What an unsuccess_sme list names it by."""
        return self.ton, self.npi, self.address

    def recipient(self, numbering: Numbering) -> str:
        """Canonical; the name of a list as it is, and "" where it would be taken for a number."""
        if self.flag == Destination.SME:
            return numbering.canonical(self.address, self.ton)
        name = self.address.decode("latin-1")
        return "" if numbering.canonical(self.address).isdigit() else name

    def unsuccess(self, status: int) -> bytes:
        """The entry of an unsuccess_sme list that reports this destination (section 4.5.2)."""
        return b"%b%b\0%b" % (bytes((self.ton, self.npi)), self.address, status.to_bytes(4, "big"))


def read_unsuccess(entries: bytes) -> dict[tuple[int, int, bytes], int]:
    """An unsuccess_sme list behind its count: (TON, NPI, address) -> command_status; an entry cut short ends it."""
    found = {}
    at = 0
    while (nul := entries.find(b"\0", at + 2)) >= 0 and nul + 5 <= len(entries):
        found[entries[at], entries[at + 1], entries[at + 2 : nul]] = int.from_bytes(entries[nul + 1 : nul + 5], "big")
        at = nul + 5
    return found


class Multi:
    """A submit_multi: one text, many destinations, each judged on its own (section 4.5.1)."""

    __slots__ = ("_head_end", "_tail_start", "destinations", "messages", "pdu")

    def __init__(self, pdu: Pdu, numbering: Numbering) -> None:
        """Read ``pdu``.

        Raises:
            PduError: a field is wrong; its status says which.
        """
        octets, number = pdu.octets, pdu.sequence_number
        head = LAYOUTS[CommandId.SUBMIT_MULTI]
        match = PATTERNS[CommandId.SUBMIT_MULTI].match(octets, HEADER_OCTETS)
        if match is None:
            raise what_is_wrong(head, octets, number)
        count = match.group(group_of(head, "number_of_dests"))[0]
        source_ton = match.group(group_of(head, "source_addr_ton"))[0]
        source = match.group(group_of(head, "source_addr"))
        if count == 0:
            raise PduError(CommandStatus.ESME_RINVNUMDESTS, number, "number_of_dests is 0")
        self.pdu = pdu
        self._head_end = match.end() - 1
        self.destinations: list[Destination] = []
        at = match.end()
        for _ in range(count):
            destination = _read_destination(octets, at, number)
            self.destinations.append(destination)
            at += len(destination.octets)
        self._tail_start = at
        tail = MULTI_TAIL_PATTERN.match(octets, at)
        if tail is None:
            raise what_is_wrong(MULTI_TAIL, octets, number, at)
        esm_class, data_coding, sm_length = (
            tail.group(group_of(MULTI_TAIL, name))[0] for name in ("esm_class", "data_coding", "sm_length")
        )
        payload, tlvs = _user_data(pdu, tail.end(), sm_length)
        self.messages: list[Message] = [
            _message(
                pdu, source, source_ton,
                each.recipient(numbering),
                esm_class, data_coding, payload, tlvs,
            )
            for each in self.destinations
        ]  # fmt: skip

    def only(self, kept: Sequence[int]) -> Pdu:
        """The same PDU for the destinations at ``kept`` alone, to the octet in everything else."""
        if len(kept) == len(self.destinations):
            return self.pdu
        octets = self.pdu.octets
        body = b"".join(
            (
                octets[HEADER_OCTETS : self._head_end],
                bytes((len(kept),)),
                *(self.destinations[index].octets for index in kept),
                octets[self._tail_start :],
            )
        )
        header = HEADER.pack(HEADER_OCTETS + len(body), self.pdu.command_id, 0, self.pdu.sequence_number)
        return Pdu.from_octets(header + body)


def _read_destination(octets: bytes, at: int, number: int) -> Destination:
    """The entry of a destination list that starts at ``at``."""
    if at >= len(octets):
        raise PduError(CommandStatus.ESME_RINVNUMDESTS, number, "fewer destinations than number_of_dests")
    flag = octets[at]
    if flag == Destination.SME:
        start, most, status = at + 3, 21, CommandStatus.ESME_RINVDSTADR
    elif flag == Destination.LIST:
        start, most, status = at + 1, 21, CommandStatus.ESME_RINVDLNAME
    else:
        raise PduError(CommandStatus.ESME_RINVDESTFLAG, number, f"dest_flag {flag} is neither 1 nor 2")
    nul = octets.find(b"\0", start, start + most)
    if nul < 0:
        raise PduError(status, number, f"a destination has no NUL within {most} octets")
    # The name of a list is nobody's number.
    ton, npi = (octets[at + 1], octets[at + 2]) if flag == Destination.SME else (Ton.ALPHANUMERIC, 0)
    return Destination(flag, ton, npi, octets[start:nul], octets[at : nul + 1])


def _user_data(pdu: Pdu, start: int, sm_length: int) -> tuple[bytes, list[tuple[int, bytes]]]:
    """short_message and the optional parameters behind it."""
    stop = start + sm_length
    if sm_length > MAX_SHORT_MESSAGE_OCTETS or stop > len(pdu.octets):
        raise PduError(
            CommandStatus.ESME_RINVMSGLEN,
            pdu.sequence_number,
            f"sm_length is {sm_length}; at most {MAX_SHORT_MESSAGE_OCTETS},"
            f" and {len(pdu.octets) - start} octets follow",
        )
    return pdu.octets[start:stop], read_tlvs(pdu.octets, stop, pdu.sequence_number)


def _pieces(short_message: bytes, tlvs: Sequence[tuple[int, bytes]]) -> list[bytes]:
    """The texts in a PDU, at least one.

    The specification allows one. Of two, a receiver may show the first, the last, or all in a row.
    """
    pieces = [value for tag, value in tlvs if tag == TlvTag.MESSAGE_PAYLOAD and value]
    if short_message:
        pieces.insert(0, short_message)
    return list(dict.fromkeys(pieces)) or [b""]


def _behind_headers(pieces: Sequence[bytes]) -> tuple[Part | None, list[bytes]]:
    """Part and texts of pieces of which the first begins with a header; each of the others may."""
    part, first = split_udh(pieces[0])
    texts = [first]
    for piece in pieces[1:]:
        its_part, text = split_udh(piece)
        part = part or its_part
        texts += (piece, text)
    return part, list(dict.fromkeys(texts))


def _sar_part(pdu: Pdu, tlvs: dict[int, bytes]) -> Part | None:
    """Which part the SAR parameters make this (sections 5.3.2.22 to 5.3.2.24)."""
    reference, total, number = (tlvs.get(tag, b"") for tag in _SAR_OCTETS)
    for (tag, most), value in zip(_SAR_OCTETS.items(), (reference, total, number), strict=True):
        # A shorter value is read as it is. A longer one is a number without bound, and which of its octets an SMSC
        # would read is anybody's guess: parts judged as another message would be a way round.
        if len(value) > most:
            raise PduError(
                CommandStatus.ESME_RINVPARLEN,
                pdu.sequence_number,
                f"{tag.name.lower()} has {len(value)} octets, at most {most} are allowed",
            )
    return _sar_numbers(tlvs)


def _sar_numbers(tlvs: Mapping[int, bytes]) -> Part | None:
    reference, total, number = (tlvs.get(tag, b"") for tag in _SAR_OCTETS)
    return part_of(
        # Apart from both UDH widths: a sender may use all three at once.
        0x20000 + int.from_bytes(reference, "big"),
        int.from_bytes(total, "big"),
        int.from_bytes(number, "big"),
    )


def _message(
    pdu: Pdu,
    source: bytes,
    source_ton: int,
    recipient: str,
    esm_class: int,
    data_coding: int,
    user_data: bytes,
    parameters: Sequence[tuple[int, bytes]],
) -> Message:
    """A message from its user data, wherever the PDU carries it."""
    pieces = _pieces(user_data, parameters)
    tlvs = dict(parameters)
    part = None
    if esm_class & UDHI:
        part, pieces = _behind_headers(pieces)
    if part is None and TlvTag.SAR_MSG_REF_NUM in tlvs:
        part = _sar_part(pdu, tlvs)
    octets = join_texts(pieces, data_coding)
    text = decode_text(octets, data_coding)
    return Message(pdu, source, source_ton, recipient, data_coding, octets, part, text, tlvs)
