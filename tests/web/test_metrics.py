"""What ``/metrics`` tells, whom, and that the figures are those of what was sent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2 as httpx
import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from smsc_filter.classifier.drift import BINS, DRIFTED, STABLE
from smsc_filter.classifier.manifest import PURPOSES
from smsc_filter.policy.verdict import Cause
from smsc_filter.state.figures import KEY, STAGES, STALE_SECONDS, Meter, field
from smsc_filter.state.scores import Spread, add_scores, day_of
from smsc_filter.web.metrics import METRICS
from tests.classifier.models import variant
from tests.conftest import Connect, StartRelay
from tests.relay.harness import ADVERTISEMENT, CODE, PEOPLE, PERSON, SHOP, SHOP_SENDER, WISH, Smsc, wait_until
from tests.web.conftest import NOW, World
from tests.web.test_service import browser

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(text: str) -> Samples:
    """Every sample by its name and labels."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def total(found: Samples, name: str, **labels: str) -> float:
    """The sum of the samples of a name that have these labels."""
    return sum(value for (its, has), value in found.items() if its == name and has.issuperset(labels.items()))


@contextmanager
def scraping(world: World, address: str = "10.1.2.3") -> Iterator[TestClient]:
    """A client that comes from ``address``, beside the world's own, which has the loop."""
    client = TestClient(world.client.app, client=(address, 1), raise_server_exceptions=False)
    client.portal = world.client.portal
    yield client


def told(world: World) -> Samples:
    with scraping(world) as client:
        answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return samples(answer.text)


def test_what_workers_told_is_summed_up_by_worker(world: World) -> None:
    for number in (0, 1):
        meter = Meter()
        meter.messages = 10 + number
        meter.batches.add(4)
        meter.stages["score"].add(0.0002, 4)
        meter.greetings = 100
        meter.refuse(Cause.QUOTA_SPENT, greeting=number == 0)
        meter.refuse(Cause.NO_CONSENT, greeting=False)
        told_last = meter.tell(NOW, waiting_messages=3, outcomes_lost=0, binds={"shop": [2, 1]})
        world.store.hset(KEY, field(world.context.machine, number), told_last)
    stale = Meter().tell(NOW - STALE_SECONDS, waiting_messages=0, outcomes_lost=0, binds={})
    world.store.hset(KEY, field(world.context.machine, 2), stale)
    world.store.hset(KEY, field("another", 0), Meter().tell(NOW, waiting_messages=0, outcomes_lost=0, binds={}))
    found = told(world)
    assert total(found, "smsc_filter_messages_total") == 21
    assert total(found, "smsc_filter_messages_total", worker="1") == 11
    assert total(found, "smsc_filter_worker_up") == 2
    assert total(found, "smsc_filter_refused_total", cause="no-consent") == 2
    assert total(found, "smsc_filter_stage_seconds_bucket", stage="score", le="0.0001") == 0
    assert total(found, "smsc_filter_stage_seconds_bucket", stage="score", le="0.00025") == 8
    assert total(found, "smsc_filter_stage_seconds_count", stage="score") == 8
    assert total(found, "smsc_filter_stage_seconds_sum", stage="score") == pytest.approx(0.0016)
    assert total(found, "smsc_filter_batch_messages_count") == 2
    assert total(found, "smsc_filter_greetings_refused_total") == 1
    assert total(found, "smsc_filter_greeting_false_block_ratio") == 0.005
    assert total(found, "smsc_filter_greeting_false_block_target") == 0.001
    assert (total(found, "smsc_filter_binds"), total(found, "smsc_filter_smsc_binds")) == (4, 2)


def test_how_far_the_recorder_is_behind(world: World) -> None:
    found = told(world)
    assert total(found, "smsc_filter_recorder_lag_seconds") == 0
    world.store.xadd("{p0}decisions", {"b": "1"}, id=f"{round(NOW * 1000) - 2_500}-0")
    found = told(world)
    assert total(found, "smsc_filter_recorder_lag_seconds", partition="0") == 2.5
    assert total(found, "smsc_filter_stream_entries") == 1
    assert total(found, "smsc_filter_store_up") == 2


