"""What people decided of single texts: labels for the next training, and cases that every model must get right.

Both are JSON Lines that only grow. A label comes from an appeal, a complaint or an operator and counts by where it
comes from; a case is a label nobody may unlearn: a model that fails one is not promoted.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal, TypeVar

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from smsc_filter.samples import Sample, SampleError

LABELLED: Final = "labels"
"""Name of the source that holds the labels."""

Origin = Literal["appeal", "complaint", "operator", "project"]

WEIGHT_OF_ORIGIN: Final[dict[Origin, float]] = {"appeal": 16.0, "operator": 16.0, "project": 8.0, "complaint": 4.0}
"""How much one label counts where it does not say: a complaint is one side's word, an appeal was decided."""

Text = Annotated[str, Field(min_length=1, max_length=65_536)]
Line = Annotated[str, Field(min_length=1, max_length=1_000)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Where a label comes from."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    origin: Origin
    reference: Line
    """What it can be looked up by: a decision's id, an appeal's number, a commit."""

    by: Line
    """Who decided."""

    at: Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}")]
    """ISO 8601."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """One text as somebody judged it."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    text: Text
    label: Literal["commercial", "other"]
    provenance: Provenance
    category: str = "unknown"
    lang: str = ""
    weight: Annotated[float, Field(gt=0, le=1_000, allow_inf_nan=False)] | None = None
    """How much it counts; not given, its origin says."""

    @property
    def sample(self) -> Sample:
        """What training learns from it."""
        weight = self.weight if self.weight is not None else WEIGHT_OF_ORIGIN[self.provenance.origin]
        return Sample(self.text, self.label, self.category, self.lang, LABELLED, weight)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One text that every model must get right."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    id: Line
    text: Text
    purpose: Literal["commercial", "service", "person"]
    """What its sender is registered for, whose threshold decides."""

    expected: Literal["commercial", "other"]
    provenance: Provenance


_Line = TypeVar("_Line", Label, Case)


def read_labels(paths: Iterable[Path]) -> list[Label]:
    """Every label of some files, in order; where one text was judged more than once, its last label alone.

    Raises:
        SampleError: a file cannot be read, or a line is no label; the message names file and line.
    """
    labels = [label for path in paths for label in _read(path, TypeAdapter(Label))]
    latest = {label.text: label for label in sorted(labels, key=lambda label: label.provenance.at)}
    return list(latest.values())


def read_cases(folder: Path) -> list[Case]:
    """Every case in ``folder/*.jsonl``; none where there is no such file.

    Raises:
        SampleError: a file cannot be read, a line is no case, or two cases share an id.
    """
    cases = [case for path in sorted(folder.glob("*.jsonl")) for case in _read(path, TypeAdapter(Case))]
    ids = [case.id for case in cases]
    if repeated := sorted({name for name in ids if ids.count(name) > 1}):
        raise SampleError(f"{folder}: more than one case has the id {', '.join(repeated)}")
    return cases


def append(path: Path, line: Label | Case) -> None:
    """Add a label or a case to a file, which is made where there is none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # One write of one line at the end of the file: two who append at once do not mix.
    with path.open("ab") as file:
        file.write(TypeAdapter(type(line)).dump_json(line, exclude_none=True) + b"\n")


def _read(path: Path, kind: TypeAdapter[_Line]) -> list[_Line]:
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise SampleError(f"{path}: cannot be read ({error.strerror})") from error
    found = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                found.append(kind.validate_json(line))
            except ValidationError as error:
                first = error.errors(include_input=False)[0]
                where = ".".join(map(str, first["loc"])) or "line"
                raise SampleError(f"{path}:{number}: {where}: {first['msg']}") from error
    return found
