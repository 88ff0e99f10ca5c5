"""Imports and syncs of whole files, and exports: jobs that are asked about, streams that prove themselves whole."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any, Final, Literal

import orjson
from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import FileResponse, StreamingResponse
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from smsc_filter.records.jobs import Job, KeyTaken, find_job, list_jobs, move_job, open_job
from smsc_filter.web.api.common import (
    API,
    COMMON,
    ConsentReader,
    ConsentWriter,
    DeclineWriter,
    Moment,
    Sha256,
    World,
    body_of,
    file_of,
    milliseconds,
    moment,
    refuse_unknown_owner,
)
from smsc_filter.web.context import Context
from smsc_filter.web.problems import Problem, answers
from smsc_filter.web.uploads import receive_file

router = APIRouter(prefix=API, tags=["imports and exports"], responses=COMMON)
sync_router = APIRouter(prefix=f"{API}/declines", tags=["declines"], responses=COMMON)

IMPORT: Final = "consent-import"
SYNC: Final = "decline-sync"
JSON_LINES: Final = "application/jsonl"
WORKBOOK: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
MOST_JOBS: Final = 100
LINES_A_PIECE: Final = 500

Key = Annotated[
    str,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=100,
        pattern=r"^[\x21-\x7e]+$",
        description="Names this import for ever: the same key again is the same import, whatever became of it.",
    ),
]
Offset = Annotated[
    int, Header(alias="Upload-Offset", ge=0, le=1 << 50, description="How many octets of the file have come before.")
]


class JobBody(BaseModel):
    """How far a job has come."""

    id: str
    kind: str
    key: str
    state: Literal["receiving", "queued", "running", "done", "failed"]
    octets: int = Field(description="Of its file, as far as it has come.")
    progress: dict[str, int]
    error: str | None = Field(description="Why it failed; nothing of a failed sync was applied.")
    created: datetime
    updated: datetime
    errors_url: str | None = Field(description="What is wrong with single lines.")


@router.post(
    "/imports",
    status_code=202,
    summary="Import consents from a file",
    responses=answers(409, 507),
    openapi_extra=body_of("text/csv", JSON_LINES, WORKBOOK),
)
async def start_import(
    request: Request,
    context: World,
    token: ConsentWriter,
    key: Key,
    file_format: Annotated[Literal["csv", "jsonl", "xlsx"], Query(alias="format")] = "csv",
    sha256: Annotated[Sha256 | None, Query(description="Of the whole file; tells one that was cut short.")] = None,
) -> JobBody:
    """The body is the file, of any length: a table with a header, as spreadsheets save it, or JSON Lines.

    Its names are `recipient`, `state`, and any of `event_time`, `expires_time`, `topic`, `source`, `reference`,
    `text_version`, `evidence_sha256`; usual ones in English and Chinese are known. A grant of who had refused is
    stored as claimed: `held` in the progress. A wrong line costs itself and no other. An upload that was cut short
    goes on with `PATCH` behind the octets that have come.
    """
    refuse_unknown_owner(context, token.owner)
    job = await _open(context, token.owner, IMPORT, key, {"format": file_format, "sha256": sha256})
    if job.state == "receiving":
        await receive_file(context, request, job, 0)
    return await _current(context, job.id, token.owner)


@router.patch(
    "/imports/{job_id}",
    status_code=202,
    summary="Go on with an upload",
    responses=answers(404, 409, 507),
    openapi_extra=body_of("application/octet-stream"),
)
async def continue_import(
    job_id: str, request: Request, context: World, token: ConsentWriter, offset: Offset
) -> JobBody:
    """The body is the rest of the file from `Upload-Offset` on, which is at most `octets` of the job."""
    job = await run_in_threadpool(_job, context, job_id, token.owner)
    if job.kind != IMPORT or job.state != "receiving":
        raise Problem(409, "upload-complete", f"the file has come; the job is {job.state}")
    await receive_file(context, request, job, offset)
    return await _current(context, job.id, token.owner)


@router.get("/imports", summary="Imports and syncs, newest first")
def show_imports(context: World, token: ConsentReader) -> list[JobBody]:
    """The last hundred."""
    return [_shown(context, job) for job in list_jobs(context.engine, token.owner, MOST_JOBS)]


@router.get("/imports/{job_id}", summary="How far an import has come", responses=answers(404))
def show_import(job_id: str, context: World, token: ConsentReader) -> JobBody:
    """Ask again until `state` is `done` or `failed`."""
    return _shown(context, _job(context, job_id, token.owner))


@router.get(
    "/imports/{job_id}/errors",
    summary="What is wrong with single lines",
    responses={**answers(404), **file_of(JSON_LINES)},
    response_class=Response,
)
def show_errors(job_id: str, context: World, token: ConsentReader) -> Response:
    """JSON Lines: `line`, `detail`."""
    job = _job(context, job_id, token.owner)
    path = context.jobs.errors_of(job.id)
    if not path.exists():
        return Response(b"", media_type=JSON_LINES)
    return FileResponse(path, media_type=JSON_LINES)


@router.get(
    "/exports/consents",
    summary="Every consent event of the owner, with a manifest",
    responses=file_of(JSON_LINES),
    response_class=StreamingResponse,
)
def export_consents(
    context: World,
    token: ConsentReader,
    since: Annotated[Moment | None, Query(alias="from", description="Received from then on.")] = None,
    until: Annotated[Moment | None, Query(alias="to", description="Received before then; not given: now.")] = None,
) -> StreamingResponse:
    """JSON Lines, an event each, in the order of the records.

    The last line is the manifest: `rows`, and `sha256` of all octets before it. Without that line the export was cut
    short.
    """
    from_ms = milliseconds(since) if since is not None else 0
    to_ms = milliseconds(until) if until is not None else round(context.clock() * 1000) + 1

    def pieces() -> Iterator[bytes]:
        digest, rows, held = hashlib.sha256(), 0, []
        for event in context.consents.export(token.owner, from_ms, to_ms):
            held.append(orjson.dumps(event, option=orjson.OPT_APPEND_NEWLINE))
            rows += 1
            if len(held) == LINES_A_PIECE:
                piece = b"".join(held)
                held.clear()
                digest.update(piece)
                yield piece
        piece = b"".join(held)
        digest.update(piece)
        manifest = {
            "owner": token.owner,
            "from_ms": from_ms,
            "to_ms": to_ms,
            "rows": rows,
            "sha256": digest.hexdigest(),
        }
        yield piece + orjson.dumps({"manifest": manifest}, option=orjson.OPT_APPEND_NEWLINE)

    return StreamingResponse(pieces(), media_type=JSON_LINES)


@sync_router.post(
    "/sync",
    status_code=202,
    summary="Bring a list of the decline register to a version",
    responses=answers(409, 507),
    openapi_extra=body_of("text/csv"),
)
async def start_sync(
    request: Request,
    context: World,
    token: DeclineWriter,
    name: Annotated[str, Query(alias="list", pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")],
    version: Annotated[int, Query(ge=1, le=1 << 53)],
    sha256: Annotated[Sha256, Query(description="Of the whole file.")],
    base: Annotated[int | None, Query(ge=0, le=1 << 53, description="Of a delta; not given: a whole list.")] = None,
) -> JobBody:
    """All of it is applied, or nothing.

    The body is the file: a line each, a number and behind a comma its wish (everything where none is given), `-` to
    take it off the list. The job is asked about under `/declines/syncs`.
    """
    parameters = {"list": name, "version": version, "base": base, "sha256": sha256}
    key = ":".join(map(str, (name, version, base, sha256)))
    job = await _open(context, token.owner, SYNC, key, parameters)
    if job.state == "failed":
        # The same file may do once the list has come to its base.
        again: dict[str, Any] = {"from_states": ("failed",), "state": "receiving", "octets": 0, "error": None}
        await run_in_threadpool(move_job, context.engine, job.id, context.clock(), **again)
        job = await run_in_threadpool(_job, context, job.id, token.owner)
    if job.state == "receiving":
        await receive_file(context, request, job, 0)
    return await _current(context, job.id, token.owner)


@sync_router.get("/syncs/{job_id}", summary="How far a sync has come", responses=answers(404))
def show_sync(job_id: str, context: World, token: DeclineWriter) -> JobBody:
    """Ask again until `state` is `done` or `failed`."""
    return _shown(context, _job(context, job_id, token.owner))


async def _open(context: Context, owner: str, kind: str, key: str, parameters: dict[str, Any]) -> Job:
    def opened() -> Job:
        return open_job(
            context.engine,
            owner=owner,
            kind=kind,
            key=key,
            parameters=parameters,
            node=context.node,
            now=context.clock(),
        )[0]

    try:
        return await run_in_threadpool(opened)
    except KeyTaken as error:
        raise Problem(409, "key-taken", f"{error}; choose another key, or send what was sent before") from error


async def _current(context: Context, job_id: str, owner: str) -> JobBody:
    return _shown(context, await run_in_threadpool(_job, context, job_id, owner))


def _job(context: Context, job_id: str, owner: str) -> Job:
    job = find_job(context.engine, job_id, owner) if job_id.isascii() and job_id.isalnum() else None
    if job is None:
        raise Problem(404, "no-such-job", "there is no job of that id, or it is another owner's")
    return job


def _shown(context: Context, job: Job) -> JobBody:
    return JobBody(
        id=job.id,
        kind=job.kind,
        key=job.key,
        state=job.state,  # type: ignore[arg-type]
        octets=job.octets,
        progress=dict(job.progress),
        error=job.error,
        created=moment(job.created_at_ms),
        updated=moment(job.updated_at_ms),
        errors_url=f"{API}/imports/{job.id}/errors" if context.jobs.errors_of(job.id).exists() else None,
    )
