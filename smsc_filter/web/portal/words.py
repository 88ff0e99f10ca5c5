"""Causes, events and states in plain words; templates translate them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from smsc_filter.policy.appeals import AppealEvent, AppealState, ComplaintEvent, ComplaintState
from smsc_filter.policy.verdict import Cause
from smsc_filter.web.pages.errors import N_

TO_ME: Final[Mapping[str, str]] = {
    Cause.UNKNOWN_SENDER.value: N_("Whoever sent it used a number that is not theirs."),
    Cause.SENDER_SUSPENDED.value: N_("Its sender is suspended."),
    Cause.PROHIBITED.value: N_("It holds something that nobody may send."),
    Cause.WRONG_PURPOSE.value: N_("It is advertising, sent from a number that may not carry any."),
    Cause.NO_CONSENT.value: N_("It is advertising, and you never agreed to hear from this sender."),
    Cause.CONSENT_REFUSED.value: N_("It is advertising, and you told this sender to stop."),
    Cause.ASKED_ALREADY.value: N_("The sender had asked for your consent before and may not ask again."),
    Cause.REQUEST_INCOMPLETE.value: N_("It asked for your consent without saying for what, how often or how long."),
    Cause.SIMILAR_AFTER_REFUSAL.value: N_("You had refused a message like it."),
    Cause.QUIET_HOURS.value: N_("It is advertising, and it came at a time when none may be sent."),
    Cause.DECLINED.value: N_("It is of a kind that you decline."),
    Cause.NO_SENDER_NAME.value: N_("It is advertising that does not say who sends it."),
    Cause.NO_CONTACT.value: N_("It is advertising that does not say how to reach its sender."),
    Cause.NO_WAY_TO_REFUSE.value: N_("It is advertising that does not say how to refuse it."),
    Cause.NO_TEMPLATE.value: N_("Its sender had not registered it as it has to be."),
    Cause.WRONG_ENTITY.value: N_("Its sender had not registered it as it has to be."),
    Cause.WRONG_CHAIN.value: N_("Its sender had not registered it as it has to be."),
    Cause.QUOTA_SPENT.value: N_("Its sender had sent too many messages; it could be sent again later."),
    Cause.RECIPIENT_QUOTA_SPENT.value: N_(
        "You had been sent as many messages as may be sent to one number in that time."
    ),
    Cause.CAMPAIGN_QUOTA_SPENT.value: N_("Messages that say the same had been sent too often, to many people."),
    Cause.STORE_UNAVAILABLE.value: N_("Our service was disturbed; it could be sent again later."),
    Cause.UPSTREAM_UNAVAILABLE.value: N_("The network was disturbed; it could be sent again later."),
}
"""Cause -> why a message to me was stopped."""

FROM_ME: Final[Mapping[str, str]] = {
    **TO_ME,
    Cause.SENDER_SUSPENDED.value: N_("Your number is suspended for sending."),
    Cause.NO_CONSENT.value: N_("It was taken for advertising, and its recipient had not agreed to any."),
    Cause.CONSENT_REFUSED.value: N_("It was taken for advertising, and its recipient does not want any."),
    Cause.WRONG_PURPOSE.value: N_("It was taken for advertising, which your number may not send."),
    Cause.SIMILAR_AFTER_REFUSAL.value: N_("Its recipient had refused a message like it."),
    Cause.DECLINED.value: N_("It was taken for advertising of a kind that its recipient declines."),
    Cause.QUOTA_SPENT.value: N_("You had sent as many messages as may be sent in that time; try again later."),
    Cause.RECIPIENT_QUOTA_SPENT.value: N_("Its recipient had been sent as many messages as one number may be."),
}
"""Cause -> why a message from me was stopped."""

OTHER_CAUSE: Final = N_("A rule of the operator spoke against it.")

EVENTS: Final[Mapping[str, str]] = {
    "requested": N_("was asked for consent"),
    "granted": N_("agreed"),
    "refused": N_("refused"),
    "withdrawn": N_("withdrew"),
    "claimed": N_("is said to have agreed"),
}
"""What happened to a consent."""

STATES: Final[Mapping[str, str]] = {
    "none": N_("may not send advertising"),
    "requested": N_("has asked you and may not send advertising"),
    "granted": N_("may send advertising"),
    "refused": N_("may not: you refused"),
    "deemed-refused": N_("may not: you did not answer"),
    "withdrawn": N_("may not: you withdrew"),
    "expired": N_("may not: your consent has ended"),
}
"""What a consent amounts to, said of its owner."""

CATEGORIES: Final[Mapping[str, str]] = {
    "finance": N_("Loans, insurance, investments"),
    "realty": N_("Flats and houses"),
    "education": N_("Courses and schools"),
    "health": N_("Health and beauty"),
    "retail": N_("Shops and sales"),
    "travel": N_("Travel"),
    "games": N_("Games and betting"),
}
"""Category of the register -> what it holds; one of the operator's own goes by its name."""

