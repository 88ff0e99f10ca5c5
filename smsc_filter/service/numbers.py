"""The number of this machine among those that share a store."""

from __future__ import annotations

import contextlib
import hashlib
import socket
from dataclasses import replace
from typing import Any

import structlog
from redis.exceptions import RedisError, ResponseError

from smsc_filter.service.build import installation_key, store_writer
from smsc_filter.settings import Settings, SettingsError
from smsc_filter.state.leases import LEASE, MOST_NODES, NumberHeldError, lease_call, lease_of

log = structlog.get_logger()


def holder_of(settings: Settings) -> str:
    """What this installation leases its number as: the same after a restart, another one for another ``data_dir``."""
    return f"{socket.gethostname()}:{hashlib.sha256(installation_key(settings)).hexdigest()[:16]}"


def lease_node(settings: Settings, url: str) -> Settings | None:
    """``settings`` with the number this machine has; None while the store does not answer.

    Raises:
        SettingsError: another machine holds the number that is set, or others hold all of them.
    """
    remembered = settings.data_dir / "node"
    wanted = [settings.node] if settings.node >= 0 else list(range(MOST_NODES))
    if settings.node < 0:
        with contextlib.suppress(OSError, ValueError):
            before = int(remembered.read_text())
            wanted.sort(key=lambda number: number != before)
    names, arguments = lease_call("n", holder_of(settings), wanted)
    client = store_writer(settings, url)
    try:
        answer: Any = client.eval(LEASE.text, len(names), *names, *arguments)
    except ResponseError:
        raise
    except (RedisError, OSError) as error:
        log.error("store-unavailable", detail=f"the number of this machine cannot be leased: {error}")
        return None
    finally:
        client.close()
    try:
        number = lease_of(answer).number
    except NumberHeldError as error:
        if settings.node >= 0:
            message = f"node = {settings.node}: {error} holds this number in the store; leave it out, or set another"
        else:
            message = f"node: {MOST_NODES} machines hold all numbers of this store"
        raise SettingsError(message) from error
    remembered.write_text(f"{number}\n")
    return replace(settings, node=number)
