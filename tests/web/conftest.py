"""The real application over a real Valkey and SQLite, without a socket."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
import redis
import redis.asyncio
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from smsc_filter.records.tokens import SCOPES, create_token
from smsc_filter.relay.notices import NoticeSettings
from smsc_filter.service.build_web import web_context
from smsc_filter.settings import Settings
from smsc_filter.state.settings import StateSettings
from smsc_filter.web.app import make_app
from smsc_filter.web.context import Context
from smsc_filter.web.settings import WebSettings
from tests.records.helpers import new_database
from tests.records.valkey import running_valkey
from tests.relay.harness import wait_until

NOW = 1_767_225_600.0
"""2026-01-01 00:00 UTC."""

A, B, C = "8613800000001", "8613800000002", "8613912345678"
API = "/api/v1"


@pytest.fixture(scope="module")
def everywhere() -> dict[str, Any]:
    """Relays of these tests serve the web."""
    return {}


@dataclass
class World:
    """One application and its neighbours."""

    client: TestClient
    engine: Engine
    store: redis.Redis
    context: Context
    now: list[float] = field(default_factory=lambda: [NOW])

    def token(self, owner: str = "shop-ltd", *scopes: str, days: float = 30) -> dict[str, str]:
        """The header of a new token; of every scope where none is given."""
        made, _ = create_token(
            self.engine,
            owner=owner,
            scopes=scopes or SCOPES,
            label="test",
            days=days,
            created_by="test",
            now=self.now[0],
        )
        return {"Authorization": f"Bearer {made}"}

    def ends(self, url: str, headers: dict[str, str]) -> dict[str, Any]:
        """Wait for the end of a job."""

        def ended() -> dict[str, Any] | None:
            body: dict[str, Any] = self.client.get(url, headers=headers).json()
            return body if body["state"] in ("done", "failed") else None

        found: dict[str, Any] = wait_until(ended, f"{url} ends")
        return found


@pytest.fixture(scope="session")
def valkey() -> Iterator[Path]:
    with running_valkey() as socket:
        yield socket


def settings_for(folder: Path, url: str, notices: NoticeSettings | None = None, **web: Any) -> Settings:
    return Settings(
        data_dir=folder,
        state=StateSettings(redis_url=url, timeout=5.0),
        web=WebSettings(**web),
        notices=notices or NoticeSettings(),
    )


@pytest.fixture
def world(valkey: Path, tmp_path: Path) -> Iterator[World]:
    yield from make_world(valkey, tmp_path)


def make_world(valkey: Path, folder: Path, **web: Any) -> Iterator[World]:
    settings = settings_for(folder, f"unix://{valkey}", **web)
    engine = new_database(folder)
    writer = redis.Redis(unix_socket_path=str(valkey))
    writer.flushall()
    store = redis.asyncio.Redis(unix_socket_path=str(valkey))
    now = [NOW]
    context = web_context(settings, engine, store, writer, lambda: now[0])
    with TestClient(make_app(context), raise_server_exceptions=False) as client:
        yield World(client, engine, writer, context, now)
        assert client.portal is not None
        client.portal.call(context.declines.close)
        client.portal.call(store.aclose)
    writer.close()
    engine.dispose()


def problem(response: httpx.Response, status: int, kind: str) -> dict[str, Any]:
    """The body of an answer that has to be this problem."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert (body["type"], body["status"]) == (kind, status), body
    assert body["detail"]
    return body
