"""Verbs about appeals, and about what granted ones let pass."""

from __future__ import annotations

import argparse
import getpass
import time
from typing import Final

from rich.console import Console
from rich.table import Table
from sqlalchemy import Engine

from smsc_filter.cli.common import day, fail, store, tell
from smsc_filter.cli.verbs import Verbs
from smsc_filter.policy.appeals import CODE_LENGTH, WAITING, AppealState, Terms, terms_of
from smsc_filter.policy.record import id_from_text, id_to_text
from smsc_filter.policy.rules import read_profile
from smsc_filter.policy.whitelist import SCOPES
from smsc_filter.records import appeals as records
from smsc_filter.records import measures, whitelist
from smsc_filter.records.appeal_figures import appeal_figures
from smsc_filter.records.explain import describe, find_decision, find_outcome, printable
from smsc_filter.service.build_records import open_records
from smsc_filter.settings import Settings, read_settings
from smsc_filter.state.measures import write_measures
from smsc_filter.state.projection import write_whitelist

MAX_DAYS: Final = 36_500


def appeal_grant(options: argparse.Namespace) -> int:
    """Let pass what an appeal cleared, until it expires."""
    settings = read_settings(options.config)
    now = time.time()
    try:
        recipients = [settings.numbers.msisdn(number) for number in options.recipient]
    except ValueError as error:
        return fail(f"--recipient: {error}")
    scope = "owner" if options.sender is None else "sender-recipients" if recipients else "sender"
    if options.sender is None and recipients:
        return fail("--recipient needs --sender: an entry for a whole owner clears all its recipients")
    if options.owner not in settings.owners:
        return fail(f"--owner {options.owner} has no account and no sender; there are {', '.join(settings.owners)}")
    engine = open_records(settings)
    try:
        entry = whitelist.grant(
            engine,
            scope=scope,
            owner=options.owner,
            sender=settings.numbers.canonical(options.sender) if options.sender else None,
            recipients=recipients,
            reason=options.reason,
            now=now,
            expires_at=now + options.days * 86_400,
            created_by=getpass.getuser(),
        )
        _publish_whitelist(settings, engine, now)
    except ValueError as error:
        return fail(str(error))
    finally:
        engine.dispose()
    tell(f"entry {entry.id}: scope {entry.scope}, until {day(entry.expires_at)}")
    return 0


def appeal_open(options: argparse.Namespace) -> int:
    """Open an appeal, by its code or against a decision."""
    settings = read_settings(options.config)
    if options.owner is not None:
        appellant = records.Appellant(records.OWNER, options.owner)
    elif options.person is not None:
        try:
            appellant = records.Appellant(records.PERSON, settings.numbers.msisdn(options.person))
        except ValueError as error:
            return fail(f"--for-person: {error}")
    else:
        appellant = records.Appellant(records.OPERATOR, getpass.getuser())
    engine = open_records(settings)
    try:
        appeal = records.open_appeal(
            engine,
            _terms(settings),
            appellant=appellant,
            channel="cli",
            reason=options.reason,
            now=time.time(),
            **_about(options.what),
            evidence=options.evidence,
        )
    except ValueError as error:
        return fail(str(error))
    finally:
        engine.dispose()
    tell(f"appeal {appeal.id}: {appeal.state}, {_due(appeal)}")
    return 0


def appeal_code(options: argparse.Namespace) -> int:
    """Issue the code by which a person or a provider appeals against a decision."""
    settings = read_settings(options.config)
    engine = open_records(settings)
    try:
        subject = str(id_from_text(options.decision))
        party = settings.numbers.msisdn(options.party) if options.party else ""
        if find_decision(engine, int(subject)) is None:
            return fail(f"no decision {options.decision} is on record")
        tell(records.issue_code(engine, kind="decision", subject=subject, now=time.time(), party=party))
    except ValueError as error:
        return fail(str(error))
    finally:
        engine.dispose()
    return 0


