"""Typed settings, from one TOML file and the environment, checked once, at the start."""

from __future__ import annotations

import os
import re
import stat
import tomllib
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Protocol

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from smsc_filter.policy.facts import Sender, Window
from smsc_filter.policy.quota import Quotas, windows_for
from smsc_filter.policy.rules import PURPOSES, Profile, hours_of, profile_names
from smsc_filter.records.modes import close_to_others
from smsc_filter.relay.accounts import AccountSettings, Cap
from smsc_filter.relay.listener import ListenSettings
from smsc_filter.relay.notices import NoticeSettings
from smsc_filter.relay.upstream import UpstreamSettings
from smsc_filter.smpp.session import SessionTimers
from smsc_filter.sms.address import Numbering
from smsc_filter.state.settings import DeclineSettings, StateSettings
from smsc_filter.telemetry import LEVEL_VARIABLE, LogSettings
from smsc_filter.watch.settings import WatchSettings
from smsc_filter.web.settings import MetricsSettings, PortalSettings, WebSettings

ENVIRONMENT_PREFIX: Final = "SMSC_FILTER_"

_STRICT = ConfigDict(extra="forbid")

_SECRET_KEY: Final = re.compile(r"password|secret|_key$|_url$")
"""Keys of which no complaint shows what they were set to; a URL may carry a password."""

_URL_WITH_PASSWORD: Final = re.compile(r"(?<![a-z+])[a-z+]{1,32}://[^/@:]{0,256}:[^/@]{1,256}@")

SET_BY_OPERATOR: Final = "set by the operator"


