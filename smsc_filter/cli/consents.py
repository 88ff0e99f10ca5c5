"""Verbs about who agreed to hear from whom."""

from __future__ import annotations

import argparse
import getpass
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path

import orjson
from sqlalchemy import Engine

from smsc_filter.cli import records
from smsc_filter.cli.common import console, day, fail, octets_bar, progress_bar, store, tell
from smsc_filter.cli.verbs import Verbs
from smsc_filter.records import claims, consent_files, evidence, imports, replies, verify, whitelist
from smsc_filter.records.audit import Actor
from smsc_filter.records.consents import ConsentEvent, consents_of_pairs, history, owner_ids, store_events
from smsc_filter.records.database import reading
from smsc_filter.records.errors import RecordsError
from smsc_filter.records.rulebook import newest_rules
from smsc_filter.records.signature import SigningKey
from smsc_filter.service.build_records import (
    evidence_folder,
    make_projector,
    open_records,
    rebuild_declines,
    reply_seconds,
)
from smsc_filter.service.projector import Projector
from smsc_filter.settings import Settings, read_settings
from smsc_filter.state.projection import write_whitelist
from smsc_filter.state.rules import write_rules

REVIEW = "smsc-filter consent review {} --help"

SHOWN_ERRORS = 20
"""Wrong lines that are told one by one; more go into a file."""


@contextmanager
def projecting(settings: Settings, engine: Engine) -> Iterator[Projector]:
    """A projector for as long as a verb takes."""
    with store(settings) as client:
        yield make_projector(settings, engine, client)


def import_consents(options: argparse.Namespace) -> int:
    """Take in consents from a table or a JSON Lines file; they bind the next message."""
    settings = read_settings(options.config)
    path: Path = options.file
    try:
        reading = _reading(options, settings)
    except ValueError as error:
        return fail(str(error))
    reader = consent_files.Reader(settings.numbers.msisdn, time.time(), reading)
    if options.dry_run:
        return _preview(path, settings, reader)
    fingerprint = imports.fingerprint_of(path)
    with ExitStack() as stack:
        engine = open_records(settings)
        stack.callback(engine.dispose)
        taking = imports.Import(engine, options.key or f"sha256:{fingerprint}", fingerprint)
        if taking.summary.finished:
            tell(f"{path}: imported before, nothing to do ({taking.summary}); --key NAME imports it once more")
            return 0
        if taking.summary.lines:
            console.print(f"going on behind line {taking.summary.lines:,}", highlight=False)
        projector = stack.enter_context(projecting(settings, engine))
        errors = stack.enter_context(_ErrorReport(path, options.errors))
        progress = stack.enter_context(octets_bar())
        task = progress.add_task(path.name, total=path.stat().st_size)
        rows = consent_files.named(
            path, reader.read_file(path, taking.summary.lines, lambda octets: progress.advance(task, octets))
        )
        if options.evidence:
            kept = evidence.keep_file(evidence_folder(settings), options.evidence)
            rows = consent_files.with_evidence(rows, kept.sha256, kept.name)
        for batch in taking.take(rows):
            projector.apply()
            errors.add(batch.errors)
        summary = taking.summary
    tell(f"{path}: {summary}")
    for note in reader.notes:
        tell(f"  {note}")
    if summary.held:
        tell(f"{path}: smsc-filter consent claims shows what was claimed of who had refused, and waits for a review")
    if errors.file is not None:
        tell(f"{path}: wrong lines are told in {errors.file}")
    return 1 if summary.wrong else 0


def _reading(options: argparse.Namespace, settings: Settings) -> consent_files.Reading:
    """How a file is to be read.

    Raises:
        ValueError: an option says what cannot be.
    """
    if options.owner is not None and options.owner not in settings.owners:
        raise ValueError(f"--owner: {consent_files.unknown_owner(options.owner, settings.owners)}")
    return consent_files.Reading(
        format=options.format or consent_files.format_of(options.file),
        zone=records.zone_of(settings),
        country_code=settings.numbers.country_code,
        owner=options.owner,
        owners=settings.owners,
        columns=_pairs("--columns", options.columns),
        states=_pairs("--states", options.states),
    )


def _pairs(option: str, text: str) -> dict[str, str]:
    """``a=b,c=d`` as a table."""
    pairs = {}
    for each in filter(None, text.split(",")):
        name, equals, value = each.partition("=")
        if not equals or not name.strip() or not value.strip():
            raise ValueError(f"{option}: {each!r} is not NAME=VALUE")
        pairs[name.strip()] = value.strip()
    return pairs


