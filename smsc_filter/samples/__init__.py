"""Labelled texts: those written for the project, and a reader for files of the same form.

``texts.jsonl`` was written for this project and names no real brand, person or number. A third of it is
held out of training (see ``training/prepare.py``) and serves as the project's own test set.
"""

import gzip
import json
import zlib
from collections.abc import Iterator
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, Final, NamedTuple

LABELS: Final = ("commercial", "other")


class Sample(NamedTuple):
    """One labelled text."""

    text: str
    label: str
    """One of ``LABELS``."""

    category: str
    """What kind of text it is; each file has its own set of names, ``unknown`` among them."""

    lang: str
    """ISO 639-1."""

    source: str = ""
    """The corpus it comes from; empty if the file does not say."""

    weight: float = 1.0
    """How much it counts in training, beside other texts of its source."""


class SampleError(ValueError):
    """A file of labelled texts cannot be read: the message names the file and the line."""


def load_samples() -> list[Sample]:
    """The texts written for the project, in the order of the file."""
    with as_file(files(__package__) / "texts.jsonl") as path:
        return read_texts(path)


def read_texts(path: Path) -> list[Sample]:
    """Read labelled JSON Lines, compressed if the name ends in ``.gz``; empty lines are passed over.

    Raises:
        SampleError: the file cannot be read, or a line is not a labelled text.
    """
    return [_sample(line, f"{path}:{number}") for number, line in _lines(path)]


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    number = 0
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as lines:
            for number, octets in enumerate(lines, 1):
                line = octets.decode()
                if line.strip():
                    yield number, line
    except UnicodeDecodeError as error:
        raise SampleError(f"{path}:{number}: is not UTF-8 ({error.reason})") from error
    except (OSError, EOFError, zlib.error) as error:
        raise SampleError(f"{path}: cannot be read after line {number} ({error})") from error


def _sample(line: str, where: str) -> Sample:
    try:
        said: Any = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise SampleError(f"{where}: is not JSON ({error})") from error
    if not isinstance(said, dict):
        raise SampleError(f"{where}: must be a JSON object")
    for key in ("text", "label", "category", "lang"):
        if not isinstance(said.get(key), str):
            raise SampleError(f"{where}: {key} must be a string")
    if said["label"] not in LABELS:
        raise SampleError(f"{where}: label must be {' or '.join(LABELS)}, not {said['label']!r}")
    source = said.get("source", "")
    if not isinstance(source, str):
        raise SampleError(f"{where}: source must be a string")
    return Sample(said["text"], said["label"], said["category"], said["lang"], source)