class SettingsError(Exception):
    """The configuration cannot be used; the message is one line with file, key, value and what is allowed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordsSettings:
    """``[records]``: where decisions and consents are kept."""

    __pydantic_config__ = _STRICT

    database_url: str = ""
    """An SQLAlchemy URL; empty: SQLite in ``data_dir``."""
    encrypt_texts: bool = False
    """Whether texts of messages and complaints are sealed, in the stream and in SQL, by a key of ``text_keys``."""
    text_keys: str = ""
    """File of those keys, outside ``data_dir``; ``text-key new`` makes it. Stays set for as long as sealed texts are to
    be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipientCapSettings:
    """``[policy.recipients.PURPOSE]``: caps of the profile on what one recipient is sent, changed."""

    __pydantic_config__ = _STRICT

    minute_cap: Cap | None = None
    """Messages in any 60 s; 0: none; not set: what the profile says."""
    hour_cap: Cap | None = None
    """Messages in any 3,600 s."""
    day_cap: Cap | None = None
    """Messages in any 86,400 s."""
    week_cap: Cap | None = None
    """Messages in any 604,800 s."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicySettings:
    """``[policy]``: by which rules messages are judged."""

    __pydantic_config__ = _STRICT

    profile: str = "cn-2020-draft"
    """One of the rule profiles of the package, or the path of one of your own, which ends in .toml."""

    quiet_hours: str = ""
    """Hours in which no commercial text is sent, as "22:00-08:00" of the recipient's clock, or "none"; empty: those of
    the profile."""

    confirmation: str | None = None
    """Sent once to who withdraws, without marketing, "" for nothing; not set: what the profile says."""

    mode: Literal["enforce", "observe"] = "enforce"
    """"observe" refuses nothing on the wire; records say what would have been."""

    status_style: Literal["vendor", "standard"] = "vendor"
    """Which command_status a refused message gets: our own range, or the nearest standard code."""

    prohibited_file: str = ""
    """Texts, links and numbers that nobody may send, one a line; # begins a comment."""

    thresholds: dict[Literal["commercial", "service", "person"], Annotated[float, Field(gt=0, le=1)]] = field(
        default_factory=dict
    )
    """Score from which a text is commercial, by purpose of its sender; those of the model where not set."""

    jitter_key: str = field(default="", repr=False)
    """Decides where below its public caps each sender's suspicious texts end; empty: one is made in ``data_dir``.
    Machines that share a store need the same."""

    recipient_caps: bool = False
    """Whether the profile's caps on what one recipient is sent are in force: they are practice of platforms, not
    statute."""

    recipients: dict[Literal["commercial", "service", "person"], RecipientCapSettings] = field(default_factory=dict)
    """Caps on what one recipient is sent, by purpose of the sender; in force with ``recipient_caps``."""

    def __post_init__(self) -> None:
        if not self.profile.endswith(".toml") and self.profile not in profile_names():
            raise ValueError(
                f"profile {self.profile!r} is none of {', '.join(profile_names())}, nor the path of a .toml"
            )
        if self.quiet_hours not in ("", "none"):
            hours_of(self.quiet_hours)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSettings:
    """``[model]``: the trained classifier."""

    __pydantic_config__ = _STRICT

    path: str = "models/default"
    """Folder of the model; relative to the working directory, or else to the installation."""

    cases: str = "models/cases"
    """Folder of the texts that every later model must pass; those of granted appeals are put there."""

    labels: str = "models/labels"
    """Folder of labelled texts for the next training; those of upheld complaints are put there."""

    shadow: str = ""
    """Folder of a model that scores what was judged, to be compared; it refuses nothing. Empty: none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SupervisorSettings:
    """``[supervisor]``: how the processes of ``serve`` are looked after."""

    __pydantic_config__ = _STRICT

    watchdog: Annotated[float, Field(ge=0)] = 15.0
    """Seconds without an answer after which a worker, the recorder or the web is ended and replaced; four times as long
    where it gets no processor. 0: never."""

    start: Annotated[float, Field(ge=0)] = 300.0
    """Seconds in which such a process has to be ready, or is replaced; 0: no limit."""

    address_wait: Annotated[float, Field(ge=0)] = 10.0
    """Longest wait, in seconds, for an address that another process still holds, as after a kill."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnerSettings:
    """``[[owners]]``: caps on what all senders of an owner send together."""

    __pydantic_config__ = _STRICT

    owner: Annotated[str, Field(min_length=1)]
    minute_cap: Cap = 0
    """Messages in any 60 s; 0: none."""
    hour_cap: Cap = 0
    """Messages in any 3,600 s."""
    day_cap: Cap = 0
    """Messages in any 86,400 s."""
    week_cap: Cap = 0
    """Messages in any 604,800 s."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderSettings:
    """``[[senders]]``: a source address, or a range of them, and whose it is."""

    __pydantic_config__ = _STRICT

    address: Annotated[str, Field(pattern=r"^[^*\s]+\*?$")]
    """As it stands in source_addr; a star at the end makes it a prefix."""

    owner: Annotated[str, Field(min_length=1)]
    purpose: Literal["commercial", "service", "person"]
    hour_cap: Cap | None = None
    """Messages in any 3,600 s; 0: none; not set: what the profile says for the purpose."""

    day_cap: Cap | None = None
    """Messages in any 86,400 s."""

    minute_cap: Cap | None = None
    """Messages in any 60 s."""

    week_cap: Cap | None = None
    """Messages in any 604,800 s."""

    suspended: bool = False
    topic: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    """What it writes about: a consent to this topic of its owner is enough. Not set: only one to everything is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The whole configuration."""

    __pydantic_config__ = _STRICT

    data_dir: Path = Path("var")
    """Where everything is kept that is not kept elsewhere."""

    node: Annotated[int, Field(ge=-1, le=15)] = -1
    """Number of this machine among those that share one store. -1: the one it had before, or one nobody holds.
    ``serve`` leases it in the store, and does not start where another machine holds the number that is set."""

    listen: ListenSettings = field(default_factory=ListenSettings)
    upstream: UpstreamSettings = field(default_factory=UpstreamSettings)
    notices: NoticeSettings = field(default_factory=NoticeSettings)
    timers: SessionTimers = field(default_factory=SessionTimers)
    numbers: Numbering = field(default_factory=Numbering)
    state: StateSettings = field(default_factory=StateSettings)
    declines: DeclineSettings = field(default_factory=DeclineSettings)
    records: RecordsSettings = field(default_factory=RecordsSettings)
    web: WebSettings = field(default_factory=WebSettings)
    portal: PortalSettings = field(default_factory=PortalSettings)
    metrics: MetricsSettings = field(default_factory=MetricsSettings)
    logs: LogSettings = field(default_factory=LogSettings)
    supervisor: SupervisorSettings = field(default_factory=SupervisorSettings)
    policy: PolicySettings = field(default_factory=PolicySettings)
    watch: WatchSettings = field(default_factory=WatchSettings)
    model: ModelSettings = field(default_factory=ModelSettings)
    accounts: tuple[AccountSettings, ...] = ()
    senders: tuple[SenderSettings, ...] = ()
    owner_caps: Annotated[tuple[OwnerSettings, ...], Field(alias="owners")] = ()

    def __post_init__(self) -> None:
        if self.records.encrypt_texts and not self.records.text_keys:
            raise ValueError("records.encrypt_texts: needs records.text_keys, a file that `text-key new` makes")
        if self.records.text_keys and Path(self.records.text_keys).resolve().is_relative_to(self.data_dir.resolve()):
            raise ValueError("records.text_keys: a key beside what it seals protects nothing; keep it outside data_dir")
        names = [account.system_id for account in self.accounts]
        for number in self.watch.honeypots:
            self.numbers.msisdn(number)
        if repeated := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"accounts: system_id {', '.join(sorted(repeated))} stands more than once")
        capped = [each.owner for each in self.owner_caps]
        if repeated := {owner for owner in capped if capped.count(owner) > 1}:
            raise ValueError(f"owners: owner {', '.join(sorted(repeated))} stands more than once")
        if unknown := set(capped) - set(self.owners):
            raise ValueError(f"owners: {', '.join(sorted(unknown))} owns no account and no sender")

    @property
    def owners(self) -> list[str]:
        """Everybody who owns an account or a sender."""
        return sorted({each.owner for each in self.accounts} | {each.owner for each in self.senders})

    def registered(self, profile: Profile) -> list[Sender]:
        """The senders, with the caps that hold for them."""
        senders = []
        for entry in self.senders:
            caps = profile.quota[entry.purpose]
            windows = _windows(caps.figures, caps.article, entry)
            senders.append(
                Sender(
                    entry.address,
                    entry.owner,
                    entry.purpose,
                    windows,
                    entry.suspended,
                    entry.topic,
                    per_message=caps.counted == "messages",
                )
            )
        return senders

    def quotas(self, profile: Profile, jitter_key: bytes) -> Quotas:
        """What messages are charged to; ``jitter_key`` decides where soft caps are."""
        recipients: dict[str, tuple[tuple[Window, ...], bool, bool]] = {}
        for purpose in PURPOSES if self.policy.recipient_caps else ():
            caps, changed = profile.recipients.get(purpose), self.policy.recipients.get(purpose)
            figures = caps.figures if caps is not None else (0, 0, 0, 0)
            article = caps.article if caps is not None else SET_BY_OPERATOR
            windows = windows_for(_changed(figures, changed) if changed is not None else figures, article)
            if windows:
                by_owner = caps is None or caps.over == "owner"
                recipients[purpose] = windows, by_owner, caps is None or caps.counted == "messages"
        return Quotas(
            recipients,
            {each.system_id: windows_for(_changed((0, 0, 0, 0), each), SET_BY_OPERATOR) for each in self.accounts},
            {each.owner: windows_for(_changed((0, 0, 0, 0), each), SET_BY_OPERATOR) for each in self.owner_caps},
            profile.campaign,
            {purpose: caps.soft for purpose, caps in profile.quota.items() if caps.soft is not None},
            jitter_key,
        )


class _Capped(Protocol):
    """A table of the configuration that may set caps."""

    @property
    def minute_cap(self) -> int | None: ...
    @property
    def hour_cap(self) -> int | None: ...
    @property
    def day_cap(self) -> int | None: ...
    @property
    def week_cap(self) -> int | None: ...


def _windows(figures: tuple[int, int, int, int], article: str, by: _Capped) -> tuple[Window, ...]:
    """The windows of a profile's caps and, resting on the operator, of those a table sets in place of them."""
    set_here = _changed((0, 0, 0, 0), by)
    own = (by.minute_cap, by.hour_cap, by.day_cap, by.week_cap)
    kept = tuple(figure if cap is None else 0 for figure, cap in zip(figures, own, strict=True))
    windows = (*windows_for(kept, article), *windows_for(set_here, SET_BY_OPERATOR))
    return tuple(sorted(windows, key=lambda window: window.seconds))


