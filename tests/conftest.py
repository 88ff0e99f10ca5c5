"""Fixtures of the end-to-end tests: relays and SMSCs that end with the test that asked for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.relay.harness import Esme, Process, Relay, Smsc, short_folder

StartRelay = Callable[..., Relay]
Connect = Callable[..., Esme]
StartSimulator = Callable[..., Process]


@pytest.fixture(scope="module")
def smsc() -> Iterator[Smsc]:
    """An SMSC in this process that keeps what it hears."""
    with Smsc() as smsc:
        yield smsc


@pytest.fixture(scope="module")
def everywhere() -> dict[str, Any]:
    """The configuration of every relay of a module, but for what it says otherwise. The web is half of a start."""
    return {"web": {"enabled": False}}


@pytest.fixture(scope="module")
def start_relay(everywhere: dict[str, Any]) -> Iterator[StartRelay]:
    """Start relays, as many as wanted: ``start_relay(smsc.port, listen={...}, ...)``."""
    with ExitStack() as stack:

        def start(smsc_port: int, **settings: Any) -> Relay:
            relay = Relay(stack.enter_context(short_folder()), smsc_port, **everywhere | settings)
            stack.callback(relay.stop)
            return relay.start()

        yield start


@pytest.fixture(scope="module")
def relay(smsc: Smsc, start_relay: StartRelay) -> Relay:
    """A relay that enforces, with one worker."""
    return start_relay(smsc.port)


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Connect providers: ``connect(relay, account)`` binds, without an account it only connects."""
    with ExitStack() as stack:

        def open_link(relay: Process, account: tuple[str, str] | None = None, *bind: int, **options: Any) -> Esme:
            esme = Esme.bound(relay.port, account, *bind, **options) if account else Esme(relay.port, **options)
            return stack.enter_context(esme)

        yield open_link


@pytest.fixture(scope="module")
def start_simulator() -> Iterator[StartSimulator]:
    """Start ``smsc-sim`` processes: ``start_simulator("--journal", path)``."""
    with ExitStack() as stack:

        def start(*options: str, port: int = 0) -> Process:
            folder = stack.enter_context(short_folder())
            arguments = ("smsc_filter.lab.simulator", "--port", str(port), "--until-eof", *options)
            simulator = Process("simulator", folder, arguments, {})
            stack.callback(simulator.stop)
            return simulator.start()

        yield start
