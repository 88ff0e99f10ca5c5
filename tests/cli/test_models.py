"""What was decided of a text becomes a label and a case."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from smsc_filter.classifier.manifest import read_manifest
from smsc_filter.cli import main
from smsc_filter.policy.record import id_to_text, rows_from_entry
from smsc_filter.records.database import open_database, writing
from smsc_filter.records.tables import decisions
from smsc_filter.samples.labels import read_cases, read_labels
from tests.classifier.models import DEFAULT
from tests.records.helpers import batch

WISH, PART = 987_654_321_987_654, 987_654_321_987_655


@pytest.fixture
def config(tmp_path: Path) -> str:
    """A configuration with a model of its own and two decisions on record, the second about a part."""
    shutil.copytree(DEFAULT, tmp_path / "models" / "default")
    path = tmp_path / "smsc-filter.toml"
    path.write_text(f'data_dir = "{tmp_path}"\n[model]\npath = "{tmp_path}/models/default"\n', encoding="utf-8")
    engine = open_database("", tmp_path)
    with writing(engine) as connection:
        for values, part in zip(rows_from_entry(batch(WISH, PART)[b"b"], None), ("", "7:1/2"), strict=True):
            row = dict(zip(decisions.c.keys(), values, strict=False)) | {"part": part}
            connection.execute(decisions.insert().values(row))
    engine.dispose()
    return str(path)


def label(config: str, decision: int, *more: str) -> int:
    return main(["model", "label", id_to_text(decision), *more, "--config", config])


def test_a_granted_appeal_becomes_a_label_and_a_case(config: str, tmp_path: Path) -> None:
    assert label(config, WISH, "other", "--origin", "appeal", "--case") == 0
    (kept,) = read_labels([tmp_path / "labels.jsonl"])
    assert (kept.label, kept.provenance.origin, kept.sample.weight) == ("other", "appeal", 16.0)
    assert kept.provenance.reference == f"decision {id_to_text(WISH)}"
    (case,) = read_cases(tmp_path / "models" / "cases")
    assert (case.id, case.expected, case.text) == (id_to_text(WISH), "other", kept.text)


def test_a_case_is_made_once(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert label(config, WISH, "other", "--case") == 0
    assert label(config, WISH, "commercial", "--case") == 1
    assert "there is a case" in capsys.readouterr().err


def test_a_part_is_no_text_to_learn_from(config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert label(config, PART, "other") == 1
    assert "one part of a long message" in capsys.readouterr().err
    assert not (tmp_path / "labels.jsonl").exists()


def test_models_are_listed_and_shown(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    model = read_manifest(DEFAULT).model_id
    assert main(["model", "list", "--config", config]) == 0
    assert model in capsys.readouterr().out
    assert main(["model", "show", model, "--config", config]) == 0
    assert f"# {model}" in capsys.readouterr().out


def test_without_an_earlier_model_there_is_nothing_to_go_back_to(
    config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["model", "rollback", "--config", config]) == 1
    assert "no model to go back to" in capsys.readouterr().err


def test_a_shadow_must_be_set_to_be_shown(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["model", "shadow", "--config", config]) == 1
    assert "[model] shadow" in capsys.readouterr().err