def _changed(figures: tuple[int, int, int, int], by: _Capped) -> tuple[int, ...]:
    """Caps, with those a table sets in place of the others."""
    own = (by.minute_cap, by.hour_cap, by.day_cap, by.week_cap)
    return tuple(figure if cap is None else cap for figure, cap in zip(figures, own, strict=True))


def read_settings(path: Path | None, environment: Mapping[str, str] = os.environ) -> Settings:
    """The settings of a file, with what the environment overrides.

    ``SMSC_FILTER_SECTION__KEY`` stands for ``key`` in ``[section]``, ``SMSC_FILTER_KEY`` for a key above the
    sections.

    Raises:
        SettingsError: a file that cannot be read, an unknown key, a value that is not allowed.
    """
    source = str(path) if path is not None else "defaults"
    values: dict[str, Any] = {}
    if path is not None:
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise SettingsError(f"{path}: cannot be read: {error.strerror}") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise SettingsError(f"{path}: is not TOML: {error}") from error
    overridden = _override(values, environment)
    try:
        return TypeAdapter(Settings).validate_python(values)
    except ValidationError as error:
        first = error.errors()[0]
        place = tuple(str(step) for step in first["loc"])
        where = overridden.get(place, source)
        raise SettingsError(f"{where}: {_in_words(first, place)}") from error


