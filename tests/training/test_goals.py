"""The goals, asked of a model that says what the test wants it to say."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from smsc_filter.classifier.scorer import Scorer, Scores
from smsc_filter.samples import Sample, load_samples
from tests.classifier.models import DEFAULT
from training.goals import Goal, goals, rows, speed
from training.robustness import Disguised


class Says(Scorer):
    """Gives each text the probability that it begins with."""

    def __init__(self) -> None:
        self.thresholds = {"commercial": 0.5, "service": 0.7, "person": 0.9}

    def score(self, texts: Sequence[str]) -> Scores:
        score = np.array([float(text.split()[0]) for text in texts], np.float32)
        return Scores(score, np.zeros(score.size, np.uint8))

    def log_odds(self, texts: Sequence[str]) -> np.ndarray:
        score = self.score(texts).score
        return np.log(score / (1 - score))


def texts(source: str, *said: tuple[float, str], category: str = "unknown") -> list[Sample]:
    return [Sample(f"{score} {place}", label, category, "zh", source) for place, (score, label) in enumerate(said)]


def found(samples: list[Sample], *disguised: Disguised) -> dict[str, Goal]:
    return {goal.name: goal for goal in goals(Says(), samples, disguised)}


@pytest.mark.parametrize(
    ("samples", "name", "said", "reached"),
    [
        pytest.param(
            texts("greetings", (0.95, "other"), (0.6, "other"), category="greeting"),
            "greetings blocked, threshold person", "1 of 2", False, id="a-blocked-greeting",
        ),
        pytest.param(
            texts("greetings", (0.6, "other"), category="greeting"),
            "greetings blocked, threshold person", "0 of 1", True, id="no-greeting",
        ),
        pytest.param(
            texts("nus_zh", (0.6, "other"), (0.1, "other")),
            "personal false alarms, threshold commercial", "50.000 % (1 of 2)", False, id="personal",
        ),
        pytest.param(
            texts("india_bank", (0.6, "other")),
            "transactional false alarms, threshold service", "0.000 % (0 of 1)", True, id="transactional",
        ),
        pytest.param(
            texts("mudou", (0.6, "commercial"), (0.4, "commercial"), (0.3, "other")), "mudou recall", "0.5000", False,
            id="recall",
        ),
        pytest.param(
            texts("mudou", (0.6, "commercial"), (0.4, "commercial"), (0.3, "other")), "mudou AUC", "1.0000", True,
            id="auc",
        ),
        pytest.param(
            texts("zh800k", (0.9, "commercial"), (0.6, "commercial"), (0.7, "other"), (0.1, "other")),
            "zh800k recall at 0.1 % false alarms", "0.5000", False, id="recall-at-a-rate",
        ),
        pytest.param(
            texts("uci", (0.9, "commercial"), (0.6, "other"), (0.1, "other"), (0.1, "other")), "UCI accuracy", "0.7500",
            False, id="accuracy",
        ),
    ],
)  # fmt: skip
def test_a_figure_is_told_beside_its_goal(samples: list[Sample], name: str, said: str, reached: bool) -> None:
    goal = found(samples)[name]
    assert (goal.found, goal.reached) == (said, reached)


def one(name: str, recall: float, fpr: float) -> Disguised:
    return Disguised(
        lang="en", name=name, commercial=10, recall_plain=0.9, recall=recall, other=10, fpr_plain=0.01, fpr=fpr
    )


def test_the_worst_disguise_counts() -> None:
    told = found(texts("own", (0.5, "other")), one("spaced", 0.7, 0.01), one("padding", 0.85, 0.03))
    assert told["worst loss of recall in disguise, en"][2:] == ("20.0 points, spaced", False)
    assert told["worst false alarms in disguise, en"][2:] == ("3.00 % (1.00 % plain), padding", False)


def test_sources_that_are_missing_are_not_asked() -> None:
    assert list(found(texts("own", (0.5, "other"), (0.9, "commercial")))) == [
        "greetings blocked, threshold person",
        "greetings blocked, threshold commercial",
    ]


def test_speed_is_that_of_texts_as_long_as_an_sms() -> None:
    scorer = Scorer.load(DEFAULT)
    assert not speed(scorer, [sample for sample in load_samples() if len(sample.text) < 50])
    told = speed(scorer, load_samples())
    assert [goal.name for goal in told] == ["texts a second, by batches of 64", "a single text"]
    assert len(rows(told)) == 3
