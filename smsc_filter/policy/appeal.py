"""What a granted appeal allows. It refuses nothing: content, consent and quota ask whether it clears a message."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from smsc_filter.policy.facts import Facts
from smsc_filter.policy.likeness import agreeing_places
from smsc_filter.policy.rules import Rules
from smsc_filter.policy.verdict import PASS, Finding, remark
from smsc_filter.policy.whitelist import WhitelistEntry
from smsc_filter.sms.message import Message

CLEARED_PLACES: Final = 24
"""Places in which the sketch of a text has to agree with that of the one an appeal cleared. Twice as many as make one
similar after a refusal: there a text in another dress is to be found, here an advertisement behind a cleared greeting
is not to be let through. ``tests/policy/test_whitelist.py`` measures both."""


class Whitelist:
    """Entries granted on appeal, found by what they are about."""

    def __init__(self, entries: Iterable[WhitelistEntry] = ()) -> None:
        """Hold ``entries``; their expiry is looked at when they are asked."""
        self._by_sender: dict[tuple[str, str], list[WhitelistEntry]] = {}
        self._by_owner: dict[str, list[WhitelistEntry]] = {}
        self._clusters: dict[str, list[WhitelistEntry]] = {}
        for entry in entries:
            if entry.sketch:
                self._clusters.setdefault(entry.owner, []).append(entry)
            elif entry.sender is None:
                self._by_owner.setdefault(entry.owner, []).append(entry)
            else:
                self._by_sender.setdefault((entry.owner, entry.sender), []).append(entry)
        self.clustered = frozenset(self._clusters)
        """Owners some of whose texts are cleared by what they say."""
        self.empty = not (self._by_sender or self._by_owner)
        """Whether there is nothing that ``clearing`` could find."""

    def clearing(self, owner: str, sender: str, recipient: str, now: float) -> WhitelistEntry | None:
        """The entry that speaks for a message of ``sender`` to ``recipient`` at ``now``, if there is one."""
        candidates = self._by_sender.get((owner, sender), []) + self._by_owner.get(owner, [])
        for entry in candidates:
            if now < entry.expires_at and (not entry.recipients or recipient in entry.recipients):
                return entry
        return None

    def clearing_text(self, owner: str, sender: str, sketch: bytes, now: float) -> WhitelistEntry | None:
        """The entry that speaks for a text of ``sender`` at ``now`` by what it says, if there is one."""
        for entry in self._clusters.get(owner, ()):
            if (
                now < entry.expires_at
                and entry.sender in (None, sender)
                and agreeing_places(sketch, entry.sketch) >= CLEARED_PLACES
            ):
                return entry
        return None


def check_appeal(_message: Message, facts: Facts, rules: Rules, _now: float) -> Finding:
    """Say which appeal speaks for the message."""
    entry = facts.cleared
    if entry is None:
        return PASS
    return remark("appeal", f"cleared by appeal {entry.id}, scope {entry.scope}", rules.appeal.article)
