"""The model in the web process: loaded when it is first asked for, and again when its folder has changed."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import structlog

from smsc_filter.classifier.manifest import ModelError
from smsc_filter.classifier.scorer import Scorer
from smsc_filter.classifier.versions import ServedModel, find_model

log = structlog.get_logger()


class Models:
    """The served model and those before it, for threads that answer requests."""

    def __init__(self, folder: Path, thresholds: Mapping[str, float]) -> None:
        """Serve from ``folder``; ``thresholds`` are those the operator has set, by purpose."""
        self.folder = folder
        self._set = thresholds
        self._lock = threading.Lock()
        self._served: ServedModel | None = None

    def current(self) -> Scorer:
        """The model that is served now; one that cannot be loaded leaves the one before in use.

        Raises:
            ModelError: there is none at all.
        """
        with self._lock:
            if self._served is None:
                self._served = ServedModel(self.folder)
            elif self._served.changed():
                try:
                    self._served.scorer = self._served.load()
                except ModelError as error:
                    log.error("model-refused", detail=str(error), serving=self._served.scorer.model_id)
            return self._served.scorer

    def of(self, model_id: str) -> Scorer | None:
        """The model of that id, served or earlier; None where it is kept no more or cannot be loaded."""
        try:
            current = self.current()
            if current.model_id == model_id:
                return current
            folder = find_model(self.folder, model_id)
            return None if folder is None else Scorer.load(folder)
        except ModelError:
            return None

    def thresholds(self, scorer: Scorer, tuned: Mapping[Any, float]) -> dict[str, float]:
        """Score from which a text is commercial, by purpose: the model's, but for those configured, or ``tuned``."""
        return {**scorer.thresholds, **self._set, **tuned}
