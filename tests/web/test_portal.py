"""The subscriber's portal over the real application: signing in, its limits, and what is seen and done there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import httpx2 as httpx
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import insert, select
from starlette.requests import Request
from starlette.responses import Response

from smsc_filter.policy.facts import ConsentState
from smsc_filter.policy.record import id_to_text
from smsc_filter.policy.verdict import Cause
from smsc_filter.policy.wishes import ALL
from smsc_filter.records.consents import ConsentEvent, history, store_events
from smsc_filter.records.declines import wishes_of
from smsc_filter.records.portal import find_visit, form_word
from smsc_filter.records.tables import decisions, portal_challenges, portal_sessions
from smsc_filter.relay.notices import NoticeSettings
from smsc_filter.state.notices import STREAM
from smsc_filter.web.devices import LIFETIME_SECONDS, Devices
from smsc_filter.web.portal.words import CATEGORIES, EVENTS, FROM_ME, STATES, TO_ME
from tests.web.conftest import NOW, A, B, World, make_world

EN = {"Accept-Language": "en"}
SENDER = "106900001"


@pytest.fixture
def world(valkey: Any, tmp_path: Any) -> Iterator[World]:
    yield from make_world(valkey, tmp_path, notices=NoticeSettings(system_id="notices", address="10086"))


class Browser:
    """One browser at the portal, on the world's loop."""

    def __init__(self, world: World, address: str = "198.51.100.1") -> None:
        self.world = world
        self.client = TestClient(
            world.client.app, client=(address, 1), raise_server_exceptions=False, follow_redirects=False, headers=EN
        )
        self.client.portal = world.client.portal
        self.page = self.get("/")

    def get(self, path: str) -> httpx.Response:
        """Look at a page."""
        self.page = self.client.get(path)
        return self.page

    @property
    def word(self) -> str:
        """What the forms of the page in view carry."""
        found = re.search(r'name="form" value="([0-9a-f]*)"', self.page.text)
        return found[1] if found else ""

    def send(self, path: str, **fields: Any) -> httpx.Response:
        """Fill in a form of the page in view; the answer."""
        return self.client.post(path, data={"form": self.word, **fields})

    def ask(self, number: str = A) -> httpx.Response:
        """Ask for a code."""
        self.get("/")
        answer = self.send("/my/code", number=number)
        if answer.status_code == 303:
            self.get("/my/code")
        return answer

    def enter(self, code: str) -> httpx.Response:
        """Enter a code."""
        return self.send("/my/sign-in", code=code)

    def sign_in(self, number: str = A) -> Browser:
        """Prove a number."""
        self.ask(number)
        assert self.enter(codes(self.world, number)[-1]).status_code == 303
        assert number in self.get("/").text
        return self


def codes(world: World, number: str) -> list[str]:
    """The codes that were sent to a number, oldest first."""
    found = []
    for _, fields in world.store.xrange(STREAM):
        if fields[b"to"].decode() == number:
            found.append(re.search(r"[0-9]{8}", fields[b"text"].decode())[0])  # type: ignore[index]
    return found


def other_than(code: str) -> str:
    return "00000000" if code != "00000000" else "00000001"


def decide(world: World, number: int, **values: Any) -> int:
    """Put a decision on record; its id."""
    id_ = (round(NOW * 1000) << 20) + number
    at_ms, findings = round(NOW * 1000), '[["consent","no-consent","none for shop-ltd","Art. 16"]]'
    row = {
        "id": id_, "at_ms": at_ms, "system_id": "shop", "owner": "shop-ltd", "source": SENDER, "recipient": A,
        "purpose": "commercial", "cause": "no-consent", "command_status": 0x410, "enforced": True, "score": 9_900,
        "kind": "commercial", "part": "", "data_coding": 8, "text": "<b>Everything must go</b>", "findings": findings,
        "model": "m", "profile": "p", "worker": 0,
    }  # fmt: skip
    with world.engine.begin() as connection:
        connection.execute(insert(decisions).values(**(row | values)))
    return id_


def consent(world: World, recipient: str = A, owner: str = "shop-ltd", **values: Any) -> None:
    at_ms = round(NOW * 1000) - 86_400_000
    event = {"state": "granted", "event_at_ms": at_ms, "received_at_ms": at_ms, "source": "form", "reference": "f-17"}
    store_events(world.engine, [ConsentEvent(recipient=recipient, owner=owner, **(event | values))])


# Signing in.


