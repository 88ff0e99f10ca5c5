"""The folder a model is served from: what is in it now, what was before, and whether that has changed.

A served folder holds a whole model at every moment. What was served before lies in folders of its own under
``earlier``, named by the time at which it was replaced, so that going back is a copy and needs no training data.
"""

import json
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

from smsc_filter.classifier.curve import CURVE
from smsc_filter.classifier.gates import GATES
from smsc_filter.classifier.manifest import CARD, MANIFEST, Manifest, ModelError, read_manifest
from smsc_filter.classifier.scorer import Scorer

EARLIER: Final = "earlier"
REPLACED: Final = "replaced.json"

UNSEEN: Final = "unseen.npz"
"""What training keeps for whoever compares models; the service does not read it."""

KEPT: Final = 8
"""Earlier models kept; a model is three megabytes."""

How = Literal["promotion", "rollback"]
"""What replaced a model. Going back never leads to one that was itself gone back from."""


@dataclass(frozen=True, slots=True)
class Earlier:
    """A model that was served before."""

    folder: Path
    manifest: Manifest
    replaced_at: str
    """ISO 8601 in UTC."""

    replaced_by: str
    """The id of the model that took its place."""

    how: How


def install(model: Path, to: Path) -> None:
    """Copy a model into ``to`` so that ``to`` holds a whole model at every moment.

    A reader that took the old manifest and comes too late for its weights gets a ModelError, never a mixture.
    """
    manifest = read_manifest(model)
    to.mkdir(parents=True, exist_ok=True)
    # The name of the weights holds their checksum: old and new lie side by side until the manifest,
    # replaced in one step, says which of them counts.
    for name in (manifest.weights, CARD, UNSEEN, CURVE, GATES, MANIFEST):
        if not (model / name).exists():
            (to / name).unlink(missing_ok=True)  # a card of another model would tell of this one
        else:
            partial = to / f".{name}.partial"
            shutil.copyfile(model / name, partial)
            partial.replace(to / name)
    for stale in to.glob("weights-*.joblib"):
        if stale.name != manifest.weights:
            stale.unlink()


def replace_model(folder: Path, model: Path, how: How, now: float) -> None:
    """Serve ``model`` from ``folder`` and keep what was served there before.

    Args:
        folder: a served folder; empty or missing before the first model.
        model: folder of the model to serve.
        how: why the one before ends.
        now: epoch seconds.

    Raises:
        ModelError: ``model`` is none that can be served; ``folder`` is as it was.
    """
    comes = Scorer.load(model)
    _keep(folder, comes.model_id, how, now)
    install(model, folder)
    for old in sorted((folder / EARLIER).glob("[0-9]*"))[:-KEPT]:
        shutil.rmtree(old)


def roll_back(folder: Path, now: float, model_id: str | None = None) -> Manifest:
    """Serve again what was served before, or ``model_id`` of the earlier ones; returns what is served now.

    Raises:
        ModelError: there is no such model, or it is damaged; what is served is as it was.
    """
    kept = earlier_models(folder)
    if model_id is None:
        found = next((model for model in kept if model.how == "promotion"), None)
    else:
        found = next((model for model in kept if model.manifest.model_id == model_id), None)
    if found is None:
        raise ModelError(f"{folder / EARLIER}: holds no {model_id or 'model to go back to'}")
    replace_model(folder, found.folder, "rollback", now)
    shutil.rmtree(found.folder, ignore_errors=True)  # as the oldest it may have made room already
    return found.manifest


def earlier_models(folder: Path) -> list[Earlier]:
    """What ``folder`` served before, the last one first; what cannot be read is passed over."""
    found = []
    for path in sorted((folder / EARLIER).glob("[0-9]*"), reverse=True):
        try:
            said = json.loads((path / REPLACED).read_text(encoding="utf-8"))
            found.append(Earlier(path, read_manifest(path), said["at"], said["by"], said["how"]))
        except (OSError, ValueError, LookupError, ModelError):
            continue
    return found


def find_model(folder: Path, model_id: str) -> Path | None:
    """Where the model of that id lies, served or earlier; None where it is kept no more."""
    if read_manifest(folder).model_id == model_id:
        return folder
    return next((model.folder for model in earlier_models(folder) if model.manifest.model_id == model_id), None)


def _keep(folder: Path, by: str, how: How, now: float) -> None:
    """Put a copy of what ``folder`` serves among the earlier models; of a model that is broken there is nothing."""
    try:
        manifest = Scorer.load(folder).manifest
    except ModelError:
        return
    moment = datetime.fromtimestamp(now, UTC)
    name = f"{moment:%Y%m%dT%H%M%S%f}-{manifest.sha256[:8]}"
    partial = folder / EARLIER / f".{name}.partial"
    install(folder, partial)
    said = {"at": moment.isoformat(timespec="seconds"), "by": by, "how": how}
    (partial / REPLACED).write_text(json.dumps(said) + "\n", encoding="utf-8")
    partial.replace(folder / EARLIER / name)


class ServedModel:
    """The model of a folder in memory, and whether the folder holds another one by now."""

    def __init__(self, folder: Path) -> None:
        """Load it, or else the last model before it that can be loaded: a process that begins anew serves too.

        Raises:
            ModelError: the folder holds no whole model of this version, nor does any earlier one.
        """
        self.folder = folder
        self._seen = self._state()
        self.refused: ModelError | None = None
        """Why what the folder holds is not served."""
        try:
            self.scorer = Scorer.load(folder)
        except ModelError as error:
            self.refused = error
            self.scorer = _last_good(folder, error)

    def changed(self) -> bool:
        """Whether the manifest is another one than when this was last asked; one look at the file, and no more."""
        before, self._seen = self._seen, self._state()
        return self._seen != before

    def load(self) -> Scorer:
        """The model that the folder holds now; ``scorer`` stays until whoever asked puts this in its place.

        Raises:
            ModelError: it holds none that can be served.
        """
        return Scorer.load(self.folder)

    def _state(self) -> tuple[int, int, int] | None:
        try:
            found = (self.folder / MANIFEST).stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size


def _last_good(folder: Path, error: ModelError) -> Scorer:
    for model in earlier_models(folder):
        if model.how == "promotion":
            try:
                return Scorer.load(model.folder)
            except ModelError:
                continue
    raise error
