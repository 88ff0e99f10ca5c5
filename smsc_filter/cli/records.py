"""Verbs about the records of law: handed out, verified, and taken away when their time is over."""

from __future__ import annotations

import argparse
import getpass
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import redis
from sqlalchemy import Engine

from smsc_filter.cli.common import console, day, fail, progress_bar, store, tell
from smsc_filter.cli.verbs import Verbs
from smsc_filter.policy.rules import read_profile
from smsc_filter.records import erasure, retention, verify
from smsc_filter.records import export as exporting
from smsc_filter.records.audit import Actor
from smsc_filter.records.database import forget_deleted
from smsc_filter.records.errors import RecordsError
from smsc_filter.records.signature import SigningKey
from smsc_filter.records.verify_seals import SealsFound, verify_seals
from smsc_filter.service.build_records import evidence_folder, make_projector, open_records, reply_seconds
from smsc_filter.settings import Settings, read_settings
from smsc_filter.state.erasure import erase_number
from smsc_filter.state.rewriting import RewriteError, rewrite_append_only_file


def export_owner(options: argparse.Namespace) -> int:
    """Write everything of a provider between two dates into a folder with a signed manifest, or check such a folder."""
    if options.verify is not None:
        return check_folder(options.verify, options.key)
    if options.owner is None or options.begin is None or options.end is None or options.out is None:
        return fail("export needs --owner, --from, --to and --out, or --verify DIR")
    return export_between(options, None)


def export_between(options: argparse.Namespace, kind: str | None) -> int:
    """Export what lies between two dates, of one owner where one is named."""
    settings = read_settings(options.config)
    zone = zone_of(settings)
    begin, end = first_moment(options.begin, zone), first_moment(options.end, zone, after=True)
    if end <= begin:
        return fail(f"--to {options.end} lies before --from {options.begin}")
    scope = exporting.Scope(options.owner, round(begin * 1000), min(round(end * 1000), exporting.LAST_MOMENT_MS))
    return write_export(settings, options.out, scope, kind, unverified=options.unverified)


def export_consents(options: argparse.Namespace) -> int:
    """Write consents as they are, and the events they follow from, into a folder with a signed manifest."""
    settings = read_settings(options.config)
    return write_export(settings, options.out, exporting.Scope(options.owner, 0, exporting.LAST_MOMENT_MS), "consents",
                        unverified=options.unverified)  # fmt: skip


def write_export(
    settings: Settings, out: Path, scope: exporting.Scope, kind: str | None, *, unverified: bool = False
) -> int:
    """Export what ``scope`` asks for; ``kind`` "consents" or "complaints" for these alone.

    What does not verify is not exported, or with ``unverified`` marked so in the manifest.
    """
    now = time.time()
    engine = open_records(settings)
    try:
        problems = problems_of(*verify_everything(engine, settings.data_dir))
        if problems and not unverified:
            for problem in problems:
                console.print(problem, highlight=False, markup=False)
            return fail("nothing was exported: the records were tampered with; --unverified exports them, marked so")
        sections = None
        if kind == "consents":
            sections = exporting.consent_sections(engine, reply_seconds=reply_seconds(settings), now=now)
        elif kind == "complaints":
            sections = list(exporting.COMPLAINT_SECTIONS)
        with progress_bar() as progress:
            task = progress.add_task("rows", total=None)
            manifest = exporting.export(
                engine,
                out,
                scope,
                SigningKey.open(settings.data_dir),
                now=now,
                evidence_folder=evidence_folder(settings),
                sections=sections,
                problems=problems,
                advance=lambda rows: progress.advance(task, rows),
            )
    finally:
        engine.dispose()
    for name, each in manifest["files"].items():
        if name.endswith(".jsonl"):
            tell(f"{out / name}: {each['rows']:,} rows")
    for name in manifest["evidence_not_kept_here"]:
        console.print(f"evidence {name} is not kept here, or not as it was", highlight=False)
    return 0


def check_folder(folder: Path, key: str | None) -> int:
    """Check an exported folder by its manifest."""
    manifest, problems = exporting.check_export(folder, key)
    for problem in problems:
        console.print(f"{folder}: {problem}", highlight=False, markup=False)
    if problems:
        return fail(f"{folder}: {len(problems)} problems: this is not what was exported")
    rows = sum(each["rows"] for each in manifest["files"].values())
    tell(f"{folder}: {len(manifest['files'])} files, {rows:,} rows, as exported and signed with {manifest['key']}")
    return 0


