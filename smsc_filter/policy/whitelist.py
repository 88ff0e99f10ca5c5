"""What granted appeals allow, as judge and stores pass it on.

``records.whitelist`` keeps the entries, a store may hand them on as JSON, and the check ``appeal`` asks them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

SCOPES: Final = ("sender", "sender-recipients", "owner")
"""What an entry clears: a sender address; a sender address to named recipients; all that an owner sends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WhitelistEntry:
    """One granted appeal.

    Raises:
        ValueError: the scope is unknown, or the fields do not fit it.
    """

    id: int
    scope: str
    """One of ``SCOPES``."""

    owner: str
    sender: str | None = None
    """The sender's address; None with the scope "owner" alone."""

    recipients: frozenset[str] = frozenset()
    """MSISDNs; empty except with the scope "sender-recipients"."""

    expires_at: float
    """Epoch seconds from which it clears nothing."""

    reason: str

    def __post_init__(self) -> None:
        if self.scope not in SCOPES:
            raise ValueError(f"scope is {self.scope!r}, one of {', '.join(SCOPES)} is expected")
        if not self.owner:
            raise ValueError("owner is empty; an entry clears what one owner sends")
        if (self.scope == "owner") != (not self.sender):
            raise ValueError(f"scope {self.scope!r} with sender {self.sender!r}: every scope but owner names a sender")
        if (self.scope == "sender-recipients") != bool(self.recipients):
            raise ValueError(f"scope {self.scope!r} with {len(self.recipients)} recipients")

    def to_dict(self) -> dict[str, object]:
        """Plain values that any JSON writer takes; recipients sorted, so that equal entries look equal."""
        return {
            "id": self.id,
            "scope": self.scope,
            "owner": self.owner,
            "sender": self.sender,
            "recipients": sorted(self.recipients),
            "expires_at": self.expires_at,
            "reason": self.reason,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "WhitelistEntry":
        """What ``to_dict`` gave.

        Raises:
            KeyError: a value is missing.
            ValueError: the values fit no scope.
        """
        return cls(
            id=int(values["id"]),
            scope=values["scope"],
            owner=values["owner"],
            sender=values["sender"],
            recipients=frozenset(values["recipients"]),
            expires_at=float(values["expires_at"]),
            reason=values["reason"],
        )
