"""Owners and their senders: what they send, how much of their quota is spent, and measures against them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Final

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from smsc_filter.policy.facts import Sender
from smsc_filter.policy.identity import RANGE_MARK, Registry
from smsc_filter.policy.measures import SCOPES, Step
from smsc_filter.policy.quota import sender_use
from smsc_filter.records import measures
from smsc_filter.records.audit import note_done
from smsc_filter.records.errors import RecordsError
from smsc_filter.records.rulebook import newest_rules
from smsc_filter.records.tally import owners_since
from smsc_filter.state.measures import held_binds, write_measures
from smsc_filter.state.usage import spent
from smsc_filter.web.api.common import World
from smsc_filter.web.console.access import ROOT, Guest
from smsc_filter.web.console.words import CAUSES, DONE, PARTIES, PURPOSES, STEPS
from smsc_filter.web.context import Context
from smsc_filter.web.pages.render import render
from smsc_filter.web.problems import Problem

router = APIRouter()

DAY_MS: Final = 86_400_000
MOST_SENDERS: Final = 50
MOST_HOURS: Final = 87_600


@dataclass(frozen=True, slots=True)
class OwnerRow:
    """One owner of the last day."""

    name: str
    total: int
    refused: int
    most: str
    """The most frequent cause of refusal; "" for none."""
    measures: int


@dataclass(frozen=True, slots=True)
class SenderRow:
    """One sender address."""

    sender: Sender
    recent: int
    """Messages among the newest of all."""
    spent: list[int]
    """Within each of its windows."""


@router.get("/senders")
def show_all(request: Request, context: World) -> Response:
    """Every owner, the busiest first."""
    now = context.clock()
    counts: dict[str, Counter[str]] = {owner: Counter() for owner in context.setup.owners}
    for owner, cause, count in owners_since(context.engine, round(now * 1000) - DAY_MS):
        counts.setdefault(owner, Counter())[cause] += count
    owner_of = _finder(context)
    against = Counter(
        owner_of(each.measure.scope, each.measure.subject) for each in measures.standing(context.engine, now)
    )
    rows = []
    for owner, causes in counts.items():
        refusals = Counter({cause: count for cause, count in causes.items() if cause})
        most = refusals.most_common(1)
        rows.append(OwnerRow(owner, causes.total(), refusals.total(), most[0][0] if most else "", against[owner]))
    rows.sort(key=lambda row: (-row.total, row.name))
    return render(request, "console/senders.html", {"rows": rows, "causes": CAUSES})


@router.get("/owners/{owner}")
def show_one(request: Request, owner: str, context: World) -> Response:
    """One owner with its senders, its measures, and the forms to take one."""
    return render(request, "console/owner.html", about(context, owner) | {"done": DONE})


def about(context: Context, owner: str) -> dict[str, Any]:
    """What is known of an owner.

    Raises:
        Problem: there is no such owner.
    """
    counts = {cause: count for _, cause, count in owners_since(context.engine, _day_ago(context), owner)}
    if owner not in context.setup.owners and not counts:
        raise Problem(404, "no-such-owner", "")
    now, owner_of = context.clock(), _finder(context)
    standing = [
        each
        for each in measures.standing(context.engine, now, ended=True)
        if owner_of(each.measure.scope, each.measure.subject) == owner
    ]
    notices = [each for each in measures.served_notices(context.engine) if owner_of(each.scope, each.subject) == owner]
    return {
        "owner": owner,
        "counts": sorted(counts.items(), key=lambda item: -item[1]),
        "senders": sender_rows(context, owner),
        "accounts": [name for name, its in context.setup.accounts.items() if its == owner],
        "measures": standing,
        "notices": notices,
        "now": now,
        "rules": context.setup.profile.measures,
        "steps": STEPS,
        "parties": PARTIES,
        "causes": CAUSES,
        "purposes": PURPOSES,
    }


def sender_rows(context: Context, owner: str) -> list[SenderRow]:
    """The senders of an owner: those registered one by one, and of ranges the busiest addresses."""
    tuning = newest_rules(context.engine)
    registered = list(context.setup.senders(tuning))
    registry = Registry(registered, context.numbering)
    recent = context.recent.senders(owner, MOST_SENDERS)
    known: dict[str, tuple[Sender, int]] = {}
    for source, count in recent.items():
        sender = registry.find(owner, source.encode("latin-1", "replace"), 0)
        if sender is not None:
            known[sender.address] = sender, count
    for sender in registered:
        if sender.owner == owner and not sender.address.endswith(RANGE_MARK):
            known.setdefault(context.numbering.canonical(sender.address), (sender, 0))
    some = list(known.items())[:MOST_SENDERS]
    uses = [sender_use(sender) for _, (sender, _) in some]
    used = spent(context.writer, context.partitions, uses, context.clock())
    return [
        SenderRow(sender, count, [each[window] for window in sender.windows])
        for (_, (sender, count)), each in zip(some, used, strict=True)
    ]


@router.post("/owners/{owner}/notices")
def serve_notice(
    owner: str,
    context: World,
    visit: Guest,
    party: Annotated[str, Form(max_length=100)],
    channel: Annotated[str, Form(max_length=200)],
    reason: Annotated[str, Form(max_length=500)],
) -> Response:
    """Put on record that a party was told what it did."""
    scope, subject = _party(context, owner, party)
    now = context.clock()
    try:
        notice = measures.serve_notice(
            context.engine, scope=scope, subject=subject, channel=channel, reason=reason, by=visit.user.name, now=now
        )
    except ValueError as error:
        raise Problem(422, "wrong-notice", str(error)) from error
    after = {"scope": scope, "subject": subject, "channel": channel, "reason": reason}
    note_done(context.engine, visit.actor, "notice", f"notice {notice.id}", after=after, now=now)
    return _back(owner, "notice")


@router.post("/owners/{owner}/measures")
def impose(
    owner: str,
    context: World,
    visit: Guest,
    party: Annotated[str, Form(max_length=100)],
    step: Annotated[Step, Form()],
    reason: Annotated[str, Form(max_length=500)],
    per_hour: Annotated[str, Form(pattern=r"^[0-9]{0,9}$")] = "",
    hours: Annotated[str, Form(pattern=r"^[0-9]{0,5}$")] = "",
) -> Response:
    """Impose a measure; a suspension begins when its notice allows."""
    scope, subject = _party(context, owner, party)
    now, rules = context.clock(), context.setup.profile.measures
    accounts = (
        [subject] if scope == "account" else [name for name, its in context.setup.accounts.items() if its == owner]
    )
    binds = held_binds(context.writer, accounts, now) if step is Step.NO_NEW_RESOURCES else None
    try:
        record = measures.impose(
            context.engine,
            step=step,
            scope=scope,
            subject=subject,
            reason=reason,
            article=rules.article,
            by=visit.user.name,
            now=now,
            ends_at=now + min(int(hours), MOST_HOURS) * 3600 if hours and int(hours) else None,
            notice_seconds=rules.notice_hours.value * 3600,
            per_hour=int(per_hour) if per_hour and step is Step.THROTTLE else None,
            binds=binds,
        )
    except (ValueError, RecordsError) as error:
        raise Problem(422, "wrong-measure", str(error)) from error
    after = {**record.measure.to_dict(), "reason": reason}
    note_done(context.engine, visit.actor, "measure-impose", f"measure {record.measure.id}", after=after, now=now)
    _publish(context, now)
    return _back(owner, "measure")


@router.post("/owners/{owner}/measures/{measure_id}/lift")
def lift(
    owner: str, measure_id: int, context: World, visit: Guest, reason: Annotated[str, Form(max_length=500)]
) -> Response:
    """End a measure now."""
    now = context.clock()
    if not reason.strip():
        raise Problem(422, "wrong-measure", "reason is empty")
    if not measures.lift(context.engine, measure_id, by=visit.user.name, note=reason, now=now):
        raise Problem(409, "lifted-before", "")
    note_done(
        context.engine, visit.actor, "measure-lift", f"measure {measure_id}",
        before={"lifted": False}, after={"lifted": True, "reason": reason}, now=now,
    )  # fmt: skip
    _publish(context, now)
    return _back(owner, "lifted")


def _publish(context: Context, now: float) -> None:
    write_measures(context.writer, [each.measure for each in measures.standing(context.engine, now)])


def _back(owner: str, done: str) -> Response:
    return RedirectResponse(f"{ROOT}/owners/{owner}?done={done}", 303)


def _party(context: Context, owner: str, party: str) -> tuple[str, str]:
    """The scope and subject that a form names as "scope subject".

    Raises:
        Problem: it names none of this owner.
    """
    scope, _, subject = party.partition(" ")
    if scope == "sender":
        subject = context.numbering.canonical(subject)
    if scope in SCOPES and _finder(context)(scope, subject) == owner:
        return scope, subject
    raise Problem(422, "wrong-party", "name this owner, one of its accounts, or one of its sender addresses")


def _finder(context: Context) -> Callable[[str, str], str | None]:
    """What tells whose a scope and subject is."""
    registry = Registry(context.setup.senders(newest_rules(context.engine)), context.numbering)

    def owner_of(scope: str, subject: str) -> str | None:
        if scope == "owner":
            return subject
        if scope == "account":
            return context.setup.accounts.get(subject)
        return registry.owner_of(subject.encode("latin-1", "replace"), 0)

    return owner_of


def _day_ago(context: Context) -> int:
    return round(context.clock() * 1000) - DAY_MS
