"""What is built from the settings for the web application."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import redis
import redis.asyncio
from sqlalchemy import Engine

from smsc_filter.policy.rules import read_profile
from smsc_filter.policy.tuning import tuned_profile
from smsc_filter.records.signature import SigningKey
from smsc_filter.service.build import (
    configured_thresholds,
    device_key,
    model_folder,
    read_prohibited,
    set_thresholds,
    shadow_folder,
)
from smsc_filter.service.build_records import make_projector, owners_of, reply_seconds
from smsc_filter.service.numbers import holder_of
from smsc_filter.settings import Settings
from smsc_filter.state.notices import post
from smsc_filter.web.console.setup import Setup
from smsc_filter.web.context import Context, make_context
from smsc_filter.web.devices import Devices
from smsc_filter.web.models import Models
from smsc_filter.web.portal.desk import PortalDesk, limits_of


def make_setup(settings: Settings, models: Models) -> Setup:
    """What the configuration says, as far as pages show it.

    Raises:
        SettingsError: the list of what is prohibited cannot be read.
    """
    profile = read_profile(settings.policy.profile)
    return Setup(
        mode=settings.policy.mode,
        profile=profile,
        thresholds=lambda: configured_thresholds(settings, models.current()),
        prohibited=read_prohibited(settings),
        accounts={account.system_id: account.owner for account in settings.accounts},
        owners=settings.owners,
        senders=lambda tuning: settings.registered(tuned_profile(profile, tuning)),
        model_folder=models.folder,
        cases_folder=Path(settings.model.cases),
        shadow_folder=shadow_folder(settings),
        signing_key=cache(partial(SigningKey.open, settings.data_dir)),
    )


def portal_desk(settings: Settings, store: redis.asyncio.Redis) -> PortalDesk:
    """What the portal works with."""
    return PortalDesk(
        limits=limits_of(settings.portal),
        categories=settings.portal.categories,
        send=partial(post, store) if settings.notices.system_id else None,
        help=settings.portal.help,
        messages_ask_wishes=settings.declines.sms,
    )


def web_context(
    settings: Settings, engine: Engine, store: redis.asyncio.Redis, writer: redis.Redis, clock: Callable[[], float]
) -> Context:
    """What the web application works with."""
    models = Models(model_folder(settings), set_thresholds(settings))
    return make_context(
        engine=engine,
        store=store,
        writer=writer,
        settings=settings.web,
        metrics=settings.metrics,
        numbering=settings.numbers,
        partitions=settings.state.partitions,
        node=settings.node,
        machine=holder_of(settings),
        folder=settings.data_dir,
        min_free_mb=settings.state.min_free_mb,
        timeout=settings.state.timeout,
        reply_seconds=reply_seconds(settings),
        models=models,
        project_consents=make_projector(settings, engine, writer).apply,
        setup=make_setup(settings, models),
        portal=portal_desk(settings, store),
        devices=Devices(device_key(settings)),
        clock=clock,
        owner_of=owners_of(settings),
    )
