"""The portal as an application of its own under ``ROOT``, so that its errors are pages; its first page is at ``/``."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.responses import RedirectResponse, Response

from smsc_filter.web.context import Context
from smsc_filter.web.pages.errors import add_page_handlers
from smsc_filter.web.portal import pages, requests, sign_in
from smsc_filter.web.portal.access import SESSION, SignedOut, drop_word


def make_portal(context: Context) -> FastAPI:
    """The portal over ``context``."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    app.state.context = context
    add_page_handlers(app)

    @app.exception_handler(SignedOut)
    async def _signed_out(_request: Request, _error: SignedOut) -> Response:
        response = RedirectResponse("/", 303)
        drop_word(response, SESSION)
        return response

    for router in (sign_in.router, pages.router, requests.router):
        app.include_router(router)
    return app
