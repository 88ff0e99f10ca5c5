"""Names of keys, and which partition each belongs to.

A key carries its partition as a hash tag, so that whatever one script call touches lies in one slot of a
cluster. The recipient's partition holds what belongs to the recipient, the sender's what belongs to the sender.
"""

from __future__ import annotations

from typing import Final
from zlib import crc32

from smsc_filter.policy.consent import WHEN_TIME_IS_UP, ConsentStatus
from smsc_filter.policy.facts import ConsentState

CONSENT_BUCKETS: Final = 32_768
"""Hashes a partition spreads its consents over: about 64 entries each at two million, and still of the packed
encoding (512 entries at most) at sixteen million."""

OWNER_OCTETS: Final = 3
NUMBER_OCTETS: Final = 7
_STATES: Final = {b"%d" % state: state for state in ConsentState}
_NOT_A_NUMBER: Final = b"\xff"
"""A packed number of 15 digits never begins so."""


def partition_of(name: str, partitions: int) -> int:
    """The partition of a recipient or a sender address."""
    return crc32(name.encode("utf-8", "surrogatepass")) % partitions if partitions > 1 else 0


def tag(partition: int) -> str:
    """The hash tag of a partition."""
    return f"{{p{partition}}}"


def consent_field(owner_id: int, recipient: str, topic: str | None = None) -> bytes:
    """Owner and recipient in full, packed: never a hash of them, since a collision would read as consent.

    ``owner_id`` is below 2^24; a number takes 10 octets, any other address its own length and four. A consent to one
    topic has a field of its own with the topic's name in full behind it; no other field can look like it, since
    packed numbers have one length and no address holds a NUL.
    """
    owner = owner_id.to_bytes(OWNER_OCTETS, "big")
    about = b"" if topic is None else b"\0" + topic.encode("utf-8", "surrogatepass")
    return owner + number_field(recipient) + about


def number_field(recipient: str) -> bytes:
    """A number in full, packed, in 7 octets; any other address in its own length and one."""
    if recipient.isascii() and recipient.isdigit() and len(recipient) <= 15 and recipient[0] != "0":
        return int(recipient).to_bytes(NUMBER_OCTETS, "big")
    return _NOT_A_NUMBER + recipient.encode("utf-8", "surrogatepass")


def consent_key(partition: int, field: bytes) -> str:
    """The bucket that holds ``field``."""
    return bucket_key(partition, crc32(field) % CONSENT_BUCKETS)


def bucket_key(partition: int, number: int) -> str:
    """One of the ``CONSENT_BUCKETS`` of a partition."""
    return f"{{p{partition}}}c{number}"


def fresh_key(partition: int) -> str:
    """Consents that a reply set and SQL does not know yet: a hash of field -> event time in ms.

    Whoever projects from SQL leaves such a field alone until SQL holds an event of that time.
    """
    return f"{tag(partition)}fresh"


def projected_key(partition: int) -> str:
    """The revision of the records last written into a partition."""
    return f"{tag(partition)}projected"


def split_field(field: bytes) -> tuple[int, str, str | None]:
    """Owner id, recipient and topic of a field, as ``consent_field`` packed them.

    Raises:
        ValueError: it did not.
    """
    owner_id, rest = int.from_bytes(field[:OWNER_OCTETS], "big"), field[OWNER_OCTETS:]
    if rest[:1] == _NOT_A_NUMBER:
        address, separator, about = rest[1:].partition(b"\0")
        recipient = address.decode("utf-8", "surrogatepass")
    else:
        recipient = str(int.from_bytes(rest[:NUMBER_OCTETS], "big"))
        separator, about = rest[NUMBER_OCTETS : NUMBER_OCTETS + 1], rest[NUMBER_OCTETS + 1 :]
    topic = about.decode("utf-8", "surrogatepass") if separator else None
    if consent_field(owner_id, recipient, topic) != field:
        raise ValueError(f"{field!r} is no field of a consent")
    return owner_id, recipient, topic


def sketches_prefix(partition: int) -> str:
    """What the key of the texts remembered of a consent begins with; its field follows."""
    return f"{tag(partition)}f"


def offers_prefix(partition: int) -> str:
    """What the key of what an open request offers begins with; its field follows."""
    return f"{tag(partition)}o"


