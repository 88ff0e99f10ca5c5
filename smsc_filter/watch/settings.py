"""What an operator sets of the early warning."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from pydantic import ConfigDict, Field


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchSettings:
    """``[watch]``: what is watched for, and who is told."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    quiet_seconds: Annotated[float, Field(gt=0)] = 3600.0
    """An alarm that is raised again within so long is counted and not told again."""

    campaign_messages: Annotated[int, Field(ge=2)] = 100
    """Messages of one new text, in whatever words, from which it is told as a campaign."""

    honeypots: tuple[str, ...] = ()
    """Numbers nobody was ever given: who writes to one is told at the first message."""

    claims_a_day: Annotated[int, Field(ge=1)] = 20
    """Consents that an owner claims within 24 hours of people who had refused, from which it is told."""

    file: str = "alarms.jsonl"
    """Alarms as JSON, one a line; relative to ``data_dir``. Empty: none."""

    webhook_url: Annotated[str, Field(pattern=r"^(https?://\S+)?$")] = ""
    """Where alarms are posted as JSON; empty: nowhere."""

    webhook_secret: str = field(default="", repr=False)
    """Signs what is posted (HMAC-SHA256); needed with ``webhook_url``."""

    webhook_timeout: Annotated[float, Field(gt=0, le=60)] = 5.0
    """Seconds one try may take."""

    webhook_tries: Annotated[int, Field(ge=1)] = 12
    """Tries before an alarm is given up; the pauses between grow from 1 s to 5 min."""

    def __post_init__(self) -> None:
        if self.webhook_url and not self.webhook_secret:
            raise ValueError("webhook_secret is empty; the receiver needs it to tell our alarms from anybody's")
