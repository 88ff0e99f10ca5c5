import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsc_filter.samples import Sample, SampleError, load_samples
from training.prepare import (
    DEV_SHARE,
    OWN,
    forms,
    group_near_duplicates,
    kind_of,
    read_corpus,
    restore,
    sign,
    split,
)

SHARED = Path(__file__).parents[3] / "shared" / "data"


def write_texts(path: Path, texts: list[str], label: str = "other") -> None:
    lines = (json.dumps({"text": text, "label": label, "category": "personal", "lang": "zh"}) for text in texts)
    path.write_text("\n".join(lines), encoding="utf-8")


# Groups -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "second", "together"),
    [
        pytest.param("您的包裹已到南门驿站，取件码 1234", "您的包裹已到南门驿站，取件码 98", True, id="digits"),
        pytest.param("Sale ends tonight example!", "SALE ENDS TONIGHT, example", True, id="case-and-marks"),
        pytest.param(
            "满二百减五十，全场女装五折起，会员双倍积分，仅限本周末两天",
            "满二百减五十，全场女装五折起，会员双倍积分，仅限本周末三天",
            True,
            id="one-character",
        ),
        pytest.param("看 http://example.com/a1 吧朋友", "看 http://example.com/zz 吧朋友", True, id="link"),
        pytest.param("明天去爬山吗，带上水和面包", "晚上回来吃饭吗，妈炖了排骨", False, id="different"),
        pytest.param("好", "行", False, id="short"),
        pytest.param("", "好", False, id="empty"),
    ],
)
def test_near_duplicates_share_a_group(first: str, second: str, together: bool) -> None:
    groups = group_near_duplicates([first, "something in between", second])
    assert bool(groups[0] == groups[2]) is together
    assert groups[1] == 1


@given(st.lists(st.text(max_size=30), min_size=1, max_size=12))
def test_a_group_is_named_by_its_first_text(texts: list[str]) -> None:
    groups = group_near_duplicates(texts)
    assert (groups <= np.arange(len(texts))).all()
    assert (groups[groups] == groups).all()
    for text in texts:
        assert len({int(groups[place]) for place, other in enumerate(texts) if other == text}) == 1


# Split --------------------------------------------------------------------------------------------


def test_a_group_is_never_split_and_each_label_has_its_share() -> None:
    texts = [f"{chr(0x4E00 + n)}{chr(0x5E00 + n)}{chr(0x6E00 + n)}之类的话" for n in range(400)]
    samples = [Sample(text, ("other", "commercial")[n % 4 == 0], "unknown", "zh", "a") for n, text in enumerate(texts)]
    groups = np.arange(400) // 2 * 2
    held_out = split(samples, groups)
    assert (held_out[0::2] == held_out[1::2]).all()
    for label in ("other", "commercial"):
        here = [out for out, sample in zip(held_out, samples, strict=True) if sample.label == label]
        assert np.mean(here) == pytest.approx(DEV_SHARE, abs=0.02)


def test_the_split_depends_on_the_texts_alone() -> None:
    samples = load_samples()
    groups = group_near_duplicates([sample.text for sample in samples])
    assert (split(samples, groups) == split(list(samples), groups.copy())).all()


# Corpus -------------------------------------------------------------------------------------------


def test_a_corpus_names_its_sources_and_its_state(tmp_path: Path) -> None:
    write_texts(tmp_path / "chat.jsonl", ["今晚见", "到了吗"])
    corpus = read_corpus(tmp_path)
    assert corpus.sources == {OWN: len(load_samples()), "chat": 2}
    assert len(corpus.part(held_out=True)) + len(corpus.part(held_out=False)) == len(corpus.samples)
    write_texts(tmp_path / "chat.jsonl", ["今晚见", "到了吧"])
    assert read_corpus(tmp_path).fingerprint != corpus.fingerprint


def test_a_folder_without_texts_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="holds no"):
        read_corpus(tmp_path)


def test_a_wrong_line_is_named(tmp_path: Path) -> None:
    (tmp_path / "bad.jsonl").write_text("{}", encoding="utf-8")
    with pytest.raises(SampleError, match=r"bad\.jsonl:1"):
        read_corpus(tmp_path)


# Labels -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "label", "category", "source", "kind"),
    [
        pytest.param("x", "commercial", "spam-fraud", "a", "fraud", id="fraud-by-its-old-name"),
        pytest.param("x", "other", "greeting", "a", "greeting", id="greeting"),
        pytest.param("余额 20 元", "other", "transactional", "a", "service", id="notice"),
        pytest.param("OTP is 443210", "other", "transactional", "a", "verification", id="code-in-a-notice"),
        pytest.param("验证码 4432，请勿泄露", "other", "unknown", "a", "verification", id="code"),
        pytest.param("【店】五折", "commercial", "unknown", "a", "commercial", id="advertisement"),
        pytest.param("【店】已发货", "other", "unknown", "mudou", "service", id="signed-notice"),
        pytest.param("好啊", "other", "unknown", "mudou", None, id="unsigned"),
        pytest.param("ok la", "other", "unknown", "uci", "personal", id="chat"),
        pytest.param("记者从会上获悉", "other", "unknown", "zh800k", None, id="news"),
    ],
)
def test_kind_of(text: str, label: str, category: str, source: str, kind: str | None) -> None:
    assert kind_of(Sample(text, label, category, "zh", source)) == kind


@pytest.mark.parametrize(
    ("text", "source", "restored"),
    [
        pytest.param("满 DIGIT 元", "fbs", "满 20 元", id="digits"),
        pytest.param("详询 HOTLINE", "fbs", "详询 4000000000", id="hotline-is-not-a-line"),
        pytest.param("满xxx减xx元", "zh800k", "满888减88元", id="runs-of-x"),
        pytest.param("买taxi模型", "zh800k", None, id="x-in-a-word"),
        pytest.param("满 DIGIT 元xx", "mudou", None, id="other-sources-are-left-alone"),
    ],
)
def test_restore(text: str, source: str, restored: str | None) -> None:
    sample = restore(Sample(text, "other", "unknown", "zh", source))
    assert (sample and sample.text) == restored


def test_some_texts_are_learnt_signed_as_well() -> None:
    ads = [Sample(f"满xx减x {n}", "commercial", "unknown", "zh", "zh800k") for n in range(200)]
    signed = [sample for ad in ads if (sample := sign(ad))]
    assert 20 < len(signed) < 80
    assert all(sample.text.startswith("【") for sample in signed)
    assert any("退订" in sample.text for sample in signed)
    assert not any("退订" in s.text for ad in ads if (s := sign(ad._replace(label="other"))))
    assert sign(ads[0]._replace(source="uci")) is None


def test_the_first_form_of_a_text_is_the_text() -> None:
    for sample in load_samples():
        assert forms(sample) == [sample]
    masked = Sample("满xxx减xx元", "other", "unknown", "zh", "zh800k")
    assert forms(masked)[:2] == [masked, restore(masked)]


@pytest.mark.skipif(not SHARED.exists(), reason="the labelled corpora are not beside the repository")
def test_near_duplicates_of_the_corpora_stay_on_one_side() -> None:
    corpus = read_corpus(SHARED)
    for out in (True, False):
        groups = set(corpus.groups[corpus.held_out == out].tolist())
        assert not groups & set(corpus.groups[corpus.held_out != out].tolist())
    assert corpus.held_out.mean() == pytest.approx(DEV_SHARE, abs=0.01)
