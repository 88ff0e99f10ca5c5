from collections import Counter

from training.wishes import PAIRS, WISHES, wishes


def test_there_are_hundreds_of_both_sides_in_both_languages() -> None:
    found = Counter((wish.lang, wish.category) for wish in wishes())
    assert set(found) == {(lang, category) for lang in ("zh", "en") for category in ("greeting", "commercial")}
    assert min(found.values()) >= 60
    assert sum(found.values()) >= 400
    assert {wish.source for wish in wishes()} == {WISHES}


def test_every_sentence_has_a_place_for_its_occasion() -> None:
    for sentences in PAIRS:
        assert all("{}" in sentence for sentence in sentences.said)