def _preview(path: Path, settings: Settings, reader: consent_files.Reader) -> int:
    """Tell what an import would do."""
    engine = open_records(settings)
    try:
        found = imports.preview_import(engine, consent_files.named(path, reader.read_file(path)), SHOWN_ERRORS)
    finally:
        engine.dispose()
    for error in found.errors:
        console.print(f"{path}: {error}", highlight=False, markup=False)
    for (owner, state), rows in sorted(found.states.items()):
        tell(f"{owner}: {rows:,} {state}")
    held = f", {found.held:,} of them claimed: the recipient had refused" if found.held else ""
    tell(f"would be stored: {found.stored:,}{held}; {found.repeated:,} known before, {found.wrong:,} wrong")
    for note in reader.notes:
        tell(f"  {note}")
    tell("nothing was changed")
    return 1 if found.wrong else 0


class _ErrorReport:
    """Tells of wrong lines: the first on stderr, all of them in a file where there are many."""

    def __init__(self, path: Path, file: Path | None) -> None:
        self._path = path
        self._asked = file
        self.file: Path | None = None
        self._held: list[str] = []
        self._stack = ExitStack()

    def add(self, errors: list[consent_files.RowError]) -> None:
        """Tell of these."""
        for error in errors:
            line = f"{self._path}: {error}"
            if len(self._held) < SHOWN_ERRORS:
                self._held.append(line)
                console.print(line, highlight=False, markup=False)
            elif self.file is None:
                self.file = self._asked or self._path.with_name(self._path.name + ".errors")
                # Begun again behind a kill, what was told before stays in the file.
                self._open = self._stack.enter_context(self.file.open("a", encoding="utf-8"))
                self._open.writelines(f"{held}\n" for held in self._held)
            if self.file is not None:
                self._open.write(f"{line}\n")

    def __enter__(self) -> _ErrorReport:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()


def record_consent(options: argparse.Namespace) -> int:
    """Put one consent, refusal or withdrawal on record; it binds the next message."""
    settings = read_settings(options.config)
    now = time.time()
    try:
        recipient = settings.numbers.msisdn(options.recipient)
    except ValueError as error:
        return fail(str(error))
    if options.owner not in settings.owners:
        return fail(f"--owner: {consent_files.unknown_owner(options.owner, settings.owners)}")
    now_ms = round(now * 1000)
    kept = evidence.keep_file(evidence_folder(settings), options.evidence) if options.evidence else None
    engine = open_records(settings)
    try:
        event = ConsentEvent(
            recipient=recipient,
            owner=options.owner,
            state=options.state,
            event_at_ms=now_ms,
            received_at_ms=now_ms,
            expires_at_ms=None if options.days is None else round((now + options.days * 86_400) * 1000),
            topic=options.topic,
            source=options.source,
            reference=options.reference,
            text_version=options.text_version,
            evidence=kept.sha256 if kept else None,
            evidence_name=kept.name if kept else None,
            # Who refuses tells the operator, who writes it down; who agrees tells the owner.
            by_owner=options.state == "granted",
        )
        stored = store_events(engine, [event])
        with projecting(settings, engine) as projector:
            projector.apply()
    except ValueError as error:
        return fail(str(error))
    finally:
        engine.dispose()
    tell(f"event {stored.ids[0]}: {recipient} {'claimed' if stored.held else options.state} {options.owner}")
    if stored.held:
        tell(f"  {recipient} had refused; a reply, the portal or a review lifts that: {REVIEW.format(stored.ids[0])}")
    return 0


def show_consents(options: argparse.Namespace) -> int:
    """Show what a recipient told whom, with the chain of proof."""
    settings = read_settings(options.config)
    try:
        recipient = settings.numbers.msisdn(options.recipient)
    except ValueError as error:
        return fail(str(error))
    now = time.time()
    engine = open_records(settings)
    try:
        events = history(engine, recipient, options.owner)
        if not events:
            return fail(f"nothing of {recipient} is on record")
        owners = owner_ids(engine, {event.owner for _, event in events})
        names = {id_: name for name, id_ in owners.items()}
        with reading(engine) as connection:
            pairs = [(recipient, id_) for id_ in names]
            current = consents_of_pairs(connection, pairs, reply_seconds(settings), now)
        for each in current:
            about = f", topic {each.topic}" if each.topic else ""
            until = f", until {day(each.status.until_ms / 1000)}" if each.status.until_ms else ""
            state = each.status.state.name.lower().replace("_", "-")
            tell(f"{names[each.owner_id]}{about}: {state} since {day(each.status.since_ms / 1000)}{until}")
        key = SigningKey.open(settings.data_dir)
        held = claims.claimed_among(engine, recipient, events, reply_seconds=reply_seconds(settings), now=now)
        for id_, event in events:
            claimed = "held back: the recipient had refused" if id_ in held else ""
            tell(f"\n{_described(id_, event, evidence_folder(settings), claimed=claimed)}")
            try:
                receipt = verify.make_receipt(engine, id_, key, now)
            except RecordsError as error:
                tell(f"  receipt    none: {error}")
                continue
            tell(f"  chain      {receipt['previous'][:16]} -> {receipt['chain'][:16]}")
            if options.receipts is not None:
                options.receipts.mkdir(parents=True, exist_ok=True)
                path = options.receipts / f"consent-{id_}.json"
                path.write_bytes(orjson.dumps(receipt, option=orjson.OPT_INDENT_2))
                tell(f"  receipt    {path}")
    finally:
        engine.dispose()
    return 0


