"""Work that takes longer than a request: what was asked for, how far it has come, what came of it.

A job is asked for under a key of the asker's choice. The same key again is the same job, however often a client that
heard no answer repeats itself; the same key with another content is a mistake, and is told so.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Engine, insert, select, update

from smsc_filter.records.database import reading, writing
from smsc_filter.records.errors import RecordsError
from smsc_filter.records.tables import jobs

STATES: Final = ("receiving", "queued", "running", "done", "failed")


class KeyTaken(RecordsError):
    """The key stands for another content: choose another key, or send what was sent before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One job."""

    id: str
    node: int
    owner: str
    kind: str
    key: str
    parameters: Mapping[str, Any]
    state: str
    """One of ``STATES``."""
    octets: int
    """How much of its file has been received."""
    progress: Mapping[str, int] = field(default_factory=dict)
    error: str | None = None
    created_at_ms: int
    updated_at_ms: int


def open_job(
    engine: Engine, *, owner: str, kind: str, key: str, parameters: Mapping[str, Any], node: int, now: float
) -> tuple[Job, bool]:
    """The job of ``owner`` under ``key``, and whether it is new.

    Raises:
        KeyTaken: the key was used with other parameters.
        SqlUnavailable: the database does not answer.
    """
    asked = (jobs.c.owner == owner) & (jobs.c.kind == kind) & (jobs.c.key == key)
    with writing(engine) as connection:
        row = connection.execute(select(jobs).where(asked)).mappings().first()
        if row is not None:
            if row["parameters"] != dict(parameters):
                raise KeyTaken(f"key {key!r} was used for another {kind} before")
            return Job(**row), False
        at_ms = round(now * 1000)
        job = Job(
            id=secrets.token_hex(16),
            node=node,
            owner=owner,
            kind=kind,
            key=key,
            parameters=dict(parameters),
            state="receiving",
            octets=0,
            created_at_ms=at_ms,
            updated_at_ms=at_ms,
        )
        values = {column: getattr(job, column) for column in jobs.columns.keys()}  # noqa: SIM118 - a mapping of columns
        connection.execute(insert(jobs).values(**values))
    return job, True


def find_job(engine: Engine, job_id: str, owner: str) -> Job | None:
    """A job of ``owner``, or None.

    Raises:
        SqlUnavailable: the database does not answer.
    """
    with reading(engine) as connection:
        wanted = select(jobs).where(jobs.c.id == job_id, jobs.c.owner == owner)
        row = connection.execute(wanted).mappings().first()
    return Job(**row) if row is not None else None


def list_jobs(engine: Engine, owner: str, most: int) -> list[Job]:
    """The newest jobs of ``owner``.

    Raises:
        SqlUnavailable: the database does not answer.
    """
    wanted = select(jobs).where(jobs.c.owner == owner).order_by(jobs.c.created_at_ms.desc(), jobs.c.id).limit(most)
    with reading(engine) as connection:
        return [Job(**row) for row in connection.execute(wanted).mappings()]


def waiting_jobs(engine: Engine, node: int) -> list[Job]:
    """What a machine has to do, oldest first: queued, or cut short.

    Raises:
        SqlUnavailable: the database does not answer.
    """
    wanted = select(jobs).where(jobs.c.node == node, jobs.c.state.in_(("queued", "running")))
    with reading(engine) as connection:
        rows = connection.execute(wanted.order_by(jobs.c.created_at_ms, jobs.c.id)).mappings().all()
    return [Job(**row) for row in rows]


def unfinished_jobs(engine: Engine, owner: str) -> list[str]:
    """Ids of what ``owner`` has asked for and is neither done nor failed.

    Raises:
        SqlUnavailable: the database does not answer.
    """
    wanted = select(jobs.c.id).where(jobs.c.owner == owner, jobs.c.state.in_(("receiving", "queued", "running")))
    with reading(engine) as connection:
        return list(connection.scalars(wanted))


def move_job(engine: Engine, job_id: str, now: float, *, from_states: Sequence[str] = STATES, **values: Any) -> bool:
    """Change a job that is in one of ``from_states``; False where it is in none of them.

    Raises:
        SqlUnavailable: the database does not answer.
    """
    with writing(engine) as connection:
        changed = connection.execute(
            update(jobs)
            .where(jobs.c.id == job_id, jobs.c.state.in_(from_states))
            .values(**values, updated_at_ms=round(now * 1000))
        )
        return changed.rowcount > 0
