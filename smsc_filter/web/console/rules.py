"""Thresholds and quotas: what holds, what another value would have done to recent traffic, every version there was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import ValidationError
from sqlalchemy import select
from starlette.concurrency import run_in_threadpool

from smsc_filter.classifier.curve import Curve, Point, measure, read_curves
from smsc_filter.policy.record import id_to_text
from smsc_filter.policy.rules import PURPOSES
from smsc_filter.policy.tuning import Tuning, differences, read_tuning, tuned_profile
from smsc_filter.records.database import reading
from smsc_filter.records.labels import COMMERCIAL, scores_of_labels
from smsc_filter.records.recent import RECENT
from smsc_filter.records.rulebook import find_rules, newest_rules, rule_history, save_rules
from smsc_filter.records.tables import decisions
from smsc_filter.state.rules import write_rules
from smsc_filter.web.api.common import World
from smsc_filter.web.console.access import ROOT, Guest
from smsc_filter.web.console.words import CAUSES, DONE
from smsc_filter.web.console.words import PURPOSES as PURPOSE_WORDS
from smsc_filter.web.context import Context
from smsc_filter.web.pages.charts import NARROW, Columns, Line, draw_line, stack
from smsc_filter.web.pages.errors import N_
from smsc_filter.web.pages.render import render
from smsc_filter.web.problems import Problem

router = APIRouter(prefix="/rules")

BUCKETS: Final = 40
BUCKET_SCORES: Final = -(-10_001 // BUCKETS)
MOST_EXAMPLES: Final = 5

DRAWN_EVERY: Final = 3
"""Of the thresholds of a curve: more points cannot be told apart."""
LEAST_DRAWN: Final = 0.05
"""Below it nobody sets a threshold, and the part that matters would be drawn small."""

WRONG_VALUE: Final = N_("A value is out of range: thresholds lie above 0 and at most at 1, caps are whole numbers.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What thresholds do to texts whose label is known."""

    curve: Curve
    labelled: bool
    """Whether it is of recorded messages that people labelled, since the model came without a curve."""
    now: Point
    then: Point
    line: Line


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatIf:
    """What a threshold would have done to the recent messages of one purpose."""

    purpose: str
    now: float
    then: float
    messages: int
    commercial_now: int
    """Messages that reach the threshold that holds."""
    commercial_then: int
    chart: Columns
    measured: Measured | None
    """None where nothing was ever measured."""
    examples: Sequence[tuple[str, str, float]]
    """(decision, text, score) of some that would be judged otherwise."""


@router.get("")
def show(request: Request, context: World) -> Response:
    """What holds; with values in the address, what they would have done."""
    tuning = newest_rules(context.engine)
    problem, proposed = "", tuning
    if any(name.startswith(("threshold.", "cap.")) for name in request.query_params):
        try:
            proposed = read_tuning(tuning.version, _body(request.query_params, tuning, context))
        except (ValidationError, ValueError):
            problem = WRONG_VALUE
    return _page(request, context, tuning, proposed, problem)


@router.get("/{version}")
def show_version(request: Request, version: int, context: World) -> Response:
    """One version, and what it changed."""
    found = find_rules(context.engine, version)
    if found is None:
        raise Problem(404, "no-such-version", "")
    earlier = find_rules(context.engine, found.based_on)
    base = earlier.tuning if earlier is not None else Tuning()
    newest = newest_rules(context.engine)
    values = {
        "version": found,
        "changed": differences(base, found.tuning),
        "against_newest": differences(newest, found.tuning),
        "newest": newest,
    }
    return render(request, "console/rule_version.html", values)


@router.post("")
async def save(request: Request, context: World, visit: Guest) -> Response:
    """Save what the form holds as a new version, and judge by it."""
    form = {name: str(value) for name, value in (await request.form()).items()}
    return await _in_thread(_save, context, visit, form)


@router.post("/{version}/restore")
async def restore(request: Request, version: int, context: World, visit: Guest) -> Response:
    """Make an earlier version hold again, as a new one."""
    form = {name: str(value) for name, value in (await request.form()).items()}
    return await _in_thread(_restore, context, visit, version, form)


def configured(context: Context) -> dict[str, float]:
    """Purpose -> threshold by model and configuration alone."""
    thresholds = context.setup.thresholds()
    return {purpose: thresholds[purpose] for purpose in PURPOSES}


def publish(context: Context) -> None:
    """Tell the workers what holds."""
    write_rules(context.writer, newest_rules(context.engine))


def what_ifs(context: Context, now: Mapping[str, float], then: Mapping[str, float]) -> list[WhatIf]:
    """What thresholds would have done to the newest messages, by purpose; the recorded scores are enough for it."""
    curves = read_curves(context.setup.model_folder, context.models.current().model_id)
    labelled = {} if curves else _labelled_curves(context)
    found = []
    for purpose in PURPOSES:
        recent = context.recent.scores(purpose)
        least_now, least_then = _units(now[purpose]), _units(then[purpose])
        low, high = sorted((least_now, least_then))
        curve = curves.get(purpose) or labelled.get(purpose)
        found.append(
            WhatIf(
                purpose=purpose,
                now=now[purpose],
                then=then[purpose],
                messages=len(recent.scores),
                commercial_now=recent.reaching(least_now),
                commercial_then=recent.reaching(least_then),
                chart=_histogram(recent.histogram(BUCKET_SCORES, BUCKETS), then[purpose]),
                measured=_measured(curve, now[purpose], then[purpose], not curves) if curve is not None else None,
                examples=_examples(context, recent.between(low, high, MOST_EXAMPLES)),
            )
        )
    return found


