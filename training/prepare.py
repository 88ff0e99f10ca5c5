"""Labelled texts -> what a model is trained and measured on: groups, splits, weights, labels of kind.

Texts that differ only in digits, links and punctuation are near-duplicates: a figure measured on one
after training on the other would flatter. They are grouped by MinHash over character 5-grams, and a
group goes to one side of the split as a whole.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, NamedTuple
from unicodedata import normalize

import numpy as np
from numpy.typing import NDArray

from smsc_filter.classifier.manifest import KINDS
from smsc_filter.samples import Sample, load_samples, read_texts
from smsc_filter.samples.labels import read_labels

OWN: Final = "own"
"""Name of the source that holds the project's own samples."""

DEV_SHARE: Final = 0.15
"""Share of the groups of each source that thresholds are chosen and figures measured on."""

OWN_HELD_OUT: Final = 1 / 3
"""Share of the groups of the project's own samples that is its test set."""


class Corpus(NamedTuple):
    """All texts of a training run, in a fixed order."""

    samples: list[Sample]
    groups: NDArray[np.intp]
    """Shape (n,): the number of each text's group of near-duplicates."""

    held_out: NDArray[np.bool_]
    """Shape (n,): in the development set, not trained on."""

    fingerprint: str

    @property
    def sources(self) -> dict[str, int]:
        """Number of texts of each source."""
        return dict(Counter(sample.source for sample in self.samples))

    def part(self, held_out: bool) -> list[Sample]:
        """The development set, or what is left to train on."""
        return [self.samples[place] for place in np.flatnonzero(self.held_out == held_out)]


def read_corpus(folder: Path) -> Corpus:
    """Read every ``*.jsonl`` and ``*.jsonl.gz`` in ``folder``, and the project's own samples.

    The split depends on the texts alone: the same files give the same development set on every machine.

    Raises:
        SampleError: a file is not labelled JSON Lines.
        FileNotFoundError: there is no such file in ``folder``.
    """
    paths = sorted(path for path in folder.glob("*") if path.name.endswith((".jsonl", ".jsonl.gz")))
    if not paths:
        raise FileNotFoundError(f"{folder}: holds no *.jsonl or *.jsonl.gz")
    samples = [sample._replace(source=OWN) for sample in load_samples()]
    for path in paths:
        source = path.name.split(".")[0]
        samples += (sample._replace(source=source) for sample in read_texts(path))
    groups = group_near_duplicates([sample.text for sample in samples])
    return Corpus(samples, groups, split(samples, groups), fingerprint(paths, samples))


def with_labels(corpus: Corpus, paths: Sequence[Path]) -> Corpus:
    """The corpus together with what people decided of single texts since.

    Labels and their near-duplicates are learnt from and not measured on; a near-duplicate of another label
    than the one that was decided is left out.

    Raises:
        SampleError: a file of labels cannot be read.
    """
    judged = [label.sample for label in read_labels(paths)]
    if not judged:
        return corpus
    known = len(corpus.samples)
    alike = group_near_duplicates([sample.text for sample in [*corpus.samples, *judged]])
    decided = {group: sample.label for group, sample in zip(alike[known:].tolist(), judged, strict=True)}
    said = [decided.get(group) for group in alike[:known].tolist()]
    contradicted = np.array([s not in (None, x.label) for s, x in zip(said, corpus.samples, strict=True)], np.bool_)
    learnt = np.isin(corpus.groups, corpus.groups[np.isin(alike[:known], alike[known:])])
    keep = np.flatnonzero(~contradicted)
    group_of = dict(zip(reversed(alike[:known].tolist()), reversed(corpus.groups.tolist()), strict=True))
    unknown = int(corpus.groups.max()) + 1
    joined = [group_of.get(group, unknown + group) for group in alike[known:].tolist()]
    digest = hashlib.sha256(corpus.fingerprint.encode())
    for path in paths:
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return Corpus(
        [*(corpus.samples[place] for place in keep), *judged],
        np.concatenate([corpus.groups[keep], np.array(joined, np.intp)]),
        np.concatenate([(corpus.held_out & ~learnt)[keep], np.zeros(len(judged), np.bool_)]),
        digest.hexdigest(),
    )


