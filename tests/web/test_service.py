"""The real process under ``serve``: it serves beside the relay, falls and comes back, and its withdrawals bind."""

from __future__ import annotations

import hashlib
import os
import re
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import httpx2 as httpx
import pytest
from redis import Redis

from tests.conftest import Connect, StartRelay
from tests.relay.harness import (
    ADVERTISEMENT,
    CODE,
    CONSENT_REFUSED,
    NO_CONSENT,
    SHOP,
    SHOP_SENDER,
    Relay,
    Smsc,
    wait_until,
)

RECIPIENT = "8613800000001"


def web_port(relay: Relay) -> int:
    """Where its web listens."""
    found = re.search(r"web on http://[^:]+:(\d+)", relay.said())
    return int(found[1]) if found else 0


@contextmanager
def browser(relay: Relay) -> Iterator[httpx.Client]:
    port = wait_until(lambda: web_port(relay), "the web says where it is")
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=15.0) as client:
        yield client


def token(relay: Relay, *options: str) -> dict[str, str]:
    done = relay.command("token", "create", "--owner", "shop-ltd", *options)
    assert done.returncode == 0, done.stderr
    return {"Authorization": f"Bearer {done.stdout.splitlines()[0]}"}


def test_limits_by_address_count_who_comes_through_a_proxy(smsc: Smsc, start_relay: StartRelay) -> None:
    def statuses(proxies: list[str], comers: list[str]) -> list[int]:
        relay = start_relay(smsc.port, web={"failures_a_minute": 2, "proxies": proxies})
        with browser(relay) as web:
            return [
                web.get(
                    "/api/v1/imports", headers={"Authorization": "Bearer wrong", "X-Forwarded-For": comer}
                ).status_code
                for comer in comers
            ]

    comers = ["192.0.2.1", "192.0.2.1", "192.0.2.1", "192.0.2.2"]
    assert statuses(["127.0.0.1/32"], comers) == [401, 401, 429, 401]
    # What anybody may write into a header is not believed of anybody.
    assert statuses(["198.51.100.0/24"], comers) == [401, 401, 429, 429]


def test_a_grant_over_the_api_lets_pass_and_a_withdrawal_stops(relay: Relay, connect: Connect) -> None:
    esme = connect(relay, SHOP)
    to = RECIPIENT.encode()
    with browser(relay) as web:
        headers = token(relay)
        assert esme.submit(SHOP_SENDER, to, ADVERTISEMENT) == NO_CONSENT
        grant = {"recipient": RECIPIENT, "state": "granted", "source": "form"}
        assert web.post("/api/v1/consents", json=grant, headers=headers).status_code == 201
        assert esme.submit(SHOP_SENDER, to, ADVERTISEMENT) == 0
        assert web.post(f"/api/v1/consents/{RECIPIENT}/withdraw", headers=headers).status_code == 200
        assert esme.submit(SHOP_SENDER, to, ADVERTISEMENT) == CONSENT_REFUSED
        (refused,) = relay.decisions(RECIPIENT, 3)[-1:]
        page = wait_until(
            lambda: (
                found
                if len((found := web.get("/api/v1/decisions", headers=headers).json())["decisions"]) >= 3
                else None
            ),
            "the decisions are on record",
        )
        newest = page["decisions"][0]
        assert (newest["cause"], newest["recipient"]) == ("consent-refused", RECIPIENT)
        one = web.get(f"/api/v1/decisions/{newest['id']}", headers=headers).json()
        assert one["command_status"] == refused["command_status"] == CONSENT_REFUSED
        others = token(relay, "--scope", "decisions:read")
        assert web.get("/api/v1/declines/lists", headers=others).status_code == 403


