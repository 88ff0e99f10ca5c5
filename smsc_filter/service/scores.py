"""What the recorder counts of scores: how they are spread, and where a shadow model would judge otherwise.

Both look at decisions once they are on record, so that no message waits for either. A shadow scores each text once,
however many it was sent to, and reads the score of the model that judged from the record. Parts of long messages are
left out: they were judged with the text of the parts before them, which the record of a part does not hold.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any, Final

import numpy as np
import redis
import structlog

from smsc_filter.classifier import drift
from smsc_filter.classifier.manifest import ModelError, read_manifest
from smsc_filter.classifier.scorer import Scorer
from smsc_filter.classifier.versions import ServedModel, find_model
from smsc_filter.policy.record import COLUMNS, DecisionRow, OutcomeRow
from smsc_filter.service.build import model_folder, set_thresholds, shadow_folder
from smsc_filter.settings import Settings
from smsc_filter.state.rules import rules_now
from smsc_filter.state.scores import EDGES, Compared, Spread, add_compared, add_scores, day_of

log = structlog.get_logger()

ADD_SECONDS: Final = 1.0

MOST_TEXTS: Final = 20_000
"""Different texts a second that a shadow scores; more are skipped, and counted as such."""

Seen = tuple[str, str, int, str]
"""Model that judged, purpose of the sender, score on record, text."""

_SCORED: Final = itemgetter(*map(COLUMNS.index, ("model", "purpose", "score")))
_SHADOWED: Final = itemgetter(*map(COLUMNS.index, ("model", "purpose", "score", "text")))
_PART: Final = COLUMNS.index("part")


class ScoreWatch:
    """Counts the scores of what the movers commit."""

    def __init__(self, settings: Settings, client: redis.Redis, clock: Callable[[], float] = time.time) -> None:
        """Add to ``client`` what is counted, at times ``clock()`` in epoch seconds."""
        self._client = client
        self._clock = clock
        self._lock = threading.Lock()
        self._scored: Counter[tuple[str, str, int]] = Counter()
        folder = shadow_folder(settings)
        self._shadow = Shadow(folder, model_folder(settings)) if folder else None
        self._set: dict[Any, float] = set_thresholds(settings)

    def on_committed(self, decisions: Sequence[DecisionRow], outcomes: Sequence[OutcomeRow]) -> None:
        """See rows that were just committed; called in the movers' threads."""
        with self._lock:
            self._scored.update(map(_SCORED, decisions))
            if self._shadow is not None:
                self._shadow.see(decisions)

    async def run(self) -> None:
        """Add to the counts every second, until cancelled, and once more then."""
        try:
            while True:
                await asyncio.sleep(ADD_SECONDS)
                await asyncio.to_thread(self.add)
        finally:
            self.add()

    def add(self) -> None:
        """Add what was seen since the last time; what the store does not take is added next time."""
        with self._lock:
            scored, self._scored = self._scored, Counter()
            texts = self._shadow.take() if self._shadow is not None else Counter()
        try:
            if spread := spread_of(scored):
                add_scores(self._client, day_of(self._clock()), spread)
                scored = Counter()
            if self._shadow is not None:
                self._shadow.compare(texts, self._set | dict(rules_now(self._client).thresholds))
                self._shadow.add(self._client)
        except redis.RedisError as error:
            log.warning("scores-not-added", detail=str(error))
            with self._lock:
                self._scored.update(scored)
        except Exception:
            # Whatever it is: records of law do not wait for statistics about them.
            log.exception("scores-failed")


def spread_of(scored: Mapping[tuple[str, str, int], int]) -> dict[Spread, list[int]]:
    """Histograms by model and purpose; texts that were not scored, or of no registered sender, are left out."""
    spread: defaultdict[Spread, list[int]] = defaultdict(lambda: [0] * drift.BINS)
    for (model, purpose, score), count in scored.items():
        if score >= 0 and purpose:
            spread[Spread(model, purpose)][drift.bin_of(score)] += count
    return dict(spread)


class Shadow:
    """A model that judges what another has judged, and changes nothing."""

    def __init__(self, folder: Path, served: Path) -> None:
        """Compare the model in ``folder`` with those of ``served``."""
        self._folder = folder
        self._served = served
        self._model: ServedModel | None = None
        self._told = ""
        self._texts: Counter[Seen] = Counter()
        self._compared: Counter[Compared] = Counter()

    def see(self, decisions: Sequence[DecisionRow]) -> None:
        """Keep the texts of rows until they are scored."""
        for about in (_SHADOWED(row) for row in decisions if not row[_PART]):
            if about in self._texts or len(self._texts) < MOST_TEXTS:
                self._texts[about] += 1
            else:
                self._compared[Compared(about[0], about[1], "skipped")] += 1

    def take(self) -> Counter[Seen]:
        """What was kept, which is kept no longer."""
        texts, self._texts = self._texts, Counter()
        return texts

    def compare(self, texts: Mapping[Seen, int], in_place: Mapping[str, float]) -> None:
        """Score texts and count where the two models differ; ``in_place`` holds thresholds set in place of theirs."""
        scorer = self._scorer()
        if scorer is None or not texts:
            return
        thresholds = {model: self._thresholds(model) for model in {model for model, *_ in texts}}
        wanted = [about for about in texts if about[2] >= 0 and about[1] and thresholds[about[0]]]
        new = drift.to_parts(scorer.score([text for *_, text in wanted]).score)
        old = np.array([score for _, _, score, _ in wanted], np.int64)
        bins = np.searchsorted(EDGES, (new - old) / drift.PARTS).tolist()
        for about, score, place in zip(wanted, new.tolist(), bins, strict=True):
            model, purpose, before, _ = about
            blocks = score >= drift.PARTS * in_place.get(purpose, scorer.thresholds[purpose])
            blocked = before >= drift.PARTS * in_place.get(purpose, thresholds[model][purpose])
            found = ["texts", f"d{place}", *(["block"] if blocks and not blocked else [])]
            found += ["pass"] if blocked and not blocks else []
            for what in found:
                self._compared[Compared(model, purpose, what)] += texts[about]

    def add(self, client: redis.Redis) -> None:
        """Add to the counts of this shadow.

        Raises:
            RedisError: the store did not take them; they are kept.
        """
        if self._compared and self._model is not None:
            add_compared(client, self._model.scorer.model_id, self._compared)
            self._compared = Counter()

    def _scorer(self) -> Scorer | None:
        """The shadow as its folder holds it now; None while that is no model."""
        try:
            if self._model is None or self._model.changed():
                self._model = None
                model = ServedModel(self._folder)
                if model.refused is not None:
                    raise model.refused
                self._model = model
                self._compared = Counter()
                log.info("shadow-loaded", model=self._model.scorer.model_id)
        except ModelError as error:
            if str(error) != self._told:
                self._told = str(error)
                log.error("shadow-refused", detail=str(error))
        return None if self._model is None else self._model.scorer

    def _thresholds(self, model: str) -> Mapping[str, float]:
        """Those of the model that judged; none where it is kept no more."""
        try:
            folder = find_model(self._served, model)
            return read_manifest(folder).thresholds if folder is not None else {}
        except ModelError:
            return {}