DONE: Final[Mapping[str, str]] = {
    "withdrawn": N_("Done. From now on this sender's advertising is stopped."),
    "allowed": N_("Done. From now on this sender may send you advertising."),
    "wishes": N_("Your wishes are saved and hold from now on."),
    "appealed": N_("Your objection is with the operator. You can follow it here."),
    "taken-back": N_("Your objection is taken back."),
    "supplied": N_("Your answer is with the operator."),
    "complained": N_("Your complaint is with the operator. You can follow it here."),
    "dropped": N_("Your complaint is taken back."),
    "signed-out": N_("You are signed out."),
}
"""What a page says on top after something was done."""


APPEALS: Final[Mapping[str, str]] = {
    AppealState.OPEN.value: N_("is being looked at"),
    AppealState.NEEDS_INFORMATION.value: N_("waits for your answer"),
    AppealState.GRANTED.value: N_("was granted: it should not have been stopped"),
    AppealState.REFUSED.value: N_("was refused"),
    AppealState.WITHDRAWN.value: N_("was taken back by you"),
    AppealState.EXPIRED.value: N_("ended without your answer"),
}
"""How far an objection has come."""

APPEAL_EVENTS: Final[Mapping[str, str]] = {
    "open": N_("You objected"),
    AppealEvent.ASK.value: N_("The operator asked you"),
    AppealEvent.SUPPLY.value: N_("You answered"),
    AppealEvent.GRANT.value: N_("The operator granted it"),
    AppealEvent.REFUSE.value: N_("The operator refused it"),
    AppealEvent.WITHDRAW.value: N_("You took it back"),
    AppealEvent.EXPIRE.value: N_("The time for your answer was over"),
    AppealEvent.REVOKE.value: N_("The operator revoked the grant"),
}
"""What happened to an objection."""

COMPLAINTS: Final[Mapping[str, str]] = {
    ComplaintState.RECEIVED.value: N_("is received"),
    ComplaintState.FORWARDED.value: N_("is with the sender, who is looked into"),
    ComplaintState.DECIDED.value: N_("is decided"),
    ComplaintState.TOLD.value: N_("is closed"),
    ComplaintState.WITHDRAWN.value: N_("was taken back by you"),
}
"""How far a complaint has come."""

COMPLAINT_EVENTS: Final[Mapping[str, str]] = {
    "received": N_("You complained"),
    "forwarded": N_("It was passed on"),
    ComplaintEvent.FORWARD.value: N_("It was passed on"),
    ComplaintEvent.DECIDE.value: N_("It was decided"),
    ComplaintEvent.TELL.value: N_("You were told"),
    ComplaintEvent.WITHDRAW.value: N_("You took it back"),
}
"""What happened to a complaint."""

OUTCOMES: Final[Mapping[str, str]] = {
    "upheld": N_("You were right: it should not have been sent."),
    "unfounded": N_("The message was allowed."),
    "not-ours": N_("The message did not come through this network."),
}
"""What came of a complaint."""

WRONG: Final[Mapping[str, str]] = {
    "reason": N_("Say in a few words why."),
    "answered-before": N_("You objected to this before, and were answered."),
    "limit-reached": N_("You have objected often of late; wait until some are answered."),
    "no-such-matter": N_("There is nothing to object to any more."),
    "closed": N_("It is closed already."),
    "sender": N_("Give the number the message came from."),
    "many": N_("You have complained often today; go on tomorrow."),
}
"""What was wrong with a form."""


def why(cause: str, *, from_me: bool) -> str:
    """A cause in a sentence."""
    return (FROM_ME if from_me else TO_ME).get(cause, OTHER_CAUSE)
