"""Disguised forms that are learnt from."""

from __future__ import annotations

from collections import Counter

import pytest

from smsc_filter.samples import load_samples
from training.augment import SHARE, disguised_forms

SAMPLES = load_samples()


def test_a_share_of_the_texts_has_one_form_each_and_keeps_its_label() -> None:
    forms = list(disguised_forms(SAMPLES, seed=1))
    assert max(Counter(place for place, _ in forms).values()) == 1
    assert len(forms) / len(SAMPLES) == pytest.approx(SHARE, abs=0.1)
    for place, form in forms:
        assert form.text != SAMPLES[place].text
        assert form == SAMPLES[place]._replace(text=form.text)


def test_both_labels_are_disguised_so_that_hiding_alone_tells_nothing() -> None:
    labels = Counter(form.label for _, form in disguised_forms(SAMPLES, seed=1))
    assert min(labels.values()) > 0.2 * sum(labels.values())


def test_the_same_seed_gives_the_same_forms() -> None:
    assert list(disguised_forms(SAMPLES, seed=2)) == list(disguised_forms(SAMPLES, seed=2))
    assert list(disguised_forms(SAMPLES, seed=2)) != list(disguised_forms(SAMPLES, seed=3))


def test_what_pads_a_text_is_never_commercial() -> None:
    ours = [sample.text for sample in SAMPLES if sample.label == "commercial"]
    for place, form in disguised_forms(SAMPLES, seed=1):
        assert not [text for text in ours if text in form.text and text not in SAMPLES[place].text and len(text) > 12]
