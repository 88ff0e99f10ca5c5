"""Watches decisions as they are moved into the records, and says what somebody should look at.

``observe`` gets the very rows the mover has committed and only counts, by the batch; ``look`` is called every second,
asks the statistics of ``policy.gaming`` and returns the alarms. Time is that of the decisions; ``look`` is told the
time only to close the windows of those who have fallen silent.

Several recorders, on different machines, each watch what they move. The nightly pass sees everything.
"""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from threading import Lock
from typing import Any, Final

import numpy as np
import orjson

from smsc_filter.policy.gaming import edges, laundering, numbering, rates, spread, variation
from smsc_filter.policy.gaming.evidence import FLAG_AT
from smsc_filter.policy.gaming.hugging import Hugging
from smsc_filter.policy.handles import handles_of
from smsc_filter.policy.likeness import PLACES
from smsc_filter.policy.record import DecisionRow, OutcomeRow, id_to_text
from smsc_filter.policy.verdict import Cause
from smsc_filter.watch.alarm import Alarm, Kind
from smsc_filter.watch.clusters import MOST_SENDERS as MOST_SENDERS_TOGETHER
from smsc_filter.watch.clusters import Cluster, Clusters, SenderKey
from smsc_filter.watch.locks import Offence, Offender
from smsc_filter.watch.settings import WatchSettings

VERSION: Final = 1
"""Of what ``to_bytes`` gives; a checkpoint of another version is not taken over."""

SLOT_MS: Final = edges.SLOT_SECONDS * 1000
SLOTS_AN_HOUR: Final = edges.SLOTS_AN_HOUR
SLOTS_A_DAY: Final = 24 * SLOTS_AN_HOUR
HOUR, DAY = 3600, 86_400

LATE_SECONDS: Final = 30.0
"""How late decisions may come before a window is closed without them."""

REMEMBER_SECONDS: Final = 72 * 3600
"""How long a silent sender, a campaign or a link is remembered."""

GROWN: Final = 10
"""A campaign is told again when it is so many times as large, and a text that does not advertise is told so
much later."""

TIDY_SECONDS: Final = 60.0
MOST_SENDERS: Final = 200_000
MOST_RECIPIENTS: Final = 4_096
"""Recipients of one sender and hour that are looked at for runs."""

FIRST_RUN_LOOK: Final = 8
COMMERCIAL: Final = 5_000
"""Score, in ten-thousandths, from which a text looks commercial here, whoever sends it."""

WORTH_A_HANDLE: Final = 3_000
"""Score from which links and numbers of a text are noted."""

MOST_HANDLES: Final = 50_000
EVIDENCE: Final = 5
"""Decisions an alarm names."""

SLOW_CHANGE: Final = 0.98
"""What is left of an owner's past after five minutes: half of it after three hours."""

TROUBLE_SHARE: Final = 0.5
TROUBLE_LEAST: Final = 20
"""Messages the SMSC did not take, between two looks, from which that is told."""

# Positions in a decision row, see ``policy.record.COLUMNS``.
ID: Final = 0
AT_MS: Final = 1
OWNER: Final = 3
SOURCE: Final = 4
RECIPIENT: Final = 5
PURPOSE: Final = 6
CAUSE: Final = 7
ENFORCED: Final = 9
SCORE: Final = 10
PART: Final = 12
TEXT: Final = 14

_QUOTA: Final = Cause.QUOTA_SPENT.value
_STORE: Final = Cause.STORE_UNAVAILABLE.value
_UPSTREAM: Final = Cause.UPSTREAM_UNAVAILABLE.value
_TROUBLE: Final = (_STORE, _UPSTREAM)
_COUNTED: Final = ("", _QUOTA)

WindowsOf = Callable[[str, str], Sequence[tuple[int, int]]]
"""(owner, source address) -> its windows as (seconds, cap)."""


