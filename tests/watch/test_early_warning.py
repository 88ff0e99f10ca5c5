"""End to end: a campaign is told by webhook, records, file and command line within ten seconds of its beginning."""

from __future__ import annotations

import json
import time

from tests.conftest import Connect, StartRelay
from tests.relay.harness import PEOPLE, PERSON, WISH, Smsc, wait_until
from tests.watch.receiver import Receiver

ALARM_SECONDS = 10.0
HONEYPOT = "8613800009999"
OFFERS = (
    "【云上商城】周末全场五折，满200减50，快来抢购！拒收请回复TD",
    "【云上商城】本周末全场五折优惠，满200立减50元，快来抢购吧！拒收请回复TD",
    "【云上商城】周末全场五折，满300减80，速来抢购！拒收回复TD",
)


def test_a_seeded_campaign_is_told_within_ten_seconds(smsc: Smsc, start_relay: StartRelay, connect: Connect) -> None:
    with Receiver(503) as receiver:  # the first try fails, the second comes in time
        watch = {
            "webhook_url": receiver.url, "webhook_secret": "correct horse", "honeypots": [HONEYPOT],
            "campaign_messages": 50,
        }  # fmt: skip
        relay = start_relay(smsc.port, watch=watch)
        esme = connect(relay, PEOPLE)
        for number in range(20):
            assert esme.submit(PERSON, b"86137%08d" % (number * 7919), WISH) == 0
        began = time.monotonic()
        for number in range(60):
            esme.submit(b"861390000%04d" % (number % 12), b"86138%08d" % (number * 7919), OFFERS[number % 3])
        assert esme.submit(PERSON, HONEYPOT.encode(), WISH) == 0
        kinds = ("new-campaign", "sender-rotation", "honeypot")
        wait_until(lambda: all(receiver.told(kind) for kind in kinds), f"alarms {kinds}")
        took = time.monotonic() - began
        assert took < ALARM_SECONDS
        (campaign,) = receiver.told("new-campaign")
        assert campaign["evidence"]["messages"] >= 50
        explained = relay.command("explain", campaign["evidence"]["decisions"][0])
        assert "云上商城" in explained.stdout

        listed = relay.command("alarms", "list", "--json")
        on_record = [json.loads(line) for line in listed.stdout.splitlines()]
        assert {alarm["kind"] for alarm in on_record} == set(kinds)
        in_file = [json.loads(line) for line in (relay.folder / "alarms.jsonl").read_bytes().splitlines()]
        assert {alarm["kind"] for alarm in in_file} == set(kinds)
        assert HONEYPOT not in relay.log()

        relay.stop()
        relay.start()
        esme = connect(relay, PEOPLE)
        assert esme.submit(PERSON, HONEYPOT.encode(), WISH) == 0
        counted = "select count from alarms where kind = 'honeypot'"
        wait_until(lambda: relay.records(counted) == [(2,)], "the alarm is counted, not told again, after a restart")
        assert len(receiver.told("honeypot")) == 1
