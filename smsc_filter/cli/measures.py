"""Verbs about measures against a party: notices, measures, and what became of them."""

from __future__ import annotations

import argparse
import getpass
import time

from rich.console import Console
from rich.table import Table
from sqlalchemy import Engine

from smsc_filter.cli.common import day, fail, store, tell
from smsc_filter.cli.verbs import Verbs
from smsc_filter.policy.measures import SCOPES, Step
from smsc_filter.policy.rules import read_profile
from smsc_filter.records import measures
from smsc_filter.records.tellings import told_at
from smsc_filter.service.build_records import open_records
from smsc_filter.settings import Settings, read_settings
from smsc_filter.state.measures import held_binds, write_measures
from smsc_filter.watch.locks import BY


def measure_notice(options: argparse.Namespace) -> int:
    """Put on record that a party was told; a suspension needs it."""
    settings = read_settings(options.config)
    engine = open_records(settings)
    try:
        notice = measures.serve_notice(
            engine,
            scope=options.scope,
            subject=_subject(settings, options.scope, options.subject),
            channel=options.channel,
            reason=options.reason,
            by=getpass.getuser(),
            now=time.time(),
        )
    except ValueError as error:
        return fail(str(error))
    finally:
        engine.dispose()
    hours = read_profile(settings.policy.profile).measures.notice_hours.value
    tell(
        f"notice {notice.id}: {notice.scope} {notice.subject} told by {notice.channel} at {day(notice.at)}; "
        f"a suspension may begin at {day(notice.at + hours * 3600)}"
    )
    return 0


def measure_impose(options: argparse.Namespace) -> int:
    """Warn, throttle, give no new resources, or suspend; in force within a second."""
    settings = read_settings(options.config)
    rules = read_profile(settings.policy.profile).measures
    now = time.time()
    engine = open_records(settings)
    try:
        subject = _subject(settings, options.scope, options.subject)
        step = Step(options.step)
        begins_at = None if options.in_hours is None else now + options.in_hours * 3600
        with store(settings) as client:
            binds = held_binds(client, _accounts(settings, options.scope, subject), now)
            record = measures.impose(
                engine,
                step=step,
                scope=options.scope,
                subject=subject,
                reason=options.reason,
                article=options.article or rules.article,
                by=getpass.getuser(),
                now=now,
                begins_at=begins_at,
                ends_at=None if options.hours is None else (begins_at or now) + options.hours * 3600,
                notice_id=options.notice,
                notice_seconds=rules.notice_hours.value * 3600,
                per_hour=options.per_hour,
                binds=binds if step is Step.NO_NEW_RESOURCES else None,
            )
            write_measures(client, [each.measure for each in measures.standing(engine, now)])
    except ValueError as error:
        return fail(str(error))
    finally:
        engine.dispose()
    measure = record.measure
    until = "until it is lifted" if measure.ends_at is None else f"until {day(measure.ends_at)}"
    tell(
        f"measure {measure.id}: {measure.step} of {measure.scope} {measure.subject} from {day(measure.begins_at)} "
        f"{until}; the party may appeal with code {measure.appeal_code}"
    )
    return 0


def measure_lift(options: argparse.Namespace) -> int:
    """End a measure; within a second it binds nobody."""
    settings = read_settings(options.config)
    engine = open_records(settings)
    now = time.time()
    try:
        if not measures.lift(engine, options.measure, by=getpass.getuser(), note=options.reason, now=now):
            return fail(f"there is no measure {options.measure}, or it was lifted before")
        _publish(settings, engine, now)
    finally:
        engine.dispose()
    tell(f"measure {options.measure} lifted")
    return 0