def verify_consents(options: argparse.Namespace) -> int:
    """Find any change, deletion or reorder of consent events, or check a receipt."""
    if options.receipt is not None:
        return _check_receipt(options)
    settings = read_settings(options.config)
    engine = open_records(settings)
    key = SigningKey.open(settings.data_dir)
    try:
        anchors = list(verify.read_anchors(settings.data_dir))
        for path in options.manifest:
            try:
                anchors.append(verify.anchor_of(path.read_bytes(), str(path)))
            except OSError as error:
                return fail(f"{path}: {error.strerror}")
        with progress_bar() as progress:
            task = progress.add_task("events", total=None)
            found = verify.verify_events(engine, anchors, lambda events: progress.advance(task, events))
        if not found.problems:
            verify.note_anchor(settings.data_dir, key, found.position, found.chain, time.time())
    finally:
        engine.dispose()
    for problem in found.problems:
        console.print(problem, highlight=False, markup=False)
    if found.problems:
        return fail(f"{len(found.problems)} problems in {found.events:,} events: the records were tampered with")
    forgotten = f", of {found.forgotten:,} the content is past its retention" if found.forgotten else ""
    tell(f"{found.events:,} events as they were sealed{forgotten}; {len(anchors)} notes of the chain agree")
    tell(f"the chain ends with event {found.position}: {found.chain.hex()}")
    tell(f"documents of this installation are signed with {key.public}")
    return 0


def verify_records(options: argparse.Namespace) -> int:
    """Find any change, deletion, insertion or reorder of the records, from decisions to consents."""
    settings = read_settings(options.config)
    engine = open_records(settings)
    try:
        key = SigningKey.open(settings.data_dir)
        with progress_bar() as progress:
            task = progress.add_task("rows", total=None)
            found, events = verify_everything(
                engine, settings.data_dir, options.manifest, lambda rows: progress.advance(task, rows)
            )
        now = time.time()
        if not found.problems:
            verify.note_anchor(
                settings.data_dir, key, found.position, bytes.fromhex(found.chain), now, verify.SEAL_ANCHORS
            )
        if not events.problems:
            verify.note_anchor(settings.data_dir, key, events.position, events.chain, now)
    finally:
        engine.dispose()
    problems = problems_of(found, events)
    for problem in problems:
        console.print(problem, highlight=False, markup=False)
    if problems:
        return fail(f"{found.total_problems + len(events.problems):,} problems: the records were tampered with")
    for table, count in [*sorted(found.rows.items()), ("consent_events", events.events)]:
        more = f", {found.waiting[table]:,} too young to be sealed" if found.waiting[table] else ""
        more += f", {found.as_found[table]:,} sealed as they were found" if found.as_found[table] else ""
        tell(f"{table}: {count:,} rows as they were sealed{more}")
    for (table, date), count in sorted(found.removed.items()):
        tell(f"{table}: {count:,} rows removed by smsc-filter on {date} (UTC)")
    tell(f"the chain of seals ends with {found.position}: {found.chain}")
    tell(f"documents of this installation are signed with {key.public}")
    return 0


def problems_of(found: SealsFound, events: verify.Verification) -> list[str]:
    """What verifying found, a sentence each."""
    return [*found.problems, *(f"consent_events: {problem}" for problem in events.problems)]


def verify_everything(
    engine: Engine, folder: Path, manifests: Sequence[Path] = (), advance: Callable[[int], object] = lambda rows: None
) -> tuple[SealsFound, verify.Verification]:
    """Compare all that is sealed, consents too, with its seals and with the anchors in ``folder``.

    Raises:
        RecordsError: an anchor or manifest cannot be read, or was changed.
        SqlUnavailable: the database does not answer.
    """
    anchors = list(verify.read_anchors(folder))
    sealed = list(verify.read_anchors(folder, verify.SEAL_ANCHORS))
    for path in manifests:
        try:
            octets = path.read_bytes()
        except OSError as error:
            raise RecordsError(f"{path}: {error.strerror}") from error
        anchors.append(verify.anchor_of(octets, str(path)))
        if (noted := verify.seal_anchor_of(octets)) is not None:
            sealed.append(noted)
    return verify_seals(engine, sealed, advance), verify.verify_events(engine, anchors, advance)


