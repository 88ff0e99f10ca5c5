"""What is known of a long message when one of its parts comes."""

from collections.abc import Mapping

from smsc_filter.sms.coding import decode_text

GAP = "\n"
"""Stands where parts are missing, so that words on both sides do not run into one."""


def text_so_far(parts: Mapping[int, tuple[int, bytes]]) -> str:
    """The text of all parts seen so far, in their order.

    Args:
        parts: part number -> (data_coding, octets), in any order, with or without gaps.
    """
    pieces: list[str] = []
    run = bytearray()
    last_number = last_coding = -1
    for number in sorted(parts):
        coding, octets = parts[number]
        if run and (number != last_number + 1 or coding != last_coding):
            pieces.append(decode_text(bytes(run), last_coding))
            if number != last_number + 1:
                pieces.append(GAP)
            run.clear()
        # A part ends at an octet count, so a part boundary can fall inside a UTF-16 surrogate pair
        # or behind an escape. Join the octets first and decode them once.
        run += octets
        last_number, last_coding = number, coding
    if run:
        pieces.append(decode_text(bytes(run), last_coding))
    return "".join(pieces)
