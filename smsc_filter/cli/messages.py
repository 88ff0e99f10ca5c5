"""Verbs about single texts and decisions."""

from __future__ import annotations

import argparse
import sys
from typing import Any

import orjson

from smsc_filter.classifier.explain import Explanation
from smsc_filter.classifier.explain import describe as say
from smsc_filter.classifier.explain import explain as explain_score
from smsc_filter.classifier.manifest import ModelError
from smsc_filter.classifier.scorer import KINDS, Scorer
from smsc_filter.classifier.versions import find_model
from smsc_filter.cli.common import fail, tell
from smsc_filter.cli.verbs import Verbs
from smsc_filter.policy.record import ID_CHARACTERS, id_from_text, id_to_text
from smsc_filter.records.explain import Decision, describe, find_decision, find_outcome, printable
from smsc_filter.service.build import load_rules, model_folder
from smsc_filter.service.build_records import open_records
from smsc_filter.settings import Settings, read_settings


def classify(options: argparse.Namespace) -> int:
    """Score texts from stdin, a line each; JSON Lines out."""
    settings = read_settings(options.config)
    scorer = Scorer.load(model_folder(settings))
    threshold = load_rules(settings, scorer).thresholds[options.purpose]
    stdin = sys.stdin.buffer
    while lines := stdin.readlines(1 << 16):
        texts = [line.rstrip(b"\r\n").decode("utf-8", "replace") for line in lines]
        scores = scorer.score(texts)
        for text, score, kind in zip(texts, scores.score.tolist(), scores.kind.tolist(), strict=True):
            result: dict[str, Any] = {
                "score": round(score, 6),
                "commercial": score >= threshold,
                "kind": KINDS[kind],
            }
            if options.explain:
                result["explanation"] = _as_json(explain_score(scorer, text))
            sys.stdout.buffer.write(orjson.dumps(result, option=orjson.OPT_APPEND_NEWLINE))
        sys.stdout.buffer.flush()
    return 0


def read_id(text: str) -> int:
    """The decision that a person names, by its id or by its number.

    Raises:
        ValueError: it names none.
    """
    decision_id = int(text) if text.isdigit() and len(text) > ID_CHARACTERS else id_from_text(text)
    id_to_text(decision_id)  # says so where the number is none
    return decision_id


def explain(options: argparse.Namespace) -> int:
    """Print one decision in words, and what moved its score."""
    settings = read_settings(options.config)
    try:
        decision_id = read_id(options.id)
    except ValueError as error:
        return fail(str(error))
    engine = open_records(settings)
    try:
        decision = find_decision(engine, decision_id)
        if decision is None:
            return fail(f"no decision {options.id} on record; one younger than a second may be on its way")
        tell(describe(decision, find_outcome(engine, decision_id)))
    finally:
        engine.dispose()
    if decision.score >= 0:
        tell(
            "\n".join(
                f"{'Why' if not line else '':<10}{printable(said)}"
                for line, said in enumerate(_why(settings, decision))
            )
        )
    return 0


def _why(settings: Settings, decision: Decision) -> list[str]:
    """What moved the score of a decision, by the model that judged where it is still kept."""
    folder = model_folder(settings)
    try:
        kept = find_model(folder, decision.model)
        explanation = explain_score(Scorer.load(kept or folder), decision.text)
    except ModelError as error:
        return [f"cannot be told: {error}"]
    lines = [] if kept else [f"{decision.model} is kept no more; what follows is said by {explanation.model}"]
    if decision.part:
        lines.append("of this part alone; it was judged with the text of all parts that were there")
    return lines + say(explanation)


def _as_json(explanation: Explanation) -> dict[str, Any]:
    return {
        "model": explanation.model,
        "log_odds": explanation.log_odds,
        "start": explanation.start,
        "parts": [{"feature": part.feature, "log_odds": part.log_odds} for part in explanation.parts],
        "rest": explanation.rest,
    }


def add_verbs(verbs: Verbs) -> None:
    """``classify``, ``explain``."""
    one = verbs.verb("classify", classify, example="echo 'Your code is 4711' | smsc-filter classify")
    one.add_argument(
        "--purpose",
        choices=("commercial", "service", "person"),
        default="commercial",
        help="whose threshold decides (default: commercial)",
    )
    one.add_argument("--explain", action="store_true", help="with what moved each score")
    one = verbs.verb("explain", explain, example="smsc-filter explain 01H4C9M2Q7R3T --config smsc-filter.toml")
    one.add_argument("id", metavar="DECISION_ID")
