"""Who gets in: tokens, scopes, patience with wrong ones; headers and bounds of every answer."""

from __future__ import annotations

import re

import pytest
from sqlalchemy import delete

from smsc_filter.records.tables import tokens
from smsc_filter.records.tokens import SCOPES, list_tokens, revoke_token
from smsc_filter.state import figures
from smsc_filter.web.access import Failures
from smsc_filter.web.guard import HEADERS
from tests.web.conftest import API, NOW, A, World, make_world, problem

ROUTES = [
    ("POST", "/consents", "consents:write"),
    ("POST", "/consent-lookup", "consents:read"),
    ("GET", f"/consents/{A}", "consents:read"),
    ("POST", f"/consents/{A}/withdraw", "consents:write"),
    ("PUT", f"/evidence/{'0' * 64}", "consents:write"),
    ("POST", "/imports", "consents:write"),
    ("GET", "/imports", "consents:read"),
    ("PATCH", "/imports/1", "consents:write"),
    ("GET", "/imports/1", "consents:read"),
    ("GET", "/imports/1/errors", "consents:read"),
    ("GET", "/exports/consents", "consents:read"),
    ("GET", "/decisions", "decisions:read"),
    ("GET", "/decisions/01H4C9M2Q7R3T", "decisions:read"),
    ("POST", "/classify", "texts:classify"),
    ("POST", "/declines/lookup", "declines:read"),
    ("GET", "/declines/lists", "declines:read"),
    ("GET", f"/declines/numbers/{A}/check", "declines:read"),
    ("GET", f"/declines/numbers/{A}", "declines:write"),
    ("PUT", f"/declines/numbers/{A}", "declines:write"),
    ("DELETE", f"/declines/numbers/{A}", "declines:write"),
    ("POST", "/declines/sync", "declines:write"),
    ("GET", "/declines/syncs/1", "declines:write"),
    ("POST", "/appeals", "appeals:write"),
    ("GET", "/appeals", "appeals:read"),
    ("GET", "/appeals/1", "appeals:read"),
    ("POST", "/appeals/1/information", "appeals:write"),
    ("POST", "/appeals/1/withdraw", "appeals:write"),
    ("POST", "/appeals/1/question", "appeals:review"),
    ("POST", "/appeals/1/grant", "appeals:review"),
    ("POST", "/appeals/1/refuse", "appeals:review"),
    ("POST", "/appeals/1/revoke", "appeals:review"),
    ("POST", "/appeal-codes", "appeals:write"),
    ("GET", "/appeal-figures", "appeals:review"),
    ("POST", "/complaints", "complaints:write"),
    ("GET", "/complaints", "complaints:read"),
    ("GET", "/complaints/1", "complaints:read"),
    ("POST", "/complaints/1/forward", "complaints:write"),
    ("POST", "/complaints/1/outcome", "complaints:write"),
    ("POST", "/complaints/1/tell", "complaints:write"),
    ("POST", "/complaints/1/withdraw", "complaints:write"),
    ("POST", "/complaint-imports", "complaints:write"),
]


def test_the_table_of_routes_is_whole(world: World) -> None:
    paths = world.client.get("/api/openapi.json").json()["paths"]
    documented = {
        (method.upper(), path) for path, methods in paths.items() for method in methods if path.startswith(API)
    }
    for method, path, _ in ROUTES:
        matching = [
            (its_method, its_path)
            for its_method, its_path in documented
            if its_method == method and re.fullmatch(re.sub(r"\{[a-z_0-9]+\}", "[^/]+", its_path), API + path)
        ]
        exact = [each for each in matching if "{" not in each[1]] or matching
        assert len(exact) == 1, (method, path, matching)
        documented.discard(exact[0])
    assert documented == set()


@pytest.mark.parametrize(("method", "path", "scope"), ROUTES)
def test_a_route_opens_to_its_scope_only(world: World, method: str, path: str, scope: str) -> None:
    problem(world.client.request(method, API + path), 401, "unauthorised")
    others = world.token("shop-ltd", *(each for each in SCOPES if each != scope))
    problem(world.client.request(method, API + path, headers=others), 403, "scope-missing")
    own = world.client.request(method, API + path, headers=world.token("shop-ltd", scope))
    assert own.status_code not in (401, 403), own.text


@pytest.mark.parametrize("authorization", [
    "Bearer", "Bearer ", "Bearer x", "Basic dTpw", "\xff",
    "Bearer sft_0000000000000000_" + "A" * 43, "Bearer " + "A" * 9000,
])  # fmt: skip
def test_a_wrong_token_is_told_nothing(world: World, authorization: str) -> None:
    headers = {"Authorization": authorization.encode("latin-1")}
    answer = world.client.get(f"{API}/imports", headers=headers)  # type: ignore[arg-type]
    problem(answer, 401, "unauthorised")
    assert answer.headers["www-authenticate"] == "Bearer"


def test_expired_and_revoked_tokens_open_nothing(world: World) -> None:
    short, revoked = world.token(days=1), world.token("bank-ltd")
    revoke_token(world.engine, list_tokens(world.engine, "bank-ltd")[0].id, world.now[0])
    problem(world.client.get(f"{API}/imports", headers=revoked), 401, "unauthorised")
    assert world.client.get(f"{API}/imports", headers=short).status_code == 200
    world.now[0] += 86_400
    problem(world.client.get(f"{API}/imports", headers=short), 401, "unauthorised")


