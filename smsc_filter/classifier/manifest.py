"""What a folder under ``models/`` says of itself, and the one error a model can give.

The manifest is checked before the weights are touched: a folder whose parts do not belong together is
refused with one line that names the file and what is wrong with it.
"""

import json
import math
import stat
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

MANIFEST: Final = "manifest.json"
CARD: Final = "card.md"

MOST_MANIFEST_OCTETS: Final = 1 << 20
MOST_WEIGHTS_OCTETS: Final = 64 << 20

KINDS: Final[tuple[str, ...]] = ("verification", "service", "commercial", "fraud", "personal", "greeting")
"""What a text may be; a score speaks of ``commercial`` and ``fraud`` together."""

PURPOSES: Final[tuple[str, ...]] = ("commercial", "service", "person")
"""What a sender may be registered for; each has its own threshold."""


class ModelError(Exception):
    """The folder holds no model that can be served: keep the one in use, or stop at the start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """``manifest.json``: which weights belong to the model, and how its scores are to be read."""

    name: str
    version: int
    created: str
    """When it was trained, ISO 8601 in UTC."""

    weights: str
    """Name of the file of weights, beside the manifest."""

    sha256: str
    """Of the file of weights, in lower-case hexadecimal."""

    feature_version: int
    """``features.FEATURE_VERSION`` at the time of training."""

    kinds: tuple[str, ...]
    thresholds: Mapping[str, float]
    """Score from which a text counts as commercial, by purpose of its sender."""

    data_fingerprint: str
    """SHA-256 over the names and SHA-256 of all files of texts the model was trained on."""

    sources: Mapping[str, int] = field(default_factory=dict)
    """Texts trained on, by source."""

    seed: int = 0
    reference: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Histogram of the scores at promotion, by purpose, see ``drift``; empty: the model never passed the gates."""

    @property
    def model_id(self) -> str:
        """Names the model in decision records: ``default-1@3f2a91c0``."""
        return f"{self.name}-{self.version}@{self.sha256[:8]}"

    def write(self, folder: Path) -> None:
        """Write ``manifest.json`` into ``folder``."""
        text = json.dumps(asdict(self), ensure_ascii=False, indent=2)
        (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")


def read_octets(path: Path, most: int) -> bytes:
    """The octets of a regular file of at most ``most``; a pipe or a device would keep whoever reads it waiting.

    Raises:
        ModelError: it is no such file, or cannot be read.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise ModelError(f"{path}: is no regular file")
        with path.open("rb") as file:
            octets = file.read(most + 1)
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror})") from error
    if len(octets) > most:
        raise ModelError(f"{path}: has more than {most:,} octets")
    return octets


def read_manifest(folder: Path) -> Manifest:
    """Read and check ``folder/manifest.json``.

    Raises:
        ModelError: it is missing, is not JSON, lacks a key, or a value cannot be right.
    """
    path = folder / MANIFEST
    try:
        said = json.loads(read_octets(path, MOST_MANIFEST_OCTETS).decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path}: is not JSON ({error})") from error
    if not isinstance(said, dict):
        raise ModelError(f"{path}: must hold one JSON object")
    try:
        return _manifest(said)
    except KeyError as error:
        raise ModelError(f"{path}: lacks {error.args[0]!r}") from error
    except ValueError as error:
        raise ModelError(f"{path}: {error}") from error


def _manifest(said: dict[str, Any]) -> Manifest:
    weights = _text(said, "weights")
    if Path(weights).name != weights or weights in ("", ".", ".."):
        raise ValueError(f"weights must be the name of a file beside it, not {weights!r}")
    sha256 = _text(said, "sha256")
    if len(sha256) != 64 or set(sha256) - set("0123456789abcdef"):
        raise ValueError("sha256 must be 64 lower-case hexadecimal digits")
    kinds = said["kinds"]
    if kinds != list(KINDS):
        raise ValueError(f"kinds must be {', '.join(KINDS)}, not {kinds!r}")
    sources = said["sources"]
    if not isinstance(sources, dict) or not all(type(count) is int for count in sources.values()):
        raise ValueError("sources must give a number of texts for each source")
    return Manifest(
        name=_text(said, "name"),
        version=_whole(said, "version"),
        created=_text(said, "created"),
        weights=weights,
        sha256=sha256,
        feature_version=_whole(said, "feature_version"),
        kinds=KINDS,
        thresholds=_thresholds(said["thresholds"]),
        data_fingerprint=_text(said, "data_fingerprint"),
        sources=sources,
        seed=_whole(said, "seed"),
        reference=_reference(said.get("reference", {})),
    )


def _text(said: dict[str, Any], key: str) -> str:
    value = said[key]
    if not isinstance(value, str):
        raise ValueError(f"{key} must be a string, not {value!r}")
    return value


def _whole(said: dict[str, Any], key: str) -> int:
    value = said[key]
    if type(value) is not int:
        raise ValueError(f"{key} must be a whole number, not {value!r}")
    return value


def _thresholds(said: object) -> dict[str, float]:
    if not isinstance(said, dict) or set(said) != set(PURPOSES):
        raise ValueError(f"thresholds must give a number for each of {', '.join(PURPOSES)}")
    for purpose, value in said.items():
        # A bool is an int to Python, and a threshold of 0 would refuse everything.
        if type(value) not in (int, float) or not math.isfinite(value) or not 0 < value <= 1:
            raise ValueError(f"thresholds.{purpose} must be above 0 and at most 1, not {value!r}")
    return {purpose: float(said[purpose]) for purpose in PURPOSES}


def _reference(said: object) -> dict[str, tuple[int, ...]]:
    """Histograms by purpose; a folder of before there were any has none."""
    if not isinstance(said, dict) or (said and set(said) != set(PURPOSES)):
        raise ValueError(f"reference must give a histogram for each of {', '.join(PURPOSES)}, or none at all")
    for purpose, counts in said.items():
        if not isinstance(counts, list) or not all(type(count) is int and count >= 0 for count in counts):
            raise ValueError(f"reference.{purpose} must be a list of whole numbers, none negative")
    return {purpose: tuple(said[purpose]) for purpose in said}
