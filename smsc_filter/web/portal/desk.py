"""What the portal works with besides the rest of the web."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from smsc_filter.records.portal import Limits
from smsc_filter.state.notices import Notice
from smsc_filter.web.settings import PortalSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class PortalDesk:
    """The portal's part of the world."""

    limits: Limits
    categories: tuple[str, ...]
    """What can be declined apart."""
    send: Callable[[Notice], Awaitable[None]] | None
    """Has a text sent to a subscriber; None: there is no bind for it, so nobody can sign in."""
    help: str
    """How else the operator is reached."""
    messages_ask_wishes: bool
    """Whether advertising by SMS heeds what is declined, or calls only."""


def limits_of(settings: PortalSettings) -> Limits:
    """The limits that ``[portal]`` sets."""
    return Limits(
        code_seconds=settings.code_minutes * 60,
        tries=settings.code_tries,
        pause_seconds=settings.pause_seconds,
        number_a_day=settings.codes_a_day,
        network_an_hour=settings.codes_an_hour,
        all_a_minute=settings.codes_a_minute,
        idle_seconds=settings.idle_minutes * 60,
        session_seconds=settings.session_minutes * 60,
    )
