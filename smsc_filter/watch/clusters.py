"""Campaigns: texts that say the same in whatever words, found as they come.

A text is first looked up as it stands without its digits, which finds the next filling of a template at the cost of a
dict; only a text not seen so is sketched. Its sketch is cut into bands of two octets; a cluster that shares a band and
agrees in enough places takes it in. Sixteen bands find a text that agrees in 40 % of the places with a probability of
94 %, in 50 % with 99 %.

Sketching costs some 30 us and is the one expensive step, so only ``MOST_SKETCHES`` are made between two looks at the
clock. A campaign that repeats itself is among them soon enough; what is not is counted in ``skipped``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Final

import numpy as np

from smsc_filter.policy.likeness import ALIKE_PLACES, NO_SKETCH, PLACES, sketch

MOST_SKETCHES: Final = 2_000
MOST_CLUSTERS: Final = 20_000
MOST_TEXTS: Final = 100_000
MOST_SENDERS: Final = 256
"""Senders of a cluster that are told apart; one with more is flagged long since."""

BAND: Final = 2
CANDIDATES: Final = 8
"""Clusters a band leads to; a band that many share says little."""

SenderKey = tuple[str, str]
"""(owner, source address)."""

_DIGITS: Final = b"0123456789"
_WIDE: Final = b"\xef\xbc"
"""How full-width digits, and the commas of most Chinese texts, begin in UTF-8."""

_WIDE_DIGITS: Final = re.compile(_WIDE + b"[\x90-\x99]")


def _without_digits(text: str) -> bytes:
    """What a text is looked up by. Octets lose their digits in half the time that a pattern takes on characters."""
    bare = text.encode("utf-8", "surrogatepass").translate(None, _DIGITS)
    return _WIDE_DIGITS.sub(b"", bare) if _WIDE in bare else bare


@dataclass(slots=True, eq=False)
class Cluster:
    """One campaign, or one template."""

    name: str
    leader: bytes
    """Sketch of its first text."""
    first_ms: int
    last_ms: int
    messages: int = 0
    commercial: int = 0
    distinct: int = 1
    """Distinct sketches."""
    agreeing: int = PLACES
    """Sum over the distinct sketches of the places in which each agrees with the leader."""
    senders: dict[SenderKey, int] = field(default_factory=dict)
    """Messages by sender."""
    told: int = 0
    """How many messages it had when it was last told as a campaign."""
    decisions: list[int] = field(default_factory=list)
    """A few of its decisions, as evidence."""
    _by_owner: Counter[str] = field(default_factory=Counter, repr=False)
    _counted: int = 0

    @property
    def advertises(self) -> bool:
        """Whether at least half of it looks commercial."""
        return 2 * self.commercial >= self.messages

    @property
    def owners(self) -> set[str]:
        """Whose senders sent it."""
        return {owner for owner, _ in self.senders}

    @property
    def senders_by_owner(self) -> Mapping[str, int]:
        """How many senders of each owner are in it; counted anew only when there are more."""
        if self._counted != len(self.senders):
            self._counted = len(self.senders)
            self._by_owner = Counter(owner for owner, _ in self.senders)
        return self._by_owner

    def senders_of(self, owner: str) -> list[str]:
        """The senders of one owner in it."""
        return [source for its, source in self.senders if its == owner]


class Clusters:
    """All campaigns of the last day or so."""

    def __init__(self) -> None:
        self.skipped = 0
        """Texts not sketched for want of time."""
        self._by_name: dict[str, Cluster] = {}
        self._texts: dict[bytes, Cluster] = {}
        self._sketches: dict[bytes, Cluster] = {}
        self._bands: dict[tuple[int, bytes], list[Cluster]] = {}
        self._left = MOST_SKETCHES

    def __len__(self) -> int:
        return len(self._by_name)

    def __iter__(self) -> Iterator[Cluster]:
        return iter(self._by_name.values())

    def refill(self, sketches: int = MOST_SKETCHES) -> None:
        """Allow so many more texts to be sketched."""
        self._left = sketches

    def find(self, texts: Sequence[str], at_ms: int) -> list[Cluster | None]:
        """The cluster of each text; None for one without letters, or without time to sketch it."""
        bare = list(map(_without_digits, texts))
        known = self._texts
        found = list(map(known.get, bare))
        if None not in found:
            return found
        firsts: dict[bytes, str] = {}
        for key, text, cluster in zip(bare, texts, found, strict=True):
            if cluster is None:
                firsts.setdefault(key, text)
        self.skipped += max(0, len(firsts) - self._left)
        new = list(firsts.items())[: self._left]
        self._left -= len(new)
        if len(known) + len(new) > MOST_TEXTS:
            known.clear()
        for (key, _), its in zip(new, sketch([text for _, text in new]), strict=True):
            if its != NO_SKETCH:
                known[key] = self._of_sketch(its, at_ms)
        return list(map(known.get, bare))

    def _of_sketch(self, its: bytes, at_ms: int) -> Cluster:
        cluster = self._sketches.get(its)
        if cluster is not None:
            return cluster
        bands = [(start, its[start : start + BAND]) for start in range(0, PLACES, BAND)]
        best, best_places = None, 0
        # All at once: a look at each alone costs ten times as much.
        if near := list({id(each): each for band in bands for each in self._bands.get(band, ())}.values()):
            leaders = np.frombuffer(b"".join(each.leader for each in near), np.uint8).reshape(-1, PLACES)
            places = (leaders == np.frombuffer(its, np.uint8)).sum(axis=1)
            at = int(places.argmax())
            if places[at] >= ALIKE_PLACES:
                best, best_places = near[at], int(places[at])
        if best is not None:
            best.distinct += 1
            best.agreeing += best_places
        else:
            if len(self._by_name) >= MOST_CLUSTERS:
                self.forget_before(sorted(each.last_ms for each in self._by_name.values())[MOST_CLUSTERS // 4])
            best = Cluster(blake2b(its, digest_size=6).hexdigest(), its, at_ms, at_ms)
            self._add(best)
        self._sketches[its] = best
        return best

    def _add(self, cluster: Cluster) -> None:
        self._by_name[cluster.name] = cluster
        self._sketches[cluster.leader] = cluster
        for start in range(0, PLACES, BAND):
            kept = self._bands.setdefault((start, cluster.leader[start : start + BAND]), [])
            if len(kept) < CANDIDATES:
                kept.append(cluster)

    def forget_before(self, at_ms: int) -> None:
        """Forget clusters last seen before ``at_ms``, and the way to every text."""
        kept = [cluster for cluster in self._by_name.values() if cluster.last_ms >= at_ms]
        self._by_name, self._sketches, self._bands, self._texts = {}, {}, {}, {}
        for cluster in kept:
            self._add(cluster)

    def to_state(self, least: int = 2) -> list[dict[str, Any]]:
        """Plain values of every cluster of at least so many messages."""
        return [
            {
                "leader": cluster.leader.hex(),
                "times": [cluster.first_ms, cluster.last_ms],
                "counts": [
                    cluster.messages, cluster.commercial, cluster.distinct, cluster.agreeing, cluster.told,
                ],
                "senders": [[*key, count] for key, count in cluster.senders.items()],
                "decisions": cluster.decisions,
            }
            for cluster in self._by_name.values()
            if cluster.messages >= least
        ]  # fmt: skip

    def restore(self, state: Iterable[dict[str, Any]]) -> None:
        """Take over what ``to_state`` gave."""
        for values in state:
            leader = bytes.fromhex(values["leader"])
            cluster = Cluster(blake2b(leader, digest_size=6).hexdigest(), leader, *values["times"])
            (cluster.messages, cluster.commercial, cluster.distinct, cluster.agreeing,
             cluster.told) = values["counts"]  # fmt: skip
            cluster.senders = {(owner, source): count for owner, source, count in values["senders"]}
            cluster.decisions = values["decisions"]
            self._add(cluster)
