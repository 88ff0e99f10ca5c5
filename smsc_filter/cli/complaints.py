"""Verbs about complaints: taken in, forwarded, answered, told, handed out."""

from __future__ import annotations

import argparse
import getpass
import time
from datetime import datetime, tzinfo
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.table import Table

from smsc_filter.cli.common import day, fail, store, tell
from smsc_filter.cli.records import add_unverified, export_between, zone_of
from smsc_filter.cli.verbs import Verbs
from smsc_filter.policy.appeals import OUTCOMES, ComplaintState, Terms, terms_of
from smsc_filter.policy.measures import Step
from smsc_filter.policy.record import id_to_text
from smsc_filter.policy.rules import read_profile
from smsc_filter.records import complaints as records
from smsc_filter.records import measures
from smsc_filter.records.complaint_files import import_complaints, read_complaints
from smsc_filter.records.complaints import Complaint, Effects, NewComplaint
from smsc_filter.service.build_records import make_projector, open_records, owners_of
from smsc_filter.settings import Settings, read_settings
from smsc_filter.state.measures import write_measures

RUNNING = (ComplaintState.RECEIVED, ComplaintState.FORWARDED, ComplaintState.DECIDED)


def complaint_add(options: argparse.Namespace) -> int:
    """Take one complaint in."""
    settings = read_settings(options.config)
    now, zone = time.time(), zone_of(settings)
    engine = open_records(settings)
    try:
        new = NewComplaint(
            number=options.number,
            complainant=settings.numbers.msisdn(options.complainant),
            sender=settings.numbers.canonical(options.sender),
            content=options.content,
            category=options.category,
            source=options.source,
            message_at=_moment(options.message_time, zone) if options.message_time else None,
            received_at=_moment(options.received_time, zone) if options.received_time else now,
        )
        complaint, is_new = records.add_complaint(
            engine,
            _terms(settings),
            new,
            by=getpass.getuser(),
            now=now,
            owner_of=owners_of(settings),
            forwarded=options.forwarded,
        )
        linked = records.linked_decisions(engine, complaint.id)
    except ValueError as error:
        return fail(str(error))
    finally:
        engine.dispose()
    known = "" if is_new else ", known before"
    tell(f"complaint {complaint.id}{known}: {complaint.state}, {_due(complaint)}, about {len(linked)} decisions of "
         f"{complaint.owner or 'nobody we know'}")  # fmt: skip
    return 0


def complaint_import(options: argparse.Namespace) -> int:
    """Take in a table in the style of 12321; the same file again adds nothing."""
    settings = read_settings(options.config)
    engine = open_records(settings)
    try:
        with options.file.open("rb") as file:
            rows = read_complaints(
                file,
                normalise_number=settings.numbers.msisdn,
                canonical=settings.numbers.canonical,
                zone=zone_of(settings),
                source=options.source,
                country_code=settings.numbers.country_code,
                now=time.time(),
            )
            taken = import_complaints(
                engine,
                _terms(settings),
                rows,
                by=getpass.getuser(),
                now=time.time(),
                owner_of=owners_of(settings),
                forwarded=not options.received,
            )
    except OSError as error:
        return fail(f"{options.file}: {error.strerror}")
    finally:
        engine.dispose()
    for wrong in taken.errors:
        fail(f"{options.file}: {wrong}")
    tell(f"{taken.stored:,} stored, {taken.linked:,} of them about owners we know; {taken.repeated:,} known before, "
         f"{len(taken.errors):,} wrong")  # fmt: skip
    return 1 if taken.errors else 0


def complaint_list(options: argparse.Namespace) -> int:
    """Show the complaints that run, what is due first; with --all, every one."""
    settings = read_settings(options.config)
    now = time.time()
    engine = open_records(settings)
    try:
        found = records.list_complaints(
            engine,
            states=() if options.all else RUNNING,
            owner=options.owner,
            overdue_at=now if options.overdue else None,
            most=options.most,
            by_due=not options.all,
        )
    finally:
        engine.dispose()
    table = Table("id", "number", "state", "of", "sender", "owner", "due", "outcome")
    for each in found:
        late = " OVERDUE" if each.due_at is not None and each.due_at <= now else ""
        table.add_row(
            str(each.id), each.number, each.state, each.complainant, each.sender, each.owner, _due(each) + late,
            each.outcome or "",
        )  # fmt: skip
    Console().print(table if found else "no complaints")
    return 0


