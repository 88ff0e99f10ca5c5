"""Who gets in, and what each role may: by tables."""

from __future__ import annotations

import re

import pytest
from fastapi.routing import APIRoute

from smsc_filter.records.audit import Actor, changes
from smsc_filter.records.users import Role, disable_user
from smsc_filter.web.console.access import COOKIE, OPEN, ROUTES, way_back
from smsc_filter.web.console.app import ROUTERS, make_console
from smsc_filter.web.console.login import BackOff
from smsc_filter.web.guard import HEADERS
from tests.web.conftest import World
from tests.web.console.conftest import PASSWORD, Person, SignIn, csrf_in, decision_row, log_in, put_decisions, stranger

V, O, R, A, P = Role.VIEWER, Role.OPERATOR, Role.REVIEWER, Role.ADMIN, Role.PROVIDER  # noqa: E741
STAFF = {V, O, R, A}

TABLE: list[tuple[str, str, set[Role]]] = [
    ("GET", "/", STAFF),
    ("GET", "/live", STAFF),
    ("GET", "/account", {*STAFF, P}),
    ("POST", "/account/password", {*STAFF, P}),
    ("GET", "/decisions", STAFF),
    ("GET", "/decisions/{decision_id}", STAFF),
    ("POST", "/decisions/{decision_id}/label", {O, R, A}),
    ("POST", "/decisions/{decision_id}/whitelist", {R, A}),
    ("GET", "/senders", STAFF),
    ("GET", "/owners/{owner}", STAFF),
    ("POST", "/owners/{owner}/notices", {O, A}),
    ("POST", "/owners/{owner}/measures", {O, A}),
    ("POST", "/owners/{owner}/measures/{measure_id}/lift", {O, A}),
    ("GET", "/consents", STAFF),
    ("POST", "/consents", STAFF),
    ("GET", "/consents/receipts/{event_id}", STAFF),
    ("GET", "/rules", STAFF),
    ("GET", "/rules/{version}", STAFF),
    ("POST", "/rules", {O, A}),
    ("POST", "/rules/{version}/restore", {O, A}),
    ("GET", "/models", STAFF),
    ("POST", "/models/promote", {A}),
    ("POST", "/models/rollback", {A}),
    ("GET", "/lists", STAFF),
    ("POST", "/lists/prohibited", {O, A}),
    ("POST", "/lists/whitelist/{entry_id}/revoke", {R, A}),
    ("GET", "/audit", {A}),
    ("GET", "/users", {A}),
    ("POST", "/users", {A}),
    ("POST", "/users/{name}/disable", {A}),
    ("POST", "/users/{name}/enable", {A}),
    ("GET", "/provider", {P}),
    ("GET", "/provider/decisions", {P}),
    ("GET", "/provider/decisions/{decision_id}", {P}),
    ("GET", "/provider/consents", {P}),
    ("POST", "/provider/consents", {P}),
    ("GET", "/provider/consents/{job_id}/errors", {P}),
    ("POST", "/decisions/{decision_id}/appeal", {O, R, A}),
    ("POST", "/decisions/{decision_id}/complaint", {O, R, A}),
    ("GET", "/appeals", STAFF),
    ("GET", "/appeals/{appeal_id}", STAFF),
    ("POST", "/appeals/{appeal_id}/ask", {R, A}),
    ("POST", "/appeals/{appeal_id}/supply", {O, R, A}),
    ("POST", "/appeals/{appeal_id}/grant", {R, A}),
    ("POST", "/appeals/{appeal_id}/refuse", {R, A}),
    ("POST", "/appeals/{appeal_id}/revoke", {R, A}),
    ("GET", "/complaints", STAFF),
    ("GET", "/complaints/{complaint_id}", STAFF),
    ("POST", "/complaints/{complaint_id}/forward", {O, R, A}),
    ("POST", "/complaints/{complaint_id}/decide", {R, A}),
    ("POST", "/complaints/{complaint_id}/tell", {O, R, A}),
    ("POST", "/complaints/{complaint_id}/withdraw", {O, R, A}),
    ("GET", "/provider/appeals", {P}),
    ("GET", "/provider/appeals/{appeal_id}", {P}),
    ("POST", "/provider/decisions/{decision_id}/appeal", {P}),
    ("POST", "/provider/appeals/{appeal_id}/supply", {P}),
    ("POST", "/provider/appeals/{appeal_id}/withdraw", {P}),
    ("POST", "/logout", {*STAFF, P}),
]
VALUES = {"decision_id": "01H4C9M2Q7R3T", "owner": "shop-ltd", "measure_id": "1", "event_id": "1", "version": "1",
          "entry_id": "1", "name": "nobody", "appeal_id": "1", "complaint_id": "1", "job_id": "0" * 32}  # fmt: skip