def appeal_show(options: argparse.Namespace) -> int:
    """Tell what an appeal is about and what happened to it."""
    engine = open_records(read_settings(options.config))
    try:
        appeal = records.find_appeal(engine, options.appeal)
        if appeal is None:
            return fail(f"there is no appeal {options.appeal}")
        history = records.appeal_history(engine, appeal.id)
        decision = find_decision(engine, int(appeal.subject)) if appeal.kind == "decision" else None
        outcome = find_outcome(engine, decision.id) if decision is not None else None
    finally:
        engine.dispose()
    tell(f"appeal {appeal.id}: {appeal.state}, {_due(appeal)}")
    tell(f"  of {appeal.appellant.kind} {appeal.appellant.name} by {appeal.channel}, opened {day(appeal.opened_at)}")
    tell(f"  about {appeal.kind} {id_to_text(int(appeal.subject)) if decision is not None else appeal.subject}")
    for event in history:
        evidence = f" [{', '.join(event.evidence)}]" if event.evidence else ""
        tell(f"  {day(event.at)}  {event.event} by {event.by}: {printable(event.note) or '-'}{evidence}")
    if decision is not None:
        tell("")
        tell(describe(decision, outcome))
    return 0


def appeal_decide(options: argparse.Namespace) -> int:
    """Grant or refuse an appeal, or ask its appellant for more."""
    settings = read_settings(options.config)
    engine = open_records(settings)
    now, by = time.time(), getpass.getuser()
    terms = _terms(settings)
    try:
        if options.answer == "ask":
            appeal = records.ask(engine, terms, options.appeal, by=by, question=options.reason, now=now)
        elif options.answer == "refuse":
            appeal = records.refuse(
                engine, options.appeal, by=by, reason=options.reason, now=now, evidence=options.evidence
            )
        else:
            appeal = records.grant(
                engine,
                terms,
                options.appeal,
                by=by,
                reason=options.reason,
                now=now,
                scope=None if options.scope == "none" else options.scope,
                recipients=[settings.numbers.msisdn(number) for number in options.recipient],
                expires_at=None if options.days is None else now + options.days * 86_400,
                label=options.label,
                evidence=options.evidence,
            )
            _publish(settings, engine, now)
        last = records.appeal_history(engine, appeal.id)[-1]
    except ValueError as error:
        return fail(str(error))
    finally:
        engine.dispose()
    tell(f"appeal {appeal.id}: {appeal.state}" + (f"; {last.note}" if last.event == "effects" else ""))
    return 0


def appeal_supply(options: argparse.Namespace) -> int:
    """Put on record what the appellant of an appeal answered."""
    settings = read_settings(options.config)
    engine = open_records(settings)
    try:
        appeal = records.supply(
            engine,
            _terms(settings),
            options.appeal,
            by=getpass.getuser(),
            information=options.information,
            now=time.time(),
            evidence=options.evidence,
        )
    except ValueError as error:
        return fail(str(error))
    finally:
        engine.dispose()
    tell(f"appeal {appeal.id}: {appeal.state}, {_due(appeal)}")
    return 0


def appeal_withdraw(options: argparse.Namespace) -> int:
    """Take an appeal back on behalf of its appellant."""
    engine = open_records(read_settings(options.config))
    try:
        appeal = records.withdraw(engine, options.appeal, by=getpass.getuser(), note=options.reason, now=time.time())
    except ValueError as error:
        return fail(str(error))
    finally:
        engine.dispose()
    tell(f"appeal {appeal.id}: {appeal.state}")
    return 0


