"""The web application: the API, with the console and the portal beside it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Final

from fastapi import FastAPI, Response
from fastapi.responses import RedirectResponse

from smsc_filter.records import declines as register
from smsc_filter.records.imports import ImportSummary
from smsc_filter.records.jobs import Job
from smsc_filter.web import docs, health, metrics
from smsc_filter.web.api import appeals, complaints, consents, decisions, declines, files, texts
from smsc_filter.web.api.common import API
from smsc_filter.web.console.access import ROOT
from smsc_filter.web.console.app import make_console
from smsc_filter.web.context import Context
from smsc_filter.web.guard import Guard
from smsc_filter.web.jobs import Tell
from smsc_filter.web.pages import render
from smsc_filter.web.portal.app import make_portal
from smsc_filter.web.portal.pages import ROOT as PORTAL
from smsc_filter.web.portal.sign_in import first_page
from smsc_filter.web.problems import add_handlers

EVIDENCE_OCTETS: Final = 10 << 20

DESCRIPTION: Final = """\
Consents, decisions, appeals, complaints and the decline register of smsc-filter.

Every request carries a bearer token; it opens the data of its owner and no other. Errors are `application/problem+json`
(RFC 9457) and change nothing. Times are ISO 8601 with an offset.
"""


def make_app(context: Context) -> FastAPI:
    """The application over ``context``; its lifespan runs the jobs."""

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        jobs = asyncio.create_task(context.jobs.run())
        yield
        context.jobs.stop()
        await jobs

    app = FastAPI(
        title="smsc-filter",
        version=version("smsc-filter"),
        description=DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        openapi_url=docs.DOCUMENT,
        lifespan=lifespan,
        redirect_slashes=False,
    )
    app.state.context = context
    context.jobs.work.update({
        files.IMPORT: lambda job, path, tell: _import(context, job, path, tell),
        files.SYNC: lambda job, path, tell: _sync(context, job, path, tell),
    })  # fmt: skip
    context.jobs.mend = context.project_declines
    small, large = context.settings.max_body_kb << 10, context.settings.max_upload_mb << 20

    def limit(method: str, path: str) -> int:
        if path == f"{ROOT}/provider/consents":
            return large if method == "POST" else small
        if path.startswith(f"{API}/imports") or path == f"{API}/declines/sync":
            return large if method in ("POST", "PATCH") else small
        files_of_some_size = (f"{API}/evidence/", f"{API}/complaint-imports")
        return max(small, EVIDENCE_OCTETS) if path.startswith(files_of_some_size) else small

    app.add_api_route("/", first_page, include_in_schema=False)
    app.mount(PORTAL, make_portal(context))
    app.add_middleware(Guard, limit=limit, settings=context.settings)
    add_handlers(app)
    for router in (
        *(consents.router, consents.lookup_router, consents.evidence_router, files.router, files.sync_router),
        *(declines.router, decisions.router, texts.router, health.router, metrics.router, docs.router, render.router),
        *(appeals.router, appeals.codes_router, appeals.figures_router, complaints.router, complaints.import_router),
    ):
        app.include_router(router)

    @app.get(ROOT, include_in_schema=False)
    def _console() -> Response:
        return RedirectResponse(f"{ROOT}/", 308)

    app.mount(ROOT, make_console(context))
    return app


def _import(context: Context, job: Job, path: Path, tell: Tell) -> Mapping[str, int]:
    def progress(summary: ImportSummary) -> dict[str, int]:
        return {
            "rows": summary.rows,
            "stored": summary.stored,
            "repeated": summary.repeated,
            "wrong": summary.wrong,
            "lines": summary.lines,
            "held": summary.held,
        }

    return progress(
        context.consents.take(
            key=f"job:{job.id}",
            owner=job.owner,
            format=job.parameters["format"],
            sha256=job.parameters["sha256"] or "",
            path=path,
            errors=context.jobs.errors_of(job.id),
            now=job.created_at_ms / 1000,
            tell=lambda summary: tell(progress(summary)),
        )
    )


def _sync(context: Context, job: Job, path: Path, tell: Tell) -> Mapping[str, int]:
    parameters = job.parameters
    with path.open("rb") as file:
        done = register.sync(
            context.engine,
            file,
            name=parameters["list"],
            version=parameters["version"],
            base=parameters["base"],
            sha256=parameters["sha256"],
            normalise_number=context.numbering.msisdn,
            now=context.clock(),
            tell=lambda rows: tell({"rows": rows}),
        )
    context.project_declines(lambda pages: tell({"rows": done.rows, "changed": done.changed, "pages": pages}))
    return {"rows": done.rows, "changed": done.changed}
