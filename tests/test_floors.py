"""No dependency may be older than the version that closed a hole which would matter here."""

from __future__ import annotations

import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]

FLOORS = {
    "cryptography": ("46.0.5", "CVE-2026-26007, and CVE-2024-12797 before 44.0.1"),
    "h11": ("0.16", "CVE-2025-43859, malformed chunks let through"),
    "jinja2": ("3.1.6", "CVE-2025-27516, the sandbox left by |attr"),
    "orjson": ("3.11.6", "CVE-2025-67221, recursion without end"),
    "pyarrow": ("23.0.1", "CVE-2026-25087, memory used after it was freed"),
    "pyspark": ("4.0.1", "CVE-2025-54920, objects read from event logs"),
    "python-multipart": ("0.0.22", "CVE-2026-24486, and CVE-2024-53981 before 0.0.18"),
    "scikit-learn": ("1.5", "CVE-2024-5206, texts kept in a vectoriser"),
    "starlette": ("0.49.1", "CVE-2025-62727, Range headers of quadratic cost"),
    "urllib3": ("2.6.3", "CVE-2026-21441, and CVE-2025-66418 and -66471 before 2.6.0"),
}
"""Name -> the version that closed it, and what it was."""


def requirements() -> dict[str, Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = [*project["dependencies"], *(line for extra in project["optional-dependencies"].values() for line in extra)]
    return {canonicalize_name(each.name): each for each in map(Requirement, lines)}


def constraints() -> dict[str, Version]:
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    return {canonicalize_name(name): Version(at) for name, at in re.findall(r"^([\w.-]+)==(\S+)$", text, re.MULTILINE)}


@pytest.mark.parametrize("name", FLOORS)
def test_a_dependency_is_above_its_known_holes(name: str) -> None:
    floor, hole = FLOORS[name]
    (least,) = (Version(each.version) for each in requirements()[name].specifier if each.operator == ">=")
    assert least >= Version(floor), hole
    assert constraints().get(name, least) >= Version(floor), hole
    try:
        installed = Version(metadata.version(name))
    except metadata.PackageNotFoundError:
        pytest.skip("not installed here")
    assert installed >= Version(floor), hole


def test_what_a_release_was_tested_with_satisfies_what_it_asks_for() -> None:
    pinned = constraints()
    wrong = [
        str(each) for name, each in requirements().items() if name in pinned and pinned[name] not in each.specifier
    ]
    assert not wrong