def path_of(route: str) -> str:
    return re.sub(r"\{(\w+)\}", lambda found: VALUES[found[1]], route)


def test_the_table_speaks_of_every_route(world: World) -> None:
    app = make_console(world.context)
    assert not [route for route in app.routes if isinstance(route, APIRoute)], "a route outside the routers"
    served = {
        (method, route.path)
        for router in ROUTERS
        for route in router.routes
        if isinstance(route, APIRoute)
        for method in route.methods
    }
    assert served
    assert served == set(ROUTES) | set(OPEN)
    assert {(method, route) for method, route, _ in TABLE} == set(ROUTES)


@pytest.mark.parametrize("role", Role)
def test_every_role_opens_its_routes_and_no_other(world: World, sign_in: SignIn, role: Role) -> None:
    person = sign_in(role)
    token = person.csrf()
    for method, route, roles in TABLE:
        path = path_of(route)
        answer = person.get(path) if method == "GET" else person.post(path, token)
        refused = answer.status_code == 403
        assert refused == (role not in roles), f"{role} {method} {path}: {answer.status_code}"
        assert answer.status_code != 500, f"{method} {path}"


@pytest.mark.parametrize(("method", "route"), [(method, route) for method, route, _ in TABLE])
def test_nobody_gets_in_without_signing_in(world: World, method: str, route: str) -> None:
    person = stranger(world)
    answer = person.client.request(method, f"/console{path_of(route)}", follow_redirects=False)
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/console/login")


def test_every_form_needs_the_token_of_its_session(world: World, sign_in: SignIn) -> None:
    people, stale = {A: sign_in(A), P: sign_in(P)}, sign_in(O).csrf()
    for method, route, roles in TABLE:
        if method != "POST":
            continue
        for wrong in ("", "x", stale):
            answer = people[A if A in roles else P].post(path_of(route), wrong)
            assert (answer.status_code, "stale-form" in answer.text) == (403, True), (route, wrong)
    assert people[A].get("/").status_code == 200


