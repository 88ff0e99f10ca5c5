"""Verbs about the keys that texts are sealed with at rest."""

from __future__ import annotations

import argparse
from pathlib import Path

from smsc_filter.cli.common import fail, progress_bar, tell
from smsc_filter.cli.verbs import Verbs
from smsc_filter.records.reseal import reseal
from smsc_filter.records.sealed import text_keys_of
from smsc_filter.records.text_keys import add_key, drop_old_keys
from smsc_filter.service.build_records import open_records
from smsc_filter.settings import Settings, read_settings


def new_file(options: argparse.Namespace) -> int:
    """Make a file of keys for `records.text_keys`."""
    path: Path = options.file
    if path.exists():
        return fail(f"{path} is there already; `text-key rotate` adds a key to the file of the configuration")
    try:
        name = add_key(path)
    except OSError as error:
        return fail(f"{path}: {error.strerror}")
    tell(f"{path}: key {name}. Who loses this file loses the texts: keep a copy, apart from the records.")
    tell(f'[records]\nencrypt_texts = true\ntext_keys = "{path.resolve()}"')
    return 0


def rotate(options: argparse.Namespace) -> int:
    """Add a key, seal every stored text with it, and drop keys that nothing is sealed with."""
    settings = read_settings(options.config)
    path = _file_of(settings)
    if path is None:
        return fail("records.encrypt_texts is off: nothing is sealed, `text-key apply` opens what was")
    try:
        name = add_key(path)
    except OSError as error:
        return fail(f"{path}: {error.strerror}")
    tell(f"{path}: key {name} seals from now on; other machines need this file too")
    _apply(settings)
    gone = drop_old_keys(path)
    tell(f"dropped: {', '.join(gone)}" if gone else "the key before stays for what was on its way")
    return 0


def apply(options: argparse.Namespace) -> int:
    """Bring every stored text to what `records.encrypt_texts` says: sealed with the newest key, or plain."""
    settings = read_settings(options.config)
    if not settings.records.text_keys:
        return fail("records.text_keys is not set: nothing can be sealed or opened")
    _apply(settings)
    return 0


def _apply(settings: Settings) -> None:
    engine = open_records(settings)
    try:
        keys = text_keys_of(engine)
        assert keys is not None
        with progress_bar() as progress:
            task = progress.add_task("texts", total=None)
            changed = reseal(engine, keys, lambda rows: progress.advance(task, rows))
    finally:
        engine.dispose()
    tell(f"{changed:,} texts {'sealed with key ' + keys.names[-1] if keys.sealing else 'opened'}")


def _file_of(settings: Settings) -> Path | None:
    return Path(settings.records.text_keys) if settings.records.encrypt_texts else None


def add_verbs(verbs: Verbs) -> None:
    """``text-key new``, ``rotate``, ``apply``."""
    group = verbs.group("text-key", "Keys that texts of messages are sealed with at rest.")
    one = group.verb("new", new_file, config=False, example="smsc-filter text-key new /etc/smsc-filter/text.keys")
    one.add_argument("file", type=Path, metavar="FILE")
    group.verb("rotate", rotate, example="smsc-filter text-key rotate --config smsc-filter.toml")
    group.verb("apply", apply, example="smsc-filter text-key apply --config smsc-filter.toml")
