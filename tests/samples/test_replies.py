"""The table of labelled replies."""

from __future__ import annotations

from collections import Counter

import pytest

from smsc_filter.samples.replies import MEANINGS, load_replies

REPLIES = load_replies()


def test_no_reply_stands_there_twice() -> None:
    assert [text for text, times in Counter(reply.text for reply in REPLIES).items() if times > 1] == []


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_every_meaning_has_replies_to_build_with_and_to_measure_with(lang: str) -> None:
    found = Counter((reply.label, reply.held_out) for reply in REPLIES if reply.lang == lang)
    assert set(found) == {(label, held_out) for label in MEANINGS for held_out in (False, True)}
    assert min(found.values()) >= 10
    for held_out in (False, True):
        assert sum(times for (_, held), times in found.items() if held is held_out) >= 300


def test_other_languages_have_every_meaning() -> None:
    found = {(reply.lang, reply.label) for reply in REPLIES}
    assert found == {
        (lang, label) for lang in ("zh", "en", *["es", "fr", "pt", "de", "tr", "id", "ja", "ko"]) for label in MEANINGS
    }
