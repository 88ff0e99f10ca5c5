"""What the configuration says, as far as pages show it; ``service.build`` fills it in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from smsc_filter.policy.facts import Sender
from smsc_filter.policy.rules import Profile
from smsc_filter.policy.tuning import Tuning
from smsc_filter.records.signature import SigningKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """One installation."""

    mode: str
    profile: Profile
    thresholds: Callable[[], Mapping[str, float]]
    """Purpose -> score from which a text is commercial, before anything was tuned."""
    prohibited: Sequence[str]
    """The configured list."""
    accounts: Mapping[str, str]
    """system_id -> owner."""
    owners: Sequence[str]
    senders: Callable[[Tuning], Sequence[Sender]]
    """As they are registered, ranges with a star, with the caps that hold under a tuning."""
    model_folder: Path
    cases_folder: Path
    """Of the texts that every model must get right."""
    shadow_folder: Path | None
    """Of the model that is compared; None: none is."""
    signing_key: Callable[[], SigningKey]
