"""Reads the append-only file of the embedded store: finds what is damaged, and mends it.

The server cuts a torn last command off by itself and refuses everything else that it cannot read. Here the same is
read: a manifest that names files, a base that is a dump (the server's own checker reads that), and increments of
commands in RESP. Commands behind a damaged place are found again by their form, so that no more is lost than the place.
"""

from __future__ import annotations

import mmap
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from smsc_filter.state.embedded import StoreError, server_binary

FOLDER: Final = "appendonlydir"
MANIFEST: Final = "appendonly.aof.manifest"
CHECK_SECONDS: Final = 600.0
"""Longest wait for the server's checker."""

REMARK: Final = "#"
BROKEN: Final = ""
SHORT: Final = "..."
"""What stands in place of a command: a time noted, something else, what the end of the file cuts off."""

# fmt: off
_COMMANDS: Final = frozenset((
    "APPEND", "BITFIELD", "BITOP", "COPY", "DECR", "DECRBY", "DEL", "DELIFEQ", "EVAL", "EVALSHA", "EXEC", "EXPIRE",
    "EXPIREAT", "FCALL", "FLUSHALL", "FLUSHDB", "FUNCTION", "GEOADD", "GETDEL", "GETEX", "GETSET", "HDEL", "HEXPIRE",
    "HEXPIREAT", "HGETDEL", "HGETEX", "HINCRBY", "HINCRBYFLOAT", "HMSET", "HPERSIST", "HPEXPIRE", "HPEXPIREAT",
    "HSET", "HSETEX", "HSETNX", "INCR", "INCRBY", "INCRBYFLOAT", "LINSERT", "LMOVE", "LMPOP", "LPOP", "LPUSH",
    "LPUSHX", "LREM", "LSET", "LTRIM", "MOVE", "MSET", "MSETNX", "MULTI", "PERSIST", "PEXPIRE", "PEXPIREAT", "PFADD",
    "PFMERGE", "PSETEX", "PUBLISH", "RENAME", "RENAMENX", "RESTORE", "RPOP", "RPOPLPUSH", "RPUSH", "RPUSHX", "SADD",
    "SCRIPT", "SDIFFSTORE", "SELECT", "SET", "SETBIT", "SETEX", "SETNX", "SETRANGE", "SINTERSTORE", "SMOVE", "SORT",
    "SPOP", "SPUBLISH", "SREM", "SUNIONSTORE", "SWAPDB", "UNLINK", "XACK", "XADD", "XAUTOCLAIM", "XCLAIM", "XDEL",
    "XGROUP", "XREADGROUP", "XSETID", "XTRIM", "ZADD", "ZDIFFSTORE", "ZINCRBY", "ZINTERSTORE", "ZMPOP", "ZPOPMAX",
    "ZPOPMIN", "ZRANGESTORE", "ZREM", "ZREMRANGEBYLEX", "ZREMRANGEBYRANK", "ZREMRANGEBYSCORE", "ZUNIONSTORE",
))
# fmt: on
"""What a server writes there; another name is damage, and the server would not start over it."""

_BEGINS: Final = re.compile(rb"\*[1-9]\d{0,6}\r\n\$[1-9]\d?\r\n([A-Za-z]{3,})\r\n")
_COUNT: Final = re.compile(rb"\*([1-9]\d{0,6})\r\n")
_LENGTH: Final = re.compile(rb"\$(0|[1-9]\d{0,9})\r\n")
_HALF_COUNT: Final = re.compile(rb"\*\d*\r?")
_HALF_LENGTH: Final = re.compile(rb"(?:\$\d*\r?)?")
_LINE: Final = re.compile(rb"file (?P<name>\S+) seq (?P<seq>\d+) type (?P<kind>[bih])(?: .*)?")
_NAME: Final = re.compile(r"appendonly\.aof\.(\d+)\.(base|incr)\.(rdb|aof)")


class Part(NamedTuple):
    """A file of the append-only file."""

    path: Path
    kind: str
    """"b" of the base, "i" of an increment."""


