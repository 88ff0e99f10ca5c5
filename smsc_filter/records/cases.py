"""The labels that answered appeals and upheld complaints vouch for, as files that training reads.

``cases/appeals.jsonl`` holds the texts that every later model must call "other"; who promotes a model asks them.
``labels/appeals.jsonl`` and ``labels/complaints.jsonl`` hold the same texts, and the advertisements that got through,
for the next training. All are written whole from the records, so what is revoked disappears.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter
from sqlalchemy import Engine, select

from smsc_filter.records.database import reading
from smsc_filter.records.tables import appeals, complaints, model_cases
from smsc_filter.samples.labels import Case, Label, Provenance

GONE: Final = "not kept any more"
"""Who decided, once retention has taken what the label came from."""


def write_cases(engine: Engine, cases: Path, labels: Path) -> int:
    """Write the files anew where they say something else than the records do.

    Args:
        engine: what ``open_database`` gave.
        cases: folder of the texts every model must get right.
        labels: folder of labelled texts for training.

    Returns:
        How many texts are labelled.

    Raises:
        SqlUnavailable: the database does not answer.
        OSError: a file cannot be written.
    """
    row = model_cases.c
    joined = model_cases.outerjoin(appeals, appeals.c.id == row.appeal_id).outerjoin(
        complaints, complaints.c.id == row.complaint_id
    )
    wanted = (
        select(model_cases, appeals.c.decided_by, complaints.c.number)
        .select_from(joined)
        .where(row.dropped_at_ms.is_(None))
        .order_by(row.id)
    )
    with reading(engine) as connection:
        found = connection.execute(wanted).mappings().all()
    upheld = [each for each in found if each["label"] == "other"]
    _replace(cases / "appeals.jsonl", [_case(each) for each in upheld])
    _replace(labels / "appeals.jsonl", [_label(each) for each in upheld])
    _replace(labels / "complaints.jsonl", [_label(each) for each in found if each["label"] == "commercial"])
    return len(found)


def _case(row: Any) -> Case:
    return Case(
        id=f"appealed-{row['id']}",
        text=row["text"],
        purpose=row["kind"],
        expected="other",
        provenance=_provenance(row),
    )


def _label(row: Any) -> Label:
    return Label(text=row["text"], label=row["label"], provenance=_provenance(row))


def _provenance(row: Any) -> Provenance:
    """Where a label comes from; once retention has taken that, the day is all that is known of it."""
    appealed = row["label"] == "other"
    id_ = row["appeal_id"] if appealed else row["complaint_id"]
    return Provenance(
        origin="appeal" if appealed else "complaint",
        reference=f"{id_}" if id_ is not None else GONE,
        by=(row["decided_by"] if appealed else row["number"]) or GONE,
        at=f"{datetime.fromtimestamp(row['at_ms'] / 1000, UTC):%Y-%m-%d}",
    )


def _replace(path: Path, lines: Iterable[Case | Label]) -> None:
    """Give a file its content in one step; a reader finds the old one or the new one."""
    content = b"".join(TypeAdapter(type(line)).dump_json(line, exclude_none=True) + b"\n" for line in lines)
    if content == (path.read_bytes() if path.exists() else b""):
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.part")
    unfinished.write_bytes(content)
    unfinished.replace(path)
