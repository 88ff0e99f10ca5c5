"""The labels that answered appeals and upheld complaints vouch for, as files that training reads.

``appeals.jsonl`` in the folder of cases holds the texts that every later model must call "other"; who promotes a model
asks them. ``complaints.jsonl`` in the folder of labels holds advertisements that got through. Both are written whole
from the records, so what is revoked disappears.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import orjson
from sqlalchemy import Engine, select

from smsc_filter.records.database import reading
from smsc_filter.records.tables import model_cases

FILES: Final = {"other": "appeals.jsonl", "commercial": "complaints.jsonl"}
"""Label -> its file."""


def write_cases(engine: Engine, folders: dict[str, Path]) -> dict[str, int]:
    """Write the file of each label into its folder, where it says something else than before.

    Args:
        engine: what ``open_database`` gave.
        folders: label -> folder.

    Returns:
        How many cases each label has.

    Raises:
        SqlUnavailable: the database does not answer.
        OSError: a file cannot be written.
    """
    row = model_cases.c
    wanted = select(model_cases).where(row.dropped_at_ms.is_(None)).order_by(row.id)
    lines: dict[str, list[bytes]] = {label: [] for label in folders}
    with reading(engine) as connection:
        for values in connection.execute(wanted).mappings():
            if values["label"] in lines:
                lines[values["label"]].append(orjson.dumps(_case(values), option=orjson.OPT_APPEND_NEWLINE))
    for label, folder in folders.items():
        _replace(folder / FILES[label], b"".join(lines[label]))
    return {label: len(found) for label, found in lines.items()}


def _case(values: Any) -> dict[str, Any]:
    """One line. Once retention has taken what it came from, the day is all that is known of that."""
    came_from = {what: values[f"{what}_id"] for what in ("appeal", "complaint") if values[f"{what}_id"] is not None}
    return {
        "id": f"case-{values['id']}",
        "text": values["text"],
        "kind": values["kind"],
        "label": values["label"],
        "provenance": {**came_from, "date": f"{datetime.fromtimestamp(values['at_ms'] / 1000, UTC):%Y-%m-%d}"},
    }


def _replace(path: Path, content: bytes) -> None:
    """Give a file its content in one step; a reader finds the old one or the new one."""
    if not content and not path.exists():
        return
    if path.exists() and path.read_bytes() == content:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.part")
    unfinished.write_bytes(content)
    unfinished.replace(path)
