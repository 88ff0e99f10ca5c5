"""The decision record on its way from the judge to the tables: one stream entry for a whole batch.

A relay worker packs what it decided about a batch into field ``b`` of one entry; the store adds field ``r``
when spending quota refused some of it after all; whoever moves the stream into SQL turns both into rows of
the table ``decisions``. Both ends import this module, so the order of the fields is written once. JSON
through orjson was taken because a batch of 256 packs in 20 us and a stuck entry can be read by eye; one
entry a message would cost a stream node and a parse each.

What the SMSC answers comes later and on another stream: field ``o``, a list of outcomes.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final, TypedDict

import orjson

from smsc_filter.policy.verdict import TROUBLES

ROW: Final = (
    "id", "system_id", "owner", "source", "recipient", "purpose", "cause", "command_status", "score", "kind",
    "part", "data_coding", "text", "findings",
)  # fmt: skip
"""One message in field ``b``:

``id``              63 bits, later ones greater; names the decision for ever
``system_id``       the account it came over; ``owner``: who answers for that account
``source``          sender's address as the subscriber sees it; ``recipient``: the subscriber's number
``purpose``         what the sender is registered for: commercial, service, person
``cause``           "" when admitted, else the name of the refusal
``command_status``  what the sender is told; 0 when admitted
``score``           0 to 10,000, probability of commercial in ten-thousandths; -1 when not scored
``kind``            class the classifier found
``part``            "" or "reference:number/total" of a long message
``data_coding``     as on the wire, 0 to 255
``text``            what this part carries
``findings``        list of [check, cause, sentence, article], of checks that did not simply pass; 0 for none
"""

COLUMNS: Final = (
    "id", "at_ms", "system_id", "owner", "source", "recipient", "purpose", "cause", "command_status",
    "enforced", "score", "kind", "part", "data_coding", "text", "findings", "model", "profile", "worker",
)  # fmt: skip
"""The columns of the table ``decisions``: a row with what the header says of the whole batch."""

_TROUBLES: Final = frozenset(cause.value for cause in TROUBLES)

MODES: Final = ("enforce", "observe")

DecisionRow = tuple[
    int, int, str, str, str, str, str, str, int, bool, int, str, str, int, str, str | None, str, str, int
]
"""Values in the order of ``COLUMNS``; ``findings`` is JSON text, None for none."""

OutcomeRow = tuple[int, int, int, str]
"""decision id, epoch milliseconds, the SMSC's command_status, its message_id ("" when it gave none)."""

MAX_ID: Final = (1 << 63) - 1

_FOUND = (int, str, str, str, str, str, str, int, int, str, str, int, str, list)
_PASSED = (*_FOUND[:-1], int)
_OUTCOME = [{int}, {int}, {int}, {str}]
_REFUSAL = (int, str, int, str, str)

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_DIGITS = {letter: value for value, letter in enumerate(_ALPHABET)} | {"O": 0, "I": 1, "L": 1}
ID_CHARACTERS: Final = 13


class EntryError(ValueError):
    """A stream entry is not what this module packs: set it aside, the next one is fine."""


class BatchHeader(TypedDict):
    """What holds for every row of a batch."""

    at: float
    """When the batch was judged, epoch seconds."""
    model: str
    profile: str
    mode: str
    """"enforce", or "observe": causes are recorded and nothing was refused."""
    worker: int


def pack_batch(header: BatchHeader, rows: Sequence[Sequence[object]]) -> bytes:
    """Field ``b`` of a batch; each row in the order of ``ROW``."""
    try:
        return orjson.dumps([header, rows])
    except orjson.JSONEncodeError:
        # UCS-2 cut between two parts can leave half a surrogate pair in a text, which UTF-8 cannot carry.
        # It is rare, so it is looked for only once it has been met; any other error shows again.
        return orjson.dumps([header, [[_without_surrogates(value) for value in row] for row in rows]])


def rows_from_entry(b: bytes, r: bytes | None) -> list[DecisionRow]:
    """The rows an entry stands for, refusals by quota worked in.

    Args:
        b: what ``pack_batch`` gave.
        r: JSON list of [index of the row, cause, command_status, sentence, article], what spending refused;
        None
            or empty for none. An empty Lua table arrives as ``{}`` and is none as well.

    Raises:
        EntryError: a field is missing, of another type or out of range; the sentence names it.
    """
    header, rows = _batch(b)
    at_ms, enforced = round(header["at"] * 1000), header["mode"] == "enforce"
    model, profile, worker = header["model"], header["profile"], header["worker"]
    if r:
        _refuse_rows(rows, r)
    done: list[DecisionRow] = []
    for index, row in enumerate(rows):
        types = tuple(map(type, row))
        if types not in (_PASSED, _FOUND):
            raise EntryError(_first_wrong(index, row))
        (id_, system_id, owner, source, recipient, purpose, cause, command_status, score, kind, part,
         data_coding, text, findings) = row  # fmt: skip
        if not 0 <= id_ <= MAX_ID:
            raise EntryError(f"row {index}: id {id_} does not fit 63 bits")
        if "\0" in text:
            # PostgreSQL keeps no NUL in text; both databases are to say the same.
            text = text.replace("\0", "\N{SYMBOL FOR NULL}")
        done.append((
            id_, at_ms, system_id, owner, source, recipient, purpose, cause, command_status,
            enforced or cause in _TROUBLES, score, kind, part, data_coding, text,
            orjson.dumps(findings).decode() if findings else None, model, profile, worker,
        ))  # fmt: skip
    return done


