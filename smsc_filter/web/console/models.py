"""Models: the one that judges, the ones beside it, and what their cards say."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from fastapi import APIRouter, Request, Response
from markdown_it import MarkdownIt
from markupsafe import Markup

from smsc_filter.classifier.manifest import Manifest, ModelError, read_manifest
from smsc_filter.web.api.common import World
from smsc_filter.web.pages.render import render

router = APIRouter(prefix="/models")

MOST_CARD: Final = 200_000
"""Characters of a card that are shown."""


@dataclass(frozen=True, slots=True)
class Model:
    """One folder."""

    manifest: Manifest
    card: Markup
    in_use: bool


@router.get("")
def show(request: Request, context: World) -> Response:
    """Every model beside the one in use, that one first."""
    own = context.setup.model_folder.resolve()
    found = [model for folder in sorted(own.parent.iterdir()) if (model := _model(folder, folder == own)) is not None]
    found.sort(key=lambda model: not model.in_use)
    return render(request, "console/models.html", {"models": found, "model_now": context.models.current().model_id})


def _model(folder: Path, in_use: bool) -> Model | None:
    if not folder.is_dir():
        return None
    try:
        manifest = read_manifest(folder)
        text = (folder / "card.md").read_text(encoding="utf-8")[:MOST_CARD]
    except (ModelError, OSError, UnicodeDecodeError):
        return None
    return Model(manifest, _card(text), in_use)


@cache
def _markdown() -> MarkdownIt:
    # HTML inside a card stays text, and so do links to scripts.
    return MarkdownIt("commonmark", {"html": False}).enable("table")


def _card(text: str) -> Markup:
    html = _markdown().render(text)
    # The page has its own first heading, and a wide block is scrolled by keyboard too.
    html = html.replace("<h2>", "<h3>").replace("</h2>", "</h3>").replace("<h1>", "<h2>").replace("</h1>", "</h2>")
    return Markup(html.replace("<pre>", '<pre tabindex="0">'))  # noqa: S704 - markdown-it has escaped it
