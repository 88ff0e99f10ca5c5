"""What the handlers work with, built once by whoever starts the application."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

import redis
import redis.asyncio
import structlog
from fastapi import Request
from sqlalchemy import Engine

from smsc_filter.policy.appeals import Terms, terms_of
from smsc_filter.records import declines as register
from smsc_filter.records import measures, whitelist
from smsc_filter.records.recent import Recent
from smsc_filter.sms.address import Numbering
from smsc_filter.state.declines import Declines, write_pages, write_wishes
from smsc_filter.state.measures import write_measures
from smsc_filter.state.projection import write_whitelist
from smsc_filter.state.room import Room, room_in
from smsc_filter.web.access import Failures
from smsc_filter.web.consents import ConsentDesk
from smsc_filter.web.console.setup import Setup
from smsc_filter.web.devices import Devices
from smsc_filter.web.jobs import JobRunner
from smsc_filter.web.models import Models
from smsc_filter.web.portal.desk import PortalDesk
from smsc_filter.web.settings import MetricsSettings, WebSettings

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """One application's world."""

    engine: Engine
    store: redis.asyncio.Redis
    """For questions."""
    writer: redis.Redis
    """For changes, which are made in threads."""
    settings: WebSettings
    metrics: MetricsSettings
    numbering: Numbering
    partitions: int
    node: int
    machine: str
    """What this installation is called where workers tell their figures."""
    clock: Callable[[], float]
    declines: Declines
    consents: ConsentDesk
    jobs: JobRunner
    failures: Failures
    models: Models
    sign_in_failures: Failures
    setup: Setup
    portal: PortalDesk
    devices: Devices
    zone: str
    """In which times are shown."""
    terms: Terms
    """Deadlines and limits of appeals and complaints."""
    owner_of: Callable[[str], str | None]
    """Whose a canonical address is."""
    recent: Recent
    """The newest decisions in figures."""
    room: Callable[[], Room]
    """How much is left on the disk of the data folder."""

    def publish_grants(self) -> None:
        """Let entries and measures on record bind at once; where the hot state is away, the recorder sees to it."""
        now = self.clock()
        try:
            write_whitelist(self.writer, whitelist.entries(self.engine, now))
            write_measures(self.writer, [record.measure for record in measures.standing(self.engine, now)])
        except redis.RedisError as error:
            log.warning("publishing-waits", error=type(error).__name__)

    def project_declines(self, tell: Callable[[int], None] = lambda pages: None) -> int:
        """Make what is on record of the decline register bind; how many pages that took.

        Raises:
            SqlUnavailable, RedisError: one side is away; what is left is done later.
        """

        def write(spelled: Mapping[int, str], pages: Mapping[int, Sequence[tuple[int, int]]]) -> None:
            write_wishes(self.writer, spelled, self.partitions)
            write_pages(self.writer, pages, self.partitions)

        return register.project(self.engine, write, tell)


def make_context(
    *,
    engine: Engine,
    store: redis.asyncio.Redis,
    writer: redis.Redis,
    settings: WebSettings,
    metrics: MetricsSettings,
    numbering: Numbering,
    partitions: int,
    node: int,
    machine: str,
    folder: Path,
    min_free_mb: float,
    timeout: float,
    reply_seconds: float,
    models: Models,
    project_consents: Callable[[], object],
    setup: Setup,
    portal: PortalDesk,
    devices: Devices,
    clock: Callable[[], float],
    owner_of: Callable[[str], str | None],
) -> Context:
    """A world.

    Args:
        engine: of the records.
        store: the hot state, for questions.
        writer: the hot state, for changes.
        settings: of the web.
        metrics: what is told of it.
        numbering: how numbers are read.
        partitions: over how many the hot state is spread.
        node: the number of this machine.
        machine: what this installation is called where workers tell their figures.
        folder: where uploads and evidence are kept, in folders of their own.
        min_free_mb: room to be left there, in MiB.
        timeout: of a question to the hot state, in seconds.
        reply_seconds: how long a consent request may wait for its answer.
        models: the classifier.
        project_consents: brings consents on record into the hot state.
        setup: what the configuration says.
        portal: the portal's part.
        devices: browsers that signed in before.
        clock: epoch seconds.
        owner_of: whose a canonical address is.
    """
    return Context(
        engine=engine,
        store=store,
        writer=writer,
        settings=settings,
        metrics=metrics,
        numbering=numbering,
        partitions=partitions,
        node=node,
        machine=machine,
        clock=clock,
        declines=Declines(store, partitions, timeout),
        consents=ConsentDesk(
            engine=engine,
            project=project_consents,
            normalise_number=numbering.msisdn,
            zone=ZoneInfo(setup.profile.zones[""][0]),
            country_code=numbering.country_code,
            owners=setup.owners,
            evidence_folder=folder / "evidence",
            reply_seconds=reply_seconds,
            clock=clock,
            _projecting=threading.Lock(),
        ),
        jobs=JobRunner(engine, node, folder / "uploads", clock),
        failures=Failures(settings.failures_a_minute),
        models=models,
        sign_in_failures=Failures(settings.sign_in_failures_a_minute),
        setup=setup,
        zone=setup.profile.zones[""][0],
        portal=portal,
        devices=devices,
        terms=terms_of(setup.profile),
        owner_of=owner_of,
        recent=Recent(engine),
        room=partial(room_in, folder, min_free_mb),
    )


def context_of(request: Request) -> Context:
    """The world of a request's application."""
    context: Context = request.app.state.context
    return context
