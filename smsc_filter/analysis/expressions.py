"""The questions, written once as Ibis expressions: DuckDB answers them here, Spark where one machine is not enough.

``decisions`` is the table of ``analysis.export``. Every chance is an upper bound that SQL can say, Chernoff's: of n
independent trials with probability p, a share of at least (or at most) q has the probability exp(-n KL(q, p)) at
most. It is multiplied by the number of those it is asked of, so that a finding below ``ALPHA`` is one false alarm in
ten thousand nights, whatever the number of senders.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import ibis
from ibis.expr.types import FloatingColumn, IntegerColumn, Table

from smsc_filter.policy.gaming.drip import BOND
from smsc_filter.policy.gaming.hugging import bands_of
from smsc_filter.watch.watcher import COMMERCIAL

ALPHA: Final = 1e-4

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 86_400_000

BAND: Final = 1
"""Which of the bands under a cap is asked about: the middle one, 195 to 200 under a cap of 200. Of the hours that say
anything, half in it are too many after two weeks of two a day."""

SLOW_DAYS: Final = 5
"""Days from which a campaign counts as a slow one."""

MOST_ROWS: Final = 100
"""Rows of each answer that a report keeps."""


def sender_ranking(decisions: Table) -> Table:
    """Senders, those with the most refused and commercial messages first."""
    senders = decisions.group_by("owner", "source", "purpose").agg(
        messages=decisions.count(),
        days=(decisions.at_ms // DAY_MS).nunique(),
        recipients=decisions.recipient.nunique(),
        refused=(decisions.cause != "").ifelse(1, 0).sum(),
        commercial=(decisions.score >= COMMERCIAL).ifelse(1, 0).sum(),
        campaigns=decisions.campaign.nunique(),
    )
    weight = senders.refused + senders.commercial
    return senders.mutate(weight=weight).order_by(ibis.desc("weight"), "owner", "source").limit(MOST_ROWS)


def campaign_ranking(decisions: Table) -> Table:
    """Campaigns, the largest first."""
    named = decisions.filter(decisions.campaign != "")
    campaigns = named.group_by("campaign").agg(
        messages=named.count(),
        owners=named.owner.nunique(),
        senders=named.source.nunique(),
        recipients=named.recipient.nunique(),
        days=(named.at_ms // DAY_MS).nunique(),
        refused=(named.cause != "").ifelse(1, 0).sum(),
        commercial=(named.score >= COMMERCIAL).ifelse(1, 0).sum(),
        first_ms=named.at_ms.min(),
        last_ms=named.at_ms.max(),
    )
    return campaigns.order_by(ibis.desc("messages"), "campaign").limit(MOST_ROWS)


def cross_owner_campaigns(decisions: Table) -> Table:
    """Advertisements that several owners send in common, the most widely shared first.

    Each owner may stay small and look unrelated to the others; together they are one campaign.
    """
    campaigns = _advertising(decisions)
    found = campaigns.filter(campaigns.owners >= 3)
    return found.order_by(ibis.desc("owners"), ibis.desc("messages"), "campaign").limit(MOST_ROWS)


def slow_campaigns(decisions: Table, live_messages: int) -> Table:
    """Advertisements that on no day were as many as the early warning tells, and in all days are.

    Args:
        decisions: what was exported.
        live_messages: how many of one campaign the early warning tells (``watch.campaign_messages``).
    """
    named = decisions.filter(decisions.campaign != "")
    by_day = named.group_by("campaign", day=named.at_ms // DAY_MS).agg(messages=named.count())
    most = by_day.group_by("campaign").agg(most_a_day=by_day.messages.max())
    campaigns = _advertising(decisions).join(most, "campaign")
    found = campaigns.filter(
        campaigns.days >= SLOW_DAYS, campaigns.most_a_day < live_messages, campaigns.messages >= live_messages
    )
    return found.order_by(ibis.desc("messages"), "campaign").limit(MOST_ROWS)


def slow_drip(decisions: Table) -> Table:
    """People who write to strangers, none of whom answers or hears from them again; see ``policy.gaming.drip``."""
    admitted = decisions.filter(decisions.cause == "")
    pairs = admitted.group_by("owner", "source", "purpose", "recipient").agg(
        days=(admitted.at_ms // DAY_MS).nunique()
    )  # fmt: skip
    answers = pairs.select(source=pairs.recipient, recipient=pairs.source).distinct().mutate(answered=1)
    pairs = pairs.filter(pairs.purpose == "person")
    known = pairs.left_join(answers, ["source", "recipient"])
    back = (known.days > 1) | known.answered.notnull()
    senders = known.group_by("owner", "source").agg(
        contacts=known.count(), came_back=back.ifelse(1, 0).sum()
    )  # fmt: skip
    share = senders.came_back / senders.contacts
    chance = _chernoff(senders.contacts, share, BOND)
    senders = senders.mutate(chance=(share < BOND).ifelse(chance * _asked(senders), 1.0))
    return _found(senders)


def hugging(decisions: Table, window_ms: int, caps: Mapping[int, int]) -> Table:
    """Senders whose windows end just under their cap too often, with rests and misses between.

    Args:
        decisions: what was exported.
        window_ms: ``HOUR_MS`` or ``DAY_MS``.
        caps: the caps there are, to the lowest number of the band under each (``bands_under``).
    """
    cap_column = "hour_cap" if window_ms == HOUR_MS else "day_cap"
    asked = decisions.filter(decisions[cap_column] > 0, decisions.cause.isin(("", "quota-spent")))
    windows = asked.group_by("owner", "source", window=asked.at_ms // window_ms).agg(
        asked=asked.count(), cap=asked[cap_column].max()
    )  # fmt: skip
    windows = windows.filter(2 * windows.asked >= windows.cap)
    low = ibis.cases(*((windows.cap == cap, low) for cap, low in sorted(caps.items())), else_=windows.cap + 1)
    near = (windows.asked >= low) & (windows.asked <= windows.cap)
    senders = windows.group_by("owner", "source", "cap").agg(
        windows=windows.count(), near=near.ifelse(1, 0).sum()
    )  # fmt: skip
    # Of all bands of one kind the narrow caps have the greatest chance; one bound for all is on the safe side.
    greatest = max((bands_of(cap)[BAND][1] for cap in caps), default=1.0)
    share = senders.near / senders.windows
    chance = _chernoff(senders.windows, share, greatest)
    senders = senders.mutate(chance=(share > greatest).ifelse(chance * _asked(senders), 1.0))
    return _found(senders)


def shared_handles(decisions: Table) -> Table:
    """Links and call-back numbers that several owners advertise."""
    led = decisions.select("owner", "source", "handles").mutate(handle=decisions.handles.unnest())
    handles = led.group_by("handle").agg(
        owners=led.owner.nunique(), senders=led.source.nunique(), messages=led.count()
    )  # fmt: skip
    found = handles.filter(handles.owners >= 3)
    return found.order_by(ibis.desc("owners"), ibis.desc("messages"), "handle").limit(MOST_ROWS)


def caps_in(decisions: Table, window_ms: int) -> Table:
    """The caps that senders have under one window."""
    column = decisions["hour_cap" if window_ms == HOUR_MS else "day_cap"]
    return decisions.select(cap=column).filter(ibis._.cap > 0).distinct().order_by("cap")


def bands_under(caps: list[int]) -> dict[int, int]:
    """The lowest number of the band under each cap."""
    return {cap: bands_of(cap)[BAND][0] for cap in caps}


def _advertising(decisions: Table) -> Table:
    named = decisions.filter(decisions.campaign != "")
    campaigns = named.group_by("campaign").agg(
        messages=named.count(),
        owners=named.owner.nunique(),
        senders=named.source.nunique(),
        recipients=named.recipient.nunique(),
        days=(named.at_ms // DAY_MS).nunique(),
        commercial=(named.score >= COMMERCIAL).ifelse(1, 0).sum(),
    )
    return campaigns.filter(2 * campaigns.commercial >= campaigns.messages)


def _chernoff(trials: IntegerColumn, share: FloatingColumn, chance: float) -> FloatingColumn:
    """exp(-n KL(share, chance)); a share of 0 or 1 has no term of its own."""
    up = (share > 0).ifelse(share * (share.clip(1e-12, 1.0) / chance).ln(), 0.0)
    rest = 1.0 - share
    down = (rest > 0).ifelse(rest * (rest.clip(1e-12, 1.0) / (1.0 - chance)).ln(), 0.0)
    return (-(trials * (up + down))).exp()


def _asked(table: Table) -> IntegerColumn:
    return table.count().over(ibis.window())


def _found(senders: Table) -> Table:
    found = senders.filter(senders.chance < ALPHA)
    return found.order_by("chance", "owner", "source").limit(MOST_ROWS)
