"""What a profile sets about people: senders that are somebody's phone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import ConfigDict, Field

from smsc_filter.policy.festivals import Feast

_STRICT = ConfigDict(extra="forbid")

Percent = Annotated[int, Field(ge=0, le=100)]


@dataclass(frozen=True, slots=True, kw_only=True)
class FestivalRules:
    """``[festivals]``: what a person may send while a feast is on, and when that is."""

    __pydantic_config__ = _STRICT

    hour: Annotated[int, Field(ge=1)]
    """Messages in any 3,600 s."""
    day: Annotated[int, Field(ge=1)]
    """Messages in any 86,400 s."""
    article: str
    seen: bool
    feasts: Annotated[tuple[Feast, ...], Field(min_length=1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class GreetingRules:
    """``[greetings]``: whose burst of wishes has the caps of the feast."""

    __pydantic_config__ = _STRICT

    contact_days: Annotated[int, Field(ge=1, le=365)]
    """Who wrote to a person within so many days is its contact."""
    contact_percent: Percent
    """Least share of contacts among those it writes to these two days."""
    reply_percent: Percent
    """Share of those it wrote to within ``contact_days`` that has to have written back before the recipients of the
    same feast a year ago count as contacts: a campaign that comes every year is answered by nobody."""
    tenure_days: Annotated[int, Field(ge=0, le=365)]
    """How long a person has to be known."""
    offer_percent: Percent
    """Score, in hundredths, from which a wish is read as an offer; consent is asked for from a higher one on."""
    article: str
    seen: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LockRules:
    """``[locks]``: what becomes of a person who is stopped."""

    __pydantic_config__ = _STRICT

    hours: Annotated[int, Field(ge=1)]
    """How long a lock lasts; then it lifts by itself."""
    per_hour: Annotated[int, Field(ge=1)]
    """Messages in any 3,600 s while it lasts."""
    article: str
    seen: bool
