"""``/api/docs``: Swagger UI over the OpenAPI document, from the package ``fastapi-offline``, without another host.

FastAPI's own page loads its scripts from elsewhere and begins them in the page; both are against the policy here.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Final

from fastapi import APIRouter, Response

from smsc_filter.web.problems import Problem, answers

router = APIRouter(prefix="/api/docs", include_in_schema=False)

DOCUMENT: Final = "/api/openapi.json"

PAGE: Final = f"""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>smsc-filter: API</title>
<link rel="stylesheet" href="/api/docs/swagger-ui.css">
<link rel="icon" href="/api/docs/favicon.png">
<script src="/api/docs/swagger-ui-bundle.js" defer></script>
<script src="/api/docs/docs.js" defer></script>
</head>
<body data-document="{DOCUMENT}"><div id="docs"></div></body>
</html>
"""

ASSETS: Final = {
    "swagger-ui-bundle.js": ("fastapi_offline", "text/javascript"),
    "swagger-ui.css": ("fastapi_offline", "text/css"),
    "favicon.png": ("fastapi_offline", "image/png"),
    "docs.js": ("smsc_filter.web", "text/javascript"),
}
"""Name -> the package whose folder ``static`` has it, and its type."""


@router.get("")
def page() -> Response:
    """The page."""
    return Response(PAGE, media_type="text/html")


@router.get("/{name}", responses=answers(404))
def asset(name: str) -> Response:
    """What the page loads."""
    if name not in ASSETS:
        raise Problem(404, "not-found", f"there is no {name}")
    package, media_type = ASSETS[name]
    octets = (files(package) / "static" / name).read_bytes()
    return Response(octets, media_type=media_type, headers={"Cache-Control": "public, max-age=3600"})