@pytest.mark.parametrize("headers", [
    {"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
])  # fmt: skip
def test_another_site_s_page_can_send_nothing(world: World, sign_in: SignIn, headers: dict[str, str]) -> None:
    admin = sign_in(A)
    data = {"csrf": admin.csrf(), "name": "eve", "role": "admin", "password": PASSWORD}
    answer = admin.client.post("/console/users", data=data, headers=headers, follow_redirects=False)
    assert answer.status_code == 403
    assert admin.client.post("/console/users", data=data, headers={"Origin": "http://testserver"}).status_code == 200


def test_the_secret_is_a_new_one_at_each_sign_in_and_dead_after_the_sign_out(world: World, sign_in: SignIn) -> None:
    person = sign_in(V)
    first = person.client.cookies[COOKIE]
    thief = stranger(world)
    thief.client.cookies.set(COOKIE, first, domain="testserver.local", path="/console")
    assert thief.get("/").status_code == 200
    person.client.cookies.set("lang", "en")
    person.client.get("/console/login")
    person.post("/logout")
    assert thief.get("/").status_code == 303


def test_a_secret_that_somebody_planted_opens_nothing(world: World, sign_in: SignIn) -> None:
    sign_in(V)
    person = stranger(world)
    person.client.cookies.set(COOKIE, "planted", domain="testserver.local", path="/console")
    assert log_in(person, "viewer").status_code == 303
    planted = stranger(world)
    planted.client.cookies.set(COOKIE, "planted", domain="testserver.local", path="/console")
    assert planted.get("/").status_code == 303


def test_the_cookie_is_for_this_place_alone(world: World, sign_in: SignIn) -> None:
    sign_in(V)
    answer = log_in(stranger(world), "viewer")
    cookie = next(each for each in answer.headers.get_list("set-cookie") if each.startswith(COOKIE))
    for attribute in ("HttpOnly", "SameSite=strict", "Path=/console"):
        assert attribute in cookie


def test_a_session_ends_when_idle_and_in_any_case_after_its_time(world: World, sign_in: SignIn) -> None:
    person = sign_in(V)
    world.now[0] += 29 * 60
    assert person.get("/").status_code == 200
    world.now[0] += 31 * 60
    assert person.get("/").status_code == 303
    log_in(person, "viewer")
    for _ in range(25):
        world.now[0] += 29 * 60
        status = person.get("/").status_code
    assert status == 303


def test_wrong_names_and_wrong_passwords_look_alike(world: World, sign_in: SignIn) -> None:
    sign_in(V)
    pages = []
    for name in ("viewer", "nobody"):
        answer = log_in(stranger(world), name, "wrong password here")
        assert answer.status_code == 401
        pages.append(re.sub(r'value="[^"]*"', "", answer.text))
    assert pages[0] == pages[1]


def test_who_tries_many_passwords_has_to_wait_longer_each_time(world: World, sign_in: SignIn) -> None:
    sign_in(V)
    sign_in(O)
    for _ in range(10):
        assert log_in(stranger(world), "viewer", "wrong password here").status_code == 401
    answer = log_in(stranger(world), "operator")
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) > 0
    world.now[0] += 61
    assert log_in(stranger(world), "operator").status_code == 303
    assert log_in(stranger(world), "viewer", "wrong password here").status_code == 401
    world.now[0] += 61
    assert log_in(stranger(world), "viewer").status_code == 429
    world.now[0] += 60
    assert log_in(stranger(world), "viewer").status_code == 303


def test_nobody_is_shut_out_by_strangers(world: World, sign_in: SignIn) -> None:
    sign_in(V)
    known = stranger(world, address="192.0.2.7")
    assert log_in(known, "viewer").status_code == 303
    known.post("/logout")
    # Beside it, as behind one proxy or in one house, and from everywhere.
    for address in ("192.0.2.7", *(f"198.51.{at}.1" for at in range(10))):
        for _ in range(10):
            answer = log_in(stranger(world, address=address), "viewer", "wrong password here")
        assert answer.status_code == 401
        assert log_in(stranger(world, address=address), "viewer").status_code == 429
    assert log_in(known, "viewer").status_code == 303
    assert log_in(stranger(world, address="203.0.113.9"), "viewer").status_code == 303


def test_a_known_browser_is_known_for_its_user_alone_and_has_limits_too(world: World, sign_in: SignIn) -> None:
    sign_in(O)
    sign_in(V)
    known = stranger(world)
    log_in(known, "viewer")
    known.post("/logout")
    for _ in range(10):
        log_in(stranger(world), "nobody", "wrong password here")
    assert log_in(known, "operator").status_code == 429
    for _ in range(10):
        assert log_in(known, "viewer", "wrong password here").status_code == 401
    assert log_in(known, "viewer").status_code == 429


