"""What the actors of the benchmark write: ``wordings.toml`` beside this, its slots filled by chance."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from random import Random
from typing import Any, Final

_SLOT: Final = re.compile(r"\{(\w+)\}")

_COUNTED: Final[Mapping[str, Sequence[str]]] = {
    "hour": [f"{hour}:{minute:02}" for hour in range(8, 19) for minute in (0, 15, 30, 45)],
    "code": [f"{number:06}" for number in range(104_729, 999_983, 1_299)],
    "amount": [f"{number / 10:.2f}" for number in range(123, 98_765, 377)],
    "tail": [f"{number:04}" for number in range(1_009, 9_973, 97)],
    "shelf": [f"{row}-{place}-{number}" for row in range(1, 9) for place in range(1, 7) for number in (11, 35, 72)],
}
"""Slots that hold figures."""


@cache
def _wordings() -> Mapping[str, Any]:
    return tomllib.loads((files("smsc_filter.lab.evasion") / "wordings.toml").read_text(encoding="utf-8"))


@cache
def templates(name: str) -> tuple[str, ...]:
    """The templates of that name."""
    return tuple(_wordings()["templates"][name])


def write(name: str, random: Random) -> str:
    """A text of one of the templates of that name."""
    slots = _wordings()["slots"]
    return _SLOT.sub(
        lambda match: random.choice(_COUNTED.get(match[1]) or slots[match[1]]), random.choice(templates(name))
    )
