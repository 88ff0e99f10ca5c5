"""Looks an installation over: what is wrong, what to do about it, and what can be mended.

Nothing is destroyed: what is replaced stands in ``data_dir/damaged-TIME`` first.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from sqlalchemy import Engine, func, select

from smsc_filter.classifier.manifest import ModelError
from smsc_filter.classifier.scorer import Scorer
from smsc_filter.records.database import REVISION, open_database, reading, sqlite_file
from smsc_filter.records.errors import RecordsError
from smsc_filter.records.modes import close_to_others
from smsc_filter.records.salvage import find_damage, loose_keys, revision_of, salvage
from smsc_filter.records.spool import SUFFIX, SpoolDamagedError, read_spool
from smsc_filter.records.tables import outbox, stream_rejects
from smsc_filter.records.verify import read_anchors, verify_events
from smsc_filter.service.addresses import FolderLock
from smsc_filter.service.build import embedded_store, model_folder, shadow_folder, spool_folder, text_keys
from smsc_filter.service.build_records import open_records
from smsc_filter.settings import Settings, SettingsError
from smsc_filter.state.aof import Damage, check_aof, mend_aof
from smsc_filter.state.embedded import StoreError
from smsc_filter.state.room import room_in

OK: Final = "ok"
WARN: Final = "warn"
BAD: Final = "bad"

FEW_INODES: Final = 1_000
STUCK_SECONDS: Final = 60.0
"""A spool file that nobody writes is taken in within a second while the service runs."""

OWN_KEYS: Final = ("jitter.key", "device.key", "installation.key")
KEY_OCTETS: Final = 32

Mend = Callable[[Path], Iterator[str]]
"""Mends one thing, originals into the folder given; yields what was done."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    status: str
    """One of ``OK``, ``WARN``, ``BAD``."""
    subject: str
    sentence: str
    """What is so and, where something is wrong, what to do."""
    mend: Mend | None = None
    while_served: bool = False
    """Whether it may be mended while the service runs."""


