"""One batch, from arrival to responses and decisions.

What arrives on all links of the worker in one turn of the loop is judged together: one vectorised scoring, one or
two calls of the store, one record for all. A lone message waits for nobody; while two batches are with the store,
arrivals gather in the next one, so that batches grow with the load and the cost of a message falls.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from time import perf_counter
from typing import Any, Final, NamedTuple, Protocol, cast

import structlog
from redis.exceptions import RedisError

from smsc_filter.classifier.scorer import KINDS, Scorer
from smsc_filter.policy.appeal import Whitelist
from smsc_filter.policy.consent import REFUSALS, asked_already
from smsc_filter.policy.facts import ConsentState, Contacts, Facts, Sender
from smsc_filter.policy.identity import Registry
from smsc_filter.policy.judge import judge
from smsc_filter.policy.likeness import alike, sketch
from smsc_filter.policy.measures import Measures
from smsc_filter.policy.quota import Charge, Quotas, as_part
from smsc_filter.policy.record import ROW, BatchHeader, OutcomeRow
from smsc_filter.policy.rules import Rules
from smsc_filter.policy.template import Parameters
from smsc_filter.policy.verdict import TROUBLES, Cause, Finding, Verdict, refuse, remark
from smsc_filter.policy.whitelist import WhitelistEntry
from smsc_filter.policy.wishes import make_wish
from smsc_filter.relay.campaigns import Campaigns
from smsc_filter.relay.link import Halt, Link
from smsc_filter.relay.people import People
from smsc_filter.relay.repeats import WINDOW_SECONDS, Repeats
from smsc_filter.relay.requests import Requests
from smsc_filter.smpp.constants import HEADER_OCTETS
from smsc_filter.smpp.pdu import Pdu
from smsc_filter.sms.assembly import text_so_far
from smsc_filter.sms.coding import decode_text
from smsc_filter.sms.message import Message, Multi
from smsc_filter.state.consents import Consents
from smsc_filter.state.declines import Declines
from smsc_filter.state.figures import Meter
from smsc_filter.state.leases import DecisionIds, IdsUsedUpError
from smsc_filter.state.ledger import GiveBack, KnownParts, Ledger, PartSeen, StoreUnavailable

log = structlog.get_logger()

MAX_BATCH: Final = 256
"""Messages judged together; a submit_multi is not torn apart and may make it larger."""

MAX_IN_FLIGHT: Final = 2
"""Batches at the store at once: while one waits, the next is scored."""

WORTH_A_SECOND: Final = 32
"""Messages waiting from which a second batch is started while the first is at the store. Fewer wait for the first to
return, a millisecond or so: a batch has a cost of its own."""

MOST_LOOKS: Final = 4
"""Turns of the loop a batch may wait while each brings more. Many links with one message each become readable within a
few turns of each other, and half as many batches cost half as much; a lone message waits for none."""

MAX_PENDING: Final = 4 * MAX_BATCH
"""Messages waiting to be judged, above which links hold their requests back; then they are served in turn."""

MAX_BATCH_OCTETS: Final = 96 << 10
"""Of the messages judged together: a payload is 400 times a short text."""

MAX_PENDING_OCTETS: Final = 192 << 10
"""Octets of waiting messages, above which links hold their requests back either: what arrives waits behind them."""

OUTCOME_SECONDS: Final = 0.05
"""How long outcomes are gathered before they are put on record."""

MAX_OUTCOMES: Final = 512

MOST_CONTACTS: Final = 65_536
"""Senders of whom is remembered to how many they wrote."""

MAX_SKETCHES: Final = 4096
"""Texts whose sketch is remembered."""

MAX_SCORED_CHARACTERS: Final = 1 << 18
"""Characters of texts whose score is remembered: some 3,000 texts, of which a campaign is one."""

KIND, PURPOSE, TEXT = ROW.index("kind"), ROW.index("purpose"), ROW.index("text")

GREETING, PERSON = "greeting", "person"

GREETING_KIND: Final = KINDS.index(GREETING)

NO_TEXT: Final = -1.0
"""Score of a message that was not scored."""

STORE_DOWN: Final = Verdict(
    (refuse("store", Cause.STORE_UNAVAILABLE, "the store did not answer; nothing is let through unjudged"),)
)
UPSTREAM_AWAY: Final = Verdict((refuse("upstream", Cause.UPSTREAM_UNAVAILABLE, "the SMSC is away; nothing was spent"),))

AWAY: Final = {Cause.STORE_UNAVAILABLE: STORE_DOWN, Cause.UPSTREAM_UNAVAILABLE: UPSTREAM_AWAY}
"""Verdicts on what cannot be judged or sent on for now."""


class Judging(NamedTuple):
    """What one batch is judged by, from its first score to its record."""

    scorer: Scorer
    rules: Rules


class Track:
    """What is to be settled when the SMSC answers an admitted message."""

    __slots__ = ("charged", "decision_id", "message", "spent_at_ms")

    def __init__(self, decision_id: int, charged: Charge | None, spent_at_ms: int, message: Message) -> None:
        self.decision_id = decision_id
        self.charged = charged
        self.spent_at_ms = spent_at_ms
        self.message = message


class MultiTrack:
    """The same for a submit_multi: which destinations went on, and which of ours did not."""

    __slots__ = ("kept", "multi", "refused")

    def __init__(self, multi: Multi, kept: list[tuple[int, Track]], refused: list[tuple[int, int]]) -> None:
        self.multi = multi
        self.kept = kept
        """(destination, what to settle)."""
        self.refused = refused
        """(destination, command_status)."""


class Origin(Protocol):
    """The link a message came over, as the exchange needs it."""

    system_id: str
    owner: str
    owner_id: int
    parameters: Parameters

    @property
    def upstream_bound(self) -> bool:
        """Whether the SMSC can be reached for this bind."""

    def forward(self, pdu: Pdu, request: Pdu, tracked: Track | MultiTrack) -> None:
        """Send ``pdu`` on to the SMSC in answer to ``request``."""

    def refuse(self, request: Pdu, status: int) -> None:
        """Answer ``request`` with a status other than ESME_ROK."""

    def refuse_multi(self, tracked: MultiTrack) -> None:
        """Answer a submit_multi of which no destination goes on."""


Arrival = tuple[Origin, Message, Multi | None]


def statuses_of(*, standard: bool) -> dict[Cause, int]:
    """The command_status of each cause: our own range, or the nearest standard code."""
    return {cause: cause.standard_status if standard else cause.status for cause in Cause}


class Exchange:
    """Judges everything one worker receives."""

    def __init__(
        self,
        ledger: Ledger,
        scorer: Scorer,
        rules: Rules,
        registry: Registry,
        *,
        quotas: Quotas | None = None,
        ids: DecisionIds,
        observe: bool,
        standard_status: bool,
        spool: Callable[[BatchHeader, Sequence[list[object]]], None],
        loop: asyncio.AbstractEventLoop,
        clock: Callable[[], float],
        elapsed: Callable[[float], float] = float,
        outcome_seconds: float = OUTCOME_SECONDS,
    ) -> None:
        """Judge by ``rules``, at times ``clock()`` in seconds since the epoch.

        ``spool`` keeps the records of batches that the store did not take; ``elapsed`` makes of a time of the clock one
        that quotas are counted by; outcomes are gathered for ``outcome_seconds``.
        """
        self.ledger = ledger
        self._judging = Judging(scorer, rules)
        self.registry = registry
        self.quotas = quotas or Quotas()
        self._campaigns = Campaigns(ledger, self.quotas.campaign_seconds)
        self.whitelist = Whitelist()
        self.measures = Measures()
        self.consents = Consents(ledger, ledger.partitions)
        self.requests = Requests(self.consents, loop)
        self.people = (
            People(ledger, rules, registry, loop, clock)
            if registry.has_people and rules.greetings is not None
            else None
        )
        self.declines: Declines | None = None
        """Whom advertising is not wanted by; asked where messages heed it."""
        ledger.keep_sketches_ms = rules.similar.keep_days.value * 86_400_000
        self.meter = Meter()
        self.outcomes_lost = 0
        self._remembered_sketches: dict[str, bytes] = {}
        self._remembered_scores: dict[str, tuple[float, int]] = {}
        """Score and kind by text, of the model that scored last."""
        self._remembered_characters = 0
        self._scored_by: Scorer | None = None
        self._observe = observe
        self.ids = ids
        self._mode = "observe" if observe else "enforce"
        self._statuses = statuses_of(standard=standard_status)
        ledger.statuses = self._statuses
        if rules.contacts is not None:
            ledger.contact_seconds = rules.contacts.days * 86_400
        self._contacts: dict[str, Contacts] = {}
        self._elapsed = elapsed
        self._spool = spool
        self.seal_text: Callable[[str], str] | None = None
        """What texts are sealed with on their way to the records; None: they travel as they are."""
        self._loop = loop
        self._clock = clock
        self._outcome_seconds = outcome_seconds
        self._pending: list[Arrival] = []
        self._octets = 0
        """Read from providers for what is pending; counted by the read, since by the message it would cost."""
        self._decoding = 0.0
        """Seconds spent on making messages of it."""
        self._scheduled = False
        self._looks = 0
        self._seen = 0
        self._in_flight: set[asyncio.Task[None]] = set()
        self._last: asyncio.Future[None] | None = None
        self._repeats: Repeats[Arrival] = Repeats()
        self._repeats_timer: asyncio.TimerHandle | None = None
        self._store_failed_at = -WINDOW_SECONDS
        self._waiting_links: dict[Link, None] = {}
        self._fresh_links: dict[Link, None] = {}
        """Waiting links that had nothing here before: they are served first, since few messages make nobody wait."""
        self._backlog = False
        self._outcomes: list[OutcomeRow] = []
        self._give_back: dict[GiveBack, int] = {}
        self._outcome_timer: asyncio.TimerHandle | None = None
        self._outcome_task: asyncio.Task[None] | None = None

    @property
    def scorer(self) -> Scorer:
        """The model that scores the next batch."""
        return self._judging.scorer

    @property
    def rules(self) -> Rules:
        """What the next batch is judged by."""
        return self._judging.rules

    def judge_by(self, scorer: Scorer, rules: Rules) -> None:
        """Judge the next batch by another model or other rules; those in flight end with what they began with."""
        self._judging = Judging(scorer, rules)

    def reload(self, rules: Rules, registry: Registry, quotas: Quotas, *, observe: bool, standard_status: bool) -> None:
        """Judge the next batch by another configuration."""
        self._judging = Judging(self.scorer, rules)
        self.registry, self.quotas = registry, quotas
        self._campaigns = Campaigns(self.ledger, quotas.campaign_seconds)
        if not registry.has_people or rules.greetings is None:
            self.people = None
        else:
            self.people = People(self.ledger, rules, registry, self._loop, self._clock)
        self._observe = observe
        self._mode = "observe" if observe else "enforce"
        self._statuses = statuses_of(standard=standard_status)
        self.ledger.statuses = self._statuses
        self.ledger.keep_sketches_ms = rules.similar.keep_days.value * 86_400_000
        if rules.contacts is not None:
            self.ledger.contact_seconds = rules.contacts.days * 86_400

    def warm_up(self) -> None:
        """Make the tables that texts are folded by, a quarter of a second that the first message would wait for."""
        self.scorer.score([""])
        sketch([""])

    # What arrives.

    def now(self) -> float:
        """Seconds since the epoch, by the clock of this exchange."""
        return self._clock()

    def take(self, origin: Origin, message: Message, multi: Multi | None = None) -> None:
        """Judge ``message`` with what else arrives in this turn of the loop."""
        self._pending.append((origin, message, multi))
        if not self._scheduled:
            self._scheduled = True
            self._looks = 0
            self._seen = len(self._pending)
            self._loop.call_soon(self._look)

    def _look(self) -> None:
        """A turn of the loop is over: start a batch, or see what the next turn brings if this one brought more."""
        arrived = len(self._pending)
        if self._seen < arrived < MAX_BATCH and self._looks < MOST_LOOKS:
            self._looks += 1
            self._seen = arrived
            self._loop.call_soon(self._look)
        else:
            self._scheduled = False
            self._turn()

    def worst_reading(self, readings: Sequence[str]) -> str:
        """Of what a text of unknown coding can be read as, what stands most in the way of sending it."""
        prohibited = self.rules.prohibited
        scores = self.scorer.score(readings).score.tolist()
        ranks = [
            (prohibited is not None and prohibited.search(reading) is not None, score)
            for reading, score in zip(readings, scores, strict=True)
        ]
        return readings[ranks.index(max(ranks))]

    @property
    def full(self) -> bool:
        """Whether links should not be read for now."""
        pending = len(self._pending)
        return self._backlog or pending >= MAX_PENDING or (pending > 0 and self._octets >= MAX_PENDING_OCTETS)

    def arriving(self, octets: int) -> None:
        """Count the octets of messages that were taken from a provider."""
        self._octets += octets

    def decoded(self, seconds: float) -> None:
        """Count how long it took to make messages of a read."""
        self._decoding += seconds

    @property
    def waiting(self) -> int:
        """Messages that wait to be judged."""
        return len(self._pending)

    @property
    def idle(self) -> bool:
        """Whether nothing waits to be judged or put on record."""
        waiting = self._pending or self._in_flight or self._outcomes or self._outcome_task or self._repeats
        return not waiting and self.requests.idle and (self.people is None or self.people.idle)

    @property
    def must_wait(self) -> bool:
        """Whether a link has to wait for its turn."""
        return self.full or bool(self._waiting_links)

    def wait(self, link: Link, *, fresh: bool = False) -> None:
        """Hold back the requests of ``link`` until it is its turn; ``fresh``: it had none held back."""
        link.halt(Halt.BUSY)
        if link not in self._fresh_links:
            (self._fresh_links if fresh and link not in self._waiting_links else self._waiting_links)[link] = None
        if not self._scheduled:
            self._scheduled = True
            self._looks = MOST_LOOKS
            self._loop.call_soon(self._look)

    def forget(self, link: Link) -> None:
        """A link is gone."""
        self._fresh_links.pop(link, None)
        self._waiting_links.pop(link, None)

    def set_backlog(self, backlog: bool) -> None:
        """Say whether decisions wait to be moved to the records in greater number than may be."""
        self._backlog = backlog
        self._wake()

    def _wake(self) -> None:
        """Serve the links that wait, in turn, as long as there is room."""
        turns = len(self._fresh_links) + len(self._waiting_links)
        while turns and not self.full and (links := self._fresh_links or self._waiting_links):
            turns -= 1
            link = next(iter(links))
            del links[link]
            link.resume(Halt.BUSY)

    def _turn(self) -> None:
        """Start batches with what has arrived, as many as may be in flight."""
        while self._pending and (
            not self._in_flight or (len(self._in_flight) < MAX_IN_FLIGHT and len(self._pending) >= WORTH_A_SECOND)
        ):
            end = min(MAX_BATCH, len(self._pending))
            if self._octets > MAX_BATCH_OCTETS:
                end = min(end, max(1, MAX_BATCH_OCTETS * len(self._pending) // self._octets))
            last = self._pending[end - 1][2]
            while last is not None and end < len(self._pending) and self._pending[end][2] is last:
                end += 1
            batch = self._pending[:end]
            self._octets -= self._octets * end // len(self._pending)
            decoding = self._decoding * end / len(self._pending)
            self._decoding -= decoding
            self.meter.stages["decode"].add(decoding, end)
            del self._pending[:end]
            batch = self._without_repeats(batch)
            if batch:
                self._start(batch)
        self._wake()

    def _start(self, batch: list[Arrival], repeated: Cause | None = None) -> None:
        """Settle a batch, after those before it; of repeats, with what they are refused for."""
        before, self._last = self._last, self._loop.create_future()
        task = self._loop.create_task(self._settle(batch, before, self._last, repeated))
        self._in_flight.add(task)
        task.add_done_callback(self._settled)

    def _without_repeats(self, batch: list[Arrival]) -> list[Arrival]:
        """Take out of a batch what would be refused for the SMSC or the store as many were just before, and hold it."""
        now = self._clock()
        store_away = 0 <= now - self._store_failed_at < WINDOW_SECONDS
        if not store_away and all(origin.upstream_bound for origin in {origin for origin, _, _ in batch}):
            return batch
        kept: list[Arrival] = []
        multi: Multi | None = None
        hold = False
        for arrival in batch:
            origin, _, its_multi = arrival
            if not store_away and origin.upstream_bound:
                kept.append(arrival)
                continue
            cause = Cause.STORE_UNAVAILABLE if store_away else Cause.UPSTREAM_UNAVAILABLE
            # A submit_multi has one answer: it is held as a whole or not at all.
            if its_multi is None or its_multi is not multi:
                messages = 1 if its_multi is None else len(its_multi.messages)
                request = arrival[1].pdu if its_multi is None else its_multi.pdu
                body = request.octets[HEADER_OCTETS:]
                hold = self._repeats.count(origin.system_id, cause, body, now, messages)
            multi = its_multi
            if hold:
                self._repeats.hold(cause, arrival)
            else:
                kept.append(arrival)
        if self._repeats and self._repeats_timer is None:
            self._repeats_timer = self._loop.call_later(WINDOW_SECONDS, self.release_repeats)
        return kept

    def release_repeats(self) -> None:
        """Put repeats on record as counts, and answer them; the window is over."""
        self._repeats_timer = None
        for cause, arrivals in self._repeats.take().items():
            self._start(arrivals, cause)

    def _settled(self, task: asyncio.Task[None]) -> None:
        self._in_flight.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            if isinstance(error, IdsUsedUpError):
                log.error("refused-without-record", detail=str(error))
            else:
                log.error("batch-failed", exc_info=error)
        if self._pending:
            self._turn()

    # What becomes of it.

    async def _settle(
        self,
        batch: list[Arrival],
        before: asyncio.Future[None] | None,
        done: asyncio.Future[None],
        repeated: Cause | None = None,
    ) -> None:
        """Judge a batch and answer or forward every message in it; of repeats, put their number on record."""
        now = self._clock()
        spent_at = self._elapsed(now)
        judging = self._judging
        began = perf_counter()
        meter = self.meter
        meter.messages += len(batch)
        meter.batches.add(len(batch))
        forwarding = False
        try:
            # The refusal of a batch that the store takes too late has the ids it has there: one record a message.
            first_id = self.ids.first(len(batch), now)
            try:
                if repeated is not None:
                    verdicts, rows, charges = await self._count_repeats(batch, judging, first_id, now, repeated)
                else:
                    verdicts, rows, charges = await self._judge(batch, judging, first_id, now, spent_at)
                    self._store_failed_at = -WINDOW_SECONDS
            except StoreUnavailable as error:
                self._store_failed_at = self._clock()
                log.error("store-unavailable", detail=str(error), messages=len(batch))
                meter.store_failures += 1
                verdicts, rows, charges = self._refuse_all(batch, judging, first_id, now)
            # Batches leave in the order in which they came, whichever the store answers first.
            if before is not None:
                await before
            forwarding = True
            self._forward(batch, verdicts, rows, charges, int(spent_at * 1000))
            meter.stages["batch"].add(perf_counter() - began, len(batch))
        except BaseException:
            # Whatever goes wrong with one batch, no provider waits for ever and the next batch goes on.
            if not forwarding:
                for request in {message.pdu: origin for origin, message, _ in batch}.items():
                    request[1].refuse(request[0], self._statuses[Cause.STORE_UNAVAILABLE])
            raise
        finally:
            done.set_result(None)

    async def _count_repeats(
        self, batch: list[Arrival], judging: Judging, first_id: int, now: float, cause: Cause
    ) -> tuple[list[Verdict], list[list[object]], list[Charge | None]]:
        """Refuse repeats for ``cause``, with one record for all of one account and sender: the last, with their number.

        What is refused for the store goes on record by way of the disk, and so does what the store does not take now.
        """
        groups: dict[tuple[str, bytes], list[int]] = {}
        for index, (origin, message, _) in enumerate(batch):
            groups.setdefault((origin.system_id, message.source), []).append(index)
        find = self.registry.find
        last = [batch[indexes[-1]] for indexes in groups.values()]
        verdicts = [
            Verdict((*AWAY[cause].findings, remark("repeats", _count_sentence(len(indexes)))))
            for indexes in groups.values()
        ]
        facts = [
            Facts(origin.owner, find(origin.owner, message.source, message.source_ton), NO_TEXT, False)
            for origin, message, _ in last
        ]
        kinds = self._score(judging.scorer, [message.text for _, message, _ in last])[1]
        counted = self._rows(first_id, last, verdicts, facts, kinds)
        header = self._header(judging, now)
        if cause is Cause.STORE_UNAVAILABLE:
            self._spool(header, counted)
        else:
            try:
                await self.ledger.spend(self._elapsed(now), header, counted, [None] * len(counted))
            except StoreUnavailable as error:
                log.error("store-unavailable", detail=str(error), messages=len(batch))
                self._spool(header, counted)
        rows: list[list[object]] = [[]] * len(batch)
        for row, indexes in zip(counted, groups.values(), strict=True):
            for index in indexes:
                rows[index] = row
        return [AWAY[cause]] * len(batch), rows, [None] * len(batch)

    async def _judge(
        self, batch: list[Arrival], judging: Judging, first_id: int, now: float, spent_at: float
    ) -> tuple[list[Verdict], list[list[object]], list[Charge | None]]:
        """Verdicts on a batch, on record from ``first_id`` on: spent, at ``spent_at``, and durable once this returns.

        Raises:
            StoreUnavailable: they are not.
        """
        facts, kinds, seen = await self._facts(batch, judging, now)
        rules, charge = judging.rules, self.quotas.charge
        stages = self.meter.stages
        began = perf_counter()
        verdicts = []
        charges: list[Charge | None] = []
        for (origin, message, _), known in zip(batch, facts, strict=True):
            verdict = judge(message, known, rules, now) if origin.upstream_bound else UPSTREAM_AWAY
            verdicts.append(verdict)
            charges.append(charge(known, origin.system_id, message.recipient) if verdict.cause is None else None)
        stages["judge"].add(perf_counter() - began, len(batch))
        suspicious = await self._charge_campaigns(batch, facts, charges, now)
        together = self._count_messages(seen, facts, charges) if seen else {}
        held = [index for index, known in enumerate(facts) if known.held] if self.people is not None else []
        asking = [index for index, known in enumerate(facts) if known.request and verdicts[index].cause is None]
        if asking:
            await self._ask(asking, batch, facts, verdicts, charges, first_id, now)
        rows = self._rows(first_id, batch, verdicts, facts, kinds)
        began = perf_counter()
        try:
            refusals = await self.ledger.spend(
                spent_at,
                self._header(judging, now),
                rows,
                charges,
                suspicious=sorted({*suspicious, *held}),
                together=together,
                writers=self._writers(facts, verdicts),
                contacts=self._contacts,
            )
            stages["spend"].add(perf_counter() - began, len(batch))
        except StoreUnavailable:
            for index in asking:
                self.requests.settle(first_id + index, sent=False)
            raise
        for row, finding in refusals.items():
            verdicts[row] = verdicts[row].and_then(finding)
            charges[row] = None
            self.requests.settle(first_id + row, sent=False)
        refused_parts = [
            (part, cause)
            for index, part in seen
            if (cause := verdicts[index].cause) is not None and facts[index].refused_part is None
        ]
        if refused_parts and not self._observe:
            try:
                await self.ledger.refuse_parts(refused_parts)
            except StoreUnavailable as error:
                # What was spent and recorded stands; parts yet to come are judged for themselves.
                log.error("store-unavailable", detail=str(error), parts=len(refused_parts))
        return verdicts, rows, charges

    def _writers(self, facts: Sequence[Facts], verdicts: Sequence[Verdict]) -> dict[str, list[int]]:
        """Senders whose recipients are counted, and which of their messages go on as far as is known."""
        writers: dict[str, list[int]] = {}
        rules = self.rules.contacts
        if rules is not None:
            for index, (known, verdict) in enumerate(zip(facts, verdicts, strict=True)):
                if verdict.cause is None and known.sender is not None and known.sender.purpose in rules.purposes:
                    writers.setdefault(known.sender.address, []).append(index)
        return writers

    async def _charge_campaigns(
        self, batch: list[Arrival], facts: Sequence[Facts], charges: list[Charge | None], now: float
    ) -> list[int]:
        """Charge suspicious texts to the campaigns they belong to; returns which they are.

        Raises:
            StoreUnavailable: the store did not answer.
        """
        if not self.quotas.suspects:
            return []
        suspects = self.quotas.suspicious
        found = [at for at, charge in enumerate(charges) if charge is not None and suspects(facts[at])]
        if found:
            campaigns = await self._campaigns.find([batch[at][1].text for at in found], now)
            for at, campaign in zip(found, campaigns, strict=True):
                charge, sender = charges[at], facts[at].sender
                assert charge is not None
                assert sender is not None
                charges[at] = self.quotas.with_campaign(charge, sender, campaign)
        return found

    @staticmethod
    def _count_messages(
        seen: Sequence[tuple[int, PartSeen]], facts: Sequence[Facts], charges: list[Charge | None]
    ) -> Mapping[int, list[int]]:
        """Charge a long message once where messages are counted; returns which parts share the fate of which."""
        counted: dict[object, int] = {}
        together: dict[int, list[int]] = {}
        for index, part in seen:
            charge = charges[index]
            if charge is None or not charge.counts_messages:
                continue
            message = part.source, part.recipient, part.part.reference, part.part.total
            if facts[index].counts:
                counted[message] = index
            else:
                charges[index] = as_part(charge)
                if (first := counted.get(message)) is not None:
                    together.setdefault(first, []).append(index)
        return together

    async def _ask(
        self,
        asking: list[int],
        batch: list[Arrival],
        facts: Sequence[Facts],
        verdicts: list[Verdict],
        charges: list[Charge | None],
        first_id: int,
        now: float,
    ) -> None:
        """Note who is being asked for consent, and refuse the texts that ask somebody again.

        Raises:
            StoreUnavailable: the store did not answer.
        """
        requests = [(first_id + at, batch[at][0].owner_id, batch[at][1], facts[at]) for at in asking]
        may = await self.requests.ask(requests, self.rules, now)
        for index, allowed in zip(asking, may, strict=True):
            if not allowed:
                verdicts[index] = verdicts[index].and_then(asked_already(facts[index].owner, self.rules))
                charges[index] = None

    async def _facts(
        self, batch: list[Arrival], judging: Judging, now: float
    ) -> tuple[list[Facts], list[int], list[tuple[int, PartSeen]]]:
        """What is known of each message of a batch, the kind of each text, and the parts among them."""
        find = self.registry.find
        senders = [find(origin.owner, message.source, message.source_ton) for origin, message, _ in batch]
        if not self.measures.empty:
            under = self.measures.sender_under
            senders = [
                sender and under(sender, origin.system_id, now)
                for sender, (origin, _, _) in zip(senders, batch, strict=True)
            ]
        seen = [
            (index, self._part_seen(senders[index], message))
            for index, (_, message, _) in enumerate(batch)
            if message.part is not None
        ]
        scores, kinds = self._score(judging.scorer, [message.text for _, message, _ in batch])
        thresholds = judging.rules.thresholds
        commercial = [
            sender is not None and score >= thresholds[sender.purpose]
            for sender, score in zip(senders, scores, strict=True)
        ]
        in_parts = {index for index, _ in seen}
        # Consent bears on commercial text alone. Of a part it is asked in any case: with the parts before it, it may
        # turn out to be commercial. Of owners who advertise it is asked of every text: after a refusal the same one
        # may come again in another dress.
        advertises = self.registry.advertises
        asked = [
            index
            for index, (origin, message, _) in enumerate(batch)
            if message.recipient
            and (
                commercial[index]
                or index in in_parts
                or ((sender := senders[index]) is not None and sender.purpose != "person" and advertises(origin.owner))
            )
        ]
        consents: dict[int, ConsentState] = {}
        known_parts: list[KnownParts] = []
        similar: set[int] = set()
        if asked or seen:
            sketches = self._sketches([index for index in asked if commercial[index]], batch)
            topics = [sender.topic if (sender := senders[index]) is not None else None for index in asked]
            refused: dict[int, bytes] = {}
            began = perf_counter()
            states, known_parts = await self.ledger.look_up(
                [(batch[index][0].owner_id, batch[index][1].recipient) for index in asked],
                [part for _, part in seen],
                topics=topics if any(topics) else (),
                sketches=[sketches.get(index, b"") for index in asked] if sketches else (),
                refused=refused,
                now=now,
            )
            self.meter.stages["look-up"].add(perf_counter() - began, len(batch))
            consents = dict(zip(asked, states, strict=True))
            similar = self._similar(
                {
                    asked[at]: kept
                    for at, kept in refused.items()
                    if states[at] in REFUSALS and not commercial[asked[at]]  # a commercial one is refused as it is
                },
                batch,
            )
        refused_parts: dict[int, Cause] = {}
        unfinished: set[int] = set()
        uncounted: set[int] = set()
        if seen:
            whole, whole_kinds = self._score(judging.scorer, [text_so_far(known.parts) for known in known_parts])
            for (index, _), known, score, kind in zip(seen, known_parts, whole, whole_kinds, strict=True):
                sender = senders[index]
                scores[index], kinds[index] = score, kind
                commercial[index] = sender is not None and score >= thresholds[sender.purpose]
                if known.refused is not None:
                    refused_parts[index] = known.refused
                if not known.counts:
                    uncounted.add(index)
                batch[index][1].text = text_so_far(known.parts)
                part = batch[index][1].part
                if part is not None and len(known.parts) < part.total:
                    unfinished.add(index)
        if GREETING_KIND in kinds:
            self.meter.greetings += sum(
                kind == GREETING_KIND and sender is not None and sender.purpose == PERSON
                for kind, sender in zip(kinds, senders, strict=True)
            )
        requests = self._requests(batch, senders, commercial, consents)
        clearing = None if self.whitelist.empty else self.whitelist.clearing
        clustered = self._clustered(batch, senders, now) if self.whitelist.clustered else {}
        facts = []
        for index, (origin, message, _) in enumerate(batch):
            sender = senders[index]
            facts.append(
                Facts(
                    origin.owner,
                    sender,
                    scores[index],
                    commercial[index],
                    consents.get(index, ConsentState.NONE),
                    clearing(origin.owner, sender.address, message.recipient, now)
                    if clearing is not None and sender is not None
                    else None,
                    refused_parts.get(index),
                )
            )
        if self.declines is not None:
            for index, declined in (await self._declined(facts, batch, now)).items():
                facts[index].declined = declined
        # What is true of few messages is added to those.
        for index in requests:
            facts[index].request = facts[index].commercial = True
        for index in similar:
            facts[index].similar = True
        for index in unfinished:
            facts[index].whole = False
        for index, entry in clustered.items():
            facts[index].cleared = facts[index].cleared or entry
        for index in uncounted:
            facts[index].counts = False
        if self.rules.contacts is not None:
            if len(self._contacts) > MOST_CONTACTS:
                self._contacts.clear()
            contacts_of = self._contacts.get
            purposes = self.rules.contacts.purposes
            for sender, known_facts in zip(senders, facts, strict=True):
                if sender is not None and sender.purpose in purposes:
                    known_facts.contacts = contacts_of(sender.address)
        if self.rules.template is not None:
            for (origin, _, _), known_facts in zip(batch, facts, strict=True):
                known_facts.parameters = origin.parameters
        if self.people is not None:
            await self.people.weigh([message for _, message, _ in batch], facts, now)
        return facts, kinds, seen

    async def _declined(self, facts: Sequence[Facts], batch: list[Arrival], now: float) -> dict[int, str]:
        """What recipients decline that these messages would be; asked of commercial text alone.

        Raises:
            StoreUnavailable: the store did not answer.
        """
        assert self.declines is not None
        asked = [index for index, known in enumerate(facts) if known.commercial and batch[index][1].recipient]
        if not asked:
            return {}
        try:
            wishes = await self.declines.wishes([batch[index][1].recipient for index in asked])
        except (RedisError, TimeoutError, OSError) as error:
            raise StoreUnavailable(f"the register of declines does not answer: {error}") from error
        declined: dict[int, str] = {}
        for index, wish in zip(asked, wishes, strict=True):
            if wish is None:
                continue
            sender = facts[index].sender
            topic = sender.topic if sender is not None else None
            # A topic that is called as a category is one.
            for minute in self.rules.zones.minutes_at(batch[index][1].recipient, now):
                if clause := wish.declines("sms", topic, minute):
                    declined[index] = str(make_wish((clause,)))
        return declined

    def _sketches(self, wanted: list[int], batch: list[Arrival]) -> dict[int, bytes]:
        """The sketch of each text of ``wanted``; of a part, of what it carries itself."""
        remembered = self._remembered_sketches
        texts = {index: batch[index][1].text for index in wanted}
        # A campaign is one text to many.
        new = list({text for text in texts.values() if text not in remembered})
        if new:
            if len(remembered) > MAX_SKETCHES:
                remembered.clear()
                new = list(set(texts.values()))
            remembered.update(zip(new, sketch(new), strict=True))
        return {index: remembered[text] for index, text in texts.items()}

    def _clustered(self, batch: list[Arrival], senders: list[Sender | None], now: float) -> dict[int, WhitelistEntry]:
        """The entries that speak for texts by what they say; looked for where the owner has such entries."""
        whitelist = self.whitelist
        wanted = [
            index
            for index, (origin, _, _) in enumerate(batch)
            if origin.owner in whitelist.clustered and senders[index] is not None
        ]
        found = {}
        for index, text_sketch in self._sketches(wanted, batch).items():
            sender = senders[index]
            assert sender is not None
            entry = whitelist.clearing_text(batch[index][0].owner, sender.address, text_sketch, now)
            if entry is not None:
                found[index] = entry
        return found

    def _similar(self, kept: dict[int, bytes], batch: list[Arrival]) -> set[int]:
        """Which texts are like one that came before the recipient refused; ``kept`` has the sketches of those."""
        sketches = self._sketches(list(kept), batch)
        return {index for index, texts in kept.items() if alike(sketches[index], texts)}

    def _requests(
        self,
        batch: list[Arrival],
        senders: list[Sender | None],
        commercial: list[bool],
        consents: dict[int, ConsentState],
    ) -> set[int]:
        """Which texts ask for consent; looked for where there is none to have or to lose."""
        asks_for_consent = self.rules.wording.asks_for_consent
        found = set()
        for index, state in consents.items():
            if state is ConsentState.GRANTED or state in REFUSALS:
                continue
            origin, message, _ = batch[index]
            sender = senders[index]
            if sender is None or not (commercial[index] or sender.purpose == "commercial"):
                continue
            tag = origin.parameters.consent_request_tag
            if (tag and tag in message.tlvs) or asks_for_consent(message.text):
                found.add(index)
        return found

    def _score(self, scorer: Scorer, texts: list[str]) -> tuple[list[float], list[int]]:
        """Score and kind of each text; one that came before, as those of a campaign do, is not scored again."""
        began = perf_counter()
        if scorer is not self._scored_by or self._remembered_characters > MAX_SCORED_CHARACTERS:
            self._remembered_scores.clear()
            self._remembered_characters, self._scored_by = 0, scorer
        remembered = self._remembered_scores
        found = list(map(remembered.get, texts))
        if None in found:
            new = list({text: None for text, known in zip(texts, found, strict=True) if known is None})
            scores = scorer.score(new)
            remembered.update(zip(new, zip(scores.score.tolist(), scores.kind.tolist(), strict=True), strict=True))
            self._remembered_characters += sum(map(len, new))
            found = [remembered[text] for text in texts]
        self.meter.stages["score"].add(perf_counter() - began, len(texts))
        pairs = cast(list[tuple[float, int]], found)
        return [score for score, _ in pairs], [kind for _, kind in pairs]

    @staticmethod
    def _part_seen(sender: Sender | None, message: Message) -> PartSeen:
        assert message.part is not None
        address = sender.address if sender is not None else message.source.decode("latin-1")
        return PartSeen(address, message.recipient, message.part, message.data_coding, message.payload)

    def _header(self, judging: Judging, now: float) -> BatchHeader:
        return {
            "at": now,
            "model": judging.scorer.model_id,
            "profile": judging.rules.profile,
            "mode": self._mode,
            "worker": self.ids.worker,
        }

    def _rows(
        self,
        number: int,
        batch: list[Arrival],
        verdicts: list[Verdict],
        facts: Sequence[Facts],
        kinds: Sequence[int],
    ) -> list[list[object]]:
        """The decision records of a batch, see ``policy.record``; the first has ``number``."""
        statuses = self._statuses
        rows: list[list[object]] = []
        for (origin, message, _), verdict, known, kind in zip(batch, verdicts, facts, kinds, strict=True):
            sender = known.sender
            cause = verdict.cause
            part = message.part
            rows.append(
                [
                    number,
                    origin.system_id,
                    origin.owner,
                    sender.address if sender is not None else message.source.decode("latin-1"),
                    message.recipient,
                    sender.purpose if sender is not None else "",
                    cause.value if cause is not None else "",
                    statuses[cause] if cause is not None else 0,
                    int(known.score * 10_000) if known.score >= 0 else -1,
                    KINDS[kind],
                    f"{part.reference}:{part.number}/{part.total}" if part is not None else "",
                    message.data_coding,
                    # Judged with the text of all parts so far; on record with what it carries itself.
                    message.text if part is None else decode_text(message.payload, message.data_coding),
                    [_finding_row(finding) for finding in verdict.findings] if verdict.findings else 0,
                ]
            )
            number += 1
        if self.seal_text is not None:
            for row in rows:
                row[TEXT] = self.seal_text(cast(str, row[TEXT]))
        return rows

    def _refuse_all(
        self, batch: list[Arrival], judging: Judging, first_id: int, now: float
    ) -> tuple[list[Verdict], list[list[object]], list[Charge | None]]:
        """Refuse a batch that the store did not take; its records wait on disk until it is back."""
        find = self.registry.find
        facts = [
            Facts(origin.owner, find(origin.owner, message.source, message.source_ton), NO_TEXT, False)
            for origin, message, _ in batch
        ]
        verdicts = [STORE_DOWN] * len(batch)
        kinds = self._score(judging.scorer, [message.text for _, message, _ in batch])[1]
        rows = self._rows(first_id, batch, verdicts, facts, kinds)
        self._spool(self._header(judging, now), rows)
        return verdicts, rows, [None] * len(batch)

    def _forward(
        self,
        batch: list[Arrival],
        verdicts: Sequence[Verdict],
        rows: Sequence[list[Any]],
        charges: Sequence[Charge | None],
        spent_at_ms: int,
    ) -> None:
        """Send on what may go, in the order in which it came, and refuse the rest."""
        statuses = self._statuses
        observe = self._observe
        meter = self.meter
        multi: Multi | None = None
        for index, (origin, message, its_multi) in enumerate(batch):
            if its_multi is not None:
                if its_multi is not multi:
                    multi = its_multi
                    self._forward_multi(batch, index, verdicts, rows, charges, spent_at_ms)
                continue
            cause = verdicts[index].cause
            if cause is not None:
                meter.refuse(cause, greeting=rows[index][KIND] == GREETING and rows[index][PURPOSE] == PERSON)
                if not observe or cause in TROUBLES:
                    origin.refuse(message.pdu, statuses[cause])
                    continue
            pdu = message.pdu
            origin.forward(pdu, pdu, Track(rows[index][0], charges[index], spent_at_ms, message))

    def _forward_multi(
        self,
        batch: list[Arrival],
        first: int,
        verdicts: Sequence[Verdict],
        rows: Sequence[list[Any]],
        charges: Sequence[Charge | None],
        spent_at_ms: int,
    ) -> None:
        """The same for the destinations of one submit_multi, which begin at ``first``."""
        origin, _, multi = batch[first]
        assert multi is not None
        kept, refused = [], []
        for at, message in enumerate(multi.messages):
            index = first + at
            cause = verdicts[index].cause
            if cause is not None:
                row = rows[index]
                self.meter.refuse(cause, greeting=row[KIND] == GREETING and row[PURPOSE] == PERSON)
            if cause is None or (self._observe and cause not in TROUBLES):
                kept.append((at, Track(rows[index][0], charges[index], spent_at_ms, message)))
            else:
                refused.append((at, self._statuses[cause]))
        tracked = MultiTrack(multi, kept, refused)
        if kept:
            origin.forward(multi.only([at for at, _ in kept]), multi.pdu, tracked)
        else:
            origin.refuse_multi(tracked)

    # What the SMSC answers.

    def never_left(self, tracked: Track | MultiTrack | None) -> None:
        """An admitted message found no way to the SMSC: whoever it asked for consent was not asked."""
        if isinstance(tracked, Track):
            self.requests.settle(tracked.decision_id, sent=False)
        elif isinstance(tracked, MultiTrack):
            for _, track in tracked.kept:
                self.requests.settle(track.decision_id, sent=False)

    def status_of(self, cause: Cause) -> int:
        """The command_status a provider sees for ``cause``."""
        return self._statuses[cause]

    def answered(self, answers: Sequence[tuple[Track, int, str]], seconds: float | None = None) -> None:
        """The SMSC answered admitted messages: put that on record, give back what it did not take.

        ``answers`` holds what was tracked, the command_status and the message_id; ``seconds`` is how long the last of
        them took, where it is known.
        """
        if seconds is not None:
            self.meter.stages["upstream"].add(seconds, len(answers))
        at_ms = int(self._clock() * 1000)
        self._outcomes += [(track.decision_id, at_ms, status, message_id) for track, status, message_id in answers]
        settle = None if self.requests.none_under_way else self.requests.settle
        for track, status, _ in answers:
            if settle is not None:
                settle(track.decision_id, not status)
            if status:
                counts = self.meter.smsc_refused
                counts[status] = counts.get(status, 0) + 1
                if track.charged is not None:
                    key = GiveBack(track.charged, track.spent_at_ms)
                    self._give_back[key] = self._give_back.get(key, 0) + 1
        if len(self._outcomes) >= MAX_OUTCOMES:
            if self._outcome_timer is not None:
                self._outcome_timer.cancel()
            self._record_outcomes()
        elif self._outcome_timer is None:
            self._outcome_timer = self._loop.call_later(self._outcome_seconds, self._record_outcomes)

    def unanswered(self, track: Track, cause: Cause) -> None:
        """The SMSC never answered. It may have taken the message, so nothing is given back."""
        self.requests.settle(track.decision_id, sent=True)
        self.answered([(Track(track.decision_id, None, 0, track.message), self._statuses[cause], "")])

    def _record_outcomes(self) -> None:
        self._outcome_timer = None
        if self._outcome_task is None and self._outcomes:
            self._outcome_task = self._loop.create_task(self._settle_outcomes())

    async def _settle_outcomes(self) -> None:
        outcomes, self._outcomes = self._outcomes, []
        give_back, self._give_back = self._give_back, {}
        try:
            await self.ledger.settle(outcomes, give_back)
        except StoreUnavailable as error:
            # What was decided is on record; only what the SMSC said of it is not.
            self.outcomes_lost += len(outcomes)
            log.error("outcomes-lost", detail=str(error), messages=len(outcomes))
        finally:
            self._outcome_task = None
            if self._outcomes and self._outcome_timer is None:
                self._outcome_timer = self._loop.call_later(self._outcome_seconds, self._record_outcomes)


def _count_sentence(messages: int) -> str:
    return f"stands for {messages} refusals of this sender alike within {WINDOW_SECONDS:g} s"


def _finding_row(finding: Finding) -> list[str]:
    return [
        finding.check,
        finding.cause.value if finding.cause is not None else "",
        finding.sentence,
        finding.article,
    ]
