"""What ``serve``, its children and the command line build alike, from the settings."""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Final

import redis
import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from sqlalchemy import Engine

from smsc_filter.classifier.scorer import Scorer
from smsc_filter.policy.identity import Registry
from smsc_filter.policy.prohibited import compile_prohibited
from smsc_filter.policy.rules import Rules, make_rules, read_profile, with_quiet_hours
from smsc_filter.policy.tuning import Tuning, tuned_profile
from smsc_filter.records import declines
from smsc_filter.records.database import open_database
from smsc_filter.records.signature import SigningKey
from smsc_filter.service.projector import Projector
from smsc_filter.settings import Settings, SettingsError
from smsc_filter.state.declines import write_pages, write_wishes, written_pages
from smsc_filter.state.embedded import EmbeddedStore
from smsc_filter.state.notices import post
from smsc_filter.web.console.setup import Setup
from smsc_filter.web.context import Context, make_context
from smsc_filter.web.models import Models
from smsc_filter.web.portal.desk import PortalDesk, limits_of

NO_TUNING: Final = Tuning()


def model_folder(settings: Settings) -> Path:
    """Where the model is: relative paths are of the working directory, else of the sources or the installation."""
    return _folder(settings.model.path)


def shadow_folder(settings: Settings) -> Path | None:
    """Where the shadow model is; None where there is none."""
    return _folder(settings.model.shadow) if settings.model.shadow else None


def _folder(name: str) -> Path:
    path = Path(name)
    places = (Path(), Path(__file__).resolve().parents[2], Path(sys.prefix) / "share" / "smsc-filter")
    return next((place / path for place in places if (place / path).exists()), path)


def read_prohibited(settings: Settings) -> list[str]:
    """The entries of the configured list of what is prohibited.

    Raises:
        SettingsError: the list cannot be read.
    """
    entries: list[str] = []
    if settings.policy.prohibited_file:
        try:
            lines = Path(settings.policy.prohibited_file).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"policy.prohibited_file: {settings.policy.prohibited_file}: {error}") from error
        entries = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    return entries


def set_thresholds(settings: Settings) -> dict[str, float]:
    """The thresholds that the operator has set in place of the model's, by purpose."""
    return {str(purpose): value for purpose, value in settings.policy.thresholds.items()}


def configured_thresholds(settings: Settings, scorer: Scorer) -> dict[str, float]:
    """Score from which a text is commercial, by purpose: the model's, but for those the configuration sets."""
    return {**scorer.thresholds, **set_thresholds(settings)}


def load_rules(settings: Settings, scorer: Scorer, tuning: Tuning = NO_TUNING) -> Rules:
    """The rules messages are judged by.

    Raises:
        SettingsError: the list of what is prohibited cannot be read.
    """
    thresholds = configured_thresholds(settings, scorer)
    thresholds.update((str(purpose), value) for purpose, value in tuning.thresholds.items())
    entries = [*read_prohibited(settings), *tuning.prohibited]
    profile = with_quiet_hours(read_profile(settings.policy.profile), settings.policy.quiet_hours)
    if settings.policy.confirmation is not None:
        profile = replace(profile, reply=replace(profile.reply, confirmation=settings.policy.confirmation))
    rules = make_rules(tuned_profile(profile, tuning), thresholds, compile_prohibited(entries))
    return replace(rules, profile=f"{rules.profile}, rules {tuning.version}") if tuning.version else rules


def make_registry(settings: Settings, tuning: Tuning = NO_TUNING) -> Registry:
    """The registered senders, with the caps that hold for them."""
    profile = tuned_profile(read_profile(settings.policy.profile), tuning)
    return Registry(settings.registered(profile), settings.numbers)


def jitter_key(settings: Settings) -> bytes:
    """The key of soft caps: that of the configuration, or one of this installation, made when first needed."""
    if settings.policy.jitter_key:
        return settings.policy.jitter_key.encode()
    path = settings.data_dir / "jitter.key"
    if not path.exists():
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=settings.data_dir, delete=False) as file:
            file.write(secrets.token_bytes(32))
        # Of several processes that find none, one's is kept, whole.
        with contextlib.suppress(FileExistsError):
            os.link(file.name, path)
        Path(file.name).unlink()
    return path.read_bytes()


def embedded_store(settings: Settings) -> EmbeddedStore | None:
    """The private store of this installation, or None where ``redis_url`` names another."""
    if settings.state.redis_url:
        return None
    return EmbeddedStore(settings.data_dir / "state", settings.state.fsync)


def open_records(settings: Settings) -> Engine:
    """The records of law, their schema up to date."""
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    return open_database(settings.records.database_url, settings.data_dir)


def evidence_folder(settings: Settings) -> Path:
    """Where files are kept that show consents."""
    return settings.data_dir / "evidence"


def reply_seconds(settings: Settings) -> float:
    """How long the profile waits for the answer to a consent request."""
    return float(read_profile(settings.policy.profile).request.reply_seconds)


def make_projector(settings: Settings, engine: Engine, client: redis.Redis) -> Projector:
    """What makes the hot state say of consents what the records say."""
    return Projector(engine, client, settings.state.partitions, reply_seconds(settings))


def store_client(settings: Settings, url: str) -> redis.asyncio.Redis:
    """A client whose every wait is bounded; trying again is the ledger's."""
    return redis.asyncio.Redis.from_url(
        url,
        socket_timeout=settings.state.timeout,
        socket_connect_timeout=settings.state.timeout,
        retry=Retry(NoBackoff(), 0),
    )


def spool_folder(settings: Settings) -> Path:
    """Where decisions wait on disk while the store is away."""
    return settings.data_dir / "spool"


def store_writer(settings: Settings, url: str) -> redis.Redis:
    """A client for changes, made in threads."""
    return redis.Redis.from_url(
        url,
        socket_timeout=max(settings.state.timeout, 10.0),
        socket_connect_timeout=settings.state.timeout,
    )


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
        folder=settings.data_dir,
        timeout=settings.state.timeout,
        reply_seconds=reply_seconds(settings),
        models=models,
        project_consents=make_projector(settings, engine, writer).apply,
        setup=make_setup(settings, models),
        portal=portal_desk(settings, store),
        clock=clock,
        owner_of=owners_of(settings),
    )


def owners_of(settings: Settings) -> Callable[[str], str | None]:
    """Whose a canonical address is, by the registered senders."""
    registry = Registry(settings.registered(read_profile(settings.policy.profile)), settings.numbers)
    return lambda address: registry.owner_of(address.encode("latin-1", "replace"), 0)


def project_declines(
    settings: Settings, engine: Engine, client: redis.Redis, tell: Callable[[int], None] = lambda pages: None
) -> int:
    """Bring the decline register on record into the hot state; how many pages that took."""

    def write(spelled: Mapping[int, str], pages: Mapping[int, Sequence[tuple[int, int]]]) -> None:
        write_wishes(client, spelled, settings.state.partitions)
        write_pages(client, pages, settings.state.partitions)

    return declines.project(engine, write, tell)


def rebuild_declines(
    settings: Settings, engine: Engine, client: redis.Redis, tell: Callable[[int], None] = lambda pages: None
) -> int:
    """Write every page of the decline register anew, and empty those the records do not know; how many that is."""
    declines.announce_all(engine, written_pages(client, settings.state.partitions))
    return project_declines(settings, engine, client, tell)
