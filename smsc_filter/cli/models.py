"""Verbs about the classifier: what is served, what was, and going back."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from smsc_filter.classifier.manifest import CARD, PURPOSES, Manifest, read_manifest
from smsc_filter.classifier.versions import earlier_models, find_model, roll_back
from smsc_filter.cli.common import fail, tell
from smsc_filter.cli.verbs import Verbs
from smsc_filter.service.build import model_folder
from smsc_filter.settings import read_settings


def model_list(options: argparse.Namespace) -> int:
    """Show what is served and what was served before."""
    folder = model_folder(read_settings(options.config))
    table = Table("model", "trained", *(f"from ({purpose})" for purpose in PURPOSES), "replaced", "by")
    table.add_row(*_cells(read_manifest(folder)), "serving", "")
    for model in earlier_models(folder):
        table.add_row(*_cells(model.manifest), model.replaced_at, f"{model.how} of {model.replaced_by}")
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


def add_verbs(verbs: Verbs) -> None:
    """``model list``, ``model show``, ``model rollback``."""
    group = verbs.group("model", "The classifier: what is served, what was, and going back.")
    group.verb("list", model_list, example="smsc-filter model list")
    one = group.verb("show", model_show, example="smsc-filter model show default-1@2c9cb504")
    one.add_argument("model", nargs="?", metavar="MODEL_ID", help="as a decision names it (default: what is served)")
    one = group.verb("rollback", model_rollback, example="smsc-filter model rollback --config smsc-filter.toml")
    one.add_argument("model", nargs="?", metavar="MODEL_ID", help="an earlier one (default: the one before)")


def _cells(manifest: Manifest) -> tuple[str, ...]:
    return manifest.model_id, manifest.created, *(f"{manifest.thresholds[purpose]:g}" for purpose in PURPOSES)
