"""Files of any size on their way to disk: as they come, never in memory, and again from where they broke off."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Final

from fastapi import Request
from starlette.concurrency import run_in_threadpool

from smsc_filter.records.jobs import Job, move_job
from smsc_filter.web.context import Context
from smsc_filter.web.problems import Problem

WRITE_OCTETS: Final = 1 << 20

ROOM_OCTETS: Final = 16 << 20
"""After so many octets it is looked again how much room there is."""


async def receive_file(context: Context, request: Request, job: Job, offset: int) -> None:
    """Take the body as the file of ``job`` from ``offset`` on, and queue the job once it is whole.

    Cut short, what came is kept, and the job says how much that is.

    Raises:
        Problem: somebody else sends it too, the offset lies beyond what came, there is no room for it, or the checksum
            is wrong.
        ClientDisconnect: the asker is gone.
    """
    runner, path = context.jobs, context.jobs.file_of(job.id)
    most = context.settings.uploads_total_mb << 20
    if job.id in runner.receiving:
        raise Problem(409, "upload-in-progress", "this file is just being sent by another request")
    runner.receiving.add(job.id)
    try:
        if offset > job.octets:
            raise Problem(409, "wrong-offset", f"{job.octets} octets have come; go on from there")
        octets = await _write(request, path, offset, lambda: runner.room_for(job, most))
        expected = job.parameters.get("sha256")
        found = await run_in_threadpool(_sha256, path)
        if expected is not None and found != expected:
            await run_in_threadpool(path.unlink)
            raise Problem(
                422, "wrong-checksum", "the file is not the one sha256 was made of; send it again, from the beginning"
            )
        values = {"state": "queued", "octets": octets, "progress": {}}
        await run_in_threadpool(move_job, context.engine, job.id, context.clock(), from_states=("receiving",), **values)
        runner.kick()
    except BaseException:
        came = path.stat().st_size if path.exists() else 0
        await run_in_threadpool(
            move_job, context.engine, job.id, context.clock(), from_states=("receiving",), octets=came
        )
        raise
    finally:
        runner.receiving.discard(job.id)


def no_room() -> Problem:
    """Too much waits to be imported already."""
    return Problem(507, "no-room", "files that wait to be imported leave no room for this one; go on with it later")


async def receive_small(request: Request, path: Path) -> str:
    """Take the body as a file; its SHA-256 in hexadecimal."""
    await _write(request, path, 0)
    return await run_in_threadpool(_sha256, path)


async def _write(request: Request, path: Path, offset: int, room: Callable[[], int] | None = None) -> int:
    """Write the body behind the first ``offset`` octets; how many there are then.

    Raises:
        Problem: it gets larger than there is ``room``, which is asked for now and then; what came before stays.
    """

    def write(pieces: list[bytes], at: int) -> int:
        with path.open("r+b" if path.exists() else "w+b") as file:
            file.truncate(at)
            file.seek(at)
            file.writelines(pieces)
        return at + sum(map(len, pieces))

    await run_in_threadpool(path.parent.mkdir, 0o700, True, True)
    held: list[bytes] = []
    size = 0
    at = await run_in_threadpool(write, [], offset)
    asked_at = -ROOM_OCTETS
    most = 0
    try:
        async for piece in request.stream():
            if room is not None and at - asked_at >= ROOM_OCTETS:
                asked_at, most = at, await run_in_threadpool(room)
            if room is not None and at + size + len(piece) > most:
                raise no_room()
            held.append(piece)
            size += len(piece)
            if size >= WRITE_OCTETS:
                at = await run_in_threadpool(write, held, at)
                held, size = [], 0
    finally:
        if held:
            at = write(held, at)
    return at


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
