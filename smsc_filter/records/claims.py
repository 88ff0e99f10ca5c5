"""Claims: consents that owners say they have from people who had refused, and what an operator makes of them.

A claim has no effect while the refusal stands (``policy.consent.claims``). Accepted on evidence it becomes a grant of
the time at which the recipient agreed, so what the recipient said later holds all the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from sqlalchemy import Connection, Engine, func, select, update

from smsc_filter.records.audit import Actor, note_change
from smsc_filter.records.consents import (
    ConsentEvent,
    append_events,
    consents_of_pairs,
    event_of,
    forgotten_refusal,
    held_claims,
    history,
    owner_names,
)
from smsc_filter.records.database import reading, writing
from smsc_filter.records.errors import RecordsError
from smsc_filter.records.tables import consent_claims, consent_events

ACCEPTED: Final = "accepted"
REJECTED: Final = "rejected"

REVIEWED: Final = "review"
"""Source of the grant that an accepted claim becomes, in front of the claim's own."""

MOST_SHOWN: Final = 1_000


class ClaimRefused(RecordsError):
    """A claim cannot be decided so; nothing was changed."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A consent that an owner says it has, of a recipient who refuses."""

    event_id: int
    event: ConsentEvent
    refused_at_ms: int
    """Since when the refusal stands."""


def claimed_among(
    engine: Engine, recipient: str, events: Sequence[tuple[int, ConsentEvent]], *, reply_seconds: float, now: float
) -> set[int]:
    """The ids of those events of a recipient that are claims a refusal holds back.

    Raises:
        SqlUnavailable: the database does not answer.
    """
    owners = {event.owner for _, event in events if event.by_owner and event.state == "granted"}
    held: set[int] = set()
    with reading(engine) as connection:
        for owner in owners:
            of_owner = [each for each in events if each[1].owner == owner]
            forgotten = forgotten_refusal(connection, recipient, owner)
            held |= held_claims(of_owner, reply_seconds=reply_seconds, now=now, forgotten=forgotten)
    return held


def open_claims(
    engine: Engine, *, reply_seconds: float, now: float, owner: str | None = None, most: int = MOST_SHOWN
) -> list[Claim]:
    """The claims that wait for a review, oldest first; those a recipient has settled meanwhile are left out.

    Raises:
        SqlUnavailable: the database does not answer.
    """
    row, claim = consent_events.c, consent_claims.c
    found: list[Claim] = []
    after = 0
    while len(found) < most:
        with reading(engine) as connection:
            names = owner_names(connection)
            wanted = (
                select(consent_events)
                .join(consent_claims, claim.event_id == row.id)
                .where(claim.verdict == "", row.recipient.is_not(None), row.id > after)
                .order_by(row.id)
                .limit(MOST_SHOWN)
            )
            if owner is not None:
                wanted = wanted.where(claim.owner_id.in_([id_ for id_, name in names.items() if name == owner]))
            rows = connection.execute(wanted).mappings().all()
        for values in rows:
            event = event_of(values, names)
            refused_at_ms = _refused_at(engine, values["id"], event, reply_seconds, now)
            if refused_at_ms is not None and len(found) < most:
                found.append(Claim(values["id"], event, refused_at_ms))
        if len(rows) < MOST_SHOWN:
            break
        after = rows[-1]["id"]
    return found


def claims_since(engine: Engine, since_ms: int) -> dict[str, int]:
    """How many claims came from each owner since then.

    Raises:
        SqlUnavailable: the database does not answer.
    """
    claim = consent_claims.c
    with reading(engine) as connection:
        names = owner_names(connection)
        wanted = select(claim.owner_id, func.count()).where(claim.at_ms >= since_ms).group_by(claim.owner_id)
        return {names[owner_id]: count for owner_id, count in connection.execute(wanted)}