def test_an_address_that_tries_many_tokens_has_to_wait(world: World) -> None:
    right = world.token()
    for _ in range(20):
        problem(world.client.get(f"{API}/imports", headers={"Authorization": "Bearer no"}), 401, "unauthorised")
    answer = world.client.get(f"{API}/imports", headers=right)
    problem(answer, 429, "too-many-failures")
    world.now[0] += int(answer.headers["retry-after"])
    assert world.client.get(f"{API}/imports", headers=right).status_code == 200


def test_patience_is_with_a_network_and_bounded() -> None:
    failures = Failures(2)
    for address in ("2001:db8::1", "2001:db8::2"):
        failures.note(address, 100.0)
    assert failures.wait_seconds("2001:db8::3", 100.0) == 60.0
    assert failures.wait_seconds("2001:db8:1::3", 100.0) == 0.0
    assert failures.wait_seconds("2001:db8::3", 160.0) == 0.0
    for number in range(20_000):
        failures.note(f"10.0.{number // 250}.{number % 250}", 200.0)
    assert len(failures._at) == 10_000


@pytest.mark.parametrize(
    "path", ["/healthz", "/readyz", "/api/docs", "/api/openapi.json", f"{API}/imports", "/nothing"]
)
def test_every_answer_has_the_security_headers(world: World, path: str) -> None:
    answer = world.client.get(path)
    for name, value in HEADERS.items():
        assert answer.headers[name] == value
    assert answer.headers["cache-control"] == "no-store"
    assert "server" not in answer.headers


def test_the_docs_load_nothing_from_elsewhere(world: World) -> None:
    page = world.client.get("/api/docs").text
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert len(loaded) >= 3
    for url in loaded:
        assert url.startswith("/api/docs/")
        asset = world.client.get(url)
        assert asset.status_code == 200
        assert len(asset.content) > 100
    assert "<script>" not in page
    assert " style=" not in page
    problem(world.client.get("/api/docs/../app.py"), 404, "not-found")
    problem(world.client.get("/api/docs/core.py"), 404, "not-found")


def test_health_and_readiness(world: World) -> None:
    assert world.client.get("/healthz").json()["status"] == "ok"
    ready = world.client.get("/readyz")
    assert (ready.status_code, ready.json()["checks"]["relay"]) == (503, "no worker tells of itself")
    world.store.hset(figures.KEY, figures.field(world.context.machine, 0), figures.Meter().tell(NOW))
    checks = {"records": "ok", "state": "ok", "relay": "ok", "disk": "ok"}
    assert world.client.get("/readyz").json() == {"status": "ok", "checks": checks}


def test_a_body_has_a_bound_declared_or_not(world: World) -> None:
    headers = world.token() | {"Content-Type": "application/json"}
    large = b"x" * (1 << 20) + b"y"
    problem(world.client.post(f"{API}/consents", content=large, headers=headers), 413, "too-large")
    pieces = iter([large[: 1 << 19], large[1 << 19 :], b"z"])
    problem(world.client.post(f"{API}/consents", content=pieces, headers=headers), 413, "too-large")
    assert world.client.get(f"{API}/imports", headers=headers).status_code == 200


def test_an_upload_has_its_own_bound(valkey: object, tmp_path: object) -> None:
    for world in make_world(valkey, tmp_path, max_upload_mb=17):  # type: ignore[arg-type]
        headers = world.token() | {"Idempotency-Key": "k"}
        pieces = (b"x" * (1 << 20) for _ in range(18))
        problem(world.client.post(f"{API}/imports", content=pieces, headers=headers), 413, "too-large")
        assert world.client.get(f"{API}/imports", headers=headers).json()[0]["state"] == "receiving"


@pytest.mark.parametrize(("method", "path", "status", "kind"), [
    pytest.param("GET", "/nothing", 404, "not-found", id="no such page"),
    pytest.param("DELETE", f"{API}/consents/{A}", 405, "method-not-allowed", id="no such method"),
])  # fmt: skip
def test_what_is_not_there_is_a_problem_too(world: World, method: str, path: str, status: int, kind: str) -> None:
    problem(world.client.request(method, path), status, kind)


def test_browsers_are_held_to_tls_where_it_is(world: World) -> None:
    header = "strict-transport-security"
    assert world.client.get("https://testserver/").headers[header].startswith("max-age=")
    assert header not in world.client.get("http://testserver/").headers


def test_a_token_that_was_let_in_does_not_wait_for_what_others_try(world: World) -> None:
    known, fresh = world.token(), world.token()
    assert world.client.get(f"{API}/imports", headers=known).status_code == 200
    for _ in range(20):
        world.client.get(f"{API}/imports", headers={"Authorization": "Bearer wrong"})
    assert world.client.get(f"{API}/imports", headers={"Authorization": "Bearer wrong"}).status_code == 429
    assert world.client.get(f"{API}/imports", headers=fresh).status_code == 429
    assert world.client.get(f"{API}/imports", headers=known).status_code == 200
    with world.engine.begin() as connection:
        connection.execute(delete(tokens))
    assert world.client.get(f"{API}/imports", headers=known).status_code == 401
    assert world.client.get(f"{API}/imports", headers=known).status_code == 429
