"""The portal before real processes: the code comes over a bind of ours, and a withdrawal stops the next message."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx2 as httpx
import pytest

from smsc_filter.smpp.constants import CommandId, CommandStatus
from smsc_filter.smpp.pdu import Pdu
from smsc_filter.sms.address import Numbering
from smsc_filter.sms.message import read_submit
from tests.conftest import Connect, StartRelay
from tests.relay.harness import (
    ADVERTISEMENT,
    CONSENT_REFUSED,
    SHOP,
    SHOP_SENDER,
    Relay,
    Smsc,
    wait_until,
)
from tests.web.test_service import browser

NUMBER = "8613800000001"
NOTICES = {"system_id": "notices", "password": "secret", "address": "10086"}


@pytest.fixture
def own_smsc() -> Iterator[Smsc]:
    with Smsc() as smsc:
        yield smsc


@pytest.fixture
def own_relay(own_smsc: Smsc, start_relay: StartRelay) -> Relay:
    return start_relay(own_smsc.port, notices=NOTICES, portal={"pause_seconds": 0})


def notices(smsc: Smsc) -> list[tuple[str, str, str]]:
    """(from, to, text) of what came over our own bind."""
    found = []
    for link, pdu in list(smsc.heard):
        if link.system_id == "notices" and pdu.command_id == CommandId.SUBMIT_SM:
            message = read_submit(pdu, Numbering())
            found.append((message.source.decode(), message.recipient, message.text))
    return found


def form_word(page: httpx.Response) -> str:
    found = re.search(r'name="form" value="([0-9a-f]+)"', page.text)
    assert found is not None, page.text
    return found[1]


def ask_for_a_code(web: httpx.Client) -> httpx.Response:
    page = web.get("/")
    return web.post("/my/code", data={"form": form_word(page), "number": NUMBER}, follow_redirects=True)


def sign_in(web: httpx.Client, smsc: Smsc) -> None:
    """Prove the number by the code that comes to the SMSC."""
    before = len(notices(smsc))
    page = ask_for_a_code(web)
    source, to, text = wait_until(lambda: notices(smsc)[before:], "the code comes")[0]
    assert (source, to) == (NOTICES["address"], NUMBER)
    code = re.search(r"[0-9]{8}", text)
    assert code is not None
    home = web.post("/my/sign-in", data={"form": form_word(page), "code": code[0]}, follow_redirects=True)
    assert NUMBER in home.text


def test_a_subscriber_withdraws_and_the_next_advertisement_is_refused(
    own_relay: Relay, own_smsc: Smsc, connect: Connect
) -> None:
    path = own_relay.folder / "consents.csv"
    path.write_text(f"recipient,owner,state\n{NUMBER},shop-ltd,granted\n", encoding="utf-8")
    done = own_relay.command("consent", "import", str(path))
    assert done.returncode == 0, done.stderr
    esme = connect(own_relay, SHOP)
    assert esme.submit(SHOP_SENDER, NUMBER.encode(), ADVERTISEMENT) == 0
    with browser(own_relay) as web:
        sign_in(web, own_smsc)
        page = web.get("/my/consents")
        word = form_word(page)
        fields = {"form": word, "owner": "shop-ltd", "topic": ""}
        assert web.post("/my/consents/withdraw", data=fields).status_code == 303
        assert esme.submit(SHOP_SENDER, NUMBER.encode(), ADVERTISEMENT) == CONSENT_REFUSED
        stopped = wait_until(
            lambda: page if "/my/messages/" in (page := web.get("/my/messages")).text else None, "it is on record"
        )
        assert "/my/messages/" in stopped.text
    log = own_relay.log()
    assert "notice-sent" in log
    assert NUMBER not in log


def test_a_code_waits_for_an_smsc_that_is_away_and_goes_once_it_is_back(own_relay: Relay, own_smsc: Smsc) -> None:
    wait_until(lambda: "notices-bound" in own_relay.log(), "our bind stands")
    own_smsc.stop()
    with browser(own_relay) as web:
        assert ask_for_a_code(web).status_code == 200
        assert notices(own_smsc) == []
        own_smsc.start()
        assert wait_until(lambda: notices(own_smsc), "the code comes")[0][1] == NUMBER


def test_a_notice_the_smsc_refuses_is_dropped_and_the_next_one_goes(own_relay: Relay, own_smsc: Smsc) -> None:
    def refuse(pdu: Pdu) -> bytes:
        return pdu.reply(CommandStatus.ESME_RINVDSTADR)

    own_smsc.answers[CommandId.SUBMIT_SM] = refuse
    with browser(own_relay) as web:
        ask_for_a_code(web)
        wait_until(lambda: "notice-refused" in own_relay.log(), "the refusal is heard")
        del own_smsc.answers[CommandId.SUBMIT_SM]
        sign_in(web, own_smsc)
