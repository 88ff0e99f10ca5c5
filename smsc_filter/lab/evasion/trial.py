"""One setting put to the trial: every actor's messages through the real engine, on virtual time.

An adversary is stopped when a detector accuses its sender, its owner or its campaign, for then somebody looks, and the
ladder of measures ends it within a second; or by refusals, if those let next to nothing through. The trial itself
imposes nothing: whoever is accused goes on sending, so that both ways of being stopped can be told apart.

The naive setting is what is usual: a public cap a phone, counted in hours and days of the clock. Its caps are counted
here, behind the checks of identity, content and consent, which are the same as in any other setting.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import groupby
from typing import Any, Final

from pydantic import TypeAdapter

from smsc_filter.lab.engine import Engine, Provider, message_of
from smsc_filter.lab.evasion import actors as cast
from smsc_filter.lab.evasion.actors import DAY, HOUR, Actor, Circle, Sending
from smsc_filter.policy.festivals import festival_at
from smsc_filter.policy.record import DecisionRow, id_to_text
from smsc_filter.policy.rules import Profile, read_profile
from smsc_filter.policy.verdict import Cause
from smsc_filter.service.watching import windows_from
from smsc_filter.settings import Settings
from smsc_filter.sms.message import Message
from smsc_filter.state.contacts import Contacts
from smsc_filter.watch.alarm import Alarm, Kind
from smsc_filter.watch.watcher import Watcher

SHIPPED: Final = "shipped"
NAIVE: Final = "naive"
SETTINGS: Final = (SHIPPED, NAIVE)

TICK_SECONDS: Final = 60.0
"""Messages of one such stretch are judged together, and after it the watcher looks. Shorter ones cost ten times as much
where traffic is sparse; what goes through until the next look counts."""

ACCUSING: Final = frozenset(
    {
        Kind.HUGGING, Kind.EDGE_BURSTS, Kind.ROTATION, Kind.VARIATION, Kind.LAUNDERING, Kind.NUMBERING,
        Kind.SHARED_HANDLE, Kind.HONEYPOT,
    }
)  # fmt: skip
"""Alarms that say somebody plays a game. That a campaign is new, or that refusals rise, accuses nobody."""

YEAR: Final = 354 * DAY
LATELY: Final = 20 * DAY
"""Before the trial begins: when people sent last year's wishes, and when those wrote to each other who did lately."""

ID: Final = 0
CAUSE: Final = 7

STOPPED_BY_PERCENT: Final = 1
STOPPED_BY_MESSAGES: Final = 1_000


