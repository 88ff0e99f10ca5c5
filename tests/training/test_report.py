"""A report: the same figures as numbers and as a page that needs nothing else."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from smsc_filter.classifier.manifest import read_manifest
from smsc_filter.samples import load_samples
from tests.classifier.models import DEFAULT, variant
from training.__main__ import main
from training.report import GRID, PAGE, POINTS, REPORT


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the default model, without what it kept, on our own samples and more, so that every curve is drawn."""
    folder = tmp_path_factory.mktemp("report")
    with (folder / "toy.jsonl").open("w", encoding="utf-8") as file:
        for n, sample in enumerate(load_samples() * 4):
            text = f"{sample.text}{chr(0x4E00 + 11 * n)}{chr(0x5000 + 7 * n)}{chr(0x6000 + 3 * n)}"
            said = {"text": text, "label": sample.label, "category": sample.category, "lang": sample.lang}
            file.write(json.dumps(said) + "\n")
    where = ("--model", str(variant(folder / "model")), "--data", str(folder), "--out", str(folder / "out"))
    assert main(["report", *where]) == 0
    return folder / "out"


def test_every_curve_is_a_list_of_shares(report: Path) -> None:
    said = json.loads((report / REPORT).read_text(encoding="utf-8"))
    assert said["model"] == read_manifest(DEFAULT).model_id
    assert not said["unseen"]
    assert set(said["precision_recall"]) == {"own", "toy"}
    curve = said["precision_recall"]["own"]
    assert len(curve["precision"]) == len(curve["recall"]) <= POINTS
    assert "all sources" in said["calibration"]
    by_threshold = said["by_threshold"]
    assert {"greeting", "personal"} <= set(by_threshold["false_blocks"])
    for shares in (*by_threshold["recall"].values(), *by_threshold["false_blocks"].values()):
        assert len(shares) == len(GRID)
        assert shares == sorted(shares, reverse=True)
        assert 0 <= shares[-1] <= shares[0] <= 1


def test_the_page_needs_nothing_else_and_holds_no_text(report: Path) -> None:
    page = (report / PAGE).read_text(encoding="utf-8")
    assert page.count("<svg") == page.count("</svg>") == 4
    for drawing in re.findall(r"<svg.*?</svg>", page, re.DOTALL):
        ElementTree.fromstring(drawing)
    assert "<script" not in page
    assert not re.search(r"""(?:src|href)=["'](?!#)""", page.replace("xlink:href", "href"))
    assert "the figures flatter" in page
    assert not [sample.text for sample in load_samples() if len(sample.text) > 8 and sample.text in page]


def test_the_names_within_drawings_do_not_clash(report: Path) -> None:
    page = (report / PAGE).read_text(encoding="utf-8")
    defined = [
        set(re.findall(r'<(?:clipPath|path) id="(\w+)"', d)) for d in re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    ]
    assert sum(map(len, defined)) == len(set.union(*defined))