def test_a_number_is_proved_by_the_code_it_got(world: World) -> None:
    browser = Browser(world)
    assert browser.ask().headers["location"] == "/my/code"
    (code,) = codes(world, A)
    answer = browser.enter(code)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert A in browser.get("/").text
    assert browser.get("/my/consents").status_code == 200


@pytest.mark.parametrize("path", ["/my/consents", "/my/messages", "/my/messages/x", "/my/wishes"])
def test_no_page_is_for_who_is_not_signed_in(world: World, path: str) -> None:
    answer = Browser(world).get(path)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")


@pytest.mark.parametrize("path", ["/my/consents/withdraw", "/my/consents/allow", "/my/wishes", "/my/sign-out"])
def test_nothing_is_done_for_who_is_not_signed_in(world: World, path: str) -> None:
    answer = Browser(world).send(path)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")


@pytest.mark.parametrize("path", ["/my/consents/withdraw", "/my/consents/allow", "/my/wishes", "/my/sign-out"])
@pytest.mark.parametrize("word", ["", "0" * 64, None])
def test_a_form_of_another_page_does_nothing(world: World, path: str, word: str | None) -> None:
    browser = Browser(world).sign_in()
    answer = browser.client.post(path, data={} if word is None else {"form": word})
    assert answer.status_code == 403
    assert A in browser.get("/").text


def test_nobody_can_be_signed_in_by_another_site(world: World) -> None:
    stranger = Browser(world)
    stranger.client.cookies.clear()
    # Without cookies, as browsers leave strict ones out, no word is right: nor the one that follows from none.
    for word in (stranger.word, "", form_word("")):
        assert stranger.client.post("/my/code", data={"form": word, "number": A}).status_code == 403
        assert stranger.client.post("/my/sign-in", data={"form": word, "code": "123456"}).status_code == 403
    assert codes(world, A) == []


def test_a_session_gets_a_word_of_its_own(world: World) -> None:
    browser = Browser(world)
    browser.client.cookies.set("my-session", "fixed-by-somebody", domain="testserver.local", path="/")
    assert "fixed" in browser.client.cookies["my-session"]
    browser.client.cookies.clear()
    browser.sign_in()
    first = browser.client.cookies["my-session"]
    assert browser.send("/my/sign-out").status_code == 303
    assert find_visit(world.engine, world.context.portal.limits, first, NOW) is None
    world.now[0] += 61
    browser.sign_in()
    assert browser.client.cookies["my-session"] != first
    for cookie in browser.client.cookies.jar:
        if cookie.name.startswith("my-"):
            assert cookie.has_nonstandard_attr("HttpOnly")
            assert cookie.get_nonstandard_attr("SameSite") == "strict"


def test_a_code_is_good_in_the_browser_that_asked_and_once(world: World) -> None:
    mine, other = Browser(world), Browser(world, "198.51.100.2")
    mine.ask()
    (code,) = codes(world, A)
    other.ask()  # too soon after the first: none is sent, and the page is the same
    assert codes(world, A) == [code]
    assert other.enter(code).status_code == 422
    assert mine.enter(code).status_code == 303
    mine.client.cookies.delete("my-session")
    assert mine.client.get("/my/code").status_code == 303


def test_a_code_does_not_stand_brute_force(world: World) -> None:
    browser = Browser(world)
    browser.ask()
    (code,) = codes(world, A)
    for _ in range(5):
        assert browser.enter(other_than(code)).status_code == 422
    assert browser.enter(code).status_code == 422


def test_a_code_is_good_for_ten_minutes(world: World) -> None:
    late, in_time = Browser(world), Browser(world)
    late.ask(A)
    in_time.ask(B)
    world.now[0] += 599.9
    assert in_time.enter(codes(world, B)[0]).status_code == 303
    world.now[0] += 0.1
    assert late.enter(codes(world, A)[0]).status_code == 422


def test_neither_codes_nor_words_are_on_record(world: World) -> None:
    browser = Browser(world).sign_in()
    with world.engine.connect() as connection:
        rows = [*connection.execute(select(portal_challenges)), *connection.execute(select(portal_sessions))]
    kept = repr([tuple(row) for row in rows])
    assert codes(world, A)[0] not in kept
    assert browser.client.cookies["my-session"] not in kept


def test_a_session_ends_when_it_is_not_used_and_in_any_case(world: World) -> None:
    browser = Browser(world).sign_in()
    for _ in range(4):
        world.now[0] += 14 * 60
        assert browser.get("/my/consents").status_code == 200
    world.now[0] += 4 * 60
    assert browser.get("/my/consents").status_code == 303
    world.now[0] = NOW + 90_000
    browser.sign_in()
    world.now[0] += 15 * 60
    assert browser.get("/my/consents").status_code == 303


