"""Verbs about the classifier: what is served, what was, and going back."""

from __future__ import annotations

import argparse
import getpass
import time
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Column, Table

from smsc_filter.classifier.drift import DRIFTED, STABLE, says, stability
from smsc_filter.classifier.manifest import CARD, PURPOSES, Manifest, read_manifest
from smsc_filter.classifier.versions import earlier_models, find_model, roll_back
from smsc_filter.cli.common import fail, store, tell
from smsc_filter.cli.messages import read_id
from smsc_filter.cli.verbs import Verbs
from smsc_filter.policy.record import id_to_text
from smsc_filter.records.explain import find_decision
from smsc_filter.samples import LABELS as LABELS_OF
from smsc_filter.samples.labels import WEIGHT_OF_ORIGIN, Case, Label, Provenance, append, read_cases
from smsc_filter.service.build import model_folder, shadow_folder
from smsc_filter.service.build_records import open_records
from smsc_filter.settings import read_settings
from smsc_filter.state.scores import KEPT_DAYS, Spread, day_of, difference_names, read_compared, read_scores

LABELS: Final = "labels.jsonl"
"""In the data folder: what the next training is given with ``--labels``."""

CASES: Final = Path("cases") / "appeals.jsonl"
"""Beside the folder of the model: what ``promote`` asks of every model."""


def model_list(options: argparse.Namespace) -> int:
    """Show what is served and what was served before."""
    folder = model_folder(read_settings(options.config))
    table = Table(Column("model", no_wrap=True), "trained", f"thresholds {' / '.join(PURPOSES)}", "")
    table.add_row(*_cells(read_manifest(folder)), "serving")
    for model in earlier_models(folder):
        table.add_row(*_cells(model.manifest), f"until {model.replaced_at[:10]}: {model.how} of {model.replaced_by}")
    Console().print(table)
    return 0


def model_show(options: argparse.Namespace) -> int:
    """Print the card of the model that is served, or of an earlier one."""
    folder: Path | None = model_folder(read_settings(options.config))
    assert folder is not None
    if options.model is not None and (folder := find_model(folder, options.model)) is None:
        return fail(f"no model {options.model} is served or kept; see smsc-filter model list")
    card = folder / CARD
    tell(card.read_text(encoding="utf-8") if card.exists() else read_manifest(folder).model_id)
    return 0


def model_rollback(options: argparse.Namespace) -> int:
    """Serve again what was served before the last promotion; every worker does within a second."""
    manifest = roll_back(model_folder(read_settings(options.config)), time.time(), options.model)
    tell(f"serving {manifest.model_id}")
    return 0


def model_drift(options: argparse.Namespace) -> int:
    """Show how far the scores of today lie from those of the promotion, and of the days before."""
    settings = read_settings(options.config)
    manifest, now = read_manifest(model_folder(settings)), time.time()
    with store(settings) as client:
        today = read_scores(client, [day_of(now)])
        before = read_scores(client, [day_of(now, day) for day in range(1, options.days + 1)])
    table = Table("sender", "texts today", "since promotion", "", f"since {options.days} days before", "")
    for purpose in PURPOSES:
        spread = Spread(manifest.model_id, purpose)
        live = today.get(spread, [])
        past = before.get(spread, [])
        table.add_row(
            purpose, f"{sum(live):,}", *_index(manifest.reference.get(purpose, ()), live), *_index(past, live)
        )
    console = Console()
    console.print(f"{manifest.model_id}; population stability index: below {STABLE} stable, from {DRIFTED} on drifted")
    console.print(table)
    return 0


def _index(reference: Sequence[int], live: Sequence[int]) -> tuple[str, str]:
    if not sum(reference) or len(reference) != len(live):
        return "-", "no past"
    index = stability(reference, live)
    return f"{index:.3f}", says(index, min(sum(live), sum(reference)))