def fingerprint(paths: Iterable[Path], samples: Iterable[Sample]) -> str:
    """SHA-256 over the names and SHA-256 of the files, and over the project's own samples."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    for sample in samples:
        if sample.source == OWN:
            digest.update(f"{sample.label} {sample.category} {sample.text}\n".encode())
    return digest.hexdigest()


# Groups ------------------------------------------------------------------------------------------

_SHINGLE: Final = 5
_BANDS, _BAND_ROWS = 8, 4  # two texts that share 70 % of their 5-grams meet in a band with 89 %
_AGREEMENT: Final = 0.5  # and are then compared over all 32 values

_NOISE = re.compile(r"https?://\S+|www\.\S+|\bx{2,}|x{2,}\b|[\W\d_]+")


def group_near_duplicates(texts: Sequence[str]) -> NDArray[np.intp]:
    """Number the groups of near-duplicates.

    Returns:
        Shape (n,): each text's group, named by the place of its first text.

    Source: Broder 1997 (MinHash); Leskovec, Rajaraman, Ullman, Mining of Massive Datasets, section 3.4 (bands).
    """
    signatures = _signatures([_NOISE.sub("", normalize("NFKC", text).lower()) for text in texts])
    parent = list(range(len(texts)))

    def root(place: int) -> int:
        while parent[place] != place:
            parent[place] = parent[parent[place]]
            place = parent[place]
        return place

    for band in np.split(signatures, _BANDS, axis=1):
        keys = np.ascontiguousarray(band).view(np.dtype((np.void, band.itemsize * _BAND_ROWS))).ravel()
        order = np.argsort(keys, kind="stable")
        alike = np.flatnonzero(keys[order][1:] == keys[order][:-1])
        former, latter = order[alike], order[alike + 1]
        agree = (signatures[former] == signatures[latter]).mean(axis=1) >= _AGREEMENT
        for a, b in zip(former[agree].tolist(), latter[agree].tolist(), strict=True):
            first, second = sorted((root(a), root(b)))
            parent[second] = first
    return np.fromiter(map(root, range(len(texts))), np.intp, len(texts))


def _signatures(folded: Sequence[str]) -> NDArray[np.uint32]:
    """MinHash signatures, shape (n, bands * rows)."""
    # A text shorter than a shingle is padded to one, so that every text has a shingle of its own.
    padded = [text if len(text) >= _SHINGLE else text.ljust(_SHINGLE, "\0") for text in folded]
    points = np.frombuffer("".join(padded).encode("utf-32-le", "surrogatepass"), np.dtype("<u4"))
    lengths = np.fromiter(map(len, padded), np.intp, len(padded))
    ends = np.cumsum(lengths)
    starts = ends - lengths
    shingles = np.zeros(points.size, np.uint64)
    for place in range(_SHINGLE):
        shingles *= np.uint64(0x100000001B3)
        shingles[: points.size - place] += points[place:]
    # A shingle that runs into the next text counts as the first of its own text.
    runs_over = np.zeros(points.size, np.bool_)
    for place in range(1, _SHINGLE):
        runs_over[ends - place] = True
    shingles = np.where(runs_over, np.repeat(shingles[starts], lengths), shingles)
    chance = np.random.default_rng(1997)
    signatures = np.empty((len(padded), _BANDS * _BAND_ROWS), np.uint32)
    for column in range(signatures.shape[1]):
        odd = np.uint64(chance.integers(1 << 62) * 2 + 1)
        hashes = ((shingles ^ (shingles >> np.uint64(29))) * odd) >> np.uint64(32)
        signatures[:, column] = np.minimum.reduceat(hashes.astype(np.uint32), starts)
    return signatures


def split(samples: Sequence[Sample], groups: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Shape (n,): which texts are held out.

    Groups are taken in the order of their digest until each label of each source has its share. A group
    too large for what is left of the share stays in training, so that no single campaign is the measure.
    """
    members: dict[int, list[int]] = {}
    for place, group in enumerate(groups.tolist()):
        members.setdefault(group, []).append(place)
    strata = [(sample.source, sample.label) for sample in samples]
    room = {
        stratum: count * (OWN_HELD_OUT if stratum[0] == OWN else DEV_SHARE)
        for stratum, count in Counter(strata).items()
    }
    held_out = np.zeros(len(samples), np.bool_)
    for group in sorted(members, key=lambda group: _digest(samples[group].text)):
        wanted = Counter(strata[place] for place in members[group])
        if all(count <= room[stratum] for stratum, count in wanted.items()):
            held_out[members[group]] = True
            for stratum, count in wanted.items():
                room[stratum] -= count
    return held_out


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


# Labels and weights ------------------------------------------------------------------------------

