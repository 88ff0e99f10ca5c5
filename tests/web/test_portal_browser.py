"""A subscriber at a phone, in a real browser before real processes; skipped where there is no chromium.

``SCREENSHOTS=DIR`` keeps a picture of each page.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.conftest import Connect, StartRelay
from tests.relay.harness import (
    ADVERTISEMENT,
    CONSENT_REFUSED,
    NO_CONSENT,
    PEOPLE,
    PERSON,
    SHOP,
    SHOP_SENDER,
    Relay,
    Smsc,
    wait_until,
)
from tests.web.console.browser import keep
from tests.web.test_portal_service import NOTICES, NUMBER, notices
from tests.web.test_service import web_port

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)

PHONE, DESKTOP = {"width": 390, "height": 844}, {"width": 1280, "height": 900}

SLOW_MS = 30_000

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="NO BROWSER: install chromium to test the pages in one")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def own_smsc() -> Iterator[Smsc]:
    with Smsc() as smsc:
        yield smsc


@pytest.fixture(scope="module")
def own_relay(own_smsc: Smsc, start_relay: StartRelay) -> Relay:
    portal = {"pause_seconds": 0, "codes_an_hour": 100, "codes_a_day": 100}
    return start_relay(own_smsc.port, notices=NOTICES, portal=portal)


@contextmanager
def page_of(
    chromium: Browser, relay: Relay, lang: str, *, scripts: bool = True, size: dict[str, int] = PHONE
) -> Iterator[Page]:
    port = wait_until(lambda: web_port(relay), "the web says where it is")
    context = chromium.new_context(
        base_url=f"http://127.0.0.1:{port}",
        locale={"zh": "zh-CN", "en": "en-GB"}[lang],
        viewport=size,  # type: ignore[arg-type]
        java_script_enabled=scripts,
        bypass_csp=scripts,  # for axe alone, which is put into the page
    )
    context.set_default_timeout(SLOW_MS)
    page = context.new_page()
    failures: list[str] = []
    page.on("console", lambda message: failures.append(message.text) if message.type == "error" else None)
    yield page
    context.close()
    assert not [each for each in failures if "Content Security Policy" in each]


def sign_in(page: Page, smsc: Smsc, number: str = NUMBER) -> None:
    """Type the number, read the code at the SMSC, type that."""
    before = len(notices(smsc))
    page.goto("/")
    page.locator("#number").fill(number)
    page.locator("main button").click()
    _, to, text = wait_until(lambda: notices(smsc)[before:], "the code comes")[0]
    assert to == number
    code = re.search(r"[0-9]{8}", text)
    assert code is not None
    page.locator("#code").fill(code[0])
    page.locator("main button").click()
    expect(page.locator(".who")).to_contain_text(number)


def check(page: Page, name: str) -> None:
    """Nothing is wider than the screen, and nobody is kept out."""
    page.wait_for_function("document.readyState === 'complete'")
    wider = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wider <= 0, f"{name} is {wider} pixels wider than the screen"
    found = Axe().run(page)
    assert found.violations_count == 0, f"{name}: {found.generate_report()}"


@pytest.fixture(scope="module")
def stopped(own_relay: Relay) -> None:
    """A consent, and somebody who refused."""
    own_relay.consents(f"{NUMBER},shop-ltd,granted", f"{NUMBER},bank-ltd,refused")


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no-scripts"])
def test_a_subscriber_withdraws_a_consent_and_the_next_advertisement_is_refused(
    own_relay: Relay, own_smsc: Smsc, connect: Connect, chromium: Browser, stopped: None, scripts: bool
) -> None:
    number = "8613800000021" if scripts else "8613800000022"
    own_relay.consents(f"{number},shop-ltd,granted")
    esme = connect(own_relay, SHOP)
    assert esme.submit(SHOP_SENDER, number.encode(), ADVERTISEMENT) == 0
    with page_of(chromium, own_relay, "en", scripts=scripts) as page:
        sign_in(page, own_smsc, number)
        page.get_by_role("navigation").get_by_role("link", name="Who may write to me").click()
        page.get_by_role("button", name="Stop advertising from shop-ltd").click()
        expect(page.get_by_role("status")).to_contain_text("Done.")
        assert esme.submit(SHOP_SENDER, number.encode(), ADVERTISEMENT) == CONSENT_REFUSED

        def shown() -> bool:
            page.goto("/my/messages")
            return page.locator(".entry").count() > 0

        wait_until(shown, "the refusal is on record")
        expect(page.locator(".entry")).to_contain_text("you told this sender to stop")
        page.locator(".entry a").click()
        page.locator("#reason").fill("I changed my mind")
        page.get_by_role("button", name="Object").click()
        expect(page.get_by_role("heading", level=1)).to_contain_text("is being looked at")
        page.get_by_role("button", name="Sign out").click()
        expect(page.locator("#number")).to_be_visible()


@pytest.mark.parametrize("lang", ["zh", "en"])
@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_every_page_fits_and_keeps_nobody_out(
    own_relay: Relay,
    own_smsc: Smsc,
    connect: Connect,
    chromium: Browser,
    stopped: None,
    lang: str,
    size: dict[str, int],
) -> None:
    width = "phone" if size is PHONE else "desktop"
    shop, people = connect(own_relay, SHOP), connect(own_relay, PEOPLE)
    assert shop.submit(b"106900002", NUMBER.encode(), ADVERTISEMENT) in (0, NO_CONSENT, CONSENT_REFUSED)
    other = {"zh": "8613811110001", "en": "8613811110002"}[lang]
    assert shop.submit(SHOP_SENDER, other.encode(), ADVERTISEMENT) == NO_CONSENT
    people.submit(PERSON, NUMBER.encode(), ADVERTISEMENT)
    with page_of(chromium, own_relay, lang, size=size) as page:
        page.goto("/")
        check(page, "number")
        keep(page, f"number-{width}-{lang}")
        page.locator("#number").fill("12")
        page.locator("main button").click()
        check(page, "wrong-number")
        page.goto("/")
        page.locator("#number").fill(other)
        page.locator("main button").click()
        check(page, "code")
        keep(page, f"code-{width}-{lang}")
        sign_in(page, own_smsc, other)
        wait_until(lambda: page.goto("/") and page.locator(".entry").count(), "the refusal is on record")
        for name in ("", "messages", "wishes", "requests"):
            page.goto(f"/my/{name}" if name else "/")
            check(page, name or "home")
            keep(page, f"{name or 'home'}-{width}-{lang}")
        page.goto("/my/messages")
        page.locator(".entry a").first.click()
        check(page, "message")
        keep(page, f"message-{width}-{lang}")
        if page.locator("#reason").count():
            page.locator("#reason").fill({"zh": "我想收到这条短信", "en": "I want this message"}[lang])
            page.locator("form.stack button").first.click()
            check(page, "appeal")
            keep(page, f"appeal-{width}-{lang}")
        page.goto("/my/requests")
        page.locator("#sender").fill("106900001")
        page.locator("#content").fill({"zh": "天天发广告", "en": "Advertising every day"}[lang])
        page.locator("form.stack button").click()
        check(page, "complaint")
        keep(page, f"complaint-{width}-{lang}")
        page.goto("/my/nothing")
        check(page, "no such page")
        page.goto("/")
        page.locator(".who button").click()
        sign_in(page, own_smsc, NUMBER)
        page.goto("/my/consents")
        page.locator("summary").first.click()
        check(page, "consents")
        keep(page, f"consents-{width}-{lang}")