def test_every_number_is_answered_alike(world: World) -> None:
    consent(world, A)
    decide(world, 1, recipient=A)
    pages = set()
    for at, number in enumerate((A, B, A, "8613899999999", "+86 138 0000 0001")):
        browser = Browser(world, f"198.51.100.{at + 10}")
        answer = browser.ask(number)
        page = browser.page.text.replace(browser.word, "")
        pages.add(
            (answer.status_code, answer.headers["location"], page, browser.enter("12").text.replace(browser.word, ""))
        )
    assert len(pages) == 1
    assert len(codes(world, A)) == 1
    assert len(codes(world, "8613899999999")) == 1


def test_a_number_gets_few_codes_a_day_and_nobody_is_told(world: World) -> None:
    for at in range(7):
        assert Browser(world, f"198.51.100.{at}").ask().status_code == 303
        world.now[0] += 61
    assert len(codes(world, A)) == 5
    world.now[0] = NOW + 86_401
    Browser(world).ask()
    assert len(codes(world, A)) == 6


def test_a_network_asks_for_few_codes_an_hour_whatever_the_numbers(world: World) -> None:
    for at in range(10):
        assert Browser(world, f"2001:db8::{at}").ask(f"861380000{at:04d}").status_code == 303
    answer = Browser(world, "2001:db8::ffff").ask("8613800005555")
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "3600")
    assert codes(world, "8613800005555") == []
    assert Browser(world, "2001:db8:1::1").ask("8613800005555").status_code == 303
    world.now[0] += 3_600
    assert Browser(world, "2001:db8::ffff").ask("8613800005556").status_code == 303


def test_codes_altogether_have_a_bound_which_a_known_browser_passes(world: World) -> None:
    known = Browser(world, "203.0.113.1").sign_in()
    known.client.cookies.delete("my-session")
    world.now[0] += 61
    for at in range(60):
        assert Browser(world, f"203.{at}.1.1").ask(f"861390000{at:04d}").status_code == 303
    assert Browser(world, "203.0.113.1").ask(B).status_code == 429
    assert known.ask(B).status_code == 429
    known.sign_in(A)
    world.now[0] += 60
    assert Browser(world, "203.0.113.1").ask(B).status_code == 303


@pytest.mark.parametrize("networks", ["2001:db8:{:x}::1", "198.51.{}.1"])
def test_networks_next_to_each_other_leave_codes_to_the_others(world: World, networks: str) -> None:
    statuses = [Browser(world, networks.format(at)).ask(f"861390000{at:04d}").status_code for at in range(1, 41)]
    assert statuses == [303] * 30 + [429] * 10
    assert Browser(world, "192.0.2.200").ask(B).status_code == 303
    assert Browser(world, "2001:db9::1").ask("8613900009999").status_code == 303


def test_who_proved_a_number_gets_codes_when_strangers_have_used_them_up(world: World) -> None:
    known = Browser(world, "203.0.113.1").sign_in()
    known.client.cookies.delete("my-session")
    for at in range(6):
        world.now[0] += 61
        stranger = Browser(world, f"198.51.100.{at}")
        stranger.ask()
        for _ in range(5):
            stranger.enter("00000000")
    assert len(codes(world, A)) == 5
    assert "Use a browser that signed in with this number before" in stranger.page.text
    known.sign_in()
    assert len(codes(world, A)) == 6
    known.client.cookies.delete("my-session")
    for _ in range(6):
        world.now[0] += 61
        assert known.ask().status_code == 303
    assert len(codes(world, A)) == 10


def test_a_device_is_known_by_its_own_cookie_for_its_own_number_and_time() -> None:
    devices, response = Devices(b"key"), Response()
    devices.remember(request_with(""), response, "portal:1", "/", 1_000.0)
    name, _, value = response.headers["set-cookie"].partition(";")[0].partition("=")
    asked = request_with(f"{name}={value}")
    device = devices.known(asked, "portal:1", 1_000.0)
    assert device
    assert not devices.known(asked, "portal:2", 1_000.0)
    assert not devices.known(asked, "portal:1", 1_000.0 + LIFETIME_SECONDS)
    assert not Devices(b"other").known(asked, "portal:1", 1_000.0)
    for forged in (value[:-1], "x" + value, value.replace(".1000.", ".2000."), "..", "a.b.c", "a.9.\u00e9"):
        assert not devices.known(request_with(f"{name}={forged}"), "portal:1", 1_000.0)
    again = Response()
    devices.remember(asked, again, "portal:1", "/", 2_000.0)
    assert f"{name}={device}.2000." in again.headers["set-cookie"]


