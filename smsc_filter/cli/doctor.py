"""The verb that looks an installation over and mends it."""

from __future__ import annotations

import argparse

from smsc_filter.cli.common import fail, tell
from smsc_filter.cli.verbs import Verbs
from smsc_filter.service.doctor import BAD, Doctor, Finding
from smsc_filter.settings import read_settings


def run(options: argparse.Namespace) -> int:
    """Say what is wrong with an installation and what to do; mend what can be mended."""
    doctor = Doctor(read_settings(options.config))
    findings = _show(doctor)
    if options.mend:
        try:
            for finding, sentence in doctor.mend(findings):
                tell(f"mend  {finding.subject:<17} {sentence}")
        except OSError as error:
            return fail(f"not mended: {error}")
        if any(finding.mend for finding in findings):
            findings = _show(doctor)
    return int(any(finding.status == BAD for finding in findings))


def _show(doctor: Doctor) -> list[Finding]:
    findings = []
    for finding in doctor.examine():
        tell(f"{finding.status:<5} {finding.subject:<17} {finding.sentence}")
        findings.append(finding)
    return findings


def add_verbs(verbs: Verbs) -> None:
    """``doctor``."""
    one = verbs.verb("doctor", run, example="smsc-filter doctor --config smsc-filter.toml --mend")
    one.add_argument(
        "--mend", action="store_true", help="mend what can be; originals are moved to data_dir/damaged-TIME"
    )