@dataclass(slots=True)
class Result:
    """How one actor fared."""

    name: str
    honest: bool
    senders: int
    messages: int = 0
    """Of its campaign, or all of an honest one."""
    through: int = 0
    """Those that went through to the end."""
    causes: Counter[str] = field(default_factory=Counter)
    """Refusals by cause."""
    blocked: set[str] = field(default_factory=set)
    """Its senders of whom anything was refused."""
    accused: str = ""
    """The first detector to accuse it."""
    through_then: int = 0
    """What had gone through when it did."""
    alarms: Counter[str] = field(default_factory=Counter)
    """By kind, of those that accuse."""

    @property
    def stopped_by(self) -> str:
        """What stopped it first: a detector, or the commonest refusal."""
        if self.accused and (self.through > self.goal or self.through_then <= self.through):
            return self.accused
        return self.causes.most_common(1)[0][0] if self.causes else "nothing"

    @property
    def got_through(self) -> int:
        """Messages before it was stopped."""
        return self.through_then if self.accused else self.through

    @property
    def goal(self) -> int:
        """How many may get through at most."""
        return max(STOPPED_BY_MESSAGES, self.messages * STOPPED_BY_PERCENT // 100)

    @property
    def met(self) -> bool:
        """Whether it was stopped in time, or, of the honest, whether nothing was refused and nobody accused."""
        return not (self.causes or self.accused) if self.honest else self.got_through <= self.goal

    def to_dict(self) -> dict[str, Any]:
        """Plain values that any JSON writer takes."""
        return {
            "name": self.name,
            "honest": self.honest,
            "senders": self.senders,
            "messages": self.messages,
            "through": self.through,
            "got_through_before_stop": self.got_through,
            "stopped_by": "" if self.honest else self.stopped_by,
            "refusals": dict(sorted(self.causes.items())),
            "senders_blocked": len(self.blocked),
            "alarms": dict(sorted(self.alarms.items())),
            "met": self.met,
        }


class FixedWindows:
    """A public cap an hour and a day of the clock, as relays have it."""

    def __init__(self, hour: int, day: int) -> None:
        self._caps = ((HOUR, hour), (DAY, day))
        self._counts: Counter[tuple[str, float, int]] = Counter()

    def admits(self, source: str, at: float) -> bool:
        """Count one more message, if it fits."""
        windows = [((source, seconds, int(at // seconds)), cap) for seconds, cap in self._caps]
        if any(self._counts[window] >= cap for window, cap in windows):
            return False
        self._counts.update(window for window, _ in windows)
        return True


def profile_for(setting: str) -> Profile:
    """The default profile, the naive one without what it says of campaigns and soft caps."""
    profile = read_profile(Settings().policy.profile)
    if setting == NAIVE:
        quota = {purpose: replace(caps, soft=None) for purpose, caps in profile.quota.items()}
        return replace(profile, quota=quota, campaign={})
    return profile


def settings_for(setting: str, actors: Iterable[Actor]) -> Settings:
    """The configuration of an operator with these actors: the default, save that the naive one has no other caps."""
    owners = {actor.system_id: actor.owner for actor in actors}
    senders: list[dict[str, Any]] = [
        {"address": sender, "owner": actor.owner, "purpose": actor.purpose}
        for actor in actors
        if actor.purpose != "person"
        for sender in actor.senders
    ]
    phones: dict[str, Any] = {"address": "86139*", "owner": cast.MOBILE, "purpose": "person"}
    if setting == NAIVE:
        phones |= {"hour_cap": 0, "day_cap": 0}
    accounts = [{"system_id": name, "password": "none", "owner": owner} for name, owner in sorted(owners.items())]
    return TypeAdapter(Settings).validate_python(
        {
            "accounts": accounts,
            "senders": [phones, *senders],
            # The same soft caps in every run.
            "policy": {"jitter_key": "bench evasion"},
        }
    )


class Trial:
    """All actors under one setting."""

    def __init__(self, setting: str, actors: Sequence[Actor], known: Sequence[Circle]) -> None:
        """Put ``actors`` to the trial; ``known`` is the contact graph of those who send wishes."""
        self._setting = setting
        self._actors = actors
        self._known = known
        self._settings = settings_for(setting, actors)
        self.results = [Result(actor.name, actor.honest, len(actor.senders)) for actor in actors]
        self._by_source = {sender: index for index, actor in enumerate(actors) for sender in actor.senders}
        self._by_decision: dict[str, int] = {}
        """Id of a decision about an adversary -> which one."""

    def run(self, advance: Callable[[int], None] = lambda messages: None) -> list[Result]:
        """Everything that is sent, judged; ``advance`` is told how many messages more."""
        watcher = Watcher(self._settings.watch, windows_from(self._settings)) if self._setting == SHIPPED else None
        fixed = FixedWindows(cast.PUBLIC_HOUR, cast.PUBLIC_DAY) if self._setting == NAIVE else None
        now = 0.0
        with Engine(self._settings, profile_for(self._setting)) as engine:
            owners = sorted({actor.owner for actor in self._actors})
            providers = [
                Provider(engine, actor.system_id, actor.owner, 1 + owners.index(actor.owner)) for actor in self._actors
            ]
            if self._setting == SHIPPED:
                engine.complete(self._teach(engine))
            for now, tick in groupby(self._sendings(), key=lambda each: each[0] // TICK_SECONDS * TICK_SECONDS):
                together = list(tick)
                messages: list[tuple[Provider, Message]] = [
                    (providers[index], message_of(sending.source, sending.recipient, sending.text))
                    for _, index, sending in together
                ]
                rows = engine.judge(now, messages)
                for (_, index, sending), row in zip(together, rows, strict=True):
                    self._note(index, sending, row, fixed)
                if watcher is not None:
                    watcher.observe(rows)
                    self._accuse(watcher.look(now + TICK_SECONDS))
                advance(len(rows))
            if watcher is not None:
                self._accuse(watcher.look(now + HOUR))
        return self.results

    async def _teach(self, engine: Engine) -> None:
        """What is known of the people who send wishes when the trial begins: the relay has been there for a year."""
        rules = engine.rules
        if rules.festivals is None or rules.greetings is None:
            return
        zone = rules.zones.zone_of(cast.phone(0))
        feast = festival_at(datetime.fromtimestamp(cast.EVE_BEGINS, zone).date(), rules.festivals.feasts)
        assert feast is not None
        contacts = Contacts(engine.exchange.ledger, rules.greetings.contact_days)
        for circle in self._known:
            await contacts.write({circle.phone: circle.last_year}, cast.WEEKS_BEGIN - YEAR, feast.year_before())
        for circle in self._known:
            await contacts.write({circle.phone: circle.wrote}, cast.WEEKS_BEGIN - LATELY)
            await contacts.hear({circle.phone: circle.wrote}, cast.WEEKS_BEGIN - LATELY)

    def _sendings(self) -> Iterator[tuple[float, int, Sending]]:
        def of(index: int, actor: Actor) -> Iterator[tuple[float, int, Sending]]:
            for sending in actor.script():
                yield sending.at, index, sending

        return heapq.merge(*(of(index, actor) for index, actor in enumerate(self._actors)), key=lambda each: each[:2])

    def _note(self, index: int, sending: Sending, row: DecisionRow, fixed: FixedWindows | None) -> None:
        result = self.results[index]
        cause = row[CAUSE]
        if not cause and fixed is not None and self._actors[index].purpose == "person":
            cause = "" if fixed.admits(sending.source, sending.at) else Cause.QUOTA_SPENT.value
        if not result.honest:
            self._by_decision[id_to_text(row[ID])] = index
        if sending.counts:
            result.messages += 1
            result.through += not cause
        if cause:
            result.causes[cause] += sending.counts
            result.blocked.add(sending.source)

    def _accuse(self, alarms: Iterable[Alarm]) -> None:
        for alarm in alarms:
            if alarm.kind in ACCUSING:
                for index in self._accused_by(alarm):
                    result = self.results[index]
                    result.alarms[alarm.kind] += 1
                    if not result.accused:
                        result.accused, result.through_then = alarm.kind.value, result.through

    def _accused_by(self, alarm: Alarm) -> set[int]:
        """Whom an alarm names: by a sender, or by decisions of a campaign, of which none may be an adversary's."""
        kind, _, name = alarm.subject.partition(" ")
        if kind == "sender" and name in self._by_source:
            return {self._by_source[name]}
        found = {self._by_decision[each] for each in alarm.evidence.get("decisions", ()) if each in self._by_decision}
        found |= {self._by_source[each] for each in alarm.evidence.get("senders", ()) if each in self._by_source}
        return found


def cast_of(people: int, days: int) -> tuple[list[Actor], list[Circle]]:
    """Everybody who takes part, and the contact graph of the people."""
    known = cast.circles(people)
    return [*cast.adversaries(days), *cast.firms(days), cast.greeters(known)], known
