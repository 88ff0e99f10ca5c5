"""Campaigns, as they are found text by text."""

from __future__ import annotations

import pytest

from smsc_filter.watch.clusters import Clusters

CODE = "【银行】验证码 {}，五分钟内有效，请勿告诉他人"


@pytest.mark.parametrize("filling", ["654321", "7", "６５４３２１", "12３４", ""])
def test_another_filling_of_a_template_is_found_without_a_sketch(filling: str) -> None:
    clusters = Clusters()
    clusters.refill(1)
    (first,) = clusters.find([CODE.format("123456")], 1)
    assert first is not None
    assert clusters.find([CODE.format(filling)], 2) == [first]
    assert clusters.skipped == 0


@pytest.mark.parametrize("other", ["１２３４５６ｘ", "呑", "，！～", "\ud83d"])
def test_what_is_no_digit_makes_another_text(other: str) -> None:
    clusters = Clusters()
    clusters.refill(1)
    clusters.find([CODE.format("123456")], 1)
    assert clusters.find([CODE.format(other)], 2) == [None]
    assert clusters.skipped == 1


def test_texts_of_one_batch_share_what_is_left_to_sketch() -> None:
    clusters = Clusters()
    clusters.refill(1)
    found = clusters.find([CODE.format(1), CODE.format(2), CODE.format("呐"), CODE.format("呑")], 1)
    assert found[0] is found[1] is not None
    assert found[2:] == [None, None]
    assert clusters.skipped == 2
