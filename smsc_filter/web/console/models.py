"""Models: the one that judges, those it replaced, and what their cards say; going back to one of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Final

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse
from markdown_it import MarkdownIt
from markupsafe import Markup

from smsc_filter.classifier.manifest import Manifest, ModelError, read_manifest
from smsc_filter.classifier.versions import earlier_models, roll_back
from smsc_filter.records.audit import note_done
from smsc_filter.web.api.common import World
from smsc_filter.web.console.access import ROOT, Guest
from smsc_filter.web.console.words import DONE
from smsc_filter.web.pages.render import render
from smsc_filter.web.problems import Problem

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
    others = [folder for folder in sorted(own.parent.iterdir()) if folder != own]
    found = [model for folder in (own, *others) if (model := _model(folder, folder == own)) is not None]
    values = {
        "models": found,
        "earlier": [(each, _model(each.folder, False)) for each in earlier_models(own)],
        "model_now": context.models.current().model_id,
        "done": DONE,
    }
    return render(request, "console/models.html", values)


@router.post("/rollback")
def go_back(context: World, visit: Guest, model: Annotated[str, Form(max_length=200)]) -> Response:
    """Let an earlier model judge again; workers take it over by themselves."""
    before, now = context.models.current().model_id, context.clock()
    try:
        manifest = roll_back(context.setup.model_folder, now, model)
    except ModelError as error:
        raise Problem(409, "no-such-model", "it is not kept any more, or is damaged") from error
    note_done(
        context.engine, visit.actor, "model-rollback", manifest.model_id,
        before={"model": before}, after={"model": manifest.model_id}, now=now,
    )  # fmt: skip
    return RedirectResponse(f"{ROOT}/models?done=model", 303)


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