def test_how_far_scores_have_drifted(world: World, tmp_path: Path) -> None:
    reference = dict.fromkeys(PURPOSES, (900, *[10] * (BINS - 1)))
    world.context.models.folder = variant(tmp_path / "m", reference=reference)
    model = world.context.models.current().model_id
    assert total(told(world), "smsc_filter_scored_texts") == 0
    add_scores(world.store, day_of(NOW), {Spread(model, "person"): (90, *[1] * (BINS - 1))})
    add_scores(world.store, day_of(NOW), {Spread(model, "service"): (*[1] * (BINS - 1), 90)})
    found = told(world)
    assert total(found, "smsc_filter_scored_texts", purpose="person") == 90 + BINS - 1
    assert total(found, "smsc_filter_score_drift", purpose="person") < STABLE
    assert total(found, "smsc_filter_score_drift", purpose="service") > DRIFTED
    assert not [name for name, labels in found if "drift" in name and ("purpose", "commercial") in labels]


@pytest.mark.parametrize(
    ("address", "headers", "status"),
    [
        pytest.param("10.1.2.3", {}, 200, id="private"),
        pytest.param("::1", {}, 200, id="loopback"),
        pytest.param("203.0.113.7", {}, 404, id="public"),
        pytest.param("no address", {}, 404, id="unknown"),
        pytest.param("10.1.2.3", {"X-Forwarded-For": "10.9.9.9"}, 404, id="through a proxy"),
        pytest.param("10.1.2.3", {"Forwarded": "for=10.9.9.9"}, 404, id="through another proxy"),
    ],
)
def test_who_may_read_it(world: World, address: str, headers: dict[str, str], status: int) -> None:
    with scraping(world, address) as client:
        assert client.get("/metrics", headers=headers).status_code == status


def test_every_metric_says_what_it_is() -> None:
    for name, named in METRICS.items():
        assert name.startswith("smsc_filter_")
        assert named.help.endswith(".")


def test_messages_over_the_wire_are_counted(smsc: Smsc, start_relay: StartRelay, connect: Connect) -> None:
    relay = start_relay(smsc.port)
    shop, people = connect(relay, SHOP), connect(relay, PEOPLE)
    for _ in range(3):
        shop.submit(SHOP_SENDER, b"8613800000001", ADVERTISEMENT)
    assert shop.submit(SHOP_SENDER, b"8613800000001", CODE) == 0
    assert people.submit(PERSON, b"8613800000001", WISH) == 0

    def counted(web: httpx.Client) -> Samples | None:
        found = samples(web.get("/metrics").text)
        # A message is counted as it comes, its way upstream when the SMSC has answered: figures may be told in between.
        answered = total(found, "smsc_filter_stage_seconds_count", stage="upstream")
        return found if total(found, "smsc_filter_messages_total") == 5 and answered == 2 else None

    with browser(relay) as web:
        found = wait_until(lambda: counted(web), "the five messages are counted")
        assert total(found, "smsc_filter_refused_total", cause="no-consent") == 3
        assert total(found, "smsc_filter_refused_total") == 3
        assert total(found, "smsc_filter_greetings_total") == 1
        assert total(found, "smsc_filter_greetings_refused_total") == 0
        assert total(found, "smsc_filter_binds", system_id="shop") == 1
        assert total(found, "smsc_filter_smsc_binds") == 2
        for stage in STAGES:
            counts = {"look-up": 4, "upstream": 2}
            assert total(found, "smsc_filter_stage_seconds_count", stage=stage) == counts.get(stage, 5), stage
        readiness = web.get("/readyz").json()
        assert readiness["checks"] == {"records": "ok", "state": "ok", "relay": "ok", "disk": "ok"}