class Span(NamedTuple):
    """Octets of a file, from and up to."""

    begin: int
    end: int

    @property
    def octets(self) -> int:
        """How many they are."""
        return self.end - self.begin


@dataclass(slots=True)
class Reading:
    """What a file of commands holds."""

    size: int
    commands: int = 0
    kept: list[Span] = field(default_factory=list)
    lost: list[Span] = field(default_factory=list)
    behind: int = 0
    """Commands behind the first damaged place."""
    short: bool = False
    """Whether the last damaged place is a command that the end of the file cuts off."""

    @property
    def torn(self) -> bool:
        """Whether its end alone is missing, as a kill or a power cut leaves it: the server mends that by itself."""
        return self.short and len(self.lost) == 1 and self.lost[0].end == self.size


@dataclass(frozen=True, slots=True)
class Damage:
    """What is wrong with one file of the append-only file."""

    path: Path
    what: str
    torn: bool = False
    """The server would mend it by itself."""
    reading: Reading | None = None


def read_commands(path: Path) -> Reading:
    """Read a file of commands.

    Raises:
        OSError: it cannot be read.
    """
    size = path.stat().st_size
    if not size:
        return Reading(0)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as octets:
        return _read(octets, size)


def _read(octets: mmap.mmap, size: int) -> Reading:
    found = Reading(size)
    at = 0
    multi: Span | None = None
    held = 0
    """Commands since ``multi``."""
    while at < size:
        end, name = _command(octets, at, size)
        if name in (BROKEN, SHORT):
            found.short = name == SHORT
            # The transaction it stands in has no whole end any more: what is left of it is kept command by command.
            end = _next(octets, at, size)
            if multi is not None and end == size and found.short:
                at, held = multi.begin, held + 1  # as the server does: all of it or nothing
                found.commands -= held
                _drop(found, Span(at, size))
                return found
            if multi is not None:
                _take_back(found, multi)
                multi = None
            _drop(found, Span(at, end))
        elif name == "EXEC" and multi is None and found.lost:
            _drop(found, Span(at, end))
        else:
            _keep(found, Span(at, end), counts=name != REMARK)
            held += name != REMARK
            if name == "MULTI":
                multi, held = Span(at, end), 0
            elif name == "EXEC":
                multi = None
        at = end
    if multi is not None:
        found.short = True
        found.commands -= held + 1
        _drop(found, Span(multi.begin, size))
    return found


def _keep(found: Reading, span: Span, *, counts: bool) -> None:
    if found.kept and found.kept[-1].end == span.begin:
        found.kept[-1] = Span(found.kept[-1].begin, span.end)
    else:
        found.kept.append(span)
    found.commands += counts
    found.behind += counts and bool(found.lost)


def _drop(found: Reading, span: Span) -> None:
    while found.kept and found.kept[-1].end > span.begin:
        last = found.kept.pop()
        if last.begin < span.begin:
            found.kept.append(Span(last.begin, span.begin))
    if found.lost and found.lost[-1].end == span.begin:
        found.lost[-1] = Span(found.lost[-1].begin, span.end)
    else:
        found.lost.append(span)


def _take_back(found: Reading, span: Span) -> None:
    """Leave out one command that was kept already."""
    for number, kept in enumerate(found.kept):
        if kept.begin <= span.begin < kept.end:
            parts = [Span(kept.begin, span.begin), Span(span.end, kept.end)]
            found.kept[number : number + 1] = [part for part in parts if part.octets]
            found.commands -= 1
            found.lost.append(span)
            return


