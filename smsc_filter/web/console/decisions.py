"""Decisions: searched, and one explained in full."""

from __future__ import annotations

import math
from datetime import datetime
from itertools import pairwise
from typing import Annotated, Any, Final
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from smsc_filter.classifier.scorer import Contribution
from smsc_filter.policy.record import id_from_text, id_to_text
from smsc_filter.policy.verdict import Cause
from smsc_filter.records import whitelist
from smsc_filter.records.audit import note_done
from smsc_filter.records.explain import Decision, checks_of, find_decision, find_outcome, status_name
from smsc_filter.records.labels import LABELS, add_label, labels_of
from smsc_filter.records.search import ADMITTED, REFUSED, Wanted, find
from smsc_filter.state.projection import write_whitelist
from smsc_filter.web.api.common import World
from smsc_filter.web.console.access import ROOT, Guest
from smsc_filter.web.console.words import CAUSES, CHECKS, DONE, KINDS, PURPOSES, SCOPES
from smsc_filter.web.context import Context
from smsc_filter.web.pages.errors import N_
from smsc_filter.web.pages.render import render
from smsc_filter.web.problems import Problem

router = APIRouter(prefix="/decisions")

MOST_CONTRIBUTIONS: Final = 12
ALL_CONTRIBUTIONS: Final = 100_000
MOST_DAYS: Final = 3_650

CHOICES: Final = (ADMITTED, REFUSED, *(cause.value for cause in Cause))
FIELDS: Final = ("number", "sender", "owner", "cause", "from", "to", "least", "most")

WRONG_NUMBER: Final = N_("The number is not a phone number.")
WRONG_TIME: Final = N_("A time is not one.")
WRONG_SCORE: Final = N_("A score lies between 0 and 1.")


@router.get("")
def search(request: Request, context: World) -> Response:
    """Decisions that fit what was asked, newest first; an id in the field for numbers leads to its page."""
    asked = {name: request.query_params.get(name, "").strip()[:100] for name in FIELDS}
    if (one := _as_id(asked["number"])) is not None:
        return RedirectResponse(f"{ROOT}/decisions/{id_to_text(one)}", 303)
    problem, found = "", None
    try:
        found = find(context.engine, wanted_from(asked, context), _as_id(request.query_params.get("before", "")))
    except ValueError as error:
        problem = str(error)
    following = None
    if found is not None and found.next_before is not None:
        given = {name: value for name, value in asked.items() if value}
        following = f"{ROOT}/decisions?{urlencode(given | {'before': id_to_text(found.next_before)})}"
    values = {
        "asked": asked, "found": found, "problem": problem, "following": following, "choices": CHOICES,
        "causes": CAUSES, "kinds": KINDS, "purposes": PURPOSES, "id_to_text": id_to_text,
        "owners": context.setup.owners,
    }  # fmt: skip
    return render(request, "console/decisions.html", values, 422 if problem else 200)


def wanted_from(asked: dict[str, str], context: Context) -> Wanted:
    """What a form asks for.

    Raises:
        ValueError: a field is not what it should be; the words are for people.
    """
    zone = ZoneInfo(context.zone)
    from_ms, to_ms = _moment(asked["from"], zone), _moment(asked["to"], zone)
    recipient = None
    if asked["number"]:
        try:
            recipient = context.numbering.msisdn(asked["number"])
        except ValueError:
            raise ValueError(WRONG_NUMBER) from None
    return Wanted(
        recipient=recipient,
        source=asked["sender"] or None,
        owner=asked["owner"] or None,
        cause=asked["cause"] if asked["cause"] in CHOICES else None,
        from_ms=from_ms if from_ms is not None else 0,
        to_ms=to_ms if to_ms is not None else 1 << 42,
        least_score=_score(asked["least"]),
        most_score=_score(asked["most"]),
    )


@router.get("/{decision_id}")
def show(request: Request, decision_id: str, context: World) -> Response:
    """One decision: what was found, by which rule, and which words moved the score."""
    return render(request, "console/decision.html", explained(context, decision_of(context, decision_id)))


@router.post("/{decision_id}/label")
def label(
    decision_id: str,
    context: World,
    visit: Guest,
    label: Annotated[str, Form()],
    note: Annotated[str, Form(max_length=500)] = "",
) -> Response:
    """Say what the text is."""
    decision = decision_of(context, decision_id)
    if label not in LABELS:
        raise Problem(422, "wrong-label", f"label is one of {', '.join(LABELS)}")
    add_label(context.engine, decision.id, label, note.strip(), visit.actor, context.clock())
    return RedirectResponse(f"{ROOT}/decisions/{id_to_text(decision.id)}?done=label", 303)


