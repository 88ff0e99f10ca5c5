"""Models: the one that judges, candidates and what they were asked, those replaced; promoting one, and going back.

A candidate is promoted here only when ``python -m training promote --ask`` has put it every gate beside the model that
judges now, and only when it gets right what appeals have decided since: there is no way round the gates here either.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Final

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse
from markdown_it import MarkdownIt
from markupsafe import Markup

from smsc_filter.classifier.gates import Asked, read_gates, wrong_cases
from smsc_filter.classifier.manifest import CARD, PURPOSES, Manifest, ModelError, read_manifest
from smsc_filter.classifier.scorer import Scorer
from smsc_filter.classifier.versions import earlier_models, replace_model, roll_back
from smsc_filter.records.audit import note_done
from smsc_filter.samples import SampleError
from smsc_filter.samples.labels import read_cases
from smsc_filter.state.scores import difference_names, read_compared
from smsc_filter.web.api.common import World
from smsc_filter.web.console.access import ROOT, Guest
from smsc_filter.web.console.words import DONE
from smsc_filter.web.console.words import PURPOSES as PURPOSE_WORDS
from smsc_filter.web.context import Context
from smsc_filter.web.pages.charts import Columns, stack
from smsc_filter.web.pages.render import render
from smsc_filter.web.problems import Problem

router = APIRouter(prefix="/models")

MOST_CARD: Final = 200_000
"""Characters of a card that are shown."""

MOST_WRONG: Final = 10
"""Cases that a refusal names."""

_changing: Final = threading.Lock()
"""One change of the served folder at a time."""


@dataclass(frozen=True, slots=True)
class Model:
    """One folder."""

    folder: Path
    manifest: Manifest
    card: Markup | None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model that might be served."""

    model: Model
    asked: Asked | None
    """None: never put to the gates."""
    ready: bool
    """Whether it passed every gate beside the model that judges now."""
    shadow: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """What the shadow model would have judged otherwise than one that judged."""

    model: str
    purpose: str
    texts: int
    blocks: int
    passes: int
    skipped: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The shadow model beside those that judged."""

    shadow: str
    rows: list[Compared]
    chart: Columns
    """How far its scores lie from theirs."""


@router.get("")
def show(request: Request, context: World) -> Response:
    """The model in use, candidates, the shadow's comparison, and what was served before."""
    serving = context.models.current().model_id
    own = context.setup.model_folder
    values = {
        "served": _model(own),
        "candidates": _candidates(context, serving),
        "earlier": [(each, _card_of(each.folder)) for each in earlier_models(own)],
        "comparison": _compare(context),
        "model_now": serving,
        "model_folder": own,
        "purposes": PURPOSE_WORDS,
        "order": PURPOSES,
        "done": DONE,
    }
    return render(request, "console/models.html", values)


@router.post("/promote")
def promote(
    context: World,
    visit: Guest,
    model: Annotated[str, Form(max_length=200)],
    serving: Annotated[str, Form(max_length=200)],
) -> Response:
    """Let a candidate judge that passed every gate beside ``serving``; workers take it over by themselves."""
    with _changing:
        before, now = read_manifest(context.setup.model_folder).model_id, context.clock()
        if before != serving:
            raise Problem(409, "model-changed", f"{before} judges by now; look at it, and decide anew")
        found = [each for each in _candidates(context, before) if each.model.manifest.model_id == model]
        if not found:
            raise Problem(404, "no-such-model", "")
        (candidate, *_) = found
        if not candidate.ready:
            raise Problem(409, "gates-not-passed", f"it has not passed every gate beside {before}")
        try:
            wrong = wrong_cases(Scorer.load(candidate.model.folder), read_cases(context.setup.cases_folder))
            if wrong:
                raise Problem(409, "cases-wrong", f"it gets wrong what was decided: {', '.join(wrong[:MOST_WRONG])}")
            replace_model(context.setup.model_folder, candidate.model.folder, "promotion", now)
        except (ModelError, SampleError) as error:
            raise Problem(409, "no-such-model", "the model or the cases cannot be read") from error
        _note(context, visit, "model-promote", before, model, now)
    return RedirectResponse(f"{ROOT}/models?done=promoted", 303)