def request_with(cookie: str) -> Request:
    return Request(
        {"type": "http", "scheme": "http", "path": "/", "server": ("x", 80), "headers": [(b"cookie", cookie.encode())]}
    )


@pytest.mark.parametrize("number", ["", "12", "not a number", "9" * 30, "<script>"])
def test_what_is_no_number_is_said_to_be_none(world: World, number: str) -> None:
    answer = Browser(world).ask(number)
    assert answer.status_code == 422
    assert "does not look like a mobile number" in answer.text
    # The word of the form is drawn by chance and may hold any digits.
    said = re.sub(r'value="[0-9a-f]+"', "", answer.text)
    if number:
        assert number not in said
    assert said != answer.text


def test_without_a_bind_nobody_signs_in(valkey: Any, tmp_path: Any) -> None:
    for world in make_world(valkey, tmp_path):
        browser = Browser(world)
        assert "sends no codes" in browser.page.text
        word = browser.client.cookies["my-visitor"]
        assert word
        assert browser.client.post("/my/code", data={"form": "", "number": A}).status_code == 403


# What is seen and done.


def test_a_consent_is_shown_with_its_proof_and_withdrawn_with_one_click(world: World) -> None:
    consent(world)
    consent(world, owner="bank-ltd", topic="cards", text_version="v3")
    consent(world, recipient=B, owner="secret-ltd")
    browser = Browser(world).sign_in()
    page = browser.get("/my/consents").text
    assert "Stop advertising from shop-ltd" in page
    assert "form" in page
    assert "f-17" in page
    assert "wording v3" in page
    assert "secret-ltd" not in page
    answer = browser.send("/my/consents/withdraw", owner="shop-ltd", topic="")
    assert answer.headers["location"] == "/my/consents?done=withdrawn"
    assert world.context.consents.states("shop-ltd", [A])[A][0].state == "withdrawn"
    _, event = history(world.engine, A, "shop-ltd")[-1]
    assert (event.state, event.source) == ("withdrawn", "portal")
    page = browser.get("/my/consents?done=withdrawn").text
    assert "may not: you withdrew" in page
    assert "Stop advertising from shop-ltd" not in page
    assert "Stop advertising from bank-ltd" in page
    browser.send("/my/consents/withdraw", owner="bank-ltd", topic="cards")
    states = {each.topic: each.state for each in world.context.consents.states("bank-ltd", [A])[A]}
    assert states["cards"] == "withdrawn"


def test_what_an_owner_claims_of_who_withdrew_is_shown_and_counts_once_allowed(world: World) -> None:
    consent(world)
    browser = Browser(world).sign_in()
    browser.get("/my/consents")
    browser.send("/my/consents/withdraw", owner="shop-ltd", topic="")
    world.now[0] += 60
    headers = world.token("shop-ltd", "consents:write", "consents:read")
    for proof in ({"event_time": "2026-01-01T00:00:30Z"}, {}):
        told = world.client.post(
            "/api/v1/consents", json={"recipient": A, "state": "granted", **proof}, headers=headers
        )
        assert told.status_code == 201, told.text
        assert told.json()["states"][0]["state"] == "withdrawn"
        assert told.json()["history"][-1]["state"] == "claimed"
    page = browser.get("/my/consents").text
    assert "They say that you agreed on <time" in page
    assert "They say that you agreed, and not when." in page
    assert "You had refused, so it does not count unless you allow it." in page
    assert browser.send("/my/consents/allow", owner="shop-ltd", topic="").headers["location"].endswith("done=allowed")
    assert world.context.consents.states("shop-ltd", [A])[A][0].state == "granted"
    assert "They say that you agreed" not in browser.get("/my/consents").text


@pytest.mark.parametrize("fields", [{"owner": "secret-ltd", "topic": ""}, {"owner": "shop-ltd", "topic": "x"}, {}])
def test_only_what_is_there_can_be_withdrawn(world: World, fields: dict[str, str]) -> None:
    consent(world)
    consent(world, recipient=B, owner="secret-ltd")
    browser = Browser(world).sign_in()
    browser.get("/my/consents")
    assert browser.send("/my/consents/withdraw", **fields).status_code == 404
    assert len(history(world.engine, A)) == 1