def _check_receipt(options: argparse.Namespace) -> int:
    path: Path = options.receipt
    try:
        octets = path.read_bytes()
    except OSError as error:
        return fail(f"{path}: {error.strerror}")
    engine = None if options.offline else open_records(read_settings(options.config))
    try:
        receipt = verify.check_receipt(octets, engine, options.key)
    except RecordsError as error:
        return fail(f"{path}: {error}")
    finally:
        if engine is not None:
            engine.dispose()
    number, recipient, owner, topic, state, event_at_ms, *_ = receipt["event"]
    about = f", topic {topic}," if topic else ""
    tell(f"{path}: event {number}: {recipient} {state} {owner}{about} at {day(event_at_ms / 1000)}")
    tell("  its content is what was sealed, signed with " + receipt["key"])
    tell("  not compared with the records" if engine is None else "  the records hold it in this place")
    return 0


def purge(options: argparse.Namespace) -> int:
    """Take from the records what the profile does not keep any longer."""
    settings = read_settings(options.config)
    zone = zone_of(settings)
    now = time.time() if options.now is None else _moment(options.now, zone)
    months = read_profile(settings.policy.profile).retention
    rules = retention.Retention(
        months.records_months.value, months.proof_months.value, months.subscription_months_after_end.value, zone
    )
    engine = open_records(settings)
    try:
        with progress_bar() as progress:
            task = progress.add_task("rows", total=None)
            gone = retention.purge(
                engine,
                rules,
                now=now,
                reply_seconds=reply_seconds(settings),
                evidence_folder=evidence_folder(settings),
                dry_run=options.dry_run,
                advance=lambda rows: progress.advance(task, rows),
            )
        if not options.dry_run:
            with store(settings) as client:
                make_projector(settings, engine, client).apply()
                _leave_nothing(engine, client)
    finally:
        engine.dispose()
    tell(f"{'would go' if options.dry_run else 'gone'} by {settings.policy.profile} as of {day(now)}:")
    tell(f"  {gone.decisions:,} decisions with {gone.outcomes:,} answers, {gone.rejects:,} entries set aside")
    tell(f"  {gone.events:,} consent events, the proof of {gone.proofs:,} more, {gone.files:,} files of evidence")
    tell(f"  {gone.appeals:,} appeals and {gone.complaints:,} complaints that were closed")
    tell(f"  {gone.held:,} stay although due, by a hold of an appeal or a complaint")
    return 0


def erase(options: argparse.Namespace) -> int:
    """Erase what is kept of a subscriber, but for what the law keeps, and say what that is and why."""
    settings = read_settings(options.config)
    number = settings.numbers.msisdn(options.number)
    profile = read_profile(settings.policy.profile)
    months, zone = profile.retention, zone_of(settings)
    engine = open_records(settings)
    try:
        done = erasure.erase(
            engine,
            retention.Retention(
                months.records_months.value, months.proof_months.value, months.subscription_months_after_end.value, zone
            ),
            number,
            Actor(getpass.getuser()),
            article=months.records_months.article,
            keep_texts_of_people=months.texts_of_people,
            now=time.time(),
            reply_seconds=reply_seconds(settings),
            dry_run=options.dry_run,
        )
        if not options.dry_run:
            with store(settings) as client:
                make_projector(settings, engine, client).apply()
                with progress_bar() as progress:
                    task = progress.add_task("keys of the store", total=None)
                    done.gone["keys of the store"] = erase_number(
                        client, number, settings.state.partitions, lambda seen: progress.advance(task, seen)
                    )
                _leave_nothing(engine, client)
    finally:
        engine.dispose()
    tell(f"{'would go' if options.dry_run else 'gone'}, of {number}:")
    for what, count in done.gone.items():
        tell(f"  {count:>7,} {what}")
    tell("kept:" if done.kept else "nothing is kept")
    for each in done.kept:
        until = f" until {datetime.fromtimestamp(each.until_ms / 1000, zone):%Y-%m-%d}" if each.until_ms else ""
        tell(f"  {each.count:>7,} {each.what}{until}: {each.why}")
    tell("quotas and locks of this number end by themselves within 7 days; other people's contacts forget it when")
    tell("they have not written to each other for as long as the profile counts a contact")
    return 0