def list_doubtful(options: argparse.Namespace) -> int:
    """List withdrawals by reply whose words were unclear; they bind all the same."""
    settings = read_settings(options.config)
    engine = open_records(settings)
    try:
        found = replies.doubtful_replies(engine, options.owner, options.most)
        for id_, event in found:
            tell(f"{event.recipient}: {_described(id_, event, evidence_folder(settings))}")
    finally:
        engine.dispose()
    tell(f"{len(found):,} doubtful withdrawals; START from the subscriber, or `consent record`, lifts one")
    return 0


def list_claims(options: argparse.Namespace) -> int:
    """List consents that owners claim of people who had refused; none of them counts before a review."""
    settings = read_settings(options.config)
    engine = open_records(settings)
    try:
        found = claims.open_claims(
            engine, reply_seconds=reply_seconds(settings), now=time.time(), owner=options.owner, most=options.most
        )
        for claim in found:
            refused = f"held back: the recipient refused at {day(claim.refused_at_ms / 1000)}"
            tell(_described(claim.event_id, claim.event, evidence_folder(settings), claimed=refused))
    finally:
        engine.dispose()
    tell(f"{len(found):,} claims wait for a review")
    return 0


def review_claim(options: argparse.Namespace) -> int:
    """Accept a claimed consent on its evidence, or reject it; a grant binds the next message."""
    settings = read_settings(options.config)
    now, wait = time.time(), reply_seconds(settings)
    actor = Actor(f"{getpass.getuser()} (command line)")
    engine = open_records(settings)
    try:
        if options.reject:
            claim = claims.reject_claim(
                engine, options.claim, actor=actor, reason=options.reason, reply_seconds=wait, now=now
            )
            tell(f"claim {claim.event_id} is rejected: the refusal of {claim.event.owner} stands")
            return 0
        agreed = options.agreed.timestamp() if options.agreed is not None else None
        event_id = claims.accept_claim(
            engine, options.claim, actor=actor, reason=options.reason, reply_seconds=wait, now=now, agreed_at=agreed
        )
        with projecting(settings, engine) as projector:
            projector.apply()
    finally:
        engine.dispose()
    tell(f"claim {options.claim} is accepted: event {event_id} grants it")
    return 0