def appeal_list(options: argparse.Namespace) -> int:
    """Show the appeals that wait, those answered with --all, and what granted ones let pass now."""
    settings = read_settings(options.config)
    engine = open_records(settings)
    now = time.time()
    try:
        entries = whitelist.entries(engine, now)
        appeals = records.list_appeals(
            engine, states=() if options.all else WAITING, most=options.most, by_due=not options.all
        )
        figures = appeal_figures(engine, since=0.0, until=now)
    finally:
        engine.dispose()
    if appeals:
        table = Table("appeal", "state", "of", "about", "sender", "due")
        for appeal in appeals:
            table.add_row(
                str(appeal.id),
                appeal.state,
                f"{appeal.appellant.kind} {appeal.appellant.name}",
                f"{appeal.kind} {id_to_text(int(appeal.subject)) if appeal.kind == 'decision' else appeal.subject}",
                appeal.sender,
                _due(appeal) + (" OVERDUE" if appeal.due_at is not None and appeal.due_at <= now else ""),
            )
        Console().print(table)
    if figures.median_seconds is not None and figures.overturn_rate is not None:
        tell(
            f"{figures.granted + figures.refused:,} answered, {figures.overturn_rate:.0%} granted, half of them within "
            f"{figures.median_seconds / 3600:.1f} h; {figures.waiting:,} wait, {figures.overdue:,} overdue"
        )
    table = Table("id", "scope", "owner", "sender", "recipients", "until", "reason")
    for entry in entries:
        recipients = str(len(entry.recipients)) if entry.recipients else "all"
        until = day(entry.expires_at)
        table.add_row(str(entry.id), entry.scope, entry.owner, entry.sender or "all", recipients, until, entry.reason)
    Console().print(table if entries else "no entries")
    return 0


def appeal_revoke(options: argparse.Namespace) -> int:
    """End an entry before it expires, and with it the grant it comes from."""
    settings = read_settings(options.config)
    engine = open_records(settings)
    now = time.time()
    try:
        appeal = records.appeal_of_entry(engine, options.entry)
        if appeal is not None and appeal.state is AppealState.GRANTED:
            records.revoke(engine, appeal.id, by=getpass.getuser(), reason=options.reason, now=now)
        elif not whitelist.revoke(engine, options.entry, now):
            return fail(f"there is no entry {options.entry}, or it was revoked before")
        _publish_whitelist(settings, engine, now)
    except ValueError as error:
        return fail(str(error))
    finally:
        engine.dispose()
    tell(f"entry {options.entry} revoked")
    return 0


def _publish(settings: Settings, engine: Engine, now: float) -> None:
    """Let a grant bind at once; the recorder would see to it within seconds."""
    with store(settings) as client:
        write_whitelist(client, whitelist.entries(engine, now))
        write_measures(client, [record.measure for record in measures.standing(engine, now)])


def _terms(settings: Settings) -> Terms:
    return terms_of(read_profile(settings.policy.profile))


def _about(what: str) -> dict[str, str]:
    """An appeal code, or the id of a decision."""
    if len(what) == CODE_LENGTH:
        return {"code": what}
    return {"kind": "decision", "subject": str(id_from_text(what))}


def _due(appeal: records.Appeal) -> str:
    if appeal.due_at is None:
        return f"answered {day(appeal.decided_at)}" if appeal.decided_at is not None else "closed"
    # The period ends with a day: its last moment is the one people know it by.
    return f"due {day(appeal.due_at - 1)}" + ("" if appeal.due_certain else ", as far as the calendar knows")


def _publish_whitelist(settings: Settings, engine: Engine, now: float) -> None:
    with store(settings) as client:
        write_whitelist(client, whitelist.entries(engine, now))


def _days(text: str) -> float:
    """A number of days that leads to a date."""
    value = float(text)
    if not value <= MAX_DAYS:  # nan is not, either
        raise argparse.ArgumentTypeError(f"{text} is more than {MAX_DAYS:,} days")
    return value