def complaint_show(options: argparse.Namespace) -> int:
    """Tell what a complaint is about and what happened to it."""
    engine = open_records(read_settings(options.config))
    try:
        complaint = records.find_complaint(engine, options.complaint)
        if complaint is None:
            return fail(f"there is no complaint {options.complaint}")
        history = records.complaint_history(engine, complaint.id)
        linked = records.linked_decisions(engine, complaint.id)
    finally:
        engine.dispose()
    tell(f"complaint {complaint.id} ({complaint.number} of {complaint.source}): {complaint.state}, {_due(complaint)}")
    tell(f"  of {complaint.complainant} about {complaint.sender} of {complaint.owner or 'nobody we know'}")
    for event in history:
        tell(f"  {day(event.at)}  {event.event} by {event.by}: {event.note or '-'}")
    for decision_id in linked:
        tell(f"  decision {id_to_text(decision_id)}")
    return 0


def complaint_forward(options: argparse.Namespace) -> int:
    """Put on record that the party complained of has it."""
    return _move(options, records.forward)


def complaint_tell(options: argparse.Namespace) -> int:
    """Put on record that the complainant knows the outcome."""
    return _move(options, records.tell)


def complaint_withdraw(options: argparse.Namespace) -> int:
    """Put on record that the complainant takes it back."""
    return _move(options, records.withdraw)


def complaint_outcome(options: argparse.Namespace) -> int:
    """Put on record what the inquiry found, with what follows from it."""
    settings = read_settings(options.config)
    profile = read_profile(settings.policy.profile)
    now, by = time.time(), getpass.getuser()
    engine = open_records(settings)
    try:
        before = records.find_complaint(engine, options.complaint)
        if before is None:
            return fail(f"there is no complaint {options.complaint}")
        measure = None
        if options.measure is not None:
            measure = partial(
                measures.impose_measure,
                step=Step(options.measure),
                scope="sender",
                subject=before.sender,
                reason=f"complaint {before.number}",
                article=profile.measures.article,
                by=by,
                now=now,
                per_hour=options.per_hour,
            )
        records.decide(
            engine,
            _terms(settings),
            options.complaint,
            outcome=options.outcome,
            by=by,
            note=options.note,
            now=now,
            effects=Effects(label=options.label, refuse_for=options.refuse, measure=measure),
        )
        last = records.complaint_history(engine, options.complaint)[-1]
        if options.refuse or measure is not None:
            with store(settings) as client:
                make_projector(settings, engine, client).apply()
                write_measures(client, [record.measure for record in measures.standing(engine, now)])
    except ValueError as error:
        return fail(str(error))
    finally:
        engine.dispose()
    tell(f"complaint {options.complaint}: {options.outcome}" + (f"; {last.note}" if last.event == "effects" else ""))
    return 0


def complaint_export(options: argparse.Namespace) -> int:
    """Write complaints and the decisions they are about into a folder with a signed manifest."""
    return export_between(options, "complaints")


def _move(options: argparse.Namespace, how: records.Step) -> int:
    settings = read_settings(options.config)
    engine = open_records(settings)
    try:
        complaint = how(
            engine, _terms(settings), options.complaint, by=getpass.getuser(), now=time.time(), note=options.note
        )
    except ValueError as error:
        return fail(str(error))
    finally:
        engine.dispose()
    tell(f"complaint {complaint.id}: {complaint.state}, {_due(complaint)}")
    return 0


def _terms(settings: Settings) -> Terms:
    return terms_of(read_profile(settings.policy.profile))


