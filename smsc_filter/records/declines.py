"""The decline register as a record: lists with their versions, people's own wishes, what the hot state has to learn.

A number is in the register once for each list that names it, and what holds for it is what any of them declines
(``policy.wishes``). A list comes whole or as a delta on the version before, from a file that is read to its end before
anything changes: a wrong line, a file cut short or a delta on another base changes nothing.

What changes leaves its page in ``decline_pages`` in the same transaction, and whoever projects takes it from there
once the hot state has it (``project``). Only one projects at a time, so that what was read first is written first.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from typing import IO, Any, Final

from sqlalchemy import Connection, Engine, Select, delete, exists, func, insert, literal, select, union, update

from smsc_filter.policy.wishes import read_wish, unite
from smsc_filter.records.database import insert_new, reading, writing
from smsc_filter.records.errors import RecordsError
from smsc_filter.records.tables import decline_lists as lists
from smsc_filter.records.tables import decline_pages as pages
from smsc_filter.records.tables import decline_staged as staged
from smsc_filter.records.tables import decline_versions as versions
from smsc_filter.records.tables import decline_wishes as wishes
from smsc_filter.records.tables import declines

PAGE_NUMBERS: Final = 65_536
"""How many numbers a page of the hot state holds."""

MOST_WISHES: Final = 65_535
"""Different spellings the register can tell apart: a page has 16 bits for each."""

PERSONAL: Final = "personal"
"""The list of what people wished themselves; it has no versions."""

EVERYTHING: Final = "*:all"
"""What a line that names a number and nothing else declines."""

BATCH_ROWS: Final = 10_000
PAGES_AT_ONCE: Final = 256
MOST_LINE_OCTETS: Final = 4_096
MOST_ERRORS: Final = 100
_ASKED_AT_ONCE: Final = 900


class WrongFile(RecordsError):
    """The file says nothing that can be applied as a whole: nothing was changed."""

    def __init__(self, errors: Sequence[str]) -> None:
        super().__init__("; ".join(errors[:3]) + (f"; and {len(errors) - 3} more" if len(errors) > 3 else ""))
        self.errors = list(errors)
        """A sentence each, ``MOST_ERRORS`` at most."""


class WrongBase(RecordsError):
    """The list is at another version: nothing was changed; send the list whole, or the deltas in between."""


@dataclass(frozen=True, slots=True)
class Line:
    """What one line of a file says."""

    number: int
    wish: str | None
    """None: the number leaves the list."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sync:
    """What a sync came to."""

    list: str
    version: int
    base: int | None
    sha256: str
    rows: int
    changed: int
    """Numbers for which the list says something else than before."""


def sync(
    engine: Engine,
    file: IO[bytes],
    *,
    name: str,
    version: int,
    base: int | None,
    sha256: str,
    normalise_number: Callable[[str], str],
    now: float,
    tell: Callable[[int], None] = lambda rows: None,
) -> Sync:
    """Bring a list to ``version`` from a file: whole, or from ``base`` by a delta. All or nothing.

    The same sync once more changes nothing.

    A file is UTF-8 text, a line each: a number, then behind a comma its wish, without one everything; ``-`` for the
    wish takes the number off the list. Blank lines and lines that begin with # are skipped, as is ``recipient,wish``.

    Args:
        engine: of the records.
        file: read once, from where it stands.
        name: of the list.
        version: greater than that of the list.
        base: the version a delta is on; None for a whole list.
        sha256: of the file, in hexadecimal.
        normalise_number: makes a number E.164, or raises ValueError with a sentence.
        now: epoch seconds.
        tell: hears how many lines were read.

    Raises:
        WrongFile: a line says nothing, a number comes twice, or the file is not what ``sha256`` says.
        WrongBase: the list is at another version than ``base``, or not below ``version``.
        SqlUnavailable: the database does not answer.
    """
    if name == PERSONAL or not 0 < len(name) <= 64:
        raise WrongFile([f"list {name!r}: a name of 1 to 64 characters other than {PERSONAL} is expected"])
    before = _synced_before(engine, name, version, base, sha256)
    if before is not None:
        return before
    _check_base(*_list_of(engine, name), version, base)
    ticket = f"{name}:{version}:{sha256}"
    with writing(engine) as connection:
        connection.execute(delete(staged).where(staged.c.sync == ticket))
    try:
        rows = _stage(engine, file, ticket, sha256, normalise_number, tell, whole=base is None)
        with writing(engine) as connection:
            list_id, at = _list(connection, name, lock=True)
            _check_base(name, at, version, base)
            changed = _apply(connection, ticket, list_id, whole=base is None)
            connection.execute(update(lists).where(lists.c.id == list_id).values(version=version))
            connection.execute(
                insert(versions).values(
                    list_id=list_id,
                    version=version,
                    base=base,
                    sha256=sha256,
                    rows=rows,
                    synced_at_ms=round(now * 1000),
                )
            )
    finally:
        with writing(engine) as connection:
            connection.execute(delete(staged).where(staged.c.sync == ticket))
    return Sync(list=name, version=version, base=base, sha256=sha256, rows=rows, changed=changed)


