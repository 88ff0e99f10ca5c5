"""Templates into pages.

A page holds no script and no style of its own, which the policy of ``web.guard`` would refuse: both are files, and
what a script has to know stands in ``data-`` attributes. Every page works without scripts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Any, Final
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Response
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import Request

from smsc_filter.web.pages.languages import COOKIE, LANGUAGES, PARAMETER, TAGS, language_of, translations
from smsc_filter.web.problems import Problem

ASSETS: Final = {
    "style.css": "text/css",
    "console.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}
"""What pages load, by its name in ``web/static``, and its type."""

YEAR_SECONDS: Final = 31_536_000

router = APIRouter(prefix="/static", include_in_schema=False)


@router.get("/{name}")
def asset(name: str) -> Response:
    """A file that pages load. Its address changes with its content, so it may be kept for ever."""
    if name not in ASSETS:
        raise Problem(404, "not-found", f"there is no {name}")
    headers = {"Cache-Control": f"public, max-age={YEAR_SECONDS}, immutable"}
    return Response(_octets(name), media_type=ASSETS[name], headers=headers)


def render(request: Request, template: str, values: Mapping[str, Any] | None = None, status: int = 200) -> HTMLResponse:
    """A page in the language of whoever asks.

    Besides ``values`` a template knows ``lang``, ``lang_tag``, ``languages``, ``path`` and ``query`` of the request,
    and ``visit``: who is signed in, or None.
    """
    language = language_of(request)
    zone = getattr(request.app.state.context, "zone", "UTC")
    page = environment(language).get_template(template)
    known = {
        "lang": language,
        "lang_tag": TAGS[language],
        "languages": LANGUAGES,
        "path": request.url.path,
        "query": request.query_params,
        "visit": getattr(request.state, "visit", None),
        "zone": ZoneInfo(zone),
        "zone_name": zone,
    }
    response = HTMLResponse(page.render(known | dict(values or {})), status)
    response.headers["Content-Language"] = TAGS[language]
    response.headers["Vary"] = "Accept-Language, Cookie"
    if request.query_params.get(PARAMETER) in LANGUAGES:
        response.set_cookie(
            COOKIE, language, max_age=YEAR_SECONDS, samesite="lax", httponly=True, secure=request.url.scheme == "https"
        )
    return response


@cache
def environment(language: str) -> Environment:
    """The templates in one language."""
    made = Environment(
        loader=PackageLoader("smsc_filter.web", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        extensions=["jinja2.ext.i18n"],
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.install_gettext_translations(translations(language), newstyle=True)  # type: ignore[attr-defined]
    made.globals["asset"] = asset_url
    made.filters["when"] = when
    made.filters["number"] = number
    return made


@cache
def asset_url(name: str) -> str:
    """Where a file of ``ASSETS`` is, under an address that changes with its content."""
    return f"/static/{name}?v={hashlib.sha256(_octets(name)).hexdigest()[:12]}"


def when(at_ms: float, zone: ZoneInfo) -> Markup:
    """A moment as people read it, in the zone of the rules; the exact one is in the element."""
    moment = datetime.fromtimestamp(at_ms / 1000, UTC)
    local = moment.astimezone(zone)
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        moment.isoformat(timespec="milliseconds"),
        f"{local:%Y-%m-%d %H:%M:%S.%f}"[:-3] + f" {local:%Z}",
        f"{local:%Y-%m-%d %H:%M:%S}",
    )


def number(value: float) -> str:
    """A count with separators."""
    return f"{value:,}"


@cache
def _octets(name: str) -> bytes:
    return (files("smsc_filter.web") / "static" / name).read_bytes()
