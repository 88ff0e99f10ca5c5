"""Finds a decision and says it in plain words."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import orjson
from sqlalchemy import Engine, select

from smsc_filter.policy.checks import CHECKS as TABLE
from smsc_filter.policy.checks import SETTLING, not_asked
from smsc_filter.policy.record import id_to_text
from smsc_filter.records.database import reading
from smsc_filter.records.tables import decisions, outcomes
from smsc_filter.smpp.constants import CommandStatus

CHECKS: Final = tuple(check.name for check in (*SETTLING, *TABLE))
"""In the order in which they are asked."""


class RecordedFinding(NamedTuple):
    """What one check said; without a cause it let the message pass and had something to say."""

    check: str
    cause: str | None
    sentence: str
    article: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One row of ``decisions``; ``policy.record`` says what the fields mean."""

    id: int
    at_ms: int
    system_id: str
    owner: str
    source: str
    recipient: str
    purpose: str
    cause: str
    command_status: int
    enforced: bool
    score: int
    kind: str
    part: str
    data_coding: int
    text: str
    findings: tuple[RecordedFinding, ...]
    model: str
    profile: str
    worker: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the SMSC answered to an admitted message."""

    at_ms: int
    command_status: int
    message_id: str


def find_decision(engine: Engine, decision_id: int) -> Decision | None:
    """The decision on record, or None; one younger than a second may still be on its way.

    Raises:
        SqlUnavailable: the database does not answer.
    """
    with reading(engine) as connection:
        row = connection.execute(select(decisions).where(decisions.c.id == decision_id)).mappings().first()
    return None if row is None else decision_from_row(row)


def decision_from_row(row: Mapping[Any, Any]) -> Decision:
    """The decision a row of ``decisions`` holds."""
    findings = tuple(RecordedFinding(*finding) for finding in orjson.loads(row["findings"] or "[]"))
    return Decision(**{**row, "findings": findings})


def find_outcome(engine: Engine, decision_id: int) -> Outcome | None:
    """What the SMSC answered, or None when it was not asked or has not answered.

    Raises:
        SqlUnavailable: the database does not answer.
    """
    answer = outcomes.c
    wanted = select(answer.at_ms, answer.command_status, answer.message_id)
    with reading(engine) as connection:
        row = connection.execute(wanted.where(answer.decision_id == decision_id)).first()
    return None if row is None else Outcome(*row)


def describe(decision: Decision, outcome: Outcome | None) -> str:
    """A decision for people, some fifteen lines; times in UTC.

    Control characters of the message are spelled out, so that a text cannot command the terminal.
    """
    lines = [
        f"Decision  {id_to_text(decision.id)}",
        f"When      {_when(decision.at_ms)}",
        f"From      {decision.source or '(no address)'}, {decision.purpose or 'unregistered'}, "
        f"of {decision.owner or 'an unknown owner'}, over {decision.system_id} (worker {decision.worker})",
        f"To        {decision.recipient}",
        f"Text      {decision.text or '(none)'}",
        f"          data_coding {decision.data_coding}" + (f", part {decision.part}" if decision.part else ""),
        f"Content   {_content(decision)}",
        f"Verdict   {_verdict(decision)}",
        f"Checks    by profile {decision.profile}",
        *(f"  {check:<11} {says}" for check, says in _said_of(decision)),
        f"SMSC      {_answer(decision, outcome)}",
    ]
    return "\n".join(printable(line) for line in lines)


def status_name(command_status: int) -> str:
    """``ESME_RTHROTTLED (0x00000058)``; a status outside SMPP v3.4 has its number alone."""
    try:
        return f"{CommandStatus(command_status).name} (0x{command_status:08X})"
    except ValueError:
        return f"0x{command_status:08X}"


def _content(decision: Decision) -> str:
    if decision.score < 0:
        return "not scored"
    kind = decision.kind or "of no known kind"
    return f"{kind}, commercial with probability {decision.score / 10_000:.4f}, by model {decision.model}"


def _verdict(decision: Decision) -> str:
    if not decision.cause:
        return "admitted"
    told = f"{decision.cause}, command_status {status_name(decision.command_status)}"
    if decision.enforced:
        return f"refused: {told}"
    return f"would have been refused: {told}; only observed, so it was sent on"


def checks_of(decision: Decision) -> list[tuple[str, RecordedFinding | None, bool]]:
    """Each check with what it found, None for nothing, and whether it was asked at all."""
    silent = _not_asked(decision)
    others = dict.fromkeys(finding.check for finding in decision.findings if finding.check not in CHECKS)
    asked: list[tuple[str, RecordedFinding | None, bool]] = []
    for check in (*CHECKS, *others):
        found: list[RecordedFinding | None] = [each for each in decision.findings if each.check == check]
        asked += [(check, finding, check not in silent) for finding in found or [None]]
    return asked


def _not_asked(decision: Decision) -> dict[str, str]:
    found: dict[str, bool] = {}
    for finding in decision.findings:
        found[finding.check] = found.get(finding.check, False) or bool(finding.cause)
    return not_asked(found)


def _said_of(decision: Decision) -> list[tuple[str, str]]:
    """Each check with what it said; a check without a finding passed, unless it was never asked."""
    silent = _not_asked(decision)
    return [
        (check, _said(finding) if finding else silent.get(check, "passed")) for check, finding, _ in checks_of(decision)
    ]


def _said(finding: RecordedFinding) -> str:
    verb = f"refused, {finding.cause}" if finding.cause else "passed"
    article = f" [{finding.article}]" if finding.article else ""
    return f"{verb}: {finding.sentence}{article}"


def _answer(decision: Decision, outcome: Outcome | None) -> str:
    if outcome is None:
        return "not asked" if decision.cause and decision.enforced else "no answer on record"
    named = f", message_id {outcome.message_id}" if outcome.message_id else ""
    return f"answered {status_name(outcome.command_status)} at {_when(outcome.at_ms)}{named}"


def _when(at_ms: int) -> str:
    moment = datetime.fromtimestamp(at_ms // 1000, UTC)
    return f"{moment:%Y-%m-%d %H:%M:%S}.{at_ms % 1000:03d} UTC"


def printable(line: str) -> str:
    """A line without control characters, which are spelled out: a text cannot command the terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in line)
