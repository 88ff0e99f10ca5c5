"""The whole engine without the wire: what a worker judges by, on a clock that somebody else turns.

Nothing is imitated: messages go into the very ``Exchange`` that relays, which scores them, asks and spends a private
Valkey and puts its decisions in the stream; the decisions are read back from there as the recorder reads them. Only
the sockets are missing, and time is what the caller says. Messages handed over together are judged together, at one
moment, and the next ones only when those are settled, so that the same messages give the same verdicts.

Keys of the store still expire by the clock on the wall. A run is quick, so within one they outlive their time: nothing
that is judged by asks whether a key is there that should be gone.
"""

from __future__ import annotations

import asyncio
import heapq
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Self

import redis
import uvloop

from smsc_filter.classifier.scorer import Scorer
from smsc_filter.policy.festivals import Festival
from smsc_filter.policy.identity import Registry
from smsc_filter.policy.record import BatchHeader, DecisionRow, rows_from_entry
from smsc_filter.policy.rules import Profile, read_profile
from smsc_filter.policy.template import NO_PARAMETERS, Parameters
from smsc_filter.relay.exchange import MAX_BATCH, Exchange, MultiTrack, Track
from smsc_filter.service.build import jitter_key, load_rules, model_folder, store_client
from smsc_filter.settings import Settings
from smsc_filter.smpp.codec import encode_submit
from smsc_filter.smpp.constants import CommandStatus, DataCoding, Ton
from smsc_filter.smpp.pdu import Pdu
from smsc_filter.sms.message import Message
from smsc_filter.sms.udh import Part
from smsc_filter.state import keys
from smsc_filter.state.contacts import Contacts
from smsc_filter.state.embedded import EmbeddedStore
from smsc_filter.state.leases import DecisionIds
from smsc_filter.state.ledger import Ledger
from smsc_filter.state.settings import StateSettings

WORKER: Final = "engine"

NO_PDU: Final = Pdu.from_octets(encode_submit(0, b"", b"", b""))
"""What every message here claims to have come in: nothing is sent on."""

NOBODY: Final[Mapping[str, Sequence[str]]] = {}

NO_REJECTIONS: Final[Mapping[int, tuple[float, int]]] = {}


def message_of(source: str, recipient: str, text: str, part: Part | None = None) -> Message:
    """A message as the relay reads one; ``source`` and ``recipient`` canonical."""
    alphanumeric = not source.removeprefix("+").isdigit()
    ton = Ton.ALPHANUMERIC if alphanumeric else Ton.UNKNOWN
    payload = text.encode("utf-16-be", "replace")
    return Message(NO_PDU, source.encode("latin-1", "replace"), ton, recipient, DataCoding.UCS2, payload, part, text)


class Provider:
    """The account a message comes over."""

    upstream_bound = True

    def __init__(
        self, engine: Engine, system_id: str, owner: str, owner_id: int, parameters: Parameters = NO_PARAMETERS
    ) -> None:
        self._engine = engine
        self.system_id = system_id
        self.owner = owner
        self.owner_id = owner_id
        self.parameters = parameters

    def forward(self, _pdu: Pdu, _request: Pdu, tracked: Track | MultiTrack) -> None:
        """Nothing is sent on; the engine says what the SMSC answers."""
        assert isinstance(tracked, Track)
        self._engine.forwarded(tracked)

    def refuse(self, _request: Pdu, _status: int) -> None:
        """The verdict is on record."""
        self._engine.settled()

    def refuse_multi(self, tracked: MultiTrack) -> None:
        """Destinations come here one by one."""
        raise AssertionError(f"{len(tracked.refused)} destinations of a submit_multi")