def once_key(partition: int, name: str, recipient: str) -> str:
    """The mark of what is done once in a while for a recipient."""
    return f"{tag(partition)}once:{name}:{recipient}"


def pack_consent(status: ConsentStatus) -> bytes:
    """What the hot state keeps of a consent: its state as a digit and, where it ends by time, the epoch second."""
    digit = b"%d" % status.state
    if status.until_ms is None:
        return digit
    # Rounded towards refusal: a grant ends, and a request is given up, at the latest when it should.
    return digit + min(max(status.until_ms // 1000, 0), 0xFFFF_FFFF).to_bytes(4, "big")


def unpack_consent(value: bytes | None, now_ms: int) -> ConsentState:
    """The state that a kept value amounts to at ``now_ms``; none where there is no value or it cannot be read."""
    if value is None:
        return ConsentState.NONE
    state = _STATES.get(value[:1], ConsentState.NONE)
    if len(value) == 1:
        return state
    if len(value) != 5 or state not in WHEN_TIME_IS_UP:
        return ConsentState.NONE
    return state if now_ms < int.from_bytes(value[1:], "big") * 1000 else WHEN_TIME_IS_UP[state]


def log_key(partition: int, prefix: str, name: str) -> str:
    """The log of times of what a gauge has counted under a name."""
    return f"{{p{partition}}}q{prefix}{name}"


def slots_key(partition: int, prefix: str, name: str, seconds: int) -> str:
    """The slots of one window of a gauge; each window has a key of its own, so that caps may come and go."""
    return f"{{p{partition}}}w{seconds}{prefix}{name}"


def contacts_keys(partition: int, sender: str, period: int) -> tuple[str, str, str, str]:
    """Whom a sender writes to: its recipients of a period, of the one before, a sketch of those too many, counts."""
    head = f"{{p{partition}}}n"
    return (
        f"{head}{period}:{sender}",
        f"{head}{period - 1}:{sender}",
        f"{head}s{period}:{sender}",
        f"{head}c{period}:{sender}",
    )


def bands_prefix() -> str:
    """What keys of the bands of sketches begin with. Campaigns are few, so one partition finds them all."""
    return f"{tag(0)}k"


def book_key(partition: int, person: str) -> str:
    """Whom a person writes to and who writes to it."""
    return f"{{p{partition}}}yb{person}"


def feast_key(partition: int, person: str, feast: str, year: int) -> str:
    """The sketch of whom a person wrote to at a feast."""
    return f"{{p{partition}}}yf{person}:{feast}:{year}"


def feast_pattern(partition: int, person: str) -> str:
    """A pattern of the keys of a person's feasts."""
    return f"{tag(partition)}yf{person}:*"


def parts_patterns(partition: int, number: str) -> tuple[str, str]:
    """Patterns of the keys of long messages from and to a number."""
    return f"{tag(partition)}m{number}>*", f"{tag(partition)}m*>{number}>*"


def parts_key(partition: int, source: str, recipient: str, reference: int, total: int) -> str:
    """The parts seen of one long message. Not of one bind: parts may come over several."""
    return f"{{p{partition}}}m{source}>{recipient}>{reference}/{total}"


def decisions_key(partition: int) -> str:
    """The stream of decision records."""
    return f"{tag(partition)}decisions"


def applied_key(partition: int, worker: str) -> str:
    """The last batches of a worker that were spent, so that a call repeated after a fault counts once."""
    return f"{tag(partition)}applied:{worker}"


def leases_key() -> str:
    """Who holds which number of a worker and of a machine, and how far decision ids are reserved."""
    return f"{tag(0)}leases"


def binds_key(system_id: str) -> str:
    """Who holds a bind of an account."""
    return f"{tag(0)}binds:{system_id}"


SMALL_TABLES: Final = f"{tag(0)}small-tables"
"""What every worker keeps in process: field ``version`` and one field a table."""


REWRITTEN: Final = f"{tag(0)}rewritten"
"""When the append-only file was last written anew, epoch seconds."""


def scores_key(day: str) -> str:
    """How the scores of a day are spread."""
    return f"{tag(0)}scores:{day}"


def shadow_key(model_id: str) -> str:
    """Where a shadow model would have judged otherwise."""
    return f"{tag(0)}shadow:{model_id}"
