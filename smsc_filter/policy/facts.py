"""Facts: what the stores know that bears on one message."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from smsc_filter.policy.measures import Measure
    from smsc_filter.policy.template import Parameters
    from smsc_filter.policy.verdict import Cause, Finding
    from smsc_filter.policy.whitelist import WhitelistEntry


class ConsentState(IntEnum):
    """What a subscriber said of an owner. The numbers are what the hot state keeps."""

    NONE = 0
    GRANTED = 1
    REFUSED = 2
    WITHDRAWN = 3
    REQUESTED = 4
    """Asked, and still within the time for an answer."""
    DEEMED_REFUSED = 5
    """Asked, and silent for that time."""
    EXPIRED = 6
    """Granted until a time that is past."""


@dataclass(frozen=True, slots=True)
class Window:
    """A cap on how much may be sent within any run of ``seconds``."""

    seconds: int
    cap: int
    article: str
    soft: int = 0
    """A lower cap for texts that look suspicious, of this one sender; 0: none. See ``policy.quota``."""


@dataclass(frozen=True, slots=True)
class Sender:
    """A registered source address: whose it is, what for, and how much it may send."""

    address: str
    """Canonical; of a range, the one address of it that wrote."""
    owner: str
    purpose: str
    """"commercial", "service" or "person"."""
    windows: tuple[Window, ...]
    suspended: bool = False
    topic: str | None = None
    """What it writes about: a consent to that topic is enough, and needed where there is none to everything."""
    suspension: Measure | None = None
    """The measure it is suspended by; see ``policy.measures``."""
    per_message: bool = False
    """Whether a long message counts once towards the caps; else each of its parts does."""


@dataclass(frozen=True, slots=True)
class Contacts:
    """Whom a sender has written to in the period at hand, see ``[contacts]`` of the profile."""

    distinct: int
    """Recipients: exact to 2,000, above that within 1 % (a HyperLogLog of 16,384 registers)."""
    firsts: int
    """Recipients among them to whom it had not written in the period before either, of whom 2,000 are known."""
    messages: int

    @property
    def first_share(self) -> float:
        """Share of first contacts among the recipients, 0 to 1."""
        return min(1.0, self.firsts / self.distinct) if self.distinct else 0.0


class Standing(NamedTuple):
    """What is known of a person who writes."""

    tenure_days: int
    """Days since its first message, to it or from it."""
    written: int
    """Numbers it wrote to within the days a contact counts."""
    answered: int
    """Those of them that wrote to it within those days."""
    recipients: int
    """Numbers it wrote to this day and, counted again, the day before."""
    contacts: int
    """Those of them that wrote to it within the days a contact counts."""
    last_year: int
    """Others it wrote to at the same feast a year ago."""
    first_contacts: int
    """Others it had no word with in either direction."""


class Facts:
    """What is known of one message besides its text."""

    __slots__ = (
        "cleared",
        "commercial",
        "consent",
        "contacts",
        "counts",
        "declined",
        "greeting",
        "held",
        "owner",
        "parameters",
        "refused_part",
        "request",
        "score",
        "sender",
        "similar",
        "whole",
    )

    def __init__(
        self,
        owner: str,
        sender: Sender | None,
        score: float,
        commercial: bool,
        consent: ConsentState = ConsentState.NONE,
        cleared: WhitelistEntry | None = None,
        refused_part: Cause | None = None,
        *,
        whole: bool = True,
        counts: bool = True,
        request: bool = False,
        similar: bool = False,
        declined: str | None = None,
        parameters: Parameters | None = None,
        contacts: Contacts | None = None,
        greeting: Finding | None = None,
    ) -> None:
        self.owner = owner
        """Of the account that sent the message."""
        self.sender = sender
        """None: no such address is registered for that owner."""
        self.score = score
        """Probability that the text is commercial; -1 where there is no text to score."""
        self.commercial = commercial
        """Whether the score reaches the threshold for this kind of sender, or the text asks for consent."""
        self.consent = consent
        """Asked of commercial text, and of other text of owners who advertise."""
        self.cleared = cleared
        """The appeal that speaks for this message."""
        self.refused_part = refused_part
        """Why an earlier part of the same message was refused."""
        self.whole = whole
        """Whether every part of the message has come."""
        self.counts = counts
        """Whether a message begins with this part, where messages are counted: the first part of it to come, or one
        that came before and is sent again."""
        self.request = request
        """Whether the text asks for consent."""
        self.similar = similar
        """Whether the text is like one that came before the recipient refused its owner."""
        self.declined = declined
        """What the recipient declines that this message would be, as ``policy.wishes`` spells it."""
        self.parameters = parameters
        """What optional parameters mean on this account; None where the rules ask for none."""
        self.contacts = contacts
        """Whom the sender wrote to until the batch before; None where it is not counted, or not known yet."""
        self.greeting = greeting
        """Whether a person's message has the caps of a feast, while one is on; see ``policy.greeting``."""
        self.held = False
        """Whether it ends at the soft caps of its sender."""