@router.post("/{decision_id}/whitelist")
def clear(
    decision_id: str,
    context: World,
    visit: Guest,
    scope: Annotated[str, Form()],
    reason: Annotated[str, Form(max_length=500)],
    days: Annotated[float, Form(gt=0, le=MOST_DAYS)] = 30.0,
) -> Response:
    """Let pass what is like this one: the sender, the sender to this recipient, or all that the owner sends."""
    decision, now = decision_of(context, decision_id), context.clock()
    try:
        entry = whitelist.grant(
            context.engine,
            scope=scope,
            owner=decision.owner,
            sender=None if scope == "owner" else context.numbering.canonical(decision.source),
            recipients=[decision.recipient] if scope == "sender-recipients" else [],
            reason=reason,
            now=now,
            expires_at=now + days * 86_400,
            created_by=visit.user.name,
        )
    except ValueError as error:
        raise Problem(422, "wrong-entry", str(error)) from error
    after = {**entry.to_dict(), "decision": id_to_text(decision.id)}
    note_done(context.engine, visit.actor, "whitelist-grant", f"whitelist {entry.id}", after=after, now=now)
    write_whitelist(context.writer, whitelist.entries(context.engine, now))
    return RedirectResponse(f"{ROOT}/decisions/{id_to_text(decision.id)}?done=whitelist", 303)


def decision_of(context: Context, text: str) -> Decision:
    """The decision an address names.

    Raises:
        Problem: there is none.
    """
    number = _as_id(text)
    decision = find_decision(context.engine, number) if number is not None else None
    if decision is None:
        raise Problem(404, "no-such-decision", "")
    return decision


def explained(context: Context, decision: Decision) -> dict[str, Any]:
    """Everything a page says of a decision."""
    scorer = context.models.of(decision.model) or context.models.current()
    contributions: list[Contribution] = []
    if decision.text:
        contributions = scorer.explain(decision.text, ALL_CONTRIBUTIONS)
    return {
        "decision": decision,
        "id": id_to_text(decision.id),
        "outcome": find_outcome(context.engine, decision.id),
        "status": status_name,
        "checks": checks_of(decision),
        "words": contributions[:MOST_CONTRIBUTIONS],
        "greatest": max((abs(each.log_odds) for each in contributions), default=1.0),
        "spans": spans(decision.text, contributions),
        "explained_by": scorer.model_id,
        "labels": labels_of(context.engine, decision.id),
        "label_choices": LABELS,
        "causes": CAUSES, "check_names": CHECKS, "kinds": KINDS, "purposes": PURPOSES, "scopes": SCOPES, "done": DONE,
    }  # fmt: skip


def spans(text: str, contributions: list[Contribution]) -> list[tuple[str, str]]:
    """``text`` in pieces, each with how it moves the score: "for" commercial, "against", or "".

    Contributions are spelt as the classifier folds a text, so where folding changed a letter its n-grams are not
    found, and that letter stays without colour; the table beside tells them all.
    """
    folded = "".join("0" if letter.isdigit() else letter.lower()[:1] or letter for letter in text)
    weights = [0.0] * len(text)
    for gram, log_odds in contributions:
        place = folded.find(gram)
        while place >= 0 and gram:
            for at in range(place, place + len(gram)):
                weights[at] += log_odds / len(gram)
            place = folded.find(gram, place + 1)
    spread = math.sqrt(sum(weight * weight for weight in weights) / len(weights)) if weights else 0.0
    styles = ["for" if each > spread else "against" if each < -spread else "" for each in weights]
    edges = [0, *(at for at, (one, two) in enumerate(pairwise(styles), 1) if one != two), len(text)]
    return [(text[begin:end], styles[begin]) for begin, end in pairwise(edges) if end > begin]


def _as_id(text: str) -> int | None:
    try:
        return id_from_text(text)
    except ValueError:
        return None


def _moment(text: str, zone: ZoneInfo) -> int | None:
    """Milliseconds of a local time as a form writes it."""
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
        at_ms = round((moment if moment.tzinfo else moment.replace(tzinfo=zone)).timestamp() * 1000)
    except (ValueError, OverflowError):
        raise ValueError(WRONG_TIME) from None
    if not 0 <= at_ms < 1 << 42:
        raise ValueError(WRONG_TIME)
    return at_ms


def _score(text: str) -> int | None:
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        raise ValueError(WRONG_SCORE) from None
    if not 0 <= value <= 1:
        raise ValueError(WRONG_SCORE)
    return round(value * 10_000)
