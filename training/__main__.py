"""``python -m training train|evaluate|report|replies|promote``."""

import argparse
import sys
from pathlib import Path

from smsc_filter.classifier.manifest import ModelError
from smsc_filter.samples import SampleError
from training.evaluate import evaluate
from training.promote import NotPromotedError, ask, promote
from training.replies import report_replies, train_replies
from training.report import write_report
from training.train import train


def main(arguments: list[str] | None = None) -> int:
    """Run one verb; return the exit status, 1 with the cause on stderr if it failed."""
    asked = _parser().parse_args(arguments)
    try:
        match asked.verb:
            case "train":
                train(
                    asked.data, asked.out, name=asked.name, version=asked.version, seed=asked.seed, labels=asked.labels
                )
            case "evaluate":
                evaluate(asked.model, asked.data, everything=asked.all)
            case "report":
                write_report(asked.model, asked.data, asked.out)
            case "promote":
                serve = ask if asked.ask else promote
                serve(asked.candidate, asked.to, asked.data, asked.cases)
            case "replies":
                if asked.out is not None:
                    train_replies(asked.data, asked.out)
                report_replies(asked.data, errors=asked.errors)
    except (ModelError, SampleError, NotPromotedError, OSError) as error:
        print(f"training: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training", description="Trains, measures and promotes models.")
    verbs = parser.add_subparsers(dest="verb", required=True)

    verb = verbs.add_parser("train", help="labelled texts -> a model's folder")
    verb.add_argument("--data", type=Path, required=True, help="folder of labelled *.jsonl or *.jsonl.gz")
    verb.add_argument("--out", type=Path, required=True, help="folder to write the model to")
    verb.add_argument("--name", default="default", help="name of the model (default: %(default)s)")
    verb.add_argument("--version", type=int, default=1, help="its version (default: %(default)s)")
    verb.add_argument("--seed", type=int, default=0, help="seed of everything random (default: %(default)s)")

    verb.add_argument(
        "--labels",
        type=Path,
        nargs="+",
        default=(),
        metavar="FILE",
        help="what people decided of single texts (JSON Lines)",
    )

    verb = verbs.add_parser("evaluate", help="figures of a model per source, in disguise and against the goals")
    verb.add_argument("--model", type=Path, required=True, help="folder of the model")
    verb.add_argument("--data", type=Path, required=True, help="folder of labelled texts")
    verb.add_argument("--all", action="store_true", help="measure on all texts, not only on those held out")

    verb = verbs.add_parser("report", help="curves of a model, as JSON and as a page")
    verb.add_argument("--model", type=Path, required=True, help="folder of the model")
    verb.add_argument("--data", type=Path, required=True, help="folder of labelled texts")
    verb.add_argument("--out", type=Path, required=True, help="folder to write report.json and report.html to")

    verb = verbs.add_parser("replies", help="precision and recall of the reader of replies; learn its model with --out")
    verb.add_argument("--data", type=Path, help="folder of labelled texts, whose chats are talk")
    verb.add_argument("--out", type=Path, help="file to write the model to: smsc_filter/policy/intent.npz")
    verb.add_argument("--errors", action="store_true", help="print the replies that are read otherwise than labelled")

    verb = verbs.add_parser("promote", help="serve a candidate, if it passes every gate")
    verb.add_argument("--candidate", type=Path, required=True, help="folder of the model to promote")
    verb.add_argument("--to", type=Path, required=True, help="folder the service reads")
    verb.add_argument("--data", type=Path, required=True, help="folder of labelled texts, the gate set")
    verb.add_argument(
        "--cases",
        type=Path,
        default=Path("models/cases"),
        help="folder of cases every model must get right (default: %(default)s)",
    )
    verb.add_argument(
        "--ask", action="store_true", help="only ask; the answers let an administrator promote it from the console"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