@router.post("/rollback")
def go_back(context: World, visit: Guest, model: Annotated[str, Form(max_length=200)]) -> Response:
    """Let an earlier model judge again; workers take it over by themselves."""
    with _changing:
        before, now = context.models.current().model_id, context.clock()
        try:
            manifest = roll_back(context.setup.model_folder, now, model)
        except ModelError as error:
            raise Problem(409, "no-such-model", "it is not kept any more, or is damaged") from error
        _note(context, visit, "model-rollback", before, manifest.model_id, now)
    return RedirectResponse(f"{ROOT}/models?done=model", 303)


def _note(context: Context, visit: Guest, action: str, before: str, after: str, now: float) -> None:
    note_done(context.engine, visit.actor, action, after, before={"model": before}, after={"model": after}, now=now)


def _candidates(context: Context, serving: str) -> list[Candidate]:
    """Every other model beside the one in use, and the shadow."""
    own, shadow = context.setup.model_folder.resolve(), context.setup.shadow_folder
    folders = {folder.resolve() for folder in own.parent.iterdir()} | ({shadow.resolve()} if shadow else set())
    found = []
    for folder in sorted(folders - {own}):
        model = _model(folder)
        if model is None or model.manifest.model_id == serving:
            continue
        asked = read_gates(folder, model.manifest.model_id)
        ready = asked is not None and asked.passed and asked.beside == serving
        found.append(Candidate(model, asked, ready, shadow is not None and folder == shadow.resolve()))
    return found


def _compare(context: Context) -> Comparison | None:
    """What the shadow would have judged otherwise; None where there is no shadow."""
    folder = context.setup.shadow_folder
    model = _model(folder) if folder is not None else None
    if model is None:
        return None
    shadow = model.manifest.model_id
    counts: defaultdict[tuple[str, str], defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
    for about, count in read_compared(context.writer, shadow).items():
        counts[about.model, about.purpose][about.what] += count
    rows = [
        Compared(
            model=judged, purpose=purpose, texts=what["texts"], blocks=what["block"], passes=what["pass"],
            skipped=what["skipped"],
        )
        for (judged, purpose), what in sorted(counts.items())
    ]  # fmt: skip
    names = difference_names()
    far = [sum(what[f"d{place}"] for what in counts.values()) for place in range(len(names))]
    chart = stack(
        [
            # Every label would not find its place beside the others; all are told on hover.
            (
                name if place in (0, len(names) // 2, len(names) - 1) else "",
                f"{name} · {count:,}",
                [("pale" if place == len(names) // 2 else "bad", count**0.5)],
            )
            for place, (name, count) in enumerate(zip(names, far, strict=True))
        ]
    )
    return Comparison(shadow=shadow, rows=rows, chart=chart)


def _model(folder: Path) -> Model | None:
    if not folder.is_dir():
        return None
    try:
        return Model(folder, read_manifest(folder), _card_of(folder))
    except ModelError:
        return None


def _card_of(folder: Path) -> Markup | None:
    try:
        return _card((folder / CARD).read_text(encoding="utf-8")[:MOST_CARD])
    except (OSError, UnicodeDecodeError):
        return None


@cache
def _markdown() -> MarkdownIt:
    # HTML inside a card stays text, and so do links to scripts.
    return MarkdownIt("commonmark", {"html": False}).enable("table")


def _card(text: str) -> Markup:
    html = _markdown().render(text)
    # The page has its own first heading, and a wide block is scrolled by keyboard too.
    html = html.replace("<h2>", "<h3>").replace("</h2>", "</h3>").replace("<h1>", "<h2>").replace("</h1>", "</h2>")
    return Markup(html.replace("<pre>", '<pre tabindex="0">'))  # noqa: S704 - markdown-it has escaped it