WEIGHT: Final = {
    OWN: 16.0,
    "greetings": 36.0,  # blocking a greeting is the failure that must not happen
    "mudou": 4.0,  # the one Chinese source with advertisements and notices side by side
    "india_bank": 3.0,
    "india_spam": 3.0,
    "uci": 2.0,
    "smishing5971": 2.0,
    "turkish": 2.0,
    "nus_zh": 3.0,
    "indonesian_v1": 2.0,
    "zh800k": 1.5,
    "fbs": 1.5,
    "ina_reported": 0.5,
    "swahili": 0.5,
}
"""How much one text of a source counts; sources that are not named count 1."""

_CODE = re.compile(
    r"(验证码|校验码|动态码|动态密码|确认码|verification code|one.?time|\botp\b|passcode|\bcode\b).*\d{4}"
    r"|\d{4}.*(验证码|校验码|动态码|动态密码|确认码|verification code|\botp\b|passcode|\bcode\b)",
    re.IGNORECASE | re.DOTALL,
)
_SIGNED = re.compile(r"^\s*[【\[]|[】\]]\s*$|尊敬的|您")

_KIND_OF_CATEGORY: Final = {"spam-fraud": "fraud"} | {kind: kind for kind in KINDS}


def kind_of(sample: Sample) -> str | None:
    """The kind to learn from a text; None where its category does not tell and nothing else does."""
    if sample.category == "transactional":
        return "verification" if _CODE.search(sample.text) else "service"
    if sample.category != "unknown":
        return _KIND_OF_CATEGORY.get(sample.category)
    if sample.label == "commercial":
        return "commercial"
    if _CODE.search(sample.text):
        return "verification"
    # The sources that mix notices with chat do not tell which is which; a signature does, as a rule.
    if sample.source == "mudou":
        return "service" if _SIGNED.search(sample.text) else None
    return "personal" if sample.source in ("uci", "smishing5971", "turkish") else None


def weight_of(sample: Sample) -> float:
    """How much the text counts in training."""
    return WEIGHT.get(sample.source, 1.0) * sample.weight


# Forms -------------------------------------------------------------------------------------------

_PLACEHOLDERS: Final = {
    "DIGIT": "20",
    "CELLPHONE": "13800000000",
    "HOTLINE": "4000000000",
    "PHONE": "80000000",
    "URL": "http://example.com/a ",
    "NAME": "",
    "PLACE": "",
}
_PLACEHOLDER = re.compile("|".join(_PLACEHOLDERS))
_MASKED_DIGITS = re.compile(r"x+(?![a-wyz])")


def restore(sample: Sample) -> Sample | None:
    """The text as its subscriber read it, where a source is known to have masked it; None for the rest.

    Training sees both forms: the masked one is what such a corpus is measured on, the restored one is what
    comes over the wire.
    """
    if sample.source == "fbs":
        text = _PLACEHOLDER.sub(lambda found: _PLACEHOLDERS[found[0]], sample.text)
    elif sample.source == "zh800k":
        text = _MASKED_DIGITS.sub(lambda found: "8" * len(found[0]), sample.text)
    else:
        return None
    return sample._replace(text=text) if text != sample.text else None


_SIGNATURES: Final = (
    "云杉",
    "橙檐百货",
    "青禾",
    "小岸云盘",
    "北岭",
    "暖阳家纺",
    "蓝鲸快运",
    "竹影课堂",
    "松果",
    "雾凇宽带",
)
_OPT_OUTS: Final = ("", "退订回T", "拒收请回复R", "回TD退订", "，退订回N", " 退订回复R")


def sign(sample: Sample) -> Sample | None:
    """The text with a signature before it, and an opt-out phrase behind it if it is commercial; None for most.

    Advertisers must sign and tell how to refuse, but the corpus with most advertisements was collected before:
    learnt from it alone, a signature would speak for a notice.
    """
    digest = _digest(sample.text)
    if sample.source != "zh800k" or digest[0] % 4:
        return None
    opt_out = _OPT_OUTS[digest[1] % len(_OPT_OUTS)] if sample.label == "commercial" else ""
    return sample._replace(text=f"【{_SIGNATURES[digest[2] % len(_SIGNATURES)]}】{sample.text}{opt_out}")


def forms(sample: Sample) -> list[Sample]:
    """What is learnt from a text: as it was read, restored, and signed, where that differs."""
    restored = restore(sample)
    found = [sample, restored, sign(restored or sample)]
    return [form for form in found if form is not None]