def _leave_nothing(engine: Engine, client: redis.Redis) -> None:
    """See that what was deleted is left in no file."""
    forget_deleted(engine)
    try:
        rewrite_append_only_file(client)
    except RewriteError as error:
        raise RecordsError(f"deleted, but {error}; it is tried again within a day") from error


def zone_of(settings: Settings) -> ZoneInfo:
    """In which days of the profile begin: the zone of numbers of no other prefix."""
    return ZoneInfo(read_profile(settings.policy.profile).zones[""][0])


def _moment(text: str, zone: ZoneInfo) -> float:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise RecordsError(f"{text!r} is no date or time; write 2026-07-01 or 2026-07-01T12:00") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC).timestamp()


def first_moment(text: str, zone: ZoneInfo, *, after: bool = False) -> float:
    """The moment a text names; ``after`` the end of it, where it names a day."""
    moment = _moment(text, zone)
    if after and len(text) <= len("2026-07-01"):
        return (datetime.fromtimestamp(moment, zone) + timedelta(days=1)).timestamp()
    return moment


def add_unverified(one: argparse.ArgumentParser) -> None:
    """``--unverified``."""
    one.add_argument("--unverified", action="store_true", help="export also what does not verify; the manifest says so")


def add_verbs(verbs: Verbs) -> None:
    """``export``, ``verify``, ``purge``, ``erase``."""
    example = "smsc-filter export --owner shop-ltd --from 2026-01-01 --to 2026-01-31 --out shop-january"
    one = verbs.verb("export", export_owner, example=example)
    one.add_argument("--owner", help="whose records")
    one.add_argument("--from", dest="begin", metavar="DATE", help="first day, in the profile's zone, or a time")
    one.add_argument("--to", dest="end", metavar="DATE", help="last day, or the first moment left out")
    one.add_argument("--out", type=Path, metavar="DIR", help="a new folder")
    one.add_argument("--verify", type=Path, metavar="DIR", help="check a folder that was exported instead")
    add_unverified(one)
    one.add_argument("--key", help="with --verify: the public key it must be signed with")
    one = verbs.verb("verify", verify_records, example="smsc-filter verify --config smsc-filter.toml")
    one.add_argument(
        "--manifest", type=Path, metavar="FILE", action="append", default=[],
        help="a manifest handed out before, which the chains must agree with; may be repeated",
    )  # fmt: skip
    one = verbs.verb("purge", purge, example="smsc-filter purge --dry-run --config smsc-filter.toml")
    one.add_argument("--now", metavar="TIME", help="as if it were that time; a day begins in the profile's zone")
    one.add_argument("--dry-run", action="store_true", help="count only")
    one = verbs.verb("erase", erase, example="smsc-filter erase 13800000001 --dry-run --config smsc-filter.toml")
    one.add_argument("number", metavar="NUMBER", help="of the subscriber")
    one.add_argument("--dry-run", action="store_true", help="say what would go and what would stay")


def add_consent_verbs(consent: Verbs) -> None:
    """``consent export``, ``consent verify``."""
    one = consent.verb("export", export_consents, example="smsc-filter consent export --owner shop-ltd --out consents")
    one.add_argument("--owner", help="whose; everybody's where not given")
    one.add_argument("--out", type=Path, metavar="DIR", required=True, help="a new folder")
    add_unverified(one)
    one = consent.verb("verify", verify_consents, example="smsc-filter consent verify --config smsc-filter.toml")
    one.add_argument("--receipt", type=Path, metavar="FILE", help="check this receipt instead of all events")
    one.add_argument("--offline", action="store_true", help="with --receipt: by itself, without the records")
    one.add_argument("--key", help="with --receipt: the public key it must be signed with")
    one.add_argument(
        "--manifest", type=Path, metavar="FILE", action="append", default=[],
        help="a manifest or receipt handed out before, which the chain must agree with; may be repeated",
    )  # fmt: skip
