"""Does the work that takes longer than a request: one job at a time, in a thread, again after a fall.

A job that a stop or a fault of the stores cuts short stays as it is and is begun again; what it does is made for that.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import redis
import structlog
from sqlalchemy import Engine

from smsc_filter.records.errors import RecordsError, SqlUnavailable
from smsc_filter.records.jobs import Job, move_job, unfinished_jobs, waiting_jobs
from smsc_filter.telemetry import failure

RETRY_SECONDS: Final = 2.0
"""Pause before work is tried again while a store is away."""

POLL_SECONDS: Final = 30.0
"""How often jobs are looked for that nobody announced."""

TELL_SECONDS: Final = 0.5
"""Least time between two notes of how far a job has come."""

log = structlog.get_logger()

Tell = Callable[[Mapping[str, int]], None]
Work = Callable[[Job, Path, Tell], Mapping[str, int]]


class Stopped(Exception):
    """The service stops: leave the job as it is."""


class JobRunner:
    """Does the jobs of one machine."""

    def __init__(self, engine: Engine, node: int, folder: Path, clock: Callable[[], float]) -> None:
        """Keep what is uploaded in ``folder``; ``work`` is filled in by whoever knows how."""
        self._engine = engine
        self._node = node
        self._clock = clock
        self._folder = folder
        self._kicked = asyncio.Event()
        self._stopping = threading.Event()
        self.work: dict[str, Work] = {}
        self.mend: Callable[[], object] = lambda: None
        """Done before the jobs and now and then: brings on what an earlier fault left behind."""
        self.receiving: set[str] = set()
        """Jobs whose file is just coming in."""

    def file_of(self, job_id: str) -> Path:
        """Where the file of a job is."""
        return self._folder / job_id

    def room_for(self, job: Job, most: int) -> int:
        """How many octets the file of ``job`` may have when all files are ``most`` together, half that of one owner.

        Raises:
            SqlUnavailable: the database does not answer.
        """
        sizes = Counter[str]()
        for path in self._folder.glob("*"):
            with contextlib.suppress(FileNotFoundError):
                if path.suffix != ".errors" and path.name != job.id:
                    sizes[path.name] = path.stat().st_size
        own = sum(sizes[id_] for id_ in unfinished_jobs(self._engine, job.owner))
        return max(0, min(most - sizes.total(), most // 2 - own))

    def errors_of(self, job_id: str) -> Path:
        """Where what is wrong with its lines is told."""
        return self._folder / f"{job_id}.errors"

    def kick(self) -> None:
        """There is something to do."""
        self._kicked.set()

    async def run(self) -> None:
        """Do what there is to do until ``stop``."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        while not self._stopping.is_set():
            self._kicked.clear()
            wait = POLL_SECONDS
            try:
                await asyncio.to_thread(self.mend)
                for job in await asyncio.to_thread(waiting_jobs, self._engine, self._node):
                    await asyncio.to_thread(self.do, job)
            except Stopped:
                return
            except (SqlUnavailable, redis.RedisError, OSError) as error:
                log.warning("job-waits", error=type(error).__name__)
                wait = RETRY_SECONDS
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._kicked.wait(), wait)

    def stop(self) -> None:
        """End at the next transaction."""
        self._stopping.set()
        self._kicked.set()

    def do(self, job: Job) -> None:
        """Do one job.

        Raises:
            Stopped: the service stops.
            SqlUnavailable, RedisError, OSError: it has to be begun again.
        """
        told_at = 0.0

        def tell(progress: Mapping[str, int]) -> None:
            nonlocal told_at
            if self._stopping.is_set():
                raise Stopped
            if time.monotonic() - told_at >= TELL_SECONDS:
                told_at = time.monotonic()
                move_job(self._engine, job.id, self._clock(), progress=dict(progress))

        move_job(self._engine, job.id, self._clock(), state="running")
        path = self.file_of(job.id)
        try:
            progress = self.work[job.kind](job, path, tell)
        except SqlUnavailable:
            raise
        except FileNotFoundError:
            self._fail(job, "its file is gone; send it again under another key")
        except (RecordsError, ValueError) as error:
            self._fail(job, str(error))
        except (Stopped, redis.RedisError, OSError):
            raise
        except Exception as error:
            log.error("job-failed", job=job.id, kind=job.kind, **failure(error))
            self._fail(job, "the service failed; its log says why")
        else:
            move_job(self._engine, job.id, self._clock(), state="done", progress=dict(progress))
            log.info("job-done", job=job.id, kind=job.kind, **progress)
        path.unlink(missing_ok=True)

    def _fail(self, job: Job, sentence: str) -> None:
        move_job(self._engine, job.id, self._clock(), state="failed", error=sentence)
        log.info("job-refused", job=job.id, kind=job.kind)
