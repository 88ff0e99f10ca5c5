"""Learns the model of replies (``policy.intent``) and measures the reader of replies, by meaning and language.

Learnt from: the half of ``samples/replies.jsonl`` that is not held out, and chats of the corpora in ``--data``, which
are talk. Measured on: the held-out half, and how often chats that were not learnt from are taken for a stop.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from sklearn.feature_extraction import DictVectorizer
from sklearn.linear_model import LogisticRegression

from smsc_filter.policy.intent import BUCKETS, MEANINGS, buckets_of
from smsc_filter.policy.reply import ReplyReader, fold_reply
from smsc_filter.samples import read_texts
from smsc_filter.samples.replies import TALK, ReplySample, load_replies

CHATS: Final = ("nus_en", "nus_zh")
"""Sources in which people write to people."""

MOST_CHATS: Final = 6_000
"""Of each source that are learnt from."""

CHAT_WEIGHT: Final = 0.05
"""How much a chat counts beside a labelled reply: there are many more of them."""

LANGUAGES: Final = ("zh", "en")


class Measured(NamedTuple):
    """How well one meaning is read."""

    precision: float
    recall: float
    there: int
    """How many replies of it there are."""


def train_replies(data: Path, out: Path) -> None:
    """Learn the model and write its weights to ``out``."""
    texts, labels, weights = [], [], []
    for sample in load_replies():
        if not sample.held_out:
            texts.append(sample.text)
            labels.append(sample.label)
            weights.append(1.0)
    for text in chats(data, learnt=True):
        texts.append(text)
        labels.append(TALK)
        weights.append(CHAT_WEIGHT)
    vectorizer = DictVectorizer(dtype=np.float64)
    features = vectorizer.fit_transform(map(_values, texts))
    model = LogisticRegression(C=6.0, max_iter=2_000, tol=1e-6)
    model.fit(features, np.array([MEANINGS.index(label) for label in labels]), sample_weight=np.array(weights))
    coefficients = np.zeros((BUCKETS, len(MEANINGS)))
    coefficients[[int(name) for name in vectorizer.feature_names_]] = model.coef_.T
    scales = np.abs(coefficients).max(axis=0) / 127.0
    quantised = np.rint(coefficients / scales).astype(np.int8)
    np.savez_compressed(out, weights=quantised, scales=scales.round(6), bias=model.intercept_.round(4))
    print(f"{out}: {len(texts)} texts, {out.stat().st_size} octets")


def measure(samples: Iterable[ReplySample], reader: ReplyReader) -> dict[str, Measured]:
    """Precision and recall of each meaning."""
    pairs = [(sample.label, reader.read(sample.text).kind) for sample in samples]
    measured = {}
    for kind in MEANINGS:
        right = sum(label == kind == said for label, said in pairs)
        said = sum(said == kind for _, said in pairs)
        there = sum(label == kind for label, _ in pairs)
        measured[kind] = Measured(right / said if said else 1.0, right / there if there else 1.0, there)
    return measured


def report_replies(data: Path | None, *, errors: bool) -> None:
    """Print what the reader makes of the held-out replies, and of chats where ``data`` holds some."""
    reader = ReplyReader(LANGUAGES)
    replies = [sample for sample in load_replies() if sample.held_out]
    others = tuple(sorted({sample.lang for sample in replies} - set(LANGUAGES)))
    for name, langs in (("zh", ("zh",)), ("en", ("en",)), ("others", others)):
        some = [sample for sample in replies if sample.lang in langs]
        for kind, (precision, recall, there) in measure(some, reader).items():
            print(f"{name:7}{kind:8} precision {precision:6.1%}  recall {recall:6.1%}  of {there}")
        if errors:
            for sample in some:
                if (said := reader.read(sample.text)).kind != sample.label:
                    print(f"    {sample.label} read as {said.kind}{'?' if said.doubtful else ''}: {sample.text!r}")
    if data is not None:
        talk = chats(data, learnt=False)
        stopped = [text for text in talk if reader.read(text).kind == "stop"]
        print(f"chats   {len(talk)}, of which {len(stopped)} are read as a stop ({len(stopped) / len(talk):.2%})")


def chats(data: Path, *, learnt: bool) -> list[str]:
    """Chats of the corpora, those that are learnt from or the others."""
    found: list[str] = []
    for source in CHATS:
        texts = [sample.text for sample in read_texts(data / f"{source}.jsonl.gz")]
        digests = {text: hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest() for text in texts}
        some = sorted((text for text in digests if (digests[text][0] % 2 == 0) is learnt), key=digests.__getitem__)
        found += some[:MOST_CHATS]
    return found


def _values(text: str) -> dict[str, float]:
    """A text's buckets as ``read_intent`` weighs them."""
    buckets = buckets_of(fold_reply(text))
    return dict.fromkeys(map(str, buckets.tolist()), 1.0 / np.sqrt(max(buckets.size, 1)))
