"""aiosmpplib as a provider."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiosmpplib
import pytest

from smsc_filter.smpp.constants import CommandStatus
from tests.conftest import StartRelay
from tests.interop.conftest import AGREED, STRANGER, receipt_for
from tests.relay.harness import ADVERTISEMENT, CODE, SECONDS, SHOP, SHOP_SENDER, Relay, Smsc

CHINESE = "【云上商城】您的订单已发货，预计明天送达，请保持手机畅通，取件时出示身份证件。" * 4


@pytest.fixture(scope="module")
def relay(smsc: Smsc, start_relay: StartRelay) -> Relay:
    """A relay that answers in the standard style: this client drops a link on a status outside the specification."""
    relay = start_relay(smsc.port, policy={"status_style": "standard"})
    relay.consents(f"{AGREED},shop-ltd,granted")
    return relay


class Hook(aiosmpplib.AbstractHook):  # type: ignore[misc]
    """Keeps what the client hears."""

    def __init__(self) -> None:
        self.answers: list[tuple[str, int, str]] = []
        self.received_texts: list[str] = []

    async def sending(self, smpp_message: Any, pdu: bytes, client_id: str) -> None:
        """Nothing to keep."""

    async def received(self, smpp_message: Any, pdu: bytes, client_id: str) -> None:
        """Keep answers and receipts."""
        if int.from_bytes(pdu[4:8], "big") == 0x80000004:
            log_id = getattr(smpp_message, "log_id", "")
            self.answers.append((log_id, int.from_bytes(pdu[8:12], "big"), pdu[16:].rstrip(b"\0").decode()))
        elif isinstance(smpp_message, aiosmpplib.DeliverSm):
            self.received_texts.append(smpp_message.short_message)

    async def send_error(self, smpp_message: Any, error: Exception, client_id: str) -> None:
        """Nothing to keep: a message that was not sent has no answer."""


@contextlib.asynccontextmanager
async def provider(relay: Relay) -> AsyncIterator[tuple[aiosmpplib.ESME, Hook]]:
    hook = Hook()
    esme = aiosmpplib.ESME("127.0.0.1", relay.port, *SHOP, hook=hook, log_level=logging.CRITICAL)
    running = asyncio.create_task(esme.start())
    try:
        await becomes(lambda: esme.session_state is aiosmpplib.SmppSessionState.BOUND_TRX)
        yield esme, hook
    finally:
        writer = esme._writer
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SECONDS):
                await esme.stop()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        if writer is not None:  # it leaves its stream to the garbage collector
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


async def becomes(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def submit(esme: aiosmpplib.ESME, recipient: str, text: str, **fields: Any) -> None:
    source = aiosmpplib.PhoneNumber(SHOP_SENDER.decode(), aiosmpplib.TON.UNKNOWN, aiosmpplib.NPI.ISDN)
    destination = aiosmpplib.PhoneNumber(recipient, aiosmpplib.TON.INTERNATIONAL, aiosmpplib.NPI.ISDN)
    await esme.broker.enqueue(
        aiosmpplib.SubmitSm(short_message=text, source=source, destination=destination, log_id=recipient, **fields)
    )


def test_a_code_passes_and_an_advertisement_shows_its_cause(smsc: Smsc, relay: Relay) -> None:
    async def conversation() -> list[int]:
        async with provider(relay) as (esme, hook):
            for recipient, text in ((STRANGER, CODE), (STRANGER, ADVERTISEMENT), (AGREED, ADVERTISEMENT)):
                before = len(hook.answers)
                await submit(esme, recipient, text)
                await becomes(lambda before=before: len(hook.answers) > before)
            return [status for _, status, _ in hook.answers]

    assert asyncio.run(conversation()) == [0, CommandStatus.ESME_RINVDSTADR, 0]


def test_a_long_chinese_message_arrives_whole(smsc: Smsc, relay: Relay) -> None:
    async def conversation(automatic: bool, answers: int) -> list[int]:
        async with provider(relay) as (esme, hook):
            # With this bit set it splits the text itself, by a header and by SAR parameters at once.
            await submit(esme, AGREED, CHINESE, auto_message_payload=automatic, esm_class=0 if automatic else 0x40)
            await becomes(lambda: len(hook.answers) >= answers)
            return [status for _, status, _ in hook.answers]

    smsc.forget()
    assert asyncio.run(conversation(automatic=True, answers=1)) == [0]
    (in_payload,) = smsc.requests()
    assert in_payload.octets.endswith(CHINESE.encode("utf-16-be"))
    smsc.forget()
    parts = -(-len(CHINESE) // 67)
    assert set(asyncio.run(conversation(automatic=False, answers=parts))) == {0}
    assert len(smsc.requests()) == parts


def test_receipts_come_back(smsc: Smsc, relay: Relay) -> None:
    async def conversation() -> tuple[str, list[str]]:
        async with provider(relay) as (esme, hook):
            await submit(esme, AGREED, CODE, registered_delivery=1)
            await becomes(lambda: hook.answers)
            receipt_for(smsc.link("shop"), hook.answers[0][2])
            await becomes(lambda: hook.received_texts)
            return hook.answers[0][2], hook.received_texts

    message_id, texts = asyncio.run(conversation())
    assert len(texts) == 1
    assert f"id:{message_id} " in texts[0]
