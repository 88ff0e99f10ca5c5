"""Disguised forms of the texts that are learnt from.

What ``normalise`` cannot undo is learnt from them, and what a trace of hiding weighs.

Texts of both labels are disguised, so that a disguise by itself speaks for little, and hiding an advertisement gains
nothing. Padding is what no folding undoes: half of it are sentences of the palette, half texts of other people.
"""

import hashlib
import random
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from smsc_filter.samples import Sample
from training.disguise import TRAINING, disguise, disguises_of

SHARE: Final = 0.3
"""Share of the texts that are learnt from in a disguise too."""

WEIGHT: Final = {"commercial": 0.5, "other": 2.0}
"""What a disguised form counts, by label, beside the text as it was read: to refuse people in disguise is the worse."""

WEIGHT_ENGLISH: Final = {"commercial": 1.0, "other": 2.0}
"""The same of texts that are not Chinese: few of them advertise, and padding would hide those."""

PADDED: Final = 0.5
"""Share of the disguised forms that are padded."""

_UNDONE: Final = ("full-width", "traditional", "padding")
"""Nothing to learn: folding leaves no difference; or drawn by itself."""

_LONGEST: Final = 100
"""Characters of a text that pads another."""


def disguised_forms(learn: Sequence[Sample], seed: int) -> Iterator[tuple[int, Sample]]:
    """The disguised forms, each with the place of its text in ``learn``; the same for the same seed."""
    chatter = _chatter(learn)
    for place, sample in enumerate(learn):
        chance = random.Random(f"{seed} {sample.text}")
        if chance.random() >= SHARE:
            continue
        if chance.random() >= PADDED:
            name = chance.choice([name for name in disguises_of(sample) if name not in _UNDONE])
            form = disguise(sample, name, TRAINING, seed)
        elif chance.random() < 0.5:
            form = disguise(sample, "padding", TRAINING, seed)
        else:
            form = sample._replace(text=_padded(sample, chance, chatter))
        if form.text != sample.text:
            yield place, form


def weight_of(form: Sample) -> float:
    """What a disguised form counts beside its text."""
    return (WEIGHT if form.lang == "zh" else WEIGHT_ENGLISH)[form.label]


def _chatter(learn: Sequence[Sample]) -> Mapping[str, list[str]]:
    """By language, the texts that pad others: what people write, and few of the sentences from the news."""
    found = defaultdict(list)
    for sample in learn:
        if sample.label == "other" and sample.category in ("personal", "greeting", "unknown"):
            news = sample.source == "zh800k" and hashlib.sha256(sample.text.encode()).digest()[0] % 4
            if not news and len(sample.text) <= _LONGEST:
                found[sample.lang].append(sample.text)
    return found


def _padded(sample: Sample, chance: random.Random, chatter: Mapping[str, list[str]]) -> str:
    texts = chatter.get(sample.lang, ())
    if not texts:
        return sample.text
    wanted = len(sample.text) * chance.uniform(0.3, 1.0)
    # The corpora of Chinese texts hold single sentences, and people write several: a comma must not tell the two apart.
    part = "，" if sample.lang == "zh" else " "
    before, after = "", ""
    while len(before) + len(after) < wanted:
        text = chance.choice(texts)
        if chance.random() < 0.5:
            before = f"{text}{part}{before}"
        else:
            after = f"{after}{part}{text}"
    return f"{before}{sample.text}{after}"
