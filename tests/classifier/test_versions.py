"""What a served folder keeps, and how it goes back."""

from __future__ import annotations

from pathlib import Path

import pytest

from smsc_filter.classifier.manifest import MANIFEST, ModelError, read_manifest
from smsc_filter.classifier.scorer import Scorer
from smsc_filter.classifier.versions import (
    EARLIER,
    KEPT,
    ServedModel,
    earlier_models,
    find_model,
    replace_model,
    roll_back,
)
from tests.classifier.models import variant


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three models that differ."""
    folder = tmp_path_factory.mktemp("models")
    return [variant(folder / str(n), bias=n, version=n) for n in (1, 2, 3)]


@pytest.fixture
def served(models: list[Path], tmp_path: Path) -> Path:
    """A folder that has served all three, one after the other."""
    folder = tmp_path / "served"
    for now, model in enumerate(models):
        replace_model(folder, model, "promotion", now)
    return folder


def version(folder: Path) -> int:
    return Scorer.load(folder).manifest.version


def test_what_was_served_is_kept_the_last_one_first(served: Path) -> None:
    assert version(served) == 3
    kept = earlier_models(served)
    assert [model.manifest.version for model in kept] == [2, 1]
    assert [model.how for model in kept] == ["promotion", "promotion"]
    assert kept[0].replaced_by == read_manifest(served).model_id
    assert kept[0].replaced_at == "1970-01-01T00:00:02+00:00"


def test_each_rollback_goes_one_step_further_and_never_to_what_it_left(served: Path) -> None:
    assert roll_back(served, 10).version == version(served) == 2
    assert roll_back(served, 11).version == version(served) == 1
    with pytest.raises(ModelError, match="no model to go back to"):
        roll_back(served, 12)
    assert version(served) == 1
    assert sorted(model.manifest.version for model in earlier_models(served)) == [2, 3]


def test_a_model_that_was_left_can_be_named(served: Path, models: list[Path]) -> None:
    left = read_manifest(models[2]).model_id
    roll_back(served, 10)
    assert roll_back(served, 11, left).version == version(served) == 3
    with pytest.raises(ModelError, match="no default-9@00000000"):
        roll_back(served, 12, "default-9@00000000")


def test_a_damaged_earlier_model_is_not_gone_back_to(served: Path) -> None:
    kept = earlier_models(served)[0]
    (kept.folder / kept.manifest.weights).write_bytes(b"")
    with pytest.raises(ModelError, match="SHA-256 differs"):
        roll_back(served, 10)
    assert version(served) == 3


def test_a_broken_model_is_gone_back_from(served: Path) -> None:
    (served / read_manifest(served).weights).unlink()
    assert roll_back(served, 10).version == version(served) == 2


def test_a_model_that_cannot_be_loaded_does_not_replace_one(served: Path, models: list[Path], tmp_path: Path) -> None:
    bad = variant(tmp_path / "bad", of=models[0], feature_version=99)
    with pytest.raises(ModelError, match="train it again"):
        replace_model(served, bad, "promotion", 10)
    assert version(served) == 3
    assert len(earlier_models(served)) == 2


def test_only_so_many_are_kept_and_the_oldest_can_still_be_gone_back_to(served: Path, models: list[Path]) -> None:
    for now in range(3, KEPT + 4):
        replace_model(served, models[now % 2], "promotion", now)
    assert len(list((served / EARLIER).iterdir())) == KEPT
    oldest = earlier_models(served)[-1]
    assert roll_back(served, 99, oldest.manifest.model_id).model_id == oldest.manifest.model_id
    assert version(served) == oldest.manifest.version


def test_a_model_is_found_by_its_id_wherever_it_lies(served: Path, models: list[Path]) -> None:
    assert find_model(served, read_manifest(models[2]).model_id) == served
    assert find_model(served, read_manifest(models[0]).model_id) == earlier_models(served)[1].folder
    assert find_model(served, "default-9@00000000") is None


def test_a_change_is_noticed_once(served: Path, models: list[Path]) -> None:
    model = ServedModel(served)
    assert not model.changed()
    replace_model(served, models[0], "promotion", 10)
    assert model.changed()
    assert not model.changed()
    assert model.load().manifest.version == 1
    assert model.scorer.manifest.version == 3


def test_a_link_that_points_elsewhere_is_a_change(models: list[Path], tmp_path: Path) -> None:
    link = tmp_path / "default"
    link.symlink_to(models[0])
    model = ServedModel(link)
    new = tmp_path / "new"
    new.symlink_to(models[1])
    new.replace(link)
    assert model.changed()
    assert model.load().manifest.version == 2


def test_a_folder_that_vanishes_is_a_change_that_cannot_be_loaded(served: Path) -> None:
    model = ServedModel(served)
    (served / MANIFEST).unlink()
    assert model.changed()
    with pytest.raises(ModelError, match="cannot be read"):
        model.load()