def test_waits_double_up_to_an_hour_and_are_forgotten() -> None:
    back_off, now = BackOff(2), 1_000.0
    waits = []
    for _ in range(10):
        back_off.note("name", "here", now)
        waits.append(back_off.wait_seconds("name", "here", now))
        now += waits[-1]
        assert back_off.wait_seconds("name", "here", now) == 0
    assert waits == [0, 60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]
    assert back_off.wait_seconds("name", "there", now) == back_off.wait_seconds("other", "here", now) == 0
    back_off.note("name", "here", now + 7_200)
    assert back_off.wait_seconds("name", "here", now + 7_200) == 0


def test_nobody_is_signed_in_by_another_site(world: World, sign_in: SignIn) -> None:
    sign_in(V)
    person = stranger(world)
    data = {"name": "viewer", "password": PASSWORD, "csrf": "x"}
    assert person.client.post("/console/login", data=data, follow_redirects=False).status_code == 403


@pytest.mark.parametrize(("asked", "leads_to"), [
    ("/console/decisions?number=138", "/console/decisions?number=138"),
    ("https://evil.example/", "/console/"), ("//evil.example", "/console/"), ("/console//evil.example", "/console/"),
    ("/console/../evil", "/console/"), ("/console/.%2E/evil", "/console/"),
    ("/console/\\evil", "/console/"), ("/console/\r\nX: y", "/console/"), ("/other", "/console/"), ("", "/console/"),
])  # fmt: skip
def test_signing_in_leads_back_to_the_console_and_nowhere_else(asked: str, leads_to: str) -> None:
    assert way_back(asked) == leads_to


def test_who_is_disabled_is_out_at_once(world: World, sign_in: SignIn) -> None:
    person = sign_in(V)
    disable_user(world.engine, "viewer", Actor("test"), world.now[0])
    assert person.get("/").status_code == 303
    assert log_in(stranger(world), "viewer").status_code == 401


def test_another_password_ends_every_session(world: World, sign_in: SignIn) -> None:
    person, same = sign_in(V), stranger(world)
    log_in(same, "viewer")
    assert person.post("/account/password", old="wrong password here", new="another long one").status_code == 422
    assert person.post("/account/password", old=PASSWORD, new="short").status_code == 422
    assert person.post("/account/password", old=PASSWORD, new="another long one").status_code == 303
    assert same.get("/").status_code == 303
    assert log_in(stranger(world), "viewer", "another long one").status_code == 303
    assert "another long one" not in str(changes(world.engine))


def test_a_provider_sees_nothing_of_another_owner(world: World, sign_in: SignIn) -> None:
    own, foreign = put_decisions(world, decision_row(1), decision_row(2, owner="bank-ltd", text="of the bank"))
    person = sign_in(P)
    page = person.get("/provider/decisions")
    assert own in page.text
    assert foreign not in page.text
    assert person.get(f"/provider/decisions/{own}").status_code == 200
    missing, other = person.get("/provider/decisions/01H4C9M2Q7R3T"), person.get(f"/provider/decisions/{foreign}")
    assert (missing.status_code, other.status_code) == (404, 404)
    assert missing.text.replace("01H4C9M2Q7R3T", "") == other.text.replace(foreign, "")


@pytest.mark.parametrize("path", ["/login", "/", "/nothing", "/decisions/%3Cscript%3E"])
def test_every_page_has_the_security_headers(world: World, path: str) -> None:
    answer = world.client.get(f"/console{path}", follow_redirects=False)
    for name, value in HEADERS.items():
        assert answer.headers[name] == value
    assert answer.headers["cache-control"] == "no-store"


def test_a_fragment_says_that_one_is_signed_out(world: World) -> None:
    answer = stranger(world).get("/live", headers={"X-Fragment": "1"})
    assert answer.status_code == 401


def test_the_console_is_found_without_a_slash(world: World) -> None:
    assert world.client.get("/console", follow_redirects=False).headers["location"] == "/console/"


def test_a_page_that_is_not_there_is_a_page(world: World, sign_in: SignIn) -> None:
    person: Person = sign_in(V)
    answer = person.get("/nothing")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert csrf_in(person.get("/account").text)
