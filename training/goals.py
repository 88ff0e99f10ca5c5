"""What a model must show, figure by figure: the goal, and what was found on texts held out of training."""

import time
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import f1_score, roc_auc_score

from smsc_filter.classifier.scorer import Scorer
from smsc_filter.samples import Sample
from training.robustness import Disguised

FALSE_ALARMS: Final = 0.001
"""Rate at which recall on zh800k is asked."""

BATCH: Final = 64
TURNS: Final = 15
"""Times a timing is taken; the shortest counts, since what else the machine does only ever adds."""

TYPICAL: Final = range(60, 81)
"""Characters of the texts that are timed: 70 on average, as an SMS has."""


class Goal(NamedTuple):
    """One figure."""

    name: str
    wants: str
    found: str
    reached: bool


def goals(scorer: Scorer, samples: Sequence[Sample], disguised: Sequence[Disguised]) -> list[Goal]:
    """Every figure that the sources of ``samples`` give, in the order in which the goals were set."""
    score = scorer.score([sample.text for sample in samples]).score
    log_odds = scorer.log_odds([sample.text for sample in samples])
    source = np.array([sample.source for sample in samples])
    yes = np.array([sample.label == "commercial" for sample in samples], np.bool_)
    greeting = np.array([sample.category == "greeting" for sample in samples], np.bool_) & ~yes
    over = {purpose: score >= threshold for purpose, threshold in scorer.thresholds.items()}
    found = []
    for purpose in ("person", "commercial"):
        blocked = int(over[purpose][greeting].sum())
        found.append(
            Goal(f"greetings blocked, threshold {purpose}", "0", f"{blocked} of {greeting.sum():,}", not blocked)
        )
    for name, sources, most in (("personal", ("nus_zh", "nus_en"), 0.0002), ("transactional", ("india_bank",), 0.004)):
        here = np.isin(source, sources) & ~yes
        purposes = ("person", "commercial") if name == "personal" else ("service", "commercial")
        if here.any():
            found += (_at_most(f"{name} false alarms, threshold {p}", over[p][here], most) for p in purposes)
    found += _with_both_labels(source, yes, score, log_odds, over["commercial"])
    for lang, most in (("zh", 0.03), ("en", 0.10)):
        if several := [one for one in disguised if one.lang == lang and one.commercial and one.other]:
            worst = max(several, key=lambda one: one.recall_plain - one.recall)
            drop = worst.recall_plain - worst.recall
            name = f"worst loss of recall in disguise, {lang}"
            found.append(
                Goal(name, f"<= {100 * most:g} points", f"{100 * drop:.1f} points, {worst.name}", drop <= most)
            )
            worst = max(several, key=lambda one: one.fpr)
            twice = worst.fpr <= 2 * worst.fpr_plain
            said = f"{100 * worst.fpr:.2f} % ({100 * worst.fpr_plain:.2f} % plain), {worst.name}"
            found.append(Goal(f"worst false alarms in disguise, {lang}", "<= twice the plain rate", said, twice))
    return found


def speed(scorer: Scorer, samples: Sequence[Sample]) -> list[Goal]:
    """How long a text of about 70 characters takes on this machine, normalisation and kind included."""
    texts = [sample.text for sample in samples if len(sample.text) in TYPICAL][: 16 * BATCH]
    if not texts:
        return []
    batches = [texts[start : start + BATCH] for start in range(0, len(texts), BATCH)]
    together = shortest_seconds(scorer, batches, TURNS) / len(texts)
    alone = [[text] for text in texts[:BATCH]]
    single = shortest_seconds(scorer, alone, TURNS) / len(alone)
    return [
        Goal(f"texts a second, by batches of {BATCH}", ">= 100,000", f"{1 / together:,.0f}", together <= 1e-5),
        Goal("a single text", "<= 100 us", f"{1e6 * single:.0f} us", single <= 1e-4),
    ]


def rows(found: Sequence[Goal]) -> list[tuple[str, ...]]:
    """A table of the goals, its heads first."""
    return [
        ("goal", "wants", "found", ""),
        *((goal.name, goal.wants, goal.found, "reached" if goal.reached else "not reached") for goal in found),
    ]


def _at_most(name: str, over: NDArray[np.bool_], most: float) -> Goal:
    share = float(over.mean())
    return Goal(name, f"<= {100 * most:g} %", f"{100 * share:.3f} % ({over.sum()} of {over.size:,})", share <= most)


def _with_both_labels(
    source: NDArray[np.str_],
    yes: NDArray[np.bool_],
    score: NDArray[np.float32],
    log_odds: NDArray[np.float32],
    over: NDArray[np.bool_],
) -> list[Goal]:
    found = []

    def at_least(name: str, least: float, value: float) -> None:
        found.append(Goal(name, f">= {least:g}", f"{value:.4f}", value >= least))

    if (here := source == "mudou").any():
        at_least("mudou recall", 0.96, float(over[here & yes].mean()))
        at_least("mudou AUC", 0.98, roc_auc_score(yes[here], score[here]))
    if (here := source == "zh800k").any():
        at_least("zh800k F1", 0.991, f1_score(yes[here], over[here]))
        others = np.sort(log_odds[here & ~yes])
        threshold = others[others.size - 1 - int(FALSE_ALARMS * others.size)]
        name = f"zh800k recall at {100 * FALSE_ALARMS:g} % false alarms"
        at_least(name, 0.985, float((log_odds[here & yes] > threshold).mean()))
    if (here := source == "uci").any():
        at_least("UCI accuracy", 0.990, float((over[here] == yes[here]).mean()))
        at_least("UCI F1", 0.96, f1_score(yes[here], over[here]))
    return found


def shortest_seconds(scorer: Scorer, batches: Sequence[Sequence[str]], turns: int) -> float:
    """The shortest of several times that scoring all ``batches`` took."""
    took = []
    for _ in range(turns):
        start = time.perf_counter()
        for batch in batches:
            scorer.score(batch)
        took.append(time.perf_counter() - start)
    return min(took)