class _Sender:
    """What is counted of one sender."""

    __slots__ = (
        "asked", "before", "burst_slot", "capped", "caps", "day", "edge", "hour", "hug_day", "hug_hour", "key",
        "next_run_look", "purpose", "recipients", "run_told", "slot", "templates",
    )  # fmt: skip

    def __init__(self, key: SenderKey, purpose: str, slot: int, caps: Sequence[tuple[int, int]]) -> None:
        self.key = key
        self.purpose = purpose
        self.slot = slot
        """The five minutes it wrote in last."""
        self.asked = 0
        """Messages asked for in them, and so in ``before``, the five minutes before."""
        self.before = 0
        self.hour = 0
        """Messages asked for in this hour up to ``slot``, and in this day."""
        self.day = 0
        self.caps = dict(caps)
        self.capped = bool(self.caps)
        self.hug_hour = self.hug_day = Hugging()
        self.edge = 0.0
        self.burst_slot = 0
        self.recipients: set[str] = set()
        self.next_run_look = FIRST_RUN_LOOK
        self.run_told = 0
        self.templates: dict[str, bool] = {}
        """Cluster -> whether it looks commercial, for service senders."""

    def move_to(self, slot: int) -> None:
        """Close the windows that end before ``slot`` begins."""
        if slot <= self.slot:
            return  # late: counted where it came
        hour_cap = self.caps.get(HOUR, 0)
        if hour_cap:
            self._look_at_border(hour_cap)
        if slot // SLOTS_AN_HOUR != self.slot // SLOTS_AN_HOUR:
            if hour_cap:
                self.hug_hour = self.hug_hour.after(self.hour, hour_cap)
            self.hour = 0
            self.recipients.clear()
            self.next_run_look = FIRST_RUN_LOOK
            self.run_told = 0
        if slot // SLOTS_A_DAY != self.slot // SLOTS_A_DAY:
            day_cap = self.caps.get(DAY, 0)
            if day_cap:
                self.hug_day = self.hug_day.after(self.day, day_cap)
            self.day = 0
            self.templates.clear()
        self.before = self.asked if slot == self.slot + 1 else 0
        self.asked = 0
        self.slot = slot

    def _look_at_border(self, cap: int) -> None:
        # One border an hour: those of one long burst do not know of the clock each for itself.
        if self.slot - self.burst_slot >= SLOTS_AN_HOUR and edges.bursts_at(self.before, self.asked, cap):
            self.edge = edges.after_burst(self.edge, self.slot)
            self.burst_slot = self.slot

    def to_state(self) -> list[Any]:
        """Plain values; recipients are not worth their space."""
        hugs = [[*each.evidence, each.windows, each.near] for each in (self.hug_hour, self.hug_day)]
        return [
            *self.key, self.purpose, self.slot, self.asked, self.before, self.hour, self.day, hugs, self.edge,
            self.burst_slot, self.templates,
        ]  # fmt: skip

    def restore(self, state: Sequence[Any]) -> None:
        """Take over what ``to_state`` gave behind key, purpose and slot."""
        self.asked, self.before, self.hour, self.day, hugs, self.edge, self.burst_slot, self.templates = state
        self.hug_hour, self.hug_day = (Hugging(tuple(hug[:-2]), hug[-2], hug[-1]) for hug in hugs)


class _Owner:
    """How much of an owner's messages is refused, lately and before."""

    __slots__ = ("complaints", "messages", "past_complaints", "past_messages", "past_refused", "refused", "slot")

    def __init__(self, slot: int) -> None:
        self.slot = slot
        self.messages = self.refused = self.complaints = 0
        self.past_messages = self.past_refused = self.past_complaints = 0.0

    def move_to(self, slot: int) -> None:
        """Let the slots up to ``slot`` become the past."""
        if slot <= self.slot:
            return
        for _ in range(min(slot - self.slot, 2 * SLOTS_A_DAY)):
            self.past_messages = SLOW_CHANGE * self.past_messages + self.messages
            self.past_refused = SLOW_CHANGE * self.past_refused + self.refused
            self.past_complaints = SLOW_CHANGE * self.past_complaints + self.complaints
            self.messages = self.refused = self.complaints = 0
        self.slot = slot

    @property
    def usual_complaints(self) -> float:
        """Expected in one slot."""
        return (1 - SLOW_CHANGE) * self.past_complaints