def _moment(text: str) -> datetime:
    """An ISO 8601 time with its offset."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise argparse.ArgumentTypeError(f"{text!r} has no offset; 2026-05-01T09:30:00+08:00 is expected")
    return moment


def _described(id_: int, event: ConsentEvent, folder: Path, *, claimed: str = "") -> str:
    shown = {
        "learned": day(event.received_at_ms / 1000),
        "until": event.expires_at_ms and day(event.expires_at_ms / 1000),
        "topic": event.topic,
        "source": event.source,
        "reference": event.reference,
        "wording": event.text_version,
    }
    if event.evidence is not None:
        kept = evidence.Evidence(event.evidence, event.evidence_name or "")
        wrong = evidence.wrong_file(folder, kept) if event.evidence_name else "is not kept here"
        shown["evidence"] = f"sha256 {event.evidence}, {f'the file {wrong}' if wrong else event.evidence_name}"
    when = f"at {day(event.event_at_ms / 1000)}" if event.dated else "at a time nobody knows"
    lines = [f"event {id_}: {'claimed' if claimed else event.state} {event.owner} {when}"]
    lines += [f"  {claimed}"] if claimed else []
    return "\n".join(lines + [f"  {name:<10} {value}" for name, value in shown.items() if value])


def rebuild_state(options: argparse.Namespace) -> int:
    """Write the hot state of consents, decline register, whitelist and rules anew from the records of law."""
    settings = read_settings(options.config)
    engine = open_records(settings)
    try:
        with store(settings) as client, progress_bar() as progress:
            task = progress.add_task("consents", total=None)
            projector = make_projector(settings, engine, client)
            written, removed = projector.rebuild(lambda consents: progress.advance(task, consents))
            pages = rebuild_declines(settings, engine, client)
            write_whitelist(client, whitelist.entries(engine, time.time()))
            write_rules(client, newest_rules(engine))
    finally:
        engine.dispose()
    tell(f"{written:,} consents written, {removed:,} removed that the records do not know; {pages:,} pages of declines")
    return 0


def add_verbs(verbs: Verbs) -> None:
    """``consent import|record|show|export|verify``, ``rebuild-state``."""
    consent = verbs.group("consent", "who agreed to hear from whom")
    one = consent.verb("import", import_consents, example="smsc-filter consent import consents.csv --config F")
    names = f"{','.join(consent_files.REQUIRED)}[,{','.join(consent_files.OPTIONAL)}]"
    one.add_argument(
        "file",
        type=Path,
        metavar="FILE",
        help=f"a table with the header {names} or usual names for these; or JSON Lines",
    )
    one.add_argument(
        "--format", choices=consent_files.FORMATS, default="", help="by the ending of the name where not given"
    )
    one.add_argument(
        "--key", help="names the import: begun again it goes on, finished it does nothing (default: of the content)"
    )
    one.add_argument("--owner", help="whose consents these are, where the file does not say")
    one.add_argument(
        "--columns", default="", metavar="FIELD=NAME,...", help="names of columns: recipient=手机号,state=状态"
    )
    one.add_argument("--states", default="", metavar="WORD=STATE,...", help="words for states: paused=withdrawn")
    one.add_argument("--dry-run", action="store_true", help="tell what would happen, and change nothing")
    one.add_argument("--errors", type=Path, metavar="FILE", help="where many wrong lines are told (default: beside it)")
    one.add_argument("--evidence", type=Path, metavar="FILE", help="what shows these consents; a copy is kept")
    example = "smsc-filter consent record 13800000001 withdrawn --owner shop-ltd --config F"
    one = consent.verb("record", record_consent, example=example)
    one.add_argument("recipient", metavar="RECIPIENT")
    one.add_argument("state", choices=consent_files.KINDS)
    one.add_argument("--owner", required=True)
    one.add_argument("--topic", help="only this; everything the owner sends where not given")
    one.add_argument("--days", type=float, help="a grant ends after so many days")
    one.add_argument("--source", default="command line", help="where it was said")
    one.add_argument("--reference", default="", help="what to ask the source for")
    one.add_argument("--text-version", default="", help="which wording was agreed to")
    one.add_argument("--evidence", type=Path, metavar="FILE", help="what shows it; a copy is kept")
    one = consent.verb("doubtful", list_doubtful, example="smsc-filter consent doubtful --owner shop-ltd --config F")
    one.add_argument("--owner", metavar="OWNER", help="of this owner alone")
    one.add_argument("--most", type=int, default=replies.MOST_SHOWN, metavar="N", help="stop after so many")
    one = consent.verb("claims", list_claims, example="smsc-filter consent claims --owner shop-ltd --config F")
    one.add_argument("--owner", help="only of this one")
    one.add_argument("--most", type=int, default=claims.MOST_SHOWN, metavar="N", help="stop after so many")
    example = "smsc-filter consent review 4711 --accept --reason 'signed form of 3 May seen' --config F"
    one = consent.verb("review", review_claim, example=example)
    one.add_argument("claim", type=int, metavar="EVENT", help="as `consent claims` shows it")
    verdict = one.add_mutually_exclusive_group(required=True)
    verdict.add_argument("--accept", action="store_true", help="the evidence shows that the recipient agreed later")
    verdict.add_argument("--reject", action="store_true", help="it does not")
    one.add_argument("--reason", required=True, help="what the evidence shows; kept in the audit log")
    one.add_argument(
        "--agreed", type=_moment, metavar="TIME", help="when the recipient agreed, as ISO 8601 with offset"
    )
    one = consent.verb("show", show_consents, example="smsc-filter consent show 13800000001 --receipts receipts")
    one.add_argument("recipient", metavar="RECIPIENT")
    one.add_argument("--owner", help="only what was told to this one")
    one.add_argument("--receipts", type=Path, metavar="DIR", help="write a receipt for every event there")
    records.add_consent_verbs(consent)
    verbs.verb("rebuild-state", rebuild_state, example="smsc-filter rebuild-state --config smsc-filter.toml")
