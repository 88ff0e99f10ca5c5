"""What an operator sets over the configuration while the service runs: thresholds, caps, and more that is prohibited.

A tuning is whole each time: what it does not name is as the configuration says. ``records.rulebook`` keeps its
versions, workers hold the newest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Final, Literal

from pydantic import ConfigDict, Field, TypeAdapter

from smsc_filter.policy.rules import Profile

MOST_PROHIBITED: Final = 5_000
MOST_CAP: Final = 1_000_000_000

Purpose = Literal["commercial", "service", "person"]
Entry = Annotated[str, Field(min_length=2, max_length=200)]


@dataclass(frozen=True, slots=True, kw_only=True)
class CapPair:
    """How much one sender of a purpose may send; 0: no cap."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    hour: Annotated[int, Field(ge=0, le=MOST_CAP)] = 0
    day: Annotated[int, Field(ge=0, le=MOST_CAP)] = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """One version of it."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    version: Annotated[int, Field(ge=0)] = 0
    """0: nothing was ever set."""
    thresholds: Mapping[Purpose, Annotated[float, Field(gt=0, le=1)]] = field(default_factory=dict)
    """Purpose of the sender -> score from which its text is commercial."""
    caps: Mapping[Purpose, CapPair] = field(default_factory=dict)
    """Purpose -> caps of each sender that has none of its own in the configuration."""
    prohibited: Annotated[tuple[Entry, ...], Field(max_length=MOST_PROHIBITED)] = ()
    """In addition to the list of the configuration."""

    def body(self) -> dict[str, Any]:
        """Plain values that any JSON writer takes, without the version."""
        return {
            "thresholds": dict(sorted(self.thresholds.items())),
            "caps": {purpose: {"hour": cap.hour, "day": cap.day} for purpose, cap in sorted(self.caps.items())},
            "prohibited": list(self.prohibited),
        }


_READER: Final = TypeAdapter(Tuning)


def read_tuning(version: int, body: Mapping[str, Any]) -> Tuning:
    """The tuning of a ``body``.

    Raises:
        ValueError: a value is missing or out of range; the words name it (pydantic's ``ValidationError``).
    """
    return _READER.validate_python({**body, "version": version})


def tuned_profile(profile: Profile, tuning: Tuning) -> Profile:
    """``profile`` with the caps of ``tuning``."""
    quota = dict(profile.quota)
    for purpose, cap in tuning.caps.items():
        if (quota[purpose].hour, quota[purpose].day) != (cap.hour, cap.day):
            article = f"set by the operator, rules {tuning.version}"
            quota[purpose] = replace(quota[purpose], hour=cap.hour, day=cap.day, article=article, seen=True)
    return replace(profile, quota=quota)


def differences(old: Tuning, new: Tuning) -> list[tuple[str, str, str]]:
    """What changes from ``old`` to ``new``: (name, old value, new value); "" where a side says nothing."""
    sides = [_flat(old), _flat(new)]
    names = sorted({*sides[0], *sides[1]})
    return [
        (name, sides[0].get(name, ""), sides[1].get(name, ""))
        for name in names
        if sides[0].get(name) != sides[1].get(name)
    ]


def _flat(tuning: Tuning) -> dict[str, str]:
    return {
        **{f"threshold.{purpose}": f"{value:g}" for purpose, value in tuning.thresholds.items()},
        **{f"cap.{purpose}.hour": str(cap.hour) for purpose, cap in tuning.caps.items()},
        **{f"cap.{purpose}.day": str(cap.day) for purpose, cap in tuning.caps.items()},
        **{f"prohibited.{entry}": entry for entry in tuning.prohibited},
    }
