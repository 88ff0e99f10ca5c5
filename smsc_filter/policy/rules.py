"""Rules: what a profile sets, each number with the article it comes from."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Final, Literal, Protocol

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from smsc_filter.policy.language import Wording, language_names, read_language
from smsc_filter.policy.people import FestivalRules, GreetingRules, LockRules
from smsc_filter.policy.reply import ReplyReader, reader_of
from smsc_filter.policy.zones import Zones, minute_of
from smsc_filter.sms.coding import encode_text

MOST_CONFIRMATION_OCTETS: Final = 140

PURPOSES: Final = ("commercial", "service", "person")

_STRICT = ConfigDict(extra="forbid")


class ProhibitedList(Protocol):
    """What is never sent, as ``policy.prohibited`` looks for it."""

    def search(self, text: str) -> str | None:
        """An entry that is in ``text``; None where there is none."""


class ProfileError(Exception):
    """A rule profile that cannot be used; the message names file, key and what is wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Duty:
    """A duty without a number."""

    __pydantic_config__ = _STRICT

    article: str
    """Where it comes from, as it is cited in findings."""
    seen: bool
    """Whether the article was read at a source, or is recalled and to be checked."""


Counted = Literal["parts", "messages"]

Percent = Annotated[int, Field(ge=1, le=100)]