def add_verbs(verbs: Verbs) -> None:
    """``appeal open``, ``code``, ``show``, ``decide``, ``supply``, ``withdraw``, ``grant``, ``list``, ``revoke``."""
    appeals = verbs.group("appeal", "objections to refusals, and what granted ones let pass")
    example = "smsc-filter appeal open 01H4-C9M2-Q7R3-T --for-person 13900000001 --reason 'wishes to my family'"
    one = appeals.verb("open", appeal_open, example=example)
    one.add_argument("what", metavar="CODE|DECISION", help="an appeal code, or the id of a decision")
    one.add_argument("--for-owner", dest="owner", help="on behalf of a provider")
    one.add_argument("--for-person", dest="person", metavar="NUMBER", help="on behalf of a subscriber")
    one.add_argument("--reason", default="", help="what the appellant says")
    _evidence(one)
    one = appeals.verb("code", appeal_code, example="smsc-filter appeal code 01H4-C9M2-Q7R3-T --party 13900000001")
    one.add_argument("decision", metavar="DECISION")
    one.add_argument("--party", metavar="NUMBER", help="the one number that may use it (default: whoever has it)")
    one = appeals.verb("show", appeal_show, example="smsc-filter appeal show 12 --config smsc-filter.toml")
    one.add_argument("appeal", type=int, metavar="ID")
    example = "smsc-filter appeal decide 12 --grant --reason 'wishes, no advertisement' --scope sender --days 90"
    one = appeals.verb("decide", appeal_decide, example=example)
    one.add_argument("appeal", type=int, metavar="ID")
    answer = one.add_mutually_exclusive_group(required=True)
    for word in ("grant", "refuse", "ask"):
        answer.add_argument(f"--{word}", dest="answer", action="store_const", const=word)
    one.add_argument("--reason", required=True, help="why, or what is asked")
    one.add_argument(
        "--scope", default="", choices=("", *SCOPES, "none"),
        help="what an entry clears (default: the sender to this recipient, where an entry helps)",
    )  # fmt: skip
    one.add_argument("--recipient", action="append", default=[], help="with sender-recipients: one more; repeatable")
    one.add_argument("--days", type=_days, help="until the entry expires (default: what the profile says)")
    label = one.add_mutually_exclusive_group()
    label.add_argument(
        "--case", dest="label", action="store_true", default=None, help="later models must pass the text"
    )
    label.add_argument("--no-case", dest="label", action="store_false", help="the text says nothing about models")
    _evidence(one)
    one = appeals.verb("supply", appeal_supply, example="smsc-filter appeal supply 12 'to my aunt' --config F")
    one.add_argument("appeal", type=int, metavar="ID")
    one.add_argument("information", metavar="TEXT")
    _evidence(one)
    one = appeals.verb("withdraw", appeal_withdraw, example="smsc-filter appeal withdraw 12 --config smsc-filter.toml")
    one.add_argument("appeal", type=int, metavar="ID")
    one.add_argument("--reason", default="")
    example = "smsc-filter appeal grant --owner li-wei --sender 13900000001 --days 30 --reason wishes"
    one = appeals.verb("grant", appeal_grant, example=example)
    one.add_argument("--owner", required=True)
    one.add_argument("--sender", help="one source address; all of the owner's where not given")
    one.add_argument("--recipient", action="append", default=[], help="only to this number; may be repeated")
    one.add_argument("--days", type=_days, default=30.0, help="until it expires (default: 30)")
    one.add_argument("--reason", required=True)
    one = appeals.verb("list", appeal_list, example="smsc-filter appeal list --config smsc-filter.toml")
    one.add_argument("--all", action="store_true", help="appeals that are closed as well, newest first")
    one.add_argument("--most", type=int, default=100, help="appeals shown (default: 100)")
    one = appeals.verb("revoke", appeal_revoke, example="smsc-filter appeal revoke 7 --config smsc-filter.toml")
    one.add_argument("entry", type=int, metavar="ID", help="of the whitelist entry")
    one.add_argument("--reason", default="revoked by the operator")


def _evidence(one: argparse.ArgumentParser) -> None:
    one.add_argument(
        "--evidence", action="append", default=[], metavar="SHA256|DECISION", help="what shows it; may be repeated"
    )
