from pathlib import Path

import pytest

from smsc_filter.classifier.scorer import Scorer
from smsc_filter.samples import load_samples
from training.disguise import DISGUISES
from training.robustness import Disguised, disguised, rows

DEFAULT = Path(__file__).parents[2] / "models" / "default"


@pytest.fixture(scope="module")
def measured() -> list[Disguised]:
    return disguised(Scorer.load(DEFAULT), load_samples())


def test_every_disguise_is_measured_on_both_labels(measured: list[Disguised]) -> None:
    assert [(found.lang, found.name) for found in measured] == [
        (lang, n) for lang in DISGUISES for n in DISGUISES[lang]
    ]
    assert all(found.commercial >= 50 and found.other >= 50 for found in measured)
    assert len(rows(measured)) == len(measured) + 1


def test_a_language_without_texts_is_none_measured_wrongly() -> None:
    only_zh = [sample for sample in load_samples() if sample.lang == "zh"]
    assert {found.commercial for found in disguised(Scorer.load(DEFAULT), only_zh) if found.lang == "en"} == {0}