@dataclass(frozen=True, slots=True, kw_only=True)
class SoftCaps:
    """``[quota.PURPOSE.soft]``: where suspicious texts of a sender end, below its public caps.

    Each sender has its own place between the two, from a keyed hash of its address: the same every day, known to who
    holds the key, and not to be learned by trying with another number.
    """

    __pydantic_config__ = _STRICT

    least_percent: Percent
    """Of the public cap."""
    most_percent: Percent
    article: str
    seen: bool

    def __post_init__(self) -> None:
        if self.least_percent > self.most_percent:
            raise ValueError(f"least_percent {self.least_percent} is more than most_percent {self.most_percent}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Caps:
    """How much may be sent, in any run of so many seconds; 0: no cap."""

    __pydantic_config__ = _STRICT

    minute: int = 0
    hour: int = 0
    day: int = 0
    week: int = 0
    counted: Counted = "parts"
    """"parts": every submit_sm; "messages": a long message once, however many parts it has."""
    soft: SoftCaps | None = None
    article: str
    seen: bool

    def __post_init__(self) -> None:
        if min(self.minute, self.hour, self.day, self.week) < 0:
            raise ValueError("a cap is not below 0")

    @property
    def figures(self) -> tuple[int, int, int, int]:
        """The caps in the order of ``policy.quota.SECONDS``."""
        return self.minute, self.hour, self.day, self.week


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignCaps:
    """``[campaign.PURPOSE]``: how often texts that say the same in whatever words are sent by senders of a kind.

    Counted are texts that are scored ``suspicion_percent`` or more: a greeting that everybody forwards is none of
    them, however often it goes.
    """

    __pydantic_config__ = _STRICT

    hours: Annotated[int, Field(ge=1, le=168)]
    """Length of the window."""
    owner: Annotated[int, Field(ge=0)]
    """Messages of all senders of one owner; 0: no cap."""
    all: Annotated[int, Field(ge=0)]
    """Messages of all senders there are; 0: no cap."""
    suspicion_percent: Percent
    article: str
    seen: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactRules:
    """``[contacts]``: whose recipients are counted."""

    __pydantic_config__ = _STRICT

    purposes: tuple[Literal["commercial", "service", "person"], ...]
    days: Annotated[int, Field(ge=1, le=90)]
    """Recipients are counted anew every so many days, and a recipient of the days before is no first contact."""
    article: str
    seen: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipientCaps(Caps):
    """``[recipients]``: how much one subscriber may be sent by senders of a kind."""

    __pydantic_config__ = _STRICT

    over: Literal["all", "owner"]
    """Over whose messages it is counted: of everybody, or of each owner for itself, so that no owner can use up what
    another needs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One number and where it comes from."""

    __pydantic_config__ = _STRICT

    value: Annotated[int, Field(ge=0)]
    article: str
    seen: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """``[retention]``: how long records of law are kept."""

    __pydantic_config__ = _STRICT

    records_months: Figure
    """Decisions, with the content where the law asks for it."""
    proof_months: Figure
    """Proofs of consent."""
    subscription_months_after_end: Figure
    """Consent states, counted from the end of the relation."""

    texts_of_people: bool = False
    """Whether the law asks that texts between people are kept as well; where not, a subscriber may have them erased."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRules:
    """``[request]``: asking for consent."""

    __pydantic_config__ = _STRICT

    reply_days: Figure
    """Silence for so long is a refusal."""
    article: str
    seen: bool

    @property
    def reply_seconds(self) -> int:
        """The same in seconds."""
        return self.reply_days.value * 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyRules:
    """``[reply]``: what follows from what a subscriber writes back."""

    __pydantic_config__ = _STRICT

    confirmation: str = ""
    """Sent once, when a consent is withdrawn; empty: nothing is. No marketing belongs here."""
    help: str = ""
    """Sent to a subscriber who asks for help, once a day and sender; {owner} is whose messages they are. Empty: nothing
    is. No marketing belongs here."""
    start_lifts: bool = True
    """Whether START, UNSTOP, JOIN, 订阅 and their like lift what the subscriber withdrew or refused; otherwise they
    only answer a request that offers them."""
    article: str
    seen: bool

    def __post_init__(self) -> None:
        for name, text in (("confirmation", self.confirmation), ("help", self.help)):
            octets, _ = encode_text(text)
            if len(octets) > MOST_CONFIRMATION_OCTETS:
                raise ValueError(f"{name} takes {len(octets)} octets; {MOST_CONFIRMATION_OCTETS} fit one message")


@dataclass(frozen=True, slots=True, kw_only=True)
class SimilarRules:
    """``[similar]``: the same or similar text after a refusal."""

    __pydantic_config__ = _STRICT

    keep_days: Figure
    """How long after a commercial text a refusal still speaks of it too; behind a refusal it is kept for good."""
    article: str
    seen: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class QuietHours:
    """``[quiet]``: when commercial text is not sent, by the recipient's clock."""

    __pydantic_config__ = _STRICT

    begin: str
    """HH:MM."""
    end: str
    article: str
    seen: bool
    begin_minute: int = field(init=False)
    end_minute: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "begin_minute", minute_of(self.begin))
        object.__setattr__(self, "end_minute", minute_of(self.end))
        if self.begin_minute == self.end_minute:
            raise ValueError("begin and end are the same; leave [quiet] out where no hours are quiet")


