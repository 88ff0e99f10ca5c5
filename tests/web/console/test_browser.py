"""What people do in the console, in a real browser before real processes; and that everybody can use it."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from smsc_filter.policy.record import id_to_text
from tests.conftest import Connect
from tests.relay.harness import PEOPLE, PERSON, SHOP, SHOP_SENDER, START_SECONDS, WRONG_PURPOSE, Esme, Relay, wait_until
from tests.web.console.browser import NARROW, WIDE, keep, running_browser
from tests.web.console.conftest import PASSWORD
from tests.web.test_service import web_port

BANK, BANK_SENDER = ("bank", "bank-pw"), b"106920001"
FRIEND = "8613800000042"
ADVERTISEMENT = "【云上商城】周末全场五折，满200减50，快来抢购！拒收请回复TD"
GREETING = "【云上商城】新年快乐！满200减50，快来抢购，祝您万事如意！拒收请回复TD"
"""A wish that is taken for an advertisement."""

PATIENCE_MS = START_SECONDS * 1000

PAGES = ("/", "/decisions", "/senders", "/owners/shop-ltd", "/consents", "/rules?threshold.person=0.8", "/lists",
         "/models", "/appeals", "/complaints", "/users", "/audit", "/account")  # fmt: skip
PROVIDERS_PAGES = ("/provider", "/provider/decisions", "/provider/consents", "/provider/appeals")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with running_browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def people(relay: Relay) -> None:
    for name, *options in (("mei", "--role", "admin"), ("shop", "--role", "provider", "--owner", "shop-ltd")):
        done = relay.command("user", "add", name, *options, stdin=f"{PASSWORD}\n")
        assert done.returncode == 0, done.stderr


def console(relay: Relay) -> str:
    port = wait_until(lambda: web_port(relay), "the web says where it is")
    return f"http://127.0.0.1:{port}/console"


def sign_in(browser: Browser, relay: Relay, name: str, **options: object) -> Page:
    page = browser.new_context(**{"locale": "en-GB", "viewport": WIDE, **options}).new_page()  # type: ignore[arg-type]
    page.set_default_timeout(PATIENCE_MS)
    page.goto(f"{console(relay)}/login")
    expect(page.locator("#name")).to_be_focused()
    page.keyboard.type(name)
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_selector(".who")
    return page


def test_a_blocked_greeting_is_found_understood_and_let_pass(
    relay: Relay, connect: Connect, chromium: Browser, people: None
) -> None:
    esme, to = connect(relay, BANK), FRIEND.encode()
    assert esme.submit(BANK_SENDER, to, GREETING) == WRONG_PURPOSE
    relay.decisions(FRIEND)
    page = sign_in(chromium, relay, "mei")
    page.get_by_role("link", name="Decisions").click()
    page.get_by_label("Recipient's number, or id").fill("138 0000 0042")
    page.get_by_role("button", name="Search").click()
    page.locator("tbody a").first.click()
    expect(page.get_by_text("What moved the score")).to_be_visible()
    expect(page.locator("main")).to_contain_text("commercial text on a service port")
    page.get_by_text("Open an appeal").first.click()
    page.locator("#appeal-reason").fill("only wishes, says the bank")
    page.get_by_role("button", name="Open an appeal").click()
    expect(page.get_by_role("status")).to_have_text("The appeal is open.")
    page.locator("#refuse-reason").fill("it advertises on a service port")
    page.get_by_role("button", name="Refuse it").click()
    expect(page.locator(".history")).to_contain_text("it advertises on a service port")


def test_an_appeal_that_is_granted_lets_the_same_text_pass(
    relay: Relay, connect: Connect, chromium: Browser, people: None
) -> None:
    friend = "8613800000043"
    esme, to = connect(relay, PEOPLE), friend.encode()
    first = esme.submit(PERSON, to, ADVERTISEMENT)
    assert first != 0
    relay.decisions(friend)
    page = sign_in(chromium, relay, "mei")
    page.goto(f"{console(relay)}/decisions?number={friend}")
    page.locator("tbody a").first.click()
    page.get_by_text("Open an appeal").first.click()
    page.locator("#appeal-reason").fill("I only forward it to my sister")
    page.get_by_role("button", name="Open an appeal").click()
    page.locator("#grant-reason").fill("a person to a person")
    page.locator("#scope").select_option("sender-recipients")
    page.get_by_role("button", name="Grant it").click()
    expect(page.locator(".history")).to_contain_text("a person to a person")
    wait_until(lambda: esme.submit(PERSON, to, ADVERTISEMENT) == 0, "the same text passes", START_SECONDS)


def test_a_threshold_is_moved_with_a_what_if_saved_and_taken_back(
    relay: Relay, connect: Connect, chromium: Browser, people: None
) -> None:
    esme = connect(relay, SHOP)
    wish, numbers = "感谢您一年来的支持，祝您新年快乐", iter(range(8613700000000, 8613700009999))

    def passes() -> bool:
        return esme.submit(SHOP_SENDER, str(next(numbers)).encode(), wish) == 0

    assert passes()
    page = sign_in(chromium, relay, "mei")
    page.get_by_role("link", name="Rules").click()
    slider = page.get_by_label("Threshold commercial", exact=True)
    slider.fill("0.01")
    page.get_by_label("Threshold configured").first.fill("0.0001")
    page.get_by_role("button", name="Try it").click()
    expect(page.get_by_text("What would change")).to_be_visible()
    page.locator("#reason").fill("trying it")
    page.get_by_role("button", name="Save, and judge by it").click()
    expect(page.get_by_role("status")).to_contain_text("The rules are saved")
    wait_until(lambda: not passes(), "the workers judge by the new threshold", START_SECONDS)
    page.get_by_role("link", name="1", exact=True).click()
    page.locator("#reason").fill("it was too strict")
    page.get_by_role("button", name="Back to the configuration").click()
    expect(page.get_by_role("status")).to_contain_text("The rules are saved")
    wait_until(passes, "the workers judge as configured again", START_SECONDS)


def test_the_overview_updates_itself(relay: Relay, connect: Connect, chromium: Browser, people: None) -> None:
    page = sign_in(chromium, relay, "mei")
    hour = page.locator(".figures dd").nth(1)
    before = hour.inner_text()
    connect(relay, SHOP).submit(SHOP_SENDER, b"8613800000077", "Hello")
    expect(hour).not_to_have_text(before, timeout=PATIENCE_MS)
    expect(page.locator("#stale")).to_be_hidden()


@pytest.fixture(scope="module")
def details(relay: Relay, people: None) -> tuple[str, ...]:
    """Pages about one thing, with something to show on each."""
    friend = "8613800000099"
    with Esme.bound(relay.port, PEOPLE) as esme:
        esme.submit(PERSON, friend.encode(), ADVERTISEMENT)
    decision = id_to_text(relay.decisions(friend)[0]["id"])
    for words in (
        ("appeal", "open", decision, "--for-person", PERSON.decode(), "--reason", "I only forward it to my sister"),
        ("complaint", "add", "--number", "7", "--sender", SHOP_SENDER.decode(), "--complainant", friend),
    ):
        done = relay.command(*words)
        assert done.returncode == 0, done.stderr
    pages = [f"/decisions/{decision}"]
    for name in ("appeals", "complaints"):
        pages += [f"/{name}/{number}" for (number,) in relay.records(f"select max(id) from {name}") if number]
    pages += [f"/rules/{number}" for (number,) in relay.records("select max(id) from rule_versions") if number]
    return tuple(pages)


@pytest.mark.parametrize(("lang", "width", "viewport", "colours"), [
    pytest.param("en", "desktop", WIDE, "light", id="english-desktop"),
    pytest.param("zh", "desktop", WIDE, "light", id="chinese-desktop"),
    pytest.param("en", "phone", NARROW, "dark", id="english-phone-dark"),
    pytest.param("zh", "phone", NARROW, "dark", id="chinese-phone-dark"),
])  # fmt: skip
@pytest.mark.parametrize("name", ["mei", "shop"])
def test_everybody_can_use_every_page(
    relay: Relay, chromium: Browser, people: None, details: tuple[str, ...], lang: str, width: str,
    viewport: dict[str, int], colours: str, name: str,
) -> None:  # fmt: skip
    locale = {"en": "en-GB", "zh": "zh-CN"}[lang]
    page = sign_in(chromium, relay, name, locale=locale, viewport=viewport, color_scheme=colours)
    errors: list[str] = []
    page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    for path in (*PAGES, *details) if name == "mei" else PROVIDERS_PAGES:
        answer = page.goto(f"{console(relay)}{path}")
        assert answer is not None
        assert answer.status == 200, path
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, f"{path} is {wide} pixels too wide"
        found = Axe().run(page).response["violations"]
        assert [(each["id"], each["nodes"][0]["html"]) for each in found] == [], path
        words = re.sub(r"[^a-z]+", "-", path.partition("?")[0]).strip("-") or "overview"
        keep(page, f"console-{words}{'-one' if path in details else ''}-{width}-{lang}")
    page.context.close()
    assert errors == []


def test_the_console_works_without_scripts(relay: Relay, chromium: Browser, people: None) -> None:
    page = sign_in(chromium, relay, "mei", java_script_enabled=False)
    page.goto(f"{console(relay)}/rules?threshold.person=0.8")
    assert re.search(r"threshold\.person.*0\.8", page.locator("main").inner_text())
