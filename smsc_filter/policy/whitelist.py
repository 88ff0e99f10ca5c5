"""What granted appeals allow, as judge and stores pass it on.

``records.whitelist`` keeps the entries, a store may hand them on as JSON, and the check ``appeal`` asks them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from smsc_filter.policy.likeness import NO_SKETCH, PLACES

SCOPES: Final = ("sender", "sender-recipients", "owner", "cluster")
"""What an entry clears: a sender address; a sender address to named recipients; all that an owner sends; texts of an
owner, or of one sender address of it, that are the same in substance as the one that was refused."""


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
    """The sender's address; None with the scope "owner", and with "cluster" where it is for all of the owner's."""

    recipients: frozenset[str] = frozenset()
    """MSISDNs; empty except with the scope "sender-recipients"."""

    sketch: bytes = b""
    """What the text is like (``policy.likeness``); empty except with the scope "cluster"."""

    expires_at: float
    """Epoch seconds from which it clears nothing."""

    reason: str

    def __post_init__(self) -> None:
        if self.scope not in SCOPES:
            raise ValueError(f"scope is {self.scope!r}, one of {', '.join(SCOPES)} is expected")
        if not self.owner:
            raise ValueError("owner is empty; an entry clears what one owner sends")
        if self.scope != "cluster" and (self.scope == "owner") != (not self.sender):
            raise ValueError(f"scope {self.scope!r} with sender {self.sender!r}: every scope but owner names a sender")
        if (self.scope == "sender-recipients") != bool(self.recipients):
            raise ValueError(f"scope {self.scope!r} with {len(self.recipients)} recipients")
        if (self.scope == "cluster") != bool(self.sketch) or (self.sketch and len(self.sketch) != PLACES):
            raise ValueError(f"scope {self.scope!r} with a sketch of {len(self.sketch)} octets")
        if self.sketch == NO_SKETCH:
            raise ValueError("the text has no letters: nothing is like it, so no cluster forms around it")

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
            "sketch": self.sketch.hex(),
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
            sketch=bytes.fromhex(values.get("sketch", "")),  # one written before there were clusters has none
        )
