"""What stable names mean, for people; templates translate these."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from smsc_filter.web.pages.errors import N_

CAUSES: Final[Mapping[str, str]] = {
    "": N_("admitted"),
    "unknown-sender": N_("sender address is not registered"),
    "sender-suspended": N_("sender is suspended"),
    "prohibited": N_("prohibited content"),
    "commercial-on-service-port": N_("commercial text on a service port"),
    "no-consent": N_("recipient has not consented"),
    "consent-refused": N_("recipient has refused"),
    "consent-asked-already": N_("consent was asked for before"),
    "consent-request-incomplete": N_("request for consent is incomplete"),
    "similar-after-refusal": N_("similar text after a refusal"),
    "quiet-hours": N_("quiet hours"),
    "declined": N_("recipient is on a decline list"),
    "no-sender-name": N_("text does not name its sender"),
    "no-contact": N_("text gives no contact"),
    "no-way-to-refuse": N_("text does not tell how to refuse"),
    "template-missing": N_("template is missing"),
    "entity-unknown": N_("entity is unknown"),
    "chain-hash-mismatch": N_("chain hash does not match"),
    "quota-spent": N_("quota is spent"),
    "recipient-quota-spent": N_("quota of the recipient is spent"),
    "campaign-quota-spent": N_("quota of the campaign is spent"),
    "store-unavailable": N_("a store was away"),
    "upstream-unavailable": N_("the SMSC was away"),
}

CHECKS: Final[Mapping[str, str]] = {
    "identity": N_("identity"),
    "measures": N_("measures"),
    "prohibited": N_("prohibited lists"),
    "appeal": N_("appeal"),
    "content": N_("content"),
    "consent": N_("consent"),
    "quota": N_("quota"),
    "template": N_("template"),
    "similar": N_("similar text"),
    "decline": N_("decline lists"),
    "duties": N_("what the text must carry"),
    "quiet": N_("quiet hours"),
    "greeting": N_("greeting"),
    "parts": N_("other parts"),
    "repeats": N_("repeated refusals"),
    "store": N_("store"),
    "upstream": N_("SMSC"),
}

PURPOSES: Final[Mapping[str, str]] = {
    "": N_("unregistered"),
    "commercial": N_("commercial"),
    "service": N_("service"),
    "person": N_("person"),
}

KINDS: Final[Mapping[str, str]] = {
    "": N_("unknown"),
    "verification": N_("verification code"),
    "service": N_("service"),
    "commercial": N_("commercial"),
    "fraud": N_("fraud"),
    "personal": N_("personal"),
    "greeting": N_("greeting"),
}

STEPS: Final[Mapping[str, str]] = {
    "warn": N_("warn"),
    "throttle": N_("throttle"),
    "no-new-resources": N_("no new resources"),
    "suspend": N_("suspend"),
}

SEVERITIES: Final[Mapping[str, tuple[str, str]]] = {
    "notice": ("", N_("notice")),
    "warning": ("warn", N_("warning")),
    "critical": ("bad", N_("critical")),
}
"""Name -> (style, words)."""

ROLES: Final[Mapping[str, str]] = {
    "viewer": N_("viewer"),
    "operator": N_("operator"),
    "reviewer": N_("reviewer"),
    "admin": N_("administrator"),
    "provider": N_("provider"),
}

CONSENT_EVENTS: Final[Mapping[str, str]] = {
    "requested": N_("requested"),
    "granted": N_("granted"),
    "refused": N_("refused"),
    "withdrawn": N_("withdrawn"),
    "claimed": N_("claimed by the owner, held back"),
}

JOB_STATES: Final[Mapping[str, tuple[str, str]]] = {
    "receiving": ("", N_("receiving")),
    "queued": ("", N_("queued")),
    "running": ("warn", N_("running")),
    "done": ("good", N_("done")),
    "failed": ("bad", N_("failed")),
}

DONE: Final[Mapping[str, str]] = {
    "label": N_("The label is on record."),
    "whitelist": N_("The whitelist entry binds within a second."),
    "revoked": N_("The whitelist entry is revoked."),
    "notice": N_("The notice is on record."),
    "measure": N_("The measure is imposed; workers know it within a second."),
    "lifted": N_("The measure is lifted."),
    "rules": N_("The rules are saved; workers judge by them within a second."),
    "model": N_("The earlier model judges again within seconds."),
    "promoted": N_("The candidate judges within seconds; the model before it is kept."),
    "user": N_("The user is changed."),
    "appeal": N_("The appeal is open."),
    "complaint": N_("The complaint is on record."),
    "answer": N_("It is on record."),
    "upload": N_("The file has come and is being imported."),
}
"""What ``?done=`` says after a change."""

APPEAL_STATES: Final[Mapping[str, tuple[str, str]]] = {
    "open": ("warn", N_("open")),
    "needs-information": ("", N_("needs information")),
    "granted": ("good", N_("granted")),
    "refused": ("bad", N_("refused")),
    "withdrawn": ("", N_("withdrawn")),
    "expired": ("", N_("expired")),
}

APPEAL_EVENTS: Final[Mapping[str, str]] = {
    "open": N_("opened"),
    "ask": N_("asked for more"),
    "supply": N_("information supplied"),
    "grant": N_("granted"),
    "refuse": N_("refused"),
    "withdraw": N_("withdrawn"),
    "expire": N_("expired"),
    "revoke": N_("revoked"),
    "effects": N_("what follows"),
}

APPELLANTS: Final[Mapping[str, str]] = {
    "owner": N_("provider"),
    "person": N_("person"),
    "operator": N_("operator"),
}

COMPLAINT_STATES: Final[Mapping[str, tuple[str, str]]] = {
    "received": ("warn", N_("to be forwarded")),
    "forwarded": ("warn", N_("being looked into")),
    "decided": ("warn", N_("complainant to be told")),
    "told": ("good", N_("complainant told")),
    "withdrawn": ("", N_("withdrawn")),
}

COMPLAINT_EVENTS: Final[Mapping[str, str]] = {
    "received": N_("received"),
    "forwarded": N_("received as forwarded"),
    "forward": N_("forwarded"),
    "decide": N_("decided"),
    "tell": N_("complainant told"),
    "withdraw": N_("withdrawn"),
    "effects": N_("what follows"),
}

COMPLAINT_OUTCOMES: Final[Mapping[str, str]] = {
    "upheld": N_("upheld"),
    "unfounded": N_("unfounded"),
    "not-ours": N_("not ours"),
}

SCOPES: Final[Mapping[str, str]] = {
    "sender": N_("this sender, to everybody"),
    "sender-recipients": N_("this sender, to this recipient"),
    "cluster": N_("this text and those like it, to everybody"),
    "owner": N_("all that the owner sends"),
}

PARTIES: Final[Mapping[str, str]] = {
    "sender": N_("sender"),
    "account": N_("account"),
    "owner": N_("owner"),
}
