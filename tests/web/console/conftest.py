"""People who are signed in, and decisions to look at."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
import redis
import redis.asyncio
from fastapi.testclient import TestClient

from smsc_filter.policy.record import COLUMNS, id_to_text
from smsc_filter.records.audit import Actor
from smsc_filter.records.database import writing
from smsc_filter.records.decisions import insert_decisions
from smsc_filter.records.tally import count_verdicts
from smsc_filter.records.users import Role, add_user
from smsc_filter.relay.accounts import AccountSettings
from smsc_filter.service.build_web import web_context
from smsc_filter.settings import SenderSettings, Settings
from smsc_filter.state.settings import StateSettings
from smsc_filter.web.app import make_app
from smsc_filter.web.settings import WebSettings
from tests.records.helpers import new_database
from tests.web.conftest import NOW, World, valkey

__all__ = ["valkey"]

PASSWORD = "correct horse battery"
GREETING = "新年快乐！祝你和家人身体健康，万事如意"
HOSTILE = """<script>alert(1)</script>'";--%00 OR 1=1"""


@dataclass
class Person:
    """A browser with somebody in front of it."""

    client: TestClient

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.client.get(f"/console{path}", follow_redirects=False, **options)

    def post(self, path: str, csrf: str | None = None, **fields: Any) -> httpx.Response:
        token = self.csrf() if csrf is None else csrf
        return self.client.post(f"/console{path}", data={"csrf": token, **fields}, follow_redirects=False)

    def csrf(self) -> str:
        """What the forms of this session bring along."""
        return csrf_in(self.get("/account").text)


def csrf_in(page: str) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', page)
    assert found, page
    return found[1]


def settings_for(folder: Path, url: str, **web: Any) -> Settings:
    return Settings(
        data_dir=folder,
        state=StateSettings(redis_url=url, timeout=5.0),
        web=WebSettings(**web),
        accounts=(
            AccountSettings(system_id="shop", password="secret", owner="shop-ltd"),
            AccountSettings(system_id="bank", password="secret", owner="bank-ltd"),
        ),
        senders=(
            SenderSettings(address="10690*", owner="shop-ltd", purpose="commercial", day_cap=100),
            SenderSettings(address="106920001", owner="bank-ltd", purpose="service"),
            SenderSettings(address="861390000*", owner="mobile", purpose="person"),
        ),
    )


@pytest.fixture
def world(valkey: Path, tmp_path: Path) -> Iterator[World]:
    """The application with the parties of a small installation."""
    engine = new_database(tmp_path)
    writer = redis.Redis(unix_socket_path=str(valkey))
    writer.flushall()
    store = redis.asyncio.Redis(unix_socket_path=str(valkey))
    now = [NOW]
    context = web_context(settings_for(tmp_path, f"unix://{valkey}"), engine, store, writer, lambda: now[0])
    with TestClient(make_app(context), raise_server_exceptions=False) as client:
        yield World(client, engine, writer, context, now)
        assert client.portal is not None
        client.portal.call(context.declines.close)
        client.portal.call(store.aclose)
    writer.close()
    engine.dispose()


SignIn = Callable[..., Person]


@pytest.fixture
def sign_in(world: World) -> SignIn:
    """Sign somebody in: ``sign_in(Role.OPERATOR)``; a provider is of shop-ltd where no other owner is given."""

    def signed_in(role: Role, owner: str = "shop-ltd", name: str = "") -> Person:
        name = name or role.value
        add_user(
            world.engine, name=name, role=role, owner=owner if role is Role.PROVIDER else None, password=PASSWORD,
            actor=Actor("test"), now=world.now[0],
        )  # fmt: skip
        person = stranger(world)
        answer = log_in(person, name)
        assert answer.status_code == 303, answer.text
        return person

    return signed_in


def stranger(world: World, language: str = "en", address: str = "testclient") -> Person:
    """Somebody who is not signed in."""
    client = TestClient(
        world.client.app, raise_server_exceptions=False, headers={"Accept-Language": language}, client=(address, 1)
    )
    # The lifespan belongs to the client of the world.
    return Person(client)


def log_in(person: Person, name: str, password: str = PASSWORD, **fields: str) -> httpx.Response:
    form = person.get("/login")
    data = {"csrf": csrf_in(form.text), "name": name, "password": password, **fields}
    return person.client.post("/console/login", data=data, follow_redirects=False)


def decision_row(number: int, at: float = NOW, **values: Any) -> tuple[Any, ...]:
    """A row of ``decisions``; what is not given is that of a refused advertisement."""
    at_ms = round(at * 1000)
    row = {
        "id": at_ms << 20 | number, "at_ms": at_ms, "system_id": "shop", "owner": "shop-ltd", "source": "106900001",
        "recipient": "8613800000001", "purpose": "commercial", "cause": "no-consent", "command_status": 0x0410,
        "enforced": True, "score": 9731, "kind": "commercial", "part": "", "data_coding": 8,
        "text": "【云上商城】周末全场五折，快来抢购！拒收请回复TD",
        "findings": '[["content",null,"commercial text, score 0.973","Draft 2020, Art. 14"],'
        '["consent","no-consent","NONE for shop-ltd","Draft 2020, Art. 16"]]',
        "model": "default-1@2c9cb504", "profile": "cn-2020-draft", "worker": 1,
    }  # fmt: skip
    row.update(values)
    return tuple(row[column] for column in COLUMNS)


def put_decisions(world: World, *rows: tuple[Any, ...]) -> list[str]:
    """Put rows on record as the mover does; their ids as people read them."""
    with writing(world.engine) as connection:
        insert_decisions(connection, rows)
        count_verdicts(connection, rows)
    return [id_to_text(row[0]) for row in rows]