@dataclass(frozen=True, slots=True, kw_only=True)
class TextDuty:
    """Something a commercial text has to carry."""

    __pydantic_config__ = _STRICT

    action: Literal["reject", "tag", "ignore"]
    """What becomes of a text without it: refused, sent and put on record, or nothing."""
    article: str
    seen: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Duties:
    """``[duties]``: what commercial text carries."""

    __pydantic_config__ = _STRICT

    name: TextDuty
    contact: TextDuty
    refuse: TextDuty


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclineRules:
    """``[decline]``: lists on which subscribers decline messages in general."""

    __pydantic_config__ = _STRICT

    consent_counts_more: bool
    """Whether a consent to one owner outweighs a general decline."""
    article: str
    seen: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateRules:
    """``[template]``: texts have a registered template."""

    __pydantic_config__ = _STRICT

    chain: bool
    """Whether the hash of the chain is checked, on accounts whose chain is known."""
    article: str
    seen: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasureRules:
    """``[measures]``: what measures against a party rest on."""

    __pydantic_config__ = _STRICT

    notice_hours: Figure
    """Least time between a notice and the suspension it announces."""
    article: str
    seen: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AppealRules:
    """``[appeal]``: objections to a refusal or a measure. Days are working days of the profile's calendar."""

    __pydantic_config__ = _STRICT

    answer_days: Figure
    """Within which an appeal is answered."""
    information_days: Figure
    """Within which the appellant answers a question; the appeal expires otherwise."""
    remind_days: Figure
    """How long before a deadline it is told, also of complaints."""
    entry_days: Figure
    """How many calendar days a grant holds where the reviewer says nothing else."""
    most_open: Figure
    """Appeals of one appellant that may wait for an answer at once."""
    most_a_day: Figure
    """Appeals one appellant may open in any 24 hours."""
    article: str
    seen: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ComplaintRules:
    """``[complaints]``: the clocks of a complaint, in working days of the profile's calendar."""

    __pydantic_config__ = _STRICT

    forward_days: Figure | None = None
    """From its receipt until the party complained of has it."""
    outcome_days: Figure
    """From then until there is an outcome."""
    tell_days: Figure | None = None
    """From then until the complainant knows."""
    article: str
    seen: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A rule profile as its file writes it."""

    __pydantic_config__ = _STRICT

    name: str
    title: str
    languages: Annotated[tuple[str, ...], Field(min_length=1)]
    """Whose words replies, requests and commercial texts are read by."""
    identity: Duty
    content: Duty
    consent: Duty
    request: RequestRules
    reply: ReplyRules
    similar: SimilarRules
    decline: DeclineRules
    duties: Duties
    appeal: AppealRules
    complaints: ComplaintRules
    prohibited: Duty
    measures: MeasureRules
    quota: dict[str, Caps]
    locks: LockRules
    retention: Retention
    zones: dict[str, tuple[str, ...]]
    """Prefix of a number -> the time zones it may be in; "" for every other number."""
    calendar: Literal["cn", "weekdays"]
    """Which days are working days, see ``policy.workdays``."""
    quiet: QuietHours | None = None
    template: TemplateRules | None = None
    recipients: dict[str, RecipientCaps] = field(default_factory=dict)
    """By purpose of the sender; in force where the operator sets ``recipient_caps``."""
    campaign: dict[str, CampaignCaps] = field(default_factory=dict)
    """By purpose of the sender; no cap for purposes that are not named."""
    contacts: ContactRules | None = None
    festivals: FestivalRules | None = None
    greetings: GreetingRules | None = None
    """Goes with ``festivals``."""
    categories: dict[str, str] = field(default_factory=dict)
    """Of a preference register: its code -> the name it has in wishes."""

    def __post_init__(self) -> None:
        if set(self.quota) != set(PURPOSES):
            raise ValueError(f"quota has to speak of {', '.join(PURPOSES)}")
        for name, purposes in (("recipients", self.recipients), ("campaign", self.campaign)):
            if unknown := set(purposes) - set(PURPOSES):
                raise ValueError(f"{name}: {', '.join(sorted(unknown))} is none of {', '.join(PURPOSES)}")
        if (self.festivals is None) != (self.greetings is None):
            raise ValueError("festivals and greetings go together: set both, or none")
        if unknown := set(self.languages) - set(language_names()):
            raise ValueError(f"languages: {', '.join(sorted(unknown))} is none of {', '.join(language_names())}")
        Zones(self.zones)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """A profile together with what the operator and the model add to it."""

    profile: str
    identity: Duty
    content: Duty
    consent: Duty
    request: RequestRules
    reply: ReplyRules
    similar: SimilarRules
    decline: DeclineRules
    duties: Duties
    appeal: AppealRules
    prohibited_article: str
    quota: Mapping[str, Caps]
    retention: Retention
    thresholds: Mapping[str, float]
    """Purpose of the sender -> score from which its text is commercial."""
    wording: Wording = field(compare=False)
    replies: ReplyReader = field(compare=False)
    """Reads what subscribers write back."""
    zones: Zones = field(compare=False)
    quiet: QuietHours | None = None
    template: TemplateRules | None = None
    contacts: ContactRules | None = None
    festivals: FestivalRules | None = None
    greetings: GreetingRules | None = None
    prohibited: ProhibitedList | None = field(default=None, compare=False)

    def offered_words(self, text: str) -> tuple[str, ...]:
        """The words with which a text that asks for consent says one may agree."""
        return self.replies.offered_words(text, self.wording.asks)


def profile_names() -> list[str]:
    """The profiles that come with the package."""
    folder = files("smsc_filter.policy") / "profiles"
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def read_profile(name: str) -> Profile:
    """A profile of the package by its name, or an operator's own by the path of its file, which ends in ``.toml``.

    Raises:
        ProfileError: there is none of that name, or its file is wrong; one line that says where.
    """
    if name.endswith(".toml"):
        source = name
        try:
            text = Path(name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ProfileError(f"{name}: cannot be read: {error}") from error
    elif name in profile_names():
        source = f"profiles/{name}.toml"
        text = (files("smsc_filter.policy") / "profiles" / f"{name}.toml").read_text(encoding="utf-8")
    else:
        raise ProfileError(f"no rule profile {name!r}; there are {', '.join(profile_names())}, or a path to a .toml")
    try:
        return _reader().validate_python(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise ProfileError(f"{source}: is not TOML: {error}") from error
    except ValidationError as error:
        raise ProfileError(f"{source}: {_in_words(error)}") from error


@cache
def _reader() -> TypeAdapter[Profile]:
    """Takes 20 ms to make, and a process reads its profile several times."""
    return TypeAdapter(Profile)


def hours_of(text: str) -> tuple[str, str]:
    """The two times of "HH:MM-HH:MM".

    Raises:
        ValueError: it is no such pair.
    """
    begin, dash, end = text.partition("-")
    if not dash or minute_of(begin) == minute_of(end):
        raise ValueError(f"quiet_hours is {text!r}; HH:MM-HH:MM is expected, or none")
    return begin, end


def with_quiet_hours(profile: Profile, text: str) -> Profile:
    """``profile`` with the quiet hours an operator set: "HH:MM-HH:MM", "none", or "" for its own."""
    if not text:
        return profile
    if text == "none":
        return replace(profile, quiet=None)
    begin, end = hours_of(text)
    return replace(profile, quiet=QuietHours(begin=begin, end=end, article="set by the operator", seen=True))


def make_rules(profile: Profile, thresholds: Mapping[str, float], prohibited: ProhibitedList | None = None) -> Rules:
    """The rules by which messages are judged."""
    return Rules(
        profile=profile.name,
        identity=profile.identity,
        content=profile.content,
        consent=profile.consent,
        request=profile.request,
        reply=profile.reply,
        similar=profile.similar,
        decline=profile.decline,
        duties=profile.duties,
        appeal=profile.appeal,
        prohibited_article=profile.prohibited.article,
        quota=profile.quota,
        retention=profile.retention,
        thresholds=thresholds,
        wording=Wording(read_language(name) for name in profile.languages),
        replies=reader_of(profile.languages),
        zones=Zones(profile.zones),
        quiet=profile.quiet,
        template=profile.template,
        contacts=profile.contacts,
        festivals=profile.festivals,
        greetings=profile.greetings,
        prohibited=prohibited,
    )


def _in_words(error: ValidationError) -> str:
    """The first thing wrong with a profile: key, value and what is expected."""
    first = error.errors()[0]
    key = ".".join(str(step) for step in first["loc"])
    reason = first["msg"].removeprefix("Value error, ")
    if first["type"] in ("missing", "missing_argument"):
        return f"{key} is missing; every rule names its article, and whether it was seen or is recalled"
    if first["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        return f"{key} is not a key of a profile"
    if first["type"] == "value_error":
        return f"{key}: {reason}" if key else reason
    return f"{key} = {first['input']!r}: {reason[0].lower()}{reason[1:]}"
