"""What a candidate was asked before it may be served, and what it answered.

``python -m training promote --ask`` asks every gate and leaves the answers in the candidate's folder as ``gates.json``;
the console serves only a candidate whose answers are all right and were given beside the model that is served now.
The cases are asked once more at that moment, since appeals go on being granted.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from smsc_filter.classifier.manifest import ModelError, read_octets
from smsc_filter.classifier.scorer import Scorer
from smsc_filter.samples.labels import Case

GATES: Final = "gates.json"
MOST_GATES_OCTETS: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Gate:
    """One question to a candidate, and its answer."""

    name: str
    passed: bool
    wants: str
    found: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Every gate of one candidate."""

    model: str
    """Id of the candidate."""
    beside: str
    """Id of the model that was served then; empty where there was none."""
    at: str
    """ISO 8601 in UTC."""
    gates: tuple[Gate, ...]

    @property
    def passed(self) -> bool:
        """Whether none was failed, and one asked at all."""
        return bool(self.gates) and all(gate.passed for gate in self.gates)


def write_gates(folder: Path, asked: Asked) -> None:
    """Write ``gates.json`` into a candidate's folder."""
    (folder / GATES).write_text(json.dumps(asdict(asked), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def read_gates(folder: Path, model_id: str) -> Asked | None:
    """What the model of that id was asked; None where nothing readable is known of it."""
    try:
        said = json.loads(read_octets(folder / GATES, MOST_GATES_OCTETS))
        gates = tuple(
            Gate(str(each["name"]), each["passed"] is True, str(each["wants"]), str(each["found"]))
            for each in said["gates"]
        )
        asked = Asked(model=said["model"], beside=said["beside"], at=str(said["at"]), gates=gates)
    except (ModelError, ValueError, LookupError, TypeError):
        return None
    return asked if asked.model == model_id else None


def wrong_cases(candidate: Scorer, cases: Sequence[Case]) -> list[str]:
    """Ids of the cases that the candidate gets wrong, each at the threshold of its purpose."""
    scores = candidate.score([case.text for case in cases]).score.tolist()
    return [
        case.id
        for case, score in zip(cases, scores, strict=True)
        if (score >= candidate.thresholds[case.purpose]) is not (case.expected == "commercial")
    ]
