"""How much may be sent: exact sliding windows, per sender, account, owner, recipient and campaign.

What a message is charged to, and what a refusal of the store means, is said here. The counting is the store's,
atomically over all workers: a message fits every window of every gauge it is charged to, or spends nothing.

The public caps are never scaled by any score. A cap in thousands is exact to the message; a larger one is counted in
``SLOTS`` slots of time, see ``EXACT_CAP``.

Two things are held tighter for texts that look suspicious: a campaign, texts that say the same in whatever words, has a
cap over all senders of an owner and over all there are; and a sender has soft caps below its public ones, each at a
place of its own, so that no edge can be learned.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import inf
from typing import Final, NamedTuple

from smsc_filter.policy.facts import Facts, Sender, Window
from smsc_filter.policy.rules import CampaignCaps, Rules, SoftCaps
from smsc_filter.policy.verdict import PASS, Cause, Finding, refuse, remark
from smsc_filter.sms.message import Message

SECONDS: Final = (60, 3600, 86_400, 604_800)
"""The windows there are, shortest first: minute, hour, day, 7 days."""

EXACT_CAP: Final = 4096
"""Largest cap that is counted by a log of times, six octets a message, and is exact to the millisecond. A larger one is
counted in ``SLOTS`` slots: never more than the cap is admitted in any window, and what is refused would not have
fitted a window that is longer by ``1 / SLOTS`` of it."""

SLOTS: Final = 240

MOST_REMEMBERED: Final = 65_536
"""Senders and owners whose gauges are remembered by a worker."""

_SENTENCES: Final[Mapping[str, tuple[Cause, str]]] = {
    "sender": (Cause.QUOTA_SPENT, "{name} has sent {cap} within {seconds} s, which is its cap"),
    "account": (Cause.QUOTA_SPENT, "account {name} has sent {cap} within {seconds} s, which is its cap"),
    "owner": (Cause.QUOTA_SPENT, "the senders of {name} have sent {cap} within {seconds} s, which is the cap of all"),
    "recipient": (
        Cause.RECIPIENT_QUOTA_SPENT,
        "the recipient was sent {cap} by {name} within {seconds} s, which is the cap",
    ),
    "campaign": (
        Cause.CAMPAIGN_QUOTA_SPENT,
        "suspicious texts like this one were sent {cap} times by {name} within {seconds} s, which is the cap",
    ),
}
"""Kind of a gauge -> why a message is refused by it, and the sentence that says so."""

OWN_NAME: Final = frozenset({"sender", "account", "owner"})
"""Kinds of gauges that count under no name but their own. However many there are, they differ in nothing else."""


class Gauge:
    """Windows, and whose they are; the store counts each name under it for itself."""

    __slots__ = ("kind", "name", "per_message", "prefix", "windows")

    def __init__(
        self, kind: str, prefix: str, name: str, windows: tuple[Window, ...], *, per_message: bool = False
    ) -> None:
        self.kind = kind
        """One of the kinds findings are worded for."""
        self.prefix = prefix
        """What keys of it begin with: no two gauges whose names could meet share one."""
        self.name = name
        """Whose it is, as findings say it."""
        self.windows = windows
        self.per_message = per_message
        """Whether a long message counts once; else each of its parts does."""


def spent(kind: str, name: str, window: Window, *, soft: bool = False) -> Finding:
    """What it means that a gauge has nothing left in a window, or nothing below its soft cap.

    Args:
        kind: of the gauge.
        name: whose it is, as findings say it.
        window: the one that is spent.
        soft: whether only its soft cap is.
    """
    cause, sentence = _SENTENCES[kind]
    said = sentence.format(name=name, cap=window.soft if soft else window.cap, seconds=window.seconds)
    if soft:
        said += f" for suspicious texts, below the {window.cap} of all"
    return refuse("quota", cause, said, window.article)


class Use(NamedTuple):
    """One thing a message is charged to."""

    gauge: Gauge
    name: str
    """What the gauge counts it under; the partition of this name keeps the count."""


class Charge(NamedTuple):
    """Everything one message is charged to."""

    shared: tuple[Use, ...]
    """One object for all messages of a sender over an account, so that a batch is grouped by it."""
    own: tuple[Use, ...] = ()
    """What only this message is charged to."""

    @property
    def counts_messages(self) -> bool:
        """Whether any of it counts a long message once."""
        return any(use.gauge.per_message for use in (*self.shared, *self.own))


class Quotas:
    """What each message is charged to."""

    def __init__(
        self,
        recipients: Mapping[str, tuple[tuple[Window, ...], bool, bool]] | None = None,
        accounts: Mapping[str, tuple[Window, ...]] | None = None,
        owners: Mapping[str, tuple[Window, ...]] | None = None,
        campaigns: Mapping[str, CampaignCaps] | None = None,
        soft: Mapping[str, SoftCaps] | None = None,
        jitter_key: bytes = b"",
    ) -> None:
        """Charge by the windows of senders, and of what is given besides.

        Args:
            recipients: by purpose of the sender: windows, whether every owner is counted for itself, whether a long
                message counts once.
            accounts: by system_id.
            owners: by owner.
            campaigns: by purpose of the sender.
            soft: by purpose of the sender, soft caps of windows of senders.
            jitter_key: decides where between its bounds a soft cap is.
        """
        self._campaigns = campaigns or {}
        self._soft = soft or {}
        self._jitter_key = jitter_key
        self._suspicion = {purpose: caps.suspicion_percent / 100 for purpose, caps in self._campaigns.items()}
        self._recipients = recipients or {}
        self._accounts = {
            name: Use(Gauge("account", "a", name, windows), name)
            for name, windows in (accounts or {}).items()
            if windows
        }
        self._owners = {
            name: Use(Gauge("owner", "o", name, windows), name) for name, windows in (owners or {}).items() if windows
        }
        self.suspects = bool(self._campaigns)
        """Whether any text can be suspicious."""
        self.campaign_seconds = max((caps.hours for caps in self._campaigns.values()), default=0) * 3600
        """The longest window of a campaign."""
        self._gauges: dict[str, Gauge] = {}
        self._known: dict[tuple[int, str], tuple[Sender, Charge | None, Gauge | None]] = {}

    def charge(self, facts: Facts, system_id: str, recipient: str) -> Charge | None:
        """What a message is charged to; None where there is nothing to charge."""
        sender = facts.sender
        if sender is None or facts.cleared is not None:
            return None
        # By identity, which is kept from being used again by the reference; to hash a sender costs more than the rest.
        known = self._known.get((id(sender), system_id)) or self._learn(sender, system_id)
        gauge = known[2]
        if gauge is None or not recipient:
            return known[1]
        return Charge(known[1].shared if known[1] is not None else (), (Use(gauge, recipient),))

    def _learn(self, sender: Sender, system_id: str) -> tuple[Sender, Charge | None, Gauge | None]:
        # As many addresses as a range has must not grow this without bound.
        if len(self._known) >= MOST_REMEMBERED:
            self._known.clear()
        account, owner = self._accounts.get(system_id), self._owners.get(sender.owner)
        its = sender_use(replace(sender, windows=self.windows_of(sender))) if sender.windows else None
        uses = tuple(use for use in (its, account, owner) if use is not None)
        learnt = sender, Charge(uses) if uses else None, self._recipient_gauge(sender)
        self._known[id(sender), system_id] = learnt
        return learnt

    def windows_of(self, sender: Sender) -> tuple[Window, ...]:
        """The windows of a sender, with the soft caps of that address."""
        soft = self._soft.get(sender.purpose)
        if soft is None:
            return sender.windows
        return tuple(
            # During a feast the ordinary cap is the soft one already, and nobody has less than on other days.
            window if window.soft else replace(window, soft=soft_cap(window, sender.address, soft, self._jitter_key))
            for window in sender.windows
        )

    def suspicious(self, facts: Facts) -> bool:
        """Whether a text is counted with those like it, and held to soft caps."""
        sender = facts.sender
        return sender is not None and facts.score >= self._suspicion.get(sender.purpose, inf)

    def with_campaign(self, charge: Charge, sender: Sender, campaign: str) -> Charge:
        """``charge`` and what a text of a campaign is charged to besides."""
        caps = self._campaigns[sender.purpose]
        own = charge.own
        for cap, prefix, whose in (
            (caps.owner, f"c{sender.purpose}/{sender.owner}/", f"senders of {sender.owner}"),
            (caps.all, f"c{sender.purpose}/", "all senders"),
        ):
            if cap:
                gauge = self._gauges.get(prefix)
                if gauge is None:
                    window = Window(caps.hours * 3600, cap, caps.article)
                    gauge = self._gauges[prefix] = Gauge("campaign", prefix, whose, (window,), per_message=True)
                own += (Use(gauge, campaign),)
        return Charge(charge.shared, own)

    def _recipient_gauge(self, sender: Sender) -> Gauge | None:
        found = self._recipients.get(sender.purpose)
        if found is None:
            return None
        windows, by_owner, per_message = found
        prefix = f"r{sender.purpose}/{sender.owner}/" if by_owner else f"r{sender.purpose}/"
        gauge = self._gauges.get(prefix)
        if gauge is None:
            whose = f"{sender.purpose} senders" + (f" of {sender.owner}" if by_owner else "")
            gauge = self._gauges[prefix] = Gauge("recipient", prefix, whose, windows, per_message=per_message)
        return gauge


def sender_use(sender: Sender) -> Use:
    """What the messages of a sender are charged to for its own caps."""
    return Use(Gauge("sender", "s", sender.address, sender.windows, per_message=sender.per_message), sender.address)


def soft_cap(window: Window, address: str, soft: SoftCaps, key: bytes) -> int:
    """Where suspicious texts of one address end within a window: the same every time, spread evenly between the bounds.

    At least 1, at most the public cap.
    """
    told = hmac.digest(key, f"{address}/{window.seconds}".encode("utf-8", "surrogatepass"), "sha256")
    share = int.from_bytes(told[:8], "big") / 2**64
    least, most = window.cap * soft.least_percent / 100, window.cap * soft.most_percent / 100
    return max(1, round(least + (most - least) * share))


def as_part(charge: Charge) -> Charge | None:
    """What is left of a charge for a part whose message is counted already; None for nothing."""
    shared = tuple(use for use in charge.shared if not use.gauge.per_message)
    own = tuple(use for use in charge.own if not use.gauge.per_message)
    return Charge(shared, own) if shared or own else None


def windows_for(caps: Sequence[int], article: str) -> tuple[Window, ...]:
    """The windows of caps in the order of ``SECONDS``; a cap of 0 is none."""
    return tuple(Window(seconds, cap, article) for seconds, cap in zip(SECONDS, caps, strict=True) if cap)


def check_quota(_message: Message, facts: Facts, _rules: Rules, _now: float) -> Finding:
    """Say when an appeal lifts the quota; what is charged is settled when it is spent."""
    if facts.cleared is None or facts.sender is None or not facts.sender.windows:
        return PASS
    return remark("quota", f"not counted, by appeal {facts.cleared.id}")