def pack_outcomes(outcomes: Sequence[OutcomeRow]) -> bytes:
    """Field ``o``: what the SMSC answered to some admitted messages."""
    return orjson.dumps(outcomes)


def outcomes_from_entry(o: bytes) -> list[OutcomeRow]:
    """The outcomes an entry stands for.

    Raises:
        EntryError: ``o`` is not a list of [decision id, at_ms, command_status, message_id].
    """
    outcomes = _json(o, "o")
    if type(outcomes) is not list:
        raise EntryError("field o: a list is expected")
    if outcomes and not _are_outcomes(outcomes):
        index = next(index for index, outcome in enumerate(outcomes) if not _are_outcomes([outcome]))
        raise EntryError(
            f"outcome {index}: [id, at_ms, command_status, message_id] is expected, not {outcomes[index]!r}"
        )
    return list(map(tuple, outcomes))


def id_to_text(decision_id: int) -> str:
    """A decision's id as people read it to each other: 13 characters of Crockford's base 32.

    Raises:
        ValueError: the id is negative or has more than 63 bits.

    Source: Douglas Crockford, "Base 32", https://www.crockford.com/base32.html
    """
    if not 0 <= decision_id <= MAX_ID:
        raise ValueError(f"decision id {decision_id} does not fit 63 bits")
    return "".join(_ALPHABET[decision_id >> shift & 31] for shift in range(5 * (ID_CHARACTERS - 1), -1, -5))


def id_from_text(text: str) -> int:
    """The id that ``text`` names, in any case; hyphens and blanks are skipped, I and L read as 1, O as 0.

    Raises:
        ValueError: not 13 such characters, or more than 63 bits.
    """
    letters = "".join(text.split()).replace("-", "").upper()
    if len(letters) != ID_CHARACTERS:
        raise ValueError(f"decision id {text!r} has {len(letters)} characters, {ID_CHARACTERS} are expected")
    value = 0
    for letter in letters:
        if letter not in _DIGITS:
            raise ValueError(f"decision id {text!r}: {letter!r} is not a digit of base 32")
        value = value << 5 | _DIGITS[letter]
    if value > MAX_ID:
        raise ValueError(f"decision id {text!r} is beyond 63 bits; the greatest is {id_to_text(MAX_ID)}")
    return value


def _batch(b: bytes) -> tuple[BatchHeader, list[Any]]:
    batch = _json(b, "b")
    if type(batch) is not list or tuple(map(type, batch)) != (dict, list):
        raise EntryError("field b: [header, rows] is expected")
    header, rows = batch
    for key, kinds in (
        ("at", (int, float)),
        ("model", (str,)),
        ("profile", (str,)),
        ("mode", (str,)),
        ("worker", (int,)),
    ):
        if type(header.get(key)) not in kinds:
            raise EntryError(f"header: {key} is {header.get(key)!r}")
    if header["mode"] not in MODES:
        raise EntryError(f"header: mode is {header['mode']!r}, {' or '.join(MODES)} is expected")
    for index, row in enumerate(rows):
        if type(row) is not list or len(row) != len(ROW):
            raise EntryError(f"row {index}: a list of {len(ROW)} is expected")
    return header, rows


def _are_outcomes(outcomes: Sequence[Any]) -> bool:
    """Whether each is what an outcome should be; asked by the column, at a third of what it costs one by one."""
    if {*map(type, outcomes)} != {list} or {*map(len, outcomes)} != {len(_OUTCOME)}:
        return False
    columns = tuple(zip(*outcomes, strict=True))
    ids = columns[0]
    return [{*map(type, column)} for column in columns] == _OUTCOME and min(ids) >= 0 and max(ids) <= MAX_ID


def _refuse_rows(rows: list[list[Any]], r: bytes) -> None:
    """Work what spending refused into ``rows``, in place."""
    for refusal in _json(r, "r") or ():
        if type(refusal) is not list or tuple(map(type, refusal)) != _REFUSAL or not 0 <= refusal[0] < len(rows):
            raise EntryError(f"field r: {refusal!r} is no refusal of one of {len(rows)} rows")
        index, cause, command_status, sentence, article = refusal
        row = rows[index]
        # The first check that refuses gives the cause and quota is the last, so it never hides an earlier
        # one.
        if not row[6]:
            row[6], row[7] = cause, command_status
        row[13] = [*(row[13] or ()), ["quota", cause, sentence, article]]


def _json(field: bytes, name: str) -> Any:
    try:
        return orjson.loads(field)
    except orjson.JSONDecodeError as error:
        raise EntryError(f"field {name}: not JSON: {error}") from error


def _first_wrong(index: int, row: Iterable[object]) -> str:
    """A sentence naming the first value of a row that has the wrong type."""
    for name, value, kind in zip(ROW, row, _FOUND, strict=True):
        if type(value) is not kind and not (name == "findings" and type(value) is int):
            return f"row {index}: {name} is {value!r}, {kind.__name__} is expected"
    raise AssertionError(f"row {index} is as it should be")


def _without_surrogates(value: object) -> object:
    if isinstance(value, str):
        return value.encode("utf-16-be", "surrogatepass").decode("utf-16-be", "replace")
    return value