def test_what_was_stopped_is_shown_with_why_and_nobody_else_s(world: World) -> None:
    to_me = decide(world, 1)
    from_me = decide(
        world, 2, source=A, recipient=B, owner="mobile", purpose="person", cause="quota-spent", findings=None
    )
    foreign = decide(world, 3, recipient=B, text="for B alone")
    observed = decide(world, 4, enforced=False, text="only observed")
    admitted = decide(world, 5, cause="", text="went through")
    browser = Browser(world).sign_in()
    page = browser.get("/my/messages").text
    assert "you never agreed to hear from this sender" in page
    assert "&lt;b&gt;Everything must go&lt;/b&gt;" in page
    assert not any(text in page for text in ("for B alone", "only observed", "went through", "<b>"))
    assert "You had sent as many messages" in browser.get("/my/messages?way=from").text
    one = browser.get(f"/my/messages/{id_to_text(to_me)}").text
    assert "Art. 16" in one
    assert SENDER in one
    assert browser.get(f"/my/messages/{id_to_text(from_me)}").status_code == 200
    for hidden in (foreign, observed, admitted, 1 << 61):
        assert browser.get(f"/my/messages/{id_to_text(hidden)}").status_code == 404
    assert browser.get("/my/messages/nonsense").status_code == 404


def test_many_stopped_messages_come_a_page_at_a_time(world: World) -> None:
    for number in range(45):
        decide(world, number, text=f"number {number} ")
    browser = Browser(world).sign_in()
    seen: list[str] = []
    path: str | None = "/my/messages"
    while path:
        page = browser.get(path).text
        seen += re.findall(r"number ([0-9]+) ?<", page)
        found = re.search(r'href="(/my/messages\?way=to&amp;before=[^"]+)"', page)
        path = found[1].replace("&amp;", "&") if found else None
    assert seen == [str(number) for number in range(44, -1, -1)]


def test_wishes_are_saved_shown_and_bind(world: World) -> None:
    browser = Browser(world).sign_in()
    browser.get("/my/wishes")
    fields = {"sms": ["finance", "realty", "no-such"], "voice": ALL, "begin": "22:00", "end": "08:00"}
    assert browser.send("/my/wishes", **fields).headers["location"] == "/my/wishes?done=wishes"
    assert wishes_of(world.engine, A) == {"personal": "sms:finance,realty sms:all@22:00-08:00 voice:all"}
    page = browser.get("/my/wishes").text
    assert len(re.findall(r"<input type=\"checkbox\"[^>]* checked", page)) == 3
    assert 'value="22:00"' in page
    assert world.client.portal is not None
    noon, night = (
        world.client.portal.call(world.context.declines.look_up, [A, A], ["finance", "games"], "sms", minute)
        for minute in (720, 1_380)
    )
    assert [found is not None for found in (*noon, *night)] == [True, False, True, True]
    assert browser.send("/my/wishes", sms="finance", begin="22:00").status_code == 422
    assert browser.send("/my/wishes", begin="25:00", end="08:00").status_code == 422
    assert browser.send("/my/wishes").status_code == 303
    assert wishes_of(world.engine, A) == {}


@pytest.mark.parametrize("path", ["/", "/my/code", "/my/consents", "/my/messages", "/my/wishes", "/my/nothing"])
@pytest.mark.parametrize("lang", ["zh", "en"])
def test_pages_speak_both_languages_and_keep_the_headers(world: World, path: str, lang: str) -> None:
    browser = Browser(world)
    if path == "/my/code":
        browser.ask()
    else:
        browser.sign_in()
    answer = browser.get(f"{path}?lang={lang}")
    assert answer.headers["content-language"] == {"zh": "zh-CN", "en": "en"}[lang]
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert answer.headers["cache-control"] == "no-store"
    assert re.search("[\u4e00-\u9fff]", answer.text.replace("中文", "")) is None or lang == "zh"
    assert "<script" not in answer.text


def test_every_cause_and_state_has_its_words() -> None:
    assert TO_ME.keys() == FROM_ME.keys() == {cause.value for cause in Cause}
    assert STATES.keys() == {state.name.lower().replace("_", "-") for state in ConsentState}
    assert {"requested", "granted", "refused", "withdrawn", "claimed"} == EVENTS.keys()
    assert CATEGORIES


def test_a_number_in_an_address_is_in_no_log(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    Browser(world).sign_in().get(f"/my/messages/{A}")
    said = "".join(capfd.readouterr())
    assert "web-request" in said
    assert A not in said