def test_a_web_that_falls_comes_back_and_the_relay_does_not_notice(relay: Relay, connect: Connect) -> None:
    esme = connect(relay, SHOP)
    with browser(relay) as web:
        assert web.get("/readyz").json()["status"] == "ok"
        (before,) = relay.children("web")
        (worker,) = relay.workers
        assert os.getpriority(os.PRIO_PROCESS, before) == os.getpriority(os.PRIO_PROCESS, worker) + 5
        os.kill(before, signal.SIGKILL)
        assert esme.submit(SHOP_SENDER, b"8613800000002", CODE) == 0
        wait_until(lambda: [pid for pid in relay.children("web") if pid != before], "the web is started again")
        assert web.get("/readyz").json()["status"] == "ok"
    assert esme.submit(SHOP_SENDER, b"8613800000003", CODE) == 0


def test_the_register_is_synced_at_the_command_line_and_asked_over_the_api(relay: Relay) -> None:
    path = relay.folder / "national.csv"
    path.write_text(f"{RECIPIENT},voice:all\n", encoding="utf-8")
    refused = relay.command("decline", "sync", str(path), "--version", "1")
    assert refused.returncode == 1
    assert "sha256" in refused.stderr
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    path.with_name("national.csv.sha256").write_text(f"{digest}  national.csv\n", encoding="utf-8")
    for _ in range(2):
        done = relay.command("decline", "sync", str(path), "--version", "1")
        assert done.returncode == 0, done.stderr
    asked = {"channel": "voice", "at": "12:00"}
    with browser(relay) as web:
        headers = token(relay, "--scope", "declines:read")
        url = f"/api/v1/declines/numbers/{RECIPIENT}/check"
        assert web.get(url, params=asked, headers=headers).json()["declined"]
        wish = relay.command("decline", "wish", RECIPIENT, "sms:all@21:00-09:00")
        assert wish.returncode == 0, wish.stderr
        night = {"channel": "sms", "at": "23:00"}
        assert web.get(url, params=night, headers=headers).json()["declined"]
    shown = relay.command("decline", "show", RECIPIENT)
    assert "national" in shown.stdout
    assert "personal" in shown.stdout


def test_what_is_asked_leaves_no_number_in_the_log(relay: Relay) -> None:
    with browser(relay) as web:
        headers = token(relay)
        web.get("/api/v1/consents/8613877777777", headers=headers)
        web.get("/api/v1/consents/8613877777777/8613877777777", headers=headers)
        web.get("/api/v1/decisions", params={"recipient": "8613877777777"}, headers=headers)
    assert '"route": "/api/v1/consents/{recipient}"' in wait_until(
        lambda: log if "/api/v1/decisions" in (log := relay.log()) else None, "the requests are logged"
    )
    assert "77777777" not in relay.log()
    assert headers["Authorization"].rpartition("_")[2] not in relay.log()


def test_an_address_that_is_taken_is_told_at_the_start(smsc: Smsc, start_relay: StartRelay) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(AssertionError, match=r"web\.port = \d+"):
        start_relay(smsc.port, web={"port": taken.getsockname()[1]})


def test_rebuild_state_brings_the_register_back(relay: Relay) -> None:
    number = "8613899999999"
    assert relay.command("decline", "wish", number, "voice:all").returncode == 0
    asked = {"channel": "voice", "at": "12:00"}
    url = f"/api/v1/declines/numbers/{number}/check"
    with browser(relay) as web, Redis.from_url(f"unix://{relay.folder}/state/valkey.sock") as store:
        headers = token(relay, "--scope", "declines:read")
        for name in store.scan_iter(match="{p0}d:*"):
            store.delete(name)
        # A page of an earlier life, which the records do not know.
        store.set("{p0}d:7", bytes((0, 1, 0, 1)))
        assert not web.get(url, params=asked, headers=headers).json()["declined"]
        rebuilt = relay.command("rebuild-state")
        assert rebuilt.returncode == 0, rebuilt.stderr
        assert web.get(url, params=asked, headers=headers).json()["declined"]
        assert store.get("{p0}d:7") is None