def read_lines(
    file: Iterable[bytes], normalise_number: Callable[[str], str], *, whole: bool
) -> Iterator[tuple[int, Line | str]]:
    """What each line says, or a sentence of what is wrong with it; with its number from 1."""
    for number, octets in enumerate(file, 1):
        try:
            text = octets.decode("utf-8-sig" if number == 1 else "utf-8").strip()
        except UnicodeDecodeError:
            yield number, "is not UTF-8"
            continue
        if not text or text.startswith("#") or (number == 1 and text.lower() in ("recipient", "recipient,wish")):
            continue
        if len(octets) > MOST_LINE_OCTETS:
            yield number, f"is longer than {MOST_LINE_OCTETS} octets"
            continue
        recipient, _, spelled = text.partition(",")
        spelled = spelled.strip().strip('"')
        try:
            msisdn = int(normalise_number(recipient))
            if spelled == "-":
                if whole:
                    raise ValueError("takes a number off a list that is sent whole; leave the line out")
                yield number, Line(msisdn, None)
            else:
                yield number, Line(msisdn, str(read_wish(spelled or EVERYTHING)))
        except ValueError as error:
            yield number, str(error)


def set_wish(engine: Engine, recipient: str, wish: str | None) -> None:
    """What a person wishes from now on; None for nothing. ``project`` then makes it bind.

    Raises:
        ValueError: ``wish`` spells none.
        RecordsError: there are more different wishes than the register can tell apart.
        SqlUnavailable: the database does not answer.
    """
    number = int(recipient)
    spelled = str(read_wish(wish)) if wish is not None else None
    with writing(engine) as connection:
        list_id, _ = _list(connection, PERSONAL, lock=True)
        here = (declines.c.number == number) & (declines.c.list_id == list_id)
        connection.execute(delete(declines).where(here))
        if spelled is not None:
            wish_id = _wish_ids(connection, {spelled})[spelled]
            connection.execute(insert(declines).values(number=number, list_id=list_id, wish_id=wish_id))
        connection.execute(insert_new(connection, pages), [{"page": number // PAGE_NUMBERS}])


def wishes_of(engine: Engine, recipient: str) -> dict[str, str]:
    """List -> wish, of every list that names a recipient.

    Raises:
        SqlUnavailable: the database does not answer.
    """
    wanted = (
        select(lists.c.name, wishes.c.spelling)
        .join_from(declines, lists, declines.c.list_id == lists.c.id)
        .join(wishes, declines.c.wish_id == wishes.c.id)
        .where(declines.c.number == int(recipient))
    )
    with reading(engine) as connection:
        return {row.name: row.spelling for row in connection.execute(wanted)}


def list_versions(engine: Engine) -> list[dict[str, Any]]:
    """Every list with its version, its numbers and its last sync.

    Raises:
        SqlUnavailable: the database does not answer.
    """
    counted = select(declines.c.list_id, func.count().label("numbers")).group_by(declines.c.list_id).subquery()
    wanted = (
        select(
            lists.c.name,
            lists.c.version,
            func.coalesce(counted.c.numbers, 0).label("numbers"),
            versions.c.sha256,
            versions.c.synced_at_ms,
        )
        .join_from(lists, counted, counted.c.list_id == lists.c.id, isouter=True)
        .join(versions, (versions.c.list_id == lists.c.id) & (versions.c.version == lists.c.version), isouter=True)
        .order_by(lists.c.name)
    )
    with reading(engine) as connection:
        return [dict(row) for row in connection.execute(wanted).mappings()]


WritePages = Callable[[Mapping[int, str], Mapping[int, Sequence[tuple[int, int]]]], None]
"""Takes the spellings of wish ids, and page -> (number, wish id) of all in it, and keeps them."""


def project(engine: Engine, write: WritePages, tell: Callable[[int], None] = lambda pages: None) -> int:
    """Bring the hot state up to what is on record; how many pages that took.

    Raises:
        SqlUnavailable: the database does not answer.
        Exception: whatever ``write`` raises; what it did not take stays waiting.
    """
    done = 0
    while True:
        # The transaction holds the register, so that nobody writes an older page after a newer one.
        with writing(engine) as connection:
            _list(connection, PERSONAL, lock=True)
            some = connection.execute(select(pages.c.page).order_by(pages.c.page).limit(PAGES_AT_ONCE)).scalars().all()
            if not some:
                return done
            spelled: dict[int, str] = {}
            found: dict[int, list[tuple[int, int]]] = {page: [] for page in some}
            for page in some:
                found[page] = _page(connection, page, spelled)
            write(spelled, found)
            connection.execute(delete(pages).where(pages.c.page.in_(some)))
        done += len(some)
        tell(done)


def waiting_pages(engine: Engine) -> int:
    """How many pages the hot state has yet to learn.

    Raises:
        SqlUnavailable: the database does not answer.
    """
    with reading(engine) as connection:
        return connection.execute(select(func.count()).select_from(pages)).scalar_one()


def announce_all(engine: Engine, also: Iterable[int] = ()) -> None:
    """Have every page projected again, and those in ``also``, which may hold what is not on record any more.

    Raises:
        SqlUnavailable: the database does not answer.
    """
    with writing(engine) as connection:
        known = connection.execute(select(declines.c.number // PAGE_NUMBERS).distinct()).scalars()
        _announce(connection, sorted({int(page) for page in known}.union(also)))


def _stage(
    engine: Engine,
    file: IO[bytes],
    ticket: str,
    sha256: str,
    normalise_number: Callable[[str], str],
    tell: Callable[[int], None],
    *,
    whole: bool,
) -> int:
    """Read a file into ``staged``; how many numbers it names."""
    digest = hashlib.sha256()

    def octets() -> Iterator[bytes]:
        while line := file.readline(MOST_LINE_OCTETS + 1):
            digest.update(line)
            yield line
            while not line.endswith(b"\n") and len(line) > MOST_LINE_OCTETS:
                line = file.readline(MOST_LINE_OCTETS + 1)
                digest.update(line)

    errors: list[str] = []
    rows = 0
    known: dict[str, int] = {}
    lines = read_lines(octets(), normalise_number, whole=whole)
    while batch := list(islice(lines, BATCH_ROWS)):
        good: dict[int, tuple[int, str | None]] = {}
        for number, line in batch:
            if isinstance(line, str):
                errors.append(f"line {number}: {line}")
            elif line.number in good:
                errors.append(f"line {number}: the number stands on line {good[line.number][0]} already")
            else:
                good[line.number] = number, line.wish
        if len(errors) < MOST_ERRORS and good:
            with writing(engine) as connection:
                repeated = _staged_before(connection, ticket, list(good))
                errors += (f"line {good[number][0]}: the number stands further up already" for number in repeated)
                missing = {wish for _, wish in good.values() if wish is not None} - known.keys()
                known |= _wish_ids(connection, missing) if missing else {}
                came = [
                    {"sync": ticket, "number": number, "wish_id": known[wish] if wish is not None else None}
                    for number, (_, wish) in good.items()
                    if number not in repeated
                ]
                if came:
                    connection.execute(insert(staged), came)
        rows += len(good)
        tell(rows)
    if digest.hexdigest() != sha256.lower():
        errors.insert(0, "the file is not the one the checksum was made of; it may have been cut short")
    if errors:
        raise WrongFile(errors[:MOST_ERRORS])
    return rows


def _staged_before(connection: Connection, ticket: str, numbers: Sequence[int]) -> set[int]:
    found: set[int] = set()
    for first in range(0, len(numbers), _ASKED_AT_ONCE):
        some = numbers[first : first + _ASKED_AT_ONCE]
        wanted = select(staged.c.number).where(staged.c.sync == ticket, staged.c.number.in_(some))
        found |= set(connection.execute(wanted).scalars())
    return found


def _apply(connection: Connection, ticket: str, list_id: int, *, whole: bool) -> int:
    """Make the list say what was staged; how many numbers that changes."""
    came = staged.alias("came")
    ours = (declines.c.list_id == list_id,)
    of_sync = (came.c.sync == ticket,)
    same = exists().where(came.c.number == declines.c.number, *of_sync)
    kept = exists().where(came.c.number == declines.c.number, came.c.wish_id == declines.c.wish_id, *of_sync)
    if whole:
        # Out or with another wish.
        gone = select(declines.c.number).where(*ours, ~kept)
    else:
        gone = select(declines.c.number).where(*ours, same, ~kept)
    before = declines.alias("before")
    new = select(came.c.number).where(
        *of_sync,
        came.c.wish_id.is_not(None),
        ~exists().where(
            before.c.number == came.c.number, before.c.list_id == list_id, before.c.wish_id == came.c.wish_id
        ),
    )
    _announce_numbers(connection, union(gone, new))
    changed = connection.execute(select(func.count()).select_from(union(gone, new).subquery())).scalar_one()
    connection.execute(delete(declines).where(*ours, declines.c.number.in_(gone)))
    connection.execute(
        insert(declines).from_select(
            ["number", "list_id", "wish_id"],
            select(came.c.number, literal(list_id), came.c.wish_id).where(
                *of_sync,
                came.c.wish_id.is_not(None),
                ~exists().where(before.c.number == came.c.number, before.c.list_id == list_id),
            ),
        )
    )
    return changed


def _announce_numbers(connection: Connection, numbers: Any) -> None:
    changed = numbers.subquery()
    column = next(iter(changed.c))
    page = column // PAGE_NUMBERS
    _announce(connection, sorted({int(value) for value in connection.execute(select(page).distinct()).scalars()}))


def _announce(connection: Connection, some: Sequence[int]) -> None:
    for first in range(0, len(some), _ASKED_AT_ONCE):
        chunk = some[first : first + _ASKED_AT_ONCE]
        connection.execute(insert_new(connection, pages), [{"page": page} for page in chunk])


def _page(connection: Connection, page: int, spelled: dict[int, str]) -> list[tuple[int, int]]:
    """(number, wish id) of everything in a page, what several lists say united."""
    first = page * PAGE_NUMBERS
    wanted: Select[Any] = (
        select(declines.c.number, wishes.c.id, wishes.c.spelling)
        .join_from(declines, wishes, declines.c.wish_id == wishes.c.id)
        .where(declines.c.number.between(first, first + PAGE_NUMBERS - 1))
        .order_by(declines.c.number)
    )
    entries: list[tuple[int, int]] = []
    for number, group in groupby(connection.execute(wanted).all(), lambda row: row[0]):
        said = [(row[1], row[2]) for row in group]
        wish_id, spelling = said[0]
        if len(said) > 1:
            spelling = str(unite(read_wish(each) for _, each in said))
            known = next((id_ for id_, each in said if each == spelling), None)
            wish_id = known if known is not None else _wish_ids(connection, {spelling})[spelling]
        spelled[wish_id] = spelling
        entries.append((number, wish_id))
    return entries


def _wish_ids(connection: Connection, spellings: set[str]) -> dict[str, int]:
    """The ids of wishes; who has none gets one.

    Raises:
        RecordsError: there is no id left.
    """
    ids = _known_wishes(connection, spellings)
    missing = sorted(spellings - ids.keys())
    if missing:
        connection.execute(insert_new(connection, wishes), [{"spelling": spelling} for spelling in missing])
        ids |= _known_wishes(connection, set(missing))
    if ids and max(ids.values()) > MOST_WISHES:
        raise RecordsError(f"the register can tell {MOST_WISHES:,} different wishes apart; round off their time bands")
    return ids


def _known_wishes(connection: Connection, spellings: set[str]) -> dict[str, int]:
    ids: dict[str, int] = {}
    ordered = sorted(spellings)
    for first in range(0, len(ordered), _ASKED_AT_ONCE):
        some = ordered[first : first + _ASKED_AT_ONCE]
        found = connection.execute(select(wishes.c.spelling, wishes.c.id).where(wishes.c.spelling.in_(some)))
        ids.update((row.spelling, row.id) for row in found)
    return ids


def _list(connection: Connection, name: str, *, lock: bool) -> tuple[int, int]:
    """Id and version of a list, which is made where there is none; with ``lock`` nobody else changes the register.

    All lock the same row, whichever list they mean: projection reads across lists. On SQLite ``writing`` has the
    whole database already.
    """
    # Asked first and then added: a conflict would use up one of the small ids on PostgreSQL.
    there = set(connection.execute(select(lists.c.name).where(lists.c.name.in_((PERSONAL, name)))).scalars())
    if missing := {PERSONAL, name} - there:
        new = [{"name": each, "version": 0} for each in sorted(missing)]
        connection.execute(insert_new(connection, lists), new)
    if lock and connection.dialect.name != "sqlite":
        connection.execute(select(lists.c.id).where(lists.c.name == PERSONAL).with_for_update())
    row = connection.execute(select(lists.c.id, lists.c.version).where(lists.c.name == name)).one()
    return row.id, row.version


def _synced_before(engine: Engine, name: str, version: int, base: int | None, sha256: str) -> Sync | None:
    """What the same sync came to, if the list is where it left it: whoever heard no answer may ask again."""
    row = versions.c
    wanted = (
        select(row.base, row.rows)
        .join_from(versions, lists, lists.c.id == row.list_id)
        .where(lists.c.name == name, lists.c.version == version, row.version == version, row.sha256 == sha256)
    )
    with reading(engine) as connection:
        found = connection.execute(wanted).first()
    if found is None or found.base != base:
        return None
    return Sync(list=name, version=version, base=base, sha256=sha256, rows=found.rows, changed=0)


def _list_of(engine: Engine, name: str) -> tuple[str, int]:
    with reading(engine) as connection:
        at = connection.execute(select(lists.c.version).where(lists.c.name == name)).scalar_one_or_none()
    return name, at or 0


def _check_base(name: str, at: int, version: int, base: int | None) -> None:
    if base is not None and base != at:
        raise WrongBase(f"list {name} is at version {at}, the delta is on version {base}")
    if version <= at:
        raise WrongBase(f"list {name} is at version {at}, which is not below {version}")
