"""What can be appealed against and what an upheld appeal lifts: refused messages, measures, and what else registers.

A module that blocks people in a way of its own adds a ``MatterKind`` by ``register_kind``; its appeals then go the same
way as all others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from sqlalchemy import Connection, or_, select

from smsc_filter.policy.measures import Step
from smsc_filter.policy.record import MAX_ID, id_to_text
from smsc_filter.policy.verdict import Cause
from smsc_filter.records.measures import lift_measure
from smsc_filter.records.tables import decisions, measures

DECISION, MEASURE = "decision", "measure"


@dataclass(frozen=True, slots=True, kw_only=True)
class Matter:
    """One thing an appeal is about."""

    kind: str
    """One of ``KINDS``."""
    id: str
    parties: frozenset[str] = field(default_factory=frozenset)
    """Owners and numbers that may object to it without an appeal code."""
    owner: str = ""
    sender: str = ""
    """Canonical address."""
    recipient: str = ""
    purpose: str = ""
    cause: str = ""
    text: str = field(default="", repr=False)
    system_id: str = ""
    at_ms: int = 0

    @property
    def name(self) -> str:
        """As people name it."""
        return f"{self.kind} {id_to_text(int(self.id)) if self.kind == DECISION else self.id}"


class By(NamedTuple):
    """Who does something to a matter, why and when."""

    name: str
    note: str
    now: float


@dataclass(frozen=True, slots=True)
class MatterKind:
    """How matters of a kind are found and lifted, each in the transaction of the appeal."""

    find: Callable[[Connection, str], Matter | None]
    """The matter of an id, or None."""
    lift: Callable[[Connection, Matter, By], bool]
    """End what stands in the way; False where nothing does any more."""
    behind: Callable[[Connection, Matter], list[Matter]] = lambda _connection, _decision: []
    """The matters of this kind that a refused message was refused for."""


def find_matter(connection: Connection, kind: str, subject: str) -> Matter | None:
    """The matter of a kind and id, or None where there is none."""
    known = KINDS.get(kind)
    return known.find(connection, subject) if known is not None else None


def lift_matter(connection: Connection, matter: Matter, by: By) -> list[str]:
    """Lift a matter and, of a refused message, what it was refused for; the names of what was lifted."""
    behind = [one for kind in KINDS.values() for one in kind.behind(connection, matter)]
    return [one.name for one in (matter, *behind) if KINDS[one.kind].lift(connection, one, by)]


def register_kind(name: str, kind: MatterKind) -> None:
    """Let matters of one more kind be appealed against."""
    KINDS[name] = kind


def _find_decision(connection: Connection, subject: str) -> Matter | None:
    if not _is_id(subject):
        return None
    row = connection.execute(select(decisions).where(decisions.c.id == int(subject))).mappings().first()
    if row is None:
        return None
    return Matter(
        kind=DECISION,
        id=subject,
        parties=frozenset({row["owner"], row["source"], row["recipient"]} - {""}),
        owner=row["owner"],
        sender=row["source"],
        recipient=row["recipient"],
        purpose=row["purpose"],
        cause=row["cause"],
        text=row["text"],
        system_id=row["system_id"],
        at_ms=row["at_ms"],
    )


def _find_measure(connection: Connection, subject: str) -> Matter | None:
    if not _is_id(subject):
        return None
    row = connection.execute(select(measures).where(measures.c.id == int(subject))).mappings().first()
    if row is None:
        return None
    about = row["subject"]
    return Matter(
        kind=MEASURE,
        id=subject,
        # Whose an account is, the configuration knows and the records do not: there the code of the measure speaks.
        parties=frozenset({about}) if row["scope"] != "account" else frozenset(),
        owner=about if row["scope"] == "owner" else "",
        sender=about if row["scope"] == "sender" else "",
        at_ms=row["begins_at_ms"],
    )


def _is_id(subject: str) -> bool:
    """Whether it is a number both databases can compare with an id."""
    return subject.isascii() and subject.isdigit() and int(subject) <= MAX_ID


_BEHIND_CAUSE: Final = {
    Cause.SENDER_SUSPENDED.value: Step.SUSPEND.value,
    Cause.QUOTA_SPENT.value: Step.THROTTLE.value,
}
"""Which measures a refusal may come from."""


def _measures_behind(connection: Connection, matter: Matter) -> list[Matter]:
    step = _BEHIND_CAUSE.get(matter.cause) if matter.kind == DECISION else None
    if step is None:
        return []
    row = measures.c
    about = [("sender", matter.sender), ("account", matter.system_id), ("owner", matter.owner)]
    found = connection.execute(
        select(row.id).where(
            row.step == step,
            row.lifted_at_ms.is_(None),
            row.begins_at_ms <= matter.at_ms,
            or_(*((row.scope == scope) & (row.subject == subject) for scope, subject in about)),
        )
    )
    matters = (_find_measure(connection, str(measure_id)) for measure_id in found.scalars())
    return [one for one in matters if one is not None]


def _lift_measure(connection: Connection, matter: Matter, by: By) -> bool:
    return lift_measure(connection, int(matter.id), by=by.name, note=by.note, now=by.now)


KINDS: Final[dict[str, MatterKind]] = {
    # A refusal is over once it is made; what follows from a grant is the whitelist entry.
    DECISION: MatterKind(_find_decision, lambda _connection, _matter, _by: False),
    MEASURE: MatterKind(_find_measure, _lift_measure, _measures_behind),
}
