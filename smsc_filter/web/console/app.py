"""The console as an application of its own, under ``/console``: its errors are pages, its routes no part of the API."""

from __future__ import annotations

from typing import Final

from fastapi import Depends, FastAPI, Request, Response

from smsc_filter.web.console import (
    accounts,
    appeals,
    complaints,
    consents,
    decisions,
    lists,
    login,
    models,
    overview,
    provider,
    rules,
    senders,
)
from smsc_filter.web.console.access import SignInNeeded, admit
from smsc_filter.web.context import Context
from smsc_filter.web.pages.errors import add_page_handlers

ROUTERS: Final = (
    login.router, overview.router, decisions.router, appeals.router, complaints.router, senders.router, consents.router,
    rules.router, models.router, lists.router, accounts.router, provider.router,
)  # fmt: skip


def make_console(context: Context) -> FastAPI:
    """The console over ``context``."""
    app = FastAPI(
        openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False, dependencies=[Depends(admit)]
    )
    app.state.context = context
    app.state.back_off = login.BackOff(context.settings.sign_in_failures_a_name)
    app.state.strangers = set()
    add_page_handlers(app)

    @app.exception_handler(SignInNeeded)
    async def _sign_in(request: Request, _error: SignInNeeded) -> Response:
        return login.ask_to_sign_in(request)

    for router in ROUTERS:
        app.include_router(router)
    return app