def _due(complaint: Complaint) -> str:
    if complaint.due_at is None:
        return "no clock runs"
    # The period ends with a day: its last moment is the one people know it by.
    return f"due {day(complaint.due_at - 1)}" + ("" if complaint.due_certain else ", as far as the calendar knows")


def _moment(text: str, zone: tzinfo) -> float:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is no time; write 2026-07-01T12:00") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).timestamp()


def add_verbs(verbs: Verbs) -> None:
    """``complaint add``, ``import``, ``list``, ``show``, those of the clock, ``outcome``, ``export``."""
    group = verbs.group("complaint", "complaints about messages, and their clocks")
    one = group.verb("add", complaint_add, example="smsc-filter complaint add --number 2026-0001 --complainant "
                     "13800000001 --sender 106900001 --category advertisement --forwarded")  # fmt: skip
    one.add_argument("--number", required=True, help="the name of whoever took it in for it")
    one.add_argument("--complainant", required=True, metavar="NUMBER")
    one.add_argument("--sender", required=True, metavar="NUMBER", help="the number complained of")
    one.add_argument("--content", default="", help="the message complained of")
    one.add_argument("--category", default="")
    one.add_argument("--source", default="12321", help="who took it in (default: 12321)")
    one.add_argument("--message-time", metavar="TIME", help="when the message came, in the profile's zone")
    one.add_argument("--received-time", metavar="TIME", help="when the complaint was taken in (default: now)")
    one.add_argument("--forwarded", action="store_true", help="it comes from who forwards: the outcome is due")
    one = group.verb("import", complaint_import, example="smsc-filter complaint import 12321-may.csv")
    one.add_argument("file", type=Path, metavar="FILE", help="CSV with a header, in UTF-8 or GB 18030")
    one.add_argument("--source", default="12321", help="who took them in (default: 12321)")
    one.add_argument("--received", action="store_true", help="they are still to be forwarded")
    one = group.verb("list", complaint_list, example="smsc-filter complaint list --overdue")
    one.add_argument("--all", action="store_true", help="closed ones as well, newest first")
    one.add_argument("--overdue", action="store_true", help="only those whose time is over")
    one.add_argument("--owner", help="only about one owner")
    one.add_argument("--most", type=int, default=100, help="complaints shown (default: 100)")
    one = group.verb("show", complaint_show, example="smsc-filter complaint show 7")
    one.add_argument("complaint", type=int, metavar="ID")
    for name, run in (("forward", complaint_forward), ("tell", complaint_tell), ("withdraw", complaint_withdraw)):
        one = group.verb(name, run, example=f"smsc-filter complaint {name} 7")
        one.add_argument("complaint", type=int, metavar="ID")
        one.add_argument("--note", default="")
    one = group.verb("outcome", complaint_outcome, example="smsc-filter complaint outcome 7 --outcome upheld "
                     "--note 'sent without consent' --label --refuse --measure throttle --per-hour 10")  # fmt: skip
    one.add_argument("complaint", type=int, metavar="ID")
    one.add_argument("--outcome", required=True, choices=OUTCOMES)
    one.add_argument("--note", required=True, help="what was found")
    one.add_argument("--label", action="store_true", help="the texts become samples for the next training")
    one.add_argument("--refuse", action="store_true", help="put the complainant's refusal of the owner on record")
    one.add_argument("--measure", choices=("warn", "throttle"), help="against the sender")
    one.add_argument("--per-hour", type=int, metavar="N", help="with throttle")
    one = group.verb("export", complaint_export, example="smsc-filter complaint export --from 2026-05-01 "
                     "--to 2026-05-31 --out complaints-may")  # fmt: skip
    one.add_argument("--owner", help="only about one owner")
    one.add_argument("--from", dest="begin", metavar="DATE", required=True, help="first day, in the profile's zone")
    one.add_argument("--to", dest="end", metavar="DATE", required=True, help="last day")
    one.add_argument("--out", type=Path, metavar="DIR", required=True, help="a new folder")
    add_unverified(one)