def _command(octets: mmap.mmap, at: int, size: int) -> tuple[int, str]:
    """Where the command at ``at`` ends, and its name, or ``REMARK``, ``BROKEN``, ``SHORT``."""
    if octets[at] == 0x23:
        end = octets.find(b"\n", at, min(at + 1024, size))
        return (end + 1, REMARK) if end >= 0 else (at, BROKEN if size - at > 1024 else SHORT)
    count = _COUNT.match(octets, at)
    if count is None:
        return at, SHORT if _HALF_COUNT.fullmatch(octets, at, size) else BROKEN
    name = ""
    at = count.end()
    for number in range(int(count[1])):
        length = _LENGTH.match(octets, at)
        if length is None:
            return at, SHORT if _HALF_LENGTH.fullmatch(octets, at, size) else BROKEN
        begin, end = length.end(), length.end() + int(length[1])
        if octets[end : end + 2] != b"\r\n":
            return at, SHORT if end + 2 > size else BROKEN
        if not number:
            name = octets[begin : min(end, begin + 32)].decode("latin-1").upper()
        at = end + 2
    return at, name if name in _COMMANDS else BROKEN


def _next(octets: mmap.mmap, at: int, size: int) -> int:
    """Where the next whole command begins behind a damaged place; the end where there is none."""
    for found in _BEGINS.finditer(octets, at + 1):
        if found[1].decode("ascii").upper() in _COMMANDS and _command(octets, found.start(), size)[1] in _COMMANDS:
            return found.start()
    return size


def read_manifest(folder: Path) -> list[Part]:
    """The files of the append-only file in ``folder``, in their order.

    Raises:
        ValueError: the manifest is missing or damaged.
        OSError: it cannot be read.
    """
    try:
        lines = (folder / MANIFEST).read_bytes().splitlines()
    except FileNotFoundError:
        raise ValueError(f"{MANIFEST} is missing: the store would begin empty") from None
    parts = []
    for number, line in enumerate(lines, 1):
        found = _LINE.fullmatch(line)
        if found is None or b"/" in found["name"]:
            raise ValueError(f"{MANIFEST}: line {number} is damaged")
        if found["kind"] != b"h":
            parts.append(Part(folder / os.fsdecode(found["name"]), found["kind"].decode()))
    if not parts:
        raise ValueError(f"{MANIFEST} names no file")
    return parts


def _parts_there(folder: Path) -> list[Part]:
    """The files as their names say: the newest base, and the increments since."""
    named = [(found, path) for path in folder.iterdir() if (found := _NAME.fullmatch(path.name))]
    bases = sorted((int(found[1]), path) for found, path in named if found[2] == "base")
    increments = sorted((int(found[1]), path) for found, path in named if found[2] == "incr")
    return [*(Part(path, "b") for _, path in bases[-1:]), *(Part(path, "i") for _, path in increments)]


def check_aof(state_folder: Path) -> list[Damage]:
    """What is wrong with the append-only file of the store in ``state_folder``; nothing where there is none yet.

    Raises:
        OSError: it cannot be read.
        StoreError: the server's checker cannot be run.
    """
    folder = state_folder / FOLDER
    if not folder.is_dir() or not any(folder.iterdir()):
        return []
    damages = []
    try:
        parts = read_manifest(folder)
    except ValueError as error:
        damages.append(Damage(folder / MANIFEST, str(error)))
        parts = _parts_there(folder)
    for part in parts:
        damage = _check_part(part)
        if damage is not None:
            damages.append(damage if not damage.torn or part == parts[-1] else Damage(
                part.path, f"{damage.what}, and there are files behind it", reading=damage.reading))  # fmt: skip
    return damages


def _check_part(part: Part) -> Damage | None:
    if not part.path.exists():
        return Damage(part.path, "it is missing")
    with part.path.open("rb") as file:
        magic = file.read(6)
    if part.kind == "b" and (part.path.suffix == ".rdb" or magic.startswith((b"REDIS", b"VALKEY"))):
        said = _ask_checker("rdb", part.path)
        return None if said is None else Damage(part.path, f"the dump cannot be read{said}")
    reading = read_commands(part.path)
    if not reading.lost:
        return None
    lost = sum(span.octets for span in reading.lost)
    at = reading.lost[0].begin
    if reading.torn:
        return Damage(part.path, f"its last {lost} octets are no whole command (from octet {at} on)", True, reading)
    what = f"damaged at octet {at} of {reading.size}: {lost} octets in {len(reading.lost)} places cannot be read"
    return Damage(part.path, f"{what}, {reading.behind} commands stand behind", reading=reading)