def model_shadow(options: argparse.Namespace) -> int:
    """Show where the shadow model would have judged otherwise, by kind of sender."""
    settings = read_settings(options.config)
    folder = shadow_folder(settings)
    if folder is None:
        return fail('no shadow model: set [model] shadow = "models/candidate"')
    shadow = read_manifest(folder).model_id
    with store(settings) as client:
        found = read_compared(client, shadow)
    counts: defaultdict[tuple[str, str], dict[str, int]] = defaultdict(dict)
    for about, count in found.items():
        counts[about.model, about.purpose][about.what] = count
    table = Table(Column("judged by", no_wrap=True), "sender", "texts", "newly blocks", "newly passes", "skipped")
    for (model, purpose), by_what in sorted(counts.items()):
        table.add_row(model, purpose, *(f"{by_what.get(what, 0):,}" for what in ("texts", "block", "pass", "skipped")))
    spread = Table("its score less theirs", *PURPOSES)
    for place, name in enumerate(difference_names()):
        by_purpose = (sum(c.get(f"d{place}", 0) for (_, its), c in counts.items() if its == p) for p in PURPOSES)
        spread.add_row(name, *(f"{count:,}" for count in by_purpose))
    console = Console()
    console.print(f"{shadow} beside the models that judged")
    if counts:
        console.print(table)
        console.print(spread)
    else:
        console.print("nothing compared yet")
    return 0


def model_label(options: argparse.Namespace) -> int:
    """Keep what was decided of a text, for the next training and as a case every model must get right."""
    settings = read_settings(options.config)
    try:
        decision_id = read_id(options.decision)
    except ValueError as error:
        return fail(str(error))
    engine = open_records(settings)
    try:
        decision = find_decision(engine, decision_id)
    finally:
        engine.dispose()
    if decision is None or not decision.text:
        return fail(f"no decision {options.decision} on record, or no text of it")
    if decision.part:
        return fail(f"decision {options.decision} is about one part of a long message, which says little by itself")
    provenance = Provenance(
        origin=options.origin,
        reference=f"decision {id_to_text(decision_id)}",
        by=getpass.getuser(),
        at=f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
    )
    labels = settings.data_dir / LABELS
    append(labels, Label(text=decision.text, label=options.label, provenance=provenance))
    tell(f"{labels}: {options.label}")
    if options.case:
        cases = model_folder(settings).parent / CASES
        name = id_to_text(decision_id)
        if any(case.id == name for case in read_cases(cases.parent)):
            return fail(f"{cases.parent}: there is a case {name} already")
        purpose: Any = decision.purpose or "person"
        append(
            cases,
            Case(id=name, text=decision.text, purpose=purpose, expected=options.label, provenance=provenance),
        )
        tell(f"{cases}: case {name}")
    return 0


def add_verbs(verbs: Verbs) -> None:
    """``model list``, ``show``, ``rollback``, ``drift``, ``shadow``, ``label``."""
    group = verbs.group("model", "The classifier: what is served, what was, and going back.")
    one = group.verb("drift", model_drift, example="smsc-filter model drift --days 7")
    one.add_argument("--days", type=int, default=7, choices=range(1, KEPT_DAYS), metavar="N", help="default: 7")
    group.verb("shadow", model_shadow, example="smsc-filter model shadow --config smsc-filter.toml")
    one = group.verb("label", model_label, example="smsc-filter model label 01H4C9M2Q7R3T other --case")
    one.add_argument("decision", metavar="DECISION_ID")
    one.add_argument("label", choices=LABELS_OF, help="what the text is")
    one.add_argument(
        "--origin", choices=tuple(WEIGHT_OF_ORIGIN), default="operator", help="who says so (default: operator)"
    )
    one.add_argument("--case", action="store_true", help="no model that gets it wrong is promoted any more")
    group.verb("list", model_list, example="smsc-filter model list")
    one = group.verb("show", model_show, example="smsc-filter model show default-1@2c9cb504")
    one.add_argument("model", nargs="?", metavar="MODEL_ID", help="as a decision names it (default: what is served)")
    one = group.verb("rollback", model_rollback, example="smsc-filter model rollback --config smsc-filter.toml")
    one.add_argument("model", nargs="?", metavar="MODEL_ID", help="an earlier one (default: the one before)")


def _cells(manifest: Manifest) -> tuple[str, ...]:
    thresholds = " / ".join(f"{manifest.thresholds[purpose]:g}" for purpose in PURPOSES)
    return manifest.model_id, manifest.created[:10], thresholds