class Doctor:
    """Looks over the installation that one configuration describes."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.time) -> None:
        """Look by ``settings``; times are ``clock()`` in seconds since the epoch."""
        self._settings = settings
        self._clock = clock

    def examine(self) -> Iterator[Finding]:
        """Look at everything; nothing is changed."""
        if not self._settings.data_dir.is_dir():
            yield Finding(WARN, "data_dir", f"{self._settings.data_dir} is not there; the first start makes it")
            yield from self._model()
            return
        served = self._served()
        yield Finding(OK, "serve", f"runs as process {served}" if served else "does not run")
        yield from self._folder()
        yield from self._room()
        yield from self._store(bool(served))
        yield from self._records()
        yield from self._spools(bool(served))
        yield from self._model()
        yield from self._keys()

    def mend(self, findings: list[Finding]) -> Iterator[tuple[Finding, str]]:
        """Mend what can be mended of ``findings``; what was done about which.

        Raises:
            OSError, RecordsError: it cannot be; the originals are whole.
        """
        aside = self._settings.data_dir / datetime.fromtimestamp(self._clock(), UTC).strftime("damaged-%Y%m%dT%H%M%SZ")
        while aside.exists():
            aside = aside.with_name(aside.name + "x")
        wanted = [finding for finding in findings if finding.mend is not None]
        try:
            lock = FolderLock(self._settings.data_dir) if wanted else None
        except SettingsError:
            lock = None
        try:
            for finding in wanted:
                assert finding.mend is not None
                if lock is None and not finding.while_served:
                    yield finding, "not mended: serve runs; stop it and run doctor --mend again"
                    continue
                for sentence in finding.mend(aside):
                    yield finding, sentence
        finally:
            if lock is not None:
                lock.release()
        if aside.is_dir():
            yield Finding(OK, "originals", ""), f"are in {aside}; keep them until all is as it should be"

    def _served(self) -> str:
        """The process that serves the folder; "" for none."""
        try:
            with (self._settings.data_dir / "serve.lock").open("rb") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    return file.read(32).decode("ascii", "replace").strip() or "unknown"
        except OSError:
            pass
        return ""

    def _folder(self) -> Iterator[Finding]:
        folder = self._settings.data_dir
        if not os.access(folder, os.W_OK | os.X_OK):
            yield Finding(BAD, "data_dir", f"{folder} cannot be written by this user; chown it to who runs serve")
        open_ones = [path for path in (folder, *_within(folder)) if _open_to_others(path)]
        if open_ones:
            some = ", ".join(str(path) for path in open_ones[:3])
            yield Finding(
                WARN, "modes", f"{len(open_ones)} are open to other users ({some}); --mend closes them",
                lambda _aside: _close(open_ones), while_served=True,
            )  # fmt: skip
        else:
            yield Finding(OK, "modes", f"{folder} and what is in it are closed to other users")

    def _room(self) -> Iterator[Finding]:
        settings = self._settings
        room = room_in(settings.data_dir, settings.state.min_free_mb)
        disk = os.statvfs(settings.data_dir)
        if room.trouble:
            yield Finding(BAD, "room", f"{room.trouble}; make room, binds are refused until there is")
        elif disk.f_files and disk.f_favail < FEW_INODES:
            yield Finding(WARN, "room", f"{disk.f_favail} inodes are free on the disk of data_dir; remove small files")
        else:
            yield Finding(OK, "room", f"{room.free_mb:.0f} MiB are free on the disk of data_dir")

    def _store(self, served: bool) -> Iterator[Finding]:
        store = embedded_store(self._settings)
        if store is None:
            yield Finding(OK, "store", "is the one of state.redis_url; look it over where it runs")
            return
        try:
            damages = check_aof(store.folder)
        except (StoreError, OSError) as error:
            yield Finding(WARN, "append-only file", f"cannot be looked at: {error}")
            return
        if served:
            # What is being written has an end that is torn at any moment.
            damages = [damage for damage in damages if not damage.torn]

        def mend(aside: Path) -> Iterator[str]:
            yield from mend_aof(store.folder, damages, aside)
            yield "the records in SQL are whole; run smsc-filter rebuild-state once serve is up"

        for number, damage in enumerate(damages):
            yield _of_damage(damage, None if number else mend)
        if not damages:
            yield Finding(OK, "append-only file", "every command can be read")

    def _records(self) -> Iterator[Finding]:
        settings = self._settings
        try:
            path = sqlite_file(settings.records.database_url, settings.data_dir)
        except RecordsError as error:
            yield Finding(BAD, "records", str(error))
            return
        if path is not None:
            if not path.exists():
                log = path.with_name(path.name + "-wal").exists()
                advice = "but its log is: restore it from a backup" if log else "yet; the start makes it"
                yield Finding(BAD if log else WARN, "records", f"{path} is not there {advice}")
                return
            sound = True
            for finding in self._file(path):
                sound = sound and finding.status != BAD
                yield finding
            if not sound or revision_of(path) != REVISION:
                return
        try:
            engine = open_records(settings)
        except (RecordsError, OSError) as error:
            yield Finding(BAD, "records", str(error))
            return
        try:
            yield from self._content(engine)
        except RecordsError as error:
            yield Finding(BAD, "records", str(error))
        finally:
            engine.dispose()

    def _file(self, path: Path) -> Iterator[Finding]:
        """What SQLite says of the file, its log and its tables."""
        try:
            damages = find_damage(path, whole=True)
            loose = {} if damages else loose_keys(path)
        except (sqlite3.Error, OSError) as error:
            yield Finding(BAD, "records", f"{path} cannot be opened: {error}")
            return
        if damages:
            yield Finding(
                BAD, "records",
                f"{path.name} is damaged ({'; '.join(damages)[:300]}); restore it from a backup, or --mend copies every"
                " row that can be read into a fresh file",
                lambda aside: self._mend_records(path, aside),
            )  # fmt: skip
            return
        yield Finding(OK, "records", f"{path.name} is whole ({path.stat().st_size >> 20} MiB)")
        for table, rows in loose.items():
            yield Finding(WARN, "records", f"{table}: {rows} rows refer to a row that is lost; look for it in a backup")
        log = path.with_name(path.name + "-wal")
        if log.exists():
            readable = os.access(log, os.R_OK | os.W_OK)
            said = "its log is there and readable" if readable else f"{log} cannot be read: chown it as {path.name}"
            yield Finding(OK if readable else BAD, "records", said)
        revision = revision_of(path)
        if revision == REVISION:
            yield Finding(OK, "schema", f"revision {revision}")
        elif revision < REVISION:
            yield Finding(WARN, "schema", f"revision {revision or 'none'}; the next start brings it to {REVISION}")
        else:
            yield Finding(BAD, "schema", f"revision {revision} is of a newer smsc-filter; install that one")

    def _content(self, engine: Engine) -> Iterator[Finding]:
        """What the rows say: the chain of consents, what waits and what was set aside."""
        try:
            verified = verify_events(engine, read_anchors(self._settings.data_dir))
        except RecordsError as error:
            yield Finding(BAD, "consents", str(error))
        else:
            if verified.problems:
                yield Finding(
                    BAD, "consents", f"{len(verified.problems)} problems, the first: {verified.problems[0]}; compare"
                    " with a backup, see smsc-filter consent verify",
                )  # fmt: skip
            else:
                yield Finding(OK, "consents", f"the chain of {verified.events} events is whole")
        with reading(engine) as connection:
            waiting = connection.execute(select(func.count()).select_from(outbox)).scalar_one()
            rejects = connection.execute(select(func.count()).select_from(stream_rejects)).scalar_one()
        said = f"{waiting} changes of consents wait for the hot state" + ("; serve takes them over" if waiting else "")
        yield Finding(WARN if waiting else OK, "outbox", said)
        said = f"{rejects} entries were set aside instead of being put on record"
        yield Finding(
            WARN if rejects else OK, "rejects", said + ("; see stream_rejects in SQL for why" if rejects else "")
        )

    def _mend_records(self, path: Path, aside: Path) -> Iterator[str]:
        revision = revision_of(path)
        fresh = path.with_name(path.name + ".fresh")
        for behind in ("", "-wal", "-shm"):
            Path(f"{fresh}{behind}").unlink(missing_ok=True)
        engine = open_database(f"sqlite:///{fresh}", self._settings.data_dir, revision=revision or REVISION)
        engine.dispose()
        try:
            saved = salvage(path, fresh)
        except sqlite3.Error as error:
            raise RecordsError(f"{fresh} cannot be written: {error}; nothing was changed") from error
        # The log last: without its file it would be taken for that of the fresh one.
        aside.mkdir(mode=0o700, exist_ok=True)
        for behind in ("-wal", "-shm", ""):
            if (part := Path(f"{path}{behind}")).exists():
                part.rename(aside / part.name)
        for behind in ("-wal", "-shm"):
            Path(f"{fresh}{behind}").unlink(missing_ok=True)
        fresh.rename(path)
        yield f"{path.name} made anew with {sum(saved.rows.values())} rows"
        yield from saved.tell()
        yield "run smsc-filter rebuild-state once serve is up, and put what is lost back from a backup"

    def _spools(self, served: bool) -> Iterator[Finding]:
        folder = spool_folder(self._settings)
        damaged = sorted(folder.glob(f"*{SUFFIX}.damaged"))
        waiting = sorted(folder.glob(f"*{SUFFIX}"))
        for path in waiting:
            try:
                for _ in read_spool(path):
                    pass
            except (SpoolDamagedError, ValueError) as error:
                yield Finding(WARN, "spool", f"{error}; serve puts on record what stands before it and keeps the file")
            except FileNotFoundError:
                continue
            except OSError as error:
                yield Finding(BAD, "spool", f"{path.name} cannot be read: {error.strerror}; chown or chmod it")
        old = [path for path in waiting if path.exists() and self._clock() - path.stat().st_mtime > STUCK_SECONDS]
        if old and served:
            yield Finding(WARN, "spool", f"{len(old)} files wait for more than {STUCK_SECONDS:.0f} s; is SQL away?")
        elif waiting:
            yield Finding(OK, "spool", f"{len(waiting)} files wait to be put on record")
        if damaged:
            yield Finding(
                WARN, "spool", f"{len(damaged)} damaged files are kept, what preceded the damage is on record; --mend"
                " sets them aside", lambda aside: _move(damaged, aside), while_served=True,
            )  # fmt: skip
        if not waiting and not damaged:
            yield Finding(OK, "spool", "no file waits")

    def _model(self) -> Iterator[Finding]:
        for name, folder in (("model", model_folder(self._settings)), ("shadow", shadow_folder(self._settings))):
            if folder is None:
                continue
            try:
                yield Finding(OK, name, f"{Scorer.load(folder).model_id} in {folder}, its checksum agrees")
            except (ModelError, OSError) as error:
                yield Finding(BAD, name, f"{error}; copy the folder anew, or smsc-filter model rollback")

    def _keys(self) -> Iterator[Finding]:
        troubles = []
        for name in OWN_KEYS:
            path = self._settings.data_dir / name
            try:
                if path.exists() and len(path.read_bytes()) != KEY_OCTETS:
                    troubles.append(f"{name} has not {KEY_OCTETS} octets; restore it, or remove it for a new one")
            except OSError as error:
                troubles.append(f"{name} cannot be read: {error.strerror}")
        try:
            text_keys(self._settings)
        except RecordsError as error:
            troubles.append(str(error))
        for trouble in troubles:
            yield Finding(BAD, "keys", trouble)
        if not troubles:
            yield Finding(OK, "keys", "every file of keys can be read")


def _of_damage(damage: Damage, mend: Mend | None) -> Finding:
    what = f"{damage.path.name}: {damage.what}"
    if damage.torn:
        return Finding(WARN, "append-only file", f"{what}; the start cuts it off, --mend does it now", mend)
    return Finding(BAD, "append-only file", f"{what}; --mend cuts out what cannot be read and keeps the original", mend)


def _within(folder: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder):
        for name in (*folders, *names):
            yield Path(parent) / name


def _open_to_others(path: Path) -> bool:
    try:
        mode = path.lstat().st_mode
    except OSError:
        return False
    return not stat.S_ISLNK(mode) and bool(mode & 0o077)


def _close(paths: list[Path]) -> Iterator[str]:
    closed = sum(close_to_others(path, 0o700 if path.is_dir() else 0o600) for path in paths)
    yield f"{closed} of {len(paths)} closed to other users"


def _move(paths: list[Path], aside: Path) -> Iterator[str]:
    aside.mkdir(mode=0o700, exist_ok=True)
    for path in paths:
        path.rename(aside / path.name)
    yield f"{len(paths)} files set aside"