RELOADED: Final = ("accounts", "senders", "owner_caps", "policy", "watch", "portal", "metrics")
"""What a running service takes over; the rest of the configuration needs a restart."""


def take_over(running: Settings, read: Settings) -> tuple[Settings, list[str], list[str]]:
    """What a running service goes on with once ``read`` is its configuration.

    Returns:
        The settings, the keys that changed, and the keys whose change needs a restart.
    """
    changed: list[str] = []
    later: list[str] = []
    for name, key in _keys(Settings):
        if getattr(running, name) != getattr(read, name):
            (changed if name in RELOADED else later).append(key)
    return replace(running, **{name: getattr(read, name) for name in RELOADED}), changed, later


def readable_by_others(path: Path | None, settings: Settings) -> list[str]:
    """What every user of this machine may read and should not: a configuration with secrets, a ``data_dir``."""
    warnings = []
    if path is not None and (mode := stat.S_IMODE(path.stat().st_mode)) & stat.S_IROTH and _holds_secret(settings):
        warnings.append(f"{path} holds passwords or keys and everybody may read it (mode {mode:04o}); chmod 600 it")
    keys = Path(settings.records.text_keys)
    if settings.records.text_keys and not close_to_others(keys, 0o600):
        warnings.append(f"records.text_keys {keys} is open to other users and cannot be closed; chmod 600 it")
    if not close_to_others(settings.data_dir, 0o700):
        warnings.append(f"data_dir {settings.data_dir} is open to other users and cannot be closed; chmod 700 it")
    return warnings


def _holds_secret(value: Any) -> bool:
    """Whether a setting that is never shown is set, or a URL with a password."""
    if is_dataclass(value):
        return any(
            _holds_secret(getattr(value, each.name)) or (not each.repr and bool(getattr(value, each.name)))
            for each in fields(value)
        )
    if isinstance(value, tuple):
        return any(map(_holds_secret, value))
    return isinstance(value, str) and _URL_WITH_PASSWORD.match(value) is not None


def _override(values: dict[str, Any], environment: Mapping[str, str]) -> dict[tuple[str, ...], str]:
    """Work the environment into ``values``; returns which place comes from which variable."""
    overridden = {}
    for name, value in environment.items():
        if not name.startswith(ENVIRONMENT_PREFIX) or name == LEVEL_VARIABLE:
            continue
        place = tuple(name.removeprefix(ENVIRONMENT_PREFIX).lower().split("__"))
        at = values
        for step in place[:-1]:
            at = at.setdefault(step, {})
            if not isinstance(at, dict):
                raise SettingsError(f"{name}: {step} has no keys of its own")
        at[place[-1]] = value
        overridden[place] = name
    return overridden


def _in_words(error: Any, place: tuple[str, ...]) -> str:
    """One pydantic error as key, value and what is allowed."""
    key = ".".join(place)
    if error["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        return f"{key} is not a setting; {_allowed(place[:-1])}"
    if error["type"] in ("missing", "missing_argument"):
        return f"{key} is missing"
    reason = error["msg"].removeprefix("Value error, ")
    if error["type"] == "value_error":
        return f"{key}: {reason}" if key else reason
    # An account that is no table may be anything its writer took for one, its password included.
    secret = _SECRET_KEY.search(key) is not None or (place[:1] == ("accounts",) and len(place) < 3)
    shown = "..." if secret else repr(error["input"])
    return f"{key} = {shown}: {reason[0].lower()}{reason[1:]}"


def _allowed(place: tuple[str, ...]) -> str:
    """The keys that may stand at ``place``."""
    kind: Any = Settings
    for step in place:
        if step.isdigit():
            continue  # which one of a list: its items are of the kind found with the list
        if is_dataclass(kind):
            kind = typing.get_type_hints(kind).get(next((name for name, key in _keys(kind) if key == step), step))
        for inner in typing.get_args(kind):
            if is_dataclass(inner):
                kind = inner
    if not is_dataclass(kind) or isinstance(kind, types.GenericAlias):
        return "see the documentation for those there are"
    return f"allowed are {', '.join(key for _, key in _keys(kind))}"


def _keys(kind: Any) -> list[tuple[str, str]]:
    """The fields of a table: name here, key in the file."""
    hints = typing.get_type_hints(kind, include_extras=True)
    return [
        (
            each.name,
            next((mark.alias for mark in getattr(hints[each.name], "__metadata__", ()) if mark.alias), each.name),
        )
        for each in fields(kind)
    ]