def measure_list(options: argparse.Namespace) -> int:
    """Show what is in force and what is to come; with --all, what was."""
    settings = read_settings(options.config)
    engine = open_records(settings)
    try:
        records = measures.standing(engine, time.time(), ended=options.all)
    finally:
        engine.dispose()
    table = Table("id", "step", "about", "from", "until", "article", "notice", "appeal", "reason")
    for record in records:
        measure = record.measure
        until = "lifted" if record.lifted_at is not None else day(measure.ends_at) if measure.ends_at else "lifted only"
        step = measure.step.value if measure.per_hour is None else f"{measure.step.value} {measure.per_hour}/h"
        table.add_row(
            str(measure.id),
            step,
            f"{measure.scope} {measure.subject}",
            day(measure.begins_at),
            until,
            measure.article,
            str(record.notice_id or ""),
            record.appeal_id or measure.appeal_code,
            record.reason,
        )
    Console().print(table if records else "no measures")
    return 0


def measure_show(options: argparse.Namespace) -> int:
    """Tell what happened to one measure, and by whom."""
    settings = read_settings(options.config)
    engine = open_records(settings)
    try:
        events = measures.history(engine, options.measure)
        told = told_at(engine, options.measure)
    finally:
        engine.dispose()
    if not events:
        return fail(f"there is no measure {options.measure}")
    table = Table("at", "event", "by", "note")
    for event in events:
        table.add_row(day(event["at_ms"] / 1000), event["event"], event["by"], event["note"])
    if told is not None:
        table.add_row(day(told), "told by message", BY, "")
    Console().print(table)
    return 0


def _publish(settings: Settings, engine: Engine, now: float) -> None:
    with store(settings) as client:
        write_measures(client, [record.measure for record in measures.standing(engine, now)])


def _subject(settings: Settings, scope: str, subject: str) -> str:
    """The subject as judging knows it.

    Raises:
        ValueError: the configuration has no such party.
    """
    if scope == "sender":
        return settings.numbers.canonical(subject)
    known = settings.owners if scope == "owner" else [account.system_id for account in settings.accounts]
    if subject not in known:
        raise ValueError(f"there is no {scope} {subject}; there are {', '.join(known)}")
    return subject


def _accounts(settings: Settings, scope: str, subject: str) -> list[str]:
    """The accounts a measure speaks of."""
    if scope == "account":
        return [subject]
    return [account.system_id for account in settings.accounts if scope == "owner" and account.owner == subject]


def add_verbs(verbs: Verbs) -> None:
    """``measure notice``, ``impose``, ``lift``, ``list``, ``show``."""
    group = verbs.group("measure", "notices to and measures against those who break the rules")
    one = group.verb("notice", measure_notice, example="smsc-filter measure notice --scope owner --subject shop-ltd "
                     "--channel 'letter of 3 May' --reason 'advertised on a service port'")  # fmt: skip
    _about(one)
    one.add_argument("--channel", required=True, help="how the party was told")
    one.add_argument("--reason", required=True)
    one = group.verb("impose", measure_impose, example="smsc-filter measure impose --step throttle --per-hour 20 "
                     "--scope sender --subject 106900001 --hours 72 --reason 'numbers counted up'")  # fmt: skip
    one.add_argument("--step", required=True, choices=[step.value for step in Step])
    _about(one)
    one.add_argument("--reason", required=True)
    one.add_argument("--article", help="what it rests on (default: the article of the profile)")
    one.add_argument("--per-hour", type=int, metavar="N", help="with throttle: messages of one address in any hour")
    one.add_argument("--hours", type=float, help="how long it lasts (default: until it is lifted)")
    one.add_argument("--in-hours", type=float, help="when it begins (default: at once, or when the notice allows)")
    one.add_argument("--notice", type=int, metavar="ID", help="with suspend: the notice (default: the newest one)")
    one = group.verb("lift", measure_lift, example="smsc-filter measure lift 7 --reason 'appeal granted'")
    one.add_argument("measure", type=int, metavar="ID")
    one.add_argument("--reason", required=True)
    one = group.verb("list", measure_list, example="smsc-filter measure list --all")
    one.add_argument("--all", action="store_true", help="those that have ended as well")
    one = group.verb("show", measure_show, example="smsc-filter measure show 7")
    one.add_argument("measure", type=int, metavar="ID")


def _about(one: argparse.ArgumentParser) -> None:
    one.add_argument("--scope", required=True, choices=SCOPES)
    one.add_argument("--subject", required=True, help="source address, system_id or owner")