def accept_claim(
    engine: Engine,
    event_id: int,
    *,
    actor: Actor,
    reason: str,
    reply_seconds: float,
    now: float,
    agreed_at: float | None = None,
) -> int:
    """Grant what a claim says, on its evidence, from when the recipient agreed; the id of the new event.

    Args:
        engine: the records of law.
        event_id: of the claim.
        actor: who has looked at the evidence.
        reason: what it shows.
        reply_seconds: how long an answer to a request is waited for.
        now: epoch seconds.
        agreed_at: when the recipient agreed by the evidence, epoch seconds; None: when the claim says.

    Raises:
        ClaimRefused: there is no such claim, it has no evidence or no time, or the recipient refused after it.
        SqlUnavailable: the database does not answer.
    """
    claim = _open(engine, event_id, reply_seconds, now, reason)
    event = claim.event
    if event.evidence is None and not event.reference:
        raise ClaimRefused(f"claim {event_id} has neither evidence nor reference: there is nothing to review")
    if agreed_at is None and not event.dated:
        raise ClaimRefused(f"claim {event_id} does not say when the recipient agreed; say what the evidence shows")
    at_ms = event.event_at_ms if agreed_at is None else round(agreed_at * 1000)
    if not claim.refused_at_ms < at_ms <= round(now * 1000):
        raise ClaimRefused(f"claim {event_id}: the recipient refused after that, or it lies in the future")
    granted = replace(
        event,
        event_at_ms=at_ms,
        received_at_ms=round(now * 1000),
        source=f"{REVIEWED} of claim {event_id}: {event.source}",
        by_owner=False,
        dated=True,
    )
    with writing(engine) as connection:
        _decide(connection, event_id, ACCEPTED, actor, reason, now)
        names = {name: id_ for id_, name in owner_names(connection).items()}
        stored = append_events(connection, [granted], names)
        after = {"owner": event.owner, "agreed_at_ms": at_ms, "event": stored.ids[0]}
        _note(connection, "consent-claim-accept", event_id, actor, after | {"reason": reason}, now)
    return stored.ids[0]


def reject_claim(
    engine: Engine, event_id: int, *, actor: Actor, reason: str, reply_seconds: float, now: float
) -> Claim:
    """Leave the refusal as it is, for good as far as this claim goes.

    Raises:
        ClaimRefused: there is no such claim.
        SqlUnavailable: the database does not answer.
    """
    claim = _open(engine, event_id, reply_seconds, now, reason)
    with writing(engine) as connection:
        _decide(connection, event_id, REJECTED, actor, reason, now)
        after = {"owner": claim.event.owner, "reason": reason}
        _note(connection, "consent-claim-reject", event_id, actor, after, now)
    return claim


def _open(engine: Engine, event_id: int, reply_seconds: float, now: float, reason: str) -> Claim:
    if not reason.strip():
        raise ClaimRefused("a reason is needed: what the evidence shows")
    row = consent_events.c
    with reading(engine) as connection:
        names = owner_names(connection)
        verdict = connection.execute(
            select(consent_claims.c.verdict).where(consent_claims.c.event_id == event_id)
        ).scalar()
        values = connection.execute(select(consent_events).where(row.id == event_id)).mappings().first()
    if verdict is None or values is None or values["recipient"] is None:
        raise ClaimRefused(f"event {event_id} is no claim that waits for a review")
    if verdict:
        raise ClaimRefused(f"claim {event_id} was {verdict} before")
    event = event_of(values, names)
    refused_at_ms = _refused_at(engine, event_id, event, reply_seconds, now)
    if refused_at_ms is None:
        raise ClaimRefused(f"claim {event_id} is settled: the recipient has agreed meanwhile")
    return Claim(event_id, event, refused_at_ms)


def _refused_at(engine: Engine, event_id: int, event: ConsentEvent, reply_seconds: float, now: float) -> int | None:
    """Since when a refusal holds a claim back; None: nothing does."""
    events = history(engine, event.recipient, event.owner)
    if event_id not in claimed_among(engine, event.recipient, events, reply_seconds=reply_seconds, now=now):
        return None
    with reading(engine) as connection:
        owner_id = next(id_ for id_, name in owner_names(connection).items() if name == event.owner)
        found = consents_of_pairs(connection, [(event.recipient, owner_id)], reply_seconds, now)
    by_topic = {each.topic: each.status.since_ms for each in found}
    return by_topic.get(event.topic, by_topic[None])


def _decide(connection: Connection, event_id: int, verdict: str, actor: Actor, reason: str, now: float) -> None:
    claim = consent_claims.c
    decided = connection.execute(
        update(consent_claims)
        .where(claim.event_id == event_id, claim.verdict == "")
        .values(verdict=verdict, by=actor.name, reason=reason, decided_at_ms=round(now * 1000))
    )
    if decided.rowcount != 1:
        raise ClaimRefused(f"claim {event_id} was decided by somebody else meanwhile")


def _note(
    connection: Connection, action: str, event_id: int, actor: Actor, after: Mapping[str, object], now: float
) -> None:
    note_change(connection, actor, action, f"event {event_id}", after=after, now=now)
