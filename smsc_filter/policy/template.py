"""Registered templates and the chain a message came through, as Indian operators ask for them.

Three optional parameters carry the principal entity, the content template and the hash of the chain. Vendors use the
same tags for other things, so what a tag means is set for each account.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated

from pydantic import ConfigDict, Field

from smsc_filter.policy.facts import Facts
from smsc_filter.policy.rules import Rules
from smsc_filter.policy.verdict import PASS, Cause, Finding, refuse
from smsc_filter.sms.message import Message

Tag = Annotated[int, Field(ge=0, le=0xFFFF)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """``[accounts.parameters]``: what optional parameters mean on an account; a tag of 0 is never read."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    consent_request_tag: Tag = 0
    """Its presence marks a text that asks for consent; such texts are told by their wording too."""

    entity_tag: Tag = 0x1400
    template_tag: Tag = 0x1401
    chain_tag: Tag = 0x1402

    entities: tuple[str, ...] = ()
    """Principal entities the account may send for; empty: any."""

    telemarketers: tuple[str, ...] = ()
    """Ids of those between the entity and us in their order, the last who delivers; with them the chain's hash is
    checked."""


NO_PARAMETERS = Parameters()


def check_template(message: Message, facts: Facts, rules: Rules, _now: float) -> Finding:
    """Every text names its template and its entity, and the hash of its chain is that of the chain we know."""
    if rules.template is None:
        return PASS
    article = rules.template.article
    parameters = facts.parameters or NO_PARAMETERS
    entity = _value(message, parameters.entity_tag)
    if not entity.isdigit() or (parameters.entities and entity not in parameters.entities):
        shown = entity if entity.isdigit() else "missing"
        return refuse("template", Cause.WRONG_ENTITY, f"the principal entity is {shown}", article)
    if not _value(message, parameters.template_tag).isdigit():
        return refuse("template", Cause.NO_TEMPLATE, "no template id comes with the text", article)
    if parameters.telemarketers and rules.template.chain:
        given = _value(message, parameters.chain_tag).lower()
        if given != chain_hash((entity, *parameters.telemarketers)):
            wrong = "is not that of its chain" if given else "is missing"
            return refuse("template", Cause.WRONG_CHAIN, f"the hash of the chain {wrong}", article)
    return PASS


@lru_cache(maxsize=4096)
def chain_hash(ids: Sequence[str]) -> str:
    """SHA-256, in hexadecimal, of the ids from the principal entity to who delivers, joined by commas."""
    return hashlib.sha256(",".join(ids).encode()).hexdigest()


def _value(message: Message, tag: int) -> str:
    # Some clients send identifiers as C-Octet Strings.
    return message.tlvs.get(tag, b"").rstrip(b"\0").decode("latin-1") if tag else ""