class Engine:
    """Judges messages by a configuration. ``with Engine(settings) as engine``; not thread-safe.

    Raises:
        SettingsError, ProfileError, ModelError, StoreError: the configuration cannot be used.
    """

    def __init__(self, settings: Settings, profile: Profile | None = None) -> None:
        """Judge by ``settings``; ``profile`` has the caps instead of theirs."""
        self.settings = replace(settings, state=StateSettings(timeout=60.0, patience=0.0))
        self.now = 0.0
        self.profile = profile or read_profile(settings.policy.profile)
        self.scorer = Scorer.load(model_folder(settings))
        self.rules = load_rules(settings, self.scorer)
        self.registry = Registry(settings.registered(self.profile), settings.numbers)
        self.quotas = settings.quotas(self.profile, jitter_key(settings))
        self._stack = ExitStack()
        self._left = 0
        self._done: asyncio.Future[None] | None = None
        self._taken: list[Track] = []
        self._rejected: dict[int, tuple[float, int]] = {}
        """id of a message -> when the SMSC rejects it, and how."""
        self._due: list[tuple[float, int, Track, int]] = []
        self._count = 0

    def __enter__(self) -> Self:
        """Start the private store."""
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="smsc-filter-engine-")))
        store = EmbeddedStore(folder, "no")
        store.start()
        self._stack.callback(store.stop)
        self.store = redis.Redis.from_url(store.url)
        self._stack.callback(self.store.close)
        self.store.config_set("appendonly", "no")  # gone with the process anyway
        self.loop = uvloop.new_event_loop()
        self._stack.callback(self.loop.close)
        self.ledger = Ledger(store_client(self.settings, store.url), self.settings.state, WORKER)
        self._stack.callback(lambda: self.loop.run_until_complete(self.ledger.close()))
        self.exchange = Exchange(
            self.ledger,
            self.scorer,
            self.rules,
            self.registry,
            quotas=self.quotas,
            ids=DecisionIds(0),
            observe=False,
            standard_status=False,
            spool=_store_is_gone,
            loop=self.loop,
            clock=lambda: self.now,
            outcome_seconds=0.0,
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def judge(
        self,
        now: float,
        messages: Sequence[tuple[Provider, Message]],
        rejected: Mapping[int, tuple[float, int]] = NO_REJECTIONS,
    ) -> list[DecisionRow]:
        """Judge messages that come at the moment ``now`` (epoch seconds, never before an earlier one).

        Args:
            now: when they come.
            messages: any number, in the order in which they come.
            rejected: index of a message -> (when, command_status) the SMSC does not take it, if it is sent on; it takes
                all others.

        Returns:
            Their decisions, in the order given; each with an id of its own.
        """
        rows: list[DecisionRow] = []
        for first in range(0, len(messages), MAX_BATCH):
            some = messages[first : first + MAX_BATCH]
            self._rejected = {
                id(some[at - first][1]): how for at, how in rejected.items() if 0 <= at - first < len(some)
            }
            self.loop.run_until_complete(self._judge(now, some))
            rows += self._decisions()
        assert len(rows) == len(messages)
        return rows

    async def _judge(self, now: float, messages: Sequence[tuple[Provider, Message]]) -> None:
        while self._due and self._due[0][0] <= now:
            at, _, track, status = heapq.heappop(self._due)
            self.now = at
            await self._answer([(track, status, "")])
        self.now = now
        self._left = len(messages)
        self._done = self.loop.create_future()
        for provider, message in messages:
            self.exchange.take(provider, message)
        await self._done
        if self.exchange.people is not None:
            # Not by its timer, which goes by the clock on the wall.
            await self.exchange.people.remember()
        taken, self._taken = self._taken, []
        # That the SMSC took a message changes what is asked of consent, and nothing else here.
        if not self.exchange.requests.none_under_way:
            await self._answer([(track, CommandStatus.ESME_ROK, "0") for track in taken])

    async def _answer(self, answers: Sequence[tuple[Track, int, str]]) -> None:
        """Let the SMSC answer, and wait until that has changed what it changes."""
        self.exchange.answered(answers)
        while not self.exchange.idle:
            await asyncio.sleep(0)

    def acquaint(
        self,
        now: float,
        *,
        written: Mapping[str, Sequence[str]] = NOBODY,
        heard: Mapping[str, Sequence[str]] = NOBODY,
        festival: Festival | None = None,
    ) -> None:
        """Let people have written, and have been written to, at ``now``, while ``festival`` was on.

        Args:
            now: epoch seconds, before any message is judged.
            written: person -> to whom.
            heard: person -> by whom.
            festival: that was on.
        """
        if self.rules.greetings is None:
            return
        contacts = Contacts(self.ledger, self.rules.greetings.contact_days)
        if written:
            self.loop.run_until_complete(contacts.write(written, now, festival))
        if heard:
            self.loop.run_until_complete(contacts.hear(heard, now))

    def forwarded(self, track: Track) -> None:
        """A message was admitted."""
        rejection = self._rejected.get(id(track.message))
        if rejection is None:
            self._taken.append(track)
        else:
            self._count += 1
            heapq.heappush(self._due, (rejection[0], self._count, track, rejection[1]))
        self.settled()

    def settled(self) -> None:
        """A message has its verdict."""
        self._left -= 1
        if self._left == 0 and self._done is not None:
            self._done.set_result(None)

    def _decisions(self) -> list[DecisionRow]:
        """Take what is in the stream."""
        stream = keys.decisions_key(0)
        pipeline = self.store.pipeline(transaction=False)
        pipeline.xrange(stream)
        pipeline.delete(stream)
        entries: list[tuple[bytes, dict[bytes, bytes]]]
        entries, _ = pipeline.execute()
        rows: list[DecisionRow] = []
        for _, fields in entries:
            if b"b" in fields:
                rows += rows_from_entry(fields[b"b"], fields.get(b"r"))
        return rows


def _store_is_gone(_header: BatchHeader, rows: Sequence[list[Any]]) -> None:
    """What the exchange does with a batch that the store did not take."""
    raise redis.ConnectionError(f"the private store did not take {len(rows)} messages")
