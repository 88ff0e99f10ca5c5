"""Replies, requests and remembered texts in the hot state: what one script call changes, and what it puts on record."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest
from redis import Redis

from smsc_filter.policy.consent import ConsentStatus
from smsc_filter.policy.facts import ConsentState
from smsc_filter.policy.likeness import PLACES
from smsc_filter.state import keys
from smsc_filter.state.consents import DOUBTFUL_REPLY, REPLY, Consents, Reply, Request
from tests.state.conftest import OpenLedger

RECIPIENT, OTHER = "8613800000001", "alpha"
OWNER = 7
NOW = 1_767_225_600.0
NOW_MS = int(NOW * 1000)
DAY_MS = 86_400_000
NONE, GRANTED, WITHDRAWN, REQUESTED, DEEMED_REFUSED, EXPIRED = (
    ConsentState.NONE,
    ConsentState.GRANTED,
    ConsentState.WITHDRAWN,
    ConsentState.REQUESTED,
    ConsentState.DEEMED_REFUSED,
    ConsentState.EXPIRED,
)


def put(client: Redis, status: ConsentStatus, topic: str | None = None, recipient: str = RECIPIENT) -> None:
    field = keys.consent_field(OWNER, recipient, topic)
    client.hset(keys.consent_key(0, field), field, keys.pack_consent(status))  # type: ignore[arg-type]


SHOP, OTHER_LINE = "106900001", "106900002"


def reply(
    kind: str,
    at_ms: int = NOW_MS,
    *,
    recipient: str = RECIPIENT,
    topics: tuple[str, ...] = (),
    to: str = SHOP,
    words: tuple[str, ...] = ("y",),
    source: str = REPLY,
) -> Reply:
    return Reply(recipient, OWNER, topics, kind, at_ms, "td to 106900001", to, words, source)


def offer(
    client: Redis, *words: str, topic: str | None = None, recipient: str = RECIPIENT, address: str = SHOP
) -> None:
    """What an open request offers, as ``ask`` leaves it."""
    field = keys.consent_field(OWNER, recipient, topic)
    client.set(keys.offers_prefix(0).encode() + field, "\0".join(("", address, *words, "")))


def request(*, topic: str | None = None, at_ms: int = NOW_MS, recipient: str = RECIPIENT) -> Request:
    return Request(
        recipient, OWNER, topic, at_ms, at_ms + 7 * DAY_MS, b"s" * PLACES, "decision X", "v1", SHOP, ("y", "同意")
    )


def events(client: Redis, partition: int = 0) -> list[list[Any]]:
    """What the stream holds of consents."""
    found: Any = client.xrange(keys.decisions_key(partition))
    return [event for _, fields in found for event in orjson.loads(fields[b"c"])]


def fresh(client: Redis, topic: str | None = None, recipient: str = RECIPIENT) -> int:
    return int(client.hget(keys.fresh_key(0), keys.consent_field(OWNER, recipient, topic)) or 0)  # type: ignore[arg-type]


class World:
    """A ledger and what writes through it, one call at a time."""

    def __init__(self, open_ledger: OpenLedger, partitions: int = 1) -> None:
        self._open, self._partitions = open_ledger, partitions

    def run(self, verb: str, *arguments: Any) -> Any:
        async def scenario() -> Any:
            async with self._open(partitions=self._partitions) as ledger:
                return await getattr(Consents(ledger, self._partitions), verb)(*arguments)

        return asyncio.run(scenario())

    def state(self, *, now: float = NOW, topic: str | None = None, recipient: str = RECIPIENT) -> ConsentState:
        return self.look_up(now=now, topic=topic, recipient=recipient)[0]

    def look_up(
        self, sketch: bytes = b"", *, now: float = NOW, topic: str | None = None, recipient: str = RECIPIENT
    ) -> tuple[ConsentState, bytes | None]:
        """The state, and what is kept of texts where the recipient has not agreed."""
        refused: dict[int, bytes] = {}

        async def scenario() -> ConsentState:
            async with self._open(partitions=self._partitions) as ledger:
                asked = [(OWNER, recipient)]
                states, _ = await ledger.look_up(asked, topics=[topic], sketches=[sketch], refused=refused, now=now)
                return states[0]

        return asyncio.run(scenario()), refused.get(0)


@pytest.fixture
def world(open_ledger: OpenLedger) -> World:
    return World(open_ledger)


@pytest.mark.parametrize("recipient", [RECIPIENT, OTHER])
@pytest.mark.parametrize("before", [None, GRANTED, REQUESTED, WITHDRAWN])
def test_a_withdrawal_binds_and_is_on_record_whatever_was_before(
    client: Redis, world: World, before: ConsentState | None, recipient: str
) -> None:
    if before is not None:
        put(client, ConsentStatus(before, 0), recipient=recipient)
    assert world.run("reply", [reply("withdrawn", recipient=recipient)]) == [before is not WITHDRAWN]
    assert world.state(recipient=recipient) is WITHDRAWN
    assert events(client) == [
        [recipient, OWNER, "withdrawn", NOW_MS, NOW_MS, None, "reply", "td to 106900001", ""],
    ]
    assert fresh(client, recipient=recipient) == NOW_MS


@pytest.mark.parametrize(
    ("before", "grants"),
    [
        pytest.param(ConsentStatus(REQUESTED, 0, NOW_MS + DAY_MS), True, id="open"),
        pytest.param(ConsentStatus(REQUESTED, 0), True, id="open-without-end"),
        pytest.param(ConsentStatus(REQUESTED, 0, NOW_MS - 1000), False, id="too-late"),
        pytest.param(ConsentStatus(WITHDRAWN, 0), False, id="withdrawn"),
        pytest.param(ConsentStatus(ConsentState.REFUSED, 0), False, id="refused"),
        pytest.param(ConsentStatus(GRANTED, 0), False, id="granted-before"),
        pytest.param(None, False, id="never-asked"),
    ],
)
def test_a_yes_counts_for_an_open_request_only(
    client: Redis, world: World, before: ConsentStatus | None, grants: bool
) -> None:
    if before is not None:
        put(client, before)
    offer(client, "y", "同意")
    state = world.state()
    assert world.run("reply", [reply("granted")]) == [grants]
    assert world.state() is (GRANTED if grants else state)
    assert [event[2] for event in events(client)] == (["granted"] if grants else [])


@pytest.mark.parametrize("kind", ["granted", "started"])
@pytest.mark.parametrize(("to", "words", "grants"), [
    pytest.param(SHOP, ("y",), True, id="the-word"),
    pytest.param(SHOP, ("ok", "同意"), True, id="one-of-the-words"),
    pytest.param(SHOP, ("ok",), False, id="another-word"),
    pytest.param(SHOP, (), False, id="no-word"),
    pytest.param(SHOP, ("",), False, id="an-empty-word"),
    pytest.param(OTHER_LINE, ("y",), False, id="another-address"),
    pytest.param("", ("y",), False, id="no-address"),
    pytest.param(SHOP[:-1], ("y",), False, id="a-shorter-address"),
    pytest.param(SHOP, ("意",), False, id="part-of-a-word"),
])  # fmt: skip
def test_a_yes_answers_the_request_of_that_address_in_a_word_it_offered(
    world: World, kind: str, to: str, words: tuple[str, ...], grants: bool
) -> None:
    world.run("ask", [request()], NOW)
    assert world.run("reply", [reply(kind, NOW_MS + 1, to=to, words=words)]) == [grants]
    assert world.state() is (GRANTED if grants else REQUESTED)


@pytest.mark.parametrize(("before", "lifts"), [
    pytest.param(ConsentStatus(WITHDRAWN, 0), True, id="withdrawn"),
    pytest.param(ConsentStatus(ConsentState.REFUSED, 0), True, id="refused"),
    pytest.param(ConsentStatus(DEEMED_REFUSED, 0), False, id="silence"),
    pytest.param(ConsentStatus(EXPIRED, 0), False, id="run-out"),
    pytest.param(ConsentStatus(GRANTED, 0), False, id="granted-before"),
    pytest.param(None, False, id="nothing-to-lift"),
])  # fmt: skip
def test_a_start_lifts_what_the_subscriber_withdrew(
    client: Redis, world: World, before: ConsentStatus | None, lifts: bool
) -> None:
    if before is not None:
        put(client, before)
        put(client, before, "wine")
    state = world.state()
    assert world.run("reply", [reply("started", topics=("wine",), words=("start",))]) == [lifts]
    for topic in (None, "wine"):
        assert world.state(topic=topic) is (GRANTED if lifts else state if topic is None or before else NONE)
    recorded = [[RECIPIENT, OWNER, "granted", NOW_MS, NOW_MS, None, "reply", "td to 106900001", ""]]
    assert events(client) == (recorded if lifts else [])


def test_a_doubtful_withdrawal_is_marked_on_record(client: Redis, world: World) -> None:
    world.run("reply", [reply("withdrawn", source=DOUBTFUL_REPLY)])
    assert world.state() is WITHDRAWN
    assert [event[6] for event in events(client)] == ["reply-doubtful"]


def test_something_is_done_once_in_a_while(client: Redis, world: World) -> None:
    assert [world.run("first_time", "help:106900001", RECIPIENT, 60) for _ in range(2)] == [True, False]
    assert world.run("first_time", "help:106900001", OTHER, 60)
    assert world.run("first_time", "help:106900002", RECIPIENT, 60)


def test_a_withdrawal_spans_every_topic_and_a_yes_the_one_asked_about(client: Redis, world: World) -> None:
    put(client, ConsentStatus(REQUESTED, 0, NOW_MS + DAY_MS), "wine")
    offer(client, "y", topic="wine")
    assert world.run("reply", [reply("granted", topics=("books", "wine"))]) == [True]
    assert world.state(topic="wine") is GRANTED
    assert world.state(topic="books") is world.state() is NONE
    assert events(client)[0][5] == "wine"
    assert world.run("reply", [reply("withdrawn", NOW_MS + 1, topics=("books", "wine"))]) == [True]
    for topic in (None, "wine", "books"):
        assert world.state(topic=topic) is WITHDRAWN
    assert [event[2:6:3] for event in events(client)[1:]] == [["withdrawn", None]]


def test_a_consent_to_the_topic_has_the_last_word(client: Redis, world: World) -> None:
    put(client, ConsentStatus(GRANTED, 0))
    assert world.state(topic="wine") is GRANTED
    put(client, ConsentStatus(WITHDRAWN, 0), "wine")
    assert world.state(topic="wine") is WITHDRAWN
    assert world.state() is GRANTED


def test_what_comes_later_is_later_on_record_though_clocks_differ(client: Redis, world: World) -> None:
    put(client, ConsentStatus(REQUESTED, 0))
    offer(client, "y")
    world.run("reply", [reply("granted", NOW_MS + 500)])
    world.run("reply", [reply("withdrawn", NOW_MS)])
    granted, withdrawn = events(client)
    assert withdrawn[3] == granted[3] + 1
    assert fresh(client) == withdrawn[3]


def test_replies_of_a_batch_are_taken_in_order_and_go_into_one_entry(client: Redis, world: World) -> None:
    put(client, ConsentStatus(REQUESTED, 0))
    offer(client, "y")
    batch = [
        reply("granted"),
        reply("withdrawn", NOW_MS + 5),
        reply("granted", NOW_MS + 9),
        reply("withdrawn", recipient=OTHER),
    ]
    assert world.run("reply", batch) == [True, True, False, True]
    assert client.xlen(keys.decisions_key(0)) == 1
    assert [event[2] for event in events(client)] == ["granted", "withdrawn", "withdrawn"]


def test_every_partition_has_its_own(client: Redis, open_ledger: OpenLedger) -> None:
    world = World(open_ledger, partitions=4)
    recipients = [f"86138000000{number:02d}" for number in range(20)]
    assert world.run("reply", [reply("withdrawn", recipient=each) for each in recipients]) == [True] * 20
    assert all(world.state(recipient=each) is WITHDRAWN for each in recipients)
    for partition in range(4):
        for event in events(client, partition):
            assert keys.partition_of(event[0], 4) == partition


def test_a_recipient_is_asked_once(client: Redis, world: World) -> None:
    assert world.run("ask", [request(), request()], NOW) == [True, False]
    assert world.run("ask", [request()], NOW) == [False]
    assert world.state() is REQUESTED
    assert world.state(now=NOW + 7 * 86_400) is DEEMED_REFUSED
    assert world.run("ask", [request(at_ms=NOW_MS + 8 * DAY_MS)], NOW + 8 * 86_400) == [False], "silence was an answer"
    assert world.run("ask", [request(topic="wine")], NOW) == [True], "another topic is another question"
    assert events(client) == [], "on record once the SMSC has taken it"


@pytest.mark.parametrize(
    ("before", "may"),
    [
        pytest.param(ConsentStatus(GRANTED, 0, NOW_MS), True, id="expired"),
        pytest.param(ConsentStatus(GRANTED, 0, NOW_MS + 5_000), False, id="granted-for-a-while"),
        pytest.param(ConsentStatus(GRANTED, 0), False, id="granted"),
        pytest.param(ConsentStatus(WITHDRAWN, 0), False, id="withdrawn"),
        pytest.param(ConsentStatus(EXPIRED, 0), True, id="noted-as-expired"),
    ],
)
def test_who_has_answered_is_not_asked(client: Redis, world: World, before: ConsentStatus, may: bool) -> None:
    put(client, before)
    assert world.run("ask", [request()], NOW) == [may]


def test_a_request_goes_on_record_when_it_was_sent(client: Redis, world: World) -> None:
    world.run("ask", [request()], NOW)
    world.run("asked", [(request(), True)])
    assert events(client) == [[RECIPIENT, OWNER, "requested", NOW_MS, NOW_MS, None, "request", "decision X", "v1"]]
    assert fresh(client) == NOW_MS
    assert world.state() is REQUESTED


def test_a_request_that_was_not_sent_is_taken_back(client: Redis, world: World) -> None:
    world.run("ask", [request()], NOW)
    world.run("asked", [(request(), False)])
    assert events(client) == []
    assert world.state() is NONE
    assert world.run("ask", [request()], NOW) == [True]


def test_an_answer_that_is_quicker_than_the_smsc_stays(client: Redis, world: World) -> None:
    world.run("ask", [request()], NOW)
    world.run("reply", [reply("withdrawn", NOW_MS + 1)])
    world.run("asked", [(request(), True)])
    assert world.state() is WITHDRAWN
    assert fresh(client) == NOW_MS + 1
    assert [event[2:4] for event in events(client)] == [["withdrawn", NOW_MS + 1], ["requested", NOW_MS]]


def seconds(later: int) -> bytes:
    return (int(NOW) + later).to_bytes(4, "big")


ONE, TWO = b"1" * PLACES, b"2" * PLACES


def test_texts_are_remembered_where_there_is_a_consent_to_lose(client: Redis, world: World) -> None:
    assert world.look_up(ONE) == (NONE, None)
    assert not client.keys("{p0}f*"), "most traffic costs nothing"
    put(client, ConsentStatus(GRANTED, 0))
    assert world.look_up(ONE) == (GRANTED, None)
    assert world.look_up(TWO) == (GRANTED, None)
    assert world.look_up(ONE) == (GRANTED, None)
    world.run("reply", [reply("withdrawn")])
    assert world.look_up() == (WITHDRAWN, TWO + ONE)


def test_what_was_refused_is_kept_for_good_and_what_was_not_for_a_while(client: Redis, world: World) -> None:
    put(client, ConsentStatus(GRANTED, 0))
    world.look_up(ONE)
    name = keys.sketches_prefix(0).encode() + keys.consent_field(OWNER, RECIPIENT)
    assert 29 * DAY_MS < client.pttl(name) <= 30 * DAY_MS  # type: ignore[operator]
    world.run("reply", [reply("withdrawn")])
    assert client.pttl(name) == -1


def test_a_refusal_from_elsewhere_keeps_texts_once_it_is_met(client: Redis, world: World) -> None:
    put(client, ConsentStatus(GRANTED, 0))
    world.look_up(ONE)
    put(client, ConsentStatus(ConsentState.REFUSED, 0))
    assert world.look_up() == (ConsentState.REFUSED, ONE)
    assert client.pttl(keys.sketches_prefix(0).encode() + keys.consent_field(OWNER, RECIPIENT)) == -1


def test_the_last_few_texts_are_remembered(client: Redis, world: World) -> None:
    put(client, ConsentStatus(GRANTED, 0))
    sketches = [bytes((number,)) * PLACES for number in range(1, 8)]
    for each in sketches:
        world.look_up(each)
    world.run("reply", [reply("withdrawn")])
    assert world.look_up()[1] == b"".join(reversed(sketches[-4:]))


@pytest.mark.parametrize(
    ("value", "state"),
    [
        (b"1", GRANTED), (b"1" + seconds(1), GRANTED), (b"1" + seconds(0), EXPIRED),
        (b"4" + seconds(0), DEEMED_REFUSED), (b"3", WITHDRAWN), (b"", NONE), (b"9", NONE), (b"12", NONE),
        (b"1\0\0\0", NONE), (b"3" + seconds(0), NONE), (b"granted", NONE),
    ],
)  # fmt: skip
def test_values_are_read_strictly(client: Redis, world: World, value: bytes, state: ConsentState) -> None:
    field = keys.consent_field(OWNER, RECIPIENT)
    client.hset(keys.consent_key(0, field), field, value)  # type: ignore[arg-type]
    assert world.state() is state


def test_no_two_consents_share_a_field() -> None:
    fields = {
        keys.consent_field(owner, recipient, topic)
        for owner in (1, 256)
        for recipient in ("8613800000001", "861380000000", "shop", "shop2", "0")
        for topic in (None, "", "2", "wine", "\u9152")
    }
    assert len(fields) == 2 * 5 * 5
