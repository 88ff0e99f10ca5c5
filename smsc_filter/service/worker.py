"""A worker: one process that relays."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import secrets
import signal
import socket
import time
from collections.abc import Coroutine, Sequence
from typing import Final

import orjson
import structlog

from smsc_filter.classifier.manifest import ModelError
from smsc_filter.classifier.versions import ServedModel
from smsc_filter.policy.appeal import Whitelist
from smsc_filter.policy.identity import Registry
from smsc_filter.policy.measures import Measures
from smsc_filter.policy.quota import Quotas
from smsc_filter.policy.record import BatchHeader, pack_batch
from smsc_filter.policy.rules import ProfileError, Rules, read_profile
from smsc_filter.policy.whitelist import WhitelistEntry
from smsc_filter.records.spool import SpoolWriter
from smsc_filter.records.text_keys import TextKeyError
from smsc_filter.relay.accounts import Accounts
from smsc_filter.relay.exchange import Exchange
from smsc_filter.relay.listener import Switchboard, TlsError, server_tls
from smsc_filter.relay.notices import Login, Notices
from smsc_filter.relay.replies import Replies
from smsc_filter.service.build import (
    NO_TUNING,
    jitter_key,
    load_rules,
    make_registry,
    model_folder,
    spool_folder,
    store_client,
    text_keys,
)
from smsc_filter.service.child import (
    CLOSED,
    CONNECTION,
    FULL,
    READY,
    RELOAD,
    TAKEN,
    Control,
    Start,
    read_start,
)
from smsc_filter.service.numbers import holder_of
from smsc_filter.settings import Settings, SettingsError
from smsc_filter.state import figures
from smsc_filter.state.clock import SteadyClock
from smsc_filter.state.declines import Declines
from smsc_filter.state.leases import NumberHeldError, WorkerLease
from smsc_filter.state.ledger import BIND_SECONDS, Ledger, StoreUnavailable
from smsc_filter.state.measures import TABLE as MEASURES
from smsc_filter.state.measures import read_measures
from smsc_filter.state.notices import NoticeReader
from smsc_filter.state.room import room_in
from smsc_filter.state.rules import TABLE as RULES
from smsc_filter.state.rules import read_rules

log = structlog.get_logger()

TICK_SECONDS: Final = 0.5
"""How often timers, small tables and the backlog are looked at; a change binds within a second."""

GC_THRESHOLD: Final = 100_000
"""Objects made before the collector looks at the young ones; 700 would stop a worker thousands of times a second."""


class Worker:
    """One process that relays."""

    def __init__(
        self,
        settings: Settings,
        number: int,
        url: str,
        owners: dict[str, int],
        anchor: float,
        *,
        ledger: Ledger,
        lease: WorkerLease,
    ) -> None:
        """Build everything a worker needs; ``owners`` are the ids of owners by name, ``anchor`` that of the clock.

        ``lease`` has been had, over ``ledger``.
        """
        loop = asyncio.get_running_loop()
        self._settings = settings
        self._ledger = ledger
        self._lease = lease
        assert lease.ids is not None
        self._model = ServedModel(model_folder(settings))
        scorer = self._model.scorer
        if self._model.refused is not None:
            log.error("model-refused", detail=str(self._model.refused), serving=scorer.model_id)
        self._tuning = NO_TUNING
        rules = load_rules(settings, scorer)
        registry = make_registry(settings)
        self._spool: SpoolWriter | None = None
        self.exchange = Exchange(
            self._ledger,
            scorer,
            rules,
            registry,
            quotas=_quotas(settings),
            ids=lease.ids,
            observe=settings.policy.mode == "observe",
            standard_status=settings.policy.status_style == "standard",
            spool=self._keep_on_disk,
            loop=loop,
            clock=time.time,
            elapsed=SteadyClock(anchor).at,
        )
        self._seal_texts(settings)
        self.exchange.warm_up()
        self.board = Switchboard(
            exchange=self.exchange,
            ledger=self._ledger,
            accounts=Accounts(settings.accounts),
            owner_ids=owners,
            numbering=settings.numbers,
            listen=settings.listen,
            upstream=settings.upstream,
            timers=settings.timers,
            worker=lease.holder,
            loop=loop,
        )
        if settings.declines.sms:
            client = store_client(settings, url)
            self.exchange.declines = Declines(client, settings.state.partitions, settings.state.timeout)
        self._tls = server_tls(settings.listen)
        self._version: bytes | None = None
        self._swapping: asyncio.Task[None] | None = None
        self._rules = b""
        self._last_room = False
        self._field = figures.field(holder_of(settings), number)

    def _seal_texts(self, settings: Settings) -> None:
        """Seal what is kept of texts, where the settings say so."""
        keys = text_keys(settings)
        if keys is None or not keys.sealing:
            return

        def open_part(octets: bytes) -> bytes:
            try:
                return keys.open_octets(octets)
            except TextKeyError:
                return b""  # remembered before texts were sealed, or under a key that is gone: a part not seen

        self.exchange.seal_text = keys.seal
        self._ledger.seal_octets, self._ledger.open_octets = keys.seal_octets, open_part

    def _keep_on_disk(self, header: BatchHeader, rows: Sequence[list[object]]) -> None:
        """Keep the records of a batch that the store did not take."""
        if self._spool is None:
            self._spool = SpoolWriter(spool_folder(self._settings))
        self._spool.append({b"b": pack_batch(header, rows)})

    async def accept(self, connection: socket.socket) -> None:
        """Serve one connection."""
        connection.setblocking(False)
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            async with asyncio.timeout(self._settings.timers.session_init or None):
                await asyncio.get_running_loop().connect_accepted_socket(self.board.new_link, connection, ssl=self._tls)
        except (OSError, TimeoutError) as error:
            log.info("connection-failed", detail=str(error))
            connection.close()
            self.board.on_closed()

    async def look_after(self) -> None:
        """Timers, small tables, bind counts and the backlog, for as long as the worker lives."""
        loop = asyncio.get_running_loop()
        keep_at = 0.0
        while True:
            self.board.tick(loop.time())
            self._look_for_room()
            await self._renew()
            await self.refresh()
            if (self._swapping is None or self._swapping.done()) and self._model.changed():
                self._swapping = loop.create_task(self._swap_model())
            if loop.time() >= keep_at:
                keep_at = loop.time() + BIND_SECONDS / 3
                await self._ledger.keep_binds(self.board.held_binds(), time.time())
            await self._tell()
            backlog = await self._ledger.backlog_octets()
            self.exchange.set_backlog(self._last_room or backlog > self._settings.state.backlog_mb << 20)
            if self._spool is not None:
                # A file is taken in once it is closed; the next batch in need begins a new one.
                self._spool.close()
                self._spool = None
            await asyncio.sleep(TICK_SECONDS)

    def _look_for_room(self) -> None:
        """Let nobody new in while there is little room for decisions, and read no messages on the last of it."""
        if not self._settings.state.min_free_mb:
            return
        try:
            room = room_in(self._settings.data_dir, self._settings.state.min_free_mb)
        except OSError as error:
            self.board.no_room = f"the disk of data_dir: {error.strerror}"
        else:
            self.board.no_room, self._last_room = room.trouble, room.last

    async def _renew(self) -> None:
        """Keep the numbers of this worker and its machine; without them for long, messages are refused."""
        before = self.exchange.ids.worker
        try:
            await self._lease.renew(time.time())
        except StoreUnavailable:
            return
        except NumberHeldError as error:
            log.error("number-held", detail=f"another machine took the number of this worker or machine: {error}")
        if self.exchange.ids.worker != before:
            log.warning("worker-number", number=self.exchange.ids.worker, before=before)

    async def _tell(self) -> None:
        """Publish what was counted."""
        exchange = self.exchange
        told = exchange.meter.tell(
            time.time(),
            waiting_messages=exchange.waiting,
            outcomes_lost=exchange.outcomes_lost,
            binds=self.board.binds(),
            binds_refused=dict(self.board.passwords.binds.refused),
            alarms=self.board.alarms(),
        )
        await self._ledger.publish(figures.KEY, self._field, told)

    async def refresh(self) -> None:
        """Take over small tables that have changed."""
        self._version, tables = await self._ledger.small_tables(self._version)
        if tables is not None and b"whitelist" in tables:
            entries = [WhitelistEntry.from_dict(values) for values in orjson.loads(tables[b"whitelist"])]
            self.exchange.whitelist = Whitelist(entries)
            log.info("whitelist-refreshed", entries=len(entries))
        if tables is not None and MEASURES.encode() in tables:
            measures = read_measures(tables[MEASURES.encode()])
            self.exchange.measures = Measures(measures)
            log.info("measures-refreshed", measures=len(measures))
        if tables is not None and RULES.encode() in tables:
            self._take_rules(tables[RULES.encode()])

    def _take_rules(self, table: bytes) -> None:
        """Judge by what operators have set; what cannot be read leaves the rules as they are."""
        if table == self._rules:
            return
        self._rules = table
        try:
            tuning = read_rules(table)
            scorer = self.exchange.scorer
            self.exchange.judge_by(scorer, load_rules(self._settings, scorer, tuning))
            self.exchange.registry = make_registry(self._settings, tuning)
        except (ValueError, KeyError, SettingsError) as error:
            log.error("rules-unreadable", error=type(error).__name__)
        else:
            self._tuning = tuning
            log.info("rules-refreshed", version=tuning.version)

    async def reload(self, start: Start) -> None:
        """Judge, and let in, by other settings; binds stand, also those of accounts that are no more."""
        settings = start.settings
        try:
            rules, registry, quotas, accounts = await asyncio.to_thread(self._build, settings)
            self._tls = server_tls(settings.listen)
        except (ValueError, KeyError, OSError, ProfileError, SettingsError, TlsError) as error:
            log.error("reload-failed", error=type(error).__name__)
            return
        self._settings = settings
        self.board.owner_ids.update(start.owners)
        self.board.take_accounts(accounts)
        observe, standard = settings.policy.mode == "observe", settings.policy.status_style == "standard"
        self.exchange.reload(rules, registry, quotas, observe=observe, standard_status=standard)
        self.board.replies.judge_by(rules, registry, self.exchange.people)
        gone = [name for name in self.board.binds() if accounts.find(name) is None]
        log.info("worker-reloaded", accounts=len(settings.accounts), senders=len(settings.senders), still_bound=gone)

    def _build(self, settings: Settings) -> tuple[Rules, Registry, Quotas, Accounts]:
        """What takes long to build of ``settings``, beside the loop."""
        rules = load_rules(settings, self.exchange.scorer, self._tuning)
        return rules, make_registry(settings, self._tuning), _quotas(settings), Accounts(settings.accounts)

    async def _swap_model(self) -> None:
        """Judge by what the folder of the model holds now; the model in use stays where that is none."""
        try:
            scorer = await asyncio.to_thread(self._model.load)
            rules = load_rules(self._settings, scorer, self._tuning)
        except (ModelError, SettingsError) as error:
            log.error("model-refused", detail=str(error), serving=self.exchange.scorer.model_id)
        else:
            before = self.exchange.scorer.model_id
            self.exchange.judge_by(scorer, rules)
            log.info("model-swapped", model=scorer.model_id, before=before)

    async def close(self) -> None:
        """Answer what is in flight, unbind, and let go of the store."""
        await self.board.drain()
        if self.exchange.declines is not None:
            await self.exchange.declines.close()
        await self._ledger.close()
        if self._spool is not None:
            self._spool.close()


async def run_worker(start: Start, control: Control) -> None:
    """A worker's life: connections come over ``control``; its end is the end of the supervisor."""
    loop = asyncio.get_running_loop()
    settings = start.settings
    name = f"{settings.node}.{start.number}.{os.getpid()}.{secrets.token_hex(4)}"
    ledger = Ledger(store_client(settings, start.url), settings.state, name)
    lease = WorkerLease(ledger.call, name, settings.node, start.number, holder_of(settings))
    await _have_number(lease, start.highest_ms)
    worker = Worker(settings, start.number, start.url, dict(start.owners), start.anchor, ledger=ledger, lease=lease)
    await worker.refresh()
    stop = asyncio.Event()
    tasks: set[asyncio.Task[None]] = set()

    def begin(coroutine: Coroutine[None, None, None]) -> None:
        task = loop.create_task(coroutine)
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    def hear(message: bytes, descriptors: Sequence[int]) -> None:
        if message == RELOAD and descriptors:
            begin(worker.reload(read_start(descriptors[0])))
        elif message == CONNECTION:
            # One that this process has no descriptor left for has been dropped on its way.
            control.say(TAKEN if descriptors else FULL)
            for descriptor in descriptors:
                begin(worker.accept(socket.socket(fileno=descriptor)))

    # Messages make no reference cycles, and what was built so far stays: the collector need not look at it again.
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD, 50, 100)
    worker.board.on_closed = lambda: control.say(CLOSED)
    control.attend(hear)
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGINT, lambda: None)  # the supervisor decides
    care = loop.create_task(worker.look_after())
    notices = _send_notices(settings, start.number, start.url, worker.board.replies)
    control.say(READY)
    stopped = loop.create_task(stop.wait())
    await asyncio.wait({care, stopped}, return_when=asyncio.FIRST_COMPLETED)
    if care.done():
        care.result()
    if notices is not None:
        notices.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await notices
    await worker.close()
    care.cancel()


def _quotas(settings: Settings) -> Quotas:
    return settings.quotas(read_profile(settings.policy.profile), jitter_key(settings))


async def _have_number(lease: WorkerLease, highest_ms: int) -> None:
    """Lease a number before anything is judged; nobody is served meanwhile."""
    while True:
        try:
            await lease.renew(time.time(), highest_ms)
        except StoreUnavailable as error:
            log.error("store-unavailable", detail=f"no number for this worker: {error}")
        except NumberHeldError as error:
            log.error("number-held", detail=f"no number for this worker: {error}")
        else:
            return
        await asyncio.sleep(TICK_SECONDS)


def _send_notices(settings: Settings, number: int, url: str, replies: Replies) -> asyncio.Task[None] | None:
    """Have the first worker of a machine send our own texts, and hear what is answered, where there are to be any."""
    ours = settings.notices
    if number or not ours.system_id:
        return None

    async def run() -> None:
        client = store_client(settings, url)
        try:
            loop = asyncio.get_running_loop()
            login = Login(ours.system_id, ours.password, ours.address)
            await Notices(NoticeReader(client), login, settings.upstream, settings.timers, loop, replies=replies).run()
        finally:
            await client.aclose()

    return asyncio.get_running_loop().create_task(run())
