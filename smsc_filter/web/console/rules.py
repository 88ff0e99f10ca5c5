"""Thresholds and quotas: what holds, what another value would have done to recent traffic, every version there was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import ValidationError
from sqlalchemy import ColumnElement, case, func, select
from starlette.concurrency import run_in_threadpool

from smsc_filter.policy.record import id_to_text
from smsc_filter.policy.rules import PURPOSES
from smsc_filter.policy.tuning import Tuning, differences, read_tuning, tuned_profile
from smsc_filter.records.database import reading
from smsc_filter.records.rulebook import find_rules, newest_rules, rule_history, save_rules
from smsc_filter.records.tables import decisions
from smsc_filter.state.rules import write_rules
from smsc_filter.web.api.common import World
from smsc_filter.web.console.access import ROOT, Guest
from smsc_filter.web.console.words import CAUSES, DONE
from smsc_filter.web.console.words import PURPOSES as PURPOSE_WORDS
from smsc_filter.web.context import Context
from smsc_filter.web.pages.charts import Columns, stack
from smsc_filter.web.pages.errors import N_
from smsc_filter.web.pages.render import render
from smsc_filter.web.problems import Problem

router = APIRouter(prefix="/rules")

RECENT: Final = 20_000
"""Newest decisions that a what-if looks at."""

BUCKETS: Final = 40
BUCKET_SCORES: Final = -(-10_001 // BUCKETS)
MOST_EXAMPLES: Final = 5

WRONG_VALUE: Final = N_("A value is out of range: thresholds lie above 0 and at most at 1, caps are whole numbers.")


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
    newest = (
        select(decisions.c.id, decisions.c.purpose, decisions.c.score)
        .order_by(decisions.c.id.desc())
        .limit(RECENT)
        .subquery()
        .c
    )
    found = []
    with reading(context.engine) as connection:
        for purpose in PURPOSES:
            least_now, least_then = _units(now[purpose]), _units(then[purpose])
            # Whole numbers by whole numbers, and grouped by name: each parameter of PostgreSQL is another one.
            bucket = (newest.score // BUCKET_SCORES).label("bucket")
            counted = (
                select(bucket, func.count(), _reaching(newest.score, least_now), _reaching(newest.score, least_then))
                .where(newest.purpose == purpose, newest.score >= 0)
                .group_by("bucket")
            )
            rows = [tuple(map(int, row)) for row in connection.execute(counted)]
            low, high = sorted((least_now, least_then))
            examples: list[tuple[str, str, float]] = []
            if low != high:
                between = (
                    select(newest.id)
                    .where(newest.purpose == purpose, newest.score >= low, newest.score < high)
                    .limit(MOST_EXAMPLES)
                )
                ids = connection.execute(between).scalars().all()
                wanted = select(decisions.c.id, decisions.c.text, decisions.c.score).where(decisions.c.id.in_(ids))
                examples = [(id_to_text(id_), text, score / 10_000) for id_, text, score in connection.execute(wanted)]
            found.append(
                WhatIf(
                    purpose=purpose,
                    now=now[purpose],
                    then=then[purpose],
                    messages=sum(row[1] for row in rows),
                    commercial_now=sum(row[2] for row in rows),
                    commercial_then=sum(row[3] for row in rows),
                    chart=_histogram({row[0]: row[1] for row in rows}, then[purpose]),
                    examples=examples,
                )
            )
    return found


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


def _reaching(score: ColumnElement[int], least: int) -> ColumnElement[int]:
    return func.sum(case((score >= least, 1), else_=0))


def _histogram(counts: Mapping[int, int], threshold: float) -> Columns:
    """How many messages have which score; roots of the counts, so that rare scores are seen beside frequent ones."""
    values = []
    for at in range(BUCKETS):
        low, count = at / BUCKETS, counts.get(at, 0)
        style = "bad" if low + 0.5 / BUCKETS >= threshold else "good"
        title = f"{low:.3f} - {low + 1 / BUCKETS:.3f} · {count:,}"
        values.append((f"{low:.1f}" if at % 4 == 0 else "", title, [(style, count**0.5)]))
    return stack(values)


def _units(threshold: float) -> int:
    """Recorded scores are whole ten-thousandths: the least of them that reaches a threshold."""
    return -int(-threshold * 10_000 // 1)


def _whole(text: str) -> int:
    """A count as a form writes it; nothing is 0.

    Raises:
        ValueError: it is none.
    """
    return int(text.strip() or 0)
