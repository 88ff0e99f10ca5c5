import gzip
import json
import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsc_filter.samples import LABELS, Sample, SampleError, load_samples, read_texts

CATEGORIES = {"verification", "service", "commercial", "fraud", "personal", "greeting"}

GOOD = {"text": "今晚见", "label": "other", "category": "personal", "lang": "zh"}


# Our own texts ------------------------------------------------------------------------------------


def test_our_texts_cover_every_category_in_both_languages() -> None:
    found = Counter((sample.lang, sample.category) for sample in load_samples())
    assert set(found) == {(lang, category) for lang in ("zh", "en") for category in CATEGORIES}
    assert min(found.values()) >= 15
    assert sum(found.values()) >= 360


def test_a_label_follows_from_its_category() -> None:
    for sample in load_samples():
        assert sample.label == ("commercial" if sample.category in ("commercial", "fraud") else "other")


def test_no_text_occurs_twice() -> None:
    assert not [text for text, n in Counter(sample.text for sample in load_samples()).items() if n > 1]


def test_links_are_reserved_names() -> None:
    hosts = {host for s in load_samples() for host in re.findall(r"[a-z0-9-]+\.(?:com|cn|net|org)\b", s.text)}
    assert hosts == {"example.com"}


def test_phone_numbers_are_invented() -> None:
    numbers = {n for s in load_samples() for n in re.findall(r"\d[\d-]{9,}\d", s.text)}
    assert all(n.replace("-", "").endswith("000000") for n in numbers)


def test_the_hard_pairs_are_there() -> None:
    samples = load_samples()
    wishes = [s for s in samples if re.search(r"快乐|happy", s.text, re.IGNORECASE)]
    assert {s.category for s in wishes} >= {"greeting", "commercial", "fraud"}
    assert sum("拒收请回复" in s.text for s in samples) >= 10
    assert sum("STOP" in s.text for s in samples) >= 10
    assert sum(len(s.text) > (201 if s.lang == "zh" else 459) for s in samples) >= 10


# The reader ---------------------------------------------------------------------------------------


def test_a_source_is_kept_and_empty_lines_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "texts.jsonl"
    path.write_text(f"\n{json.dumps(GOOD | {'source': 'here'})}\n  \n", encoding="utf-8")
    assert read_texts(path) == [Sample("今晚见", "other", "personal", "zh", "here")]


@given(st.lists(st.tuples(st.text(), st.sampled_from(LABELS)), max_size=5))
def test_texts_come_back_from_plain_and_compressed_files(
    tmp_path_factory: pytest.TempPathFactory, texts: list[tuple[str, str]]
) -> None:
    folder = tmp_path_factory.mktemp("texts")
    lines = "".join(json.dumps(GOOD | {"text": text, "label": label}) + "\n" for text, label in texts)
    (folder / "a.jsonl").write_text(lines, encoding="utf-8")
    (folder / "a.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    expected = [Sample(text, label, "personal", "zh") for text, label in texts]
    assert read_texts(folder / "a.jsonl") == read_texts(folder / "a.jsonl.gz") == expected


@pytest.mark.parametrize(
    ("line", "says"),
    [
        pytest.param("{", "is not JSON", id="cut-off"),
        pytest.param("[1]", "must be a JSON object", id="a-list"),
        pytest.param(json.dumps({"text": "x"}), "label must be a string", id="no-label"),
        pytest.param(json.dumps(GOOD | {"text": 5}), "text must be a string", id="text-a-number"),
        pytest.param(json.dumps(GOOD | {"label": "spam"}), "label must be commercial or other", id="label"),
        pytest.param(json.dumps(GOOD | {"source": 5}), "source must be a string", id="source-a-number"),
        pytest.param("[" * 100_000, "is not JSON", id="nested-too-deep"),
    ],
)
def test_an_error_names_file_and_line(tmp_path: Path, line: str, says: str) -> None:
    path = tmp_path / "texts.jsonl"
    path.write_text(f"{json.dumps(GOOD)}\n\n{line}\n", encoding="utf-8")
    with pytest.raises(SampleError, match=says) as caught:
        read_texts(path)
    assert str(caught.value).startswith(f"{path}:3: ")


@pytest.mark.parametrize(
    ("name", "octets", "says"),
    [
        pytest.param("a.jsonl", b"\xff", "cannot be read|is not UTF-8", id="not-utf-8"),
        pytest.param("a.jsonl.gz", b"{}", "cannot be read", id="not-compressed"),
        pytest.param("a.jsonl.gz", gzip.compress(b"\n" * 9_000)[:-9], "cannot be read", id="cut-off"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, name: str, octets: bytes, says: str) -> None:
    (tmp_path / name).write_bytes(octets)
    with pytest.raises(SampleError, match=says):
        read_texts(tmp_path / name)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SampleError, match=r"missing\.jsonl: cannot be read"):
        read_texts(tmp_path / "missing.jsonl")
