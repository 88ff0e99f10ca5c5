"""What a provider sees: its own messages that were refused and why, its quota, and its consents."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import orjson
from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse, RedirectResponse
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile

from smsc_filter.policy.record import id_from_text, id_to_text
from smsc_filter.records.jobs import Job, KeyTaken, find_job, list_jobs, move_job, open_job
from smsc_filter.records.search import REFUSED, Wanted, find
from smsc_filter.web.api.common import World
from smsc_filter.web.api.files import IMPORT, JSON_LINES
from smsc_filter.web.console.access import ROOT, Guest, Visit
from smsc_filter.web.console.decisions import decision_of, explained
from smsc_filter.web.console.senders import about
from smsc_filter.web.console.words import CAUSES, DONE, JOB_STATES
from smsc_filter.web.context import Context
from smsc_filter.web.pages.errors import N_
from smsc_filter.web.pages.render import render
from smsc_filter.web.problems import Problem
from smsc_filter.web.uploads import no_room

router = APIRouter(prefix="/provider")

MOST_JOBS: Final = 20
MOST_ERRORS: Final = 5
PIECE_OCTETS: Final = 1 << 20

NO_FILE: Final = N_("Choose a file: CSV with a header, or JSON Lines.")


@router.get("")
def show(request: Request, context: World, visit: Guest) -> Response:
    """The last day at a glance."""
    return render(request, "console/provider.html", about(context, visit.owner))


@router.get("/decisions")
def refusals(request: Request, context: World, visit: Guest) -> Response:
    """What was refused, newest first."""
    before = _id(request.query_params.get("before", ""))
    cause = request.query_params.get("cause", "")
    wanted = Wanted(owner=visit.owner, cause=cause if cause in CAUSES and cause else REFUSED)
    found = find(context.engine, wanted, before)
    following = None
    if found.next_before is not None:
        given = {"cause": cause} if cause else {}
        following = f"{ROOT}/provider/decisions?{urlencode(given | {'before': id_to_text(found.next_before)})}"
    values = {"found": found, "cause": cause, "causes": CAUSES, "following": following, "id_to_text": id_to_text}
    return render(request, "console/provider_decisions.html", values)


@router.get("/decisions/{decision_id}")
def refusal(request: Request, decision_id: str, context: World, visit: Guest) -> Response:
    """One decision on a message of its own."""
    decision = decision_of(context, decision_id)
    if decision.owner != visit.owner:
        # As if there were none: whose messages there are is nobody else's business.
        raise Problem(404, "no-such-decision", "")
    return render(request, "console/provider_decision.html", explained(context, decision))


@router.get("/consents")
def uploads(request: Request, context: World, visit: Guest) -> Response:
    """Files of consents that were sent, and what was wrong with single lines."""
    return render(request, "console/provider_consents.html", _uploads(context, visit, ""))


@router.post("/consents")
async def upload(request: Request, context: World, visit: Guest) -> Response:
    """Take a file of consents; it is imported behind the answer."""
    file = (await request.form()).get("file")
    if not isinstance(file, UploadFile) or not file.size:
        values = await run_in_threadpool(_uploads, context, visit, NO_FILE)
        return render(request, "console/provider_consents.html", values, 422)
    try:
        await run_in_threadpool(_take, context, visit, file)
    except KeyTaken as error:
        raise Problem(409, "key-taken", str(error)) from error
    context.jobs.kick()
    return RedirectResponse(f"{ROOT}/provider/consents?done=upload", 303)


@router.get("/consents/{job_id}/errors")
def errors(job_id: str, context: World, visit: Guest) -> Response:
    """What is wrong with single lines, as JSON Lines."""
    job = find_job(context.engine, job_id, visit.owner) if job_id.isascii() and job_id.isalnum() else None
    if job is None or not (path := context.jobs.errors_of(job.id)).exists():
        raise Problem(404, "no-such-file", "")
    return FileResponse(path, media_type=JSON_LINES, filename=f"errors-{job.id[:8]}.jsonl")


def _take(context: Context, visit: Visit, file: UploadFile) -> None:
    """Keep a file and queue its import; the same file again is the same import."""
    digest = hashlib.sha256()
    while piece := file.file.read(PIECE_OCTETS):
        digest.update(piece)
    sha256 = digest.hexdigest()
    is_lines = (file.filename or "").lower().endswith((".jsonl", ".ndjson"))
    parameters = {"format": "jsonl" if is_lines else "csv", "sha256": sha256}
    job, _ = open_job(
        context.engine, owner=visit.owner, kind=IMPORT, key=f"console:{sha256}", parameters=parameters,
        node=context.node, now=context.clock(),
    )  # fmt: skip
    if job.state != "receiving":
        return
    if (file.size or 0) > context.jobs.room_for(job, context.settings.uploads_total_mb << 20):
        raise no_room()
    octets = _keep(file, context.jobs.file_of(job.id))
    move_job(
        context.engine, job.id, context.clock(), from_states=("receiving",), state="queued", octets=octets, progress={}
    )


def _keep(file: UploadFile, path: Path) -> int:
    path.parent.mkdir(0o700, parents=True, exist_ok=True)
    file.file.seek(0)
    octets = 0
    with path.open("wb") as kept:
        while piece := file.file.read(PIECE_OCTETS):
            octets += kept.write(piece)
    return octets


def _uploads(context: Context, visit: Visit, problem: str) -> dict[str, Any]:
    jobs = [job for job in list_jobs(context.engine, visit.owner, MOST_JOBS) if job.kind == IMPORT]
    first = {job.id: _first_errors(context, job) for job in jobs}
    return {"jobs": jobs, "errors": first, "states": JOB_STATES, "problem": problem, "done": DONE}


def _first_errors(context: Context, job: Job) -> list[dict[str, Any]]:
    path = context.jobs.errors_of(job.id)
    if not path.exists():
        return []
    with path.open("rb") as file:
        lines = [line for _, line in zip(range(MOST_ERRORS), file, strict=False)]
    return [orjson.loads(line) for line in lines if line.endswith(b"\n")]


def _id(text: str) -> int | None:
    try:
        return id_from_text(text)
    except ValueError:
        return None
