import pytest

from smsc_filter.samples import Sample
from training.disguise import DISGUISES, EVALUATION, TRAINING, Palette, disguise

ZH = Sample("【云杉】满200减50，加微信12345678免费领优惠券，退订回T", "commercial", "commercial", "zh")
EN = Sample("Free entry to win a cash prize, text WIN to 85069 now", "commercial", "commercial", "en")
PLAIN = {"zh": ZH, "en": EN}

EVERY = [pytest.param(lang, name, id=f"{lang}-{name}") for lang, names in DISGUISES.items() for name in names]


@pytest.mark.parametrize(("lang", "name"), EVERY)
@pytest.mark.parametrize("palette", [TRAINING, EVALUATION], ids=["training", "evaluation"])
def test_a_disguise_changes_the_text_and_nothing_else(lang: str, name: str, palette: Palette) -> None:
    plain = PLAIN[lang]
    disguised = disguise(plain, name, palette, seed=1)
    assert disguised.text != plain.text
    assert disguised == plain._replace(text=disguised.text)


@pytest.mark.parametrize(("lang", "name"), EVERY)
def test_the_same_seed_gives_the_same_disguise(lang: str, name: str) -> None:
    assert disguise(PLAIN[lang], name, TRAINING, 1) == disguise(PLAIN[lang], name, TRAINING, 1)


def test_what_is_measured_with_was_not_learnt_from() -> None:
    assert not set(TRAINING.unseen) & set(EVALUATION.unseen)
    assert not set(TRAINING.rare) & set(EVALUATION.rare)
    assert not set(TRAINING.punctuation) & set(EVALUATION.punctuation)
    assert not set(TRAINING.digits) & set(EVALUATION.digits)
    assert not set(TRAINING.lookalikes.values()) & set(EVALUATION.lookalikes.values())
    assert not set(TRAINING.chatter_zh + TRAINING.chatter_en) & set(EVALUATION.chatter_zh + EVALUATION.chatter_en)
    for word, substitutes in TRAINING.substitutes.items():
        assert not set(substitutes) & set(EVALUATION.substitutes[word])
