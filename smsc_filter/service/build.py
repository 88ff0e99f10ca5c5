"""What ``serve``, its children and the command line build alike, from the settings: rules, senders, the hot state.

What needs SQL is in ``build_records``, what needs the web application in ``build_web``: a worker imports neither.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Final

import redis
import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from smsc_filter.classifier.scorer import Scorer
from smsc_filter.policy.identity import Registry
from smsc_filter.policy.prohibited import compile_prohibited
from smsc_filter.policy.rules import Rules, make_rules, read_profile, with_quiet_hours
from smsc_filter.policy.tuning import Tuning, tuned_profile
from smsc_filter.records.modes import make_private_folder
from smsc_filter.records.text_keys import TextKeys
from smsc_filter.settings import Settings, SettingsError
from smsc_filter.state.embedded import EmbeddedStore

NO_TUNING: Final = Tuning()

STORE_CONNECTIONS: Final = 32
"""To the store, of one client; a worker has two batches there at once, and a few readers that wait for news."""


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
    """The key of soft caps: that of the configuration, or one of this installation."""
    return settings.policy.jitter_key.encode() or _own_key(settings, "jitter.key")


def device_key(settings: Settings) -> bytes:
    """The key of known browsers: that of the configuration, or one of this installation."""
    return settings.web.device_key.encode() or _own_key(settings, "device.key")


def installation_key(settings: Settings) -> bytes:
    """What tells this installation from others that share its store."""
    return _own_key(settings, "installation.key")


def _own_key(settings: Settings, name: str) -> bytes:
    """A key of this installation, made when first needed."""
    path = settings.data_dir / name
    if not path.exists():
        make_private_folder(settings.data_dir)
        with tempfile.NamedTemporaryFile(dir=settings.data_dir, delete=False) as file:
            file.write(secrets.token_bytes(32))
        # Of several processes that find none, one's is kept, whole.
        with contextlib.suppress(FileExistsError):
            os.link(file.name, path)
        Path(file.name).unlink()
    return path.read_bytes()


def text_keys(settings: Settings) -> TextKeys | None:
    """What texts of messages are sealed and opened with; None where they never were sealed.

    Raises:
        TextKeyError: the file of keys is of no use.
    """
    if not settings.records.text_keys:
        return None
    return TextKeys(Path(settings.records.text_keys), sealing=settings.records.encrypt_texts)


def embedded_store(settings: Settings) -> EmbeddedStore | None:
    """The private store of this installation, or None where ``redis_url`` names another."""
    if settings.state.redis_url:
        return None
    return EmbeddedStore(settings.data_dir / "state", settings.state.fsync)


def store_client(settings: Settings, url: str) -> redis.asyncio.Redis:
    """A client of few connections whose every wait is bounded; trying again is the ledger's.

    Who finds all connections in use waits ``state.timeout`` for one; then the store counts as away.
    """
    pool = redis.asyncio.BlockingConnectionPool.from_url(
        url,
        max_connections=STORE_CONNECTIONS,
        timeout=settings.state.timeout,
        socket_timeout=settings.state.timeout,
        socket_connect_timeout=settings.state.timeout,
        retry=Retry(NoBackoff(), 0),
    )
    return redis.asyncio.Redis.from_pool(pool)


def spool_folder(settings: Settings) -> Path:
    """Where decisions wait on disk while the store is away."""
    return settings.data_dir / "spool"


def store_writer(settings: Settings, url: str) -> redis.Redis:
    """A client for changes, made in threads; of few connections, each wait bounded."""
    pool = redis.BlockingConnectionPool.from_url(
        url,
        max_connections=STORE_CONNECTIONS,
        timeout=max(settings.state.timeout, 10.0),
        socket_timeout=max(settings.state.timeout, 10.0),
        socket_connect_timeout=settings.state.timeout,
    )
    return redis.Redis.from_pool(pool)