class _Handle:
    """Who advertises one link or number."""

    __slots__ = ("last_ms", "owners", "senders")

    def __init__(self) -> None:
        self.last_ms = 0
        self.owners: set[str] = set()
        self.senders: set[SenderKey] = set()


class Watcher:
    """Counts what passes and raises alarms."""

    def __init__(self, settings: WatchSettings, windows_of: WindowsOf) -> None:
        """Watch by ``settings``; ``windows_of`` tells the caps a sender may know."""
        self._windows_of = windows_of
        self._campaign = settings.campaign_messages
        self._honeypots = frozenset(settings.honeypots)
        self._lock = Lock()
        self._senders: dict[SenderKey, _Sender] = {}
        self._owners: dict[str, _Owner] = {}
        self._clusters = Clusters()
        self._handles: dict[str, _Handle] = {}
        self._touched: dict[str, Cluster] = {}
        self._touched_senders: dict[SenderKey, _Sender] = {}
        self._touched_handles: set[str] = set()
        self._raised: list[Alarm] = []
        self._offenders: dict[tuple[Offence, str], Offender] = {}
        self._troubles: dict[str, int] = {}
        self._trouble_ids: dict[str, list[int]] = {}
        self._answers = self._failures = 0
        self._tidy_at = 0.0
        self.last_decision_id = 0
        self.observed = 0

    # What passes.

    def observe(self, rows: Sequence[DecisionRow]) -> None:
        """Count decisions, in any order; may be called from several threads."""
        if rows:
            with self._lock:
                self._observe(rows)

    def _observe(self, rows: Sequence[DecisionRow]) -> None:
        self.observed += len(rows)
        self.last_decision_id = max(self.last_decision_id, rows[-1][ID])
        groups: dict[tuple[str, str, int], list[DecisionRow]] = defaultdict(list)
        for row in rows:
            if row[CAUSE] not in _TROUBLE:
                groups[row[OWNER], row[SOURCE], row[AT_MS] // SLOT_MS].append(row)
            else:
                self._troubles[row[CAUSE]] = self._troubles.get(row[CAUSE], 0) + 1
                _keep(self._trouble_ids.setdefault(row[CAUSE], []), row[ID])
        for (owner, source, slot), its in groups.items():
            self._observe_sender((owner, source), slot, its)
        # A long message is known by its first part: the others begin in the middle of a sentence.
        whole = [row for row in rows if not row[PART] or ":1/" in row[PART]]
        self._observe_texts(whole)

    def _observe_sender(self, key: SenderKey, slot: int, rows: Sequence[DecisionRow]) -> None:
        sender = self._senders.get(key)
        if sender is None:
            if len(self._senders) >= MOST_SENDERS:
                del self._senders[next(iter(self._senders))]
            sender = self._senders[key] = _Sender(key, rows[0][PURPOSE], slot, self._windows_of(*key))
        elif slot != sender.slot:
            sender.move_to(slot)
        self._touched_senders[key] = sender
        if sender.capped:
            asked = sum(row[CAUSE] in _COUNTED for row in rows)
            sender.asked += asked
            sender.hour += asked
            sender.day += asked
            if sender.purpose == "person":
                stopped = [row[AT_MS] for row in rows if row[CAUSE] == _QUOTA and row[ENFORCED]]
                if stopped:
                    self._note_offence(Offence.STOPPED, key, max(stopped))
        owner = self._owners.get(key[0])
        if owner is None:
            owner = self._owners[key[0]] = _Owner(slot)
        elif slot != owner.slot:
            owner.move_to(slot)
        owner.messages += len(rows)
        owner.refused += sum(row[CAUSE] != "" for row in rows)
        recipients = {row[RECIPIENT] for row in rows}
        if len(sender.recipients) < MOST_RECIPIENTS:
            sender.recipients |= recipients
        if not self._honeypots.isdisjoint(recipients):
            self._raise_honeypot(key, rows)

    def _observe_texts(self, rows: Sequence[DecisionRow]) -> None:
        if not rows:
            return
        clusters = self._clusters.find([row[TEXT] for row in rows], rows[0][AT_MS])
        groups: dict[tuple[Cluster, str, str], list[DecisionRow]] = defaultdict(list)
        for row, cluster in zip(rows, clusters, strict=True):
            if cluster is not None:
                groups[cluster, row[OWNER], row[SOURCE]].append(row)
        for (cluster, owner, source), its in groups.items():
            self._observe_cluster(cluster, (owner, source), its)

    def _observe_cluster(self, cluster: Cluster, key: SenderKey, rows: Sequence[DecisionRow]) -> None:
        commercial = sum(row[SCORE] >= COMMERCIAL for row in rows)
        first = rows[0]
        cluster.messages += len(rows)
        cluster.commercial += commercial
        cluster.last_ms = max(cluster.last_ms, rows[-1][AT_MS])
        senders = cluster.senders
        if key in senders:
            senders[key] += len(rows)
        elif len(senders) < MOST_SENDERS_TOGETHER:
            senders[key] = len(rows)
            # A sender's later messages of the same campaign lead to the same place.
            if first[SCORE] >= WORTH_A_HANDLE:
                self._observe_handles(first[TEXT], key, first[AT_MS])
        if len(cluster.decisions) < EVIDENCE:
            cluster.decisions += [row[ID] for row in rows[: EVIDENCE - len(cluster.decisions)]]
        self._touched[cluster.name] = cluster
        if first[PURPOSE] == "service":
            templates = self._senders[key].templates if key in self._senders else {}
            templates[cluster.name] = commercial > 0 or templates.get(cluster.name, False)

    def _observe_handles(self, text: str, key: SenderKey, at_ms: int) -> None:
        for name in handles_of(text):
            handle = self._handles.get(name)
            if handle is None:
                if len(self._handles) >= MOST_HANDLES:
                    del self._handles[next(iter(self._handles))]
                handle = self._handles[name] = _Handle()
            handle.last_ms = at_ms
            if key not in handle.senders and len(handle.senders) < MOST_SENDERS_TOGETHER:
                handle.senders.add(key)
                handle.owners.add(key[0])
                self._touched_handles.add(name)

    def observe_outcomes(self, rows: Sequence[OutcomeRow]) -> None:
        """Count what the SMSC answered."""
        failures = sum(status != 0 for _, _, status, _ in rows)
        with self._lock:
            self._answers += len(rows)
            self._failures += failures

    def observe_complaint(self, owner: str, at: float) -> None:
        """Count a complaint about what an owner sent, made at ``at`` (epoch seconds)."""
        slot = int(at) // edges.SLOT_SECONDS
        with self._lock:
            its = self._owners.setdefault(owner, _Owner(slot))
            its.move_to(slot)
            its.complaints += 1

    # What it comes to.

    def look(self, now: float) -> list[Alarm]:
        """The alarms that what was observed since the last look gives cause for, at ``now`` in epoch seconds."""
        with self._lock:
            self._clusters.refill()
            if now >= self._tidy_at:
                self._tidy_at = now + TIDY_SECONDS
                self._tidy(now)
            usual = self._usual_senders() if self._touched else {}
            for cluster in self._touched.values():
                self._look_at_cluster(cluster, usual)
            self._touched.clear()
            for sender in self._touched_senders.values():
                self._look_at_sender(sender)
            self._touched_senders.clear()
            for name in self._touched_handles:
                self._look_at_handle(name)
            self._touched_handles.clear()
            self._look_at_owners()
            self._look_at_troubles()
            raised, self._raised = self._raised, []
            return raised

    def _tidy(self, now: float) -> None:
        """Close the windows of those who have fallen silent, and forget who is long gone."""
        slot = int(now - LATE_SECONDS) // edges.SLOT_SECONDS
        gone = slot - REMEMBER_SECONDS // edges.SLOT_SECONDS
        for key, sender in list(self._senders.items()):
            if sender.slot < gone:
                del self._senders[key]
            elif sender.capped and sender.asked and sender.slot < slot:
                sender.move_to(slot)
                self._touched_senders[key] = sender
        for owner in self._owners.values():
            owner.move_to(slot)
        before_ms = int((now - REMEMBER_SECONDS) * 1000)
        if any(cluster.last_ms < before_ms for cluster in self._clusters):
            self._clusters.forget_before(before_ms)
        for name in [name for name, handle in self._handles.items() if handle.last_ms < before_ms]:
            del self._handles[name]

    def _usual_senders(self) -> dict[str, tuple[int, int]]:
        """Owner -> how many advertisements it has sent, and how many senders they had beyond the first."""
        usual: dict[str, tuple[int, int]] = {}
        for cluster in self._clusters:
            if cluster.advertises:
                for owner, senders in cluster.senders_by_owner.items():
                    others, further = usual.get(owner, (0, 0))
                    usual[owner] = others + 1, further + senders - 1
        return usual

    def _look_at_cluster(self, cluster: Cluster, usual: Mapping[str, tuple[int, int]]) -> None:
        advertises = cluster.advertises
        if cluster.messages >= max(self._campaign if advertises else GROWN * self._campaign, GROWN * cluster.told):
            cluster.told = cluster.messages
            self._raise(
                Kind.NEW_CAMPAIGN,
                f"campaign {cluster.name}",
                "warning" if advertises else "notice",
                f"a text, in {cluster.distinct} wordings, went out {cluster.messages} times from "
                f"{len(cluster.senders)} senders of {len(cluster.owners)} owners",
                cluster.decisions,
                messages=cluster.messages,
                commercial=cluster.commercial,
                wordings=cluster.distinct,
                owners=sorted(cluster.owners)[:EVIDENCE],
            )
        if not advertises:
            return
        agreement = cluster.agreeing / (cluster.distinct * PLACES)
        chance = variation.variation_chance(cluster.distinct, agreement)
        if chance < variation.ALPHA:
            self._raise(
                Kind.VARIATION,
                f"campaign {cluster.name}",
                "warning",
                f"{cluster.distinct} wordings of one text agree in {agreement:.0%} on average; fillings of a template "
                f"would keep {variation.TEMPLATE:.0%}",
                cluster.decisions,
                wordings=cluster.distinct,
                agreement=round(agreement, 3),
                chance=chance,
            )
        if len(cluster.senders) >= spread.LEAST_SENDERS:
            for owner in cluster.owners:
                self._look_at_rotation(cluster, owner, *usual[owner])

    def _look_at_rotation(self, cluster: Cluster, owner: str, texts: int, further: int) -> None:
        sources = cluster.senders_of(owner)
        if len(sources) < spread.LEAST_SENDERS:
            return
        # Without a cap there is nothing to get round.
        if not any((its := self._senders.get((owner, source))) is not None and its.capped for source in sources):
            return
        mean = spread.usual(further - (len(sources) - 1), texts - 1)
        chance = spread.spread_chance(len(sources), mean, texts)
        if chance < spread.ALPHA:
            self._raise(
                Kind.ROTATION,
                f"owner {owner}, campaign {cluster.name}",
                "warning",
                f"one advertisement comes from {len(sources)} senders of {owner}; {1 + mean:.1f} are usual",
                cluster.decisions,
                senders=sorted(sources)[: 4 * EVIDENCE],
                messages=sum(cluster.senders[owner, source] for source in sources),
                chance=chance,
            )

    def _look_at_sender(self, sender: _Sender) -> None:
        _, source = sender.key
        for name, hug, cap in (
            ("hour", sender.hug_hour, sender.caps.get(HOUR, 0)),
            ("day", sender.hug_day, sender.caps.get(DAY, 0)),
        ):
            if hug.flagged:
                self._raise(
                    Kind.HUGGING,
                    f"sender {source}",
                    "warning",
                    f"{hug.near} windows of one {name} in a row ended just under the cap of {cap}",
                    (),
                    window=name,
                    cap=cap,
                    windows=hug.windows,
                    evidence=round(hug.total),
                    one_in=round(FLAG_AT),
                )
        if sender.edge >= FLAG_AT:
            self._raise(
                Kind.EDGE_BURSTS,
                f"sender {source}",
                "warning",
                "bursts of more than the hourly cap lie across the full hour again and again",
                (),
                cap=sender.caps.get(HOUR, 0),
                evidence=round(sender.edge),
            )
        if len(sender.recipients) >= sender.next_run_look:
            sender.next_run_look = 2 * len(sender.recipients)
            self._look_for_runs(sender)
        if sender.purpose == "service" and sender.templates:
            commercial = sum(sender.templates.values())
            chance = laundering.laundering_chance(commercial, len(sender.templates))
            if chance < laundering.ALPHA:
                self._raise(
                    Kind.LAUNDERING,
                    f"sender {source}",
                    "warning",
                    f"{commercial} of {len(sender.templates)} different texts of a service sender look commercial",
                    (),
                    commercial=commercial,
                    texts=len(sender.templates),
                    chance=chance,
                )

    def _look_for_runs(self, sender: _Sender) -> None:
        digits = [int(each) for each in sender.recipients if len(each) <= 15 and each.isascii() and each.isdigit()]
        run = numbering.longest_run(np.array(digits, np.int64))
        if run is not None and run.chance < numbering.ALPHA and run.length > sender.run_told:
            sender.run_told = run.length
            self._raise(
                Kind.NUMBERING,
                f"sender {sender.key[1]}",
                "warning",
                f"{run.length} recipients within an hour were counted up in steps of {run.step}",
                (),
                first=_masked(str(run.first)),
                step=run.step,
                length=run.length,
                recipients=len(digits),
                chance=run.chance,
            )

    def _look_at_handle(self, name: str) -> None:
        handle = self._handles.get(name)
        if handle is None or len(handle.owners) < spread.LEAST_SENDERS:
            return
        others = len(self._handles) - 1
        further = sum(len(each.owners) - 1 for each in self._handles.values() if each is not handle)
        mean = spread.usual(further, others)
        chance = spread.spread_chance(len(handle.owners), mean, others + 1)
        if chance < spread.ALPHA:
            self._raise(
                Kind.SHARED_HANDLE,
                f"handle {name}",
                "warning",
                f"{len(handle.owners)} owners advertise one link or number; {1 + mean:.1f} are usual",
                (),
                owners=sorted(handle.owners)[: 4 * EVIDENCE],
                senders=len(handle.senders),
                chance=chance,
            )

    def _look_at_owners(self) -> None:
        for name, owner in self._owners.items():
            chance = rates.rise_chance(owner.refused, owner.messages, owner.past_refused, owner.past_messages)
            if chance < rates.ALPHA:
                self._raise(
                    Kind.REFUSALS_RISE,
                    f"owner {name}",
                    "warning",
                    f"{owner.refused} of {owner.messages} messages were refused lately, "
                    f"{owner.past_refused / max(owner.past_messages, 1):.1%} were before",
                    (),
                    refused=owner.refused,
                    messages=owner.messages,
                    chance=chance,
                )
            if owner.complaints > 1:
                chance = rates.complaints_chance(owner.complaints, owner.usual_complaints)
                if chance < rates.ALPHA:
                    self._raise(
                        Kind.COMPLAINTS_RISE,
                        f"owner {name}",
                        "warning",
                        f"{owner.complaints} complaints within minutes; {owner.usual_complaints:.1f} are usual",
                        (),
                        complaints=owner.complaints,
                        chance=chance,
                    )

    def _look_at_troubles(self) -> None:
        for cause, kind, subject, sentence in (
            (_STORE, Kind.STORE_TROUBLE, "store", "the store did not answer; messages were refused unjudged"),
            (_UPSTREAM, Kind.SMSC_TROUBLE, "SMSC", "the SMSC was away; messages were refused"),
        ):
            if messages := self._troubles.pop(cause, 0):
                ids = self._trouble_ids.pop(cause)
                self._raise(kind, subject, "critical", f"{sentence}: {messages}", ids, messages=messages)
        if self._failures >= TROUBLE_LEAST and self._failures >= TROUBLE_SHARE * self._answers:
            self._raise(
                Kind.SMSC_TROUBLE,
                "SMSC",
                "critical",
                f"the SMSC did not take {self._failures} of {self._answers} messages",
                (),
                failures=self._failures,
                answers=self._answers,
            )
        self._failures = self._answers = 0

    def _note_offence(self, offence: Offence, key: SenderKey, at_ms: int) -> None:
        self._offenders[offence, key[1]] = Offender(offence, key[1], at_ms / 1000)

    def take_offenders(self) -> list[Offender]:
        """Who has a measure coming for what was observed since the last call."""
        with self._lock:
            offenders, self._offenders = self._offenders, {}
        return list(offenders.values())

    def _raise_honeypot(self, key: SenderKey, rows: Sequence[DecisionRow]) -> None:
        trapped = [row for row in rows if row[RECIPIENT] in self._honeypots]
        ids = [row[ID] for row in trapped]
        # Whoever wrote under an address that is not its own is nobody to warn.
        if trapped[0][PURPOSE] and trapped[-1][ENFORCED]:
            self._note_offence(Offence.TRAPPED, key, trapped[-1][AT_MS])
        self._raise(
            Kind.HONEYPOT,
            f"sender {key[1]}",
            "warning",
            f"{key[1]} of {key[0]} wrote to a number that was never given to anybody",
            ids,
            messages=len(ids),
        )

    def _raise(
        self, kind: Kind, subject: str, severity: str, sentence: str, ids: Iterable[int], **figures: Any
    ) -> None:
        decisions = [id_to_text(number) for number in list(ids)[:EVIDENCE]]
        evidence = {**figures, "decisions": decisions} if decisions else figures
        self._raised.append(Alarm(kind=kind, subject=subject, severity=severity, sentence=sentence, evidence=evidence))

    # Surviving a restart.

    def to_bytes(self) -> bytes:
        """What was counted, to be given to ``restore`` of a later process."""
        with self._lock:
            state = {
                "senders": [sender.to_state() for sender in self._senders.values()],
                "owners": [
                    [name, owner.slot, owner.messages, owner.refused, owner.complaints,
                     owner.past_messages, owner.past_refused, owner.past_complaints]
                    for name, owner in self._owners.items()
                ],
                "clusters": self._clusters.to_state(),
                "handles": [
                    [name, handle.last_ms, [list(key) for key in handle.senders]]
                    for name, handle in self._handles.items()
                ],
                "last_decision_id": self.last_decision_id,
            }  # fmt: skip
        return zlib.compress(orjson.dumps(state), 1)

    def restore(self, state: bytes) -> None:
        """Take over what ``to_bytes`` gave.

        Raises:
            ValueError: it did not give that.
        """
        try:
            values = orjson.loads(zlib.decompress(state))
            with self._lock:
                for owner, source, purpose, slot, *counted in values["senders"]:
                    key = (owner, source)
                    sender = self._senders[key] = _Sender(key, purpose, slot, self._windows_of(*key))
                    sender.restore(counted)
                for name, slot, *counted in values["owners"]:
                    its = self._owners[name] = _Owner(slot)
                    (its.messages, its.refused, its.complaints,
                     its.past_messages, its.past_refused, its.past_complaints) = counted  # fmt: skip
                self._clusters.restore(values["clusters"])
                for name, last_ms, senders in values["handles"]:
                    handle = self._handles[name] = _Handle()
                    handle.last_ms = last_ms
                    handle.senders = {(owner, source) for owner, source in senders}
                    handle.owners = {owner for owner, _ in handle.senders}
                self.last_decision_id = values["last_decision_id"]
        except (zlib.error, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"no checkpoint of version {VERSION}: {error}") from error


def _keep(ids: list[int], one: int) -> None:
    if len(ids) < EVIDENCE:
        ids.append(one)


def _masked(number: str) -> str:
    """A number without its last four digits."""
    return number[:-4] + "****"
