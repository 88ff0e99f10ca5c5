"""``/healthz`` and ``/readyz``: whether the process lives, and whether it can do its work."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from functools import cache
from typing import Any, Final

import redis
from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from smsc_filter.records.database import reading
from smsc_filter.records.errors import SqlUnavailable
from smsc_filter.state.figures import KEY, read_meters
from smsc_filter.web.context import Context, context_of

router = APIRouter(tags=["health"])

CHECK_SECONDS: Final = 2.0


@cache
def _threads() -> CapacityLimiter:
    """Threads of its own: those of the pages may all be waiting."""
    return CapacityLimiter(2)


class NoWorker(Exception):
    """Nobody relays on this machine."""


class NoRoom(Exception):
    """The disk of the data folder is full, or nearly; the message says how full."""


class Health(BaseModel):
    """What works; the name of a check -> "ok", or what is wrong."""

    status: str
    checks: dict[str, str]


@router.get("/healthz", summary="Whether the process lives")
async def healthz() -> Health:
    """It answers as long as its loop turns; nothing else is looked at."""
    return Health(status="ok", checks={})


@router.get(
    "/readyz",
    summary="Whether it can do its work",
    responses={503: {"model": Health, "description": "A store is away, no worker relays, or the disk is full."}},
)
async def readyz(request: Request) -> Response:
    """Asks both stores and the disk, two seconds at most, and whether a worker has told of itself."""
    context = context_of(request)
    names = ("records", "state", "relay", "disk")
    said = await asyncio.gather(
        _check(to_thread.run_sync(_ask_records, context, limiter=_threads())),
        _check(_ask_state(context)),
        _check(_ask_relay(context)),
        _check(_ask_disk(context)),
    )
    checks = dict(zip(names, said, strict=True))
    ready = all(each == "ok" for each in said)
    health = Health(status="ok" if ready else "unavailable", checks=checks)
    return JSONResponse(health.model_dump(), 200 if ready else 503)


async def _check(asked: Awaitable[Any]) -> str:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            await asked
    except TimeoutError:
        return f"no answer within {CHECK_SECONDS:g} s"
    except (SqlUnavailable, SQLAlchemyError):
        return "the database does not answer"
    except (redis.RedisError, OSError):
        return "the hot state does not answer"
    except NoRoom as error:
        return str(error)
    except NoWorker:
        return "no worker tells of itself"
    return "ok"


def _ask_records(context: Context) -> None:
    with reading(context.engine) as connection:
        connection.execute(text("SELECT 1")).scalar_one()


async def _ask_state(context: Context) -> None:
    await context.store.ping()


async def _ask_relay(context: Context) -> None:
    fields: Any = await context.store.hgetall(KEY)
    if not read_meters(fields, context.machine, context.clock()):
        raise NoWorker


async def _ask_disk(context: Context) -> None:
    try:
        room = await to_thread.run_sync(context.room, limiter=_threads())
    except OSError as error:
        raise NoRoom(f"the disk of data_dir: {error.strerror}") from error
    if room.trouble:
        raise NoRoom(room.trouble)
