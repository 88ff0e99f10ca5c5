"""What the classifier says of texts, and why."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, StrictBool

from smsc_filter.classifier.explain import explain as explain_score
from smsc_filter.classifier.manifest import ModelError
from smsc_filter.classifier.scorer import KINDS, Scorer
from smsc_filter.state.rules import rules_now
from smsc_filter.web.api.common import API, COMMON, Classifier, World
from smsc_filter.web.problems import Problem

router = APIRouter(prefix=f"{API}/classify", tags=["texts"], responses=COMMON)

MOST_TEXTS: Final = 100
MOST_CHARACTERS: Final = 65_536


class Question(BaseModel):
    """Some texts as a subscriber would read them."""

    model_config = ConfigDict(extra="forbid")

    texts: Annotated[
        list[Annotated[str, Field(max_length=MOST_CHARACTERS)]], Field(min_length=1, max_length=MOST_TEXTS)
    ]
    purpose: Literal["commercial", "service", "person"] = Field(
        "commercial", description="What the sender is registered for, whose threshold decides."
    )
    explain: StrictBool = Field(False, description="Whether to tell what moved each score.")


class ContributionBody(BaseModel):
    """What one n-gram of a text adds."""

    feature: str = Field(description="`^` and `$` are the edges of the text, `0` is any digit.")
    log_odds: float = Field(description="Negative: it speaks against commercial.")


class ExplanationBody(BaseModel):
    """`start`, the parts and `rest` add up to `log_odds`, whose logistic function is the score."""

    model: str
    log_odds: float
    start: float
    parts: list[ContributionBody] = Field(description="The largest first.")
    rest: float


class Answer(BaseModel):
    """What the classifier says of one text."""

    score: float = Field(description="Probability that the text is commercial.")
    commercial: bool
    kind: str
    explanation: ExplanationBody | None


class Answers(BaseModel):
    """In the order of the texts."""

    model: str
    threshold: float
    answers: list[Answer]


@router.post("", summary="What the classifier says of some texts")
def classify(question: Question, context: World, token: Classifier) -> Answers:
    """Nothing is sent and nothing is kept."""
    try:
        scorer = context.models.current()
    except ModelError as error:
        raise Problem(
            503, "no-model", "the classifier cannot be loaded; its operator finds out why in the log"
        ) from error
    threshold = context.models.thresholds(scorer, rules_now(context.writer).thresholds)[question.purpose]
    scores = scorer.score(question.texts)
    return Answers(
        model=scorer.model_id,
        threshold=threshold,
        answers=[
            Answer(
                score=score,
                commercial=score >= threshold,
                kind=KINDS[kind],
                explanation=explanation_of(scorer, text) if question.explain else None,
            )
            for text, score, kind in zip(question.texts, scores.score.tolist(), scores.kind.tolist(), strict=True)
        ],
    )


def explanation_of(scorer: Scorer, text: str) -> ExplanationBody:
    """The score of a text taken apart."""
    explanation = explain_score(scorer, text)
    return ExplanationBody(
        model=explanation.model,
        log_odds=explanation.log_odds,
        start=explanation.start,
        parts=[ContributionBody(feature=part.feature, log_odds=part.log_odds) for part in explanation.parts],
        rest=explanation.rest,
    )
