"""``/metrics``: what Prometheus reads.

The workers tell their counters to the hot state (``state.figures``); here they are read, with what both stores say of
themselves, and written down by ``prometheus-client``. Nothing is kept between two scrapes. The page names accounts and
rates, so it is for the networks in ``metrics.allow_from`` alone, and never for who comes through a proxy.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Any, Final, NamedTuple

import redis
from fastapi import APIRouter, Request, Response
from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector
from sqlalchemy import func, select
from starlette.concurrency import run_in_threadpool

from smsc_filter.classifier.drift import stability
from smsc_filter.classifier.manifest import PURPOSES, ModelError
from smsc_filter.records.database import reading
from smsc_filter.records.errors import SqlUnavailable
from smsc_filter.records.tables import outbox, stream_rejects
from smsc_filter.state import keys
from smsc_filter.state.figures import BATCH_SIZES, KEY, SECONDS, read_meters
from smsc_filter.state.scores import Spread, day_of, read_scores
from smsc_filter.web.context import Context, context_of
from smsc_filter.web.problems import Problem

router = APIRouter(include_in_schema=False)

ASK_SECONDS: Final = 2.0

FORWARDED: Final = ("forwarded", "x-forwarded-for", "x-real-ip")
"""Headers of a proxy: whoever it speaks for is not in the network it stands in."""


class Named(NamedTuple):
    """A metric as it is described."""

    kind: type[CounterMetricFamily] | type[GaugeMetricFamily] | type[HistogramMetricFamily]
    help: str
    labels: tuple[str, ...] = ()


METRICS: Final[dict[str, Named]] = {
    "smsc_filter_messages": Named(CounterMetricFamily, "Messages judged.", ("worker",)),
    "smsc_filter_refused": Named(
        CounterMetricFamily, "Messages refused, by cause; in observe mode those that would be.", ("worker", "cause")
    ),
    "smsc_filter_stage_seconds": Named(
        HistogramMetricFamily, "How long messages were at each stage, with the batch they went in.", ("worker", "stage")
    ),
    "smsc_filter_batch_messages": Named(HistogramMetricFamily, "Messages judged together.", ("worker",)),
    "smsc_filter_greetings": Named(
        CounterMetricFamily, "Messages of persons that the classifier takes for a wish.", ("worker",)
    ),
    "smsc_filter_greetings_refused": Named(
        CounterMetricFamily, "Those of them that were refused, by cause.", ("worker", "cause")
    ),
    "smsc_filter_greeting_false_block_ratio": Named(
        GaugeMetricFamily, "Share of the greetings that were refused, since the workers began."
    ),
    "smsc_filter_greeting_false_block_target": Named(GaugeMetricFamily, "What that share should not exceed."),
    "smsc_filter_smsc_refused": Named(
        CounterMetricFamily, "Admitted messages the SMSC did not take, by command_status.", ("worker", "status")
    ),
    "smsc_filter_waiting_messages": Named(GaugeMetricFamily, "Messages that wait to be judged.", ("worker",)),
    "smsc_filter_outcomes_lost": Named(
        CounterMetricFamily, "Answers of the SMSC that could not be put on record.", ("worker",)
    ),
    "smsc_filter_store_failures": Named(
        CounterMetricFamily, "Batches refused because the hot state was away.", ("worker",)
    ),
    "smsc_filter_binds": Named(GaugeMetricFamily, "Binds of providers.", ("worker", "system_id")),
    "smsc_filter_binds_refused": Named(
        CounterMetricFamily, "Binds of providers that were refused, by reason.", ("worker", "reason")
    ),
    "smsc_filter_smsc_binds": Named(GaugeMetricFamily, "Of these, whose SMSC side stands.", ("worker", "system_id")),
    "smsc_filter_worker_up": Named(GaugeMetricFamily, "1 for each worker that told its counters of late.", ("worker",)),
    "smsc_filter_store_up": Named(GaugeMetricFamily, "Whether a store answers.", ("store",)),
    "smsc_filter_store_answer_seconds": Named(GaugeMetricFamily, "How long its answer took just now.", ("store",)),
    "smsc_filter_stream_entries": Named(
        GaugeMetricFamily, "Batches of decisions that wait to be moved to the records.", ("partition",)
    ),
    "smsc_filter_stream_octets": Named(GaugeMetricFamily, "Memory they take.", ("partition",)),
    "smsc_filter_recorder_lag_seconds": Named(
        GaugeMetricFamily, "Age of the oldest decision that is not in the records yet.", ("partition",)
    ),
    "smsc_filter_projection_behind": Named(
        GaugeMetricFamily, "Changes of consents on record that the hot state does not have yet."
    ),
    "smsc_filter_stream_rejects": Named(GaugeMetricFamily, "Entries of the stream that nobody could read."),
    "smsc_filter_scored_texts": Named(GaugeMetricFamily, "Texts scored today (UTC), by kind of sender.", ("purpose",)),
    "smsc_filter_score_drift": Named(
        GaugeMetricFamily,
        "Population stability index of their scores against those of the promotion: 0.25 and more is drift.",
        ("purpose",),
    ),
    "smsc_filter_scrape_seconds": Named(GaugeMetricFamily, "How long it took to gather all this."),
}
"""Every metric there is; alerts and dashboards refer to no other. The library adds ``_total`` to a counter."""


class Sheet(Collector):
    """The metrics of one scrape."""

    def __init__(self) -> None:
        self._families: dict[str, Any] = {}

    def _family(self, name: str) -> Any:
        if name not in self._families:
            named = METRICS[name]
            self._families[name] = named.kind(name, named.help, labels=named.labels)
        return self._families[name]

    def put(self, name: str, value: float, *labels: str) -> None:
        """One value of a counter or a gauge."""
        self._family(name).add_metric(labels, value)

    def put_histogram(self, name: str, bounds: Sequence[float], told: Sequence[Any], *labels: str) -> None:
        """A histogram from (counts, sum), the counts one more than ``bounds``."""
        counts, total = told
        names = [*(f"{bound:g}" for bound in bounds), "+Inf"]
        self._family(name).add_metric(labels, list(zip(names, accumulate(counts), strict=True)), total)

    def collect(self) -> Iterable[Metric]:
        """What was put, in the order of the table."""
        return (self._families[name] for name in METRICS if name in self._families)


@router.get("/metrics")
async def metrics(request: Request) -> Response:
    """Everything, as text."""
    context = context_of(request)
    if not may_ask(request, context.metrics.networks):
        raise Problem(404, "not-found", "there is nothing here")
    began = time.perf_counter()
    sheet = Sheet()
    sheet.put("smsc_filter_greeting_false_block_target", context.metrics.greeting_false_block_target)
    await asyncio.gather(_state(context, sheet), _records(context, sheet), _scores(context, sheet))
    sheet.put("smsc_filter_scrape_seconds", time.perf_counter() - began)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(sheet)
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


def may_ask(request: Request, networks: Sequence[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> bool:
    """Whether a request comes from one of ``networks`` itself."""
    if request.client is None or any(name in request.headers for name in FORWARDED):
        return False
    try:
        address = ipaddress.ip_address(request.client.host)
    except ValueError:
        return False
    return any(address in network for network in networks)


async def _state(context: Context, sheet: Sheet) -> None:
    began = time.perf_counter()
    try:
        async with asyncio.timeout(ASK_SECONDS):
            fields: Any = await context.store.hgetall(KEY)
            for partition in range(context.partitions):
                await _stream(context, sheet, partition)
    except (redis.RedisError, OSError, TimeoutError):
        sheet.put("smsc_filter_store_up", 0, "state")
        return
    sheet.put("smsc_filter_store_up", 1, "state")
    sheet.put("smsc_filter_store_answer_seconds", time.perf_counter() - began, "state")
    put_workers(sheet, read_meters(fields, context.machine, context.clock()))


async def _stream(context: Context, sheet: Sheet, partition: int) -> None:
    """How far the recorder is behind: what it has moved it takes out of the stream."""
    name, label = keys.decisions_key(partition), str(partition)
    oldest: Any = await context.store.xrange(name, count=1)
    lag = 0.0
    if oldest:
        lag = max(0.0, context.clock() - int(oldest[0][0].partition(b"-")[0]) / 1000)
    sheet.put("smsc_filter_recorder_lag_seconds", lag, label)
    sheet.put("smsc_filter_stream_entries", await context.store.xlen(name), label)
    sheet.put("smsc_filter_stream_octets", await context.store.memory_usage(name) or 0, label)


def put_workers(sheet: Sheet, workers: dict[str, dict[str, Any]]) -> None:
    """What the workers told, by their number."""
    greetings = refused_greetings = 0
    for worker, told in workers.items():
        sheet.put("smsc_filter_worker_up", 1, worker)
        sheet.put("smsc_filter_messages", told["messages"], worker)
        sheet.put_histogram("smsc_filter_batch_messages", BATCH_SIZES, told["batches"], worker)
        for stage, histogram in told["stages"].items():
            sheet.put_histogram("smsc_filter_stage_seconds", SECONDS, histogram, worker, stage)
        for name, label, count in _by_label(told):
            sheet.put(name, count, worker, label)
        for name in ("waiting_messages", "outcomes_lost", "store_failures", "greetings"):
            sheet.put(f"smsc_filter_{name}", told[name], worker)
        greetings += told["greetings"]
        refused_greetings += sum(told["greetings_refused"].values())
    sheet.put("smsc_filter_greeting_false_block_ratio", refused_greetings / greetings if greetings else 0.0)


def _by_label(told: dict[str, Any]) -> Iterator[tuple[str, str, float]]:
    for name in ("refused", "greetings_refused", "smsc_refused"):
        for label, count in told[name].items():
            yield f"smsc_filter_{name}", label, count
    for reason, count in told.get("binds_refused", {}).items():
        yield "smsc_filter_binds_refused", reason, count
    for system_id, (binds, upstream) in told["binds"].items():
        yield "smsc_filter_binds", system_id, binds
        yield "smsc_filter_smsc_binds", system_id, upstream


async def _scores(context: Context, sheet: Sheet) -> None:
    """How far the scores of today lie from those the model was promoted on."""
    with contextlib.suppress(redis.RedisError, OSError, TimeoutError, ModelError):
        async with asyncio.timeout(ASK_SECONDS):
            await run_in_threadpool(_put_scores, context, sheet)


def _put_scores(context: Context, sheet: Sheet) -> None:
    manifest = context.models.current().manifest
    today = read_scores(context.writer, [day_of(context.clock())])
    for purpose in PURPOSES:
        live, reference = today.get(Spread(manifest.model_id, purpose)), manifest.reference.get(purpose)
        sheet.put("smsc_filter_scored_texts", sum(live or ()), purpose)
        if live and reference and len(live) == len(reference):
            sheet.put("smsc_filter_score_drift", stability(reference, live), purpose)


async def _records(context: Context, sheet: Sheet) -> None:
    began = time.perf_counter()
    try:
        async with asyncio.timeout(ASK_SECONDS):
            behind, rejects = await run_in_threadpool(_ask_records, context)
    except (SqlUnavailable, TimeoutError):
        sheet.put("smsc_filter_store_up", 0, "records")
        return
    sheet.put("smsc_filter_store_up", 1, "records")
    sheet.put("smsc_filter_store_answer_seconds", time.perf_counter() - began, "records")
    sheet.put("smsc_filter_projection_behind", behind)
    sheet.put("smsc_filter_stream_rejects", rejects)


def _ask_records(context: Context) -> tuple[int, int]:
    with reading(context.engine) as connection:
        behind: int = connection.execute(select(func.count()).select_from(outbox)).scalar_one()
        rejects: int = connection.execute(select(func.count()).select_from(stream_rejects)).scalar_one()
    return behind, rejects