def _ask_checker(kind: str, path: Path) -> str | None:
    """Have the server's own checker read a file; what it says, or None where the file is whole."""
    binary = Path(server_binary())
    name = f"{'redis' if binary.name.startswith('redis') else 'valkey'}-check-{kind}"
    # The checker is the server called by another name.
    apart = shutil.which(name)
    try:
        ran = subprocess.run(  # noqa: S603
            [apart or name, str(path)],
            executable=apart or str(binary),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=CHECK_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StoreError(f"{name} cannot be run: {type(error).__name__}") from error
    if ran.returncode == 0:
        return None
    said = [line for line in ran.stdout.decode(errors="replace").splitlines() if "rror" in line or "hecksum" in line]
    return f" ({re.sub(r'^.*?--- |[^ -~]', '', said[0])[:120].strip()})" if said else ""


def mend_aof(state_folder: Path, damages: list[Damage], aside: Path) -> Iterator[str]:
    """Mend what ``check_aof`` found; each original is in ``aside`` first. What was done, a sentence each.

    Nobody may serve the folder meanwhile.

    Raises:
        OSError: it cannot be written; the originals are whole, there or in ``aside``.
    """
    folder = state_folder / FOLDER
    gone = set()
    manifest_damaged = False
    for damage in damages:
        if damage.path.name == MANIFEST:
            manifest_damaged = True
        elif damage.reading is not None:
            yield _rewrite(damage.path, damage.reading, aside)
        else:
            gone.add(damage.path)
            if damage.path.exists():
                _set_aside(damage.path, aside)
            yield f"{damage.path.name} left out: what stood in it alone is lost (quotas, contacts, requests)"
    if not gone and not manifest_damaged:
        return
    parts = _parts_there(folder) if manifest_damaged else read_manifest(folder)
    parts = [part for part in parts if part.path not in gone]
    if (folder / MANIFEST).exists():
        _set_aside(folder / MANIFEST, aside)
    if parts:
        lines = [f"file {part.path.name} seq {part.path.name.split('.')[2]} type {part.kind}\n" for part in parts]
        _write(folder / MANIFEST, "".join(lines).encode())
        yield f"{MANIFEST} made anew from {len(parts)} files"
    else:
        yield "nothing of the append-only file is left: the store begins empty"


def _rewrite(path: Path, reading: Reading, aside: Path) -> str:
    fresh = path.with_name(path.name + ".mended")
    with path.open("rb") as old, fresh.open("wb") as new:
        for span in reading.kept:
            old.seek(span.begin)
            left = span.octets
            while left and (octets := old.read(min(left, 1 << 20))):
                new.write(octets)
                left -= len(octets)
        new.flush()
        os.fsync(new.fileno())
    # A link first: whenever this is killed, the name leads to the whole original or to what was mended.
    aside.mkdir(mode=0o700, exist_ok=True)
    try:
        os.link(path, aside / path.name)
    except OSError:
        shutil.copy2(path, aside / path.name)
    fresh.replace(path)
    _sync(path.parent)
    lost = sum(span.octets for span in reading.lost)
    cut = "cut off its end" if reading.torn else f"cut out in {len(reading.lost)} places"
    return f"{path.name}: {lost} octets {cut}, {reading.commands} commands kept"


def _set_aside(path: Path, aside: Path) -> None:
    aside.mkdir(mode=0o700, exist_ok=True)
    shutil.move(path, aside / path.name)
    _sync(path.parent)


def _write(path: Path, octets: bytes) -> None:
    fresh = path.with_name(path.name + ".mended")
    with fresh.open("wb") as file:
        file.write(octets)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    _sync(path.parent)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