def _examples(context: Context, ids: Sequence[int]) -> list[tuple[str, str, float]]:
    if not ids:
        return []
    wanted = select(decisions.c.id, decisions.c.text, decisions.c.score).where(decisions.c.id.in_(ids))
    with reading(context.engine) as connection:
        return [(id_to_text(id_), text, score / 10_000) for id_, text, score in connection.execute(wanted)]


def _labelled_curves(context: Context) -> dict[str, Curve]:
    """Curves of what people labelled, for a model that came without; a purpose needs texts of both kinds."""
    by_label: dict[tuple[str, bool], list[float]] = {}
    for purpose, label, score in scores_of_labels(context.engine):
        by_label.setdefault((purpose, label in COMMERCIAL), []).append(score / 10_000)
    return {
        purpose: measure(by_label[purpose, True], by_label[purpose, False])
        for purpose in PURPOSES
        if (purpose, True) in by_label and (purpose, False) in by_label
    }


def _measured(curve: Curve, now: float, then: float, labelled: bool) -> Measured:
    marks = curve.at(now), curve.at(then)
    drawn = [curve.point(place) for place in range(curve.nearest(LEAST_DRAWN), len(curve), DRAWN_EVERY)]
    points = sorted({*drawn, *marks}, key=lambda point: point.threshold)
    return Measured(
        curve=curve,
        labelled=labelled,
        now=marks[0],
        then=marks[1],
        line=draw_line([(point.recall, point.precision, point) for point in points]),
    )


def _page(
    request: Request, context: World, tuning: Tuning, proposed: Tuning, problem: str = "", status: int = 200
) -> Response:
    base = configured(context)
    now, then = _over(base, tuning), _over(base, proposed)
    values = {
        "tuning": tuning,
        "proposed": proposed,
        "changed": differences(tuning, proposed),
        "what_ifs": what_ifs(context, now, then),
        "configured": base,
        "caps": tuned_profile(context.setup.profile, proposed).quota,
        "history": rule_history(context.engine),
        "recent": RECENT,
        "problem": problem,
        "purposes": PURPOSE_WORDS,
        "causes": CAUSES,
        "done": DONE,
        "profile": context.setup.profile,
    }
    return render(request, "console/rules.html", values, 422 if problem else status)


async def _in_thread(work: Any, *arguments: Any) -> Response:
    response: Response = await run_in_threadpool(work, *arguments)
    return response


def _save(context: Context, visit: Guest, form: Mapping[str, str]) -> Response:
    tuning = newest_rules(context.engine)
    try:
        body = _body(form, tuning, context)
        save_rules(
            context.engine, body, based_on=_whole(form.get("based_on", "")), reason=form.get("reason", "")[:500],
            actor=visit.actor, now=context.clock(),
        )  # fmt: skip
    except ValidationError as error:
        raise Problem(422, "wrong-value", "") from error
    except ValueError as error:
        raise Problem(422, "wrong-value", str(error)) from error
    publish(context)
    return RedirectResponse(f"{ROOT}/rules?done=rules", 303)


def _restore(context: Context, visit: Guest, version: int, form: Mapping[str, str]) -> Response:
    body: Mapping[str, Any] = Tuning().body()
    if version:
        found = find_rules(context.engine, version)
        if found is None:
            raise Problem(404, "no-such-version", "")
        body = found.tuning.body()
    try:
        save_rules(
            context.engine, body, based_on=_whole(form.get("based_on", "")),
            reason=form.get("reason", "").strip()[:500] or f"back to version {version}",
            actor=visit.actor, now=context.clock(),
        )  # fmt: skip
    except ValueError as error:
        raise Problem(422, "wrong-value", str(error)) from error
    publish(context)
    return RedirectResponse(f"{ROOT}/rules?done=rules", 303)


def _body(form: Mapping[str, str], tuning: Tuning, context: Context) -> dict[str, Any]:
    """A version from what a form holds; a value that is as configured is not set, so that it follows the configuration.

    Raises:
        ValueError: something is no number.
    """
    base, quota = configured(context), context.setup.profile.quota
    body = tuning.body()
    thresholds, caps = dict(body["thresholds"]), dict(body["caps"])
    for purpose in PURPOSES:
        text = form.get(f"threshold.{purpose}", "").strip()
        if text:
            thresholds[purpose] = round(float(text), 4)
            if thresholds[purpose] == base[purpose]:
                del thresholds[purpose]
        if f"cap.{purpose}.hour" in form:
            pair = {window: _whole(form.get(f"cap.{purpose}.{window}", "")) for window in ("hour", "day")}
            caps[purpose] = pair
            if (pair["hour"], pair["day"]) == (quota[purpose].hour, quota[purpose].day):
                del caps[purpose]
    return {**body, "thresholds": thresholds, "caps": caps}


def _over(base: Mapping[str, float], tuning: Tuning) -> dict[str, float]:
    return {**base, **{str(purpose): value for purpose, value in tuning.thresholds.items()}}


def _histogram(counts: Sequence[int], threshold: float) -> Columns:
    """How many messages have which score; roots of the counts, so that rare scores are seen beside frequent ones."""
    values = []
    for at, count in enumerate(counts):
        low = at / BUCKETS
        style = "bad" if low + 0.5 / BUCKETS >= threshold else "good"
        title = f"{low:.3f} - {low + 1 / BUCKETS:.3f} · {count:,}"
        values.append((f"{low:.1f}" if at % 8 == 0 else "", title, [(style, count**0.5)]))
    return stack(values, width=NARROW, left=0.0)


def _units(threshold: float) -> int:
    """Recorded scores are whole ten-thousandths: the least of them that reaches a threshold."""
    return -int(-threshold * 10_000 // 1)


def _whole(text: str) -> int:
    """A count as a form writes it; nothing is 0.

    Raises:
        ValueError: it is none.
    """
    return int(text.strip() or 0)
