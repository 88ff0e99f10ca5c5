"""Tells people of measures against them, by a message through the SMSC: each measure once.

What is to be said is posted among the notices of the hot state, from where the worker that has their bind sends it, as
soon as the SMSC takes it. Nothing is said of a measure that has ended meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Final

import structlog
from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy import Engine

from smsc_filter.policy.identity import Registry
from smsc_filter.policy.language import read_language
from smsc_filter.policy.measures import Measure, Step
from smsc_filter.policy.rules import read_profile
from smsc_filter.policy.zones import Zones
from smsc_filter.records.errors import RecordsError
from smsc_filter.records.tellings import note_told, untold
from smsc_filter.settings import Settings
from smsc_filter.smpp.constants import Ton
from smsc_filter.state.notices import Notice, post_once

log = structlog.get_logger()

LOOK_SECONDS: Final = 1.0

OPEN_SECONDS: Final = 72 * 3600.0
"""How long it is tried to tell of a measure without an end."""

TOLD_STEPS: Final = (Step.WARN.value, Step.THROTTLE.value, Step.SUSPEND.value)
"""Steps a person can hear of; the other one is about binds."""


class Telling:
    """Tells what is due."""

    def __init__(self, settings: Settings, engine: Engine, client: Redis, clock: Callable[[], float]) -> None:
        """Tell by ``settings`` of the measures in ``engine``, over ``client``, at times ``clock()``."""
        profile = read_profile(settings.policy.profile)
        self._engine = engine
        self._client = client
        self._clock = clock
        self._registry = Registry(settings.registered(profile), settings.numbers)
        self._words = read_language(profile.languages[0]).notice
        self._zones = Zones(profile.zones)
        self._sends = bool(settings.notices.system_id)

    async def run(self) -> None:
        """Tell what is due, every second, until cancelled; nothing where no notices are sent."""
        while self._sends and self._registry.has_people:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await asyncio.to_thread(self.tell_due)
            except (RecordsError, RedisError, OSError) as error:
                log.warning("tellings-wait", error=str(error))

    def tell_due(self) -> int:
        """Tell what is due now; how many people were told.

        Raises:
            SqlUnavailable, RedisError, OSError: one side does not answer; what is left is due at the next call.
        """
        told = 0
        for record in untold(self._engine, TOLD_STEPS, self._clock()):
            measure, now = record.measure, self._clock()
            is_person = self._registry.person_at(measure.subject.encode(), Ton.INTERNATIONAL) is not None
            if is_person:
                until = measure.ends_at if measure.ends_at is not None else now + OPEN_SECONDS
                told += post_once(
                    self._client, f"measure:{measure.id}", Notice(measure.subject, self._text(measure), until)
                )
            note_told(self._engine, measure.id, now, by_message=is_person)
            log.info("told", measure=measure.id, step=measure.step.value, by_message=is_person)
        return told

    def _text(self, measure: Measure) -> str:
        end = None
        if measure.ends_at is not None:
            end = datetime.fromtimestamp(measure.ends_at, self._zones.zone_of(measure.subject))
        return self._words.written(measure.step.value, measure.appeal_code, end, measure.per_hour)
